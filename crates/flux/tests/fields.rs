//! No field of Flux's kinds is passed over in silence: what the definitions offer is read somewhere, or stands in
//! `testdata/fields/without_effect.txt` and in the documentation.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::Value;

/// All words of the crates that give Flux's fields a meaning, comments and tests left out.
fn words() -> BTreeSet<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> =
        ["src", "../releases/src", "../delivery/src", "../object/src"].map(|folder| here.join(folder)).into();
    let mut words = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let parts = line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                words.extend(parts.map(str::to_owned));
            }
        }
    }
    words
}

fn walk(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        walk(inner, &path, found);
        found.push(path);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), found);
    }
}

/// Kind and path of every field, in every version that is served.
fn fields() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for crd in schema::crds::flux() {
        let kind = crd.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        for version in crd.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten() {
            let spec = version.pointer("/schema/openAPIV3Schema/properties/spec");
            let mut found = Vec::new();
            walk(spec.unwrap_or(&Value::Null), "spec", &mut found);
            all.extend(found.into_iter().map(|path| (kind.clone(), path)));
        }
    }
    let listed = include_str!("../testdata/fields/flux_operator.txt");
    for line in listed.lines().filter(|line| !line.starts_with('#')) {
        let (kind, path) = line.split_once(' ').unwrap();
        all.insert((kind.to_owned(), path.to_owned()));
    }
    all
}

#[test]
fn no_field_is_passed_over_in_silence() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/flux.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let mut said = BTreeMap::new();
    for line in include_str!("../testdata/fields/without_effect.txt").lines() {
        if let Some((field, why)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
            let (kind, path) = field.split_once(' ').unwrap();
            said.insert((kind.to_owned(), path.to_owned()), why);
        }
    }
    let (words, fields) = (words(), fields());
    assert!(fields.len() > 400, "{} fields", fields.len());
    let name = |path: &str| path.rsplit('.').next().unwrap_or_default().trim_end_matches("[]").to_owned();
    let mut faults = Vec::new();
    for field @ (kind, path) in &fields {
        let above = said.keys().any(|(known, above)| {
            let inner = path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']));
            known == kind && inner
        });
        if !words.contains(&name(path)) && !said.contains_key(field) && !above {
            faults.push(format!("{kind} {path}: nothing reads it"));
        }
    }
    for ((kind, path), why) in &said {
        if !fields.contains(&(kind.clone(), path.clone())) {
            faults.push(format!("{kind} {path}: there is no such field"));
        }
        if !docs.contains(&name(path)) || why.is_empty() {
            faults.push(format!("{kind} {path}: docs/flux.md does not name it"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
