//! Carrying out one action on a release: install, upgrade, roll back, test, uninstall.
//!
//! Every action is stored as pending before it begins, and as what became of it when it ends: whoever comes
//! after a crash, helm included, sees where it stopped.

use std::time::Duration;

use cluster::{Cluster, Error, ErrorKind};
use controller::{Context, Judgement, WaitError, wait_for};
use helm::release::{Owned, Status, StoredChart, check_ownership, conflict_text, mark_owned};
use helm::{Chart, Event, Manifest, Release, Rendered, Values};
use object::{Gvk, Key, Value, get, meta};
use plan::{Action, ObjectRef, Plan, Step};

use super::storage::Storage;
use super::{MANAGER, timeout};
use crate::apply::Applier;
use crate::common::{bool_at, str_at};
use crate::health;
use crate::memory::Memory;

/// Why an action did not succeed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something newer came.
    Preempted,
    /// It failed.
    Failed {
        /// The line.
        message: String,
        /// The object in the way.
        object: Option<Key>,
        /// The template.
        file: Option<String>,
        /// The line in it.
        line: Option<usize>,
    },
}

impl Fault {
    pub fn failed(message: impl Into<String>) -> Fault {
        Fault::Failed { message: message.into(), object: None, file: None, line: None }
    }

    fn at(key: &Key, message: String) -> Fault {
        Fault::Failed { message, object: Some(key.clone()), file: None, line: None }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::failed(error.message)
    }
}

impl From<helm::Error> for Fault {
    fn from(error: helm::Error) -> Fault {
        Fault::Failed {
            message: error.message,
            object: None,
            line: Some(error.line).filter(|line| *line > 0),
            file: error.file,
        }
    }
}

/// Who acts, on what.
pub(super) struct Actor<'a> {
    pub context: &'a Context,
    /// With the rights of the release.
    pub cluster: Cluster,
    pub storage: &'a Storage,
    /// The HelmRelease.
    pub object: &'a Value,
    /// The release's namespace.
    pub namespace: String,
    pub memory: &'a Memory,
    pub expressions: &'a [health::Expression],
}

/// A rendered chart, on its way to be a release.
pub(super) struct Prepared<'a> {
    pub chart: &'a Chart,
    pub values: &'a Values,
    pub rendered: Rendered,
    pub version: u64,
}

impl Actor<'_> {
    pub fn stamp(&self) -> String {
        self.context.clock().now().to_string()
    }

    fn seconds(&self) -> i64 {
        self.context.clock().now().as_second()
    }

    fn flag(&self, action: &str, field: &str) -> bool {
        bool_at(self.object, &["spec", action, field])
    }

    /// Gives an object of a namespaced kind the release's namespace, and the release's marks.
    pub async fn localise(&self, object: &mut Value) -> Result<(), Fault> {
        let gvk = Gvk::of(object);
        let resource = match self.cluster.resource(&gvk).await {
            Ok(resource) => resource,
            Err(error) if error.kind == ErrorKind::MissingKind => {
                self.context.needs_definitions();
                let message = format!(
                    "unable to build kubernetes objects from release manifest: resource mapping not found for name: \"{}\": {error}; ensure CRDs are installed first",
                    meta::name(object)
                );
                return Err(Fault::failed(message));
            }
            Err(error) => return Err(error.into()),
        };
        if !resource.namespaced {
            object::remove(object, &["metadata", "namespace"]);
        } else if meta::namespace(object).unwrap_or_default().is_empty() {
            meta::set_namespace(object, &self.namespace);
        }
        mark_owned(object, &self.storage.name, &self.namespace);
        Ok(())
    }

    /// The objects of manifests, in order, as they are applied. `List`s are taken apart.
    pub async fn objects(&self, manifests: &[Manifest]) -> Result<Vec<Value>, Fault> {
        let mut objects = Vec::new();
        for manifest in manifests {
            let items = match manifest.object.get("items").and_then(Value::as_array) {
                Some(items) if manifest.kind.ends_with("List") => items.clone(),
                _ => vec![manifest.object.clone()],
            };
            for mut object in items.into_iter().filter(Value::is_object) {
                self.localise(&mut object).await.map_err(|fault| match fault {
                    Fault::Failed { message, object, file, line } => {
                        Fault::Failed { message, object, file: file.or(Some(manifest.path.clone())), line }
                    }
                    other => other,
                })?;
                objects.push(object);
            }
        }
        Ok(objects)
    }

    fn applier(&self) -> Applier<'_> {
        Applier {
            context: self.context,
            cluster: self.cluster.clone(),
            manager: MANAGER,
            memory: self.memory,
            take_over: false,
        }
    }

    /// Applies objects: kinds in install order, objects of one kind together.
    pub async fn apply(
        &self,
        mut objects: Vec<Value>,
        action: &str,
        force: bool,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let applier = self.applier();
        applier.prepare(&mut objects, &[]).await?;
        let store = self.context.cluster.store();
        let mut stages: Vec<Vec<Step>> = Vec::new();
        for object in objects {
            let target = ObjectRef::of(&object).map_err(|error| Fault::failed(error.to_string()))?;
            let live = store.get(&target.key);
            if let Some(live) = &live
                && self.flag(action, "disableTakeOwnership")
                && let Err(why) = check_ownership(live, &self.storage.name, &self.namespace)
            {
                let text = conflict_text(&target.key.kind, &target.key.name, &target.key.namespace, &why);
                return Err(Fault::at(&target.key, text));
            }
            let action = match &live {
                None => Action::Create,
                Some(live) if !self.memory.would_change(store, MANAGER, live, &object) => Action::Unchanged,
                Some(_) => Action::Change,
            };
            let same_kind =
                |stage: &Vec<Step>| stage.last().is_some_and(|last| last.target.key.kind == target.key.kind);
            let step = Step {
                action,
                target: target.clone(),
                desired: Some(object),
                force,
                merge: false,
                reason: String::new(),
            };
            match stages.last_mut().filter(|stage| same_kind(stage)) {
                Some(stage) => stage.push(step),
                None => stages.push(vec![step]),
            }
        }
        let report = applier.apply(&Plan { stages, deletions: Vec::new() }).await;
        if report.preempted {
            return Err(Fault::Preempted);
        }
        if let Some((key, _)) = report.errors.first() {
            return Err(Fault::at(key, report.error_text()));
        }
        Ok(report.entries.into_iter().map(|(target, _)| target).collect())
    }

    /// Waits until objects are ready, unless the spec says not to.
    async fn wait(&self, refs: &[ObjectRef], action: &str, limit: Duration) -> Result<(), Fault> {
        if self.flag(action, "disableWait") {
            return Ok(());
        }
        let jobs = !self.flag(action, "disableWaitForJobs");
        let keys: Vec<Key> =
            refs.iter().map(|entry| entry.key.clone()).filter(|key| jobs || key.kind != "Job").collect();
        let now = || self.context.clock().now().as_second();
        let waited = wait_for(self.context, &keys, limit, |key, live| {
            health::judge(key, live, self.expressions, now())
        })
        .await;
        let (words, rest) = match waited {
            Ok(()) => return Ok(()),
            Err(WaitError::Preempted) => return Err(Fault::Preempted),
            Err(WaitError::TimedOut(rest)) => ("timeout waiting for", rest),
            Err(WaitError::Failed(rest)) => ("failed early due to stalled resources", rest),
        };
        let list: Vec<String> = rest.iter().map(|(key, why)| format!("{key} {why}")).collect();
        let message = format!("{words}: [{}]", list.join(", "));
        Err(Fault::Failed {
            message,
            object: rest.into_iter().next().map(|(key, _)| key),
            file: None,
            line: None,
        })
    }

    /// Applies the definitions of `crds/`, as the policy says.
    pub async fn apply_crds(&self, rendered: &Rendered, action: &str) -> Result<(), Fault> {
        let default = if action == "install" { "Create" } else { "Skip" };
        let policy = match str_at(self.object, &["spec", action, "crds"]) {
            "" if self.flag(action, "skipCRDs") => "Skip",
            "" => default,
            given => given,
        };
        if policy == "Skip" {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for crd in &rendered.crds {
            for object in crd.objects()? {
                if meta::kind(&object) != "CustomResourceDefinition" {
                    continue;
                }
                self.context.watch(&Gvk::of(&object)).await?;
                let key = Key::of(&object).map_err(|error| Fault::failed(error.to_string()))?;
                if policy == "Create" && self.context.cluster.store().contains(&key) {
                    continue;
                }
                wanted.push(object);
            }
        }
        if !wanted.is_empty() {
            self.apply(wanted, action, false).await?;
        }
        Ok(())
    }

    fn release(&self, prepared: &Prepared<'_>, status: Status, first: Option<&str>, text: &str) -> Release {
        let mut release = Release {
            name: self.storage.name.clone(),
            namespace: self.namespace.clone(),
            version: prepared.version,
            chart: StoredChart::from(prepared.chart),
            config: prepared.values.clone(),
            manifest: prepared.rendered.manifest(),
            hooks: prepared.rendered.hooks.clone(),
            ..Release::default()
        };
        release.info.status = status;
        release.info.description = text.to_owned();
        release.info.notes = prepared.rendered.notes.clone();
        release.info.last_deployed = self.stamp();
        release.info.first_deployed = first.map_or_else(|| release.info.last_deployed.clone(), str::to_owned);
        release
    }

    /// Notes how an action ended, also when it was cancelled.
    async fn conclude(
        &self,
        release: &mut Release,
        result: Result<(), Fault>,
        done: &str,
        action: &str,
    ) -> Result<(), Fault> {
        match &result {
            Ok(()) => {
                release.info.status = Status::Deployed;
                release.info.description = done.to_owned();
            }
            Err(Fault::Preempted) => {
                release.info.status = Status::Failed;
                release.info.description = format!("{action} was interrupted by a newer change");
            }
            Err(Fault::Failed { message, .. }) => {
                release.info.status = Status::Failed;
                let message: String = message.chars().take(512).collect();
                release.info.description = format!("{action} \"{}\" failed: {message}", release.name);
            }
        }
        if result.is_ok() {
            self.storage.supersede(release.version, self.seconds()).await?;
        }
        self.storage.update(release, self.seconds()).await?;
        result
    }

    /// Installs.
    pub async fn install(&self, prepared: Prepared<'_>) -> (Release, Result<(), Fault>) {
        let mut release = self.release(&prepared, Status::PendingInstall, None, "Initial install underway");
        if let Err(error) = self.storage.create(&release, self.seconds()).await {
            return (release, Err(error.into()));
        }
        let result = self.installing(&mut release, &prepared).await;
        let result = self.conclude(&mut release, result, "Install complete", "Release").await;
        (release, result)
    }

    async fn installing(&self, release: &mut Release, prepared: &Prepared<'_>) -> Result<(), Fault> {
        let limit = timeout(self.object, "install");
        let hooks = !self.flag("install", "disableHooks");
        self.apply_crds(&prepared.rendered, "install").await?;
        if hooks {
            self.run_hooks(release, Event::PreInstall, limit).await?;
        }
        let objects = self.objects(&prepared.rendered.manifests).await?;
        let applied = self.apply(objects, "install", false).await?;
        self.wait(&applied, "install", limit).await?;
        if hooks {
            self.run_hooks(release, Event::PostInstall, limit).await?;
        }
        Ok(())
    }

    /// Upgrades from `old`, the release whose objects are live.
    pub async fn upgrade(&self, prepared: Prepared<'_>, old: &Release) -> (Release, Result<(), Fault>) {
        let first = old.info.first_deployed.clone();
        let mut release = self.release(&prepared, Status::PendingUpgrade, Some(&first), "Preparing upgrade");
        if let Err(error) = self.storage.create(&release, self.seconds()).await {
            return (release, Err(error.into()));
        }
        let result = self.upgrading(&mut release, &prepared, old).await;
        let result = self.conclude(&mut release, result, "Upgrade complete", "Upgrade").await;
        (release, result)
    }

    async fn upgrading(
        &self,
        release: &mut Release,
        prepared: &Prepared<'_>,
        old: &Release,
    ) -> Result<(), Fault> {
        let limit = timeout(self.object, "upgrade");
        let hooks = !self.flag("upgrade", "disableHooks");
        // After an install that never came to its end its definitions may be missing still.
        let unfinished = !matches!(old.info.status, Status::Deployed | Status::Superseded);
        self.apply_crds(&prepared.rendered, if unfinished { "install" } else { "upgrade" }).await?;
        if hooks {
            self.run_hooks(release, Event::PreUpgrade, limit).await?;
        }
        let objects = self.objects(&prepared.rendered.manifests).await?;
        let applied = self.apply(objects, "upgrade", self.flag("upgrade", "force")).await?;
        self.remove_missing(old, &applied).await?;
        self.wait(&applied, "upgrade", limit).await?;
        if hooks {
            self.run_hooks(release, Event::PostUpgrade, limit).await?;
        }
        Ok(())
    }

    /// Makes the objects those of an older revision again.
    pub async fn rollback(&self, target: &Release, current: &Release) -> (Release, Result<(), Fault>) {
        let mut release = target.clone();
        release.version = current.version.saturating_add(1);
        release.info.status = Status::PendingRollback;
        release.info.last_deployed = self.stamp();
        release.info.description = format!("Rollback to {}", target.version);
        if let Err(error) = self.storage.create(&release, self.seconds()).await {
            return (release, Err(error.into()));
        }
        let result = self.rolling_back(&mut release, current).await;
        let done = format!("Rollback to {}", target.version);
        let result = self.conclude(&mut release, result, &done, "Rollback").await;
        (release, result)
    }

    async fn rolling_back(&self, release: &mut Release, current: &Release) -> Result<(), Fault> {
        let limit = timeout(self.object, "rollback");
        let hooks = !self.flag("rollback", "disableHooks");
        if hooks {
            self.run_hooks(release, Event::PreRollback, limit).await?;
        }
        let objects = self.objects(&release.manifests()?).await?;
        let applied = self.apply(objects, "rollback", self.flag("rollback", "force")).await?;
        self.remove_missing(current, &applied).await?;
        self.wait(&applied, "rollback", limit).await?;
        if hooks {
            self.run_hooks(release, Event::PostRollback, limit).await?;
        }
        Ok(())
    }

    /// Runs the tests of a release; what came of them is stored with it.
    pub async fn test(&self, release: &mut Release) -> Result<(), Fault> {
        let result = self.run_hooks(release, Event::Test, timeout(self.object, "test")).await;
        self.storage.update(release, self.seconds()).await?;
        result
    }

    /// Deletes what the old release has and the new one has not, as long as it belongs to this release.
    async fn remove_missing(&self, old: &Release, applied: &[ObjectRef]) -> Result<(), Fault> {
        let mut steps = Vec::new();
        for manifest in old.manifests()?.into_iter().filter(|manifest| !manifest.is_kept()) {
            for object in self.known_objects(std::slice::from_ref(&manifest)).await? {
                let Ok(target) = ObjectRef::of(&object) else { continue };
                if !applied.iter().any(|entry| entry.key == target.key) {
                    steps.extend(self.deletion(target).await?);
                }
            }
        }
        steps.reverse();
        self.delete(&steps).await
    }

    /// As [`Actor::objects`], without those whose kind is not served any more.
    async fn known_objects(&self, manifests: &[Manifest]) -> Result<Vec<Value>, Fault> {
        let mut served = Vec::new();
        for manifest in manifests {
            match self.cluster.resource(&Gvk::of(&manifest.object)).await {
                Ok(_) => served.push(manifest.clone()),
                Err(error) if error.kind == ErrorKind::MissingKind => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.objects(&served).await
    }

    async fn deletion(&self, target: ObjectRef) -> Result<Option<Step>, Fault> {
        self.context.watch(&target.gvk()).await?;
        let Some(live) = self.context.cluster.store().get(&target.key) else { return Ok(None) };
        let kept = meta::annotation(&live, "helm.sh/resource-policy").is_some_and(|policy| policy == "keep");
        let ours = Owned::of(&live)
            .is_some_and(|owned| owned.release == self.storage.name && owned.namespace == self.namespace);
        let step = Step {
            action: Action::Delete,
            target,
            desired: None,
            force: false,
            merge: false,
            reason: "no longer in the chart".into(),
        };
        Ok((ours && !kept).then_some(step))
    }

    async fn delete(&self, steps: &[Step]) -> Result<(), Fault> {
        let report = self.applier().delete(steps).await;
        if report.preempted {
            return Err(Fault::Preempted);
        }
        match report.errors.first() {
            Some((key, error)) => Err(Fault::at(key, format!("{key}: {error}"))),
            None => Ok(()),
        }
    }

    /// Removes a release and its objects.
    pub async fn uninstall(&self, release: &mut Release) -> Result<(), Fault> {
        let limit = timeout(self.object, "uninstall");
        let hooks = !self.flag("uninstall", "disableHooks");
        release.info.status = Status::Uninstalling;
        release.info.deleted = self.stamp();
        release.info.description = "Deletion in progress (or silently failed)".into();
        self.storage.update(release, self.seconds()).await?;
        if hooks {
            self.run_hooks(release, Event::PreDelete, limit).await?;
        }
        let mut steps = Vec::new();
        let manifests: Vec<Manifest> =
            release.manifests()?.into_iter().filter(|manifest| !manifest.is_kept()).collect();
        for object in self.known_objects(&manifests).await? {
            if let Ok(target) = ObjectRef::of(&object) {
                steps.extend(self.deletion(target).await?);
            }
        }
        steps.reverse();
        self.delete(&steps).await?;
        if !self.flag("uninstall", "disableWait") {
            let keys: Vec<Key> = steps.iter().map(|step| step.target.key.clone()).collect();
            let gone = wait_for(self.context, &keys, limit, |_, live| match live {
                None => Judgement::Done,
                Some(_) => Judgement::Pending("being deleted".into()),
            });
            match gone.await {
                Ok(()) => {}
                Err(WaitError::Preempted) => return Err(Fault::Preempted),
                Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
                    let names: Vec<String> = rest.iter().map(|(key, _)| key.to_string()).collect();
                    return Err(Fault::failed(format!("not gone in time: {}", names.join(", "))));
                }
            }
        }
        if hooks {
            self.run_hooks(release, Event::PostDelete, limit).await?;
        }
        if self.flag("uninstall", "keepHistory") {
            release.info.status = Status::Uninstalled;
            release.info.description = "Uninstallation complete".into();
            self.storage.update(release, self.seconds()).await?;
        } else {
            self.storage.purge().await?;
        }
        Ok(())
    }

    /// Creates the target namespace when the spec asks for it.
    pub async fn ensure_namespace(&self) -> Result<(), Fault> {
        if !self.flag("install", "createNamespace") {
            return Ok(());
        }
        let gvk = Gvk::new("", "v1", "Namespace");
        if self.cluster.get(&gvk, "", &self.namespace).await?.is_some() {
            return Ok(());
        }
        let mut namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        meta::set_label(&mut namespace, "name", &self.namespace);
        match self.cluster.create(&namespace, MANAGER).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Is any test enabled?
    pub fn tests_enabled(&self) -> bool {
        get(self.object, &["spec", "test", "enable"]).and_then(Value::as_bool).unwrap_or(false)
    }
}
