//! Bad input: each kind gets an error that names the place, none a panic or an endless run.
#![allow(clippy::disallowed_methods)]

use kustomize::{Error, MemoryWorld, Options, build};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

fn fails(files: &[(&str, &str)]) -> Error {
    let world: MemoryWorld = files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
    match build(&world, "/top", &Options::default()) {
        Ok(built) => panic!("built:\n{}", built.to_yaml()),
        Err(error) => error,
    }
}

fn says(files: &[(&str, &str)], words: &[&str]) {
    let error = fails(files);
    let told = format!("{}\n  in {}", error.message, error.place().unwrap_or_default());
    for word in words {
        assert!(told.contains(word), "{told:?} does not say {word:?}");
    }
}

#[test]
fn cycles_are_named() {
    says(
        &[
            ("/top/kustomization.yaml", "resources: [../base]\n"),
            ("/base/kustomization.yaml", "resources: [../top]\n"),
        ],
        &["cycle detected", "/top"],
    );
    says(&[("/top/kustomization.yaml", "resources: [.]\n")], &["cycle detected", "/top"]);
    says(&[("/top/kustomization.yaml", "components: [.]\n")], &["cycle detected"]);
}

#[test]
fn the_kustomization_that_asks_is_named_beside_what_it_asks_for() {
    let top = ("/top/kustomization.yaml", "resources: [../base]\n");
    let patch = "resources: [a.yaml]\npatches: [{path: p.yaml}]\n";
    let base = [top, ("/base/kustomization.yaml", patch), ("/base/a.yaml", MAP)];
    says(&base, &["p.yaml", "/base/kustomization.yaml, field patches"]);
    let wrong = "- {op: remove, path: /data/x}\n";
    let remove = "resources: [a.yaml]\npatches: [{path: p.yaml, target: {kind: ConfigMap}}]\n";
    let base = [top, ("/base/kustomization.yaml", remove), ("/base/a.yaml", MAP), ("/base/p.yaml", wrong)];
    says(
        &base,
        &["/data/x", "/base/kustomization.yaml, field patches, resource ConfigMap.v1.[noGrp]/a.[noNs]"],
    );
}

#[test]
fn a_key_that_is_wrong_is_named_with_its_line() {
    let top = ("/top/kustomization.yaml", "resources: [a.yaml]\n");
    let twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: a\n  y: a\n  x: b\n";
    let words = ["line 7: mapping key \"x\" already defined at line 5", "/top/a.yaml:7, resource ConfigMap"];
    says(&[top, ("/top/a.yaml", twice)], &words);
    let number = "---\n5: top\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  5: a\n";
    says(&[top, ("/top/a.yaml", number)], &["the key \"5\" of data is a number", "/top/a.yaml:7"]);
}

#[test]
fn missing_files_are_named() {
    says(&[("/top/x", "")], &["unable to find one of 'kustomization.yaml'", "/top"]);
    says(&[("/top/kustomization.yaml", "resources: [no.yaml]\n")], &["no.yaml", "no such file"]);
    for (field, text) in [
        ("patches", "patches: [{path: no.yaml}]\nresources: [a.yaml]\n"),
        ("configMapGenerator", "configMapGenerator: [{name: x, files: [no.yaml]}]\n"),
        ("replacements", "resources: [a.yaml]\nreplacements: [{path: no.yaml}]\n"),
        ("transformers", "resources: [a.yaml]\ntransformers: [no.yaml]\n"),
        ("patchesStrategicMerge", "resources: [a.yaml]\npatchesStrategicMerge: [no.yaml]\n"),
    ] {
        says(&[("/top/kustomization.yaml", text), ("/top/a.yaml", MAP)], &["no.yaml", field]);
    }
}

#[test]
fn paths_stay_inside() {
    let outside = ("/secret.yaml", MAP);
    says(
        &[("/top/kustomization.yaml", "resources: [../secret.yaml]\n"), outside],
        &["security; file '/secret.yaml' is not in or below '/top'"],
    );
    says(&[("/top/kustomization.yaml", "resources: [/secret.yaml]\n"), outside], &["/secret.yaml"]);
    says(
        &[("/top/kustomization.yaml", "configMapGenerator: [{name: x, files: [../secret.yaml]}]\n"), outside],
        &["security", "configMapGenerator"],
    );
    says(
        &[
            ("/top/kustomization.yaml", "resources: [a.yaml]\npatches: [{path: ../secret.yaml}]\n"),
            ("/top/a.yaml", MAP),
            outside,
        ],
        &["security", "patches"],
    );
}

#[test]
fn ambiguous_and_homeless_patches_are_named() {
    let patch = "resources: [a.yaml]\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: zz}\n";
    says(
        &[("/top/kustomization.yaml", patch), ("/top/a.yaml", MAP)],
        &["no matches for Id ConfigMap.v1.[noGrp]/zz"],
    );
    says(
        &[
            ("/top/kustomization.yaml", "resources: [a.yaml, b.yaml]\n"),
            ("/top/a.yaml", MAP),
            ("/top/b.yaml", MAP),
        ],
        &["may not add resource with an already registered id", "b.yaml"],
    );
}

#[test]
fn yaml_bombs_end() {
    let mut bomb = String::from(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nx0: &x0 [a, a, a, a, a, a, a, a, a, a]\n",
    );
    for level in 1..12 {
        let last = level - 1;
        let items = vec![format!("*x{last}"); 10].join(", ");
        bomb += &format!("x{level}: &x{level} [{items}]\n");
    }
    fails(&[("/top/kustomization.yaml", "resources: [a.yaml]\n"), ("/top/a.yaml", &bomb)]);
    fails(&[("/top/kustomization.yaml", &bomb)]);
    let deep = "[".repeat(100_000);
    fails(&[("/top/kustomization.yaml", &deep)]);
    fails(&[("/top/kustomization.yaml", "resources: [a.yaml]\n"), ("/top/a.yaml", &format!("a: {deep}"))]);
}

#[test]
fn odd_files_do_not_panic() {
    for text in [
        "",
        "[]",
        "1",
        "a",
        "resources: 1\n",
        "resources: [1]\n",
        "resources: [\"\"]\n",
        "resources: [null]\n",
        "patches: [{}]\n",
        "patches: [{patch: x}]\n",
        "images: [1]\n",
        "images: [{newTag: 1}]\n",
        "vars: [{}]\n",
        "replacements: [{}]\n",
        "replicas: [{name: a, count: x}]\n",
        "unknown: 1\n",
        "\u{0}",
        "a: b: c\n",
        "generators: [\"\"]\n",
        "transformers: [x]\n",
        "helmCharts: [{name: x}]\n",
        "openapi: {path: x}\n",
        "configMapGenerator: [{}]\n",
        "configMapGenerator: [{name: a, literals: [x]}]\n",
        "kind: Other\nresources: [a.yaml]\n",
        "sortOptions: {order: what}\nresources: [a.yaml]\n",
        "resources: [a.yaml]\npatches: [{target: {kind: \"[\"}, patch: '[{\"op\": \"remove\", \"path\": \"/x\"}]'}]\n",
    ] {
        let files = [("/top/kustomization.yaml", text), ("/top/a.yaml", MAP)];
        let world: MemoryWorld = files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect();
        // Some of them are nothing to do; the others say what is wrong.
        if let Err(error) = build(&world, "/top", &Options::default()) {
            assert!(!error.message.is_empty(), "{text:?}");
        }
    }
}
