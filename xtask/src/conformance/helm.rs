//! Area `helm`: charts, golden renderings, and the tables of Helm's own tests.

mod charts;
mod golden;
mod tables;

use super::{Case, Suite};
use helm::{Capabilities, Chart, KubeVersion, NoCluster, RenderOptions, TemplateOptions, Values};
use std::collections::BTreeMap;
use std::path::Path;

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let mut out = Vec::new();
    if dir.join("helm-charts").is_dir() {
        out.push(charts::suite(&dir.join("helm-charts"))?);
    }
    if dir.join("helm-golden").is_dir() {
        out.push(golden::suite(&dir.join("helm-golden"))?);
    }
    if dir.join("unit-tables").is_dir() {
        out.extend(tables::suites(&dir.join("unit-tables"))?);
    }
    Ok(out)
}

/// The files of an archive by their first folder, then by path below it.
type Folders = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Sorts files into folders by the first `depth` parts of their paths.
fn folders(files: BTreeMap<String, Vec<u8>>, depth: usize) -> Folders {
    let mut out = Folders::new();
    for (path, bytes) in files {
        let path = path.trim_start_matches("./");
        let at = path.match_indices('/').nth(depth - 1).map(|(at, _)| at);
        if let Some((folder, rest)) = at.map(|at| path.split_at(at)) {
            out.entry(folder.to_owned()).or_default().insert(rest[1..].to_owned(), bytes);
        }
    }
    out
}

/// One invocation of `helm template`.
#[derive(Default)]
struct Call {
    release: String,
    namespace: String,
    kube_version: Option<String>,
    values: Values,
    is_upgrade: bool,
    output: TemplateOptions,
}

impl Call {
    /// Renders as `helm template` would; the error is what it prints after `Error: `.
    fn rendered(&self, chart: &Chart) -> Result<helm::Rendered, String> {
        let mut capabilities = Capabilities::default();
        if let Some(version) = &self.kube_version {
            capabilities.kube_version = KubeVersion::parse(version).map_err(|error| error.to_string())?;
        }
        let options = RenderOptions {
            release_name: self.release.clone(),
            namespace: self.namespace.clone(),
            is_install: !self.is_upgrade,
            is_upgrade: self.is_upgrade,
            capabilities,
            ..RenderOptions::default()
        };
        helm::render(chart, &self.values, &options, &world()).map_err(|error| command_error(&error))
    }

    /// The text that it would print.
    fn text(&self, chart: &Chart) -> Result<String, String> {
        self.rendered(chart)?.to_template(&self.output).map_err(|error| error.to_string())
    }
}

/// What the command adds to an error of the rendering itself.
fn command_error(error: &helm::Error) -> String {
    match error.stage {
        helm::Stage::Template | helm::Stage::Manifest | helm::Stage::KubeVersion => {
            format!("{error}\n\nUse --debug flag to render out invalid YAML")
        }
        _ => error.to_string(),
    }
}

/// Time stands still and random bytes repeat: a suite gives the same answer each time.
fn world() -> NoCluster {
    NoCluster::new("2026-01-02T03:04:05Z".parse().unwrap_or_default(), [7; 32])
}

/// Two outputs as objects: `None` when they are the same, with `forgive` for fields that are random.
fn compare_objects(expected: &str, actual: &str, forgive: bool) -> Option<String> {
    let read = |text: &str| yaml::documents(text).map_err(|error| error.to_string());
    let (expected, actual) = match (read(expected), read(actual)) {
        (Ok(expected), Ok(actual)) => (expected, actual),
        (Err(error), _) => return Some(format!("expected output: {error}")),
        (_, Err(error)) => return Some(format!("actual output: {error}")),
    };
    if expected.len() != actual.len() {
        return Some(format!("{} objects expected, {} found", expected.len(), actual.len()));
    }
    let differences: Vec<String> = expected
        .iter()
        .zip(&actual)
        .filter_map(|(expected, actual)| difference(expected, actual, "", forgive))
        .collect();
    (!differences.is_empty()).then(|| differences.join("\n"))
}

/// The first difference of two values.
fn difference(
    expected: &serde_json::Value,
    actual: &serde_json::Value,
    place: &str,
    forgive: bool,
) -> Option<String> {
    use serde_json::Value::{Array, Object, String as Text};
    match (expected, actual) {
        (Object(a), Object(b)) if a.keys().eq(b.keys()) => a
            .iter()
            .find_map(|(key, value)| difference(value, b.get(key)?, &format!("{place}/{key}"), forgive)),
        (Array(a), Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(at, (a, b))| difference(a, b, &format!("{place}/{at}"), forgive)),
        (Text(_), Text(_)) if forgive => None,
        (a, b) if a == b => None,
        (a, b) => Some(format!("{place}: {a} expected, {b} found")),
    }
}
