//! The quick way to "valid": most schemas use a handful of keywords and most values obey them. Compiling a
//! schema for the full validator takes longer than a whole chart takes to render, so it is asked only when
//! this one is not sure. It never says that something is invalid.

use serde_json::{Map, Value};

/// Deeper schemas and values are left to the full validator.
const MAX_DEPTH: usize = 64;
/// So are those that take longer than this many schema nodes.
const MAX_STEPS: usize = 200_000;

/// Whether `instance` surely obeys `schema`, whatever the draft.
pub(super) fn surely_valid(schema: &Value, instance: &Value) -> bool {
    let draft = schema.get("$schema").map(|draft| draft.as_str().unwrap_or("?"));
    if draft.is_some_and(|draft| !is_known_draft(draft)) {
        return false;
    }
    let mut check = Check { root: schema, left: MAX_STEPS };
    check.is_plain(schema, 0, true) && check.obeys(schema, instance, 0)
}

fn is_known_draft(address: &str) -> bool {
    let Some((_, rest)) = address.trim_end_matches('#').split_once("://json-schema.org/") else {
        return false;
    };
    matches!(rest, "draft-06/schema" | "draft-07/schema" | "draft/2019-09/schema" | "draft/2020-12/schema")
}

struct Check<'s> {
    root: &'s Value,
    left: usize,
}

impl<'s> Check<'s> {
    fn step(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }

    /// Whether the schema, used or not, is well formed and has known keywords alone.
    fn is_plain(&mut self, schema: &Value, depth: usize, is_root: bool) -> bool {
        if depth > MAX_DEPTH || !self.step() {
            return false;
        }
        let map = match schema {
            Value::Bool(_) => return true,
            Value::Object(map) => map,
            _ => return false,
        };
        map.iter().all(|(keyword, value)| match keyword.as_str() {
            "$schema" => is_root,
            "title" | "description" | "$comment" => value.is_string(),
            "default" | "const" => true,
            "examples" => value.is_array(),
            "enum" => value.as_array().is_some_and(|items| !items.is_empty()),
            "deprecated" | "readOnly" | "writeOnly" => value.is_boolean(),
            "minimum" | "maximum" => value.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => value.is_u64(),
            "required" => value.as_array().is_some_and(|names| {
                let mut seen = std::collections::BTreeSet::new();
                names.iter().all(|name| name.as_str().is_some_and(|name| seen.insert(name)))
            }),
            "type" => match value {
                Value::String(name) => is_type(name),
                Value::Array(names) => {
                    let mut seen = std::collections::BTreeSet::new();
                    let mut fits = |name: &str| is_type(name) && seen.insert(name.to_owned());
                    !names.is_empty() && names.iter().all(|name| name.as_str().is_some_and(&mut fits))
                }
                _ => false,
            },
            "$ref" => self.target(value).is_some(),
            "properties" | "$defs" | "definitions" => value
                .as_object()
                .is_some_and(|inner| inner.values().all(|schema| self.is_plain(schema, depth + 1, false))),
            "items" | "additionalProperties" => self.is_plain(value, depth + 1, false),
            "allOf" | "anyOf" => value.as_array().is_some_and(|parts| {
                !parts.is_empty() && parts.iter().all(|part| self.is_plain(part, depth + 1, false))
            }),
            _ => false,
        })
    }

    /// The schema that a reference within the document names.
    fn target(&self, reference: &Value) -> Option<&'s Value> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        // Escapes of addresses are left to the full validator, anchors too.
        if pointer.contains('%') || !(pointer.is_empty() || pointer.starts_with('/')) {
            return None;
        }
        self.root.pointer(pointer)
    }

    fn obeys(&mut self, schema: &'s Value, value: &Value, depth: usize) -> bool {
        if depth > MAX_DEPTH || !self.step() {
            return false;
        }
        let map = match schema {
            Value::Bool(verdict) => return *verdict,
            Value::Object(map) => map,
            _ => return false,
        };
        // Older drafts ignore what stands beside a reference; what obeys both is valid for all of them.
        map.iter().all(|(keyword, rule)| match keyword.as_str() {
            "$ref" => self.target(rule).is_some_and(|schema| self.obeys(schema, value, depth + 1)),
            "type" => match rule {
                Value::String(name) => has_type(value, name),
                Value::Array(names) => {
                    names.iter().filter_map(Value::as_str).any(|name| has_type(value, name))
                }
                _ => false,
            },
            "enum" => rule.as_array().is_some_and(|items| items.contains(value)),
            "const" => rule == value,
            "minimum" => bounded(value, rule, |value, bound| value >= bound),
            "maximum" => bounded(value, rule, |value, bound| value <= bound),
            "minLength" => {
                sized(value.as_str().map(|text| text.chars().count()), rule, |size, bound| size >= bound)
            }
            "maxLength" => {
                sized(value.as_str().map(|text| text.chars().count()), rule, |size, bound| size <= bound)
            }
            "minItems" => sized(value.as_array().map(Vec::len), rule, |size, bound| size >= bound),
            "maxItems" => sized(value.as_array().map(Vec::len), rule, |size, bound| size <= bound),
            "required" => match (value, rule) {
                (Value::Object(members), Value::Array(names)) => {
                    names.iter().filter_map(Value::as_str).all(|name| members.contains_key(name))
                }
                _ => true,
            },
            "properties" => match (value, rule) {
                (Value::Object(members), Value::Object(rules)) => members.iter().all(|(name, member)| {
                    rules.get(name).is_none_or(|rule| self.obeys(rule, member, depth + 1))
                }),
                _ => true,
            },
            "additionalProperties" => match value {
                Value::Object(members) => members
                    .iter()
                    .all(|(name, member)| is_declared(map, name) || self.obeys(rule, member, depth + 1)),
                _ => true,
            },
            "items" => match value {
                Value::Array(items) => items.iter().all(|item| self.obeys(rule, item, depth + 1)),
                _ => true,
            },
            "allOf" => rule
                .as_array()
                .is_some_and(|parts| parts.iter().all(|part| self.obeys(part, value, depth + 1))),
            "anyOf" => rule
                .as_array()
                .is_some_and(|parts| parts.iter().any(|part| self.obeys(part, value, depth + 1))),
            _ => true,
        })
    }
}

fn is_declared(schema: &Map<String, Value>, name: &str) -> bool {
    schema.get("properties").is_some_and(|properties| properties.get(name).is_some())
}

fn is_type(name: &str) -> bool {
    matches!(name, "string" | "number" | "integer" | "boolean" | "object" | "array" | "null")
}

fn has_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || name == "integer" && !number.is_f64(),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

/// Numbers are compared where a float holds both exactly; others and everything else is not bounded.
fn bounded(value: &Value, bound: &Value, fits: fn(f64, f64) -> bool) -> bool {
    const EXACT: f64 = 9e15;
    match (value.as_f64(), bound.as_f64()) {
        (None, _) => true,
        (Some(value), Some(bound)) => value.abs() < EXACT && bound.abs() < EXACT && fits(value, bound),
        _ => false,
    }
}

fn sized(size: Option<usize>, bound: &Value, fits: fn(u64, u64) -> bool) -> bool {
    match (size, bound.as_u64()) {
        (None, _) => true,
        (Some(size), Some(bound)) => fits(size as u64, bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::surely_valid;
    use serde_json::{Value, json};

    /// What it is sure of, the full validator must find valid too.
    #[test]
    fn never_sure_of_what_is_invalid() {
        let schemas = [
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}),
            json!({"additionalProperties": false, "properties": {"a": {"$ref": "#/$defs/n"}},
                   "$defs": {"n": {"type": ["number", "null"], "minimum": 1, "maximum": 3}}}),
            json!({"anyOf": [{"type": "string", "minLength": 2}, {"properties": {"a": {"enum": [1, "x"]}}}]}),
            json!({"properties": {"a": {"type": "array", "items": {"type": "string"}, "maxItems": 1}}}),
            json!({"$schema": "http://json-schema.org/draft-07/schema#",
                   "properties": {"a": {"$ref": "#/definitions/s", "type": "string"}},
                   "definitions": {"s": {"const": 1}}}),
            json!({"additionalProperties": {"type": "boolean"}, "allOf": [{"required": ["b"]}]}),
            json!({"type": "objekt"}),
            json!({"properties": {"a": {"$ref": "#/nowhere"}}}),
            json!({"$defs": {"unused": {"type": 3}}}),
            json!({"$ref": "#"}),
            json!(false),
        ];
        let values = [
            json!({}),
            json!({"a": 1}),
            json!({"a": 2.5}),
            json!({"a": null}),
            json!({"a": "x"}),
            json!({"a": ["x"]}),
            json!({"a": ["x", 1]}),
            json!({"a": {"b": true}}),
            json!({"b": true}),
            json!({"b": 1, "c": false}),
        ];
        let mut sure = 0;
        for schema in &schemas {
            for value in &values {
                if surely_valid(schema, value) {
                    sure += 1;
                    assert_eq!(
                        super::super::validate::check(schema, super::super::ADDRESS, value),
                        Ok(()),
                        "{schema} {value}"
                    );
                }
            }
        }
        assert!(sure >= 18, "the quick check is sure of {sure} only");
        assert!(surely_valid(&json!({"properties": {"a": {"type": "string"}}}), &json!({"a": "x"})));
        assert!(!surely_valid(&json!({"properties": {"a": {"pattern": "x"}}}), &json!({"a": "x"})));
        assert!(!surely_valid(&json!({"$ref": "#"}), &Value::Null), "endless");
    }
}
