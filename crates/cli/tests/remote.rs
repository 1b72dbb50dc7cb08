//! Sources over the network: registries, chart repositories and Git servers on loopback.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{Up, landfall, said};
use serde_json::Value;
use std::path::Path;
use testkit::remotes::{Access, ChartRepository, GitServer, Registry, git};

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
    std::fs::write(file, text).expect("written");
}

/// The Flux project's example, its charts from a real registry and a real chart repository.
#[test]
fn the_flux_example_comes_up_from_mirrors() {
    let Some(folder) = harness::flux_example() else { return };
    let Some(charts) = testkit::shared("charts") else { return };
    let archive = |file: &str| std::fs::read(charts.join(file)).expect("a chart");
    let registry = Registry::start(Access::Open);
    // Older and newer versions stand beside the wanted one: the ranges choose.
    let (cert, gateway) = (archive("cert-manager-v1.20.2.tgz"), archive("gateway-helm-v1.8.0.tgz"));
    for version in ["v1.19.0", "v1.20.2", "v2.0.0"] {
        registry.push_chart("jetstack/charts/cert-manager", version, &cert);
    }
    for version in ["v1.7.0", "v1.8.0"] {
        registry.push_chart("envoyproxy/gateway-helm", version, &gateway);
    }
    let repository = ChartRepository::start(Access::Open);
    repository.push("podinfo", "6.14.1", &archive("podinfo-6.14.1.tgz"));
    let maps = [
        format!("oci://quay.io/jetstack=oci://{}/jetstack", registry.host()),
        format!("oci://docker.io/envoyproxy/gateway-helm=oci://{}/envoyproxy/gateway-helm", registry.host()),
        format!("https://stefanprodan.github.io/podinfo={}", repository.url()),
    ];
    let root = folder.path().to_string_lossy();
    let mut command = landfall(&["up", &root, "--path", "clusters/staging", "--once", "--ephemeral"]);
    command.args(["-o", "json", "--timeout", "120s"]);
    for map in &maps {
        command.args(["--map", map]);
    }
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));
    let outcome: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let revision = |name: &str| {
        let units = outcome["units"].as_array().expect("units");
        let unit = units.iter().find(|unit| unit["kind"] == "OCIRepository" && unit["name"] == name);
        unit.and_then(|unit| unit["revision"].as_str()).unwrap_or_default().to_owned()
    };
    assert!(revision("cert-manager").starts_with("v1.20.2@sha256:"), "{}", revision("cert-manager"));
    assert!(revision("gateway-helm").starts_with("v1.8.0@sha256:"), "{}", revision("gateway-helm"));
    assert!(registry.requests().iter().any(|line| line.contains("/blobs/")));
}

const MAIN: &str = "main";

/// A server repository with branches and tags; each state has its own text in `deploy/map.yaml`.
fn origin(root: &Path) -> String {
    let work = root.join("work");
    std::fs::create_dir_all(&work).expect("a folder");
    git(&work, &["init", "-q", "-b", MAIN]);
    let state = |text: &str| {
        let map =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: found\ndata:\n  text: {text}\n");
        write(&work, "deploy/map.yaml", &map);
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-qm", text]);
    };
    state("first");
    git(&work, &["tag", "v1.0.0"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    state("second");
    git(&work, &["tag", "v1.2.0"]);
    state("third");
    git(&work, &["tag", "v2.0.0"]);
    git(&work, &["checkout", "-qb", "side"]);
    state("side");
    git(&work, &["checkout", "-q", MAIN]);
    git(root, &["clone", "-q", "--bare", "work", "origin.git"]);
    first
}

/// A source and a Kustomization that applies its folder into a namespace of its own.
fn delivery(name: &str, kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n---\n\
         apiVersion: source.toolkit.fluxcd.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: flux-system\n\
         spec:\n  interval: 1h\n{spec}---\n\
         apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: {name}\n  \
         namespace: flux-system\nspec:\n  interval: 1h\n  prune: true\n  path: ./deploy\n  targetNamespace: {name}\n  \
         sourceRef:\n    kind: {kind}\n    name: {name}\n"
    )
}

/// Every kind of reference to Git and OCI, over HTTP with a password and from a file address.
#[test]
fn references_choose_what_is_delivered() {
    let server = tempfile::tempdir().expect("a folder");
    let first = origin(server.path());
    let access = || Access::Basic("user".into(), "secret".into());
    let remote = GitServer::start(server.path(), access());
    let registry = Registry::start(Access::Token("user".into(), "secret".into()));
    for (tag, text) in [("1.0.0", "old"), ("1.4.0", "good"), ("2.0.0", "new")] {
        let folder = tempfile::tempdir().expect("a folder");
        let map =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: found\ndata:\n  text: {text}\n");
        write(folder.path(), "deploy/map.yaml", &map);
        let packed = folder.path().join("packed.tgz");
        let done = std::process::Command::new("tar")
            .arg("-C")
            .arg(folder.path())
            .arg("-czf")
            .arg(&packed)
            .arg("deploy")
            .status();
        assert!(done.expect("tar runs").success());
        registry.push_artifact("org/deploy", tag, &std::fs::read(packed).expect("packed"));
    }
    let http = format!("{}/origin.git", remote.url());
    let file = format!("file://{}", server.path().join("origin.git").display());
    let secret = "  secretRef:\n    name: login\n";
    let pull = "  secretRef:\n    name: pull\n";
    let by = |url: &str, reference: &str| format!("  url: {url}\n  ref:\n    {reference}\n");
    let commit = format!("commit: {first}");
    let oci = format!("oci://{}/org/deploy", registry.host());
    let cases: Vec<(&str, &str, String, &str, &str)> = vec![
        ("branch", "GitRepository", by(&http, "branch: side") + secret, "side", "side@sha1:"),
        ("tag", "GitRepository", by(&http, "tag: v1.2.0") + secret, "second", "v1.2.0@sha1:"),
        ("semver", "GitRepository", by(&http, "semver: 1.x") + secret, "second", "v1.2.0@sha1:"),
        (
            "name",
            "GitRepository",
            by(&http, "name: refs/heads/side") + secret,
            "side",
            "refs/heads/side@sha1:",
        ),
        ("commit", "GitRepository", by(&http, &commit) + secret, "first", "sha1:"),
        ("file", "GitRepository", by(&file, "tag: v2.0.0"), "third", "v2.0.0@sha1:"),
        ("oci-tag", "OCIRepository", by(&oci, "tag: 1.0.0") + pull, "old", "1.0.0@sha256:"),
        ("oci-semver", "OCIRepository", by(&oci, "semver: 1.x") + pull, "good", "1.4.0@sha256:"),
    ];
    let repository = tempfile::tempdir().expect("a folder");
    let login = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\n  namespace: flux-system\nstringData:\n  \
                 username: user\n  password: secret\n";
    write(repository.path(), "clusters/test/login.yaml", login);
    let config = format!(
        "{{\"auths\": {{\"{}\": {{\"username\": \"user\", \"password\": \"secret\"}}}}}}",
        registry.host()
    );
    let pull = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: pull\n  namespace: flux-system\n\
         type: kubernetes.io/dockerconfigjson\nstringData:\n  .dockerconfigjson: '{config}'\n"
    );
    write(repository.path(), "clusters/test/pull.yaml", &pull);
    for (name, kind, spec, ..) in &cases {
        write(repository.path(), &format!("clusters/test/{name}.yaml"), &delivery(name, kind, spec));
    }
    let sync = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata:\n  name: flux-system\n  namespace: flux-system\n\
                spec:\n  interval: 1m\n  ref:\n    branch: main\n  url: https://example.com/org/fleet\n---\n\
                apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: flux-system\n  namespace: flux-system\n\
                spec:\n  interval: 10m\n  path: ./clusters/test\n  prune: true\n  sourceRef:\n    kind: GitRepository\n    name: flux-system\n";
    write(repository.path(), "clusters/test/flux-system/gotk-sync.yaml", sync);
    harness::commit(repository.path());
    let state = tempfile::tempdir().expect("a folder");
    let up = Up::start(repository.path(), "clusters/test", state.path(), &[]);
    up.wait_ready(2 + 2 * cases.len());
    for (name, kind, _, text, revision) in &cases {
        let found = up.kubectl(&["-n", name, "get", "configmap", "found", "-o", "jsonpath={.data.text}"]);
        assert_eq!(found, *text, "{name}");
        let path = "jsonpath={.status.artifact.revision}";
        let stored = up.kubectl(&["-n", "flux-system", "get", kind, name, "-o", path]);
        assert!(stored.starts_with(revision), "{name}: {stored}");
        let path = "jsonpath={.status.lastAppliedRevision}";
        let applied = up.kubectl(&["-n", "flux-system", "get", "kustomization", name, "-o", path]);
        assert_eq!(applied, stored, "{name}");
    }

    // What is pushed is seen when it is asked for.
    let work = server.path().join("work");
    git(&work, &["checkout", "-q", "side"]);
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: found\ndata:\n  text: pushed\n";
    write(&work, "deploy/map.yaml", map);
    git(&work, &["commit", "-qam", "pushed"]);
    git(&work, &["push", "-q", "../origin.git", "side"]);
    let asked = "reconcile.fluxcd.io/requestedAt=2026-01-01T00:00:00Z";
    up.kubectl(&["-n", "flux-system", "annotate", "gitrepository", "branch", asked]);
    let text = ["-n", "branch", "get", "configmap", "found", "-o", "jsonpath={.data.text}"];
    up.wait_kubectl(&text, |text| text == "pushed");
    let handled = "jsonpath={.status.lastHandledReconcileAt}";
    let handled = ["-n", "flux-system", "get", "gitrepository", "branch", "-o", handled];
    up.wait_kubectl(&handled, |text| text == "2026-01-01T00:00:00Z");
}
