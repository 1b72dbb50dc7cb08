//! Stored objects in the version that was asked for.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::catalog::Resource;
use crate::conversion;
use crate::store::Object;

/// The text of an object in a resource's version.
pub fn text(app: &App, resource: &Resource, object: &Object) -> Bytes {
    let version = resource.api_version();
    if *resource.stored_as == *version {
        return object.json().clone();
    }
    if let Some(converted) = conversion::converted(resource, object) {
        return converted.json().clone();
    }
    if resource.custom.is_some() {
        return object.json_as(&version, &resource.kind);
    }
    tree(app, resource, object).to_string().into()
}

/// The tree of an object in a resource's version.
pub fn tree(_app: &App, resource: &Resource, object: &Object) -> Value {
    if let Some(converted) = conversion::converted(resource, object) {
        return converted.value();
    }
    let mut value = object.value();
    from_stored(resource, &mut value);
    value
}

/// Turns a stored tree into a resource's version.
pub fn from_stored(resource: &Resource, value: &mut Value) {
    convert(&resource.api_version(), &resource.kind, value);
}

/// A tree in another version of the same objects.
pub fn between(resource: &Resource, value: &Value) -> Value {
    let mut value = value.clone();
    from_stored(resource, &mut value);
    value
}

/// Turns a tree into the version that its resource is stored in.
pub fn to_stored(resource: &Resource, value: &mut Value) {
    convert(&resource.stored_as, &resource.kind, value);
}

fn convert(to: &str, kind: &str, value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    let from = map.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (from.as_str(), to, kind) {
        ("v1", "events.k8s.io/v1", "Event") => rename(map, EVENT_FIELDS, false),
        ("events.k8s.io/v1", "v1", "Event") => rename(map, EVENT_FIELDS, true),
        ("autoscaling/v1", "autoscaling/v2", _) => scaler_to_v2(map),
        ("autoscaling/v2", "autoscaling/v1", _) => scaler_to_v1(map),
        _ => {}
    }
    map.insert("apiVersion".into(), to.into());
    map.insert("kind".into(), kind.into());
}

/// Field of core/v1 events, field of events.k8s.io/v1.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

fn rename(map: &mut Map<String, Value>, names: &[(&str, &str)], back: bool) {
    for (core, events) in names {
        let (from, to) = if back { (*events, *core) } else { (*core, *events) };
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

fn take(map: &mut Map<String, Value>, path: &str, field: &str) -> Option<Value> {
    map.get_mut(path)?.as_object_mut()?.remove(field)
}

fn scaler_to_v2(map: &mut Map<String, Value>) {
    if let Some(target) = take(map, "spec", "targetCPUUtilizationPercentage")
        && let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut)
    {
        spec.insert(
            "metrics".into(),
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}}]),
        );
    }
    if let Some(current) = take(map, "status", "currentCPUUtilizationPercentage")
        && let Some(status) = map.get_mut("status").and_then(Value::as_object_mut)
    {
        status.insert(
            "currentMetrics".into(),
            json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current, "averageValue": "0"}}}]),
        );
    }
    unpack_annotation(map, "metrics", "spec", "metrics");
    unpack_annotation(map, "behavior", "spec", "behavior");
    unpack_annotation(map, "conditions", "status", "conditions");
}

const SCALER_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/";

fn unpack_annotation(map: &mut Map<String, Value>, name: &str, part: &str, field: &str) {
    let key = format!("{SCALER_ANNOTATION}{name}");
    let Some(annotations) =
        map.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(Value::String(text)) = annotations.remove(&key) else { return };
    let Ok(mut value) = serde_json::from_str::<Value>(&text) else { return };
    let part = map.entry(part).or_insert_with(|| json!({}));
    if let Some(part) = part.as_object_mut() {
        if let (Some(Value::Array(all)), Value::Array(first)) = (part.get(field), &mut value) {
            first.extend(all.iter().cloned());
        }
        part.insert(field.to_owned(), value);
    }
}

fn scaler_to_v1(map: &mut Map<String, Value>) {
    if let Some(Value::Array(mut metrics)) = take(map, "spec", "metrics") {
        let cpu = metrics.iter().position(|m| {
            m.pointer("/resource/name").and_then(Value::as_str) == Some("cpu")
                && m.pointer("/resource/target/averageUtilization").is_some()
        });
        if let Some(at) = cpu {
            let metric = metrics.remove(at);
            if let (Some(target), Some(spec)) = (
                metric.pointer("/resource/target/averageUtilization"),
                map.get_mut("spec").and_then(Value::as_object_mut),
            ) {
                spec.insert("targetCPUUtilizationPercentage".into(), target.clone());
            }
        }
        if !metrics.is_empty() {
            pack_annotation(map, "metrics", &Value::Array(metrics));
        }
    }
    if let Some(behavior) = take(map, "spec", "behavior") {
        pack_annotation(map, "behavior", &behavior);
    }
    if let Some(Value::Array(current)) = take(map, "status", "currentMetrics") {
        let percent = current.iter().find_map(|m| {
            (m.pointer("/resource/name")?.as_str()? == "cpu").then_some(())?;
            m.pointer("/resource/current/averageUtilization").cloned()
        });
        if let (Some(percent), Some(status)) = (percent, map.get_mut("status").and_then(Value::as_object_mut))
        {
            status.insert("currentCPUUtilizationPercentage".into(), percent);
        }
    }
    if let Some(conditions) = take(map, "status", "conditions") {
        pack_annotation(map, "conditions", &conditions);
    }
}

fn pack_annotation(map: &mut Map<String, Value>, name: &str, value: &Value) {
    let metadata = map.entry("metadata").or_insert_with(|| json!({}));
    let Some(metadata) = metadata.as_object_mut() else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(format!("{SCALER_ANNOTATION}{name}"), value.to_string().into());
    }
}
