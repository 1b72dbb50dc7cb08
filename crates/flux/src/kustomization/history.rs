//! `status.history`: the last distinct outcomes.

use std::time::Duration;

use object::Value;
use serde_json::json;

use crate::common::{format_duration, str_at};

const KEPT: usize = 5;

/// One outcome.
pub struct Outcome<'a> {
    /// The digest of what was applied.
    pub digest: &'a str,
    /// When.
    pub now: &'a str,
    /// How long it took.
    pub duration: Duration,
    /// The reason word of its end.
    pub status: &'a str,
    /// The source's revision.
    pub revision: &'a str,
    /// The revision the content had where it came from.
    pub origin: Option<&'a str>,
}

/// Adds an outcome; the same digest and status count up one entry, the newest is first.
pub fn upsert(history: Option<&Value>, outcome: &Outcome<'_>) -> Value {
    let mut entries = history.and_then(Value::as_array).cloned().unwrap_or_default();
    let same = |entry: &Value| {
        str_at(entry, &["digest"]) == outcome.digest
            && str_at(entry, &["lastReconciledStatus"]) == outcome.status
    };
    let known = entries.iter().position(same).map(|at| entries.remove(at));
    let total = known.as_ref().and_then(|entry| entry.get("totalReconciliations")).and_then(Value::as_i64);
    let first =
        known.as_ref().map(|entry| str_at(entry, &["firstReconciled"])).filter(|time| !time.is_empty());
    let mut metadata = json!({"revision": outcome.revision});
    if let Some(origin) = outcome.origin {
        metadata["originRevision"] = json!(origin);
    }
    let entry = json!({
        "digest": outcome.digest,
        "firstReconciled": first.unwrap_or(outcome.now),
        "lastReconciled": outcome.now,
        "lastReconciledDuration": format_duration(outcome.duration),
        "lastReconciledStatus": outcome.status,
        "totalReconciliations": total.unwrap_or(0).saturating_add(1),
        "metadata": metadata,
    });
    entries.insert(0, entry);
    entries.truncate(KEPT);
    Value::Array(entries)
}

/// Is success with this digest what the object's status tells last?
pub fn repeats(object: &Value, digest: &str) -> bool {
    let history = object::get(object, &["status", "history"]).and_then(Value::as_array);
    history.and_then(|entries| entries.first()).is_some_and(|newest| {
        str_at(newest, &["digest"]) == digest
            && str_at(newest, &["lastReconciledStatus"]) == "ReconciliationSucceeded"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_outcome_counts_up() {
        let outcome = |digest: &'static str| Outcome {
            digest,
            now: "2026-01-01T00:00:00Z",
            duration: Duration::from_millis(12),
            status: "ReconciliationSucceeded",
            revision: "main@sha1:a",
            origin: None,
        };
        let history = upsert(None, &outcome("a"));
        let history = upsert(Some(&history), &outcome("b"));
        let history = upsert(Some(&history), &outcome("a"));
        assert_eq!(history.as_array().unwrap().len(), 2);
        assert_eq!(history[0]["digest"], "a");
        assert_eq!(history[0]["totalReconciliations"], 2);
    }
}
