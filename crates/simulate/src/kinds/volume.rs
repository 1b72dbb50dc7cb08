//! Claims and volumes: every claim finds or gets one.

use crate::SIMULATED;
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::world::World;
use object::{Quantity, Value, get, get_str, meta};
use serde_json::json;
use std::sync::Arc;

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const PROVISIONER: &str = "landfall.dev/simulated";
/// Held by claims that a pod may use, and by volumes that a claim may be bound to.
const CLAIM_HELD: &str = "kubernetes.io/pvc-protection";
const VOLUME_HELD: &str = "kubernetes.io/pv-protection";
/// The class that is there from the start.
const STANDARD: &str = "standard";

/// A default class, unless there are classes already.
pub(crate) async fn foundation(world: &World) -> Result<()> {
    if !world.list(kind::STORAGE_CLASS, "").is_empty() {
        return Ok(());
    }
    let class = json!({
        "metadata": {"name": STANDARD, "annotations": {DEFAULT: "true", SIMULATED: "true"}},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": true,
    });
    match world.create(kind::STORAGE_CLASS, class).await {
        Err(error) if error.is_there() => Ok(()),
        other => other.map(|_| ()),
    }
}

fn default_class(world: &World) -> Option<String> {
    let classes = world.list(kind::STORAGE_CLASS, "");
    let mut defaults: Vec<&Arc<Value>> =
        classes.iter().filter(|class| meta::annotation(class, DEFAULT) == Some("true")).collect();
    defaults.sort_by(|a, b| meta::creation_timestamp(b).cmp(&meta::creation_timestamp(a)));
    defaults.first().map(|class| meta::name(class).to_string())
}

/// Whether a pod that has not ended mounts a claim.
fn in_use(world: &World, claim: &Value) -> bool {
    let namespace = meta::namespace(claim).unwrap_or_default();
    world.list(kind::POD, namespace).iter().any(|pod| {
        let ended = matches!(super::common::phase(pod), "Succeeded" | "Failed");
        let volumes = get(pod, &["spec", "volumes"]).and_then(Value::as_array);
        !ended
            && volumes.into_iter().flatten().any(|volume| {
                get_str(volume, &["persistentVolumeClaim", "claimName"]) == Some(meta::name(claim))
            })
    })
}

/// Lets a deleted object go, as far as this finalizer holds it.
async fn release(world: &World, kind: kind::Kind, object: &Value, finalizer: &str) -> Result<()> {
    if !meta::finalizers(object).any(|own| own == finalizer) {
        return Ok(());
    }
    let kept: Vec<&str> = meta::finalizers(object).filter(|own| *own != finalizer).collect();
    // A list is replaced whole: only the state that was judged may be changed.
    let patch = json!({"metadata": {
        "resourceVersion": meta::resource_version(object), "finalizers": kept,
    }});
    world.patch(kind, object, "", patch).await.unless_gone()?;
    Ok(())
}

/// Binds a claim, and lets it grow.
pub(crate) async fn claim(world: &World, claim: &Value) -> Result<()> {
    if meta::deletion_timestamp(claim).is_some() {
        if !in_use(world, claim) {
            release(world, kind::CLAIM, claim, CLAIM_HELD).await?;
        }
        return Ok(());
    }
    let class = get_str(claim, &["spec", "storageClassName"]).map(String::from);
    let class = class.or_else(|| default_class(world));
    let name = match get_str(claim, &["spec", "volumeName"]) {
        Some(name) if !name.is_empty() => name.to_string(),
        _ => {
            let chosen = find(world, claim, class.as_deref().unwrap_or_default());
            let name = match (chosen, class.as_deref()) {
                (Some(volume), _) => meta::name(&volume).to_string(),
                // Without a class only a volume made by hand will do.
                (None, None | Some("")) => {
                    world.set_status(kind::CLAIM, claim, json!({"phase": "Pending"})).await?;
                    return Ok(());
                }
                (None, Some(class)) => provision(world, claim, class).await?,
            };
            let mut patch = json!({"spec": {"volumeName": name}, "metadata": {"annotations": {
                "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
                "volume.kubernetes.io/storage-provisioner": PROVISIONER, SIMULATED: "true",
            }}});
            if let Some(class) = class.filter(|_| get(claim, &["spec", "storageClassName"]).is_none()) {
                object::set(&mut patch, &["spec", "storageClassName"], class.into());
            }
            world.patch(kind::CLAIM, claim, "", patch).await.unless_gone()?;
            name
        }
    };
    let Some(volume) = world.get(kind::VOLUME, "", &name) else {
        let phase = if get_str(claim, &["status", "phase"]) == Some("Bound") { "Lost" } else { "Pending" };
        world.set_status(kind::CLAIM, claim, json!({"phase": phase})).await?;
        return Ok(());
    };
    bind(world, claim, &volume).await
}

/// A free volume of the class that is large enough and can be mounted as wanted; the smallest one.
fn find(world: &World, claim: &Value, class: &str) -> Option<Arc<Value>> {
    let wanted = amount(claim, &["spec", "resources", "requests", "storage"]);
    let modes = |object: &Value| {
        let list = get(object, &["spec", "accessModes"]).and_then(Value::as_array).cloned();
        list.unwrap_or_default()
    };
    let fits = |volume: &Arc<Value>| {
        let reference = |field: &str| get_str(volume, &["spec", "claimRef", field]).unwrap_or_default();
        let mine = reference("name") == meta::name(claim)
            && reference("namespace") == meta::namespace(claim).unwrap_or_default();
        let free = get(volume, &["spec", "claimRef"]).is_none();
        let own = modes(volume);
        (mine || free)
            && get_str(volume, &["spec", "storageClassName"]).unwrap_or_default() == class
            && amount(volume, &["spec", "capacity", "storage"]) >= wanted
            && modes(claim).iter().all(|mode| own.contains(mode))
            && meta::deletion_timestamp(volume).is_none()
    };
    let volumes = world.list(kind::VOLUME, "").into_iter().filter(fits);
    volumes.min_by_key(|volume| amount(volume, &["spec", "capacity", "storage"]))
}

fn amount(object: &Value, path: &[&str]) -> i64 {
    get(object, path).and_then(|value| Quantity::from_value(value).ok()).map_or(0, |amount| amount.value())
}

fn reference(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta::namespace(claim),
        "name": meta::name(claim), "uid": meta::uid(claim),
    })
}

async fn provision(world: &World, claim: &Value, class: &str) -> Result<String> {
    let name = format!("pvc-{}", meta::uid(claim));
    let policy = world.get(kind::STORAGE_CLASS, "", class);
    let policy = policy
        .as_deref()
        .and_then(|class| get_str(class, &["reclaimPolicy"]))
        .unwrap_or("Delete")
        .to_string();
    let volume = json!({
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER, SIMULATED: "true"}},
        "spec": {
            "accessModes": get(claim, &["spec", "accessModes"]).cloned().unwrap_or_else(|| json!(["ReadWriteOnce"])),
            "capacity": {"storage": get(claim, &["spec", "resources", "requests", "storage"]).cloned().unwrap_or_else(|| json!("1Gi"))},
            "claimRef": reference(claim),
            "persistentVolumeReclaimPolicy": policy,
            "storageClassName": class,
            "volumeMode": get_str(claim, &["spec", "volumeMode"]).unwrap_or("Filesystem"),
            "hostPath": {"path": format!("/simulated/{name}"), "type": ""},
        },
    });
    match world.create(kind::VOLUME, volume).await {
        Err(error) if error.is_there() => {}
        other => {
            other?;
        }
    }
    Ok(name)
}

async fn bind(world: &World, claim: &Value, volume: &Value) -> Result<()> {
    let uid = get_str(volume, &["spec", "claimRef", "uid"]).unwrap_or_default();
    if uid.is_empty() {
        world
            .patch(kind::VOLUME, volume, "", json!({"spec": {"claimRef": reference(claim)}}))
            .await
            .unless_gone()?;
    } else if uid != meta::uid(claim) {
        world.set_status(kind::CLAIM, claim, json!({"phase": "Pending"})).await?;
        return Ok(());
    }
    let wanted = get(claim, &["spec", "resources", "requests", "storage"]).cloned();
    let grown = amount(claim, &["spec", "resources", "requests", "storage"])
        > amount(volume, &["spec", "capacity", "storage"]);
    let capacity = match wanted {
        Some(wanted) if grown => {
            let patch = json!({"spec": {"capacity": {"storage": wanted}}});
            world.patch(kind::VOLUME, volume, "", patch).await.unless_gone()?;
            json!({"storage": wanted})
        }
        _ => get(volume, &["spec", "capacity"]).cloned().unwrap_or_default(),
    };
    let namespace = meta::namespace(claim).unwrap_or_default();
    let Some(current) = world.get(kind::CLAIM, namespace, meta::name(claim)) else { return Ok(()) };
    let status = json!({
        "phase": "Bound", "capacity": capacity,
        "accessModes": get(volume, &["spec", "accessModes"]).cloned().unwrap_or_default(),
    });
    world.set_status(kind::CLAIM, &current, status).await?;
    Ok(())
}

/// The phase of a volume; one whose claim is gone is released, and deleted when it was made for it.
pub(crate) async fn volume(world: &World, volume: &Value) -> Result<()> {
    if meta::deletion_timestamp(volume).is_some() {
        let field = |name: &str| get_str(volume, &["spec", "claimRef", name]).unwrap_or_default();
        let claim = world.get(kind::CLAIM, field("namespace"), field("name"));
        let bound =
            claim.is_some_and(|claim| get_str(&claim, &["spec", "volumeName"]) == Some(meta::name(volume)));
        if !bound {
            release(world, kind::VOLUME, volume, VOLUME_HELD).await?;
        }
        return Ok(());
    }
    let field = |name: &str| get_str(volume, &["spec", "claimRef", name]).unwrap_or_default();
    let phase = if get(volume, &["spec", "claimRef"]).is_none() {
        "Available"
    } else {
        let claim = world.get(kind::CLAIM, field("namespace"), field("name"));
        match claim {
            Some(claim) if field("uid").is_empty() || field("uid") == meta::uid(&claim) => "Bound",
            _ if field("uid").is_empty() => "Available",
            _ if get_str(volume, &["spec", "persistentVolumeReclaimPolicy"]) == Some("Delete") => {
                return world.delete(kind::VOLUME, volume, Policy::Background).await;
            }
            _ => "Released",
        }
    };
    world.set_status(kind::VOLUME, volume, json!({"phase": phase})).await?;
    Ok(())
}
