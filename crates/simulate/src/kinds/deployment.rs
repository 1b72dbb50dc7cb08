//! Deployments: a ReplicaSet for each revision, rolled over step by step.

use super::common::{
    claim, condition, conditions, controller_reference, is_true, replicas, scaled, set_condition, spec_i64,
};
use super::rollout::{Bounds, Count, spread};
use crate::api::Policy;
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::names::{join, template_hash};
use crate::world::World;
use object::{Value, get, get_bool, get_i64, get_str, meta, remove, set};
use serde_json::{Map, json};
use std::sync::Arc;
use std::time::Duration;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
/// Annotations of the Deployment that its ReplicaSets do not carry.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

type Sets = Vec<Arc<Value>>;

pub(crate) async fn reconcile(world: &World, deployment: &Value) -> Result<()> {
    let mut sets = claim(world, kind::REPLICA_SET, kind::DEPLOYMENT, deployment).await?;
    sets.sort_by(|a, b| {
        let age = meta::creation_timestamp(a).cmp(&meta::creation_timestamp(b));
        age.then(revision(a).cmp(&revision(b)))
    });
    let template = get(deployment, &["spec", "template"]).cloned().unwrap_or_default();
    let found = sets.iter().find(|own| same_template(own, &template)).cloned();
    if meta::deletion_timestamp(deployment).is_some() {
        return status(world, deployment, &sets, found.as_deref(), None).await;
    }
    let old: Sets =
        sets.iter().filter(|own| found.as_ref().is_none_or(|new| !same(own, new))).cloned().collect();
    if get_bool(deployment, &["spec", "paused"]).unwrap_or(false) {
        scale_while_rolling(world, deployment, found.as_ref(), &old).await?;
        let paused = Some(unknown("DeploymentPaused", "Deployment is paused"));
        return status(world, deployment, &fresh(world, deployment), found.as_deref(), paused).await;
    }
    let recreate = get_str(deployment, &["spec", "strategy", "type"]) == Some("Recreate");
    if recreate && !stopped(world, &old).await? {
        return status(world, deployment, &fresh(world, deployment), found.as_deref(), None).await;
    }
    let revision = old.iter().map(|own| self::revision(own)).max().unwrap_or(0) + 1;
    let (new, progress) = match found {
        Some(new) => (renumber(world, deployment, &new, revision).await?, None),
        None => {
            let sum: i64 = old.iter().map(|own| replicas(own)).sum();
            let size = if recreate { replicas(deployment) } else { bounds(deployment).new_size(0, sum) };
            match create_set(world, deployment, &template, revision, size).await? {
                Some(new) => {
                    let text = format!("Created new replica set \"{}\"", meta::name(&new));
                    (new, Some(condition("Progressing", true, "NewReplicaSetCreated", &text)))
                }
                None => return Ok(()),
            }
        }
    };
    if recreate {
        scale(world, &new, replicas(deployment), deployment).await?;
    } else if is_scaling(deployment, &new, &old) {
        scale_while_rolling(world, deployment, Some(&new), &old).await?;
    } else {
        roll(world, deployment, &new, &old).await?;
    }
    let own = self::revision(&new).to_string();
    if meta::annotation(deployment, REVISION) != Some(own.as_str()) {
        let patch = json!({"metadata": {"annotations": {REVISION: own}}});
        world.patch(kind::DEPLOYMENT, deployment, "", patch).await.unless_gone()?;
    }
    let Some(current) = current(world, deployment) else { return Ok(()) };
    let sets = fresh(world, deployment);
    let new = sets.iter().find(|own| same(own, &new)).cloned();
    status(world, &current, &sets, new.as_deref(), progress).await?;
    clean_up(world, &current, &sets, new.as_deref()).await
}

fn current(world: &World, deployment: &Value) -> Option<Arc<Value>> {
    world.get(kind::DEPLOYMENT, meta::namespace(deployment).unwrap_or_default(), meta::name(deployment))
}

fn fresh(world: &World, deployment: &Value) -> Sets {
    world.controlled(kind::REPLICA_SET, deployment)
}

fn same(a: &Value, b: &Value) -> bool {
    meta::uid(a) == meta::uid(b)
}

fn revision(set: &Value) -> i64 {
    meta::annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn same_template(set: &Value, template: &Value) -> bool {
    let mut own = get(set, &["spec", "template"]).cloned().unwrap_or_default();
    remove(&mut own, &["metadata", "labels", HASH]);
    let mut wanted = template.clone();
    for value in [&mut own, &mut wanted] {
        remove(value, &["metadata", "creationTimestamp"]);
        let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty) || value.is_null();
        if get(value, &["metadata", "labels"]).is_some_and(empty) {
            remove(value, &["metadata", "labels"]);
        }
        if get(value, &["metadata"]).is_some_and(empty) {
            remove(value, &["metadata"]);
        }
    }
    own == wanted
}

fn bounds(deployment: &Value) -> Bounds {
    let desired = replicas(deployment);
    let field = |name| get(deployment, &["spec", "strategy", "rollingUpdate", name]);
    Bounds::new(
        desired,
        scaled(field("maxSurge"), desired, true, 1),
        scaled(field("maxUnavailable"), desired, false, 0),
    )
}

/// What the ReplicaSets carry of the Deployment's annotations, and the numbers that scaling needs.
fn set_annotations(deployment: &Value, revision: i64) -> Map<String, Value> {
    let mut all = meta::annotations(deployment).cloned().unwrap_or_default();
    all.retain(|key, _| !OWN.contains(&key.as_str()));
    all.insert(REVISION.into(), revision.to_string().into());
    all.extend(numbers(deployment));
    all
}

fn numbers(deployment: &Value) -> Map<String, Value> {
    let desired = replicas(deployment);
    let recreate = get_str(deployment, &["spec", "strategy", "type"]) == Some("Recreate");
    let maximum = if recreate { desired } else { desired + bounds(deployment).surge };
    Map::from_iter([
        (DESIRED.to_string(), desired.to_string().into()),
        (MAXIMUM.to_string(), maximum.to_string().into()),
    ])
}

async fn create_set(
    world: &World,
    deployment: &Value,
    template: &Value,
    revision: i64,
    size: i64,
) -> Result<Option<Arc<Value>>> {
    let collisions = get_i64(deployment, &["status", "collisionCount"]).unwrap_or(0);
    let hash = template_hash(template, collisions);
    let mut template = template.clone();
    set(&mut template, &["metadata", "labels", HASH], hash.clone().into());
    let labels = get(&template, &["metadata", "labels"]).cloned().unwrap_or_default();
    let mut selector = get(deployment, &["spec", "selector"]).cloned().unwrap_or_else(|| json!({}));
    set(&mut selector, &["matchLabels", HASH], hash.clone().into());
    let mut spec = json!({"replicas": size, "selector": selector, "template": template});
    if let Some(seconds) = get(deployment, &["spec", "minReadySeconds"]) {
        set(&mut spec, &["minReadySeconds"], seconds.clone());
    }
    let object = json!({
        "metadata": {
            "name": join(meta::name(deployment), &hash),
            "namespace": meta::namespace(deployment).unwrap_or_default(),
            "labels": labels,
            "annotations": set_annotations(deployment, revision),
            "ownerReferences": [controller_reference(kind::DEPLOYMENT, deployment)],
        },
        "spec": spec,
    });
    match world.create(kind::REPLICA_SET, object).await {
        Ok(created) => Ok(Some(Arc::new(created))),
        Err(error) if error.is_there() => {
            // Somebody else's: the next hash is another one.
            world.set_status(kind::DEPLOYMENT, deployment, json!({"collisionCount": collisions + 1})).await?;
            Ok(None)
        }
        Err(error) if error.is_ending() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A ReplicaSet of an earlier revision that is wanted again becomes the newest.
async fn renumber(world: &World, deployment: &Value, new: &Arc<Value>, newest: i64) -> Result<Arc<Value>> {
    let own = revision(new);
    let number = own.max(newest);
    let mut wanted = set_annotations(deployment, number);
    if own != 0 && own < newest {
        let mut history = meta::annotation(new, HISTORY).map(String::from).unwrap_or_default();
        if !history.is_empty() {
            history.push(',');
        }
        history.push_str(&own.to_string());
        wanted.insert(HISTORY.into(), history.into());
    }
    // The numbers change together with the size.
    wanted.remove(DESIRED);
    wanted.remove(MAXIMUM);
    let have = meta::annotations(new).cloned().unwrap_or_default();
    let seconds = spec_i64(deployment, "minReadySeconds");
    if wanted.iter().all(|(key, value)| have.get(key) == Some(value))
        && spec_i64(new, "minReadySeconds") == seconds
    {
        return Ok(new.clone());
    }
    let patch = json!({"metadata": {"annotations": wanted}, "spec": {"minReadySeconds": seconds}});
    let patched = world.patch(kind::REPLICA_SET, new, "", patch).await.unless_gone()?;
    Ok(patched.map_or_else(|| new.clone(), Arc::new))
}

/// Sets a size, and writes down for which size of the whole.
async fn scale(world: &World, set: &Value, size: i64, deployment: &Value) -> Result<()> {
    let wanted = numbers(deployment);
    let have = meta::annotations(set).cloned().unwrap_or_default();
    let noted = wanted.iter().all(|(key, value)| have.get(key) == Some(value));
    if replicas(set) == size && noted {
        return Ok(());
    }
    let patch = json!({"metadata": {"annotations": wanted}, "spec": {"replicas": size}});
    world.patch(kind::REPLICA_SET, set, "", patch).await.unless_gone()?;
    Ok(())
}

/// Scales the old ones to nothing; whether their pods are gone.
async fn stopped(world: &World, old: &[Arc<Value>]) -> Result<bool> {
    for set in old.iter().filter(|set| replicas(set) > 0) {
        world.patch(kind::REPLICA_SET, set, "", json!({"spec": {"replicas": 0}})).await.unless_gone()?;
    }
    let left = old.iter().map(|set| {
        let pods = world.controlled(kind::POD, set);
        pods.iter().filter(|pod| !matches!(super::common::phase(pod), "Succeeded" | "Failed")).count()
    });
    Ok(left.sum::<usize>() == 0)
}

/// Whether the wanted number changed since the ReplicaSets were sized.
fn is_scaling(deployment: &Value, new: &Value, old: &[Arc<Value>]) -> bool {
    let desired = replicas(deployment).to_string();
    let active = old.iter().map(|own| &**own).chain([new]).filter(|own| replicas(own) > 0);
    active.into_iter().any(|own| meta::annotation(own, DESIRED).is_some_and(|noted| noted != desired))
}

/// A changed number outside of a rollout goes to the one ReplicaSet in use; inside of one, to all in
/// proportion.
async fn scale_while_rolling(
    world: &World,
    deployment: &Value,
    new: Option<&Arc<Value>>,
    old: &[Arc<Value>],
) -> Result<()> {
    let active: Sets = new.into_iter().chain(old).filter(|own| replicas(own) > 0).cloned().collect();
    let desired = replicas(deployment);
    match active.as_slice() {
        [] => {
            if let Some(set) = new.or(old.last()) {
                scale(world, set, desired, deployment).await?;
            }
        }
        [only] => scale(world, only, desired, deployment).await?,
        several => {
            let sizes: Vec<i64> = several.iter().map(|own| replicas(own)).collect();
            let total = if desired > 0 { desired + bounds(deployment).surge } else { 0 };
            for (set, size) in several.iter().zip(spread(total, &sizes)) {
                scale(world, set, size, deployment).await?;
            }
        }
    }
    Ok(())
}

async fn roll(world: &World, deployment: &Value, new: &Arc<Value>, old: &[Arc<Value>]) -> Result<()> {
    let bounds = bounds(deployment);
    let sum: i64 = old.iter().chain([new]).map(|own| replicas(own)).sum();
    let size = bounds.new_size(replicas(new), sum);
    if size != replicas(new) {
        return scale(world, new, size, deployment).await;
    }
    let count = |own: &Arc<Value>| Count {
        wanted: replicas(own),
        available: get_i64(own, &["status", "availableReplicas"]).unwrap_or(0),
    };
    let counts: Vec<Count> = old.iter().map(count).collect();
    for (set, size) in old.iter().zip(bounds.old_sizes(count(new), &counts)) {
        if size != replicas(set) {
            scale(world, set, size, deployment).await?;
        }
    }
    Ok(())
}

fn unknown(reason: &str, message: &str) -> Value {
    json!({"type": "Progressing", "status": "Unknown", "reason": reason, "message": message})
}

async fn status(
    world: &World,
    deployment: &Value,
    sets: &[Arc<Value>],
    new: Option<&Value>,
    progress: Option<Value>,
) -> Result<()> {
    let sum =
        |field: &str| -> i64 { sets.iter().map(|set| get_i64(set, &["status", field]).unwrap_or(0)).sum() };
    let updated = new.and_then(|set| get_i64(set, &["status", "replicas"])).unwrap_or(0);
    let (total, ready, available) = (sum("replicas"), sum("readyReplicas"), sum("availableReplicas"));
    let desired = replicas(deployment);
    let wanted: i64 = sets.iter().map(|set| replicas(set)).sum();
    let mut list = conditions(deployment);
    let now = world.stamp();
    let enough = available >= desired - bounds(deployment).unavailable;
    let verdict = match enough {
        true => {
            condition("Available", true, "MinimumReplicasAvailable", "Deployment has minimum availability.")
        }
        false => condition(
            "Available",
            false,
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        ),
    };
    let complete = updated == desired && total == desired && available == desired && wanted == desired;
    let name = new.map(meta::name).unwrap_or_default();
    let before = (
        get_i64(deployment, &["status", "updatedReplicas"]).unwrap_or(0),
        get_i64(deployment, &["status", "readyReplicas"]).unwrap_or(0),
        get_i64(deployment, &["status", "availableReplicas"]).unwrap_or(0),
    );
    let moved = updated > before.0 || ready > before.1 || available > before.2;
    let progress = match progress {
        Some(progress) => Some(progress),
        None if new.is_none() => None,
        None if complete => {
            let text = format!("ReplicaSet \"{name}\" has successfully progressed.");
            Some(condition("Progressing", true, "NewReplicaSetAvailable", &text))
        }
        None if moved || !is_true(deployment, "Progressing") && !timed_out(&list) => {
            let text = format!("ReplicaSet \"{name}\" is progressing.");
            Some(condition("Progressing", true, "ReplicaSetUpdated", &text))
        }
        None => deadline(world, deployment, &list, name),
    };
    if let Some(progress) = progress {
        // A step forward renews the deadline even when the words stay the same.
        if moved {
            list.retain(|own| {
                get_str(own, &["type"]) != Some("Progressing") || own.get("reason") != progress.get("reason")
            });
        }
        set_condition(&mut list, &now, progress, true);
    }
    set_condition(&mut list, &now, verdict, true);
    let count = |number: i64| if number == 0 { Value::Null } else { json!(number) };
    let status = json!({
        "observedGeneration": meta::generation(deployment),
        "replicas": count(total),
        "updatedReplicas": count(updated),
        "readyReplicas": count(ready),
        "availableReplicas": count(available),
        "unavailableReplicas": count((wanted - available).max(0)),
        "conditions": list,
    });
    world.set_status(kind::DEPLOYMENT, deployment, status).await?;
    Ok(())
}

fn timed_out(list: &[Value]) -> bool {
    list.iter().any(|own| {
        get_str(own, &["type"]) == Some("Progressing")
            && get_str(own, &["reason"]) == Some("ProgressDeadlineExceeded")
    })
}

/// The condition when nothing has moved for too long; else an appointment to look again.
fn deadline(world: &World, deployment: &Value, list: &[Value], name: &str) -> Option<Value> {
    let limit = u64::try_from(get_i64(deployment, &["spec", "progressDeadlineSeconds"])?).ok()?;
    let own = list.iter().find(|own| get_str(own, &["type"]) == Some("Progressing"))?;
    let since = crate::time::parse(get_str(own, &["lastUpdateTime"])?)?;
    let due = crate::time::after(since, Duration::from_secs(limit));
    let now = world.now();
    if now < due {
        world.look_again(kind::DEPLOYMENT, deployment, due.duration_since(now).unsigned_abs());
        return None;
    }
    let text = format!("ReplicaSet \"{name}\" has timed out progressing.");
    Some(condition("Progressing", false, "ProgressDeadlineExceeded", &text))
}

/// Drops the oldest revisions beyond the limit once the rollout is complete.
async fn clean_up(world: &World, deployment: &Value, sets: &[Arc<Value>], new: Option<&Value>) -> Result<()> {
    let Some(new) = new else { return Ok(()) };
    let done = get_i64(new, &["status", "availableReplicas"]).unwrap_or(0) == replicas(deployment);
    let limit = get_i64(deployment, &["spec", "revisionHistoryLimit"]).unwrap_or(10);
    let mut old: Vec<&Arc<Value>> = sets.iter().filter(|own| !same(own, new)).collect();
    let surplus = i64::try_from(old.len()).unwrap_or(0) - limit;
    if !done || surplus <= 0 {
        return Ok(());
    }
    old.sort_by_key(|own| revision(own));
    let empty = |own: &Value| replicas(own) == 0 && get_i64(own, &["status", "replicas"]).unwrap_or(0) == 0;
    for set in old.into_iter().take(usize::try_from(surplus).unwrap_or(0)) {
        if empty(set) && meta::deletion_timestamp(set).is_none() {
            world.delete(kind::REPLICA_SET, set, Policy::Background).await?;
        }
    }
    Ok(())
}
