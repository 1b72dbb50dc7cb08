//! Watches: a cursor over the store's events, woken by its table.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, Response};
use http_body::Frame;
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, Sleep};
use tokio_stream::wrappers::WatchStream;

use super::Call;
use super::read::{metadata_only, revision_parameter};
use crate::convert;
use crate::protobuf;
use crate::request::{Media, Shape};
use crate::respond;
use crate::select::Selection;
use crate::server::Body;
use crate::status::{Cause, Failure};
use crate::store::{Change, Event, Form, Object};
use crate::table;

/// How often a quiet watch is told the revision.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How many events are taken from the store at a time.
const BATCH: usize = 256;

/// A chunk of an answer ends at about this size: neither a first look at a large table nor a client that lags
/// behind makes the server hold everything at once.
const CHUNK: usize = 128 * 1024;
/// What it costs to bring news to one watcher. Where many watch one table, each of them waits so long times their
/// number before it looks again: what is written meanwhile comes in one chunk, and writers get their turn.
const COST: Duration = Duration::from_micros(50);
/// Shorter pauses are not worth a timer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// However many watch.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// One watch, as the stream of its answer's chunks.
struct Watch {
    call: Call,
    selection: Selection,
    cursor: u64,
    /// Objects of the first look that are not written yet.
    initial: std::vec::IntoIter<Arc<Object>>,
    /// Whether the client is told where the first look ends.
    marks_end: bool,
    wake: WatchStream<u64>,
    timer: Pin<Box<Sleep>>,
    /// The timer runs until the next look.
    pausing: bool,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    queue: Vec<Bytes>,
    queued: usize,
    columns_sent: bool,
    over: bool,
}

/// Starts a watch.
pub fn watch(call: &Call) -> Result<Response<Body>, Failure> {
    let selection = Selection::of(call)?;
    let asked = revision_parameter(call).map_err(|failure| {
        // Those who watch are told so with another code.
        let text = failure.message().trim_start_matches("invalid resource version: ").to_owned();
        Failure::new(500, "", text)
    })?;
    let initial = initial_events(call)?;
    let store = &call.app.store;
    // Subscribing comes first, so that no wake-up is missed.
    let wake = WatchStream::from_changes(store.subscribe(&call.resource.table));
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let next_bookmark = Instant::now() + BOOKMARK_EVERY;
    let deadline = Instant::now() + timeout(call);
    let mut watch = Watch {
        call: Call {
            app: call.app.clone(),
            user: call.user.clone(),
            method: call.method.clone(),
            target: call.target.clone(),
            query: call.query.clone(),
            headers: HeaderMap::new(),
            resource: call.resource.clone(),
            format: call.format,
        },
        selection,
        cursor: 0,
        initial: Vec::new().into_iter(),
        marks_end: initial == Some(true),
        wake,
        timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        pausing: false,
        bookmarks,
        next_bookmark,
        deadline,
        queue: Vec::new(),
        queued: 0,
        columns_sent: false,
        // Whoever comes while the server ends finds nobody left to wake it.
        over: call.app.stop.is_cancelled(),
    };
    watch.start(asked, initial);
    watch.set_timer();
    let media = match call.format.media {
        Media::Json => "application/json",
        Media::Yaml => "application/yaml",
        Media::Protobuf => protobuf::MEDIA_WATCH,
    };
    Ok(respond::stream(media, watch))
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
        self.initial = objects.into_iter();
    }

    fn set_timer(&mut self) {
        let next = if self.bookmarks { self.deadline.min(self.next_bookmark) } else { self.deadline };
        self.timer.as_mut().reset(next);
    }

    /// Everything queued, as one chunk.
    fn take_queue(&mut self) -> Option<Bytes> {
        if self.queue.len() <= 1 {
            self.queued = 0;
            return self.queue.pop();
        }
        let mut chunk = Vec::with_capacity(self.queued);
        for part in self.queue.drain(..) {
            chunk.extend_from_slice(&part);
        }
        self.queued = 0;
        Some(chunk.into())
    }

    /// The next part of the first look.
    fn fill_initial(&mut self) {
        while self.queued < CHUNK {
            let Some(object) = self.initial.next() else {
                if std::mem::take(&mut self.marks_end) {
                    self.push_bookmark(true);
                }
                return;
            };
            if self.selection.matches(&self.call, &object) {
                self.push("ADDED", &object);
            }
        }
    }

    /// What happened since the last look; gives how long to wait until the next one.
    fn fill(&mut self) -> Duration {
        match self.call.app.store.events_after(&self.call.resource.table, self.cursor, BATCH) {
            Ok(news) => {
                for event in &news.events {
                    self.push_event(event);
                    self.cursor = event.revision;
                    if self.queued >= CHUNK {
                        return Duration::ZERO;
                    }
                }
                self.cursor = self.cursor.max(news.seen);
                COST * u32::try_from(news.watchers).unwrap_or(u32::MAX)
            }
            Err(compacted) => {
                let failure =
                    Failure::expired(format!("too old resource version: {} ({})", self.cursor, compacted.0));
                self.push_value("ERROR", &failure.body());
                self.over = true;
                Duration::ZERO
            }
        }
    }

    fn pause(&mut self, time: Duration) {
        let time = time.min(LONGEST_PAUSE);
        if time >= SHORTEST_PAUSE {
            self.pausing = true;
            self.timer.as_mut().reset(Instant::now() + time);
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.pausing {
                ready!(self.timer.as_mut().poll(context));
                self.pausing = false;
                self.set_timer();
            }
            if self.over {
                return Poll::Ready(None);
            }
            let pause = if self.initial.len() > 0 || self.marks_end {
                self.fill_initial();
                Duration::ZERO
            } else {
                self.fill()
            };
            if let Some(chunk) = self.take_queue() {
                self.pause(pause);
                return Poll::Ready(Some(chunk));
            }
            if self.initial.len() > 0 {
                continue;
            }
            match Pin::new(&mut self.wake).poll_next(context) {
                Poll::Ready(Some(_)) => continue,
                // The server ends.
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= self.deadline {
                return Poll::Ready(None);
            }
            if self.bookmarks && Instant::now() >= self.next_bookmark {
                self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                self.push_bookmark(false);
                self.set_timer();
                return Poll::Ready(self.take_queue());
            }
            self.set_timer();
        }
    }

    /// What a change means to someone who sees only the selected objects.
    fn push_event(&mut self, event: &Arc<Event>) {
        let now = event.change != Change::Deleted && self.selection.matches(&self.call, &event.object);
        let before = event.previous.as_ref().is_some_and(|object| self.selection.matches(&self.call, object));
        let kind = match (before, now) {
            (false, false) => return,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) if event.change == Change::Deleted => "DELETED",
            (true, false) => {
                if let Some(previous) = &event.previous {
                    self.push("DELETED", &previous.at_revision(event.revision));
                }
                return;
            }
        };
        let (resource, format) = (&self.call.resource, self.call.format);
        if format.media == Media::Yaml || format.shape == Shape::Table {
            self.push(kind, &event.object);
            return;
        }
        let form = Form {
            group: resource.group.clone(),
            version: resource.version.clone(),
            kind,
            protobuf: format.media == Media::Protobuf,
            metadata: (format.shape == Shape::Metadata).then_some(format.meta_version),
        };
        let line = event.lines.get(form, || self.line(kind, &event.object));
        self.enqueue(line);
    }

    fn enqueue(&mut self, line: Bytes) {
        self.queued += line.len();
        self.queue.push(line);
    }

    /// The JSON line of an event, for an object or its metadata.
    fn line(&self, kind: &str, object: &Object) -> Bytes {
        let (app, resource) = (&self.call.app, &self.call.resource);
        if self.call.format.shape == Shape::Metadata {
            let tree = convert::tree(app, resource, object);
            return self.written(kind, &metadata_only(&tree, self.call.format.meta_version));
        }
        if self.call.format.media == Media::Protobuf {
            return self.written(kind, &convert::tree(app, resource, object));
        }
        let text = convert::text(app, resource, object);
        let mut line = Vec::with_capacity(text.len() + 40);
        line.extend_from_slice(b"{\"type\":\"");
        line.extend_from_slice(kind.as_bytes());
        line.extend_from_slice(b"\",\"object\":");
        line.extend_from_slice(&text);
        line.extend_from_slice(b"}\n");
        line.into()
    }

    fn push(&mut self, kind: &str, object: &Object) {
        let (app, resource) = (&self.call.app, &self.call.resource);
        match self.call.format.shape {
            Shape::Whole | Shape::Metadata if self.call.format.media != Media::Yaml => {
                let line = self.line(kind, object);
                self.enqueue(line);
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
        let written = self.written(kind, value);
        self.enqueue(written);
    }

    /// An event in what was asked for. Only what has a protobuf form is watched in it.
    fn written(&self, kind: &str, value: &Value) -> Bytes {
        let event = || json!({"type": kind, "object": value});
        match self.call.format.media {
            Media::Json => format!("{}\n", event()).into(),
            Media::Yaml => format!("---\n{}", yaml::to_string(&event())).into(),
            Media::Protobuf => {
                protobuf::event_frame(kind, &protobuf::envelope(value).unwrap_or_default()).into()
            }
        }
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

impl Stream for Watch {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(context).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}
