//! When an input provider may ask: schedules with windows. Pure.

use std::time::Duration;

use gotime::cron::{Schedule, zone};
use gotime::duration::shown;
use jiff::{SignedDuration, Timestamp};
use object::Value;
use serde_json::json;

use crate::common::{parse_duration, str_at};

struct Entry {
    times: Schedule,
    zone: jiff::tz::TimeZone,
    window: Duration,
    spec: Value,
}

/// The schedules of `spec.schedule`.
pub(super) struct Scheduler {
    entries: Vec<Entry>,
    timeout: Duration,
}

/// When a provider asks next, and the schedule that says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Next {
    pub when: Timestamp,
    spec: Value,
}

impl Next {
    /// `status.nextSchedule`.
    pub fn status(&self) -> Value {
        let text = |field: &str| str_at(&self.spec, &[field]).to_owned();
        let zone = if text("timeZone").is_empty() { "UTC".to_owned() } else { text("timeZone") };
        let window = if text("window").is_empty() { "0s".to_owned() } else { text("window") };
        let when = self.when.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({"cron": text("cron"), "timeZone": zone, "window": window, "when": when})
    }
}

fn before(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_sub(by).ok()).unwrap_or(Timestamp::MIN)
}

fn after(moment: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| moment.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

impl Entry {
    /// Does it begin before `now` and end after all that `now` begins?
    fn holds(&self, now: Timestamp, timeout: Duration) -> bool {
        let earliest = before(after(now, timeout), self.window);
        self.times.next(earliest, &self.zone).is_some_and(|begin| begin <= now)
    }
}

impl Scheduler {
    /// Reads the schedules; `timeout` is how long asking may take.
    ///
    /// # Errors
    /// With the number of the schedule.
    pub fn new(spec: &Value, timeout: Duration) -> Result<Scheduler, String> {
        let list = spec.get("schedule").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut entries = Vec::new();
        for (index, spec) in list.into_iter().enumerate() {
            let failed = |why: String| format!("failed to validate schedule[{index}]: {why}");
            let text = str_at(&spec, &["window"]);
            let window = match text {
                "" => Duration::ZERO,
                text => parse_duration(text).ok_or_else(|| failed(format!("invalid window: {text}")))?,
            };
            if !window.is_zero() && window < timeout.saturating_mul(2) {
                return Err(failed(format!(
                    "a non-zero window ({}) must always be at least twice the timeout ({})",
                    shown(window),
                    shown(timeout)
                )));
            }
            let (cron, name) = (str_at(&spec, &["cron"]), str_at(&spec, &["timeZone"]));
            let unread = |why: String| match name {
                "" => failed(format!("failed to parse cron spec '{cron}': {why}")),
                name => failed(format!("failed to parse cron spec '{cron}' with timezone '{name}': {why}")),
            };
            let times = Schedule::parse(cron).map_err(unread)?;
            let zone = zone(name).map_err(|why| unread(format!("provided bad location {name}: {why}")))?;
            entries.push(Entry { times, zone, window, spec });
        }
        Ok(Scheduler { entries, timeout })
    }

    /// May it ask now? A schedule without a window only says when it asks, not when it must not.
    pub fn allows(&self, now: Timestamp) -> bool {
        let open = |entry: &Entry| entry.window.is_zero() || entry.holds(now, self.timeout);
        self.entries.is_empty() || self.entries.iter().any(open)
    }

    /// When the next schedule begins.
    pub fn next(&self, now: Timestamp) -> Option<Next> {
        let begins = self.entries.iter().filter_map(|entry| {
            Some(Next { when: entry.times.next(now, &entry.zone)?, spec: entry.spec.clone() })
        });
        begins.min_by_key(|next| next.when)
    }

    /// After an interval, or when a schedule begins: whatever comes first and is allowed.
    pub fn after(&self, now: Timestamp, interval: Duration) -> (Duration, Option<Next>) {
        let then = after(now, interval);
        let windowed = |entry: &Entry| !entry.window.is_zero() && entry.holds(then, self.timeout);
        match self.next(now) {
            Some(next) if !self.entries.iter().any(windowed) || next.when < then => {
                (until(now, next.when), Some(next))
            }
            _ => (interval, None),
        }
    }
}

/// How long it is until then.
pub(super) fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    fn scheduler(schedule: Value) -> Result<Scheduler, String> {
        Scheduler::new(&json!({"schedule": schedule}), Duration::from_secs(120))
    }

    #[test]
    fn windows() {
        let office =
            scheduler(json!([{"cron": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "window": "1h"}])).unwrap();
        for (time, allowed) in [
            ("06:59:59", false),
            ("07:00:00", true),
            ("07:57:59", true),
            ("07:58:00", false),
            ("12:00:00", false),
        ] {
            assert_eq!(office.allows(at(time)), allowed, "{time}");
        }
        let ten = Duration::from_secs(600);
        assert_eq!(office.after(at("07:10:00"), ten), (ten, None));
        let (pause, next) = office.after(at("07:50:00"), ten);
        assert_eq!(next.unwrap().when.to_string(), "2026-03-03T07:00:00Z");
        assert_eq!(pause.as_secs(), 24 * 3600 - 50 * 60);
    }

    #[test]
    fn without_windows_and_without_schedules() {
        let often = scheduler(json!([{"cron": "*/15 * * * *"}])).unwrap();
        assert!(often.allows(at("07:01:00")));
        let (pause, next) = often.after(at("07:01:00"), Duration::from_secs(3600));
        assert_eq!(pause.as_secs(), 14 * 60);
        let status = next.unwrap().status();
        assert_eq!(
            status,
            json!({"cron": "*/15 * * * *", "timeZone": "UTC", "window": "0s", "when": "2026-03-02T07:15:00Z"})
        );
        let none = scheduler(json!(null)).unwrap();
        assert!(none.allows(at("07:01:00")) && none.next(at("07:01:00")).is_none());
        assert_eq!(none.after(at("07:01:00"), Duration::from_secs(60)).0.as_secs(), 60);
    }

    #[test]
    fn what_cannot_be_meant() {
        for (schedule, words) in [
            (json!([{"cron": "0 8 * * *"}, {"cron": "x"}]), "schedule[1]: failed to parse cron spec 'x'"),
            (json!([{"cron": "0 8 * * *", "timeZone": "Mars/Base"}]), "timezone 'Mars/Base'"),
            (json!([{"cron": "0 8 * * *", "window": "3m"}]), "at least twice the timeout (2m0s)"),
        ] {
            let why = scheduler(schedule).err().unwrap();
            assert!(why.contains(words), "{why}");
        }
    }
}
