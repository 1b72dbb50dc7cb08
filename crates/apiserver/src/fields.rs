//! Ownership of fields: `managedFields` of every write, and server-side apply.

use serde_json::{Value, json};

use crate::api::write::{Context, Proposal};
use crate::catalog::Resource;
use crate::status::Failure;
use crate::types;

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
    resource: &Resource,
    live: Option<&Value>,
    value: &mut Value,
    managed: Option<Value>,
    context: &Context,
) -> Result<(), Failure> {
    if let Some(live) = live
        && resource.custom.is_some()
        && context.subresource == "scale"
    {
        // Nobody comes to own what a plain write to the scale of a custom resource changes.
        put(value, object::get(live, &["metadata", "managedFields"]).cloned());
        return Ok(());
    }
    put(value, managed);
    let types = types::type_of(resource);
    let manager = manager(resource, context);
    let ignored = ignored(resource, &context.subresource);
    let result = match live {
        Some(_) => merge::update(live, value, &manager, &types, &ignored),
        None => merge::create(&empty_object(resource), value, &manager, &types, &ignored),
    };
    *value = result.map_err(|error| refused(resource, &error))?;
    Ok(())
}

/// An object in which nothing was set.
fn empty_object(resource: &Resource) -> Value {
    let mut empty = json!({"apiVersion": resource.api_version(), "kind": *resource.kind});
    if resource.custom.is_none() {
        // An empty object has no value of the wrong type, so it is always decoded.
        let decoded = types::drop_unknown(resource, &mut empty, &mut Vec::new());
        debug_assert!(decoded.is_ok(), "an empty object is decoded");
    }
    empty
}

fn manager(resource: &Resource, context: &Context) -> merge::Manager {
    merge::Manager {
        name: context.manager.clone(),
        api_version: resource.api_version(),
        subresource: context.subresource.clone(),
        time: crate::app::now(),
    }
}

/// What this endpoint does not write: the status belongs to its subresource, and the reverse.
fn ignored(resource: &Resource, subresource: &str) -> Vec<&'static [&'static str]> {
    match subresource {
        "" if resource.has_status() => vec![&["status"]],
        "finalize" => vec![&["status"]],
        "status" if resource.custom.is_some() => vec![&["spec"]],
        "status" => vec![&["spec"], &["metadata", "labels"], &["metadata", "ownerReferences"]],
        _ => Vec::new(),
    }
}

/// Server-side apply: the object after it, with its `managedFields`.
pub fn apply(
    resource: &Resource,
    live: Option<&Value>,
    applied: &Value,
    context: &Context,
    force: bool,
) -> Result<Proposal, Failure> {
    let types = types::type_of(resource);
    let manager = manager(resource, context);
    let ignored = ignored(resource, &context.subresource);
    let result = merge::apply(live, applied, &manager, force, &types, &ignored)
        .map_err(|error| refused(resource, &error))?;
    let mut value = result.object;
    let managed = take(&mut value);
    types::drop_unknown(resource, &mut value, &mut Vec::new())?;
    put(&mut value, managed);
    Ok(Proposal { value, owned: true })
}

fn refused(resource: &Resource, error: &merge::Error) -> Failure {
    let text = error.to_string();
    match error {
        merge::Error::Conflicts(conflicts) => {
            let causes: Vec<Value> = conflicts
                .iter()
                .map(|conflict| {
                    json!({
                        "reason": "FieldManagerConflict",
                        "message": conflict.message(),
                        "field": conflict.field,
                    })
                })
                .collect();
            Failure::new(409, "Conflict", text).detail("causes", causes)
        }
        merge::Error::Invalid(_) => Failure::bad_request(text),
        merge::Error::Internal(_) => {
            tracing::debug!(kind = %resource.kind, error = text, "an apply does not fit its type");
            Failure::new(500, "", text)
        }
    }
}

/// Keeps the old `managedFields` when nothing else changed, so that a write without effect leaves
/// the stored object as it is.
pub fn keep_time_when_unchanged(live: &Value, value: &mut Value) {
    let path = ["metadata", "managedFields"];
    let (old, new) = (object::get(live, &path), object::get(value, &path));
    if same_but(live, value, "metadata", |a, b| same_but(a, b, "managedFields", |_, _| true))
        && same_owners(old, new)
    {
        let old = old.cloned();
        take(value);
        put(value, old);
    }
}

/// Whether two mappings agree, one field of them as `like` says. That field may be in one of them only.
fn same_but(left: &Value, right: &Value, field: &str, like: impl Fn(&Value, &Value) -> bool) -> bool {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else { return left == right };
    let others = |map: &serde_json::Map<String, Value>| map.len() - usize::from(map.contains_key(field));
    others(left) == others(right)
        && left.iter().all(|(key, value)| match right.get(key) {
            Some(other) if key == field => like(value, other),
            Some(other) => value == other,
            None => key == field,
        })
}

/// Whether two lists of managed fields differ in their times at most.
fn same_owners(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left.and_then(Value::as_array), right.and_then(Value::as_array)) {
        (Some(left), Some(right)) => {
            left.len() == right.len()
                && left.iter().zip(right.iter()).all(|(a, b)| same_but(a, b, "time", |_, _| true))
        }
        (None, None) => left == right,
        _ => false,
    }
}
