//! Validation of built-in kinds with the reasons and messages of the Kubernetes API.

use object::{Gvk, LabelSelector, Map, Value, get, get_i64, get_str, meta};

use super::names;
use super::workloads;
use crate::FieldError;

/// Largest size of all annotations of an object together.
const MAX_ANNOTATIONS: usize = 256 * 1024;
/// Largest size of the data of a ConfigMap or Secret.
const MAX_DATA: usize = 1024 * 1024;

/// Which names objects of a kind may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
    /// DNS-1035 label.
    Label1035,
    /// Anything that is one segment of a path.
    PathSegment,
}

impl NameRule {
    /// The rule of a kind.
    pub fn of(gvk: &Gvk) -> NameRule {
        match (gvk.group.as_str(), gvk.kind.as_str()) {
            ("", "Namespace") => NameRule::Label,
            ("", "Service") => NameRule::Label1035,
            ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
            _ => NameRule::Subdomain,
        }
    }

    fn error(self, name: &str) -> Option<String> {
        match self {
            NameRule::Subdomain => names::dns_subdomain(name),
            NameRule::Label if name.contains('.') => Some("must not contain dots".to_owned()),
            NameRule::Label => names::dns_label(name),
            NameRule::Label1035 => names::dns_1035_label(name),
            NameRule::PathSegment => names::path_segment(name),
        }
    }
}

/// Errors of `metadata`; also for custom resources.
pub fn metadata(object: &Value, old: Option<&Value>, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (name, generate) = (meta::name(object), meta::generate_name(object));
    if !generate.is_empty()
        && let Some(message) = rule.error(&format!("{}a", generate.trim_end_matches('-')))
    {
        errors.push(FieldError::invalid("metadata.generateName", generate, message));
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Some(message) = rule.error(name) {
        errors.push(FieldError::invalid("metadata.name", name, message));
    }
    match (namespaced, meta::namespace(object)) {
        (true, None) => errors.push(FieldError::required("metadata.namespace", "")),
        (true, Some(namespace)) => {
            if let Some(message) = names::dns_label(namespace) {
                errors.push(FieldError::invalid("metadata.namespace", namespace, message));
            }
        }
        (false, Some(_)) => {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"))
        }
        (false, None) => {}
    }
    if let Some(value) = get(object, &["metadata", "labels"]) {
        labels(value, "metadata.labels", &mut errors);
    }
    annotations(object, &mut errors);
    owners(object, &mut errors);
    for (index, finalizer) in meta::finalizers(object).enumerate() {
        let path = format!("metadata.finalizers[{index}]");
        if let Some(message) = names::qualified_name(finalizer) {
            errors.push(FieldError::invalid(path, finalizer, message));
        } else if !finalizer.contains('/')
            && !matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion")
        {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(path, finalizer, detail));
        }
    }
    if let Some(old) = old {
        for field in ["name", "namespace", "uid", "creationTimestamp"] {
            let (new, before) = (get_str(object, &["metadata", field]), get_str(old, &["metadata", field]));
            if let Some(new) = new.filter(|_| before.is_some() && new != before) {
                errors.push(FieldError::invalid(format!("metadata.{field}"), new, "field is immutable"));
            }
        }
    }
    errors
}

/// Errors of a mapping of labels.
pub(super) fn labels(value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if let Some(message) = names::qualified_name(key) {
            errors.push(FieldError::invalid(path, key.as_str(), message));
        }
        let value = value.as_str().unwrap_or_default();
        if let Some(message) = names::label_value(value) {
            errors.push(FieldError::invalid(path, value, message));
        }
    }
}

fn annotations(object: &Value, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in meta::annotations(object).into_iter().flatten() {
        if let Some(message) = names::qualified_name(&key.to_lowercase()) {
            errors.push(FieldError::invalid("metadata.annotations", key.as_str(), message));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long("metadata.annotations", MAX_ANNOTATIONS as i64));
    }
}

fn owners(object: &Value, errors: &mut Vec<FieldError>) {
    let entries = get(object, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            let value = get_str(entry, &[field]).unwrap_or_default();
            if value.is_empty() {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{field}"), value, detail));
            }
        }
    }
    let controllers =
        meta::owner_references(object).iter().filter(|owner| owner.controller == Some(true)).count();
    if controllers > 1 {
        let detail = "Only one reference can have Controller set to true.";
        let shown = entries.cloned().map(Value::Array).unwrap_or_default();
        errors.push(FieldError::invalid("metadata.ownerReferences", shown, detail));
    }
}

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

/// A selector and the labels it must select.
pub(super) fn template_matches(spec: &Value, errors: &mut Vec<FieldError>) {
    let labels = get(spec, &["template", "metadata", "labels"]);
    let Some(wanted) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        errors.push(FieldError::required("spec.selector", ""));
        let shown = labels.cloned().unwrap_or_default();
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", shown, detail));
        return;
    };
    selector(wanted, "spec.selector", errors);
    let empty = |field: &str| match wanted.get(field) {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    };
    if empty("matchLabels") && empty("matchExpressions") {
        let detail = "empty selector is invalid for deployment";
        errors.push(FieldError::invalid("spec.selector", wanted.clone(), detail));
    }
    let selects =
        LabelSelector::from_object(wanted).is_ok_and(|s| s.matches(labels.and_then(Value::as_object)));
    if !selects {
        let shown = labels.cloned().unwrap_or_default();
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", shown, detail));
    }
}

/// All errors of an object.
pub(super) fn object(gvk: &Gvk, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(resource) = crate::builtin().by_kind(gvk) else { return Vec::new() };
    let mut errors = metadata(object, old, resource.namespaced, NameRule::of(gvk));
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
            binding(object, old, &mut errors)
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
        ("apps", "ControllerRevision") => {
            if object.get("data").is_none_or(Value::is_null) {
                errors.push(FieldError::required("data", "data is mandatory"));
            }
            immutable(object, old, &["data"], &mut errors);
        }
        ("storage.k8s.io", "StorageClass") => {
            if get_str(object, &["provisioner"]).is_none_or(str::is_empty) {
                errors.push(FieldError::required("provisioner", ""));
            }
            for field in ["provisioner", "reclaimPolicy", "parameters", "volumeBindingMode"] {
                immutable(object, old, &[field], &mut errors);
            }
        }
        _ => workloads::validate(gvk, object, old, &mut errors),
    }
    errors
}

fn service(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = get_str(object, &["spec", "type"]).unwrap_or_default();
    let ports: Vec<&Value> =
        get(object, &["spec", "ports"]).and_then(Value::as_array).into_iter().flatten().collect();
    let headless = get_str(object, &["spec", "clusterIP"]) == Some("None");
    if !matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName") {
        let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
        errors.push(FieldError::not_supported("spec.type", kind, &known));
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
    let ip = |value: &Value| get_str(value, &["spec", "clusterIP"]).unwrap_or_default().to_owned();
    if let Some(old) =
        old.filter(|old| kind != "ExternalName" && get_str(old, &["spec", "type"]) != Some("ExternalName"))
        && !ip(old).is_empty()
        && ip(old) != ip(object)
    {
        let shown = get(object, &["spec", "clusterIPs"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid("spec.clusterIPs[0]", shown, "may not change once set"));
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

fn binding(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    if let Some(old) = old
        && object.get("roleRef") != old.get("roleRef")
    {
        let field = |name: &str| get(object, &["roleRef", name]).cloned().unwrap_or_default();
        let shown =
            serde_json::json!({"APIGroup": field("apiGroup"), "Kind": field("kind"), "Name": field("name")});
        errors.push(FieldError::invalid("roleRef", shown, "cannot change roleRef"));
    }
    let kind = get_str(object, &["roleRef", "kind"]).unwrap_or_default();
    if !matches!(kind, "Role" | "ClusterRole") {
        errors.push(FieldError::not_supported("roleRef.kind", kind, &["Role", "ClusterRole"]));
    }
    if get_str(object, &["roleRef", "name"]).is_none_or(str::is_empty) {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    let subjects = object.get("subjects").and_then(Value::as_array);
    for (index, subject) in subjects.into_iter().flatten().enumerate() {
        let path = format!("subjects[{index}]");
        if get_str(subject, &["name"]).is_none_or(str::is_empty) {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        match get_str(subject, &["kind"]).unwrap_or_default() {
            "User" | "Group" => {}
            "ServiceAccount" => {
                if get_str(subject, &["namespace"]).is_none_or(str::is_empty) {
                    errors.push(FieldError::required(format!("{path}.namespace"), ""));
                }
            }
            other => {
                let known = ["Group", "ServiceAccount", "User"];
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
        errors.push(FieldError::invalid("spec", Value::Null, detail));
    }
    if let Some(backend) = default {
        ingress_backend(backend, "spec.defaultBackend", errors);
    }
    for (index, rule) in rules.iter().enumerate() {
        let paths = get(rule, &["http", "paths"]).and_then(Value::as_array);
        for (at, entry) in paths.into_iter().flatten().enumerate() {
            let path = format!("spec.rules[{index}].http.paths[{at}]");
            match get_str(entry, &["pathType"]) {
                Some("Exact" | "Prefix" | "ImplementationSpecific") => {}
                None | Some("") => {
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
            if get_str(service, &["name"]).is_none_or(str::is_empty) {
                errors.push(FieldError::required(format!("{path}.service.name"), ""));
            }
            let name = get_str(service, &["port", "name"]).unwrap_or_default();
            let number = get_i64(service, &["port", "number"]).unwrap_or_default();
            if name.is_empty() && number == 0 {
                errors.push(FieldError::required(path, "port name or number is required"));
            }
        }
        (None, Some(_)) => {}
    }
}
