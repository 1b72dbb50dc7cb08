//! What is told of Argo CD without a cluster: `landfall render` and `landfall rbac`.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

fn put(folder: &Path, file: &str, text: &str) -> String {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn applications_and_jsonnet_are_rendered_from_a_checkout() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let program = "{apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'of-jsonnet'}}\n";
    let jsonnet = put(at, "programs/map.jsonnet", program);
    put(at, "app/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n");
    put(at, "app/kustomization.yaml", "resources: [map.yaml]\n");
    let source = |path: &str, more: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web}}\nspec:\n  source: \
             {{repoURL: 'https://git.example.com/a', path: {path}{more}}}\n"
        )
    };
    let good = put(at, "good.yaml", &source("app", ", kustomize: {namePrefix: pre-}"));
    let bad = put(at, "bad.yaml", &source("nowhere", ""));
    let render = |path: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_landfall"))
            .args(["render", "-o", "name", path])
            .output()
            .expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    assert_eq!(render(&good).1, "configmap/pre-plain\n");
    assert_eq!(render(&jsonnet).1, "configmap/of-jsonnet\n");
    assert_eq!(render(&at.join("programs").display().to_string()).1, "configmap/of-jsonnet\n");
    let (code, _, why) = render(&bad);
    assert!(code != Some(0) && why.contains("app path does not exist"), "{why}");
}

#[test]
fn policies_tell_who_may_do_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = "p, role:dev, applications, sync, shop/*, allow\np, role:dev, applications, sync, shop/db, deny\n\
                 g, team, role:dev\n";
    let csv = put(folder.path(), "policy.csv", lines);
    let map = format!(
        "kind: ConfigMap\ndata:\n  policy.default: role:readonly\n  policy.csv: |\n    {}",
        lines.replace('\n', "\n    ")
    );
    let map = put(folder.path(), "argocd-rbac-cm.yaml", map.trim_end());
    let wrong = put(folder.path(), "wrong.csv", "p, a, b\n");
    let ask = |words: &[&str]| {
        let out =
            Command::new(env!("CARGO_BIN_EXE_landfall")).arg("rbac").args(words).output().expect("runs");
        let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        (out.status.code().unwrap_or(-1), said)
    };
    let can = |words: &[&str], file: &str| ask(&[&["can"], words, &["--policy-file", file]].concat());
    assert_eq!(can(&["team", "sync", "app", "shop/web"], &csv), (0, "Yes".into()));
    assert_eq!(can(&["team", "sync", "app", "shop/db"], &csv), (1, "No".into()));
    assert_eq!(can(&["anybody", "get", "app"], &csv), (1, "No".into()));
    assert_eq!(can(&["anybody", "get", "app"], &map), (0, "Yes".into()));
    assert_eq!(can(&["me", "sync", "app", "shop/web", "--group", "team", "-q"], &csv), (0, String::new()));
    assert_eq!(can(&["admin", "delete", "cluster"], &csv), (0, "Yes".into()));
    assert_eq!(can(&["admin", "delete", "cluster", "--use-builtin-policy", "false"], &csv), (1, "No".into()));
    assert_eq!(can(&["admin", "fly", "cluster"], &csv).0, 2);
    assert_eq!(ask(&["validate", "--policy-file", &csv]), (0, "Policy is valid.".into()));
    assert_eq!(ask(&["validate", "--policy-file", &wrong]).0, 1);
    assert_eq!(ask(&["validate"]).0, 2);
}
