//! CustomResourceDefinitions of the tools that we stand in for, without descriptions.

use object::Value;

/// The objects, one a line.
fn read(bytes: &[u8]) -> Vec<Value> {
    crate::builtin::inflate(bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Flux: source, kustomize, helm, notification and image kinds, and flux-operator's. Wider than the original in one place: a
/// `GitRepository` may name a folder (`file://`), as a checkout without a remote has no other name.
pub fn flux() -> Vec<Value> {
    let mut all = read(include_bytes!("../data/crds/flux.jsonl.z"));
    all.extend(flux_operator());
    for crd in &mut all {
        if object::meta::name(crd) == "gitrepositories.source.toolkit.fluxcd.io" {
            let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
            for version in versions.into_iter().flatten() {
                let url = "/schema/openAPIV3Schema/properties/spec/properties/url/pattern";
                if let Some(pattern) = version.pointer_mut(url) {
                    *pattern = "^(http|https|ssh|file)://.*$".into();
                }
            }
        }
    }
    all
}

/// flux-operator's kinds. Their fields are not described: whoever installs the operator brings its own definitions.
pub fn flux_operator() -> Vec<Value> {
    let kinds = [
        ("ResourceSet", "resourcesets", "rset"),
        ("ResourceSetInputProvider", "resourcesetinputproviders", "rsip"),
        ("FluxInstance", "fluxinstances", "flux"),
    ];
    kinds
        .into_iter()
        .map(|(kind, plural, short)| open_definition("fluxcd.controlplane.io", kind, plural, short))
        .collect()
}

/// A definition that takes every field, with the columns that Flux's kinds have.
fn open_definition(group: &str, kind: &str, plural: &str, short: &str) -> Value {
    let open = serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let column = |name: &str, kind: &str, path: &str| serde_json::json!({"name": name, "type": kind, "jsonPath": path});
    serde_json::json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
                "singular": kind.to_lowercase(), "shortNames": [short],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    column("Age", "date", ".metadata.creationTimestamp"),
                    column("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
                    column("Status", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
                ],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}},
            }],
        },
    })
}

/// Argo CD.
pub fn argo() -> Vec<Value> {
    read(include_bytes!("../data/crds/argo.jsonl.z"))
}

/// Crossplane.
pub fn crossplane() -> Vec<Value> {
    read(include_bytes!("../data/crds/crossplane.jsonl.z"))
}

/// Cluster API.
pub fn capi() -> Vec<Value> {
    read(include_bytes!("../data/crds/capi.jsonl.z"))
}

/// tofu-controller.
pub fn terraform() -> Vec<Value> {
    read(include_bytes!("../data/crds/terraform.jsonl.z"))
}

/// Weave GitOps.
pub fn weave() -> Vec<Value> {
    read(include_bytes!("../data/crds/weave.jsonl.z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_there() {
        for family in [flux(), argo(), crossplane(), capi(), terraform(), weave()] {
            assert!(!family.is_empty());
            assert!(family.iter().all(|crd| crd["kind"] == "CustomResourceDefinition"));
        }
    }

    #[test]
    fn a_git_repository_may_be_a_folder() {
        let all = flux();
        let wide = all.iter().flat_map(|crd| crd["spec"]["versions"].as_array().cloned().unwrap_or_default());
        let pattern = "/schema/openAPIV3Schema/properties/spec/properties/url/pattern";
        assert!(wide.into_iter().any(|version| {
            version.pointer(pattern).and_then(Value::as_str) == Some("^(http|https|ssh|file)://.*$")
        }));
    }
}
