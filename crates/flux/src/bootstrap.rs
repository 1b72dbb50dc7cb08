//! The pair of objects from which everything else follows.

use object::Value;
use serde_json::json;

/// The GitRepository and the Kustomization that `flux bootstrap` would write for a repository.
pub fn bootstrap(url: &str, branch: &str, path: &str) -> Vec<Value> {
    let metadata = json!({"name": "flux-system", "namespace": "flux-system"});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}),
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata,
            "spec": {"interval": "1m0s", "ref": {"branch": branch}, "url": url},
        }),
        json!({
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
            "spec": {"interval": "10m0s", "path": path, "prune": true,
                "sourceRef": {"kind": "GitRepository", "name": "flux-system"}},
        }),
    ]
}
