//! Replays recorded requests and compares the answers with those of kube-apiserver 1.34.2, field by field (times,
//! UIDs, revisions and addresses aside); shared with `cargo xtask conformance api`.

use std::path::{Path, PathBuf};

use apiserver::{Options, Server};
use http_body_util::{BodyExt, Full};
use regex::Regex;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

struct Patterns {
    time: Regex,
    uid: Regex,
    address: Regex,
    revision: Regex,
    port: Regex,
}

impl Patterns {
    fn new() -> Patterns {
        let regex = |text: &str| Regex::new(text).unwrap();
        Patterns {
            time: regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
            uid: regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            address: regex(r"10\.(96|0)\.\d+\.\d+"),
            revision: regex(r"in record \(\d+\)"),
            port: regex(r":3\d{4}/"),
        }
    }

    /// As record.py writes answers down.
    fn normal(&self, value: &Value, key: &str) -> Value {
        match value {
            Value::Object(map) => Value::Object(
                map.iter()
                    .filter(|(k, _)| {
                        !matches!(k.as_str(), "selfLink" | "continue" | "remainingItemCount" | "description")
                    })
                    .map(|(k, v)| (k.clone(), self.normal(v, k)))
                    .collect::<Map<String, Value>>(),
            ),
            Value::Array(list) if key == "managedFields" => {
                let mut entries: Vec<Value> = list
                    .iter()
                    .map(|entry| {
                        let mut entry = self.normal(entry, "");
                        object::remove(&mut entry, &["time"]);
                        entry
                    })
                    .collect();
                let text = |e: &Value, f: &str| e[f].as_str().unwrap_or_default().to_owned();
                entries.sort_by_key(|e| (text(e, "manager"), text(e, "operation"), text(e, "subresource")));
                entries.into()
            }
            Value::Array(list) => list.iter().map(|v| self.normal(v, key)).collect(),
            Value::String(text) if key == "resourceVersion" => {
                if text.is_empty() {
                    "".into()
                } else {
                    "RV".into()
                }
            }
            Value::String(_) if key == "nodePort" => "PORT".into(),
            // The age of something just made.
            Value::String(text) if key == "cells" && matches!(text.as_str(), "0s" | "1s" | "2s") => {
                "AGE".into()
            }
            Value::String(text) => {
                let text = self.time.replace_all(text, "TIME");
                let text = self.uid.replace_all(&text, "UID");
                let text = self.address.replace_all(&text, "ADDRESS");
                let text = self.revision.replace_all(&text, "in record (RV)");
                self.port.replace_all(&text, ":PORT/").into_owned().into()
            }
            Value::Number(number) if key == "nodePort" && number.as_i64() != Some(0) => 0.into(),
            other => other.clone(),
        }
    }
}

/// The original walks the properties of a custom resource's schema in random order; so its causes are sorted.
fn sort_causes(answer: &mut Value) {
    let Some(Value::Array(causes)) = object::get_mut(answer, &["body", "details", "causes"]) else { return };
    causes.sort_by_key(|cause| (cause["field"].to_string(), cause["message"].to_string()));
    let texts: Vec<String> = causes
        .iter()
        .map(|cause| {
            let text = |field: &str| cause[field].as_str().unwrap_or_default();
            format!("{}: {}", text("field"), text("message"))
        })
        .collect();
    let message = answer["body"]["message"].as_str().unwrap_or_default();
    if texts.len() > 1 && texts.iter().all(|text| message.contains(text)) {
        let head = message.split('[').next().unwrap_or_default();
        answer["body"]["message"] = format!("{head}[{}]", texts.join(", ")).into();
    }
}

async fn ask(server: &Server, patterns: &Patterns, request: &Value) -> Value {
    let (method, path) = request["do"].as_str().unwrap().split_once(' ').unwrap();
    let body = match &request["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut builder = http::Request::builder()
        .method(method)
        .uri(path.replace(' ', "%20"))
        .header("user-agent", "case/1")
        .header("accept", request["accept"].as_str().unwrap_or("application/json"));
    if !request["body"].is_null() {
        builder = builder.header("content-type", request["type"].as_str().unwrap_or("application/json"));
    }
    let request = builder.body(Full::new(bytes::Bytes::from(body))).unwrap();
    let response = server.service().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    let warnings: Vec<Value> =
        response.headers().get_all("warning").iter().map(|w| w.to_str().unwrap_or_default().into()).collect();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&text)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
    let mut answer = json!({"code": code, "body": patterns.normal(&body, "")});
    if !warnings.is_empty() {
        answer["warnings"] = warnings.into();
    }
    answer
}

fn load(path: &Path) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The outcome of every request of every case below `root`, named `case[index]`.
pub async fn outcomes(root: &Path) -> Vec<(String, Result<(), String>)> {
    let patterns = Patterns::new();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("requests.json").exists())
        .collect();
    cases.sort();
    let mut outcomes = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let server = Server::open(Options::default()).await.unwrap();
        let namespace = json!({"do": "POST /api/v1/namespaces", "body": {"metadata": {"name": "case-ns"}}});
        ask(&server, &patterns, &namespace).await;
        let requests = load(&case.join("requests.json"));
        let wanted = load(&case.join("responses.json"));
        assert_eq!(requests.len(), wanted.len(), "{name}");
        for (at, (request, want)) in requests.iter().zip(&wanted).enumerate() {
            let mut have = ask(&server, &patterns, request).await;
            let mut want = patterns.normal(want, "");
            if request["do"].as_str().is_some_and(|line| line.contains("/apis/case.dev/")) {
                sort_causes(&mut have);
                sort_causes(&mut want);
            }
            if request["skip"] == true {
                continue;
            }
            let why = || format!("{}\n  want {want}\n  have {have}", request["do"]);
            outcomes.push((format!("{name}[{at}]"), if have == want { Ok(()) } else { Err(why()) }));
        }
    }
    outcomes
}
