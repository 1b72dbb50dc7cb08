//! Config management plugins, where they may run.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use cluster::Apply;
use controller::Engine;
use object::{Gvk, Value, get_str};
use scenario::Site;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: argocd}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: plugins, namespace: argocd}
data:
  plugin.yaml: |
    apiVersion: argoproj.io/v1alpha1
    kind: ConfigManagementPlugin
    metadata: {name: shout}
    spec:
      version: v1.0
      init: {command: [sh, -c, "echo made > made"]}
      generate:
        command: [sh, -c]
        args:
        - |
          cat made >&2
          printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"a":"%s","b":"%s","c":"%s","d":"%s","home":"%s"}}' \
            "$ARGOCD_APP_NAME" "$ARGOCD_ENV_WHO" "$PARAM_LIST_1" "$PARAM_MAP_A_B" "$(cat word.txt)" "$KUBERNETES_SERVICE_HOST"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: finders, namespace: argocd}
data:
  found.yaml: |
    apiVersion: argoproj.io/v1alpha1
    kind: ConfigManagementPlugin
    metadata: {name: found}
    spec:
      generate: {command: [cat, plain.txt]}
      discover: {find: {glob: "**/plain.txt"}}
  fails.yaml: |
    apiVersion: argoproj.io/v1alpha1
    kind: ConfigManagementPlugin
    metadata: {name: fails}
    spec: {generate: {command: [sh, -c, "echo not today >&2; exit 3"]}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: loud, namespace: argocd}
spec:
  project: default
  source:
    repoURL: https://git.example.com/org/platform
    path: loud
    plugin:
      name: shout-v1.0
      env: [{name: WHO, value: "$ARGOCD_APP_NAME!"}]
      parameters: [{name: list, array: [x, "y"]}, {name: map, map: {a.b: z}}]
  destination: {name: in-cluster, namespace: default}
  syncPolicy: {automated: {}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: found, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example.com/org/platform, path: plain}
  destination: {name: in-cluster, namespace: default}
  syncPolicy: {automated: {}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: fails, namespace: argocd}
spec:
  project: default
  source: {repoURL: https://git.example.com/org/platform, path: plain, plugin: {name: fails}}
  destination: {name: in-cluster, namespace: default}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_run_where_they_may() {
    let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: found}\ndata: {a: plain}\n";
    let files = [("loud/word.txt", "word"), ("plain/plain.txt", plain)];
    let site = Site::start(schema::crds::argo(), &files, true).await;
    for object in yaml::documents(OBJECTS).unwrap() {
        site.cluster.apply(&object, &Apply::forced("somebody")).await.unwrap();
    }
    let options = argo::Options { plugins: true, ..argo::Options::new(site.fetcher()) };
    Engine::start(site.cluster.clone(), argo::kinds(options), Default::default(), site.cancel.clone());
    let until = async |gvk: Gvk, namespace: &str, name: &str, holds: &dyn Fn(&Value) -> bool| {
        for _ in 0..1000 {
            let found = site.cluster.get(&gvk, namespace, name).await.unwrap();
            if found.as_ref().is_some_and(holds) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let application = site.cluster.get(&argo::names::gvk("Application"), "argocd", name).await.unwrap();
        panic!("{name}: {:#}", application.unwrap_or_default()["status"]);
    };
    let map = Gvk::new("", "v1", "ConfigMap");
    let wanted = serde_json::json!({"a": "loud!", "b": "y", "c": "z", "d": "word", "home": ""});
    until(map.clone(), "default", "loud", &|live| live["data"] == wanted).await;
    until(map, "default", "found", &|live| get_str(live, &["data", "a"]) == Some("plain")).await;
    let application = argo::names::gvk("Application");
    let typed = |live: &Value| get_str(live, &["status", "sourceType"]) == Some("Plugin");
    until(application.clone(), "argocd", "found", &typed).await;
    let failed = |live: &Value| {
        let text = live["status"]["conditions"].to_string();
        text.contains("plugin \\\"fails\\\"") && text.contains("not today")
    };
    until(application, "argocd", "fails", &failed).await;
    site.stop().await;
}
