//! Whose work a change is.

use crate::graph::{Node, owners};
use crate::kind::{self, Kind};
use crate::kinds::{ROOT_CA, driving};
use crate::queue::Work;
use crate::world::State;
use object::{LabelSelector, Value, get, get_str, meta};

fn work(kind: Kind, object: &Value) -> Work {
    let namespace = meta::namespace(object).unwrap_or_default().to_string();
    Work::Object(kind, namespace, meta::name(object).to_string())
}

/// An object of a kept kind changed, came (`old` is none) or went (`new` is none).
pub(crate) fn object(state: &mut State, kind: Kind, old: Option<&Value>, new: Option<&Value>) {
    let Some(current) = new.or(old) else { return };
    // Their content is ours to write; only their going is news, and that reaches the owner below.
    if !matches!(
        kind,
        kind::ENDPOINTS | kind::ENDPOINT_SLICE | kind::CONTROLLER_REVISION | kind::STORAGE_CLASS
    ) {
        state.queue.add(work(kind, current));
    }
    // Who lost a dependent may take it back. A revision that came or was labelled is no news to its owner.
    let lost = kind != kind::CONTROLLER_REVISION
        || new.is_none_or(|new| old.is_some_and(|old| owners(old) != owners(new)));
    for version in [old, new].into_iter().flatten().filter(|_| lost) {
        if let Some(owner) = owners(version).into_iter().find(|owner| owner.controller)
            && let Some(owner_kind) = Kind::of(&owner.group, &owner.kind)
        {
            let namespace = meta::namespace(current).unwrap_or_default().to_string();
            state.queue.add(Work::Object(owner_kind, namespace, owner.name));
        }
    }
    match kind {
        kind::POD => {
            if place(old) != place(new) || is_over(old) != is_over(new) {
                waiting(state);
            }
            pod(state, old, new);
        }
        kind::NODE => {
            all(state, &[kind::DAEMON_SET], "");
            let taints =
                |node: Option<&Value>| node.map(driving).into_iter().flatten().cloned().collect::<Vec<_>>();
            if taints(old) != taints(new) {
                on_node(state, meta::name(current));
            }
            waiting(state);
        }
        kind::VOLUME => claim_of(state, current),
        kind::STORAGE_CLASS if new.is_some() => unbound_claims(state),
        kind::CLAIM => {
            volume_of(state, current, new.is_none());
            mounting(state, current);
        }
        kind::SERVICE_ACCOUNT if new.is_none() => {
            // The default account of a namespace comes back.
            let namespace = meta::namespace(current).unwrap_or_default().to_string();
            state.queue.add(Work::Object(kind::NAMESPACE, String::new(), namespace));
        }
        kind::DEPLOYMENT | kind::STATEFUL_SET => {
            let namespace = meta::namespace(current).unwrap_or_default().to_string();
            all(state, &[kind::AUTOSCALER, kind::BUDGET], &namespace);
        }
        _ => {}
    }
    if old.is_none() || new.is_none() {
        let namespace = meta::namespace(current).unwrap_or_default().to_string();
        if !namespace.is_empty() && new.is_none() {
            ending(state, &namespace);
        }
    }
}

fn all(state: &mut State, kinds: &[Kind], namespace: &str) {
    for kind in kinds {
        for object in state.list(*kind, namespace) {
            state.queue.add(work(*kind, &object));
        }
    }
}

fn place(pod: Option<&Value>) -> Option<&str> {
    pod.and_then(|pod| get_str(pod, &["spec", "nodeName"]))
}

fn is_over(pod: Option<&Value>) -> bool {
    pod.is_none_or(|pod| matches!(get_str(pod, &["status", "phase"]), Some("Succeeded" | "Failed")))
}

/// Room may have come for the pods that wait for it: the most important ones look first.
fn waiting(state: &mut State) {
    if state.loads.waiting.is_empty() {
        return;
    }
    let pods = state.loads.waiting.iter().filter_map(|name| state.object(kind::POD, &name.0, &name.1));
    let mut pods: Vec<_> = pods.collect();
    pods.sort_by_key(|pod| std::cmp::Reverse(object::get_i64(pod, &["spec", "priority"]).unwrap_or(0)));
    for pod in pods {
        state.queue.add(work(kind::POD, &pod));
    }
}

/// What is said of a node concerns its pods.
fn on_node(state: &mut State, node: &str) {
    for pod in state.list(kind::POD, "") {
        if place(Some(&pod)) == Some(node) {
            state.queue.add(work(kind::POD, &pod));
        }
    }
}

/// A claim that changed may be what pods without a node wait for.
fn mounting(state: &mut State, claim: &Value) {
    let namespace = meta::namespace(claim).unwrap_or_default();
    let pods = state.loads.waiting.iter().filter(|name| name.0 == namespace);
    let pods: Vec<_> = pods.filter_map(|name| state.object(kind::POD, &name.0, &name.1)).collect();
    for pod in pods {
        if crate::kinds::mounts(&pod, meta::name(claim)) {
            state.queue.add(work(kind::POD, &pod));
        }
    }
}

/// What a pod means to others: endpoints and budgets.
fn pod(state: &mut State, old: Option<&Value>, new: Option<&Value>) {
    let traits = |pod: Option<&Value>| {
        pod.map(|pod| {
            let conditions = get(pod, &["status", "conditions"]).cloned();
            let phase = get_str(pod, &["status", "phase"]).map(String::from);
            let address = get_str(pod, &["status", "podIP"]).map(String::from);
            (meta::labels(pod).cloned(), conditions, phase, address, meta::deletion_timestamp(pod).is_some())
        })
    };
    if traits(old) == traits(new) {
        return;
    }
    let Some(current) = new.or(old) else { return };
    let namespace = meta::namespace(current).unwrap_or_default().to_string();
    // A claim goes when the last pod that mounts it has ended.
    for claim in state.list(kind::CLAIM, &namespace) {
        if meta::deletion_timestamp(&claim).is_some() {
            state.queue.add(work(kind::CLAIM, &claim));
        }
    }
    for kind in [kind::SERVICE, kind::BUDGET] {
        for object in state.list(kind, &namespace) {
            let Some(selector) = get(&object, &["spec", "selector"]) else { continue };
            let selector = match kind {
                kind::SERVICE => LabelSelector::from_map(selector),
                _ => LabelSelector::from_object(selector),
            };
            let Ok(selector) = selector else { continue };
            if [old, new].into_iter().flatten().any(|pod| selector.matches_object(pod)) {
                state.queue.add(work(kind, &object));
            }
        }
    }
}

/// A class, or a default one, is what they may have waited for.
fn unbound_claims(state: &mut State) {
    for claim in state.list(kind::CLAIM, "") {
        if get_str(&claim, &["spec", "volumeName"]).unwrap_or_default().is_empty() {
            state.queue.add(work(kind::CLAIM, &claim));
        }
    }
}

fn claim_of(state: &mut State, volume: &Value) {
    let text = |field| get_str(volume, &["spec", "claimRef", field]).unwrap_or_default().to_string();
    if !text("name").is_empty() {
        state.queue.add(Work::Object(kind::CLAIM, text("namespace"), text("name")));
    }
}

fn volume_of(state: &mut State, claim: &Value, gone: bool) {
    if let Some(name) = get_str(claim, &["spec", "volumeName"]).filter(|_| gone) {
        state.queue.add(Work::Object(kind::VOLUME, String::new(), name.to_string()));
    }
}

/// Something in a namespace went: one that is ending may be done.
fn ending(state: &mut State, namespace: &str) {
    let Some(object) = state.object(kind::NAMESPACE, "", namespace) else { return };
    if meta::deletion_timestamp(&object).is_some() {
        state.queue.add(Work::Object(kind::NAMESPACE, String::new(), namespace.to_string()));
    }
}

/// Quotas count objects of every kind, and the root certificate of a namespace is to stay.
fn counted(state: &mut State, key: &object::Key) {
    if key.kind == "ConfigMap" && key.name == ROOT_CA && key.group.is_empty() {
        state.queue.add(Work::Object(kind::NAMESPACE, String::new(), key.namespace.clone()));
    }
    if !key.namespace.is_empty() && (key.kind != "ResourceQuota" || !key.group.is_empty()) {
        all(state, &[kind::QUOTA], &key.namespace.clone());
    }
}

/// An object of any kind is in this state now.
pub(crate) fn node(state: &mut State, node: &Node) {
    counted(state, &node.key);
    if node.foreground || node.orphan {
        state.queue.add(Work::Collect(node.uid.clone()));
    }
    for owner in &node.owners {
        match state.graph.get(&owner.uid) {
            None => {
                state.queue.add(Work::Collect(node.uid.clone()));
            }
            // It stands in the way of its owner, or does no more.
            Some(own) if own.foreground => {
                state.queue.add(Work::Collect(owner.uid.clone()));
                state.queue.add(Work::Collect(node.uid.clone()));
            }
            Some(_) => {}
        }
    }
}

/// An object of any kind is gone.
pub(crate) fn gone(state: &mut State, node: Option<&Node>, dependents: &[Node]) {
    for dependent in dependents {
        state.queue.add(Work::Collect(dependent.uid.clone()));
    }
    let Some(node) = node else { return };
    counted(state, &node.key);
    for owner in &node.owners {
        if state.graph.get(&owner.uid).is_some_and(|owner| owner.foreground) {
            state.queue.add(Work::Collect(owner.uid.clone()));
        }
    }
    if !node.key.namespace.is_empty() {
        ending(state, &node.key.namespace.clone());
    }
}
