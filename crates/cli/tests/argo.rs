//! Argo CD repositories, end to end: the real binary brings them up.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{Up, edit, example, run, said, suite_repository};
use serde_json::Value;
use std::path::Path;

/// Runs `up --once` and gives its outcome as data.
fn outcome(repository: &Path, more: &[&str]) -> (bool, Value, String) {
    let path = repository.to_string_lossy();
    let mut arguments = vec!["up", &*path, "--once", "--ephemeral", "-o", "json", "--timeout", "120s"];
    arguments.extend(more);
    let output = run(&arguments);
    let data = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.success(), data, said(&output))
}

fn unit<'a>(outcome: &'a Value, name: &str) -> &'a Value {
    let units = outcome["units"].as_array().expect("units");
    units
        .iter()
        .find(|unit| unit["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not there: {units:#?}"))
}

#[test]
fn the_example_comes_up_and_follows_edits() {
    let repository = example("argo");
    let (ready, data, said) = outcome(repository.path(), &[]);
    assert!(ready, "{said}");
    for name in ["landfall-root", "root", "guestbook", "shop"] {
        assert_eq!(unit(&data, name)["ready"], "True", "{said}");
    }
    let state = tempfile::tempdir().expect("a folder");
    let up = Up::start(repository.path(), "argocd", state.path(), &[]);
    up.wait_ready(4);
    let settings = ["-n", "shop", "get", "configmap", "settings", "-o", "jsonpath={.data}"];
    up.wait_kubectl(&settings, |text| text.contains("EUR") && text.contains("Hello from shop"));
    let image = ["-n", "guestbook", "get", "deployment", "guestbook", "-o", "jsonpath={.spec}"];
    up.wait_kubectl(&image, |text| text.contains("registry.example.com/guestbook:v2"));
    // What can be done with an object is listed and done.
    let state_of = state.path().to_string_lossy().into_owned();
    let ask = |arguments: &[&str]| {
        let output = run(&[arguments, &["--state", &state_of]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", harness::said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(ask(&["actions", "deploy/web", "-n", "shop"]).contains("restart"));
    let patched = ask(&["actions", "deployment.apps/web", "restart", "-n", "shop"]);
    assert_eq!(patched, "deployment/web patched\n");
    let restarted = ["-n", "shop", "get", "deployment", "web", "-o", "jsonpath={.spec.template.metadata}"];
    up.wait_kubectl(&restarted, |text| text.contains("restartedAt"));
    assert!(ask(&["history", "app/shop"]).contains("automated"));
    edit(&repository.path().join("apps/shop.yaml"), "currency: EUR", "currency: GBP");
    up.wait_kubectl(&settings, |text| text.contains("GBP"));
    // What an Application brought goes with it.
    std::fs::remove_file(repository.path().join("apps/shop.yaml")).expect("removed");
    let left = ["-n", "shop", "get", "deployments,configmaps", "-o", "name", "--ignore-not-found"];
    up.wait_kubectl(&left, |text| !text.contains("web") && !text.contains("settings"));
}

#[test]
fn an_application_that_makes_nothing_is_said_to_be_empty() {
    let Some(repository) = suite_repository("borisdvlpr__epicshelter") else { return };
    let (ready, data, said) = outcome(repository.path(), &[]);
    assert!(!ready, "{said}");
    assert_eq!(unit(&data, "argocd-epicshelter-app")["ready"], "True", "{said}");
    let empty = unit(&data, "argocd-epicshelter-infra-app");
    assert_ne!(empty["ready"], "True");
    assert!(empty["message"].as_str().is_some_and(|message| message.contains("empty")), "{empty:#}");
}

#[test]
fn an_application_of_ours_brings_up_somebody_elses_repository() {
    let Some(demo) = suite_repository("GoogleCloudPlatform__microservices-demo") else { return };
    let repository = tempfile::tempdir().expect("a folder");
    let url = "https://github.com/GoogleCloudPlatform/microservices-demo";
    let application = |name: &str, path: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}, namespace: argocd}}\n\
             spec:\n  project: default\n  source: {{repoURL: {url}, targetRevision: main, path: {path}}}\n  \
             destination: {{name: in-cluster, namespace: {name}}}\n  \
             syncPolicy: {{automated: {{}}, syncOptions: [CreateNamespace=true]}}\n"
        )
    };
    for (name, path) in [("kustomized", "kustomize"), ("charted", "helm-chart")] {
        std::fs::write(repository.path().join(format!("{name}.yaml")), application(name, path))
            .expect("written");
    }
    let map = format!("{url}={}", demo.path().display());
    let (ready, data, said) = outcome(repository.path(), &["--map", &map]);
    assert!(ready, "{said}");
    assert_eq!(unit(&data, "charted")["ready"], "True", "{said}");
}

#[test]
fn an_installation_of_argo_cd_is_stood_in_for() {
    let Some(charts) = testkit::shared("charts") else { return };
    let repository = tempfile::tempdir().expect("a folder");
    let application = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: argo-cd, namespace: argocd}\n\
        spec:\n  project: default\n  source: {repoURL: https://argoproj.github.io/argo-helm, chart: argo-cd, targetRevision: 10.x}\n  \
        destination: {name: in-cluster, namespace: argocd}\n  syncPolicy: {automated: {prune: true, selfHeal: true}}\n";
    std::fs::write(repository.path().join("argo-cd.yaml"), application).expect("written");
    let chart = charts.join("argo-cd-10.1.1.tgz");
    let map = format!("https://argoproj.github.io/argo-helm/argo-cd={}", chart.display());
    let (ready, data, said) = outcome(repository.path(), &["--map", &map]);
    assert!(ready, "{said}");
    assert_eq!(unit(&data, "argo-cd")["revision"], "10.1.1", "{said}");
}

#[test]
fn jsonnet_is_evaluated_and_a_hostile_program_ends_only_itself() {
    let repository = tempfile::tempdir().expect("a folder");
    let url = "https://git.example.com/org/jsonnet";
    let application = |name: &str, more: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}, namespace: argocd}}\n\
            spec:\n  project: default\n  source: {{repoURL: {url}, path: {name}{more}}}\n\
            \x20 destination: {{name: in-cluster, namespace: default}}\n  syncPolicy: {{automated: {{}}}}\n"
        )
    };
    let variables = ", directory: {jsonnet: {extVars: [{name: app, value: $ARGOCD_APP_NAME}], libs: [lib]}}";
    let object = |data: &str| {
        format!("{{apiVersion: 'v1', kind: 'ConfigMap', metadata: {{name: 'made'}}, data: {data}}}")
    };
    let files = [
        ("apps/good.yaml", application("good", variables)),
        ("apps/large.yaml", application("large", "")),
        (
            "good/main.jsonnet",
            format!("local l = import 'l.libsonnet'; [{}]", object("l(std.extVar('app'))")),
        ),
        ("lib/l.libsonnet", "function(app) {app: app}".to_owned()),
        ("large/main.jsonnet", object("{a: std.repeat('0123456789', 1e9)}")),
    ];
    for (path, text) in files {
        let to = repository.path().join(path);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        std::fs::write(to, text).expect("written");
    }
    let (ready, data, said) = outcome(repository.path(), &[]);
    assert!(!ready, "{said}");
    assert_eq!(unit(&data, "good")["ready"], "True", "{said}");
    let message = unit(&data, "large")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("Failed to evaluate jsonnet \"main.jsonnet\""), "{message}");
    assert!(message.contains("more memory"), "{message}");
}

#[test]
fn an_application_is_compared_synced_in_part_and_rolled_back() {
    let repository = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let to = repository.path().join(path);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        std::fs::write(to, text).expect("written");
    };
    let map = |name: &str, data: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{from: {data}}}\n")
    };
    let url = "https://git.example.com/org/rollback";
    write(
        "apps/web.yaml",
        &format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web, namespace: argocd}}\n\
            spec:\n  project: default\n  source: {{repoURL: {url}, path: app}}\n\
            \x20 destination: {{name: in-cluster, namespace: default}}\n"
        ),
    );
    write("app/a.yaml", &map("a", "one"));
    write("app/b.yaml", &map("b", "one"));
    harness::commit(repository.path());
    let state = tempfile::tempdir().expect("a folder");
    let served = format!("{url}={}", repository.path().display());
    let up = Up::start(repository.path(), "apps", state.path(), &["--map", &served]);
    let state_of = state.path().to_string_lossy().into_owned();
    let ask = |arguments: &[&str], code: i32| {
        let output = run(&[arguments, &["--state", &state_of]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", harness::said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    up.wait("the application is compared", |units| {
        units.iter().any(|unit| unit["name"] == "web" && unit["reason"] == "OutOfSync")
    });
    let data = |name: &str| {
        up.kubectl(&["get", "configmap", name, "--ignore-not-found", "-o", "jsonpath={.data.from}"])
    };
    // A dry run says what it would do; a part is synced; then all of it.
    let dry = ask(&["reconcile", "app/web", "--dry-run"], 0);
    assert!(dry.contains("ConfigMap default/a: configmap/a created (dry run)"), "{dry}");
    assert_eq!(data("a"), "");
    ask(&["reconcile", "app/web", "--resource", ":ConfigMap:a"], 0);
    assert_eq!((data("a").as_str(), data("b").as_str()), ("one", ""));
    ask(&["reconcile", "app/web"], 0);
    assert_eq!(data("b"), "one");
    let local = repository.path().to_string_lossy().into_owned();
    assert_eq!(ask(&["diff", "app/web", "--local", &local], 0), "");
    // The second revision changes one object and has another one less.
    write("app/a.yaml", &map("a", "two"));
    std::fs::remove_file(repository.path().join("app/b.yaml")).expect("removed");
    harness::commit_again(repository.path());
    let told = ask(&["diff", "app/web", "--map", &served], 1);
    assert!(told.contains("===== /ConfigMap default/a ======"), "{told}");
    assert!(told.contains("-  from: one\n+  from: two\n"), "{told}");
    assert!(told.contains("===== /ConfigMap default/b ======"), "{told}");
    ask(&["reconcile", "app/web", "--prune"], 0);
    assert_eq!((data("a").as_str(), data("b").as_str()), ("two", ""));
    // Back to the first.
    ask(&["rollback", "app/web"], 0);
    assert_eq!((data("a").as_str(), data("b").as_str()), ("one", "one"));
    let history = ask(&["history", "app/web"], 0);
    assert_eq!(history.lines().count(), 4, "{history}");
    ask(&["rollback", "app/web", "1", "--prune"], 0);
    assert_eq!((data("a").as_str(), data("b").as_str()), ("two", ""));
    let missing = run(&["rollback", "app/web", "77", "--state", &state_of]);
    assert!(said(&missing).contains("no such entry"), "{}", said(&missing));
}

/// A set over the folders of a repository that keeps a `config.json` in each, and the definition that its objects need.
const SET: [(&str, &str); 3] = [
    (
        "apps/set.yaml",
        r#"apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: polinetwork, namespace: argocd}
spec:
  goTemplate: true
  generators:
  - git:
      repoURL: https://github.com/PoliNetworkOrg/polinetwork-cd
      revision: HEAD
      files: [{path: "*/config.json"}]
    selector:
      matchExpressions: [{key: disabled, operator: NotIn, values: ["true"]}]
  template:
    metadata:
      name: "{{.path.basenameNormalized}}"
      annotations:
        argocd-image-updater.argoproj.io/image-list: '{{dig "image" "image_list" "" .}}'
    spec:
      project: default
      source: {repoURL: https://github.com/PoliNetworkOrg/polinetwork-cd, path: "{{.path.path}}/src"}
      destination: {server: https://kubernetes.default.svc, namespace: "{{.path.basenameNormalized}}"}
      syncPolicy: {automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}
"#,
    ),
    (
        "apps/definitions.yaml",
        r#"apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: definitions, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example.com/org/definitions, path: definitions}
  destination: {server: https://kubernetes.default.svc, namespace: default}
  syncPolicy: {automated: {}}
"#,
    ),
    (
        "definitions/secrets-store.yaml",
        r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: secretproviderclasses.secrets-store.csi.x-k8s.io}
spec:
  group: secrets-store.csi.x-k8s.io
  names: {kind: SecretProviderClass, plural: secretproviderclasses}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#,
    ),
];

#[test]
fn every_application_of_a_set_over_somebody_elses_repository_comes_up() {
    let Some(folders) = suite_repository("PoliNetworkOrg__polinetwork-cd") else { return };
    let repository = tempfile::tempdir().expect("a folder");
    for (path, text) in SET {
        let to = repository.path().join(path);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        std::fs::write(to, text).expect("written");
    }
    let map = format!("https://github.com/PoliNetworkOrg/polinetwork-cd={}", folders.path().display());
    let (ready, data, said) = outcome(repository.path(), &["--map", &map]);
    assert!(ready, "{said}");
    for name in ["admin", "backend", "bot-rooms", "influxdb", "postgres", "uptime-kuma", "definitions"] {
        assert_eq!(unit(&data, name)["ready"], "True", "{said}");
    }
    let disabled = data["units"].as_array().expect("units").iter().any(|unit| unit["name"] == "bot-prod");
    assert!(!disabled, "{said}");
}
