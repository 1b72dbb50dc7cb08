//! `helm-charts`: published charts under many values, beside Helm's own output.

use super::{Call, Case, Folders, Suite, compare_objects, folders};
use anyhow::Context as _;
use helm::{Chart, TemplateOptions, Values};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Expected {
    chart: String,
    values: Option<String>,
    case: String,
    exit: i32,
    deterministic: bool,
    #[serde(default)]
    error: String,
}

/// Runs the suite in `dir`.
pub fn suite(dir: &Path) -> anyhow::Result<Suite> {
    let charts = folders(testkit::untar_zst(&dir.join("charts.tar.zst")), 1);
    let outputs = testkit::untar_zst(&dir.join("expected.tar.zst"));
    let expected = std::fs::read_to_string(dir.join("expected.json"))?;
    let expected: Vec<Expected> = serde_json::from_str(&expected).context("expected.json")?;
    let mut cases = Vec::new();
    for case in &expected {
        let output = outputs.iter().find(|(path, _)| {
            path.trim_start_matches("./").strip_suffix(".yaml") == Some(case.case.as_str())
        });
        let output = output.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
        cases.push(run(&charts, case, output.as_deref().unwrap_or_default()));
    }
    Ok(Suite { name: "helm-charts".into(), cases })
}

fn run(charts: &Folders, case: &Expected, output: &str) -> Case {
    let name = case.case.as_str();
    match (render(charts, case), case.exit) {
        (Ok(text), 0) if case.deterministic => Case::same(name, output, &text),
        (Ok(text), 0) => match compare_objects(output, &text, true) {
            None => Case::passed(name),
            Some(difference) => Case::failed(name, difference),
        },
        (Ok(_), code) => Case::failed(name, format!("Helm fails with {code}: {}", case.error)),
        (Err(error), 0) => Case::failed(name, format!("Error: {error}")),
        (Err(error), _) => {
            let wanted = case.error.split_once("Error: ").map_or(case.error.as_str(), |(_, text)| text);
            Case::same(name, wanted.trim_end(), error.trim_end())
        }
    }
}

fn render(charts: &Folders, case: &Expected) -> Result<String, String> {
    let files = charts.get(&case.chart).ok_or("no such chart")?;
    let mut values = Values::new();
    if let Some(path) = &case.values {
        let text = files.get(path).ok_or_else(|| format!("no file {path}"))?;
        let text = String::from_utf8_lossy(text);
        values = Values::parse(&text).map_err(|error| error.to_string())?.unwrap_or_default();
    }
    let chart = Chart::from_files(files.clone()).map_err(|error| error.to_string())?;
    let call = Call {
        release: "rel".into(),
        namespace: "ns".into(),
        kube_version: Some("1.34.0".into()),
        values,
        output: TemplateOptions { include_crds: true, ..TemplateOptions::default() },
        ..Call::default()
    };
    call.text(&chart)
}
