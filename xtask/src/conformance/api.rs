//! Area `api`: the embedded API beside kube-apiserver, by recorded requests and by Flux's tables of what an apply
//! sends. The requests are those of the crate itself; a folder `api-requests` of the same layout below the suites
//! is replayed too.

use super::{Case, Suite};
use object::{Value, selector::TargetSelector};
use std::path::Path;

#[path = "../../../crates/apiserver/tests/recorded/mod.rs"]
mod recorded;

const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/apiserver/testdata");

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut suites = Vec::new();
    for (name, folder) in [("api-requests", dir.join("api-requests")), ("requests", OWN.into())] {
        if folder.is_dir() {
            let outcomes = runtime.block_on(recorded::outcomes(&folder));
            suites.push(Suite { name: name.to_owned(), cases: Case::all(outcomes) });
        }
    }
    suites.extend(Case::table(dir, "unit-tables/flux-ssa.json", flux_ssa));
    Ok(suites)
}

/// What Flux's client makes of an object before it applies it, and which objects it leaves alone.
fn flux_ssa(path: &Path) -> Vec<(String, Result<(), String>)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut outcomes = Vec::new();
    for case in table["cases"].as_array().into_iter().flatten() {
        let found = match case["fn"].as_str() {
            Some("normalize") => {
                let mut object = case["object"].clone();
                let result = schema::native::normalize_applied(&mut object);
                result.map(|_| object).map_err(|error| error.to_string())
            }
            Some("selector") => TargetSelector::parse(&case["selector"])
                .map(|selector| selector.matches(&case["object"]).into())
                .map_err(|error| error.to_string()),
            other => Err(format!("no such function: {other:?}")),
        };
        let name = case["id"].as_str().unwrap_or_default().to_owned();
        let wanted = &case["expected"];
        outcomes.push(match found {
            Ok(found) if found == *wanted => (name, Ok(())),
            other => (name, Err(format!("{other:?}, wanted {wanted}"))),
        });
    }
    outcomes
}
