//! JSON as Go's `encoding/json` writes and reads it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::value::{Elem, List, MAX_DEPTH, Map, Str, Value};

/// How JSON is written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    /// Two spaces for each level.
    pub(crate) indent: bool,
    /// `<`, `>` and `&` are escaped.
    pub(crate) html: bool,
}

/// Writes `value`, or says why it has no JSON form.
pub(crate) fn encode(value: &Value, style: Style) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    write(&mut out, value, style, 0)?;
    Ok(out)
}

fn newline(out: &mut Vec<u8>, style: Style, depth: usize) {
    if style.indent {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    }
}

fn write(out: &mut Vec<u8>, value: &Value, style: Style, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("json: unsupported value: encountered a cycle via {}", value.type_name()));
    }
    match value {
        Value::Invalid | Value::Nil | Value::NilPtr(_) => out.extend_from_slice(b"null"),
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::Int(number, _) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Uint(number, _) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Float(number) => out.extend_from_slice(float(*number)?.as_bytes()),
        Value::Complex(..) => return Err("json: unsupported type: complex128".to_owned()),
        Value::Str(text) => string(out, text.as_bytes(), style.html),
        Value::List(list) if list.nil => out.extend_from_slice(b"null"),
        Value::List(list) if list.elem == Elem::Byte => {
            string(out, super::base64_of(list).as_bytes(), style.html)
        }
        Value::List(list) => {
            out.push(b'[');
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                newline(out, style, depth + 1);
                write(out, item, style, depth + 1)?;
            }
            if !list.items.is_empty() {
                newline(out, style, depth);
            }
            out.push(b']');
        }
        Value::Map(map) if map.is_nil() => out.extend_from_slice(b"null"),
        Value::Map(map) => {
            let entries = map.borrow();
            members(out, entries.iter().map(|(key, item)| (key.as_bytes(), item)), style, depth)?;
        }
        Value::Time(time) => string(out, time.rfc3339_nano().as_bytes(), style.html),
        Value::Object(object) => match (object.encoded_fields(), object.encoded()) {
            (Some(fields), _) => {
                let fields = fields.iter().map(|(name, item)| (name.as_bytes(), item));
                members(out, fields, style, depth)?;
            }
            (None, Some(inner)) => write(out, &inner, style, depth + 1)?,
            (None, None) => return Err(format!("json: unsupported type: {}", object.type_name())),
        },
        Value::Func(function) => return Err(format!("json: unsupported type: {}", function.type_name())),
    }
    Ok(())
}

/// The members of an object, in the order given.
fn members<'v>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'v [u8], &'v Value)>,
    style: Style,
    depth: usize,
) -> Result<(), String> {
    out.push(b'{');
    let mut empty = true;
    for (key, item) in entries {
        if !empty {
            out.push(b',');
        }
        empty = false;
        newline(out, style, depth + 1);
        string(out, key, style.html);
        out.push(b':');
        if style.indent {
            out.push(b' ');
        }
        write(out, item, style, depth + 1)?;
    }
    if !empty {
        newline(out, style, depth);
    }
    out.push(b'}');
    Ok(())
}

/// A number as JSON has it.
pub(crate) fn float(number: f64) -> Result<String, String> {
    if !number.is_finite() {
        return Err(format!("json: unsupported value: {}", crate::fmt::float_g(number)));
    }
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Ok(crate::fmt::float(number, b'f', None));
    }
    let text = crate::fmt::float(number, b'e', None);
    // e-09 becomes e-9.
    Ok(match text.split_once("e-0") {
        Some((mantissa, exponent)) if exponent.len() == 1 => format!("{mantissa}e-{exponent}"),
        _ => text,
    })
}

/// A string in quotes.
pub(crate) fn string(out: &mut Vec<u8>, bytes: &[u8], html: bool) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid();
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            let escape = match c {
                '"' => "\\\"".to_owned(),
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\t' => "\\t".to_owned(),
                '\u{8}' => "\\b".to_owned(),
                '\u{c}' => "\\f".to_owned(),
                '<' | '>' | '&' if html => format!("\\u{:04x}", u32::from(c)),
                '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
                _ => continue,
            };
            out.extend_from_slice(text.as_bytes().get(plain..at).unwrap_or_default());
            out.extend_from_slice(escape.as_bytes());
            plain = at + c.len_utf8();
        }
        out.extend_from_slice(text.as_bytes().get(plain..).unwrap_or_default());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
}

/// Reads a JSON text into an `interface{}`.
pub(crate) fn decode(text: &[u8]) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0, overflow: None };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.invalid("after top-level value"));
    }
    match reader.overflow {
        Some(number) => Err(format!("json: cannot unmarshal number {number} into Go value of type float64")),
        None => Ok(value),
    }
}

/// Reads a JSON text into a variable of the type `wanted` (a map or a slice of anything).
pub(crate) fn decode_into(text: &[u8], wanted: &'static str) -> Result<Value, String> {
    convert(decode(text)?, wanted)
}

/// What decoding into a map or slice makes of a value.
pub(crate) fn convert(value: Value, wanted: &'static str) -> Result<Value, String> {
    let map = wanted.starts_with("map");
    let found = match &value {
        Value::Nil if map => return Ok(Value::Map(Rc::new(Map::nil(Elem::Any)))),
        Value::Nil => return Ok(Value::List(Rc::new(List::nil(Elem::Any)))),
        Value::Map(_) if map => return Ok(value),
        Value::List(_) if !map => return Ok(value),
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    Err(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    /// A number that no float64 holds.
    overflow: Option<String>,
}

type Res<T> = Result<T, String>;

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error at the present character.
    fn invalid(&self, context: &str) -> String {
        match self.peek() {
            None => "unexpected end of JSON input".to_owned(),
            Some(b'\'') => format!("invalid character '\\'' {context}"),
            Some(b'"') => format!("invalid character '\"' {context}"),
            Some(byte) => {
                // Go looks at bytes and quotes each as the rune of that number.
                let quoted = crate::fmt::quote(&char::from(byte).to_string());
                format!("invalid character '{}' {context}", quoted.trim_matches('"'))
            }
        }
    }

    fn value(&mut self, depth: usize) -> Res<Value> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::Str(self.string()?)),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Nil),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.invalid("looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Res<Value> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return Err(
                    self.invalid(&format!("in literal {word} (expecting '{}')", char::from(expected)))
                );
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at > start
    }

    fn number(&mut self) -> Res<Value> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if !self.digits() {
            return Err(self.invalid("in numeric literal"));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                return Err(self.invalid("after decimal point in numeric literal"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if !self.digits() {
                return Err(self.invalid("in exponent of numeric literal"));
            }
        }
        let text = String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default());
        let number: f64 = text.parse().map_err(|_| "invalid number".to_owned())?;
        if number.is_infinite() && self.overflow.is_none() {
            self.overflow = Some(text.into_owned());
        }
        Ok(Value::Float(number))
    }

    fn array(&mut self, depth: usize) -> Res<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::list(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(Rc::new(List::appended(items))));
                }
                _ => return Err(self.invalid("after array element")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Res<Value> {
        self.at += 1;
        let mut entries = BTreeMap::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(Rc::new(Map::new(Elem::Any, entries))));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.invalid("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.invalid("after object key"));
            }
            self.at += 1;
            self.space();
            let value = self.value(depth + 1)?;
            entries.insert(key, value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Map(Rc::new(Map::new(Elem::Any, entries))));
                }
                _ => return Err(self.invalid("after object key:value pair")),
            }
        }
    }

    fn string(&mut self) -> Res<Str> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                self.at += 1;
            }
            out.extend_from_slice(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    // What is no UTF-8 is replaced.
                    return Ok(Str::from(String::from_utf8_lossy(&out)));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut out)?;
                }
                _ => return Err(self.invalid("in string literal")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Res<()> {
        let byte = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                self.at += 1;
                let mut code = self.hex()?;
                let rest = self.text.get(self.at..).unwrap_or_default();
                if (0xd800..0xdc00).contains(&code) && rest.starts_with(b"\\u") {
                    let back = self.at;
                    self.at += 2;
                    let low = self.hex()?;
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    } else {
                        self.at = back;
                    }
                }
                let c = char::from_u32(code).unwrap_or('\u{fffd}');
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.invalid("in string escape code")),
        };
        out.push(byte);
        self.at += 1;
        Ok(())
    }

    fn hex(&mut self) -> Res<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.invalid("in \\u hexadecimal character escape"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}
