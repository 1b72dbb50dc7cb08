//! The watch-fed copy of the kinds in use.
//!
//! Objects are kept as the JSON text the server sent, parsed when somebody asks: ten thousand of them cost
//! about their own size, not ten times it. Answers to our own writes go in at once ([`Store::observe`]), so
//! that a reader never sees a state older than its own last write.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use object::Key;
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use crate::discovery::lock;

/// Something happened to an object of a watched kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub key: Key,
    /// It is gone.
    pub gone: bool,
}

struct Entry {
    text: Box<[u8]>,
    version: u64,
    uid: Box<str>,
}

#[derive(Default)]
struct KindStore {
    objects: HashMap<(String, String), Entry>,
    synced: bool,
    /// Everything up to this resource version has been seen: what is older and not here was deleted.
    seen: u64,
    /// The same of namespaces that are watched each by itself.
    seen_in: HashMap<String, u64>,
    /// Are those the only ones that are watched?
    limited: bool,
    /// Why the kind cannot be watched now.
    trouble: Option<String>,
}

impl KindStore {
    /// Up to where objects of a namespace have been seen.
    fn seen(&self, namespace: &str) -> u64 {
        self.seen_in.get(namespace).copied().unwrap_or(self.seen)
    }

    fn see(&mut self, namespace: &str, version: u64) {
        let seen = self.seen_in.get_mut(namespace).unwrap_or(&mut self.seen);
        *seen = (*seen).max(version);
    }

    /// Will the watch ever tell of an object there?
    fn is_watched(&self, namespace: &str) -> bool {
        !self.limited || self.seen_in.contains_key(namespace)
    }
}

#[derive(Default)]
struct State {
    kinds: HashMap<(String, String), KindStore>,
    interests: HashMap<Key, Vec<(u64, Arc<Notify>)>>,
    listeners: Vec<mpsc::UnboundedSender<Change>>,
}

/// A copy of watched objects.
#[derive(Clone)]
pub struct Store {
    state: Arc<Mutex<State>>,
    next_interest: Arc<AtomicU64>,
    synced: Arc<Notify>,
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store {
            state: Arc::new(Mutex::new(State::default())),
            next_interest: Arc::new(AtomicU64::new(1)),
            synced: Arc::new(Notify::new()),
        }
    }

    /// The object, if its kind is watched and it exists.
    pub fn get(&self, key: &Key) -> Option<Value> {
        let state = lock(&self.state);
        let entry = state
            .kinds
            .get(&(key.group.clone(), key.kind.clone()))?
            .objects
            .get(&(key.namespace.clone(), key.name.clone()))?;
        serde_json::from_slice(&entry.text).ok()
    }

    /// Does it exist, as far as the store knows?
    pub fn contains(&self, key: &Key) -> bool {
        let state = lock(&self.state);
        state
            .kinds
            .get(&(key.group.clone(), key.kind.clone()))
            .is_some_and(|kind| kind.objects.contains_key(&(key.namespace.clone(), key.name.clone())))
    }

    /// Every object of a kind, in order of namespace and name.
    pub fn list(&self, group: &str, kind: &str) -> Vec<Value> {
        let mut texts: Vec<((String, String), Vec<u8>)> = {
            let state = lock(&self.state);
            let Some(kind) = state.kinds.get(&(group.to_owned(), kind.to_owned())) else { return Vec::new() };
            kind.objects.iter().map(|(name, entry)| (name.clone(), entry.text.to_vec())).collect()
        };
        texts.sort();
        texts.into_iter().filter_map(|(_, text)| serde_json::from_slice(&text).ok()).collect()
    }

    /// The keys of a kind, in order.
    pub fn keys(&self, group: &str, kind: &str) -> Vec<Key> {
        let state = lock(&self.state);
        let Some(objects) = state.kinds.get(&(group.to_owned(), kind.to_owned())).map(|kind| &kind.objects)
        else {
            return Vec::new();
        };
        let mut keys: Vec<Key> = objects
            .keys()
            .map(|(namespace, name)| Key {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.clone(),
                name: name.clone(),
            })
            .collect();
        keys.sort();
        keys
    }

    /// The keys of everything in a namespace, of the kinds that are watched.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        let state = lock(&self.state);
        let mut keys = Vec::new();
        for ((group, kind), of_kind) in &state.kinds {
            let names = of_kind.objects.keys().filter(|(place, _)| place == namespace);
            keys.extend(
                names.map(|(place, name)| {
                    Key::new(group.as_str(), kind.as_str(), place.as_str(), name.as_str())
                }),
            );
        }
        keys.sort();
        keys
    }

    /// Was the kind listed completely at least once?
    pub fn is_synced(&self, group: &str, kind: &str) -> bool {
        lock(&self.state).kinds.get(&(group.to_owned(), kind.to_owned())).is_some_and(|kind| kind.synced)
    }

    /// Why the kind cannot be watched at the moment.
    pub fn trouble(&self, group: &str, kind: &str) -> Option<String> {
        lock(&self.state)
            .kinds
            .get(&(group.to_owned(), kind.to_owned()))
            .and_then(|kind| kind.trouble.clone())
    }

    /// Every change from now on.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.state).listeners.push(sender);
        receiver
    }

    /// Be told when one of `keys` changes. Take the interest first, look at the objects then, wait last.
    pub fn interest(&self, keys: impl IntoIterator<Item = Key>) -> Interest {
        let id = self.next_interest.fetch_add(1, Ordering::Relaxed);
        let notify = Arc::new(Notify::new());
        let keys: Vec<Key> = keys.into_iter().collect();
        let mut state = lock(&self.state);
        for key in &keys {
            state.interests.entry(key.clone()).or_default().push((id, notify.clone()));
        }
        drop(state);
        Interest { store: self.clone(), id, keys, notify }
    }

    /// Takes over an object that the server just returned, unless the store has a newer one or has seen it go:
    /// the answer to the write that removed the last finalizer may come after the watch's word of the deletion.
    pub fn observe(&self, object: &Value) {
        let (Ok(key), Some(version)) = (Key::of(object), version_of(object)) else { return };
        if object.get("metadata").is_none_or(|metadata| metadata.get("uid").is_none()) {
            return;
        }
        let Ok(text) = serde_json::to_vec(object) else { return };
        self.put(key, text, version, object::meta::uid(object), false);
    }

    /// What the watch says of an object.
    pub(crate) fn watched(&self, key: Key, text: Vec<u8>, version: u64, uid: &str) {
        self.put(key, text, version, uid, true);
    }

    fn put(&self, key: Key, text: Vec<u8>, version: u64, uid: &str, watched: bool) {
        let mut state = lock(&self.state);
        // Only kinds that are watched are kept: nobody would ever correct the others.
        let Some(kind) = state.kinds.get_mut(&(key.group.clone(), key.kind.clone())) else { return };
        if !kind.is_watched(&key.namespace) {
            return;
        }
        let name = (key.namespace.clone(), key.name.clone());
        let outdated = match kind.objects.get(&name) {
            Some(known) => known.version >= version,
            None => !watched && kind.seen(&key.namespace) >= version,
        };
        if watched {
            kind.see(&key.namespace, version);
        }
        if outdated {
            return;
        }
        kind.objects.insert(name, Entry { text: text.into_boxed_slice(), version, uid: uid.into() });
        tell(&mut state, Change { key, gone: false });
    }

    pub(crate) fn gone(&self, key: Key, version: u64, uid: &str) {
        let mut state = lock(&self.state);
        let Some(kind) = state.kinds.get_mut(&(key.group.clone(), key.kind.clone())) else { return };
        kind.see(&key.namespace, version);
        let name = (key.namespace.clone(), key.name.clone());
        // An object of the same name may have been created since.
        if kind.objects.get(&name).is_some_and(|known| uid.is_empty() || known.uid.as_ref() == uid) {
            kind.objects.remove(&name);
            tell(&mut state, Change { key, gone: true });
        }
    }

    /// Replaces all that is known of a kind by a complete list.
    pub(crate) fn replace(
        &self,
        group: &str,
        kind_name: &str,
        list: Vec<(Key, Vec<u8>, u64, String)>,
        versions: &[(String, u64)],
    ) {
        let mut state = lock(&self.state);
        let kind = state.kinds.entry((group.to_owned(), kind_name.to_owned())).or_default();
        let mut old = std::mem::take(&mut kind.objects);
        let mut changes = Vec::new();
        for (key, text, version, uid) in list {
            let name = (key.namespace.clone(), key.name.clone());
            match old.remove(&name) {
                Some(known) if known.version >= version => {
                    kind.objects.insert(name, known);
                }
                _ => {
                    kind.objects
                        .insert(name, Entry { text: text.into_boxed_slice(), version, uid: uid.into() });
                    changes.push(Change { key, gone: false });
                }
            }
        }
        for (name, entry) in old {
            // Written by us after the list was taken: newer than the list, so not gone.
            let listed = versions.iter().find(|(place, _)| place.is_empty() || *place == name.0);
            if listed.is_some_and(|(_, version)| entry.version > *version) {
                kind.objects.insert(name, entry);
                continue;
            }
            let key =
                Key { group: group.to_owned(), kind: kind_name.to_owned(), namespace: name.0, name: name.1 };
            changes.push(Change { key, gone: true });
        }
        kind.synced = true;
        kind.seen = versions.iter().find(|(place, _)| place.is_empty()).map_or(0, |(_, version)| *version);
        kind.limited = !versions.iter().any(|(place, _)| place.is_empty());
        kind.seen_in = versions.iter().filter(|(place, _)| !place.is_empty()).cloned().collect();
        kind.trouble = None;
        for change in changes {
            tell(&mut state, change);
        }
        drop(state);
        self.synced.notify_waiters();
    }

    /// Makes room for a kind. `false` when it was there.
    pub(crate) fn open(&self, group: &str, kind: &str) -> bool {
        let mut state = lock(&self.state);
        let slot = (group.to_owned(), kind.to_owned());
        if state.kinds.contains_key(&slot) {
            return false;
        }
        state.kinds.insert(slot, KindStore::default());
        true
    }

    /// Takes back [`Store::open`].
    pub(crate) fn close(&self, group: &str, kind: &str) {
        lock(&self.state).kinds.remove(&(group.to_owned(), kind.to_owned()));
        self.synced.notify_waiters();
    }

    pub(crate) fn set_trouble(&self, group: &str, kind: &str, trouble: String) {
        if let Some(kind) = lock(&self.state).kinds.get_mut(&(group.to_owned(), kind.to_owned())) {
            kind.trouble = Some(trouble);
        }
        self.synced.notify_waiters();
    }

    pub(crate) fn synced_signal(&self) -> &Notify {
        &self.synced
    }
}

fn tell(state: &mut State, change: Change) {
    if let Some(interested) = state.interests.get(&change.key) {
        for (_, notify) in interested {
            notify.notify_one();
        }
    }
    state.listeners.retain(|listener| listener.send(change.clone()).is_ok());
}

/// The resource version as a number. Kubernetes has declared it comparable; every API server in use counts.
pub fn version_of(object: &Value) -> Option<u64> {
    object::meta::resource_version(object).parse().ok()
}

/// A standing interest in some objects.
pub struct Interest {
    store: Store,
    id: u64,
    keys: Vec<Key>,
    notify: Arc<Notify>,
}

impl Interest {
    /// Until one of them changed since the last call.
    pub async fn changed(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let mut state = lock(&self.store.state);
        for key in &self.keys {
            if let Some(interested) = state.interests.get_mut(key) {
                interested.retain(|(id, _)| *id != self.id);
                if interested.is_empty() {
                    state.interests.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use object::Key;
    use serde_json::json;

    use super::Store;

    #[test]
    fn an_answer_that_comes_after_the_deletion_brings_nothing_back() {
        let object = |version: u64, uid: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": "one", "namespace": "apps", "uid": uid, "resourceVersion": version.to_string(),
            }})
        };
        let key = Key::new("", "ConfigMap", "apps", "one");
        let store = Store::new();
        store.open("", "ConfigMap");
        store.replace("", "ConfigMap", Vec::new(), &[(String::new(), 10)]);
        // (what happens, is it there afterwards)
        type Step<'a> = (&'a dyn Fn(&Store), bool);
        let steps: [Step; 7] = [
            (&|store| store.observe(&object(9, "old")), false),
            (&|store| store.observe(&object(11, "a")), true),
            (&|store| store.gone(key.clone(), 12, "a"), false),
            (&|store| store.observe(&object(12, "a")), false),
            (&|store| store.observe(&object(13, "b")), true),
            (&|store| store.gone(key.clone(), 12, "a"), true),
            (&|store| store.gone(key.clone(), 14, "b"), false),
        ];
        for (number, (step, there)) in steps.iter().enumerate() {
            step(&store);
            assert_eq!(store.contains(&key), *there, "step {number}");
        }
    }
}
