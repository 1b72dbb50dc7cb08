//! From and to JSON data.

use std::rc::Rc;

use serde_json::{Number, Value as Json};

use super::{Elem, List, Map, Value};

impl Value {
    /// The value of JSON data: integers become `int64` (as `helm --set` makes them), other numbers
    /// `float64`.
    pub fn from_json(json: &Json) -> Value {
        convert(json, &|number| match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::int64(int),
            (None, Some(uint)) => Value::Uint(uint, super::UintType::Uint64),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        })
    }

    /// The value that Go's `encoding/json` decodes into an `interface{}`: every number is a `float64`,
    /// as in the values files of a chart.
    pub fn decoded(json: &Json) -> Value {
        convert(json, &|number| Value::Float(number.as_f64().unwrap_or(f64::NAN)))
    }

    /// As [`Value::decoded`], in a map of the defined type `name` (`chartutil.Values`).
    pub fn named_map(name: &'static str, entries: impl IntoIterator<Item = (String, Value)>) -> Value {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Value::Map(Rc::new(Map::named(name, Elem::Any, entries)))
    }

    /// The value as JSON data, as `encoding/json` would encode it; an error for what has no encoding
    /// (functions, infinite numbers), with Go's text.
    pub fn to_json(&self) -> Result<Json, String> {
        self.encoded(0)
    }

    fn encoded(&self, depth: usize) -> Result<Json, String> {
        if depth > super::MAX_DEPTH {
            return Err(format!("json: unsupported value: encountered a cycle via {}", self.type_name()));
        }
        Ok(match self {
            Value::Invalid | Value::Nil | Value::NilPtr(_) => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value, _) => Json::from(*value),
            Value::Uint(value, _) => Json::from(*value),
            Value::Float(value) => float(*value)?,
            Value::Complex(..) => return Err("json: unsupported type: complex128".into()),
            Value::Str(text) => Json::String(text.to_text().into_owned()),
            Value::List(list) if list.nil => Json::Null,
            Value::List(list) if list.elem == Elem::Byte => Json::String(crate::codec::base64_of(list)),
            Value::List(list) => {
                Json::Array(list.items.iter().map(|item| item.encoded(depth + 1)).collect::<Result<_, _>>()?)
            }
            Value::Map(map) if map.is_nil() => Json::Null,
            Value::Map(map) => {
                let mut object = serde_json::Map::new();
                for (key, value) in map.borrow().iter() {
                    object.insert(key.to_text().into_owned(), value.encoded(depth + 1)?);
                }
                Json::Object(object)
            }
            Value::Time(time) => Json::String(time.rfc3339_nano()),
            Value::Object(object) => match object.encoded() {
                Some(value) => value.encoded(depth + 1)?,
                None => return Err(format!("json: unsupported type: {}", object.type_name())),
            },
            Value::Func(_) => return Err("json: unsupported type: func()".into()),
        })
    }
}

/// A float as JSON prints it: without a fraction when it has none.
fn float(value: f64) -> Result<Json, String> {
    if !value.is_finite() {
        let name = crate::fmt::float_g(value);
        return Err(format!("json: unsupported value: {name}"));
    }
    Ok(yaml::json_number(value).map_or(Json::Null, Json::Number))
}

fn convert(json: &Json, number: &dyn Fn(&Number) -> Value) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(value) => number(value),
        Json::String(text) => Value::Str(text.as_str().into()),
        Json::Array(items) => {
            let items = items.iter().map(|item| convert(item, number)).collect();
            Value::List(Rc::new(List::appended(items)))
        }
        Json::Object(entries) => {
            let entries =
                entries.iter().map(|(key, value)| (key.as_str().into(), convert(value, number))).collect();
            Value::Map(Rc::new(Map::new(Elem::Any, entries)))
        }
    }
}
