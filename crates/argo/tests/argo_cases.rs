//! Argo CD's own cases.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod applicationset;

#[test]
fn applicationset_cases() {
    let Some(path) = testkit::shared("suites/argocd-applicationset/cases.json") else { return };
    let outcomes = applicationset::run(&path);
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {} fail\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}
