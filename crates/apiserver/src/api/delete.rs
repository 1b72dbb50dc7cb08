//! DELETE of one object and of many.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use object::{get_i64, meta, remove, set};
use serde_json::{Value, json};

use super::body::{self, DeleteOptions};
use super::write::{self, Context};
use super::{Call, read};
use crate::admission;
use crate::app::{App, time_text};
use crate::catalog::Resource;
use crate::conversion;
use crate::convert;
use crate::respond;
use crate::select::Selection;
use crate::server::Body;
use crate::status::Failure;
use crate::store::{Durable, Expect, Object, Write};
use crate::strategy;

const ATTEMPTS: usize = 64;

/// What a delete did.
pub enum Deleted {
    /// The object is gone; its last state.
    Gone(Arc<Object>, Option<Durable>),
    /// The object waits for finalizers or for its pod to end.
    Waiting(Arc<Object>, Option<Durable>),
    /// A dry run; the state that would be left.
    Dry(Value, bool),
}

/// DELETE of one object.
pub async fn delete(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let options = body::delete_options(call, body)?;
    let context = Context::of_delete(call, &options)?;
    let (app, resource) = (&call.app, &call.resource);
    let mut warnings = Vec::new();
    let (namespace, name) = (call.namespace(), call.name());
    let done = delete_object(app, resource, namespace, name, &context, &options, &mut warnings).await?;
    let mut response = answer_deleted(call, done).await?;
    respond::warn(&mut response, &warnings);
    Ok(response)
}

async fn answer_deleted(call: &Call, done: Deleted) -> Result<Response<Body>, Failure> {
    let (app, resource) = (&call.app, &call.resource);
    match done {
        Deleted::Dry(value, true) if !strategy::returns_deleted(resource) => {
            let status = write::success(resource, call.name(), meta::uid(&value));
            Ok(respond::tree(StatusCode::OK, &status, call.format.media))
        }
        Deleted::Dry(value, _) => Ok(read::answer_tree(call, StatusCode::OK, &value)),
        Deleted::Waiting(object, durable) => {
            write::settle(durable).await?;
            Ok(read::answer(call, StatusCode::OK, &object))
        }
        Deleted::Gone(object, durable) => {
            write::settle(durable).await?;
            if &*resource.table == "pods" {
                // A pod ends even when nothing has to be waited for, and its last state says so.
                let value = ended(&convert::tree(app, resource, &object));
                return Ok(read::answer_tree(call, StatusCode::OK, &value));
            }
            if strategy::returns_deleted(resource) {
                return Ok(read::answer(call, StatusCode::OK, &object));
            }
            let value = object.value();
            let status = write::success(resource, call.name(), meta::uid(&value));
            Ok(respond::tree(StatusCode::OK, &status, call.format.media))
        }
    }
}

fn ended(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if meta::deletion_timestamp(&pod).is_none() {
        set(&mut pod, &["metadata", "deletionTimestamp"], crate::app::now().into());
        let generation = meta::generation(&pod);
        if generation > 0 {
            set(&mut pod, &["metadata", "generation"], (generation + 1).into());
        }
    }
    set(&mut pod, &["metadata", "deletionGracePeriodSeconds"], 0.into());
    pod
}

/// DELETE of everything that is selected.
pub async fn delete_collection(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let options = body::delete_options(call, body)?;
    let context = Context::of_delete(call, &options)?;
    let selection = Selection::of(call)?;
    let (app, resource) = (&call.app, &call.resource);
    let (revision, objects) = app.store.list(&resource.table, &selection.prefix());
    let (mut items, mut warnings) = (Vec::new(), Vec::new());
    let mut last = None;
    for object in objects.iter().filter(|o| selection.matches(call, o)) {
        let (namespace, name) = (object.namespace(), object.name());
        match delete_object(app, resource, namespace, name, &context, &options, &mut warnings).await {
            Ok(Deleted::Gone(object, durable) | Deleted::Waiting(object, durable)) => {
                items.push(convert::tree(app, resource, &object));
                // The log is in order: when the last write is durable, all are.
                last = durable.or(last);
            }
            Ok(Deleted::Dry(value, _)) => items.push(value),
            Err(failure) if failure.reason() == "NotFound" => {}
            Err(failure) => return Err(failure),
        }
    }
    write::settle(last).await?;
    if resource.custom.is_none() {
        // Items of typed lists leave their type out.
        for map in items.iter_mut().filter_map(Value::as_object_mut) {
            map.remove("apiVersion");
            map.remove("kind");
        }
    }
    let list = json!({
        "kind": *resource.list_kind,
        "apiVersion": resource.api_version(),
        "metadata": {"resourceVersion": revision.to_string()},
        "items": items,
    });
    let mut response = respond::tree(StatusCode::OK, &list, call.format.media);
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// Deletes an object or sets it on its way.
pub async fn delete_object(
    app: &Arc<App>,
    resource: &Arc<Resource>,
    namespace: &str,
    name: &str,
    context: &Context,
    options: &DeleteOptions,
    warnings: &mut Vec<String>,
) -> Result<Deleted, Failure> {
    let key = resource.key(namespace, name);
    for _ in 0..ATTEMPTS {
        let Some(current) = app.store.get(&resource.table, &key) else {
            return Err(Failure::not_found(&resource.group, &resource.name, name));
        };
        let live = convert::tree(app, resource, &current);
        check_preconditions(resource, name, &live, options)?;
        admission::webhooks::mutate(app, resource, context, &mut Value::Null, Some(&live), warnings).await?;
        admission::validate(app, resource, context, None, Some(&live), warnings).await?;
        let mut expect = Expect::Revision(current.revision);
        let (value, gone) = next_state(resource, &live, options);
        let converted = if gone { None } else { conversion::draft(app, resource, &value).await? };
        if options.dry_run || context.dry_run {
            return Ok(Deleted::Dry(value, gone));
        }
        if gone && &*resource.table == "pods" {
            // A pod ends before it goes, also when that takes no time: whoever watches is told both.
            let draft = conversion::plain(resource, ended(&live));
            if !draft.same_as(&current) {
                match app.store.commit(&resource.table, &key, expect, Write::Put(draft)) {
                    Ok((object, _)) => expect = Expect::Revision(object.revision),
                    Err(_) => continue,
                }
            }
        }
        if gone {
            match app.store.commit(&resource.table, &key, expect, Write::Remove) {
                Ok((object, durable)) => {
                    write::after_remove(app, resource, &object);
                    return Ok(Deleted::Gone(object, Some(durable)));
                }
                Err(_) => continue,
            }
        }
        let draft = converted.unwrap_or_else(|| conversion::plain(resource, value));
        if draft.same_as(&current) {
            return Ok(Deleted::Waiting(current, None));
        }
        match app.store.commit(&resource.table, &key, expect, Write::Put(draft)) {
            Ok((object, durable)) => {
                write::after_write(app, resource, &object);
                return Ok(Deleted::Waiting(object, Some(durable)));
            }
            Err(_) => continue,
        }
    }
    Err(Failure::modified(&resource.group, &resource.name, name))
}

fn check_preconditions(
    resource: &Resource,
    name: &str,
    live: &Value,
    options: &DeleteOptions,
) -> Result<(), Failure> {
    let conflict = |why: String| Err(Failure::conflict(&resource.group, &resource.kind, name, &why));
    if let Some(uid) = &options.uid
        && uid != meta::uid(live)
    {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            meta::uid(live)
        ));
    }
    if let Some(version) = &options.resource_version
        && version != meta::resource_version(live)
    {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            meta::resource_version(live)
        ));
    }
    Ok(())
}

/// The state after a delete, and whether nothing is left to wait for.
fn next_state(resource: &Resource, live: &Value, options: &DeleteOptions) -> (Value, bool) {
    let mut value = live.clone();
    let asked = options.propagation.as_deref();
    set_propagation(&mut value, asked.or_else(|| strategy::default_propagation(resource)));
    let is_namespace = &*resource.table == "namespaces";
    let own_finalizers = is_namespace
        && object::get(&value, &["spec", "finalizers"])
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
    let deleting = meta::deletion_timestamp(live).is_some();
    let mut grace = strategy::grace(resource, live, options.grace);
    if deleting {
        let before = get_i64(live, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
        // A later delete can only shorten the time, and only when it asks for it.
        grace = match options.grace {
            Some(_) => grace.min(before),
            None => before,
        };
    }
    if &*resource.table == crate::crd::TABLE && !deleting {
        meta::add_finalizer(&mut value, crate::crd::CLEANUP);
    }
    let held = meta::finalizers(&value).next().is_some() || own_finalizers;
    if !held && grace == 0 {
        return (value, true);
    }
    let before = get_i64(live, &["metadata", "deletionGracePeriodSeconds"]);
    if !deleting || before != Some(grace) {
        let end = jiff::Timestamp::now()
            .checked_add(jiff::SignedDuration::from_secs(grace))
            .unwrap_or_else(|_| jiff::Timestamp::now());
        set(&mut value, &["metadata", "deletionTimestamp"], time_text(end).into());
        set(&mut value, &["metadata", "deletionGracePeriodSeconds"], grace.into());
    }
    if !deleting && meta::generation(live) > 0 {
        set(&mut value, &["metadata", "generation"], (meta::generation(live) + 1).into());
    }
    if is_namespace {
        remove(&mut value, &["metadata", "deletionGracePeriodSeconds"]);
        set(&mut value, &["status", "phase"], "Terminating".into());
    }
    if &*resource.table == crate::crd::TABLE {
        crate::crd::mark_terminating(&mut value);
    }
    (value, false)
}

fn set_propagation(value: &mut Value, policy: Option<&str>) {
    match policy {
        Some("Foreground") => {
            meta::remove_finalizer(value, "orphan");
            meta::add_finalizer(value, "foregroundDeletion");
        }
        Some("Orphan") => {
            meta::remove_finalizer(value, "foregroundDeletion");
            meta::add_finalizer(value, "orphan");
        }
        Some(_) => {
            meta::remove_finalizer(value, "orphan");
            meta::remove_finalizer(value, "foregroundDeletion");
        }
        None => {}
    }
    if meta::finalizers(value).next().is_none() {
        remove(value, &["metadata", "finalizers"]);
    }
}
