//! Custom resources: what definitions add to the catalog, their status, and their end.

use std::collections::BTreeSet;
use std::sync::Arc;

use object::{get, get_str, meta, set};
use serde_json::{Value, json};

use crate::api::body::DeleteOptions;
use crate::api::delete::delete_object;
use crate::api::write::{self, Context, Proposal};
use crate::app::{App, now};
use crate::catalog::{Catalog, Resource, Subresource, api_version};
use crate::conversion::Conversion;
use crate::status::{Cause, group_resource};
use crate::store::{Draft, Object};

/// The table of definitions.
pub const TABLE: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Held by a definition until its objects are gone.
pub const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Who writes the status of definitions.
pub const MANAGER: &str = "kube-apiserver";

/// One served version of a definition.
#[derive(Debug)]
pub struct CustomVersion {
    /// The definition's name.
    pub definition: String,
    /// The version's schema, columns and subresources.
    pub version: schema::crd::Version,
    /// Fields that can be selected by, as dotted paths.
    pub selectable: Vec<String>,
    /// Whether unknown fields are kept (`spec.preserveUnknownFields`).
    pub preserve_unknown: bool,
    /// Whether the definition is being deleted: no new objects are taken.
    pub terminating: bool,
    /// Who turns objects of one version into another, unless that takes no more than a name.
    pub conversion: Option<Arc<Conversion>>,
}

/// Rebuilds the catalog after a definition was written or removed, and ends its objects when it is
/// being deleted.
pub fn changed(app: &Arc<App>, definition: &Arc<Object>) {
    if !establish(app, definition) {
        rebuild(app);
    }
    refresh(app, definition.name());
    let value = definition.value();
    let stored = app.store.get(TABLE, &definition.key).is_some();
    if stored && meta::deletion_timestamp(&value).is_some() {
        spawn_end(app, definition.name());
    }
}

/// Gives the stored objects of a definition the defaults that its schema has now: readers see them at once.
fn refresh(app: &App, definition: &str) {
    let catalog = app.catalog();
    let stored = |resource: &&Arc<Resource>| {
        resource.custom.as_ref().is_some_and(|custom| *custom.definition == *definition)
            && *resource.stored_as == *resource.api_version()
    };
    let Some(resource) = catalog.all().find(stored) else { return };
    let Some(custom) = &resource.custom else { return };
    app.store.refresh(&resource.table, |object| {
        let mut value = object.value();
        custom.version.structural.default(&mut value);
        Some(Draft::new(&value))
    });
}

/// Resumes what a restart interrupted.
pub fn resume(app: &Arc<App>) {
    for definition in app.store.list(TABLE, "").1 {
        // Killed between the definition and its status: nobody else would ever judge it.
        if !app.definitions.of(&definition).established {
            establish(app, &definition);
        }
    }
    rebuild(app);
    for definition in app.store.list(TABLE, "").1 {
        refresh(app, definition.name());
        if app.definitions.of(&definition).terminating {
            spawn_end(app, definition.name());
        }
    }
}

/// Puts all served versions of all definitions into the catalog.
pub fn rebuild(app: &Arc<App>) {
    let _only_one = app.catalog_change.lock();
    let current = app.catalog();
    let mut resources = Vec::new();
    let mut names = BTreeSet::new();
    for object in app.store.list(TABLE, "").1 {
        names.insert(object.name().to_owned());
        let known = app.definitions.of(&object);
        match &*known.resources {
            Ok(own) => resources.extend(own.iter().cloned()),
            Err(why) => app.tell(
                &format!("CustomResourceDefinition/{}", object.name()),
                format!("generation {} is not served: {why}", known.generation),
            ),
        }
    }
    app.definitions.keep(&names);
    let catalog = Catalog::with_custom(&app.builtin, resources, current.generation + 1);
    *app.catalog.write() = Arc::new(catalog);
    crate::automatic::api_services(app);
}

/// What a definition adds to the catalog.
pub fn resources_of(definition: &Value, parsed: schema::Crd) -> Vec<Resource> {
    let stored = parsed.storage_version().map(|v| v.name.clone()).unwrap_or_default();
    let stored_as: Arc<str> = api_version(&parsed.group, &stored).into();
    let terminating = meta::deletion_timestamp(definition).is_some();
    let verbs = |list: &[&str]| list.iter().map(|v| Arc::from(*v)).collect::<Vec<Arc<str>>>();
    let texts = |list: &[String]| list.iter().map(|v| Arc::from(v.as_str())).collect::<Vec<Arc<str>>>();
    let kind: Arc<str> = parsed.kind.as_str().into();
    let served = parsed.versions.iter().filter(|version| version.served && version.name != stored);
    let others = served.map(|version| api_version(&parsed.group, &version.name).into()).collect();
    let conversion = Conversion::of(definition, others).map(Arc::new);
    let mut resources = Vec::new();
    for version in &parsed.versions {
        if !version.served {
            continue;
        }
        let mut subresources = Vec::new();
        let sub_verbs = verbs(&["get", "patch", "update"]);
        if version.status {
            subresources.push(Subresource {
                name: "status".into(),
                kind: kind.clone(),
                api_version: None,
                verbs: sub_verbs.clone(),
            });
        }
        if version.scale.is_some() {
            subresources.push(Subresource {
                name: "scale".into(),
                kind: "Scale".into(),
                api_version: Some("autoscaling/v1".into()),
                verbs: sub_verbs,
            });
        }
        let all = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
        resources.push(Resource {
            group: parsed.group.as_str().into(),
            version: version.name.as_str().into(),
            name: parsed.plural.as_str().into(),
            kind: kind.clone(),
            list_kind: parsed.list_kind.as_str().into(),
            singular: parsed.singular.as_str().into(),
            namespaced: parsed.namespaced,
            verbs: verbs(&all),
            short_names: texts(&parsed.short_names),
            categories: texts(&parsed.categories),
            subresources,
            table: group_resource(&parsed.group, &parsed.plural).into(),
            stored_as: stored_as.clone(),
            storage_hash: storage_hash(&parsed.group, &stored, &parsed.kind),
            custom: Some(Arc::new(CustomVersion {
                definition: meta::name(definition).to_owned(),
                selectable: version
                    .selectable_fields
                    .iter()
                    .map(|path| path.trim_start_matches('.').to_owned())
                    .collect(),
                version: version.clone(),
                preserve_unknown: parsed.preserve_unknown,
                terminating,
                conversion: conversion.clone(),
            })),
        });
    }
    resources
}

/// Changes when objects are kept in another version.
fn storage_hash(group: &str, version: &str, kind: &str) -> Arc<str> {
    use base64::Engine;
    use sha2::Digest;
    let digest = sha2::Sha256::digest(format!("{group}/{version}/{kind}"));
    let start = digest.get(..8).unwrap_or_default();
    base64::engine::general_purpose::STANDARD.encode(start).into()
}

/// Names of other definitions or built-in kinds that stand in the way.
fn name_conflicts(app: &App, definition: &Value) -> Vec<String> {
    let group = get_str(definition, &["spec", "group"]).unwrap_or_default();
    let own = meta::name(definition);
    let mut taken: Vec<(String, String)> = Vec::new();
    for resource in app.builtin.all().filter(|r| *r.group == *group) {
        taken.push((resource.name.to_string(), resource.kind.to_string()));
    }
    for object in app.store.list(TABLE, "").1 {
        let other = app.definitions.of(&object);
        if object.name() != own && other.group == group {
            taken.push((other.plural.clone(), other.kind.clone()));
        }
    }
    let plural = get_str(definition, &["spec", "names", "plural"]).unwrap_or_default();
    let kind = get_str(definition, &["spec", "names", "kind"]).unwrap_or_default();
    let mut conflicts = Vec::new();
    for (other_plural, other_kind) in taken {
        if other_plural == plural {
            conflicts.push(format!("{plural:?} is already in use"));
        }
        if other_kind == kind {
            conflicts.push(format!("{kind:?} is already in use"));
        }
    }
    conflicts
}

/// The status of a new definition, before its names are looked at.
pub fn begin_status(definition: &mut Value) {
    let status =
        json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": null, "storedVersions": []});
    set(definition, &["status"], status);
    keep_status(definition);
}

/// Counts the version that objects are stored in from now on.
pub fn keep_status(definition: &mut Value) {
    let stored: Vec<Value> = get(definition, &["spec", "versions"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|v| object::get_bool(v, &["storage"]) == Some(true))
        .filter_map(|v| v.get("name").cloned())
        .collect();
    let mut versions: Vec<Value> =
        get(definition, &["status", "storedVersions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    for version in stored {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    set(definition, &["status", "storedVersions"], versions.into());
}

/// Judges the names of a definition that was written, as its controllers do, and writes conditions and accepted
/// names: everything is accepted and established at once unless its names are taken. Whether that was a write, after
/// which everything that follows from it has happened.
fn establish(app: &Arc<App>, definition: &Arc<Object>) -> bool {
    if app.store.get(TABLE, &definition.key).is_none() {
        return false;
    }
    let mut judged = definition.value();
    let before = judged.get("status").cloned();
    judge_names(app, &mut judged);
    if judged.get("status") == before.as_ref() {
        return false;
    }
    let Some(resource) =
        app.catalog().find("apiextensions.k8s.io", "v1", "customresourcedefinitions").cloned()
    else {
        return false;
    };
    let context = Context { subresource: "status".to_owned(), ..Context::system(MANAGER) };
    let result = write::modify_now(app, &resource, "", definition.name(), &context, |live| {
        let mut value = live.clone();
        judge_names(app, &mut value);
        Ok(Proposal::update(value))
    });
    match result {
        Ok(_) => true,
        Err(failure) => {
            if failure.reason() != "NotFound" {
                tracing::warn!(
                    name = definition.name(),
                    error = failure.message(),
                    "a definition has no status"
                );
            }
            false
        }
    }
}

fn judge_names(app: &App, definition: &mut Value) {
    let time = now();
    let conflicts = name_conflicts(app, definition);
    if conflicts.is_empty() {
        let names = get(definition, &["spec", "names"]).cloned().unwrap_or_else(|| json!({}));
        set(definition, &["status", "acceptedNames"], names);
        condition(definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found", &time);
        condition(
            definition,
            "Established",
            "True",
            "InitialNamesAccepted",
            "the initial names have been accepted",
            &time,
        );
    } else {
        if get(definition, &["status", "acceptedNames"]).is_none() {
            set(definition, &["status", "acceptedNames"], json!({"kind": "", "plural": ""}));
        }
        let text = conflicts.join(", ");
        condition(definition, "NamesAccepted", "False", "PluralConflict", &text, &time);
        if meta::condition(definition, "Established").is_none() {
            condition(definition, "Established", "False", "NotAccepted", "not all names are accepted", &time);
        }
    }
}

fn condition(definition: &mut Value, kind: &str, status: &str, reason: &str, message: &str, time: &str) {
    let mut list =
        get(definition, &["status", "conditions"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let old = list.iter().position(|c| get_str(c, &["type"]) == Some(kind));
    let since = old
        .and_then(|at| list.get(at))
        .filter(|c| get_str(c, &["status"]) == Some(status))
        .and_then(|c| get_str(c, &["lastTransitionTime"]))
        .unwrap_or(time)
        .to_owned();
    let new = json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since});
    match old.and_then(|at| list.get_mut(at)) {
        Some(slot) => *slot = new,
        None => list.push(new),
    }
    set(definition, &["status", "conditions"], list.into());
}

/// Says in a definition's status that its objects are being deleted.
pub fn mark_terminating(definition: &mut Value) {
    let time = now();
    condition(
        definition,
        "Terminating",
        "True",
        "InstanceDeletionPending",
        "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        &time,
    );
}

/// Refuses definitions of groups that Kubernetes itself serves.
pub fn check_names(app: &App, definition: &Value, causes: &mut Vec<Cause>) {
    let group = get_str(definition, &["spec", "group"]).unwrap_or_default();
    let plural = get_str(definition, &["spec", "names", "plural"]).unwrap_or_default();
    if app.builtin.group(group).is_some()
        && app.builtin.all().any(|r| *r.group == *group && *r.name == *plural)
    {
        causes.push(Cause::invalid(
            "spec.names.plural",
            &plural.into(),
            "is served by the API server itself",
        ));
    }
}

fn spawn_end(app: &Arc<App>, name: &str) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        app.tell(name, "the objects of a deleted definition are removed at the next start".into());
        return;
    };
    let (app, name) = (app.clone(), name.to_owned());
    runtime.spawn(async move { end(&app, &name).await });
}

/// Deletes the objects of a definition, waits for their finalizers, and lets the definition go.
async fn end(app: &Arc<App>, name: &str) {
    let context = Context::system("apiextensions-apiserver");
    loop {
        let Some(definition) = app.tree(TABLE, name) else { return };
        if meta::deletion_timestamp(&definition).is_none() {
            return;
        }
        let group = get_str(&definition, &["spec", "group"]).unwrap_or_default();
        let plural = get_str(&definition, &["spec", "names", "plural"]).unwrap_or_default();
        let table = group_resource(group, plural);
        let mut changes = app.store.subscribe(&table);
        changes.borrow_and_update();
        let Some(resource) = app.catalog().by_table(&table).cloned() else {
            finish(app, name, &context);
            return;
        };
        let (_, objects) = app.store.list(&table, "");
        for object in &objects {
            if meta::deletion_timestamp(&object.value()).is_some() {
                continue;
            }
            let options = DeleteOptions::default();
            let result = delete_object(
                app,
                &resource,
                object.namespace(),
                object.name(),
                &context,
                &options,
                &mut Vec::new(),
            )
            .await;
            if let Err(failure) = result
                && failure.reason() != "NotFound"
            {
                tracing::warn!(object = %object.key, error = failure.message(), "cannot be deleted with its definition");
            }
        }
        if app.store.count(&table, "") == 0 {
            finish(app, name, &context);
            return;
        }
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = app.stop.cancelled() => return,
        }
    }
}

fn finish(app: &Arc<App>, name: &str, context: &Context) {
    let Some(resource) =
        app.catalog().find("apiextensions.k8s.io", "v1", "customresourcedefinitions").cloned()
    else {
        return;
    };
    let result = write::modify_now(app, &resource, "", name, context, |live| {
        let mut value = live.clone();
        meta::remove_finalizer(&mut value, CLEANUP);
        Ok(Proposal::update(value))
    });
    if let Err(failure) = result
        && failure.reason() != "NotFound"
    {
        tracing::warn!(name, error = failure.message(), "the definition cannot be removed");
    }
}
