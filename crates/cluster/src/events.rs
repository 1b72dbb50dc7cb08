//! Kubernetes Events about the objects we reconcile, written in the background.
//!
//! Reconciling never waits for an event, and an event gives way to it: while other requests are under way events wait,
//! for some seconds at most. Repetitions are counted on the first event instead of written anew.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use crate::client::{Cluster, PatchKind, PatchOptions};
use object::Gvk;

/// Normal or warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// As expected.
    Normal,
    /// Somebody should look.
    Warning,
}

/// An event to write.
#[derive(Debug, Clone)]
pub struct EventNote {
    /// The object it is about (apiVersion, kind, metadata are read).
    pub about: Value,
    /// Normal or warning.
    pub event_type: EventType,
    /// The reason word.
    pub reason: String,
    /// The text.
    pub message: String,
    /// Who says so.
    pub component: String,
    /// Annotations of the event, for example the revision.
    pub annotations: Vec<(String, String)>,
    /// Now, as RFC 3339.
    pub time: String,
}

/// Waiting events; more than this are dropped, the newest first, with a warning in the log.
const BACKLOG: usize = 4096;
/// Remembered for counting repetitions.
const REMEMBERED: usize = 4096;
/// How long an event gives way to other requests, counted from the one before it that did.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks whether they are done.
const LOOK: Duration = Duration::from_millis(25);
/// Longer messages are cut: the API refuses them.
const MAX_MESSAGE: usize = 1000;

/// The sending half.
pub(crate) struct Recorder {
    sender: mpsc::Sender<EventNote>,
    listeners: broadcast::Sender<EventNote>,
}

impl Recorder {
    pub(crate) fn new() -> (Recorder, mpsc::Receiver<EventNote>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        (Recorder { sender, listeners: broadcast::channel(BACKLOG).0 }, receiver)
    }
}

impl Cluster {
    /// Writes an event, soon.
    pub fn record(&self, note: EventNote) {
        // Nobody listens: nobody misses it.
        let _ = self.recorder().listeners.send(note.clone());
        if let Err(error) = self.recorder().sender.try_send(note) {
            tracing::warn!(%error, "an event was dropped");
        }
    }
}

impl Cluster {
    /// Every event that is recorded from now on.
    pub fn recorded(&self) -> broadcast::Receiver<EventNote> {
        self.recorder().listeners.subscribe()
    }
}

pub(crate) fn spawn_writer(cluster: &Cluster, mut notes: mpsc::Receiver<EventNote>) {
    let weak = cluster.downgrade();
    tokio::spawn(async move {
        let mut known: HashMap<String, (String, u64)> = HashMap::new();
        let mut serial: u64 = 0;
        let mut patient_until = None;
        while let Some(note) = notes.recv().await {
            let until = *patient_until.get_or_insert_with(|| Instant::now() + PATIENCE);
            while weak.upgrade().is_some_and(|cluster| cluster.is_busy()) && Instant::now() < until {
                tokio::time::sleep(LOOK).await;
            }
            let Some(cluster) = weak.upgrade() else { return };
            if !cluster.is_busy() {
                patient_until = None;
            }
            serial += 1;
            if known.len() > REMEMBERED {
                known.clear();
            }
            if let Err(error) = write(&cluster, &note, &mut known, serial).await {
                tracing::debug!(%error, reason = note.reason, "an event could not be written");
            }
        }
    });
}

async fn write(
    cluster: &Cluster,
    note: &EventNote,
    known: &mut HashMap<String, (String, u64)>,
    serial: u64,
) -> Result<(), crate::Error> {
    let meta =
        |field: &str| object::get_str(&note.about, &["metadata", field]).unwrap_or_default().to_owned();
    let namespace = match meta("namespace") {
        empty if empty.is_empty() => "default".to_owned(),
        other => other,
    };
    let message = cut(&note.message);
    let same = format!("{} {} {} {message}", meta("uid"), note.reason, note.component);
    let gvk = Gvk { group: String::new(), version: "v1".into(), kind: "Event".into() };
    if let Some((name, count)) = known.get_mut(&same) {
        *count += 1;
        let patch = json!({"count": *count, "lastTimestamp": note.time});
        let options = PatchOptions { manager: note.component.clone(), ..PatchOptions::default() };
        let done = cluster.patch(&gvk, &namespace, name, PatchKind::Merge, &patch, &options).await;
        if done.is_ok() {
            return Ok(());
        }
    }
    // Unique over restarts: the time is part of it.
    let stamp: String = note.time.chars().filter(char::is_ascii_digit).collect();
    let stamp: u64 = stamp.get(..stamp.len().min(17)).unwrap_or_default().parse().unwrap_or(0);
    let name = format!("{}.{:x}{serial:04x}", meta("name"), stamp);
    let mut event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": note.about.get("apiVersion"), "kind": note.about.get("kind"),
            "namespace": meta("namespace"), "name": meta("name"), "uid": meta("uid"),
            "resourceVersion": meta("resourceVersion"),
        },
        "reason": note.reason, "message": message,
        "type": match note.event_type { EventType::Normal => "Normal", EventType::Warning => "Warning" },
        "source": {"component": note.component}, "reportingComponent": note.component, "reportingInstance": "",
        "count": 1, "firstTimestamp": note.time, "lastTimestamp": note.time,
    });
    if !note.annotations.is_empty() {
        let annotations: serde_json::Map<String, Value> =
            note.annotations.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        event["metadata"]["annotations"] = Value::Object(annotations);
    }
    cluster.create(&event, &note.component).await?;
    known.insert(same, (name, 1));
    Ok(())
}

fn cut(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", message.get(..end).unwrap_or_default())
}
