//! `landfall helm lint` says of charts with a flaw what the real helm said (`testdata/helm-lint`).
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::landfall;
use serde_json::Value;

#[test]
fn flaws_are_told_as_helm_tells_them() {
    let cases: Value = serde_json::from_str(include_str!("../testdata/helm-lint/lint.json")).expect("JSON");
    let mut failed = Vec::new();
    for case in cases.as_array().expect("a list") {
        let folder = tempfile::tempdir().expect("a folder");
        let root = std::fs::canonicalize(folder.path()).expect("a folder");
        std::fs::create_dir(root.join("templates")).expect("a folder");
        for (name, text) in case["files"].as_object().expect("files") {
            std::fs::write(root.join(name), text.as_str().expect("text")).expect("written");
        }
        let mut command = landfall(&["helm", "lint", "."]);
        command.args(case["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
        let output = command.current_dir(&root).output().expect("runs");
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*root.to_string_lossy(), "CHART");
        let ours = (output.status.code(), told(&output.stdout), told(&output.stderr));
        let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
        let theirs = (case["code"].as_i64().map(|code| code as i32), text("out"), text("err"));
        if ours != theirs {
            failed.push(format!("{}:\n{ours:?}\nis not\n{theirs:?}", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
