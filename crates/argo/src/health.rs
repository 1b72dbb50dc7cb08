//! Health as Argo CD judges it, and what it makes of an application. Pure.

pub use ::health::argo::{Judge, Status, Verdict as Health};
use object::{Key, Value, meta};

use crate::names;

/// The verdict on a live object; `None` for kinds that have none. `now` is in seconds.
pub fn judge(judge: &Judge, live: &Value, now: i64) -> Option<Health> {
    if delivery::standin::is_stand_in(live) {
        return Some(Health::new(Status::Healthy, ""));
    }
    match judge.health(live, now) {
        Ok(verdict) => verdict,
        Err(error) => Some(Health::new(Status::Unknown, error.to_string())),
    }
}

/// What one object adds to its application's health.
pub struct Part<'a> {
    /// Which object.
    pub key: &'a Key,
    /// As it should be.
    pub target: Option<&'a Value>,
    /// As it is.
    pub live: Option<&'a Value>,
    /// The verdict on it, if its kind has one.
    pub health: Option<&'a Health>,
}

/// The health of an application. An object that is missing does not worsen it (its sync status tells), unless all are.
pub fn aggregate<'a>(parts: impl Iterator<Item = Part<'a>>) -> (Status, Option<(Key, String)>) {
    let (mut worst, mut why) = (Status::Healthy, None);
    let (mut expected, mut live) = (false, false);
    for part in parts {
        let object = part.live.or(part.target).unwrap_or(&Value::Null);
        let ignored = meta::annotation(object, names::IGNORE_HEALTHCHECK) == Some("true");
        expected |= part.target.is_some();
        live |= part.live.is_some();
        let Some(health) = part.health.filter(|_| !ignored && part.live.is_some()) else { continue };
        let child = part.key.kind == names::APPLICATION && part.key.group == names::GROUP;
        if child && matches!(health.status, Status::Missing | Status::Unknown) {
            continue;
        }
        if health.status > worst {
            worst = health.status;
            why = Some((part.key.clone(), health.message.clone()));
        }
    }
    if expected && !live {
        return (Status::Missing, None);
    }
    (worst, why)
}

/// What of a live object its health can depend on, as far as can be said without judging it: its generation, and its
/// status without what only counts or only moves on.
pub fn aspect(object: Option<&Value>) -> String {
    let Some(live) = object else { return "absent".into() };
    let mut text = controller::aspect::declared(object);
    let Some(status) = live.get("status").and_then(Value::as_object) else { return text };
    for (field, value) in status {
        match field.as_str() {
            "conditions" => {
                for condition in value.as_array().into_iter().flatten() {
                    for part in ["type", "status", "reason", "message"] {
                        text.push_str(object::get_str(condition, &[part]).unwrap_or_default());
                        text.push(' ');
                    }
                }
            }
            "currentMetrics" | "history" | "events" | "lastScheduleTime" | "reconciledAt"
            | "lastHeartbeatTime" => {}
            _ => text.push_str(&value.to_string()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_missing_object_is_no_fault_all_are() {
        let key = Key::new("", "ConfigMap", "a", "b");
        let object = json!({"metadata": {"name": "b"}});
        let healthy = Health { status: Status::Progressing, message: "starting".into() };
        let there = || Part { key: &key, target: Some(&object), live: Some(&object), health: Some(&healthy) };
        let gone = || Part { key: &key, target: Some(&object), live: None, health: None };
        assert_eq!(aggregate([there(), gone()].into_iter()).0, Status::Progressing);
        assert_eq!(aggregate([gone()].into_iter()).0, Status::Missing);
        assert_eq!(aggregate(std::iter::empty()).0, Status::Healthy);
    }
}
