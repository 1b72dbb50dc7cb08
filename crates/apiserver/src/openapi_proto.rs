//! The OpenAPI v2 document in the protobuf form that clients ask for.
//!
//! Only what describes types is written: a message is a list of numbered fields, and every message here is built
//! from its JSON form.

use serde_json::{Map, Value};

/// The media type, as answers name it: what clients ask for has a sign in it that no media type may have.
pub const MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// Deepest nesting of a schema that is written.
const MAX_DEPTH: usize = 64;

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    fn flag(&mut self, field: u64, value: Option<&Value>) {
        if value == Some(&Value::Bool(true)) {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_i64).filter(|number| *number != 0) {
            self.varint(field << 3);
            self.varint(number as u64);
        }
    }

    fn double(&mut self, field: u64, value: Option<&Value>) {
        if let Some(number) = value.and_then(Value::as_f64).filter(|number| *number != 0.0) {
            self.varint(field << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn message(&mut self, field: u64, message: &Message) {
        self.bytes(field, &message.0);
    }

    /// Any value, as the text that it has in YAML (of which JSON is a part).
    fn any(&mut self, field: u64, value: &Value) {
        let mut any = Message::default();
        any.bytes(2, value.to_string().as_bytes());
        self.message(field, &any);
    }

    fn extensions(&mut self, field: u64, map: &Map<String, Value>) {
        for (name, value) in map.iter().filter(|(name, _)| name.starts_with("x-")) {
            let mut named = Message::default();
            named.bytes(1, name.as_bytes());
            named.any(2, value);
            self.message(field, &named);
        }
    }

    /// Named schemas, as `Properties` and `Definitions` hold them.
    fn named(&mut self, field: u64, schemas: &Map<String, Value>, depth: usize) {
        let mut list = Message::default();
        for (name, body) in schemas {
            let mut named = Message::default();
            named.bytes(1, name.as_bytes());
            named.message(2, &schema(body, depth));
            list.message(1, &named);
        }
        self.message(field, &list);
    }
}

/// The whole document.
pub fn document(json: &Value) -> Vec<u8> {
    let mut document = Message::default();
    document.text(1, json.get("swagger"));
    let mut info = Message::default();
    info.text(1, json.pointer("/info/title"));
    info.text(2, json.pointer("/info/version"));
    document.message(2, &info);
    document.message(8, &Message::default());
    if let Some(Value::Object(definitions)) = json.get("definitions") {
        document.named(9, definitions, 0);
    }
    document.0
}

fn schema(json: &Value, depth: usize) -> Message {
    let mut message = Message::default();
    let Some(map) = json.as_object().filter(|_| depth < MAX_DEPTH) else { return message };
    let get = |name: &str| map.get(name);
    message.text(1, get("$ref"));
    message.text(2, get("format"));
    message.text(3, get("title"));
    message.text(4, get("description"));
    if let Some(default) = get("default") {
        message.any(5, default);
    }
    message.double(6, get("multipleOf"));
    message.double(7, get("maximum"));
    message.flag(8, get("exclusiveMaximum"));
    message.double(9, get("minimum"));
    message.flag(10, get("exclusiveMinimum"));
    message.integer(11, get("maxLength"));
    message.integer(12, get("minLength"));
    message.text(13, get("pattern"));
    message.integer(14, get("maxItems"));
    message.integer(15, get("minItems"));
    message.flag(16, get("uniqueItems"));
    message.integer(17, get("maxProperties"));
    message.integer(18, get("minProperties"));
    for name in get("required").and_then(Value::as_array).into_iter().flatten() {
        message.text(19, Some(name));
    }
    for value in get("enum").and_then(Value::as_array).into_iter().flatten() {
        message.any(20, value);
    }
    match get("additionalProperties") {
        Some(Value::Bool(open)) => {
            let mut item = Message::default();
            item.varint(2 << 3);
            item.varint(u64::from(*open));
            message.message(21, &item);
        }
        Some(body) => {
            let mut item = Message::default();
            item.message(1, &schema(body, depth + 1));
            message.message(21, &item);
        }
        None => {}
    }
    if let Some(kind) = get("type") {
        let mut item = Message::default();
        item.text(1, Some(kind));
        message.message(22, &item);
    }
    if let Some(items) = get("items") {
        let mut item = Message::default();
        item.message(1, &schema(items, depth + 1));
        message.message(23, &item);
    }
    for body in get("allOf").and_then(Value::as_array).into_iter().flatten() {
        message.message(24, &schema(body, depth + 1));
    }
    if let Some(Value::Object(properties)) = get("properties") {
        message.named(25, properties, depth + 1);
    }
    message.extensions(31, map);
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn numbers_of_fields() {
        let document = json!({"swagger": "2.0", "info": {"title": "t", "version": "1"}, "definitions": {
            "A": {"type": "object", "x-k": [1]},
        }});
        let found = super::document(&document);
        assert!(found.starts_with(b"\x0a\x032.0\x12\x06\x0a\x01t\x12\x011\x42\x00\x4a"));
        assert!(found.ends_with(b"\x0a\x03x-k\x12\x05\x12\x03[1]"));
    }
}
