//! Kinds with a rule or two of their own.

use object::{Gvk, Map, Value, get, get_str, meta};

use super::names;
use super::validate::immutable;
use crate::FieldError;

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("apps", "ControllerRevision") => {
            if object.get("data").is_none_or(Value::is_null) {
                errors.push(FieldError::required("data", "data is mandatory"));
            }
            if let Some(number) = object.get("revision").filter(|own| own.as_i64().is_some_and(|own| own < 0))
            {
                errors.push(FieldError::invalid(
                    "revision",
                    number.clone(),
                    "must be greater than or equal to 0",
                ));
            }
            immutable(object, old, &["data"], errors);
        }
        ("", "PersistentVolume") => volume(object, errors),
        ("", "Event") => event(object, errors),
        ("discovery.k8s.io", "EndpointSlice") => slice(object, old, errors),
        ("networking.k8s.io", "IngressClass") => {
            controller(object, errors);
            immutable(object, old, &["spec", "controller"], errors);
        }
        ("node.k8s.io", "RuntimeClass") => {
            let handler = text(object, &["handler"]);
            if let Some(message) = names::dns_label(handler) {
                errors.push(FieldError::invalid("handler", handler, message));
            }
            immutable(object, old, &["handler"], errors);
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            for field in ["value", "preemptionPolicy"] {
                if old.is_some_and(|old| object.get(field) != old.get(field)) {
                    errors.push(FieldError::forbidden(field, "may not be changed in an update."));
                }
            }
        }
        _ => {}
    }
}

fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    get_str(object, path).unwrap_or_default()
}

fn required(object: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    if text(object, path).is_empty() {
        errors.push(FieldError::required(path.join("."), ""));
    }
}

pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// Fields of a volume's specification that are no source.
const NO_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn volume(object: &Value, errors: &mut Vec<FieldError>) {
    let none = Map::new();
    let spec = object.get("spec").and_then(Value::as_object).unwrap_or(&none);
    let modes = spec.get("accessModes").and_then(Value::as_array);
    if modes.is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.accessModes", ""));
    }
    for mode in modes.into_iter().flatten().filter_map(Value::as_str) {
        if !ACCESS_MODES.contains(&mode) {
            errors.push(FieldError::not_supported("spec.accessModes", mode, &ACCESS_MODES));
        }
    }
    let capacity = spec.get("capacity").and_then(Value::as_object);
    if capacity.is_none_or(Map::is_empty) {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    if capacity.is_none_or(|map| map.len() != 1 || !map.contains_key("storage")) {
        let shown = spec.get("capacity").cloned().unwrap_or_default();
        errors.push(FieldError::not_supported("spec.capacity", shown, &["storage"]));
    }
    let policy = spec.get("persistentVolumeReclaimPolicy").and_then(Value::as_str).unwrap_or_default();
    let known = ["Delete", "Recycle", "Retain"];
    if !policy.is_empty() && !known.contains(&policy) {
        errors.push(FieldError::not_supported("spec.persistentVolumeReclaimPolicy", policy, &known));
    }
    let sources: Vec<&String> = spec
        .iter()
        .filter(|(key, value)| !NO_SOURCE.contains(&key.as_str()) && !value.is_null())
        .map(|(key, _)| key)
        .collect();
    if sources.is_empty() {
        errors.push(FieldError::required("spec", "must specify a volume type"));
    }
    if spec.get("hostPath").is_some_and(|own| get_str(own, &["path"]).is_none_or(str::is_empty)) {
        errors.push(FieldError::required("spec.hostPath.path", ""));
    }
    for extra in sources.iter().skip(1) {
        let detail = "may not specify more than 1 volume type";
        errors.push(FieldError::forbidden(format!("spec.{extra}"), detail));
    }
}

/// Events are about an object of their own namespace, or about one without in `default`.
fn event(object: &Value, errors: &mut Vec<FieldError>) {
    let about = ["involvedObject", "regarding"].into_iter().find(|field| object.get(field).is_some());
    let about = about.unwrap_or("involvedObject");
    let target = text(object, &[about, "namespace"]);
    let own = meta::namespace(object).unwrap_or_default();
    let timed = object.get("eventTime").is_some_and(|time| !time.is_null());
    let fits = match (target.is_empty(), timed) {
        (true, false) => matches!(own, "" | "default"),
        (true, true) => matches!(own, "default" | "kube-system"),
        (false, false) => own == target,
        (false, true) => true,
    };
    if !fits {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", target, detail));
    }
    if !timed {
        return;
    }
    let reporter = if object.get("reportingController").is_some() {
        "reportingController"
    } else {
        "reportingComponent"
    };
    required(object, &[reporter], errors);
    if let Some(message) = names::qualified_name(text(object, &[reporter])) {
        errors.push(FieldError::invalid(reporter, text(object, &[reporter]), message));
    }
    required(object, &["reportingInstance"], errors);
    required(object, &["action"], errors);
    required(object, &["reason"], errors);
}

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;

fn slice(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let kind = text(object, &["addressType"]);
    let known = ["FQDN", "IPv4", "IPv6"];
    if kind.is_empty() {
        errors.push(FieldError::required("addressType", ""));
    } else if !known.contains(&kind) {
        errors.push(FieldError::not_supported("addressType", kind, &known));
    }
    let endpoints = object.get("endpoints").and_then(Value::as_array);
    let count = endpoints.map_or(0, Vec::len);
    if count > MAX_ENDPOINTS {
        errors.push(FieldError::too_many("endpoints", count as i64, MAX_ENDPOINTS as i64));
    }
    for (index, endpoint) in endpoints.into_iter().flatten().enumerate().take(MAX_ENDPOINTS) {
        let path = format!("endpoints[{index}]");
        let addresses = get(endpoint, &["addresses"]).and_then(Value::as_array);
        match addresses.map_or(0, Vec::len) {
            0 => {
                let detail = "must contain at least 1 address";
                errors.push(FieldError::required(format!("{path}.addresses"), detail));
            }
            count if count > MAX_ADDRESSES => {
                let most = MAX_ADDRESSES as i64;
                errors.push(FieldError::too_many(format!("{path}.addresses"), count as i64, most));
            }
            _ => {}
        }
        for (at, address) in addresses.into_iter().flatten().filter_map(Value::as_str).enumerate() {
            address_of(kind, address, &format!("{path}.addresses"), at, errors);
        }
        if let Some(host) = get_str(endpoint, &["hostname"])
            && let Some(message) = names::dns_label(host)
        {
            errors.push(FieldError::invalid(format!("{path}.hostname"), host, message));
        }
    }
    immutable(object, old, &["addressType"], errors);
}

fn address_of(kind: &str, address: &str, path: &str, at: usize, errors: &mut Vec<FieldError>) {
    let parsed = address.parse::<std::net::IpAddr>();
    let wrong = match (kind, &parsed) {
        ("IPv4" | "IPv6", Err(_)) => {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(format!("{path}[{at}]"), address, detail));
            return;
        }
        ("IPv4", Ok(address)) => !address.is_ipv4(),
        ("IPv6", Ok(address)) => !address.is_ipv6(),
        _ => false,
    };
    if wrong {
        errors.push(FieldError::invalid(path, address, format!("must be an {kind} address")));
    }
}

/// `domain/path`.
fn controller(object: &Value, errors: &mut Vec<FieldError>) {
    let path = "spec.controller";
    let name = text(object, &["spec", "controller"]);
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name.len() > 250 {
        errors.push(FieldError::too_long(path, 250));
    }
    match name.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) {
        Some((host, _)) => {
            if let Some(message) = names::dns_subdomain(host) {
                errors.push(FieldError::invalid(path, host, message));
            }
        }
        None => {
            let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(path, name, detail));
        }
    }
}
