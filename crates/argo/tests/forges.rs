//! Forges' APIs against stand-ins on loopback: one file for each case in `testdata/forges`.
//!
//! `generator` names it and `spec` is its spec (`BASE` is the stand-in's address), `secrets` what Secrets and ConfigMaps
//! hold, `answers` what the stand-in answers by method, path and query; everything else is not found. `sets` is a part
//! of each set that comes of it, or `error` a part of the message. `asked` are headers that each request must carry.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use argo::forges::{self, Addresses, Secrets};
use futures::future::BoxFuture;
use object::{Value, get_str};
use testkit::http::{Request, Response, Server};

struct Held(Value);

impl Secrets for Held {
    fn get<'a>(
        &'a self,
        kind: &'a str,
        name: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<String, String>> {
        let found = get_str(&self.0, &[kind, name, key]).map(str::to_owned);
        Box::pin(async move { found.ok_or_else(|| format!("{kind} {name} has no {key}")) })
    }

    fn app(&self, _: BTreeMap<String, Vec<u8>>) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async { Ok("of-the-app".to_owned()) })
    }
}

fn place(request: &Request) -> String {
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    format!("{} {}{query}", request.method, request.path)
}

async fn play(case: &Value) -> Result<(), String> {
    let answers = case.get("answers").cloned().unwrap_or_default();
    let headers = case.get("asked").cloned().unwrap_or_default();
    let (seen, wrong) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let (noted, refused) = (seen.clone(), wrong.clone());
    let base = Arc::new(Mutex::new(String::new()));
    let own = base.clone();
    let server = Server::start(move |request| {
        let place = place(request);
        noted.lock().unwrap().push(place.clone());
        for (name, value) in headers.as_object().into_iter().flatten() {
            if request.headers.get(name).map(String::as_str) != value.as_str() {
                refused.lock().unwrap().push(format!("{place}: {name} is {:?}", request.headers.get(name)));
            }
        }
        match answers.get(&place) {
            None => Response::new(404, "{}"),
            Some(Value::Number(status)) => Response::new(status.as_u64().unwrap() as u16, "{}"),
            Some(body) => {
                let text = body.to_string().replace("BASE", &own.lock().unwrap());
                Response::new(200, text)
            }
        }
    });
    *base.lock().unwrap() = server.url();
    let filled = |value: &Value| -> Value {
        serde_json::from_str(&value.to_string().replace("BASE", &server.url())).unwrap()
    };
    let spec = filled(&case["spec"]);
    let secrets = Held(filled(case.get("secrets").unwrap_or(&Value::Null)));
    let addresses = Addresses {
        github: server.url(),
        gitlab: server.url(),
        bitbucket: format!("{}/2.0", server.url()),
        azure: server.url(),
    };
    let found = match get_str(case, &["generator"]) {
        Some("scmProvider") => forges::repositories(&spec, &addresses, &secrets).await,
        Some("pullRequest") => forges::changes(&spec, &addresses, &secrets).await,
        _ => forges::plugin(&spec, "set", &secrets).await,
    };
    if let Some(first) = wrong.lock().unwrap().first() {
        return Err(first.clone());
    }
    match (found, get_str(case, &["error"])) {
        (Err(why), Some(part)) if why.contains(part) => Ok(()),
        (Ok(sets), None) => {
            let wanted = case["sets"].as_array().unwrap();
            let fits = |(set, part): (&Value, &Value)| {
                part.as_object().unwrap().iter().all(|(key, value)| set.get(key) == Some(value))
            };
            if sets.len() == wanted.len() && sets.iter().zip(wanted).all(fits) {
                return Ok(());
            }
            Err(format!("{:#}\nafter {:#?}", Value::Array(sets), seen.lock().unwrap()))
        }
        (found, _) => Err(format!("{found:?}\nafter {:#?}", seen.lock().unwrap())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forges_are_asked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/forges");
    let mut failed = Vec::new();
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for case in yaml::documents(&std::fs::read_to_string(&path).unwrap()).unwrap() {
            played += 1;
            let name = get_str(&case, &["name"]).unwrap_or_default();
            let done = play(&case).await;
            failed.extend(done.err().map(|why| format!("{}: {name}: {why}", path.display())));
        }
    }
    assert!(played > 10, "{played}");
    assert!(failed.is_empty(), "{} of {played}:\n{}", failed.len(), failed.join("\n\n"));
}

/// A change request makes an Application; a forge that fails afterwards takes none away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_follows_its_forge() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    let (fails, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (failing, counted) = (fails.clone(), asked.clone());
    let server = Server::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        if failing.load(Ordering::SeqCst) {
            return Response::new(503, "{}");
        }
        let change = serde_json::json!([{
            "number": 7, "title": "One", "head": {"ref": "f", "sha": "0123456789"}, "base": {"ref": "main"},
            "user": {"login": "ann"}, "labels": [],
        }]);
        Response::new(200, change.to_string())
    });
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n";
    let site = scenario::Site::start(schema::crds::argo(), &[("app/map.yaml", map)], true).await;
    let kinds = argo::kinds(argo::Options::new(site.fetcher()));
    controller::Engine::start(site.cluster.clone(), kinds, Default::default(), site.cancel.clone());
    let text = format!(
        r#"
apiVersion: v1
kind: Namespace
metadata: {{name: argocd}}
---
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: previews, namespace: argocd}}
spec:
  generators: [{{pullRequest: {{github: {{owner: acme, repo: web, api: "{}"}}}}}}]
  template:
    metadata: {{name: "pr-{{{{number}}}}"}}
    spec:
      project: default
      source: {{repoURL: "{}", path: app}}
      destination: {{name: in-cluster, namespace: "pr-{{{{number}}}}"}}
      syncPolicy: {{automated: {{}}, syncOptions: [CreateNamespace=true]}}
"#,
        server.url(),
        scenario::URL,
    );
    for object in yaml::documents(&text).unwrap() {
        site.cluster.apply(&object, &cluster::Apply::forced("somebody")).await.unwrap();
    }
    let until = async |kind: &str, name: &str, holds: &dyn Fn(&Value) -> bool| {
        for _ in 0..1000 {
            let found = site.cluster.get(&argo::names::gvk(kind), "argocd", name).await.unwrap();
            if found.as_ref().is_some_and(holds) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{kind} {name}");
    };
    let synced = |object: &Value| get_str(object, &["status", "sync", "status"]) == Some("Synced");
    until("Application", "pr-7", &synced).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1, "what its Applications do is no reason to ask again");
    fails.store(true, Ordering::SeqCst);
    let refresh = serde_json::json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {
            "name": "previews", "namespace": "argocd",
            "annotations": {"argocd.argoproj.io/application-set-refresh": "true"},
        },
    });
    site.cluster.apply(&refresh, &cluster::Apply::forced("asker")).await.unwrap();
    let told = |object: &Value| {
        let conditions = object::get(object, &["status", "conditions"]).and_then(Value::as_array);
        conditions.into_iter().flatten().any(|one| {
            get_str(one, &["type"]) == Some("ErrorOccurred")
                && one["status"] == "True"
                && one.to_string().contains("503")
        })
    };
    until("ApplicationSet", "previews", &told).await;
    until("Application", "pr-7", &synced).await;
    site.stop().await;
}
