//! Values against a schema, with the messages of the Kubernetes API.

use object::Value;
use regex::Regex;

use super::format;
use super::structural::{Additional, Limits, Node};
use crate::{FieldError, ListKind, Reason};

/// The path of a field, or of an entry of an open mapping, below `path`.
pub(super) fn below(path: &str, key: &str, named: bool) -> String {
    match (path.is_empty(), named) {
        (true, _) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (false, false) => format!("{path}[{key}]"),
    }
}

/// All errors of a value; parts equal to `old` are not looked at.
pub(super) fn values(node: &Node, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(node, value, old, "", true, &mut errors);
    errors
}

fn visit(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    root: bool,
    errors: &mut Vec<FieldError>,
) {
    if old == Some(value) {
        return;
    }
    if value.is_null() && node.nullable {
        return;
    }
    let wrong = type_error(node, value, path);
    let fits = wrong.is_none();
    errors.extend(wrong);
    junctors(node.limits(), value, path, errors);
    match value {
        Value::String(text) => text_limits(node.limits(), text, path, errors),
        Value::Number(number) => number_limits(node.limits(), number, value, path, errors),
        _ => {}
    }
    allowed(node.limits(), value, path, errors);
    if fits {
        children(node, value, old, path, root, errors);
    }
    match value {
        Value::Array(list) => list_limits(node.limits(), list, value, path, errors),
        Value::Object(map) => map_limits(node.limits(), map, value, path, errors),
        _ => {}
    }
}

fn children(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: &str,
    root: bool,
    errors: &mut Vec<FieldError>,
) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if root && matches!(key.as_str(), "apiVersion" | "kind") {
                    continue;
                }
                let old = old.and_then(|old| old.get(key));
                match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => visit(property, value, old, &dotted(path, key), false, errors),
                    (None, Additional::Typed(schema)) => {
                        visit(schema, value, old, &dotted(path, key), false, errors);
                    }
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                for (index, value) in list.iter().enumerate() {
                    let old = super::rules::correlate(node, value, old);
                    visit(items, value, old, &format!("{path}[{index}]"), false, errors);
                }
            }
        }
        _ => {}
    }
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Number(number) if is_integer(number) => "integer",
        other => object::json_type(other),
    }
}

fn is_integer(number: &serde_json::Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn type_error(node: &Node, value: &Value, path: &str) -> Option<FieldError> {
    let found = kind_of(value);
    if node.int_or_string {
        return (!matches!(found, "integer" | "string")).then(|| wrong_type(path, "integer,string", found));
    }
    let fits = match node.kind.as_str() {
        "" => true,
        "number" => matches!(found, "number" | "integer"),
        wanted => wanted == found,
    };
    (!fits).then(|| wrong_type(path, &node.kind, found))
}

fn wrong_type(path: &str, wanted: &str, found: &str) -> FieldError {
    let shown = if path.is_empty() { "<nil>" } else { path };
    FieldError::type_invalid(shown, found, format!("{path} in body must be of type {wanted}: \"{found}\""))
}

fn allowed(limits: &Limits, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(allowed) = &limits.allowed
        && !allowed.contains(value)
    {
        let texts: Vec<String> = allowed
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(path, value.clone(), &texts));
    }
}

fn number_limits(
    limits: &Limits,
    number: &serde_json::Number,
    value: &Value,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let invalid =
        |message: String| FieldError::invalid(path, value.clone(), format!("{path} in body {message}"));
    let number = number.as_f64().unwrap_or_default();
    if let Some(factor) = limits.multiple_of
        && factor != 0.0
        && (number / factor).fract().abs() > f64::EPSILON
    {
        errors.push(invalid(format!("should be a multiple of {factor}")));
    }
    if let Some((most, shown, exclusive)) = &limits.maximum
        && (number > *most || (*exclusive && number >= *most))
    {
        let or = if *exclusive { "" } else { " or equal to" };
        errors.push(invalid(format!("should be less than{or} {shown}")));
    }
    if let Some((least, shown, exclusive)) = &limits.minimum
        && (number < *least || (*exclusive && number <= *least))
    {
        let or = if *exclusive { "" } else { " or equal to" };
        errors.push(invalid(format!("should be greater than{or} {shown}")));
    }
}

fn map_limits(limits: &Limits, map: &object::Map, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(least) = limits.min_properties.filter(|least| (map.len() as u64) < *least) {
        let detail = format!("{path} in body should have at least {least} properties");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
    if let Some(most) = limits.max_properties.filter(|most| map.len() as u64 > *most) {
        errors.push(FieldError::too_many(path, map.len() as i64, most as i64));
    }
    for name in limits.required.iter().filter(|name| !map.contains_key(*name)) {
        errors.push(FieldError::required(dotted(path, name), ""));
    }
}

fn text_limits(limits: &Limits, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    // Only the first thing that is wrong with a text is said, as in the original.
    let length = text.chars().count() as u64;
    let invalid = |message: String| FieldError::invalid(path, text, format!("{path} in body {message}"));
    let too_long = limits.max_length.filter(|most| length > *most);
    let too_short = limits.min_length.filter(|least| length < *least);
    // A pattern that is none here is one that Go's syntax has and ours has not: nothing can be said.
    let pattern = limits.pattern.as_ref().filter(|pattern| {
        let regex = limits.regex.get_or_init(|| Regex::new(pattern).ok());
        regex.as_ref().is_some_and(|regex| !regex.is_match(text))
    });
    if let Some(most) = too_long {
        errors.push(FieldError {
            reason: Reason::TooLong,
            field: path.to_owned(),
            value: None,
            detail: format!("may not be more than {most} bytes"),
        });
    } else if let Some(least) = too_short {
        errors.push(invalid(format!("should be at least {least} chars long")));
    } else if let Some(pattern) = pattern {
        errors.push(invalid(format!("should match '{pattern}'")));
    }
    if !format::is_valid(&limits.format, text) {
        let detail =
            format!("{path} in body must be of type {}: {}", limits.format, crate::error::go_quote(text));
        errors.push(FieldError::type_invalid(path, text, detail));
    }
}

fn list_limits(limits: &Limits, list: &[Value], value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let length = list.len() as u64;
    if let Some(least) = limits.min_items.filter(|least| length < *least) {
        let detail = format!("{path} in body should have at least {least} items");
        errors.push(FieldError::invalid(path, value.clone(), detail));
    }
    if let Some(most) = limits.max_items.filter(|most| length > *most) {
        errors.push(FieldError::too_many(path, length as i64, most as i64));
    }
    if limits.unique_items
        && list.iter().enumerate().any(|(index, item)| list.iter().take(index).any(|one| one == item))
    {
        errors.push(FieldError::invalid(
            path,
            value.clone(),
            format!("{path} in body shouldn't contain duplicates"),
        ));
    }
}

/// The errors of a nested condition, which looks at the same value.
fn nested(node: &Node, value: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit(node, value, None, path, false, &mut errors);
    errors
}

fn junctors(limits: &Limits, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let composite = |message: &str| FieldError::invalid("<nil>", "", format!("\"{path}\" {message}"));
    if !limits.all_of.is_empty() {
        let failures: Vec<FieldError> =
            limits.all_of.iter().flat_map(|node| nested(node, value, path)).collect();
        if !failures.is_empty() {
            errors.extend(failures);
            errors.push(composite("must validate all the schemas (allOf)"));
        }
    }
    if !limits.any_of.is_empty() {
        let outcomes: Vec<Vec<FieldError>> =
            limits.any_of.iter().map(|node| nested(node, value, path)).collect();
        if outcomes.iter().all(|outcome| !outcome.is_empty()) {
            errors.push(composite("must validate at least one schema (anyOf)"));
            errors.extend(outcomes.into_iter().next().into_iter().flatten());
        }
    }
    if !limits.one_of.is_empty() {
        let outcomes: Vec<Vec<FieldError>> =
            limits.one_of.iter().map(|node| nested(node, value, path)).collect();
        let valid = outcomes.iter().filter(|outcome| outcome.is_empty()).count();
        if valid == 0 {
            errors.push(composite("must validate one and only one schema (oneOf). Found none valid"));
            errors.extend(outcomes.into_iter().next().into_iter().flatten());
        } else if valid > 1 {
            errors.push(composite(&format!(
                "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
            )));
        }
    }
    if let Some(not) = &limits.not
        && nested(not, value, path).is_empty()
    {
        errors.push(composite("must not validate the schema (not)"));
    }
}

/// Elements that are there twice in sets and lists with keys.
pub(super) fn lists(node: &Node, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => lists(property, value, &below(path, key, true), errors),
                    (None, Additional::Typed(schema)) => {
                        lists(schema, value, &below(path, key, false), errors)
                    }
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            let mut seen: std::collections::HashSet<String> = std::collections::HashSet::new();
            for (index, item) in list.iter().enumerate() {
                let shown = match &node.list {
                    Some(ListKind::Set) => item.clone(),
                    Some(ListKind::Map(keys)) => {
                        let found = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
                        Value::Object(found.collect())
                    }
                    _ => break,
                };
                if !seen.insert(shown.to_string()) {
                    errors.push(FieldError::duplicate(format!("{path}[{index}]"), shown));
                }
            }
            if let Some(items) = &node.items {
                for (index, item) in list.iter().enumerate() {
                    lists(items, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        _ => {}
    }
}
