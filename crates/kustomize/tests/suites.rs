//! The peers' suites: cases from Kustomize's own tests, and real overlays.
#![allow(clippy::disallowed_methods)]

mod common;

use common::DiskWorld;
use kustomize::{LoadRestrictions, Options, Reorder, build};
use serde_json::Value;
use std::path::Path;

/// Kustomize 5.8.2 accepts an empty patch file, which this unit test refuses.
const NOT_AS_THE_TOOL: &[&str] = &["patchtransformer-TestPatchTransformerPatchEmpty"];

fn options_of(case: &Value) -> Options {
    let flag = |name: &str| {
        case["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag.as_str() == Some(name)))
    };
    Options {
        reorder: if case["reorder"] == "none" { Reorder::None } else { Reorder::Legacy },
        load_restrictions: if flag("--load-restrictor=LoadRestrictionsNone") {
            LoadRestrictions::None
        } else {
            LoadRestrictions::RootOnly
        },
        enable_helm: flag("--enable-helm"),
        ..Options::default()
    }
}

fn check_case(dir: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(dir.join("case.json")).map_err(|error| error.to_string())?;
    let case: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let root = dir.join("input").join(case["path"].as_str().unwrap_or("."));
    let root = std::fs::canonicalize(root).map_err(|error| error.to_string())?;
    let built = build(&DiskWorld, &root.to_string_lossy(), &options_of(&case));
    match (case["wantError"].as_bool().unwrap_or(false), built) {
        (true, Err(_)) => Ok(()),
        (true, Ok(_)) => Err("no error".to_owned()),
        (false, Err(error)) => Err(error.to_string()),
        (false, Ok(built)) => match case["expected"].as_str() {
            None => Ok(()),
            Some(name) => {
                let expected = std::fs::read_to_string(dir.join(name)).map_err(|error| error.to_string())?;
                if built.to_yaml() == expected { Ok(()) } else { Err("another output".to_owned()) }
            }
        },
    }
}

#[test]
fn cases_of_kustomize() {
    let Some(suite) = testkit::shared("suites/kustomize-cases/cases") else { return };
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(suite).expect("the suite") {
        let dir = entry.expect("an entry").path();
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match check_case(&dir) {
            Ok(()) => assert!(!NOT_AS_THE_TOOL.contains(&name.as_str()), "{name} holds now"),
            Err(_) if NOT_AS_THE_TOOL.contains(&name.as_str()) => {}
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn overlays_of_real_repositories() {
    let Some(suite) = testkit::shared("suites/gitops-repos") else { return };
    let expected = testkit::untar_zst(&suite.join("expected-kustomize.tar.zst"));
    let cases = expected.iter().find(|(name, _)| name.ends_with("cases.json")).expect("cases.json").1;
    let cases: Vec<Value> = serde_json::from_slice(cases).expect("JSON");
    let target = tempfile::tempdir().expect("a folder");
    let root = std::fs::canonicalize(target.path()).expect("a folder");
    for repo in
        ["fluxcd__flux2-kustomize-helm-example", "PoliNetworkOrg__polinetwork-cd", "borisdvlpr__epicshelter"]
    {
        testkit::unpack_zst(&suite.join(format!("{repo}.tar.zst")), &root);
        for case in cases.iter().filter(|case| case["repo"] == repo) {
            let path = root.join(repo).join(case["path"].as_str().unwrap_or("."));
            let name = format!("{}.yaml", case["case"].as_str().unwrap_or_default());
            let wanted = expected.iter().find(|(file, _)| file.ends_with(&name)).expect("expected output").1;
            let built = build(&DiskWorld, &path.to_string_lossy(), &Options::default())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(built.to_yaml(), String::from_utf8_lossy(wanted), "{}", path.display());
        }
    }
}
