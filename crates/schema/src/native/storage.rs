//! Kinds of `storage.k8s.io` that drivers and administrators write.

use object::{Gvk, Value, get, get_i64, get_str};

use super::names;
use super::validate::{immutable, selector};
use crate::FieldError;

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("storage.k8s.io", "StorageClass") => {
            plugin(object, "provisioner", errors);
            fixed(object, old, &["provisioner", "parameters", "reclaimPolicy"], errors);
            immutable(object, old, &["volumeBindingMode"], errors);
        }
        ("storage.k8s.io", "VolumeAttributesClass") => {
            plugin(object, "driverName", errors);
            if object.get("parameters").and_then(Value::as_object).is_none_or(object::Map::is_empty) {
                errors.push(FieldError::required("parameters", "must contain at least one key/value pair"));
            }
            fixed(object, old, &["driverName", "parameters"], errors);
        }
        ("storage.k8s.io", "VolumeAttachment") => attachment(object, old, errors),
        ("storage.k8s.io", "CSIStorageCapacity") => {
            subdomain(text(object, &["storageClassName"]), "storageClassName", errors);
            if let Some(topology) = object.get("nodeTopology").filter(|own| own.is_object()) {
                selector(topology, "nodeTopology", errors);
            }
            immutable(object, old, &["nodeTopology"], errors);
            immutable(object, old, &["storageClassName"], errors);
        }
        ("storage.k8s.io", "CSINode") => drivers(object, errors),
        _ => {}
    }
}

fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    get_str(object, path).unwrap_or_default()
}

fn subdomain(name: &str, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(message) = names::dns_subdomain(name) {
        errors.push(FieldError::invalid(path, name, message));
    }
}

/// The name of a driver, judged without regard to case.
fn plugin(object: &Value, field: &str, errors: &mut Vec<FieldError>) {
    let name = text(object, &[field]).to_lowercase();
    if name.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if let Some(message) = names::qualified_name(&name) {
        errors.push(FieldError::invalid(field, name, message));
    }
}

fn fixed(object: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Vec<FieldError>) {
    for field in fields {
        if old.is_some_and(|old| object.get(*field) != old.get(*field)) {
            errors.push(FieldError::forbidden(*field, format!("updates to {field} are forbidden.")));
        }
    }
}

fn attachment(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let attacher = text(object, &["spec", "attacher"]);
    if attacher.is_empty() {
        errors.push(FieldError::required("spec.attacher", ""));
    }
    let inline = get(object, &["spec", "source", "inlineVolumeSpec"]).filter(|own| !own.is_null());
    let named = get_str(object, &["spec", "source", "persistentVolumeName"]);
    if inline.is_some() == named.is_some() {
        let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        errors.push(FieldError::required("spec.source", detail));
    } else if let Some(name) = named {
        let path = "spec.source.persistentVolumeName";
        if name.is_empty() {
            errors.push(FieldError::required(path, "must specify non empty persistentVolumeName"));
        }
        subdomain(name, path, errors);
    }
    subdomain(text(object, &["spec", "nodeName"]), "spec.nodeName", errors);
    if old.is_none() {
        if attacher.is_empty() {
            errors.push(FieldError::required("spec.attacher", ""));
        }
        if let Some(message) = names::dns_subdomain(&attacher.to_lowercase()) {
            errors.push(FieldError::invalid("spec.attacher", attacher, message));
        }
    }
    immutable(object, old, &["spec"], errors);
}

fn drivers(object: &Value, errors: &mut Vec<FieldError>) {
    let list = get(object, &["spec", "drivers"]).and_then(Value::as_array);
    let mut seen = std::collections::BTreeSet::new();
    for (index, driver) in list.into_iter().flatten().enumerate() {
        let path = format!("spec.drivers[{index}]");
        let name = text(driver, &["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        if let Some(message) = names::dns_subdomain(&name.to_lowercase()) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, message));
        }
        if text(driver, &["nodeID"]).is_empty() {
            errors.push(FieldError::required(format!("{path}.nodeID"), ""));
        }
        if let Some(count) = get_i64(driver, &["allocatable", "count"]).filter(|count| *count < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(format!("{path}.allocatable.count"), count, detail));
        }
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        topology(driver, &path, errors);
    }
}

fn topology(driver: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut seen = std::collections::BTreeSet::new();
    let keys = get(driver, &["topologyKeys"]).and_then(Value::as_array);
    for key in keys.into_iter().flatten().filter_map(Value::as_str) {
        if key.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(path, key));
        }
        if let Some(message) = names::qualified_name(key) {
            errors.push(FieldError::invalid(path, key, message));
        }
    }
}
