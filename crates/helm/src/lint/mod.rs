//! `helm lint`: what is wrong with a chart before anybody installs it.

mod chartfile;
mod templates;

use crate::chart::Chart;
use crate::error::Result;
use crate::render::World;
use crate::values::Values;
use crate::values::coalesce::{from_values, merge_tables, table};
use crate::{KubeVersion, schema};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// It works, against convention.
    Warning,
    /// It will not work.
    Error,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// The file, or the folder.
    pub path: String,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        };
        write!(f, "[{word}] {}: {}", self.path, self.text)
    }
}

/// What is looked at.
pub struct Input<'i> {
    /// The chart's files.
    pub files: &'i BTreeMap<String, Vec<u8>>,
    /// Where the chart is, for messages.
    pub folder: &'i str,
    /// The user's values.
    pub values: &'i Values,
    /// The namespace it would be installed into.
    pub namespace: &'i str,
    /// The Kubernetes version that deprecations are judged by.
    pub kube_version: Option<&'i KubeVersion>,
    /// Whether values that break `values.schema.json` are let through.
    pub skip_schema_validation: bool,
}

impl Input<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn chart(&self) -> Result<Chart> {
        Chart::from_files(self.files.clone())
    }
}

/// What was found.
#[derive(Default)]
pub struct Findings {
    /// What is to be said of the chart, in Helm's order.
    pub messages: Vec<Message>,
    /// What `required` and `fail` let pass, which they would not in an install.
    pub notes: Vec<String>,
}

impl Findings {
    fn add(&mut self, severity: Severity, path: &str, text: impl Into<String>) {
        self.messages.push(Message { severity, path: path.to_owned(), text: text.into() });
    }

    /// Adds the error, if it is one; `true` when it is not.
    fn check(&mut self, severity: Severity, path: &str, result: Result<(), String>) -> bool {
        match result {
            Ok(()) => true,
            Err(text) => {
                self.add(severity, path, text);
                false
            }
        }
    }
}

/// All findings.
pub fn lint(input: &Input<'_>, world: &dyn World) -> Findings {
    let mut findings = Findings::default();
    chartfile::check(input, &mut findings);
    check_values(input, &mut findings);
    templates::check(input, world, &mut findings);
    check_dependencies(input, &mut findings);
    findings
}

fn check_values(input: &Input<'_>, findings: &mut Findings) {
    const FILE: &str = "values.yaml";
    let Some(text) = input.text(FILE) else {
        findings.add(Severity::Info, FILE, "file does not exist");
        return;
    };
    let result = Values::parse(&text).map_err(|error| unreadable(&error.to_string())).and_then(|values| {
        let over = from_values(input.values);
        let combined = table();
        merge_tables(&combined, &over, "", false, &mut Vec::new());
        merge_tables(&combined, &from_values(&values.unwrap_or_default()), "", false, &mut Vec::new());
        match input.files.get("values.schema.json").filter(|schema| !schema.is_empty()) {
            Some(schema) => schema::check_one(schema, &combined),
            None => Ok(()),
        }
    });
    findings.check(Severity::Error, FILE, result);
}

/// Lint reads values into a type with a name of its own.
fn unreadable(text: &str) -> String {
    let text = text.replace("Go value of type map[string]interface {}", "Go value of type chartutil.Values");
    format!("unable to parse YAML: {text}")
}

fn check_dependencies(input: &Input<'_>, findings: &mut Findings) {
    let chart = match input.chart() {
        Ok(chart) => chart,
        Err(error) => {
            findings.add(Severity::Error, "", format!("unable to load chart\n\t{error}"));
            return;
        }
    };
    let declared: BTreeSet<&str> = chart.metadata.dependencies.iter().map(|d| d.name.as_str()).collect();
    let present: BTreeSet<&str> = chart.dependencies.iter().map(Chart::name).collect();
    let names = |names: Vec<&str>| names.join(",");
    let undeclared: Vec<&str> =
        chart.dependencies.iter().map(Chart::name).filter(|n| !declared.contains(n)).collect();
    if !undeclared.is_empty() {
        let text = format!("chart metadata is missing these dependencies: {}", names(undeclared));
        findings.add(Severity::Error, input.folder, text);
    }
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = chart
        .metadata
        .dependencies
        .iter()
        .map(|d| d.local_name())
        .filter(|name| !seen.insert(*name))
        .collect();
    if !twice.is_empty() {
        let text = format!("multiple dependencies with name or alias: {}", names(twice));
        findings.add(Severity::Error, input.folder, text);
    }
    let missing: Vec<&str> = chart
        .metadata
        .dependencies
        .iter()
        .map(|d| d.name.as_str())
        .filter(|n| !present.contains(n))
        .collect();
    if !missing.is_empty() {
        let text = format!("chart directory is missing these dependencies: {}", names(missing));
        findings.add(Severity::Warning, input.folder, text);
    }
}
