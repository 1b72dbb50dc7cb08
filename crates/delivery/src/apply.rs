//! Carrying out a plan: stages of server-side apply, then deletions.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::{Apply, Cluster, Delete, Error, ErrorKind, PatchKind, PatchOptions, Propagation};
use controller::{Cause, Context, Judgement, WaitError, aspect, wait_for};
use futures::StreamExt;
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, meta};
use plan::{Action, Marks, ObjectRef, Plan, Request, Step};
use serde_json::json;

use crate::memory::{Memory, essence};
use crate::ownership::taken_over;
use crate::standin;

/// Applies in flight for one unit.
const PIPELINE: usize = 16;
/// How long definitions may take to be served.
const ESTABLISH: Duration = Duration::from_secs(60);

/// What was done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Created,
    Configured,
    Unchanged,
    Skipped,
    Deleted,
}

impl Change {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Configured => "configured",
            Change::Unchanged => "unchanged",
            Change::Skipped => "skipped",
            Change::Deleted => "deleted",
        }
    }
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// Each object, in order.
    pub entries: Vec<(ObjectRef, Change)>,
    /// What each written object was then.
    pub seen: BTreeMap<Key, String>,
    /// What failed.
    pub errors: Vec<(Key, Error)>,
    /// The pass was cancelled.
    pub preempted: bool,
}

impl Report {
    /// One line for each object that changed.
    pub fn log(&self) -> String {
        self.lines().join("\n")
    }

    /// A line for each object that changed.
    pub fn lines(&self) -> Vec<String> {
        let changed =
            self.entries.iter().filter(|(_, change)| !matches!(change, Change::Unchanged | Change::Skipped));
        changed.map(|(target, change)| format!("{} {}", target.key, change.as_str())).collect()
    }

    /// Where to look: the first thing that failed.
    pub fn cause(&self) -> Cause {
        let first = self.errors.first();
        let mut cause = Cause::new(first.map(|(key, error)| format!("{key}: {error}")).unwrap_or_default());
        cause.object = first.map(|(key, _)| key.clone());
        cause
    }

    /// One line that names what failed.
    pub fn error_text(&self) -> String {
        let lines: Vec<String> = self.errors.iter().map(|(key, error)| failure_line(key, error)).collect();
        lines.join("\n")
    }
}

fn failure_line(key: &Key, error: &Error) -> String {
    let reason = if error.reason.is_empty() { String::new() } else { format!(" ({})", error.reason) };
    format!("{key} apply failed{reason}: {}", error.message)
}

/// What is to be applied.
pub struct Desired<'a> {
    /// The marks of the owner.
    pub marks: &'a Marks,
    /// The objects, as [`Applier::prepare`] left them.
    pub objects: Vec<Value>,
    /// What was applied before.
    pub inventory: &'a [ObjectRef],
    /// Does the plan name what is no longer desired?
    pub prune: bool,
    /// Is an object made anew where it cannot be changed?
    pub force: bool,
}

/// Who applies, and with what rights.
pub struct Applier<'a> {
    /// The pass.
    pub context: &'a Context,
    /// The cluster, possibly as another user.
    pub cluster: Cluster,
    /// The field manager.
    pub manager: &'a str,
    /// What was applied before.
    pub memory: &'a Memory,
    /// Are kubectl's fields taken over?
    pub take_over: bool,
}

impl Applier<'_> {
    /// Watches every kind involved, so that the plan sees what is live. Cluster-scoped objects lose a
    /// namespace that a renderer gave them. Kinds that are not served yet are left for later.
    ///
    /// # Errors
    /// When the cluster cannot be asked: what is live is then unknown, and nothing may be planned.
    pub async fn prepare(&self, objects: &mut [Value], inventory: &[ObjectRef]) -> Result<(), Error> {
        let mut kinds: BTreeSet<Gvk> = objects.iter().map(Gvk::of).collect();
        kinds.extend(inventory.iter().map(ObjectRef::gvk));
        let mut scopes: BTreeMap<Gvk, bool> = BTreeMap::new();
        for gvk in kinds {
            match self.context.watch(&gvk).await {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::MissingKind => continue,
                Err(error) => return Err(error),
            }
            let resource = self.cluster.resource(&gvk).await?;
            scopes.insert(gvk, resource.namespaced);
        }
        // What custom kinds look like tells whether applying would change anything.
        if scopes.keys().any(|gvk| schema::builtin().type_of(gvk).is_none()) {
            self.context.watch(&crate::memory::definition()).await?;
        }
        for object in objects.iter_mut() {
            if scopes.get(&Gvk::of(object)) == Some(&false) {
                object::remove(object, &["metadata", "namespace"]);
            }
        }
        self.find_again(objects, inventory).await
    }

    /// What was applied, is not wanted any more and is not in the store may be a write whose answer was lost and that
    /// the watch has not told of: it is gone only if the API says so.
    async fn find_again(&self, wanted: &[Value], inventory: &[ObjectRef]) -> Result<(), Error> {
        let wanted: BTreeSet<Key> = wanted.iter().filter_map(|object| Key::of(object).ok()).collect();
        let cluster = &self.context.cluster;
        for entry in inventory.iter().filter(|entry| !wanted.contains(&entry.key)) {
            if cluster.store().get(&entry.key).is_none()
                && let Some(live) = cluster.get(&entry.gvk(), &entry.key.namespace, &entry.key.name).await?
            {
                cluster.store().observe(&live);
            }
        }
        Ok(())
    }

    /// Plans and applies what is `desired`, without deleting anything. Whatever anybody does to these objects from
    /// now on is looked at, unless the pass was preempted. An error says why there is no plan.
    pub async fn carry_out(&self, desired: Desired<'_>) -> Result<(Plan, Report), String> {
        let store = self.context.cluster.store().clone();
        let seen = RefCell::new(BTreeMap::new());
        let plan = plan::plan(Request {
            marks: desired.marks,
            desired: desired.objects,
            live: &|key| {
                let live = store.get(key);
                seen.borrow_mut().insert(key.clone(), aspect::declared(live.as_ref()));
                live
            },
            would_change: &|live, desired| self.memory.would_change(&store, self.manager, live, desired),
            inventory: desired.inventory,
            prune: desired.prune,
            force: desired.force,
            custom_stages: &self.memory.habits().custom_stages,
        })?;
        let mut report = self.apply(&plan).await;
        if !report.preempted {
            let mut seen = seen.into_inner();
            seen.append(&mut report.seen);
            for key in plan.inventory().iter().map(|entry| &entry.key) {
                self.context.follow(key, aspect::declared, seen.get(key).map_or("absent", String::as_str));
            }
        }
        Ok((plan, report))
    }

    /// The deletions of what is in the inventory and not among the `desired` any more. An error says why there is no
    /// plan.
    pub fn deletions(
        &self,
        marks: &Marks,
        desired: Vec<Value>,
        inventory: &[ObjectRef],
    ) -> Result<Vec<Step>, String> {
        let store = self.context.cluster.store().clone();
        let plan = plan::plan(Request {
            marks,
            desired,
            live: &|key| store.get(key),
            would_change: &|_, _| false,
            inventory,
            prune: true,
            force: false,
            custom_stages: &self.memory.habits().custom_stages,
        })?;
        Ok(plan.deletions)
    }

    /// Applies the stages of a plan. A failed object does not stop the others of its stage; a failed stage
    /// stops the stages after it.
    pub async fn apply(&self, plan: &Plan) -> Report {
        let mut report = Report::default();
        for stage in &plan.stages {
            let (last, first): (Vec<&Step>, Vec<&Step>) =
                stage.iter().partition(|step| step.target.key.kind.ends_with("WebhookConfiguration"));
            for wave in [first, last] {
                self.wave(&wave, &mut report).await;
                if report.preempted {
                    return report;
                }
            }
            if !report.errors.is_empty() {
                return report;
            }
            self.establish(stage, &mut report).await;
            if report.preempted || !report.errors.is_empty() {
                return report;
            }
        }
        report
    }

    async fn wave(&self, steps: &[&Step], report: &mut Report) {
        let mut jobs: Vec<BoxFuture<'_, (&Step, Result<(Change, Option<String>), Error>)>> =
            Vec::with_capacity(steps.len());
        for step in steps {
            jobs.push(Box::pin(async move { (*step, self.step(step).await) }));
        }
        let mut jobs = futures::stream::iter(jobs).buffered(PIPELINE);
        loop {
            let next = tokio::select! {
                biased;
                () = self.context.cancel.cancelled() => {
                    report.preempted = true;
                    return;
                }
                next = jobs.next() => next,
            };
            match next {
                None => return,
                Some((step, Ok((change, seen)))) => {
                    report.seen.extend(seen.map(|seen| (step.target.key.clone(), seen)));
                    report.entries.push((step.target.clone(), change));
                }
                Some((step, Err(error))) => {
                    if error.kind == ErrorKind::MissingKind {
                        self.context.needs_definitions();
                    }
                    report.errors.push((step.target.key.clone(), error));
                }
            }
        }
    }

    async fn step(&self, step: &Step) -> Result<(Change, Option<String>), Error> {
        let Some(desired) = &step.desired else { return Ok((Change::Skipped, None)) };
        match step.action {
            Action::Skip | Action::Delete => return Ok((Change::Skipped, None)),
            Action::Unchanged => return Ok((Change::Unchanged, None)),
            Action::Create | Action::Change | Action::Adopt => {}
        }
        self.put(&step.target, desired, step.force, step.merge)
            .await
            .map(|(change, seen)| (change, Some(seen)))
    }

    /// Applies one object: made anew where it cannot be changed, with `force`; with `merge` fields that kubectl set
    /// stay kubectl's. Says what came of it, and how the object looked then.
    ///
    /// # Errors
    /// What the API says.
    pub async fn put(
        &self,
        target: &ObjectRef,
        desired: &Value,
        force: bool,
        merge: bool,
    ) -> Result<(Change, String), Error> {
        let key = &target.key;
        let before = self.cluster.store().get(key);
        if self.take_over
            && !merge
            && let Some(live) = &before
        {
            self.take_over_fields(live).await?;
        }
        let options = Apply::forced(self.manager);
        let live = match self.cluster.apply(desired, &options).await {
            Ok(live) => live,
            Err(error)
                if force
                    && matches!(
                        error.kind,
                        ErrorKind::Immutable | ErrorKind::Invalid | ErrorKind::Conflict
                    ) =>
            {
                self.recreate(target, desired, &options).await?
            }
            Err(error) => return Err(error),
        };
        // Somebody wrote with kubectl between the look and the write: the answer holds that too.
        let live = if self.take_over && !merge && self.take_over_fields(&live).await? {
            self.cluster.apply(desired, &options).await?
        } else {
            live
        };
        self.memory.remember(self.manager, key, desired, &live);
        let seen = aspect::declared(Some(&live));
        let change = match before {
            None => Change::Created,
            Some(before) if meta::resource_version(&before) == meta::resource_version(&live) => {
                Change::Unchanged
            }
            Some(before) if essence(&before) == essence(&live) => Change::Unchanged,
            Some(_) => Change::Configured,
        };
        Ok((change, seen))
    }

    async fn recreate(&self, target: &ObjectRef, desired: &Value, options: &Apply) -> Result<Value, Error> {
        let (gvk, key) = (target.gvk(), &target.key);
        self.cluster.delete(&gvk, &key.namespace, &key.name, &Delete::default()).await?;
        let gone = wait_for(self.context, std::slice::from_ref(key), ESTABLISH, controller::gone);
        if gone.await.is_err() {
            return Err(Error::new(ErrorKind::Other, "it was deleted to be recreated, but is not gone yet"));
        }
        self.cluster.apply(desired, options).await
    }

    /// Fields that kubectl (or we, before server-side apply) set become ours, so that they can go.
    /// `false` when there are none, or when somebody was faster.
    async fn take_over_fields(&self, live: &Value) -> Result<bool, Error> {
        let Some(fields) = object::get(live, &["metadata", "managedFields"]).and_then(Value::as_array) else {
            return Ok(false);
        };
        let Some(changed) = taken_over(fields, self.manager, meta::api_version(live), self.memory.habits())
        else {
            return Ok(false);
        };
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta::resource_version(live)},
            {"op": "replace", "path": "/metadata/managedFields", "value": changed},
        ]);
        let options = PatchOptions { manager: self.manager.to_owned(), ..PatchOptions::default() };
        let namespace = meta::namespace(live).unwrap_or_default();
        let done = self
            .cluster
            .patch(&Gvk::of(live), namespace, meta::name(live), PatchKind::Json, &patch, &options)
            .await;
        match done {
            Ok(_) => Ok(true),
            // Somebody was faster: the next pass sees the new state.
            Err(error)
                if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::NotFound) =>
            {
                tracing::debug!(%error, "fields were not taken over");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until definitions and namespaces of a stage can be used.
    async fn establish(&self, stage: &[Step], report: &mut Report) {
        let keys: Vec<Key> = stage
            .iter()
            .filter(|step| plan::stage_of(&step.target.key, &[]) == 0 && step.action != Action::Skip)
            .filter(|step| matches!(step.target.key.kind.as_str(), "CustomResourceDefinition" | "Namespace"))
            .map(|step| step.target.key.clone())
            .collect();
        if keys.is_empty() {
            return;
        }
        let now = self.context.clock().now().as_second();
        match wait_for(self.context, &keys, ESTABLISH, |_, live| usable(live, now)).await {
            Ok(()) => {}
            Err(WaitError::Preempted) => report.preempted = true,
            Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
                for (key, why) in rest {
                    report
                        .errors
                        .push((key, Error::new(ErrorKind::Other, format!("not established: {why}"))));
                }
            }
        }
        let new_kinds = report.entries.iter().any(|(target, change)| {
            target.key.kind == "CustomResourceDefinition"
                && !matches!(change, Change::Unchanged | Change::Skipped)
        });
        if new_kinds {
            for step in stage.iter().filter(|step| step.target.key.kind == "CustomResourceDefinition") {
                let group =
                    step.desired.as_ref().and_then(|desired| object::get_str(desired, &["spec", "group"]));
                self.cluster.forget_group(group.unwrap_or_default());
                self.memory.forget_types(group.unwrap_or_default());
            }
        }
    }

    /// Carries out the deletions of a plan. The rest is what could not be deleted.
    pub async fn delete(&self, steps: &[Step]) -> Report {
        self.delete_with(steps, Propagation::default()).await
    }

    /// The same, with a say in what happens to dependents.
    pub async fn delete_with(&self, steps: &[Step], propagation: Propagation) -> Report {
        let mut report = Report::default();
        for step in steps {
            if self.context.cancel.is_cancelled() {
                report.preempted = true;
                return report;
            }
            if step.action != Action::Delete {
                continue;
            }
            let (gvk, key) = (step.target.gvk(), &step.target.key);
            // Exactly the object that was planned for, not one that took its name meanwhile.
            let uid = self.cluster.store().get(key).map(|live| meta::uid(&live).to_owned());
            let options = Delete { uid: uid.filter(|uid| !uid.is_empty()), propagation, ..Delete::default() };
            match self.cluster.delete(&gvk, &key.namespace, &key.name, &options).await {
                Ok(_) => {
                    self.memory.forget(self.manager, key);
                    report.entries.push((step.target.clone(), Change::Deleted));
                }
                // The name is another object's by now; or else the server only had too much to do.
                Err(error) if error.kind == ErrorKind::Conflict => {
                    match self.cluster.get(&gvk, &key.namespace, &key.name).await {
                        Ok(live)
                            if live.as_ref().is_none_or(|live| {
                                options.uid.as_deref().is_some_and(|uid| uid != meta::uid(live))
                            }) =>
                        {
                            report.entries.push((step.target.clone(), Change::Skipped));
                        }
                        Ok(_) => report.errors.push((key.clone(), error)),
                        Err(error) => report.errors.push((key.clone(), error)),
                    }
                }
                Err(error) => report.errors.push((key.clone(), error)),
            }
        }
        report
    }
}

/// Can what was applied be used? `now` is in seconds.
fn usable(live: Option<&Value>, now: i64) -> Judgement {
    let Some(live) = live else { return Judgement::Pending("status: 'NotFound'".into()) };
    let verdict = health::status(live, now);
    let message = if verdict.message.is_empty() { String::new() } else { format!(": {}", verdict.message) };
    let line = format!("status: '{}'{message}", verdict.status);
    match verdict.status {
        health::Status::Current => Judgement::Done,
        health::Status::Failed => Judgement::Failed(line),
        _ => Judgement::Pending(line),
    }
}

/// Marks stand-ins among objects.
pub fn mark_stand_ins(objects: &mut [Value]) {
    for object in objects.iter_mut().filter(|object| standin::is_stand_in(object)) {
        standin::mark(object);
    }
}

/// Lets objects that install a controller of ours have no pods, where pods really run.
pub fn stop_stand_ins(objects: &mut [Value]) {
    for object in objects.iter_mut().filter(|object| standin::is_stand_in(object)) {
        object::set(object, &["spec", "replicas"], 0.into());
    }
}
