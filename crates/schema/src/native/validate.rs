//! Validation of built-in kinds with the reasons and messages of the Kubernetes API.

use object::{Gvk, LabelSelector, Map, Value, get, get_i64, get_str};

use super::metadata::{NameRule, any_finalizer, any_metadata, labels, metadata};
use super::{names, plumbing, small, storage, workloads};
use crate::FieldError;

/// Largest size of the data of a ConfigMap or Secret.
const MAX_DATA: usize = 1024 * 1024;

/// Errors of a label selector object.
pub(super) fn selector(value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(matched) = value.get("matchLabels") {
        labels(matched, &format!("{path}.matchLabels"), errors);
    }
    let expressions = value.get("matchExpressions").and_then(Value::as_array);
    for (index, expression) in expressions.into_iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = expression.get("values").and_then(Value::as_array).map_or(0, Vec::len);
        match get_str(expression, &["operator"]).unwrap_or_default() {
            "In" | "NotIn" if values == 0 => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(format!("{path}.values"), detail));
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(format!("{path}.values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid(
                    format!("{path}.operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
        let key = get_str(expression, &["key"]).unwrap_or_default();
        if let Some(message) = names::qualified_name(key) {
            errors.push(FieldError::invalid(format!("{path}.key"), key, message));
        }
    }
}

/// A field that must not change.
pub(super) fn immutable(object: &Value, old: Option<&Value>, path: &[&str], errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let new = get(object, path);
    if new != get(old, path) {
        errors.push(FieldError::invalid(
            path.join("."),
            new.cloned().unwrap_or_default(),
            "field is immutable",
        ));
    }
}

/// A selector and the labels it must select, of a workload of this kind.
pub(super) fn template_matches(kind: &str, spec: &Value, errors: &mut Vec<FieldError>) {
    let labels = get(spec, &["template", "metadata", "labels"]);
    let mismatch = || {
        let detail = "`selector` does not match template `labels`";
        FieldError::invalid("spec.template.metadata.labels", labels.cloned().unwrap_or_default(), detail)
    };
    let Some(wanted) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        // A DaemonSet without a selector is only told that nothing matches.
        if kind != "DaemonSet" {
            errors.push(FieldError::required("spec.selector", ""));
        }
        errors.push(mismatch());
        return;
    };
    selector(wanted, "spec.selector", errors);
    let empty = |field: &str| match wanted.get(field) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    };
    let nothing = empty("matchLabels") && empty("matchExpressions");
    if nothing {
        let named = match kind {
            "DaemonSet" => "daemonset",
            "StatefulSet" => "statefulset",
            _ => "deployment",
        };
        let detail = format!("empty selector is invalid for {named}");
        errors.push(FieldError::invalid("spec.selector", wanted.clone(), detail));
    }
    let selects =
        LabelSelector::from_object(wanted).is_ok_and(|s| s.matches(labels.and_then(Value::as_object)));
    if !selects {
        errors.push(mismatch());
    }
}

/// All errors of an object.
pub(super) fn object(gvk: &Gvk, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(resource) = crate::builtin().by_kind(gvk) else { return Vec::new() };
    let rule = NameRule::of(gvk);
    let mut errors = match any_finalizer(gvk) {
        true => any_metadata(object, old, resource.namespaced, rule),
        false => metadata(object, old, resource.namespaced, rule),
    };
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Service") => service(object, old, &mut errors),
        ("", "ConfigMap") => data(object, old, &["data", "binaryData"], &mut errors),
        ("", "Secret") => {
            data(object, old, &["data"], &mut errors);
            immutable(object, old, &["type"], &mut errors);
            secret_keys(object, &mut errors);
        }
        ("", "PersistentVolumeClaim") => claim(object, old, &mut errors),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            binding(gvk, object, old, &mut errors)
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => role(gvk, object, &mut errors),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object, &mut errors),
        ("networking.k8s.io", "Ingress") => ingress(object, &mut errors),
        ("networking.k8s.io", "NetworkPolicy") => {
            if let Some(pods) = get(object, &["spec", "podSelector"]) {
                selector(pods, "spec.podSelector", &mut errors);
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            errors = metadata(object, old, false, NameRule::Subdomain);
            errors.extend(crate::crd::validate_definition(object, old));
        }
        _ => {
            if (gvk.group.as_str(), gvk.kind.as_str()) == ("policy", "PodDisruptionBudget") {
                // The original looks at nothing but the specification.
                errors.clear();
            }
            workloads::validate(gvk, object, old, &mut errors);
            storage::validate(gvk, object, old, &mut errors);
            plumbing::validate(gvk, object, old, &mut errors);
            small::validate(gvk, object, old, &mut errors);
        }
    }
    errors
}

fn service(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = get_str(object, &["spec", "type"]).unwrap_or_default();
    let ports: Vec<&Value> =
        get(object, &["spec", "ports"]).and_then(Value::as_array).into_iter().flatten().collect();
    let headless = get_str(object, &["spec", "clusterIP"]) == Some("None");
    let ip = |value: &Value| get_str(value, &["spec", "clusterIP"]).unwrap_or_default().to_owned();
    if let Some(old) =
        old.filter(|old| kind != "ExternalName" && get_str(old, &["spec", "type"]) != Some("ExternalName"))
        && !ip(old).is_empty()
        && ip(old) != ip(object)
    {
        let shown = get(object, &["spec", "clusterIPs"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec.clusterIPs[0]", shown, "may not change once set"));
    }
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if kind == "ExternalName" {
        let name = get_str(object, &["spec", "externalName"]).unwrap_or_default().trim_end_matches('.');
        if name.is_empty() {
            errors.push(FieldError::required("spec.externalName", ""));
        } else if let Some(message) = names::dns_subdomain(name) {
            errors.push(FieldError::invalid("spec.externalName", name, message));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut pairs = std::collections::BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{index}]");
        let name = get_str(port, &["name"]).unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        } else if !name.is_empty() {
            if let Some(message) = names::dns_label(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, message));
            } else if !seen.insert(name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
        let number = get_i64(port, &["port"]).unwrap_or_default();
        port_number(number, &format!("{path}.port"), errors);
        protocol(port, &path, errors);
        target_port(port.get("targetPort"), &format!("{path}.targetPort"), errors);
        if !pairs.insert((get_str(port, &["protocol"]), number)) {
            let mut shown = Map::new();
            shown.extend(port.get("protocol").map(|value| ("protocol".to_owned(), value.clone())));
            shown.insert("port".to_owned(), number.into());
            errors.push(FieldError::duplicate(path, Value::Object(shown)));
        }
    }
    if let Some(wanted) = get(object, &["spec", "selector"]) {
        labels(wanted, "spec.selector", errors);
    }
    let affinity = get_str(object, &["spec", "sessionAffinity"]).unwrap_or_default();
    if !matches!(affinity, "None" | "ClientIP") {
        errors.push(FieldError::not_supported("spec.sessionAffinity", affinity, &["ClientIP", "None"]));
    }
    if !matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName") {
        let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        errors.push(FieldError::not_supported("spec.type", kind, &known));
    }
}

/// A port number must be between 1 and 65535.
pub(super) fn port_number(number: i64, path: &str, errors: &mut Vec<FieldError>) {
    if !(1..=65535).contains(&number) {
        errors.push(FieldError::invalid(path, number, "must be between 1 and 65535, inclusive"));
    }
}

/// A port by number or name.
pub(super) fn target_port(value: Option<&Value>, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Some(Value::String(name)) => {
            if let Some(message) = names::port_name(name) {
                errors.push(FieldError::invalid(path, name.as_str(), message));
            }
        }
        Some(Value::Number(number)) => port_number(number.as_i64().unwrap_or_default(), path, errors),
        _ => {}
    }
}

/// The protocol of a port.
pub(super) fn protocol(port: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match get_str(port, &["protocol"]) {
        None | Some("TCP" | "UDP" | "SCTP") => {}
        Some(other) => {
            errors.push(FieldError::not_supported(
                format!("{path}.protocol"),
                other,
                &["SCTP", "TCP", "UDP"],
            ));
        }
    }
}

fn data(object: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for field in fields {
        for (key, value) in object.get(field).and_then(Value::as_object).into_iter().flatten() {
            if let Some(message) = names::config_key(key) {
                errors.push(FieldError::invalid(format!("{field}[{key}]"), key.as_str(), message));
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    if size > MAX_DATA * 4 / 3 || (fields.contains(&"binaryData") && size > MAX_DATA) {
        errors.push(FieldError::too_long("", MAX_DATA as i64));
    }
    if let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) {
        if object.get("immutable") != Some(&Value::Bool(true)) {
            errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for field in fields {
            if object.get(field) != old.get(field) {
                errors.push(FieldError::forbidden(*field, "field is immutable when `immutable` is set"));
            }
        }
    }
}

fn secret_keys(object: &Value, errors: &mut Vec<FieldError>) {
    let wanted: &[&str] = match get_str(object, &["type"]).unwrap_or_default() {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in wanted {
        if get(object, &["data", key]).is_none() {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    }
}

fn claim(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if get(object, &["spec", "accessModes"]).and_then(Value::as_array).is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let modes = get(object, &["spec", "accessModes"]).and_then(Value::as_array);
    for mode in modes.into_iter().flatten().filter_map(Value::as_str) {
        if !small::ACCESS_MODES.contains(&mode) {
            errors.push(FieldError::not_supported("spec.accessModes", mode, &small::ACCESS_MODES));
        }
    }
    if get(object, &["spec", "resources", "requests", "storage"]).is_none() {
        errors.push(FieldError::required("spec.resources[storage]", ""));
    }
    let Some(old) = old else { return };
    // A claim may grow, be bound and get its class; the rest of its specification stays.
    let fixed = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or_default();
        for path in
            [&["resources"][..], &["volumeName"], &["storageClassName"], &["volumeAttributesClassName"]]
        {
            object::remove(&mut spec, path);
        }
        spec
    };
    let renamed = |field: &str| {
        let before = get_str(old, &["spec", field]).unwrap_or_default();
        !before.is_empty() && Some(before) != get_str(object, &["spec", field])
    };
    if fixed(object) != fixed(old) || renamed("volumeName") || renamed("storageClassName") {
        let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", detail));
    }
}

fn binding(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if let Some(old) = old
        && object.get("roleRef") != old.get("roleRef")
    {
        let field = |name: &str| get(object, &["roleRef", name]).cloned().unwrap_or_default();
        let shown =
            serde_json::json!({"APIGroup": field("apiGroup"), "Kind": field("kind"), "Name": field("name")});
        errors.push(FieldError::invalid("roleRef", shown, "cannot change roleRef"));
    }
    const GROUP: &str = "rbac.authorization.k8s.io";
    let group = get_str(object, &["roleRef", "apiGroup"]).unwrap_or_default();
    if group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kind = get_str(object, &["roleRef", "kind"]).unwrap_or_default();
    let known: &[&str] =
        if gvk.kind == "ClusterRoleBinding" { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
    if !known.contains(&kind) {
        errors.push(FieldError::not_supported("roleRef.kind", kind, known));
    }
    if get_str(object, &["roleRef", "name"]).is_none_or(str::is_empty) {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    let subjects = object.get("subjects").and_then(Value::as_array);
    for (index, subject) in subjects.into_iter().flatten().enumerate() {
        let path = format!("subjects[{index}]");
        let text = |field: &str| get_str(subject, &[field]).unwrap_or_default();
        let name = text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        let mut grouped = |wanted: &str| {
            if text("apiGroup") != wanted {
                let at = format!("{path}.apiGroup");
                errors.push(FieldError::not_supported(at, text("apiGroup"), &[wanted]));
            }
        };
        match text("kind") {
            "User" | "Group" => grouped(GROUP),
            "ServiceAccount" => {
                grouped("");
                if let Some(why) = names::dns_subdomain(name).filter(|_| !name.is_empty()) {
                    errors.push(FieldError::invalid(format!("{path}.name"), name, why));
                }
                if gvk.kind == "ClusterRoleBinding" && text("namespace").is_empty() {
                    errors.push(FieldError::required(format!("{path}.namespace"), ""));
                }
            }
            other => {
                let known = ["ServiceAccount", "User", "Group"];
                errors.push(FieldError::not_supported(format!("{path}.kind"), other, &known));
            }
        }
    }
}

fn role(gvk: &Gvk, object: &Value, errors: &mut Vec<FieldError>) {
    let rules = object.get("rules").and_then(Value::as_array);
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        let some =
            |field: &str| rule.get(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let path = format!("rules[{index}]");
        if !some("verbs") {
            errors
                .push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        if some("nonResourceURLs") {
            if gvk.kind == "Role" {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                let shown = rule.get("nonResourceURLs").cloned().unwrap_or_default();
                errors.push(FieldError::invalid(format!("{path}.nonResourceURLs"), shown, detail));
            }
            if some("apiGroups") || some("resources") || some("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                let shown = rule.get("nonResourceURLs").cloned().unwrap_or_default();
                errors.push(FieldError::invalid(format!("{path}.nonResourceURLs"), shown, detail));
            }
            continue;
        }
        if !some("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            errors.push(FieldError::required(format!("{path}.apiGroups"), detail));
        }
        if !some("resources") {
            let detail = "resource rules must supply at least one resource";
            errors.push(FieldError::required(format!("{path}.resources"), detail));
        }
    }
}

fn autoscaler(object: &Value, errors: &mut Vec<FieldError>) {
    let least = get_i64(object, &["spec", "minReplicas"]).unwrap_or(1);
    let most = get_i64(object, &["spec", "maxReplicas"]).unwrap_or_default();
    if least < 1 {
        errors.push(FieldError::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if most < least {
        errors.push(FieldError::invalid(
            "spec.maxReplicas",
            most,
            "must be greater than or equal to `minReplicas`",
        ));
    }
    for field in ["kind", "name"] {
        if get_str(object, &["spec", "scaleTargetRef", field]).is_none_or(str::is_empty) {
            errors.push(FieldError::required(format!("spec.scaleTargetRef.{field}"), ""));
        }
    }
    if get_str(object, &["spec", "scaleTargetRef", "apiVersion"]).is_none_or(str::is_empty) {
        let detail = "apiVersion must specify API group";
        errors.push(FieldError::invalid("spec.scaleTargetRef.apiVersion", "", detail));
    }
}

fn ingress(object: &Value, errors: &mut Vec<FieldError>) {
    let rules: Vec<&Value> =
        get(object, &["spec", "rules"]).and_then(Value::as_array).into_iter().flatten().collect();
    let default = get(object, &["spec", "defaultBackend"]).filter(|backend| backend.is_object());
    if rules.is_empty() && default.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        let shown = get(object, &["spec", "rules"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec", shown, detail));
    }
    if let Some(backend) = default {
        ingress_backend(backend, "spec.defaultBackend", errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        ingress_host(rule, &format!("spec.rules[{index}].host"), errors);
        let paths = get(rule, &["http", "paths"]).and_then(Value::as_array);
        if rule.get("http").is_some_and(Value::is_object) && paths.is_none_or(Vec::is_empty) {
            errors.push(FieldError::required(format!("spec.rules[{index}].http.paths"), ""));
        }
        for (at, entry) in paths.into_iter().flatten().enumerate() {
            let path = format!("spec.rules[{index}].http.paths[{at}]");
            match get_str(entry, &["pathType"]) {
                Some("Exact" | "Prefix" | "ImplementationSpecific") => {}
                None => {
                    errors
                        .push(FieldError::required(format!("{path}.pathType"), "pathType must be specified"));
                    continue;
                }
                Some(other) => {
                    let known = ["Exact", "ImplementationSpecific", "Prefix"];
                    errors.push(FieldError::not_supported(format!("{path}.pathType"), other, &known));
                }
            }
            let text = get_str(entry, &["path"]).unwrap_or_default();
            let absolute = matches!(get_str(entry, &["pathType"]), Some("Exact" | "Prefix"));
            if absolute && !text.starts_with('/') {
                errors.push(FieldError::invalid(format!("{path}.path"), text, "must be an absolute path"));
            }
            if let Some(backend) = entry.get("backend") {
                ingress_backend(backend, &format!("{path}.backend"), errors);
            }
        }
    }
}

fn ingress_host(rule: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let host = get_str(rule, &["host"]).unwrap_or_default();
    if host.is_empty() {
        return;
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        errors.push(FieldError::invalid(path, host, "must be a DNS name, not an IP address"));
        return;
    }
    // A wildcard stands for the first label.
    let name = host.strip_prefix("*.").unwrap_or(host);
    if let Some(message) = names::dns_subdomain(name) {
        errors.push(FieldError::invalid(path, host, message));
    }
}

fn ingress_backend(backend: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let service = backend.get("service").filter(|service| service.is_object());
    let resource = backend.get("resource").filter(|resource| resource.is_object());
    match (service, resource) {
        (None, None) => {
            errors.push(FieldError::required(path, "must specify either `service` or `resource`"))
        }
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (Some(service), None) => {
            let own = get_str(service, &["name"]).unwrap_or_default();
            if own.is_empty() {
                errors.push(FieldError::required(format!("{path}.service.name"), ""));
            } else if let Some(message) = names::dns_1035_label(own) {
                errors.push(FieldError::invalid(format!("{path}.service.name"), own, message));
            }
            let name = get_str(service, &["port", "name"]).unwrap_or_default();
            let number = get_i64(service, &["port", "number"]).unwrap_or_default();
            if name.is_empty() && number == 0 {
                errors.push(FieldError::required(path, "port name or number is required"));
            } else if number != 0 {
                port_number(number, &format!("{path}.service.port.number"), errors);
            }
        }
        (None, Some(_)) => {}
    }
}
