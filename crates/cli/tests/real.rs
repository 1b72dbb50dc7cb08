//! The main job against a real kube-apiserver, where one is installed.
//!
//! It has no controllers, so nothing that runs can become ready: what a run says of that is one half of the
//! tests. For the other half the simulated workloads run beside it, as ordinary clients.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{edit, landfall, quickstart, said};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};
use testkit::kube::KubeApi;

/// `landfall up` of a repository on the API server.
fn up(api: &KubeApi, repository: &Path, path: &str, more: &[&str]) -> std::process::Command {
    let kubeconfig = api.kubeconfig();
    let (repository, kubeconfig) = (repository.to_string_lossy(), kubeconfig.to_string_lossy());
    let mut command = landfall(&["up", &repository, "--path", path, "--context", "peer"]);
    command.args(["--kubeconfig", &kubeconfig]).args(more);
    command
}

fn outcome(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

fn units(outcome: &Value) -> &[Value] {
    outcome["units"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A run that goes on until it is stopped as Ctrl-C stops it.
struct Running {
    child: Child,
}

impl Running {
    fn start(mut command: std::process::Command) -> Running {
        Running { child: command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts") }
    }

    /// Ctrl-C: it ends by itself, soon, and is content.
    fn interrupt(mut self) {
        let since = Instant::now();
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
        assert!(sent.success());
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "stopped by Ctrl-C: {status}");
        assert!(since.elapsed() < Duration::from_secs(15), "it took {:?} to stop", since.elapsed());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// Everything there is but what counts time (events, leases).
fn objects(api: &KubeApi) -> BTreeMap<String, Value> {
    let kinds = api.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events") && !kind.starts_with("leases") && !kind.contains("status"))
        .collect();
    let list = api.kubectl(&["get", &kinds.join(","), "-A", "-o", "json", "--show-managed-fields"]);
    let mut list: Value = serde_json::from_str(&list).expect("a list");
    let mut found = BTreeMap::new();
    for item in list["items"].as_array_mut().into_iter().flatten() {
        let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
        found.insert(name, item.take());
    }
    found
}

/// What differs between two looks, line by line.
fn changed(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => differences(name, before, after, &mut lines),
            (before, _) => {
                lines.push(format!("{name} {}", if before.is_some() { "is gone" } else { "is new" }));
            }
        }
    }
    lines
}

fn differences(place: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(one), Value::Object(two)) => {
            for key in one.keys().chain(two.keys().filter(|key| !one.contains_key(*key))) {
                differences(&format!("{place}.{key}"), &before[key], &after[key], lines);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (at, (one, two)) in one.iter().zip(two).enumerate() {
                differences(&format!("{place}[{at}]"), one, two, lines);
            }
        }
        _ => lines.push(format!("{place}: {before} -> {after}")),
    }
}

/// Webhooks would call pods, and there are none to be called.
const WEBHOOKS: [&str; 2] = ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"];

/// The simulated workloads as clients of the API server.
struct Workloads {
    stop: tokio_util::sync::CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Workloads {
    fn start(api: &KubeApi) -> Workloads {
        let stop = tokio_util::sync::CancellationToken::new();
        let (path, token) = (api.kubeconfig(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
                let read = kube::config::Kubeconfig::read_from(path).expect("a kubeconfig");
                let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await;
                let client = kube::Client::try_from(config.expect("a context")).expect("a client");
                simulate::run(client, simulate::Options::default(), token).await;
            });
        });
        Workloads { stop, thread: Some(thread) }
    }
}

impl Drop for Workloads {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn assert_ready(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", said(output));
    let outcome = outcome(output);
    assert_eq!(outcome["ready"], true, "{what}");
}

#[test]
fn without_controllers_the_causes_are_the_workloads() {
    let Some(folder) = harness::flux_example() else { return };
    let Some(api) = KubeApi::start() else { return };
    let maps = harness::flux_example_maps();
    let maps: Vec<&str> = maps.iter().flat_map(|map| ["--map", map.as_str()]).collect();
    let mut command =
        up(&api, folder.path(), "clusters/staging", &["--once", "-o", "json", "--timeout", "20s"]);
    let output = command.args(&maps).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let outcome = outcome(&output);
    let mut open = Vec::new();
    for unit in units(&outcome) {
        if unit["ready"] == "True" {
            continue;
        }
        open.push(unit["name"].as_str().unwrap_or_default());
        let cause = &unit["cause"];
        assert!(
            matches!(cause["object"]["kind"].as_str(), Some("Deployment" | "Job")),
            "the cause of {} is a workload: {cause}",
            unit["name"]
        );
    }
    open.sort_unstable();
    assert_eq!(open, ["apps", "cert-manager", "envoy-gateway", "infra-configs", "infra-controllers"]);
}

#[test]
fn with_workloads_the_flux_example_comes_up_and_then_nothing_is_written() {
    let Some(folder) = harness::flux_example() else { return };
    for path in ["clusters/staging", "clusters/production"] {
        let Some(api) = KubeApi::start_without(&WEBHOOKS) else { return };
        let workloads = Workloads::start(&api);
        let maps = harness::flux_example_maps();
        let maps: Vec<&str> = maps.iter().flat_map(|map| ["--map", map.as_str()]).collect();
        let once = ["--once", "-o", "json", "--timeout", "120s"];
        let output = up(&api, folder.path(), path, &once).args(&maps).output().expect("runs");
        assert_ready(&output, path);
        assert_eq!(units(&outcome(&output)).len(), 15, "{path}: {}", said(&output));

        // Settled: nothing is written any more, also not by a run that starts anew.
        std::thread::sleep(Duration::from_secs(1));
        let settled = objects(&api);
        let output = up(&api, folder.path(), path, &once).args(&maps).output().expect("runs");
        assert_ready(&output, "the second run");
        let mut command = up(&api, folder.path(), path, &[]);
        command.args(&maps);
        let running = Running::start(command);
        std::thread::sleep(Duration::from_secs(4));
        running.interrupt();
        let after = objects(&api);
        assert_eq!(changed(&settled, &after), Vec::<String>::new(), "{path}: nothing is written");
        drop(workloads);
    }
}

#[test]
fn the_quickstart_lives_on_a_real_cluster() {
    let Some(api) = KubeApi::start() else { return };
    let _workloads = Workloads::start(&api);
    let repository = quickstart();
    let path = "clusters/dev";
    let output = up(&api, repository.path(), path, &["--once", "-o", "json", "--timeout", "60s"]).output();
    assert_ready(&output.expect("runs"), "the first run");

    // Who owns what, as Flux would have it.
    let managers = |kind: &str, name: &str, namespace: &str| {
        let jsonpath =
            "jsonpath={range .metadata.managedFields[*]}{.manager}/{.operation}/{.subresource} {end}";
        let text =
            api.kubectl(&["-n", namespace, "get", kind, name, "--show-managed-fields", "-o", jsonpath]);
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(managers("configmap", "settings", "shop"), ["kustomize-controller/Apply/"]);
    assert_eq!(managers("configmap", "hello-page", "shop"), ["helm-controller/Apply/"]);
    let owners = managers("helmrelease", "hello", "shop");
    for owner in
        ["kustomize-controller/Apply/", "gotk-helm-controller/Update/", "gotk-helm-controller/Update/status"]
    {
        assert!(owners.iter().any(|found| found == owner), "{owner} is missing: {owners:?}");
    }

    // Edits go live and what leaves the repository is pruned, while it runs.
    let running = Running::start(up(&api, repository.path(), path, &[]));
    edit(&repository.path().join("apps/base/settings.yaml"), "currency: EUR", "currency: USD");
    wait_for(&api, &["-n", "shop", "get", "cm", "settings", "-o", "jsonpath={.data.currency}"], "USD");
    edit(&repository.path().join("apps/base/kustomization.yaml"), "  - settings.yaml\n", "");
    wait_for(&api, &["-n", "shop", "get", "cm", "settings", "-o", "name", "--ignore-not-found"], "");
    running.interrupt();
    let status = ["-n", "flux-system", "get", "kustomization", "apps", "-o", "jsonpath={.status.inventory}"];
    assert!(!api.kubectl(&status).contains("settings"), "the inventory follows");

    // Stopped in the middle of its work at any moment, it goes on where it was.
    let page = ["-n", "shop", "get", "cm", "hello-page", "-o", "jsonpath={.data.index\\.html}"];
    let release = repository.path().join("apps/base/release.yaml");
    for (pause, from, to) in [(300, "Hello", "Salut"), (500, "Salut", "Hola"), (1100, "Hola", "Ciao")] {
        edit(&release, &format!("greeting: {from}"), &format!("greeting: {to}"));
        let running = Running::start(up(&api, repository.path(), path, &[]));
        std::thread::sleep(Duration::from_millis(pause));
        running.interrupt();
    }
    let output = up(&api, repository.path(), path, &["--once", "-o", "json", "--timeout", "60s"]).output();
    assert_ready(&output.expect("runs"), "the last run");
    assert!(api.kubectl(&page).contains("Ciao"));
    let deployed =
        api.kubectl(&["-n", "shop", "get", "secrets", "-l", "owner=helm,status=deployed", "-o", "name"]);
    assert_eq!(deployed.lines().count(), 1, "one deployed revision: {deployed}");
}

fn wait_for(api: &KubeApi, arguments: &[&str], wanted: &str) {
    let since = Instant::now();
    loop {
        let said = api.kubectl(arguments);
        if said.trim() == wanted {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "kubectl {arguments:?} keeps saying {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
