//! Taints that drive pods off their node: at once, or when the time is over for which a pod puts up with them.

use super::common::{condition, conditions, event, set_condition};
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::placement::tolerated;
use crate::time::after;
use crate::world::World;
use object::{Value, get, get_i64, get_str, meta};
use serde_json::json;
use std::time::Duration;

/// Who says so in events.
const CONTROLLER: &str = "taint-eviction-controller";

/// The taints of a node that pods have to tolerate to stay.
pub(crate) fn driving(node: &Value) -> Vec<&Value> {
    let list = get(node, &["spec", "taints"]).and_then(Value::as_array);
    list.into_iter().flatten().filter(|taint| get_str(taint, &["effect"]) == Some("NoExecute")).collect()
}

/// How long a pod stays beside these taints; `None` for ever.
fn patience(pod: &Value, taints: &[&Value]) -> Option<Duration> {
    let tolerations = get(pod, &["spec", "tolerations"]).and_then(Value::as_array);
    let tolerations = tolerations.map(Vec::as_slice).unwrap_or_default();
    let mut least: Option<i64> = None;
    for taint in taints {
        // The first that fits counts, even where a later one would be more patient.
        let Some(own) = tolerations.iter().find(|own| tolerated(own, taint)) else {
            return Some(Duration::ZERO);
        };
        if let Some(seconds) = get_i64(own, &["tolerationSeconds"]) {
            least = Some(least.map_or(seconds, |own| own.min(seconds)));
        }
    }
    least.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Deletes a pod that may not stay on its node. Answers whether it did.
pub(crate) async fn evicts(world: &World, pod: &Value) -> Result<bool> {
    let node = world.get(kind::NODE, "", get_str(pod, &["spec", "nodeName"]).unwrap_or_default());
    let taints = node.as_deref().map(driving).unwrap_or_default();
    let uid = meta::uid(pod);
    let patience = if taints.is_empty() { None } else { patience(pod, &taints) };
    let name = format!("{}/{}", meta::namespace(pod).unwrap_or_default(), meta::name(pod));
    let Some(patience) = patience else {
        let planned = world.state().evictions.remove(uid).is_some();
        if planned {
            let text = format!("Cancelling deletion of Pod {name}");
            event(world, kind::POD, pod, CONTROLLER, ("Normal", "TaintManagerEviction"), &text).await?;
        }
        return Ok(false);
    };
    let now = world.now();
    let since = *world.state().evictions.entry(uid.to_owned()).or_insert(now);
    let due = after(since, patience);
    if now < due {
        world.look_again(kind::POD, pod, due.duration_since(now).unsigned_abs());
        return Ok(false);
    }
    // What it writes itself brings the pod back before its end does.
    if !world.state().driven.insert(uid.to_owned()) {
        return Ok(true);
    }
    let done = evict(world, pod, &name).await;
    if done.is_err() {
        world.state().driven.remove(uid);
    }
    done.map(|()| true)
}

async fn evict(world: &World, pod: &Value, name: &str) -> Result<()> {
    let text = format!("Marking for deletion Pod {name}");
    event(world, kind::POD, pod, CONTROLLER, ("Normal", "TaintManagerEviction"), &text).await?;
    let mut list = conditions(pod);
    let text = "Taint manager: deleting due to NoExecute taint";
    let target = condition("DisruptionTarget", true, "DeletionByTaintManager", text);
    set_condition(&mut list, &world.stamp(), target, false);
    world.patch(kind::POD, pod, "status", json!({"status": {"conditions": list}})).await.unless_gone()?;
    world.delete(kind::POD, pod, Policy::Background).await
}
