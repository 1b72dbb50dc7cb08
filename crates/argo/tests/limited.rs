//! A cluster of which only some namespaces may be looked at: nothing else is listed or watched.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::{Apply, Cluster, Limits, Options};
use object::{Gvk, Key, get_str};
use serde_json::json;
use tower::util::MapRequest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_named_namespaces_are_watched() {
    let server = apiserver::Server::open(apiserver::Options::default()).await.unwrap();
    let seed = Cluster::new(server.client());
    let by = Apply::forced("somebody");
    let map = |namespace: &str, name: &str, value: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace},
            "data": {"a": value}})
    };
    for namespace in ["a", "b", "c"] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        seed.apply(&object, &by).await.unwrap();
        seed.apply(&map(namespace, "one", "1"), &by).await.unwrap();
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let service = MapRequest::new(server.service(), move |request: http::Request<kube::client::Body>| {
        noted.lock().unwrap().push(request.uri().path().to_owned());
        request
    });
    let client = kube::Client::new(service, "default");
    let within = |cluster_scoped: bool| {
        let watched = Limits { namespaces: vec!["a".into(), "b".into()], cluster_scoped };
        Cluster::with_options(client.clone(), Options { watched, ..Options::default() })
    };
    let cluster = within(false);
    let (maps, namespaces) = (Gvk::new("", "v1", "ConfigMap"), Gvk::new("", "v1", "Namespace"));
    cluster.watch(&maps).await.unwrap();
    cluster.watch(&namespaces).await.unwrap();
    let store = cluster.store();
    let key = |namespace: &str, name: &str| Key::new("", "ConfigMap", namespace, name);
    let known = || {
        let mut all: Vec<String> = store.keys("", "ConfigMap").iter().map(ToString::to_string).collect();
        all.retain(|one| one.contains("one"));
        all.sort();
        all
    };
    assert_eq!(known().len(), 2, "{:?}", known());
    assert!(store.keys("", "Namespace").is_empty());
    // What is written outside of them is nothing that the store would ever hear of again.
    cluster.apply(&map("c", "one", "2"), &by).await.unwrap();
    assert_eq!(known().len(), 2, "{:?}", known());
    // Each namespace goes on by itself.
    for namespace in ["b", "a"] {
        seed.apply(&map(namespace, "one", "2"), &by).await.unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let value = |namespace: &str| {
            let found = store.get(&key(namespace, "one")).unwrap_or_default();
            get_str(&found, &["data", "a"]).unwrap_or_default().to_owned()
        };
        while value(namespace) != "2" {
            assert!(Instant::now() < until, "the change in {namespace} is not seen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let paths = asked.lock().unwrap().clone();
    let wide = ["/api/v1/configmaps", "/api/v1/namespaces"];
    assert!(!paths.iter().any(|path| wide.contains(&path.as_str())), "{paths:#?}");
    let all = within(true);
    all.watch(&namespaces).await.unwrap();
    assert!(all.store().keys("", "Namespace").len() >= 3);
    server.shutdown().await;
}
