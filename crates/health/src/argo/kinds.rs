//! The checks that Argo CD has without any script.

use object::{Gvk, Value, get, get_i64, get_str, meta};

use super::{Status, Verdict};
use crate::kstatus::conditions;

use Status::{Degraded, Healthy, Progressing, Suspended, Unknown};

/// Lets a Pod that never restarts count as healthy while it runs.
const IGNORE_RESTART_POLICY: &str = "argocd.argoproj.io/ignore-restart-policy";

/// The verdict on an object of a kind that is known without a script.
pub(super) fn judge(gvk: &Gvk, object: &Value) -> Option<Verdict> {
    Some(match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("extensions" | "networking.k8s.io", "Ingress") => balanced(object),
        ("", "Service") if get_str(object, &["spec", "type"]) == Some("LoadBalancer") => balanced(object),
        ("", "Service") => plain(Healthy),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Pod") => pod(object),
        ("batch", "Job") => job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object),
        ("apiregistration.k8s.io", "APIService") => api_service(object),
        ("argoproj.io", "Workflow") => workflow(object),
        _ => return None,
    })
}

fn plain(status: Status) -> Verdict {
    Verdict::new(status, "")
}

fn count(object: &Value, field: &str) -> i64 {
    get_i64(object, &["status", field]).unwrap_or(0)
}

fn wanted(object: &Value) -> Option<i64> {
    get_i64(object, &["spec", "replicas"])
}

fn generation(object: &Value) -> i64 {
    get_i64(object, &["metadata", "generation"]).unwrap_or(0)
}

fn behind(object: &Value, what: &str) -> Option<Verdict> {
    (generation(object) > count(object, "observedGeneration")).then(|| {
        let text =
            format!("Waiting for rollout to finish: observed {what} generation less then desired generation");
        Verdict::new(Progressing, text)
    })
}

fn deployment(object: &Value) -> Verdict {
    if get(object, &["spec", "paused"]) == Some(&Value::Bool(true)) {
        return Verdict::new(Suspended, "Deployment is paused");
    }
    if let Some(verdict) = behind(object, "deployment") {
        return verdict;
    }
    let progress = conditions(object).find(|found| found.kind == "Progressing");
    if progress.is_some_and(|found| found.reason == "ProgressDeadlineExceeded") {
        let text = format!("Deployment \"{}\" exceeded its progress deadline", meta::name(object));
        return Verdict::new(Degraded, text);
    }
    let (updated, all, available) =
        (count(object, "updatedReplicas"), count(object, "replicas"), count(object, "availableReplicas"));
    let text = match wanted(object) {
        Some(wanted) if updated < wanted => {
            format!("{updated} out of {wanted} new replicas have been updated...")
        }
        _ if all > updated => format!("{} old replicas are pending termination...", all - updated),
        _ if available < updated => format!("{available} of {updated} updated replicas are available..."),
        _ => return plain(Healthy),
    };
    Verdict::new(Progressing, format!("Waiting for rollout to finish: {text}"))
}

fn replica_set(object: &Value) -> Verdict {
    if let Some(verdict) = behind(object, "replica set") {
        return verdict;
    }
    let failure = conditions(object).find(|found| found.kind == "ReplicaFailure");
    if let Some(failure) = failure.filter(|found| found.status == "True") {
        return Verdict::new(Degraded, failure.message);
    }
    let available = count(object, "availableReplicas");
    match wanted(object) {
        Some(wanted) if available < wanted => {
            let text = format!(
                "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
            );
            Verdict::new(Progressing, text)
        }
        _ => plain(Healthy),
    }
}

fn daemon_set(object: &Value) -> Verdict {
    if let Some(verdict) = behind(object, "daemon set") {
        return verdict;
    }
    let (updated, desired) =
        (count(object, "updatedNumberScheduled"), count(object, "desiredNumberScheduled"));
    let available = count(object, "numberAvailable");
    if get_str(object, &["spec", "updateStrategy", "type"]) == Some("OnDelete") {
        return Verdict::new(
            Healthy,
            format!("daemon set {updated} out of {desired} new pods have been updated"),
        );
    }
    let text = if updated < desired {
        format!("{updated} out of {desired} new pods have been updated...")
    } else if available < desired {
        format!("{available} of {desired} updated pods are available...")
    } else {
        return plain(Healthy);
    };
    let name = meta::name(object);
    Verdict::new(Progressing, format!("Waiting for daemon set \"{name}\" rollout to finish: {text}"))
}

fn stateful_set(object: &Value) -> Verdict {
    let observed = count(object, "observedGeneration");
    if observed == 0 || generation(object) > observed {
        return Verdict::new(Progressing, "Waiting for statefulset spec update to be observed...");
    }
    let (ready, updated) = (count(object, "readyReplicas"), count(object, "updatedReplicas"));
    let wanted = wanted(object);
    if let Some(wanted) = wanted.filter(|wanted| ready < *wanted) {
        return Verdict::new(Progressing, format!("Waiting for {} pods to be ready...", wanted - ready));
    }
    let strategy = get_str(object, &["spec", "updateStrategy", "type"]).unwrap_or_default();
    if strategy == "RollingUpdate" && get(object, &["spec", "updateStrategy", "rollingUpdate"]).is_some() {
        let partition = get_i64(object, &["spec", "updateStrategy", "rollingUpdate", "partition"]);
        if let (Some(wanted), Some(partition)) = (wanted, partition)
            && updated < wanted - partition
        {
            let due = wanted - partition;
            let text = format!(
                "Waiting for partitioned roll out to finish: {updated} out of {due} new pods have been updated..."
            );
            return Verdict::new(Progressing, text);
        }
        let text = format!("partitioned roll out complete: {updated} new pods have been updated...");
        return Verdict::new(Healthy, text);
    }
    if strategy == "OnDelete" {
        return Verdict::new(Healthy, format!("statefulset has {ready} ready pods"));
    }
    let revision = |field: &str| get_str(object, &["status", field]).unwrap_or_default();
    let (current, update) = (revision("currentRevision"), revision("updateRevision"));
    if current != update {
        let text = format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {update}..."
        );
        return Verdict::new(Progressing, text);
    }
    let done = count(object, "currentReplicas");
    Verdict::new(Healthy, format!("statefulset rolling update complete {done} pods at revision {current}..."))
}

/// Healthy as soon as the load balancer has an address.
fn balanced(object: &Value) -> Verdict {
    let ingress = get(object, &["status", "loadBalancer", "ingress"]).and_then(Value::as_array);
    plain(if ingress.is_some_and(|list| !list.is_empty()) { Healthy } else { Progressing })
}

fn claim(object: &Value) -> Verdict {
    plain(match get_str(object, &["status", "phase"]) {
        Some("Lost") => Degraded,
        Some("Pending") => Progressing,
        Some("Bound") => Healthy,
        _ => Unknown,
    })
}

fn containers<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    get(object, &["status", field]).and_then(Value::as_array).into_iter().flatten()
}

fn pod(object: &Value) -> Verdict {
    let message = get_str(object, &["status", "message"]).unwrap_or_default();
    // The API server's default; Argo CD sees only objects that went through it.
    let policy = get_str(object, &["spec", "restartPolicy"]).unwrap_or_default();
    if policy == "Always" {
        let stuck: Vec<&str> = containers(object, "containerStatuses")
            .filter_map(|found| found.pointer("/state/waiting"))
            .filter(|waiting| {
                let reason = get_str(waiting, &["reason"]).unwrap_or_default();
                reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff")
            })
            .map(|waiting| get_str(waiting, &["message"]).unwrap_or_default())
            .collect();
        if !stuck.is_empty() {
            return Verdict::new(Degraded, stuck.join(", "));
        }
    }
    match get_str(object, &["status", "phase"]).unwrap_or_default() {
        "Pending" => Verdict::new(Progressing, message),
        "Succeeded" => Verdict::new(Healthy, message),
        "Failed" if !message.is_empty() => Verdict::new(Degraded, message),
        "Failed" => Verdict::new(Degraded, why_failed(object).unwrap_or_default()),
        "Running" if policy == "Always" => running(object, message),
        "Running" if policy == "OnFailure" || policy == "Never" => {
            let ignored = meta::annotation(object, IGNORE_RESTART_POLICY) == Some("true");
            Verdict::new(if ignored { Healthy } else { Progressing }, message)
        }
        _ => Verdict::new(Unknown, message),
    }
}

fn running(object: &Value, message: &str) -> Verdict {
    if conditions(object).any(|found| found.kind == "Ready" && found.status == "True") {
        return Verdict::new(Healthy, message);
    }
    let fell =
        containers(object, "containerStatuses").any(|found| found.pointer("/lastState/terminated").is_some());
    Verdict::new(if fell { Degraded } else { Progressing }, message)
}

/// The first container that tells why it ended.
fn why_failed(object: &Value) -> Option<String> {
    let all = containers(object, "initContainerStatuses").chain(containers(object, "containerStatuses"));
    for container in all {
        let Some(ended) = container.pointer("/state/terminated") else { continue };
        if let Some(text) = get_str(ended, &["message"]).filter(|text| !text.is_empty()) {
            return Some(text.to_owned());
        }
        if get_str(ended, &["reason"]) == Some("OOMKilled") {
            return Some("OOMKilled".to_owned());
        }
        let code = get_i64(ended, &["exitCode"]).unwrap_or(0);
        if code != 0 {
            let name = get_str(container, &["name"]).unwrap_or_default();
            return Some(format!("container \"{name}\" failed with exit code {code}"));
        }
    }
    None
}

fn job(object: &Value) -> Verdict {
    let (mut failed, mut suspended, mut complete) = (None, None, None);
    for found in conditions(object) {
        match found.kind {
            "Failed" => failed = Some(found.message),
            "Complete" => complete = Some(found.message),
            "Suspended" => {
                complete = Some(found.message);
                suspended = (found.status == "True").then_some(found.message);
            }
            _ => {}
        }
    }
    match (failed, suspended, complete) {
        (Some(message), _, _) => Verdict::new(Degraded, message),
        (None, Some(message), _) => Verdict::new(Suspended, message),
        (None, None, Some(message)) if conditions(object).any(|found| found.kind == "Complete") => {
            Verdict::new(Healthy, message)
        }
        _ => plain(Progressing),
    }
}

/// The conditions of an autoscaler; version 1 keeps them in an annotation.
fn autoscaler(object: &Value) -> Verdict {
    let waiting = || Verdict::new(Progressing, "Waiting to Autoscale");
    let list = match get_str(object, &["apiVersion"]) {
        Some("autoscaling/v1") => {
            let Some(text) = meta::annotation(object, "autoscaling.alpha.kubernetes.io/conditions") else {
                return waiting();
            };
            match serde_json::from_str::<Value>(text) {
                Ok(list) => list,
                Err(error) => {
                    let text = format!("failed to convert conditions annotation to typed: {error}");
                    return Verdict::new(Unknown, text);
                }
            }
        }
        _ => get(object, &["status", "conditions"]).cloned().unwrap_or_default(),
    };
    for entry in list.as_array().into_iter().flatten() {
        let text = |key: &str| get_str(entry, &[key]).unwrap_or_default();
        match (text("type"), text("reason")) {
            ("AbleToScale", "FailedGetScale" | "FailedUpdateScale")
            | (
                "ScalingActive",
                "FailedGetResourceMetric"
                | "InvalidSelector"
                | "FailedGetExternalMetric"
                | "FailedGetObjectMetric"
                | "FailedGetPodsMetric"
                | "FailedGetContainerResourceMetric",
            ) => return Verdict::new(Degraded, text("message")),
            ("AbleToScale", "SucceededRescale")
            | ("ScalingLimited", "DesiredWithinRange" | "TooFewReplicas" | "TooManyReplicas") => {
                return Verdict::new(Healthy, text("message"));
            }
            _ => {}
        }
    }
    waiting()
}

fn api_service(object: &Value) -> Verdict {
    match conditions(object).find(|found| found.kind == "Available") {
        Some(found) => {
            let status = if found.status == "True" { Healthy } else { Progressing };
            Verdict::new(status, format!("{}: {}", found.reason, found.message))
        }
        None => Verdict::new(Progressing, "Waiting to be processed"),
    }
}

fn workflow(object: &Value) -> Verdict {
    let message = get_str(object, &["status", "message"]).unwrap_or_default();
    let status = match get_str(object, &["status", "phase"]).unwrap_or_default() {
        "" | "Pending" | "Running" => Progressing,
        "Succeeded" => Healthy,
        "Failed" | "Error" => Degraded,
        _ => Unknown,
    };
    Verdict::new(status, message)
}
