//! Times as Kubernetes writes them.

use jiff::Timestamp;
use std::time::Duration;

/// `2026-01-02T03:04:05Z`.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads a time; `None` when it is none.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// `time` and `pause` later; the end of time when that is beyond it.
pub(crate) fn after(time: Timestamp, pause: Duration) -> Timestamp {
    let pause = jiff::SignedDuration::try_from(pause).unwrap_or(jiff::SignedDuration::MAX);
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}
