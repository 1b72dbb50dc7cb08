//! Area `argo`: Argo CD's own cases.

use super::{Case, Suite};
use std::path::Path;

#[path = "../../../crates/health/tests/argo/mod.rs"]
mod cases;

#[path = "../../../crates/argo/tests/applicationset/mod.rs"]
mod applicationset;

#[path = "../../../crates/argo/tests/differences/mod.rs"]
mod differences;

/// Every suite of the area that is below `dir`.
pub fn suites(dir: &Path) -> anyhow::Result<Vec<Suite>> {
    let mut suites: Vec<Suite> =
        Case::table(dir, "argocd-health/cases.json", cases::health).into_iter().collect();
    suites.extend(Case::table(dir, "argocd-applicationset/cases.json", applicationset::run));
    let pairs = dir.join("argocd-testdata/argo-cd/gitops-engine_pkg_diff_testdata");
    if pairs.is_dir() {
        suites
            .push(Suite { name: "argocd-testdata/diff".into(), cases: Case::all(differences::run(&pairs)) });
        let asked = differences::server_side(&pairs);
        suites.push(Suite { name: "argocd-testdata/server-side diff".into(), cases: Case::all(asked) });
    }
    let lua = dir.join("argocd-lua/cases");
    if lua.is_dir() {
        suites.push(Suite { name: "argocd-lua/health".into(), cases: Case::all(cases::lua_health(&lua)) });
        suites.push(Suite { name: "argocd-lua/actions".into(), cases: Case::all(cases::lua_actions(&lua)) });
    }
    Ok(suites)
}
