//! The engine as a controller on a real kube-apiserver, where one is installed: its manifests, its lead, its probes and
//! metrics, its share, and how it takes over from Flux.
#![allow(clippy::disallowed_methods)]

mod harness;

use harness::{landfall, said};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};
use testkit::kube::KubeApi;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

fn run(api: &KubeApi, arguments: &[&str]) -> Output {
    landfall(arguments)
        .arg("--kubeconfig")
        .arg(api.kubeconfig())
        .args(["--context", "peer"])
        .output()
        .expect("runs")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `kubectl apply` of a text.
fn apply(api: &KubeApi, text: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    api.kubectl(&["apply", "--server-side", "-f", &file.path().to_string_lossy()]);
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A controller that runs until it is dropped or interrupted.
struct Controller {
    child: Child,
    port: u16,
}

impl Controller {
    fn start(api: &KubeApi, more: &[&str]) -> Controller {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let child = landfall(&[
            "controller",
            "--log-encoding",
            "json",
            "--health-addr",
            &address,
            "--metrics-addr",
            &address,
        ])
        .arg("--kubeconfig")
        .arg(api.kubeconfig())
        .args(["--context", "peer"])
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
        Controller { child, port }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return (0, String::new()) };
        let asked = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut text = String::new();
        if asked.is_err() || stream.read_to_string(&mut text).is_err() {
            return (0, String::new());
        }
        let code = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (code, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    fn interrupt(mut self) {
        let id = self.child.id().to_string();
        std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

const FLUX: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: kustomize-controller
  namespace: flux-system
  labels: {app.kubernetes.io/part-of: flux, app.kubernetes.io/component: kustomize-controller}
spec:
  replicas: 1
  selector: {matchLabels: {app: kustomize-controller}}
  template:
    metadata: {labels: {app: kustomize-controller}}
    spec: {containers: [{name: manager, image: example.com/kustomize-controller}]}
";

fn unit(name: &str, labels: &str, source: &str) -> String {
    format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: {name}, namespace: flux-system, labels: {labels}}}\n\
         spec: {{interval: 10m, url: 'https://git.example.com/{source}', ref: {{branch: main}}}}\n---\n\
         apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: flux-system, labels: {labels}}}\n\
         spec: {{interval: 10m, path: ./, prune: true, targetNamespace: default, sourceRef: {{kind: GitRepository, name: {name}}}}}\n"
    )
}

#[test]
fn it_is_installed_leads_takes_over_from_flux_and_hands_back() {
    let Some(api) = KubeApi::start() else { return };
    // What is printed is what the API takes, and the rights are what is needed.
    let printed = landfall(&["install", "--crds", "--shard", "one"]).output().expect("runs");
    assert!(printed.status.success(), "{}", said(&printed));
    apply(&api, &out(&printed));
    let may = |verb: &str, what: &str| {
        let account = "--as=system:serviceaccount:landfall-system:landfall-one";
        let asked = ["auth", "can-i", verb, what, "-n", "default", account, "--quiet"];
        let kubeconfig = api.kubeconfig();
        let mut command = std::process::Command::new("kubectl");
        command.arg("--kubeconfig").arg(kubeconfig).args(asked).status().expect("kubectl runs").success()
    };
    for (verb, what) in [
        ("watch", "deployments.apps"),
        ("patch", "kustomizations.kustomize.toolkit.fluxcd.io/status"),
        ("impersonate", "serviceaccounts"),
    ] {
        assert!(may(verb, what), "{verb} {what}");
    }
    for (verb, what) in [
        ("create", "deployments.apps"),
        ("patch", "secrets"),
        ("impersonate", "groups"),
        ("impersonate", "users"),
    ] {
        assert!(!may(verb, what), "{verb} {what}");
    }

    // Beside a running Flux it waits, and says why.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("map.yaml");
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: delivered}\ndata: {a: b}\n";
    std::fs::write(&file, text).expect("written");
    apply(&api, "apiVersion: v1\nkind: Namespace\nmetadata: {name: flux-system}\n");
    apply(&api, FLUX);
    apply(&api, &unit("ours", "{}", "ours"));
    apply(&api, &unit("others", "{sharding.fluxcd.io/key: two}", "ours"));
    let map = format!("https://git.example.com/ours={}", folder.path().display());
    let flags = [
        "--leader-elect",
        "--lease",
        "engine",
        "--leader-election-namespace",
        "flux-system",
        "--map",
        &map,
        "--watch-label-selector",
        "!sharding.fluxcd.io/key",
    ];
    let first = Controller::start(&api, &flags);
    until("the refusal", || first.get("/readyz").0 == 503);
    assert!(first.get("/readyz").1.contains("landfall adopt flux"), "{:?}", first.get("/readyz"));
    assert_eq!(first.get("/healthz").0, 200);
    assert_eq!(first.get("/nothing").0, 404);
    let up = run(&api, &["up", &folder.path().to_string_lossy(), "--once"]);
    assert_eq!(up.status.code(), Some(2), "{}", said(&up));
    assert!(said(&up).contains("landfall adopt flux"), "{}", said(&up));

    // The proof comes first: what would be written is named, and nothing is.
    let rehearsed = run(&api, &["adopt", "flux", "--map", &map]);
    assert_eq!(rehearsed.status.code(), Some(1), "{}", said(&rehearsed));
    assert!(out(&rehearsed).contains("configmaps/delivered would be created"), "{}", said(&rehearsed));
    let name = ["-n", "default", "get", "cm", "delivered", "-o", "name", "--ignore-not-found"];
    assert_eq!(api.kubectl(&name), "");
    let replicas =
        ["-n", "flux-system", "get", "deploy", "kustomize-controller", "-o", "jsonpath={.spec.replicas}"];
    assert_eq!(api.kubectl(&replicas), "1");

    // Handed over, it begins by itself, under its lease; the other share is left alone.
    let done = run(&api, &["adopt", "flux", "--map", &map, "--force"]);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(api.kubectl(&replicas), "0");
    until("the delivery", || !api.kubectl(&name).is_empty());
    let holder = ["-n", "flux-system", "get", "lease", "engine", "-o", "jsonpath={.spec.holderIdentity}"];
    let leads = api.kubectl(&holder);
    assert!(!leads.is_empty());
    let status = |unit: &str| {
        api.kubectl(&["-n", "flux-system", "get", "kustomization", unit, "-o", "jsonpath={.status}"])
    };
    until("ready", || status("ours").contains("Applied revision"));
    assert!(!status("others").contains("conditions"), "{}", status("others"));
    let metrics = first.get("/metrics").1;
    for wanted in [
        "leader_election_master_status{name=\"landfall\"} 1",
        "gotk_reconcile_duration_seconds_count{kind=\"Kustomization\",name=\"ours\",namespace=\"flux-system\"}",
        "gotk_reconcile_condition{kind=\"Kustomization\",name=\"ours\",namespace=\"flux-system\",type=\"Ready\",status=\"True\"} 1",
    ] {
        assert!(metrics.contains(wanted), "{wanted} is not in\n{metrics}");
    }

    // A second one waits for its turn; when the first goes, the lease is free at once.
    let second = Controller::start(&api, &flags);
    until("the second", || {
        second.get("/metrics").1.contains("leader_election_master_status{name=\"landfall\"} 0")
    });
    assert_eq!(api.kubectl(&holder), leads);
    first.interrupt();
    until("the next leader", || {
        let holder = api.kubectl(&holder);
        !holder.is_empty() && holder != leads
    });

    let others = ["-n", "flux-system", "delete", "kustomization,gitrepository", "others", "--wait=false"];
    api.kubectl(&others);

    // What is as it shall be is proved to be so, also for what was already there; then it goes back.
    let rehearsed = run(&api, &["adopt", "flux", "--dry-run", "--map", &map]);
    assert!(
        rehearsed.status.success() && out(&rehearsed).contains("nothing would change"),
        "{}",
        said(&rehearsed)
    );
    let undone = run(&api, &["adopt", "flux", "--undo"]);
    assert!(undone.status.success(), "{}", said(&undone));
    assert_eq!(api.kubectl(&replicas), "1");
    until("it stands back", || second.get("/readyz").0 == 503);
}
