//! Validation of Pods and of what makes them.

use std::collections::BTreeSet;

use object::{Gvk, Quantity, Value, get, get_i64, get_str};

use serde_json::json;

use super::metadata::labels;
use super::names;
use super::validate::{immutable, port_number, protocol, target_port, template_matches};
use crate::FieldError;

/// Errors of a workload; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => {
            pod_spec(spec, "spec", errors);
            pod_update(object, old, errors);
        }
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet") => {
            not_negative(spec, &["replicas"], "spec.replicas", errors);
            template_matches(&gvk.kind, spec, errors);
            if gvk.kind == "StatefulSet" {
                let completed = with_claims(spec);
                template(&completed, "spec.template", Some("Always"), errors);
            } else {
                template(spec, "spec.template", Some("Always"), errors);
            }
            immutable(object, old, &["spec", "selector"], errors);
            if gvk.kind == "StatefulSet" {
                stateful_set_update(object, old, errors);
            }
        }
        ("", "ReplicationController") => {
            not_negative(spec, &["minReadySeconds"], "spec.minReadySeconds", errors);
            let selected = spec.get("selector").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
            if !selected {
                errors.push(FieldError::required("spec.selector", ""));
            }
            not_negative(spec, &["replicas"], "spec.replicas", errors);
            let labels = get(spec, &["template", "metadata", "labels"]);
            let wanted = spec.get("selector").and_then(Value::as_object);
            let fits = |(key, value): (&String, &Value)| labels.and_then(|own| own.get(key)) == Some(value);
            if selected
                && spec.get("template").is_some_and(Value::is_object)
                && !wanted.into_iter().flatten().all(fits)
            {
                let detail = "`selector` does not match template `labels`";
                let shown = labels.cloned().unwrap_or_default();
                errors.push(FieldError::invalid("spec.template.metadata.labels", shown, detail));
            }
            template(spec, "spec.template", Some("Always"), errors);
        }
        ("batch", "Job") => {
            job(spec, "spec", errors);
            immutable(object, old, &["spec", "template"], errors);
            immutable(object, old, &["spec", "selector"], errors);
            immutable(object, old, &["spec", "completions"], errors);
        }
        ("batch", "CronJob") => cron_job(object, spec, errors),
        ("", "PodTemplate") => {
            let pod = get(object, &["template", "spec"]).unwrap_or(&Value::Null);
            if let Some(value) = get(object, &["template", "metadata", "labels"]) {
                labels(value, "template.labels", errors);
            }
            pod_spec(pod, "template.spec", errors);
        }
        _ => {}
    }
}

fn not_negative(value: &Value, path: &[&str], shown: &str, errors: &mut Vec<FieldError>) {
    if let Some(number) = get_i64(value, path).filter(|number| *number < 0) {
        errors.push(FieldError::invalid(shown, number, "must be greater than or equal to 0"));
    }
}

/// The specification of a StatefulSet with its claim templates as the volumes that they become.
fn with_claims(spec: &Value) -> Value {
    let mut completed = spec.clone();
    let templates = spec.get("volumeClaimTemplates").and_then(Value::as_array);
    let names: Vec<&str> =
        templates.into_iter().flatten().filter_map(|claim| get_str(claim, &["metadata", "name"])).collect();
    if names.is_empty() {
        return completed;
    }
    let own = get(spec, &["template", "spec", "volumes"]).and_then(Value::as_array);
    let kept = own.into_iter().flatten().filter(|volume| {
        let name = get_str(volume, &["name"]).unwrap_or_default();
        !names.contains(&name)
    });
    let made = names.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
    let volumes: Vec<Value> = made.chain(kept.cloned()).collect();
    object::set(&mut completed, &["template", "spec", "volumes"], volumes.into());
    completed
}

fn template(spec: &Value, path: &str, restart: Option<&str>, errors: &mut Vec<FieldError>) {
    let Some(template) = spec.get("template").filter(|template| template.is_object()) else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    if let Some(value) = get(template, &["metadata", "labels"]) {
        labels(value, &format!("{path}.labels"), errors);
    }
    let pod = template.get("spec").unwrap_or(&Value::Null);
    pod_spec(pod, &format!("{path}.spec"), errors);
    if let Some(wanted) = restart {
        let found = get_str(pod, &["restartPolicy"]).unwrap_or(wanted);
        if found != wanted {
            errors.push(FieldError::not_supported(format!("{path}.spec.restartPolicy"), found, &[wanted]));
        }
    }
}

fn job(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for field in
        ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]
    {
        not_negative(spec, &[field], &format!("{path}.{field}"), errors);
    }
    template(spec, &format!("{path}.template"), None, errors);
    let policy = get_str(spec, &["template", "spec", "restartPolicy"]).unwrap_or_default();
    if !matches!(policy, "OnFailure" | "Never") {
        let path = format!("{path}.template.spec.restartPolicy");
        // `Always` is what a template gets that says nothing.
        if matches!(policy, "" | "Always") {
            errors.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\""));
        } else {
            errors.push(FieldError::not_supported(path, policy, &["OnFailure", "Never"]));
        }
    }
}

fn schedule(spec: &Value, errors: &mut Vec<FieldError>) {
    let schedule = get_str(spec, &["schedule"]).unwrap_or_default();
    let wrong = |path: &str, value: &str, why: &str| FieldError::invalid(path, value, why);
    if schedule.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    } else {
        if let Err(why) = gotime::cron::Schedule::parse(schedule) {
            errors.push(wrong("spec.schedule", schedule, &why));
        }
        if schedule.contains("TZ") {
            let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            errors.push(wrong("spec.schedule", schedule, why));
        }
    }
    let Some(zone) = get_str(spec, &["timeZone"]) else { return };
    if zone.is_empty() {
        return errors.push(wrong("spec.timeZone", zone, "timeZone must be nil or non-empty string"));
    }
    if zone.eq_ignore_ascii_case("Local") {
        let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(wrong("spec.timeZone", zone, why));
    }
    let steps = zone.split('/').any(|part| matches!(part, "." | ".."));
    match gotime::cron::zone(zone) {
        Err(_) if steps => errors.push(wrong("spec.timeZone", zone, &format!("unknown time zone {zone}"))),
        Err(why) => errors.push(wrong("spec.timeZone", zone, &why)),
        Ok(_) => {}
    }
}

fn cron_job(object: &Value, spec: &Value, errors: &mut Vec<FieldError>) {
    if object::meta::name(object).len() > 52 {
        let detail = "must be no more than 52 characters";
        errors.push(FieldError::invalid("metadata.name", object::meta::name(object), detail));
    }
    schedule(spec, errors);
    not_negative(spec, &["startingDeadlineSeconds"], "spec.startingDeadlineSeconds", errors);
    let policy = get_str(spec, &["concurrencyPolicy"]).unwrap_or("Allow");
    if !matches!(policy, "Allow" | "Forbid" | "Replace") {
        let known = ["Allow", "Forbid", "Replace"];
        errors.push(FieldError::not_supported("spec.concurrencyPolicy", policy, &known));
    }
    job(
        spec.get("jobTemplate").and_then(|job| job.get("spec")).unwrap_or(&Value::Null),
        "spec.jobTemplate.spec",
        errors,
    );
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(spec, &[field], &format!("spec.{field}"), errors);
    }
}

const STATEFUL_SET_MUTABLE: [&str; 8] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "status",
];

fn stateful_set_update(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or_default();
        for field in STATEFUL_SET_MUTABLE {
            object::remove(&mut spec, &[field]);
        }
        spec
    };
    if fixed(object) != fixed(old) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden("spec", detail));
    }
}

/// What of a Pod may change: images, deadlines, tolerations, and what schedulers and ephemeral containers add.
fn pod_update(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or_default();
        let free = [
            "activeDeadlineSeconds",
            "terminationGracePeriodSeconds",
            "tolerations",
            "nodeName",
            "ephemeralContainers",
            "schedulingGates",
            "nodeSelector",
            "affinity",
        ];
        for field in free {
            object::remove(&mut spec, &[field]);
        }
        for list in ["containers", "initContainers"] {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                object::remove(container, &["image"]);
                object::remove(container, &["resources"]);
            }
        }
        spec
    };
    if fixed(object) != fixed(old) {
        let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        errors.push(FieldError::forbidden("spec", detail));
    }
}

fn pod_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let volumes = volumes(spec, path, errors);
    let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    if list("containers").next().is_none() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = BTreeSet::new();
    for field in ["initContainers", "containers"] {
        for (index, one) in list(field).enumerate() {
            let path = format!("{path}.{field}[{index}]");
            container(one, &path, &volumes, errors);
            let name = get_str(one, &["name"]).unwrap_or_default();
            if !name.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
    }
    let policy = get_str(spec, &["restartPolicy"]).unwrap_or("Always");
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        let known = ["Always", "OnFailure", "Never"];
        errors.push(FieldError::not_supported(format!("{path}.restartPolicy"), policy, &known));
    }
    let dns = get_str(spec, &["dnsPolicy"]).unwrap_or("ClusterFirst");
    if !matches!(dns, "ClusterFirst" | "ClusterFirstWithHostNet" | "Default" | "None") {
        let known = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
        errors.push(FieldError::not_supported(format!("{path}.dnsPolicy"), dns, &known));
    }
    if let Some(selector) = spec.get("nodeSelector") {
        labels(selector, &format!("{path}.nodeSelector"), errors);
    }
    if let Some(name) = get_str(spec, &["serviceAccountName"]).filter(|name| !name.is_empty())
        && let Some(message) = names::dns_subdomain(name)
    {
        errors.push(FieldError::invalid(format!("{path}.serviceAccountName"), name, message));
    }
}

fn volumes<'a>(spec: &'a Value, path: &str, errors: &mut Vec<FieldError>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let list = spec.get("volumes").and_then(Value::as_array);
    for (index, volume) in list.into_iter().flatten().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        let name = get_str(volume, &["name"]).unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if let Some(message) = names::dns_label(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, message));
        } else if !found.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let sources: Vec<&String> = volume
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, value)| *key != "name" && !value.is_null())
            .map(|(key, _)| key)
            .collect();
        if sources.is_empty() {
            errors.push(FieldError::required(path, "must specify a volume type"));
        } else {
            for extra in sources.iter().skip(1) {
                errors.push(FieldError::forbidden(
                    format!("{path}.{extra}"),
                    "may not specify more than 1 volume type",
                ));
            }
        }
    }
    found
}

fn container(container: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    let name = get_str(container, &["name"]).unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), ""));
    } else if let Some(message) = names::dns_label(name) {
        errors.push(FieldError::invalid(format!("{path}.name"), name, message));
    }
    let image = get_str(container, &["image"]).unwrap_or_default();
    if image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if image.trim() != image {
        errors.push(FieldError::invalid(
            format!("{path}.image"),
            image,
            "must not have leading or trailing whitespace",
        ));
    }
    ports(container, path, errors);
    environment(container, path, errors);
    mounts(container, path, volumes, errors);
    let pull = get_str(container, &["imagePullPolicy"]).unwrap_or("Always");
    if !matches!(pull, "Always" | "IfNotPresent" | "Never") {
        let known = ["Always", "IfNotPresent", "Never"];
        errors.push(FieldError::not_supported(format!("{path}.imagePullPolicy"), pull, &known));
    }
    resources(container, path, errors);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(value) = container.get(probe).filter(|value| value.is_object()) {
            probe_errors(value, &format!("{path}.{probe}"), errors);
        }
    }
}

fn ports(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    let list = container.get("ports").and_then(Value::as_array);
    for (index, port) in list.into_iter().flatten().enumerate() {
        let path = format!("{path}.ports[{index}]");
        let name = get_str(port, &["name"]).unwrap_or_default();
        if !name.is_empty() {
            if let Some(message) = names::port_name(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, message));
            } else if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        match get_i64(port, &["containerPort"]).unwrap_or_default() {
            0 => errors.push(FieldError::required(format!("{path}.containerPort"), "")),
            number => port_number(number, &format!("{path}.containerPort"), errors),
        }
        protocol(port, &path, errors);
    }
}

fn environment(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let list = container.get("env").and_then(Value::as_array);
    for (index, entry) in list.into_iter().flatten().enumerate() {
        let path = format!("{path}.env[{index}]");
        let name = get_str(entry, &["name"]).unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if name.contains('=') || !name.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            let detail = "a valid environment variable name must consist only of printable ASCII characters other than '='";
            errors.push(FieldError::invalid(format!("{path}.name"), name, detail));
        }
        let source = entry.get("valueFrom").filter(|source| !source.is_null());
        if source.is_some() && get_str(entry, &["value"]).is_some_and(|value| !value.is_empty()) {
            let detail = "may not be specified when `value` is not empty";
            errors.push(FieldError::invalid(format!("{path}.valueFrom"), "", detail));
        }
    }
}

fn mounts(container: &Value, path: &str, volumes: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    let list = container.get("volumeMounts").and_then(Value::as_array);
    for (index, mount) in list.into_iter().flatten().enumerate() {
        let path = format!("{path}.volumeMounts[{index}]");
        let name = get_str(mount, &["name"]).unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError {
                reason: crate::Reason::NotFound,
                field: format!("{path}.name"),
                value: Some(name.into()),
                detail: String::new(),
            });
        }
        let target = get_str(mount, &["mountPath"]).unwrap_or_default();
        if target.is_empty() {
            errors.push(FieldError::required(format!("{path}.mountPath"), ""));
        } else if !seen.insert(target) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), target, "must be unique"));
        }
    }
}

fn resources(container: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let quantities = |field: &str| {
        let map = get(container, &["resources", field]).and_then(Value::as_object).into_iter().flatten();
        map.filter_map(|(name, value)| Some((name.as_str(), Quantity::from_value(value).ok()?, value)))
            .collect::<Vec<_>>()
    };
    let limits = quantities("limits");
    for (field, list) in [("limits", &limits), ("requests", &quantities("requests"))] {
        for (name, quantity, value) in list {
            let path = format!("{path}.resources.{field}[{name}]");
            if quantity.is_negative() {
                errors.push(FieldError::invalid(
                    path,
                    (*value).clone(),
                    "must be greater than or equal to 0",
                ));
                continue;
            }
            if let Some((_, limit, shown)) = limits.iter().find(|(limited, ..)| limited == name)
                && quantity > limit
            {
                let shown = shown.as_str().map_or_else(|| shown.to_string(), str::to_owned);
                let detail = format!("must be less than or equal to {name} limit of {shown}");
                let path = path.replace(&format!("[{name}]"), "");
                errors.push(FieldError::invalid(path, (*value).clone(), detail));
            }
        }
    }
}

fn probe_errors(probe: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    let given: Vec<&&str> = handlers
        .iter()
        .filter(|handler| probe.get(**handler).is_some_and(|value| !value.is_null()))
        .collect();
    if given.is_empty() {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
    for extra in given.iter().skip(1) {
        errors.push(FieldError::forbidden(
            format!("{path}.{extra}"),
            "may not specify more than 1 handler type",
        ));
    }
    for handler in ["httpGet", "tcpSocket"] {
        if let Some(port) = get(probe, &[handler, "port"]) {
            target_port(Some(port), &format!("{path}.{handler}.port"), errors);
        }
    }
    for field in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        not_negative(probe, &[field], &format!("{path}.{field}"), errors);
    }
}
