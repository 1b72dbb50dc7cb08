//! Who owns whom, over all kinds.

use object::{Key, Value, get, get_bool, get_str, meta};
use std::collections::{BTreeSet, HashMap};

/// What garbage collection needs to know of an object.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) owners: Vec<Owner>,
    pub(crate) deleting: bool,
    /// Deletion waits for the dependents.
    pub(crate) foreground: bool,
    /// Deletion lets the dependents go first.
    pub(crate) orphan: bool,
    version: u64,
}

/// One owner reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) controller: bool,
    pub(crate) block: bool,
}

/// All objects by UID.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: HashMap<String, Node>,
    uids: HashMap<Key, String>,
    dependents: HashMap<String, BTreeSet<String>>,
}

impl Node {
    /// Reads an object of the given kind.
    pub(crate) fn of(key: Key, object: &Value) -> Self {
        let finalizer = |name: &str| meta::finalizers(object).any(|own| own == name);
        let deleting = meta::deletion_timestamp(object).is_some();
        Node {
            key,
            uid: meta::uid(object).to_string(),
            owners: owners(object),
            deleting,
            foreground: deleting && finalizer("foregroundDeletion"),
            orphan: deleting && finalizer("orphan"),
            version: version(object),
        }
    }

    /// The key of an owner as seen from here: in the same namespace, or cluster-scoped.
    pub(crate) fn owner_keys(&self, owner: &Owner) -> [Key; 2] {
        let key = |namespace: &str| Key {
            group: owner.group.clone(),
            kind: owner.kind.clone(),
            namespace: namespace.to_string(),
            name: owner.name.clone(),
        };
        [key(&self.key.namespace), key("")]
    }
}

/// The number of a resource version, 0 when it is none.
pub(crate) fn version(object: &Value) -> u64 {
    meta::resource_version(object).parse().unwrap_or(0)
}

/// The owner references of an object.
pub(crate) fn owners(object: &Value) -> Vec<Owner> {
    let list = get(object, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    list.map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .map(|owner| {
            let text = |name: &str| get_str(owner, &[name]).unwrap_or_default().to_string();
            let api_version = text("apiVersion");
            Owner {
                group: api_version.split_once('/').map_or("", |(group, _)| group).to_string(),
                kind: text("kind"),
                name: text("name"),
                uid: text("uid"),
                controller: get_bool(owner, &["controller"]).unwrap_or(false),
                block: get_bool(owner, &["blockOwnerDeletion"]).unwrap_or(false),
            }
        })
        .collect()
}

impl Graph {
    /// Takes an object in; `false` when a newer state of it is known.
    pub(crate) fn put(&mut self, node: Node) -> bool {
        if let Some(known) = self.nodes.get(&node.uid)
            && known.version >= node.version
        {
            return false;
        }
        self.unlink(&node.uid);
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(node.uid.clone());
        }
        self.uids.insert(node.key.clone(), node.uid.clone());
        self.nodes.insert(node.uid.clone(), node);
        true
    }

    /// Takes an object out.
    pub(crate) fn remove(&mut self, uid: &str) {
        self.unlink(uid);
        if let Some(node) = self.nodes.remove(uid)
            && self.uids.get(&node.key).is_some_and(|known| known == uid)
        {
            self.uids.remove(&node.key);
        }
    }

    fn unlink(&mut self, uid: &str) {
        let Some(node) = self.nodes.get(uid) else { return };
        for owner in node.owners.clone() {
            if let Some(list) = self.dependents.get_mut(&owner.uid) {
                list.remove(uid);
                if list.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    pub(crate) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// The UID of the object with this key.
    pub(crate) fn uid_of(&self, key: &Key) -> Option<&str> {
        self.uids.get(key).map(String::as_str)
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Node> {
        let list = self.dependents.get(uid);
        list.into_iter().flatten().filter_map(|uid| self.nodes.get(uid)).cloned().collect()
    }

    /// The UIDs of all objects of one kind.
    pub(crate) fn of_kind(&self, group: &str, kind: &str) -> Vec<String> {
        let matches = |node: &&Node| node.key.kind == kind && node.key.group == group;
        self.nodes.values().filter(matches).map(|node| node.uid.clone()).collect()
    }

    /// How many objects of a kind a namespace holds.
    pub(crate) fn count(&self, namespace: &str, group: &str, kind: &str) -> usize {
        let matches = |key: &&Key| key.namespace == namespace && key.kind == kind && key.group == group;
        self.uids.keys().filter(matches).count()
    }
}
