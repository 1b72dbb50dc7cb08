//! What Flux does besides delivering: secrets stay secret, events reach those who asked, calls from outside ask for
//! a pass, buckets are read. Everything on loopback.
#![allow(clippy::disallowed_methods)]

mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::Apply;
use object::{Gvk, Value};
use testkit::http::{Request, Response, Server};
use testkit::remotes::{Access, Registry};
use world::World;

type Log = Arc<Mutex<Vec<Request>>>;

/// A server that takes everything and remembers it.
fn listener(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> (Server, Log) {
    let log: Log = Arc::default();
    let seen = log.clone();
    let server = Server::start(move |request| {
        seen.lock().unwrap().push(request.clone());
        answer(request)
    });
    (server, log)
}

async fn apply(world: &World, text: &str) {
    for object in yaml::documents(text).unwrap() {
        world.cluster.apply(&object, &Apply::forced("test")).await.unwrap();
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const FILES: &[(&str, &str)] = &[(
    "clusters/test/one.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: default}\ndata: {a: b}\n",
)];

/// The providers of a test: type, path of the address, further fields of the spec.
const TYPES: &[(&str, &str, &str)] = &[
    ("generic", "/", "secretRef: {name: token}"),
    ("generic-hmac", "/", "secretRef: {name: token}"),
    ("slack", "/hook", "channel: general\n  secretRef: {name: token}"),
    ("discord", "/hook", "username: flux"),
    ("msteams", "/hook", "channel: x"),
    ("rocket", "/hook", "channel: general"),
    ("googlechat", "/hook", "channel: x"),
    ("webex", "/v1/messages", "channel: room\n  secretRef: {name: token}"),
    ("telegram", "/", "channel: '@flux:7'\n  secretRef: {name: token}"),
    ("matrix", "/", "channel: '!room'\n  secretRef: {name: token}"),
    ("lark", "/hook", "channel: x"),
    ("zulip", "/", "channel: stream/topic\n  secretRef: {name: token}"),
    ("zoom", "/hook", "secretRef: {name: token}"),
    ("opsgenie", "/v2/alerts", "secretRef: {name: token}"),
    ("pagerduty", "/", "channel: routing"),
    ("alertmanager", "/api/v2/alerts", "secretRef: {name: token}"),
    ("grafana", "/api/annotations", "secretRef: {name: token}"),
    ("datadog", "/", "secretRef: {name: token}"),
    ("incident.io", "/alert", "secretRef: {name: token}"),
    ("githubdispatch", "/org/repository", "secretRef: {name: token}"),
    ("otel", "/", "channel: x"),
    ("sentry", "/5", "channel: production"),
    ("github", "/org/repository", "secretRef: {name: token}"),
    ("gitlab", "/group/sub/repository", "secretRef: {name: token}"),
    ("gitea", "/org/repository", "secretRef: {name: token}"),
    ("bitbucket", "/org/repository", "secretRef: {name: pair}"),
    ("bitbucketserver", "/scm/project/repository.git", "secretRef: {name: token}"),
    ("azuredevops", "/org/project/_git/repository", "secretRef: {name: token}"),
    ("githubpullrequestcomment", "/org/repository", "secretRef: {name: token}"),
    ("gitlabmergerequestcomment", "/org/repository", "secretRef: {name: token}"),
    ("giteapullrequestcomment", "/org/repository", "secretRef: {name: token}"),
];

fn posted(log: &Log) -> Vec<(String, Value, Request)> {
    let all = log.lock().unwrap();
    let sent = all.iter().filter(|request| request.method != "GET");
    sent.map(|request| {
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        (request.path.clone(), body, request.clone())
    })
    .collect()
}

/// Posts an event as another controller would.
async fn tell(world: &World, message: &str, severity: &str) {
    let event = serde_json::json!({
        "involvedObject": {"kind": "Kustomization", "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "namespace": "flux-system", "name": "apps", "uid": "11111111-2222"},
        "severity": severity, "timestamp": "2026-01-02T03:04:05Z", "message": message,
        "reason": "ReconciliationSucceeded", "reportingController": "kustomize-controller",
        "metadata": {
            "kustomize.toolkit.fluxcd.io/revision": "main@sha1:0123456789abcdef0123456789abcdef01234567",
            "kustomize.toolkit.fluxcd.io/digest": "sha256:no",
            "event.toolkit.fluxcd.io/change_request": "7",
            "event.toolkit.fluxcd.io/team": "object",
        },
    });
    let client = reqwest::Client::new();
    let answer = client.post(format!("http://{}/", world.hooks)).json(&event).send().await.unwrap();
    assert_eq!(answer.status(), 202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_type_of_provider_is_told() {
    let (server, log) = listener(|request| match request.method.as_str() {
        "GET" if request.path.contains("/builds") || request.path.contains("/statuses/build/") => {
            Response::new(404, "{}")
        }
        "GET" if request.path.contains("_apis") => Response::new(200, r#"{"value": []}"#),
        "GET" => Response::new(200, "[]"),
        _ => Response::new(200, "{}"),
    });
    let world = World::start(FILES).await;
    let mut text = "apiVersion: v1\nkind: Secret\nmetadata: {name: token, namespace: flux-system}\n\
        stringData: {token: canary-token, username: user, password: canary-password}\n---\n\
        apiVersion: v1\nkind: Secret\nmetadata: {name: pair, namespace: flux-system}\n\
        stringData: {token: 'user:canary-password'}\n"
        .to_owned();
    for (kind, path, more) in TYPES {
        let name = kind.replace('.', "-");
        let host = if *kind == "sentry" { format!("http://key@{}", server.host()) } else { server.url() };
        text.push_str(&format!(
            "---\napiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\n\
             metadata: {{name: {name}, namespace: flux-system}}\nspec:\n  type: {kind}\n  address: {host}{path}\n  {more}\n\
             ---\napiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Alert\n\
             metadata: {{name: {name}, namespace: flux-system}}\nspec:\n  providerRef: {{name: {name}}}\n  \
             eventMetadata: {{team: alert, cluster: test}}\n  exclusionList: ['^waiting.*socket$']\n  \
             eventSources: [{{kind: Kustomization, name: apps}}]\n"
        ));
    }
    apply(&world, &text).await;
    // One event that tells of trouble, until all have heard of it.
    tell(&world, "apply failed", "error").await;
    until("the first", async || (posted(&log).len() >= TYPES.len()).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    log.lock().unwrap().clear();
    tell(&world, "waiting for the socket", "error").await;
    tell(&world, "Applied revision: main", "info").await;
    tell(&world, "Applied revision: main", "info").await;
    // One for each, and a change event for the pager.
    let wanted = TYPES.len() + 1;
    until("all of them", async || (posted(&log).len() >= wanted).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let all = posted(&log);
    assert_eq!(all.len(), wanted, "{:#?}", all.iter().map(|(path, ..)| path).collect::<Vec<_>>());
    let find = |what: &str, check: &dyn Fn(&str, &Value, &Request) -> bool| {
        assert!(all.iter().any(|(path, body, request)| check(path, body, request)), "{what}: {all:#?}");
    };
    let header = |request: &Request, name: &str| request.headers.get(name).cloned().unwrap_or_default();
    find("generic", &|path, body, request| {
        path == "/"
            && body["metadata"]["team"] == "alert"
            && body["metadata"]["cluster"] == "test"
            && body["metadata"].get("digest").is_none()
            && body["involvedObject"]["name"] == "apps"
            && header(request, "gotk-component") == "kustomize-controller"
            && !request.headers.contains_key("x-signature")
    });
    find("generic-hmac", &|path, _, request| {
        path == "/" && header(request, "x-signature").starts_with("sha256=")
    });
    find("slack", &|path, body, request| {
        path == "/hook"
            && body["channel"] == "general"
            && body["attachments"][0]["color"] == "good"
            && body["attachments"][0]["author_name"] == "kustomization/apps.flux-system"
            && header(request, "authorization") == "Bearer canary-token"
    });
    find("discord", &|path, body, _| path == "/hook/slack" && body["username"] == "flux");
    find("msteams", &|_, body, _| body["attachments"][0]["content"]["version"] == "1.4");
    find("googlechat", &|_, body, _| body["cards"][0]["header"]["subtitle"] == "kustomize-controller");
    find("telegram", &|path, body, _| {
        path == "/botcanary-token/sendMessage"
            && body["chat_id"] == "@flux"
            && body["message_thread_id"] == "7"
    });
    find("matrix", &|path, _, request| {
        path.starts_with("/_matrix/client/r0/rooms/!room/") && request.method == "PUT"
    });
    find("zulip", &|path, _, request| {
        path == "/api/v1/messages" && String::from_utf8_lossy(&request.body).contains("topic=topic")
    });
    find("opsgenie", &|path, _, request| {
        path == "/v2/alerts" && header(request, "authorization") == "GenieKey canary-token"
    });
    find("pagerduty", &|path, body, _| path == "/v2/enqueue" && body["event_action"] == "resolve");
    find("pagerduty change", &|path, _, _| path == "/v2/change/enqueue");
    find("alertmanager", &|path, body, _| {
        path == "/api/v2/alerts"
            && body[0]["labels"]["alertname"] == "FluxKustomizationReconciliationsucceeded"
    });
    find("grafana", &|path, body, _| path == "/api/annotations" && body["when"] == 1_767_323_045);
    find("sentry", &|path, _, _| path == "/api/5/envelope/");
    find("otel", &|path, _, _| path == "/v1/traces");
    find("github", &|path, body, _| {
        path == "/api/v3/repos/org/repository/statuses/0123456789abcdef0123456789abcdef01234567"
            && body["state"] == "success"
            && body["description"] == "reconciliation succeeded"
            && body["context"].as_str().is_some_and(|context| context.starts_with("kustomization/apps/"))
    });
    find("gitlab", &|path, _, request| {
        path.starts_with("/api/v4/projects/group%2Fsub%2Frepository/statuses/")
            && header(request, "private-token") == "canary-token"
    });
    find("azuredevops", &|path, body, _| path.contains("_apis/git") && body["context"]["genre"] == "fluxcd");
    find("a comment", &|path, body, _| {
        path == "/api/v3/repos/org/repository/issues/7/comments"
            && body["body"].as_str().is_some_and(|text| text.contains("Applied revision"))
    });
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_events_are_told() {
    let (server, log) = listener(|_| Response::new(200, "{}"));
    let world = World::start(FILES).await;
    world.ready().await;
    apply(
        &world,
        &format!(
            "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\n\
             metadata: {{name: all, namespace: flux-system}}\nspec: {{type: generic, address: '{}/'}}\n---\n\
             apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Alert\n\
             metadata: {{name: all, namespace: flux-system}}\nspec:\n  providerRef: {{name: all}}\n  \
             eventSources: [{{kind: Kustomization, name: '*'}}, {{kind: GitRepository, name: '*'}}]\n",
            server.url()
        ),
    )
    .await;
    let changed = |value: usize| FILES[0].1.replace("a: b", &format!("a: b{value}"));
    let mut round = 0;
    until("a change", async || {
        round += 1;
        world.write(FILES[0].0, &changed(round));
        tokio::time::sleep(Duration::from_millis(500)).await;
        posted(&log)
            .iter()
            .any(|(_, body, _)| {
                body["involvedObject"]["kind"] == "Kustomization"
                    && body["message"].as_str().is_some_and(|text| text.contains("ConfigMap/default/one"))
                    && body["metadata"]["revision"].is_string()
            })
            .then_some(())
    })
    .await;
    world.stop().await;
}

async fn call(world: &World, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut request =
        reqwest::Client::new().post(format!("http://{}{path}", world.hooks)).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

fn hmac(key: &str, body: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
    format!("sha256={}", hex::encode(aws_lc_rs::hmac::sign(&key, body.as_bytes())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_ask_for_a_pass() {
    let world = World::start(FILES).await;
    world.ready().await;
    apply(
        &world,
        "apiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: flux-system}\nstringData: {token: canary-hook}\n---\n\
         apiVersion: notification.toolkit.fluxcd.io/v1\nkind: Receiver\nmetadata: {name: github, namespace: flux-system}\n\
         spec:\n  type: github\n  events: [ping, push]\n  secretRef: {name: hook}\n  \
         resourceFilter: \"req.ref == 'refs/heads/main' && res.metadata.name.startsWith('flux')\"\n  \
         resources: [{kind: GitRepository, name: flux-system}]\n---\n\
         apiVersion: notification.toolkit.fluxcd.io/v1\nkind: Receiver\nmetadata: {name: open, namespace: flux-system}\n\
         spec:\n  type: generic\n  secretRef: {name: hook}\n  \
         resources: [{kind: Kustomization, name: '*', matchLabels: {team: none}}]\n---\n\
         apiVersion: notification.toolkit.fluxcd.io/v1\nkind: Receiver\nmetadata: {name: broken, namespace: flux-system}\n\
         spec:\n  type: generic\n  secretRef: {name: hook}\n  resourceFilter: 'a +'\n  \
         resources: [{kind: GitRepository, name: flux-system}]\n",
    )
    .await;
    let gvk = Gvk::new("notification.toolkit.fluxcd.io", "v1", "Receiver");
    let path = async |name: &str| {
        until(name, async || {
            let receiver = world.cluster.get(&gvk, "flux-system", name).await.unwrap()?;
            object::get_str(&receiver, &["status", "webhookPath"]).map(str::to_owned)
        })
        .await
    };
    let (github, open) = (path("github").await, path("open").await);
    assert!(github.starts_with("/hook/") && github.len() == 70 && github != open, "{github}");
    let source = Gvk::new("source.toolkit.fluxcd.io", "v1", "GitRepository");
    let asked = async || {
        let live = world.cluster.get(&source, "flux-system", "flux-system").await.unwrap().unwrap();
        object::meta::annotation(&live, "reconcile.fluxcd.io/requestedAt").map(str::to_owned)
    };
    let body = r#"{"ref": "refs/heads/main"}"#;
    let json = ("content-type", "application/json; charset=utf-8");
    let signed = hmac("canary-hook", body);
    let good = [json, ("x-github-event", "push"), ("x-hub-signature-256", signed.as_str())];
    assert_eq!(call(&world, "/hook/nothing", &good, body).await, 404);
    let wrong = hmac("other", body);
    let bad = [json, ("x-github-event", "push"), ("x-hub-signature-256", wrong.as_str())];
    assert_eq!(call(&world, &github, &bad, body).await, 400);
    let event = [json, ("x-github-event", "issues"), ("x-hub-signature-256", signed.as_str())];
    assert_eq!(call(&world, &github, &event, body).await, 400);
    let branch = r#"{"ref": "refs/heads/other"}"#;
    let of_branch = hmac("canary-hook", branch);
    let other = [json, ("x-github-event", "push"), ("x-hub-signature-256", of_branch.as_str())];
    assert_eq!(call(&world, &github, &other, branch).await, 200);
    assert_eq!(asked().await, None);
    assert_eq!(call(&world, &github, &good, body).await, 200);
    assert!(asked().await.is_some());
    assert_eq!(call(&world, &open, &[], "").await, 200);
    let stalled = until("the broken one", async || {
        let receiver = world.cluster.get(&gvk, "flux-system", "broken").await.unwrap()?;
        receiver.pointer("/status/conditions/0").cloned()
    })
    .await;
    assert_eq!(stalled["type"], "Stalled");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_is_read_and_only_what_changed_is_read_again() {
    let objects: Arc<Mutex<BTreeMap<String, (String, String)>>> = Arc::default();
    let put = |name: &str, text: &str, tag: &str| {
        objects.lock().unwrap().insert(name.to_owned(), (text.to_owned(), tag.to_owned()));
    };
    put("deploy/one.yaml", FILES[0].1, "1");
    put("deploy/two & more.txt", "text", "2");
    put("picture.png", "ignored", "3");
    put("empty/", "", "4");
    let shared = objects.clone();
    let (server, log) = listener(move |request| {
        let all = shared.lock().unwrap();
        let authorization = request.headers.get("authorization").cloned().unwrap_or_default();
        if !authorization.contains("Credential=access/") || !authorization.contains("/eu-1/s3/aws4_request") {
            return Response::new(403, "<Error/>");
        }
        if request.path == "/bucket" {
            // A page for each object.
            let after = request.query.split('&').find_map(|pair| pair.strip_prefix("continuation-token="));
            let at: usize = after.and_then(|at| at.parse().ok()).unwrap_or(0);
            let (name, (_, tag)) = all.iter().nth(at).unwrap();
            let next = match at + 1 < all.len() {
                true => format!(
                    "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>",
                    at + 1
                ),
                false => "<IsTruncated>false</IsTruncated>".to_owned(),
            };
            let name = name.replace('&', "&amp;");
            return Response::new(
                200,
                format!(
                    "<ListBucketResult>{next}<Contents><Key>{name}</Key><ETag>&quot;{tag}&quot;</ETag></Contents></ListBucketResult>"
                ),
            );
        }
        let name =
            request.path.strip_prefix("/bucket/").unwrap_or_default().replace("%20", " ").replace("%26", "&");
        match all.get(&name) {
            Some((text, _)) => Response::new(200, text.clone()),
            None => Response::new(404, ""),
        }
    });
    let world = World::start(&[("clusters/test/none.txt", "")]).await;
    apply(
        &world,
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys, namespace: default}}\n\
             stringData: {{accesskey: access, secretkey: canary-secret}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {{name: store, namespace: default}}\n\
             spec: {{bucketName: bucket, endpoint: '{}', insecure: true, interval: 10m, region: eu-1, secretRef: {{name: keys}}}}\n---\n\
             apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: store, namespace: default}}\n\
             spec: {{interval: 10m, path: ./deploy, prune: true, sourceRef: {{kind: Bucket, name: store}}}}\n",
            server.host()
        ),
    )
    .await;
    let bucket = Gvk::new("source.toolkit.fluxcd.io", "v1", "Bucket");
    let revision = async || {
        let live = world.cluster.get(&bucket, "default", "store").await.unwrap()?;
        object::get_str(&live, &["status", "artifact", "revision"]).map(str::to_owned)
    };
    let first = until("the artifact", revision).await;
    assert!(first.starts_with("sha256:"), "{first}");
    until("its object", async || {
        world.cluster.get(&Gvk::new("", "v1", "ConfigMap"), "default", "one").await.unwrap()
    })
    .await;
    log.lock().unwrap().clear();
    put("deploy/one.yaml", &FILES[0].1.replace("a: b", "a: c"), "5");
    let asked = yaml::from_str(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\n\
         metadata: {name: store, namespace: default, annotations: {reconcile.fluxcd.io/requestedAt: now}}\n",
    );
    world.cluster.apply(&asked.unwrap(), &Apply::forced("asker")).await.unwrap();
    until("the change", async || {
        let live = world.cluster.get(&Gvk::new("", "v1", "ConfigMap"), "default", "one").await.unwrap()?;
        (live["data"]["a"] == "c").then_some(())
    })
    .await;
    assert_ne!(revision().await, Some(first));
    let read: Vec<String> = log.lock().unwrap().iter().map(|request| request.path.clone()).collect();
    let objects: Vec<&String> = read.iter().filter(|path| path.starts_with("/bucket/")).collect();
    assert_eq!(objects, ["/bucket/deploy/one.yaml"]);
    world.stop().await;
}

/// The conditions of an object by type: status and message.
async fn conditions(world: &World, gvk: &Gvk, name: &str) -> BTreeMap<String, (String, String)> {
    let live = world.cluster.get(gvk, "default", name).await.unwrap().unwrap_or_default();
    let list =
        object::get(&live, &["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
    list.iter().map(|one| (text(one, "type"), (text(one, "status"), text(one, "message")))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_artifact_is_taken_once_it_is_signed() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let registry = Registry::start(Access::Open);
    let files = [("one.yaml".to_owned(), FILES[0].1.as_bytes().to_vec())];
    let archive = source::Tree::from_files(files).unwrap().to_tar_gz();
    let digest = registry.push_artifact("org/app", "1.0.0", &archive);
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let public = STANDARD.encode([&head, key.public_key().as_ref()].concat());
    let world = World::start(&[("clusters/test/none.txt", "")]).await;
    apply(
        &world,
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: keys, namespace: default}}\n\
             stringData: {{cosign.pub: \"-----BEGIN PUBLIC KEY-----\\n{public}\\n-----END PUBLIC KEY-----\\n\"}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {{name: app, namespace: default}}\n\
             spec: {{url: 'oci://{}/org/app', ref: {{tag: 1.0.0}}, interval: 10m, verify: {{provider: cosign, secretRef: {{name: keys}}}}}}\n---\n\
             apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: app, namespace: default}}\n\
             spec: {{interval: 10m, path: ./, prune: true, sourceRef: {{kind: OCIRepository, name: app}}}}\n",
            registry.host()
        ),
    )
    .await;
    let repository = Gvk::new("source.toolkit.fluxcd.io", "v1", "OCIRepository");
    let refused =
        until("the refusal", async || conditions(&world, &repository, "app").await.remove("SourceVerified"))
            .await;
    assert_eq!(refused.0, "False");
    let said =
        "failed to verify the signature using provider 'cosign': no matching signatures were found for";
    assert!(refused.1.starts_with(said), "{}", refused.1);
    let one = Gvk::new("", "v1", "ConfigMap");
    assert!(world.cluster.get(&one, "default", "one").await.unwrap().is_none());

    let payload = format!(r#"{{"critical":{{"image":{{"docker-manifest-digest":"{digest}"}}}}}}"#);
    let signature = key.sign(&aws_lc_rs::rand::SystemRandom::new(), payload.as_bytes()).unwrap();
    let manifest = serde_json::json!({"layers": [{
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "digest": registry.put_blob(payload.as_bytes()),
        "annotations": {"dev.cosignproject.cosign/signature": STANDARD.encode(signature)},
    }]});
    let tag = format!("{}.sig", digest.replace(':', "-"));
    registry.put_manifest("org/app", &tag, manifest.to_string().as_bytes());
    until("its object", async || world.cluster.get(&one, "default", "one").await.unwrap()).await;
    let verified = conditions(&world, &repository, "app").await.remove("SourceVerified");
    let said = format!("verified signature of revision 1.0.0@{digest}");
    assert_eq!(verified, Some(("True".to_owned(), said)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_tag_becomes_a_commit() {
    use testkit::remotes::{Access, GitServer, Registry, git};
    let registry = Registry::start(Access::Basic("me".into(), "canary-registry".into()));
    for tag in ["1.0.0", "1.1.0", "2.0.0", "latest", "sha256-abc.sig"] {
        registry.push_artifact("org/app", tag, tag.as_bytes());
    }
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    std::fs::create_dir_all(work.join("apps")).unwrap();
    git(&work, &["init", "-q"]);
    let image = format!("{}/org/app", registry.host());
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}   # kept\ndata:\n  image: {image}:1.0.0 # {{\"$imagepolicy\": \"default:app\"}}\n  tag: \"1.0.0\" # {{\"$imagepolicy\": \"default:app:tag\"}}\n"
    );
    std::fs::write(work.join("apps/app.yaml"), &text).unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "first"]);
    git(folder.path(), &["clone", "-q", "--bare", "work", "served.git"]);
    let bare = folder.path().join("served.git");
    let server = GitServer::start(folder.path(), Access::Basic("git".into(), "canary-git".into()));
    let world = World::start(FILES).await;
    let signed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../source/testdata/signed");
    let key = serde_json::json!(std::fs::read_to_string(signed.join("robot-secret.asc")).unwrap());
    let docker =
        serde_json::json!({"auths": {registry.host(): {"username": "me", "password": "canary-registry"}}});
    apply(
        &world,
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: registry, namespace: default}}\ntype: kubernetes.io/dockerconfigjson\n\
             stringData: {{.dockerconfigjson: '{docker}'}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: git, namespace: default}}\n\
             stringData: {{username: git, password: canary-git}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: signing, namespace: default}}\n\
             stringData: {{passphrase: canary-passphrase, git.asc: {key}}}\n---\n\
             apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {{name: app, namespace: default}}\n\
             spec: {{interval: 10m, url: '{}/served.git', ref: {{branch: main}}, secretRef: {{name: git}}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\nmetadata: {{name: app, namespace: default}}\n\
             spec: {{interval: 10m, image: {image}, secretRef: {{name: registry}}}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImagePolicy\nmetadata: {{name: app, namespace: default}}\n\
             spec: {{imageRepositoryRef: {{name: app}}, policy: {{semver: {{range: 1.x}}}}, digestReflectionPolicy: IfNotPresent}}\n---\n\
             apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageUpdateAutomation\nmetadata: {{name: app, namespace: default}}\n\
             spec:\n  interval: 10m\n  sourceRef: {{kind: GitRepository, name: app}}\n  git:\n    commit:\n      \
             signingKey: {{secretRef: {{name: signing}}}}\n      \
             author: {{name: Flux, email: flux@example.com}}\n      \
             messageTemplate: '{{{{ range .Changed.Changes }}}}{{{{ .OldValue }}}} to {{{{ .NewValue }}}};{{{{ end }}}}'\n  \
             update: {{path: ./apps, strategy: Setters}}\n",
            server.url()
        ),
    )
    .await;
    let read = || git(&bare, &["show", "main:apps/app.yaml"]);
    until("the commit", async || read().contains(":1.1.0@sha256:").then_some(())).await;
    let digest = read().split("@sha256:").nth(1).unwrap_or_default().chars().take(64).collect::<String>();
    let wanted =
        text.replace(":1.0.0 #", &format!(":1.1.0@sha256:{digest} #")).replace("\"1.0.0\"", "\"1.1.0\"");
    assert_eq!(read(), wanted.trim_end());
    assert_eq!(git(&bare, &["log", "-1", "--format=%an %ae"]), "Flux flux@example.com");
    assert!(git(&bare, &["log", "-1", "--format=%s"]).contains("1.0.0 to 1.1.0;"));
    let public = std::fs::read(signed.join("robot.asc")).unwrap();
    let data = BTreeMap::from([("robot.asc".to_owned(), public)]);
    let mut request = source::git::Request::new(format!("file://{}", bare.display()));
    request.reference.branch = Some("main".into());
    request.verify = Some(source::git::Verify::from_secret(source::git::Mode::Head, &data).unwrap());
    let fetcher = source::Fetcher::new(source::Options::default()).unwrap();
    let verified = fetcher.git(&request).await.unwrap().verified.unwrap();
    assert!(verified.contains("- commit '"), "{verified}");
    let gvk = |kind: &str| Gvk::new("image.toolkit.fluxcd.io", "v1", kind);
    let automation = until("its status", async || {
        let live = world.cluster.get(&gvk("ImageUpdateAutomation"), "default", "app").await.unwrap()?;
        object::get_str(&live, &["status", "lastPushCommit"]).map(str::to_owned)
    })
    .await;
    assert_eq!(automation, git(&bare, &["rev-parse", "main"]));
    let scanned = world.cluster.get(&gvk("ImageRepository"), "default", "app").await.unwrap().unwrap();
    assert_eq!(scanned["status"]["lastScanResult"]["tagCount"], 4, "{scanned:#}");
    // A newer tag, and somebody who says that the registry has it.
    registry.push_artifact("org/app", "1.2.0", b"1.2.0");
    let asked = yaml::from_str(
        "apiVersion: image.toolkit.fluxcd.io/v1\nkind: ImageRepository\n\
         metadata: {name: app, namespace: default, annotations: {reconcile.fluxcd.io/requestedAt: now}}\n",
    );
    world.cluster.apply(&asked.unwrap(), &Apply::forced("asker")).await.unwrap();
    until("the second commit", async || read().contains(":1.2.0@sha256:").then_some(())).await;
    assert_eq!(git(&bare, &["rev-list", "--count", "main"]), "3");
    let said = world.everything_said().await;
    assert!(!said.contains("canary"), "{said}");
    world.stop().await;
}

/// A service gives the inputs of a ResourceSet; an answer that cannot be used takes nothing away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_gives_inputs() {
    let answer =
        Arc::new(Mutex::new(r#"{"inputs": [{"id": "1", "team": "red"}, {"id": "2", "team": "blue"}]}"#));
    let said = answer.clone();
    let (server, log) = listener(move |_| Response::new(200, *said.lock().unwrap()));
    let world = World::start(FILES).await;
    apply(
        &world,
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: login, namespace: default}}\n\
             stringData: {{username: me, password: pass}}\n---\n\
             apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSetInputProvider\n\
             metadata: {{name: teams, namespace: default}}\nspec:\n  type: ExternalService\n  url: '{}/teams'\n  \
             insecure: true\n  secretRef: {{name: login}}\n---\n\
             apiVersion: fluxcd.controlplane.io/v1\nkind: ResourceSet\nmetadata: {{name: teams, namespace: default}}\n\
             spec:\n  inputsFrom: [{{kind: ResourceSetInputProvider, name: teams}}]\n  resources:\n  \
             - apiVersion: v1\n    kind: ConfigMap\n    metadata: {{name: 'team-<< inputs.team >>', namespace: apps}}\n",
            server.url()
        ),
    )
    .await;
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: apps}\n";
    apply(&world, namespace).await;
    world.live_until("ConfigMap", "team-red", |live| live.is_some()).await;
    world.live_until("ConfigMap", "team-blue", |live| live.is_some()).await;
    let header =
        log.lock().unwrap().iter().any(|request| format!("{request:?}").contains("Basic bWU6cGFzcw=="));
    assert!(header, "it signs in");
    *answer.lock().unwrap() = r#"{"inputs": [{"team": "nobody"}]}"#;
    let provider = Gvk::new("fluxcd.controlplane.io", "v1", "ResourceSetInputProvider");
    let asked = serde_json::json!({"apiVersion": "fluxcd.controlplane.io/v1", "kind": "ResourceSetInputProvider",
        "metadata": {"name": "teams", "namespace": "default",
            "annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}});
    world.cluster.apply(&asked, &Apply::forced("somebody")).await.unwrap();
    until("the answer is refused", async || {
        let live = world.cluster.get(&provider, "default", "teams").await.unwrap()?;
        live.to_string().contains("an input has no id").then_some(())
    })
    .await;
    assert!(world.live("ConfigMap", "apps", "team-red").await.is_some());
    world.stop().await;
}
