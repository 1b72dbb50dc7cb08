//! Objects that follow from others, and what is counted of requests.

use std::time::Duration;

use apiserver::{Options, Server};
use serde_json::{Value, json};

async fn ask(client: &kube::Client, method: &str, path: &str, body: &Value) -> Option<Value> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind).body(body);
    client.request::<Value>(request.unwrap()).await.ok()
}

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";

#[tokio::test]
async fn services_have_their_addresses_as_objects() {
    let server = Server::open(Options::default()).await.unwrap();
    let client = server.client();
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let made = ask(&client, "POST", SERVICES, &service).await.unwrap();
    let address = made["spec"]["clusterIP"].as_str().unwrap().to_owned();
    let path = format!("{ADDRESSES}/{address}");
    let own = ask(&client, "GET", &path, &Value::Null).await.unwrap();
    let parent = json!({"resource": "services", "namespace": "default", "name": "s"});
    assert_eq!(own["spec"]["parentRef"], parent);
    assert_eq!(own["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"], "ipallocator.k8s.io");
    assert_eq!(own["metadata"]["managedFields"][0]["manager"], "kube-apiserver");
    let outside = json!({"spec": {"type": "ExternalName", "externalName": "example.com"}});
    ask(&client, "PATCH", &format!("{SERVICES}/s"), &outside).await.unwrap();
    assert!(ask(&client, "GET", &path, &Value::Null).await.is_none(), "it is not used any more");
    let inside = json!({"spec": {"type": "ClusterIP", "externalName": null}});
    let made = ask(&client, "PATCH", &format!("{SERVICES}/s"), &inside).await.unwrap();
    let path = format!("{ADDRESSES}/{}", made["spec"]["clusterIP"].as_str().unwrap());
    assert!(ask(&client, "GET", &path, &Value::Null).await.is_some());
    ask(&client, "DELETE", &format!("{SERVICES}/s"), &Value::Null).await.unwrap();
    assert!(ask(&client, "GET", &path, &Value::Null).await.is_none());
    let left = ask(&client, "GET", ADDRESSES, &Value::Null).await.unwrap();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "the API's own stays");
}

#[tokio::test]
async fn custom_groups_have_api_services() {
    let server = Server::open(Options::default()).await.unwrap();
    let client = server.client();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let version = |name: &str, served: bool, storage: bool| json!({"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.dev"},
        "spec": {
            "group": "example.dev", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [version("v1", true, true), version("v2", true, false)],
        },
    });
    ask(&client, "POST", definitions, &definition).await.unwrap();
    let path = |name: &str| format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}.example.dev");
    let own = ask(&client, "GET", &path("v1"), &Value::Null).await.unwrap();
    assert_eq!(own["status"]["conditions"][0]["reason"], "Local");
    ask(&client, "DELETE", &path("v1"), &Value::Null).await.unwrap();
    assert!(ask(&client, "GET", &path("v1"), &Value::Null).await.is_some(), "it comes back");
    let patch = json!({"spec": {"versions": [version("v1", true, true), version("v2", false, false)]}});
    ask(&client, "PATCH", &format!("{definitions}/things.example.dev"), &patch).await.unwrap();
    assert!(ask(&client, "GET", &path("v2"), &Value::Null).await.is_none(), "not served any more");
    ask(&client, "DELETE", &format!("{definitions}/things.example.dev"), &Value::Null).await.unwrap();
    for _ in 0..200 {
        if ask(&client, "GET", &path("v1"), &Value::Null).await.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("an APIService stays behind");
}

#[tokio::test]
async fn the_server_has_a_lease() {
    let server = Server::open(Options::default()).await.unwrap();
    let path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=apiserver.kubernetes.io%2Fidentity%3Dkube-apiserver";
    let list = ask(&server.client(), "GET", path, &Value::Null).await.unwrap();
    let lease = &list["items"][0];
    let (name, holder) = (lease["metadata"]["name"].as_str(), lease["spec"]["holderIdentity"].as_str());
    assert!(name.zip(holder).is_some_and(|(name, holder)| holder.starts_with(&format!("{name}_"))));
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3600);
}

#[tokio::test]
async fn requests_are_counted() {
    let server = Server::open(Options::default()).await.unwrap();
    let client = server.client();
    ask(&client, "GET", SERVICES, &Value::Null).await.unwrap();
    ask(&client, "GET", SERVICES, &Value::Null).await.unwrap();
    assert!(ask(&client, "GET", &format!("{SERVICES}/none"), &Value::Null).await.is_none());
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.unwrap();
    for line in [
        r#"apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="services",scope="namespace",subresource="",verb="LIST",version="v1"} 2"#,
        r#"apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="services",scope="resource",subresource="",verb="GET",version="v1"} 1"#,
        r#"apiserver_request_duration_seconds_count{component="apiserver",dry_run="",group="",resource="services",scope="namespace",subresource="",verb="LIST",version="v1"} 2"#,
        r#"apiserver_storage_objects{resource="services"} 1"#,
    ] {
        assert!(text.lines().any(|own| own == line), "{line} is not in\n{text}");
    }
}
