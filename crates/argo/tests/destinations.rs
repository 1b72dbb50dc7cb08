//! Applications for another cluster than the one they are in: over loopback, as a Secret describes it.
#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Apply, Cluster, Delete};
use controller::Engine;
use object::{Gvk, Value, get, get_str};
use scenario::{Site, URL};
use serde_json::json;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: \"1\"\n";

fn config_map() -> Gvk {
    Gvk::new("", "v1", "ConfigMap")
}

fn application(name: &str, destination: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "namespace": "argocd", "finalizers": ["resources-finalizer.argocd.argoproj.io"]},
        "spec": {
            "project": "default", "source": {"repoURL": URL, "path": "app"}, "destination": destination,
            "syncPolicy": {
                "automated": {"prune": true, "selfHeal": true}, "syncOptions": ["CreateNamespace=true"],
            },
        },
    })
}

fn secret(name: &str, server: &str, config: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name, "namespace": "argocd", "labels": {"argocd.argoproj.io/secret-type": "cluster"},
        },
        "stringData": {"name": name, "server": server, "config": config.to_string()},
    })
}

async fn until(
    what: &str,
    cluster: &Cluster,
    gvk: &Gvk,
    at: (&str, &str),
    holds: impl Fn(Option<&Value>) -> bool,
) {
    let since = Instant::now();
    loop {
        let found = cluster.get(gvk, at.0, at.1).await.unwrap();
        if holds(found.as_ref()) {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(40), "{what}: {:#}", found.unwrap_or_default());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn condition(kind: &'static str, part: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |live| {
        let conditions = live.and_then(|live| get(live, &["status", "conditions"])).and_then(Value::as_array);
        conditions.into_iter().flatten().any(|one| {
            get_str(one, &["type"]) == Some(kind)
                && get_str(one, &["message"]).is_some_and(|message| message.contains(part))
        })
    }
}

fn synced(live: Option<&Value>) -> bool {
    let text = |path: &[&str]| live.and_then(|live| get_str(live, path)).unwrap_or_default().to_owned();
    text(&["status", "sync", "status"]) == "Synced" && text(&["status", "health", "status"]) == "Healthy"
}

fn data(value: &'static str) -> impl Fn(Option<&Value>) -> bool {
    move |live| live.and_then(|live| get_str(live, &["data", "a"])) == Some(value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_delivered_to() {
    let site = Site::start(schema::crds::argo(), &[("app/map.yaml", MAP)], true).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    site.cluster.apply(&namespace, &Apply::forced("somebody")).await.unwrap();
    let beside = Site::start(Vec::new(), &[], true).await;
    let child = beside.cluster.clone();
    let children: argo::sites::Children = {
        let beside = beside.cluster.clone();
        Arc::new(move |name| {
            let client = (name == "child").then(|| beside.client().clone());
            Box::pin(async move { client })
        })
    };
    let options = argo::Options { children: Some(children), ..argo::Options::new(site.fetcher()) };
    Engine::start(site.cluster.clone(), argo::kinds(options), Default::default(), site.cancel.clone());
    let far = Site::start(Vec::new(), &[], true).await;
    let (serving, other) = (far.serve().await, far.cluster.clone());
    let address = format!("https://{}", serving.addr);
    let (gvk, app) = (argo::names::gvk("Application"), ("argocd", "far"));
    let apply = async |object: &Value| {
        site.cluster.apply(object, &Apply::forced("somebody")).await.unwrap();
    };
    apply(&application("far", &json!({"server": address, "namespace": "apps"}))).await;
    apply(&application("named", &json!({"name": "staging", "namespace": "named"}))).await;
    apply(&application("beside", &json!({"name": "child", "namespace": "apps"}))).await;
    let missing = condition("InvalidSpecError", "not found");
    until("an unknown address is said", &site.cluster, &gvk, app, missing).await;
    let missing = condition("InvalidSpecError", "there are no clusters with this name: staging");
    until("an unknown name is said", &site.cluster, &gvk, ("argocd", "named"), missing).await;

    let exec = json!({"execProviderConfig": {"command": "aws"}});
    apply(&secret("staging", &address, &exec)).await;
    let refused = condition("InvalidSpecError", "execProviderConfig");
    until("a program is refused", &site.cluster, &gvk, app, refused).await;

    use base64::Engine as _;
    let ca = base64::engine::general_purpose::STANDARD.encode(&serving.ca_pem);
    let tls = json!({"caData": ca});
    let wrong = json!({"bearerToken": "wrong", "tlsClientConfig": tls});
    apply(&secret("staging", &address, &wrong)).await;
    let unknown = condition("ComparisonError", "nauthorized");
    until("a wrong token is said", &site.cluster, &gvk, app, unknown).await;

    let right = json!({"bearerToken": serving.token, "tlsClientConfig": tls});
    apply(&secret("staging", &address, &right)).await;
    until("it is synced", &site.cluster, &gvk, app, synced).await;
    until("so is the other", &site.cluster, &gvk, ("argocd", "named"), synced).await;
    until("it is there", &other, &config_map(), ("apps", "one"), data("1")).await;
    let here = site.cluster.get(&config_map(), "apps", "one").await.unwrap();
    assert!(here.is_none(), "nothing is applied to the own cluster");

    site.write("app/map.yaml", &MAP.replace("\"1\"", "\"2\""));
    until("a commit is delivered", &other, &config_map(), ("apps", "one"), data("2")).await;
    let drift = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": "apps"}, "data": {"a": "3"}});
    other.apply(&drift, &Apply::forced("somebody")).await.unwrap();
    until("drift is healed", &other, &config_map(), ("apps", "one"), data("2")).await;

    site.cluster.delete(&gvk, "argocd", "far", &Delete::default()).await.unwrap();
    until("its objects go with it", &other, &config_map(), ("apps", "one"), |live| live.is_none()).await;
    until("it goes", &site.cluster, &gvk, app, |live| live.is_none()).await;
    until("the other stays", &other, &config_map(), ("named", "one"), data("2")).await;
    until("a child has its own", &child, &config_map(), ("apps", "one"), data("2")).await;
    site.stop().await;
    far.stop().await;
    beside.stop().await;
}
