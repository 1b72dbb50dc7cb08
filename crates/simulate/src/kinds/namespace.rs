//! Namespaces: a default account and the root certificate in each; emptied before they go.

use super::common::{conditions, set_condition};
use crate::api::{self, Policy, delete_options};
use crate::error::{Result, UnlessGone};
use crate::feed::{Resource, list_now};
use crate::kind;
use crate::world::World;
use object::{Value, get, get_str, meta};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const ROOT_CA: &str = "kube-root-ca.crt";

pub(crate) async fn reconcile(world: &World, namespace: &Value) -> Result<()> {
    if meta::deletion_timestamp(namespace).is_some() {
        return empty(world, namespace).await;
    }
    let name = meta::name(namespace);
    if world.get(kind::SERVICE_ACCOUNT, name, "default").is_none() {
        let account = json!({"metadata": {"name": "default", "namespace": name}});
        create(world, kind::SERVICE_ACCOUNT, account).await?;
    }
    if let Some(ca) = &world.options.root_ca {
        root_ca(world, name, ca).await?;
    }
    Ok(())
}

/// Keeps the certificate authority in the namespace, whoever removed or changed it.
async fn root_ca(world: &World, namespace: &str, ca: &str) -> Result<()> {
    let path = kind::CONFIG_MAP.path(namespace, ROOT_CA);
    let data = json!({"ca.crt": ca});
    match world.read(&path).await? {
        None => {
            let map = json!({
                "metadata": {"name": ROOT_CA, "namespace": namespace, "annotations": {
                    "kubernetes.io/description": "Holds the certificate authority that the API server of this cluster is trusted by.",
                }},
                "data": data,
            });
            create(world, kind::CONFIG_MAP, map).await
        }
        Some(found) if found.get("data") != Some(&data) => {
            let patch = json!([{"op": "add", "path": "/data", "value": data}]);
            let media = "application/json-patch+json";
            api::send(&world.client, "PATCH", &path, media, Some(&patch)).await.unless_gone()?;
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

async fn create(world: &World, kind: kind::Kind, object: Value) -> Result<()> {
    match world.create(kind, object).await {
        Err(error) if error.is_there() => Ok(()),
        other => other.unless_gone().map(|_| ()),
    }
}

/// What is left in a namespace.
#[derive(Default)]
struct Left {
    /// Objects of each resource.
    counts: BTreeMap<String, usize>,
    /// Objects that wait for each finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Resources that refused.
    errors: Vec<String>,
}

/// Deletes everything in the namespace; when nothing is left, lets it go.
async fn empty(world: &World, namespace: &Value) -> Result<()> {
    let finalizers = get(namespace, &["spec", "finalizers"]).and_then(Value::as_array);
    let ours = |own: &Value| own.as_str() == Some("kubernetes");
    if !finalizers.is_some_and(|list| list.iter().any(ours)) {
        return Ok(());
    }
    let name = meta::name(namespace).to_string();
    let mut resources: Vec<Resource> = world.state().resources.clone();
    resources.retain(|resource| resource.namespaced && resource.deletable);
    // Events are not followed, but they are content all the same.
    resources.push(Resource {
        group: String::new(),
        version: "v1".into(),
        kind: "Event".into(),
        plural: "events".into(),
        namespaced: true,
        deletable: true,
    });
    // Pods go first: what they run with is taken away when they are gone.
    let is_pod = |resource: &Resource| resource.plural == "pods" && resource.group.is_empty();
    resources.sort_by_key(|resource| !is_pod(resource));
    let mut left = Left::default();
    for resource in &resources {
        if let Err(error) = empty_resource(world, &name, resource, &mut left).await {
            left.errors.push(format!("{}: {error}", resource.plural));
        }
        if is_pod(resource) && !(left.counts.is_empty() && left.errors.is_empty()) {
            break;
        }
    }
    status(world, &name, &left).await?;
    if left.counts.is_empty() && left.errors.is_empty() {
        return finalize(world, &name).await;
    }
    // Finalizers are other people's work; their end comes through the watches, this is the safety net.
    world.look_again(kind::NAMESPACE, namespace, Duration::from_secs(1));
    Ok(())
}

async fn empty_resource(world: &World, namespace: &str, resource: &Resource, left: &mut Left) -> Result<()> {
    let path = kind::path(&resource.group, &resource.version, &resource.plural, namespace, "");
    let known = {
        let state = world.state();
        state.graph.count(namespace, &resource.group, &resource.kind)
    };
    if known == 0
        && resource.plural != "events"
        && list_now(&world.client, &format!("{path}?limit=1")).await?.is_empty()
    {
        return Ok(());
    }
    let now = resource.plural == "pods" && resource.group.is_empty();
    let options = delete_options("", Policy::Background, now);
    match api::send(&world.client, "DELETE", &path, "application/json", Some(&options)).await {
        Ok(_) => {}
        Err(error) if error.code == 405 || error.is_gone() => return Ok(()),
        Err(error) => return Err(error),
    }
    for object in list_now(&world.client, &path).await? {
        *left.counts.entry(label(resource)).or_default() += 1;
        for finalizer in meta::finalizers(&object) {
            *left.finalizers.entry(finalizer.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

/// `deployments.apps`; the core group leaves its dot.
fn label(resource: &Resource) -> String {
    format!("{}.{}", resource.plural, resource.group)
}

async fn status(world: &World, name: &str, left: &Left) -> Result<()> {
    let Some(namespace) = world.get(kind::NAMESPACE, "", name) else { return Ok(()) };
    let now = world.stamp();
    let mut list = conditions(&namespace);
    let lines = |map: &BTreeMap<String, usize>, what: &str| {
        map.iter()
            .map(|(key, count)| format!("{key} {what} {count} resource instances"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut set = |kind: &str, bad: bool, reason: &str, message: &str| {
        let status = if bad { "True" } else { "False" };
        let own = json!({"type": kind, "status": status, "reason": reason, "message": message});
        set_condition(&mut list, &now, own, false);
    };
    set(
        "NamespaceDeletionDiscoveryFailure",
        false,
        "ResourcesDiscovered",
        "All resources successfully discovered",
    );
    set(
        "NamespaceDeletionGroupVersionParsingFailure",
        false,
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    );
    match left.errors.is_empty() {
        true => set(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        false => {
            let text = format!(
                "Failed to delete all resource types, {} remaining: {}",
                left.errors.len(),
                left.errors.join(", ")
            );
            set("NamespaceDeletionContentFailure", true, "ContentDeletionFailed", &text);
        }
    }
    match left.counts.is_empty() {
        true => set("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed"),
        false => {
            let text = format!("Some resources are remaining: {}", lines(&left.counts, "has"));
            set("NamespaceContentRemaining", true, "SomeResourcesRemain", &text);
        }
    }
    match left.finalizers.is_empty() {
        true => set(
            "NamespaceFinalizersRemaining",
            false,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
        false => {
            let text = format!(
                "Some content in the namespace has finalizers remaining: {}",
                lines(&left.finalizers, "in")
            );
            set("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", &text);
        }
    }
    let status = json!({"phase": "Terminating", "conditions": list});
    world.set_status(kind::NAMESPACE, &namespace, status).await.unless_gone()?;
    Ok(())
}

/// Takes Kubernetes' own finalizer off; with the last one the namespace is gone.
async fn finalize(world: &World, name: &str) -> Result<()> {
    let path = kind::NAMESPACE.path("", name);
    let Some(mut live) = world.read(&path).await? else { return Ok(()) };
    let stays: Vec<Value> = get(&live, &["spec", "finalizers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|own| own.as_str() != Some("kubernetes"))
        .cloned()
        .collect();
    object::set(&mut live, &["spec", "finalizers"], Value::Array(stays));
    debug_assert!(get_str(&live, &["metadata", "name"]) == Some(name));
    let path = format!("{path}/finalize");
    api::send(&world.client, "PUT", &path, "application/json", Some(&live)).await.unless_gone()?;
    Ok(())
}
