//! Ownership of fields: `managedFields` of every write, and server-side apply.

use std::sync::Arc;

use serde_json::Value;

use crate::api::write::{Context, Proposal};
use crate::app::App;
use crate::catalog::Resource;
use crate::status::Failure;

/// Takes `managedFields` out of an object.
pub fn take(value: &mut Value) -> Option<Value> {
    object::take(value, &["metadata", "managedFields"])
}

/// Puts `managedFields` back.
pub fn put(value: &mut Value, managed: Option<Value>) {
    if let Some(managed) = managed {
        object::set(value, &["metadata", "managedFields"], managed);
    }
}

/// Records who owns what after a create, update or patch. `managed` is what the request itself
/// said about managed fields.
pub fn on_write(
    _app: &Arc<App>,
    _resource: &Resource,
    live: Option<&Value>,
    value: &mut Value,
    managed: Option<Value>,
    _context: &Context,
) -> Result<(), Failure> {
    let kept = managed.or_else(|| live.and_then(|l| object::get(l, &["metadata", "managedFields"]).cloned()));
    put(value, kept);
    Ok(())
}

/// Server-side apply: the object after it, with its `managedFields`.
pub fn apply(
    _app: &Arc<App>,
    _resource: &Resource,
    live: Option<&Value>,
    applied: &Value,
    _context: &Context,
    _force: bool,
) -> Result<Proposal, Failure> {
    let mut value = live.cloned().unwrap_or_else(|| applied.clone());
    object::merge_patch::apply(&mut value, applied);
    Ok(Proposal { value, owned: live.is_some() })
}

/// Keeps the old `managedFields` when nothing else changed, so that a write without effect leaves
/// the stored object as it is.
pub fn keep_time_when_unchanged(live: &Value, value: &mut Value) {
    let mut before = live.clone();
    let old = take(&mut before);
    let new = take(value);
    let same = before == *value && timeless(old.as_ref()) == timeless(new.as_ref());
    put(value, if same { old } else { new });
}

fn timeless(managed: Option<&Value>) -> Option<Value> {
    let mut managed = managed?.clone();
    for entry in managed.as_array_mut().into_iter().flatten() {
        object::remove(entry, &["time"]);
    }
    Some(managed)
}
