//! Cells of pods and of what makes pods.

use object::{get, get_i64, get_str, meta};
use serde_json::{Value, json};

use super::text::{age, age_of, duration, labels, or_none, seconds_between, selector};

fn list<'a>(object: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    get(object, path).and_then(Value::as_array).into_iter().flatten()
}

fn number(object: &Value, path: &[&str]) -> i64 {
    get_i64(object, path).unwrap_or(0)
}

fn name(object: &Value) -> Value {
    meta::name(object).into()
}

fn field(object: &Value, path: &[&str]) -> String {
    list(object, &path[..path.len().saturating_sub(1)])
        .filter_map(|c| get_str(c, &path[path.len().saturating_sub(1)..]))
        .collect::<Vec<_>>()
        .join(",")
}

fn containers(object: &Value) -> Value {
    field(object, &["spec", "template", "spec", "containers", "name"]).into()
}

fn images(object: &Value) -> Value {
    field(object, &["spec", "template", "spec", "containers", "image"]).into()
}

/// Cells of workload kinds; `None` for other tables.
pub fn cells(table: &str, object: &Value) -> Option<Vec<Value>> {
    let replicas = number(object, &["spec", "replicas"]);
    let status = |field: &str| number(object, &["status", field]);
    Some(match table {
        "pods" => pod(object),
        "deployments.apps" => vec![
            name(object),
            format!("{}/{replicas}", status("readyReplicas")).into(),
            status("updatedReplicas").into(),
            status("availableReplicas").into(),
            age(object),
            containers(object),
            images(object),
            selector(get(object, &["spec", "selector"])),
        ],
        "replicasets.apps" => vec![
            name(object),
            replicas.into(),
            status("replicas").into(),
            status("readyReplicas").into(),
            age(object),
            containers(object),
            images(object),
            selector(get(object, &["spec", "selector"])),
        ],
        "replicationcontrollers" => vec![
            name(object),
            replicas.into(),
            status("replicas").into(),
            status("readyReplicas").into(),
            age(object),
            containers(object),
            images(object),
            labels(get(object, &["spec", "selector"])),
        ],
        "statefulsets.apps" => vec![
            name(object),
            format!("{}/{replicas}", status("readyReplicas")).into(),
            age(object),
            containers(object),
            images(object),
        ],
        "daemonsets.apps" => vec![
            name(object),
            status("desiredNumberScheduled").into(),
            status("currentNumberScheduled").into(),
            status("numberReady").into(),
            status("updatedNumberScheduled").into(),
            status("numberAvailable").into(),
            labels(get(object, &["spec", "template", "spec", "nodeSelector"])),
            age(object),
            containers(object),
            images(object),
            selector(get(object, &["spec", "selector"])),
        ],
        "jobs.batch" => job(object),
        "cronjobs.batch" => cron_job(object),
        _ => return None,
    })
}

fn job(object: &Value) -> Vec<Value> {
    let succeeded = number(object, &["status", "succeeded"]);
    let completions = match get_i64(object, &["spec", "completions"]) {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None => match get_i64(object, &["spec", "parallelism"]) {
            Some(parallel) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
            _ => format!("{succeeded}/1"),
        },
    };
    let start = get_str(object, &["status", "startTime"]);
    let end = get_str(object, &["status", "completionTime"]);
    let took = start.and_then(|start| seconds_between(start, end)).map(duration);
    let is =
        |kind: &str| meta::condition(object, kind).is_some_and(|c| get_str(c, &["status"]) == Some("True"));
    let state = if is("Complete") {
        "Complete"
    } else if is("Failed") {
        "Failed"
    } else if meta::deletion_timestamp(object).is_some() {
        "Terminating"
    } else if is("Suspended") {
        "Suspended"
    } else if is("FailureTarget") {
        "FailureTarget"
    } else if is("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    };
    vec![
        name(object),
        state.into(),
        completions.into(),
        took.unwrap_or_default().into(),
        age(object),
        containers(object),
        images(object),
        selector(get(object, &["spec", "selector"])),
    ]
}

fn cron_job(object: &Value) -> Vec<Value> {
    let template = ["spec", "jobTemplate", "spec", "template", "spec", "containers"];
    let joined = |field_name: &str| {
        let mut path = template.to_vec();
        path.push(field_name);
        Value::from(field(object, &path))
    };
    vec![
        name(object),
        get_str(object, &["spec", "schedule"]).unwrap_or_default().into(),
        or_none(get_str(object, &["spec", "timeZone"]).unwrap_or_default()),
        match object::get_bool(object, &["spec", "suspend"]) {
            Some(true) => "True".into(),
            Some(false) => "False".into(),
            None => "<unset>".into(),
        },
        json!(list(object, &["status", "active"]).count()),
        or_none(get_str(object, &["status", "lastScheduleTime"]).and_then(age_of).unwrap_or_default()),
        age(object),
        joined("name"),
        joined("image"),
        selector(get(object, &["spec", "jobTemplate", "spec", "selector"])),
    ]
}

fn pod(object: &Value) -> Vec<Value> {
    let mut restarts = 0;
    let mut ready = 0;
    let lasting = |own: &&Value| get_str(own, &["restartPolicy"]) == Some("Always");
    let total = list(object, &["spec", "containers"]).count()
        + list(object, &["spec", "initContainers"]).filter(lasting).count();
    let mut reason = pod_phase(object);
    let mut initializing = false;
    let init_total = list(object, &["spec", "initContainers"]).count();
    for (at, status) in list(object, &["status", "initContainerStatuses"]).enumerate() {
        restarts += number(status, &["restartCount"]);
        if initializing {
            continue;
        }
        let terminated = get(status, &["state", "terminated"]);
        if terminated.is_some_and(|t| number(t, &["exitCode"]) == 0) {
            continue;
        }
        let waiting = get_str(status, &["state", "waiting", "reason"])
            .filter(|r| !r.is_empty() && *r != "PodInitializing");
        initializing = true;
        reason = match (terminated, waiting) {
            (Some(terminated), _) => {
                format!("Init:{}", get_str(terminated, &["reason"]).unwrap_or("Error"))
            }
            (None, Some(waiting)) => format!("Init:{waiting}"),
            _ => format!("Init:{at}/{init_total}"),
        };
    }
    if !initializing {
        restarts = 0;
        let mut running = false;
        let statuses: Vec<&Value> = list(object, &["status", "containerStatuses"]).collect();
        for status in statuses.iter().rev() {
            restarts += number(status, &["restartCount"]);
            if let Some(waiting) = get_str(status, &["state", "waiting", "reason"]).filter(|r| !r.is_empty())
            {
                reason = waiting.to_owned();
            } else if let Some(terminated) = get(status, &["state", "terminated"]).filter(|t| !t.is_null()) {
                reason = match get_str(terminated, &["reason"]).filter(|r| !r.is_empty()) {
                    Some(text) => text.to_owned(),
                    None => format!("ExitCode:{}", number(terminated, &["exitCode"])),
                };
            } else if object::get_bool(status, &["ready"]) == Some(true)
                && get(status, &["state", "running"]).is_some()
            {
                running = true;
                ready += 1;
            }
        }
        if reason == "Completed" && running {
            let is_ready =
                meta::condition(object, "Ready").is_some_and(|c| get_str(c, &["status"]) == Some("True"));
            reason = if is_ready { "Running".into() } else { "NotReady".into() };
        }
    }
    if meta::deletion_timestamp(object).is_some() {
        let lost = get_str(object, &["status", "reason"]) == Some("NodeLost");
        let ended = matches!(get_str(object, &["status", "phase"]), Some("Succeeded" | "Failed"));
        if lost {
            reason = "Unknown".into();
        } else if !ended {
            reason = "Terminating".into();
        }
    }
    let ip = get_str(object, &["status", "podIP"]).unwrap_or_default();
    vec![
        name(object),
        format!("{ready}/{total}").into(),
        reason.into(),
        restarts.to_string().into(),
        age(object),
        or_none(ip),
        or_none(get_str(object, &["spec", "nodeName"]).unwrap_or_default()),
        or_none(get_str(object, &["status", "nominatedNodeName"]).unwrap_or_default()),
        readiness_gates(object),
    ]
}

fn pod_phase(object: &Value) -> String {
    let reason = get_str(object, &["status", "reason"]).filter(|r| !r.is_empty());
    if let Some(reason) = reason {
        return reason.to_owned();
    }
    let gated = meta::condition(object, "PodScheduled")
        .and_then(|c| get_str(c, &["reason"]))
        .is_some_and(|r| r == "SchedulingGated");
    if gated {
        return "SchedulingGated".into();
    }
    get_str(object, &["status", "phase"]).unwrap_or_default().to_owned()
}

fn readiness_gates(object: &Value) -> Value {
    let gates: Vec<&str> =
        list(object, &["spec", "readinessGates"]).filter_map(|g| get_str(g, &["conditionType"])).collect();
    if gates.is_empty() {
        return "<none>".into();
    }
    let ready = gates
        .iter()
        .filter(|gate| meta::condition(object, gate).is_some_and(|c| get_str(c, &["status"]) == Some("True")))
        .count();
    format!("{ready}/{}", gates.len()).into()
}

/// The row condition of a pod that has ended.
pub fn pod_conditions(object: &Value) -> Option<Value> {
    let phase = get_str(object, &["status", "phase"])?;
    matches!(phase, "Succeeded" | "Failed").then(|| {
        json!([{"type": "Completed", "status": "True", "reason": phase, "message": "The pod has completed."}])
    })
}
