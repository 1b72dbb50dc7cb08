//! Sets of parameters that become one.

use std::collections::BTreeMap;

use object::Value;

use super::flatten::go_text;
use super::{Error, Params, failed};

/// Whether a value counts as not given when maps are merged: empty text, zero, an empty map or list.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Fills what is absent or empty in `into` from `from`.
pub(super) fn fill(into: &mut Params, from: &Params) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => fill(inner, more),
            (Some(known), value) if is_empty(known) && !value.is_null() => *known = value.clone(),
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Replaces in `into` what `from` gives and is not empty.
pub(super) fn replace(into: &mut Params, from: &Params) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => replace(inner, more),
            (Some(_), value) if is_empty(value) => {}
            (_, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Two sets of texts as one.
///
/// # Errors
/// When they disagree about a key.
pub fn combine(left: &Params, right: &Params) -> Result<Params, Error> {
    let mut all = left.clone();
    for (key, value) in right {
        match left.get(key) {
            Some(known) if known != value => {
                let (a, b) = (go_text(known), go_text(value));
                return failed(format!("found duplicate key {key} with different value, a: {a} ,b: {b}"));
            }
            _ => {
                all.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(all)
}

/// Sets by the values of their merge keys, as JSON.
///
/// # Errors
/// When there are no keys, or two sets have the same values.
pub fn sets_by_key<'a>(keys: &[String], sets: &'a [Params]) -> Result<BTreeMap<String, &'a Params>, Error> {
    if keys.is_empty() {
        return failed("no merge keys were specified, Merge requires at least one");
    }
    let mut found = BTreeMap::new();
    for set in sets {
        let key = key_of(keys, set);
        if found.insert(key.clone(), set).is_some() {
            return failed(format!(
                "the parameters from a generator were not unique by the given mergeKeys, Merge requires all param sets \
                 to be unique. Duplicate key was {key}"
            ));
        }
    }
    Ok(found)
}

/// The values of a set's merge keys; what it does not have is null.
pub(super) fn key_of(keys: &[String], set: &Params) -> String {
    let picked: Params =
        keys.iter().map(|key| (key.clone(), set.get(key).cloned().unwrap_or_default())).collect();
    Value::Object(picked).to_string()
}
