//! From the manifests of one revision to those of the next.

use crate::Manifest;
use object::{Key, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What happens to one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is new in this revision.
    Create(Manifest),
    /// It is in both; `old` is what the earlier revision asked for.
    Update {
        /// The earlier revision's manifest.
        old: Box<Manifest>,
        /// This revision's manifest.
        new: Box<Manifest>,
    },
    /// It is in both and the texts are the same.
    Same(Manifest),
    /// It is gone from this revision.
    Delete(Manifest),
    /// It is gone from this revision, and its resource policy keeps it.
    Keep(Manifest),
}

/// The changes in the order they are made: creations and updates in install order, deletions last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The changes.
    pub changes: Vec<Change>,
}

impl Plan {
    /// The objects that are deleted.
    pub fn deletions(&self) -> impl Iterator<Item = &Manifest> {
        self.changes.iter().filter_map(|change| match change {
            Change::Delete(manifest) => Some(manifest),
            _ => None,
        })
    }
}

/// What leads from `old` to `new`. Objects without a namespace of their own are in `namespace`, unless
/// `is_namespaced` says that their kind has none.
pub fn diff(
    old: &[Manifest],
    new: &[Manifest],
    namespace: &str,
    is_namespaced: &dyn Fn(&Value) -> bool,
) -> Plan {
    let key = |manifest: &Manifest| key_of(manifest, namespace, is_namespaced);
    let mut before: BTreeMap<Key, &Manifest> = BTreeMap::new();
    for manifest in old {
        if let Some(key) = key(manifest) {
            before.insert(key, manifest);
        }
    }
    let mut seen = BTreeSet::new();
    let mut changes = Vec::new();
    for manifest in new {
        let Some(key) = key(manifest) else { continue };
        changes.push(match before.get(&key) {
            Some(old) if old.object == manifest.object => Change::Same(manifest.clone()),
            Some(old) => Change::Update { old: Box::new((*old).clone()), new: Box::new(manifest.clone()) },
            None => Change::Create(manifest.clone()),
        });
        seen.insert(key);
    }
    // Helm deletes what is left in the order of the old revision.
    for manifest in old {
        let Some(key) = key(manifest) else { continue };
        if seen.insert(key) {
            changes.push(match manifest.is_kept() {
                true => Change::Keep(manifest.clone()),
                false => Change::Delete(manifest.clone()),
            });
        }
    }
    Plan { changes }
}

fn key_of(manifest: &Manifest, namespace: &str, is_namespaced: &dyn Fn(&Value) -> bool) -> Option<Key> {
    if manifest.object.is_null() || manifest.name.is_empty() {
        return None;
    }
    let (group, _) = manifest.api_version.split_once('/').unwrap_or(("", ""));
    let own = manifest.object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let namespace = match (is_namespaced(&manifest.object), own.is_empty()) {
        (false, _) => "",
        (true, true) => namespace,
        (true, false) => own,
    };
    Some(Key {
        group: group.to_owned(),
        kind: manifest.kind.clone(),
        namespace: namespace.to_owned(),
        name: manifest.name.clone(),
    })
}
