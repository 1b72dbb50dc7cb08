//! Cells of all other built-in kinds.

use object::{get, get_bool, get_i64, get_str, meta};
use serde_json::{Value, json};

use super::text::{age, age_of, labels, or_none, or_unset, selector};
use super::workloads;

fn list<'a>(object: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> {
    get(object, path).and_then(Value::as_array).into_iter().flatten()
}

fn text(object: &Value, path: &[&str]) -> String {
    get_str(object, path).unwrap_or_default().to_owned()
}

fn cell(object: &Value, path: &[&str]) -> Value {
    text(object, path).into()
}

fn size(object: &Value, field: &str) -> usize {
    match object.get(field) {
        Some(Value::Object(map)) => map.len(),
        Some(Value::Array(list)) => list.len(),
        _ => 0,
    }
}

fn flag(object: &Value, path: &[&str]) -> Value {
    get_bool(object, path).unwrap_or(false).into()
}

/// What is noted about a whole row.
pub fn row_conditions(table: &str, object: &Value) -> Option<Value> {
    if table == "pods" { workloads::pod_conditions(object) } else { None }
}

/// The cells of an object, in the order of its kind's columns.
pub fn cells(table: &str, object: &Value) -> Vec<Value> {
    if let Some(cells) = workloads::cells(table, object) {
        return cells;
    }
    let name: Value = meta::name(object).into();
    let aged = |cells: Vec<Value>| -> Vec<Value> {
        let mut all = vec![name.clone()];
        all.extend(cells);
        all.push(age(object));
        all
    };
    match table {
        "componentstatuses" => {
            let list = object::get(object, &["conditions"]).and_then(Value::as_array);
            let is_health = |own: &&Value| object::get_str(own, &["type"]) == Some("Healthy");
            let own = list.into_iter().flatten().find(is_health);
            let text = |field: &str| own.and_then(|own| own.get(field)).cloned().unwrap_or_else(|| "".into());
            let status = match text("status").as_str() {
                Some("True") => "Healthy",
                Some("False") => "Unhealthy",
                _ => "Unknown",
            };
            vec![name, status.into(), text("message"), text("error")]
        }
        "configmaps" => aged(vec![(size(object, "data") + size(object, "binaryData")).into()]),
        "secrets" => aged(vec![cell(object, &["type"]), size(object, "data").into()]),
        "serviceaccounts" => aged(vec![size(object, "secrets").into()]),
        "namespaces" => aged(vec![cell(object, &["status", "phase"])]),
        "endpoints" => aged(vec![endpoints(object)]),
        "endpointslices.discovery.k8s.io" => {
            aged(vec![cell(object, &["addressType"]), slice_ports(object), slice_addresses(object)])
        }
        "events" => event(object),
        "nodes" => node(object),
        "services" => service(object),
        "persistentvolumes" => volume(object),
        "persistentvolumeclaims" => claim(object),
        "ingresses.networking.k8s.io" => aged(vec![
            or_none(text(object, &["spec", "ingressClassName"])),
            ingress_hosts(object),
            ingress_addresses(object),
            if list(object, &["spec", "tls"]).count() > 0 { "80, 443" } else { "80" }.into(),
        ]),
        "ingressclasses.networking.k8s.io" => {
            aged(vec![cell(object, &["spec", "controller"]), parameters(object)])
        }
        "networkpolicies.networking.k8s.io" => aged(vec![selector(get(object, &["spec", "podSelector"]))]),
        "ipaddresses.networking.k8s.io" => vec![name, parent(object)],
        "servicecidrs.networking.k8s.io" => aged(vec![joined(object, &["spec", "cidrs"]).into()]),
        "horizontalpodautoscalers.autoscaling" => autoscaler(object),
        "poddisruptionbudgets.policy" => aged(vec![
            bound(object, "minAvailable"),
            bound(object, "maxUnavailable"),
            get_i64(object, &["status", "disruptionsAllowed"]).unwrap_or(0).into(),
        ]),
        "clusterrolebindings.rbac.authorization.k8s.io" | "rolebindings.rbac.authorization.k8s.io" => {
            binding(object)
        }
        "storageclasses.storage.k8s.io" => vec![
            class_name(object),
            cell(object, &["provisioner"]),
            text(object, &["reclaimPolicy"]).into(),
            text(object, &["volumeBindingMode"]).into(),
            flag(object, &["allowVolumeExpansion"]),
            age(object),
        ],
        "volumeattributesclasses.storage.k8s.io" => {
            vec![class_name(object), cell(object, &["driverName"]), age(object)]
        }
        "csidrivers.storage.k8s.io" => csi_driver(object),
        "csinodes.storage.k8s.io" => aged(vec![list(object, &["spec", "drivers"]).count().into()]),
        "volumeattachments.storage.k8s.io" => aged(vec![
            cell(object, &["spec", "attacher"]),
            cell(object, &["spec", "source", "persistentVolumeName"]),
            cell(object, &["spec", "nodeName"]),
            flag(object, &["status", "attached"]),
        ]),
        "priorityclasses.scheduling.k8s.io" => vec![
            name,
            get_i64(object, &["value"]).unwrap_or(0).into(),
            flag(object, &["globalDefault"]),
            age(object),
            cell(object, &["preemptionPolicy"]),
        ],
        "leases.coordination.k8s.io" => aged(vec![cell(object, &["spec", "holderIdentity"])]),
        "runtimeclasses.node.k8s.io" => aged(vec![cell(object, &["handler"])]),
        "mutatingwebhookconfigurations.admissionregistration.k8s.io"
        | "validatingwebhookconfigurations.admissionregistration.k8s.io" => {
            aged(vec![size(object, "webhooks").into()])
        }
        "validatingadmissionpolicies.admissionregistration.k8s.io" => {
            aged(vec![list(object, &["spec", "validations"]).count().into(), param_kind(object)])
        }
        "validatingadmissionpolicybindings.admissionregistration.k8s.io" => {
            aged(vec![cell(object, &["spec", "policyName"]), param_ref(object)])
        }
        "resourcequotas" => quota(object),
        "controllerrevisions.apps" => {
            aged(vec![controller(object), get_i64(object, &["revision"]).unwrap_or(0).into()])
        }
        "podtemplates" => {
            let joined = |field: &str| -> Value {
                list(object, &["template", "spec", "containers"])
                    .filter_map(|c| get_str(c, &[field]))
                    .collect::<Vec<_>>()
                    .join(",")
                    .into()
            };
            let labels = labels(get(object, &["template", "metadata", "labels"]));
            vec![name, joined("name"), joined("image"), labels]
        }
        "apiservices.apiregistration.k8s.io" => aged(vec![api_service(object), available(object)]),
        "certificatesigningrequests.certificates.k8s.io" => signing_request(object),
        "deviceclasses.resource.k8s.io" | "resourceclaimtemplates.resource.k8s.io" => aged(vec![]),
        "resourceclaims.resource.k8s.io" => aged(vec![claim_state(object)]),
        "resourceslices.resource.k8s.io" => aged(vec![
            cell(object, &["spec", "nodeName"]),
            cell(object, &["spec", "driver"]),
            cell(object, &["spec", "pool", "name"]),
        ]),
        "flowschemas.flowcontrol.apiserver.k8s.io" => vec![
            name,
            cell(object, &["spec", "priorityLevelConfiguration", "name"]),
            get_i64(object, &["spec", "matchingPrecedence"]).unwrap_or(0).into(),
            or_none(text(object, &["spec", "distinguisherMethod", "type"])),
            age(object),
            meta::condition(object, "Dangling").map_or_else(|| "?".into(), |c| cell(c, &["status"])),
        ],
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io" => aged(vec![
            cell(object, &["spec", "type"]),
            shown(get(object, &["spec", "limited", "nominalConcurrencyShares"])),
            shown(get(object, &["spec", "limited", "limitResponse", "queuing", "queues"])),
            shown(get(object, &["spec", "limited", "limitResponse", "queuing", "handSize"])),
            shown(get(object, &["spec", "limited", "limitResponse", "queuing", "queueLengthLimit"])),
        ]),
        _ => vec![name, meta::creation_timestamp(object).unwrap_or_default().into()],
    }
}

fn shown(value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => "<none>".into(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}

fn joined(object: &Value, path: &[&str]) -> String {
    list(object, path).filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

/// A list that is cut after `max`, with a count of the rest.
fn some_of(items: Vec<String>, max: usize) -> Value {
    if items.is_empty() {
        return "<none>".into();
    }
    let more = items.len().saturating_sub(max);
    let text = items.into_iter().take(max).collect::<Vec<_>>().join(",");
    if more > 0 { format!("{text} + {more} more...").into() } else { text.into() }
}

fn endpoints(object: &Value) -> Value {
    let mut items = Vec::new();
    for subset in list(object, &["subsets"]) {
        let ports: Vec<&Value> = list(subset, &["ports"]).collect();
        for address in list(subset, &["addresses"]) {
            let ip = text(address, &["ip"]);
            if ports.is_empty() {
                items.push(ip);
                continue;
            }
            for port in &ports {
                items.push(format!("{ip}:{}", get_i64(port, &["port"]).unwrap_or(0)));
            }
        }
    }
    some_of(items, 3)
}

fn slice_ports(object: &Value) -> Value {
    let items: Vec<String> = list(object, &["ports"])
        .map(|port| match get_i64(port, &["port"]) {
            Some(number) => number.to_string(),
            None => "*".to_owned(),
        })
        .collect();
    if items.is_empty() { "<unset>".into() } else { some_of(items, 3) }
}

fn slice_addresses(object: &Value) -> Value {
    let items: Vec<String> = list(object, &["endpoints"])
        .flat_map(|e| list(e, &["addresses"]).filter_map(Value::as_str).map(str::to_owned))
        .collect();
    if items.is_empty() { "<unset>".into() } else { some_of(items, 3) }
}

fn event(object: &Value) -> Vec<Value> {
    let first = [["firstTimestamp"], ["eventTime"], ["deprecatedFirstTimestamp"]];
    let last = [["lastTimestamp"], ["deprecatedLastTimestamp"]];
    let time =
        |paths: &[[&str; 1]]| paths.iter().find_map(|path| get_str(object, path).filter(|t| !t.is_empty()));
    let unknown = || "<unknown>".to_owned();
    let first_seen = time(&first).and_then(age_of).unwrap_or_else(unknown);
    let series = get_str(object, &["series", "lastObservedTime"]).and_then(age_of);
    let last_seen = series.or_else(|| time(&last).and_then(age_of)).unwrap_or_else(|| first_seen.clone());
    let either = |a: &str, b: &str| {
        let found = get(object, &[a]).or_else(|| get(object, &[b]));
        found.cloned().unwrap_or(Value::Null)
    };
    let about = either("involvedObject", "regarding");
    let message = either("message", "note");
    let kind = text(&about, &["kind"]).to_lowercase();
    let component = {
        let source = either("source", "deprecatedSource");
        let own = text(&source, &["component"]);
        let host = text(&source, &["host"]);
        if own.is_empty() {
            let reporter = either("reportingComponent", "reportingController");
            let reporter = reporter.as_str().unwrap_or_default().to_owned();
            let instance = text(object, &["reportingInstance"]);
            if instance.is_empty() || reporter.is_empty() {
                reporter
            } else {
                format!("{reporter}, {instance}")
            }
        } else if host.is_empty() {
            own
        } else {
            format!("{own}, {host}")
        }
    };
    let count = get_i64(object, &["series", "count"])
        .or_else(|| get_i64(object, &["count"]))
        .or_else(|| get_i64(object, &["deprecatedCount"]))
        .filter(|n| *n > 0)
        .unwrap_or(1);
    vec![
        last_seen.into(),
        cell(object, &["type"]),
        cell(object, &["reason"]),
        format!("{kind}/{}", text(&about, &["name"])).into(),
        cell(&about, &["fieldPath"]),
        component.into(),
        message.as_str().unwrap_or_default().trim().into(),
        first_seen.into(),
        count.into(),
        meta::name(object).into(),
    ]
}

fn node(object: &Value) -> Vec<Value> {
    let ready = meta::condition(object, "Ready").map(|c| text(c, &["status"]));
    let mut state = match ready.as_deref() {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if get_bool(object, &["spec", "unschedulable"]) == Some(true) {
        state.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<String> = meta::labels(object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| {
            if key == "kubernetes.io/role" {
                return value.as_str().map(str::to_owned);
            }
            key.strip_prefix("node-role.kubernetes.io/").map(str::to_owned)
        })
        .filter(|role| !role.is_empty())
        .collect();
    roles.sort();
    let address = |kind: &str| {
        let found = list(object, &["status", "addresses"])
            .find(|a| get_str(a, &["type"]) == Some(kind))
            .map(|a| text(a, &["address"]))
            .unwrap_or_default();
        or_none(found)
    };
    let info = |field: &str| {
        let found = text(object, &["status", "nodeInfo", field]);
        if found.is_empty() { "<unknown>".into() } else { Value::from(found) }
    };
    vec![
        meta::name(object).into(),
        state.into(),
        or_none(roles.join(",")),
        age(object),
        cell(object, &["status", "nodeInfo", "kubeletVersion"]),
        address("InternalIP"),
        address("ExternalIP"),
        info("osImage"),
        info("kernelVersion"),
        info("containerRuntimeVersion"),
    ]
}

fn ingress_points(object: &Value) -> Vec<String> {
    list(object, &["status", "loadBalancer", "ingress"])
        .filter_map(|i| {
            get_str(i, &["ip"])
                .filter(|t| !t.is_empty())
                .or_else(|| get_str(i, &["hostname"]))
                .map(str::to_owned)
        })
        .collect()
}

fn service(object: &Value) -> Vec<Value> {
    let kind = text(object, &["spec", "type"]);
    let external = list(object, &["spec", "externalIPs"]).filter_map(Value::as_str);
    let external: Vec<String> = external.map(str::to_owned).collect();
    let outside: Value = match kind.as_str() {
        "ExternalName" => cell(object, &["spec", "externalName"]),
        "LoadBalancer" => {
            let mut points = ingress_points(object);
            points.extend(external);
            if points.is_empty() { "<pending>".into() } else { points.join(",").into() }
        }
        _ => or_none(external.join(",")),
    };
    let ports: Vec<String> = list(object, &["spec", "ports"])
        .map(|port| {
            let number = get_i64(port, &["port"]).unwrap_or(0);
            let protocol = get_str(port, &["protocol"]).unwrap_or("TCP");
            match get_i64(port, &["nodePort"]).filter(|n| *n > 0) {
                Some(node) => format!("{number}:{node}/{protocol}"),
                None => format!("{number}/{protocol}"),
            }
        })
        .collect();
    let address = text(object, &["spec", "clusterIP"]);
    vec![
        meta::name(object).into(),
        kind.into(),
        or_none(address),
        outside,
        or_none(ports.join(",")),
        age(object),
        labels(get(object, &["spec", "selector"])),
    ]
}

fn modes(object: &Value, path: &[&str]) -> String {
    list(object, path)
        .filter_map(Value::as_str)
        .map(|mode| match mode {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn volume(object: &Value) -> Vec<Value> {
    let claim = text(object, &["spec", "claimRef", "name"]);
    let claim = if claim.is_empty() {
        claim
    } else {
        format!("{}/{claim}", text(object, &["spec", "claimRef", "namespace"]))
    };
    let mut phase = text(object, &["status", "phase"]);
    if meta::deletion_timestamp(object).is_some() {
        phase = "Terminating".into();
    }
    vec![
        meta::name(object).into(),
        cell(object, &["spec", "capacity", "storage"]),
        modes(object, &["spec", "accessModes"]).into(),
        cell(object, &["spec", "persistentVolumeReclaimPolicy"]),
        phase.into(),
        claim.into(),
        cell(object, &["spec", "storageClassName"]),
        or_unset(text(object, &["spec", "volumeAttributesClassName"])),
        cell(object, &["status", "reason"]),
        age(object),
        or_unset(text(object, &["spec", "volumeMode"])),
    ]
}

fn claim(object: &Value) -> Vec<Value> {
    let mut phase = text(object, &["status", "phase"]);
    if meta::deletion_timestamp(object).is_some() {
        phase = "Terminating".into();
    }
    let volume = text(object, &["spec", "volumeName"]);
    let (capacity, access) = if volume.is_empty() {
        (String::new(), String::new())
    } else {
        (text(object, &["status", "capacity", "storage"]), modes(object, &["status", "accessModes"]))
    };
    vec![
        meta::name(object).into(),
        phase.into(),
        volume.into(),
        capacity.into(),
        access.into(),
        cell(object, &["spec", "storageClassName"]),
        or_unset(text(object, &["spec", "volumeAttributesClassName"])),
        age(object),
        or_unset(text(object, &["spec", "volumeMode"])),
    ]
}

fn ingress_hosts(object: &Value) -> Value {
    let hosts: Vec<String> = list(object, &["spec", "rules"])
        .map(|rule| text(rule, &["host"]))
        .filter(|host| !host.is_empty())
        .collect();
    if hosts.is_empty() { "*".into() } else { some_of(hosts, 3) }
}

fn ingress_addresses(object: &Value) -> Value {
    ingress_points(object).join(",").into()
}

fn parameters(object: &Value) -> Value {
    let kind = text(object, &["spec", "parameters", "kind"]);
    if kind.is_empty() {
        return "<none>".into();
    }
    let group = text(object, &["spec", "parameters", "apiGroup"]);
    let name = text(object, &["spec", "parameters", "name"]);
    let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
    format!("{kind}/{name}").into()
}

fn parent(object: &Value) -> Value {
    let part = |field: &str| text(object, &["spec", "parentRef", field]);
    let group = part("group");
    let resource = if group.is_empty() { part("resource") } else { format!("{}.{group}", part("resource")) };
    let namespace = part("namespace");
    if namespace.is_empty() {
        format!("{resource}/{}", part("name")).into()
    } else {
        format!("{resource}/{namespace}/{}", part("name")).into()
    }
}

fn bound(object: &Value, field: &str) -> Value {
    match get(object, &["spec", field]) {
        None | Some(Value::Null) => "N/A".into(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}

fn autoscaler(object: &Value) -> Vec<Value> {
    let reference = format!(
        "{}/{}",
        text(object, &["spec", "scaleTargetRef", "kind"]),
        text(object, &["spec", "scaleTargetRef", "name"])
    );
    let minimum = get_i64(object, &["spec", "minReplicas"]);
    vec![
        meta::name(object).into(),
        reference.into(),
        targets(object),
        minimum.map_or_else(|| "<unset>".to_owned(), |n| n.to_string()).into(),
        get_i64(object, &["spec", "maxReplicas"]).unwrap_or(0).into(),
        get_i64(object, &["status", "currentReplicas"]).unwrap_or(0).into(),
        age(object),
    ]
}

fn targets(object: &Value) -> Value {
    if let Some(percent) = get_i64(object, &["spec", "targetCPUUtilizationPercentage"]) {
        let current = get_i64(object, &["status", "currentCPUUtilizationPercentage"])
            .map_or_else(|| "<unknown>".to_owned(), |n| format!("{n}%"));
        return format!("cpu: {current}/{percent}%").into();
    }
    let current: Vec<&Value> = list(object, &["status", "currentMetrics"]).collect();
    let mut items = Vec::new();
    for (at, metric) in list(object, &["spec", "metrics"]).enumerate() {
        let kind = text(metric, &["type"]);
        let field = match kind.as_str() {
            "Resource" => "resource",
            "Pods" => "pods",
            "Object" => "object",
            "External" => "external",
            "ContainerResource" => "containerResource",
            _ => {
                items.push("<unknown type>".to_owned());
                continue;
            }
        };
        let now = current.get(at).copied().unwrap_or(&Value::Null);
        let name = text(metric, &[field, "name"]);
        let is_resource = matches!(field, "resource" | "containerResource");
        let (wanted, have) = match get_i64(metric, &[field, "target", "averageUtilization"]) {
            Some(percent) => (
                format!("{percent}%"),
                get_i64(now, &[field, "current", "averageUtilization"]).map(|n| format!("{n}%")),
            ),
            None => {
                let average = get_str(metric, &[field, "target", "averageValue"]);
                let key = if average.is_some() { "averageValue" } else { "value" };
                let shared = matches!(field, "object" | "external");
                let suffix = if average.is_some() && shared { " (avg)" } else { "" };
                (
                    format!("{}{suffix}", text(metric, &[field, "target", key])),
                    get_str(now, &[field, "current", key]).map(str::to_owned),
                )
            }
        };
        let have = have.unwrap_or_else(|| "<unknown>".to_owned());
        items.push(if is_resource { format!("{name}: {have}/{wanted}") } else { format!("{have}/{wanted}") });
    }
    if items.is_empty() {
        return "<none>".into();
    }
    let more = items.len().saturating_sub(2);
    let shown = items.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} + {more} more...").into() } else { shown.into() }
}

fn binding(object: &Value) -> Vec<Value> {
    let role = format!("{}/{}", text(object, &["roleRef", "kind"]), text(object, &["roleRef", "name"]));
    let of = |kind: &str| -> Value {
        list(object, &["subjects"])
            .filter(|s| get_str(s, &["kind"]) == Some(kind))
            .map(|s| {
                let name = text(s, &["name"]);
                if kind == "ServiceAccount" { format!("{}/{name}", text(s, &["namespace"])) } else { name }
            })
            .collect::<Vec<_>>()
            .join(", ")
            .into()
    };
    vec![meta::name(object).into(), role.into(), age(object), of("User"), of("Group"), of("ServiceAccount")]
}

fn class_name(object: &Value) -> Value {
    let marks =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    let default = marks.iter().any(|m| meta::annotation(object, m) == Some("true"));
    let name = meta::name(object);
    if default { format!("{name} (default)").into() } else { name.into() }
}

fn csi_driver(object: &Value) -> Vec<Value> {
    let on =
        |field: &str, absent: bool| -> Value { get_bool(object, &["spec", field]).unwrap_or(absent).into() };
    let tokens: Vec<String> =
        list(object, &["spec", "tokenRequests"]).map(|t| text(t, &["audience"])).collect();
    vec![
        meta::name(object).into(),
        on("attachRequired", true),
        on("podInfoOnMount", false),
        on("storageCapacity", false),
        or_unset(tokens.join(",")),
        on("requiresRepublish", false),
        or_none(joined(object, &["spec", "volumeLifecycleModes"])),
        age(object),
    ]
}

fn param_kind(object: &Value) -> Value {
    match get(object, &["spec", "paramKind"]) {
        None | Some(Value::Null) => "<unset>".into(),
        Some(kind) => format!("{}/{}", text(kind, &["apiVersion"]), text(kind, &["kind"])).into(),
    }
}

fn param_ref(object: &Value) -> Value {
    match get(object, &["spec", "paramRef"]) {
        None | Some(Value::Null) => "<unset>".into(),
        Some(param) => {
            let namespace = text(param, &["namespace"]);
            let name = text(param, &["name"]);
            if name.is_empty() {
                let selector = get(param, &["selector"]).cloned().unwrap_or(Value::Null);
                selector.to_string().into()
            } else if namespace.is_empty() {
                format!("*/{name}").into()
            } else {
                format!("{namespace}/{name}").into()
            }
        }
    }
}

fn quota(object: &Value) -> Vec<Value> {
    let mut requests = Vec::new();
    let mut limits = Vec::new();
    let hard = get(object, &["status", "hard"]).and_then(Value::as_object);
    for (resource, amount) in hard.into_iter().flatten() {
        let used = text(object, &["status", "used", resource]);
        let used = if used.is_empty() { "0".to_owned() } else { used };
        let item = format!("{resource}: {used}/{}", amount.as_str().unwrap_or_default());
        if resource.starts_with("limits.") { limits.push(item) } else { requests.push(item) }
    }
    vec![meta::name(object).into(), requests.join(", ").into(), limits.join(", ").into(), age(object)]
}

fn controller(object: &Value) -> Value {
    let owner =
        list(object, &["metadata", "ownerReferences"]).find(|o| get_bool(o, &["controller"]) == Some(true));
    match owner {
        None => "<none>".into(),
        Some(owner) => {
            let version = text(owner, &["apiVersion"]);
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let kind = text(owner, &["kind"]).to_lowercase();
            let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
            format!("{kind}/{}", text(owner, &["name"])).into()
        }
    }
}

fn api_service(object: &Value) -> Value {
    match get(object, &["spec", "service"]) {
        None | Some(Value::Null) => "Local".into(),
        Some(service) => format!("{}/{}", text(service, &["namespace"]), text(service, &["name"])).into(),
    }
}

fn available(object: &Value) -> Value {
    match meta::condition(object, "Available") {
        None => "Unknown".into(),
        Some(condition) if get_str(condition, &["status"]) == Some("True") => "True".into(),
        Some(condition) => {
            format!("{} ({})", text(condition, &["status"]), text(condition, &["reason"])).into()
        }
    }
}

fn signing_request(object: &Value) -> Vec<Value> {
    let mut state = Vec::new();
    let has = |kind: &str| meta::condition(object, kind).is_some();
    if has("Denied") {
        state.push("Denied");
    } else if has("Approved") {
        state.push("Approved");
    } else {
        state.push("Pending");
    }
    if has("Failed") {
        state.push("Failed");
    }
    if !text(object, &["status", "certificate"]).is_empty() {
        state.push("Issued");
    }
    let asked = get_i64(object, &["spec", "expirationSeconds"]).map(super::text::duration);
    vec![
        meta::name(object).into(),
        age(object),
        or_none(text(object, &["spec", "signerName"])),
        cell(object, &["spec", "username"]),
        or_none(asked.unwrap_or_default()),
        state.join(",").into(),
    ]
}

fn claim_state(object: &Value) -> Value {
    let mut state = Vec::new();
    if meta::deletion_timestamp(object).is_some() {
        state.push("deleted");
    }
    if get(object, &["status", "allocation"]).is_none() {
        state.push("pending");
    } else {
        state.push("allocated");
    }
    if list(object, &["status", "reservedFor"]).count() > 0 {
        state.push("reserved");
    }
    json!(state.join(","))
}
