//! Reading fields of a spec.

use std::collections::BTreeMap;

use base64::Engine as _;
use object::{Value, get, get_str};

/// The string at a path; absent, null and other types are empty.
pub fn str_at<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    get_str(value, path).unwrap_or_default()
}

/// The boolean at a path; absent is false.
pub fn bool_at(value: &Value, path: &[&str]) -> bool {
    get(value, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The list at a path; absent is empty.
pub fn list_at<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    get(value, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The strings of a list at a path.
pub fn strings_at(value: &Value, path: &[&str]) -> Vec<String> {
    list_at(value, path).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The string values of a map at a path.
pub fn string_map(value: &Value, path: &[&str]) -> BTreeMap<String, String> {
    let map = get(value, path).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The decoded data of a Secret.
pub fn secret_data(secret: &Value) -> BTreeMap<String, Vec<u8>> {
    let mut decoded = BTreeMap::new();
    if let Some(data) = secret.get("data").and_then(Value::as_object) {
        for (key, value) in data {
            let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap_or_default());
            if let Ok(bytes) = bytes {
                decoded.insert(key.clone(), bytes);
            }
        }
    }
    if let Some(data) = secret.get("stringData").and_then(Value::as_object) {
        for (key, value) in data {
            decoded.insert(key.clone(), value.as_str().unwrap_or_default().as_bytes().to_vec());
        }
    }
    decoded
}
