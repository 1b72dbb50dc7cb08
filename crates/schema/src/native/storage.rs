//! Kinds of `storage.k8s.io` that drivers and administrators write.

use object::{Gvk, Value, get, get_i64, get_str};

use super::at::At;
use super::validate::{immutable, selector};
use super::{internal, names};
use crate::FieldError;

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("storage.k8s.io", "StorageClass") => storage_class(object, old, errors),
        ("storage.k8s.io", "VolumeAttributesClass") => {
            fixed(object, old, &["driverName", "parameters"], errors);
            plugin(object, "driverName", errors);
            parameters(object, false, errors);
        }
        ("storage.k8s.io", "CSIDriver") => driver(object, old, errors),
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

fn storage_class(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let root = At::new(object, "");
    if old.is_some() {
        fixed(object, old, &["parameters", "provisioner", "reclaimPolicy"], errors);
        immutable(object, old, &["volumeBindingMode"], errors);
        return;
    }
    plugin(object, "provisioner", errors);
    parameters(object, true, errors);
    if !root.get("reclaimPolicy").text().is_empty() {
        root.get("reclaimPolicy").one_of(&["Delete", "Retain"], errors);
    }
    let mode = root.get("volumeBindingMode");
    if mode.some() {
        mode.one_of(&["Immediate", "WaitForFirstConsumer"], errors);
    } else {
        mode.required(errors);
    }
    let mut terms: Vec<Vec<(&str, Vec<&str>)>> = Vec::new();
    for term in root.get("allowedTopologies").items() {
        let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
        for own in term.get("matchLabelExpressions").items() {
            let (key, values) = (own.get("key"), own.get("values"));
            values.must(errors);
            let mut seen = std::collections::BTreeSet::new();
            for value in values.items() {
                if !seen.insert(value.text()) {
                    value.duplicate(value.text(), errors);
                }
            }
            key.qualified(errors);
            if found.iter().any(|(known, _)| *known == key.text()) {
                key.duplicate(key.text(), errors);
            }
            found.push((key.text(), seen.into_iter().collect()));
        }
        if terms.contains(&found) {
            let path = term.child("matchLabelExpressions");
            errors.push(FieldError::duplicate(path, ""));
        }
        terms.push(found);
    }
}

fn parameters(object: &Value, may_be_empty: bool, errors: &mut Vec<FieldError>) {
    let own = At::new(object, "").get("parameters");
    if own.len() > 512 {
        errors.push(FieldError::too_long(&own.path, 512));
        return;
    }
    let mut size = 0;
    for (key, value) in own.entries() {
        if key.is_empty() {
            own.invalid_as("", "field can not be empty.", errors);
        }
        size += key.len() + value.text().len();
    }
    if size > 256 * 1024 {
        errors.push(FieldError::too_long(&own.path, 256 * 1024));
    }
    if !may_be_empty && own.len() == 0 {
        own.required_because("must contain at least one key/value pair", errors);
    }
}

/// A driver of volumes.
fn driver(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = At::new(object, "").get("spec");
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    spec.get("fsGroupPolicy").may_be_one_of(&policies, errors);
    let mut seen = std::collections::BTreeSet::new();
    for request in spec.get("tokenRequests").items() {
        let (audience, time) = (request.get("audience"), request.get("expirationSeconds"));
        if !seen.insert(audience.text()) {
            audience.duplicate(audience.text(), errors);
            continue;
        }
        if time.int().is_some_and(|time| time < 600) {
            time.invalid("may not specify a duration less than 10 minutes", errors);
        }
        if time.number() > 1 << 32 {
            time.invalid("may not specify a duration larger than 2^32 seconds", errors);
        }
    }
    let modes = spec.get("volumeLifecycleModes");
    for mode in modes.items() {
        mode.named(&modes.path).one_of(&["Persistent", "Ephemeral"], errors);
    }
    let period = spec.get("nodeAllocatableUpdatePeriodSeconds");
    if period.int().is_some_and(|period| period < 10) {
        period.invalid("must be greater than or equal to 10 seconds", errors);
    }
    let Some(old) = old else { return };
    let before = At::new(old, "").get("spec");
    // Messages misspell its name.
    let attach = spec.get("attachRequired").named("spec.attachedRequired");
    attach.unchanged(&before.get("attachRequired"), errors);
    modes.unchanged(&before.get("volumeLifecycleModes"), errors);
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
    if old.is_some_and(|old| old.get("spec") != object.get("spec")) {
        let shown =
            internal::shown("storage.VolumeAttachmentSpec", object.get("spec").unwrap_or(&Value::Null));
        errors.push(FieldError::invalid_shown("spec", &shown, "field is immutable"));
    }
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
        for message in names::qualified_names(key) {
            errors.push(FieldError::invalid(path, key, message));
        }
    }
}
