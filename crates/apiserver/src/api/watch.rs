//! Watches: a cursor over the store's events, woken by its table.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use rand::Rng;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::Call;
use super::read::{metadata_only, revision_parameter};
use crate::convert;
use crate::request::Shape;
use crate::respond;
use crate::select::Selection;
use crate::server::Body;
use crate::status::{Cause, Failure};
use crate::store::{Change, Event, Object};
use crate::table;

/// How often a quiet watch is told the revision.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How many events are taken from the store at a time.
const BATCH: usize = 256;

struct Watch {
    call: Call,
    selection: Selection,
    cursor: u64,
    wake: Receiver<u64>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    queue: VecDeque<Bytes>,
    columns_sent: bool,
    over: bool,
}

/// Starts a watch.
pub fn watch(call: &Call) -> Result<Response<Body>, Failure> {
    let selection = Selection::of(call)?;
    let asked = revision_parameter(call)?;
    let initial = initial_events(call)?;
    let store = &call.app.store;
    // Subscribing comes first, so that no wake-up is missed.
    let wake = store.subscribe(&call.resource.table);
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let mut watch = Watch {
        call: Call {
            app: call.app.clone(),
            user: call.user.clone(),
            method: call.method.clone(),
            target: call.target.clone(),
            query: call.query.clone(),
            headers: call.headers.clone(),
            resource: call.resource.clone(),
            format: call.format,
        },
        selection,
        cursor: 0,
        wake,
        bookmarks,
        next_bookmark: Instant::now() + BOOKMARK_EVERY,
        deadline: Instant::now() + timeout(call),
        queue: VecDeque::new(),
        columns_sent: false,
        over: false,
    };
    watch.start(asked, initial);
    let media = if call.format.yaml { "application/yaml" } else { "application/json" };
    let stream = futures::stream::unfold(watch, |mut watch| async move {
        let chunk = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(chunk)), watch))
    });
    Ok(respond::stream(media, stream))
}

/// Whether the current objects come first: as asked, or as older clients expect.
fn initial_events(call: &Call) -> Result<Option<bool>, Failure> {
    let matching = call.query.text("resourceVersionMatch");
    let Some(value) = call.query.text("sendInitialEvents") else {
        let Some(matching) = matching else { return Ok(None) };
        let field = "resourceVersionMatch";
        let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        let mut causes = vec![Cause::forbidden(field, why)];
        if matching != "NotOlderThan" {
            causes.push(Cause::unsupported(field, &matching.into(), &["NotOlderThan"]));
        }
        return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &causes));
    };
    if matching != Some("NotOlderThan") {
        let cause = Cause::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
        return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    let wanted = !matches!(value, "false" | "0");
    if wanted && !call.query.flag("allowWatchBookmarks") {
        let cause = Cause::forbidden(
            "sendInitialEvents",
            "sendInitialEvents requires setting allowWatchBookmarks to true",
        );
        return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    Ok(Some(wanted))
}

fn timeout(call: &Call) -> Duration {
    match call.query.text("timeoutSeconds").and_then(|t| t.parse::<u64>().ok()) {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.min(24 * 3600)),
        _ => Duration::from_secs(rand::rng().random_range(1800..3600)),
    }
}

impl Watch {
    fn start(&mut self, asked: Option<u64>, initial: Option<bool>) {
        let whole = match (initial, asked) {
            (Some(wanted), _) => wanted,
            // Without a revision, or with 0, the present state comes first.
            (None, asked) => asked.unwrap_or(0) == 0,
        };
        if !whole {
            self.cursor = match asked {
                Some(revision) if revision > 0 => revision,
                _ => self.call.app.store.revision(),
            };
            return;
        }
        let (revision, objects) =
            self.call.app.store.list(&self.call.resource.table, &self.selection.prefix());
        self.cursor = revision;
        for object in objects {
            if self.selection.matches(&self.call, &object) {
                self.push("ADDED", &object);
            }
        }
        if initial == Some(true) {
            self.push_bookmark(true);
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.take_queue() {
                return Some(chunk);
            }
            if self.over {
                return None;
            }
            self.wake.borrow_and_update();
            self.fill();
            if !self.queue.is_empty() || self.over {
                continue;
            }
            let wait = self.deadline.min(if self.bookmarks { self.next_bookmark } else { self.deadline });
            tokio::select! {
                changed = self.wake.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                }
                () = tokio::time::sleep_until(wait) => {
                    if Instant::now() >= self.deadline {
                        return None;
                    }
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    self.push_bookmark(false);
                }
                () = self.call.app.stop.cancelled() => return None,
            }
        }
    }

    /// Everything queued, as one chunk.
    fn take_queue(&mut self) -> Option<Bytes> {
        if self.queue.len() <= 1 {
            return self.queue.pop_front();
        }
        let size = self.queue.iter().map(Bytes::len).sum();
        let mut chunk = Vec::with_capacity(size);
        for part in self.queue.drain(..) {
            chunk.extend_from_slice(&part);
        }
        Some(chunk.into())
    }

    fn fill(&mut self) {
        match self.call.app.store.events_after(&self.call.resource.table, self.cursor, BATCH) {
            Ok((seen, events)) => {
                for event in &events {
                    self.push_event(event);
                }
                self.cursor = self.cursor.max(seen);
            }
            Err(compacted) => {
                let failure =
                    Failure::expired(format!("too old resource version: {} ({})", self.cursor, compacted.0));
                self.push_value("ERROR", &failure.body());
                self.over = true;
            }
        }
    }

    /// What a change means to someone who sees only the selected objects.
    fn push_event(&mut self, event: &Arc<Event>) {
        let now = event.change != Change::Deleted && self.selection.matches(&self.call, &event.object);
        let before = event.previous.as_ref().is_some_and(|object| self.selection.matches(&self.call, object));
        match (before, now) {
            (false, false) => {}
            (false, true) => self.push("ADDED", &event.object),
            (true, true) => self.push("MODIFIED", &event.object),
            (true, false) if event.change == Change::Deleted => self.push("DELETED", &event.object),
            (true, false) => {
                if let Some(previous) = &event.previous {
                    let last = previous.at_revision(event.revision);
                    self.push("DELETED", &last);
                }
            }
        }
    }

    fn push(&mut self, kind: &str, object: &Object) {
        let (app, resource) = (&self.call.app, &self.call.resource);
        match self.call.format.shape {
            Shape::Whole if !self.call.format.yaml => {
                let text = convert::text(app, resource, object);
                let mut line = Vec::with_capacity(text.len() + 40);
                line.extend_from_slice(b"{\"type\":\"");
                line.extend_from_slice(kind.as_bytes());
                line.extend_from_slice(b"\",\"object\":");
                line.extend_from_slice(&text);
                line.extend_from_slice(b"}\n");
                self.queue.push_back(line.into());
            }
            Shape::Whole => self.push_value(kind, &convert::tree(app, resource, object)),
            Shape::Metadata => {
                let tree = convert::tree(app, resource, object);
                self.push_value(kind, &metadata_only(&tree, self.call.format.meta_version));
            }
            Shape::Table => {
                let tree = convert::tree(app, resource, object);
                self.push_table(kind, &tree);
            }
        }
    }

    fn push_table(&mut self, kind: &str, tree: &Value) {
        let version = tree.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        let meta = json!({"resourceVersion": version});
        let table = table::table(&self.call, &[tree], meta, !self.columns_sent);
        self.columns_sent = true;
        self.push_value(kind, &table);
    }

    fn push_value(&mut self, kind: &str, value: &Value) {
        let event = json!({"type": kind, "object": value});
        let text = if self.call.format.yaml {
            format!("---\n{}", yaml::to_string(&event))
        } else {
            format!("{event}\n")
        };
        self.queue.push_back(text.into());
    }

    fn push_bookmark(&mut self, initial_end: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if initial_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let resource = &self.call.resource;
        let object =
            json!({"kind": *resource.kind, "apiVersion": resource.api_version(), "metadata": metadata});
        match self.call.format.shape {
            Shape::Table => self.push_table("BOOKMARK", &object),
            Shape::Metadata => {
                let object = metadata_only(&object, self.call.format.meta_version);
                self.push_value("BOOKMARK", &object);
            }
            Shape::Whole => self.push_value("BOOKMARK", &object),
        }
    }
}
