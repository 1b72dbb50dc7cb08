//! The simulated nodes.

use crate::SIMULATED;
use crate::error::Result;
use crate::kind;
use crate::world::World;
use object::{Value, meta};
use serde_json::json;

/// The name of the first node.
const FIRST: &str = "landfall-0";

/// Creates the nodes that are not there.
pub(crate) async fn foundation(world: &World) -> Result<()> {
    for index in 0..world.options.nodes.max(1) {
        let name = format!("landfall-{index}");
        if world.get(kind::NODE, "", &name).is_none() {
            match world.create(kind::NODE, node(&name)).await {
                Ok(_) => {}
                Err(error) if error.is_there() => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(object) = world.get(kind::NODE, "", &name)
            && object.get("status").is_none_or(|status| status.get("conditions").is_none())
        {
            world.set_status(kind::NODE, &object, status(world, &name, index)).await?;
        }
        // Every node starts as not ready; ours is.
        if let Some(object) = world.get(kind::NODE, "", &name)
            && let Some(taints) = object::get(&object, &["spec", "taints"]).and_then(Value::as_array)
        {
            let not_ready =
                |taint: &&Value| object::get_str(taint, &["key"]) == Some("node.kubernetes.io/not-ready");
            let kept: Vec<&Value> = taints.iter().filter(|taint| !not_ready(taint)).collect();
            if kept.len() < taints.len() {
                let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
                world.patch(kind::NODE, &object, "", json!({"spec": {"taints": kept}})).await?;
            }
        }
    }
    Ok(())
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
                "beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
                "node-role.kubernetes.io/control-plane": "", "topology.kubernetes.io/zone": "local",
                "topology.kubernetes.io/region": "local",
            },
            "annotations": {SIMULATED: "true"},
        },
        "spec": {"podCIDR": "10.244.0.0/16", "podCIDRs": ["10.244.0.0/16"], "providerID": format!("landfall://{name}")},
    })
}

fn status(world: &World, name: &str, index: u32) -> Value {
    let now = world.stamp();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        })
    };
    let capacity = json!({
        "cpu": "512", "memory": "4Ti", "pods": "10000", "ephemeral-storage": "16Ti", "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    });
    json!({
        "capacity": capacity, "allocatable": capacity,
        "addresses": [
            {"type": "InternalIP", "address": address(index)},
            {"type": "Hostname", "address": name},
        ],
        "conditions": [
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            condition("Ready", "True", "KubeletReady", "simulated by landfall: no container runs"),
        ],
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "kernelVersion": "simulated", "osImage": "Landfall",
            "containerRuntimeVersion": "simulated://1", "kubeletVersion": "v1.34.2", "kubeProxyVersion": "v1.34.2",
            "machineID": name, "systemUUID": name, "bootID": name, "swap": {"capacity": 0},
        },
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    })
}

/// The address of the node with this number.
fn address(index: u32) -> String {
    format!("10.95.{}.{}", index / 250, index % 250 + 1)
}

/// The address of a node by name.
pub(crate) fn address_of(world: &World, name: &str) -> String {
    let own = world.get(kind::NODE, "", name).and_then(|node| {
        let list = object::get(&node, &["status", "addresses"])?.as_array()?.clone();
        let own = list.iter().find(|own| object::get_str(own, &["type"]) == Some("InternalIP"))?.clone();
        object::get_str(&own, &["address"]).map(String::from)
    });
    own.unwrap_or_else(|| address(0))
}

/// A node for a pod that none takes, where pods do not wait for one.
pub(crate) fn any(world: &World, pod: &Value) -> Option<String> {
    if world.options.strict {
        return None;
    }
    world.notice(format!(
        "Pods that no simulated node fits are put on one anyway, for example {}/{}.",
        meta::namespace(pod).unwrap_or_default(),
        meta::name(pod)
    ));
    Some(pick(world))
}

/// The node for the next pod: in turns.
fn pick(world: &World) -> String {
    let nodes = world.list(kind::NODE, "");
    if nodes.len() < 2 {
        return nodes.first().map_or(FIRST.to_string(), |node| meta::name(node).to_string());
    }
    let turn = usize::try_from(world.next()).unwrap_or(0) % nodes.len();
    nodes.get(turn).map_or(FIRST.to_string(), |node| meta::name(node).to_string())
}
