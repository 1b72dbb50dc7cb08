//! `landfall kustomize edit` beside what `kustomize edit` made of the same files.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

type Files = BTreeMap<String, String>;

fn data(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kustomize/testdata/edit").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn files(value: &Value) -> Files {
    serde_json::from_value(value.clone()).expect("files")
}

/// The text after `Error: `, the folder's name taken out.
fn error_of(stderr: &str, dir: &Path) -> Option<String> {
    let at = stderr.find("Error: ")?;
    let text = stderr[at + 7..].trim().replace(&*dir.to_string_lossy(), "{DIR}");
    Some(text)
}

fn check(case: &Value, input: &Files) -> Result<(), String> {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = std::fs::canonicalize(temp.path()).expect("a folder");
    for (name, text) in input {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let args = case["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["kustomize", "edit"])
        .args(args)
        .current_dir(&dir)
        .output()
        .expect("landfall runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code().map(i64::from) != case["code"].as_i64() {
        return Err(format!("exit code {:?}: {stderr}", output.status.code()));
    }
    let error = error_of(&stderr, &dir);
    if error.as_deref() != case["error"].as_str() {
        return Err(format!("said {error:?}, not {}", case["error"]));
    }
    let mut wanted = input.clone();
    wanted.extend(files(&case["after"]));
    for (name, text) in wanted {
        let found = std::fs::read_to_string(dir.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        if found != text {
            return Err(format!("{name} is\n{found}\nnot\n{text}"));
        }
    }
    Ok(())
}

#[test]
fn edits_as_the_real_tool() {
    let common = files(&data("common.json"));
    let inputs: Vec<Files> = serde_json::from_value(data("inputs.json")).expect("inputs");
    let cases = data("cases.json");
    let mut failed = Vec::new();
    for case in cases.as_array().expect("a list") {
        let index = usize::try_from(case["input"].as_u64().expect("an index")).expect("an index");
        let mut input = common.clone();
        input.extend(inputs[index].clone());
        if let Err(error) = check(case, &input) {
            failed.push(format!("input {index}, {}: {error}", case["args"]));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn creates_as_the_real_tool() {
    let data = data("created.json");
    let common = files(&data["files"]);
    let mut failed = Vec::new();
    for case in data["cases"].as_array().expect("a list") {
        let temp = tempfile::tempdir().expect("a folder");
        let dir = std::fs::canonicalize(temp.path()).expect("a folder");
        let mut input = common.clone();
        input.extend(files(&case["files"]));
        for (name, text) in &input {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        let args = case["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let output = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["kustomize", "create"])
            .args(args)
            .current_dir(&dir)
            .output()
            .expect("landfall runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        let made = std::fs::read_to_string(dir.join("kustomization.yaml")).ok();
        let same = output.status.code().map(i64::from) == case["code"].as_i64()
            && error_of(&stderr, &dir).as_deref() == case["error"].as_str()
            && made.as_deref() == case["made"].as_str();
        if !same {
            failed.push(format!("{}: {stderr}{made:?}\nnot {case:#}", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
