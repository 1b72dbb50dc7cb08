//! Kubernetes' protobuf envelope, read only: clients of built-in types send it, answers are JSON.
//!
//! Field numbers, names and types are data; this module knows the wire format and the few types that
//! JSON writes differently.

use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

static TABLE: &[u8] = include_bytes!("../data/protobuf.tsv.z");
/// What every envelope starts with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages inside messages.
const MAX_DEPTH: usize = 64;
const BROKEN: &str = "the protobuf body is malformed";

#[derive(Debug)]
struct Field {
    name: String,
    kind: String,
    repeated: bool,
    map: bool,
    inline: bool,
    pointer: bool,
}

type Messages = HashMap<String, HashMap<u64, Field>>;

/// Types by name, read on first use.
fn messages() -> &'static Messages {
    static MESSAGES: OnceLock<Messages> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut text = String::new();
        let read = flate2::read::ZlibDecoder::new(TABLE).read_to_string(&mut text);
        debug_assert!(read.is_ok(), "embedded data is damaged");
        let mut all: Messages = HashMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('=') {
                current = name.to_owned();
                all.entry(current.clone()).or_default();
                continue;
            }
            let mut parts = line.split('\t');
            let number = parts.next().and_then(|n| n.parse().ok());
            let (Some(number), Some(name), Some(kind)) = (number, parts.next(), parts.next()) else {
                continue;
            };
            let marks = parts.next().unwrap_or_default();
            let field = Field {
                name: name.to_owned(),
                kind: kind.to_owned(),
                repeated: marks.contains('*'),
                map: marks.contains('%'),
                inline: marks.contains('~'),
                pointer: marks.contains('^'),
            };
            all.entry(current.clone()).or_default().insert(number, field);
        }
        all
    })
}

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
    let name = message_name(&api_version, &kind)
        .ok_or_else(|| format!("no protobuf type for {kind} in version {api_version:?}"))?;
    let mut value = message(&name, raw, 0)?;
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.into());
    }
    Ok(value)
}

fn message_name(api_version: &str, kind: &str) -> Option<String> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = match group {
        "events.k8s.io" => "events",
        "flowcontrol.apiserver.k8s.io" => "flowcontrol",
        "rbac.authorization.k8s.io" => "rbac",
        other => other.strip_suffix(".k8s.io").unwrap_or(other),
    };
    let name = format!("{group}.{version}.{kind}");
    let meta = format!("apis.meta.v1.{kind}");
    [name, meta].into_iter().find(|name| messages().contains_key(name))
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
fn message(name: &str, bytes: &[u8], depth: usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err("the protobuf body is nested too deeply".into());
    }
    let mut map = Map::new();
    if let Some(fields) = messages().get(name) {
        let mut reader = Reader(bytes);
        while let Some((number, wire)) = reader.next()? {
            if let Some(field) = fields.get(&number) {
                put(&mut map, field, wire, depth)?;
            }
        }
    }
    special(name, map)
}

fn put(map: &mut Map<String, Value>, field: &Field, wire: Wire<'_>, depth: usize) -> Result<(), String> {
    if field.map {
        let Wire::Bytes(bytes) = wire else { return Err(BROKEN.into()) };
        let (mut key, mut value) = (String::new(), None);
        let mut entry = Reader(bytes);
        while let Some((number, wire)) = entry.next()? {
            match (number, wire) {
                (1, Wire::Bytes(bytes)) => key = text(bytes)?,
                (2, wire) => value = Some(single(&field.kind, wire, depth)?),
                _ => {}
            }
        }
        let value = match value {
            Some(value) => value,
            None if field.kind == "string" || field.kind == "bytes" => "".into(),
            None => message(&field.kind, &[], depth + 1)?,
        };
        if let Some(entries) = child(map, &field.name, || Value::Object(Map::new())).as_object_mut() {
            entries.insert(key, value);
        }
        return Ok(());
    }
    let value = single(&field.kind, wire, depth)?;
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

fn single(kind: &str, wire: Wire<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (kind, wire) {
        ("string", Wire::Bytes(bytes)) => text(bytes)?.into(),
        ("bytes", Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        ("bool", Wire::Varint(n)) => (n != 0).into(),
        ("uint32" | "uint64", Wire::Varint(n)) => n.into(),
        ("int32" | "int64", Wire::Varint(n)) => (n as i64).into(),
        ("double", Wire::Fixed64(n)) => f64::from_bits(n).into(),
        ("float", Wire::Fixed32(n)) => f64::from(f32::from_bits(n)).into(),
        (name, Wire::Bytes(bytes)) => message(name, bytes, depth + 1)?,
        _ => return Err(BROKEN.into()),
    })
}

/// Types whose JSON is not a mapping of their fields.
fn special(name: &str, mut map: Map<String, Value>) -> Result<Value, String> {
    let number = |map: &Map<String, Value>, field: &str| map.get(field).and_then(Value::as_i64).unwrap_or(0);
    let raw = |map: &Map<String, Value>, field: &str| -> Result<Value, String> {
        let bytes = map.get(field).and_then(Value::as_str).unwrap_or_default();
        let bytes = STANDARD.decode(bytes).map_err(|e| e.to_string())?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| e.to_string())
    };
    Ok(match name {
        "apis.meta.v1.Time" | "apis.meta.v1.MicroTime" => {
            let (seconds, nanos) = (number(&map, "seconds"), number(&map, "nanos"));
            // Nothing at all is Go's zero time.
            if map.is_empty() || seconds == -62_135_596_800 {
                return Ok(Value::Null);
            }
            let time = jiff::Timestamp::new(seconds, i32::try_from(nanos).unwrap_or(0))
                .map_err(|e| e.to_string())?;
            if name.ends_with("MicroTime") {
                time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into()
            } else {
                crate::app::time_text(time).into()
            }
        }
        "api.resource.Quantity" => map.remove("string").unwrap_or_else(|| "0".into()),
        "util.intstr.IntOrString" => {
            if number(&map, "type") == 1 {
                map.remove("strVal").unwrap_or_else(|| "".into())
            } else {
                number(&map, "intVal").into()
            }
        }
        "apis.meta.v1.Duration" => go_duration(number(&map, "duration")).into(),
        // The raw bytes have no JSON name.
        "apis.meta.v1.FieldsV1" | "runtime.RawExtension" | "apiextensions.v1.JSON" => raw(&map, "-")?,
        "apiextensions.v1.JSONSchemaPropsOrArray" => {
            map.remove("schema").or_else(|| map.remove("jSONSchemas")).unwrap_or(Value::Null)
        }
        "apiextensions.v1.JSONSchemaPropsOrBool" => {
            map.remove("schema").or_else(|| map.remove("allows")).unwrap_or(Value::Bool(false))
        }
        "apiextensions.v1.JSONSchemaPropsOrStringArray" => {
            map.remove("schema").or_else(|| map.remove("property")).unwrap_or(Value::Null)
        }
        _ if map.len() <= 1 && is_wrapped_list(name) => {
            map.remove("items").unwrap_or_else(|| Value::Array(Vec::new()))
        }
        _ => Value::Object(map),
    })
}

/// Lists that protobuf wraps in a message.
fn is_wrapped_list(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    matches!(last, "Verbs" | "ExtraValue" | "OptionalNames")
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
