//! What of a Pod's resources may change while it runs.

use object::{Quantity, Value};

use super::super::at::{At, Errors};
use crate::FieldError;

/// The pod as it was, with the resources that its containers have now.
pub(in super::super) fn resized(object: &Value, old: &Value) -> Value {
    let mut with = old.clone();
    let own = At::new(object, "").get("spec");
    for field in ["containers", "initContainers"] {
        let list = with.get_mut("spec").and_then(|spec| spec.get_mut(field)).and_then(Value::as_array_mut);
        for (before, now) in list.into_iter().flatten().zip(own.get(field).items()) {
            for part in ["resources", "resizePolicy"] {
                let now = now.get(part);
                if now.some() {
                    object::set(before, &[part], now.value.clone());
                } else {
                    object::remove(before, &[part]);
                }
            }
        }
    }
    with
}

/// Errors of new resources.
pub(in super::super) fn judge(object: &Value, old: &Value, errors: &mut Errors) {
    let (own, before) = (At::new(object, "").get("spec"), At::new(old, "").get("spec"));
    let whole = |spec: &At<'_>| {
        let own = spec.get("resources");
        ["requests", "limits"].iter().any(|field| own.get(field).entries().next().is_some())
    };
    let refused = if whole(&own) || whole(&before) {
        "pods with pod-level resources cannot be resized"
    } else if object::meta::annotation(old, "kubernetes.io/config.mirror").is_some() {
        "static pods cannot be resized"
    } else if before.get("os").get("name").text() == "windows" {
        "windows pods cannot be resized"
    } else {
        ""
    };
    if !refused.is_empty() {
        errors.clear();
        errors.push(FieldError::forbidden("<nil>", refused));
        return;
    }
    let known = object::get_str(old, &["status", "qosClass"]);
    if known.unwrap_or_else(|| quality(&before)) != quality(&own) {
        let shown = object::get_str(object, &["status", "qosClass"]).unwrap_or_default();
        own.invalid_as(shown, "Pod QOS Class may not change as a result of resizing", errors);
    }
    for field in ["initContainers", "containers"] {
        for (now, was) in own.get(field).items().zip(before.get(field).items()) {
            if field == "initContainers" && was.get("restartPolicy").text() != "Always" {
                continue;
            }
            for (part, detail) in [
                ("requests", "resource requests cannot be removed"),
                ("limits", "resource limits cannot be removed"),
            ] {
                let (now, was) = (now.get("resources").get(part), was.get("resources").get(part));
                if was.entries().any(|(name, _)| !now.get(name).some()) {
                    now.forbidden(detail, errors);
                }
            }
        }
    }
}

/// The quality-of-service class that follows from the resources of all containers.
fn quality(spec: &At<'_>) -> &'static str {
    let (mut any, mut guaranteed, mut count) = (false, true, 0);
    for field in ["containers", "initContainers"] {
        for container in spec.get(field).items() {
            count += 1;
            let resources = container.get("resources");
            for name in ["cpu", "memory"] {
                let amount = |side: &str| {
                    let own = resources.get(side).get(name);
                    let amount = own.some().then(|| Quantity::from_value(own.value).ok()).flatten();
                    amount.filter(|amount| !amount.is_zero()).map(|amount| amount.milli_value())
                };
                let (request, limit) = (amount("requests"), amount("limits"));
                any |= request.is_some() || limit.is_some();
                guaranteed &= limit.is_some() && (request.is_none() || request == limit);
            }
        }
    }
    match (any, guaranteed && count > 0) {
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
        _ => "BestEffort",
    }
}
