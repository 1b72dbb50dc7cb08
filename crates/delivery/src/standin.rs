//! Objects that install a controller which this program embodies: Flux's Deployments in `gotk-components.yaml`, Argo
//! CD's Deployments and StatefulSets. They are kept as objects, marked, and never waited for.

use object::{Value, meta};

/// Marks an object as handled by this program.
pub const HANDLED_BY: &str = "landfall.dev/handled-by";

/// Does the object run a controller that is part of this program?
pub fn is_stand_in(object: &Value) -> bool {
    if meta::api_version(object) != "apps/v1" {
        return false;
    }
    match meta::kind(object) {
        "Deployment" => is_flux(object) || is_argo(object),
        "StatefulSet" => is_argo(object),
        _ => false,
    }
}

fn is_flux(object: &Value) -> bool {
    let part_of_flux = ["app.kubernetes.io/part-of", "app.kubernetes.io/instance"]
        .iter()
        .any(|label| matches!(meta::label(object, label), Some("flux" | "flux-system")));
    let name = meta::name(object);
    part_of_flux
        && (name.ends_with("-controller") || name.ends_with("-watcher"))
        && meta::labels(object).is_some_and(|labels| labels.contains_key("app.kubernetes.io/component"))
}

/// The parts of Argo CD, as its manifests and its chart label them.
const ARGO_PARTS: &[&str] = &[
    "application-controller",
    "applicationset-controller",
    "commit-server",
    "dex-server",
    "notifications-controller",
    "redis",
    "repo-server",
    "server",
];

fn is_argo(object: &Value) -> bool {
    meta::label(object, "app.kubernetes.io/part-of") == Some("argocd")
        && meta::label(object, "app.kubernetes.io/component")
            .is_some_and(|part| ARGO_PARTS.contains(&part.strip_prefix("argocd-").unwrap_or(part)))
}

/// Marks it.
pub fn mark(object: &mut Value) {
    meta::set_annotation(
        object,
        HANDLED_BY,
        "landfall: this controller is part of the process; its pods are not run",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_of_argo_cd_are_known_by_their_labels() {
        let object = |kind: &str, component: &str| {
            json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "x", "labels": {
                "app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/component": component,
            }}})
        };
        assert!(is_stand_in(&object("StatefulSet", "application-controller")));
        assert!(is_stand_in(&object("Deployment", "repo-server")));
        assert!(!is_stand_in(&object("Deployment", "image-updater")));
        assert!(!is_stand_in(&object("DaemonSet", "server")));
    }
}
