//! DaemonSets: a pod on every node that is selected.

use super::common::{
    claim, create_pod, is_active, is_available, is_ready, name_pod, phase, pod_of, scaled, spec_i64,
};
use super::history::{self, HASH};
use crate::api::Policy;
use crate::error::Result;
use crate::kind;
use crate::placement::{repelled, selects};
use crate::world::World;
use object::{Value, get, get_bool, get_i64, get_str, meta, set};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) async fn reconcile(world: &World, daemon: &Value) -> Result<()> {
    let pods = claim(world, kind::POD, kind::DAEMON_SET, daemon).await?;
    let in_use: Vec<String> =
        pods.iter().filter_map(|pod| meta::label(pod, HASH)).map(str::to_owned).collect();
    let hash = history::sync(world, kind::DAEMON_SET, daemon, &in_use).await?.hash;
    let nodes: Vec<String> = nodes(world, daemon);
    let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for pod in pods {
        let node = target(&pod).to_owned();
        by_node.entry(node).or_default().push(pod);
    }
    if meta::deletion_timestamp(daemon).is_none() {
        place(world, daemon, &nodes, &by_node, &hash).await?;
        update(world, daemon, &nodes, &by_node, &hash).await?;
    }
    status(world, daemon, &nodes, &hash).await
}

/// The nodes that are to have a pod: those that its template wants and that do not keep it away.
fn nodes(world: &World, daemon: &Value) -> Vec<String> {
    let pod = of_node(daemon, "");
    let takes = |node: &Arc<Value>| selects(daemon_template(daemon), node) && repelled(&pod, node).is_none();
    world
        .list(kind::NODE, "")
        .iter()
        .filter(|node| takes(node))
        .map(|node| meta::name(node).to_string())
        .collect()
}

fn daemon_template(daemon: &Value) -> &Value {
    get(daemon, &["spec", "template"]).unwrap_or(&Value::Null)
}

/// The node that a pod is on, or is meant for.
fn target(pod: &Value) -> &str {
    let meant = || {
        let terms =
            get(pod, &["spec", "affinity", "nodeAffinity", REQUIRED, "nodeSelectorTerms"])?.as_array()?;
        let fields = terms.iter().filter_map(|term| get(term, &["matchFields"])?.as_array()).flatten();
        let of_name = |own: &&Value| get_str(own, &["key"]) == Some("metadata.name");
        fields.filter(of_name).find_map(|own| get(own, &["values"])?.get(0)?.as_str())
    };
    get_str(pod, &["spec", "nodeName"]).filter(|name| !name.is_empty()).or_else(meant).unwrap_or_default()
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Taints that a DaemonSet's pods put up with: key and effect.
const BORNE: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The pod of the template for one node.
fn of_node(daemon: &Value, node: &str) -> Value {
    let mut pod = pod_of(kind::DAEMON_SET, daemon, daemon_template(daemon));
    let mut borne: Vec<Value> =
        get(&pod, &["spec", "tolerations"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let on_host = get_bool(&pod, &["spec", "hostNetwork"]).unwrap_or(false);
    let more = on_host.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in BORNE.iter().copied().chain(more) {
        let own = json!({"key": key, "operator": "Exists", "effect": effect});
        if !borne.contains(&own) {
            borne.push(own);
        }
    }
    set(&mut pod, &["spec", "tolerations"], Value::Array(borne));
    let only = json!({"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
    ]});
    set(&mut pod, &["spec", "affinity", "nodeAffinity", REQUIRED], only);
    pod
}

/// A pod where one is missing, none where none belongs.
async fn place(
    world: &World,
    daemon: &Value,
    nodes: &[String],
    pods: &BTreeMap<String, Vec<Arc<Value>>>,
    hash: &str,
) -> Result<()> {
    // A pod that failed makes room for another.
    for pod in pods.values().flatten().filter(|pod| phase(pod) == "Failed") {
        if meta::deletion_timestamp(pod).is_none() {
            world.delete(kind::POD, pod, Policy::Background).await?;
        }
    }
    for node in nodes {
        if pods.get(node).is_some_and(|own| own.iter().any(|pod| is_active(pod))) {
            continue;
        }
        let mut pod = of_node(daemon, node);
        name_pod(world, &mut pod, meta::name(daemon), daemon);
        meta::set_label(&mut pod, HASH, hash);
        let generation = meta::generation(daemon).to_string();
        meta::set_label(&mut pod, "pod-template-generation", &generation);
        create_pod(world, pod).await?;
    }
    for (node, own) in pods {
        let surplus = if nodes.contains(node) { 1 } else { 0 };
        for pod in own.iter().filter(|pod| is_active(pod)).skip(surplus) {
            world.delete(kind::POD, pod, Policy::Background).await?;
        }
    }
    Ok(())
}

/// Replaces pods of older templates, so many at a time as may be away.
async fn update(
    world: &World,
    daemon: &Value,
    nodes: &[String],
    pods: &BTreeMap<String, Vec<Arc<Value>>>,
    hash: &str,
) -> Result<()> {
    if get_str(daemon, &["spec", "updateStrategy", "type"]) == Some("OnDelete") {
        return Ok(());
    }
    let total = i64::try_from(nodes.len()).unwrap_or(0);
    let bound = get(daemon, &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
    let min_ready = spec_i64(daemon, "minReadySeconds");
    let up = |pod: &Arc<Value>| is_available(world, pod, min_ready).0;
    let away = nodes.iter().filter(|node| !pods.get(*node).is_some_and(|own| own.iter().any(up))).count();
    let mut room = scaled(bound, total, true, 1).max(1) - i64::try_from(away).unwrap_or(0);
    let present: Vec<&Arc<Value>> = nodes.iter().filter_map(|node| pods.get(node)).flatten().collect();
    for pod in present {
        if meta::label(pod, HASH) == Some(hash) || !is_active(pod) {
            continue;
        }
        // One that is not up is not missed.
        if up(pod) {
            if room <= 0 {
                continue;
            }
            room -= 1;
        }
        world.delete(kind::POD, pod, Policy::Background).await?;
    }
    Ok(())
}

async fn status(world: &World, daemon: &Value, nodes: &[String], hash: &str) -> Result<()> {
    let pods = world.controlled(kind::POD, daemon);
    let min_ready = spec_i64(daemon, "minReadySeconds");
    let on_node = |test: &dyn Fn(&Value) -> bool| {
        let has = |node: &&String| {
            pods.iter().any(|pod| target(pod) == node.as_str() && is_active(pod) && test(pod))
        };
        nodes.iter().filter(has).count()
    };
    let available = on_node(&|pod| is_available(world, pod, min_ready).0);
    for pause in pods.iter().filter_map(|pod| is_available(world, pod, min_ready).1) {
        world.look_again(kind::DAEMON_SET, daemon, pause);
    }
    let some = |number: usize| if number == 0 { Value::Null } else { json!(number) };
    let misplaced =
        pods.iter().filter(|pod| is_active(pod) && !nodes.iter().any(|node| target(pod) == node.as_str()));
    world
        .set_status(
            kind::DAEMON_SET,
            daemon,
            json!({
                "observedGeneration": meta::generation(daemon),
                "currentNumberScheduled": on_node(&|_| true),
                "desiredNumberScheduled": nodes.len(),
                "numberMisscheduled": misplaced.count(),
                "numberReady": on_node(&is_ready),
                "numberAvailable": some(available),
                "numberUnavailable": some(nodes.len() - available),
                "updatedNumberScheduled": some(on_node(&|pod| meta::label(pod, HASH) == Some(hash))),
                "collisionCount": get_i64(daemon, &["status", "collisionCount"]).map_or(Value::Null, Value::from),
            }),
        )
        .await?;
    Ok(())
}
