//! CEL rules of a schema node (`x-kubernetes-validations`).

use std::sync::OnceLock;

use kube_cel::{CompiledSchema, ErrorKind, Validator};
use object::Value;

use super::structural::{Additional, Node};
use crate::{FieldError, ListKind, Reason};

/// The rules of one node, compiled when they are first needed.
#[derive(Debug)]
pub(super) struct Rules {
    /// The node's schema with its own rules alone, as JSON text: a thirtieth of the parsed one, and most rules are
    /// never asked.
    schema: Box<str>,
    kind: String,
    compiled: OnceLock<Compiled>,
}

struct Compiled {
    /// Rules about the value alone.
    plain: CompiledSchema,
    /// Rules that compare with the old value.
    transition: CompiledSchema,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}

impl Rules {
    /// The rules that a schema node itself has.
    pub(super) fn parse(schema: &Value) -> Option<Rules> {
        let rules = schema.get("x-kubernetes-validations")?.as_array()?;
        if rules.is_empty() {
            return None;
        }
        let mut own = schema.clone();
        strip(&mut own, true);
        let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Rules { schema: own.to_string().into(), kind, compiled: OnceLock::new() })
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let only = |transition: bool| {
                // It was printed from a value.
                let mut schema: Value = serde_json::from_str(&self.schema).unwrap_or_default();
                if let Some(Value::Array(rules)) = schema.get_mut("x-kubernetes-validations") {
                    rules.retain(|rule| uses_old_self(rule) == transition);
                }
                kube_cel::compile_schema(&schema)
            };
            Compiled { plain: only(false), transition: only(true) }
        })
    }
}

/// Removes rules below the node (each node evaluates its own), defaults (objects are defaulted already) and words.
fn strip(schema: &mut Value, own: bool) {
    let Value::Object(map) = schema else { return };
    map.remove("default");
    map.remove("description");
    if !own {
        map.remove("x-kubernetes-validations");
    }
    for (key, value) in map.iter_mut() {
        match key.as_str() {
            "properties" => {
                value.as_object_mut().into_iter().flatten().for_each(|(_, value)| strip(value, false))
            }
            "items" | "additionalProperties" => strip(value, false),
            "allOf" | "anyOf" | "oneOf" => {
                value.as_array_mut().into_iter().flatten().for_each(|value| strip(value, false));
            }
            _ => {}
        }
    }
}

fn uses_old_self(rule: &Value) -> bool {
    let text = rule.get("rule").and_then(Value::as_str).unwrap_or_default();
    text.match_indices("oldSelf").any(|(at, found)| {
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        !word(before)
            && before != Some('.')
            && !word(text.get(at + found.len()..).and_then(|text| text.chars().next()))
    })
}

/// Evaluates the rules of a node and of all below it.
pub(super) fn evaluate(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    if value.is_null() {
        return;
    }
    let old = old.filter(|old| !old.is_null());
    if let Some(rules) = &node.rules {
        let compiled = rules.compiled();
        // What did not change is not held against an update, except by rules about the change itself.
        if old != Some(value) {
            run(&compiled.plain, rules, value, None, path, errors);
        }
        run(&compiled.transition, rules, value, old, path, errors);
    }
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let child = match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => property,
                    (None, Additional::Typed(schema)) => schema,
                    _ => continue,
                };
                let named = node.properties.contains_key(key);
                let old = old.and_then(|old| old.get(key));
                evaluate(child, value, old, &super::validate::below(path, key, named), errors);
            }
        }
        Value::Array(list) => {
            let Some(items) = &node.items else { return };
            for (index, value) in list.iter().enumerate() {
                let old = correlate(node, value, old);
                evaluate(items, value, old, &format!("{path}[{index}]"), errors);
            }
        }
        _ => {}
    }
}

/// The old element that a new element of a list follows: known for lists with keys alone.
pub(super) fn correlate<'a>(node: &Node, value: &Value, old: Option<&'a Value>) -> Option<&'a Value> {
    let Some(ListKind::Map(keys)) = &node.list else { return None };
    let old = old?.as_array()?;
    old.iter().find(|old| keys.iter().all(|key| old.get(key) == value.get(key)))
}

fn run(
    compiled: &CompiledSchema,
    rules: &Rules,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    if compiled.validations.is_empty() {
        return;
    }
    thread_local! {
        static VALIDATOR: Validator = Validator::new();
    }
    let found = VALIDATOR.with(|validator| validator.validate_compiled(compiled, value, old));
    let Err(found) = found else { return };
    for error in found {
        let field = match (path, error.field_path.trim_start_matches('.')) {
            (path, "") => path.to_owned(),
            ("", field) => field.to_owned(),
            (path, field) => format!("{path}.{field}"),
        };
        let kind = Value::from(rules.kind.clone());
        let reason = match error.reason.as_deref() {
            Some("FieldValueRequired") => Reason::Required,
            Some("FieldValueForbidden") => Reason::Forbidden,
            Some("FieldValueDuplicate") => Reason::Duplicate,
            _ => Reason::Invalid,
        };
        let shown = matches!(reason, Reason::Invalid | Reason::Duplicate).then_some(kind);
        match error.kind {
            ErrorKind::UnsupportedReference => {}
            ErrorKind::ValidationFailure => {
                errors.push(FieldError { reason, field, value: shown, detail: error.message.clone() });
            }
            _ => errors.push(FieldError {
                reason: Reason::Invalid,
                field,
                value: Some(Value::from(rules.kind.clone())),
                detail: format!("{} evaluating rule: {}", error.message, error.rule),
            }),
        }
    }
}

/// Rules below a node that cannot be compiled here.
pub(super) fn unsupported(node: &Node) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(rules) = &node.rules {
        let compiled = rules.compiled();
        for schema in [&compiled.plain, &compiled.transition] {
            all.extend(schema.compilation_errors().iter().map(ToString::to_string));
        }
    }
    let typed = match &node.additional {
        Additional::Typed(schema) => Some(&**schema),
        _ => None,
    };
    for child in node.properties.values().map(Box::as_ref).chain(node.items.as_deref()).chain(typed) {
        all.extend(unsupported(child));
    }
    all
}
