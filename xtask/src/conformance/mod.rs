//! The peers' suites, run through the crates' public functions or the released binary.
//!
//! An area is a module with `pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>>`; adding one is that
//! module and a row in [`AREAS`]. A suite that is not below the folder is left out and said so.

mod api;
mod argo;
mod clients;
/// The disk as a world for kustomizations; the crate's own tests have it.
#[path = "../../../crates/kustomize/tests/common/mod.rs"]
pub mod disk;
mod gotemplate;
mod health;
mod helm;
mod kubernetes;
mod kustomize;
mod report;
mod ssa;
mod yaml;

pub use report::{Case, Suite};

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// `cargo xtask conformance AREA`.
#[derive(clap::Args)]
pub struct Args {
    /// The area (`all` for every one).
    area: String,
    /// The folder that holds the suites.
    #[arg(long, default_value = "../shared/suites")]
    suites: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Print every failure with a diff.
    #[arg(short, long)]
    verbose: bool,
    /// Run only the cases whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

/// An area: its name and what runs it.
type Area = (&'static str, fn(&Path) -> anyhow::Result<Vec<Suite>>);

const AREAS: &[Area] = &[
    ("yaml", yaml::suites),
    ("gotemplate", gotemplate::suites),
    ("helm", helm::suites),
    ("kustomize", kustomize::suites),
    ("ssa", ssa::suites),
    ("health", health::suites),
    ("api", api::suites),
    ("argo", argo::suites),
    ("kubernetes", kubernetes::suites),
    ("clients", clients::suites),
];

/// Runs an area. `false` when something fails that `docs/conformance.md` does not name.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    if !args.suites.is_dir() {
        bail!("{}: no such folder; give one with --suites DIR", args.suites.display());
    }
    let known = known_failures().context("docs/conformance.md")?;
    let all = |name: &str| args.area == "all" && !matches!(name, "kubernetes" | "clients");
    let areas: Vec<&Area> = AREAS.iter().filter(|(name, _)| all(name) || *name == args.area).collect();
    if areas.is_empty() {
        let names: Vec<&str> = AREAS.iter().map(|(name, _)| *name).collect();
        bail!("no area named {}: there are {} and all", args.area, names.join(", "));
    }
    let mut suites = Vec::new();
    for (_, run) in areas {
        suites.extend(run(&args.suites)?);
    }
    if let Some(only) = &args.only {
        for suite in &mut suites {
            suite.cases.retain(|case| case.name.contains(only.as_str()));
        }
    }
    Ok(report::print(&suites, &known, args.json, args.verbose))
}

/// Names of the exceptions that `docs/conformance.md` lists: `- suite: case: reason`.
fn known_failures() -> anyhow::Result<Vec<(String, String)>> {
    let path = Path::new("docs/conformance.md");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path)?;
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix("- `"))
        .filter_map(|line| line.split_once('`'))
        .filter_map(|(name, _)| name.split_once(": "))
        .map(|(suite, case)| (suite.to_owned(), case.to_owned()))
        .collect())
}
