//! A way to the cluster on which nothing is written: every write is a dry run, and what would differ is noted.

use http_body_util::BodyExt as _;
use kube::client::Body;
use object::{Key, Value, meta};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the engine would write, as lines.
pub type Differences = Arc<Mutex<BTreeMap<String, String>>>;

/// A client that shows these units as they will be, resumed, and all others suspended. Nothing that changes later is seen.
pub fn only(client: kube::Client, units: &[Key]) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let units: Arc<[Key]> = units.into();
    let door = tower::service_fn(move |request: http::Request<Body>| {
        let (client, units) = (client.clone(), units.clone());
        async move {
            let path = request.uri().path().to_owned();
            let unit = ["kustomize", "helm", "image", "notification"]
                .iter()
                .any(|group| path.starts_with(&format!("/apis/{group}.toolkit.fluxcd.io/")))
                || path.starts_with("/apis/fluxcd.controlplane.io/");
            let part = path.trim_matches('/').split('/').count();
            // A discovery of the group has three parts.
            if !unit || request.method() != "GET" || part < 4 {
                return client.send(request).await.map_err(Failed::from);
            }
            if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                // It is never answered: nothing changes while one rehearses.
                return std::future::pending().await;
            }
            let response = client.send(request).await?;
            let (head, body) = response.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let mut found: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            for item in found.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                let suspended = !super::units::is_one_of(&units, item);
                object::set(item, &["spec", "suspend"], suspended.into());
            }
            Ok(http::Response::from_parts(head, Body::from(found.to_string().into_bytes())))
        }
    });
    kube::Client::new(door, namespace)
}

/// A client through which nothing can be written.
pub fn rehearsing(client: kube::Client, noted: Differences) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let door = tower::service_fn(move |request: http::Request<Body>| {
        let (client, noted) = (client.clone(), noted.clone());
        async move {
            match request.method().as_str() {
                "GET" | "HEAD" | "OPTIONS" => client.send(request).await.map_err(Failed::from),
                _ => write(&client, &noted, request).await,
            }
        }
    });
    kube::Client::new(door, namespace)
}

type Failed = tower::BoxError;

async fn write(
    client: &kube::Client,
    noted: &Differences,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Failed> {
    let (mut parts, body) = request.into_parts();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let text = match parts.uri.query() {
        Some(query) => format!("{path}?{query}&dryRun=All"),
        None => format!("{path}?dryRun=All"),
    };
    parts.uri = text.parse()?;
    // What it says of its own work is no difference: status, events, finalizers of its own kinds.
    let told = path.ends_with("/status") || path.contains("/events") || path.contains("/leases/");
    let before = if told || method == "POST" { None } else { read(client, &path, &parts.headers).await? };
    let response = client.send(http::Request::from_parts(parts, body)).await?;
    if told || !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let after: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let line = match method.as_str() {
        "DELETE" => Some(format!("{path} would be deleted")),
        "POST" => Some(format!("{path}/{} would be created", meta::name(&after))),
        _ => match &before {
            None => Some(format!("{path} would be created")),
            Some(before) => difference(&path, before, &after),
        },
    };
    if let Some(line) = line {
        noted.lock().unwrap_or_else(PoisonError::into_inner).insert(path, line);
    }
    Ok(http::Response::from_parts(head, Body::from(bytes.to_vec())))
}

async fn read(client: &kube::Client, path: &str, headers: &http::HeaderMap) -> Result<Option<Value>, Failed> {
    let mut request = http::Request::get(path).body(Body::empty())?;
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("impersonate")) {
        request.headers_mut().append(name, value.clone());
    }
    let response = client.send(request).await?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&bytes).ok())
}

/// What a write would change of what people wrote, without values: they may be secret.
fn difference(path: &str, before: &Value, after: &Value) -> Option<String> {
    let mut fields = Vec::new();
    compare("", &content(before), &content(after), &mut fields);
    // The finalizer of a delivery object is the engine's own, as any controller's of that kind.
    if path.contains(".toolkit.fluxcd.io/") || path.contains("/fluxcd.controlplane.io/") {
        fields.retain(|field| field != "metadata.finalizers");
    }
    (!fields.is_empty()).then(|| format!("{path} would change: {}", fields.join(", ")))
}

pub fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object::remove(&mut object, &["status"]);
    for field in ["managedFields", "resourceVersion", "generation"] {
        object::remove(&mut object, &["metadata", field]);
    }
    object
}

pub fn compare(place: &str, before: &Value, after: &Value, fields: &mut Vec<String>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(one), Value::Object(two)) => {
            for key in one.keys().chain(two.keys().filter(|key| !one.contains_key(*key))) {
                let (one, two) = (one.get(key).unwrap_or(&Value::Null), two.get(key).unwrap_or(&Value::Null));
                compare(&format!("{place}.{key}"), one, two, fields);
            }
        }
        _ => fields.push(place.trim_start_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_name_fields_and_no_values() {
        let before = json!({"data": {"a": "secret"}, "metadata": {"resourceVersion": "1", "name": "x"}});
        let after =
            json!({"data": {"a": "other", "b": "more"}, "metadata": {"resourceVersion": "2", "name": "x"}});
        assert_eq!(difference("/x", &before, &after).as_deref(), Some("/x would change: data.a, data.b"));
        assert_eq!(difference("/x", &before, &before), None);
    }
}
