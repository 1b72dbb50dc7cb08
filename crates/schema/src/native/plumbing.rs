//! Kinds that the machinery of a cluster writes: endpoints, leases, limits, budgets, addresses, API services.

use std::net::IpAddr;

use object::{Gvk, Value, get, get_i64, get_str, meta};

use super::names;
use super::validate::{immutable, selector};
use crate::FieldError;

const PORT: &str = "must be between 1 and 65535, inclusive";
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Endpoints") => endpoints(object, errors),
        ("", "LimitRange") => limits(object, errors),
        ("coordination.k8s.io", "Lease") => {
            if let Some(time) = get_i64(object, &["spec", "leaseDurationSeconds"]).filter(|time| *time <= 0) {
                errors.push(FieldError::invalid("spec.leaseDurationSeconds", time, "must be greater than 0"));
            }
            not_negative(object, &["spec", "leaseTransitions"], errors);
        }
        ("policy", "PodDisruptionBudget") => budget(object, errors),
        ("networking.k8s.io", "IPAddress") => address(object, old, errors),
        ("apiregistration.k8s.io", "APIService") => service(object, errors),
        _ => {}
    }
}

fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    get_str(object, path).unwrap_or_default()
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn required(object: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    if text(object, path).is_empty() {
        errors.push(FieldError::required(path.join("."), ""));
    }
}

fn not_negative(object: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    if let Some(number) = get_i64(object, path).filter(|number| *number < 0) {
        errors.push(FieldError::invalid(path.join("."), number, NOT_NEGATIVE));
    }
}

fn endpoints(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, subset) in list(object, "subsets").iter().enumerate() {
        let path = format!("subsets[{index}]");
        let (ready, waiting) = (list(subset, "addresses"), list(subset, "notReadyAddresses"));
        if ready.is_empty() && waiting.is_empty() {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for (field, addresses) in [("addresses", ready), ("notReadyAddresses", waiting)] {
            for (at, address) in addresses.iter().enumerate() {
                endpoint(text(address, &["ip"]), &format!("{path}.{field}[{at}].ip"), errors);
            }
        }
        let ports = list(subset, "ports");
        for (at, port) in ports.iter().enumerate() {
            let path = format!("{path}.ports[{at}]");
            let name = text(port, &["name"]);
            if name.is_empty() {
                if ports.len() > 1 {
                    errors.push(FieldError::required(format!("{path}.name"), ""));
                }
            } else if let Some(message) = names::dns_label(name) {
                errors.push(FieldError::invalid(format!("{path}.name"), name, message));
            }
            let number = get_i64(port, &["port"]).unwrap_or(0);
            if !(1..=65535).contains(&number) {
                errors.push(FieldError::invalid(format!("{path}.port"), number, PORT));
            }
        }
    }
}

fn endpoint(address: &str, path: &str, errors: &mut Vec<FieldError>) {
    let special = match address.parse::<IpAddr>() {
        Err(_) => {
            let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(path, address, detail));
            "must be a valid IP address"
        }
        Ok(own) if own.is_unspecified() => "may not be unspecified (0.0.0.0 or ::)",
        Ok(own) if own.is_loopback() => "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        Ok(IpAddr::V4(own)) if own.is_link_local() => {
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        }
        Ok(IpAddr::V6(own)) if own.is_unicast_link_local() => {
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        }
        Ok(_) => return,
    };
    errors.push(FieldError::invalid(path, address, special));
}

fn limits(object: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = std::collections::BTreeSet::new();
    let all = get(object, &["spec"]).map(|spec| list(spec, "limits")).unwrap_or_default();
    for (index, limit) in all.iter().enumerate() {
        let path = format!("spec.limits[{index}].type");
        let kind = text(limit, &["type"]);
        if let Some(message) = names::qualified_name(kind) {
            errors.push(FieldError::invalid(&path, kind, message));
        } else if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
            errors.push(FieldError::invalid(&path, kind, "must be a standard limit type or fully qualified"));
        }
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(path, kind));
        }
    }
}

fn budget(object: &Value, errors: &mut Vec<FieldError>) {
    for field in ["minAvailable", "maxUnavailable"] {
        let path = format!("spec.{field}");
        match get(object, &["spec", field]) {
            Some(Value::Number(number)) if number.as_i64().is_some_and(|number| number < 0) => {
                errors.push(FieldError::invalid(path, Value::Number(number.clone()), NOT_NEGATIVE));
            }
            Some(Value::String(share)) => {
                let digits = share.strip_suffix('%').unwrap_or_default();
                let number =
                    Some(digits).filter(|own| !own.is_empty() && own.bytes().all(|b| b.is_ascii_digit()));
                match number.map(|digits| digits.parse::<u64>().unwrap_or(u64::MAX)) {
                    None => {
                        let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                        errors.push(FieldError::invalid(path, share.as_str(), detail));
                    }
                    Some(share_of) if share_of > 100 => {
                        let detail = "must not be greater than 100%";
                        errors.push(FieldError::invalid(path, share.as_str(), detail));
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
    }
    if let Some(own) = get(object, &["spec", "selector"]).filter(|own| own.is_object()) {
        selector(own, "spec.selector", errors);
    }
}

fn address(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let path = ["spec", "parentRef"];
    match get(object, &path).filter(|own| own.is_object()) {
        None => errors.push(FieldError::required("spec.parentRef", "")),
        Some(_) => {
            required(object, &["spec", "parentRef", "resource"], errors);
            required(object, &["spec", "parentRef", "name"], errors);
        }
    }
    immutable(object, old, &path, errors);
}

fn service(object: &Value, errors: &mut Vec<FieldError>) {
    let (group, version) = (text(object, &["spec", "group"]), text(object, &["spec", "version"]));
    let wanted = format!("{version}.{group}");
    if meta::name(object) != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\"");
        errors.push(FieldError::invalid("metadata.name", meta::name(object), detail));
    }
    if group.is_empty() {
        if version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(FieldError::required("spec.group", detail));
        }
    } else if let Some(message) = names::dns_subdomain(group) {
        errors.push(FieldError::invalid("spec.group", group, message));
    }
    if let Some(message) = names::dns_1035_label(version) {
        errors.push(FieldError::invalid("spec.version", version, message));
    }
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let number = get_i64(object, &["spec", field]).unwrap_or(0);
        if !(1..=most).contains(&number) {
            let detail = format!("must be positive and less than {most}");
            errors.push(FieldError::invalid(format!("spec.{field}"), number, detail));
        }
    }
    let own = get(object, &["spec", "service"]).filter(|own| own.is_object());
    let skips = get(object, &["spec", "insecureSkipTLSVerify"]).and_then(Value::as_bool).unwrap_or(false);
    match own {
        None => {
            if skips {
                let detail = "local APIServices may not have insecureSkipTLSVerify";
                errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, detail));
            }
        }
        Some(_) => {
            required(object, &["spec", "service", "namespace"], errors);
            required(object, &["spec", "service", "name"], errors);
        }
    }
}
