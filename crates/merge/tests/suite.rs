//! Structured merge against the tables of Kubernetes' own implementation.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod structured;

#[test]
fn structured_merge_cases() {
    let Some(path) = testkit::shared("suites/ssa-merge/cases.json") else { return };
    let outcomes = structured::outcomes(&path);
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {} fail\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}
