//! The real `flux` program, where it is installed, against a repository that we brought up: the verbs that only use the
//! Kubernetes API.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{Up, quickstart, said};
use std::process::Command;

#[test]
fn the_real_flux_program_works_on_what_we_reconcile() {
    let Some(program) = testkit::kube::peer("flux") else {
        eprintln!("skipped: flux is not installed (LANDFALL_PEERS, PATH)");
        return;
    };
    let (repository, state) = (quickstart(), tempfile::tempdir().expect("a folder"));
    let up = Up::start(repository.path(), "clusters/dev", state.path(), &["--port", "0"]);
    up.wait_ready(6);
    let flux = |arguments: &str| {
        let output = Command::new(&program)
            .args(arguments.split(' '))
            .env("KUBECONFIG", state.path().join("kubeconfig"))
            .output()
            .expect("flux runs");
        assert!(output.status.success(), "flux {arguments}: {}", said(&output));
        said(&output)
    };
    for (arguments, wanted) in [
        ("get all -A", "kustomization/infrastructure"),
        ("get kustomizations -A", "Applied revision: main@sha1:"),
        ("get sources git -A", "stored artifact for revision"),
        ("get helmreleases -A", "Helm install succeeded for release shop/hello.v1"),
        ("reconcile source git flux-system --timeout 30s", "fetched revision main@sha1:"),
        ("reconcile kustomization apps --with-source --timeout 30s", "applied revision main@sha1:"),
        ("reconcile helmrelease hello -n shop --timeout 30s", "applied revision 0.1.0"),
        ("suspend kustomization apps", "kustomization suspended"),
        ("get kustomization apps", "True"),
        ("resume kustomization apps --timeout 30s", "Kustomization apps reconciliation completed"),
        ("suspend helmrelease hello -n shop", "helmrelease suspended"),
        ("resume helmrelease hello -n shop --timeout 30s", "HelmRelease hello reconciliation completed"),
        ("tree kustomization flux-system", "Deployment/shop/hello"),
        ("trace configmap settings -n shop", "Managed by Flux"),
        ("trace deployment hello -n shop", "HelmRelease"),
        ("events -A", "ReconciliationSucceeded"),
        ("export kustomization --all", "kind: Kustomization"),
        ("export source git --all", "kind: GitRepository"),
        ("stats -A", "Kustomization"),
    ] {
        let answer = flux(arguments);
        assert!(answer.contains(wanted), "flux {arguments}: {wanted} is not in\n{answer}");
    }
}
