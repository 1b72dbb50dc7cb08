//! Kinds that the machinery of a cluster writes: endpoints, leases, limits, budgets, addresses, API services.

use object::{Gvk, Value, get, get_i64, get_str, meta};

use super::names;
use super::validate::selector;
use crate::FieldError;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, errors: &mut Vec<FieldError>) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("coordination.k8s.io", "Lease") => {
            if let Some(time) = get_i64(object, &["spec", "leaseDurationSeconds"]).filter(|time| *time <= 0) {
                errors.push(FieldError::invalid("spec.leaseDurationSeconds", time, "must be greater than 0"));
            }
            not_negative(object, &["spec", "leaseTransitions"], errors);
        }
        ("policy", "PodDisruptionBudget") => budget(object, errors),
        ("apiregistration.k8s.io", "APIService") => service(object, errors),
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

fn not_negative(object: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    if let Some(number) = get_i64(object, path).filter(|number| *number < 0) {
        errors.push(FieldError::invalid(path.join("."), number, NOT_NEGATIVE));
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
