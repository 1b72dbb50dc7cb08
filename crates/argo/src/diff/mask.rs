//! Differences of Secrets without what they hold.

use std::collections::BTreeMap;

use object::{Value, meta};

/// How long the shortest stand-in is; every further value of a key is one longer, so that a change can be seen.
const LENGTH: usize = 24;

/// Replaces the data of Secrets, and the annotations named, by `+`: equal values by equal ones. Objects of other kinds
/// stay as they are.
pub fn mask(objects: &mut [&mut Value], annotations: &[&str]) {
    if !objects.iter().any(|object| is_secret(object)) {
        return;
    }
    for object in objects.iter_mut() {
        merge_string_data(object);
    }
    let mut data: Vec<&mut Value> = objects.iter_mut().filter_map(|object| object.get_mut("data")).collect();
    hide(&mut data, None);
    for object in objects.iter_mut() {
        // The applied configuration holds the data once more.
        if let Some(all) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
            && let Some(text) = all.get_mut("kubectl.kubernetes.io/last-applied-configuration")
        {
            *text = Value::String(masked_text(text.as_str().unwrap_or_default()));
        }
    }
    let mut all: Vec<&mut Value> =
        objects.iter_mut().filter_map(|object| object.pointer_mut("/metadata/annotations")).collect();
    hide(&mut all, Some(annotations));
}

fn is_secret(object: &Value) -> bool {
    meta::kind(object) == "Secret" && meta::api_version(object) == "v1"
}

/// `stringData` becomes `data`; what is inside does not matter any more.
fn merge_string_data(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let Some(Value::Object(texts)) = map.remove("stringData") else { return };
    if let Value::Object(data) = map.entry("data").or_insert_with(|| Value::Object(serde_json::Map::new())) {
        use base64::Engine as _;
        for (key, text) in texts {
            let encoded = base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
            data.insert(key, Value::String(encoded));
        }
    }
}

fn masked_text(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut object) => {
            merge_string_data(&mut object);
            if let Some(data) = object.get_mut("data") {
                hide(&mut [data], None);
            }
            object.to_string()
        }
        Err(_) => "+".repeat(LENGTH),
    }
}

/// Equal values of a key get equal stand-ins across all maps.
fn hide(maps: &mut [&mut Value], only: Option<&[&str]>) {
    let mut seen: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for map in maps.iter_mut() {
        let Some(map) = map.as_object_mut() else { continue };
        for (key, value) in
            map.iter_mut().filter(|(key, _)| only.is_none_or(|only| only.contains(&key.as_str())))
        {
            let known = seen.entry(key.clone()).or_default();
            let at = known.iter().position(|other| other == value).unwrap_or_else(|| {
                known.push(value.clone());
                known.len() - 1
            });
            *value = Value::String("+".repeat(LENGTH + at));
        }
    }
}
