//! Applications that are refreshed together share what is fetched.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cluster::{Apply, PatchKind, PatchOptions};
use controller::Engine;
use object::{Value, get_str, meta};
use scenario::Site;
use serde_json::json;
use testkit::http::{Response, Server};

const UNITS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_refreshes_cost_a_few_fetches() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    // A slow repository without the chart that is wanted.
    let server = Server::start(move |request| {
        if request.path.ends_with("index.yaml") {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(400));
            return Response::new(200, "apiVersion: v1\nentries: {}\n");
        }
        Response::new(404, "")
    });
    let site = Site::start(schema::crds::argo(), &[], true).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    site.cluster.apply(&namespace, &Apply::forced("somebody")).await.unwrap();
    for unit in 0..UNITS {
        let object = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": format!("app-{unit}"), "namespace": "argocd"},
        "spec": {
            "project": "default", "destination": {"name": "in-cluster", "namespace": "default"},
            "source": {"repoURL": server.url(), "chart": "web", "targetRevision": "1.0.0"},
        }});
        site.cluster.apply(&object, &Apply::forced("somebody")).await.unwrap();
    }
    let kinds = argo::kinds(argo::Options::new(site.fetcher()));
    Engine::start(site.cluster.clone(), kinds, controller::Options::default(), site.cancel.clone());
    let gvk = argo::names::gvk(argo::names::APPLICATION);
    let wait = async |what: &str, holds: &dyn Fn(&Value) -> bool| {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let all = site.cluster.list(&gvk, &cluster::ListOptions::default()).await.unwrap();
            if all.iter().all(holds) {
                return;
            }
            assert!(Instant::now() < until, "waited in vain for {what}: {:#}", all[0]["status"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    wait("the first look", &|one| get_str(one, &["status", "sync", "status"]) == Some("Unknown")).await;
    asked.store(0, Ordering::SeqCst);
    for unit in 0..UNITS {
        let patch = json!({"metadata": {"annotations": {argo::names::REFRESH: "normal"}}});
        let name = format!("app-{unit}");
        let options = PatchOptions { manager: "somebody".into(), ..PatchOptions::default() };
        site.cluster.patch(&gvk, "argocd", &name, PatchKind::Merge, &patch, &options).await.unwrap();
    }
    wait("the refreshes", &|one| meta::annotation(one, argo::names::REFRESH).is_none()).await;
    let fetches = asked.load(Ordering::SeqCst);
    assert!((1..=UNITS / 3).contains(&fetches), "{fetches} fetches");
    site.stop().await;
}
