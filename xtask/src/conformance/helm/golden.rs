//! `helm-golden`: renderings that chart authors keep beside their charts.

use super::{Call, Case, Suite, compare_objects, difference};
use anyhow::Context as _;
use helm::{Chart, Values};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Golden {
    chart: String,
    release: String,
    namespace: String,
    kube_version: Option<String>,
    is_upgrade: bool,
    values: Vec<String>,
    render_each_values_file_alone: bool,
    expected: String,
    compare: String,
    select: String,
    ignore_lines: Vec<String>,
    args: Vec<String>,
    want_error: bool,
}

type Files = BTreeMap<String, Vec<u8>>;

/// Runs the suite in `dir`.
pub fn suite(dir: &Path) -> anyhow::Result<Suite> {
    let clean = |files: Files| -> Files {
        files.into_iter().map(|(path, bytes)| (path.trim_start_matches("./").to_owned(), bytes)).collect()
    };
    let charts = clean(testkit::untar_zst(&dir.join("charts.tar.zst")));
    let mut folders: BTreeMap<String, Files> = BTreeMap::new();
    for (path, bytes) in clean(testkit::untar_zst(&dir.join("cases.tar.zst"))) {
        let path = path.strip_prefix("cases/").unwrap_or(&path);
        if let Some((name, rest)) = path.split_once('/') {
            folders.entry(name.to_owned()).or_default().insert(rest.to_owned(), bytes);
        }
    }
    let mut cases = Vec::new();
    for (name, files) in folders {
        let Some(text) = files.get("case.json") else { continue };
        let case: Golden = serde_json::from_slice(text).with_context(|| name.clone())?;
        cases.push(match run(&case, &files, &charts) {
            Ok(None) => Case::passed(name),
            Ok(Some(why)) | Err(why) => Case::failed(name, why),
        });
    }
    Ok(Suite { name: "helm-golden".into(), cases })
}

fn run(case: &Golden, files: &Files, charts: &Files) -> Result<Option<String>, String> {
    if !case.args.is_empty() {
        return run_args(case, files, charts);
    }
    let chart = load(charts, &case.chart)?;
    match case.compare.as_str() {
        "output-dir" => output_dir(case, files, &chart),
        "select" => {
            let text = call(case, read_values(files, &case.values)?).text(&chart)?;
            Ok(selected(&case.select, &file(files, &case.expected)?, &text))
        }
        _ => {
            let text = call(case, read_values(files, &case.values)?).text(&chart)?;
            Ok(Case::same("", &file(files, &case.expected)?, &text).failure)
        }
    }
}

fn call(case: &Golden, values: Values) -> Call {
    Call {
        release: case.release.clone(),
        namespace: case.namespace.clone(),
        kube_version: case.kube_version.clone(),
        is_upgrade: case.is_upgrade,
        values,
        ..Call::default()
    }
}

fn file(files: &Files, path: &str) -> Result<String, String> {
    let bytes = files.get(path).ok_or_else(|| format!("no file {path}"))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn read_values(files: &Files, paths: &[String]) -> Result<Values, String> {
    let mut values = Values::new();
    for path in paths {
        let over = Values::parse(&file(files, path)?).map_err(|error| error.to_string())?;
        values.merge(over.unwrap_or_default());
    }
    Ok(values)
}

/// The chart at `path` among all charts' files: a folder, or one of its archives.
fn load(charts: &Files, path: &str) -> Result<Chart, String> {
    let path = path.trim_start_matches("./");
    let found = [path, path.strip_prefix("charts/").unwrap_or(path)].into_iter().find_map(|root| {
        let prefix = format!("{root}/");
        let below: Files = charts
            .iter()
            .filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?.to_owned(), bytes.clone())))
            .collect();
        (!below.is_empty()).then_some(below)
    });
    let files = found.ok_or_else(|| format!("no chart {path}"))?;
    Chart::from_files(files).map_err(|error| error.to_string())
}

/// Compares the one object that `Kind:*:name` selects.
fn selected(select: &str, expected: &str, actual: &str) -> Option<String> {
    let mut parts = select.splitn(3, ':');
    let (kind, _, name) = (parts.next()?, parts.next(), parts.next()?);
    let pick = |text: &str| {
        let documents = yaml::documents(text).ok()?;
        documents.into_iter().find(|object| {
            object.get("kind").and_then(|v| v.as_str()) == Some(kind)
                && object.pointer("/metadata/name").and_then(|v| v.as_str()) == Some(name)
        })
    };
    match (pick(expected), pick(actual)) {
        (Some(expected), Some(actual)) => difference(&expected, &actual, "", false),
        (None, None) => None,
        (expected, _) => {
            Some(format!("{select} is {}", if expected.is_some() { "missing" } else { "too much" }))
        }
    }
}

fn output_dir(case: &Golden, files: &Files, chart: &Chart) -> Result<Option<String>, String> {
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    let groups: Vec<&[String]> = match case.render_each_values_file_alone {
        true => case.values.chunks(1).collect(),
        false => vec![case.values.as_slice()],
    };
    for group in groups {
        let call = call(case, read_values(files, group)?);
        let prefix = format!("{}/templates/", chart.name());
        for (path, text) in call.rendered(chart)?.to_files(&call.output) {
            written.insert(path.strip_prefix(&prefix).unwrap_or(&path).to_owned(), text);
        }
    }
    let normal = |text: &str| -> String {
        let kept =
            text.lines().filter(|line| !case.ignore_lines.iter().any(|part| line.contains(part.as_str())));
        let text = kept.collect::<Vec<_>>().join("\n");
        let mut out = String::new();
        for part in text.split("\n---") {
            out.push_str(part.trim_end());
            out.push_str("\n---");
        }
        out
    };
    for (path, bytes) in files {
        let Some(inner) = path.strip_prefix(&case.expected) else { continue };
        let expected = String::from_utf8_lossy(bytes);
        let Some(actual) = written.get(inner) else { return Ok(Some(format!("{inner} is not written"))) };
        if let Some(why) = Case::same("", &normal(&expected), &normal(actual)).failure {
            return Ok(Some(format!("{inner}\n{why}")));
        }
    }
    Ok(None)
}

/// A case that gives Helm's own arguments.
fn run_args(case: &Golden, files: &Files, charts: &Files) -> Result<Option<String>, String> {
    let mut call = Call {
        release: "release-name".into(),
        namespace: "default".into(),
        kube_version: case.kube_version.clone(),
        ..Call::default()
    };
    let mut chart = String::new();
    let mut settings = Vec::new();
    let mut args = case.args.iter().skip(1);
    while let Some(arg) = args.next() {
        let (flag, inline) =
            arg.split_once('=').map_or((arg.as_str(), None), |(flag, value)| (flag, Some(value)));
        let mut value =
            || inline.map(str::to_owned).or_else(|| args.next().cloned()).ok_or("a value is missing");
        match flag {
            "-f" | "--values" => {
                let path = value()?;
                let text =
                    file(charts, &path).or_else(|_| file(charts, path.trim_start_matches("charts/")))?;
                call.values.merge(Values::parse(&text).map_err(|e| e.to_string())?.unwrap_or_default());
            }
            "--set" => settings.push(value()?),
            "--show-only" => call.output.show_only.push(value()?),
            "--kube-version" => call.kube_version = Some(value()?),
            "--name-template" => {
                call.release = helm::release_name(&value()?, &super::world()).map_err(|e| e.to_string())?;
            }
            "--include-crds" => call.output.include_crds = true,
            "--debug" => {}
            other => chart = other.to_owned(),
        }
    }
    for setting in settings {
        call.values.set(&setting).map_err(|error| error.to_string())?;
    }
    let expected = file(files, &case.expected)?;
    let chart = load(charts, &chart)?;
    match (call.text(&chart), case.want_error) {
        (Err(_), true) => Ok(None),
        (Ok(_), true) => Ok(Some("an error is expected".into())),
        (Err(error), false) => Err(error),
        // Helm 4, which wrote these, keeps other blank lines than Helm 3.
        (Ok(text), false) if text == expected => Ok(None),
        (Ok(text), false) => Ok(compare_objects(&expected, &text, false)),
    }
}
