//! The end of an ApplicationSet: its Applications go with it, unless its policy keeps them; with
//! `deletionOrder: Reverse` step by step, the last step first.

use std::time::Duration;

use cluster::{Delete, ErrorKind, PatchKind, PatchOptions};
use controller::{Cause, Context, Outcome};
use object::{Key, Value, get, get_str, meta};
use serde_json::json;

use super::kind::MANAGER;
use super::policy::{self, Policy};
use super::rolling;
use crate::names::{self, APPLICATION, FINALIZER, GROUP};
use crate::settings::SetParameters;

/// When to look again at Applications that go; they wake the set when they are gone.
const AGAIN: Duration = Duration::from_secs(10);

/// The Applications that are there and belong to a set.
fn members(context: &Context, set: &Value) -> Vec<Value> {
    let all = context.cluster.store().list(GROUP, APPLICATION);
    let of_it = |one: &Value| meta::namespace(one) == meta::namespace(set) && policy::is_owned(one, set);
    all.into_iter().filter(of_it).collect()
}

/// A set that is to be deleted in an order needs a finalizer, so that there is somebody to keep it.
pub(super) async fn keep_order(context: &Context, set: &Value) -> Result<(), cluster::Error> {
    let mut finalizers: Vec<&str> = meta::finalizers(set).collect();
    if !rolling::deletes_in_reverse(set) || finalizers.contains(&FINALIZER) {
        return Ok(());
    }
    finalizers.push(FINALIZER);
    finalize(context, set, &finalizers).await
}

/// Does what is to be done before a set goes, and lets it go.
pub(super) async fn delete(
    context: &Context,
    set: &Value,
    parameters: &SetParameters,
) -> Result<Outcome, cluster::Error> {
    context.watch(&names::gvk(APPLICATION)).await?;
    let ours: Vec<&str> = meta::finalizers(set).filter(|name| *name != FINALIZER).collect();
    if ours.len() == meta::finalizers(set).count() {
        // Its Applications name it as their owner: the API server deletes them after it.
        return Ok(Outcome::done());
    }
    let there = members(context, set);
    if !Policy::of(set, parameters.policy, parameters.may_override).deletes() {
        for application in &there {
            disown(context, set, application).await?;
        }
    } else if rolling::deletes_in_reverse(set) {
        let steps = rolling::by_step(set, &there);
        if let Some(last) = steps.iter().rev().find(|step| !step.is_empty()) {
            return step_back(context, last).await;
        }
    }
    finalize(context, set, &ours).await?;
    Ok(Outcome::done())
}

/// Deletes the Applications of a step, and waits until they are gone.
async fn step_back(context: &Context, step: &[&Value]) -> Result<Outcome, cluster::Error> {
    let gvk = names::gvk(APPLICATION);
    for application in step {
        let (namespace, name) = (meta::namespace(application).unwrap_or_default(), meta::name(application));
        let key = Key::new(GROUP, APPLICATION, namespace, name);
        context.follow(&key, controller::aspect::existence, meta::uid(application));
        if meta::deletion_timestamp(application).is_some() {
            continue;
        }
        let how = Delete { uid: Some(meta::uid(application).to_owned()), ..Delete::default() };
        match context.cluster.delete(&gvk, namespace, name, &how).await {
            Ok(_) => {}
            // Another one of that name is looked at with the next pass.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    let names: Vec<&str> = step.iter().map(|one| meta::name(one)).collect();
    let line = format!("Applications of the last step are being deleted: {}", names.join(", "));
    Ok(Outcome { cause: Some(Cause::new(line)), ..Outcome::after(AGAIN) })
}

/// Takes the set from an Application's owners, so that it stays.
async fn disown(context: &Context, set: &Value, application: &Value) -> Result<(), cluster::Error> {
    let owners = get(application, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    let rest: Vec<&Value> = owners
        .into_iter()
        .flatten()
        .filter(|owner| get_str(owner, &["uid"]) != Some(meta::uid(set)))
        .collect();
    let patch = json!({"metadata": {
        "ownerReferences": rest, "resourceVersion": meta::resource_version(application),
    }});
    let (namespace, name) = (meta::namespace(application).unwrap_or_default(), meta::name(application));
    write(context, APPLICATION, namespace, name, &patch).await
}

async fn finalize(context: &Context, set: &Value, finalizers: &[&str]) -> Result<(), cluster::Error> {
    let patch = json!({"metadata": {
        "finalizers": finalizers, "resourceVersion": meta::resource_version(set),
    }});
    let (namespace, name) = (meta::namespace(set).unwrap_or_default(), meta::name(set));
    write(context, names::APPLICATION_SET, namespace, name, &patch).await
}

async fn write(
    context: &Context,
    kind: &str,
    namespace: &str,
    name: &str,
    patch: &Value,
) -> Result<(), cluster::Error> {
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    let gvk = names::gvk(kind);
    let done = context.cluster.patch(&gvk, namespace, name, PatchKind::Merge, patch, &options);
    match done.await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
