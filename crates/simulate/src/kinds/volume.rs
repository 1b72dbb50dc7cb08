//! Claims and volumes: every claim finds or gets one.

use super::common::event;
use crate::SIMULATED;
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::placement::term_matches;
use crate::world::World;
use object::{Quantity, Value, get, get_str, meta};
use serde_json::json;
use std::sync::Arc;

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const PROVISIONER: &str = "landfall.dev/simulated";
/// The node of the pod that a claim waited for.
const SELECTED: &str = "volume.kubernetes.io/selected-node";
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

/// The names of the claims that a pod mounts.
fn mounted(pod: &Value) -> impl Iterator<Item = &str> {
    let volumes = get(pod, &["spec", "volumes"]).and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| get_str(volume, &["persistentVolumeClaim", "claimName"]))
}

/// Whether a pod mounts the claim of this name.
pub(crate) fn mounts(pod: &Value, claim: &str) -> bool {
    mounted(pod).any(|own| own == claim)
}

/// Whether a pod that has not ended mounts a claim.
fn in_use(world: &World, claim: &Value) -> bool {
    let namespace = meta::namespace(claim).unwrap_or_default();
    world.list(kind::POD, namespace).iter().any(|pod| {
        let ended = matches!(super::common::phase(pod), "Succeeded" | "Failed");
        !ended && mounts(pod, meta::name(claim))
    })
}

/// The class of a claim, or the one for claims that name none.
fn class_of(world: &World, claim: &Value) -> Option<String> {
    get_str(claim, &["spec", "storageClassName"]).map(String::from).or_else(|| default_class(world))
}

/// Whether a claim is bound when a pod that mounts it has found its node.
fn waits_for_pod(world: &World, claim: &Value) -> bool {
    let class = class_of(world, claim).and_then(|class| world.get(kind::STORAGE_CLASS, "", &class));
    class.is_some_and(|class| get_str(&class, &["volumeBindingMode"]) == Some("WaitForFirstConsumer"))
}

fn is_bound(claim: &Value) -> bool {
    get_str(claim, &["spec", "volumeName"]).is_some_and(|name| !name.is_empty())
        && get_str(claim, &["status", "phase"]) == Some("Bound")
}

/// What the volumes of a pod mean for its place.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    /// Claims that get their volume when the pod has its node.
    pub(crate) unbound: Vec<Arc<Value>>,
    /// Where the volumes are that are there.
    places: Vec<Arc<Value>>,
}

impl Volumes {
    /// Of a pod; the error says what is missing before any node can take it.
    pub(crate) fn of(world: &World, pod: &Value) -> std::result::Result<Volumes, String> {
        let namespace = meta::namespace(pod).unwrap_or_default();
        let mut all = Volumes::default();
        let mut unbound = false;
        for name in mounted(pod) {
            let Some(claim) = world.get(kind::CLAIM, namespace, name) else {
                return Err(format!("persistentvolumeclaim {name:?} not found"));
            };
            if meta::deletion_timestamp(&claim).is_some() {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if is_bound(&claim) {
                let volume = get_str(&claim, &["spec", "volumeName"]).unwrap_or_default();
                all.places.extend(world.get(kind::VOLUME, "", volume));
            } else if waits_for_pod(world, &claim) {
                all.unbound.push(claim);
            } else {
                unbound = true;
            }
        }
        if unbound {
            return Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
        Ok(all)
    }

    /// Of a pod that can be given a node now; nothing where it has to wait for its volumes first.
    pub(crate) fn at_once(world: &World, pod: &Value) -> Option<Volumes> {
        match Volumes::of(world, pod) {
            Ok(volumes) => volumes.unbound.is_empty().then_some(volumes),
            Err(_) => (!world.options.strict).then(Volumes::default),
        }
    }

    /// Whether the volumes can be had on a node.
    pub(crate) fn reach(&self, node: &Value) -> bool {
        self.places.iter().all(|volume| {
            let Some(required) = get(volume, &["spec", "nodeAffinity", "required"]) else { return true };
            let terms = get(required, &["nodeSelectorTerms"]).and_then(Value::as_array);
            terms.into_iter().flatten().any(|term| term_matches(term, node))
        })
    }
}

/// Says on which node the pod of a claim will be, so that the claim gets a volume there.
pub(crate) async fn select(world: &World, claim: &Value, node: &str) -> Result<()> {
    if meta::annotation(claim, SELECTED) == Some(node) {
        return Ok(());
    }
    let patch = json!({"metadata": {"annotations": {SELECTED: node}}});
    world.patch(kind::CLAIM, claim, "", patch).await.unless_gone()?;
    Ok(())
}

/// A claim of a class that waits stays as it is until somebody mounts it.
async fn wait_for_pod(world: &World, claim: &Value) -> Result<()> {
    world.set_status(kind::CLAIM, claim, json!({"phase": "Pending"})).await?;
    let news = world.state().told.insert(meta::uid(claim).to_owned());
    if news {
        let text = "waiting for first consumer to be created before binding";
        let of = ("Normal", "WaitForFirstConsumer");
        event(world, kind::CLAIM, claim, "persistentvolume-controller", of, text).await?;
    }
    Ok(())
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
    let class = class_of(world, claim);
    let name = match get_str(claim, &["spec", "volumeName"]) {
        Some(name) if !name.is_empty() => name.to_string(),
        _ if meta::annotation(claim, SELECTED).is_none() && waits_for_pod(world, claim) => {
            return wait_for_pod(world, claim).await;
        }
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
