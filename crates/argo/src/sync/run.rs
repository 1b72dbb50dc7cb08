//! Doing a sync: step after step, each cancelled by whatever makes it pointless.

mod check;
mod hooked;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Cluster, Delete, Error, ErrorKind, Propagation};
use controller::{Context, Judgement, WaitError, wait_for};
use delivery::apply::{Applier, Change};
use futures::StreamExt;
use futures::future::BoxFuture;
use object::{Key, Value, get_str, meta};
use plan::ObjectRef;
use serde_json::{Value as Json, json};

use super::hooks::Phase;
use super::operation::Operation;
use super::options::SyncOptions;
use super::tasks::{Task, rank, steps};
use crate::application::pass::Pass;
use crate::health::{Health, Status};
use crate::names;
use crate::project::Project;
use crate::sites::Site;

/// Applies in flight for one sync.
const PIPELINE: usize = 16;
/// For how long a step may wait before it looks like a failure. Argo CD waits without end; so does this, as far as
/// people go, and a newer commit ends it at once.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How long definitions may take to be served.
const ESTABLISH: Duration = Duration::from_secs(60);

/// What one task came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The object.
    pub key: Key,
    /// Its version.
    pub version: String,
    /// `Synced`, `SyncFailed`, `Pruned` or `PruneSkipped`; empty before it was tried.
    pub status: &'static str,
    /// The line.
    pub message: String,
    /// `Running`, `Succeeded` or `Failed`, of hooks.
    pub hook_phase: &'static str,
    /// The phase that it belongs to.
    pub phase: Phase,
    /// Is it a hook?
    pub hook: bool,
}

impl Outcome {
    /// As `syncResult.resources` has it.
    pub fn entry(&self) -> Json {
        let mut entry = json!({
            "group": self.key.group, "version": self.version, "kind": self.key.kind,
            "namespace": self.key.namespace, "name": self.key.name, "syncPhase": self.phase.as_str(),
        });
        for (field, text) in
            [("status", self.status), ("message", &self.message), ("hookPhase", self.hook_phase)]
        {
            if !text.is_empty() {
                entry[field] = json!(text);
            }
        }
        if self.hook {
            entry["hookType"] = json!(self.phase.as_str());
        }
        entry
    }
}

/// Why a sync did not succeed.
pub enum Stop {
    /// Something newer came.
    Preempted,
    /// It failed.
    Failed {
        /// The line.
        message: String,
        /// The object that is in the way.
        object: Option<Key>,
    },
}

/// One sync.
pub struct Runner<'a> {
    /// The cluster's side.
    pub site: &'a Site,
    /// The cluster, possibly as somebody else.
    pub cluster: Cluster,
    /// What is asked for.
    pub operation: &'a Operation,
    /// Options of the sync.
    pub options: SyncOptions,
    /// The verdict on a live object.
    pub judge: &'a (dyn Fn(&Value) -> Option<Health> + Send + Sync),
    /// What the application may make.
    pub project: &'a Project,
    /// What was done so far.
    pub results: Vec<Outcome>,
}

type Done = Result<(&'static str, String), Error>;

impl Runner<'_> {
    /// Does all tasks.
    pub async fn run(&mut self, pass: &mut Pass, tasks: Vec<Task>) -> Result<(), Stop> {
        self.check(pass, &tasks).await?;
        let (steps, on_failure) = steps(tasks);
        let multiple = steps.len() > 1;
        for step in steps {
            let done = self.step(pass, &step, multiple).await;
            if let Err(Stop::Failed { message, object }) = done {
                // What is to run on a failure may fail as well: the sync failed anyway.
                if !on_failure.is_empty()
                    && let Err(Stop::Preempted) = self.step(pass, &on_failure, true).await
                {
                    return Err(Stop::Preempted);
                }
                return Err(Stop::Failed { message, object });
            }
            done?;
        }
        Ok(())
    }

    fn note(&mut self, task: &Task, status: &'static str, message: &str, hook_phase: &'static str) {
        let entry = Outcome {
            key: task.key.clone(),
            version: task.gvk.version.clone(),
            status,
            message: message.to_owned(),
            hook_phase: if task.hook { hook_phase } else { "" },
            phase: task.phase,
            hook: task.hook,
        };
        let known = self.results.iter_mut().find(|known| known.key == task.key && known.phase == task.phase);
        match known {
            Some(known) => *known = entry,
            None => self.results.push(entry),
        }
    }

    async fn step(&mut self, pass: &mut Pass, step: &[Task], multiple: bool) -> Result<(), Stop> {
        let context = self.site.look(&pass.context);
        let (prunes, writes): (Vec<&Task>, Vec<&Task>) = step.iter().partition(|task| task.is_prune());
        self.all(&context, &prunes).await?;
        if !self.operation.dry_run {
            self.clear_hooks(&context, &writes).await?;
        }
        let mut at = 0;
        while at < writes.len() {
            let kind = writes.get(at).map(|task| rank(&task.key.kind)).unwrap_or_default();
            let rest = writes.get(at..).unwrap_or_default();
            let count = rest.iter().take_while(|task| rank(&task.key.kind) == kind).count().max(1);
            let bucket: Vec<&Task> = rest.iter().take(count).copied().collect();
            self.all(&context, &bucket).await?;
            if !self.operation.dry_run {
                self.establish(&context, &bucket).await?;
            }
            at += count;
        }
        if self.operation.dry_run {
            return Ok(());
        }
        let gone: Vec<Key> =
            prunes.iter().filter(|task| task.skip.is_none()).map(|task| task.key.clone()).collect();
        let waited: Vec<&Task> = writes.iter().filter(|task| multiple || task.hook).copied().collect();
        self.wait(pass, &waited, if multiple { &gone } else { &[] }).await
    }

    /// Does tasks at the same time. All are tried; the first failure is the step's.
    async fn all(&mut self, context: &Context, tasks: &[&Task]) -> Result<(), Stop> {
        let mut failed: Option<(Key, String)> = None;
        let mut done: Vec<(Task, Done)> = Vec::with_capacity(tasks.len());
        {
            let this = &*self;
            let mut jobs: Vec<BoxFuture<'_, (Task, Done)>> = Vec::with_capacity(tasks.len());
            for task in tasks {
                let task = (*task).clone();
                jobs.push(Box::pin(async move {
                    let outcome = this.one(context, &task).await;
                    (task, outcome)
                }));
            }
            let mut jobs = futures::stream::iter(jobs).buffered(PIPELINE);
            loop {
                let next = tokio::select! {
                    biased;
                    () = context.cancel.cancelled() => return Err(Stop::Preempted),
                    next = jobs.next() => next,
                };
                match next {
                    Some(outcome) => done.push(outcome),
                    None => break,
                }
            }
        }
        for (task, outcome) in done {
            match outcome {
                Ok((status, message)) => self.note(&task, status, &message, "Running"),
                Err(error) => {
                    if error.kind == ErrorKind::MissingKind {
                        context.needs_definitions();
                    }
                    self.note(&task, "SyncFailed", &error.message, "Failed");
                    failed = failed
                        .or_else(|| Some((task.key.clone(), format!("{}: {}", task.key, error.message))));
                }
            }
        }
        match failed {
            None => Ok(()),
            Some((key, why)) => Err(Stop::Failed {
                message: format!("one or more objects failed to apply, reason: {why}"),
                object: Some(key),
            }),
        }
    }

    async fn one(&self, context: &Context, task: &Task) -> Done {
        match &task.target {
            Some(target) => self.write(context, task, target).await,
            None => self.prune(task).await,
        }
    }

    async fn prune(&self, task: &Task) -> Done {
        if let Some(why) = task.skip {
            return Ok(("PruneSkipped", why.to_owned()));
        }
        if self.operation.dry_run {
            return Ok(("Pruned", "pruned (dry run)".to_owned()));
        }
        let live = task.live.as_ref();
        let uid = live.map(|live| meta::uid(live).to_owned()).filter(|uid| !uid.is_empty());
        let options = Delete { uid, propagation: self.propagation(live), ..Delete::default() };
        let deleted = self.cluster.delete(&task.gvk, &task.key.namespace, &task.key.name, &options).await;
        match deleted {
            Ok(_) => {}
            // Another object took its name: it is not the one to be pruned.
            Err(error) if error.kind == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
        self.site.memory.forget(names::MANAGER, &task.key);
        Ok(("Pruned", "pruned".to_owned()))
    }

    /// `PrunePropagationPolicy`.
    fn propagation(&self, live: Option<&Value>) -> Propagation {
        let options = live.map(|live| self.options.with(&SyncOptions::of_object(live)));
        match options.as_ref().unwrap_or(&self.options).get("PrunePropagationPolicy") {
            Some("background") => Propagation::Background,
            Some("orphan") => Propagation::Orphan,
            _ => Propagation::Foreground,
        }
    }

    async fn write(&self, context: &Context, task: &Task, target: &Value) -> Done {
        let options = self.options.with(&SyncOptions::of_object(target));
        let mut target = target.clone();
        if task.hook {
            hooked::add_finalizer(&mut target);
        }
        let said = |change: Change| {
            let kind = task.key.kind.to_lowercase();
            let group =
                if task.key.group.is_empty() { String::new() } else { format!(".{}", task.key.group) };
            let word = if options.is("ServerSideApply") { "serverside-applied" } else { change.as_str() };
            format!("{kind}{group}/{} {word}", task.key.name)
        };
        let store = self.cluster.store();
        let live = store.get(&task.key);
        if self.operation.dry_run {
            let how = cluster::Apply { dry_run: true, ..cluster::Apply::forced(names::MANAGER) };
            self.cluster.apply(&target, &how).await?;
            let change = if live.is_some() { Change::Configured } else { Change::Created };
            return Ok(("Synced", format!("{} (dry run)", said(change))));
        }
        let updates_only = matches!(task.key.kind.as_str(), "CustomResourceDefinition" | "Namespace");
        if options.is("Replace")
            && !updates_only
            && let Some(live) = &live
        {
            object::set(
                &mut target,
                &["metadata", "resourceVersion"],
                Value::from(meta::resource_version(live)),
            );
            let replaced = self.cluster.replace(&target, names::MANAGER).await?;
            let same = meta::resource_version(&replaced) == meta::resource_version(live);
            return Ok(("Synced", said(if same { Change::Unchanged } else { Change::Configured })));
        }
        if let Some(live) = &live
            && !self.site.memory.would_change(store, names::MANAGER, live, &target)
        {
            return Ok(("Synced", said(Change::Unchanged)));
        }
        let applier = Applier {
            context,
            cluster: self.cluster.clone(),
            manager: names::MANAGER,
            memory: &self.site.memory,
            take_over: !options.is_not("ClientSideApplyMigration"),
        };
        let force = options.is("Force") || self.operation.force;
        let version = task.gvk.version.clone();
        let reference = ObjectRef { key: task.key.clone(), version };
        let (change, _) = applier.put(&reference, &target, force, false).await?;
        Ok(("Synced", said(change)))
    }

    /// Waits until definitions are served.
    async fn establish(&self, context: &Context, tasks: &[&Task]) -> Result<(), Stop> {
        let crds: Vec<&&Task> =
            tasks.iter().filter(|task| task.key.kind == "CustomResourceDefinition").collect();
        if crds.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = crds.iter().map(|task| task.key.clone()).collect();
        let waited = wait_for(context, &keys, ESTABLISH, |_, live| {
            let established = live
                .and_then(|live| meta::condition(live, "Established"))
                .is_some_and(|found| get_str(found, &["status"]) == Some("True"));
            if established { Judgement::Done } else { Judgement::Pending("not established".into()) }
        });
        match waited.await {
            Ok(()) => {}
            Err(WaitError::Preempted) => return Err(Stop::Preempted),
            Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
                let object = rest.first().map(|(key, _)| key.clone());
                return Err(Stop::Failed { message: "definitions are not established".into(), object });
            }
        }
        for task in crds {
            let target = task.target.as_ref().unwrap_or(&Value::Null);
            let group = get_str(target, &["spec", "group"]).unwrap_or_default();
            self.cluster.forget_group(group);
            self.site.memory.forget_types(group);
        }
        Ok(())
    }

    /// Waits until what was written is healthy, hooks are done, and what was pruned is gone.
    async fn wait(&mut self, pass: &mut Pass, tasks: &[&Task], gone: &[Key]) -> Result<(), Stop> {
        let context = self.site.look(&pass.context);
        let judge = self.judge;
        let hooks_of: BTreeMap<&Key, bool> = tasks.iter().map(|task| (&task.key, task.hook)).collect();
        let verdict = |key: &Key, live: Option<&Value>| -> Judgement {
            let Some(live) = live else {
                return match hooks_of.get(key) {
                    None => Judgement::Done,
                    Some(true) => Judgement::Failed("it was deleted before it ended".into()),
                    Some(false) => Judgement::Pending("it is missing".into()),
                };
            };
            let Some(hook) = hooks_of.get(key) else {
                return Judgement::Pending("it is being deleted".into());
            };
            match judge(live) {
                None => Judgement::Done,
                Some(health) => match health.status {
                    Status::Healthy => Judgement::Done,
                    Status::Degraded => Judgement::Failed(health.message),
                    // A suspended object that is no hook keeps the sync waiting, as Argo CD does.
                    _ if health.message.is_empty() => {
                        Judgement::Pending(if *hook { "running".into() } else { "not healthy yet".into() })
                    }
                    _ => Judgement::Pending(health.message),
                },
            }
        };
        for task in tasks {
            // What is not served cannot be waited for.
            let _ = context.watch(&task.gvk).await;
        }
        let mut keys: Vec<Key> =
            tasks.iter().map(|task| task.key.clone()).chain(gone.iter().cloned()).collect();
        let store = context.cluster.store().clone();
        keys.retain(|key| verdict(key, store.get(key).as_ref()) != Judgement::Done);
        let mut failed: Vec<(Key, String)> = Vec::new();
        if let Some(first) = keys.first() {
            let message = waiting_line(first, keys.len(), hooks_of.get(first).copied());
            context.progress_at(message.clone(), Some(first.clone()));
            if let Err(error) = pass.running(self.operation, &message, &self.results).await {
                tracing::debug!(%error, "the progress of a sync was not written");
            }
            match wait_for(&context, &keys, PATIENCE, verdict).await {
                Ok(()) => {}
                Err(WaitError::Preempted) => return Err(Stop::Preempted),
                Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => failed = rest,
            }
        }
        for task in tasks {
            let why = failed.iter().find(|(key, _)| *key == task.key).map(|(_, why)| why.clone());
            if task.hook {
                self.finish_hook(task, why.as_deref()).await;
            } else if let Some(why) = &why {
                self.note(task, "Synced", why, "");
            }
        }
        match failed.into_iter().next() {
            None => Ok(()),
            Some((key, why)) => Err(Stop::Failed {
                message: format!(
                    "one or more synchronization tasks completed unsuccessfully, reason: {key}: {why}"
                ),
                object: Some(key),
            }),
        }
    }
}

fn waiting_line(first: &Key, count: usize, hook: Option<bool>) -> String {
    let name = format!("{}/{}/{}", first.group, first.kind, first.name);
    let more = |noun: &str| match count {
        1 => String::new(),
        count => format!(" and {} more {noun}", count - 1),
    };
    match hook {
        Some(true) => format!("waiting for completion of hook {name}{}", more("hooks")),
        Some(false) => format!("waiting for healthy state of {name}{}", more("resources")),
        None => format!("waiting for deletion of {name}{}", more("resources")),
    }
}
