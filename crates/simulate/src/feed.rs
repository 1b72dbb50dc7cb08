//! Lists and watches of every resource: whole objects of the kinds that are simulated, of all others only
//! the metadata that garbage collection needs.

use crate::api;
use crate::error::{Error, Result};
use crate::kind::{self, Kind};
use crate::world::World;
use futures::AsyncBufReadExt;
use object::{Key, Value, get_str, meta};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A resource of the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    pub(crate) deletable: bool,
}

/// What a feed tells.
pub(crate) enum Event {
    /// All objects there are: what is not among them is gone.
    Listed(Resource, Vec<Value>),
    Changed(Resource, Value),
    Gone(Resource, Value),
}

/// Seconds of one watch request.
const WATCH_SECONDS: u32 = 540;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A kind that is not served any more is looked for so often.
const MISSING_PAUSE: Duration = Duration::from_secs(5);

/// The resources that can be watched, each once, in the group's preferred version.
pub(crate) async fn discover(client: &kube::Client) -> Result<Vec<Resource>> {
    let mut found = Vec::new();
    for root in ["/api", "/apis"] {
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let request = http::Request::get(root)
            .header("accept", accept)
            .body(Vec::new())
            .map_err(|error| Error::new(error.to_string()))?;
        let list = client.request::<Value>(request).await.map_err(Error::of)?;
        for group in items(&list, "items") {
            let name = meta::name(group).to_string();
            let mut seen = std::collections::BTreeSet::new();
            for version in items(group, "versions") {
                for resource in items(version, "resources") {
                    let resource = read(&name, version, resource);
                    // Events own nothing and are owned by nothing.
                    if let Some(resource) = resource
                        && resource.plural != "events"
                        && seen.insert(resource.plural.clone())
                    {
                        found.push(resource);
                    }
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn read(group: &str, version: &Value, resource: &Value) -> Option<Resource> {
    let verbs = items(resource, "verbs");
    let can = |verb: &str| verbs.iter().any(|own| own.as_str() == Some(verb));
    if !can("list") || !can("watch") {
        return None;
    }
    let kind = get_str(resource, &["responseKind", "kind"])?;
    let mut own = Resource {
        group: group.to_string(),
        version: get_str(version, &["version"])?.to_string(),
        kind: kind.to_string(),
        plural: get_str(resource, &["resource"])?.to_string(),
        namespaced: get_str(resource, &["scope"]) == Some("Namespaced"),
        deletable: can("delete"),
    };
    if let Some(kept) = Kind::of(group, kind) {
        own.version = kept.version.to_string();
    }
    Some(own)
}

impl Resource {
    fn path(&self) -> String {
        kind::path(&self.group, &self.version, &self.plural, "", "")
    }

    /// The key of an object of this resource, which may only be its metadata.
    pub(crate) fn key(&self, object: &Value) -> Key {
        Key {
            group: self.group.clone(),
            kind: self.kind.clone(),
            namespace: meta::namespace(object).unwrap_or_default().to_string(),
            name: meta::name(object).to_string(),
        }
    }

    fn is_kept(&self) -> bool {
        Kind::of(&self.group, &self.kind).is_some()
    }
}

/// Follows one resource until stopped.
pub(crate) async fn follow(
    world: Arc<World>,
    resource: Resource,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    while !stop.is_cancelled() {
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = list_and_watch(&world, &resource, &events) => outcome,
        };
        pause = match outcome {
            Ok(()) => FIRST_PAUSE,
            Err(error) if error.code == 410 => FIRST_PAUSE,
            Err(error) => {
                tracing::debug!(resource = resource.plural, %error, "following");
                if error.is_gone() { MISSING_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = world.options.clock.sleep(pause) => {}
        }
    }
}

async fn list_and_watch(world: &World, resource: &Resource, events: &mpsc::Sender<Event>) -> Result<()> {
    let (objects, mut version) = list(world, resource).await?;
    send(events, Event::Listed(resource.clone(), objects)).await?;
    loop {
        watch(world, resource, events, &mut version).await?;
    }
}

async fn list(world: &World, resource: &Resource) -> Result<(Vec<Value>, String)> {
    let accept = match resource.is_kept() {
        true => "application/json",
        false => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
    };
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let mut path = format!("{}?limit=500", resource.path());
        if !token.is_empty() {
            let escaped: String = url_escape(&token);
            path.push_str(&format!("&continue={escaped}"));
        }
        let request = http::Request::get(path)
            .header("accept", accept)
            .body(Vec::new())
            .map_err(|error| Error::new(error.to_string()))?;
        let mut page = world.client.request::<Value>(request).await.map_err(Error::of)?;
        if let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) {
            all.extend(found);
        }
        token = get_str(&page, &["metadata", "continue"]).unwrap_or_default().to_string();
        if token.is_empty() {
            return Ok((all, meta::resource_version(&page).to_string()));
        }
    }
}

fn url_escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let mut out = String::new();
    for byte in text.as_bytes() {
        if plain(byte) { out.push(char::from(*byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

async fn watch(
    world: &World,
    resource: &Resource,
    events: &mpsc::Sender<Event>,
    version: &mut String,
) -> Result<()> {
    let accept = match resource.is_kept() {
        true => "application/json",
        false => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
    };
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}",
        resource.path()
    );
    let request = http::Request::get(path)
        .header("accept", accept)
        .body(Vec::new())
        .map_err(|error| Error::new(error.to_string()))?;
    let body = world.client.request_stream(request).await.map_err(Error::of)?;
    futures::pin_mut!(body);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = body.read_until(b'\n', &mut line).await.map_err(|error| Error::new(error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        let mut event: Value =
            serde_json::from_slice(&line).map_err(|error| Error::new(error.to_string()))?;
        let word = get_str(&event, &["type"]).unwrap_or_default().to_string();
        let object = event.get_mut("object").map(Value::take).unwrap_or_default();
        if word == "ERROR" {
            let code = object.get("code").and_then(Value::as_u64).unwrap_or(0);
            let message = get_str(&object, &["message"]).unwrap_or("the watch failed").to_string();
            return Err(Error { code: u16::try_from(code).unwrap_or(0), reason: String::new(), message });
        }
        *version = meta::resource_version(&object).to_string();
        match word.as_str() {
            "ADDED" | "MODIFIED" => send(events, Event::Changed(resource.clone(), object)).await?,
            "DELETED" => send(events, Event::Gone(resource.clone(), object)).await?,
            _ => {}
        }
        if line.capacity() > 1 << 20 {
            line = Vec::new();
        }
    }
}

async fn send(events: &mpsc::Sender<Event>, event: Event) -> Result<()> {
    events.send(event).await.map_err(|_| Error::new("the simulation ended"))
}

/// Reads a list of objects from the API, for what is not followed.
pub(crate) async fn list_now(client: &kube::Client, path: &str) -> Result<Vec<Value>> {
    let mut list = api::send(client, "GET", path, "application/json", None).await?;
    Ok(match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    })
}
