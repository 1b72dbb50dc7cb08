//! CustomResourceDefinitions of the tools that we stand in for, without descriptions.

use object::Value;

/// The objects, one a line.
fn read(bytes: &[u8]) -> Vec<Value> {
    crate::builtin::inflate(bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Flux: source, kustomize, helm, notification and image kinds. Wider than the original in one place: a
/// `GitRepository` may name a folder (`file://`), as a checkout without a remote has no other name.
pub fn flux() -> Vec<Value> {
    let mut all = read(include_bytes!("../data/crds/flux.jsonl.z"));
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
