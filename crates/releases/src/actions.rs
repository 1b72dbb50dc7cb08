//! Carrying out one action on a release: install, upgrade, roll back, test, uninstall.

use std::time::Duration;

use cluster::{Cluster, ErrorKind, Propagation};
use helm::manifest::{UNINSTALL_ORDER, by_kind};
use helm::release::{Owned, Status, StoredChart, mark_owned};
use helm::{Chart, Crd, Event, Manifest, Release, Rendered, Values};
use object::{Gvk, Key, Value, meta};
use plan::ObjectRef;

use crate::driver::{Applying, Method};
use crate::storage::Storage;
use crate::{Driver, Fault};

/// The most of a failure's text that a release's description keeps.
const MAX_DESCRIPTION: usize = 512;

/// What happens to the definitions of `crds/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Crds {
    /// Nothing.
    #[default]
    Skip,
    /// Those that are missing are created.
    Create,
    /// Those that are there are changed, too.
    CreateReplace,
}

/// How an install, an upgrade or a rollback is done.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Whether hooks run.
    pub hooks: bool,
    /// Whether it is over only when everything is ready.
    pub wait: bool,
    /// Whether Jobs are waited for, too.
    pub wait_for_jobs: bool,
    /// The limit of each wait.
    pub timeout: Duration,
    /// Whether objects are replaced instead of changed.
    pub force: bool,
    /// Whether the marks of another owner are no obstacle.
    pub take_ownership: bool,
    /// Whether everything is looked at before the release is stored.
    pub check_first: bool,
    /// Whether a failure removes what was new.
    pub cleanup_on_fail: bool,
    /// The definitions of `crds/`.
    pub crds: Crds,
    /// How many revisions are kept (0 = all); older ones go when a new one is stored.
    pub history_max: usize,
    /// The description of a success, instead of the usual one.
    pub description: Option<String>,
    /// What attempts that did not come to their end may have left: it goes, too, where it bears the release's marks
    /// and the new manifests do not have it.
    pub leftovers: Vec<ObjectRef>,
    /// How objects are written.
    pub method: Method,
}

/// How an uninstall is done.
#[derive(Debug, Clone, Default)]
pub struct Removal {
    /// Whether hooks run.
    pub hooks: bool,
    /// Whether it is over only when everything is gone.
    pub wait: bool,
    /// The limit of each wait.
    pub timeout: Duration,
    /// Whether the revisions stay, marked as uninstalled.
    pub keep_history: bool,
    /// What happens to dependents.
    pub propagation: Propagation,
    /// The description that is kept, instead of the usual one.
    pub description: Option<String>,
    /// What attempts that did not come to their end may have left: it goes, too, where it bears the release's marks.
    pub leftovers: Vec<ObjectRef>,
}

/// A rendered chart, on its way to be a release.
pub struct Prepared<'a> {
    /// The chart.
    pub chart: &'a Chart,
    /// What the user set.
    pub values: &'a Values,
    /// What it rendered to.
    pub rendered: Rendered,
    /// The revision.
    pub version: u64,
    /// The user's own labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// The actions on one release.
pub struct Actions<'a, D> {
    /// How objects reach the cluster.
    pub driver: &'a D,
    /// Where the release is stored.
    pub storage: &'a Storage,
    /// The release's namespace.
    pub namespace: &'a str,
}

impl<D: Driver> Actions<'_, D> {
    pub(crate) fn stamp(&self) -> String {
        self.driver.now().to_string()
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.driver.now().as_second()
    }

    fn cluster(&self) -> &Cluster {
        self.driver.cluster()
    }

    /// Gives an object of a namespaced kind the release's namespace, and, of the release's own objects, its
    /// marks.
    pub(crate) async fn localise(&self, object: &mut Value, own: bool) -> Result<(), Fault> {
        let resource = match self.cluster().resource(&Gvk::of(object)).await {
            Ok(resource) => resource,
            Err(error) if error.kind == ErrorKind::MissingKind => {
                self.driver.missing_kind();
                return Err(Fault::failed(format!(
                    "unable to build kubernetes objects from release manifest: resource mapping not found for name: \"{}\" namespace: \"{}\" from \"\": {error}\nensure CRDs are installed first",
                    meta::name(object),
                    meta::namespace(object).unwrap_or_default()
                )));
            }
            Err(error) => return Err(error.into()),
        };
        if !resource.namespaced {
            object::remove(object, &["metadata", "namespace"]);
        } else if meta::namespace(object).unwrap_or_default().is_empty() {
            meta::set_namespace(object, self.namespace);
        }
        if own {
            mark_owned(object, &self.storage.name, self.namespace);
        }
        Ok(())
    }

    /// The objects of manifests, in order, as they are applied. `List`s are taken apart.
    pub async fn objects(&self, manifests: &[Manifest]) -> Result<Vec<Value>, Fault> {
        let mut objects = Vec::new();
        for manifest in manifests {
            for mut object in parts(manifest) {
                self.localise(&mut object, true).await.map_err(|fault| fault.in_file(&manifest.path))?;
                objects.push(object);
            }
        }
        Ok(objects)
    }

    /// As [`Actions::objects`], without those whose kind is not served (any more, or yet).
    pub async fn known_objects(&self, manifests: &[Manifest]) -> Result<Vec<Value>, Fault> {
        let mut objects = Vec::new();
        for manifest in manifests {
            for mut object in parts(manifest) {
                match self.cluster().resource(&Gvk::of(&object)).await {
                    Ok(_) => {}
                    Err(error) if error.kind == ErrorKind::MissingKind => continue,
                    Err(error) => return Err(error.into()),
                }
                self.localise(&mut object, true).await.map_err(|fault| fault.in_file(&manifest.path))?;
                objects.push(object);
            }
        }
        Ok(objects)
    }

    /// Applies the definitions of `crds/`.
    pub async fn apply_crds(&self, crds: &[Crd], policy: Crds) -> Result<(), Fault> {
        if policy == Crds::Skip {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for crd in crds {
            for object in crd.objects()? {
                if meta::kind(&object) != "CustomResourceDefinition" {
                    continue;
                }
                if policy == Crds::Create && self.driver.live(&target(&object)?).await?.is_some() {
                    continue;
                }
                wanted.push(object);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let how = Applying { old: &[], force: false, take_ownership: true, method: Method::Own };
        let targets = self.driver.apply(wanted, how).await?;
        self.driver.wait_ready(&targets, Duration::from_secs(60)).await?;
        for target in &targets {
            // What they define is served now.
            if let Some(group) = self
                .driver
                .live(target)
                .await?
                .and_then(|live| live.pointer("/spec/group").and_then(Value::as_str).map(str::to_owned))
            {
                self.cluster().forget_group(&group);
            }
        }
        Ok(())
    }

    fn release(&self, prepared: &Prepared<'_>, status: Status, first: Option<&str>, text: &str) -> Release {
        let mut release = Release {
            name: self.storage.name.clone(),
            namespace: self.namespace.to_owned(),
            version: prepared.version,
            // Settling the dependencies has succeeded before: the chart is rendered.
            chart: helm::stored_chart(prepared.chart, prepared.values)
                .unwrap_or_else(|_| StoredChart::from(prepared.chart)),
            config: prepared.values.clone(),
            manifest: prepared.rendered.manifest(),
            hooks: prepared.rendered.hooks.clone(),
            labels: prepared.labels.clone(),
            ..Release::default()
        };
        release.info.status = status;
        release.info.description = text.to_owned();
        release.info.notes = prepared.rendered.notes.clone();
        release.info.last_deployed = self.stamp();
        release.info.first_deployed = first.map_or_else(|| release.info.last_deployed.clone(), str::to_owned);
        release
    }

    /// The release that an install would store: what a dry run shows.
    pub fn draft(&self, prepared: &Prepared<'_>, old: Option<&Release>, text: &str) -> Release {
        let status = if old.is_some() { Status::PendingUpgrade } else { Status::PendingInstall };
        self.release(prepared, status, old.map(|old| old.info.first_deployed.as_str()), text)
    }

    /// Says whether the manifests could be applied, without changing anything.
    pub async fn check(
        &self,
        manifests: &[Manifest],
        old: Option<&Release>,
        policy: &Policy,
    ) -> Result<(), Fault> {
        let objects = self.objects(manifests).await?;
        let before = self.objects_of(old).await?;
        self.driver.check(&objects, applying(&before, policy)).await
    }

    async fn objects_of(&self, old: Option<&Release>) -> Result<Vec<Value>, Fault> {
        match old {
            Some(old) => self.known_objects(&old.manifests()?).await,
            None => Ok(Vec::new()),
        }
    }

    /// Stores a new revision as pending, everything looked at before if the policy wants it.
    async fn begin(&self, release: &Release, old: Option<&Release>, policy: &Policy) -> Result<(), Fault> {
        if policy.check_first {
            self.check(&release.manifests()?, old, policy).await?;
        }
        self.storage.make_room(policy.history_max).await?;
        Ok(self.storage.create(release, self.seconds()).await?)
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
                let message: String = message.chars().take(MAX_DESCRIPTION).collect();
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
    pub async fn install(&self, prepared: Prepared<'_>, policy: &Policy) -> (Release, Result<(), Fault>) {
        let mut release = self.release(&prepared, Status::PendingInstall, None, "Initial install underway");
        release.apply_method = policy.method.as_str().to_owned();
        if let Err(fault) = self.begin(&release, None, policy).await {
            return (release, Err(fault));
        }
        let result = self.installing(&mut release, &prepared, policy).await;
        let done = policy.description.as_deref().unwrap_or("Install complete");
        let result = self.conclude(&mut release, result, done, "Release").await;
        (release, result)
    }

    async fn installing(
        &self,
        release: &mut Release,
        prepared: &Prepared<'_>,
        policy: &Policy,
    ) -> Result<(), Fault> {
        self.apply_crds(&prepared.rendered.crds, policy.crds).await?;
        self.hooks(release, Event::PreInstall, policy, "failed pre-install").await?;
        let objects = self.objects(&prepared.rendered.manifests).await?;
        self.bring_in(objects, None, policy).await?;
        self.hooks(release, Event::PostInstall, policy, "failed post-install").await
    }

    /// Upgrades from `old`, the release whose objects are live.
    pub async fn upgrade(
        &self,
        prepared: Prepared<'_>,
        old: &Release,
        policy: &Policy,
    ) -> (Release, Result<(), Fault>) {
        let first = old.info.first_deployed.clone();
        let mut release = self.release(&prepared, Status::PendingUpgrade, Some(&first), "Preparing upgrade");
        release.apply_method = policy.method.as_str().to_owned();
        if let Err(fault) = self.begin(&release, Some(old), policy).await {
            return (release, Err(fault));
        }
        let result = self.upgrading(&mut release, &prepared, old, policy).await;
        let done = policy.description.as_deref().unwrap_or("Upgrade complete");
        let result = self.conclude(&mut release, result, done, "Upgrade").await;
        (release, result)
    }

    async fn upgrading(
        &self,
        release: &mut Release,
        prepared: &Prepared<'_>,
        old: &Release,
        policy: &Policy,
    ) -> Result<(), Fault> {
        self.apply_crds(&prepared.rendered.crds, policy.crds).await?;
        self.hooks(release, Event::PreUpgrade, policy, "pre-upgrade hooks failed").await?;
        let objects = self.objects(&prepared.rendered.manifests).await?;
        self.bring_in(objects, Some(old), policy).await?;
        self.hooks(release, Event::PostUpgrade, policy, "post-upgrade hooks failed").await
    }

    /// Makes the objects those of an older revision again.
    pub async fn rollback(
        &self,
        target: &Release,
        current: &Release,
        policy: &Policy,
    ) -> (Release, Result<(), Fault>) {
        let mut release = target.clone();
        release.apply_method = policy.method.as_str().to_owned();
        release.version = current.version.saturating_add(1);
        release.info.status = Status::PendingRollback;
        release.info.last_deployed = self.stamp();
        release.info.first_deployed.clone_from(&current.info.first_deployed);
        release.info.description = format!("Rollback to {}", target.version);
        let stored = match self.storage.make_room(policy.history_max).await {
            Ok(()) => self.storage.create(&release, self.seconds()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            return (release, Err(error.into()));
        }
        let result = self.rolling_back(&mut release, current, policy).await;
        let done = format!("Rollback to {}", target.version);
        let result = self.conclude(&mut release, result, &done, "Rollback").await;
        (release, result)
    }

    async fn rolling_back(
        &self,
        release: &mut Release,
        current: &Release,
        policy: &Policy,
    ) -> Result<(), Fault> {
        self.hooks(release, Event::PreRollback, policy, "").await?;
        let objects = self.objects(&release.manifests()?).await?;
        self.bring_in(objects, Some(current), policy).await?;
        self.hooks(release, Event::PostRollback, policy, "").await
    }

    async fn hooks(
        &self,
        release: &mut Release,
        event: Event,
        policy: &Policy,
        words: &str,
    ) -> Result<(), Fault> {
        if !policy.hooks {
            return Ok(());
        }
        let result = self.run_hooks(release, event, policy.timeout, &|_| true).await;
        result.map_err(|fault| if words.is_empty() { fault } else { fault.wrap(words) })
    }

    /// Applies objects, removes what is gone from the chart, and waits.
    async fn bring_in(
        &self,
        objects: Vec<Value>,
        old: Option<&Release>,
        policy: &Policy,
    ) -> Result<(), Fault> {
        let before = self.objects_of(old).await?;
        let new = if policy.cleanup_on_fail { self.missing(&objects).await? } else { Vec::new() };
        let result = self.bringing_in(objects, old, &before, policy).await;
        if let Err(Fault::Failed { message, .. }) = &result
            && !new.is_empty()
            && let Err(fault) = self.driver.delete(&new, Propagation::Background).await
        {
            return Err(fault.wrap(format!(
                "an error occurred while cleaning up resources. original upgrade error: {message}: unable to cleanup resources"
            )));
        }
        result
    }

    async fn bringing_in(
        &self,
        objects: Vec<Value>,
        old: Option<&Release>,
        before: &[Value],
        policy: &Policy,
    ) -> Result<(), Fault> {
        let applied = self.driver.apply(objects, applying(before, policy)).await?;
        let mut stale = match old {
            Some(old) => self.missing_from(old, &applied).await?,
            None => Vec::new(),
        };
        stale.extend(self.leftovers(&policy.leftovers, &[&applied, &stale]).await?);
        self.driver.prune(&stale, Propagation::Background).await?;
        if !policy.wait {
            return Ok(());
        }
        let jobs = policy.wait_for_jobs;
        let waited: Vec<ObjectRef> =
            applied.into_iter().filter(|entry| jobs || entry.key.kind != "Job").collect();
        self.driver.wait_ready(&waited, policy.timeout).await
    }

    /// Those objects that are not there.
    async fn missing(&self, objects: &[Value]) -> Result<Vec<ObjectRef>, Fault> {
        let mut missing = Vec::new();
        for object in objects {
            let target = target(object)?;
            if self.driver.live(&target).await?.is_none() {
                missing.push(target);
            }
        }
        Ok(missing)
    }

    /// Runs the tests of a release that are `wanted`; what came of them is stored with it.
    pub async fn test(
        &self,
        release: &mut Release,
        limit: Duration,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), Fault> {
        let result = self.run_hooks(release, Event::Test, limit, wanted).await;
        self.storage.update(release, self.seconds()).await?;
        result
    }

    /// What the old release has and the new one has not, last things first.
    async fn missing_from(&self, old: &Release, applied: &[ObjectRef]) -> Result<Vec<ObjectRef>, Fault> {
        let mut targets = Vec::new();
        for manifest in old.manifests()?.into_iter().filter(|manifest| !manifest.is_kept()) {
            for object in self.known_objects(std::slice::from_ref(&manifest)).await? {
                let Ok(target) = ObjectRef::of(&object) else { continue };
                if !applied.iter().any(|entry| entry.key == target.key) && self.may_delete(&target).await? {
                    targets.push(target);
                }
            }
        }
        targets.reverse();
        Ok(targets)
    }

    /// Those of the leftovers that bear this release's marks and are in none of the lists.
    async fn leftovers(
        &self,
        leftovers: &[ObjectRef],
        lists: &[&[ObjectRef]],
    ) -> Result<Vec<ObjectRef>, Fault> {
        let mut found = Vec::new();
        for target in leftovers.iter().rev() {
            if lists.iter().any(|list| list.iter().any(|entry| entry.key == target.key)) {
                continue;
            }
            match self.cluster().resource(&target.gvk()).await {
                Ok(_) => {}
                // What is of a kind that is not served any more is not there.
                Err(error) if error.kind == ErrorKind::MissingKind => continue,
                Err(error) => return Err(error.into()),
            }
            let Some(live) = self.driver.live(target).await? else { continue };
            let ours = Owned::of(&live)
                .is_some_and(|owned| owned.release == self.storage.name && owned.namespace == self.namespace);
            if ours && self.may_delete(target).await? {
                found.push(target.clone());
            }
        }
        Ok(found)
    }

    /// Deletes what attempts left behind and is none of `wanted`.
    pub async fn sweep(&self, wanted: &[ObjectRef], removal: &Removal) -> Result<(), Fault> {
        let targets = self.leftovers(&removal.leftovers, &[wanted]).await?;
        let targets = self.driver.prune(&targets, removal.propagation).await?;
        if removal.wait { self.driver.wait_gone(&targets, removal.timeout).await } else { Ok(()) }
    }

    /// Whether an object is there, not kept by its policy, and not marked as another release's.
    async fn may_delete(&self, target: &ObjectRef) -> Result<bool, Fault> {
        let Some(live) = self.driver.live(target).await? else { return Ok(false) };
        let kept = meta::annotation(&live, "helm.sh/resource-policy").is_some_and(|policy| policy == "keep");
        let foreign = Owned::of(&live)
            .is_some_and(|owned| owned.release != self.storage.name || owned.namespace != self.namespace);
        Ok(!kept && !foreign)
    }

    /// Removes a release and its objects. Returns what its policies kept, a line each.
    pub async fn uninstall(&self, release: &mut Release, removal: &Removal) -> Result<Vec<String>, Fault> {
        release.info.status = Status::Uninstalling;
        release.info.deleted = self.stamp();
        release.info.description = "Deletion in progress (or silently failed)".into();
        self.storage.update(release, self.seconds()).await?;
        if removal.hooks {
            self.run_hooks(release, Event::PreDelete, removal.timeout, &|_| true).await?;
        }
        let mut manifests = release.manifests()?;
        manifests.sort_by(|a, b| by_kind(&a.kind, &b.kind, UNINSTALL_ORDER));
        let (kept, manifests): (Vec<Manifest>, Vec<Manifest>) =
            manifests.into_iter().partition(Manifest::is_kept);
        let mut targets = Vec::new();
        for object in self.known_objects(&manifests).await? {
            let target = target(&object)?;
            if self.may_delete(&target).await? {
                targets.push(target);
            }
        }
        targets.extend(self.leftovers(&removal.leftovers, &[&targets]).await?);
        let targets = self.driver.prune(&targets, removal.propagation).await?;
        if removal.wait {
            self.driver.wait_gone(&targets, removal.timeout).await?;
        }
        if removal.hooks {
            self.run_hooks(release, Event::PostDelete, removal.timeout, &|_| true).await?;
        }
        if removal.keep_history {
            release.info.status = Status::Uninstalled;
            let done = removal.description.as_deref().unwrap_or("Uninstallation complete");
            release.info.description = done.to_owned();
            self.storage.update(release, self.seconds()).await?;
            self.storage.supersede(release.version, self.seconds()).await?;
        } else {
            self.storage.purge().await?;
        }
        Ok(kept.iter().map(|manifest| format!("[{}] {}", manifest.kind, manifest.name)).collect())
    }

    /// Creates the release's namespace when it is not there.
    pub async fn ensure_namespace(&self) -> Result<(), Fault> {
        let key = Key::new("", "Namespace", "", self.namespace);
        if self.cluster().get(&Gvk::new("", "v1", "Namespace"), "", &key.name).await?.is_some() {
            return Ok(());
        }
        let mut namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}
        });
        meta::set_label(&mut namespace, "name", self.namespace);
        match self.cluster().create(&namespace, self.storage.manager).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The objects of a manifest: itself, or what the list holds.
fn parts(manifest: &Manifest) -> Vec<Value> {
    let parts = match manifest.object.get("items").and_then(Value::as_array) {
        Some(items) if manifest.kind.ends_with("List") => items.clone(),
        _ => vec![manifest.object.clone()],
    };
    parts.into_iter().filter(Value::is_object).collect()
}

fn applying<'v>(old: &'v [Value], policy: &Policy) -> Applying<'v> {
    Applying { old, force: policy.force, take_ownership: policy.take_ownership, method: policy.method }
}

pub(crate) fn target(object: &Value) -> Result<ObjectRef, Fault> {
    ObjectRef::of(object).map_err(|error| Fault::failed(error.to_string()))
}
