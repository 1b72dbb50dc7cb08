//! What is wrong with a CustomResourceDefinition object, in the order in which Kubernetes says it.
//!
//! Inside of Kubernetes, what all versions have in common stands once beside them, and messages name it there:
//! `spec.validation.openAPIV3Schema` is the schema of every version.

use std::collections::BTreeSet;

use object::{Value, get, get_bool, get_str, meta};
use serde_json::{Map, json};

use super::schemas;
use crate::FieldError;
use crate::native::names::{dns_1035_label, qualified_domain};

type Errors = Vec<FieldError>;

const COLUMN_TYPES: &str = "boolean,date,integer,number,string";
const COLUMN_FORMATS: &str = "byte,date,date-time,double,float,int32,int64,password";
/// Where things stand that versions have in common.
const SHARED: [(&str, &str); 4] = [
    ("schema", "spec.validation"),
    ("subresources", "spec.subresources"),
    ("additionalPrinterColumns", "spec.additionalPrinterColumns"),
    ("selectableFields", "spec.selectableFields"),
];
/// Selectable fields of one version.
const MOST_SELECTABLE: usize = 8;

pub(super) fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    get(definition, &["spec", "versions"]).and_then(Value::as_array).into_iter().flatten()
}

/// Validates a CustomResourceDefinition object; `old` is the stored one on update.
pub fn validate_definition(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Errors::new();
    let text = |path: &[&str]| get_str(definition, path).unwrap_or_default();
    let (group, plural, name) =
        (text(&["spec", "group"]), text(&["spec", "names", "plural"]), meta::name(definition));
    if old.is_none() && !name.is_empty() && name != format!("{plural}.{group}") {
        errors.push(FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    specification(definition, &mut errors);
    if let Some(old) = old {
        // What was stored under looser rules may stay.
        let mut before = Errors::new();
        specification(old, &mut before);
        errors
            .retain(|error| !before.iter().any(|own| own.field == error.field && own.body() == error.body()));
        immutable(definition, old, &mut errors);
    } else {
        approval(definition, group, &mut errors);
    }
    stored(definition, &mut errors);
    if get_bool(definition, &["spec", "preserveUnknownFields"]) == Some(true)
        && old.is_none_or(|old| get_bool(old, &["spec", "preserveUnknownFields"]) != Some(true))
    {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, detail));
    }
    errors
}

/// Whether all versions say the same of something, and something at all.
fn shared<'a>(listed: &[&'a Value], field: &str) -> Option<&'a Value> {
    let first = listed.first()?.get(field).filter(|own| !own.is_null());
    let same = listed.iter().all(|own| own.get(field).filter(|own| !own.is_null()) == first);
    first.filter(|_| same)
}

fn specification(definition: &Value, errors: &mut Errors) {
    let text = |path: &[&str]| get_str(definition, path).unwrap_or_default();
    let group = text(&["spec", "group"]);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if let Some(message) = qualified_domain(group) {
        errors.push(FieldError::invalid("spec.group", group, message));
    }
    match text(&["spec", "scope"]) {
        "" => errors.push(FieldError::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    let listed: Vec<&Value> = versions(definition).collect();
    for (index, version) in listed.iter().enumerate() {
        if get(version, &["schema", "openAPIV3Schema"]).is_none_or(Value::is_null) {
            errors.push(FieldError::required(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""));
        }
    }
    each_version(definition, &listed, errors);
    if let Some(first) = listed.first().and_then(|own| get_str(own, &["name"])).filter(|own| !own.is_empty())
        && let Some(message) = dns_1035_label(first)
    {
        errors.push(FieldError::invalid("spec.version", first, message));
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(&["spec", "names", field]).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
    let empty = Value::Null;
    names(get(definition, &["spec", "names"]).unwrap_or(&empty), "spec.names", errors);
    let status = listed.iter().any(|own| has_status(own));
    for (field, path) in SHARED {
        if let Some(value) = shared(&listed, field) {
            part(field, value, path, listed.first().copied(), status, errors);
        }
    }
    conversion(get(definition, &["spec", "conversion"]).unwrap_or(&empty), errors);
}

fn has_status(version: &Value) -> bool {
    get(version, &["subresources", "status"]).is_some_and(|own| !own.is_null())
}

fn each_version(definition: &Value, listed: &[&Value], errors: &mut Errors) {
    let (mut seen, mut unique) = (BTreeSet::new(), true);
    for (index, version) in listed.iter().enumerate() {
        let path = format!("spec.versions[{index}]");
        let name = get_str(version, &["name"]).unwrap_or_default();
        unique &= seen.insert(name);
        if let Some(message) = dns_1035_label(name) {
            errors.push(FieldError::invalid(format!("{path}.name"), name, message));
        }
        deprecation(version, &path, errors);
        for (field, _) in SHARED {
            if let Some(value) = version.get(field).filter(|own| !own.is_null())
                && shared(listed, field).is_none()
            {
                let path = format!("{path}.{field}");
                part(field, value, &path, Some(version), has_status(version), errors);
            }
        }
    }
    let wrong = |detail: &str| FieldError::invalid_shown("spec.versions", &shown(definition, listed), detail);
    if !unique {
        errors.push(wrong("must contain unique version names"));
    }
    let storage = listed.iter().filter(|version| get_bool(version, &["storage"]) == Some(true)).count();
    if storage != 1 {
        errors.push(wrong("must have exactly one version marked as storage version"));
    }
}

/// The versions as messages show them: without what they have in common.
fn shown(definition: &Value, listed: &[&Value]) -> String {
    if listed.is_empty() {
        return get(definition, &["spec", "versions"]).map_or("null".to_owned(), Value::to_string);
    }
    let version = |own: &&Value| {
        let field = |name: &str| own.get(name).filter(|value| !value.is_null());
        let flag = |name: &str| field(name).and_then(Value::as_bool).unwrap_or(false);
        let more = |name: &str| match field(name) {
            Some(value) if shared(listed, name).is_none() => value.to_string(),
            _ => "null".to_owned(),
        };
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
            field("name").map_or("\"\"".to_owned(), Value::to_string),
            flag("served"),
            flag("storage"),
            flag("deprecated"),
            field("deprecationWarning").map_or("null".to_owned(), Value::to_string),
            more("schema"),
            more("subresources"),
            more("additionalPrinterColumns"),
            more("selectableFields"),
        )
    };
    format!("[{}]", listed.iter().map(version).collect::<Vec<_>>().join(","))
}

fn deprecation(version: &Value, path: &str, errors: &mut Errors) {
    let Some(text) = get_str(version, &["deprecationWarning"]) else { return };
    let mut wrong = |detail: &str| {
        errors.push(FieldError::invalid(format!("{path}.deprecationWarning"), text, detail));
    };
    if get_bool(version, &["deprecated"]) != Some(true) {
        wrong("can only be set for deprecated versions");
    }
    if text.is_empty() {
        wrong("must not be an empty string");
    }
    if text.len() > 256 {
        wrong("must be <= 256 characters long");
    }
    if text.trim() != text {
        wrong("must not begin or end with whitespace");
    }
    if text.contains(['\n', '\r', '\t']) || text.chars().any(char::is_control) {
        wrong("must only contain printable UTF-8 characters; non-printable characters found");
    }
}

/// Judges one of the things that versions have, wherever it stands.
fn part(field: &str, value: &Value, path: &str, version: Option<&Value>, status: bool, errors: &mut Errors) {
    match field {
        "schema" => {
            if let Some(schema) = value.get("openAPIV3Schema").filter(|own| !own.is_null()) {
                schemas::root(schema, &format!("{path}.openAPIV3Schema"), status, errors);
            }
        }
        "subresources" => scale(value, path, errors),
        "additionalPrinterColumns" => columns(value, path, errors),
        _ => selectable(value, version, path, errors),
    }
}

fn simple_path(text: &str, path: &str, errors: &mut Errors) -> bool {
    let good = text.starts_with('.');
    if !good {
        errors.push(FieldError::invalid(path, text, "must be a simple json path starting with ."));
    }
    good
}

fn scale(subresources: &Value, path: &str, errors: &mut Errors) {
    let Some(scale) = subresources.get("scale").filter(|own| !own.is_null()) else { return };
    for (field, roots, detail) in [
        ("specReplicasPath", &[".spec."] as &[&str], "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."], "should be a json path under .status"),
        ("labelSelectorPath", &[".spec.", ".status."], "should be a json path under either .spec or .status"),
    ] {
        let own = get_str(scale, &[field]).unwrap_or_default();
        let path = format!("{path}.scale.{field}");
        if own.is_empty() {
            if field != "labelSelectorPath" {
                errors.push(FieldError::required(path, ""));
            }
        } else if simple_path(own, &path, errors) && !roots.iter().any(|root| own.starts_with(root)) {
            errors.push(FieldError::invalid(path, own, detail));
        }
    }
}

fn columns(columns: &Value, path: &str, errors: &mut Errors) {
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let text = |field: &str| get_str(column, &[field]).unwrap_or_default();
        let path = format!("{path}[{index}]");
        if text("name").is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        let (kind, format) = (text("type"), text("format"));
        let detail = format!("must be one of {COLUMN_TYPES}");
        if kind.is_empty() {
            errors.push(FieldError::required(format!("{path}.type"), detail));
        } else if !COLUMN_TYPES.split(',').any(|own| own == kind) {
            errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
        }
        if !format.is_empty() && !COLUMN_FORMATS.split(',').any(|own| own == format) {
            let detail = format!("must be one of {COLUMN_FORMATS}");
            errors.push(FieldError::invalid(format!("{path}.format"), format, detail));
        }
        let path = format!("{path}.JSONPath");
        match text("jsonPath") {
            "" => errors.push(FieldError::required(path, "")),
            own => {
                simple_path(own, &path, errors);
            }
        }
    }
}

fn selectable(fields: &Value, version: Option<&Value>, path: &str, errors: &mut Errors) {
    let schema = version.and_then(|own| get(own, &["schema", "openAPIV3Schema"]));
    let mut seen = BTreeSet::new();
    for (index, field) in fields.as_array().into_iter().flatten().enumerate() {
        let own = get_str(field, &["jsonPath"]).unwrap_or_default();
        let path = format!("{path}[{index}].jsonPath");
        if own.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        if own.split('.').nth(1) == Some("metadata") {
            errors.push(FieldError::invalid(path.as_str(), own, "must not point to fields in metadata"));
        }
        let found = schema.and_then(|schema| {
            let mut parts = own.split('.').skip(1);
            parts.try_fold(schema, |at, name| get(at, &["properties", name]))
        });
        let kind = found.and_then(|own| get_str(own, &["type"]));
        if kind.is_some_and(|kind| !matches!(kind, "string" | "boolean" | "integer")) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(FieldError::invalid(path.as_str(), own, detail));
        }
        if !seen.insert(own) {
            errors.push(FieldError::duplicate(path, own));
        }
    }
    if seen.len() > MOST_SELECTABLE {
        let count = i64::try_from(seen.len()).unwrap_or(i64::MAX);
        errors.push(FieldError::too_many(path, count, MOST_SELECTABLE as i64));
    }
}

fn names(names: &Value, path: &str, errors: &mut Errors) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let name = get_str(names, &[field]).unwrap_or_default();
        let mixed = matches!(field, "kind" | "listKind");
        let judged = if mixed { name.to_lowercase() } else { name.to_owned() };
        if let Some(message) = dns_1035_label(&judged).filter(|_| !name.is_empty()) {
            let prefix = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(FieldError::invalid(format!("{path}.{field}"), name, format!("{prefix}{message}")));
        }
    }
    let each = |field: &str, errors: &mut Errors| {
        let list = names.get(field).and_then(Value::as_array);
        for (index, name) in list.into_iter().flatten().filter_map(Value::as_str).enumerate() {
            if let Some(message) = dns_1035_label(name) {
                errors.push(FieldError::invalid(format!("{path}.{field}[{index}]"), name, message));
            }
        }
    };
    each("shortNames", errors);
    let kind = get_str(names, &["kind"]).unwrap_or_default();
    if !kind.is_empty() && Some(kind) == get_str(names, &["listKind"]) {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(format!("{path}.listKind"), kind, detail));
    }
    each("categories", errors);
}

fn conversion(conversion: &Value, errors: &mut Errors) {
    if conversion.is_null() {
        return;
    }
    let client = get(conversion, &["webhook", "clientConfig"]).filter(|own| !own.is_null());
    let reviews = get(conversion, &["webhook", "conversionReviewVersions"]).and_then(Value::as_array);
    let (config, versions) =
        ("spec.conversion.webhookClientConfig", "spec.conversion.conversionReviewVersions");
    match get_str(conversion, &["strategy"]).unwrap_or_default() {
        "" => errors.push(FieldError::required("spec.conversion.strategy", "")),
        "None" => {}
        "Webhook" => {
            let some = |field: &str| client.and_then(|own| own.get(field)).is_some_and(|own| !own.is_null());
            if client.is_none() {
                errors.push(FieldError::required(config, "required when strategy is set to Webhook"));
            } else if some("url") == some("service") {
                errors.push(FieldError::required(config, "exactly one of url or service is required"));
            }
            review_versions(reviews.map(Vec::as_slice).unwrap_or_default(), versions, errors);
            return;
        }
        other => {
            let known = &["None", "Webhook"];
            errors.push(FieldError::not_supported("spec.conversion.strategy", other, known));
        }
    }
    let detail = "should not be set when strategy is not set to Webhook";
    if client.is_some() {
        errors.push(FieldError::forbidden(config, detail));
    }
    if reviews.is_some_and(|own| !own.is_empty()) {
        errors.push(FieldError::forbidden(versions, detail));
    }
}

fn review_versions(list: &[Value], path: &str, errors: &mut Errors) {
    if list.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in list.iter().filter_map(Value::as_str).enumerate() {
        let path = format!("{path}[{index}]");
        if !seen.insert(version) {
            errors.push(FieldError::invalid(path.as_str(), version, "duplicate version"));
        }
        if let Some(message) = dns_1035_label(version) {
            errors.push(FieldError::invalid(path, version, message));
        }
    }
    if !seen.contains("v1") && !seen.contains("v1beta1") {
        let shown = Value::from(list.to_vec());
        errors.push(FieldError::invalid(path, shown, "must include at least one of v1, v1beta1"));
    }
}

/// Groups of Kubernetes itself are not everybody's.
fn approval(definition: &Value, group: &str, errors: &mut Errors) {
    const ANNOTATION: &str = "api-approved.kubernetes.io";
    let own = ["k8s.io", "kubernetes.io"];
    let protected = own.iter().any(|own| group == *own || group.ends_with(&format!(".{own}")));
    if protected && meta::annotation(definition, ANNOTATION).is_none_or(str::is_empty) {
        let detail = format!(
            "protected groups must have approval annotation {ANNOTATION:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        errors.push(FieldError::required(format!("metadata.annotations[{ANNOTATION}]"), detail));
    }
}

fn immutable(definition: &Value, old: &Value, errors: &mut Errors) {
    let established =
        meta::condition(old, "Established").is_some_and(|own| get_str(own, &["status"]) == Some("True"));
    let paths: [(&[&str], bool); 4] = [
        (&["spec", "scope"], established),
        (&["spec", "names", "kind"], established),
        (&["spec", "group"], true),
        (&["spec", "names", "plural"], true),
    ];
    for (path, _) in paths.iter().filter(|(_, fixed)| *fixed) {
        let text = |object| get_str(object, path).unwrap_or_default();
        if text(definition) != text(old) {
            errors.push(FieldError::invalid(path.join("."), text(definition), "field is immutable"));
        }
    }
}

/// The versions that objects may be stored in.
fn stored(definition: &Value, errors: &mut Errors) {
    const PATH: &str = "status.storedVersions";
    let list = get(definition, &["status", "storedVersions"]).and_then(Value::as_array);
    let list: Vec<&str> = list.into_iter().flatten().filter_map(Value::as_str).collect();
    if list.is_empty() {
        errors.push(FieldError::invalid(PATH, Value::Null, "must have at least one stored version"));
        return;
    }
    let mut left = list.clone();
    for version in versions(definition) {
        let name = get_str(version, &["name"]).unwrap_or_default();
        let known = left.iter().position(|own| *own == name);
        if let Some(at) = known {
            left.remove(at);
        } else if get_bool(version, &["storage"]) == Some(true) {
            let detail = format!("must have the storage version {name}");
            errors.push(FieldError::invalid(PATH, json!(list), detail));
        }
    }
    for (index, name) in list.iter().enumerate() {
        if !versions(definition).any(|version| get_str(version, &["name"]) == Some(name)) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(FieldError::invalid(format!("{PATH}[{index}]"), *name, detail));
        }
    }
}

/// A rule of a schema as messages show it.
pub(super) fn shown_rule(rule: &Map<String, Value>) -> String {
    let text = |field: &str| {
        let own = rule.get(field).and_then(Value::as_str).unwrap_or_default();
        escaped(&Value::from(own).to_string())
    };
    let or_null = |field: &str| rule.get(field).map_or("null".to_owned(), |own| escaped(&own.to_string()));
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        or_null("reason"),
        text("fieldPath"),
        or_null("optionalOldSelf"),
    )
}

/// As Go writes JSON that might stand in HTML.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}
