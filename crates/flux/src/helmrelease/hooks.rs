//! Hooks: objects that run before and after an action.

use std::time::Duration;

use cluster::{Apply, Delete};
use controller::{Judgement, WaitError, wait_for};
use helm::release::{Phase, hooks_for};
use helm::{Event, Release};
use object::{Gvk, Key, Value, get, meta};

use super::MANAGER;
use super::action::{Actor, Fault};
use crate::common::str_at;

/// A finished Job or Pod; every other kind is done as soon as it exists.
fn judge(key: &Key, live: Option<&Value>) -> Judgement {
    match (key.kind.as_str(), live) {
        // It deleted itself when it was done.
        ("Job", None) => Judgement::Done,
        ("Pod", None) => Judgement::Pending("it does not exist yet".into()),
        ("Job", Some(_)) => crate::health::judge(key, live, &[], 0),
        ("Pod", Some(live)) => match str_at(live, &["status", "phase"]) {
            "Succeeded" => Judgement::Done,
            "Failed" => Judgement::Failed(format!("pod {} failed", key.name)),
            phase => Judgement::Pending(format!("phase {phase}")),
        },
        _ => Judgement::Done,
    }
}

impl Actor<'_> {
    /// Runs the hooks of an event in order. The runs are noted in the release.
    pub async fn run_hooks(
        &self,
        release: &mut Release,
        event: Event,
        timeout: Duration,
    ) -> Result<(), Fault> {
        let names: Vec<(String, String)> = hooks_for(&release.hooks, event)
            .into_iter()
            .filter(|hook| event != Event::Test || self.is_wanted_test(&hook.name))
            .map(|hook| (hook.kind.clone(), hook.name.clone()))
            .collect();
        let mut done: Vec<(Gvk, Key, bool)> = Vec::new();
        let mut outcome = Ok(());
        for (kind, name) in names {
            let Some(at) = release.hooks.iter().position(|hook| hook.kind == kind && hook.name == name)
            else {
                continue;
            };
            let Some(hook) = release.hooks.get(at).cloned() else { continue };
            let mut object = hook.object().map_err(|error| Fault::failed(error.to_string()))?;
            self.localise(&mut object).await?;
            let gvk = Gvk::of(&object);
            let key = Key::of(&object).map_err(|error| Fault::failed(error.to_string()))?;
            if hook.deletes_at("before-hook-creation") {
                self.delete_and_wait(&gvk, &key, timeout).await?;
            }
            self.context.progress(format!("{event} hook {key}"));
            let started = self.stamp();
            self.cluster.apply(&object, &Apply::forced(MANAGER)).await?;
            self.context.watch(&gvk).await?;
            let waited = wait_for(self.context, std::slice::from_ref(&key), timeout, judge).await;
            let result = match waited {
                Ok(()) => Ok(()),
                Err(WaitError::Preempted) => return Err(Fault::Preempted),
                Err(WaitError::TimedOut(rest)) => {
                    Err(format!("timed out waiting for the condition: {}", first(&rest)))
                }
                Err(WaitError::Failed(rest)) => Err(first(&rest)),
            };
            if let Some(hook) = release.hooks.get_mut(at) {
                hook.last_run.started_at = started;
                hook.last_run.completed_at = self.stamp();
                hook.last_run.phase = if result.is_ok() { Phase::Succeeded } else { Phase::Failed };
            }
            let failed = result.is_err();
            if failed && hook.deletes_at("hook-failed") {
                self.delete_and_wait(&gvk, &key, timeout).await?;
            }
            done.push((gvk, key.clone(), hook.deletes_at("hook-succeeded") && !failed));
            if let Err(why) = result {
                outcome = Err(Fault::Failed {
                    message: format!("failed {event}: hook {key}: {why}"),
                    object: Some(key),
                    file: Some(hook.path.clone()),
                    line: None,
                });
                break;
            }
        }
        for (gvk, key, _) in done.iter().filter(|(_, _, delete)| *delete) {
            self.delete_and_wait(gvk, key, timeout).await?;
        }
        outcome
    }

    fn is_wanted_test(&self, name: &str) -> bool {
        let filters = get(self.object, &["spec", "test", "filters"]).and_then(Value::as_array);
        let Some(filters) = filters.filter(|filters| !filters.is_empty()) else { return true };
        let excluded = |filter: &&Value| filter.get("exclude").and_then(Value::as_bool).unwrap_or(false);
        let named = |filter: &&Value| str_at(filter, &["name"]) == name;
        if filters.iter().filter(excluded).any(|filter| named(&filter)) {
            return false;
        }
        let mut included = filters.iter().filter(|filter| !excluded(filter)).peekable();
        included.peek().is_none() || included.any(|filter| named(&filter))
    }

    async fn delete_and_wait(&self, gvk: &Gvk, key: &Key, timeout: Duration) -> Result<(), Fault> {
        if !self.cluster.delete(gvk, &key.namespace, &key.name, &Delete::default()).await? {
            return Ok(());
        }
        self.context.watch(gvk).await?;
        let gone = wait_for(self.context, std::slice::from_ref(key), timeout, |_, live| match live {
            Some(live) if meta::deletion_timestamp(live).is_some() => {
                Judgement::Pending("being deleted".into())
            }
            Some(_) => Judgement::Pending("to be deleted".into()),
            None => Judgement::Done,
        });
        match gone.await {
            Ok(()) => Ok(()),
            Err(WaitError::Preempted) => Err(Fault::Preempted),
            Err(_) => Err(Fault::failed(format!("{key} is not gone after it was deleted"))),
        }
    }
}

fn first(rest: &[(Key, String)]) -> String {
    rest.first().map(|(key, why)| format!("{key} {why}")).unwrap_or_default()
}
