//! Decoding into Kubernetes' typed structures, without the structures.

use object::{Map, Quantity, Value};

use crate::types::{MapType, Node, NodeId, Scalar, Schema, TypeRef, Zero, ZeroValue};

/// Deepest nesting of an object.
const MAX_DEPTH: usize = 256;

/// Fields that the type does not know, as strict and warning field validation name them
/// (`unknown field "spec.foo"`).
pub fn unknown_fields(ty: &TypeRef, value: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    find_unknown(ty.schema(), ty.id(), value, &mut String::new(), &mut paths);
    paths.into_iter().map(|path| format!("unknown field \"{path}\"")).collect()
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn find_unknown(schema: &Schema, id: NodeId, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let node = schema.node(id);
    let length = path.len();
    match value {
        Value::Object(values) => {
            let Some(map) = &node.map else { return };
            for (key, value) in values {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                match map.fields.get(key).map(|field| field.node).or(map.element) {
                    Some(id) => find_unknown(schema, id, value, path, found),
                    None if node.preserve_unknown => {}
                    None => found.push(path.clone()),
                }
                path.truncate(length);
            }
        }
        Value::Array(values) => {
            let Some(list) = &node.list else { return };
            for (index, value) in values.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                find_unknown(schema, list.item, value, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Removes fields that the type does not know; answers their paths.
pub(super) fn prune(ty: &TypeRef, value: &mut Value, path: &str) -> Vec<String> {
    let mut gone = Vec::new();
    find_unknown(ty.schema(), ty.id(), value, &mut path.to_owned(), &mut gone);
    if !gone.is_empty() {
        remove_unknown(ty.schema(), ty.id(), value);
    }
    gone
}

fn remove_unknown(schema: &Schema, id: NodeId, value: &mut Value) {
    let node = schema.node(id);
    match value {
        Value::Object(values) => {
            let Some(map) = &node.map else { return };
            let known = |key: &str| map.fields.get(key).map(|field| field.node).or(map.element);
            values.retain(|key, _| node.preserve_unknown || known(key).is_some());
            for (key, value) in values.iter_mut() {
                if let Some(id) = known(key) {
                    remove_unknown(schema, id, value);
                }
            }
        }
        Value::Array(values) => {
            if let Some(list) = &node.list {
                values.iter_mut().for_each(|value| remove_unknown(schema, list.item, value));
            }
        }
        _ => {}
    }
}

/// Decodes as the API server does: unknown fields go, quantities become canonical, zero values appear or go as
/// Go's types write them. Values of the wrong type are errors (`json: cannot unmarshal …`).
///
/// # Errors
/// The text of the 400 answer.
pub fn decode(ty: &TypeRef, value: &mut Value) -> Result<(), String> {
    decode_at(ty, value, "")
}

/// As [`decode`], with the words for a tree that a strategic patch made: it becomes an object without being text before.
///
/// # Errors
/// What does not fit.
pub fn restore(ty: &TypeRef, value: &mut Value) -> Result<(), String> {
    let place = Place { path: "", owner: "", go_type: None };
    Decoder { schema: ty.schema(), restores: true }.visit(ty.id(), value, &place, 0)
}

pub(super) fn decode_at(ty: &TypeRef, value: &mut Value, path: &str) -> Result<(), String> {
    let place = Place { path, owner: "", go_type: None };
    Decoder { schema: ty.schema(), restores: false }.visit(ty.id(), value, &place, 0)
}

struct Decoder<'a> {
    schema: &'a Schema,
    /// From a tree, not from text.
    restores: bool,
}

/// Where a value stands, for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    /// The Go structure that holds the field.
    owner: &'a str,
    /// The Go type of the value, where its form does not tell.
    go_type: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// An element of a list or mapping: errors name the field that holds it.
    fn element(self) -> Place<'a> {
        let inner = self.go_type.and_then(|own| own.strip_prefix("[]").or(own.strip_prefix("map[string]")));
        Place { go_type: inner, ..self }
    }
}

impl Decoder<'_> {
    fn visit(&self, id: NodeId, value: &mut Value, place: &Place<'_>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        let node = self.schema.node(id);
        if value.is_null() || node.preserve_unknown {
            return Ok(());
        }
        match value {
            Value::Object(values) => match &node.map {
                Some(map) => self.fields(map, values, place, depth),
                None => Err(self.mismatch("object", place, node)),
            },
            Value::Array(values) => match &node.list {
                Some(list) => values
                    .iter_mut()
                    .try_for_each(|value| self.visit(list.item, value, &place.element(), depth + 1)),
                None => Err(self.mismatch("array", place, node)),
            },
            scalar => self.check_scalar(node, scalar, place),
        }
    }

    fn fields(&self, map: &MapType, values: &mut Map, place: &Place<'_>, depth: usize) -> Result<(), String> {
        if map.fields.is_empty() {
            let Some(element) = map.element else { return Ok(()) };
            let text = self.schema.node(element).scalar == Some(Scalar::String);
            for value in values.values_mut() {
                if value.is_null() && text {
                    *value = Value::String(String::new());
                }
                self.visit(element, value, &place.element(), depth + 1)?;
            }
            return Ok(());
        }
        values.retain(|key, _| map.fields.contains_key(key));
        for (key, value) in values.iter_mut() {
            if let Some(field) = map.fields.get(key) {
                let path = below(place.path, key);
                let place = Place { path: &path, owner: &map.name, go_type: field.go_type.as_deref() };
                self.visit(field.node, value, &place, depth + 1)?;
            }
        }
        for (key, field) in &map.fields {
            self.zero(values, key, field.zero, field.node, place.path, depth)?;
        }
        Ok(())
    }

    fn zero(
        &self,
        values: &mut Map,
        key: &str,
        zero: Zero,
        id: NodeId,
        path: &str,
        depth: usize,
    ) -> Result<(), String> {
        let present = values.get(key);
        match zero {
            Zero::Keep => {
                let structure = self.schema.node(id).map.as_ref().is_some_and(|map| !map.name.is_empty());
                let gone = match present {
                    Some(Value::Null) => true,
                    Some(Value::Array(list)) => list.is_empty(),
                    Some(Value::Object(map)) => map.is_empty() && !structure,
                    _ => false,
                };
                if gone {
                    values.remove(key);
                }
            }
            Zero::Omit => {
                let gone = match present {
                    Some(Value::Null | Value::Bool(false)) => true,
                    Some(Value::String(text)) => text.is_empty(),
                    Some(Value::Number(number)) => number.as_f64() == Some(0.0),
                    _ => false,
                };
                if gone {
                    values.remove(key);
                }
            }
            Zero::OmitNull => {
                if present.is_some_and(Value::is_null) {
                    values.remove(key);
                }
            }
            Zero::Always(zero) if present.is_none_or(Value::is_null) => {
                let mut value = match zero {
                    ZeroValue::Null => Value::Null,
                    ZeroValue::String => Value::String(String::new()),
                    ZeroValue::Number => Value::from(0),
                    ZeroValue::Boolean => Value::Bool(false),
                    ZeroValue::Struct => Value::Object(Map::new()),
                    ZeroValue::Quantity => Value::from("0"),
                    ZeroValue::Duration => Value::from("0s"),
                };
                if zero == ZeroValue::Struct {
                    let path = below(path, key);
                    self.visit(id, &mut value, &Place { path: &path, owner: "", go_type: None }, depth + 1)?;
                }
                values.insert(key.to_owned(), value);
            }
            Zero::Always(ZeroValue::Null) => {
                // Stored lists do not tell empty from absent.
                if present.and_then(Value::as_array).is_some_and(Vec::is_empty) {
                    values.insert(key.to_owned(), Value::Null);
                }
            }
            Zero::Always(_) => {}
        }
        Ok(())
    }

    fn mismatch(&self, found: &str, place: &Place<'_>, node: &Node) -> String {
        let Place { path, owner, go_type } = *place;
        let wanted = match (&node.list, go_type) {
            (_, Some(own)) => own.to_owned(),
            (Some(list), None) if node.scalar.is_none() => {
                format!("[]{}", go_kind(self.schema.node(list.item)))
            }
            _ => go_kind(node),
        };
        if self.restores {
            // What reads itself reads text that is this value alone.
            return match () {
                () if node.int_or_string => {
                    format!("json: cannot unmarshal {found} into Go value of type int32")
                }
                () if node.time => format!("json: cannot unmarshal {found} into Go value of type string"),
                () => cannot_restore(found, &wanted, node),
            };
        }
        if path.is_empty() || owner.is_empty() {
            return format!("json: cannot unmarshal {found} into Go value of type {wanted}");
        }
        format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {wanted}")
    }

    fn check_scalar(&self, node: &Node, value: &mut Value, place: &Place<'_>) -> Result<(), String> {
        if node.quantity {
            let quantity = Quantity::from_value(value).map_err(|error| error.to_string())?;
            *value = Value::String(quantity.to_string());
            return Ok(());
        }
        if node.bytes
            && let Value::String(text) = &*value
            && let Some(at) = crate::crd::format::bad_base64(text)
        {
            return Err(format!("illegal base64 data at input byte {at}"));
        }
        let found = match value {
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            _ => "number",
        };
        if node.int_or_string {
            return if found == "bool" { Err(self.mismatch(found, place, node)) } else { Ok(()) };
        }
        if node.time {
            let Value::String(text) = &*value else { return Err(self.mismatch(found, place, node)) };
            if !crate::crd::format::is_date_time(text) {
                let layout = "2006-01-02T15:04:05Z07:00";
                return Err(format!(
                    "parsing time {text:?} as {layout:?}: cannot parse {text:?} as \"2006\""
                ));
            }
            return Ok(());
        }
        let fits = match node.scalar {
            Some(Scalar::String) => value.is_string(),
            Some(Scalar::Boolean) => value.is_boolean(),
            Some(Scalar::Number) => value.is_number(),
            Some(Scalar::Integer) => match &*value {
                Value::Number(number) if node.wide => number.is_i64(),
                Value::Number(number) => number.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                _ => false,
            },
            Some(Scalar::Untyped) => true,
            None => false,
        };
        if fits {
            return Ok(());
        }
        match (node.scalar, &*value) {
            (Some(Scalar::Integer), Value::Number(number)) => {
                Err(self.mismatch(&format!("number {number}"), place, node))
            }
            (_, Value::Number(number)) if self.restores => {
                Err(self.mismatch(&format!("number {number}"), place, node))
            }
            _ => Err(self.mismatch(found, place, node)),
        }
    }
}

/// What is said of a tree's value that does not fit.
fn cannot_restore(found: &str, wanted: &str, node: &Node) -> String {
    let number = found.strip_prefix("number ").unwrap_or_default();
    let is_float = number.contains(['.', 'e', 'E']);
    let kind = match found.split(' ').next().unwrap_or_default() {
        "object" => "map",
        "array" => "slice",
        "number" if is_float => "float64",
        "number" => "int64",
        other => other,
    };
    match (&node.map, &node.list, node.scalar) {
        (Some(map), _, None) if !map.name.is_empty() => format!("cannot restore struct from: {kind}"),
        (Some(_), _, None) => format!("cannot restore map from {kind}"),
        (_, Some(_), None) => format!("cannot restore slice from {kind}"),
        // Go turns whole numbers into text, and numbers into each other.
        (_, _, Some(Scalar::String)) if kind == "int64" => format!("cannot convert {kind} to {wanted}"),
        (_, _, Some(Scalar::Integer | Scalar::Number)) if kind == "int64" || kind == "float64" => {
            format!("cannot convert {kind} to {wanted}")
        }
        (_, _, Some(Scalar::String)) => "unrecognized type: string".to_owned(),
        _ => format!("unrecognized type: {wanted}"),
    }
}

fn go_kind(node: &Node) -> String {
    match (&node.map, &node.list, node.scalar) {
        (_, _, Some(Scalar::String)) => "string".to_owned(),
        (_, _, Some(Scalar::Integer)) => if node.wide { "int64" } else { "int32" }.to_owned(),
        (_, _, Some(Scalar::Number)) => "float64".to_owned(),
        (_, _, Some(Scalar::Boolean)) => "bool".to_owned(),
        (Some(map), _, _) if !map.name.is_empty() => format!("v1.{}", map.name),
        (Some(_), _, _) => "map[string]string".to_owned(),
        (_, Some(_), _) => "[]string".to_owned(),
        _ => "string".to_owned(),
    }
}
