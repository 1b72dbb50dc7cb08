//! Kustomization: build a folder of a source, apply it, prune, wait for health.

mod build;
mod decrypt;
pub(crate) mod depends;
mod envsubst;
mod finalize;
mod history;
mod images;
mod kms;
mod prune;
mod run;

use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome, Relation};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, meta};
use plan::{Marks, ObjectRef};

use crate::common::{self, duration_at, interval, namespace_of, reference, str_at};
use crate::options::Shared;
use crate::sources::source_key;

pub use build::{Failure, Input, build, merge_variables};
pub use decrypt::Keyring;
use delivery::world;
pub use delivery::world::Looks;
pub(crate) use prune::list as list_held;

/// The last builds of all Kustomizations.
pub type Renders = controller::Renders<Key, Input, Looks>;

/// The group.
pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// The kind.
pub const KIND: &str = "Kustomization";
/// The field manager of applied objects, and the component that speaks.
pub const MANAGER: &str = "kustomize-controller";
/// What somebody agrees to: a number of deletions beyond the budget, or the word for exactly those that are held back.
pub const APPROVE_DELETIONS: &str = "landfall.dev/approve-deletions";

/// The kind.
pub struct Kustomizations {
    shared: Arc<Shared>,
}

impl Kustomizations {
    /// With what all kinds share.
    pub fn new(shared: Arc<Shared>) -> Kustomizations {
        Kustomizations { shared }
    }

    fn renders(&self) -> &Renders {
        &self.shared.options.renders
    }
}

/// The key of a Kustomization.
pub fn key(namespace: &str, name: &str) -> Key {
    Key::new(GROUP, KIND, namespace, name)
}

/// The kind with its version.
pub fn gvk() -> Gvk {
    Gvk::new(GROUP, "v1", KIND)
}

/// `spec.timeout`, or a little less than the interval.
pub fn timeout(object: &Value) -> Duration {
    const LEAST: Duration = Duration::from_secs(30);
    let timeout =
        duration_at(object, &["spec", "timeout"]).unwrap_or_else(|| every(object).saturating_sub(LEAST));
    timeout.max(LEAST)
}

/// `spec.retryInterval`, or the interval: the longest pause after failures.
pub fn retry(object: &Value) -> Duration {
    duration_at(object, &["spec", "retryInterval"]).unwrap_or_else(|| every(object))
}

/// `spec.interval`.
pub fn every(object: &Value) -> Duration {
    interval(object, Duration::from_secs(600))
}

/// Whose labels the applied objects carry.
pub fn marks(object: &Value) -> Marks {
    Marks {
        group: GROUP.into(),
        name: meta::name(object).into(),
        namespace: meta::namespace(object).unwrap_or_default().into(),
    }
}

/// The Kustomizations that must be ready before.
pub fn dependencies(object: &Value) -> Vec<(Key, String)> {
    let list = get(object, &["spec", "dependsOn"]).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|entry| {
            let namespace = namespace_of(object, str_at(entry, &["namespace"]));
            (key(namespace, str_at(entry, &["name"])), str_at(entry, &["readyExpr"]).to_owned())
        })
        .collect()
}

impl Kind for Kustomizations {
    fn gvk(&self) -> Gvk {
        gvk()
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        description.revision = object::get_str(object, &["status", "lastAppliedRevision"]).map(str::to_owned);
        if let Some(source) = reference(object, &["spec", "sourceRef"]) {
            let key = source_key(&source.kind, &source.namespace, &source.name);
            description.edges.push((Relation::Source, key));
        }
        for (dependency, _) in dependencies(object) {
            description.edges.push((Relation::DependsOn, dependency));
        }
        description.inventory =
            ObjectRef::parse_entries(get(object, &["status", "inventory"])).unwrap_or_default();
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { run::reconcile(&self, context, object).await })
    }
}
