//! Hooks: objects that run before and after an action.

use std::time::Duration;

use cluster::Propagation;
use helm::release::{Hook, Phase, Status};
use helm::{Event, Release};

use crate::actions::target;
use crate::{Actions, Driver, Fault};

/// The hooks of an event that are wanted, by place, in the order they run: by weight, then name.
fn in_order(hooks: &[Hook], event: Event, wanted: &dyn Fn(&str) -> bool) -> Vec<usize> {
    let mut chosen: Vec<(usize, &Hook)> =
        hooks.iter().enumerate().filter(|(_, hook)| hook.runs_at(event) && wanted(&hook.name)).collect();
    chosen.sort_by(|(_, a), (_, b)| (a.weight, &a.name).cmp(&(b.weight, &b.name)));
    chosen.into_iter().map(|(at, _)| at).collect()
}

/// May an action have left this hook, though its end would have deleted it? `over` says that the release's own action
/// came to its end; tests are actions of their own.
fn is_left(hook: &Hook, over: bool) -> bool {
    let (succeeded, failed) = (hook.deletes_at("hook-succeeded"), hook.deletes_at("hook-failed"));
    let unfinished = !over || hook.runs_at(Event::Test);
    match hook.last_run.phase {
        Phase::Running => succeeded || failed,
        Phase::Succeeded => succeeded && unfinished,
        Phase::Failed => failed && unfinished,
        Phase::None | Phase::Unknown => false,
    }
}

impl<D: Driver> Actions<'_, D> {
    /// Runs the hooks of an event in order. The runs are noted in the release.
    pub async fn run_hooks(
        &self,
        release: &mut Release,
        event: Event,
        limit: Duration,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), Fault> {
        let order = in_order(&release.hooks, event, wanted);
        let mut done: Vec<Hook> = Vec::new();
        for at in order {
            let Some(hook) = release.hooks.get(at).cloned() else { continue };
            if hook.deletes_at("before-hook-creation") {
                self.delete_hook(&hook, limit).await?;
            }
            self.note_run(release, at, Phase::Running).await?;
            let result = self.run_hook(&hook, event, limit).await;
            if matches!(result, Err(Fault::Preempted)) {
                return result;
            }
            let phase = if result.is_ok() { Phase::Succeeded } else { Phase::Failed };
            self.note_run(release, at, phase).await?;
            if let Err(fault) = result {
                self.show_output(&hook, "hook-failed").await?;
                if hook.deletes_at("hook-failed") {
                    self.delete_hook(&hook, limit).await?;
                }
                self.delete_succeeded(&done, limit).await?;
                return Err(fault.in_file(&hook.path));
            }
            done.push(hook);
        }
        done.reverse();
        for hook in &done {
            self.show_output(hook, "hook-succeeded").await?;
            self.delete_succeeded(std::slice::from_ref(hook), limit).await?;
        }
        Ok(())
    }

    async fn show_output(&self, hook: &Hook, policy: &str) -> Result<(), Fault> {
        if hook.shows_output_at(policy) {
            let mut object = hook.object()?;
            self.localise(&mut object, false).await?;
            self.driver.show_output(&target(&object)?).await;
        }
        Ok(())
    }

    async fn run_hook(&self, hook: &Hook, event: Event, limit: Duration) -> Result<(), Fault> {
        let mut object = hook.object()?;
        self.localise(&mut object, false).await?;
        let target = target(&object)?;
        self.driver.progress(format!("{event} hook {}", target.key));
        self.driver
            .start_hook(&object)
            .await
            .map_err(|fault| fault.wrap(format!("warning: Hook {event} {} failed", hook.path)))?;
        self.driver.wait_hook(&target, limit).await
    }

    /// Notes that a hook runs (which is stored at once, so that a crash shows where it happened), or how
    /// its run ended.
    async fn note_run(&self, release: &mut Release, at: usize, phase: Phase) -> Result<(), Fault> {
        let stamp = self.stamp();
        let Some(hook) = release.hooks.get_mut(at) else { return Ok(()) };
        hook.last_run.phase = phase;
        if phase != Phase::Running {
            hook.last_run.completed_at = stamp;
            return Ok(());
        }
        hook.last_run.started_at = stamp;
        hook.last_run.completed_at = String::new();
        Ok(self.storage.update(release, self.seconds()).await?)
    }

    /// Deletes the hooks that an action left when it was cut off: those that its end would have deleted. Nobody else is
    /// left to do that.
    pub async fn end_interrupted(&self, releases: Vec<Release>, limit: Duration) -> Result<(), Fault> {
        for mut release in releases {
            let over =
                matches!(release.info.status, Status::Deployed | Status::Superseded | Status::Uninstalled);
            for hook in release.hooks.iter().filter(|hook| is_left(hook, over)) {
                self.delete_hook(hook, limit).await?;
            }
            let mut cut_off = false;
            for hook in release.hooks.iter_mut().filter(|hook| hook.last_run.phase == Phase::Running) {
                hook.last_run.phase = Phase::Unknown;
                cut_off = true;
            }
            if cut_off {
                self.storage.update(&release, self.seconds()).await?;
            }
        }
        Ok(())
    }

    async fn delete_succeeded(&self, hooks: &[Hook], limit: Duration) -> Result<(), Fault> {
        for hook in hooks.iter().filter(|hook| hook.deletes_at("hook-succeeded")) {
            self.delete_hook(hook, limit).await?;
        }
        Ok(())
    }

    async fn delete_hook(&self, hook: &Hook, limit: Duration) -> Result<(), Fault> {
        let mut object = hook.object()?;
        self.localise(&mut object, false).await?;
        let target = target(&object)?;
        if self.driver.live(&target).await?.is_none() {
            return Ok(());
        }
        let targets = std::slice::from_ref(&target);
        self.driver.delete(targets, Propagation::Background).await?;
        self.driver.wait_gone(targets, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_run_by_weight_then_name() {
        let hook = |name: &str, weight: i64, event: Event| Hook {
            name: name.into(),
            weight,
            events: vec![event],
            ..Hook::default()
        };
        let hooks = [
            hook("b", 5, Event::PreInstall),
            hook("a", 5, Event::PreInstall),
            hook("z", -1, Event::PreInstall),
            hook("other", 0, Event::Test),
        ];
        assert_eq!(in_order(&hooks, Event::PreInstall, &|_| true), [2, 1, 0]);
        assert_eq!(in_order(&hooks, Event::PreInstall, &|name| name != "a"), [2, 0]);
    }
}
