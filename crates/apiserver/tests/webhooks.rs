//! Admission webhooks that can be reached: a TLS server on loopback answers as a table says.

mod beside;

use apiserver::{Options, Server};
use beside::{Beside, request};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const HOOKS: &str = "/apis/admissionregistration.k8s.io/v1";

fn hook(beside: &Beside, name: &str, path: &str, more: Value) -> Value {
    let mut hook = json!({
        "name": name,
        "clientConfig": {"url": format!("{}{path}", beside.url), "caBundle": beside.ca},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "timeoutSeconds": 5,
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        hook[key] = value.clone();
    }
    hook
}

async fn configure(server: &Server, kind: &str, hooks: &[Value]) {
    let plural = format!("{}s", kind.to_lowercase());
    let body = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "hooks"}, "webhooks": hooks,
    });
    request(server, "DELETE", &format!("{HOOKS}/{plural}/hooks"), &Value::Null).await;
    let (code, said) = request(server, "POST", &format!("{HOOKS}/{plural}"), &body).await;
    assert_eq!(code, 201, "{said}");
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}})
}

fn allow(review: &Value) -> Value {
    respond(review, json!({"allowed": true}))
}

fn respond(review: &Value, mut response: Value) -> Value {
    response["uid"] = review["request"]["uid"].clone();
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

fn patch(review: &Value, operations: Value) -> Value {
    use base64::Engine;
    let patch = base64::engine::general_purpose::STANDARD.encode(operations.to_string());
    respond(review, json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

/// What the webhooks of these tests answer.
fn answers(path: &str, review: &Value) -> (u16, Value) {
    let answer = match path {
        "/deny" => respond(review, json!({"allowed": false})),
        "/reason" => respond(
            review,
            json!({"allowed": false, "status": {"reason": "Odd", "code": 418, "message": "tea"}}),
        ),
        "/warn" => respond(review, json!({"allowed": true, "warnings": ["mind the gap"]})),
        "/uid" => {
            json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "x", "allowed": true}})
        }
        "/none" => json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}),
        "/error" => return (500, json!("broken")),
        "/missing" => return (404, json!("gone")),
        "/mutate" => patch(review, json!([{"op": "add", "path": "/data/m", "value": "x"}])),
        "/bad-patch" => patch(review, json!([{"op": "remove", "path": "/data/nothing"}])),
        "/count" => {
            let seen = review["request"]["object"]["data"]["m"].is_string();
            let key = if seen { "/data/second" } else { "/data/first" };
            patch(review, json!([{"op": "add", "path": key, "value": "y"}]))
        }
        _ => allow(review),
    };
    (200, answer)
}

#[tokio::test]
async fn validating_webhooks_judge() {
    let beside = Beside::start(answers).await;
    let server = Server::open(Options::default()).await.unwrap();
    let cases = [
        ("/deny", 400, "admission webhook \"w.example.com\" denied the request without explanation"),
        ("/reason", 418, "admission webhook \"w.example.com\" denied the request: tea"),
        (
            "/error",
            500,
            "Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: an error on the server (\"\\\"broken\\\"\") has prevented the request from succeeding",
        ),
        (
            "/missing",
            500,
            "Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: the server could not find the requested resource",
        ),
        (
            "/none",
            500,
            "Internal error occurred: failed calling webhook \"w.example.com\": received invalid webhook response: webhook response was absent",
        ),
        (
            "/mutate",
            500,
            "Internal error occurred: failed calling webhook \"w.example.com\": received invalid webhook response: validating webhook may not return response.patch",
        ),
    ];
    for (path, code, message) in cases {
        configure(
            &server,
            "ValidatingWebhookConfiguration",
            &[hook(&beside, "w.example.com", path, json!({}))],
        )
        .await;
        let (status, said) = request(&server, "POST", MAPS, &map("a")).await;
        assert_eq!((status, said["message"].as_str().unwrap()), (code, message), "{path}");
        assert_eq!(request(&server, "GET", &format!("{MAPS}/a"), &Value::Null).await.0, 404, "{path}");
    }
    // Failing open, and warnings.
    let hooks = [
        hook(&beside, "open.example.com", "/error", json!({"failurePolicy": "Ignore"})),
        hook(&beside, "warn.example.com", "/warn", json!({})),
    ];
    configure(&server, "ValidatingWebhookConfiguration", &hooks).await;
    let (status, said) = request(&server, "POST", MAPS, &map("a")).await;
    assert_eq!((status, &said["warnings"]), (201, &json!(["299 - \"mind the gap\""])));
    // What was sent: neither what the server adds later, nor less than the protocol wants.
    let seen = beside.last("/warn");
    let request_seen = &seen["request"];
    assert_eq!(request_seen["operation"], "CREATE");
    assert_eq!(request_seen["object"]["metadata"].get("uid"), None);
    assert_eq!(request_seen["oldObject"], Value::Null);
    assert_eq!(request_seen["resource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
    assert_eq!(request_seen["userInfo"]["username"], "admin");
    assert_eq!(request_seen["options"]["kind"], "CreateOptions");
}

#[tokio::test]
async fn webhooks_are_chosen_by_rules_selectors_and_conditions() {
    let beside = Beside::start(answers).await;
    let server = Server::open(Options::default()).await.unwrap();
    let cases = [
        (json!({"objectSelector": {"matchLabels": {"x": "y"}}}), 201),
        (json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}), 400),
        (json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}), 201),
        (json!({"matchConditions": [{"name": "n", "expression": "object.data.a == '2'"}]}), 201),
        (
            json!({"matchConditions": [{"name": "n", "expression": "request.userInfo.username == 'admin'"}]}),
            400,
        ),
        (
            json!({"matchConditions": [{"name": "n", "expression": "authorizer.group('apps').resource('deployments').check('create').allowed()"}]}),
            400,
        ),
        (
            json!({"matchConditions": [{"name": "n", "expression": "!authorizer.requestResource.check('get').allowed()"}]}),
            201,
        ),
        (
            json!({"matchConditions": [{"name": "n", "expression": "authorizer.serviceAccount('default', 'x').path('/secret').check('get').allowed()"}]}),
            201,
        ),
        (json!({"matchConditions": [{"name": "n", "expression": "object.data.nothing == '2'"}]}), 403),
        (
            json!({"matchConditions": [{"name": "n", "expression": "object.data.nothing == '2'"}], "failurePolicy": "Ignore"}),
            201,
        ),
        (
            json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}]}),
            201,
        ),
        (
            json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"], "scope": "Cluster"}]}),
            201,
        ),
        (
            json!({"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]}),
            400,
        ),
    ];
    for (at, (more, code)) in cases.into_iter().enumerate() {
        let shown = more.to_string();
        configure(
            &server,
            "ValidatingWebhookConfiguration",
            &[hook(&beside, "w.example.com", "/deny", more)],
        )
        .await;
        let (status, said) = request(&server, "POST", MAPS, &map(&format!("m{at}"))).await;
        assert_eq!(status, code, "{shown}: {said}");
    }
    // A dry run needs a webhook without side effects.
    let some = json!({"sideEffects": "Some"});
    let body = hook(&beside, "w.example.com", "/allow", some);
    let body = json!({"metadata": {"name": "v1"}, "webhooks": [body]});
    let (status, _) =
        request(&server, "POST", &format!("{HOOKS}/validatingwebhookconfigurations"), &body).await;
    assert_eq!(status, 422, "the side effects of a v1 webhook are none, or none on a dry run");
}

#[tokio::test]
async fn mutating_webhooks_change_what_is_written() {
    let beside = Beside::start(answers).await;
    let server = Server::open(Options::default()).await.unwrap();
    let hooks = [
        hook(&beside, "a.example.com", "/count", json!({"reinvocationPolicy": "IfNeeded"})),
        hook(&beside, "b.example.com", "/mutate", json!({})),
    ];
    configure(&server, "MutatingWebhookConfiguration", &hooks).await;
    let (status, made) = request(&server, "POST", MAPS, &map("a")).await;
    assert_eq!((status, &made["data"]), (201, &json!({"a": "1", "m": "x", "first": "y", "second": "y"})));
    let owned = made["metadata"]["managedFields"].to_string();
    assert!(!owned.contains("f:m\""), "what a webhook adds belongs to nobody: {owned}");
    configure(
        &server,
        "MutatingWebhookConfiguration",
        &[hook(&beside, "b.example.com", "/bad-patch", json!({}))],
    )
    .await;
    let (status, said) = request(&server, "POST", MAPS, &map("b")).await;
    assert_eq!((status, said["reason"].as_str()), (500, Some("InternalError")), "{said}");
}

#[tokio::test]
async fn services_lead_to_webhooks_and_simulated_ones_are_passed_by() {
    let beside = Beside::start(answers).await;
    let notices = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = notices.clone();
    let on_notice =
        std::sync::Arc::new(move |notice: apiserver::Notice| told.lock().unwrap().push(notice.about));
    let server = Server::open(Options { on_notice: Some(on_notice), ..Options::default() }).await.unwrap();
    let place = json!({"service": {"name": "hook", "namespace": "default", "path": "/deny", "port": 443}, "caBundle": beside.ca});
    let set = |place: &Value| hook(&beside, "w.example.com", "", json!({"clientConfig": place}));
    configure(&server, "ValidatingWebhookConfiguration", &[set(&place)]).await;
    let (status, said) = request(&server, "POST", MAPS, &map("a")).await;
    assert_eq!(status, 500);
    assert!(said["message"].as_str().unwrap().ends_with("service \"hook\" not found"), "{said}");
    assert!(notices.lock().unwrap().is_empty());
    let service = json!({"metadata": {"name": "hook"}, "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443}]}});
    request(&server, "POST", "/api/v1/namespaces/default/services", &service).await;
    assert_eq!(request(&server, "POST", MAPS, &map("a")).await.0, 201);
    assert_eq!(*notices.lock().unwrap(), ["ValidatingWebhookConfiguration/hooks"]);
    // A service of another name for this machine is real.
    let service = json!({"metadata": {"name": "outside"}, "spec": {"type": "ExternalName", "externalName": "localhost"}});
    request(&server, "POST", "/api/v1/namespaces/default/services", &service).await;
    let place = json!({"service": {"name": "outside", "namespace": "default", "path": "/deny", "port": beside.port}, "caBundle": beside.ca});
    configure(&server, "ValidatingWebhookConfiguration", &[set(&place)]).await;
    assert_eq!(request(&server, "POST", MAPS, &map("b")).await.0, 400);
}

#[tokio::test]
async fn connections_are_judged_before_they_are_made() {
    let beside = Beside::start(answers).await;
    let server = Server::open(Options::default()).await.unwrap();
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    assert_eq!(request(&server, "POST", pods, &pod).await.0, 201);
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CONNECT"], "resources": ["pods/exec", "pods/attach"]}]);
    let hooks = [hook(&beside, "w.example.com", "/deny", json!({"rules": rules}))];
    configure(&server, "ValidatingWebhookConfiguration", &hooks).await;
    let path = format!("{pods}/p/exec?command=ls&command=-l&stdout=true&container=c");
    let (code, said) = request(&server, "POST", &path, &Value::Null).await;
    let denied = "admission webhook \"w.example.com\" denied the request without explanation";
    assert_eq!((code, said["message"].as_str()), (400, Some(denied)));
    let asked = beside.last("/deny");
    let asked = &asked["request"];
    let options = json!({"kind": "PodExecOptions", "apiVersion": "v1", "stdout": true, "container": "c", "command": ["ls", "-l"]});
    assert_eq!(asked["object"], options);
    assert_eq!(asked["kind"], json!({"group": "", "version": "v1", "kind": "PodExecOptions"}));
    for (field, want) in
        [("operation", "CONNECT"), ("name", "p"), ("namespace", "default"), ("subResource", "exec")]
    {
        assert_eq!(asked[field], want);
    }
    // What no rule names is let through, up to the container that is not there.
    let (code, said) =
        request(&server, "POST", &format!("{pods}/p/portforward?ports=80"), &Value::Null).await;
    assert_eq!((code, said["message"].as_str()), (400, Some("pod p does not have a host assigned")));
}
