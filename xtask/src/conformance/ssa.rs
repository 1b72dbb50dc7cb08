//! Area `ssa`: server-side apply, by the tables of Kubernetes' own structured merge.

use super::{Case, Suite};
use std::path::Path;

#[path = "../../../crates/merge/tests/structured/mod.rs"]
mod structured;

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    Ok(Case::table(dir, "ssa-merge/cases.json", structured::outcomes).into_iter().collect())
}
