//! Conversion webhooks that can be reached: versions of a custom resource that differ in their fields.

mod beside;

use apiserver::{Options, Server};
use beside::{Beside, request};
use serde_json::{Value, json};

const PATH: &str = "/apis/example.com";

/// `v1` has `spec.name`, `v2` has `spec.first` and `spec.last`.
fn answers(path: &str, review: &Value) -> (u16, Value) {
    let to = review["request"]["desiredAPIVersion"].as_str().unwrap();
    let uid = review["request"]["uid"].clone();
    let reply = |response: Value| {
        (
            200,
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}),
        )
    };
    if path == "/broken" {
        return reply(json!({"uid": uid, "result": {"status": "Failed", "message": "no idea"}}));
    }
    let convert = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = to.into();
        let spec = object["spec"].clone();
        object["spec"] = if to.ends_with("v2") {
            let (first, last) = spec["name"].as_str().unwrap().split_once(' ').unwrap();
            json!({"first": first, "last": last})
        } else {
            json!({"name": format!("{} {}", spec["first"].as_str().unwrap(), spec["last"].as_str().unwrap())})
        };
        object
    };
    let objects: Vec<Value> = review["request"]["objects"].as_array().unwrap().iter().map(convert).collect();
    reply(json!({"uid": uid, "result": {"status": "Success"}, "convertedObjects": objects}))
}

fn definition(beside: &Beside, path: &str) -> Value {
    let version = |name: &str, storage: bool, fields: &[&str]| {
        let fields: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), json!({"type": "string"}))).collect();
        json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": fields}},
        }}})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "people.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "people", "kind": "Person"},
            "versions": [version("v1", true, &["name"]), version("v2", false, &["first", "last"])],
            "conversion": {"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {"url": format!("{}{path}", beside.url), "caBundle": beside.ca},
            }},
        },
    })
}

fn person(version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Person", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn every_version_is_read_and_written() {
    let beside = Beside::start(answers).await;
    let directory = tempfile::tempdir().unwrap();
    let storage = apiserver::Storage::Path(directory.path().to_owned());
    let options = || Options { storage: storage.clone(), ..Options::default() };
    let server = Server::open(options()).await.unwrap();
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!(request(&server, "POST", crds, &definition(&beside, "/convert")).await.0, 201);
    let (one, two) =
        (format!("{PATH}/v1/namespaces/default/people"), format!("{PATH}/v2/namespaces/default/people"));
    let (code, said) =
        request(&server, "POST", &one, &person("v1", "ada", json!({"name": "Ada Lovelace"}))).await;
    assert_eq!(code, 201, "{said}");
    let (code, said) =
        request(&server, "POST", &two, &person("v2", "alan", json!({"first": "Alan", "last": "Turing"})))
            .await;
    assert_eq!((code, &said["spec"]["last"]), (201, &json!("Turing")), "{said}");
    let (_, read) = request(&server, "GET", &format!("{two}/ada"), &Value::Null).await;
    assert_eq!(read["spec"], json!({"first": "Ada", "last": "Lovelace"}));
    let (_, read) = request(&server, "GET", &format!("{one}/alan"), &Value::Null).await;
    assert_eq!(read["spec"], json!({"name": "Alan Turing"}));
    let patch = json!({"spec": {"last": "Byron"}});
    let (code, patched) = request(&server, "PATCH", &format!("{two}/ada"), &patch).await;
    assert_eq!((code, &patched["spec"]), (200, &json!({"first": "Ada", "last": "Byron"})), "{patched}");
    server.shutdown().await;
    // After a restart versions are converted again when somebody asks for them.
    let server = Server::open(options()).await.unwrap();
    let (_, list) = request(&server, "GET", &two, &Value::Null).await;
    let lasts: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|item| item["spec"]["last"].as_str()).collect();
    assert_eq!(lasts, ["Byron", "Turing"]);
    assert_eq!(list["items"][0]["apiVersion"], "example.com/v2");
    server.shutdown().await;
}

#[tokio::test]
async fn a_conversion_that_fails_is_told() {
    let beside = Beside::start(answers).await;
    let server = Server::open(Options::default()).await.unwrap();
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    request(&server, "POST", crds, &definition(&beside, "/broken")).await;
    let (one, two) =
        (format!("{PATH}/v1/namespaces/default/people"), format!("{PATH}/v2/namespaces/default/people"));
    let (code, _) =
        request(&server, "POST", &one, &person("v1", "ada", json!({"name": "Ada Lovelace"}))).await;
    assert_eq!(code, 201);
    let (code, said) = request(&server, "GET", &two, &Value::Null).await;
    let message = "conversion webhook for example.com/v1, Kind=Person failed: no idea";
    assert_eq!((code, said["message"].as_str()), (500, Some(message)), "{said}");
}
