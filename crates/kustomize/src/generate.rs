//! Config maps and secrets from files, literals and env files, and the hash that ends their names.

use crate::error::Error;
use crate::kustomization::{GeneratorArgs, GeneratorOptions};
use crate::loader::Loader;
use crate::resource::{Behavior, Resource};
use crate::tree::{self, Key, Node, Tag};
use base64::Engine;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generated {
    ConfigMap,
    Secret,
}

/// Adds the options of all generators to those of one.
pub(crate) fn merge_options(
    local: Option<GeneratorOptions>,
    global: Option<&GeneratorOptions>,
) -> Option<GeneratorOptions> {
    let Some(global) = global else { return local };
    let mut options = local.unwrap_or_default();
    for (key, value) in &global.labels {
        options.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (key, value) in &global.annotations {
        options.annotations.entry(key.clone()).or_insert_with(|| value.clone());
    }
    options.disable_name_suffix_hash |= global.disable_name_suffix_hash;
    options.immutable |= global.immutable;
    Some(options)
}

/// Makes the object.
pub(crate) fn generate(
    kind: Generated,
    args: &GeneratorArgs,
    loader: &Loader<'_>,
) -> Result<Resource, Error> {
    if args.name.is_empty() {
        return Err(Error::new("a configmap must have a name"));
    }
    let mut meta = vec![("name".into(), Node::plain(&args.name))];
    guard(&mut meta);
    if !args.namespace.is_empty() {
        meta.push(("namespace".into(), Node::string(&args.namespace)));
    }
    let name = match kind {
        Generated::ConfigMap => "ConfigMap",
        Generated::Secret => "Secret",
    };
    let mut node = Node::Map(vec![
        ("apiVersion".into(), Node::string("v1")),
        ("kind".into(), Node::string(name)),
        ("metadata".into(), Node::Map(meta)),
    ]);
    if kind == Generated::Secret {
        let secret_type = if args.secret_type.is_empty() { "Opaque" } else { &args.secret_type };
        node.put("type", Node::value(secret_type));
    }
    let data = read_pairs(args, loader)?;
    match kind {
        Generated::ConfigMap => put_config_map_data(&mut node, &data),
        Generated::Secret => {
            let fields = data
                .iter()
                .map(|(key, value)| (key.as_str().into(), Node::value(encode_base64(value))))
                .collect();
            node.put("data", Node::Map(fields));
        }
    }
    if let Some(options) = &args.options {
        for (field, map) in [("labels", &options.labels), ("annotations", &options.annotations)] {
            if map.is_empty() {
                continue;
            }
            let fields = map.iter().map(|(key, value)| (key.as_str().into(), Node::value(value))).collect();
            if let Some(meta) = node.get_mut("metadata") {
                meta.put(field, Node::Map(fields));
            }
        }
        if options.immutable {
            node.put("immutable", Node::tagged("true", Tag::Bool));
        }
    }
    let mut resource = Resource::new(node);
    resource.needs_hash = !args.options.as_ref().is_some_and(|options| options.disable_name_suffix_hash);
    resource.behavior = Behavior::parse(&args.behavior);
    resource.has_annotations_now();
    Ok(resource)
}

fn guard(meta: &mut [(Key, Node)]) {
    for (_, node) in meta {
        if let Node::Scalar(scalar) = node {
            scalar.tag = Tag::Str;
        }
    }
}

fn put_config_map_data(node: &mut Node, data: &BTreeMap<String, Vec<u8>>) {
    let (mut text, mut binary) = (Vec::new(), Vec::new());
    for (key, value) in data {
        match std::str::from_utf8(value) {
            Ok(value) => text.push((key.as_str().into(), Node::value(value))),
            Err(_) => binary.push((key.as_str().into(), Node::value(encode_base64(value)))),
        }
    }
    if !text.is_empty() {
        node.put("data", Node::Map(text));
    }
    if !binary.is_empty() {
        node.put("binaryData", Node::Map(binary));
    }
}

/// Replaces `data`; nothing removes it.
pub(crate) fn set_data_map(node: &mut Node, map: BTreeMap<String, String>) {
    node.remove("data");
    if !map.is_empty() {
        node.put(
            "data",
            Node::Map(map.into_iter().map(|(key, value)| (key.into(), Node::string(value))).collect()),
        );
    }
}

/// Replaces `binaryData`; nothing removes it.
pub(crate) fn set_binary_data_map(node: &mut Node, map: BTreeMap<String, String>) {
    node.remove("binaryData");
    if !map.is_empty() {
        node.put(
            "binaryData",
            Node::Map(map.into_iter().map(|(key, value)| (key.into(), Node::string(value))).collect()),
        );
    }
}

/// Base64 in lines of 70 when it does not fit one.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    if text.len() < 70 {
        return text;
    }
    let mut lines = String::with_capacity(text.len() + text.len() / 70 + 1);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(70));
        lines.push_str(line);
        lines.push('\n');
        rest = more;
    }
    lines
}

fn go_list(list: &[String]) -> String {
    format!("[{}]", list.join(" "))
}

fn read_pairs(args: &GeneratorArgs, loader: &Loader<'_>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    let wrap = |error: Error, what: String| error.wrap(what).wrap("loading KV pairs");
    for path in &args.envs {
        let found = loader.load(path).map_err(Error::from).and_then(|bytes| env_lines(&bytes, loader));
        pairs.extend(
            found.map_err(|error| wrap(error, format!("env source files: {}", go_list(&args.envs))))?,
        );
    }
    for literal in &args.literals {
        pairs.push(
            parse_literal(literal)
                .map_err(|error| wrap(error, format!("literal sources {}", go_list(&args.literals))))?,
        );
    }
    for source in &args.files {
        let found = parse_file_source(source)
            .and_then(|(key, path)| Ok((key, loader.load(&path).map_err(Error::from)?)));
        pairs.push(found.map_err(|error| wrap(error, format!("file sources: {}", go_list(&args.files))))?);
    }
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            return Err(Error::new(format!("configmap {} illegally repeats the key `{key}`", args.name)));
        }
        map.insert(key, value);
    }
    Ok(map)
}

fn env_lines(bytes: &[u8], _loader: &Loader<'_>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut pairs = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = std::str::from_utf8(line).map_err(|_| {
            Error::new(format!("line {number} has invalid utf8 bytes : {}", String::from_utf8_lossy(line)))
        })?;
        let text = if number == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let text = text.trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    Ok(pairs)
}

fn parse_literal(source: &str) -> Result<(String, Vec<u8>), Error> {
    match source.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), unquote(value).as_bytes().to_vec())),
        _ => Err(Error::new(format!("invalid literal source {source}, expected key=value"))),
    }
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if text.len() >= 2
            && let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote))
        {
            return inner;
        }
    }
    text
}

fn parse_file_source(source: &str) -> Result<(String, String), Error> {
    match source.matches('=').count() {
        0 => Ok((base_name(source), source.to_owned())),
        1 => {
            let (key, path) = source.split_once('=').unwrap_or((source, ""));
            if key.is_empty() {
                return Err(Error::new(format!(
                    "missing key name for file path {path:?} in source {source:?}"
                )));
            }
            if path.is_empty() {
                return Err(Error::new(format!(
                    "missing file path for key name {key:?} in source {source:?}"
                )));
            }
            Ok((key.to_owned(), path.to_owned()))
        }
        _ => Err(Error::new(format!("source {source:?} key name or file path contains '='"))),
    }
}

fn base_name(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None => {
            if path.is_empty() {
                ".".to_owned()
            } else {
                "/".to_owned()
            }
        }
        Some(name) => name.to_owned(),
    }
}

// ---------------------------------------------------------------------------------------------------
// The hash

/// The hash of an object's content, as it is put behind its name.
pub(crate) fn hash(node: &Node) -> Result<String, Error> {
    let text = match node.get("kind").map(Node::text) {
        Some("ConfigMap") => content(node, "ConfigMap", &["data"], &["binaryData"])?,
        Some("Secret") => content(node, "Secret", &["data", "type"], &["stringData"])?,
        _ => go_json(&yaml_node_json(node)),
    };
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    Ok(digest
        .chars()
        .take(10)
        .map(|c| match c {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect())
}

fn content(node: &Node, kind: &str, always: &[&str], sometimes: &[&str]) -> Result<String, Error> {
    let mut map = Map::new();
    map.insert("kind".to_owned(), Value::from(kind));
    // The name is looked up as one field called "metadata/name", which nothing has.
    map.insert("name".to_owned(), Value::from(""));
    for field in always {
        map.insert((*field).to_owned(), field_value(node, field)?);
    }
    for field in sometimes {
        let value = field_value(node, field)?;
        if value.is_object() {
            map.insert((*field).to_owned(), value);
        }
    }
    let mut text = String::new();
    write_floats(&Value::Object(map), &mut text);
    Ok(text)
}

/// JSON whose numbers have been through a float, as those of the hashed fields have.
fn write_floats(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&float_text(number.as_f64().unwrap_or_default())),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                write_floats(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, value)) in fields.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(&go_json(&Value::from(key.as_str())));
                out.push(':');
                write_floats(value, out);
            }
            out.push('}');
        }
        other => out.push_str(&go_json(other)),
    }
}

/// A float as Go's JSON encoder prints it: with an exponent only when it is very large or very small.
fn float_text(float: f64) -> String {
    let size = float.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return format!("{float}");
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

fn field_value(node: &Node, field: &str) -> Result<Value, Error> {
    match node.get(field) {
        None => Ok(Value::from("")),
        Some(Node::Scalar(scalar)) => Ok(Value::from(scalar.text.clone())),
        Some(other) => tree::to_value(other).map_err(Error::new),
    }
}

/// The tree as Go's JSON encoder prints a yaml.v3 node; only objects of other kinds are hashed so.
fn yaml_node_json(node: &Node) -> Value {
    let (kind, tag, text, content): (u8, &str, &str, Vec<Value>) = match node {
        Node::Map(fields) => {
            let mut content = Vec::new();
            for (key, value) in fields {
                content.push(yaml_node_json(&Node::string(key.as_str())));
                content.push(yaml_node_json(value));
            }
            (4, "!!map", "", content)
        }
        Node::Seq(items) => (2, "!!seq", "", items.iter().map(yaml_node_json).collect()),
        Node::Scalar(scalar) => (8, "!!str", &scalar.text, Vec::new()),
    };
    serde_json::json!({"Kind": kind, "Tag": tag, "Value": text, "Content": content})
}

/// JSON as Go's encoder prints it: `<`, `>`, `&` and the line separators escaped.
pub(crate) fn go_json(value: &Value) -> String {
    escape_html(value.to_string())
}

/// Escapes what Go's JSON encoder escapes for the sake of HTML.
pub(crate) fn escape_html(text: String) -> String {
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\u{8}', '\u{c}'])
        && !text.contains("\\b")
        && !text.contains("\\f")
    {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            '\\' => {
                out.push('\\');
                if let Some(next) = chars.next() {
                    out.push(next);
                }
            }
            other => out.push(other),
        }
    }
    out
}
