//! Application: sources to objects, objects beside what is live, a sync when it is due, and the status.

mod addresses;
mod decide;
mod finalize;
mod hydrate;
mod load;
mod look;
pub mod pass;
mod run;
pub mod spec;
pub mod state;
mod sync;

use std::sync::Arc;

use controller::{Context, Description, Kind, ObjectRef, Outcome, Ready};
use delivery::fields::{list_at, str_at};
use futures::future::BoxFuture;
use object::{Gvk, Key, Value, get, meta};

use crate::options::Shared;
use crate::{names, tracking};

pub use look::differences;

/// The kind.
pub struct Applications {
    shared: Arc<Shared>,
}

impl Applications {
    /// With what all kinds share.
    pub fn new(shared: Arc<Shared>) -> Applications {
        Applications { shared }
    }
}

/// What of the object's own is a reason to run.
fn trigger(object: &Value) -> String {
    let annotation = |name: &str| meta::annotation(object, name).unwrap_or_default();
    let part = |field: &str| get(object, &[field]).map(Value::to_string).unwrap_or_default();
    format!(
        "{} {} {} {} {} {} {} {}",
        meta::uid(object),
        part("spec"),
        part("operation"),
        meta::deletion_timestamp(object).unwrap_or_default(),
        annotation(names::REFRESH),
        annotation(names::HYDRATE),
        annotation(names::SKIP_RECONCILE),
        annotation(names::DELETION_APPROVED),
    )
}

/// Did the status see the newest sources and destination?
fn observed(object: &Value) -> bool {
    let same =
        |field: &str| get(object, &["spec", field]) == get(object, &["status", "sync", "comparedTo", field]);
    // A spec that cannot be compared is answered by a condition.
    let refused = list_at(object, &["status", "conditions"])
        .iter()
        .any(|condition| str_at(condition, &["type"]) == "InvalidSpecError");
    let hydrated = get(object, &["spec", "sourceHydrator"]).is_some();
    refused || hydrated || (same("source") && same("sources") && same("destination"))
}

/// The first condition that is an error.
fn first_error(object: &Value) -> Option<(String, String)> {
    let conditions = list_at(object, &["status", "conditions"]).iter();
    conditions
        .map(|one| (str_at(one, &["type"]).to_owned(), str_at(one, &["message"]).to_owned()))
        .find(|(kind, _)| kind.ends_with("Error"))
}

/// Is it ready, and if not: why in a word and in a line.
fn readiness(object: &Value) -> (Ready, String, String) {
    let status = |path: &[&str]| str_at(object, path).to_owned();
    let (sync, health) = (status(&["status", "sync", "status"]), status(&["status", "health", "status"]));
    if let Some((kind, message)) = first_error(object) {
        return (Ready::False, kind, message);
    }
    let phase = status(&["status", "operationState", "phase"]);
    let message = status(&["status", "operationState", "message"]);
    match (sync.as_str(), health.as_str()) {
        ("", _) => (Ready::Unknown, String::new(), String::new()),
        _ if phase == "Running" => (Ready::Unknown, "Syncing".into(), message),
        _ if matches!(phase.as_str(), "Failed" | "Error") && sync != "Synced" => {
            (Ready::False, "SyncFailed".into(), message)
        }
        ("OutOfSync", _) => {
            let out = list_at(object, &["status", "resources"]).iter();
            let out: Vec<String> = out
                .filter(|entry| str_at(entry, &["status"]) == "OutOfSync")
                .map(|entry| format!("{}/{}", str_at(entry, &["kind"]), str_at(entry, &["name"])))
                .collect();
            let shown: Vec<&str> = out.iter().take(3).map(String::as_str).collect();
            let more = if out.len() > 3 { format!(" and {} more", out.len() - 3) } else { String::new() };
            let automated = get(object, &["spec", "syncPolicy", "automated"]).is_some_and(Value::is_object);
            let hint = if automated { "" } else { "; nothing syncs it by itself (no syncPolicy.automated)" };
            (Ready::False, "OutOfSync".into(), format!("OutOfSync: {}{more}{hint}", shown.join(", ")))
        }
        ("Unknown", _) => (Ready::False, "Unknown".into(), "what is wanted is not known".into()),
        (_, "Healthy" | "Suspended") => {
            let empty = list_at(object, &["status", "resources"]).is_empty();
            let allowed =
                get(object, &["spec", "syncPolicy", "automated", "allowEmpty"]) == Some(&true.into());
            if empty && !allowed {
                let line = "it is empty: its sources make no objects";
                return (Ready::False, "Empty".into(), line.into());
            }
            (Ready::True, health.clone(), format!("{sync}, {health}"))
        }
        (_, "Degraded" | "Unknown") => {
            let entry = list_at(object, &["status", "resources"])
                .iter()
                .find(|entry| str_at(entry, &["health", "status"]) == health);
            let why = entry.map(|entry| {
                format!(
                    "{}/{}: {}",
                    str_at(entry, &["kind"]),
                    str_at(entry, &["name"]),
                    str_at(entry, &["health", "message"])
                )
            });
            (Ready::False, health.clone(), format!("{health}: {}", why.unwrap_or_default()))
        }
        _ => (Ready::Unknown, health.clone(), format!("{sync}, {health}")),
    }
}

/// The objects that a status names.
pub(crate) fn inventory(status: &Value) -> Vec<ObjectRef> {
    let entries = list_at(status, &["resources"]).iter();
    entries
        .map(|entry| ObjectRef {
            key: Key::new(
                str_at(entry, &["group"]),
                str_at(entry, &["kind"]),
                str_at(entry, &["namespace"]),
                str_at(entry, &["name"]),
            ),
            version: str_at(entry, &["version"]).to_owned(),
        })
        .collect()
}

impl Kind for Applications {
    fn gvk(&self) -> Gvk {
        names::gvk(names::APPLICATION)
    }

    fn describe(&self, object: &Value) -> Description {
        let (ready, reason, message) = readiness(object);
        let revision = match str_at(object, &["status", "sync", "revision"]) {
            "" => list_at(object, &["status", "sync", "revisions"]).first().and_then(Value::as_str),
            one => Some(one),
        };
        let owner = meta::annotation(object, names::TRACKING_ID).and_then(tracking::parse);
        let home = &self.shared.options.namespace;
        let parent = owner.map(|(instance, _)| spec::application_of(instance, home));
        let own = Key::of(object).ok();
        let policy = object::get(object, &["status"]).unwrap_or(&Value::Null);
        Description {
            ready,
            reason,
            message,
            revision: revision.map(str::to_owned),
            suspended: meta::annotation(object, names::SKIP_RECONCILE) == Some("true"),
            observed: observed(object),
            edges: Vec::new(),
            inventory: inventory(policy),
            elsewhere: !spec::Destination::of_spec(&object["spec"]).is_in_cluster(),
            parent: parent.filter(|parent| Some(parent) != own.as_ref()),
        }
    }

    fn trigger(&self, object: &Value) -> String {
        trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { run::reconcile(&self.shared, context, object).await })
    }
}
