//! What is known of the cluster, and the ways to change it.

use crate::api::{self, MANAGER, Policy, delete_options};
use crate::error::{Error, Result};
use crate::feed::Resource;
use crate::graph::{Graph, Node, version};
use crate::kind::{self, Kind};
use crate::placement::Loads;
use crate::queue::{Queue, Work};
use crate::{Options, dispatch, time};
use jiff::Timestamp;
use object::{Key, Value, meta};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Everything, shared by all work.
pub(crate) struct World {
    pub(crate) client: kube::Client,
    pub(crate) options: Options,
    state: Mutex<State>,
    /// Work was added.
    pub(crate) wake: Notify,
}

/// A kind's objects by namespace and name.
type Objects = BTreeMap<(String, String), Arc<Value>>;

#[derive(Default)]
pub(crate) struct State {
    objects: HashMap<Kind, Objects>,
    pub(crate) graph: Graph,
    pub(crate) queue: Queue,
    /// All resources that are followed.
    pub(crate) resources: Vec<Resource>,
    /// UIDs that went lately, so that an answer that comes late brings none of them back.
    gone: VecDeque<String>,
    /// Pod addresses in use.
    pub(crate) addresses: HashSet<String>,
    /// When pods were first seen scheduled.
    pub(crate) started: HashMap<String, Timestamp>,
    /// How pods that were looked at end, by UID.
    pub(crate) ends: HashMap<String, crate::kinds::End>,
    /// Since when pods, by UID, stand beside taints that drive them off in the end.
    pub(crate) evictions: HashMap<String, Timestamp>,
    /// UIDs of pods that are being driven off.
    pub(crate) driven: HashSet<String>,
    /// UIDs of claims of which was told that they wait for a pod.
    pub(crate) told: HashSet<String>,
    /// Files that pods left on each node.
    pub(crate) files: HashMap<String, BTreeSet<String>>,
    /// What is taken of the nodes.
    pub(crate) loads: Loads,
    counter: u64,
    noticed: BTreeSet<String>,
}

const REMEMBERED: usize = 4096;

impl World {
    pub(crate) fn new(client: kube::Client, options: Options) -> Arc<Self> {
        Arc::new(World { client, options, state: Mutex::default(), wake: Notify::new() })
    }

    /// The state. A panic of one piece of work does not end the others.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.options.clock.now()
    }

    /// Now, as Kubernetes writes it.
    pub(crate) fn stamp(&self) -> String {
        time::stamp(self.now())
    }

    /// Says something once.
    pub(crate) fn notice(&self, text: String) {
        if self.state().noticed.insert(text.clone())
            && let Some(tell) = &self.options.on_notice
        {
            tell(text);
        }
    }

    /// A number never given before in this process.
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.state();
        state.counter += 1;
        state.counter
    }

    pub(crate) fn add(&self, work: Work) {
        self.state().queue.add(work);
        self.wake.notify_one();
    }

    /// Asks for an object's work after a pause.
    pub(crate) fn look_again(&self, kind: Kind, object: &Value, pause: Duration) {
        let namespace = meta::namespace(object).unwrap_or_default().to_string();
        let work = Work::Object(kind, namespace, meta::name(object).to_string());
        let time = time::after(self.now(), pause);
        self.state().queue.add_at(work, time);
        self.wake.notify_one();
    }

    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (namespace.to_string(), name.to_string());
        self.state().objects.get(&kind)?.get(&key).cloned()
    }

    /// The objects of a kind in a namespace; `""` means everywhere.
    pub(crate) fn list(&self, kind: Kind, namespace: &str) -> Vec<Arc<Value>> {
        self.state().list(kind, namespace)
    }

    /// The objects of a kind that `owner` controls.
    pub(crate) fn controlled(&self, kind: Kind, owner: &Value) -> Vec<Arc<Value>> {
        let uid = meta::uid(owner);
        let state = self.state();
        let nodes = state.graph.dependents(uid).into_iter().filter(|node| {
            node.key.kind == kind.kind
                && node.key.group == kind.group
                && node.owners.iter().any(|owner| owner.controller && owner.uid == uid)
        });
        let mut found: Vec<Arc<Value>> =
            nodes.filter_map(|node| state.object(kind, &node.key.namespace, &node.key.name)).collect();
        found.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
        found
    }

    /// Takes a state of an object in, from the feed or from an answer.
    pub(crate) fn observe(&self, key: Key, object: Value) {
        self.state().put(key, object);
        self.wake.notify_one();
    }

    /// An object is gone.
    pub(crate) fn forget(&self, key: &Key, uid: &str) {
        self.state().remove(key, uid);
        self.wake.notify_one();
    }

    fn observe_answer(&self, object: &Value) {
        if let Ok(key) = Key::of(object)
            && !meta::uid(object).is_empty()
        {
            self.observe(key, object.clone());
        }
    }

    /// Creates an object of a kept kind.
    pub(crate) async fn create(&self, kind: Kind, mut object: Value) -> Result<Value> {
        if let Some(map) = object.as_object_mut() {
            map.insert("apiVersion".into(), kind.api_version().into());
            map.insert("kind".into(), kind.kind.into());
        }
        let namespace = meta::namespace(&object).unwrap_or_default().to_string();
        let path = format!("{}?fieldManager={MANAGER}", kind.path(&namespace, ""));
        let created = api::send(&self.client, "POST", &path, "application/json", Some(&object)).await?;
        self.observe_answer(&created);
        Ok(created)
    }

    /// Merge-patches an object or one of its subresources.
    pub(crate) async fn patch(
        &self,
        kind: Kind,
        object: &Value,
        subresource: &str,
        patch: Value,
    ) -> Result<Value> {
        let path = kind.path(meta::namespace(object).unwrap_or_default(), meta::name(object));
        self.patch_at(&path, subresource, patch).await
    }

    /// Merge-patches whatever is at a path.
    pub(crate) async fn patch_at(&self, path: &str, subresource: &str, patch: Value) -> Result<Value> {
        let slash = if subresource.is_empty() { "" } else { "/" };
        let path = format!("{path}{slash}{subresource}?fieldManager={MANAGER}");
        let patched =
            api::send(&self.client, "PATCH", &path, "application/merge-patch+json", Some(&patch)).await?;
        if subresource != "scale" {
            self.observe_answer(&patched);
        }
        Ok(patched)
    }

    /// Writes the status when it differs. Lists are replaced, fields that are `null` removed.
    pub(crate) async fn set_status(&self, kind: Kind, object: &Value, status: Value) -> Result<bool> {
        let current = object.get("status").cloned().unwrap_or_else(|| Value::Object(object::Map::new()));
        let mut wanted = current.clone();
        merge(&mut wanted, &status);
        if wanted == current {
            return Ok(false);
        }
        // A state that changed in between must not be judged by the old one: the version is a precondition.
        let patch = serde_json::json!({
            "metadata": {"resourceVersion": meta::resource_version(object)},
            "status": status,
        });
        self.patch(kind, object, "status", patch).await?;
        Ok(true)
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, kind: Kind, object: &Value, policy: Policy) -> Result<()> {
        let path = kind.path(meta::namespace(object).unwrap_or_default(), meta::name(object));
        self.delete_at(&path, meta::uid(object), policy, kind == kind::POD).await
    }

    /// Deletes whatever is at a path, if it still has the UID.
    pub(crate) async fn delete_at(&self, path: &str, uid: &str, policy: Policy, now: bool) -> Result<()> {
        let options = delete_options(uid, policy, now);
        match api::send(&self.client, "DELETE", path, "application/json", Some(&options)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_gone() || error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The path of the object behind a key, if its resource is known.
    pub(crate) fn path_of(&self, key: &Key) -> Option<String> {
        let state = self.state();
        let resource = state.resources.iter().find(|own| own.kind == key.kind && own.group == key.group)?;
        Some(kind::path(&resource.group, &resource.version, &resource.plural, &key.namespace, &key.name))
    }

    /// Reads an object from the API, past everything known.
    pub(crate) async fn read(&self, path: &str) -> Result<Option<Value>> {
        match api::send(&self.client, "GET", path, "application/json", None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// An error that says which object it was about.
    pub(crate) fn about(&self, work: &Work, error: &Error) -> String {
        match work {
            Work::Object(kind, namespace, name) => format!("{} {namespace}/{name}: {error}", kind.kind),
            other => format!("{other:?}: {error}"),
        }
    }
}

impl State {
    pub(crate) fn object(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.objects.get(&kind)?.get(&(namespace.to_string(), name.to_string())).cloned()
    }

    pub(crate) fn list(&self, kind: Kind, namespace: &str) -> Vec<Arc<Value>> {
        let Some(objects) = self.objects.get(&kind) else { return Vec::new() };
        if namespace.is_empty() {
            return objects.values().cloned().collect();
        }
        let from = (namespace.to_string(), String::new());
        let of_it = |((own, _), _): &(&(String, String), &Arc<Value>)| own == namespace;
        objects.range(from..).take_while(of_it).map(|(_, object)| object.clone()).collect()
    }

    fn put(&mut self, key: Key, object: Value) {
        let uid = meta::uid(&object).to_string();
        if self.gone.contains(&uid) {
            return;
        }
        if let Some(known) = self.graph.uid_of(&key)
            && known != uid
        {
            // A namesake took its place while nobody told.
            let known = known.to_string();
            self.remove(&key, &known);
        }
        let node = Node::of(key.clone(), &object);
        let kind = Kind::of(&key.group, &key.kind);
        let name = (key.namespace.clone(), key.name.clone());
        let old = kind.and_then(|kind| self.objects.get(&kind)?.get(&name).cloned());
        let newer = self.graph.put(node.clone());
        if let Some(kind) = kind {
            if old.as_ref().is_some_and(|old| version(old) >= version(&object)) {
                return;
            }
            let object = Arc::new(object);
            if kind == kind::POD {
                self.loads.observe(&name, Some(&object));
            }
            self.objects.entry(kind).or_default().insert(name, object.clone());
            dispatch::object(self, kind, old.as_deref(), Some(&object));
        } else if !newer {
            return;
        }
        dispatch::node(self, &node);
    }

    pub(crate) fn remove(&mut self, key: &Key, uid: &str) {
        if let Some(known) = self.graph.uid_of(key)
            && known != uid
        {
            return;
        }
        self.gone.push_back(uid.to_string());
        if self.gone.len() > REMEMBERED {
            self.gone.pop_front();
        }
        let node = self.graph.get(uid).cloned();
        let dependents = self.graph.dependents(uid);
        self.graph.remove(uid);
        self.started.remove(uid);
        self.ends.remove(uid);
        self.evictions.remove(uid);
        self.told.remove(uid);
        self.driven.remove(uid);
        if let Some(kind) = Kind::of(&key.group, &key.kind) {
            let name = (key.namespace.clone(), key.name.clone());
            if kind == kind::POD {
                self.loads.observe(&name, None);
            }
            let old = self.objects.get_mut(&kind).and_then(|objects| objects.remove(&name));
            dispatch::object(self, kind, old.as_deref(), None);
        }
        dispatch::gone(self, node.as_ref(), &dependents);
    }

    /// The kept keys and UIDs of one kind, for comparing with a fresh list.
    pub(crate) fn known(&self, group: &str, kind: &str) -> Vec<(Key, String)> {
        let uids = self.graph.of_kind(group, kind);
        uids.into_iter().filter_map(|uid| Some((self.graph.get(&uid)?.key.clone(), uid))).collect()
    }
}

/// RFC 7396, in place.
pub(crate) fn merge(base: &mut Value, patch: &Value) {
    match (base.as_object_mut(), patch.as_object()) {
        (Some(map), Some(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    map.remove(key);
                } else {
                    merge(map.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (None, Some(_)) => {
            *base = Value::Object(object::Map::new());
            merge(base, patch);
        }
        (_, None) => *base = patch.clone(),
    }
}
