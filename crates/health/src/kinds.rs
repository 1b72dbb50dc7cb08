//! The rules for the kinds that Kubernetes itself runs.

use object::{Gvk, Value, get, get_i64, get_str, meta};

use crate::Health;
use crate::kstatus::conditions;

/// How long a Pod may wait for a node before it counts as unschedulable.
const SCHEDULE_WINDOW: i64 = 15;

/// The verdict on an object of a known kind.
pub(crate) fn judge(gvk: &Gvk, object: &Value, now: i64, wait_for_jobs: bool) -> Option<Health> {
    Some(match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Service") => service(object),
        ("", "Pod") => pod(object, now),
        ("", "Secret" | "ConfigMap") | ("batch", "CronJob") => Health::current("Resource is always ready"),
        ("", "PersistentVolumeClaim") => claim(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps" | "extensions", "DaemonSet") => daemon_set(object),
        ("apps" | "extensions", "Deployment") => deployment(object),
        ("apps" | "extensions", "ReplicaSet") => replica_set(object),
        ("policy", "PodDisruptionBudget") => Health::current("AllowedDisruptions has been computed."),
        ("batch", "Job") => job(object, wait_for_jobs),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        _ => return None,
    })
}

fn number(object: &Value, path: &[&str], or: i64) -> i64 {
    get_i64(object, path).unwrap_or(or)
}

/// In progress when `found` is less than `wanted`.
fn fewer(reason: &str, label: &str, found: i64, wanted: i64) -> Option<Health> {
    (wanted > found).then(|| Health::in_progress(reason, format!("{label}: {found}/{wanted}")))
}

/// In progress while there are more than wanted.
fn extra(found: i64, wanted: i64) -> Option<Health> {
    (found > wanted)
        .then(|| Health::in_progress("ExtraPods", format!("Pending termination: {}", found - wanted)))
}

fn deployment(object: &Value) -> Health {
    // Without a deadline nobody ever sets the condition that says the rollout is through.
    let deadline = number(object, &["spec", "progressDeadlineSeconds"], i64::from(i32::MAX));
    let mut progressed = deadline == i64::from(i32::MAX);
    let mut available = false;
    for found in conditions(object) {
        match found.kind {
            "Progressing" if found.reason == "ProgressDeadlineExceeded" => {
                let mut health = Health::failed(found.reason, found.message);
                health.message = "Progress deadline exceeded".to_owned();
                return health;
            }
            "Progressing" if found.status == "True" && found.reason == "NewReplicaSetAvailable" => {
                progressed = true
            }
            "Available" if found.status == "True" => available = true,
            _ => {}
        }
    }
    let wanted = number(object, &["spec", "replicas"], 1);
    let status = |field: &str| number(object, &["status", field], 0);
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    fewer("LessReplicas", "Replicas", all, wanted)
        .or_else(|| fewer("LessUpdated", "Updated", updated, wanted))
        .or_else(|| extra(all, wanted))
        .or_else(|| fewer("LessAvailable", "Available", status("availableReplicas"), updated))
        .or_else(|| fewer("LessReady", "Ready", status("readyReplicas"), wanted))
        .or_else(|| {
            (!progressed).then(|| Health::in_progress("ReplicaSetNotAvailable", "ReplicaSet not Available"))
        })
        .or_else(|| {
            (!available).then(|| Health::in_progress("DeploymentNotAvailable", "Deployment not Available"))
        })
        .unwrap_or_else(|| Health::current(format!("Deployment is available. Replicas: {all}")))
}

fn replica_set(object: &Value) -> Health {
    if conditions(object).any(|found| found.kind == "ReplicaFailure" && found.status == "True") {
        return Health::in_progress("ReplicaFailure", "Replica Failure condition. Check Pods");
    }
    let wanted = number(object, &["spec", "replicas"], 1);
    let status = |field: &str| number(object, &["status", field], 0);
    let all = status("replicas");
    fewer("LessLabelled", "Labelled", status("fullyLabeledReplicas"), wanted)
        .or_else(|| fewer("LessAvailable", "Available", status("availableReplicas"), wanted))
        .or_else(|| fewer("LessReady", "Ready", status("readyReplicas"), wanted))
        .or_else(|| extra(all, wanted))
        .unwrap_or_else(|| Health::current(format!("ReplicaSet is available. Replicas: {all}")))
}

fn stateful_set(object: &Value) -> Health {
    if get_str(object, &["spec", "updateStrategy", "type"]) == Some("OnDelete") {
        return Health::current("StatefulSet is using the ondelete update strategy");
    }
    let wanted = number(object, &["spec", "replicas"], 1);
    let status = |field: &str| number(object, &["status", field], 0);
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    let short = fewer("LessReplicas", "Replicas", all, wanted)
        .or_else(|| fewer("LessReady", "Ready", status("readyReplicas"), wanted))
        .or_else(|| extra(all, wanted));
    if let Some(health) = short {
        return health;
    }
    let partition = number(object, &["spec", "updateStrategy", "rollingUpdate", "partition"], -1);
    if partition != -1 {
        return fewer("PartitionRollout", "updated", updated, wanted - partition)
            .unwrap_or_else(|| Health::current(format!("Partition rollout complete. updated: {updated}")));
    }
    if let Some(health) = fewer("LessCurrent", "current", status("currentReplicas"), wanted) {
        return health;
    }
    let revision = |field: &str| get_str(object, &["status", field]).unwrap_or_default();
    if revision("currentRevision") != revision("updateRevision") {
        return Health::in_progress("RevisionMismatch", "Waiting for updated revision to match current");
    }
    Health::current(format!("All replicas scheduled as expected. Replicas: {all}"))
}

fn daemon_set(object: &Value) -> Health {
    let kind = meta::kind(object);
    if get_i64(object, &["metadata", "generation"]).is_none() {
        return Health::in_progress("NoGeneration", format!("{kind} metadata.generation not found"));
    }
    if get_i64(object, &["status", "observedGeneration"]).is_none() {
        return Health::in_progress(
            "NoObservedGeneration",
            format!("{kind} status.observedGeneration not found"),
        );
    }
    let status = |field: &str| number(object, &["status", field], 0);
    let Some(wanted) = get_i64(object, &["status", "desiredNumberScheduled"]) else {
        return Health::in_progress("NoDesiredNumber", "Missing .status.desiredNumberScheduled");
    };
    fewer("LessCurrent", "Current", status("currentNumberScheduled"), wanted)
        .or_else(|| fewer("LessUpdated", "Updated", status("updatedNumberScheduled"), wanted))
        .or_else(|| fewer("LessAvailable", "Available", status("numberAvailable"), wanted))
        .or_else(|| fewer("LessReady", "Ready", status("numberReady"), wanted))
        .unwrap_or_else(|| Health::current(format!("All replicas scheduled as expected. Replicas: {wanted}")))
}

fn claim(object: &Value) -> Health {
    match get_str(object, &["status", "phase"]).unwrap_or("unknown") {
        "Bound" => Health::current("PVC is Bound"),
        phase => Health::in_progress("NotBound", format!("PVC is not Bound. phase: {phase}")),
    }
}

fn service(object: &Value) -> Health {
    let balanced = get_str(object, &["spec", "type"]) == Some("LoadBalancer");
    if balanced && get_str(object, &["spec", "clusterIP"]).is_none_or(str::is_empty) {
        return Health::in_progress("NoIPAssigned", "ClusterIP not set. Service type: LoadBalancer");
    }
    Health::current("Service is ready")
}

fn pod(object: &Value, now: i64) -> Health {
    let condition = |kind: &str, status: &str| {
        conditions(object).find(|found| found.kind == kind && found.status == status)
    };
    match get_str(object, &["status", "phase"]).unwrap_or_default() {
        "Succeeded" => Health::current("Pod has completed successfully"),
        "Failed" => Health::current("Pod has completed, but not successfully"),
        "Running" if condition("Ready", "True").is_some() => Health::current("Pod is Ready"),
        "Running" => {
            let looping = crash_looping(object);
            if looping.is_empty() {
                return Health::in_progress("PodRunningNotReady", "Pod is running but is not Ready");
            }
            let message = format!("Containers in CrashLoop state: {}", looping.join(","));
            Health::failed("ContainerCrashLooping", message)
        }
        "Pending" => {
            if condition("PodScheduled", "False").is_none_or(|found| found.reason != "Unschedulable") {
                return Health::in_progress("PodPending", "Pod is in the Pending phase");
            }
            let created = meta::creation_timestamp(object).and_then(seconds).unwrap_or_default();
            if now - SCHEDULE_WINDOW < created {
                return Health::in_progress("PodNotScheduled", "Pod has not been scheduled");
            }
            Health::failed("PodUnschedulable", "Pod could not be scheduled")
        }
        "" => Health::in_progress("PodNotObserved", "Pod phase not available"),
        phase => Health::unknown(format!("unknown phase {phase}")),
    }
}

fn crash_looping(object: &Value) -> Vec<&str> {
    let containers = get(object, &["status", "containerStatuses"]).and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .filter(|status| get_str(status, &["state", "waiting", "reason"]) == Some("CrashLoopBackOff"))
        .filter_map(|status| get_str(status, &["name"]))
        .collect()
}

/// Seconds since the epoch of an RFC 3339 time in UTC, as Kubernetes writes it.
fn seconds(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // Days since the epoch by counting years from March, so that leap days come last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn job(object: &Value, wait: bool) -> Health {
    let parallel = number(object, &["spec", "parallelism"], 1);
    let completions = number(object, &["spec", "completions"], parallel);
    let status = |field: &str| number(object, &["status", field], 0);
    let (succeeded, active, failed) = (status("succeeded"), status("active"), status("failed"));
    for found in conditions(object).filter(|found| found.status == "True") {
        match found.kind {
            "Complete" => {
                return Health::current(format!("Job Completed. succeeded: {succeeded}/{completions}"));
            }
            "Failed" => {
                return Health::failed("JobFailed", format!("Job Failed. failed: {failed}/{completions}"));
            }
            "Suspended" => return Health::current("Job is suspended"),
            _ => {}
        }
    }
    if get_str(object, &["status", "startTime"]).is_none_or(str::is_empty) {
        return Health::in_progress("JobNotStarted", "Job not started");
    }
    let message = format!("Job in progress. success:{succeeded}, active: {active}, failed: {failed}");
    if wait { Health::in_progress("JobInProgress", message) } else { Health::current(message) }
}

fn definition(object: &Value) -> Health {
    for found in conditions(object) {
        match (found.kind, found.status) {
            ("NamesAccepted", "False") => return Health::failed(found.reason, found.message),
            ("Established", "False") if found.reason != "Installing" => {
                return Health::failed(found.reason, found.message);
            }
            ("Established", "True") => return Health::current("CRD is established"),
            _ => {}
        }
    }
    Health::in_progress("Installing", "Install in progress")
}
