//! From an event to those who want to hear of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Cluster, EventNote};
use object::{Gvk, Key, Value, get, meta};
use regex::Regex;
use tokio::sync::{Semaphore, broadcast};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::{GROUP, Options, provider};
use crate::common::{bool_at, namespace_of, str_at, string_map, strings_at};

/// Deliveries at a time.
const AT_ONCE: usize = 16;
/// Remembered events; when there are more, all are forgotten.
const REMEMBERED: usize = 10_000;

pub(super) fn alert_gvk() -> Gvk {
    Gvk::new(GROUP, "v1beta3", "Alert")
}

/// Follows the recorded events.
pub(super) async fn run(
    cluster: Cluster,
    options: Options,
    mut events: broadcast::Receiver<EventNote>,
    cancel: CancellationToken,
) {
    let mut post = Post::new(cluster, options);
    loop {
        let note = tokio::select! {
            () = cancel.cancelled() => return,
            note = events.recv() => note,
        };
        match note {
            Ok(note) => {
                let event = Event::of_note(&note, &post.options.instance);
                post.deliver(event).await;
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                tracing::warn!(lost, "too many events at once: some are not told");
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Delivers events.
pub(super) struct Post {
    cluster: Cluster,
    options: Options,
    told: HashMap<String, Instant>,
    permits: Arc<Semaphore>,
}

impl Post {
    pub fn new(cluster: Cluster, options: Options) -> Post {
        Post { cluster, options, told: HashMap::new(), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Gives an event to all who want it. Deliveries go on in the background.
    pub async fn deliver(&mut self, event: Event) {
        let gvk = alert_gvk();
        // A cluster without the kind has nobody who listens.
        if self.cluster.watch(&gvk).await.is_err() {
            return;
        }
        let alerts = if self.cluster.store().is_synced(&gvk.group, &gvk.kind) {
            self.cluster.store().list(&gvk.group, &gvk.kind)
        } else {
            self.cluster.list(&gvk, &cluster::ListOptions::default()).await.unwrap_or_default()
        };
        let wanted: Vec<Value> = alerts.into_iter().filter(|alert| self.wants(alert, &event)).collect();
        if wanted.is_empty() || self.was_told(&event) {
            return;
        }
        for alert in wanted {
            let event = with_metadata(&event, &alert);
            let (cluster, permits) = (self.cluster.clone(), self.permits.clone());
            let fetcher = self.options.fetcher.clone();
            tokio::spawn(async move {
                let Ok(_permit) = permits.acquire_owned().await else { return };
                let place = format!("{}/{}", meta::namespace(&alert).unwrap_or_default(), meta::name(&alert));
                if let Err(why) = provider::tell(&cluster, fetcher, &alert, event).await {
                    tracing::warn!(alert = place, %why, "failed to send notification");
                }
            });
        }
    }

    /// The same object, message and revision are told once in the interval.
    fn was_told(&mut self, event: &Event) -> bool {
        let about = &event.involved_object;
        let same = format!(
            "{} {} {} {} {} {}",
            about.kind,
            about.namespace,
            about.name,
            about.uid,
            event.message,
            event.revision_of_any().map(String::as_str).unwrap_or_default()
        );
        let now = Instant::now();
        if self.told.len() > REMEMBERED {
            self.told.clear();
        }
        let limit = self.options.rate_limit;
        let recent = |then: &Instant| now.duration_since(*then) < limit;
        if limit > Duration::ZERO && self.told.get(&same).is_some_and(recent) {
            return true;
        }
        self.told.insert(same, now);
        false
    }

    fn wants(&self, alert: &Value, event: &Event) -> bool {
        let about = &event.involved_object;
        if bool_at(alert, &["spec", "suspend"]) {
            return false;
        }
        let own = meta::namespace(alert).unwrap_or_default();
        if self.options.no_cross_namespace_refs && own != about.namespace {
            return false;
        }
        let matches = |field: &str| {
            let patterns = strings_at(alert, &["spec", field]);
            patterns.iter().any(|pattern| match Regex::new(pattern) {
                Ok(pattern) => pattern.is_match(&event.message),
                Err(error) => {
                    tracing::warn!(pattern, %error, alert = meta::name(alert), "no regular expression");
                    false
                }
            })
        };
        if matches("exclusionList")
            || (!strings_at(alert, &["spec", "inclusionList"]).is_empty() && !matches("inclusionList"))
        {
            return false;
        }
        let severity = match str_at(alert, &["spec", "eventSeverity"]) {
            "" => "info",
            given => given,
        };
        if severity != "info" && severity != event.severity {
            return false;
        }
        let sources = get(alert, &["spec", "eventSources"]).and_then(Value::as_array);
        sources.into_iter().flatten().any(|source| {
            let namespace = namespace_of(alert, str_at(source, &["namespace"]));
            let name = str_at(source, &["name"]);
            str_at(source, &["kind"]) == about.kind
                && (namespace == about.namespace)
                && (name == about.name || (name == "*" && self.has_labels(source, event)))
        })
    }

    fn has_labels(&self, source: &Value, event: &Event) -> bool {
        let wanted = string_map(source, &["matchLabels"]);
        if wanted.is_empty() {
            return true;
        }
        let about = &event.involved_object;
        let key =
            Key::new(event.gvk().group, about.kind.as_str(), about.namespace.as_str(), about.name.as_str());
        self.cluster.store().get(&key).is_some_and(|object| {
            wanted.iter().all(|(name, value)| meta::label(&object, name) == Some(value))
        })
    }
}

impl Event {
    /// The revision as it came, prefixed with the group of its object.
    fn revision_of_any(&self) -> Option<&String> {
        self.metadata.get(&format!("{}/revision", self.gvk().group)).or_else(|| self.metadata.get("revision"))
    }
}

/// What an Alert adds; what a controller says weighs most, then the summary, the Alert, the object.
fn with_metadata(event: &Event, alert: &Value) -> Event {
    let (mut metadata, controller) = event.split_metadata();
    metadata.extend(string_map(alert, &["spec", "eventMetadata"]));
    let summary = str_at(alert, &["spec", "summary"]);
    if !summary.is_empty() {
        metadata.insert("summary".into(), summary.to_owned());
    }
    metadata.extend(controller);
    Event { metadata, ..event.clone() }
}
