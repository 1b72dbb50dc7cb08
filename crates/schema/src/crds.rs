//! CustomResourceDefinitions of the tools that we stand in for, without descriptions.

use object::Value;

/// The objects, one a line.
fn read(bytes: &[u8]) -> Vec<Value> {
    crate::builtin::inflate(bytes).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Flux: source, kustomize, helm, notification and image kinds.
pub fn flux() -> Vec<Value> {
    read(include_bytes!("../data/crds/flux.jsonl.z"))
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
