//! HelmRelease: install, upgrade, test and repair a release of a chart.
//!
//! [`run`] finds out what is wanted, [`act`] decides from that and from what is stored which one action comes next,
//! [`action`] has it carried out by the `releases` crate, which keeps releases in the Secrets that helm itself reads and writes.

mod act;
mod action;
mod chart;
mod drift;
mod finalize;
mod guard;
mod remedy;
mod render;
mod run;
mod snapshot;
mod values;

use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome, Relation};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, meta};
use plan::ObjectRef;

use crate::common::{self, duration_at, interval, namespace_of, reference, str_at};
use crate::options::Shared;
use crate::sources::source_key;

pub use values::compose;

/// The group.
pub const GROUP: &str = "helm.toolkit.fluxcd.io";
/// The kind.
pub const KIND: &str = "HelmRelease";
/// The field manager of applied objects, and the component that speaks.
pub const MANAGER: &str = "helm-controller";

/// The kind.
pub struct HelmReleases {
    shared: Arc<Shared>,
}

impl HelmReleases {
    /// Nothing released yet.
    pub fn new(shared: Arc<Shared>) -> HelmReleases {
        HelmReleases { shared }
    }
}

/// The kind with its version.
pub fn gvk() -> Gvk {
    Gvk::new(GROUP, "v2", KIND)
}

/// The key of a HelmRelease.
pub fn key(namespace: &str, name: &str) -> Key {
    Key::new(GROUP, KIND, namespace, name)
}

/// The namespace that the release's objects go to.
pub fn target_namespace(object: &Value) -> String {
    namespace_of(object, str_at(object, &["spec", "targetNamespace"])).to_owned()
}

/// The namespace of the release's Secrets.
pub fn storage_namespace(object: &Value) -> String {
    namespace_of(object, str_at(object, &["spec", "storageNamespace"])).to_owned()
}

/// The release's name: given, or made of the target namespace and the object's name; long ones are cut.
pub fn release_name(object: &Value) -> String {
    const LONGEST: usize = 53;
    const KEPT: usize = 40;
    let given = str_at(object, &["spec", "releaseName"]);
    let name = match (given, str_at(object, &["spec", "targetNamespace"])) {
        ("", "") => meta::name(object).to_owned(),
        ("", target) => format!("{target}-{}", meta::name(object)),
        (given, _) => given.to_owned(),
    };
    if name.len() <= LONGEST {
        return name;
    }
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(name.as_bytes()));
    let head: String = name.chars().take(KEPT).collect();
    let tail: String = digest.chars().take(12).collect();
    format!("{head}-{tail}")
}

/// The timeout of an action: its own, or the release's.
pub fn timeout(object: &Value, action: &str) -> Duration {
    duration_at(object, &["spec", action, "timeout"])
        .or_else(|| duration_at(object, &["spec", "timeout"]))
        .unwrap_or(Duration::from_secs(300))
}

/// `spec.interval`.
pub fn every(object: &Value) -> Duration {
    interval(object, Duration::from_secs(300))
}

/// The releases that must be ready before.
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

impl Kind for HelmReleases {
    fn gvk(&self) -> Gvk {
        gvk()
    }

    fn describe(&self, object: &Value) -> Description {
        let mut description = common::describe(object);
        let revision = object::get_str(object, &["status", "lastAttemptedRevision"]);
        description.revision = revision.filter(|revision| !revision.is_empty()).map(str::to_owned);
        if let Some(chart) = reference(object, &["spec", "chartRef"]) {
            let key = source_key(&chart.kind, &chart.namespace, &chart.name);
            description.edges.push((Relation::Source, key));
        } else if get(object, &["spec", "chart", "spec"]).is_some() {
            let (namespace, name) = chart::generated_name(object);
            description.edges.push((Relation::Source, source_key("HelmChart", &namespace, &name)));
        }
        for (dependency, _) in dependencies(object) {
            description.edges.push((Relation::DependsOn, dependency));
        }
        for entry in get(object, &["spec", "valuesFrom"]).and_then(Value::as_array).into_iter().flatten() {
            let namespace = meta::namespace(object).unwrap_or_default();
            let key = Key::new("", str_at(entry, &["kind"]), namespace, str_at(entry, &["name"]));
            description.edges.push((Relation::Values, key));
        }
        description.inventory =
            ObjectRef::parse_entries(get(object, &["status", "inventory"])).unwrap_or_default();
        description
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { run::reconcile(&self.shared, context, object).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names() {
        let named = |name: &str, spec: Value| {
            release_name(&json!({"metadata": {"name": name, "namespace": "ns"}, "spec": spec}))
        };
        assert_eq!(named("app", json!({})), "app");
        assert_eq!(named("app", json!({"targetNamespace": "prod"})), "prod-app");
        assert_eq!(named("app", json!({"targetNamespace": "prod", "releaseName": "x"})), "x");
        let long = named(&"a".repeat(60), json!({}));
        assert_eq!(long.len(), 53);
        assert!(long.starts_with(&format!("{}-", "a".repeat(40))));
    }
}
