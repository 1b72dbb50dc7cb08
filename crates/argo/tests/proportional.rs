//! Work proportional to change: what an install, a commit that changes one Application and a commit that changes none
//! cost in requests and renders.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{Apply, Cluster};
use controller::Engine;
use object::{Value, get_str};
use serde_json::json;
use source::{Fetcher, Maps};
use tokio_util::sync::CancellationToken;
use tower::util::MapRequest;

const URL: &str = "https://git.example.com/org/monorepo";
const UNITS: usize = 200;

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn app(folder: &Path, unit: usize, value: &str) {
    let text = |kind: &str, rest: &str| {
        format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: app-{unit}\n{rest}")
    };
    let map = text("ConfigMap", &format!("data:\n  key: {value}\n"));
    write(folder, &format!("apps/app-{unit}/settings.yaml"), &map);
    write(folder, &format!("apps/app-{unit}/account.yaml"), &text("ServiceAccount", ""));
}

/// Requests by method and kind of object; watches and looks at what is served are left out.
type Requests = Arc<Mutex<BTreeMap<String, usize>>>;

fn group(request: &http::Request<kube::client::Body>) -> Option<String> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let at = parts.iter().position(|part| *part == "namespaces");
    let kind = match at {
        Some(at) if parts.len() > at + 2 => parts[at + 2],
        _ => parts[parts.len() - 1],
    };
    let quiet = query.contains("watch=") || (request.method() == http::Method::GET && at.is_none());
    (!quiet && kind != "events").then(|| format!("{} {kind}", request.method()))
}

struct World {
    folder: tempfile::TempDir,
    cluster: Cluster,
    engine: Engine,
    renders: Arc<argo::render::Renders>,
    requests: Requests,
    cancel: CancellationToken,
    server: apiserver::Server,
}

async fn start() -> World {
    let folder = tempfile::tempdir().unwrap();
    let options = apiserver::Options { crds: schema::crds::argo(), ..apiserver::Options::default() };
    let server = apiserver::Server::open(options).await.unwrap();
    let seed = Cluster::new(server.client());
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    seed.apply(&namespace, &Apply::forced("somebody")).await.unwrap();
    for unit in 0..UNITS {
        app(folder.path(), unit, "first");
        let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": format!("app-{unit}"), "namespace": "argocd"},
        "spec": {
            "project": "default", "destination": {"name": "in-cluster", "namespace": "default"},
            "source": {"repoURL": URL, "path": format!("apps/app-{unit}"), "targetRevision": "HEAD"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        }});
        seed.apply(&object, &Apply::forced("somebody")).await.unwrap();
    }
    let requests = Requests::default();
    let counted = requests.clone();
    let service = MapRequest::new(server.service(), move |request: http::Request<kube::client::Body>| {
        if let Some(group) = group(&request) {
            *counted.lock().unwrap().entry(group).or_default() += 1;
        }
        request
    });
    let cluster = Cluster::new(kube::Client::new(service, "default"));
    let mut maps = Maps::default();
    maps.add(URL, folder.path());
    let fetcher = Fetcher::new(source::Options { maps, ..source::Options::default() }).unwrap();
    let options = argo::Options::new(fetcher);
    let (renders, cancel) = (options.renders.clone(), CancellationToken::new());
    let kinds = argo::kinds(options);
    let engine = Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.clone());
    World { folder, cluster, engine, renders, requests, cancel, server }
}

impl World {
    fn units(&self) -> Vec<Value> {
        let store = self.cluster.store();
        store.list(argo::names::GROUP, argo::names::APPLICATION)
    }

    async fn until(&self, what: &str, wanted: impl Fn(&World) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while !wanted(self) {
            let asked = self.requests.lock().unwrap().clone();
            assert!(tokio::time::Instant::now() < deadline, "{what} did not come after {asked:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn key(&self, unit: usize) -> String {
        let key = object::Key::new("", "ConfigMap", "default", format!("app-{unit}"));
        let found = self.cluster.store().get(&key).unwrap_or_default();
        get_str(&found, &["data", "key"]).unwrap_or_default().to_owned()
    }

    /// What was asked since the last time, once all is quiet.
    async fn asked(&self) -> BTreeMap<String, usize> {
        let mut before = self.requests.lock().unwrap().clone();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.requests.lock().unwrap().clone();
            if now == before {
                self.requests.lock().unwrap().clear();
                return now;
            }
            before = now;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_cost_what_changes() {
    let world = start().await;
    world
        .until("the first sync", |world| {
            let units = world.units();
            let synced = |unit: &Value| get_str(unit, &["status", "sync", "status"]) == Some("Synced");
            units.len() == UNITS && units.iter().all(synced) && world.engine.snapshot().all_ready()
        })
        .await;
    let installed = world.asked().await;
    println!("install: {installed:?}");
    assert_eq!(world.renders.made(), UNITS as u64, "each Application rendered once");
    let of = |asked: &BTreeMap<String, usize>, what: &str| asked.get(what).copied().unwrap_or_default();
    // Each object is written once, and the status once when it begins and once when it is done.
    assert_eq!(of(&installed, "PATCH configmaps"), UNITS, "{installed:#?}");
    assert_eq!(of(&installed, "PATCH serviceaccounts"), UNITS, "{installed:#?}");
    assert!(of(&installed, "PATCH applications") <= 2 * UNITS, "{installed:#?}");
    let rest = installed.iter().filter(|(what, _)| !what.starts_with("PATCH"));
    assert!(rest.map(|(_, count)| count).sum::<usize>() <= 8, "{installed:#?}");

    // A commit that no Application reads.
    write(world.folder.path(), "docs/notes.md", "nothing of anybody\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let unrelated = world.asked().await;
    println!("an unrelated commit: {unrelated:?}");
    assert!(unrelated.is_empty(), "{unrelated:#?}");
    assert_eq!(world.renders.made(), UNITS as u64, "nothing rendered");

    // A commit that one of them reads.
    app(world.folder.path(), 7, "second");
    world.until("the change", |world| world.key(7) == "second").await;
    let changed = world.asked().await;
    println!("one changed file: {changed:?}");
    assert_eq!(world.renders.made(), 1 + UNITS as u64, "only the reader of the file rendered");
    assert_eq!(of(&changed, "PATCH configmaps"), 1, "{changed:#?}");
    assert!(of(&changed, "PATCH applications") <= 2, "{changed:#?}");
    assert!(changed.keys().all(|what| what.starts_with("PATCH")) && changed.len() == 2, "{changed:#?}");
    world.cancel.cancel();
    world.server.shutdown().await;
}
