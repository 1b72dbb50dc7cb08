//! Sync windows: when Applications may, or may not, be synced.

use gotime::cron::{Schedule, zone};
use gotime::duration;
use jiff::Timestamp;
use object::{Value, get_str};

use super::{Destination, permits};

/// A window.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Whether syncs are allowed in it, or denied.
    pub allows: bool,
    schedule: Schedule,
    /// How long it is open, in seconds.
    pub duration: i64,
    zone: String,
    applications: Vec<String>,
    namespaces: Vec<String>,
    clusters: Vec<String>,
    /// People may sync although the window says no.
    pub manual: bool,
    /// Applications, namespaces and clusters must all fit, not one of them.
    and: bool,
    /// A sync that began while it was allowed may go on.
    pub overrun: bool,
}

/// The windows of a project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windows(pub Vec<Window>);

/// Which Application is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name.
    pub application: &'a str,
    /// Where it goes.
    pub destination: Destination<'a>,
}

/// What windows say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The sync may run.
    Allowed,
    /// It may not; at `until` (seconds since the epoch) this may change.
    Denied {
        /// Why, for people.
        reason: String,
        /// When the windows change next.
        until: Option<i64>,
    },
}

impl Window {
    /// Reads a window of a project.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let text = |key: &str| get_str(value, &[key]).unwrap_or_default();
        let list = |key: &str| {
            let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let flag = |key: &str| value.get(key) == Some(&Value::Bool(true));
        let (kind, schedule) = (text("kind"), text("schedule"));
        let allows = match kind {
            "allow" => true,
            "deny" => false,
            other => return Err(format!("kind '{other}' mismatch: can only be allow or deny")),
        };
        Ok(Window {
            allows,
            schedule: Schedule::parse(schedule)
                .map_err(|error| format!("cannot parse schedule '{schedule}': {error}"))?,
            duration: duration::parse(text("duration"))
                .map_err(|error| format!("cannot parse duration '{}': {error}", text("duration")))?
                / 1_000_000_000,
            zone: text("timeZone").to_owned(),
            applications: list("applications"),
            namespaces: list("namespaces"),
            clusters: list("clusters"),
            manual: flag("manualSync"),
            and: flag("andOperator"),
            overrun: flag("syncOverrun"),
        })
    }

    /// Whether it is about an Application.
    pub fn is_about(&self, subject: &Subject<'_>) -> bool {
        let any =
            |list: &[String], value: &str| list.iter().any(|pattern| permits(pattern, value, false, false));
        let destination = &subject.destination;
        let clusters = self.clusters.iter().any(|pattern| {
            (!destination.name.is_empty() && permits(pattern, destination.name, false, false))
                || (!destination.server.is_empty() && permits(pattern, destination.server, false, false))
        });
        let rules = [
            (&self.applications, any(&self.applications, subject.application)),
            (&self.clusters, clusters),
            (&self.namespaces, any(&self.namespaces, destination.namespace)),
        ];
        let mut said = rules.iter().filter(|(list, _)| !list.is_empty()).peekable();
        if said.peek().is_none() {
            return false;
        }
        if self.and { said.all(|(_, fits)| *fits) } else { said.any(|(_, fits)| *fits) }
    }

    /// Whether it is open at a moment.
    ///
    /// # Errors
    /// When its time zone is unknown.
    pub fn is_open(&self, now: i64) -> Result<bool, String> {
        let last = self.opens(now.saturating_sub(self.duration))?;
        Ok(last.is_some_and(|start| start <= now))
    }

    /// When it opens after a moment.
    fn opens(&self, after: i64) -> Result<Option<i64>, String> {
        let after = Timestamp::from_second(after).map_err(|_| "the time is out of range")?;
        Ok(self.schedule.next(after, &zone(&self.zone)?).map(Timestamp::as_second))
    }

    /// When it opens, or closes, next.
    fn changes(&self, now: i64) -> Option<i64> {
        let last = self.opens(now.saturating_sub(self.duration)).ok()??;
        Some(if last <= now { last.saturating_add(self.duration) } else { last })
    }
}

impl Windows {
    /// Those that are about an Application.
    pub fn about(&self, subject: &Subject<'_>) -> Windows {
        Windows(self.0.iter().filter(|window| window.is_about(subject)).cloned().collect())
    }

    /// Whether a sync may run: a deny window that is open wins; where there are allow windows one must be open.
    /// `since` is when a sync that already runs began.
    ///
    /// # Errors
    /// When a window's time zone is unknown: nothing is synced then.
    pub fn decide(&self, now: i64, manual: bool, since: Option<i64>) -> Result<Decision, String> {
        let (mut denies, mut open_allow, mut closed_allows) = (Vec::new(), false, Vec::new());
        for window in &self.0 {
            match (window.allows, window.is_open(now)?) {
                (false, true) => denies.push(window),
                (true, true) => open_allow = true,
                (true, false) => closed_allows.push(window),
                (false, false) => {}
            }
        }
        let until = self.0.iter().filter_map(|window| window.changes(now)).min();
        let denied = |reason: &str| Decision::Denied { reason: reason.to_owned(), until };
        let began_allowed = |windows: &[&Window]| -> Result<bool, String> {
            match since {
                Some(since) if windows.iter().all(|window| window.overrun) => {
                    Ok(self.decide(since, manual, None)? == Decision::Allowed)
                }
                _ => Ok(false),
            }
        };
        if !denies.is_empty() {
            let free = manual && denies.iter().all(|window| window.manual);
            let on = free || began_allowed(&denies)?;
            return Ok(if on { Decision::Allowed } else { denied("a deny window of the project is open") });
        }
        if open_allow || closed_allows.is_empty() {
            return Ok(Decision::Allowed);
        }
        let free = manual && closed_allows.iter().all(|window| window.manual);
        let on = free || began_allowed(&closed_allows)?;
        Ok(if on { Decision::Allowed } else { denied("no allow window of the project is open") })
    }
}
