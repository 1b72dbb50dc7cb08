//! A CustomResourceDefinition object itself: its defaults, and what it says.

use object::{Value, get, get_bool, get_str};
use serde_json::json;

use super::judge::versions;
use super::structural::Structural;
use super::{Column, Crd, Scale, Version};
use crate::FieldError;

/// Sets the defaults of a CustomResourceDefinition object itself: singular and list kind, conversion, stored
/// versions.
pub fn default_definition(definition: &mut Value) {
    let kind = get_str(definition, &["spec", "names", "kind"]).unwrap_or_default().to_owned();
    let missing = |definition: &Value, path: &[&str]| get_str(definition, path).is_none_or(str::is_empty);
    if missing(definition, &["spec", "names", "singular"]) {
        object::set(definition, &["spec", "names", "singular"], kind.to_lowercase().into());
    }
    if missing(definition, &["spec", "names", "listKind"]) && !kind.is_empty() {
        object::set(definition, &["spec", "names", "listKind"], format!("{kind}List").into());
    }
    if get(definition, &["spec", "conversion"]).is_none_or(Value::is_null) {
        object::set(definition, &["spec", "conversion"], json!({"strategy": "None"}));
    }
    if let Some(service) =
        object::get_mut(definition, &["spec", "conversion", "webhook", "clientConfig", "service"])
        && service.is_object()
        && service.get("port").is_none_or(Value::is_null)
    {
        object::set(service, &["port"], 443.into());
    }
    let stored = get(definition, &["status", "storedVersions"]).and_then(Value::as_array);
    if stored.is_none_or(Vec::is_empty) {
        let storage = versions(definition)
            .find(|version| version.get("storage").and_then(Value::as_bool) == Some(true))
            .and_then(|version| version.get("name").cloned());
        if let Some(name) = storage {
            object::set(definition, &["status", "storedVersions"], json!([name]));
        }
    }
}

pub(super) fn parse(definition: &Value) -> Result<Crd, Vec<FieldError>> {
    let text = |path: &[&str]| get_str(definition, path).unwrap_or_default().to_owned();
    let texts = |path: &[&str]| -> Vec<String> {
        let list = get(definition, path).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let preserve_unknown = get_bool(definition, &["spec", "preserveUnknownFields"]) == Some(true);
    let mut parsed = Vec::new();
    for version in versions(definition) {
        parsed.push(parse_version(version, preserve_unknown)?);
    }
    if parsed.is_empty() {
        return Err(vec![FieldError::required("spec.versions", "")]);
    }
    let kind = text(&["spec", "names", "kind"]);
    let or = |found: String, other: String| if found.is_empty() { other } else { found };
    Ok(Crd {
        group: text(&["spec", "group"]),
        plural: text(&["spec", "names", "plural"]),
        singular: or(text(&["spec", "names", "singular"]), kind.to_lowercase()),
        list_kind: or(text(&["spec", "names", "listKind"]), format!("{kind}List")),
        kind,
        short_names: texts(&["spec", "names", "shortNames"]),
        categories: texts(&["spec", "names", "categories"]),
        namespaced: text(&["spec", "scope"]) == "Namespaced",
        preserve_unknown,
        conversion: or(text(&["spec", "conversion", "strategy"]), "None".to_owned()),
        versions: parsed,
    })
}

fn parse_version(version: &Value, preserve_unknown: bool) -> Result<Version, Vec<FieldError>> {
    let text = |value: &Value, path: &[&str]| get_str(value, path).unwrap_or_default().to_owned();
    let flag = |key: &str| get_bool(version, &[key]) == Some(true);
    let structural = match get(version, &["schema", "openAPIV3Schema"]) {
        Some(schema) if schema.is_object() && !preserve_unknown => Structural::parse(schema)?,
        _ => Structural::open(),
    };
    let list = |key: &str| version.get(key).and_then(Value::as_array).into_iter().flatten();
    let columns = list("additionalPrinterColumns").map(|column| Column {
        name: text(column, &["name"]),
        column_type: text(column, &["type"]),
        format: text(column, &["format"]),
        description: text(column, &["description"]),
        priority: object::get_i64(column, &["priority"]).unwrap_or_default(),
        json_path: text(column, &["jsonPath"]),
    });
    let scale =
        get(version, &["subresources", "scale"]).filter(|scale| scale.is_object()).map(|scale| Scale {
            spec_replicas: text(scale, &["specReplicasPath"]),
            status_replicas: text(scale, &["statusReplicasPath"]),
            label_selector: Some(text(scale, &["labelSelectorPath"])).filter(|path| !path.is_empty()),
        });
    let warning = text(version, &["deprecationWarning"]);
    Ok(Version {
        name: text(version, &["name"]),
        served: flag("served"),
        storage: flag("storage"),
        deprecated: flag("deprecated"),
        deprecation_warning: (flag("deprecated") && !warning.is_empty()).then_some(warning),
        status: get(version, &["subresources", "status"]).is_some_and(Value::is_object),
        scale,
        columns: columns.collect(),
        selectable_fields: list("selectableFields").map(|field| text(field, &["jsonPath"])).collect(),
        structural,
    })
}
