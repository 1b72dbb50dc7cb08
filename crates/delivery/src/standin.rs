//! Objects that install a controller which this program embodies: Flux's own Deployments in
//! `gotk-components.yaml`. They are kept as objects, marked, and never waited for.

use object::{Value, meta};

/// Marks an object as handled by this program.
pub const HANDLED_BY: &str = "landfall.dev/handled-by";

/// Does the object run one of Flux's controllers?
pub fn is_stand_in(object: &Value) -> bool {
    if meta::api_version(object) != "apps/v1" || meta::kind(object) != "Deployment" {
        return false;
    }
    let part_of_flux = ["app.kubernetes.io/part-of", "app.kubernetes.io/instance"]
        .iter()
        .any(|label| matches!(meta::label(object, label), Some("flux" | "flux-system")));
    let name = meta::name(object);
    part_of_flux
        && (name.ends_with("-controller") || name.ends_with("-watcher"))
        && meta::labels(object).is_some_and(|labels| labels.contains_key("app.kubernetes.io/component"))
}

/// Marks it.
pub fn mark(object: &mut Value) {
    meta::set_annotation(
        object,
        HANDLED_BY,
        "landfall: this controller is part of the process; its pods are not run",
    );
}
