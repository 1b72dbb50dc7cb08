//! Area `kustomize`: cases of Kustomize's own tests, and real overlays.

use super::disk::DiskWorld;
use super::{Case, Suite};
use anyhow::Context;
use kustomize::{LoadRestrictions, Options, Reorder, build};
use serde_json::Value;
use std::path::Path;

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let mut out = Vec::new();
    if dir.join("kustomize-cases/cases").is_dir() {
        out.push(cases(&dir.join("kustomize-cases/cases"))?);
    }
    if dir.join("gitops-repos").is_dir() {
        out.push(overlays(&dir.join("gitops-repos"))?);
    }
    Ok(out)
}

fn cases(dir: &Path) -> anyhow::Result<Suite> {
    let mut folders: Vec<_> = std::fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    folders.sort_by_key(std::fs::DirEntry::file_name);
    let mut cases = Vec::new();
    for folder in folders {
        let name = folder.file_name().to_string_lossy().into_owned();
        cases.push(case(&name, &folder.path()).with_context(|| name.clone())?);
    }
    Ok(Suite { name: "kustomize-cases".to_owned(), cases })
}

fn case(name: &str, dir: &Path) -> anyhow::Result<Case> {
    let case: Value = serde_json::from_slice(&std::fs::read(dir.join("case.json"))?)?;
    let flags: Vec<&str> = case["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let options = Options {
        reorder: if case["reorder"] == "none" { Reorder::None } else { Reorder::Legacy },
        load_restrictions: if flags.contains(&"--load-restrictor=LoadRestrictionsNone") {
            LoadRestrictions::None
        } else {
            LoadRestrictions::RootOnly
        },
        enable_helm: flags.contains(&"--enable-helm"),
        ..Options::default()
    };
    let root = std::fs::canonicalize(dir.join("input").join(case["path"].as_str().unwrap_or(".")))?;
    let built = build(&DiskWorld, &root.to_string_lossy(), &options);
    Ok(match (case["wantError"].as_bool().unwrap_or(false), built) {
        (true, Err(_)) => Case::passed(name),
        (true, Ok(_)) => Case::failed(name, "no error"),
        (false, Err(error)) => Case::failed(name, error.to_string()),
        (false, Ok(built)) => match case["expected"].as_str() {
            None => Case::passed(name),
            Some(file) => Case::same(name, &std::fs::read_to_string(dir.join(file))?, &built.to_yaml()),
        },
    })
}

fn overlays(dir: &Path) -> anyhow::Result<Suite> {
    let expected = testkit::untar_zst(&dir.join("expected-kustomize.tar.zst"));
    let find = |name: &str| {
        expected.iter().find(|(file, _)| file.rsplit('/').next() == Some(name)).map(|(_, bytes)| bytes)
    };
    let list: Vec<Value> = serde_json::from_slice(find("cases.json").context("cases.json is missing")?)?;
    let target = tempfile::tempdir()?;
    let root = std::fs::canonicalize(target.path())?;
    let mut unpacked = std::collections::BTreeSet::new();
    let mut cases = Vec::new();
    for case in &list {
        let text = |key: &str| case[key].as_str().unwrap_or_default();
        let (repo, name) = (text("repo"), text("case"));
        if unpacked.insert(repo) {
            testkit::unpack_zst(&dir.join(format!("{repo}.tar.zst")), &root);
        }
        let wanted = find(&format!("{name}.yaml")).with_context(|| format!("{name}.yaml is missing"))?;
        let path = root.join(repo).join(text("path"));
        cases.push(match build(&DiskWorld, &path.to_string_lossy(), &Options::default()) {
            Ok(built) => Case::same(name, &String::from_utf8_lossy(wanted), &built.to_yaml()),
            Err(error) => Case::failed(name, error.to_string()),
        });
    }
    Ok(Suite { name: "gitops-repos".to_owned(), cases })
}
