//! How tables write ages, durations and missing things.

use serde_json::Value;

/// The age of an object.
pub fn age(object: &Value) -> Value {
    let created = object::meta::creation_timestamp(object);
    created.and_then(age_of).unwrap_or_else(|| "<unknown>".to_owned()).into()
}

/// The time since an instant.
pub fn age_of(time: &str) -> Option<String> {
    let then: jiff::Timestamp = time.parse().ok()?;
    Some(duration(jiff::Timestamp::now().as_second() - then.as_second()))
}

/// Seconds between two instants.
pub fn seconds_between(from: &str, to: Option<&str>) -> Option<i64> {
    let from: jiff::Timestamp = from.parse().ok()?;
    let to = match to {
        Some(text) => text.parse().ok()?,
        None => jiff::Timestamp::now(),
    };
    Some(to.as_second() - from.as_second())
}

/// A duration as kubectl writes it: two units at most, fewer the longer it is.
pub fn duration(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".into();
    }
    let seconds = seconds.max(0);
    if seconds < 120 {
        return format!("{seconds}s");
    }
    let minutes = seconds / 60;
    if minutes < 10 {
        return two(minutes, "m", seconds % 60, "s");
    }
    if minutes < 180 {
        return format!("{minutes}m");
    }
    let hours = seconds / 3600;
    if hours < 8 {
        return two(hours, "h", minutes % 60, "m");
    }
    if hours < 48 {
        return format!("{hours}h");
    }
    if hours < 24 * 8 {
        return two(hours / 24, "d", hours % 24, "h");
    }
    if hours < 24 * 365 * 2 {
        return format!("{}d", hours / 24);
    }
    let days = hours / 24;
    if days < 365 * 8 {
        return two(days / 365, "y", days % 365, "d");
    }
    format!("{}y", days / 365)
}

fn two(first: i64, unit: &str, rest: i64, rest_unit: &str) -> String {
    if rest == 0 { format!("{first}{unit}") } else { format!("{first}{unit}{rest}{rest_unit}") }
}

/// `<none>` for nothing.
pub fn or_none(text: impl Into<String>) -> Value {
    let text = text.into();
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// `<unset>` for nothing.
pub fn or_unset(text: impl Into<String>) -> Value {
    let text = text.into();
    if text.is_empty() { "<unset>".into() } else { text.into() }
}

/// `a=b,c=d`, or `<none>`.
pub fn labels(map: Option<&Value>) -> Value {
    let list: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect();
    or_none(list.join(","))
}

/// A label selector as text, or `<none>`.
pub fn selector(selector: Option<&Value>) -> Value {
    let text = selector
        .and_then(|s| object::LabelSelector::from_object(s).ok())
        .map(|s| s.to_string())
        .unwrap_or_default();
    or_none(text)
}
