//! The tables of kstatus and of Flux's CEL package.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod tables;

fn report(outcomes: &[tables::Outcome]) {
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {} fail\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}

#[test]
fn kstatus_cases() {
    let Some(path) = testkit::shared("suites/kstatus/kstatus.json") else { return };
    report(&tables::kstatus(&path));
}

#[test]
fn flux_cel_cases() {
    let Some(path) = testkit::shared("suites/unit-tables/flux-cel.json") else { return };
    report(&tables::flux_cel(&path));
}
