//! Argo CD's own cases.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod applicationset;
mod differences;

#[test]
fn applicationset_cases() {
    let Some(path) = testkit::shared("suites/argocd-applicationset/cases.json") else { return };
    check(applicationset::run(&path));
}

#[test]
fn what_does_not_differ() {
    let pairs = "suites/argocd-testdata/argo-cd/gitops-engine_pkg_diff_testdata";
    let Some(path) = testkit::shared(pairs) else { return };
    // Their versions are served by nobody any more, so their types are not known and lists are taken as a whole.
    let gone = ["elasticsearch", "mutatingwebhookconfig"];
    check(differences::run(&path).into_iter().filter(|(name, _)| !gone.contains(&name.as_str())).collect());
}

#[test]
fn what_the_server_says_would_change() {
    let pairs = "suites/argocd-testdata/argo-cd/gitops-engine_pkg_diff_testdata";
    let Some(path) = testkit::shared(pairs) else { return };
    check(differences::server_side(&path));
}

fn check(outcomes: Vec<(String, Result<(), String>)>) {
    assert!(outcomes.len() > 5, "{}", outcomes.len());
    let failed: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| Some(format!("{name}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(failed.is_empty(), "{} of {} fail\n{}", failed.len(), outcomes.len(), failed.join("\n"));
}
