//! DaemonSets: a pod on every node that is selected.

use super::common::{
    claim, create_pod, is_active, is_available, is_ready, name_pod, phase, pod_of, scaled, spec_i64,
};
use super::history::{self, HASH};
use crate::api::Policy;
use crate::error::Result;
use crate::kind;
use crate::world::World;
use object::{LabelSelector, Value, get, get_i64, get_str, meta, set};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) async fn reconcile(world: &World, daemon: &Value) -> Result<()> {
    let pods = claim(world, kind::POD, kind::DAEMON_SET, daemon).await?;
    let revision = history::sync(world, kind::DAEMON_SET, daemon, &[]).await?;
    let hash = revision.rsplit('-').next().unwrap_or_default().to_string();
    let nodes: Vec<String> = nodes(world, daemon);
    let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for pod in pods {
        let node = get_str(&pod, &["spec", "nodeName"]).unwrap_or_default().to_string();
        by_node.entry(node).or_default().push(pod);
    }
    if meta::deletion_timestamp(daemon).is_none() {
        place(world, daemon, &nodes, &by_node, &hash).await?;
        update(world, daemon, &nodes, &by_node, &hash).await?;
    }
    status(world, daemon, &nodes, &hash).await
}

/// The nodes that the template's selector takes.
fn nodes(world: &World, daemon: &Value) -> Vec<String> {
    let selector = get(daemon, &["spec", "template", "spec", "nodeSelector"])
        .and_then(|selector| LabelSelector::from_map(selector).ok());
    let takes = |node: &Arc<Value>| selector.as_ref().is_none_or(|selector| selector.matches_object(node));
    world
        .list(kind::NODE, "")
        .iter()
        .filter(|node| takes(node))
        .map(|node| meta::name(node).to_string())
        .collect()
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
        let template = get(daemon, &["spec", "template"]).cloned().unwrap_or_default();
        let mut pod = pod_of(world, kind::DAEMON_SET, daemon, &template);
        name_pod(world, &mut pod, meta::name(daemon), daemon);
        meta::set_label(&mut pod, HASH, hash);
        let generation = meta::generation(daemon).to_string();
        meta::set_label(&mut pod, "pod-template-generation", &generation);
        set(&mut pod, &["spec", "nodeName"], node.clone().into());
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
            pods.iter().any(|pod| {
                get_str(pod, &["spec", "nodeName"]) == Some(node.as_str()) && is_active(pod) && test(pod)
            })
        };
        nodes.iter().filter(has).count()
    };
    let available = on_node(&|pod| is_available(world, pod, min_ready).0);
    for pause in pods.iter().filter_map(|pod| is_available(world, pod, min_ready).1) {
        world.look_again(kind::DAEMON_SET, daemon, pause);
    }
    let some = |number: usize| if number == 0 { Value::Null } else { json!(number) };
    let misplaced = pods.iter().filter(|pod| {
        is_active(pod) && !nodes.iter().any(|node| get_str(pod, &["spec", "nodeName"]) == Some(node.as_str()))
    });
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
