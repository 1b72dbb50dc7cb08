//! A Kustomization that goes, and another one that takes its name before the last request of its end arrives.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster::{Apply, Cluster, Delete, PatchKind, PatchOptions};
use controller::Engine;
use http_body_util::BodyExt as _;
use object::{Value, meta};
use serde_json::json;
use source::{Fetcher, Maps};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

const URL: &str = "https://git.example.com/org/app";

fn app() -> Value {
    json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": "flux-system", "finalizers": ["finalizers.fluxcd.io"]},
        "spec": {
            "interval": "1h", "prune": true, "path": "./app", "suspend": true,
            "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
        },
    })
}

/// The one in the API lets go of its finalizer, as after an answer that was lost on its way, and the next one is there.
async fn succeed(people: &Cluster) {
    let gvk = flux::kustomization::gvk();
    let patch = json!({"metadata": {"finalizers": []}});
    let options = PatchOptions { manager: "people".into(), ..PatchOptions::default() };
    people.patch(&gvk, "flux-system", "app", PatchKind::Merge, &patch, &options).await.unwrap();
    people.create(&app(), "people").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_one_of_a_name_keeps_its_finalizer() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("app")).unwrap();
    let options = apiserver::Options { crds: schema::crds::flux(), ..apiserver::Options::default() };
    let server = apiserver::Server::open(options).await.unwrap();
    let people = Cluster::new(server.client());
    let released = Arc::new(AtomicUsize::new(0));
    let (service, meanwhile, counted) = (server.service(), people.clone(), released.clone());
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (mut service, people, released) = (service.clone(), meanwhile.clone(), counted.clone());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let releases = parts.method == "PATCH"
                && parts.uri.path().ends_with("/kustomizations/app")
                && serde_json::from_slice::<Value>(&bytes)
                    .is_ok_and(|body| body["metadata"]["finalizers"] == json!([]));
            if releases && released.fetch_add(1, Ordering::SeqCst) == 0 {
                succeed(&people).await;
            }
            let request = http::Request::from_parts(parts, kube::client::Body::from(bytes.to_vec()));
            service.call(request).await.map_err(tower::BoxError::from)
        }
    });
    let cluster = Cluster::new(kube::Client::new(service, "default"));
    let mut maps = Maps::default();
    maps.add(URL, folder.path());
    let fetcher = Fetcher::new(source::Options { maps, ..source::Options::default() }).unwrap();
    let cancel = CancellationToken::new();
    let kinds = flux::kinds(flux::Options::new(fetcher));
    let engine = Engine::start(cluster, kinds, controller::Options::default(), cancel.clone());
    for object in flux::bootstrap(URL, "main", "./app") {
        people.apply(&object, &Apply::forced("flux")).await.unwrap();
    }
    let first = people.create(&app(), "people").await.unwrap();

    let gvk = flux::kustomization::gvk();
    people.delete(&gvk, "flux-system", "app", &Delete::default()).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let next = loop {
        let live = people.get(&gvk, "flux-system", "app").await.unwrap();
        if let Some(live) = live.filter(|live| meta::uid(live) != meta::uid(&first)) {
            break live;
        }
        assert!(tokio::time::Instant::now() < deadline, "{:#?}", engine.snapshot());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(meta::deletion_timestamp(&next).is_none());
    // Time enough to ask again, which is done at once.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(released.load(Ordering::SeqCst), 1, "the finalizer of the next one was taken away");
    cancel.cancel();
    server.shutdown().await;
}
