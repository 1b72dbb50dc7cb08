//! The simulated controllers over the in-process API, by cases.
//!
//! A case is a file of `testdata`: a list of steps, done in order. `apply`, `patch` and `delete` change the
//! cluster; `until` waits for an object that has a part, `gone` for its absence, `count` for a number of objects;
//! `order` and `least` judge the events of pods since the case began; `notice` is what people were told, once.

use apiserver::{Options as ServerOptions, Server};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

struct Case {
    client: kube::Client,
    notices: Arc<Mutex<Vec<String>>>,
    began: String,
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The path of the objects of a step's kind, or of its one object.
fn path(step: &Value) -> String {
    let gvk = object::Gvk::from_api_version(text(step, "apiVersion"), text(step, "kind"));
    let known = schema::builtin().by_kind(&gvk);
    let plural = known.map_or_else(|| text(step, "plural").to_owned(), |found| found.resource.clone());
    assert!(!plural.is_empty(), "no plural: {step}");
    let mut path = match gvk.group.as_str() {
        "" => format!("/api/{}", gvk.version),
        group => format!("/apis/{group}/{}", gvk.version),
    };
    let meta = if step["metadata"].is_object() { &step["metadata"] } else { step };
    let namespaced = known.map_or_else(|| !text(meta, "namespace").is_empty(), |found| found.namespaced);
    if namespaced {
        let namespace = text(meta, "namespace");
        path.push_str(&format!("/namespaces/{}", if namespace.is_empty() { "default" } else { namespace }));
    }
    path.push_str(&format!("/{plural}"));
    if !text(meta, "name").is_empty() {
        path.push_str(&format!("/{}", text(meta, "name")));
    }
    path
}

/// Whether `whole` has `part`: of mappings the named fields, of lists each element somewhere; `null` means absent.
fn has(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| has(whole.get(key).unwrap_or(&Value::Null), part))
        }
        (Value::Array(whole), Value::Array(part)) => {
            part.iter().all(|part| whole.iter().any(|whole| has(whole, part)))
        }
        (whole, part) => whole == part,
    }
}

impl Case {
    async fn ask(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media)
            .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
            .unwrap();
        self.client.request::<Value>(request).await.map_err(|error| error.to_string())
    }

    async fn get(&self, path: &str) -> Value {
        self.ask("GET", path, "application/json", None).await.unwrap_or_default()
    }

    /// Looks until something holds; answers what was seen last when it never does.
    async fn wait(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Result<(), String> {
        let since = Instant::now();
        loop {
            let found = self.get(path).await;
            if holds(&found) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("{path} is {found:#}"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn step(&self, step: &Value) -> Result<(), String> {
        let (verb, what) = step.as_object().and_then(|map| map.iter().next()).ok_or("an empty step")?;
        match verb.as_str() {
            "apply" => {
                let path = format!("{}?fieldManager=case&force=true", path(what));
                self.ask("PATCH", &path, "application/apply-patch+yaml", Some(what)).await.map(drop)
            }
            "patch" => {
                let path = format!("{}{}", path(what), text(what, "subresource"));
                self.ask("PATCH", &path, "application/merge-patch+json", Some(&what["merge"])).await.map(drop)
            }
            "delete" => {
                let policy = what["policy"].as_str().unwrap_or("Background");
                let options =
                    json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy});
                self.ask("DELETE", &path(what), "application/json", Some(&options)).await.map(drop)
            }
            "until" => self.wait(&path(what), |found| has(found, &what["has"])).await,
            "gone" => self.wait(&path(what), Value::is_null).await,
            "count" => {
                let selector = text(what, "labels").replace('=', "%3D").replace(',', "%2C");
                let path = format!("{}?labelSelector={selector}", path(what));
                let part = if what["has"].is_null() { json!({}) } else { what["has"].clone() };
                let number = |found: &Value| {
                    let items = found["items"].as_array().into_iter().flatten();
                    items.filter(|item| has(item, &part)).count()
                };
                self.wait(&path, |found| Some(number(found) as u64) == what["is"].as_u64()).await
            }
            "order" => self.order(what).await,
            "least" => self.least(what).await,
            "notice" => {
                let told = self.notices.lock().unwrap();
                let times = told.iter().filter(|notice| notice.contains(what.as_str().unwrap())).count();
                if times == 1 { Ok(()) } else { Err(format!("told {times} times: {told:?}")) }
            }
            other => Err(format!("no such step: {other}")),
        }
    }

    /// What happened to the pods of a namespace: name and `added`, `ready`, `unready` or `gone`.
    async fn history(&self, what: &Value) -> Vec<(String, &'static str)> {
        use futures::{AsyncBufReadExt, StreamExt};
        let namespace = what["namespace"].as_str().unwrap_or("default");
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods?watch=1&timeoutSeconds=1&resourceVersion={}",
            self.began
        );
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let mut lines = self.client.request_stream(request).await.unwrap().lines();
        let mut history: Vec<(String, &'static str)> = Vec::new();
        let mut ready = std::collections::BTreeSet::new();
        let mut ending = std::collections::BTreeSet::new();
        while let Some(Ok(line)) = lines.next().await {
            let event: Value = serde_json::from_str(&line).unwrap();
            let pod = &event["object"];
            let name = object::meta::name(pod).to_owned();
            let is_ready = object::meta::deletion_timestamp(pod).is_none()
                && object::meta::condition(pod, "Ready").is_some_and(|c| c["status"] == "True");
            if event["type"] == "ADDED" {
                history.push((name.clone(), "added"));
            }
            // Whoever ends counts no more, as for those who replace him.
            if event["type"] == "DELETED" || object::meta::deletion_timestamp(pod).is_some() {
                if ready.remove(&name) {
                    history.push((name.clone(), "unready"));
                }
                if ending.insert(object::meta::uid(pod).to_owned()) {
                    history.push((name, "gone"));
                }
            } else if is_ready && ready.insert(name.clone()) {
                history.push((name, "ready"));
            } else if !is_ready && ready.remove(&name) {
                history.push((name, "unready"));
            }
        }
        history
    }

    async fn order(&self, what: &Value) -> Result<(), String> {
        let history = self.history(what).await;
        let told: Vec<String> = history.iter().map(|(name, what)| format!("{name} {what}")).collect();
        let mut rest = told.iter();
        for wanted in what["events"].as_array().unwrap() {
            if !rest.any(|event| event == wanted) {
                return Err(format!("{wanted} is not in its place: {told:#?}"));
            }
        }
        Ok(())
    }

    /// From the first moment that many pods are ready, never fewer are.
    async fn least(&self, what: &Value) -> Result<(), String> {
        let (least, most) = (what["ready"].as_i64().unwrap(), what["pods"].as_i64().unwrap_or(i64::MAX));
        let history = self.history(what).await;
        let (mut ready, mut pods, mut reached) = (0, 0, false);
        for (_, event) in &history {
            match *event {
                "ready" => ready += 1,
                "unready" => ready -= 1,
                "added" => pods += 1,
                _ => pods -= 1,
            }
            reached |= ready >= least;
            if (reached && ready < least) || pods > most {
                return Err(format!("{ready} ready of {pods}: {history:#?}"));
            }
        }
        if reached { Ok(()) } else { Err(format!("never {least} ready: {history:#?}")) }
    }
}

async fn run(file: &Path) -> Result<(), String> {
    let told = std::fs::read_to_string(file).unwrap();
    let case = yaml::from_str(&told).map_err(|error| error.to_string())?;
    let notices = Arc::new(Mutex::new(Vec::new()));
    let server_notices = notices.clone();
    let options = ServerOptions {
        on_notice: Some(Arc::new(move |notice| {
            server_notices.lock().unwrap().push(format!("{}: {}", notice.about, notice.message));
        })),
        ..ServerOptions::default()
    };
    let server = Server::open(options).await.unwrap();
    let heard = notices.clone();
    let options = simulate::Options {
        ready_delay: Duration::from_millis(20),
        run_delay: Duration::from_millis(20),
        nodes: case["nodes"].as_u64().unwrap_or(1) as u32,
        strict: case["strict"] == true,
        root_ca: Some("a certificate".to_owned()),
        on_notice: Some(Arc::new(move |notice| heard.lock().unwrap().push(notice))),
        ..simulate::Options::default()
    };
    let stop = CancellationToken::new();
    let simulation = tokio::spawn(simulate::run(server.client(), options, stop.clone()));
    let began = server.revision().to_string();
    let this = Case { client: server.client(), notices, began };
    let mut result = Ok(());
    for (index, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        result = this.step(step).await.map_err(|error| format!("step {index}: {error}"));
        if result.is_err() {
            break;
        }
    }
    stop.cancel();
    simulation.await.unwrap();
    server.shutdown().await;
    result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let only = std::env::var("CASE").unwrap_or_default();
    let mut files: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().contains(&only));
    files.sort();
    let runs = files.iter().map(|file| async move {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        run(file).await.err().map(|error| format!("{name}: {error}"))
    });
    let failures: Vec<String> = futures::future::join_all(runs).await.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
