//! Objects in the form in which they are compared.

use base64::Engine as _;
use object::{Value, get, meta};

/// Whose `status` does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusField {
    /// That of every object.
    #[default]
    All,
    /// That of CustomResourceDefinitions only.
    Definitions,
    /// Nobody's.
    None,
}

impl StatusField {
    /// From `ignoreResourceStatusField`.
    pub fn parse(word: &str) -> Self {
        match word {
            "crd" => StatusField::Definitions,
            "none" | "off" | "false" => StatusField::None,
            _ => StatusField::All,
        }
    }
}

/// What is normalised (`resource.compareoptions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Normalize {
    /// Whose status does not count.
    pub status: StatusField,
    /// The rules of aggregated roles are made by a controller: they do not count.
    pub aggregated_roles: bool,
}

/// Brings an object into the form in which it is compared.
pub fn normalize(object: &mut Value, options: Normalize) {
    let (kind, api_version) = (meta::kind(object).to_owned(), meta::api_version(object).to_owned());
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let definition = (group, kind.as_str()) == ("apiextensions.k8s.io", "CustomResourceDefinition");
    let status = match options.status {
        StatusField::All => true,
        StatusField::Definitions => definition,
        StatusField::None => false,
    };
    if let Some(map) = object.as_object_mut() {
        if status {
            map.remove("status");
        }
        if map
            .get("metadata")
            .is_some_and(|metadata| metadata.get("creationTimestamp").is_some_and(Value::is_null))
            && let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("creationTimestamp");
        }
    }
    match (group, kind.as_str()) {
        ("", "Secret") => secret(object),
        ("", "Endpoints") => endpoints(object),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => role(object, options),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            if object.get("subjects").is_some_and(Value::is_null)
                && let Some(map) = object.as_object_mut()
            {
                map.remove("subjects");
            }
        }
        _ => {}
    }
}

/// `stringData` is written into `data`; a null value is an empty one.
fn secret(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let texts = map.remove("stringData");
    if let Some(Value::Object(texts)) = texts {
        if !map.get("data").is_some_and(Value::is_object) {
            map.insert("data".to_owned(), Value::Object(serde_json::Map::new()));
        }
        if let Some(Value::Object(data)) = map.get_mut("data") {
            for (key, value) in texts {
                let text = match &value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                let encoded = base64::engine::general_purpose::STANDARD.encode(text);
                data.insert(key, Value::String(encoded));
            }
        }
    }
    if let Some(Value::Object(data)) = map.get_mut("data") {
        for value in data.values_mut().filter(|value| value.is_null()) {
            *value = Value::String(String::new());
        }
    }
    if map.get("data").is_some_and(|data| data.as_object().is_some_and(serde_json::Map::is_empty)) {
        map.remove("data");
    }
}

/// The order of addresses and ports says nothing.
fn endpoints(object: &mut Value) {
    let Some(subsets) = object.get_mut("subsets").and_then(Value::as_array_mut) else { return };
    for subset in subsets.iter_mut() {
        for field in ["addresses", "notReadyAddresses", "ports"] {
            if let Some(list) = subset.get_mut(field).and_then(Value::as_array_mut) {
                list.sort_by_key(Value::to_string);
            }
        }
    }
    subsets.sort_by_key(Value::to_string);
}

fn role(object: &mut Value, options: Normalize) {
    let aggregated = get(object, &["aggregationRule"]).is_some_and(|rule| !rule.is_null());
    let Some(map) = object.as_object_mut() else { return };
    let ignored = options.aggregated_roles && aggregated;
    if ignored || map.get("rules").is_none_or(Value::is_null) {
        map.insert("rules".to_owned(), Value::Array(Vec::new()));
    }
}
