//! StatefulSets: numbered pods with claims of their own, one after the other.

use super::common::{claim, create_pod, is_available, is_ready, phase, pod_of, replicas, spec_i64};
use super::history::{self, HASH};
use crate::api::Policy;
use crate::error::Result;
use crate::kind;
use crate::world::World;
use object::{Value, get, get_i64, get_str, meta, set};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) async fn reconcile(world: &World, stateful: &Value) -> Result<()> {
    let pods = claim(world, kind::POD, kind::STATEFUL_SET, stateful).await?;
    let by_ordinal: BTreeMap<i64, Arc<Value>> =
        pods.iter().filter_map(|pod| Some((ordinal(stateful, pod)?, pod.clone()))).collect();
    let old = get_str(stateful, &["status", "currentRevision"]).unwrap_or_default().to_string();
    let mut in_use: Vec<String> = pods.iter().map(|pod| revision(pod).to_owned()).collect();
    in_use.push(old.clone());
    let update = history::sync(world, kind::STATEFUL_SET, stateful, &in_use).await?.name;
    let current = if old.is_empty() { update.clone() } else { old };
    if meta::deletion_timestamp(stateful).is_none() {
        step(world, stateful, &by_ordinal, &current, &update).await?;
    }
    status(world, stateful, current, update).await
}

/// The number at the end of a pod's name.
fn ordinal(stateful: &Value, pod: &Value) -> Option<i64> {
    meta::name(pod).strip_prefix(meta::name(stateful))?.strip_prefix('-')?.parse().ok()
}

fn revision(pod: &Value) -> &str {
    meta::label(pod, HASH).unwrap_or_default()
}

/// Does what may be done now: in order, one pod at a time unless the set is parallel.
async fn step(
    world: &World,
    stateful: &Value,
    pods: &BTreeMap<i64, Arc<Value>>,
    current: &str,
    update: &str,
) -> Result<()> {
    let first = get_i64(stateful, &["spec", "ordinals", "start"]).unwrap_or(0);
    let last = first + replicas(stateful);
    let parallel = get_str(stateful, &["spec", "podManagementPolicy"]) == Some("Parallel");
    let partition = get_i64(stateful, &["spec", "updateStrategy", "rollingUpdate", "partition"]).unwrap_or(0);
    let min_ready = spec_i64(stateful, "minReadySeconds");
    for number in first..last {
        let Some(pod) = pods.get(&number) else {
            let wanted = if number - first < partition && current != update { current } else { update };
            create(world, stateful, number, wanted).await?;
            if parallel {
                continue;
            }
            return Ok(());
        };
        if meta::deletion_timestamp(pod).is_some() && !parallel {
            return Ok(());
        }
        if matches!(phase(pod), "Failed" | "Succeeded") && meta::deletion_timestamp(pod).is_none() {
            world.delete(kind::POD, pod, Policy::Background).await?;
            return Ok(());
        }
        let (available, pause) = is_available(world, pod, min_ready);
        if let Some(pause) = pause {
            world.look_again(kind::STATEFUL_SET, stateful, pause);
        }
        if !available && !parallel && revision(pod) == update {
            return Ok(());
        }
    }
    // Those beyond the size go from the top; one at a time.
    for (_, pod) in pods.iter().rev().filter(|(number, _)| **number < first || **number >= last) {
        if meta::deletion_timestamp(pod).is_none() {
            world.delete(kind::POD, pod, Policy::Background).await?;
        }
        if !parallel {
            return Ok(());
        }
    }
    if get_str(stateful, &["spec", "updateStrategy", "type"]) == Some("OnDelete") {
        return Ok(());
    }
    for number in (first + partition..last).rev() {
        let Some(pod) = pods.get(&number) else { return Ok(()) };
        if revision(pod) != update {
            if meta::deletion_timestamp(pod).is_none() {
                world.delete(kind::POD, pod, Policy::Background).await?;
            }
            return Ok(());
        }
        if !is_available(world, pod, min_ready).0 {
            return Ok(());
        }
    }
    Ok(())
}

async fn create(world: &World, stateful: &Value, number: i64, revision: &str) -> Result<()> {
    let namespace = meta::namespace(stateful).unwrap_or_default();
    let template = template(world, stateful, revision);
    let mut pod = pod_of(kind::STATEFUL_SET, stateful, &template);
    let name = format!("{}-{number}", meta::name(stateful));
    meta::set_name(&mut pod, &name);
    meta::set_label(&mut pod, "statefulset.kubernetes.io/pod-name", &name);
    meta::set_label(&mut pod, "apps.kubernetes.io/pod-index", &number.to_string());
    meta::set_label(&mut pod, HASH, revision);
    set(&mut pod, &["spec", "hostname"], name.clone().into());
    if let Some(service) = get_str(stateful, &["spec", "serviceName"]).filter(|service| !service.is_empty()) {
        set(&mut pod, &["spec", "subdomain"], service.into());
    }
    let claims = get(stateful, &["spec", "volumeClaimTemplates"])
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut volumes: Vec<Value> =
        get(&pod, &["spec", "volumes"]).and_then(Value::as_array).cloned().unwrap_or_default();
    for claim in claims {
        let stem = meta::name(&claim).to_string();
        let claim_name = format!("{stem}-{name}");
        volumes.retain(|volume| get_str(volume, &["name"]) != Some(stem.as_str()));
        volumes.push(json!({"name": stem, "persistentVolumeClaim": {"claimName": claim_name}}));
        if world.get(kind::CLAIM, namespace, &claim_name).is_none() {
            create_claim(world, stateful, claim, &claim_name).await?;
        }
    }
    if !volumes.is_empty() {
        set(&mut pod, &["spec", "volumes"], Value::Array(volumes));
    }
    match create_pod(world, pod).await {
        // One of the same name that is nobody's, or still on its way out.
        Err(error) if error.is_there() => {
            world.look_again(kind::STATEFUL_SET, stateful, std::time::Duration::from_millis(100));
            Ok(())
        }
        other => other,
    }
}

/// The template of a revision that history keeps, else the set's own.
fn template(world: &World, stateful: &Value, revision: &str) -> Value {
    let namespace = meta::namespace(stateful).unwrap_or_default();
    let kept = world.get(kind::CONTROLLER_REVISION, namespace, revision);
    let kept = kept.and_then(|kept| history::template(&kept));
    kept.unwrap_or_else(|| get(stateful, &["spec", "template"]).cloned().unwrap_or_default())
}

async fn create_claim(world: &World, stateful: &Value, template: Value, name: &str) -> Result<()> {
    let mut claim = template;
    meta::set_name(&mut claim, name);
    meta::set_namespace(&mut claim, meta::namespace(stateful).unwrap_or_default());
    object::remove(&mut claim, &["status"]);
    object::remove(&mut claim, &["metadata", "creationTimestamp"]);
    let selector = get(stateful, &["spec", "selector", "matchLabels"]).and_then(Value::as_object).cloned();
    for (key, value) in selector.unwrap_or_default() {
        meta::set_label(&mut claim, &key, value.as_str().unwrap_or_default());
    }
    match world.create(kind::CLAIM, claim).await {
        Err(error) if error.is_there() || error.is_ending() => Ok(()),
        other => other.map(|_| ()),
    }
}

async fn status(world: &World, stateful: &Value, mut current: String, update: String) -> Result<()> {
    let pods = world.controlled(kind::POD, stateful);
    let pods: Vec<&Arc<Value>> = pods.iter().filter(|pod| ordinal(stateful, pod).is_some()).collect();
    let min_ready = spec_i64(stateful, "minReadySeconds");
    let count = |test: &dyn Fn(&Value) -> bool| pods.iter().filter(|pod| test(pod)).count();
    let ready = count(&is_ready);
    let live = |pod: &Value| meta::deletion_timestamp(pod).is_none();
    let updated = count(&|pod| live(pod) && revision(pod) == update);
    let wanted = usize::try_from(replicas(stateful)).unwrap_or(0);
    if updated == wanted && ready == wanted && pods.len() == wanted {
        current.clone_from(&update);
    }
    let some = |number: usize| if number == 0 { Value::Null } else { json!(number) };
    world
        .set_status(
            kind::STATEFUL_SET,
            stateful,
            json!({
                "observedGeneration": meta::generation(stateful),
                "replicas": pods.len(),
                "readyReplicas": some(ready),
                "availableReplicas": count(&|pod| is_available(world, pod, min_ready).0),
                "currentReplicas": some(count(&|pod| live(pod) && revision(pod) == current)),
                "updatedReplicas": some(updated),
                "currentRevision": current,
                "updateRevision": update,
                "collisionCount": get_i64(stateful, &["status", "collisionCount"]).unwrap_or(0),
            }),
        )
        .await?;
    Ok(())
}
