//! The actions of the `releases` crate as a HelmRelease wants them: server-side apply, watched waits,
//! pre-emption by anything newer.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Apply, Cluster, Propagation};
use controller::{Context, Judgement, WaitError, wait_for};
use helm::release::{check_ownership, conflict_text};
use helm::{Manifest, Release};
use jiff::Timestamp;
use object::{Key, Value, get};
use plan::{Action, ObjectRef, Plan, Step};
use releases::{Actions, Applying, Crds, Direct, Driver, Method, Policy, Prepared, Ready, Removal};
pub(super) use releases::{Fault, Storage};

use super::guard::Guard;
use super::{MANAGER, timeout};
use crate::apply::Applier;
use crate::common::{bool_at, str_at};
use crate::health;
use crate::memory::Memory;

/// Who acts, on what.
#[derive(Clone)]
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
    /// What may be there of this release: all that earlier attempts were about to apply.
    pub inventory: Vec<ObjectRef>,
    /// Watches over what it deletes.
    pub guard: Arc<Guard>,
}

impl Actor<'_> {
    fn actions(&self) -> Actions<'_, Self> {
        Actions { driver: self, storage: self.storage, namespace: &self.namespace }
    }

    fn flag(&self, action: &str, field: &str) -> bool {
        bool_at(self.object, &["spec", action, field])
    }

    /// How an action writes objects. What is not said stays as it was: of a release that does not tell, we (or Flux)
    /// made it, or it is taken over, and fields have one owner either way.
    fn method(&self, action: &str, before: Option<&Release>) -> Method {
        let was_client = before.is_some_and(|before| before.apply_method == Method::ClientSide.as_str());
        let wanted = match get(self.object, &["spec", action, "serverSideApply"]) {
            Some(Value::Bool(server)) => Some(*server),
            Some(Value::String(mode)) if mode == "enabled" => Some(true),
            Some(Value::String(mode)) if mode == "disabled" => Some(false),
            _ => None,
        };
        match (wanted.unwrap_or(!was_client), was_client) {
            (false, _) => Method::ClientSide,
            (true, true) => Method::FromClientSide,
            (true, false) => Method::ServerSide,
        }
    }

    /// How the spec wants an action done. `crds` is the policy where the spec has none.
    fn policy(&self, action: &str, crds: &str, before: Option<&Release>) -> Policy {
        let crds = match str_at(self.object, &["spec", action, "crds"]) {
            "" if self.flag(action, "skipCRDs") => "Skip",
            "" => crds,
            given => given,
        };
        Policy {
            hooks: !self.flag(action, "disableHooks"),
            wait: !self.flag(action, "disableWait"),
            wait_for_jobs: !self.flag(action, "disableWaitForJobs"),
            timeout: timeout(self.object, action),
            force: action != "install" && self.flag(action, "force"),
            take_ownership: !self.flag(action, "disableTakeOwnership"),
            crds: match crds {
                "Skip" => Crds::Skip,
                "Create" => Crds::Create,
                _ => Crds::CreateReplace,
            },
            leftovers: self.inventory.clone(),
            cleanup_on_fail: self.flag(action, "cleanupOnFail"),
            method: self.method(action, before),
            ..Policy::default()
        }
    }

    /// The objects of manifests, in order, as they are applied.
    pub async fn objects(&self, manifests: &[Manifest]) -> Result<Vec<Value>, Fault> {
        self.actions().objects(manifests).await
    }

    /// The same without those whose kind is not served.
    pub async fn known_objects(&self, manifests: &[Manifest]) -> Result<Vec<Value>, Fault> {
        self.actions().known_objects(manifests).await
    }

    /// Installs.
    pub async fn install(&self, prepared: Prepared<'_>) -> (Release, Result<(), Fault>) {
        self.actions().install(prepared, &self.policy("install", "Create", None)).await
    }

    /// Upgrades from `old`, the release whose objects are live.
    pub async fn upgrade(&self, prepared: Prepared<'_>, old: &Release) -> (Release, Result<(), Fault>) {
        use helm::release::Status::{Deployed, Superseded};
        let mut policy = self.policy("upgrade", "Skip", Some(old));
        // After an install that never came to its end its definitions may be missing still.
        if !matches!(old.info.status, Deployed | Superseded) {
            policy.crds = self.policy("install", "Create", None).crds;
        }
        self.actions().upgrade(prepared, old, &policy).await
    }

    /// Makes the objects those of an older revision again.
    pub async fn rollback(&self, target: &Release, current: &Release) -> (Release, Result<(), Fault>) {
        let policy = self.policy("rollback", "Skip", Some(current));
        self.actions().rollback(target, current, &policy).await
    }

    /// Runs the tests of a release; what came of them is stored with it.
    pub async fn test(&self, release: &mut Release) -> Result<(), Fault> {
        let wanted = |name: &str| self.is_wanted_test(name);
        self.actions().test(release, timeout(self.object, "test"), &wanted).await
    }

    /// Applies objects of `release` that drifted once more.
    pub async fn correct(&self, objects: Vec<Value>, release: &Release) -> Result<(), Fault> {
        let take_ownership = !self.flag("upgrade", "disableTakeOwnership");
        let method = if release.apply_method == Method::ClientSide.as_str() {
            Method::ClientSide
        } else {
            Method::ServerSide
        };
        let old = objects.clone();
        self.apply(objects, Applying { old: &old, force: false, take_ownership, method }).await.map(|_| ())
    }

    /// The release that an install or an upgrade is about to store.
    pub fn draft(&self, prepared: &Prepared<'_>, old: Option<&Release>) -> Release {
        self.actions().draft(prepared, old, "")
    }

    /// Deletes what hooks left when an action was cut off.
    pub async fn end_interrupted(&self, action: &str) -> Result<(), Fault> {
        let releases = self.storage.history().await?;
        self.actions().end_interrupted(releases, timeout(self.object, action)).await
    }

    /// Removes a release and its objects.
    pub async fn uninstall(&self, release: &mut Release) -> Result<(), Fault> {
        self.end_interrupted("uninstall").await?;
        self.actions().uninstall(release, &self.removal()).await.map(|_| ())
    }

    /// Removes what may be there of the release and is none of `wanted`.
    pub async fn sweep(&self, wanted: &[ObjectRef]) -> Result<(), Fault> {
        self.actions().sweep(wanted, &self.removal()).await
    }

    /// The same actor with another guard.
    pub fn guarded(&self, guard: Guard) -> Self {
        Actor { guard: Arc::new(guard), ..self.clone() }
    }

    fn removal(&self) -> Removal {
        Removal {
            hooks: !self.flag("uninstall", "disableHooks"),
            wait: !self.flag("uninstall", "disableWait"),
            timeout: timeout(self.object, "uninstall"),
            keep_history: self.flag("uninstall", "keepHistory"),
            propagation: match str_at(self.object, &["spec", "uninstall", "deletionPropagation"]) {
                "foreground" => Propagation::Foreground,
                "orphan" => Propagation::Orphan,
                _ => Propagation::Background,
            },
            description: None,
            leftovers: self.inventory.clone(),
        }
    }

    /// Creates the target namespace when the spec asks for it.
    pub async fn ensure_namespace(&self) -> Result<(), Fault> {
        match self.flag("install", "createNamespace") {
            true => self.actions().ensure_namespace().await,
            false => Ok(()),
        }
    }

    /// Is any test enabled?
    pub fn tests_enabled(&self) -> bool {
        get(self.object, &["spec", "test", "enable"]).and_then(Value::as_bool).unwrap_or(false)
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

    pub(super) fn applier(&self) -> Applier<'_> {
        Applier {
            context: self.context,
            cluster: self.cluster.clone(),
            manager: MANAGER,
            memory: self.memory,
            take_over: false,
        }
    }

    /// One object's part of the plan.
    fn step(&self, object: Value, how: Applying<'_>) -> Result<Step, Fault> {
        let target = ObjectRef::of(&object).map_err(|error| Fault::failed(error.to_string()))?;
        let store = self.context.cluster.store();
        let live = store.get(&target.key);
        if let Some(live) = &live
            && !how.take_ownership
            && let Err(why) = check_ownership(live, &self.storage.name, &self.namespace)
        {
            let key = &target.key;
            let text = conflict_text(&key.kind, &key.name, &key.namespace, &why);
            return Err(Fault::at(key, text));
        }
        let action = match &live {
            None => Action::Create,
            Some(live) if !self.memory.would_change(store, MANAGER, live, &object) => Action::Unchanged,
            Some(_) => Action::Change,
        };
        let (desired, force) = (Some(object), how.force);
        Ok(Step { action, target, desired, force, merge: false, reason: String::new() })
    }

    /// Creates what is missing and patches what the release before had otherwise, as Helm 3 did.
    async fn apply_client_side(
        &self,
        objects: Vec<Value>,
        how: Applying<'_>,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let driver = Direct::new(self.cluster.clone(), &self.storage.name, &self.namespace, MANAGER);
        let targets = tokio::select! {
            targets = driver.apply(objects, how) => targets?,
            () = self.context.cancel.cancelled() => return Err(Fault::Preempted),
        };
        // The watch may not have told of it yet, and waiting looks at what is known.
        for target in &targets {
            let key = &target.key;
            if let Some(live) = self.cluster.get(&target.gvk(), &key.namespace, &key.name).await? {
                self.context.cluster.store().observe(&live);
            }
        }
        Ok(targets)
    }

    async fn judged(
        &self,
        targets: &[ObjectRef],
        limit: Duration,
        judge: impl Fn(&Key, Option<&Value>) -> Judgement,
    ) -> Result<(), WaitError> {
        let keys: Vec<Key> = targets.iter().map(|entry| entry.key.clone()).collect();
        wait_for(self.context, &keys, limit, judge).await
    }
}

impl Driver for Actor<'_> {
    fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    fn now(&self) -> Timestamp {
        self.context.clock().now()
    }

    fn progress(&self, line: String) {
        self.context.progress(line);
    }

    fn missing_kind(&self) {
        self.context.needs_definitions();
    }

    async fn live(&self, target: &ObjectRef) -> Result<Option<Value>, Fault> {
        self.context.watch(&target.gvk()).await?;
        let key = &target.key;
        if let Some(live) = self.context.cluster.store().get(key) {
            return Ok(Some(live));
        }
        // It may be a write whose answer was lost, and that the watch has not told of.
        let live = self.cluster.get(&target.gvk(), &key.namespace, &key.name).await?;
        if let Some(live) = &live {
            self.context.cluster.store().observe(live);
        }
        Ok(live)
    }

    /// Kinds in install order, objects of one kind together.
    async fn apply(&self, mut objects: Vec<Value>, how: Applying<'_>) -> Result<Vec<ObjectRef>, Fault> {
        let takes_over = how.method == Method::FromClientSide;
        let applier = Applier { take_over: takes_over, ..self.applier() };
        applier.prepare(&mut objects, &[]).await?;
        let mut stages: Vec<Vec<Step>> = Vec::new();
        for object in objects {
            let step = self.step(object, how)?;
            let same_kind = |stage: &Vec<Step>| {
                stage.last().is_some_and(|last| last.target.key.kind == step.target.key.kind)
            };
            match stages.last_mut().filter(|stage| same_kind(stage)) {
                Some(stage) => stage.push(step),
                None => stages.push(vec![step]),
            }
        }
        if how.method == Method::ClientSide {
            let objects = stages.into_iter().flatten().filter_map(|step| step.desired).collect();
            return self.apply_client_side(objects, how).await;
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

    async fn delete(&self, targets: &[ObjectRef], propagation: Propagation) -> Result<(), Fault> {
        self.delete_all(targets, propagation).await.map(|_| ())
    }

    async fn prune(&self, targets: &[ObjectRef], propagation: Propagation) -> Result<Vec<ObjectRef>, Fault> {
        self.delete_guarded(targets, propagation).await
    }

    async fn wait_ready(&self, targets: &[ObjectRef], limit: Duration) -> Result<(), Fault> {
        let now = || self.context.clock().now().as_second();
        let legacy = str_at(self.object, &["spec", "waitStrategy", "name"]) == "legacy";
        let judge = |key: &Key, live: Option<&Value>| match legacy {
            true => as_helm_waits(key, live),
            false => health::judge(key, live, self.expressions, now()),
        };
        let (words, rest) = match self.judged(targets, limit, judge).await {
            Ok(()) => return Ok(()),
            Err(WaitError::Preempted) => return Err(Fault::Preempted),
            Err(WaitError::TimedOut(rest)) => ("timeout waiting for", rest),
            Err(WaitError::Failed(rest)) => ("failed early due to stalled resources", rest),
        };
        let list: Vec<String> = rest.iter().map(|(key, why)| format!("{key} {why}")).collect();
        Err(Fault::Failed {
            message: format!("{words}: [{}]", list.join(", ")),
            object: rest.into_iter().next().map(|(key, _)| key),
            file: None,
            line: None,
        })
    }

    async fn wait_gone(&self, targets: &[ObjectRef], limit: Duration) -> Result<(), Fault> {
        match self.judged(targets, limit, controller::gone).await {
            Ok(()) => Ok(()),
            Err(WaitError::Preempted) => Err(Fault::Preempted),
            Err(WaitError::TimedOut(rest) | WaitError::Failed(rest)) => {
                let names: Vec<String> = rest.iter().map(|(key, _)| key.to_string()).collect();
                Err(Fault::failed(format!("not gone in time: {}", names.join(", "))))
            }
        }
    }

    async fn start_hook(&self, object: &Value) -> Result<(), Fault> {
        self.cluster.apply(object, &Apply::forced(MANAGER)).await?;
        Ok(())
    }

    async fn wait_hook(&self, target: &ObjectRef, limit: Duration) -> Result<(), Fault> {
        self.context.watch(&target.gvk()).await?;
        let key = &target.key;
        let first = |rest: Vec<(Key, String)>| {
            rest.into_iter().next().map(|(key, why)| format!("{key} {why}")).unwrap_or_default()
        };
        let why = match self.judged(std::slice::from_ref(target), limit, finished).await {
            Ok(()) => return Ok(()),
            Err(WaitError::Preempted) => return Err(Fault::Preempted),
            Err(WaitError::TimedOut(rest)) => {
                format!("timed out waiting for the condition: {}", first(rest))
            }
            Err(WaitError::Failed(rest)) => first(rest),
        };
        Err(Fault::at(key, format!("hook {key}: {why}")))
    }
}

/// What Helm 3 waits for: workloads, services and claims; all else only has to be there.
fn as_helm_waits(key: &Key, live: Option<&Value>) -> Judgement {
    match releases::readiness(key, live) {
        Ready::Yes => Judgement::Done,
        Ready::NotYet(why) => Judgement::Pending(why),
        Ready::Never(why) => Judgement::Failed(why),
    }
}

/// A finished Job or Pod; every other kind is done as soon as it exists.
fn finished(key: &Key, live: Option<&Value>) -> Judgement {
    match (key.kind.as_str(), live) {
        // It deleted itself when it was done.
        ("Job", None) => Judgement::Done,
        ("Pod", None) => Judgement::Pending("it does not exist yet".into()),
        ("Job", Some(_)) => health::judge(key, live, &[], 0),
        ("Pod", Some(live)) => match str_at(live, &["status", "phase"]) {
            "Succeeded" => Judgement::Done,
            "Failed" => Judgement::Failed(format!("pod {} failed", key.name)),
            phase => Judgement::Pending(format!("phase {phase}")),
        },
        _ => Judgement::Done,
    }
}
