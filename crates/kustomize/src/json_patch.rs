//! JSON patches (RFC 6902) on trees, as strict and as lax as the Go library that Kustomize uses.

use crate::error::Error;
use crate::tree::{self, Node};
use serde_json::Value;

/// A patch, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonPatch {
    operations: Vec<Value>,
}

impl JsonPatch {
    /// Reads JSON or YAML.
    pub fn parse(text: &str) -> Result<JsonPatch, String> {
        if text.is_empty() {
            return Err("empty json patch operations".to_owned());
        }
        let value = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|error| error.to_string())?
        } else {
            yaml::from_str(text).map_err(|error| error.to_string())?
        };
        match value {
            Value::Null => Ok(JsonPatch::default()),
            Value::Array(operations) => {
                if let Some(bad) =
                    operations.iter().find(|operation| !operation.is_object() && !operation.is_null())
                {
                    return Err(format!(
                        "json: cannot unmarshal {bad} into Go value of type jsonpatch.Operation"
                    ));
                }
                Ok(JsonPatch { operations })
            }
            other => Err(format!(
                "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
                go_kind(&other)
            )),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Applies all operations, or none.
    pub fn apply(&self, node: &mut Node) -> Result<(), Error> {
        // The original reads the object as JSON first, which settles the types of its scalars.
        let mut document = tree::to_value(node).map_err(Error::new)?;
        tree::check_keys_are_strings(node).map_err(Error::new)?;
        for operation in &self.operations {
            apply_one(&mut document, operation).map_err(Error::new)?;
        }
        if !document.is_object() {
            return Err(Error::new("json: cannot unmarshal into Go value of type map[string]interface {}"));
        }
        round_numbers(&mut document);
        *node = tree::from_value(&document);
        Ok(())
    }
}

/// Go reads every number of a JSON document as a float.
fn round_numbers(value: &mut Value) {
    /// The integers up to here are all floats too.
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Array(items) => items.iter_mut().for_each(round_numbers),
        Value::Object(fields) => fields.values_mut().for_each(round_numbers),
        Value::Number(number) => {
            let exact = number.as_i64().is_some_and(|int| int.unsigned_abs() <= EXACT);
            if let (false, false, Some(float)) = (exact, number.is_f64(), number.as_f64()) {
                // Printed with as many digits as tell it from its neighbours, then zeros.
                if let Ok(rounded) = serde_json::from_str(&float.to_string()) {
                    *number = rounded;
                }
            }
        }
        _ => {}
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        _ => "object",
    }
}

fn text<'a>(operation: &'a Value, key: &str) -> Result<&'a str, String> {
    operation.get(key).and_then(Value::as_str).ok_or_else(|| format!("Operation: missing {key} field"))
}

fn apply_one(document: &mut Value, operation: &Value) -> Result<(), String> {
    let kind = operation.get("op").and_then(Value::as_str).unwrap_or("unknown");
    let path = operation.get("path").and_then(Value::as_str).unwrap_or("unknown");
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match kind {
        "add" => add(document, path, value())
            .map_err(|error| error.says("add", &format!("path: \"{path}\""), &format!("path: '{path}'"))),
        "remove" => remove(document, path)
            .map(drop)
            .map_err(|error| error.says("remove", &format!("path: \"{path}\""), &format!("path: '{path}'"))),
        "replace" => replace(document, path, value()),
        "move" => {
            let from = text(operation, "from")?.to_owned();
            let key = parts(&from).pop().unwrap_or_default();
            let moved = remove(document, &from).map_err(|error| {
                error.says("move", &format!("from path: {from}"), &format!("path: '{key}'"))
            })?;
            add(document, path, moved).map_err(|error| {
                error.says("move", &format!("destination path: {path}"), &format!("path: '{path}'"))
            })
        }
        "copy" => {
            let from = text(operation, "from")?;
            let copied = get(document, from).map_err(|error| {
                error.says("copy", &format!("from path: {from}"), &format!("from: '{from}'"))
            })?;
            add(document, path, copied).map_err(|error| {
                error.says("copy", &format!("destination path: {path}"), &format!("path: '{path}'"))
            })
        }
        "test" => {
            let wanted = value();
            match find(document, path) {
                Some(found) if equal(found, &wanted) => Ok(()),
                None if wanted.is_null() => Ok(()),
                _ => Err(format!("testing value {path} failed: test failed")),
            }
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

struct Missing {
    missing: bool,
    text: String,
}

impl Missing {
    /// The operation's words: for a way that leads nowhere, and for one that ends badly.
    fn says(self, operation: &str, nowhere: &str, badly: &str) -> String {
        if self.missing {
            format!("{operation} operation does not apply: doc is missing {nowhere}: missing value")
        } else {
            format!("error in {operation} for {badly}: {}", self.text)
        }
    }

    fn path() -> Missing {
        Missing { missing: true, text: "missing value".to_owned() }
    }

    fn because(text: impl Into<String>) -> Missing {
        Missing { missing: false, text: text.into() }
    }
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The parts of a pointer; what comes before the first slash does not count.
fn parts(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(unescape).collect()
}

fn array_index(part: &str, len: usize) -> Result<usize, Missing> {
    let index: i64 = part
        .parse()
        .map_err(|_| Missing::because(format!("strconv.Atoi: parsing {part:?}: invalid syntax")))?;
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len).ok_or_else(|| {
        Missing::because(format!("Unable to access invalid index: {part}: invalid index referenced"))
    })
}

fn container<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), Missing> {
    let mut parts = parts(path);
    let last = parts.pop().ok_or_else(Missing::path)?;
    let mut here = document;
    for part in parts {
        here = match here {
            Value::Object(map) => map.get_mut(&part).ok_or_else(Missing::path)?,
            Value::Array(items) => {
                let index = array_index(&part, items.len()).map_err(|_| Missing::path())?;
                items.get_mut(index).ok_or_else(Missing::path)?
            }
            _ => return Err(Missing::path()),
        };
    }
    if here.is_object() || here.is_array() { Ok((here, last)) } else { Err(Missing::path()) }
}

fn find<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(document);
    }
    let mut here = document;
    for part in parts(path) {
        here = match here {
            Value::Object(map) => map.get(&part)?,
            Value::Array(items) => items.get(array_index(&part, items.len()).ok()?)?,
            _ => return None,
        };
    }
    Some(here)
}

/// What a pointer points to; a key that an object does not have is null.
fn get(document: &mut Value, path: &str) -> Result<Value, Missing> {
    let (container, key) = container(document, path)?;
    match container {
        Value::Object(map) => Ok(map.get(&key).cloned().unwrap_or(Value::Null)),
        Value::Array(items) => {
            let index = array_index(&key, items.len())?;
            items.get(index).cloned().ok_or_else(Missing::path)
        }
        _ => Err(Missing::path()),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), Missing> {
    let (container, key) = container(document, path)?;
    match container {
        Value::Object(map) => {
            map.insert(key, value);
            Ok(())
        }
        Value::Array(items) if key == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => {
            let index: i64 = key
                .parse()
                .map_err(|_| Missing::because(format!("value was not a proper array index: '{key}': strconv.Atoi: parsing {key:?}: invalid syntax")))?;
            let len = items.len() as i64;
            let index = if index < 0 { index + len + 1 } else { index };
            match usize::try_from(index) {
                Ok(index) if index <= items.len() => {
                    items.insert(index, value);
                    Ok(())
                }
                _ => Err(Missing::because(format!(
                    "Unable to access invalid index: {key}: invalid index referenced"
                ))),
            }
        }
        _ => Err(Missing::path()),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, Missing> {
    let (container, key) = container(document, path)?;
    match container {
        Value::Object(map) => map.remove(&key).ok_or_else(|| {
            Missing::because(format!("Unable to remove nonexistent key: {key}: missing value"))
        }),
        Value::Array(items) => {
            let index = array_index(&key, items.len())?;
            Ok(items.remove(index))
        }
        _ => Err(Missing::path()),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let missing = || format!("replace operation does not apply: doc is missing key: {path}: missing value");
    let (container, key) = container(document, path).map_err(|_| {
        format!("replace operation does not apply: doc is missing path: {path}: missing value")
    })?;
    let slot = match container {
        // An object takes a key it did not have.
        Value::Object(map) => Some(map.entry(key).or_insert(Value::Null)),
        Value::Array(items) => array_index(&key, items.len()).ok().and_then(|index| items.get_mut(index)),
        _ => None,
    };
    *slot.ok_or_else(missing)? = value;
    Ok(())
}
