//! Objects that kubectl and helm brought are taken over after a proof that nothing would change, and given up again.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{Up, run, said};
use std::path::Path;
use std::process::{Command, Stdio};

const APP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\ndata: {color: blue}\n\
    ---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop, namespace: shop}\nspec:\n  replicas: 1\n  \
    selector: {matchLabels: {app: shop}}\n  template:\n    metadata: {labels: {app: shop}}\n    spec: \
    {containers: [{name: shop, image: 'example.com/shop:1', resources: {requests: {cpu: 1000m}}}]}\n";

const UNITS: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
    metadata: {name: apps, namespace: flux-system}\nspec: {interval: 10m, path: ./apps, prune: true, suspend: true, \
    sourceRef: {kind: GitRepository, name: flux-system}}\n---\napiVersion: helm.toolkit.fluxcd.io/v2\n\
    kind: HelmRelease\nmetadata: {name: web, namespace: flux-system}\nspec:\n  interval: 10m\n  suspend: true\n  \
    releaseName: web\n  targetNamespace: shop\n  storageNamespace: shop\n  chart: {spec: {chart: ./charts/web, \
    sourceRef: {kind: GitRepository, name: flux-system}}}\n";

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("written");
}

#[test]
fn what_kubectl_and_helm_brought_is_taken_over_and_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let repository = folder.path();
    write(repository, "clusters/main/shop.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    write(repository, "apps/app.yaml", APP);
    write(repository, "charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\ndata: {color: red}\n";
    write(repository, "charts/web/templates/map.yaml", template);
    harness::commit(repository);
    let state = tempfile::tempdir().expect("a folder");
    let up = Up::start(repository, "clusters/main", &state.path().join("state"), &[]);
    up.wait_ready(2);
    let shown = up.state.to_string_lossy().into_owned();
    let units = state.path().join("units.yaml");
    std::fs::write(&units, UNITS).expect("written");
    let units = units.to_string_lossy().into_owned();
    let app = repository.join("apps/app.yaml").to_string_lossy().into_owned();
    assert!(up.kubectl(&["apply", "-f", &units]).contains("created"));
    assert!(up.kubectl(&["apply", "-f", &app]).contains("created"));
    up.kubectl(&["-n", "shop", "patch", "cm", "settings", "--type=merge", "-p", r#"{"data":{"extra":"x"}}"#]);
    let kubeconfig = up.state.join("kubeconfig");
    let installed = Command::new(env!("CARGO_BIN_EXE_landfall"))
        .args(["helm", "install", "web", "charts/web", "-n", "shop"])
        .current_dir(repository)
        .env("KUBECONFIG", &kubeconfig)
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    assert!(installed.status.success(), "{}", said(&installed));

    // What somebody set and the source does not have would go: it is said, and nothing is done.
    let refused = run(&["adopt", "kustomization/apps", "--state", &shown]);
    let text = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("ConfigMap/shop/settings would change: data.extra (fields of"), "{text}");
    assert!(text.contains("Deployment/shop/shop is the same"), "{text}");
    let owner = ["-n", "shop", "get", "cm", "settings", "--show-managed-fields", "-o", "yaml"];
    assert!(up.kubectl(&owner).contains("kubectl-client-side-apply"));

    // The source has it, too: now nothing would change, and the fields become the unit's.
    harness::edit(&repository.join("apps/app.yaml"), "{color: blue}", "{color: blue, extra: x}");
    harness::commit_again(repository);
    run(&["reconcile", "gitrepository/flux-system", "--state", &shown]);
    let adopted = run(&["adopt", "kustomization/apps", "--state", &shown]);
    assert!(adopted.status.success(), "{}", said(&adopted));
    up.wait_kubectl(&owner, |text| {
        text.contains("manager: kustomize-controller")
            && text.contains("kustomize.toolkit.fluxcd.io/name: apps")
            && !text.contains("manager: kubectl")
            && !text.contains("last-applied")
    });
    let adopted = run(&["adopt", "helmrelease/web", "-o", "json", "--state", &shown]);
    assert!(adopted.status.success() && said(&adopted).contains(r#""same":true"#), "{}", said(&adopted));
    let owner_of_web = ["-n", "shop", "get", "cm", "web", "--show-managed-fields", "-o", "yaml"];
    up.wait_kubectl(&owner_of_web, |text| {
        text.contains("manager: helm-controller") && text.contains("helm.toolkit.fluxcd.io/name: web")
    });

    // And back: everything stays, and is nobody's.
    up.wait_ready(4);
    let given_up = run(&["orphan", "kustomization/apps", "--delete", "--state", &shown]);
    assert!(given_up.status.success(), "{}", said(&given_up));
    let text = up.kubectl(&owner);
    assert!(text.contains("extra: x"), "{text}");
    assert!(
        !text.contains("kustomize-controller") && !text.contains("kustomize.toolkit.fluxcd.io"),
        "{text}"
    );
    let given_up = run(&["orphan", "hr/web", "--state", &shown]);
    assert!(given_up.status.success(), "{}", said(&given_up));
    let text = up.kubectl(&owner_of_web);
    assert!(text.contains("meta.helm.sh/release-name: web") && !text.contains("helm-controller"), "{text}");
    assert!(up.kubectl(&["-n", "shop", "get", "secrets"]).contains("sh.helm.release.v1.web.v"));
}
