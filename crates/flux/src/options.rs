//! Settings of the dialect, and what all its kinds share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use delivery::watches::Watches;
use source::Fetcher;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::artifacts::{Artifacts, Offered};
use crate::common;
use crate::memory::{Habits, Memory};
use crate::target::{Targets, Trust};

/// Makes a client that does less of another.
pub type Door = Arc<dyn Fn(kube::Client) -> kube::Client + Send + Sync>;

/// Settings, in the words of Flux's flags.
#[derive(Clone)]
pub struct Options {
    /// Where sources come from.
    pub fetcher: Fetcher,
    /// `--no-cross-namespace-refs`.
    pub no_cross_namespace_refs: bool,
    /// `--no-remote-bases`.
    pub no_remote_bases: bool,
    /// `--default-service-account`.
    pub default_service_account: Option<String>,
    /// `--default-kubeconfig-service-account`: signs in where a `configMapRef` names none.
    pub default_kubeconfig_service_account: Option<String>,
    /// `--override-manager`: whose fields are taken over, besides kubectl's.
    pub override_managers: Vec<String>,
    /// `--custom-apply-stage-kinds`: groups and kinds that are applied before the rest.
    pub custom_stages: Vec<(String, String)>,
    /// What kubeconfigs in Secrets may ask for.
    pub kubeconfigs: Trust,
    /// `--sops-age-secret`: namespace and name of the age keys for `spec.decryption` without a Secret.
    pub sops_age_secret: Option<(String, String)>,
    /// `StrictPostBuildSubstitutions`: a variable without value or default is an error.
    pub strict_substitutions: bool,
    /// `AdditiveCELDependencyCheck`: a readyExpr adds to the built-in check instead of replacing it.
    pub additive_cel_dependency_check: bool,
    /// `--requeue-dependency`: the longest time between two looks at a dependency. Changes wake at once.
    pub requeue_dependency: Duration,
    /// Act on the world: scan registries for tags and push image updates. Sources are read in any case.
    pub outward: bool,
    /// How much one pass may delete.
    pub deletion_budget: plan::Budget,
    /// What every connection to another cluster is led through.
    pub door: Option<Door>,
    /// Nothing is applied: what each unit would apply is noted here.
    pub rehearsal: Option<Rehearsal>,
    /// Nothing is pruned that takes data with it (namespaces, volume claims, stateful workloads, definitions with
    /// objects) before somebody has seen that it would be.
    pub protect: bool,
    /// Objects that install a controller which this program embodies are applied, but counted as healthy.
    pub stand_in: bool,
    /// On a cluster whose pods really run, those objects get no pods.
    pub stop_stand_ins: bool,
    /// The last renders, so that a commit renders anew only what reads what it changed.
    pub renders: Arc<crate::kustomization::Renders>,
    /// Folders whose edits are seen at once, besides those that `fetcher`'s maps name.
    pub watch_folders: Vec<PathBuf>,
}

impl Options {
    /// Flux's defaults, over a fetcher.
    pub fn new(fetcher: Fetcher) -> Options {
        Options {
            fetcher,
            no_cross_namespace_refs: false,
            no_remote_bases: false,
            default_service_account: None,
            default_kubeconfig_service_account: None,
            override_managers: Vec::new(),
            custom_stages: Vec::new(),
            kubeconfigs: Trust::default(),
            sops_age_secret: None,
            strict_substitutions: true,
            additive_cel_dependency_check: false,
            requeue_dependency: Duration::from_secs(30),
            outward: true,
            deletion_budget: plan::Budget::default(),
            door: None,
            rehearsal: None,
            protect: true,
            stand_in: true,
            stop_stand_ins: false,
            renders: Arc::default(),
            watch_folders: Vec::new(),
        }
    }
}

impl Options {
    /// For what is applied to a cluster.
    pub(crate) fn memory(&self) -> Memory {
        Memory::with(Habits {
            requests: REQUESTS,
            overrides: self.override_managers.clone(),
            custom_stages: self.custom_stages.clone(),
        })
    }
}

/// What units would apply.
#[derive(Clone, Default)]
pub struct Rehearsal(Arc<std::sync::Mutex<BTreeMap<object::Key, Rehearsed>>>);

/// What one unit would apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// The objects, with the marks of the unit.
    pub objects: Vec<object::Value>,
    /// Who would apply them.
    pub manager: &'static str,
}

impl Rehearsal {
    /// What a unit would apply, once that is known.
    pub fn of(&self, unit: &object::Key) -> Option<Rehearsed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(unit).cloned()
    }

    pub(crate) fn note(&self, unit: &object::Key, objects: Vec<object::Value>, manager: &'static str) {
        let rehearsed = Rehearsed { objects, manager };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.clone(), rehearsed);
    }
}

/// The artifact of a source as an input of its own: the source's object tells of it only later.
fn input(source: &object::Key) -> object::Key {
    object::Key { group: format!("artifact.{}", source.group), ..source.clone() }
}

fn identity(offered: Option<&Offered>) -> String {
    offered.map(|offered| format!("{} {}", offered.revision, offered.digest)).unwrap_or_default()
}

/// Is `source` only about to be fetched again, as it was before this process began? Then `unit`, which is
/// ready with what it offered, needs no new verdict: it waits without a word.
pub fn resumes(source: &object::Value, unit: &object::Value) -> bool {
    object::get(source, &["status", "artifact"]).is_some_and(|artifact| artifact.is_object())
        && crate::common::is_true(unit, "Ready")
        && crate::common::is_current(unit)
}

/// How many units whose objects are all as they should be may write their status at the same time: who has
/// something to apply comes first.
const UNCHANGED_AT_ONCE: usize = 8;

/// Annotations that ask for something once.
const REQUESTS: &[&str] = &[
    common::REQUESTED_AT,
    common::FORCE_AT,
    common::RESET_AT,
    crate::kustomization::APPROVE_DELETIONS,
    "kubectl.kubernetes.io/restartedAt",
];

/// What all kinds share.
pub struct Shared {
    /// The settings.
    pub options: Options,
    /// What was fetched.
    pub artifacts: Artifacts,
    /// What was applied, so that unchanged objects cost no request.
    pub memory: Arc<Memory>,
    /// Other clusters that are delivered to.
    pub targets: Targets,
    /// Watched working copies.
    pub watches: Arc<Watches>,
    unchanged: Semaphore,
}

impl Shared {
    /// What `key` offers now. The unit of `context` runs again when it offers something else.
    pub fn offered(&self, context: &controller::Context, key: &object::Key) -> Option<Arc<Offered>> {
        loop {
            let found = self.artifacts.get(key);
            let identity = identity(found.as_deref());
            context.depend(&input(key), &identity);
            // It may have changed between the two lines above, before anybody was told to look.
            if self::identity(self.artifacts.get(key).as_deref()) == identity {
                return found;
            }
        }
    }

    /// Tells all who use what `key` offers that it is something else now.
    pub fn announce(&self, context: &controller::Context, key: &object::Key) {
        context.announce(&input(key), &identity(self.artifacts.get(key).as_deref()));
    }

    /// Waits for a turn to write that nothing changed; `None` when the pass of `context` is over.
    pub async fn turn(&self, context: &controller::Context) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            () = context.cancel.cancelled() => None,
            // The semaphore is never closed.
            turn = self.unchanged.acquire() => turn.ok(),
        }
    }

    /// Nothing fetched, nothing applied yet.
    pub fn new(options: Options) -> Shared {
        Shared {
            memory: Arc::new(options.memory()),
            options,
            artifacts: Artifacts::default(),
            targets: Targets::default(),
            watches: Arc::default(),
            unchanged: Semaphore::new(UNCHANGED_AT_ONCE),
        }
    }
}
