//! What controllers share: conditions, pods of a template, adoption.

use super::volume::Volumes;
use crate::SIMULATED;
use crate::error::{Result, UnlessGone};
use crate::graph::owners;
use crate::kind::{self, Kind};
use crate::names;
use crate::placement;
use crate::world::World;
use object::{LabelSelector, Map, Value, get, get_i64, get_str, meta};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Sets a condition in a list: the time of transition changes with the status only.
pub(crate) fn set_condition(list: &mut Vec<Value>, now: &str, wanted: Value, with_update: bool) {
    let mut wanted = wanted;
    let kind = get_str(&wanted, &["type"]).unwrap_or_default().to_string();
    let old = list.iter().position(|own| get_str(own, &["type"]) == Some(kind.as_str()));
    let since = old
        .and_then(|at| list.get(at))
        .filter(|own| own.get("status") == wanted.get("status"))
        .and_then(|own| get_str(own, &["lastTransitionTime"]))
        .unwrap_or(now)
        .to_string();
    let same = old.and_then(|at| list.get(at)).is_some_and(|own| {
        ["status", "reason", "message"].iter().all(|field| own.get(field) == wanted.get(field))
    });
    if same {
        return;
    }
    if let Some(map) = wanted.as_object_mut() {
        map.insert("lastTransitionTime".into(), since.into());
        if with_update {
            map.insert("lastUpdateTime".into(), now.into());
        }
    }
    match old.and_then(|at| list.get_mut(at)) {
        Some(slot) => *slot = wanted,
        None => list.push(wanted),
    }
}

/// A condition without its times.
pub(crate) fn condition(kind: &str, status: bool, reason: &str, message: &str) -> Value {
    let status = if status { "True" } else { "False" };
    json!({"type": kind, "status": status, "reason": reason, "message": message})
}

/// `status.conditions`.
pub(crate) fn conditions(object: &Value) -> Vec<Value> {
    get(object, &["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Whether a condition is True.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    get(object, &["status", "conditions"]).and_then(Value::as_array).is_some_and(|list| {
        list.iter()
            .any(|own| get_str(own, &["type"]) == Some(kind) && get_str(own, &["status"]) == Some("True"))
    })
}

/// Since when a condition is what it is.
pub(crate) fn since(object: &Value, kind: &str) -> Option<jiff::Timestamp> {
    let list = get(object, &["status", "conditions"])?.as_array()?;
    let own = list.iter().find(|own| get_str(own, &["type"]) == Some(kind))?;
    crate::time::parse(get_str(own, &["lastTransitionTime"])?)
}

pub(crate) fn phase(pod: &Value) -> &str {
    get_str(pod, &["status", "phase"]).unwrap_or("Pending")
}

/// Neither finished nor going.
pub(crate) fn is_active(pod: &Value) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed") && meta::deletion_timestamp(pod).is_none()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready") && meta::deletion_timestamp(pod).is_none()
}

/// Ready for so long; the pause until it is when only time is missing.
pub(crate) fn is_available(world: &World, pod: &Value, min_ready: i64) -> (bool, Option<Duration>) {
    if !is_ready(pod) {
        return (false, None);
    }
    let Ok(min_ready) = u64::try_from(min_ready) else { return (true, None) };
    if min_ready == 0 {
        return (true, None);
    }
    let Some(since) = since(pod, "Ready") else { return (false, None) };
    let due = crate::time::after(since, Duration::from_secs(min_ready));
    let now = world.now();
    if due <= now { (true, None) } else { (false, Some(due.duration_since(now).unsigned_abs())) }
}

/// `spec.replicas`, one when not said.
pub(crate) fn replicas(object: &Value) -> i64 {
    get_i64(object, &["spec", "replicas"]).unwrap_or(1).max(0)
}

pub(crate) fn spec_i64(object: &Value, field: &str) -> i64 {
    get_i64(object, &["spec", field]).unwrap_or(0)
}

/// The reference of a dependent to its controller.
pub(crate) fn controller_reference(kind: Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": meta::name(owner), "uid": meta::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The dependents of `owner`: those it controls, and those its selector finds that nobody controls, which it
/// adopts. One that does not match any more is let go.
pub(crate) async fn claim(
    world: &World,
    kind: Kind,
    owner_kind: Kind,
    owner: &Value,
) -> Result<Vec<Arc<Value>>> {
    let mut own = world.controlled(kind, owner);
    let selector = get(owner, &["spec", "selector"]).and_then(|own| match owner_kind {
        kind::REPLICATION_CONTROLLER => LabelSelector::from_map(own).ok(),
        _ => LabelSelector::from_object(own).ok(),
    });
    let Some(selector) = selector else {
        return Ok(own);
    };
    if meta::deletion_timestamp(owner).is_some() || selector.is_everything() {
        return Ok(own);
    }
    for object in own.iter().filter(|object| !selector.matches_object(object)) {
        let stays: Vec<Value> = get(object, &["metadata", "ownerReferences"])
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter(|reference| get_str(reference, &["uid"]) != Some(meta::uid(owner)))
            .cloned()
            .collect();
        let stays = if stays.is_empty() { Value::Null } else { Value::Array(stays) };
        world.patch(kind, object, "", json!({"metadata": {"ownerReferences": stays}})).await.unless_gone()?;
    }
    own.retain(|object| selector.matches_object(object));
    let namespace = meta::namespace(owner).unwrap_or_default();
    for object in world.list(kind, namespace) {
        let free = !owners(&object).iter().any(|reference| reference.controller);
        if !free || meta::deletion_timestamp(&object).is_some() || !selector.matches_object(&object) {
            continue;
        }
        let mut list: Vec<Value> = get(&object, &["metadata", "ownerReferences"])
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        list.push(controller_reference(owner_kind, owner));
        let patch = json!({"metadata": {"uid": meta::uid(&object), "ownerReferences": list}});
        if let Some(adopted) = world.patch(kind, &object, "", patch).await.unless_gone()? {
            own.push(Arc::new(adopted));
        }
    }
    Ok(own)
}

/// A pod of a template.
pub(crate) fn pod_of(owner_kind: Kind, owner: &Value, template: &Value) -> Value {
    let empty = Map::new();
    let part =
        |name: &str| get(template, &["metadata", name]).and_then(Value::as_object).unwrap_or(&empty).clone();
    let mut annotations = part("annotations");
    annotations.insert(SIMULATED.into(), "true".into());
    let mut pod = json!({
        "metadata": {
            "namespace": meta::namespace(owner).unwrap_or_default(),
            "labels": part("labels"),
            "annotations": annotations,
            "ownerReferences": [controller_reference(owner_kind, owner)],
        },
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    });
    if let Some(finalizers) = get(template, &["metadata", "finalizers"]) {
        object::set(&mut pod, &["metadata", "finalizers"], finalizers.clone());
    }
    pod
}

/// Gives a pod a name of its own below `stem`.
pub(crate) fn name_pod(world: &World, pod: &mut Value, stem: &str, owner: &Value) {
    let seed = format!("{}{}{}", meta::uid(owner), world.next(), world.now());
    object::set(pod, &["metadata", "generateName"], format!("{stem}-").into());
    meta::set_name(pod, &crate::names::join(stem, &crate::names::letters(&seed, 5)));
}

/// Creates a pod, on a node already where one takes it: nothing has to be waited for then. A namespace that is ending
/// takes none.
pub(crate) async fn create_pod(world: &World, mut pod: Value) -> Result<()> {
    let name = placement::name_of(&pod);
    if placement::is_ours(&pod)
        && let Some(volumes) = Volumes::at_once(world, &pod)
        && let Some(node) =
            placement::choose(world, &pod, &volumes).ok().or_else(|| super::node::any(world, &pod))
    {
        object::set(&mut pod, &["spec", "nodeName"], node.into());
    }
    let created = world.create(kind::POD, pod).await.unless_gone();
    if !matches!(created, Ok(Some(_))) {
        world.state().loads.give_up(&name);
    }
    created.map(drop)
}

/// A number or a percentage of `total`, rounded as asked.
pub(crate) fn scaled(value: Option<&Value>, total: i64, up: bool, default: i64) -> i64 {
    match value {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(default),
        Some(Value::String(text)) => match text.trim_end_matches('%').parse::<i64>() {
            Ok(percent) if text.ends_with('%') => {
                let product = total.saturating_mul(percent);
                if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) }
            }
            Ok(number) => number,
            Err(_) => default,
        },
        _ => default,
    }
}

/// Tells people what happened to an object.
pub(crate) async fn event(
    world: &World,
    of: Kind,
    object: &Value,
    component: &str,
    (severity, reason): (&str, &str),
    message: &str,
) -> Result<()> {
    let now = world.stamp();
    let namespace = meta::namespace(object).unwrap_or("default");
    let suffix = names::letters(&format!("{}{}{now}", meta::uid(object), world.next()), 16);
    let event = json!({
        "metadata": {"name": names::join(meta::name(object), &suffix), "namespace": namespace},
        "involvedObject": {
            "apiVersion": of.api_version(), "kind": of.kind, "namespace": namespace, "name": meta::name(object),
            "uid": meta::uid(object), "resourceVersion": meta::resource_version(object),
        },
        "type": severity, "reason": reason, "message": message,
        "source": {"component": component}, "reportingComponent": component,
        "firstTimestamp": now, "lastTimestamp": now, "count": 1,
    });
    match world.create(kind::EVENT, event).await {
        Err(error) if error.is_ending() => Ok(()),
        other => other.unless_gone().map(drop),
    }
}
