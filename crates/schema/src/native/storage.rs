//! Kinds of `storage.k8s.io` that drivers and administrators write.

use object::{Gvk, Value};

use super::at::{At, Errors};
use super::validate::{immutable, selector};
use super::{internal, names};
use crate::FieldError;

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Errors) {
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
            let root = At::new(object, "");
            subdomain(&root.get("storageClassName"), errors);
            let topology = root.get("nodeTopology");
            if topology.value.is_object() {
                selector(topology.value, &topology.path, errors);
            }
            immutable(object, old, &["nodeTopology"], errors);
            immutable(object, old, &["storageClassName"], errors);
        }
        ("storage.k8s.io", "CSINode") => drivers(object, errors),
        _ => {}
    }
}

fn storage_class(object: &Value, old: Option<&Value>, errors: &mut Errors) {
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

fn parameters(object: &Value, may_be_empty: bool, errors: &mut Errors) {
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
fn driver(object: &Value, old: Option<&Value>, errors: &mut Errors) {
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

fn subdomain(own: &At<'_>, errors: &mut Errors) {
    if let Some(message) = names::dns_subdomain(own.text()) {
        own.invalid_as(own.text(), message, errors);
    }
}

/// The name of a driver, judged without regard to case.
fn plugin(object: &Value, field: &str, errors: &mut Errors) {
    let own = At::new(object, "").get(field);
    let name = own.text().to_lowercase();
    if name.is_empty() {
        own.required(errors);
    } else if let Some(message) = names::qualified_name(&name) {
        own.invalid_as(name, message, errors);
    }
}

fn fixed(object: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Errors) {
    for field in fields {
        if old.is_some_and(|old| object.get(*field) != old.get(*field)) {
            errors.push(FieldError::forbidden(*field, format!("updates to {field} are forbidden.")));
        }
    }
}

fn attachment(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let (attacher, source) = (spec.get("attacher"), spec.get("source"));
    attacher.must(errors);
    let named = source.get("persistentVolumeName");
    if source.get("inlineVolumeSpec").some() == named.some() {
        let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        source.required_because(detail, errors);
    } else if named.some() {
        if named.text().is_empty() {
            named.required_because("must specify non empty persistentVolumeName", errors);
        }
        subdomain(&named, errors);
    }
    subdomain(&spec.get("nodeName"), errors);
    if old.is_none() {
        attacher.must(errors);
        if let Some(message) = names::dns_subdomain(&attacher.text().to_lowercase()) {
            attacher.invalid_as(attacher.text(), message, errors);
        }
    }
    if old.is_some_and(|old| old.get("spec") != object.get("spec")) {
        let shown = internal::shown("storage.VolumeAttachmentSpec", spec.value);
        errors.push(FieldError::invalid_shown("spec", &shown, "field is immutable"));
    }
}

fn drivers(object: &Value, errors: &mut Errors) {
    let mut seen = std::collections::BTreeSet::new();
    for driver in At::new(object, "").get("spec").get("drivers").items() {
        let name = driver.get("name");
        name.must(errors);
        if let Some(message) = names::dns_subdomain(&name.text().to_lowercase()) {
            name.invalid_as(name.text(), message, errors);
        }
        driver.get("nodeID").must(errors);
        driver.get("allocatable").get("count").not_negative(errors);
        if !name.text().is_empty() && !seen.insert(name.text()) {
            name.duplicate(name.text(), errors);
        }
        topology(&driver, errors);
    }
}

/// Messages name the driver, not the list.
fn topology(driver: &At<'_>, errors: &mut Errors) {
    let mut seen = std::collections::BTreeSet::new();
    for key in driver.get("topologyKeys").texts() {
        if key.is_empty() {
            driver.required(errors);
        }
        if !seen.insert(key) {
            driver.duplicate(key, errors);
        }
        names::qualified_names(key).into_iter().for_each(|why| driver.invalid_as(key, why, errors));
    }
}
