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
        ("check --pre", "prerequisites checks passed"),
        ("debug kustomization apps --show-status", "reason: ReconciliationSucceeded"),
        ("debug kustomization apps --show-history", "lastReconciledStatus: ReconciliationSucceeded"),
        ("debug helmrelease hello -n shop --show-values", "greeting: Hello"),
        ("trace helmrelease hello -n shop", "Kustomization:   apps"),
        ("events --for HelmRelease/hello -n shop", "InstallSucceeded"),
        ("reconcile helmrelease hello -n shop --with-source --timeout 30s", "applied revision 0.1.0"),
        (
            "create source helm static --url=oci://registry.example.com/x --timeout 20s",
            "reconciliation completed",
        ),
        (
            "create source chart one --source GitRepository/flux-system --chart ./charts/hello --timeout 30s",
            "fetched revision: 0.1.0",
        ),
        ("reconcile source chart one --timeout 20s", "fetched revision 0.1.0"),
        ("suspend source chart one", "source chart suspended"),
        ("resume source chart one --timeout 20s", "fetched revision 0.1.0"),
        ("create alert-provider listener --type generic --address http://127.0.0.1:1", "is ready"),
        ("create alert all --provider-ref listener --event-source Kustomization/*", "is ready"),
        ("create image repository app --image registry.example.com/app --timeout 20s", "completed"),
        ("reconcile image repository app --timeout 20s", "scan fetched 0 tags"),
        ("create image policy app --image-ref app --select-semver 1.x --timeout 20s", "completed"),
        ("create secret git login --url https://example.com/x --username a --password b", "created"),
        ("create tenant team --with-namespace team-one", "tenant setup completed"),
        ("export alert --all", "kind: Alert"),
        ("get alerts", "Alert is Ready"),
        ("get images all", "imagepolicy/app"),
        ("delete image policy app -s", "image policy deleted"),
        ("delete image repository app -s", "image repository deleted"),
        ("delete alert all -s", "alert deleted"),
        ("delete alert-provider listener -s", "alert provider deleted"),
        ("delete source chart one -s", "source chart deleted"),
        ("delete source helm static -s", "source helm deleted"),
    ] {
        let answer = flux(arguments);
        assert!(answer.contains(wanted), "flux {arguments}: {wanted} is not in\n{answer}");
    }
    // What a folder would change is told by the real program, too.
    let another = quickstart();
    let apps = another.path().join("apps/dev");
    let diff = || {
        let line = format!("diff kustomization apps --path {} --progress-bar=false", apps.display());
        let mut command = Command::new(&program);
        command.args(line.split(' ')).env("KUBECONFIG", state.path().join("kubeconfig"));
        command.output().expect("flux runs")
    };
    let same = diff();
    assert!(same.status.success(), "nothing differs: {}", said(&same));
    let more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more, namespace: shop}\n";
    std::fs::write(apps.join("more.yaml"), more).expect("written");
    let kustomization = apps.join("kustomization.yaml");
    let text = std::fs::read_to_string(&kustomization).expect("there");
    std::fs::write(&kustomization, text.replace("resources:", "resources:\n  - more.yaml")).expect("written");
    let other = diff();
    let told = said(&other);
    assert!(other.status.code() == Some(1) && told.contains("ConfigMap/shop/more created"), "{told}");
}
