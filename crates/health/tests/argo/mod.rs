//! Runs Argo CD's health and action cases; shared with `cargo xtask conformance`.

use std::path::{Path, PathBuf};

use health::argo::actions::{Action, Operation};
use health::argo::{Judge, Verdict, scripted_by_us};
use object::{Gvk, Value, get_str};

/// A case's name and what is wrong with our answer.
pub type Outcome = (String, Result<(), String>);

/// The moment that the expected outputs of actions hold: the first second of the year 1.
const NOW: i64 = -62_135_596_800;

fn load(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The built-in checks: `cases.json` and the objects beside it.
pub fn health(path: &Path) -> Vec<Outcome> {
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut outcomes = Vec::new();
    for case in suite["cases"].as_array().unwrap() {
        let name = case["object"].as_str().unwrap();
        let object = load(&path.with_file_name(name));
        let gvk = Gvk::of(&object);
        // The suite's engine has no scripts; kinds that only a script of ours knows have no opinion here.
        let judged = match scripted_by_us(&gvk, &object, NOW) {
            Ok(Some(_)) => Ok(None),
            _ => Judge::default().health(&object, NOW),
        };
        let found = judged.map(|verdict| verdict.map(|verdict| verdict.status.as_str().to_owned()));
        let wanted = case["expected"].as_str().map(str::to_owned);
        let outcome = match found {
            Ok(found) if found == wanted => Ok(()),
            other => Err(format!("{other:?}, wanted {wanted:?}")),
        };
        outcomes.push((name.to_owned(), outcome));
    }
    outcomes
}

fn files(dir: &Path, name: &str, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, name, into);
        } else if path.file_name().is_some_and(|found| found == name) {
            into.push(path);
        }
    }
}

fn label(root: &Path, file: &Path, rest: &str) -> String {
    let folder = file.parent().unwrap().strip_prefix(root).unwrap().display().to_string();
    format!("{folder}: {rest}")
}

/// The checks of the well-known kinds.
pub fn lua_health(root: &Path) -> Vec<Outcome> {
    let (mut tests, mut outcomes) = (Vec::new(), Vec::new());
    files(root, "health_test.yaml", &mut tests);
    for file in tests {
        for test in load(&file)["tests"].as_array().into_iter().flatten() {
            let input = test["inputPath"].as_str().unwrap();
            let object = load(&file.with_file_name(input));
            let wanted = &test["healthStatus"];
            let text = |key: &str| get_str(wanted, &[key]).unwrap_or_default().to_owned();
            let wanted = (text("status"), text("message"));
            let outcome = match scripted_by_us(&Gvk::of(&object), &object, NOW) {
                Ok(Some(Verdict { status, message }))
                    if (status.as_str(), &message) == (&wanted.0, &wanted.1) =>
                {
                    Ok(())
                }
                other => Err(format!("{other:?}, wanted {wanted:?}")),
            };
            outcomes.push((label(root, &file, input), outcome));
        }
    }
    outcomes
}

/// The actions of the well-known kinds.
pub fn lua_actions(root: &Path) -> Vec<Outcome> {
    let (mut tests, mut outcomes) = (Vec::new(), Vec::new());
    files(root, "action_test.yaml", &mut tests);
    for file in tests {
        let suite = load(&file);
        for test in suite["discoveryTests"].as_array().into_iter().flatten() {
            let input = test["inputPath"].as_str().unwrap();
            let name = label(root, &file, &format!("discovery {input}"));
            outcomes.push((name, discovery(&load(&file.with_file_name(input)), &test["result"])));
        }
        for test in suite["actionTests"].as_array().into_iter().flatten() {
            let (input, action) = (test["inputPath"].as_str().unwrap(), test["action"].as_str().unwrap());
            let name = label(root, &file, &format!("{action} {input}"));
            outcomes.push((name, act(&file, test, &load(&file.with_file_name(input)), action)));
        }
    }
    outcomes
}

fn discovery(object: &Value, wanted: &Value) -> Result<(), String> {
    let mut wanted: Vec<Action> =
        serde_json::from_value(wanted.clone()).map_err(|error| error.to_string())?;
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    let found = Judge::default().actions(object, NOW).map_err(|error| error.to_string())?;
    if found == wanted { Ok(()) } else { Err(format!("{found:#?}, wanted {wanted:#?}")) }
}

fn act(file: &Path, test: &Value, object: &Value, action: &str) -> Result<(), String> {
    let parameters: Vec<(String, String)> = test["parameters"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let done = Judge::default().act(object, action, &parameters, NOW);
    if let Some(wanted) = test["expectedErrorMessage"].as_str() {
        return match done {
            Err(error) if error.to_string().contains(wanted) => Ok(()),
            other => Err(format!("{other:?}, wanted {wanted}")),
        };
    }
    let done = done.map_err(|error| error.to_string())?;
    let wanted = load(&file.with_file_name(test["expectedOutputPath"].as_str().unwrap()));
    let wanted: Vec<(Operation, Value)> = match wanted {
        Value::Array(list) => list
            .into_iter()
            .map(|entry| {
                let create = entry["k8sOperation"] == "create";
                let operation = if create { Operation::Create } else { Operation::Patch };
                (operation, undated(entry["unstructuredObj"].clone()))
            })
            .collect(),
        single => vec![(Operation::Patch, single)],
    };
    let found: Vec<(Operation, Value)> = done
        .into_iter()
        .map(|impacted| match impacted.operation {
            Operation::Create => (Operation::Create, undated(impacted.object)),
            Operation::Patch => (Operation::Patch, impacted.object),
        })
        .collect();
    // Argo CD compares as it does with live objects: what the expected output does not name may be there.
    if found.len() != wanted.len() {
        return Err(format!("{} objects, wanted {}", found.len(), wanted.len()));
    }
    for ((operation, object), (wanted_operation, wanted)) in found.iter().zip(&wanted) {
        if operation != wanted_operation {
            return Err(format!("{operation:?}, wanted {wanted_operation:?}"));
        }
        if !holds(object, wanted) {
            return Err(format!("{}, wanted {}", pretty(object), pretty(wanted)));
        }
    }
    Ok(())
}

/// Whether an object has all that is wanted of it.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match found.get(key) {
                Some(found) => holds(found, wanted),
                None => wanted.is_null(),
            })
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len()
                && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        (found, wanted) => found == wanted,
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Names of created objects end in the minute of their making.
fn undated(mut object: Value) -> Value {
    let name = get_str(&object, &["metadata", "name"]).unwrap_or_default();
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    object::set(&mut object, &["metadata", "name"], Value::from(plain));
    object
}
