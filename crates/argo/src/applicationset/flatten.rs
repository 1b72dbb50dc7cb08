//! Nested data as one level of texts, for templates and selectors that know nothing else.

use std::collections::BTreeMap;

use object::Value;

/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// Every leaf by its path of keys and indices, joined by dots. Empty maps and lists leave nothing.
///
/// # Errors
/// When the data is nested too deeply.
pub(super) fn flatten(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut flat = BTreeMap::new();
    below(value, "", &mut flat, 0)?;
    Ok(flat)
}

fn below(value: &Value, path: &str, flat: &mut BTreeMap<String, String>, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("the parameters are nested deeper than {MAX_DEPTH} levels"));
    }
    let at = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| below(value, &at(key), flat, depth + 1)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| below(value, &at(&index.to_string()), flat, depth + 1)),
        leaf => {
            flat.insert(path.to_owned(), go_text(leaf));
            Ok(())
        }
    }
}

/// A leaf as Go prints it after decoding JSON, where every number is a float.
pub(super) fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), go_float),
        other => other.to_string(),
    }
}

/// `%v` of a float: the shortest digits, with an exponent below 1e-4 and from a million on.
fn go_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
