//! JSON values, YAML and texts from the tree.

use super::{Fields, Key, KeyKind, Node, Scalar, Tag, Written};
use serde_json::{Map, Number, Value};

/// The JSON value of a tree, as printing it and reading it back (yaml.v3) would make it.
pub(crate) fn to_value(node: &Node) -> Result<Value, String> {
    Ok(match node {
        Node::Map(fields) => {
            let mut map = Map::new();
            for (key, value) in fields {
                if map.insert(key.as_str().to_owned(), to_value(value)?).is_some() {
                    return Err(already_defined(key));
                }
            }
            Value::Object(map)
        }
        Node::Seq(items) => Value::Array(items.iter().map(to_value).collect::<Result<_, _>>()?),
        Node::Scalar(scalar) => scalar_value(scalar)?,
    })
}

/// Says why [`to_value`] would fail.
pub(crate) fn check(node: &Node) -> Result<(), String> {
    match node {
        Node::Map(fields) => {
            check_keys(fields)?;
            fields.iter().try_for_each(|(_, value)| check(value))
        }
        Node::Seq(items) => items.iter().try_for_each(check),
        Node::Scalar(Scalar { tag: Tag::Str, written, .. }) if *written != Written::Folded => Ok(()),
        Node::Scalar(scalar) => scalar_value(scalar).map(drop),
    }
}

/// Says which field's name keeps the object from being JSON. Names at the top are read as texts whatever they are,
/// those below are not.
pub(crate) fn check_keys_are_strings(object: &Node) -> Result<(), String> {
    for (key, value) in object.fields() {
        if key.is_null() || key.kind() == KeyKind::Collection {
            return Err(no_json(key, "the object"));
        }
        below(value, &mut vec![key.as_str()])?;
    }
    Ok(())
}

fn below<'n>(node: &'n Node, path: &mut Vec<&'n str>) -> Result<(), String> {
    match node {
        Node::Map(fields) => {
            for (key, value) in fields {
                if key.not_a_string().is_some() {
                    return Err(no_json(key, &path.join(".")));
                }
                if matches!(value, Node::Scalar(_)) {
                    continue;
                }
                path.push(key);
                below(value, path)?;
                path.pop();
            }
            Ok(())
        }
        Node::Seq(items) => items.iter().try_for_each(|item| below(item, path)),
        Node::Scalar(_) => Ok(()),
    }
}

fn no_json(key: &Key, place: &str) -> String {
    let what = key.not_a_string().unwrap_or("not a string");
    let next = if key.kind() == KeyKind::Plain { ": write it in quotes" } else { "" };
    format!(
        "the key {:?} of {place} is {what}, and keys must be strings \
         (json: unsupported type: map[interface {{}}]interface {{}}){next}",
        key.as_str()
    )
}

fn already_defined(key: &str) -> String {
    format!("yaml: unmarshal errors:\n  mapping key {key:?} already defined")
}

fn check_keys(fields: &Fields) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    for (at, (key, _)) in fields.iter().enumerate() {
        let again = if fields.len() <= 16 {
            fields.iter().take(at).any(|(other, _)| other == key)
        } else {
            !seen.insert(key.as_str())
        };
        if again {
            return Err(already_defined(key));
        }
    }
    Ok(())
}

/// A folded text as it comes back from being printed and read.
fn refold(text: &str) -> Result<Value, String> {
    let mut node = yaml::Node::string(text);
    node.style = yaml::Style::Folded;
    let printed = yaml::emit(&yaml::Node::mapping_of([("text", node)]));
    let read = yaml::parse_first_node(&printed).map_err(|error| error.to_string())?;
    let text = read.as_ref().and_then(|node| node.get_str("text")).unwrap_or_default();
    Ok(Value::String(text.to_owned()))
}

fn scalar_value(scalar: &Scalar) -> Result<Value, String> {
    let text = &scalar.text;
    if scalar.written == Written::Folded && matches!(scalar.tag, Tag::Str | Tag::None) {
        return refold(text);
    }
    match scalar.tag {
        Tag::Str => return Ok(Value::String(text.clone())),
        Tag::None if scalar.quoted() => return Ok(Value::String(text.clone())),
        Tag::None => return resolve_plain(text),
        _ => {}
    }
    if let (Tag::Int, false) = (&scalar.tag, scalar.quoted())
        && let Some(value) = decimal(text)
    {
        return Ok(value);
    }
    let resolved = resolved_tag(text);
    if resolved == scalar.tag.text() {
        // The tag goes without saying; what is left is the text as it is written.
        return if scalar.quoted() { Ok(Value::String(text.clone())) } else { resolve_plain(text) };
    }
    let mut node = yaml::Node::scalar(text.clone());
    node.tag = scalar.tag.text().to_owned();
    node.tagged = true;
    if scalar.quoted() {
        node.style = yaml::Style::DoubleQuoted;
    }
    node.to_value().map_err(|error| error.to_string())
}

/// What yaml.v3 takes a plain text for.
pub(crate) fn resolved_tag(text: &str) -> String {
    if plain_is_string(text) {
        "!!str".to_owned()
    } else {
        yaml::Node::scalar(text).resolved_tag().to_owned()
    }
}

fn plain_is_string(text: &str) -> bool {
    match text.as_bytes().first() {
        None => false,
        Some(byte) => !matches!(
            byte,
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'~' | b't' | b'T' | b'f' | b'F' | b'n' | b'N' | b'<' | b'='
        ),
    }
}

fn resolve_plain(text: &str) -> Result<Value, String> {
    if plain_is_string(text) || text.contains('\n') {
        return Ok(Value::String(text.to_owned()));
    }
    if let Some(value) = decimal(text) {
        return Ok(value);
    }
    let value = yaml::Node::scalar(text).to_value().map_err(|error| error.to_string())?;
    Ok(json_number(value))
}

/// A float without a fraction is printed by JSON as an integer, and read back as one.
fn json_number(value: Value) -> Value {
    if let Value::Number(number) = &value
        && !number.is_i64()
        && !number.is_u64()
        && let Some(float) = number.as_f64()
        && float.fract() == 0.0
        && float.abs() < 9.0e18
        // A hash sees the sign of a zero.
        && !(float == 0.0 && float.is_sign_negative())
    {
        return Value::Number(Number::from(float as i64));
    }
    value
}

fn decimal(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty()
        && digits.len() <= 18
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if plain { text.parse::<i64>().ok().map(Value::from) } else { None }
}

/// The tree as yaml's, for printing.
pub(crate) fn to_yaml(node: &Node) -> yaml::Node {
    match node {
        Node::Map(fields) => yaml::Node::mapping_of(
            fields.iter().map(|(key, value)| (key.as_str().to_owned(), to_yaml(value))),
        ),
        Node::Seq(items) => yaml::Node::sequence_of(items.iter().map(to_yaml)),
        Node::Scalar(scalar) => {
            let mut node = yaml::Node::scalar(scalar.text.clone());
            node.tag = scalar.tag.text().to_owned();
            if scalar.text.contains('\n') {
                node.style = yaml::Style::Literal;
            } else if scalar.written == Written::Single {
                node.style = yaml::Style::SingleQuoted;
            } else if scalar.quoted() {
                node.style = yaml::Style::DoubleQuoted;
            }
            node
        }
    }
}

/// The tree as kyaml prints it.
pub(crate) fn to_text(node: &Node) -> String {
    yaml::emit(&to_yaml(node))
}
