//! Names of fields that are no strings (`123: x`, `true: x`), with what `kustomize build` 5.8.2 makes of them
//! (`testdata/keys.json`; an output of `null` is an error).
#![allow(clippy::disallowed_methods)]

use kustomize::{MemoryWorld, Options, build};
use serde_json::Value;

const ROOT: &str = "/keys";

#[test]
fn names_that_are_no_strings_are_refused_where_kustomize_refuses_them() {
    let cases: Value = serde_json::from_str(include_str!("../testdata/keys.json")).expect("JSON");
    let mut failed = Vec::new();
    for case in cases.as_array().expect("a list") {
        let files = case["files"].as_object().expect("files");
        let world: MemoryWorld = files
            .iter()
            .map(|(name, text)| (format!("{ROOT}/{name}"), text.as_str().expect("text").as_bytes().to_vec()))
            .collect();
        let made = build(&world, ROOT, &Options::default()).map(|built| built.to_yaml());
        let same = match (&made, case["expected"].as_str()) {
            (Ok(made), Some(expected)) => made == expected,
            (Err(_), None) => true,
            _ => false,
        };
        if !same {
            failed.push(format!("{}: {made:?} is not {}", case["name"], case["expected"]));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn the_error_names_the_object_the_field_and_what_to_do() {
    let resource = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: {123: b}}\n";
    let world: MemoryWorld = [("r.yaml", resource), ("kustomization.yaml", "resources: [r.yaml]\n")]
        .into_iter()
        .map(|(name, text)| (format!("{ROOT}/{name}"), text.as_bytes().to_vec()))
        .collect();
    let error = build(&world, ROOT, &Options::default()).map(|_| ()).expect_err("it is refused").to_string();
    assert_eq!(
        error,
        "the key \"123\" of data.x is a number, and keys must be strings (json: unsupported type: \
         map[interface {}]interface {}): write it in quotes"
    );
}
