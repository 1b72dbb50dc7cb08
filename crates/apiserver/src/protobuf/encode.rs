//! JSON in protobuf, byte for byte as Kubernetes' own types write themselves: fields in the order of their numbers, those
//! that are no pointers even where nothing is set.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::table::{self, Field, Id, Kind, Special};
use super::{MAGIC, MAX_DEPTH};

/// An object in its envelope; nothing for kinds that have no protobuf form.
pub fn envelope(value: &Value) -> Option<Vec<u8>> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let id = table::find(text("apiVersion"), text("kind"))?;
    let mut raw = Vec::with_capacity(512);
    message(&mut raw, id, value, 0);
    Some(wrap(text("apiVersion"), text("kind"), &raw))
}

fn wrap(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::with_capacity(64);
    bytes(&mut meta, 1, api_version.as_bytes());
    bytes(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 16);
    out.extend_from_slice(MAGIC);
    bytes(&mut out, 1, &meta);
    bytes(&mut out, 2, raw);
    bytes(&mut out, 3, b"");
    bytes(&mut out, 4, b"");
    out
}

/// A list that is written an item at a time.
pub struct List {
    api_version: String,
    kind: String,
    item: Id,
    raw: Vec<u8>,
}

impl List {
    /// Begins a list; nothing when its kind has no protobuf form.
    pub fn new(api_version: &str, kind: &str, meta: &Value) -> Option<List> {
        let list = table::message(table::find(api_version, kind)?)?;
        let (Kind::Message(head), Kind::Message(item)) = (list.field(1)?.kind, list.field(2)?.kind) else {
            return None;
        };
        let mut raw = Vec::with_capacity(4096);
        nested(&mut raw, 1, |out| message(out, head, meta, 1));
        Some(List { api_version: api_version.to_owned(), kind: kind.to_owned(), item, raw })
    }

    /// Adds an item.
    pub fn push(&mut self, item: &Value) {
        let id = self.item;
        nested(&mut self.raw, 2, |out| message(out, id, item, 1));
    }

    /// The list in its envelope.
    pub fn finish(self) -> Vec<u8> {
        wrap(&self.api_version, &self.kind, &self.raw)
    }
}

/// An event of a watch, with its length before it.
pub fn event_frame(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(object.len() + 32);
    bytes(&mut event, 1, kind.as_bytes());
    nested(&mut event, 2, |out| bytes(out, 1, object));
    let mut frame = Vec::with_capacity(event.len() + 4);
    frame.extend_from_slice(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.append(&mut event);
    frame
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn bytes(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    varint(out, number << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

/// Room for the length of a nested message: most are short, others are moved.
const LENGTH: usize = 1;

/// A nested message, whose length is known once it is written.
fn nested(out: &mut Vec<u8>, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
    varint(out, number << 3 | 2);
    let start = out.len();
    out.push(0);
    write(out);
    let length = out.len() - start - LENGTH;
    let mut prefix = Vec::with_capacity(5);
    varint(&mut prefix, length as u64);
    out.splice(start..start + LENGTH, prefix);
}

fn message(out: &mut Vec<u8>, id: Id, value: &Value, depth: usize) {
    let Some(known) = table::message(id) else { return };
    // Deeper than anything that can be read back.
    if depth > 4 * MAX_DEPTH {
        return;
    }
    if let Some(kind) = known.special {
        return special(out, kind, &known.fields, value, depth);
    }
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    for own in &known.fields {
        match own.kind {
            Kind::Message(id) if own.inline => {
                nested(out, own.number, |out| message(out, id, value, depth + 1))
            }
            _ => field(out, own, map.get(&own.name), depth),
        }
    }
}

fn field(out: &mut Vec<u8>, field: &Field, value: Option<&Value>, depth: usize) {
    if field.map {
        for (key, value) in value.and_then(Value::as_object).into_iter().flatten() {
            nested(out, field.number, |out| {
                bytes(out, 1, key.as_bytes());
                single(out, 2, field.kind, value, depth);
            });
        }
    } else if field.repeated {
        for value in value.and_then(Value::as_array).into_iter().flatten() {
            single(out, field.number, field.kind, value, depth);
        }
    } else {
        let absent = value.is_none_or(Value::is_null);
        // Bytes that are not there are no empty bytes.
        if !absent || !(field.pointer || field.kind == Kind::Bytes) {
            single(out, field.number, field.kind, value.unwrap_or(&Value::Null), depth);
        }
    }
}

fn single(out: &mut Vec<u8>, at: u64, kind: Kind, value: &Value, depth: usize) {
    match kind {
        Kind::String => bytes(out, at, value.as_str().unwrap_or_default().as_bytes()),
        Kind::Bytes => {
            let decoded = STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
            bytes(out, at, &decoded);
        }
        Kind::Bool => number(out, at, u64::from(value == &Value::Bool(true))),
        Kind::Unsigned => number(out, at, value.as_u64().unwrap_or(0)),
        Kind::Signed => number(out, at, integer(value) as u64),
        Kind::Double => {
            varint(out, at << 3 | 1);
            out.extend_from_slice(&value.as_f64().unwrap_or(0.0).to_le_bytes());
        }
        Kind::Float => {
            varint(out, at << 3 | 5);
            out.extend_from_slice(&(value.as_f64().unwrap_or(0.0) as f32).to_le_bytes());
        }
        Kind::Message(id) => nested(out, at, |out| message(out, id, value, depth + 1)),
    }
}

fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).unwrap_or(0)
}

fn special(out: &mut Vec<u8>, kind: Special, fields: &[Field], value: &Value, depth: usize) {
    let first = |out: &mut Vec<u8>, place: u64, value: &Value| {
        if let Some(own) = fields.iter().find(|own| own.number == place) {
            single(out, own.number, own.kind, value, depth);
        }
    };
    match kind {
        Special::Time | Special::MicroTime => {
            let Some(time) = value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
                return;
            };
            number(out, 1, time.as_second() as u64);
            let fraction =
                if kind == Special::MicroTime { time.subsec_nanosecond() / 1000 * 1000 } else { 0 };
            number(out, 2, i64::from(fraction) as u64);
        }
        Special::Quantity => match value {
            Value::String(text) => bytes(out, 1, text.as_bytes()),
            Value::Number(number) => bytes(out, 1, number.to_string().as_bytes()),
            _ => bytes(out, 1, b"0"),
        },
        Special::IntOrString => {
            let text = value.as_str();
            number(out, 1, u64::from(text.is_some()));
            number(out, 2, integer(value) as u64);
            bytes(out, 3, text.unwrap_or_default().as_bytes());
        }
        Special::Duration => number(out, 1, nanoseconds(value.as_str().unwrap_or_default()) as u64),
        Special::Raw => {
            if !value.is_null() {
                bytes(out, 1, value.to_string().as_bytes());
            }
        }
        Special::SchemaOrArray | Special::SchemaOrStrings => match value {
            Value::Array(list) => list.iter().for_each(|value| first(out, 2, value)),
            value => first(out, 1, value),
        },
        Special::SchemaOrBool => {
            number(out, 1, u64::from(value != &Value::Bool(false)));
            if value.is_object() {
                first(out, 2, value);
            }
        }
        Special::Wrapped => value.as_array().into_iter().flatten().for_each(|value| first(out, 1, value)),
    }
}

/// A duration as Go writes it, in nanoseconds.
fn nanoseconds(text: &str) -> i64 {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(digits);
        let letters = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, next) = unit.split_at(letters);
        let factor = match unit {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return 0,
        };
        let Ok(number) = number.parse::<f64>() else { return 0 };
        total += number * factor;
        rest = next;
    }
    if negative { -(total as i64) } else { total as i64 }
}
