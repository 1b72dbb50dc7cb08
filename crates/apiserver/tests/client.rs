//! The API through `kube::Client`, without a socket.

use std::time::Duration;

use apiserver::{Options, Server};
use futures::{AsyncBufReadExt, StreamExt};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

fn maps(client: &kube::Client) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    Api::namespaced_with(client.clone(), "default", &resource)
}

fn map(name: &str, text: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"l": text}}, "data": {"t": text},
    }))
    .unwrap()
}

#[tokio::test]
async fn create_apply_list_delete() {
    let server = Server::open(Options::default()).await.unwrap();
    let api = maps(&server.client());
    let made = api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    assert!(made.metadata.uid.is_some());
    let params = PatchParams::apply("me").force();
    let applied = api.patch("a", &params, &Patch::Apply(map("a", "2"))).await.unwrap();
    assert_eq!(applied.data["data"]["t"], "2");
    let again = api.patch("a", &params, &Patch::Apply(map("a", "2"))).await.unwrap();
    assert_eq!(applied.metadata.resource_version, again.metadata.resource_version, "nothing changed");
    let chosen = api.list(&ListParams::default().labels("l=2")).await.unwrap();
    assert_eq!(chosen.items.len(), 1);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn pages_stay_consistent_while_others_write() {
    let server = Server::open(Options::default()).await.unwrap();
    let api = maps(&server.client());
    for n in 0..10 {
        api.create(&PostParams::default(), &map(&format!("m{n}"), "x")).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(4)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(6));
    api.delete("m5", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &map("m55", "x")).await.unwrap();
    let mut names: Vec<String> = first.items.iter().filter_map(|i| i.metadata.name.clone()).collect();
    let mut token = first.metadata.continue_.unwrap_or_default();
    while !token.is_empty() {
        let page = api.list(&ListParams::default().limit(4).continue_token(&token)).await.unwrap();
        names.extend(page.items.iter().filter_map(|i| i.metadata.name.clone()));
        token = page.metadata.continue_.unwrap_or_default();
    }
    let want: Vec<String> = (0..10).map(|n| format!("m{n}")).collect();
    assert_eq!(names, want);
}

async fn events(client: &kube::Client, query: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/default/configmaps?watch=1&{query}");
    let request = http::Request::get(path).body(Vec::new()).unwrap();
    let mut lines = client.request_stream(request).await.unwrap().lines();
    let mut found = Vec::new();
    while found.len() < count {
        let line = tokio::time::timeout(Duration::from_secs(5), lines.next()).await;
        match line {
            Ok(Some(Ok(line))) => found.push(serde_json::from_str(&line).unwrap()),
            _ => break,
        }
    }
    found
}

fn shown(events: &[Value]) -> Vec<String> {
    events
        .iter()
        .map(|e| {
            let name = e["object"]["metadata"]["name"].as_str().unwrap_or("-");
            format!("{} {name}", e["type"].as_str().unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn watches_resume_select_and_stream_lists() {
    let server = Server::open(Options::default()).await.unwrap();
    let client = server.client();
    let api = maps(&client);
    let start = server.revision();
    api.create(&PostParams::default(), &map("a", "1")).await.unwrap();
    api.create(&PostParams::default(), &map("b", "2")).await.unwrap();
    let patch = json!({"metadata": {"labels": {"l": "2"}}});
    api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    let all = events(&client, &format!("resourceVersion={start}"), 4).await;
    assert_eq!(shown(&all), ["ADDED a", "ADDED b", "MODIFIED a", "DELETED b"]);
    let ones = events(&client, &format!("resourceVersion={start}&labelSelector=l%3D1"), 2).await;
    assert_eq!(shown(&ones), ["ADDED a", "DELETED a"]);
    let streamed = events(
        &client,
        "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan",
        2,
    )
    .await;
    assert_eq!(shown(&streamed), ["ADDED a", "BOOKMARK -"]);
    let mark = &streamed[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
    assert_eq!(mark, "true");
    let old = events(&client, "resourceVersion=0&timeoutSeconds=1", 9).await;
    assert_eq!(shown(&old), ["ADDED a"]);
}

#[tokio::test]
async fn forgotten_revisions_are_gone() {
    let server = Server::open(Options::default()).await.unwrap();
    let client = server.client();
    let api = maps(&client);
    let start = server.revision();
    api.create(&PostParams::default(), &map("a", "0")).await.unwrap();
    for n in 0..5000 {
        let patch = json!({"data": {"t": n.to_string()}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }
    let found = events(&client, &format!("resourceVersion={start}"), 1).await;
    assert_eq!(found[0]["type"], "ERROR");
    assert_eq!(found[0]["object"]["code"], 410);
    let query = format!("/api/v1/configmaps?resourceVersion={start}&resourceVersionMatch=Exact");
    let request = http::Request::get(query).body(Vec::new()).unwrap();
    let error = client.request::<Value>(request).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 410), "410 for an exact list");
}

#[tokio::test]
async fn definitions_are_served_at_once_and_take_their_objects_with_them() {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
        },
    });
    let options = Options { crds: vec![definition], ..Options::default() };
    let server = Server::open(options).await.unwrap();
    let client = server.client();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Thing"));
    let things: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let thing = json!({"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "t", "finalizers": ["example.dev/wait"]}});
    things.create(&PostParams::default(), &serde_json::from_value(thing).unwrap()).await.unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.dev";
    let delete = http::Request::delete(path).body(Vec::new()).unwrap();
    client.request::<Value>(delete).await.unwrap();
    let patch = json!({"metadata": {"finalizers": null}});
    let mut freed = false;
    for _ in 0..100 {
        let get = http::Request::get(path).body(Vec::new()).unwrap();
        if client.request::<Value>(get).await.is_err() {
            freed = true;
            break;
        }
        let deleting = things.get_opt("t").await.ok().flatten();
        if deleting.is_some_and(|t| t.metadata.deletion_timestamp.is_some()) {
            things.patch("t", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(freed, "the definition goes when its objects are gone");
    assert!(things.get("t").await.is_err(), "nothing is served any more");
}

#[tokio::test]
async fn big_and_deep_bodies_are_refused() {
    let server = Server::open(Options::default()).await.unwrap();
    let client = server.client();
    let post = |body: Vec<u8>| {
        http::Request::post("/api/v1/namespaces/default/configmaps")
            .header("content-type", "application/json")
            .body(body)
            .unwrap()
    };
    let error = client.request::<Value>(post(vec![b' '; 4 << 20])).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 413));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = client.request::<Value>(post(deep.into_bytes())).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 400));
}

/// kube-apiserver 1.34.2 answers the same: `kubectl create` and `get` of a Flux HelmRelease.
#[tokio::test]
async fn a_status_left_out_has_its_default() {
    let server = Server::open(Options { crds: schema::crds::flux(), ..Options::default() }).await.unwrap();
    let gvk = GroupVersionKind::gvk("helm.toolkit.fluxcd.io", "v2", "HelmRelease");
    let api: Api<DynamicObject> =
        Api::namespaced_with(server.client(), "default", &ApiResource::from_gvk(&gvk));
    let release = json!({
        "apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "r"},
        "spec": {"interval": "1m", "chartRef": {"kind": "OCIRepository", "name": "c"}},
        "status": {"observedGeneration": 7},
    });
    let release: DynamicObject = serde_json::from_value(release).unwrap();
    let made = api.create(&PostParams::default(), &release).await.unwrap();
    assert_eq!(made.data["status"], json!({"observedGeneration": -1}));
    assert_eq!(api.get("r").await.unwrap().data["status"], json!({"observedGeneration": -1}));
}

/// What client-go does with a client for protobuf; the forms themselves are compared in the crate.
#[tokio::test]
async fn whoever_asks_for_protobuf_gets_it() {
    use http_body_util::{BodyExt, Full};
    use tower::ServiceExt;
    let server = Server::open(Options::default()).await.unwrap();
    let ask = |method: &str, path: &str, body: &[u8]| {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/vnd.kubernetes.protobuf,application/json")
            .header("content-type", "application/vnd.kubernetes.protobuf")
            .body(Full::new(bytes::Bytes::copy_from_slice(body)))
            .unwrap();
        server.service().oneshot(request)
    };
    let media = |response: &http::Response<apiserver::Body>| {
        response.headers()["content-type"].to_str().unwrap().to_owned()
    };
    let maps = "/api/v1/namespaces/default/configmaps";
    // v1 ConfigMap, metadata.name a, data b: c.
    let own =
        b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x0f\x0a\x03\x0a\x01a\x12\x08\x0a\x01b\x12\x03c:d";
    let made = ask("POST", maps, own).await.unwrap();
    assert_eq!(
        (made.status().as_u16(), media(&made)),
        (201, "application/vnd.kubernetes.protobuf".to_owned())
    );
    let body = made.into_body().collect().await.unwrap().to_bytes();
    assert!(
        body.starts_with(&own[..21]) && body.ends_with(b"\x12\x08\x0a\x01b\x12\x03c:d\x1a\0\"\0"),
        "{body:?}"
    );
    let again = ask("POST", maps, own).await.unwrap();
    assert_eq!(
        (again.status().as_u16(), media(&again)),
        (409, "application/vnd.kubernetes.protobuf".to_owned())
    );
    let watch = ask("GET", &format!("{maps}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da"), b"")
        .await
        .unwrap();
    assert_eq!(media(&watch), "application/vnd.kubernetes.protobuf;stream=watch");
    let frame = watch.into_body().collect().await.unwrap().to_bytes();
    let length = u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize;
    assert_eq!(length, frame.len() - 4);
    assert!(frame[4..].starts_with(b"\x0a\x05ADDED\x12") && frame.ends_with(&body), "{frame:?}");
    // What has no such form is written as JSON.
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for (path, wanted) in [
        (maps, "application/vnd.kubernetes.protobuf"),
        (definitions, "application/vnd.kubernetes.protobuf"),
        ("/version", "application/json"),
    ] {
        assert_eq!(media(&ask("GET", path, b"").await.unwrap()), wanted, "{path}");
    }
}

/// kube-apiserver 1.34.2 says the same, after everything else that it could say.
#[tokio::test]
async fn a_new_object_has_no_version() {
    let server = Server::open(Options::default()).await.unwrap();
    let api = maps(&server.client());
    let mut versioned = map("a", "1");
    versioned.metadata.resource_version = Some("5".to_owned());
    let error = api.create(&PostParams::default(), &versioned).await.unwrap_err();
    assert!(
        matches!(&error, kube::Error::Api(status) if status.code == 500 && status.reason.is_empty()
            && status.message == "resourceVersion should not be set on objects to be created"),
        "{error}"
    );
    assert!(api.get_opt("a").await.unwrap().is_none());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    assert!(api.create(&dry, &versioned).await.is_ok());
}
