//! Generated kustomizations (`cargo xtask fuzz-kustomize`) with what the real tool made of them.
#![allow(clippy::disallowed_methods)]

use kustomize::{MemoryWorld, Options, build};
use serde_json::Value;
use std::path::Path;

const ROOT: &str = "/generated-tree";

fn check(case: &Value) -> Result<(), String> {
    let files = case["files"].as_object().expect("files");
    let world: MemoryWorld = files
        .iter()
        .map(|(name, text)| (format!("{ROOT}/{name}"), text.as_str().expect("text").as_bytes().to_vec()))
        .collect();
    let built = build(&world, &format!("{ROOT}/top"), &Options::default());
    let told = built.map(|built| built.to_yaml()).map_err(|error| error.to_string().replace(ROOT, "{DIR}"));
    let wanted = match case["error"].as_str() {
        Some(words) => Err(words.to_owned()),
        None => Ok(case["expected"].as_str().expect("the output").to_owned()),
    };
    match (told, wanted) {
        (Ok(told), Ok(wanted)) if told == wanted => Ok(()),
        (Err(told), Err(wanted)) if told.trim() == wanted => Ok(()),
        (told, wanted) => Err(format!("made {told:?}\nnot {wanted:?}")),
    }
}

#[test]
fn generated_trees_build_as_with_the_real_tool() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/generated");
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(dir).expect("test data").map(|entry| entry.expect("an entry").path()) {
        if entry.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&entry).expect("a file");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        if let Err(error) = check(&case) {
            failed.push(format!("{}: {error}", entry.display()));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}
