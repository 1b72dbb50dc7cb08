//! Bodies in protobuf, as the JSON they stand for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::table::{self, Field, Id, Kind, Special};
use super::{MAGIC, MAX_DEPTH};

const BROKEN: &str = "the protobuf body is malformed";

/// The object in an envelope.
pub fn decode(body: &[u8]) -> Result<Value, String> {
    let envelope = body.strip_prefix(MAGIC).ok_or(BROKEN)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[] as &[u8]);
    let mut reader = Reader(envelope);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut meta = Reader(bytes);
                while let Some((number, wire)) = meta.next()? {
                    match (number, wire) {
                        (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
                        (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let id = table::find(&api_version, &kind)
        .ok_or_else(|| format!("no protobuf type for {kind} in version {api_version:?}"))?;
    let mut value = message(id, raw, 0)?;
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.into());
    }
    Ok(value)
}

enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| BROKEN)?;
                Wire::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| BROKEN)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                let bytes: [u8; 4] = self.take(4)?.try_into().map_err(|_| BROKEN)?;
                Wire::Fixed32(u32::from_le_bytes(bytes))
            }
            _ => return Err(BROKEN.into()),
        };
        Ok(Some((key >> 3, wire)))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(BROKEN)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BROKEN.into())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a protobuf string is not UTF-8".to_owned())
}

/// Writes a message as JSON does.
fn message(id: Id, bytes: &[u8], depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("the protobuf body is nested too deeply".into());
    }
    let mut map = Map::new();
    let Some(known) = table::message(id) else { return Ok(Value::Null) };
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.next()? {
        if let Some(field) = known.field(number) {
            put(&mut map, field, wire, depth)?;
        }
    }
    match known.special {
        Some(kind) => special(kind, map),
        None => Ok(Value::Object(map)),
    }
}

fn put(map: &mut Map<String, Value>, field: &Field, wire: Wire<'_>, depth: usize) -> Result<(), String> {
    if field.map {
        let Wire::Bytes(bytes) = wire else { return Err(BROKEN.into()) };
        let (mut key, mut value) = (String::new(), None);
        let mut entry = Reader(bytes);
        while let Some((number, wire)) = entry.next()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => key = text(bytes)?,
                (2, wire) => value = Some(single(field.kind, wire, depth)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None => match field.kind {
                Kind::Message(id) => message(id, &[], depth + 1)?,
                _ => "".into(),
            },
        };
        if let Some(entries) = child(map, &field.name, || Value::Object(Map::new())).as_object_mut() {
            entries.insert(key, value);
        }
        return Ok(());
    }
    let value = single(field.kind, wire, depth)?;
    if field.repeated {
        if let Some(list) = child(map, &field.name, || Value::Array(Vec::new())).as_array_mut() {
            list.push(value);
        }
        return Ok(());
    }
    if field.inline {
        if let Value::Object(inner) = value {
            map.extend(inner);
        }
        return Ok(());
    }
    // What is no pointer is sent even when nothing was set.
    if field.pointer || !is_zero(&value) {
        map.insert(field.name.clone(), value);
    }
    Ok(())
}

fn child<'a>(map: &'a mut Map<String, Value>, name: &str, make: impl FnOnce() -> Value) -> &'a mut Value {
    map.entry(name.to_owned()).or_insert_with(make)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn single(kind: Kind, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (kind, wire) {
        (Kind::String, Wire::Bytes(bytes)) => text(bytes)?.into(),
        (Kind::Bytes, Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (Kind::Bool, Wire::Varint(n)) => (n != 0).into(),
        (Kind::Unsigned, Wire::Varint(n)) => n.into(),
        (Kind::Signed, Wire::Varint(n)) => (n as i64).into(),
        (Kind::Double, Wire::Fixed64(n)) => f64::from_bits(n).into(),
        (Kind::Float, Wire::Fixed32(n)) => f64::from(f32::from_bits(n)).into(),
        (Kind::Message(id), Wire::Bytes(bytes)) => message(id, bytes, depth + 1)?,
        _ => return Err(BROKEN.into()),
    })
}

/// Types whose JSON is not a mapping of their fields.
fn special(kind: Special, mut map: Map<String, Value>) -> Result<Value, String> {
    let number = |map: &Map<String, Value>, field: &str| map.get(field).and_then(Value::as_i64).unwrap_or(0);
    let raw = |map: &Map<String, Value>, field: &str| -> Result<Value, String> {
        let bytes = map.get(field).and_then(Value::as_str).unwrap_or_default();
        let bytes = STANDARD.decode(bytes).map_err(|e| e.to_string())?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| e.to_string())
    };
    Ok(match kind {
        Special::Time | Special::MicroTime => {
            let (seconds, nanos) = (number(&map, "seconds"), number(&map, "nanos"));
            // Nothing at all is Go's zero time.
            if map.is_empty() || seconds == -62_135_596_800 {
                return Ok(Value::Null);
            }
            let time = jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0))
                .map_err(|e| e.to_string())?;
            if kind == Special::MicroTime {
                time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into()
            } else {
                crate::app::time_text(time).into()
            }
        }
        Special::Quantity => map.remove("string").unwrap_or_else(|| "0".into()),
        Special::IntOrString => {
            if number(&map, "type") == 1 {
                map.remove("strVal").unwrap_or_else(|| "".into())
            } else {
                number(&map, "intVal").into()
            }
        }
        Special::Duration => go_duration(number(&map, "duration")).into(),
        // The raw bytes have no JSON name.
        Special::Raw => raw(&map, "-")?,
        Special::SchemaOrArray => {
            map.remove("schema").or_else(|| map.remove("jSONSchemas")).unwrap_or(Value::Null)
        }
        Special::SchemaOrBool => {
            map.remove("schema").or_else(|| map.remove("allows")).unwrap_or(Value::Bool(false))
        }
        Special::SchemaOrStrings => {
            map.remove("schema").or_else(|| map.remove("property")).unwrap_or(Value::Null)
        }
        Special::Wrapped => map.remove("items").unwrap_or_else(|| Value::Array(Vec::new())),
    })
}

/// Nanoseconds as Go writes a duration.
fn go_duration(nanos: i64) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}
