//! Pods: started, ready, done, gone, without a container.

use super::common::{condition, phase, set_condition};
use super::ending::{self, End};
use super::node;
use crate::api::Policy;
use crate::error::Result;
use crate::graph::owners;
use crate::kind;
use crate::names;
use crate::placement::refused_by_node;
use crate::time::after;
use crate::world::World;
use jiff::Timestamp;
use object::{Quantity, Value, get, get_bool, get_str, meta};
use serde_json::json;
use std::time::Duration;

/// Brings a pod one step further.
pub(crate) async fn reconcile(world: &World, pod: &Value) -> Result<()> {
    if meta::deletion_timestamp(pod).is_some() {
        release_address(world, pod);
        // There is no container to wait for.
        return world.delete(kind::POD, pod, Policy::Background).await;
    }
    let placed = !get_str(pod, &["spec", "nodeName"]).unwrap_or_default().is_empty();
    if placed && super::taints::evicts(world, pod).await? {
        return Ok(());
    }
    if matches!(phase(pod), "Succeeded" | "Failed") {
        return Ok(());
    }
    if !placed {
        return super::scheduler::reconcile(world, pod).await;
    }
    if world.options.strict
        && is_new(world, pod)
        && let Some((reason, message)) = refused_by_node(world, pod)
    {
        let status =
            json!({"phase": "Failed", "reason": reason, "message": message, "startTime": world.stamp()});
        world.set_status(kind::POD, pod, status).await?;
        return Ok(());
    }
    let started = started(world, pod);
    let now = world.now();
    let ready_at = after(started, world.options.ready_delay);
    if now < ready_at {
        world.set_status(kind::POD, pod, status(world, pod, started, Stage::Starting)).await?;
        world.look_again(kind::POD, pod, ready_at.duration_since(now).unsigned_abs());
        return Ok(());
    }
    let Some((lasts, code)) = end(world, pod) else {
        world.set_status(kind::POD, pod, status(world, pod, started, Stage::Running)).await?;
        return Ok(());
    };
    let done_at = after(ready_at, lasts);
    if now < done_at {
        world.set_status(kind::POD, pod, status(world, pod, started, Stage::Running)).await?;
        world.look_again(kind::POD, pod, done_at.duration_since(now).unsigned_abs());
        return Ok(());
    }
    release_address(world, pod);
    world.set_status(kind::POD, pod, status(world, pod, started, Stage::Ended(code))).await?;
    Ok(())
}

/// How long its containers run and the exit code then, when they end and nobody starts them again.
fn end(world: &World, pod: &Value) -> Option<(Duration, i64)> {
    if !ends_by_itself(pod) {
        return None;
    }
    let end = {
        let state = &mut *world.state();
        let node = get_str(pod, &["spec", "nodeName"]).unwrap_or_default();
        let files = state.files.entry(node.to_owned()).or_default();
        *state.ends.entry(meta::uid(pod).to_owned()).or_insert_with(|| ending::of(pod, files))
    };
    match end {
        End::Usual => Some((world.options.run_delay, 0)),
        End::Never => None,
        End::After(_, code) if code != 0 && get_str(pod, &["spec", "restartPolicy"]) != Some("Never") => None,
        End::After(time, code) => Some((time.max(world.options.run_delay), code)),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Starting,
    Running,
    /// Its containers ended, with this exit code.
    Ended(i64),
}

/// Its node has not begun with it yet.
fn is_new(world: &World, pod: &Value) -> bool {
    get_str(pod, &["status", "startTime"]).is_none() && !world.state().started.contains_key(meta::uid(pod))
}

/// When the pod was first seen on its node. What was running before this process started does not start over.
fn started(world: &World, pod: &Value) -> Timestamp {
    if let Some(time) = get_str(pod, &["status", "startTime"]).and_then(crate::time::parse)
        && phase(pod) == "Running"
    {
        return world.state().started.get(meta::uid(pod)).copied().unwrap_or(time);
    }
    let now = world.now();
    *world.state().started.entry(meta::uid(pod).to_string()).or_insert(now)
}

/// Whether its containers are meant to end: a job's, or one that nobody restarts.
fn ends_by_itself(pod: &Value) -> bool {
    let policy = get_str(pod, &["spec", "restartPolicy"]).unwrap_or("Always");
    let of_job = owners(pod).iter().any(|owner| owner.controller && owner.kind == "Job");
    of_job || policy != "Always"
}

fn status(world: &World, pod: &Value, started: Timestamp, stage: Stage) -> Value {
    let now = world.stamp();
    let start = crate::time::stamp(started);
    let running = stage == Stage::Running;
    let finished = matches!(stage, Stage::Ended(_));
    let up = running && gates_open(pod);
    let mut list = super::common::conditions(pod);
    let mut set = |kind: &str, status: bool, reason: &str, message: &str| {
        let mut wanted = condition(kind, status, reason, message);
        if let Some(map) = wanted.as_object_mut()
            && reason.is_empty()
        {
            map.remove("reason");
            map.remove("message");
        }
        set_condition(&mut list, &now, wanted, false);
    };
    set("PodScheduled", true, "", "");
    set("PodReadyToStartContainers", !finished, "", "");
    set(
        "Initialized",
        stage != Stage::Starting || init_containers(pod).is_empty(),
        if stage == Stage::Ended(0) { "PodCompleted" } else { "" },
        "",
    );
    let waiting = container_names(pod).join(" ");
    for (kind, value) in [("Ready", up), ("ContainersReady", running)] {
        match stage {
            Stage::Ended(0) => set(kind, false, "PodCompleted", ""),
            Stage::Ended(_) => set(kind, false, "PodFailed", ""),
            Stage::Starting => {
                set(
                    kind,
                    false,
                    "ContainersNotReady",
                    &format!("containers with unready status: [{waiting}]"),
                );
            }
            Stage::Running if value => set(kind, true, "", ""),
            Stage::Running => {
                set(kind, false, "ReadinessGatesNotReady", "a readiness gate of the pod is not true")
            }
        }
    }
    let mut status = json!({
        "phase": match stage {
            Stage::Starting => "Pending",
            Stage::Running => "Running",
            Stage::Ended(0) => "Succeeded",
            Stage::Ended(_) => "Failed",
        },
        "conditions": list,
        "startTime": start,
        "qosClass": quality(pod),
        "containerStatuses": containers(pod, "containers", stage, &start, &now),
    });
    if !init_containers(pod).is_empty() {
        object::set(
            &mut status,
            &["initContainerStatuses"],
            containers(pod, "initContainers", stage, &start, &now),
        );
    }
    let host = node::address_of(world, get_str(pod, &["spec", "nodeName"]).unwrap_or_default());
    object::set(&mut status, &["hostIPs"], json!([{"ip": host}]));
    let address = address(world, pod, &host);
    object::set(&mut status, &["hostIP"], host.into());
    if stage != Stage::Starting {
        object::set(&mut status, &["podIPs"], json!([{"ip": address}]));
        object::set(&mut status, &["podIP"], address.into());
    }
    status
}

fn gates_open(pod: &Value) -> bool {
    let gates = get(pod, &["spec", "readinessGates"]).and_then(Value::as_array);
    gates.is_none_or(|gates| {
        gates
            .iter()
            .all(|gate| super::common::is_true(pod, get_str(gate, &["conditionType"]).unwrap_or_default()))
    })
}

fn init_containers(pod: &Value) -> &[Value] {
    get(pod, &["spec", "initContainers"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn container_names(pod: &Value) -> Vec<&str> {
    let list =
        get(pod, &["spec", "containers"]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|container| get_str(container, &["name"])).collect()
}

fn containers(pod: &Value, field: &str, stage: Stage, start: &str, now: &str) -> Value {
    let list = get(pod, &["spec", field]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let init = field == "initContainers";
    let old = get(pod, &["status", if init { "initContainerStatuses" } else { "containerStatuses" }]);
    let statuses = list.iter().map(|container| {
        let name = get_str(container, &["name"]).unwrap_or_default();
        let image = get_str(container, &["image"]).unwrap_or_default();
        let sidecar = init && get_str(container, &["restartPolicy"]) == Some("Always");
        let id = format!("simulated://{}", names::letters(&format!("{}{name}", meta::uid(pod)), 24));
        let code = match stage {
            Stage::Ended(code) if !init => code,
            _ => 0,
        };
        let reason = if code == 0 { "Completed" } else { "Error" };
        let ended = json!({"terminated": {
            "exitCode": code, "reason": reason, "startedAt": start, "finishedAt": finished_at(old, name, now),
            "containerID": id,
        }});
        let runs = json!({"running": {"startedAt": running_since(old, name, now)}});
        let state = match stage {
            Stage::Starting => json!({"waiting": {"reason": if init { "PodInitializing" } else { "ContainerCreating" }}}),
            Stage::Running if init && !sidecar => ended,
            Stage::Running => runs,
            Stage::Ended(_) => ended,
        };
        let up = stage == Stage::Running || (init && matches!(stage, Stage::Ended(_)));
        let mut status = json!({
            "name": name, "image": image, "imageID": "", "ready": up, "restartCount": 0, "lastState": {}, "state": state,
            "started": stage == Stage::Running && (!init || sidecar),
        });
        if stage != Stage::Starting {
            object::set(&mut status, &["containerID"], id.into());
            object::set(&mut status, &["imageID"], image.into());
        }
        status
    });
    Value::Array(statuses.collect())
}

/// Times that were written stay.
fn written(old: Option<&Value>, name: &str, path: &[&str]) -> Option<String> {
    let own = old?.as_array()?.iter().find(|own| get_str(own, &["name"]) == Some(name))?;
    get_str(own, path).map(String::from)
}

fn running_since(old: Option<&Value>, name: &str, now: &str) -> String {
    written(old, name, &["state", "running", "startedAt"]).unwrap_or_else(|| now.to_string())
}

fn finished_at(old: Option<&Value>, name: &str, now: &str) -> String {
    written(old, name, &["state", "terminated", "finishedAt"]).unwrap_or_else(|| now.to_string())
}

/// The pod's own address, or its host's.
fn address(world: &World, pod: &Value, host: &str) -> String {
    if get_bool(pod, &["spec", "hostNetwork"]).unwrap_or(false) {
        return host.to_string();
    }
    if let Some(address) = get_str(pod, &["status", "podIP"]) {
        world.state().addresses.insert(address.to_string());
        return address.to_string();
    }
    let uid = meta::uid(pod);
    let mut state = world.state();
    let seed = uid.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    for step in 0..65_000u32 {
        let number = seed.wrapping_add(step) % 65_000 + 256;
        let address = format!("10.244.{}.{}", number / 256 % 256, number % 256);
        if state.addresses.insert(address.clone()) {
            return address;
        }
    }
    // More pods than addresses: they share.
    "10.244.0.2".to_string()
}

fn release_address(world: &World, pod: &Value) {
    if let Some(address) = get_str(pod, &["status", "podIP"]) {
        world.state().addresses.remove(address);
    }
}

/// The quality-of-service class by the resources of all containers.
fn quality(pod: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let all: Vec<&Value> =
        lists.iter().filter_map(|list| get(pod, &["spec", list])?.as_array()).flatten().collect();
    let amount = |container: &Value, side: &str, name: &str| {
        let value = get(container, &["resources", side, name])?;
        Quantity::from_value(value).ok().filter(|amount| !amount.is_zero()).map(|amount| amount.milli_value())
    };
    let (mut any, mut guaranteed) = (false, !all.is_empty());
    for container in all {
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount(container, "requests", name), amount(container, "limits", name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
        _ => "BestEffort",
    }
}
