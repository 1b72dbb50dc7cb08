//! Cron schedules: five fields, names, ranges, steps, `@daily` and its kin, a time zone in front.
//!
//! The semantics and the words of errors are those of `ParseStandard` of the library `robfig/cron` 3, which
//! Kubernetes' CronJobs and Argo CD's sync windows are made with.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::duration;

/// Of this year after the one it begins in no time is looked for any more: 30 February has none.
const YEARS: i16 = 5;
/// Clocks are set back by less: so much later on the clock is later in fact.
const LARGEST_FOLD: SignedDuration = SignedDuration::from_hours(3);

/// A schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    times: Times,
    /// The zone that the schedule names itself.
    zone: Option<TimeZone>,
}

#[derive(Debug, Clone, PartialEq)]
enum Times {
    /// `@every`: whole seconds.
    Every(i64),
    Fields(Fields),
}

/// What of a time each field admits.
#[derive(Debug, Clone, PartialEq)]
struct Fields {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
}

/// The values of a field, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Set {
    bits: u64,
    /// Given as a star, not as a list: a day then has to hold in both of its fields.
    star: bool,
}

/// The values that a field may have.
struct Bounds {
    low: u64,
    high: u64,
    /// Names of the values, from the lowest on.
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { low: 0, high: 59, names: &[] };
const HOURS: Bounds = Bounds { low: 0, high: 23, names: &[] };
const DAYS: Bounds = Bounds { low: 1, high: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds =
    Bounds { low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// The library's words for what is wrong.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        if text.is_empty() {
            return Err("empty spec string".to_owned());
        }
        let Some(rest) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else {
            return Ok(Schedule { times: Times::parse(text)?, zone: None });
        };
        let (name, rest) = rest.split_once(' ').ok_or("expected a schedule after the time zone")?;
        let zone = zone(name).map_err(|why| format!("provided bad location {name}: {why}"))?;
        Ok(Schedule { times: Times::parse(rest.trim())?, zone: Some(zone) })
    }

    /// The first time after `after`, on the clocks of `zone` unless the schedule names one; `None` when there is none
    /// within five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second()).ok()?;
        match &self.times {
            Times::Every(seconds) => whole.checked_add(SignedDuration::from_secs(*seconds)).ok(),
            Times::Fields(fields) => fields.next(whole, self.zone.as_ref().unwrap_or(zone)),
        }
    }
}

/// The zone of a name, whose letters count; UTC of none, and of `Local`, as in a container.
///
/// # Errors
/// In Go's words when no zone has that name.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    if name.starts_with(['/', '\\']) || name.contains("..") {
        return Err("time: invalid location name".to_owned());
    }
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name));
    found.ok_or_else(|| format!("unknown time zone {name}"))
}

impl Times {
    fn parse(text: &str) -> Result<Times, String> {
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(pause) = text.strip_prefix("@every ") {
            let nanos = duration::parse(pause)
                .map_err(|error| format!("failed to parse duration {text}: {error}"))?;
            return Ok(Times::Every((nanos / 1_000_000_000).max(1)));
        }
        if text.starts_with('@') {
            return Err(format!("unrecognized descriptor: {text}"));
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            let (count, shown) = (parts.len(), parts.join(" "));
            return Err(format!("expected exactly 5 fields, found {count}: [{shown}]"));
        };
        Ok(Times::Fields(Fields {
            minutes: MINUTES.parse(minute)?,
            hours: HOURS.parse(hour)?,
            days: DAYS.parse(day)?,
            months: MONTHS.parse(month)?,
            weekdays: WEEKDAYS.parse(weekday)?,
        }))
    }
}

impl Fields {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = zone.to_datetime(after);
        // Clocks that are set back show what they showed before.
        let earliest = start.checked_sub(LARGEST_FOLD).ok()?;
        let mut date = earliest.date();
        while date.year() <= start.year().checked_add(YEARS)? {
            if self.admits(date)
                && let Some(found) = self.first_on(date, zone, earliest, after)
            {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn admits(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let both = self.days.star || self.weekdays.star;
        self.months.has(date.month()) && if both { day && weekday } else { day || weekday }
    }

    /// What the clocks leave out does not happen, what they show twice happens twice.
    fn first_on(
        &self,
        date: Date,
        zone: &TimeZone,
        earliest: DateTime,
        after: Timestamp,
    ) -> Option<Timestamp> {
        let times = self
            .hours
            .values()
            .flat_map(|hour| self.minutes.values().map(move |minute| date.at(hour, minute, 0, 0)));
        // The first time found, and what the clocks show when no other can come before it.
        let mut first: Option<(Timestamp, DateTime)> = None;
        for local in times.filter(|local| *local >= earliest) {
            if first.is_some_and(|(_, surely)| local >= surely) {
                break;
            }
            let found = instants(local, zone).filter(|time| *time > after).min();
            if let Some(time) = found.filter(|time| first.is_none_or(|(known, _)| *time < known)) {
                first = Some((time, zone.to_datetime(time).saturating_add(LARGEST_FOLD)));
            }
        }
        first.map(|(time, _)| time)
    }
}

/// When the clocks of a zone show a time.
fn instants(local: DateTime, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
    let offsets = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => [Some(offset), None],
        AmbiguousOffset::Gap { .. } => [None, None],
        AmbiguousOffset::Fold { before, after } => [Some(before), Some(after)],
    };
    offsets.into_iter().flatten().filter_map(move |offset| offset.to_timestamp(local).ok())
}

impl Set {
    fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.bits & (1 << value) != 0)
    }

    fn values(self) -> impl Iterator<Item = i8> {
        (0..60).filter(move |value| self.has(*value))
    }
}

impl Bounds {
    /// A list of stars, values and ranges, each with a step.
    fn parse(&self, field: &str) -> Result<Set, String> {
        let mut set = Set::default();
        for part in field.split(',').filter(|part| !part.is_empty()) {
            let (bits, star) = self.range(part)?;
            set.bits |= bits;
            set.star |= star;
        }
        Ok(set)
    }

    fn range(&self, text: &str) -> Result<(u64, bool), String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (text, None),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first, Some(last)),
            None => (range, None),
        };
        // A star looks at nothing behind it.
        let star = matches!(first, "*" | "?");
        let (start, mut end) = match last {
            _ if star => (self.low, self.high),
            None => {
                let value = self.value(first)?;
                (value, value)
            }
            Some(last) => {
                let start = self.value(first)?;
                if last.contains('-') {
                    return Err(format!("too many hyphens: {text}"));
                }
                (start, self.value(last)?)
            }
        };
        let mut every = 1;
        if let Some(step) = step {
            if step.contains('/') {
                return Err(format!("too many slashes: {text}"));
            }
            every = number(step)?;
            // A value with a step begins a range.
            if last.is_none() {
                end = self.high;
            }
        }
        let (low, high) = (self.low, self.high);
        if start < low {
            return Err(format!("beginning of range ({start}) below minimum ({low}): {text}"));
        }
        if end > high {
            return Err(format!("end of range ({end}) above maximum ({high}): {text}"));
        }
        if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
        }
        if every == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
        let mut bits = 0;
        let mut value = start;
        while value <= end {
            bits |= 1 << value;
            value = value.saturating_add(every);
        }
        Ok((bits, star && every == 1))
    }

    fn value(&self, text: &str) -> Result<u64, String> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        match named {
            Some(at) => Ok(self.low + at as u64),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let why = if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        "invalid syntax"
    } else {
        match text.parse::<i64>() {
            Ok(number) => {
                return u64::try_from(number)
                    .map_err(|_| format!("negative number ({number}) not allowed: {text}"));
            }
            Err(_) => "value out of range",
        }
    };
    Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"))
}
