//! Decoding a JSON value into a struct as Go's `encoding/json` (under `sigs.k8s.io/yaml`) does it.
//!
//! Helm's files are read that way, so this is what decides which of them are accepted, how a number
//! given for a string reads, and what the error says.

use serde_json::{Map, Value};

/// Collects the first error, as Go does: decoding goes on, the caller fails at the end.
#[derive(Default)]
pub(crate) struct Decoder {
    first: Option<String>,
}

/// Go's word for a JSON value.
pub(crate) fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Decoder {
    /// The result, or the first error in Go's words.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, String> {
        match self.first {
            None => Ok(value),
            Some(text) => Err(format!("error unmarshaling JSON: while decoding JSON: json: {text}")),
        }
    }

    fn fail(&mut self, value: &Value, place: &str, wanted: &str) {
        if self.first.is_none() {
            let what = word(value);
            let into =
                if place.is_empty() { "Go value".to_owned() } else { format!("Go struct field {place}") };
            self.first = Some(format!("cannot unmarshal {what} into {into} of type {wanted}"));
        }
    }

    /// The members of an object; an error (and none) for anything else but null.
    pub(crate) fn object<'v>(
        &mut self,
        value: &'v Value,
        place: &str,
        wanted: &str,
    ) -> Option<&'v Map<String, Value>> {
        match value {
            Value::Object(map) => Some(map),
            Value::Null => None,
            other => {
                self.fail(other, place, wanted);
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn list<'v>(
        &mut self,
        value: Option<&'v Value>,
        place: &str,
        wanted: &str,
    ) -> Option<&'v [Value]> {
        match value? {
            Value::Array(items) => Some(items),
            Value::Null => None,
            other => {
                self.fail(other, place, wanted);
                None
            }
        }
    }

    /// A string; numbers and booleans are turned into one because the target says so.
    pub(crate) fn string(&mut self, value: Option<&Value>, place: &str) -> String {
        match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(Value::Number(number)) => number_text(number),
            Some(other) => {
                self.fail(other, place, "string");
                String::new()
            }
        }
    }

    /// A list of strings.
    pub(crate) fn strings(&mut self, value: Option<&Value>, place: &str) -> Vec<String> {
        let items = self.list(value, place, "[]string").unwrap_or_default();
        items.iter().map(|item| self.string(Some(item), place)).collect()
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, value: Option<&Value>, place: &str) -> bool {
        match value {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.fail(other, place, "bool");
                false
            }
        }
    }
}

/// A number given where a string is wanted.
fn number_text(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(int), _, _) => int.to_string(),
        (_, Some(int), _) => int.to_string(),
        // Go's YAML prints it as the shorter of its two floats.
        (_, _, Some(float)) => crate::values::format_g32(float as f32),
        _ => number.to_string(),
    }
}

/// The member a Go struct field reads: its own name, else one that differs only in case.
pub(crate) fn field<'v>(map: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    map.get(name)
        .or_else(|| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// JSON as Go's encoder writes it: what means something in HTML or JavaScript is escaped.
pub fn go_json(data: &impl serde::Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(data)?;
    let special = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if !text.contains(special) {
        return Ok(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        match special(c) {
            true => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => out.push(c),
        }
    }
    Ok(out)
}
