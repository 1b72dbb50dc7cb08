//! What makes the schema of a definition structural, and what is wrong with one.

use object::{Value, get, get_str};
use serde_json::Map;

use super::judge::shown_rule;
use super::structural::Structural;
use crate::FieldError;

type Errors = Vec<FieldError>;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 100;

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Judges the schema of a version; `status` says whether objects have a status of their own.
pub(super) fn root(schema: &Value, path: &str, status: bool, errors: &mut Errors) {
    let kind = text(schema, "type");
    if status && !kind.is_empty() && kind != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
    }
    if flag(schema, "nullable") {
        errors.push(FieldError::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let mut structural = Errors::new();
    invariants(schema, Level::Root, path, 0, &mut structural);
    structural.sort_by_cached_key(|error| format!("{}: {}", error.field, error.body()));
    let good = structural.is_empty();
    errors.append(&mut structural);
    if good {
        defaults(schema, path, 0, errors);
    }
    let before = errors.len();
    published(schema, path, 0, errors);
    if good && errors.len() == before {
        rules(schema, path, 0, errors);
    }
}

fn text<'a>(schema: &'a Value, field: &str) -> &'a str {
    get_str(schema, &[field]).unwrap_or_default()
}

fn flag(schema: &Value, field: &str) -> bool {
    schema.get(field).and_then(Value::as_bool) == Some(true)
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The one schema of all items, where there is one.
fn items(schema: &Value) -> Option<&Value> {
    schema.get("items").filter(|own| own.is_object())
}

fn additional(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|own| own.is_object())
}

/// The schemas right below one, each with its path.
fn below<'a>(schema: &'a Value, path: &str) -> Vec<(Level, String, &'a Value)> {
    let mut all: Vec<(Level, String, &Value)> = Vec::new();
    all.extend(additional(schema).map(|own| (Level::Field, format!("{path}.additionalProperties"), own)));
    all.extend(
        properties(schema).map(|(name, own)| (Level::Field, format!("{path}.properties[{name}]"), own)),
    );
    all.extend(items(schema).map(|own| (Level::Item, format!("{path}.items"), own)));
    all
}

fn invariants(schema: &Value, level: Level, path: &str, depth: usize, errors: &mut Errors) {
    if depth > MAX_DEPTH {
        errors.push(FieldError::invalid(path, "", "the schema is nested too deeply"));
        return;
    }
    let kind = text(schema, "type");
    if kind == "array" && items(schema).is_none() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    for (level, path, own) in below(schema, path) {
        invariants(own, level, &path, depth + 1, errors);
    }
    if level == Level::Root && schema.get("additionalProperties").is_some_and(|own| !own.is_null()) {
        let detail = "must not be used at the root";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), detail));
    }
    let (either, keeps, embedded) = (
        flag(schema, "x-kubernetes-int-or-string"),
        flag(schema, "x-kubernetes-preserve-unknown-fields"),
        flag(schema, "x-kubernetes-embedded-resource"),
    );
    let exclusive = "must be false if x-kubernetes-int-or-string is true";
    if either && keeps {
        let path = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(path, true, exclusive));
    }
    if either && embedded {
        let path = format!("{path}.x-kubernetes-embedded-resource");
        errors.push(FieldError::invalid(path, true, exclusive));
    }
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(wrong_type(kind, path, detail));
    } else if kind.is_empty() && !either && !keeps {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(format!("{path}.type"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(format!("{path}.type"), kind, "must be object at the root"));
    }
    if embedded && !keeps && properties(schema).next().is_none() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{path}.properties"), detail));
    }
}

/// A type that is missing is required, another one is wrong.
fn wrong_type(kind: &str, path: &str, detail: &str) -> FieldError {
    match kind {
        "" => FieldError::required(format!("{path}.type"), detail),
        kind => FieldError::invalid(format!("{path}.type"), kind, detail),
    }
}

/// Defaults have to fit the schema that they stand in.
fn defaults(schema: &Value, path: &str, depth: usize, errors: &mut Errors) {
    if depth > MAX_DEPTH {
        return;
    }
    if let Some(default) = schema.get("default").filter(|own| !own.is_null()) {
        let mut plain = schema.clone();
        object::remove(&mut plain, &["x-kubernetes-validations"]);
        if let Ok(structural) = Structural::parse(&plain) {
            let mut full = default.clone();
            structural.default(&mut full);
            let found = structural.validate(&full, None).into_iter();
            let found = found.filter(|own| !own.detail.starts_with("some validation rules were not checked"));
            errors.extend(found.map(|own| {
                let below = if own.field == "<nil>" { "" } else { own.field.as_str() };
                let separator = if below.is_empty() || below.starts_with('[') { "" } else { "." };
                FieldError { field: format!("{path}.default{separator}{below}"), ..own }
            }));
        }
    }
    for (_, path, own) in below(schema, path) {
        defaults(own, &path, depth + 1, errors);
    }
}

/// What is wrong with a schema as a document.
fn published(schema: &Value, path: &str, depth: usize, errors: &mut Errors) {
    if depth > MAX_DEPTH {
        return;
    }
    let kind = text(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), format!("{key} is not supported")));
        }
    }
    if kind == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(format!("{path}.type"), detail));
    }
    if flag(schema, "uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{path}.uniqueItems"), detail));
    }
    let limited = schema.get("additionalProperties").is_some_and(|own| !own.is_null() && own != true);
    if limited && properties(schema).next().is_some() {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), detail));
    }
    for (_, path, own) in below(schema, path) {
        published(own, &path, depth + 1, errors);
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let path = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(path, false, "must be true or undefined"));
    }
    if let Some(own) = get_str(schema, &["x-kubernetes-map-type"]) {
        if kind != "object" {
            errors.push(wrong_type(kind, path, "must be object if x-kubernetes-map-type is specified"));
        }
        if !matches!(own, "atomic" | "granular") {
            let path = format!("{path}.x-kubernetes-map-type");
            errors.push(FieldError::not_supported(path, own, &["atomic", "granular"]));
        }
    }
    lists(schema, kind, path, errors);
}

fn lists(schema: &Value, kind: &str, path: &str, errors: &mut Errors) {
    let list_type = get_str(schema, &["x-kubernetes-list-type"]);
    let item = items(schema);
    let at = |field: &str| format!("{path}.{field}");
    if let Some(own) = list_type {
        if kind != "array" {
            errors.push(wrong_type(kind, path, "must be array if x-kubernetes-list-type is specified"));
        } else if own == "set" {
            set_items(item, path, errors);
        }
        if !matches!(own, "atomic" | "set" | "map") {
            let known = &["atomic", "set", "map"];
            errors.push(FieldError::not_supported(at("x-kubernetes-list-type"), own, known));
        }
    }
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    let keys = keys.map(Vec::as_slice).unwrap_or_default();
    let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
    match list_type {
        _ if keys.is_empty() => {}
        None => errors.push(FieldError::required(at("x-kubernetes-list-type"), detail)),
        Some("map") => {}
        Some(own) => errors.push(FieldError::invalid(at("x-kubernetes-list-type"), own, detail)),
    }
    if list_type == Some("map") {
        map_items(schema, keys, path, errors);
    }
    if let Some(item) = item
        && matches!(list_type, Some("set" | "map"))
    {
        keyed(item, list_type.unwrap_or_default(), keys, path, errors);
    }
}

/// Items of a set are compared as a whole.
fn set_items(item: Option<&Value>, path: &str, errors: &mut Errors) {
    let Some(item) = item else { return };
    let (field, wrong) = match text(item, "type") {
        "array" => {
            let own = get_str(item, &["x-kubernetes-list-type"]);
            ("x-kubernetes-list-type", own.is_some_and(|own| own != "atomic"))
        }
        "object" => {
            let own = get_str(item, &["x-kubernetes-map-type"]);
            ("x-kubernetes-map-type", own != Some("atomic"))
        }
        _ => return,
    };
    if wrong {
        let shown = item.get("x-kubernetes-list-type").cloned().unwrap_or_default();
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        errors.push(FieldError::invalid(format!("{path}.items.{field}"), shown, detail));
    }
}

fn map_items(schema: &Value, keys: &[Value], path: &str, errors: &mut Errors) {
    let at = |field: &str| format!("{path}.{field}");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(at("x-kubernetes-list-map-keys"), detail));
    }
    match schema.get("items").filter(|own| !own.is_null()) {
        None => {
            let detail = "must have a schema if x-kubernetes-list-type is map";
            errors.push(FieldError::required(at("items"), detail));
        }
        Some(own) if !own.is_object() => {
            let detail = "must only have a single schema if x-kubernetes-list-type is map";
            let shown = "{\"Schema\":null,\"JSONSchemas\":null}";
            errors.push(FieldError::invalid_shown(at("items"), shown, detail));
        }
        Some(own) if text(own, "type") != "object" => {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(at("items.type"), text(own, "type"), detail));
        }
        Some(own) if text(own, "type") == "object" => {
            let shown = || Value::from(keys.to_vec());
            let texts: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
            let known = |key: &&str| get(own, &["properties", key]).is_some();
            if !texts.iter().all(known) {
                let detail = "entries must all be names of item properties";
                errors.push(FieldError::invalid(at("x-kubernetes-list-map-keys"), shown(), detail));
            }
            let mut once = texts.clone();
            once.sort_unstable();
            once.dedup();
            if once.len() < texts.len() {
                let detail = "must not contain duplicate entries";
                errors.push(FieldError::invalid(at("x-kubernetes-list-map-keys"), shown(), detail));
            }
        }
        Some(_) => {}
    }
}

/// What items are told apart by is always there.
fn keyed(item: &Value, list_type: &str, keys: &[Value], path: &str, errors: &mut Errors) {
    if flag(item, "nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), detail));
    }
    if list_type != "map" {
        return;
    }
    let required = item.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for key in keys.iter().filter_map(Value::as_str) {
        let Some(own) = get(item, &["properties", key]) else { continue };
        let path = format!("{path}.items.properties[{key}]");
        if !required.iter().any(|name| name == key) && own.get("default").is_none_or(Value::is_null) {
            let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(format!("{path}.default"), detail));
        }
        if flag(own, "nullable") {
            let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(format!("{path}.nullable"), detail));
        }
    }
}

/// Rules that are missing or cannot be read.
fn rules(schema: &Value, path: &str, depth: usize, errors: &mut Errors) {
    if depth > MAX_DEPTH {
        return;
    }
    for (_, path, own) in below(schema, path) {
        rules(own, &path, depth + 1, errors);
    }
    let list = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    for (index, rule) in list.into_iter().flatten().filter_map(Value::as_object).enumerate() {
        one_rule(rule, &format!("{path}.x-kubernetes-validations[{index}].rule"), errors);
    }
}

fn one_rule(rule: &Map<String, Value>, path: &str, errors: &mut Errors) {
    let text = rule.get("rule").and_then(Value::as_str).unwrap_or_default();
    if text.trim().is_empty() {
        errors.push(FieldError::required(path, "rule is not specified"));
    } else if let Some(why) = crate::expressions::unreadable(text) {
        let detail = format!("compilation failed: {why}");
        errors.push(FieldError::invalid_shown(path, &shown_rule(rule), &detail));
    }
}
