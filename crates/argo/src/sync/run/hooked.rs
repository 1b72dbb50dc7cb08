//! Hooks of a running sync: they go before they are made anew, and when their policy says so.

use cluster::{Delete, Error, ErrorKind, PatchKind, PatchOptions};
use controller::{Context, WaitError, wait_for};
use object::{Key, Value, meta};
use serde_json::json;

use super::{PATIENCE, Runner, Stop};
use crate::names;
use crate::sync::hooks::{self, DeletePolicy};
use crate::sync::tasks::Task;

impl Runner<'_> {
    /// Hooks of before go before they are made anew.
    pub(super) async fn clear_hooks(&mut self, context: &Context, tasks: &[&Task]) -> Result<(), Stop> {
        let mut going = Vec::new();
        for task in tasks.iter().filter(|task| task.hook) {
            let target = task.target.as_ref().unwrap_or(&Value::Null);
            if !hooks::delete_policies(target).contains(&DeletePolicy::BeforeHookCreation) {
                continue;
            }
            if context.cluster.store().get(&task.key).is_some() {
                self.delete_hook(task).await.map_err(|error| Stop::Failed {
                    message: format!("failed to delete hook {}: {error}", task.key),
                    object: Some(task.key.clone()),
                })?;
                going.push(task.key.clone());
            }
        }
        self.until_gone(context, &going).await
    }

    async fn until_gone(&self, context: &Context, keys: &[Key]) -> Result<(), Stop> {
        if keys.is_empty() {
            return Ok(());
        }
        let waited = wait_for(context, keys, PATIENCE, controller::gone);
        match waited.await {
            Ok(()) => Ok(()),
            Err(WaitError::Preempted) => Err(Stop::Preempted),
            Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
                let object = rest.first().map(|(key, _)| key.clone());
                Err(Stop::Failed { message: "waiting for deletion timed out".into(), object })
            }
        }
    }

    /// Lets a hook's object go.
    async fn delete_hook(&self, task: &Task) -> Result<(), Error> {
        self.release(task).await?;
        let options = Delete::default();
        self.cluster.delete(&task.gvk, &task.key.namespace, &task.key.name, &options).await?;
        self.site.memory.forget(names::MANAGER, &task.key);
        Ok(())
    }

    /// Takes the finalizer from a hook whose result was seen.
    async fn release(&self, task: &Task) -> Result<(), Error> {
        let Some(live) = self.cluster.store().get(&task.key) else { return Ok(()) };
        if !meta::finalizers(&live).any(|name| name == names::HOOK_FINALIZER) {
            return Ok(());
        }
        let rest: Vec<&str> = meta::finalizers(&live).filter(|name| *name != names::HOOK_FINALIZER).collect();
        let patch = json!({"metadata": {"finalizers": rest}});
        let options = PatchOptions { manager: names::MANAGER.into(), ..PatchOptions::default() };
        let (namespace, name) = (&task.key.namespace, &task.key.name);
        match self.cluster.patch(&task.gvk, namespace, name, PatchKind::Merge, &patch, &options).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Notes how a hook ended, and lets its object go when its policy says so.
    pub(super) async fn finish_hook(&mut self, task: &Task, why: Option<&str>) {
        let live = self.cluster.store().get(&task.key);
        let said = live.as_ref().and_then(|live| (self.judge)(live)).map(|health| health.message);
        let message = why.map(str::to_owned).or(said).unwrap_or_default();
        self.note(task, "Synced", &message, if why.is_some() { "Failed" } else { "Succeeded" });
        let target = task.target.as_ref().unwrap_or(&Value::Null);
        let policy = if why.is_some() { DeletePolicy::HookFailed } else { DeletePolicy::HookSucceeded };
        let done = if hooks::delete_policies(target).contains(&policy) {
            self.delete_hook(task).await
        } else {
            self.release(task).await
        };
        if let Err(error) = done {
            tracing::warn!(hook = %task.key, %error, "a hook that has ended was not let go");
        }
    }
}

/// Keeps a hook until its result was seen.
pub(super) fn add_finalizer(target: &mut Value) {
    let mut all: Vec<String> = meta::finalizers(target).map(str::to_owned).collect();
    if !all.iter().any(|name| name == names::HOOK_FINALIZER) {
        all.push(names::HOOK_FINALIZER.to_owned());
    }
    object::set(target, &["metadata", "finalizers"], json!(all));
}
