//! The status of autoscalers, disruption budgets and quotas.

use super::common::{condition, conditions, is_active, is_ready, scaled, set_condition};
use crate::error::{Result, UnlessGone};
use crate::kind;
use crate::world::World;
use object::quota::{Amounts, add, in_scope, usage};
use object::{LabelSelector, Value, get, get_i64, get_str, meta};
use serde_json::{Map, json};

/// Keeps the target within the bounds; there is no load to scale by.
pub(crate) async fn autoscaler(world: &World, scaler: &Value) -> Result<()> {
    if meta::deletion_timestamp(scaler).is_some() {
        return Ok(());
    }
    let text = |field: &str| get_str(scaler, &["spec", "scaleTargetRef", field]).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group).to_string();
    let namespace = meta::namespace(scaler).unwrap_or_default();
    let target = kind::Kind::of(&group, text("kind"))
        .and_then(|kind| Some((kind, world.get(kind, namespace, text("name"))?)));
    let now = world.stamp();
    let mut list = conditions(scaler);
    let Some((kind, target)) = target else {
        let text = format!(
            "the HPA controller was unable to get the target's current scale: {} {:?} not found",
            text("kind"),
            text("name")
        );
        set_condition(&mut list, &now, condition("AbleToScale", false, "FailedGetScale", &text), false);
        world.set_status(kind::AUTOSCALER, scaler, json!({"conditions": list})).await?;
        return Ok(());
    };
    let current = super::common::replicas(&target);
    let low = get_i64(scaler, &["spec", "minReplicas"]).unwrap_or(1);
    let high = get_i64(scaler, &["spec", "maxReplicas"]).unwrap_or(i64::MAX);
    // Nothing is scaled that was switched off on purpose.
    let desired = if current == 0 { 0 } else { current.clamp(low, high.max(low)) };
    if desired != current {
        world.patch(kind, &target, "", json!({"spec": {"replicas": desired}})).await.unless_gone()?;
    }
    let mut set = |kind: &str, status: bool, reason: &str, message: &str| {
        set_condition(&mut list, &now, condition(kind, status, reason, message), false);
    };
    set("AbleToScale", true, "ReadyForNewScale", "recommended size matches current size");
    match current {
        0 => set(
            "ScalingActive",
            false,
            "ScalingDisabled",
            "scaling is disabled since the replica count of the target is zero",
        ),
        _ => set("ScalingActive", true, "ValidMetricFound", "simulated: there is no load to measure"),
    }
    set("ScalingLimited", false, "DesiredWithinRange", "the desired count is within the acceptable range");
    let status = json!({"currentReplicas": current, "desiredReplicas": desired, "conditions": list});
    world.set_status(kind::AUTOSCALER, scaler, status).await?;
    Ok(())
}

/// How many pods may be away.
pub(crate) async fn budget(world: &World, budget: &Value) -> Result<()> {
    if meta::deletion_timestamp(budget).is_some() {
        return Ok(());
    }
    let selector = get(budget, &["spec", "selector"]).and_then(|own| LabelSelector::from_object(own).ok());
    let pods = world.list(kind::POD, meta::namespace(budget).unwrap_or_default());
    let mine = |pod: &Value| is_active(pod) && selector.as_ref().is_some_and(|own| own.matches_object(pod));
    let pods: Vec<_> = pods.into_iter().filter(|pod| mine(pod)).collect();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let expected = number(pods.len());
    let healthy = number(pods.iter().filter(|pod| is_ready(pod)).count());
    let desired = match (get(budget, &["spec", "maxUnavailable"]), get(budget, &["spec", "minAvailable"])) {
        (Some(away), _) => (expected - scaled(Some(away), expected, true, 0)).max(0),
        (None, minimum) => scaled(minimum, expected, true, 1),
    };
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let mut list = conditions(budget);
    let own = match allowed {
        0 => condition("DisruptionAllowed", false, "InsufficientPods", ""),
        _ => condition("DisruptionAllowed", true, "SufficientPods", ""),
    };
    let mut own = own;
    object::set(&mut own, &["observedGeneration"], meta::generation(budget).into());
    set_condition(&mut list, &world.stamp(), own, false);
    let status = json!({
        "observedGeneration": meta::generation(budget), "expectedPods": expected, "currentHealthy": healthy,
        "desiredHealthy": desired, "disruptionsAllowed": allowed, "conditions": list,
    });
    world.set_status(kind::BUDGET, budget, status).await?;
    Ok(())
}

/// Counts what a quota limits.
pub(crate) async fn quota(world: &World, quota: &Value) -> Result<()> {
    if meta::deletion_timestamp(quota).is_some() {
        return Ok(());
    }
    let hard = get(quota, &["spec", "hard"]).and_then(Value::as_object).cloned().unwrap_or_default();
    let namespace = meta::namespace(quota).unwrap_or_default();
    let mut sum = Amounts::new();
    for kind in [kind::POD, kind::SERVICE, kind::CLAIM] {
        for object in world.list(kind, namespace) {
            if in_scope(quota, kind.group, kind.plural, &object) {
                add(&mut sum, &usage(kind.group, kind.plural, &object));
            }
        }
    }
    let used: Map<String, Value> = hard
        .keys()
        .filter_map(|name| Some((name.clone(), used(world, namespace, name, &sum)?.into())))
        .collect();
    world.set_status(kind::QUOTA, quota, json!({"hard": hard, "used": used})).await?;
    Ok(())
}

/// How much of one resource a namespace uses, as a quantity; nothing for what nobody counts.
fn used(world: &World, namespace: &str, name: &str, sum: &Amounts) -> Option<String> {
    if let Some(amount) = sum.get(name) {
        return Some(amount.to_string());
    }
    let plural = name.strip_prefix("count/").unwrap_or(name);
    let (plural, group) = plural.split_once('.').unwrap_or((plural, ""));
    let state = world.state();
    let kind = state.resources.iter().find(|own| own.plural == plural && own.group == group);
    // Pods, services and claims were summed up: none that counts is there.
    let summed = group.is_empty() && matches!(plural, "pods" | "services" | "persistentvolumeclaims");
    match kind.filter(|_| !summed) {
        Some(kind) => Some(state.graph.count(namespace, &kind.group, &kind.kind).to_string()),
        None if name.starts_with("count/") && !summed => None,
        None => Some("0".to_owned()),
    }
}
