//! Feeding the store: list, watch with bookmarks, list again when the server has forgotten.

use std::time::Duration;

use futures::{AsyncBufReadExt, AsyncReadExt};
use object::{Gvk, Key};
use serde_json::Value;

use crate::client::{Cluster, WeakCluster, complete};
use crate::discovery::Resource;
use crate::error::{Error, ErrorKind};
use crate::store::version_of;

/// The server ends watches after this; a bit of spread keeps a thousand of them from ending at once.
const WATCH_SECONDS: u64 = 290;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A line of a watch is one object; the API itself refuses objects far below this.
const MAX_LINE: usize = 64 << 20;

/// Starts to watch the kind if nobody did, and waits for the first list.
pub(crate) async fn ensure(cluster: &Cluster, gvk: &Gvk) -> Result<(), Error> {
    let store = cluster.store().clone();
    if store.is_synced(&gvk.group, &gvk.kind) {
        return Ok(());
    }
    if store.open(&gvk.group, &gvk.kind) {
        let resource = match cluster.resource(gvk).await {
            Ok(resource) if resource.watchable => resource,
            Ok(_) => {
                store.close(&gvk.group, &gvk.kind);
                return Err(Error::new(ErrorKind::Other, format!("{} cannot be watched", gvk.kind)));
            }
            Err(error) => {
                store.close(&gvk.group, &gvk.kind);
                return Err(error);
            }
        };
        let weak = cluster.downgrade();
        tokio::spawn(run(weak, resource));
    }
    loop {
        let notified = store.synced_signal().notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if store.is_synced(&gvk.group, &gvk.kind) {
            return Ok(());
        }
        if let Some(trouble) = store.trouble(&gvk.group, &gvk.kind) {
            return Err(Error::new(ErrorKind::Busy, format!("cannot watch {}: {trouble}", gvk.kind)));
        }
        // Closed by the task that opened it: the kind is not served.
        if tokio::time::timeout(Duration::from_secs(1), notified).await.is_err() {
            cluster.resource(gvk).await?;
        }
    }
}

/// Lists and watches until the cluster is dropped.
async fn run(weak: WeakCluster, resource: Resource) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(cluster) = weak.upgrade() else { return };
        let outcome = list(&cluster, &resource).await;
        drop(cluster);
        match outcome {
            Ok(places) => {
                pause = FIRST_PAUSE;
                let follows: Vec<_> = places
                    .iter()
                    .map(|(place, version)| Box::pin(follow(&weak, &resource, place, *version)))
                    .collect();
                if follows.is_empty() {
                    // There is nothing of this kind that may be looked at.
                    return;
                }
                // Where one of them has to begin again, all do.
                let (again, _, _) = futures::future::select_all(follows).await;
                if !again {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(kind = resource.kind, %error, "cannot list; trying again");
                if let Some(cluster) = weak.upgrade() {
                    cluster.store().set_trouble(&resource.group, &resource.kind, error.message);
                }
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Lists all that is watched; the place of each list and its version.
async fn list(cluster: &Cluster, resource: &Resource) -> Result<Vec<(String, u64)>, Error> {
    let mut items = Vec::new();
    let mut versions = Vec::new();
    for place in cluster.watched().places(resource.namespaced) {
        let version = list_place(cluster, resource, &place, &mut items).await?;
        versions.push((place, version));
    }
    cluster.store().replace(&resource.group, &resource.kind, items, &versions);
    Ok(versions)
}

type Item = (Key, Vec<u8>, u64, String);

async fn list_place(
    cluster: &Cluster,
    resource: &Resource,
    place: &str,
    items: &mut Vec<Item>,
) -> Result<u64, Error> {
    let gvk = gvk_of(resource);
    let mut token = String::new();
    loop {
        let mut path = format!("{}?limit=1000", resource.path(place, ""));
        if !token.is_empty() {
            path.push_str(&format!("&continue={}", crate::discovery::escape(&token)));
        }
        let mut page = cluster.raw("GET", &path, None, "").await?;
        let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
            return Err(Error::new(
                ErrorKind::Other,
                format!("the list of {} has no items", resource.plural),
            ));
        };
        for mut item in found {
            complete(&mut item, &gvk);
            if let Some(entry) = entry_of(&item) {
                items.push(entry);
            }
        }
        token = object::get_str(&page, &["metadata", "continue"]).unwrap_or_default().to_owned();
        if token.is_empty() {
            return Ok(version_of(&page).unwrap_or(0));
        }
    }
}

fn gvk_of(resource: &Resource) -> Gvk {
    Gvk { group: resource.group.clone(), version: resource.version.clone(), kind: resource.kind.clone() }
}

fn entry_of(item: &Value) -> Option<Item> {
    let key = Key::of(item).ok()?;
    let text = serde_json::to_vec(item).ok()?;
    Some((key, text, version_of(item).unwrap_or(0), object::meta::uid(item).to_owned()))
}

/// Watches from `version` on. `true`: list again; `false`: the cluster is gone.
async fn follow(weak: &WeakCluster, resource: &Resource, place: &str, mut version: u64) -> bool {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(cluster) = weak.upgrade() else { return false };
        let started = tokio::time::Instant::now();
        let client = cluster.client().clone();
        let store = cluster.store().clone();
        drop(cluster);
        let outcome = stream(weak, client, &store, (resource, place), &mut version).await;
        match outcome {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Expired => return weak.upgrade().is_some(),
            Err(error) => {
                tracing::debug!(kind = resource.kind, %error, "watch broke; resuming");
                if matches!(error.kind, ErrorKind::MissingKind | ErrorKind::NotFound | ErrorKind::Forbidden) {
                    return weak.upgrade().is_some();
                }
            }
        }
        if started.elapsed() > Duration::from_secs(5) {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn stream(
    weak: &WeakCluster,
    client: kube::Client,
    store: &crate::Store,
    (resource, place): (&Resource, &str),
    version: &mut u64,
) -> Result<(), Error> {
    let path = format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}",
        resource.path(place, "")
    );
    let request = http::Request::get(path)
        .header("accept", "application/json")
        .body(Vec::new())
        .map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
    let body = client.request_stream(request).await.map_err(Error::from_kube)?;
    drop(client);
    futures::pin_mut!(body);
    let gvk = gvk_of(resource);
    let mut line = Vec::new();
    loop {
        line.clear();
        // Read no further than a line may be: whoever sends none that ends must not fill the memory.
        let read = (&mut body).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).await;
        let read = read.map_err(|error| Error::new(ErrorKind::Unreachable, error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        if line.len() > MAX_LINE {
            return Err(Error::new(ErrorKind::Other, "a watch event is larger than 64 MiB"));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let event: Value =
            serde_json::from_slice(&line).map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
        take_in(weak, store, resource, &gvk, event, version)?;
        if line.capacity() > 1 << 20 {
            line = Vec::new();
        }
    }
}

fn take_in(
    weak: &WeakCluster,
    store: &crate::Store,
    resource: &Resource,
    gvk: &Gvk,
    mut event: Value,
    version: &mut u64,
) -> Result<(), Error> {
    let word = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut object = event.get_mut("object").map(Value::take).unwrap_or_default();
    match word.as_str() {
        "ERROR" => {
            let code = object.get("code").and_then(Value::as_u64).unwrap_or(0);
            let message = object.get("message").and_then(Value::as_str).unwrap_or("watch error").to_owned();
            let kind = if code == 410 { ErrorKind::Expired } else { ErrorKind::Busy };
            return Err(Error::new(kind, message));
        }
        "BOOKMARK" => {}
        "ADDED" | "MODIFIED" => {
            complete(&mut object, gvk);
            if let Some((key, text, version, uid)) = entry_of(&object) {
                store.watched(key, text, version, &uid);
            }
        }
        "DELETED" => {
            complete(&mut object, gvk);
            if let Some((key, _, version, uid)) = entry_of(&object) {
                store.gone(key, version, &uid);
            }
        }
        other => tracing::warn!(kind = resource.kind, event = other, "unknown watch event"),
    }
    if let Some(seen) = version_of(&object) {
        *version = (*version).max(seen);
    }
    // A CRD that came, changed or went makes what we know of its group stale.
    if resource.kind == "CustomResourceDefinition"
        && word != "BOOKMARK"
        && let Some(group) = object::get_str(&object, &["spec", "group"])
        && let Some(cluster) = weak.upgrade()
    {
        cluster.forget_group(group);
    }
    Ok(())
}
