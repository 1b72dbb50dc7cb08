//! TOML as Go's BurntSushi/toml writes it.

use std::rc::Rc;

use crate::value::{IntType, List, MAX_DEPTH, Map, Value};

/// Writes `value`, or says why it has no TOML form.
pub(super) fn encode(value: &Value) -> Result<Vec<u8>, String> {
    let mut writer = Writer { out: Vec::new() };
    writer.encode(&mut Vec::new(), value)?;
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
}

/// How a value is written under a key.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Shape {
    Nil,
    Plain,
    Table,
    Tables,
}

/// What the value is encoded as: the plain form of objects.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(object) => match object.string() {
            Some(text) => Value::Str(text),
            None => object.encoded().unwrap_or(Value::Nil),
        },
        Value::Int(number, IntType::Duration) => Value::from(crate::time::duration_string(*number)),
        value => value.clone(),
    }
}

fn shape(value: &Value, depth: usize) -> Result<Shape, String> {
    if depth > MAX_DEPTH {
        return Err("toml: values are nested too deeply".to_owned());
    }
    Ok(match plain(value) {
        Value::Nil | Value::Invalid | Value::NilPtr(_) => Shape::Nil,
        Value::Map(map) if map.is_nil() => Shape::Nil,
        Value::Map(_) => Shape::Table,
        Value::List(list) if list.nil => Shape::Nil,
        Value::List(list) => {
            let mut all = !list.items.is_empty();
            for item in &list.items {
                match shape(item, depth + 1)? {
                    Shape::Nil => return Err("toml: cannot encode array with nil element".to_owned()),
                    Shape::Table => {}
                    _ => all = false,
                }
            }
            if all { Shape::Tables } else { Shape::Plain }
        }
        Value::Func(_) => return Err("unsupported type: func".to_owned()),
        Value::Complex(..) => return Err("unsupported type: complex128".to_owned()),
        _ => Shape::Plain,
    })
}

fn bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn key_text(key: &str) -> String {
    if bare(key) { key.to_owned() } else { quoted(key) }
}

type Res = Result<(), String>;

impl Writer {
    fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, key: &[String]) {
        let width = key.len().saturating_sub(1) * 2;
        self.out.extend(std::iter::repeat_n(b' ', width));
    }

    fn encode(&mut self, key: &mut Vec<String>, value: &Value) -> Res {
        if key.len() > MAX_DEPTH {
            return Err("toml: values are nested too deeply".to_owned());
        }
        let value = plain(value);
        let shape = shape(&value, key.len())?;
        match (&value, shape) {
            (_, Shape::Nil) => Ok(()),
            (Value::Map(map), _) => self.table(key, map),
            (Value::List(list), Shape::Tables) => self.tables(key, list),
            (value, _) => self.key_value(key, value, false),
        }
    }

    fn path(key: &[String]) -> String {
        key.iter().map(|part| key_text(part)).collect::<Vec<_>>().join(".")
    }

    fn table(&mut self, key: &mut Vec<String>, map: &Map) -> Res {
        if key.len() == 1 {
            self.newline();
        }
        if !key.is_empty() {
            self.indent(key);
            self.write(&format!("[{}]", Self::path(key)));
            self.newline();
        }
        self.entries(key, map, false)
    }

    fn tables(&mut self, key: &mut Vec<String>, list: &Rc<List>) -> Res {
        if key.is_empty() {
            return Err("toml: top-level values must be Go maps or structs".to_owned());
        }
        for item in &list.items {
            let Value::Map(map) = plain(item) else { continue };
            self.newline();
            self.indent(key);
            self.write(&format!("[[{}]]", Self::path(key)));
            self.newline();
            self.entries(key, &map, false)?;
        }
        Ok(())
    }

    /// Plain entries first, then tables, each in order.
    fn entries(&mut self, key: &mut Vec<String>, map: &Map, inline: bool) -> Res {
        let (mut direct, mut tables) = (Vec::new(), Vec::new());
        for (name, value) in map.entries() {
            let shape = shape(&value, key.len())?;
            let group = if matches!(shape, Shape::Table | Shape::Tables) { &mut tables } else { &mut direct };
            group.push((name, value, shape));
        }
        let more = !tables.is_empty();
        if inline {
            self.write("{");
        }
        for (group, trailing) in [(direct, more), (tables, false)] {
            let count = group.len();
            for (index, (name, value, shape)) in group.into_iter().enumerate() {
                if shape == Shape::Nil {
                    continue;
                }
                let name = name.to_text().into_owned();
                if inline {
                    self.key_value(&[name], &value, true)?;
                    if trailing || index + 1 < count {
                        self.write(", ");
                    }
                } else {
                    key.push(name);
                    self.encode(key, &value)?;
                    key.pop();
                }
            }
        }
        if inline {
            self.write("}");
        }
        Ok(())
    }

    fn key_value(&mut self, key: &[String], value: &Value, inline: bool) -> Res {
        let Some(name) = key.last() else {
            return self.element(value, 0);
        };
        self.indent(key);
        self.write(&format!("{} = ", key_text(name)));
        self.element(value, key.len())?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Res {
        if depth > MAX_DEPTH {
            return Err("toml: values are nested too deeply".to_owned());
        }
        match plain(value) {
            Value::Bool(flag) => self.write(if flag { "true" } else { "false" }),
            Value::Int(number, _) => self.write(&number.to_string()),
            Value::Uint(number, _) => self.write(&number.to_string()),
            Value::Float(number) => self.write(&float(number)),
            Value::Str(text) => self.write(&quoted(&text.to_text())),
            Value::Time(time) => self.write(&time.rfc3339_nano()),
            Value::List(list) => {
                self.write("[");
                for (index, item) in list.items.iter().enumerate() {
                    if index > 0 {
                        self.write(", ");
                    }
                    self.element(item, depth + 1)?;
                }
                self.write("]");
            }
            Value::Map(map) => self.entries(&mut Vec::new(), &map, true)?,
            other => return Err(format!("unexpected type: {}", other.type_name())),
        }
        Ok(())
    }
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let text = crate::fmt::float_g(number);
    if text.contains(['e', '.']) { text } else { format!("{text}.0") }
}
