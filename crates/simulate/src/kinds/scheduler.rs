//! Pods that wait for a node: bound to the best one, or told why there is none, at the cost of lesser pods if need be.

use super::common::{self, condition, conditions, set_condition};
use super::node;
use super::volume::Volumes;
use crate::SIMULATED;
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::placement::{self, Refusal, Share, Victims, name_of};
use crate::world::World;
use object::{Value, get, get_i64, get_str, meta};
use serde_json::json;
use std::sync::Arc;

/// Looks for a node for a pod that has none.
pub(crate) async fn reconcile(world: &World, pod: &Value) -> Result<()> {
    let gates = get(pod, &["spec", "schedulingGates"]).and_then(Value::as_array);
    if gates.is_some_and(|gates| !gates.is_empty()) {
        let text = "Scheduling is blocked due to non-empty scheduling gates";
        return pending(world, pod, "SchedulingGated", text, None).await.map(drop);
    }
    if !placement::is_ours(pod) {
        return Ok(());
    }
    if meta::annotation(pod, SIMULATED).is_none() {
        let patch = json!({"metadata": {"annotations": {SIMULATED: "true"}}});
        world.patch(kind::POD, pod, "", patch).await.unless_gone()?;
    }
    // Noted before looking: room that comes in the meantime is not missed.
    world.state().loads.waiting.insert(name_of(pod));
    let volumes = match Volumes::of(world, pod) {
        Ok(volumes) => volumes,
        Err(reason) if world.options.strict => {
            return refused(world, pod, &Refusal::of_pod(world, reason)).await;
        }
        // What else there is on the real cluster is not known.
        Err(_) => Volumes::default(),
    };
    let node = match placement::choose(world, pod, &volumes) {
        Ok(node) => node,
        Err(refusal) => match node::any(world, pod) {
            Some(node) => node,
            None => return refused(world, pod, &refusal).await,
        },
    };
    if !volumes.unbound.is_empty() {
        // The pod comes back when they are bound.
        for claim in &volumes.unbound {
            super::volume::select(world, claim, &node).await?;
        }
        return Ok(());
    }
    let bound = bind(world, pod, &node).await;
    if bound.is_err() {
        world.state().loads.give_up(&name_of(pod));
    }
    bound
}

async fn bind(world: &World, pod: &Value, node: &str) -> Result<()> {
    let path =
        format!("{}/binding", kind::POD.path(meta::namespace(pod).unwrap_or_default(), meta::name(pod)));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": meta::name(pod), "namespace": meta::namespace(pod).unwrap_or_default()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    });
    // The watch brings the pod back with its node.
    crate::api::send(&world.client, "POST", &path, "application/json", Some(&binding)).await.unless_gone()?;
    Ok(())
}

/// No node takes the pod: lesser pods make room, or it waits.
async fn refused(world: &World, pod: &Value, refusal: &Refusal) -> Result<()> {
    let room =
        if refusal.is_of_pod() || is_making_room(world, pod) { None } else { placement::victims(world, pod) };
    let kept = world.state().loads.held(&name_of(pod)).cloned();
    let message = match (&room, &kept) {
        (None, None) => refusal.without_victims(),
        _ => refusal.message(),
    };
    let (nominated, victims) = match room {
        Some(Victims { node, pods }) => {
            world.state().loads.hold(name_of(pod), &node, Share::of(pod));
            (Some(node), pods)
        }
        None => (kept, Vec::new()),
    };
    // The status first: whoever looked at an old state of the pod says nothing twice.
    if pending(world, pod, "Unschedulable", &message, nominated).await? {
        event(world, pod, "Warning", "FailedScheduling", &message).await?;
    }
    for victim in victims {
        if world.state().loads.leaving.insert(name_of(&victim))
            && let Err(error) = evict(world, &victim, pod).await
        {
            world.state().loads.leaving.remove(&name_of(&victim));
            return Err(error);
        }
    }
    Ok(())
}

/// Whether lesser pods are still on their way out for this one.
fn is_making_room(world: &World, pod: &Value) -> bool {
    let Some(node) = world.state().loads.held(&name_of(pod)).cloned() else { return false };
    let priority = get_i64(pod, &["spec", "priority"]).unwrap_or(0);
    let leaving = world.state().loads.leaving.clone();
    let leaves = |own: &Arc<Value>| {
        get_str(own, &["spec", "nodeName"]) == Some(node.as_str())
            && (meta::deletion_timestamp(own).is_some() || leaving.contains(&name_of(own)))
            && get_i64(own, &["spec", "priority"]).unwrap_or(0) < priority
    };
    world.list(kind::POD, "").iter().any(leaves)
}

async fn evict(world: &World, victim: &Value, pod: &Value) -> Result<()> {
    if meta::deletion_timestamp(victim).is_some() {
        return Ok(());
    }
    let mut list = conditions(victim);
    let text = "default-scheduler: preempting to accommodate a higher priority pod";
    let target = condition("DisruptionTarget", true, "PreemptionByScheduler", text);
    set_condition(&mut list, &world.stamp(), target, false);
    world.patch(kind::POD, victim, "status", json!({"status": {"conditions": list}})).await.unless_gone()?;
    let text = format!(
        "Preempted by pod {} on node {}",
        meta::uid(pod),
        get_str(victim, &["spec", "nodeName"]).unwrap_or_default()
    );
    event(world, victim, "Normal", "Preempted", &text).await?;
    world.delete(kind::POD, victim, Policy::Background).await
}

async fn pending(
    world: &World,
    pod: &Value,
    reason: &str,
    message: &str,
    nominated: Option<String>,
) -> Result<bool> {
    let mut list = conditions(pod);
    set_condition(&mut list, &world.stamp(), condition("PodScheduled", false, reason, message), false);
    let status = json!({"phase": "Pending", "conditions": list, "nominatedNodeName": nominated});
    world.set_status(kind::POD, pod, status).await
}

/// What the scheduler has to say of a pod.
async fn event(world: &World, pod: &Value, severity: &str, reason: &str, message: &str) -> Result<()> {
    common::event(world, kind::POD, pod, "default-scheduler", (severity, reason), message).await
}
