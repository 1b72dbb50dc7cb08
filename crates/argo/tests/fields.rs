//! Every field of Argo CD's definitions, and every key of its settings, is read by somebody or named in `docs/argo.md`
//! as one that is not.
//!
//! Whether a field is read is told by its name: it stands in the sources as a text of its own. That finds what nobody
//! thought of; what a field does, other tests tell.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::{Value, get};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            let code = std::fs::read_to_string(&path).unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            lines.for_each(|line| text.extend([line, "\n"]));
        }
    }
}

/// What the manual names: texts in backticks, in which `*` stands for anything.
fn named(manual: &str) -> Vec<&str> {
    manual.split('`').skip(1).step_by(2).filter(|word| !word.contains(char::is_whitespace)).collect()
}

fn covers(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((head, tail)) => {
            head.len() + tail.len() > 2
                && key.len() >= head.len() + tail.len()
                && key.starts_with(head)
                && key.ends_with(tail)
        }
    }
}

/// The paths of all fields, by their last names.
fn fields(schema: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    for (name, inner) in get(schema, &["properties"]).and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.entry(name.clone()).or_insert_with(|| path.clone());
        fields(inner, &path, found);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner).filter(|inner| inner.is_object()) {
            fields(inner, path, found);
        }
    }
}

#[test]
fn nothing_is_left_out_silently() {
    let mut code = String::new();
    sources(&here("src"), &mut code);
    let manual = std::fs::read_to_string(here("../../docs/argo.md")).unwrap();
    let named = named(&manual);
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let words: BTreeSet<&str> = code.split(|c: char| !is_word(c)).collect();
    let told = |key: &str| named.iter().any(|pattern| covers(pattern, key));
    let mut missing = Vec::new();
    for definition in schema::crds::argo() {
        for version in get(&definition, &["spec", "versions"]).and_then(Value::as_array).unwrap() {
            let mut found = BTreeMap::new();
            fields(get(version, &["schema", "openAPIV3Schema"]).unwrap(), "", &mut found);
            assert!(found.len() > 30, "{}", found.len());
            let kind = object::get_str(&definition, &["spec", "names", "kind"]).unwrap();
            let unknown = found.into_iter().filter(|(name, _)| !words.contains(name.as_str()) && !told(name));
            missing.extend(unknown.map(|(_, path)| format!("{kind}{path}")));
        }
    }
    let keys = yaml::from_str(&std::fs::read_to_string(here("testdata/settings.yaml")).unwrap()).unwrap();
    for (place, keys) in keys.as_object().unwrap() {
        for key in keys.as_array().unwrap().iter().filter_map(Value::as_str) {
            // What stands in capitals is a name that people choose.
            let fixed = key.split(|c: char| c.is_ascii_uppercase()).next().unwrap().trim_end_matches('.');
            let whole = !key.rsplit('.').any(|part| part.chars().all(|c| c.is_ascii_uppercase()));
            let part = if whole { key } else { fixed };
            let short = part.strip_prefix("applicationsetcontroller.").unwrap_or(part);
            let read = [part, short].iter().any(|text| {
                code.contains(&format!("\"{text}\"")) || (!whole && code.contains(&format!("\"{text}.")))
            });
            if !read && !told(key) {
                missing.push(format!("{place}: {key}"));
            }
        }
    }
    assert!(missing.is_empty(), "{} are neither read nor named:\n{}", missing.len(), missing.join("\n"));
}
