//! What is secret is seen nowhere: canaries are planted, and everything that the engine says is searched for them. A
//! process of its own, since it listens to all that is logged.
#![allow(clippy::disallowed_methods)]

mod world;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use world::World;

/// Everything that the process logs from now on, down to the smallest step.
fn logged() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log(Arc::default());
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("trace"))
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();
    log.0
}

/// One log for all tests of the process.
fn heard() -> Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(logged).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_encrypted_is_seen_nowhere() {
    let log = heard();
    let text = include_str!("../testdata/scenarios/sops.txt");
    let mut files: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(head) => files.push((head.to_owned(), String::new())),
            None => {
                if let Some((_, body)) = files.last_mut() {
                    body.push_str(line);
                }
            }
        }
    }
    files.retain(|(name, _)| name.contains('/'));
    let given: Vec<(&str, &str)> = files.iter().map(|(name, body)| (name.as_str(), body.as_str())).collect();
    let world = World::start(&given).await;
    world.ready().await;
    // Three faults after the decryption: a variable that is missing, an object that the API refuses, a broken patch.
    let unit = files.iter().find(|(name, _)| name == "clusters/test/unit.yaml").unwrap();
    world.write(&unit.0, &unit.1.replace("{name: world}", "{other: world}"));
    let says = |snapshot: &controller::Snapshot, words: &str| {
        snapshot.units.iter().any(|unit| unit.message.contains(words))
    };
    world.until("the missing variable", |snapshot| says(snapshot, "variable substitution failed")).await;
    let mut said = world.everything_said().await;
    assert!(said.contains("variable substitution failed"), "{said}");
    world.write(&unit.0, &unit.1.replace("{name: world}", "{name: \"x\\\"\\n- {\"}"));
    tokio::time::sleep(Duration::from_millis(700)).await;
    said.push_str(&world.everything_said().await);
    let config = files.iter().find(|(name, _)| name == "secrets/config.yaml").unwrap();
    world.write(&unit.0, &unit.1);
    world.write(&config.0, &config.1.replace("name: config", "name: Not_A_Name"));
    world.until("the refused object", |snapshot| says(snapshot, "Not_A_Name")).await;
    said.push_str(&world.everything_said().await);
    let log = String::from_utf8_lossy(&log.lock().unwrap()).into_owned();
    assert!(log.contains("its spec changed"), "the log is heard");
    said.push_str(&log);
    for canary in ["canary", "Y2FuYXJ5", "AGE-SECRET-KEY"] {
        assert!(!said.contains(canary), "{canary} in {said}");
    }
    world.stop().await;
}

/// A chart that quotes what it is given wherever it can: a Secret, a schema, an annotation, a failing template.
const CHART: &[(&str, &str)] = &[
    ("charts/app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n"),
    ("charts/app/values.schema.json", r#"{"properties": {"password": {"type": "string", "pattern": "[^r]$"}}}"#),
    (
        "charts/app/templates/all.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: app}\nstringData: {password: {{ .Values.password | quote }}}\n\
         {{- if .Values.stops }}\n{{ fail .Values.password }}\n{{- end }}\n\
         {{- if .Values.breaks }}\n---\n{{ .Values.password }}: [\n{{- end }}\n",
    ),
    (
        "clusters/test/all.yaml",
        "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: app, namespace: default}
spec:
  interval: 10m
  chart: {spec: {chart: ./charts/app, reconcileStrategy: Revision, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
  driftDetection: {mode: enabled}
  valuesFrom: [{kind: Secret, name: values}]
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: far, namespace: default}
spec: {interval: 10m, path: ./plain, prune: true, kubeConfig: {secretRef: {name: far}}, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: broken, namespace: default}
spec: {interval: 10m, path: ./plain, prune: true, kubeConfig: {secretRef: {name: broken}}, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: variables, namespace: default}
spec:
  interval: 10m
  path: ./variables
  prune: true
  postBuild: {substituteFrom: [{kind: Secret, name: variables}]}
  sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: closed, namespace: default}
spec: {interval: 10m, url: 'http://127.0.0.1:1/charts', secretRef: {name: login}}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: closed, namespace: default}
spec: {interval: 10m, url: 'ssh://git@127.0.0.1:1/org/repository', secretRef: {name: login}}
---
apiVersion: notification.toolkit.fluxcd.io/v1beta3
kind: Alert
metadata: {name: all, namespace: default}
spec:
  providerRef: {name: listener}
  eventSources: [{kind: HelmRelease, name: '*'}, {kind: Kustomization, name: '*'}, {kind: HelmRepository, name: '*'}, {kind: GitRepository, name: '*'}]
",
    ),
    ("plain/one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain, namespace: default}\n"),
    (
        "variables/all.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 'x${long}'}\ndata: {a: ${list}}\n",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_releases_and_clusters_are_given_is_seen_nowhere() {
    let log = heard();
    let payloads: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = payloads.clone();
    let listener = testkit::http::Server::start(move |request| {
        taken.lock().unwrap().push(String::from_utf8_lossy(&request.body).into_owned());
        testkit::http::Response::new(200, "")
    });
    let world = World::start(CHART).await;
    let secret = async |name: &str, data: object::Value| {
        let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": "default"}, "stringData": data});
        world.cluster.apply(&secret, &cluster::Apply::forced("somebody")).await.unwrap();
    };
    let kubeconfig = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: canary-token}}]\n";
    let provider = format!(
        "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\nmetadata: {{name: listener, namespace: default}}\n\
         spec: {{type: generic, address: '{}', secretRef: {{name: token}}}}\n",
        listener.url()
    );
    secret("token", serde_json::json!({"token": "canary-provider", "headers": "x-canary: canary-header"}))
        .await;
    world
        .cluster
        .apply(&yaml::from_str(&provider).unwrap(), &cluster::Apply::forced("somebody"))
        .await
        .unwrap();
    secret("far", serde_json::json!({"value": kubeconfig})).await;
    secret("broken", serde_json::json!({"value": "canary: [canary\n canary"})).await;
    secret("login", serde_json::json!({"username": "canary-user", "password": "canary-password",
        "identity": "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n", "known_hosts": "x"}))
    .await;
    secret("variables", serde_json::json!({"long": "Canary Is No Name", "list": "[canary-entry"})).await;
    let mut said = String::new();
    let steps = [
        ("password: canary-word", "Helm install succeeded"),
        ("password: canary-word\nstops: true", "all.yaml:6:3): ***"),
        ("password: canary-word\nbreaks: true", "Helm upgrade failed"),
        ("password: Canary-Other", "does not match pattern"),
        ("password: canary-last", "Helm upgrade succeeded"),
    ];
    for (values, words) in steps {
        secret("values", serde_json::json!({"values.yaml": values})).await;
        world.until(words, |snapshot| snapshot.units.iter().any(|unit| unit.message.contains(words))).await;
        said.push_str(&world.everything_said().await);
    }
    // Drift of what holds the word, and somebody else's word in it.
    let drift = serde_json::json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "app", "namespace": "default"}, "stringData": {"password": "canary-drift"}});
    world.cluster.apply(&drift, &cluster::Apply::forced("kubectl")).await.unwrap();
    let corrected = "has been corrected";
    let since = std::time::Instant::now();
    while !said.contains(corrected) {
        assert!(since.elapsed() < Duration::from_secs(20), "{corrected} did not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
        said.push_str(&world.everything_said().await);
    }
    for words in ["cannot be reached", "it is no YAML", "the SSH key is damaged"] {
        assert!(said.contains(words), "{words} was not said");
    }
    let payloads = payloads.lock().unwrap().join("\n");
    assert!(payloads.contains("DriftCorrected"), "the listener heard: {payloads}");
    said.push_str(&payloads);
    said.push_str(&String::from_utf8_lossy(&log.lock().unwrap()));
    for canary in ["canary", "Canary", "Y2FuYXJ5", "Q2FuYXJ5"] {
        let found = said.match_indices(canary).next().map(|(at, _)| {
            let (start, end) = (at.saturating_sub(300), (at + 200).min(said.len()));
            String::from_utf8_lossy(&said.as_bytes()[start..end]).into_owned()
        });
        assert_eq!(found, None, "{canary} was said");
    }
    world.stop().await;
}
