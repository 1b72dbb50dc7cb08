//! One JSON object, its fields in their order.

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::tree::{Document, Entry, Item, Leaf, Value, plain_float};

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Leaf(Leaf::Bool(yes)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Leaf(Leaf::Int(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Leaf(match i64::try_from(number) {
            Ok(number) => Leaf::Int(number),
            Err(_) => Leaf::Float(number as f64),
        }))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Leaf(Leaf::Float(number)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Leaf(Leaf::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(value) = list.next_element()? {
            entries.push(Entry::Value(value));
        }
        Ok(Value::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            items.push(Item::Field(key, value));
        }
        Ok(Value::Map(items))
    }
}

pub(super) fn read(text: &str) -> Result<Vec<Document>, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("line {}: it is not JSON", error.line()))?;
    match value {
        Value::Map(items) => Ok(vec![items]),
        _ => Err("the file is no JSON object".into()),
    }
}

pub(super) fn write(document: &[Item]) -> Result<String, String> {
    let mut out = String::new();
    map(document, 0, &mut out);
    out.push('\n');
    Ok(out)
}

/// A text as Go prints it: `<`, `>` and `&` escaped.
fn quote(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    let escaped = quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    escaped.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n('\t', depth));
}

fn map(items: &[Item], depth: usize, out: &mut String) {
    out.push('{');
    let mut first = true;
    for item in items {
        let Item::Field(key, value) = item else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        line(depth + 1, out);
        out.push_str(&quote(key));
        out.push_str(": ");
        put(value, depth + 1, out);
    }
    if !first {
        line(depth, out);
    }
    out.push('}');
}

fn put(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Map(items) => map(items, depth, out),
        Value::List(entries) => {
            out.push('[');
            let mut first = true;
            for entry in entries {
                let Entry::Value(value) = entry else { continue };
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                line(depth + 1, out);
                put(value, depth + 1, out);
            }
            if !first {
                line(depth, out);
            }
            out.push(']');
        }
        Value::Leaf(leaf) => match leaf {
            Leaf::Text(text) | Leaf::Time(text) | Leaf::Comment(text) => out.push_str(&quote(text)),
            Leaf::Bytes(bytes) => out.push_str(&quote(&String::from_utf8_lossy(bytes))),
            Leaf::Int(number) => out.push_str(&number.to_string()),
            Leaf::Float(number) if (1e-6..1e21).contains(&number.abs()) || *number == 0.0 => {
                out.push_str(&plain_float(*number));
            }
            Leaf::Float(number) => out.push_str(&serde_json::Value::from(*number).to_string()),
            Leaf::Bool(yes) => out.push_str(&yes.to_string()),
        },
    }
}
