//! CustomResourceDefinitions of the tools that we stand in for, without descriptions.

use object::Value;

/// Flux: source, kustomize, helm, notification and image kinds.
pub fn flux() -> Vec<Value> {
    Vec::new()
}

/// Argo CD.
pub fn argo() -> Vec<Value> {
    Vec::new()
}

/// Crossplane.
pub fn crossplane() -> Vec<Value> {
    Vec::new()
}

/// Cluster API.
pub fn capi() -> Vec<Value> {
    Vec::new()
}

/// tofu-controller.
pub fn terraform() -> Vec<Value> {
    Vec::new()
}

/// Weave GitOps.
pub fn weave() -> Vec<Value> {
    Vec::new()
}
