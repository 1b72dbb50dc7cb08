//! Kinds of `resource.k8s.io`: classes of devices, claims on them, and what nodes offer.

use std::collections::BTreeMap;

use object::{Gvk, Value};
use serde_json::json;

use super::at::{At, Errors};
use super::{internal, names};
use crate::FieldError;

/// The longest name of a driver.
const LONGEST_DRIVER: usize = 63;
/// The longest identifier of an attribute.
const LONGEST_IDENTIFIER: usize = 32;
/// The longest expression of a selector.
const LONGEST_EXPRESSION: usize = 10 * 1024;
/// The longest parameters of a driver.
const LONGEST_PARAMETERS: usize = 10 * 1024;
const MOST_REQUESTS: usize = 32;
const MOST_SELECTORS: usize = 32;
const MOST_ALTERNATIVES: usize = 8;
const MOST_DEVICES: usize = 128;
const MOST_ATTRIBUTES: usize = 32;
const EFFECTS: &[&str] = &["NoExecute", "NoSchedule"];
const REFERENCE: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Errors) {
    if gvk.group != "resource.k8s.io" {
        return;
    }
    let spec = At::new(object, "").get("spec");
    let before = old.map(|old| At::new(old, "").get("spec"));
    match gvk.kind.as_str() {
        "DeviceClass" => class(&spec, before.as_ref(), errors),
        "ResourceClaim" => {
            fixed("resource.ResourceClaimSpec", &spec, before.as_ref(), errors);
            claim(&spec.get("devices"), before.is_some(), errors);
        }
        "ResourceClaimTemplate" => {
            fixed("resource.ResourceClaimTemplateSpec", &spec, before.as_ref(), errors);
            template_metadata(&spec.get("metadata"), errors);
            claim(&spec.get("spec").get("devices"), before.is_some(), errors);
        }
        "ResourceSlice" => slice(&spec, before.as_ref(), errors),
        _ => {}
    }
}

/// A specification that must stay what it was.
fn fixed(name: &str, spec: &At<'_>, before: Option<&At<'_>>, errors: &mut Errors) {
    if before.is_some_and(|before| before.value != spec.value) {
        let shown = internal::shown(name, spec.value);
        errors.push(FieldError::invalid_shown(&spec.path, &shown, "field is immutable"));
    }
}

fn template_metadata(metadata: &At<'_>, errors: &mut Errors) {
    super::metadata::labels(metadata.get("labels").value, &metadata.child("labels"), errors);
}

fn too_many(list: &At<'_>, most: usize, errors: &mut Errors) {
    if list.len() > most {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        errors.push(FieldError::too_many(&list.path, count(list.len()), count(most)));
    }
}

fn duplicates(list: &At<'_>, field: &str, errors: &mut Errors) {
    let mut seen = Vec::new();
    for item in list.items() {
        let own = if field.is_empty() { item } else { item.get(field) };
        if seen.contains(&own.text()) {
            own.duplicate(own.text(), errors);
        } else {
            seen.push(own.text());
        }
    }
}

fn driver(own: &At<'_>, errors: &mut Errors) {
    if own.text().is_empty() {
        own.required(errors);
    }
    if own.text().len() > LONGEST_DRIVER {
        errors.push(FieldError::too_long(&own.path, LONGEST_DRIVER as i64));
    }
    own.judge(names::dns_subdomains(&own.text().to_lowercase()), errors);
}

fn class(spec: &At<'_>, before: Option<&At<'_>>, errors: &mut Errors) {
    let stored = |field: &str| before.is_some_and(|own| own.get(field).value == spec.get(field).value);
    selectors(&spec.get("selectors"), stored("selectors"), errors);
    let config = spec.get("config");
    too_many(&config, MOST_REQUESTS, errors);
    for item in config.items() {
        configuration(&item, stored("config"), errors);
    }
}

fn selectors(list: &At<'_>, stored: bool, errors: &mut Errors) {
    too_many(list, MOST_SELECTORS, errors);
    for item in list.items() {
        let cel = item.get("cel");
        if !cel.some() {
            cel.required(errors);
            continue;
        }
        let own = cel.get("expression");
        if own.text().len() > LONGEST_EXPRESSION {
            errors.push(FieldError::too_long(&own.path, LONGEST_EXPRESSION as i64));
        } else if let Some(why) = crate::expressions::unreadable(own.text()).filter(|_| !stored) {
            own.invalid_as(own.text(), format!("compilation failed: {why}"), errors);
        }
    }
}

fn configuration(item: &At<'_>, stored: bool, errors: &mut Errors) {
    let opaque = item.get("opaque");
    if !opaque.some() {
        opaque.required(errors);
        return;
    }
    driver(&opaque.get("driver"), errors);
    let own = opaque.get("parameters");
    if own.value.is_null() {
        own.required(errors);
    } else if !stored && own.value.to_string().len() > LONGEST_PARAMETERS {
        errors.push(FieldError::too_long(&own.path, LONGEST_PARAMETERS as i64));
    } else if !own.value.is_object() {
        own.invalid_as("<value omitted>", "must be a valid JSON object", errors);
    }
}

/// The requests of a claim, each with its alternatives.
type Requests<'a> = BTreeMap<&'a str, Vec<&'a str>>;

fn claim(devices: &At<'_>, stored: bool, errors: &mut Errors) {
    let requests = devices.get("requests");
    let mut names: Requests<'_> = BTreeMap::new();
    for own in requests.items() {
        let parts = own.get("firstAvailable").items().map(|part| part.get("name").text()).collect();
        names.insert(own.get("name").text(), parts);
    }
    too_many(&requests, MOST_REQUESTS, errors);
    for own in requests.items() {
        request(&own, stored, errors);
    }
    duplicates(&requests, "name", errors);
    let constraints = devices.get("constraints");
    too_many(&constraints, MOST_REQUESTS, errors);
    for own in constraints.items() {
        references(&own.get("requests"), &names, errors);
        let attribute = own.get("matchAttribute");
        match attribute.some() {
            true => full_name(&attribute, errors),
            false => attribute.required(errors),
        }
    }
    let config = devices.get("config");
    too_many(&config, MOST_REQUESTS, errors);
    for own in config.items() {
        references(&own.get("requests"), &names, errors);
        configuration(&own, stored, errors);
    }
}

fn references(list: &At<'_>, known: &Requests<'_>, errors: &mut Errors) {
    too_many(list, MOST_REQUESTS, errors);
    for own in list.items() {
        let parts: Vec<&str> = own.text().split('/').collect();
        if parts.len() > 2 {
            own.invalid(REFERENCE, errors);
            continue;
        }
        for part in &parts {
            for why in names::dns_labels(part) {
                own.invalid_as(*part, why, errors);
            }
        }
        let found = match parts.as_slice() {
            [name] => known.contains_key(name),
            [name, part] => known.get(name).is_some_and(|own| own.contains(part)),
            _ => false,
        };
        if !found {
            own.invalid(REFERENCE, errors);
        }
    }
    duplicates(list, "", errors);
}

fn request(own: &At<'_>, stored: bool, errors: &mut Errors) {
    own.get("name").label(errors);
    let (first, exactly) = (own.get("firstAvailable"), own.get("exactly"));
    if first.len() > 0 {
        too_many(&first, MOST_ALTERNATIVES, errors);
        for item in first.items() {
            item.get("name").label(errors);
            wanted(&item, stored, errors);
        }
        duplicates(&first, "name", errors);
    }
    if exactly.some() {
        wanted(&exactly, stored, errors);
    }
    let detail = "exactly one of `exactly` or `firstAvailable` is required";
    match (first.len() > 0, exactly.some()) {
        (false, false) => own.required_because(detail, errors),
        (true, true) => {
            own.invalid_as(Value::Null, format!("{detail}, but multiple fields are set"), errors);
        }
        _ => {}
    }
}

/// What of a class is asked for.
fn wanted(own: &At<'_>, stored: bool, errors: &mut Errors) {
    let class = own.get("deviceClassName");
    if class.must(errors) {
        class.subdomain(errors);
    }
    selectors(&own.get("selectors"), stored, errors);
    let (mode, count) = (own.get("allocationMode"), own.get("count"));
    match mode.text() {
        "All" if count.number() != 0 => {
            count.invalid("must not be specified when allocationMode is 'All'", errors);
        }
        "All" => {}
        "ExactCount" => count.positive(errors),
        _ => mode.one_of(&["All", "ExactCount"], errors),
    }
    for own in own.get("tolerations").items() {
        toleration(&own, errors);
    }
}

fn toleration(own: &At<'_>, errors: &mut Errors) {
    let (key, operator, value, effect) =
        (own.get("key"), own.get("operator"), own.get("value"), own.get("effect"));
    if !key.text().is_empty() {
        key.qualified(errors);
    }
    match operator.text() {
        "Exists" if !value.text().is_empty() => {
            value.invalid("must be empty for operator `Exists`", errors);
        }
        "Exists" => {}
        "Equal" => value.judge(names::label_values(value.text()), errors),
        "" => operator.required(errors),
        _ => operator.one_of(&["Equal", "Exists"], errors),
    }
    if !effect.text().is_empty() {
        effect.one_of(EFFECTS, errors);
    }
}

/// A name of an attribute, with or without a domain.
fn attribute_name(text: &str, path: &str, errors: &mut Errors) {
    if text.is_empty() {
        errors.push(FieldError::required(path, "name required"));
        return;
    }
    let identifier = |text: &str, errors: &mut Errors| {
        if text.len() > LONGEST_IDENTIFIER {
            errors.push(FieldError::too_long(path, LONGEST_IDENTIFIER as i64));
        }
        let first = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
        if !first || !text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            let detail = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
            errors.push(FieldError::invalid(path, text, detail));
        }
    };
    match text.split_once('/') {
        None => identifier(text, errors),
        Some((domain, name)) => {
            if domain.is_empty() {
                errors.push(FieldError::required(path, "the domain must not be empty"));
            } else {
                let domain = Value::from(domain);
                driver(&At::new(&domain, path), errors);
            }
            if name.is_empty() {
                errors.push(FieldError::required(path, "the name must not be empty"));
            } else {
                identifier(name, errors);
            }
        }
    }
}

fn full_name(own: &At<'_>, errors: &mut Errors) {
    attribute_name(own.text(), &own.path, errors);
    if !own.text().is_empty() && !own.text().contains('/') {
        own.invalid("must include a domain", errors);
    }
}

/// Where something can be used: one of these has to be said.
fn places<'a>(own: &At<'_>, fields: &[&'a str], errors: &mut Errors) -> Vec<&'a str> {
    let mut set = Vec::new();
    for field in fields {
        let place = own.get(field);
        match *field {
            _ if !place.some() => {}
            "nodeName" if place.text().is_empty() => {
                place.invalid("must be either unset or set to a non-empty string", errors);
            }
            "nodeName" => {
                place.subdomain(errors);
                set.push(*field);
            }
            "nodeSelector" => set.push(*field),
            _ if place.yes() => set.push(*field),
            _ => place.invalid("must be either unset or set to true", errors),
        }
    }
    set
}

fn slice(spec: &At<'_>, before: Option<&At<'_>>, errors: &mut Errors) {
    driver(&spec.get("driver"), errors);
    let pool = spec.get("pool");
    let name = pool.get("name");
    if name.must(errors) {
        for part in name.text().split('/') {
            for why in names::dns_subdomains(part) {
                name.invalid_as(part, why, errors);
            }
        }
    }
    pool.get("resourceSliceCount").positive(errors);
    let generation = pool.get("generation");
    if generation.number() < 0 {
        generation.invalid("must be greater than or equal to zero", errors);
    }
    if let Some(before) = before {
        name.unchanged(&before.get("pool").get("name"), errors);
        for field in ["driver", "nodeName"] {
            spec.get(field).unchanged(&before.get(field), errors);
        }
    }
    const FIELDS: &[&str] = &["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    let set = places(spec, FIELDS, errors);
    let detail =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    one_place(spec, &set, detail, ", but multiple fields are set", errors);
    let devices = spec.get("devices");
    too_many(&devices, MOST_DEVICES, errors);
    let each = spec.get("perDeviceNodeSelection").yes();
    for own in devices.items() {
        device(&own, each, spec, errors);
    }
    duplicates(&devices, "name", errors);
    let counters = spec.get("sharedCounters");
    for own in counters.items() {
        own.get("name").label(errors);
    }
    duplicates(&counters, "name", errors);
}

fn one_place(own: &At<'_>, set: &[&str], detail: &str, more: &str, errors: &mut Errors) {
    match set.len() {
        0 => own.required_because(detail, errors),
        1 => {}
        _ => {
            let shown: Vec<String> = set.iter().map(|field| format!("`{field}`")).collect();
            own.invalid_as(format!("{{{}}}", shown.join(", ")), format!("{detail}{more}"), errors);
        }
    }
}

fn device(own: &At<'_>, each: bool, spec: &At<'_>, errors: &mut Errors) {
    own.get("name").label(errors);
    let (attributes, capacity) = (own.get("attributes"), own.get("capacity"));
    let count = attributes.entries().count() + capacity.entries().count();
    if count > MOST_ATTRIBUTES {
        let detail =
            format!("the total number of attributes and capacities must not exceed {MOST_ATTRIBUTES}");
        own.invalid_as(json!(count), detail, errors);
    }
    for (name, item) in attributes.entries() {
        let path = format!("{}[{name}]", attributes.path);
        attribute_name(name, &path, errors);
        attribute(&item.named(path.as_str()), errors);
    }
    for (name, _) in capacity.entries() {
        attribute_name(name, &format!("{}[{name}]", capacity.path), errors);
    }
    for own in own.get("taints").items() {
        own.get("key").qualified(errors);
        let (value, effect) = (own.get("value"), own.get("effect"));
        value.judge(names::label_values(value.text()), errors);
        effect.must_be_one_of(EFFECTS, errors);
    }
    consumed(own, spec, errors);
    const FIELDS: &[&str] = &["nodeName", "nodeSelector", "allNodes"];
    if each {
        let set = places(own, FIELDS, errors);
        let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        one_place(own, &set, detail, "", errors);
    } else if FIELDS.iter().any(|field| own.get(field).some()) {
        let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
        own.invalid_as(Value::Null, detail, errors);
    }
}

fn attribute(own: &At<'_>, errors: &mut Errors) {
    let set = ["bool", "int", "string", "version"].iter().filter(|field| own.get(field).some()).count();
    let detail = "exactly one value must be specified";
    match set {
        0 => own.required_because(detail, errors),
        1 => {}
        _ => {
            let shown = internal::shown("resource.DeviceAttribute", own.value);
            errors.push(FieldError::invalid_shown(&own.path, &shown, detail));
        }
    }
}

/// Counters that a device takes from those that the slice shares.
fn consumed(own: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let list = own.get("consumesCounters");
    duplicates(&list, "counterSet", errors);
    for own in list.items() {
        let (set, counters) = (own.get("counterSet"), own.get("counters"));
        let shared = spec.get("sharedCounters");
        let Some(shared) = shared.items().find(|item| item.get("name").text() == set.text()) else {
            set.invalid("must reference a counterSet defined in the ResourceSlice sharedCounters", errors);
            continue;
        };
        for (name, _) in counters.entries() {
            if !shared.get("counters").get(name).some() {
                let detail = "must reference a counter defined in the ResourceSlice sharedCounters";
                counters.invalid_as(name, detail, errors);
            }
        }
    }
}
