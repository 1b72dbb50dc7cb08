//! The order of objects: stages that wait for each other, and kinds inside a stage.

use std::cmp::Ordering;

use object::Key;

/// Others need these: they go first, in this order.
const FIRST: &[&str] = &[
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "DeviceClass",
    "GatewayClass",
    "IngressClass",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// These judge all others: they go last.
const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The stage of a kind: 0 definitions, 1 classes, 2 kinds named by the operator, 3 the rest. A stage begins
/// when the one before it is established.
pub fn stage_of(key: &Key, custom: &[(String, String)]) -> u8 {
    let definition = matches!(
        (key.group.as_str(), key.kind.as_str()),
        ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("", "Namespace")
            | ("rbac.authorization.k8s.io", "ClusterRole")
    );
    if definition {
        0
    } else if key.kind.ends_with("Class") {
        1
    } else if custom.iter().any(|(group, kind)| *group == key.group && *kind == key.kind) {
        2
    } else {
        3
    }
}

fn rank(kind: &str) -> usize {
    if let Some(at) = FIRST.iter().position(|first| *first == kind) {
        return at;
    }
    match LAST.iter().position(|last| *last == kind) {
        Some(at) => FIRST.len() + 1 + at,
        None => FIRST.len(),
    }
}

/// The order inside a stage; deletion runs in the reverse.
pub fn compare(a: &Key, b: &Key) -> Ordering {
    rank(&a.kind)
        .cmp(&rank(&b.kind))
        .then_with(|| a.group.cmp(&b.group))
        .then_with(|| a.kind.cmp(&b.kind))
        .then_with(|| a.namespace.cmp(&b.namespace))
        .then_with(|| a.name.cmp(&b.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_before_what_lives_in_them_and_webhooks_last() {
        let mut kinds = [
            Key::new("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "", "w"),
            Key::new("example.org", "Widget", "a", "x"),
            Key::new("apps", "Deployment", "a", "x"),
            Key::new("", "Namespace", "", "a"),
            Key::new("", "ConfigMap", "a", "x"),
            Key::new("storage.k8s.io", "StorageClass", "", "s"),
        ];
        kinds.sort_by(compare);
        let names: Vec<&str> = kinds.iter().map(|key| key.kind.as_str()).collect();
        assert_eq!(
            names,
            [
                "Namespace",
                "StorageClass",
                "ConfigMap",
                "Deployment",
                "Widget",
                "ValidatingWebhookConfiguration"
            ]
        );
        let stages: Vec<u8> = kinds.iter().map(|key| stage_of(key, &[])).collect();
        assert_eq!(stages, [0, 1, 3, 3, 3, 3]);
    }
}
