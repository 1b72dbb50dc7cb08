//! Taking over what others brought, and giving it up again.
//!
//! Server-side apply makes fields ours that we name, and leaves those of others: what kubectl, helm or another tool set
//! before stays theirs, and would stay for ever when it leaves the source. So their fields become ours first. Whether
//! anything would change by all that is known before: the server tells with a dry run what an apply would change, and
//! the managed fields tell what would go because nobody wants it any more.

use std::collections::BTreeSet;

use cluster::{Apply, Cluster, Error, ErrorKind, PatchKind, PatchOptions};
use object::{Gvk, Key, Value, get, meta};
use serde_json::json;

use crate::memory::{Memory, definition};
use crate::ownership::{disowned, managers, migrated};

/// Labels and annotations that say whose an object is, and nothing else.
const MARKS: [&str; 8] = [
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
    "app.kubernetes.io/managed-by",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
    LAST_APPLIED,
];
/// What kubectl notes of what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How Argo CD knows its objects.
const TRACKING: &str = "argocd.argoproj.io/tracking-id";
/// Notes of other tools, which their objects lose with their new owner.
const NOTES: [&str; 3] = [LAST_APPLIED, TRACKING, "argocd.argoproj.io/installation-id"];

/// How an object stands to what would be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is as it would be.
    Same,
    /// It would change.
    Differs,
    /// It is not there, and would be created.
    Missing,
}

/// What an adoption would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub key: Key,
    /// How it stands.
    pub state: State,
    /// The fields that would change, without values: they may be secret.
    pub fields: Vec<String>,
    /// Whose fields would become ours.
    pub managers: Vec<String>,
    /// The Argo CD Application that tracks it.
    pub application: Option<String>,
}

/// Is it a tool that brings objects, as `manager` does? Controllers that set fields of their own are not.
fn is_tool(name: &str, operation: &str, manager: &str, more: &[String]) -> bool {
    let word = name.to_ascii_lowercase();
    let known = ["kubectl", "helm", "terraform", "argocd", "hashicorp", "pulumi"];
    more.iter().any(|given| given == name)
        || (name == manager && operation == "Update")
        || name == "before-first-apply"
        || (name != manager
            && known.iter().any(|tool| word.starts_with(tool))
            && name != "argocd-image-updater")
}

/// Compares a desired object with what is live. Nothing is written.
///
/// # Errors
/// What the API says, also when it refuses the object.
pub async fn compare(
    cluster: &Cluster,
    memory: &Memory,
    manager: &str,
    desired: &Value,
    more: &[String],
) -> Result<Finding, Error> {
    let key = Key::of(desired).map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
    let gvk = Gvk::of(desired);
    let mut finding = Finding {
        key: key.clone(),
        state: State::Missing,
        fields: Vec::new(),
        managers: Vec::new(),
        application: None,
    };
    let Some(live) = cluster.get(&gvk, &key.namespace, &key.name).await? else { return Ok(finding) };
    let options = Apply { dry_run: true, ..Apply::forced(manager) };
    let after = cluster.apply(desired, &options).await?;
    let mut fields = BTreeSet::new();
    differences("", &content(&live), &content(&after), &mut fields);
    if schema::builtin().type_of(&gvk).is_none() {
        cluster.watch(&definition()).await?;
    }
    lost(cluster, memory, manager, (&live, desired), more, &mut fields).await?;
    let tracked = meta::annotation(&live, TRACKING);
    finding.application = tracked.and_then(|id| id.split_once(':')).map(|(name, _)| name.to_owned());
    let tools = managers(&live).into_iter().filter(|(name, how)| is_tool(name, how, manager, more));
    finding.managers = tools.map(|(name, _)| name).collect::<BTreeSet<_>>().into_iter().collect();
    finding.state = if fields.is_empty() { State::Same } else { State::Differs };
    finding.fields = fields.into_iter().collect();
    Ok(finding)
}

/// What would go because nobody wants it any more once the fields of the tools are ours.
async fn lost(
    cluster: &Cluster,
    memory: &Memory,
    manager: &str,
    (live, desired): (&Value, &Value),
    more: &[String],
    fields: &mut BTreeSet<String>,
) -> Result<(), Error> {
    let Some(theirs) = taken(live, manager, memory, more) else { return Ok(()) };
    let mut before = live.clone();
    object::set(&mut before, &["metadata", "managedFields"], Value::Array(theirs));
    let who = merge::Manager {
        name: manager.to_owned(),
        api_version: meta::api_version(desired).to_owned(),
        subresource: String::new(),
        time: String::new(),
    };
    let ty = memory.type_or_deduced(cluster.store(), &Gvk::of(desired));
    let merged = merge::apply(Some(&before), desired, &who, true, &ty, &[]);
    let mut merged = merged
        .map_err(|error| Error::new(ErrorKind::Other, format!("{}: {error:?}", meta::name(live))))?
        .object;
    object::remove(&mut merged, &["metadata", "managedFields"]);
    // What the server would give it again was not lost.
    let resource = cluster.resource(&Gvk::of(desired)).await?;
    let path = resource.path(meta::namespace(live).unwrap_or_default(), meta::name(live));
    let path = format!("{path}?dryRun=All&fieldManager={manager}");
    let after = cluster.raw("PUT", &path, Some(&merged), "application/json").await?;
    let mut found = BTreeSet::new();
    missing("", &content(live), &content(&after), &mut found);
    fields.append(&mut found);
    Ok(())
}

fn taken(live: &Value, manager: &str, memory: &Memory, more: &[String]) -> Option<Vec<Value>> {
    let fields = get(live, &["metadata", "managedFields"]).and_then(Value::as_array)?;
    let foreign = |name: &str, operation: &str| is_tool(name, operation, manager, more);
    migrated(fields, manager, meta::api_version(live), memory.habits().requests, &foreign)
}

/// Makes the fields that tools set `manager`'s, and removes their notes. `false` when there is nothing to do.
///
/// # Errors
/// What the API says; a conflict when somebody was faster.
pub async fn take(
    cluster: &Cluster,
    memory: &Memory,
    manager: &str,
    target: &Value,
    more: &[String],
) -> Result<bool, Error> {
    let gvk = Gvk::of(target);
    let namespace = meta::namespace(target).unwrap_or_default();
    let Some(live) = cluster.get(&gvk, namespace, meta::name(target)).await? else { return Ok(false) };
    let mut changes = Vec::new();
    if let Some(fields) = taken(&live, manager, memory, more) {
        changes.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": fields}));
    }
    for note in NOTES.iter().filter(|note| meta::annotation(&live, note).is_some()) {
        changes.push(json!({"op": "remove", "path": format!("/metadata/annotations/{}", escaped(note))}));
    }
    patch(cluster, manager, &live, changes).await
}

/// Gives an object up: it stays as it is, without the labels that say whose it was, and no field is `manager`'s.
/// `false` when it is not there, or bears nothing of that.
///
/// # Errors
/// What the API says; a conflict when somebody was faster.
pub async fn give_up(
    cluster: &Cluster,
    manager: &str,
    gvk: &Gvk,
    key: &Key,
    labels: &[String],
) -> Result<bool, Error> {
    let Some(live) = cluster.get(gvk, &key.namespace, &key.name).await? else { return Ok(false) };
    let mut changes = Vec::new();
    for label in labels.iter().filter(|label| meta::label(&live, label).is_some()) {
        changes.push(json!({"op": "remove", "path": format!("/metadata/labels/{}", escaped(label))}));
    }
    let fields = get(&live, &["metadata", "managedFields"]).and_then(Value::as_array);
    if let Some(mut rest) = fields.and_then(|fields| disowned(fields, manager)) {
        if rest.is_empty() {
            // An empty list would be taken for one that was forgotten.
            rest.push(json!({}));
        }
        changes.push(json!({"op": "replace", "path": "/metadata/managedFields", "value": rest}));
    }
    patch(cluster, "landfall-cli", &live, changes).await
}

async fn patch(
    cluster: &Cluster,
    manager: &str,
    live: &Value,
    mut changes: Vec<Value>,
) -> Result<bool, Error> {
    if changes.is_empty() {
        return Ok(false);
    }
    let version = meta::resource_version(live);
    changes.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
    let options = PatchOptions { manager: manager.to_owned(), ..PatchOptions::default() };
    let namespace = meta::namespace(live).unwrap_or_default();
    let changes = Value::Array(changes);
    cluster
        .patch(&Gvk::of(live), namespace, meta::name(live), PatchKind::Json, &changes, &options)
        .await
        .map(|_| true)
}

/// A name as a part of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// What people wrote of an object, without what only says whose it is.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object::remove(&mut object, &["status"]);
    for field in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid"] {
        object::remove(&mut object, &["metadata", field]);
    }
    for field in ["labels", "annotations"] {
        let Some(map) = object.pointer_mut(&format!("/metadata/{field}")).and_then(Value::as_object_mut)
        else {
            continue;
        };
        map.retain(|name, _| !MARKS.contains(&name.as_str()) && !NOTES.contains(&name.as_str()));
        if map.is_empty() {
            object::remove(&mut object, &["metadata", field]);
        }
    }
    object
}

fn differences(place: &str, before: &Value, after: &Value, fields: &mut BTreeSet<String>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(one), Value::Object(two)) => {
            for key in one.keys().chain(two.keys()) {
                let (one, two) = (one.get(key).unwrap_or(&Value::Null), two.get(key).unwrap_or(&Value::Null));
                differences(&format!("{place}.{key}"), one, two, fields);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (at, (one, two)) in one.iter().zip(two).enumerate() {
                differences(&format!("{place}[{at}]"), one, two, fields);
            }
        }
        _ => {
            fields.insert(place.trim_start_matches('.').to_owned());
        }
    }
}

/// The fields of `before` that `after` does not have.
fn missing(place: &str, before: &Value, after: &Value, fields: &mut BTreeSet<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(two)) => {
            for (key, value) in one {
                let place = format!("{place}.{key}");
                match two.get(key) {
                    Some(after) => missing(&place, value, after, fields),
                    None => {
                        fields.insert(place.trim_start_matches('.').to_owned());
                    }
                }
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (at, (one, two)) in one.iter().zip(two).enumerate() {
                missing(&format!("{place}[{at}]"), one, two, fields);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() > two.len() => {
            fields.insert(place.trim_start_matches('.').to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_told_from_controllers() {
        let tool =
            |name: &str, operation: &str| is_tool(name, operation, "helm-controller", &["ours".into()]);
        for name in
            ["kubectl-client-side-apply", "helm", "Terraform", "argocd-controller", "ours", "HashiCorp"]
        {
            assert!(tool(name, "Update"), "{name}");
        }
        assert!(!tool("helm-controller", "Apply"));
        assert!(tool("helm-controller", "Update"));
        assert!(!tool("kube-controller-manager", "Update"));
    }

    #[test]
    fn marks_are_no_difference() {
        let bare = json!({"metadata": {"name": "a", "resourceVersion": "1"}, "data": {"x": "1"}});
        let marked = json!({"metadata": {"name": "a", "labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}},
            "data": {"x": "2", "y": "3"}});
        let mut fields = BTreeSet::new();
        differences("", &content(&bare), &content(&marked), &mut fields);
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), ["data.x", "data.y"]);
    }
}
