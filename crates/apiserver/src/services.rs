//! What a changed Service keeps of what it was given, and what goes with its old type.

use object::{get, get_i64, get_str, remove, set};
use serde_json::Value;

fn kind(service: &Value) -> &str {
    get_str(service, &["spec", "type"]).unwrap_or("ClusterIP")
}

fn addressed(service: &Value) -> bool {
    matches!(kind(service), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn on_nodes(service: &Value) -> bool {
    match kind(service) {
        "NodePort" => true,
        "LoadBalancer" => {
            object::get_bool(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(false)
        }
        _ => false,
    }
}

fn ports(service: &Value) -> Vec<Value> {
    get(service, &["spec", "ports"]).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn node_ports(service: &Value) -> Vec<i64> {
    let mut all: Vec<i64> = ports(service)
        .iter()
        .filter_map(|port| get_i64(port, &["nodePort"]))
        .filter(|own| *own != 0)
        .collect();
    all.sort_unstable();
    all
}

/// Fields that a new state of a service takes over or loses before it is judged.
pub fn prepare_update(live: &Value, value: &mut Value) {
    keep_allocated(live, value);
    drop_dependent(live, value);
}

/// Whoever leaves out what was allocated keeps it.
fn keep_allocated(live: &Value, value: &mut Value) {
    let text =
        |service: &Value, field: &str| get_str(service, &["spec", field]).unwrap_or_default().to_owned();
    if addressed(live) && addressed(value) {
        if text(value, "clusterIP").is_empty() {
            copy(live, value, "clusterIP");
        }
        let none = get(value, &["spec", "clusterIPs"]).and_then(Value::as_array).is_none_or(Vec::is_empty);
        if none && text(value, "clusterIP") == text(live, "clusterIP") {
            copy(live, value, "clusterIPs");
        }
    }
    if on_nodes(live) && on_nodes(value) {
        let before = ports(live);
        let taken = node_ports(value);
        let list = object::get_mut(value, &["spec", "ports"]).and_then(Value::as_array_mut);
        for port in list.into_iter().flatten().filter(|port| get_i64(port, &["nodePort"]).unwrap_or(0) == 0) {
            let same = |old: &&Value| {
                old.get("port") == port.get("port") && old.get("protocol") == port.get("protocol")
            };
            let own = before.iter().find(same).and_then(|old| get_i64(old, &["nodePort"]));
            if let Some(own) = own.filter(|own| *own != 0 && !taken.contains(own)) {
                set(port, &["nodePort"], own.into());
            }
        }
    }
    let checked = |service: &Value| {
        kind(service) == "LoadBalancer"
            && get_str(service, &["spec", "externalTrafficPolicy"]) == Some("Local")
    };
    if checked(live) && checked(value) && get_i64(value, &["spec", "healthCheckNodePort"]).unwrap_or(0) == 0 {
        copy(live, value, "healthCheckNodePort");
    }
}

/// What belonged to the old type goes with it, unless it was changed too.
fn drop_dependent(live: &Value, value: &mut Value) {
    let same = |value: &Value, field: &str| get(live, &["spec", field]) == get(value, &["spec", field]);
    if addressed(live) && !addressed(value) {
        if same(value, "clusterIP") && same(value, "clusterIPs") {
            drop(value, "clusterIP");
            drop(value, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if same(value, field) {
                drop(value, field);
            }
        }
    }
    if on_nodes(live) && !on_nodes(value) && node_ports(live) == node_ports(value) {
        let list = object::get_mut(value, &["spec", "ports"]).and_then(Value::as_array_mut);
        for port in list.into_iter().flatten() {
            remove(port, &["nodePort"]);
        }
    }
    if kind(live) == "LoadBalancer" && kind(value) != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"] {
            if same(value, field) {
                drop(value, field);
            }
        }
    }
    let outside = |service: &Value| {
        let addresses = get(service, &["spec", "externalIPs"]).and_then(Value::as_array);
        matches!(kind(service), "NodePort" | "LoadBalancer") || addresses.is_some_and(|list| !list.is_empty())
    };
    if outside(live) && !outside(value) && same(value, "externalTrafficPolicy") {
        drop(value, "externalTrafficPolicy");
    }
}

fn copy(live: &Value, value: &mut Value, field: &str) {
    if let Some(own) = get(live, &["spec", field]) {
        set(value, &["spec", field], own.clone());
    }
}

fn drop(value: &mut Value, field: &str) {
    remove(value, &["spec", field]);
}
