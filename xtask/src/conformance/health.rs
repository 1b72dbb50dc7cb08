//! Area `health`: what a state of an object means.

use super::{Case, Suite};
use std::path::Path;

#[path = "../../../crates/health/tests/tables/mod.rs"]
mod tables;

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let suites = [
        Case::table(dir, "kstatus/kstatus.json", tables::kstatus),
        Case::table(dir, "unit-tables/flux-cel.json", tables::flux_cel),
    ];
    Ok(suites.into_iter().flatten().collect())
}
