//! Kinds whose deletion takes more with it than the object.

use std::collections::BTreeSet;

use object::Key;
use sha2::{Digest, Sha256};

use crate::inventory::ObjectRef;

/// Why an object is not deleted unless somebody has seen the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// It may go.
    None,
    /// What goes with it cannot be had back.
    Always(&'static str),
    /// The same, when there are objects of the kind that it defines.
    WithInstances,
}

/// How a kind is protected.
pub fn protection(key: &Key) -> Protection {
    match (key.group.as_str(), key.kind.as_str()) {
        ("", "Namespace") => Protection::Always("everything in it would go"),
        ("", "PersistentVolumeClaim" | "PersistentVolume") => Protection::Always("its data would go"),
        ("apps", "StatefulSet") => Protection::Always("it may hold data"),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Protection::WithInstances,
        _ => Protection::None,
    }
}

/// The word for exactly these deletions: whoever says it has seen which ones they are. Others have another word.
pub fn word_for<'a>(targets: impl Iterator<Item = &'a ObjectRef>) -> String {
    let names: BTreeSet<String> = targets.map(|target| target.key.to_string()).collect();
    let text = names.into_iter().collect::<Vec<_>>().join("\n");
    hex::encode(Sha256::digest(text)).chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_for_one_plan() {
        let target =
            |name: &str| ObjectRef { key: Key::new("", "Namespace", "", name), version: "v1".into() };
        let (a, b) = (target("a"), target("b"));
        assert_eq!(word_for([&a, &b].into_iter()), word_for([&b, &a].into_iter()));
        assert_ne!(word_for([&a, &b].into_iter()), word_for([&a].into_iter()));
    }

    #[test]
    fn who_is_protected() {
        let of = |group: &str, kind: &str| protection(&Key::new(group, kind, "ns", "x"));
        assert_eq!(of("", "ConfigMap"), Protection::None);
        assert_eq!(of("apps", "Deployment"), Protection::None);
        assert_eq!(of("apiextensions.k8s.io", "CustomResourceDefinition"), Protection::WithInstances);
        assert!(matches!(of("apps", "StatefulSet"), Protection::Always(_)));
        assert!(matches!(of("", "Namespace"), Protection::Always(_)));
    }
}
