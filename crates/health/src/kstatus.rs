//! The rules that hold for objects of every kind, in their order.

use object::{Gvk, Value, get, get_str, meta};
use serde_json::json;

use crate::{Health, Status, kinds};

/// A condition of an object's status.
pub(crate) struct Found<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// The conditions of an object; entries that are none are left out.
pub(crate) fn conditions(object: &Value) -> impl Iterator<Item = Found<'_>> {
    let list = get(object, &["status", "conditions"]).and_then(Value::as_array);
    list.into_iter().flatten().map(|entry| {
        let text = |key: &str| get_str(entry, &[key]).unwrap_or_default();
        Found { kind: text("type"), status: text("status"), reason: text("reason"), message: text("message") }
    })
}

/// The kstatus verdict. `now` (seconds since the epoch) matters only for Pods that cannot be scheduled.
pub fn status(object: &Value, now: i64) -> Health {
    judge(object, now, false)
}

/// The verdict of Flux, which waits for Jobs to end where kstatus is content with their start.
pub fn flux_status(object: &Value, now: i64) -> Health {
    judge(object, now, true)
}

fn judge(object: &Value, now: i64, wait_for_jobs: bool) -> Health {
    if meta::deletion_timestamp(object).is_some_and(|time| !time.is_empty()) {
        let message = "Resource scheduled for deletion".to_owned();
        return Health { status: Status::Terminating, message, conditions: Vec::new() };
    }
    if let Some(health) = generation(object).or_else(|| standard(object)) {
        return health;
    }
    let gvk = Gvk::of(object);
    if let Some(health) = kinds::judge(&gvk, object, now, wait_for_jobs) {
        return health;
    }
    ready(object).unwrap_or_else(|| Health::current("Resource is current"))
}

/// An object whose newest generation nobody looked at is in progress.
fn generation(object: &Value) -> Option<Health> {
    let wrong =
        |field: &str| Some(Health::unknown(format!("looking up {field} from resource: not an integer")));
    let generation = match get(object, &["metadata", "generation"]) {
        None => return None,
        Some(value) => value.as_i64(),
    };
    let Some(generation) = generation else { return wrong("metadata.generation") };
    let observed = match get(object, &["status", "observedGeneration"]) {
        None => return None,
        Some(value) => value.as_i64(),
    };
    let Some(observed) = observed else { return wrong("status.observedGeneration") };
    (observed != generation).then(|| {
        let kind = meta::kind(object);
        let message =
            format!("{kind} generation is {generation}, but latest observed generation is {observed}");
        Health::in_progress("LatestGenerationNotObserved", message)
    })
}

/// `Reconciling` and `Stalled` decide for themselves.
fn standard(object: &Value) -> Option<Health> {
    conditions(object).filter(|found| found.status == "True").find_map(|found| match found.kind {
        "Reconciling" => Some(Health::in_progress(found.reason, found.message)),
        "Stalled" => Some(Health::failed(found.reason, found.message)),
        _ => None,
    })
}

/// The last resort: `Ready`, which is never a failure.
fn ready(object: &Value) -> Option<Health> {
    let found = conditions(object).find(|found| found.kind == "Ready")?;
    match found.status {
        "True" => Some(Health::current("Resource is Ready")),
        _ => Some(Health::in_progress(found.reason, found.message)),
    }
}

/// Writes the conditions that the verdict implies into the object, `now` in RFC 3339.
pub fn augment(object: &mut Value, health: &Health, now: &str) {
    let mut list =
        get(object, &["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    for condition in &health.conditions {
        let fresh = json!({
            "type": condition.condition_type, "status": condition.status, "reason": condition.reason,
            "message": condition.message, "lastTransitionTime": now, "lastUpdateTime": now,
        });
        let known =
            list.iter_mut().find(|entry| get_str(entry, &["type"]) == Some(&condition.condition_type));
        match known {
            None => list.push(fresh),
            Some(entry) => {
                let before = entry.get("lastTransitionTime").cloned();
                let same = get_str(entry, &["status"]) == Some(&condition.status);
                object::merge_patch::apply(entry, &fresh);
                if let (true, Some(before)) = (same, before) {
                    object::set(entry, &["lastTransitionTime"], before);
                }
            }
        }
    }
    object::set(object, &["status", "conditions"], Value::Array(list));
}
