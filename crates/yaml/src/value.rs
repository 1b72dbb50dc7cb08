//! Documents to JSON values, by the rules of yaml.v2 and `sigs.k8s.io/yaml`.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Number};

use crate::resolve::{Scalar, Tagged, resolve, resolve_tagged};
use crate::scanner::Rules;
use crate::tree::{Document, Documents, Entry, Item, MAX_DEPTH};
use crate::{Error, Value, gotext};

const MERGE_TAG: &str = "tag:yaml.org,2002:merge";

/// The first document.
pub(crate) fn first(text: &str, strict: bool) -> Result<Value, Error> {
    match Documents::new(text).next()? {
        Some(document) => decode(&document, strict),
        None => Ok(Value::Null),
    }
}

/// Every document, empty ones as `Null`.
pub(crate) fn all(text: &str) -> Result<Vec<Value>, Error> {
    let mut documents = Documents::new(text);
    let mut values = Vec::new();
    while let Some(document) = documents.next()? {
        values.push(decode(&document, false)?);
    }
    Ok(values)
}

fn decode(document: &Document<'_>, strict: bool) -> Result<Value, Error> {
    // The document itself is the first thing the library counts.
    let mut decoder = Decoder { document, strict, decoded: 1, ..Decoder::new(document) };
    let value = decoder.value(document.root, 0)?;
    if let Some((line, column)) = decoder.duplicate_at {
        let message = format!("yaml: unmarshal errors:\n  {}", decoder.duplicates.join("\n  "));
        return Err(Error::new(message, line, column));
    }
    // A later key of the same name may have replaced what holds the bad one.
    if let Some(error) = decoder.bad_key.filter(|_| has_bad_key(&value)) {
        return Err(error);
    }
    // A later key of the same name may have replaced the number.
    match decoder.not_finite.and_then(|(line, column)| Some((line, column, find_not_finite(&value)?))) {
        Some((line, column, word)) => {
            Err(Error::new(format!("json: unsupported value: {word}"), line, column))
        }
        None => Ok(value),
    }
}

/// Stands for a number JSON cannot have until the whole document is read. A text that holds the same
/// string is not hurt: it is looked for only when there was such a number.
const NOT_FINITE: &str = "\0not finite\0";

fn find_not_finite(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => text.strip_prefix(NOT_FINITE),
        Value::Array(items) => items.iter().find_map(find_not_finite),
        Value::Object(fields) => fields.values().find_map(find_not_finite),
        _ => None,
    }
}

/// Marks a key JSON cannot have until the whole document is read, as [`NOT_FINITE`] does a number.
const BAD_KEY: &str = "\0bad key\0";

fn has_bad_key(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_bad_key),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.starts_with(BAD_KEY) || has_bad_key(value))
        }
        _ => false,
    }
}

/// A mapping's key as a type and the text it ends up as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tag: &'static str,
    text: String,
}

struct Decoder<'d, 'a> {
    document: &'d Document<'a>,
    strict: bool,
    decoded: usize,
    through_alias: usize,
    alias_depth: usize,
    active: HashSet<u32>,
    duplicates: Vec<String>,
    duplicate_at: Option<(usize, usize)>,
    /// A key JSON cannot have; told only when nothing else is wrong.
    bad_key: Option<Error>,
    /// A number JSON cannot have; told last of all.
    not_finite: Option<(usize, usize)>,
}

/// How much of a document may come from aliases: almost all of a small one, a tenth of a large one.
pub(crate) fn allowed_alias_ratio(decoded: usize) -> f64 {
    const LOW: usize = 400_000;
    const HIGH: usize = 4_000_000;
    match decoded {
        0..=LOW => 0.99,
        HIGH.. => 0.10,
        _ => 0.99 - 0.89 * ((decoded - LOW) as f64 / (HIGH - LOW) as f64),
    }
}

impl<'d, 'a> Decoder<'d, 'a> {
    fn new(document: &'d Document<'a>) -> Self {
        Decoder {
            document,
            strict: false,
            decoded: 0,
            through_alias: 0,
            alias_depth: 0,
            active: HashSet::new(),
            duplicates: Vec::new(),
            duplicate_at: None,
            bad_key: None,
            not_finite: None,
        }
    }

    fn fail<T>(entry: &Entry<'_>, message: &str) -> Result<T, Error> {
        Err(Error::new(format!("yaml: {message}"), entry.line as usize + 1, entry.column as usize + 1))
    }

    fn count(&mut self, entry: &Entry<'_>, depth: usize) -> Result<(), Error> {
        self.decoded += 1;
        if self.alias_depth > 0 {
            self.through_alias += 1;
            let ratio = self.through_alias as f64 / self.decoded as f64;
            if self.through_alias > 100 && self.decoded > 1000 && ratio > allowed_alias_ratio(self.decoded) {
                return Self::fail(entry, "document contains excessive aliasing");
            }
        }
        if depth > MAX_DEPTH {
            return Self::fail(entry, &format!("exceeded max depth of {MAX_DEPTH}"));
        }
        Ok(())
    }

    fn entry(&self, index: u32) -> Result<&'d Entry<'a>, Error> {
        self.document.get(index).ok_or_else(|| Error::new("yaml: internal error: missing node", 0, 0))
    }

    fn value(&mut self, index: u32, depth: usize) -> Result<Value, Error> {
        let entry = self.entry(index)?;
        self.count(entry, depth)?;
        match &entry.item {
            Item::Scalar { value, implicit } => self.scalar(entry, value, *implicit),
            Item::Sequence(children) => {
                let mut items = Vec::with_capacity(children.len());
                for &child in children {
                    items.push(self.value(child, depth + 1)?);
                }
                Ok(Value::Array(items))
            }
            Item::Mapping(children) => {
                let mut fields = Fields::default();
                self.mapping(children, &mut fields, depth)?;
                Ok(Value::Object(fields.map))
            }
            Item::Alias { name, target } => {
                self.enter(index, entry, name)?;
                let value = self.value(*target, depth + 1);
                self.leave(index);
                value
            }
        }
    }

    fn enter(&mut self, alias: u32, entry: &Entry<'_>, name: &str) -> Result<(), Error> {
        if !self.active.insert(alias) {
            return Self::fail(entry, &format!("anchor '{name}' value contains itself"));
        }
        self.alias_depth += 1;
        Ok(())
    }

    fn leave(&mut self, alias: u32) {
        self.active.remove(&alias);
        self.alias_depth -= 1;
    }

    fn scalar(&mut self, entry: &Entry<'_>, text: &str, implicit: bool) -> Result<Value, Error> {
        match self.resolved(entry, text, implicit)? {
            Tagged::Scalar(scalar) => Ok(match scalar {
                Scalar::Null => Value::Null,
                Scalar::Bool(b) => Value::Bool(b),
                Scalar::Int(int) => Value::Number(int.into()),
                Scalar::Uint(uint) => Value::Number(uint.into()),
                Scalar::Float(float) => self.float(entry, float),
                Scalar::Timestamp | Scalar::Merge | Scalar::Str => Value::String(text.to_string()),
            }),
            Tagged::Binary => Ok(Value::String(Self::binary(entry, text)?)),
            _ => Ok(Value::String(text.to_string())),
        }
    }

    fn resolved(&self, entry: &Entry<'_>, text: &str, implicit: bool) -> Result<Tagged, Error> {
        match (&entry.tag, implicit) {
            (None, true) => Ok(Tagged::Scalar(resolve(text, Rules::V2))),
            (None, false) => Ok(Tagged::Scalar(Scalar::Str)),
            (Some(tag), _) => match resolve_tagged(tag, text, Rules::V2) {
                Tagged::Wrong(message) => Self::fail(entry, &message),
                resolved => Ok(resolved),
            },
        }
    }

    fn binary(entry: &Entry<'_>, text: &str) -> Result<String, Error> {
        match gotext::decode_base64(text) {
            Some(bytes) => Ok(lossy(&bytes)),
            None => Self::fail(entry, "!!binary value contains invalid base64 data"),
        }
    }

    fn float(&mut self, entry: &Entry<'_>, float: f64) -> Value {
        match json_number(float) {
            Some(number) => Value::Number(number),
            None => {
                let word = match float {
                    f if f.is_nan() => "NaN",
                    f64::INFINITY => "+Inf",
                    _ => "-Inf",
                };
                self.not_finite.get_or_insert((entry.line as usize + 1, entry.column as usize + 1));
                Value::String(format!("{NOT_FINITE}{word}"))
            }
        }
    }

    fn mapping(&mut self, children: &'d [u32], fields: &mut Fields, depth: usize) -> Result<(), Error> {
        for pair in children.chunks_exact(2) {
            let &[key, value] = pair else { continue };
            if self.is_merge(key)? {
                self.merge(value, fields, depth)?;
                continue;
            }
            let name = self.key(key, value, depth)?;
            let entry = self.entry(value)?;
            let value = self.value(value, depth + 1)?;
            if !self.strict {
                fields.map.insert(name.text, value);
            } else if fields.seen.contains(&name) {
                let line = entry.line as usize + 1;
                let shown = match name.tag {
                    "string" => gotext::quote(&name.text),
                    "float64" => {
                        name.text.replace("-.inf", "-Inf").replace(".inf", "+Inf").replace(".nan", "NaN")
                    }
                    _ => name.text.strip_prefix(BAD_KEY).unwrap_or(&name.text).to_string(),
                };
                self.duplicates.push(format!("line {line}: key {shown} already set in map"));
                self.duplicate_at.get_or_insert((line, entry.column as usize + 1));
            } else {
                fields.map.insert(name.text.clone(), value);
                fields.seen.insert(name);
            }
        }
        Ok(())
    }

    fn is_merge(&self, key: u32) -> Result<bool, Error> {
        let entry = self.entry(key)?;
        let Item::Scalar { value, implicit } = &entry.item else { return Ok(false) };
        Ok(value == "<<" && (*implicit || entry.tag.as_deref() == Some(MERGE_TAG)))
    }

    /// Merged keys are set as if they were written here: the last one wins.
    fn merge(&mut self, index: u32, fields: &mut Fields, depth: usize) -> Result<(), Error> {
        let entry = self.entry(index)?;
        match &entry.item {
            Item::Sequence(children) => {
                for &child in children.iter().rev() {
                    if matches!(self.entry(child)?.item, Item::Sequence(_)) {
                        return Self::fail(entry, WANT_MAP);
                    }
                    self.merge_one(child, fields, depth)?;
                }
                Ok(())
            }
            _ => self.merge_one(index, fields, depth),
        }
    }

    fn merge_one(&mut self, index: u32, fields: &mut Fields, depth: usize) -> Result<(), Error> {
        let entry = self.entry(index)?;
        match &entry.item {
            Item::Mapping(children) => {
                self.count(entry, depth)?;
                self.mapping(children, fields, depth + 1)
            }
            Item::Alias { name, target } => {
                let Item::Mapping(children) = &self.entry(*target)?.item else {
                    return Self::fail(entry, WANT_MAP);
                };
                self.count(entry, depth)?;
                self.enter(index, entry, name)?;
                let target = self.entry(*target)?;
                let outcome =
                    self.count(target, depth).and_then(|()| self.mapping(children, fields, depth + 1));
                self.leave(index);
                outcome
            }
            _ => Self::fail(entry, WANT_MAP),
        }
    }

    /// The key as text; keys that are collections fail here, keys JSON cannot have are noted.
    fn key(&mut self, index: u32, value: u32, depth: usize) -> Result<Key, Error> {
        let entry = self.entry(index)?;
        self.count(entry, depth + 1)?;
        let key = |tag, text: String| Ok(Key { tag, text });
        match &entry.item {
            Item::Scalar { value: text, implicit } => match self.resolved(entry, text, *implicit)? {
                Tagged::Scalar(scalar) => match scalar {
                    Scalar::Null => {
                        self.note_bad_key("%!s(<nil>)", "<nil>", entry, value);
                        key("nil", format!("{BAD_KEY}<nil>"))
                    }
                    Scalar::Bool(b) => key("bool", b.to_string()),
                    Scalar::Int(int) => key("int", int.to_string()),
                    Scalar::Uint(uint) => {
                        self.note_bad_key("uint64", &format!("{uint:#x}"), entry, value);
                        key("uint64", format!("{BAD_KEY}{uint:#x}"))
                    }
                    Scalar::Float(float) => key("float64", gotext::format_g32(float)),
                    _ => key("string", text.to_string()),
                },
                Tagged::Binary => key("string", Self::binary(entry, text)?),
                _ => key("string", text.to_string()),
            },
            Item::Alias { name, target } => {
                self.enter(index, entry, name)?;
                let outcome = self.key(*target, value, depth + 1);
                self.leave(index);
                outcome
            }
            _ => {
                self.value(index, depth + 1)?;
                let shown = self.go_syntax(index, 0);
                Self::fail(entry, &format!("invalid map key: {shown}"))
            }
        }
    }

    fn note_bad_key(&mut self, kind: &str, key: &str, entry: &Entry<'_>, value: u32) {
        if self.bad_key.is_none() {
            let shown = self.go_syntax(value, 0);
            let shown = if shown == "interface {}(nil)" { "<nil>".to_string() } else { shown };
            let message = format!("unsupported map key of type: {kind}, key: {key}, value: {shown}");
            self.bad_key = Some(Error::new(message, entry.line as usize + 1, entry.column as usize + 1));
        }
    }

    /// `%#v` of what the library decodes the node to.
    fn go_syntax(&self, index: u32, depth: usize) -> String {
        let Some(entry) = self.document.get(index).filter(|_| depth < 64) else { return "...".into() };
        match &entry.item {
            Item::Scalar { value, implicit } => match self.resolved(entry, value, *implicit) {
                Ok(Tagged::Scalar(scalar)) => match scalar {
                    Scalar::Null => "interface {}(nil)".into(),
                    Scalar::Bool(b) => b.to_string(),
                    Scalar::Int(int) => int.to_string(),
                    Scalar::Uint(uint) => format!("{uint:#x}"),
                    Scalar::Float(float) => go_float(float),
                    _ => gotext::quote(value),
                },
                _ => gotext::quote(value),
            },
            Item::Sequence(children) => {
                let items: Vec<String> =
                    children.iter().map(|child| self.go_syntax(*child, depth + 1)).collect();
                format!("[]interface {{}}{{{}}}", items.join(", "))
            }
            Item::Mapping(children) => {
                let mut pairs = BTreeMap::new();
                self.go_fields(children, &mut pairs, depth + 1);
                let pairs: Vec<String> =
                    pairs.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("map[interface {{}}]interface {{}}{{{}}}", pairs.join(", "))
            }
            Item::Alias { target, .. } => self.go_syntax(*target, depth + 1),
        }
    }

    fn go_fields(&self, children: &[u32], pairs: &mut BTreeMap<String, String>, depth: usize) {
        for pair in children.chunks_exact(2) {
            let &[key, value] = pair else { continue };
            if self.is_merge(key).unwrap_or(false) {
                self.go_merge(value, pairs, depth + 1);
            } else {
                pairs.insert(self.go_syntax(key, depth), self.go_syntax(value, depth));
            }
        }
    }

    fn go_merge(&self, index: u32, pairs: &mut BTreeMap<String, String>, depth: usize) {
        match self.document.get(index).filter(|_| depth < 64).map(|entry| &entry.item) {
            Some(Item::Mapping(children)) => self.go_fields(children, pairs, depth),
            Some(Item::Alias { target, .. }) => self.go_merge(*target, pairs, depth + 1),
            Some(Item::Sequence(children)) => {
                children.iter().rev().for_each(|child| self.go_merge(*child, pairs, depth + 1));
            }
            _ => {}
        }
    }
}

const WANT_MAP: &str = "map merge requires map or sequence of maps as the value";

pub(crate) fn go_float(float: f64) -> String {
    match gotext::format_g(float).as_str() {
        ".inf" => "+Inf".into(),
        "-.inf" => "-Inf".into(),
        ".nan" => "NaN".into(),
        text => text.into(),
    }
}

/// `%#v` of a decoded value.
pub(crate) fn go_value(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => go_float(float),
            None => number.to_string(),
        },
        Value::String(text) => gotext::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_value).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}:{}", gotext::quote(key), go_value(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
    }
}

#[derive(Default)]
struct Fields {
    map: Map<String, Value>,
    /// Keys set so far, when duplicates are errors.
    seen: HashSet<Key>,
}

/// Each byte that is not UTF-8 as U+FFFD, as Go's JSON has it.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(std::iter::repeat_n('\u{fffd}', chunk.invalid().len()));
    }
    out
}

/// The number that Go's JSON text of `float` reads back as: the shortest digits that are the float's, and an integer
/// where they have no point. `None` of what is not finite.
pub fn json_number(float: f64) -> Option<Number> {
    if !float.is_finite() {
        return None;
    }
    if float.fract() == 0.0 && !(float == 0.0 && float.is_sign_negative()) && float.abs() < 2e19 {
        if float.abs() < 9e15 {
            return Some(Number::from(float as i64));
        }
        let text = gotext::format_json(float);
        if let Ok(int) = text.parse::<i64>() {
            return Some(int.into());
        }
        if let Ok(uint) = text.parse::<u64>() {
            return Some(uint.into());
        }
    }
    Number::from_f64(float)
}
