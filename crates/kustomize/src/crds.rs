//! `crds`: OpenAPI definitions that say which fields hold names, labels or references.

use crate::error::Error;
use crate::fieldspec::{FieldSpec, NameReference, Tables, merge_one};
use crate::ids::Gvk;
use crate::loader::Loader;
use serde_json::Value;

/// The tables that the files add.
pub(crate) fn tables(loader: &Loader<'_>, paths: &[String]) -> Result<Tables, Error> {
    let mut tables = Tables::default();
    for path in paths {
        let text = loader.load_text(path)?;
        let parsed = yaml::from_str(&text).map_err(|error| error.to_string());
        let definitions = match parsed {
            Ok(Value::Object(map)) => map,
            Ok(Value::Null) => serde_json::Map::new(),
            Ok(_) => {
                return Err(Error::new(format!(
                    "unable to parse open API definition from '{path}': error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type accumulator.nameToApiMap"
                ))
                .in_file(path.clone()));
            }
            Err(error) => {
                let message = format!(
                    "unable to parse open API definition from '{path}': error converting YAML to JSON: {error}"
                );
                return Err(Error::new(message).in_file(path.clone()));
            }
        };
        for (name, definition) in &definitions {
            let Some(properties) = properties(definition) else { continue };
            if !["kind", "apiVersion", "metadata"].iter().all(|key| properties.contains_key(*key)) {
                continue;
            }
            let kind = name.rsplit('.').next().unwrap_or(name);
            walk(&mut tables, &Gvk::kind(kind), &definitions, name, &mut Vec::new()).map_err(Error::new)?;
        }
    }
    Ok(tables)
}

fn properties(definition: &Value) -> Option<&serde_json::Map<String, Value>> {
    definition.get("Schema").or_else(|| definition.get("schema"))?.get("properties")?.as_object()
}

fn walk(
    tables: &mut Tables,
    gvk: &Gvk,
    definitions: &serde_json::Map<String, Value>,
    name: &str,
    path: &mut Vec<String>,
) -> Result<(), String> {
    if path.len() > 64 {
        return Err(format!("definitions of {name} refer to each other without end"));
    }
    let Some(properties) = definitions.get(name).and_then(properties) else { return Ok(()) };
    for (key, property) in properties {
        path.push(key.clone());
        let spec = |path: &[String]| FieldSpec { gvk: gvk.clone(), path: path.join("/"), create: false };
        let text = |name: &str| property.get(name).and_then(Value::as_str);
        if text("x-kubernetes-annotation").is_some() {
            merge_one(&mut tables.common_annotations, &spec(path))?;
        }
        if text("x-kubernetes-label-selector").is_some() {
            merge_one(&mut tables.common_labels, &spec(path))?;
        }
        if text("x-kubernetes-identity").is_some() {
            merge_one(&mut tables.name_prefix, &spec(path))?;
        }
        if let (Some(version), Some(kind)) =
            (text("x-kubernetes-object-ref-api-version"), text("x-kubernetes-object-ref-kind"))
        {
            let mut referrer = path.clone();
            referrer.push(text("x-kubernetes-object-ref-name-key").unwrap_or("name").to_owned());
            let gvk = Gvk { group: String::new(), version: version.to_owned(), kind: kind.to_owned() };
            tables.merge_reference(&NameReference { gvk, referrers: vec![spec(&referrer)] })?;
        }
        if let Some(reference) = text("$ref") {
            walk(tables, gvk, definitions, reference, path)?;
        }
        path.pop();
    }
    Ok(())
}
