//! `landfall kustomize build` beside what the real tool answered: what it builds, what it refuses and in which words,
//! and functions that are programs. With `LANDFALL_RECORD=1` our own words are written into the table of refusals.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::landfall;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kustomize").join(name)
}

fn cases(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data(name)).expect("the cases");
    serde_json::from_str(&text).expect("JSON")
}

/// Writes a case's files; the folder that is asked for.
fn unpack(case: &Value, root: &Path) -> &'static str {
    let files = case["files"].as_object().expect("files");
    for (name, text) in files {
        let (path, text) = (root.join(name), text.as_str().expect("text"));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        if let Some(to) = text.strip_prefix("%link ") {
            std::os::unix::fs::symlink(to.trim(), &path).expect("a link");
            continue;
        }
        std::fs::write(&path, text).expect("written");
        if text.starts_with("#!") {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
        }
    }
    if files.keys().any(|name| name.starts_with("top/")) { "top" } else { "." }
}

/// Output, or words; with the folder as `{DIR}`.
fn build(case: &Value) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = std::fs::canonicalize(folder.path()).expect("a folder");
    let top = unpack(case, &root);
    let mut command = landfall(&["kustomize", "build"]);
    command.args(case["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
    let dir = if top == "." { root.clone() } else { root.join(top) };
    let output = command.arg(dir).current_dir(&root).output().expect("runs");
    let place = root.to_string_lossy().into_owned();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place, "{DIR}");
    if output.status.success() {
        Ok(told(&output.stdout))
    } else {
        Err(without_place(&told(&output.stderr)).to_owned())
    }
}

/// Kustomize's words, without the line that says where to look.
fn without_place(words: &str) -> &str {
    let words = words.trim();
    words
        .rsplit_once('\n')
        .filter(|(_, last)| last.starts_with("  in "))
        .map_or(words, |(words, _)| words.trim())
}

/// The files of a localized copy; `None` where nothing is copied.
fn localize(case: &Value) -> Option<BTreeMap<String, String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let top = unpack(case, root);
    let mut command = landfall(&["kustomize", "localize", top, "dst", "--no-verify"]);
    if top == "top" {
        command.args(["--scope", "."]);
    }
    let output = command.current_dir(root).output().expect("runs");
    output.status.success().then(|| {
        let mut files = BTreeMap::new();
        gather(&root.join("dst"), "", &mut files);
        files
    })
}

fn gather(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = format!("{prefix}{}", path.file_name().expect("a name").to_string_lossy());
        if path.is_dir() {
            gather(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned());
        }
    }
}

fn wanted(case: &Value) -> Result<String, String> {
    match case["expected"].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let words = case["landfall"].as_str().or_else(|| case["kustomize"].as_str());
            Err(words.unwrap_or_default().to_owned())
        }
    }
}

fn check(name: &str) {
    let mut cases = cases(name);
    if std::env::var_os("LANDFALL_RECORD").is_some() {
        for case in &mut cases {
            if let (Err(ours), Some(theirs)) = (build(case), case["kustomize"].as_str().map(str::to_owned)) {
                if let Some(case) = case.as_object_mut() {
                    case.remove("landfall");
                }
                if ours != theirs {
                    case["landfall"] = json!(ours);
                }
            }
        }
        let text = serde_json::to_string_pretty(&cases).expect("JSON") + "\n";
        std::fs::write(data(name), text).expect("written");
    }
    let failed: Vec<String> = cases
        .iter()
        .filter(|case| build(case) != wanted(case))
        .map(|case| format!("{}: {:?}\nnot {:?}", case["name"], build(case), wanted(case)))
        .collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn what_the_real_tool_builds() {
    check("built.json");
}

#[test]
fn what_the_real_tool_refuses() {
    check("refused.json");
    // Whatever the words: none is less than what to look at.
    for case in cases("refused.json") {
        let words = build(&case).expect_err("it is refused");
        assert!(words.contains("Error: ") && words.len() > 12, "{}: {words}", case["name"]);
    }
}

#[test]
fn the_last_line_of_an_error_says_where_to_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = std::fs::canonicalize(folder.path()).expect("a folder");
    std::fs::create_dir(root.join("base")).expect("a folder");
    std::fs::write(root.join("kustomization.yaml"), "resources: [base]\n").expect("written");
    let base = "resources: [a.yaml]\npatches:\n- target: {kind: ConfigMap}\n  patch: |-\n    - {op: remove, path: /data}\n";
    std::fs::write(root.join("base/kustomization.yaml"), base).expect("written");
    std::fs::write(root.join("base/a.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
        .expect("written");
    let output = landfall(&["kustomize", "build"]).arg(&root).output().expect("runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = format!(
        "  in {}/base/kustomization.yaml, field patches, resource ConfigMap.v1.[noGrp]/a.[noNs]",
        root.display()
    );
    assert_eq!(words.lines().last(), Some(last.as_str()), "{words}");
}

#[test]
fn functions_that_are_programs() {
    check("functions.json");
}

/// `localized.json`: the files of the real tool's copy, null for those that are as they were; null for no copy.
#[test]
fn what_the_real_tool_localizes() {
    let all: Vec<Value> = cases("built.json").into_iter().chain(cases("refused.json")).collect();
    let mut failed = Vec::new();
    for row in cases("localized.json") {
        let case = all.iter().find(|case| case["name"] == row["name"]).expect("the case");
        let wanted = row["copy"].as_object().map(|files| {
            let text = |name: &String, text: &Value| {
                text.as_str().or_else(|| case["files"][name].as_str()).unwrap_or_default().to_owned()
            };
            files.iter().map(|(name, value)| (name.clone(), text(name, value))).collect::<BTreeMap<_, _>>()
        });
        let ours = localize(case);
        if ours != wanted {
            failed.push(format!("{}: {ours:?}\nnot {wanted:?}", row["name"]));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
