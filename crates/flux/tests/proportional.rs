//! Work proportional to change: a commit renders and writes what reads what it changed, and nothing else.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{Apply, Cluster};
use controller::Engine;
use object::{Gvk, Value, get_str};
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
        format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: app-{unit}\n  namespace: default\n{rest}")
    };
    write(
        folder,
        &format!("apps/app-{unit}/settings.yaml"),
        &text("ConfigMap", &format!("data:\n  key: {value}\n")),
    );
    write(folder, &format!("apps/app-{unit}/account.yaml"), &text("ServiceAccount", ""));
    let kustomization = format!(
        "configMapGenerator: []\nresources: [settings.yaml, account.yaml]\ncommonLabels: {{app: app-{unit}}}\n"
    );
    write(folder, &format!("apps/app-{unit}/kustomization.yaml"), &kustomization);
}

/// Writes by method and kind of object.
type Requests = Arc<Mutex<BTreeMap<String, usize>>>;

fn group(method: &str, path: &str, query: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let kind = match parts.iter().position(|part| *part == "namespaces") {
        Some(at) if parts.len() > at + 2 => parts[at + 2..].iter().copied().enumerate(),
        _ => parts[parts.len() - 1..].iter().copied().enumerate(),
    };
    // The name is left out, a subresource is not.
    let kind: Vec<&str> = kind.filter(|(at, _)| *at != 1).map(|(_, part)| part).collect();
    let watch = if query.contains("watch=") { " watch" } else { "" };
    format!("{method} {}{watch}", kind.join("/"))
}

struct World {
    folder: tempfile::TempDir,
    cluster: Cluster,
    engine: Engine,
    renders: Arc<flux::kustomization::Renders>,
    requests: Requests,
    cancel: CancellationToken,
    server: apiserver::Server,
}

async fn start() -> World {
    let folder = tempfile::tempdir().unwrap();
    for unit in 0..UNITS {
        app(folder.path(), unit, "first");
        let text = format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata:\n  name: app-{unit}\n  \
             namespace: flux-system\nspec:\n  interval: 1h\n  path: ./apps/app-{unit}\n  prune: true\n  \
             sourceRef:\n    kind: GitRepository\n    name: flux-system\n"
        );
        write(folder.path(), &format!("clusters/test/app-{unit}.yaml"), &text);
    }
    let options = apiserver::Options { crds: schema::crds::flux(), ..apiserver::Options::default() };
    let server = apiserver::Server::open(options).await.unwrap();
    let requests = Requests::default();
    let counted = requests.clone();
    let service = MapRequest::new(server.service(), move |request: http::Request<kube::client::Body>| {
        let uri = request.uri();
        let group = group(request.method().as_str(), uri.path(), uri.query().unwrap_or_default());
        *counted.lock().unwrap().entry(group).or_default() += 1;
        request
    });
    let cluster = Cluster::new(kube::Client::new(service, "default"));
    let mut maps = Maps::default();
    maps.add(URL, folder.path());
    let fetcher = Fetcher::new(source::Options { maps, ..source::Options::default() }).unwrap();
    let options = flux::Options::new(fetcher);
    let (renders, cancel) = (options.renders.clone(), CancellationToken::new());
    let kinds = flux::kinds(options);
    let engine = Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.clone());
    let seed = Cluster::new(server.client());
    for object in flux::bootstrap(URL, "main", "./clusters/test") {
        seed.apply(&object, &Apply::forced("flux")).await.unwrap();
    }
    World { folder, cluster, engine, renders, requests, cancel, server }
}

impl World {
    fn units(&self) -> Vec<Value> {
        let gvk = flux::kustomization::gvk();
        let store = self.cluster.store();
        store.keys(&gvk.group, &gvk.kind).iter().filter_map(|key| store.get(key)).collect()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&World) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while !wanted(self) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{what} did not come: {:#?}",
                self.engine.snapshot()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn all_at(&self, revision: &str) -> bool {
        let units = self.units();
        units.len() > UNITS
            && units.iter().all(|unit| get_str(unit, &["status", "lastAppliedRevision"]) == Some(revision))
    }

    fn revision(&self) -> String {
        let gvk = Gvk::new("source.toolkit.fluxcd.io", "v1", "GitRepository");
        let key = object::Key::new(gvk.group, gvk.kind, "flux-system", "flux-system");
        let source = self.cluster.store().get(&key).unwrap_or_default();
        get_str(&source, &["status", "artifact", "revision"]).unwrap_or_default().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_changed_file_of_two_hundred_units_renders_and_applies_one() {
    let world = start().await;
    world.until("the first revision", |world| world.all_at(&world.revision())).await;
    world.until("ready", |world| world.engine.snapshot().all_ready()).await;
    assert_eq!(world.renders.made(), 1 + UNITS as u64, "each unit rendered once");
    let before = world.revision();
    world.requests.lock().unwrap().clear();

    app(world.folder.path(), 7, "second");
    world
        .until("the new revision", |world| world.revision() != before && world.all_at(&world.revision()))
        .await;

    assert_eq!(world.renders.made(), 2 + UNITS as u64, "only the reader of the file rendered again");
    let requests = world.requests.lock().unwrap().clone();
    let changed = world.cluster.get(&Gvk::new("", "v1", "ConfigMap"), "default", "app-7").await.unwrap();
    assert_eq!(changed.as_ref().and_then(|found| get_str(found, &["data", "key"])), Some("second"));
    assert_eq!(requests.get("PATCH configmaps"), Some(&1), "{requests:#?}");
    // The new revision stands in the status of every unit; nothing else is asked or written for the others.
    let allowed = |name: &str| {
        matches!(name, "PATCH configmaps" | "PATCH kustomizations/status" | "PATCH gitrepositories/status")
            || name.contains("events")
    };
    let other: BTreeMap<&String, &usize> = requests.iter().filter(|(name, _)| !allowed(name)).collect();
    assert!(other.is_empty(), "{other:#?} of {requests:#?}");
    assert!(
        requests.get("PATCH kustomizations/status").is_some_and(|count| *count <= 2 * (UNITS + 1)),
        "{requests:#?}"
    );
    world.cancel.cancel();
    world.server.shutdown().await;
}
