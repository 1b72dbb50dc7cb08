//! ReplicaSets and the ReplicationControllers before them: so many pods of a template.

use super::common::{
    claim, condition, conditions, create_pod, is_active, is_available, is_ready, name_pod, phase, pod_of,
    replicas, set_condition, spec_i64,
};
use crate::api::Policy;
use crate::error::Result;
use crate::kind::{self, Kind};
use crate::world::World;
use object::{LabelSelector, Value, get, meta};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// When a pod that was refused is tried again.
const AFTER_REFUSAL: Duration = Duration::from_secs(2);

pub(crate) async fn reconcile(world: &World, own: Kind, set: &Value) -> Result<()> {
    let pods = claim(world, kind::POD, own, set).await?;
    let active: Vec<Arc<Value>> = pods.into_iter().filter(|pod| is_active(pod)).collect();
    let mut refused = None;
    if meta::deletion_timestamp(set).is_none() {
        let missing = replicas(set) - i64::try_from(active.len()).unwrap_or(i64::MAX);
        for _ in 0..missing {
            let template = get(set, &["spec", "template"]).cloned().unwrap_or_default();
            let mut pod = pod_of(own, set, &template);
            name_pod(world, &mut pod, meta::name(set), set);
            match create_pod(world, pod).await {
                // What is refused now may be taken later: a quota has room again.
                Err(error) if matches!(error.code, 403 | 422) => {
                    refused = Some(error.message);
                    world.look_again(own, set, AFTER_REFUSAL);
                    break;
                }
                other => other?,
            }
        }
        let surplus = usize::try_from(-missing).unwrap_or(0);
        for pod in least_missed(active.clone()).into_iter().take(surplus) {
            world.delete(kind::POD, &pod, Policy::Background).await?;
        }
    }
    status(world, own, set, refused).await
}

/// The pods in the order in which they may go: those that serve nobody first, then the youngest.
fn least_missed(mut pods: Vec<Arc<Value>>) -> Vec<Arc<Value>> {
    let rank = |pod: &Value| (is_ready(pod), phase(pod) == "Running");
    pods.sort_by(|a, b| {
        let youth = meta::creation_timestamp(b).cmp(&meta::creation_timestamp(a));
        rank(a).cmp(&rank(b)).then(youth).then(meta::name(b).cmp(meta::name(a)))
    });
    pods
}

async fn status(world: &World, own: Kind, set: &Value, refused: Option<String>) -> Result<()> {
    let pods: Vec<Arc<Value>> =
        world.controlled(kind::POD, set).into_iter().filter(|pod| is_active(pod)).collect();
    let labels = get(set, &["spec", "template", "metadata", "labels"]).cloned().unwrap_or_default();
    let template = LabelSelector::from_map(&labels).ok();
    let mut available = 0;
    for pod in &pods {
        let (is, pause) = is_available(world, pod, spec_i64(set, "minReadySeconds"));
        available += i64::from(is);
        if let Some(pause) = pause {
            world.look_again(own, set, pause);
        }
    }
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    let labelled =
        pods.iter().filter(|pod| template.as_ref().is_some_and(|wanted| wanted.matches_object(pod))).count();
    let mut list = conditions(set);
    match refused {
        Some(why) => {
            let failure = condition("ReplicaFailure", true, "FailedCreate", &why);
            set_condition(&mut list, &world.stamp(), failure, false);
        }
        None => list.retain(|own| object::get_str(own, &["type"]) != Some("ReplicaFailure")),
    }
    let count = |number: usize| if number == 0 { Value::Null } else { json!(number) };
    world
        .set_status(
            own,
            set,
            json!({
                "replicas": pods.len(),
                "fullyLabeledReplicas": count(labelled),
                "readyReplicas": count(ready),
                "availableReplicas": if available == 0 { Value::Null } else { json!(available) },
                "observedGeneration": meta::generation(set),
                "conditions": if list.is_empty() { Value::Null } else { Value::Array(list) },
            }),
        )
        .await?;
    Ok(())
}
