//! The formats: text to documents and back.

mod dotenv;
mod ini;
mod json;
mod yaml;

use crate::Format;
use crate::tree::{Document, Item, Leaf, Value, short_float};

/// Reads a file. Encrypted binary files are JSON.
pub(crate) fn read(bytes: &[u8], format: Format) -> Result<Vec<Document>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    match format {
        Format::Binary | Format::Json => json::read(text),
        Format::Dotenv => dotenv::read(text),
        Format::Ini => Ok(ini::read(text)),
        Format::Yaml => yaml::read(text),
    }
}

/// Writes a decrypted file.
pub(crate) fn write(documents: &[Document], format: Format) -> Result<Vec<u8>, String> {
    let first = || documents.first().map(Vec::as_slice).unwrap_or_default();
    match format {
        Format::Binary => binary(documents),
        Format::Json => json::write(first()).map(String::into_bytes),
        Format::Dotenv => dotenv::write(first()),
        Format::Ini => ini::write(first()).map(String::into_bytes),
        Format::Yaml => Ok(yaml::write(documents).into_bytes()),
    }
}

fn binary(documents: &[Document]) -> Result<Vec<u8>, String> {
    let [document] = documents else { return Err("there must be exactly one document".into()) };
    let data = document.iter().find_map(|item| match item {
        Item::Field(key, value) if key == "data" => Some(value),
        _ => None,
    });
    match data {
        Some(Value::Leaf(Leaf::Text(text))) => Ok(text.clone().into_bytes()),
        Some(Value::Leaf(Leaf::Bytes(bytes))) => Ok(bytes.clone()),
        Some(_) => Err("its data is no string".into()),
        None => Err("no binary data found in it".into()),
    }
}

/// A value where formats know only text.
fn text_of(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::Null => "<nil>".to_owned(),
        Value::Leaf(Leaf::Text(text) | Leaf::Time(text) | Leaf::Comment(text)) => text.clone(),
        Value::Leaf(Leaf::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Leaf(Leaf::Int(number)) => number.to_string(),
        Value::Leaf(Leaf::Float(number)) => {
            let short = short_float(*number).to_uppercase();
            if short.contains(['.', 'E']) { short } else { format!("{number:.1}") }
        }
        Value::Leaf(Leaf::Bool(yes)) => yes.to_string(),
        Value::Map(_) | Value::List(_) => return Err("the format has no place for maps and lists".into()),
    })
}
