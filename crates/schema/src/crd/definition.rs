//! A CustomResourceDefinition object itself: its defaults, what it says, and what is wrong with it.

use std::collections::BTreeSet;

use object::{Value, get, get_bool, get_str, meta};
use serde_json::json;

use super::structural::Structural;
use super::{Column, Crd, Scale, Version};
use crate::FieldError;
use crate::native::names::{dns_label, dns_subdomain, qualified_domain};

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

fn versions(definition: &Value) -> impl Iterator<Item = &Value> {
    get(definition, &["spec", "versions"]).and_then(Value::as_array).into_iter().flatten()
}

/// Validates a CustomResourceDefinition object; `old` is the stored one on update.
pub fn validate_definition(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let text = |path: &[&str]| get_str(definition, path).unwrap_or_default();
    let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
    let wanted = format!("{plural}.{group}");
    if meta::name(definition) != wanted {
        let detail = "must be spec.names.plural+\".\"+spec.group".to_string();
        errors.push(FieldError::invalid("metadata.name", meta::name(definition), detail));
    }
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if let Some(message) = qualified_domain(group) {
        errors.push(FieldError::invalid("spec.group", group, message));
    }
    match text(&["spec", "scope"]) {
        "" => errors.push(FieldError::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    names(definition, &mut errors);
    let listed: Vec<&Value> = versions(definition).collect();
    if listed.is_empty() {
        errors.push(FieldError::required("spec.versions", ""));
    }
    let mut seen = BTreeSet::new();
    for (index, version) in listed.iter().enumerate() {
        version_errors(version, &format!("spec.versions[{index}]"), &mut errors);
        if !seen.insert(get_str(version, &["name"]).unwrap_or_default()) {
            errors.push(FieldError::invalid(
                "spec.versions",
                Value::from(listed.len()),
                "must contain unique version names",
            ));
        }
    }
    let storage = listed.iter().filter(|version| get_bool(version, &["storage"]) == Some(true)).count();
    if !listed.is_empty() && storage != 1 {
        let shown = get(definition, &["spec", "versions"]).cloned().unwrap_or_default();
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", shown, detail));
    }
    if get_bool(definition, &["spec", "preserveUnknownFields"]) == Some(true)
        && old.is_none_or(|old| get_bool(old, &["spec", "preserveUnknownFields"]) != Some(true))
    {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, detail));
    }
    if let Some(old) = old {
        immutable(definition, old, &mut errors);
    }
    errors
}

fn immutable(definition: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let paths: [&[&str]; 4] =
        [&["spec", "group"], &["spec", "names", "plural"], &["spec", "scope"], &["spec", "names", "kind"]];
    for path in paths {
        let (new, before) = (get_str(definition, path), get_str(old, path));
        if new != before {
            errors.push(FieldError::invalid(path.join("."), new.unwrap_or_default(), "field is immutable"));
        }
    }
    let stored = get(old, &["status", "storedVersions"]).and_then(Value::as_array);
    for (index, name) in stored.into_iter().flatten().filter_map(Value::as_str).enumerate() {
        if !versions(definition).any(|version| get_str(version, &["name"]) == Some(name)) {
            let detail = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            errors.push(FieldError::invalid(format!("status.storedVersions[{index}]"), name, detail));
        }
    }
}

fn names(definition: &Value, errors: &mut Vec<FieldError>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let path = format!("spec.names.{field}");
        let name = get_str(definition, &["spec", "names", field]).unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if let Some(message) = dns_label(&name.to_lowercase()) {
            let mixed = matches!(field, "kind" | "listKind");
            let prefix = if mixed { "may have mixed case, but should otherwise match: " } else { "" };
            errors.push(FieldError::invalid(path, name, format!("{prefix}{message}")));
        }
    }
    let kind = get_str(definition, &["spec", "names", "kind"]);
    if kind.is_some() && kind == get_str(definition, &["spec", "names", "listKind"]) {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", kind.unwrap_or_default(), detail));
    }
}

fn version_errors(version: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let name = get_str(version, &["name"]).unwrap_or_default();
    if let Some(message) = dns_subdomain(name) {
        errors.push(FieldError::invalid(format!("{path}.name"), name, message));
    }
    match get(version, &["schema", "openAPIV3Schema"]) {
        None | Some(Value::Null) => {
            errors.push(FieldError::required(format!("{path}.schema.openAPIV3Schema"), ""));
        }
        Some(schema) => {
            let path = format!("{path}.schema.openAPIV3Schema");
            match get_str(schema, &["type"]) {
                Some("object") => {}
                None | Some("") => {
                    errors.push(FieldError::required(format!("{path}.type"), "must not be empty at the root"))
                }
                Some(other) => errors.push(FieldError::invalid(
                    format!("{path}.type"),
                    other,
                    "must be object at the root",
                )),
            }
            schema_errors(schema, &path, 0, errors);
        }
    }
    let columns = version.get("additionalPrinterColumns").and_then(Value::as_array);
    for (index, column) in columns.into_iter().flatten().enumerate() {
        let path = format!("{path}.additionalPrinterColumns[{index}]");
        for (field, shown) in [("name", "name"), ("type", "type"), ("jsonPath", "JSONPath")] {
            if get_str(column, &[field]).is_none_or(str::is_empty) {
                let detail =
                    if field == "type" { "must be one of boolean,date,integer,number,string" } else { "" };
                errors.push(FieldError::required(format!("{path}.{shown}"), detail));
            }
        }
    }
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What makes a schema structural.
fn schema_errors(schema: &Value, path: &str, depth: usize, errors: &mut Vec<FieldError>) {
    if depth > 100 {
        errors.push(FieldError::invalid(path, "", "the schema is nested too deeply"));
        return;
    }
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool) == Some(true);
    let kind = get_str(schema, &["type"]).unwrap_or_default();
    let open = flag("x-kubernetes-int-or-string") || flag("x-kubernetes-preserve-unknown-fields");
    if kind.is_empty() && !open {
        errors.push(FieldError::required(
            format!("{path}.type"),
            "must not be empty for specified object fields",
        ));
    } else if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    for key in ["$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id"] {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), format!("{key} is not supported")));
        }
    }
    if flag("uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{path}.uniqueItems"), detail));
    }
    if kind == "array" && schema.get("items").is_none() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties").filter(|additional| additional.is_object());
    if properties.is_some_and(|properties| !properties.is_empty()) && additional.is_some() {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), detail));
    }
    list_errors(schema, kind, path, errors);
    for (name, property) in properties.into_iter().flatten() {
        schema_errors(property, &format!("{path}.properties[{name}]"), depth + 1, errors);
    }
    for (key, child) in [("items", schema.get("items")), ("additionalProperties", additional)] {
        if let Some(child) = child.filter(|child| child.is_object()) {
            schema_errors(child, &format!("{path}.{key}"), depth + 1, errors);
        }
    }
}

fn list_errors(schema: &Value, kind: &str, path: &str, errors: &mut Vec<FieldError>) {
    let list_type = get_str(schema, &["x-kubernetes-list-type"]);
    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    if let Some(list_type) = list_type {
        if kind != "array" {
            let detail = "must be array if x-kubernetes-list-type is specified";
            errors.push(FieldError::invalid(format!("{path}.type"), kind, detail));
        }
        if !matches!(list_type, "atomic" | "set" | "map") {
            let path = format!("{path}.x-kubernetes-list-type");
            errors.push(FieldError::not_supported(path, list_type, &["atomic", "map", "set"]));
        }
        if list_type == "map" && keys.is_none_or(Vec::is_empty) {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            errors.push(FieldError::required(format!("{path}.x-kubernetes-list-map-keys"), detail));
        }
    } else if keys.is_some_and(|keys| !keys.is_empty()) {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        errors.push(FieldError::required(format!("{path}.x-kubernetes-list-type"), detail));
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
