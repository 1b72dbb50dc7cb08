//! When an object counts as ready, and when a hook as done.

use health::Status;
use object::{Key, Value, get, get_str};

/// What is said of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It is.
    Yes,
    /// Not yet, and why.
    NotYet(String),
    /// It will never be, and why.
    Never(String),
}

/// Whether Helm would wait for an object of a release any longer.
pub fn object(key: &Key, live: Option<&Value>) -> Ready {
    let Some(live) = live else { return Ready::NotYet("it does not exist".into()) };
    if key.kind == "Job" && key.group == "batch" {
        return job(key, live);
    }
    match (key.group.as_str(), key.kind.as_str()) {
        // A paused Deployment is as ready as it will get.
        ("apps", "Deployment") if get(live, &["spec", "paused"]) == Some(&Value::Bool(true)) => {
            return Ready::Yes;
        }
        ("", "Service") => return service(live),
        ("", "Pod" | "PersistentVolumeClaim" | "ReplicationController")
        | ("apps", "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet")
        | ("apiextensions.k8s.io", "CustomResourceDefinition") => {}
        // Of all the rest helm expects nothing but that it exists.
        _ => return Ready::Yes,
    }
    // Time plays no part in what helm waits for.
    let verdict = health::status(live, 0);
    match verdict.status {
        Status::Current => Ready::Yes,
        _ => Ready::NotYet(verdict.message),
    }
}

/// A hook's object: Jobs and Pods run to their end, everything else only has to exist.
pub(crate) fn hook(key: &Key, live: Option<&Value>) -> Ready {
    let Some(live) = live else {
        // It was deleted once it had done its work.
        return Ready::Yes;
    };
    match key.kind.as_str() {
        "Job" => job(key, live),
        "Pod" => match get_str(live, &["status", "phase"]).unwrap_or_default() {
            "Succeeded" => Ready::Yes,
            "Failed" => Ready::Never(format!("pod {} failed", key.name)),
            phase => Ready::NotYet(format!("phase {phase:?}")),
        },
        _ => Ready::Yes,
    }
}

/// A load balancer needs an address, unless it was given one.
fn service(live: &Value) -> Ready {
    let filled =
        |path: &[&str]| get(live, path).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let balanced = get_str(live, &["spec", "type"]) == Some("LoadBalancer");
    match balanced && !filled(&["spec", "externalIPs"]) && !filled(&["status", "loadBalancer", "ingress"]) {
        true => Ready::NotYet("the load balancer has no address".into()),
        false => Ready::Yes,
    }
}

fn job(key: &Key, live: &Value) -> Ready {
    let conditions = get(live, &["status", "conditions"]).and_then(Value::as_array);
    for condition in conditions.into_iter().flatten() {
        let text = |field: &str| get_str(condition, &[field]).unwrap_or_default();
        match (text("type"), text("status")) {
            ("Complete", "True") => return Ready::Yes,
            ("Failed", "True") => {
                return Ready::Never(format!("job {} failed: {}", key.name, text("reason")));
            }
            _ => {}
        }
    }
    Ready::NotYet("the job is not complete".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(live: Value) -> Ready {
        object(&Key::of(&live).unwrap(), Some(&live))
    }

    #[test]
    fn what_helm_waits_for() {
        let named = |mut live: Value| {
            live["metadata"] = json!({"name": "x", "namespace": "y", "generation": 1});
            live
        };
        let balancer = json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}});
        assert!(matches!(judged(named(balancer.clone())), Ready::NotYet(_)));
        let mut given = balancer;
        given["spec"]["externalIPs"] = json!(["10.0.0.1"]);
        assert_eq!(judged(named(given)), Ready::Yes);
        let custom = json!({"apiVersion": "x.dev/v1", "kind": "X", "status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        assert_eq!(judged(named(custom)), Ready::Yes);
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}});
        assert!(matches!(judged(named(deployment.clone())), Ready::NotYet(_)));
        let mut paused = deployment;
        paused["spec"]["paused"] = json!(true);
        assert_eq!(judged(named(paused)), Ready::Yes);
        let failed = json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}});
        assert_eq!(judged(named(failed)), Ready::Never("job x failed: BackoffLimitExceeded".into()));
    }

    #[test]
    fn a_hook_of_any_kind_is_done_when_it_exists() {
        let key = Key::new("", "Pod", "y", "x");
        let pod = |phase: &str| json!({"status": {"phase": phase}});
        assert!(matches!(hook(&key, Some(&pod("Running"))), Ready::NotYet(_)));
        assert_eq!(hook(&key, Some(&pod("Succeeded"))), Ready::Yes);
        assert_eq!(hook(&key, Some(&pod("Failed"))), Ready::Never("pod x failed".into()));
        assert_eq!(hook(&Key::new("", "Secret", "y", "x"), Some(&json!({}))), Ready::Yes);
    }
}
