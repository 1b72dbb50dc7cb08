//! A kustomization file that can be changed and written back: fields in their order, the comments above each
//! field kept, everything else written anew.

use crate::decode::{Decoder, KUSTOMIZATION, Shape};
use crate::error::Error;
use serde_json::{Map, Value, json};

/// The order in which fields that the file does not have yet are written.
const ORDER: [&str; 33] = [
    "apiVersion",
    "kind",
    "metadata",
    "sortOptions",
    "resources",
    "bases",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "crds",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "configMapGenerator",
    "secretGenerator",
    "helmCharts",
    "helmChartInflationGenerator",
    "helmGlobals",
    "generatorOptions",
    "vars",
    "images",
    "replacements",
    "replicas",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "components",
    "openapi",
    "buildMetadata",
];

/// A kustomization file, taken apart.
#[derive(Debug, Clone)]
pub struct KustomizationFile {
    /// Fields of the file in its order, each with the comment lines above it.
    fields: Vec<(String, String)>,
    value: Map<String, Value>,
}

impl KustomizationFile {
    /// Reads a file's text; old fields are turned into the new ones.
    pub fn parse(text: &str) -> Result<KustomizationFile, Error> {
        let invalid = |error: String| Error::new(format!("invalid Kustomization: {error}"));
        let value = yaml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        let decoder = Decoder { root: "types.Kustomization", strict: true, lenient: false };
        let value = decoder.decode(&value, &KUSTOMIZATION).map_err(invalid)?;
        let mut value = match value {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        fix(&mut value);
        Ok(KustomizationFile { fields: commented_fields(text), value })
    }

    /// A field's value.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.value.get(field)
    }

    /// Sets a field; null or something empty removes it.
    pub fn set(&mut self, field: &str, value: Value) {
        self.value.insert(field.to_owned(), value);
    }

    /// The list in a field, made when it is missing.
    pub fn list_mut(&mut self, field: &str) -> &mut Vec<Value> {
        let slot = self.value.entry(field).or_insert_with(|| Value::Array(Vec::new()));
        if !slot.is_array() {
            *slot = Value::Array(Vec::new());
        }
        match slot {
            Value::Array(items) => items,
            _ => unreachable!("made a list above"),
        }
    }

    /// The mapping in a field, made when it is missing.
    pub fn map_mut(&mut self, field: &str) -> &mut Map<String, Value> {
        let slot = self.value.entry(field).or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        match slot {
            Value::Object(map) => map,
            _ => unreachable!("made a mapping above"),
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (field, comment) in &self.fields {
            text.push_str(comment);
            text.push_str(&self.field_text(field));
        }
        for field in ORDER.iter().filter(|field| !self.fields.iter().any(|(name, _)| name == *field)) {
            text.push_str(&self.field_text(field));
        }
        text
    }

    fn field_text(&self, field: &str) -> String {
        let Shape::Struct(_, known) = KUSTOMIZATION else { return String::new() };
        let shape = known.iter().find(|(name, _)| *name == field).map(|(_, shape)| shape);
        let (Some(value), Some(shape)) = (self.value.get(field), shape) else { return String::new() };
        match prune(value, shape, field) {
            Some(value) => yaml::to_string(&Value::Object(Map::from_iter([(field.to_owned(), value)]))),
            None => String::new(),
        }
    }
}

/// Turns old fields into new ones.
fn fix(value: &mut Map<String, Value>) {
    let component = value.get("kind").and_then(Value::as_str) == Some("Component");
    value.entry("kind").or_insert_with(|| Value::from("Kustomization"));
    let version = if component { "v1alpha1" } else { "v1beta1" };
    value.entry("apiVersion").or_insert_with(|| Value::from(format!("kustomize.config.k8s.io/{version}")));
    for (old, new) in [("bases", "resources"), ("imageTags", "images")] {
        if let Some(Value::Array(mut moved)) = value.remove(old) {
            let slot = value.entry(new).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = slot {
                items.append(&mut moved);
            }
        }
    }
    for field in ["configMapGenerator", "secretGenerator"] {
        for entry in value.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(entry) = entry.as_object_mut() else { continue };
            let Some(env) = entry.remove("env").filter(|env| env.as_str() != Some("")) else { continue };
            let envs = entry.entry("envs").or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = envs {
                items.push(env);
            }
        }
    }
}

/// The top-level fields of a text, each with the comments and blank lines above it.
fn commented_fields(text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut comment = String::new();
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let bare = line.trim_start_matches(' ').trim_end_matches('\n');
        if bare.is_empty() || bare.starts_with('#') {
            comment.push_str(line);
            continue;
        }
        let name = line.split_once(':').map(|(name, _)| name);
        let field = name.and_then(|name| ORDER.iter().find(|field| field.eq_ignore_ascii_case(name)));
        match field {
            Some(field) => fields.push(((*field).to_owned(), std::mem::take(&mut comment))),
            None => {
                if let (Some((_, last)), false) = (fields.last_mut(), comment.is_empty()) {
                    last.push_str(&std::mem::take(&mut comment));
                }
            }
        }
    }
    fields
}

/// A value without what Go's encoder leaves out.
pub(crate) fn without_empty(value: &Value, shape: &Shape) -> Option<Value> {
    prune(value, shape, "")
}

/// Leaves out what Go's encoder leaves out: empty texts, lists and mappings, false and zero.
fn prune(value: &Value, shape: &Shape, name: &str) -> Option<Value> {
    match (shape, value) {
        (_, Value::Null) => None,
        (Shape::Text, Value::String(text)) if text.is_empty() => None,
        (Shape::Flag, Value::Bool(false)) => None,
        (Shape::Int, Value::Number(number)) if number.as_i64() == Some(0) && name != "count" => None,
        (Shape::TextMap | Shape::AnyMap, Value::Object(map)) if map.is_empty() => None,
        (Shape::List(_), Value::Array(items)) if items.is_empty() && !name.starts_with("order") => None,
        (Shape::List(item), Value::Array(items)) => Some(Value::Array(
            items.iter().map(|value| prune(value, item, "").unwrap_or_else(|| value.clone())).collect(),
        )),
        (Shape::Struct(_, known), Value::Object(map)) => {
            let mut kept = Map::new();
            for (key, shape) in known.iter() {
                let value = map.get(*key).and_then(|value| prune(value, shape, key));
                if let Some(value) = value.or_else(|| always(known, key)) {
                    kept.insert((*key).to_owned(), value);
                }
            }
            Some(Value::Object(kept))
        }
        _ => Some(value.clone()),
    }
}

/// What Go's encoder writes for a field that it does not leave out when it is empty.
fn always(known: &[(&str, Shape)], key: &str) -> Option<Value> {
    let has = |field: &str| known.iter().any(|(name, _)| *name == field);
    match key {
        "name" if has("objref") || has("apiVersion") => Some(Value::from("")),
        "objref" => Some(json!({"name": ""})),
        "fieldref" => Some(json!({})),
        "select" | "orderFirst" | "orderLast" => Some(Value::Null),
        "count" => Some(Value::from(0)),
        _ => None,
    }
}
