//! The values of a release: references in order, then what stands in the spec.
//!
//! Flux merges the spec's own values first and again last. A `targetPath` that reaches into a map which is
//! still the spec's own map therefore changes that map, and survives the last merge; anywhere else the spec
//! wins. Which maps are still the spec's own is what [`Mixer`] keeps track of.

use crate::common::sha256;
use std::collections::BTreeSet;

use helm::Values;
use object::Value;
use serde_json::{Map, json};

/// One reference with what was read: `None` when it is optional and absent.
#[derive(Debug, Clone)]
pub struct Referenced {
    /// `targetPath`, or empty for a whole file of values.
    pub path: String,
    /// `literal`.
    pub literal: bool,
    /// What was read.
    pub text: String,
    /// `Kind namespace/name`, for messages.
    pub name: String,
}

/// The values that result.
///
/// # Errors
/// When a reference holds no values, or a path cannot be set.
pub fn compose(references: &[Referenced], own: &Value) -> Result<Values, String> {
    let own = if own.is_object() { own.clone() } else { json!({}) };
    let mut mixer = Mixer { result: own.clone(), shared: BTreeSet::new(), own };
    let maps = mixer.own.clone();
    mixer.share(&maps, &mut Vec::new());
    for reference in references {
        let failed = |why: String| format!("unable to merge value from {}: {why}", reference.name);
        if reference.path.is_empty() {
            let parsed = Values::parse(&reference.text).map_err(|error| failed(error.to_string()))?;
            if let Some(values) = parsed {
                mixer.merge(&values.to_json());
            }
        } else {
            mixer.set(&reference.path, &reference.text, reference.literal).map_err(failed)?;
        }
    }
    let own = mixer.own.clone();
    mixer.merge(&own);
    Values::from_json(mixer.result).map_err(|error| error.to_string())
}

struct Mixer {
    result: Value,
    own: Value,
    /// Paths of maps in `result` that are the very maps of `own`.
    shared: BTreeSet<Vec<String>>,
}

impl Mixer {
    fn share(&mut self, value: &Value, path: &mut Vec<String>) {
        let Some(map) = value.as_object() else { return };
        if !path.is_empty() {
            self.shared.insert(path.clone());
        }
        for (key, value) in map {
            path.push(key.clone());
            self.share(value, path);
            path.pop();
        }
    }

    /// Maps are merged, everything else is replaced; merged maps are new maps.
    fn merge(&mut self, over: &Value) {
        let mut path = Vec::new();
        let mut result = std::mem::take(&mut self.result);
        self.merge_at(&mut result, over, &mut path);
        self.result = result;
    }

    fn merge_at(&mut self, base: &mut Value, over: &Value, path: &mut Vec<String>) {
        self.shared.remove(path);
        let (Some(base), Some(over)) = (base.as_object_mut(), over.as_object()) else { return };
        for (key, value) in over {
            path.push(key.clone());
            match base.get_mut(key) {
                Some(known) if known.is_object() && value.is_object() => self.merge_at(known, value, path),
                _ => {
                    self.shared.retain(|shared| !shared.starts_with(path));
                    base.insert(key.clone(), value.clone());
                }
            }
            path.pop();
        }
    }

    fn set(&mut self, path: &str, text: &str, literal: bool) -> Result<(), String> {
        let own_too = self.reaches_own(path);
        put(&mut self.result, path, text, literal)?;
        if own_too {
            put(&mut self.own, path, text, literal)?;
        }
        Ok(())
    }

    /// Is the deepest map on the way, the one that is changed, one of the spec's own?
    fn reaches_own(&self, path: &str) -> bool {
        let mut at = &self.result;
        let mut walked = Vec::new();
        for part in parts(path) {
            match at.get(&part) {
                Some(next) if next.is_object() => {
                    at = next;
                    walked.push(part);
                }
                _ => break,
            }
        }
        // The last part names what is set, not where.
        if walked.len() == parts(path).len() {
            walked.pop();
        }
        self.shared.contains(&walked)
    }
}

/// The keys of a path up to its first list index.
fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = path.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => {
                if let (Some(last), Some(escaped)) = (parts.last_mut(), chars.next()) {
                    last.push(escaped);
                }
            }
            '.' => parts.push(String::new()),
            '[' => break,
            other => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    parts
}

/// Sets one value as `helm --set` would; a quoted one as `--set-string`, a literal one as `--set-literal`.
pub(super) fn put(into: &mut Value, path: &str, text: &str, literal: bool) -> Result<(), String> {
    let map = into.as_object().cloned().unwrap_or_else(Map::new);
    let mut values = Values::from_json(Value::Object(map)).map_err(|error| error.to_string())?;
    let unquoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let done = if literal {
        values.set_literal_escaped(&format!("{path}={text}"))
    } else if let Some(inner) = unquoted('"').or_else(|| unquoted('\'')) {
        values.set_string(&format!("{path}={inner}"))
    } else {
        values.set(&format!("{path}={text}"))
    };
    done.map_err(|error| error.to_string())?;
    *into = values.to_json();
    Ok(())
}

/// `sha256:` of the values as YAML; nothing is the digest of nothing.
pub fn digest(values: &Values) -> String {
    let text = if values.is_empty() { String::new() } else { yaml::to_string(&values.to_json()) };
    sha256(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    fn referenced(case: &Value) -> Result<Vec<Referenced>, String> {
        let mut found = Vec::new();
        for reference in case["valuesFrom"].as_array().unwrap() {
            let key = reference["valuesKey"].as_str().unwrap_or("values.yaml");
            let resource = case["resources"].as_array().unwrap().iter().find(|resource| {
                resource["kind"] == reference["kind"] && resource["name"] == reference["name"]
            });
            let Some(text) = resource.and_then(|resource| resource["data"][key].as_str()) else {
                if reference["optional"] == true {
                    continue;
                }
                return Err("missing".into());
            };
            found.push(Referenced {
                path: reference["targetPath"].as_str().unwrap_or_default().into(),
                literal: reference["literal"] == true,
                text: text.into(),
                name: key.into(),
            });
        }
        Ok(found)
    }

    fn one(case: &Value) -> Option<Value> {
        let path = case["path"].as_str().unwrap_or_default();
        let text = case["value"].as_str().unwrap_or_default();
        match case["fn"].as_str()? {
            "values-from" => {
                let own = yaml::from_str(case["values"].as_str().unwrap_or_default()).ok()?;
                Some(compose(&referenced(case).ok()?, &own).ok()?.to_json())
            }
            "path-set" | "path-literal" => {
                let mut into = json!({});
                put(&mut into, path, text, case["fn"] == "path-literal").ok()?;
                Some(into)
            }
            "digest" => {
                let values = if case["values"].is_null() { json!({}) } else { case["values"].clone() };
                Some(digest(&Values::from_json(values).ok()?).into())
            }
            _ => None,
        }
    }

    #[test]
    fn suite() {
        let Some(path) = testkit::shared("suites/unit-tables/flux-values.json") else { return };
        let table: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut failures = Vec::new();
        for case in table["cases"].as_array().unwrap() {
            let expected = if case["wantError"].is_null() { case.get("expected").cloned() } else { None };
            let got = one(case);
            if got != expected {
                failures.push(format!("{}: {got:?}, not {expected:?}", case["id"]));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(base64::engine::general_purpose::STANDARD.decode("YQ==").is_ok());
    }

    #[test]
    fn the_spec_wins_unless_the_path_reaches_into_its_own_map() {
        let set = |path: &str| Referenced {
            path: path.into(),
            literal: false,
            text: "ref".into(),
            name: String::new(),
        };
        let file = |text: &str| Referenced {
            path: String::new(),
            literal: false,
            text: text.into(),
            name: String::new(),
        };
        let run = |references: &[Referenced], own: Value| compose(references, &own).unwrap().to_json();
        assert_eq!(run(&[set("a")], json!({"a": "own"})), json!({"a": "own"}));
        assert_eq!(run(&[set("a.b")], json!({"a": {"b": "own"}})), json!({"a": {"b": "ref"}}));
        let both = [file("a: {c: 1}\n"), set("a.b")];
        assert_eq!(run(&both, json!({"a": {"b": "own"}})), json!({"a": {"b": "own", "c": 1}}));
    }
}
