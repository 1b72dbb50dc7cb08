//! Requests.

use crate::error::{Error, Result};
use object::Value;
use serde_json::json;

/// The manager of the fields that controllers write.
pub(crate) const MANAGER: &str = "kube-controller-manager";

/// One request with a JSON answer.
pub(crate) async fn send(
    client: &kube::Client,
    method: &str,
    path: &str,
    content: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let bytes = match body {
        Some(body) => serde_json::to_vec(body).map_err(|error| Error::new(error.to_string()))?,
        None => Vec::new(),
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("accept", "application/json")
        .header("content-type", content)
        .body(bytes)
        .map_err(|error| Error::new(format!("{path}: {error}")))?;
    client.request::<Value>(request).await.map_err(Error::of)
}

/// How to delete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    #[default]
    Background,
    Foreground,
}

impl Policy {
    fn word(self) -> &'static str {
        match self {
            Policy::Background => "Background",
            Policy::Foreground => "Foreground",
        }
    }
}

/// The body of a delete; `uid` guards against deleting a namesake, `now` skips a pod's grace.
pub(crate) fn delete_options(uid: &str, policy: Policy, now: bool) -> Value {
    let mut options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy.word()});
    if let Some(map) = options.as_object_mut() {
        if !uid.is_empty() {
            map.insert("preconditions".into(), json!({"uid": uid}));
        }
        if now {
            map.insert("gracePeriodSeconds".into(), json!(0));
        }
    }
    options
}
