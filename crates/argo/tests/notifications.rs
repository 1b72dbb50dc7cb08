//! Notifications, from a trigger to a service on loopback.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use argo::notifications::services::calls;
use cluster::Apply;
use controller::Engine;
use object::{Value, get_str, meta};
use scenario::Site;
use serde_json::json;
use testkit::http::{Response, Server};

/// What is sent for each kind of service: address, headers and body.
#[test]
fn services_are_spoken_to_in_their_words() {
    let said = json!({
        "message": "web is out", "slack": {"attachments": "[{\"title\": \"x\"}]"}, "teams": {"title": "T"},
        "webhook": {"hook": {"method": "post", "path": "/a", "body": "{}"}}, "pagerdutyv2": {"severity": "error"}, "pagerduty": {"urgency": "high"},
        "alertmanager": {"labels": {"app": "web"}},
    });
    let rows = [
        (
            "webhook",
            "hook",
            json!({"url": "http://h/", "basicAuth": {"username": "u", "password": "p"}}),
            "",
            "POST http://h/a Basic dTpw {}",
        ),
        (
            "slack",
            "slack",
            json!({"token": "t", "apiURL": "http://h/api"}),
            "#ops",
            r##"POST http://h/api/chat.postMessage Bearer t {"attachments":[{"title":"x"}],"channel":"#ops","text":"web is out"}"##,
        ),
        (
            "teams",
            "teams",
            json!({"recipientUrls": {"ops": "http://h/t"}}),
            "ops",
            r#"POST http://h/t  {"@type":"MessageCard","context":"https://schema.org/extensions","text":"web is out","title":"T"}"#,
        ),
        (
            "googlechat",
            "googlechat",
            json!({"webhooks": {"ops": "http://h/g"}}),
            "ops",
            r#"POST http://h/g  {"text":"web is out"}"#,
        ),
        (
            "grafana",
            "grafana",
            json!({"apiUrl": "http://h", "apiKey": "k"}),
            "a|b",
            r#"POST http://h/annotations Bearer k {"tags":["a","b"],"text":"web is out"}"#,
        ),
        (
            "pagerduty",
            "pagerduty",
            json!({"token": "t", "from": "a@example.com", "apiURL": "http://h"}),
            "PABC",
            r#"POST http://h/incidents Token token=t {"incident":{"service":{"id":"PABC","type":"service_reference"},"title":"web is out","type":"incident","urgency":"high"}}"#,
        ),
        (
            "telegram",
            "telegram",
            json!({"token": "t", "apiURL": "http://h"}),
            "-100",
            r#"POST http://h/bott/sendMessage  {"chat_id":"-100","parse_mode":"Markdown","text":"web is out"}"#,
        ),
        (
            "pagerdutyv2",
            "pagerdutyv2",
            json!({"serviceKeys": {"ops": "k"}, "apiURL": "http://h"}),
            "ops",
            r#"POST http://h/v2/enqueue  {"event_action":"trigger","payload":{"severity":"error","source":"argocd","summary":"web is out"},"routing_key":"k"}"#,
        ),
        (
            "alertmanager",
            "alertmanager",
            json!({"targets": ["h:1"]}),
            "",
            r#"POST http://h:1/api/v2/alerts  [{"annotations":{"message":"web is out"},"generatorURL":"","labels":{"alertname":"argocd","app":"web"}}]"#,
        ),
        (
            "opsgenie",
            "opsgenie",
            json!({"apiUrl": "http://h", "apiKeys": {"ops": "k"}}),
            "ops",
            r#"POST http://h/v2/alerts GenieKey k {"description":"","message":"web is out"}"#,
        ),
    ];
    for (kind, name, config, recipient, wanted) in rows {
        let made = calls(kind, name, &config, recipient, &said).unwrap_or_else(|why| panic!("{kind}: {why}"));
        let call = &made[0];
        let login = call.headers.iter().find(|(name, _)| name == "Authorization");
        let login = login.map(|(_, value)| value.as_str()).unwrap_or_default();
        assert_eq!(format!("{} {} {login} {}", call.method, call.url, call.body), wanted, "{kind}");
    }
    assert!(calls("email", "email", &json!({}), "", &said).unwrap_err().contains("email"));
    assert!(calls("teams", "teams", &json!({}), "ops", &said).unwrap_err().contains("ops"));
}

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: argocd}
---
apiVersion: v1
kind: Secret
metadata: {name: argocd-notifications-secret, namespace: argocd}
stringData: {hook-token: s3cret}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: argocd-notifications-cm, namespace: argocd}
data:
  service.webhook.hook: |
    url: BASE
    headers: [{name: X-Token, value: $hook-token}]
  trigger.on-deployed: |
    - when: app.status.operationState.phase in ['Succeeded']
      oncePer: app.status.sync.revision
      send: [deployed]
  template.deployed: |
    message: it is out
    webhook: {hook: {method: POST, path: /told, body: "{{.app.metadata.name}} is {{.app.status.sync.status}}"}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: web
  namespace: argocd
  annotations: {notifications.argoproj.io/subscribe.on-deployed.hook: ""}
spec:
  project: default
  source: {repoURL: https://git.example.com/org/platform, path: app}
  destination: {name: in-cluster, namespace: default}
  syncPolicy: {automated: {}}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_told_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let server = Server::start(move |request| {
        let token = request.headers.get("x-token").cloned().unwrap_or_default();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let mut heard = heard.lock().unwrap();
        heard.push(format!("{} {token} {body}", request.path));
        // The first try fails: it is told again.
        Response::new(if heard.len() == 1 { 500 } else { 200 }, "")
    });
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let site = Site::start(schema::crds::argo(), &[("app/a.yaml", map)], true).await;
    let kinds = argo::kinds(argo::Options::new(site.fetcher()));
    Engine::start(site.cluster.clone(), kinds, Default::default(), site.cancel.clone());
    argo::notifications::start(&site.cluster, site.fetcher(), "argocd", site.cancel.clone());
    for object in yaml::documents(&OBJECTS.replace("BASE", &server.url())).unwrap() {
        site.cluster.apply(&object, &Apply::forced("somebody")).await.unwrap();
    }
    let application = argo::names::gvk("Application");
    let noted = |live: &Value| meta::annotation(live, argo::notifications::STATE).is_some();
    let mut tries = 0;
    loop {
        let live = site.cluster.get(&application, "argocd", "web").await.unwrap().unwrap_or_default();
        if noted(&live) && get_str(&live, &["status", "sync", "status"]) == Some("Synced") {
            break;
        }
        tries += 1;
        if tries % 50 == 0 {
            // Whatever happens to the Application is a reason to look again.
            let patch = json!({"metadata": {"labels": {"tries": tries.to_string()}}});
            let options = cluster::PatchOptions::default();
            let kind = cluster::PatchKind::Merge;
            site.cluster.patch(&application, "argocd", "web", kind, &patch, &options).await.unwrap();
        }
        assert!(tries < 1500, "{:?} {live:#}", told.lock().unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = told.lock().unwrap().clone();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().all(|one| one.starts_with("/told s3cret web is ")), "{told:?}");
    site.stop().await;
}
