//! Calls of forges against an installation: `testdata/webhooks.yaml`.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use cluster::{Apply, ListOptions, PatchKind, PatchOptions};
use delivery::doors::Call;
use object::{Value, meta};
use scenario::Site;
use serde_json::json;

fn read(name: &str) -> Value {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The objects of an installation, from their short form.
fn object(row: &Value) -> Value {
    let (name, spec) = row.as_object().unwrap().iter().find(|(name, _)| name.contains('/')).unwrap();
    let annotations = row.get("annotations").cloned().unwrap_or_else(|| json!({}));
    let (kind, name) = name.split_once('/').unwrap();
    let metadata = json!({"name": name, "namespace": "argocd", "annotations": annotations});
    let destination = json!({"name": "in-cluster", "namespace": "default"});
    let (kind, spec) = match (kind, spec.get("drySource").is_some()) {
        ("app", true) => (
            argo::names::APPLICATION,
            json!({"project": "default", "destination": destination, "sourceHydrator": spec}),
        ),
        ("app", false) => (
            argo::names::APPLICATION,
            json!({"project": "default", "destination": destination, "source": spec}),
        ),
        _ => {
            let template = json!({"metadata": {"name": "x"}, "spec": {"project": "default", "destination": destination}});
            (argo::names::APPLICATION_SET, json!({"generators": [spec], "template": template}))
        }
    };
    json!({"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

fn signature(key: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn calls() {
    let site = Site::start(schema::crds::argo(), &[], false).await;
    let by = Apply::forced("somebody");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
    let other = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forge", "namespace": "argocd"},
        "stringData": {"token": "elsewhere"}});
    let objects = read("webhooks-objects.yaml");
    let objects: Vec<Value> = objects.as_array().unwrap().iter().map(object).collect();
    for object in [&namespace, &other].into_iter().chain(&objects) {
        site.cluster.apply(object, &by).await.unwrap();
    }
    let door = argo::webhooks::door(&site.cluster, "argocd");
    let mut failed = Vec::new();
    for case in read("webhooks.yaml").as_array().unwrap() {
        let secrets = case.get("secrets").cloned().unwrap_or_else(|| json!({}));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": secrets,
            "metadata": {"name": "argocd-secret", "namespace": "argocd"}});
        let gvk = object::Gvk::new("", "v1", "Secret");
        let _gone = site.cluster.delete(&gvk, "argocd", "argocd-secret", &Default::default()).await;
        site.cluster.apply(&secret, &by).await.unwrap();
        let body = match case["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => case["body"].to_string().into_bytes(),
        };
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in case["headers"].as_object().unwrap() {
            headers.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        for (name, key) in case["sign"].as_object().into_iter().flatten() {
            let prefix = if name == "x-gogs-signature" { "" } else { "sha256=" };
            headers.insert(name.clone(), format!("{prefix}{}", signature(key.as_str().unwrap(), &body)));
        }
        let call = Call { method: http::Method::POST, path: "/api/webhook".into(), headers, body };
        let reply = door.answer(call).await;
        let asked = asked(&site).await;
        let mut wanted: Vec<String> = case["asked"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        wanted.sort();
        let status = case["status"].as_u64().unwrap_or(200);
        if (u64::from(reply.status), &asked) != (status, &wanted) {
            let name = &case["name"];
            failed.push(format!("{name}: {reply:?} asks {asked:?}, wanted {status} and {wanted:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(door.takes("/api/webhooks"), None);
    site.stop().await;
}

/// Who was asked to look since the last time.
async fn asked(site: &Site) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, short) in [(argo::names::APPLICATION, "app"), (argo::names::APPLICATION_SET, "set")] {
        let gvk = argo::names::gvk(kind);
        let names = [argo::names::REFRESH, argo::names::HYDRATE, argo::names::SET_REFRESH];
        for object in site.cluster.list(&gvk, &ListOptions::default()).await.unwrap() {
            if !names.iter().any(|name| meta::annotation(&object, name).is_some()) {
                continue;
            }
            found.push(format!("{short}/{}", meta::name(&object)));
            let none: Value = names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
            let patch = json!({"metadata": {"annotations": none}});
            let options = PatchOptions { manager: "test".into(), ..PatchOptions::default() };
            let name = meta::name(&object);
            site.cluster.patch(&gvk, "argocd", name, PatchKind::Merge, &patch, &options).await.unwrap();
        }
    }
    found.sort();
    found
}
