//! Flux's own controllers on the same cluster: two engines on the same objects would undo each other's work.

use cluster::{Cluster, ListOptions};
use object::{Gvk, Value, get_i64, meta};

/// Deployments.
pub fn deployments() -> Gvk {
    Gvk::new("apps", "v1", "Deployment")
}

/// Flux's controllers that are to run, as objects; those that were scaled to zero do not count.
pub async fn flux(cluster: &Cluster) -> Result<Vec<Value>, cluster::Error> {
    let mut found = cluster.list(&deployments(), &ListOptions::default()).await?;
    found.retain(|object| flux::standin::is_stand_in(object) && is_of_flux(object) && replicas(object) > 0);
    Ok(found)
}

/// Is it a part of Flux, and not of another tool that is stood in for?
pub fn is_of_flux(object: &Value) -> bool {
    ["app.kubernetes.io/part-of", "app.kubernetes.io/instance"]
        .iter()
        .any(|label| matches!(meta::label(object, label), Some("flux" | "flux-system")))
}

/// How many pods it shall have.
pub fn replicas(object: &Value) -> i64 {
    get_i64(object, &["spec", "replicas"]).unwrap_or(1)
}

/// `flux-system/source-controller, …`.
pub fn names(objects: &[Value]) -> String {
    let name =
        |object: &Value| format!("{}/{}", meta::namespace(object).unwrap_or_default(), meta::name(object));
    objects.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Why nothing is reconciled while they run, and what to do.
pub fn refusal(objects: &[Value]) -> String {
    format!(
        "Flux runs on this cluster ({}), and two engines must not reconcile the same objects; hand over first: \
         landfall adopt flux",
        names(objects)
    )
}
