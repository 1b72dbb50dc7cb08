//! Cron schedules of five fields, as sync windows have them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// How far ahead the next moment is looked for.
const DAYS: i64 = 366 * 5;

/// A parsed schedule: which minutes, hours, days and months count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A day counts when either field holds, unless one of them is `*`.
    either_day: bool,
    zone: Option<String>,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Parses a schedule: five fields, or one of the `@` names.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut text = text.trim();
        let mut zone = None;
        if let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            let (name, rest) =
                rest.split_once(char::is_whitespace).ok_or("expected a schedule after the time zone")?;
            zone = Some(name.to_owned());
            text = rest.trim();
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        let starred = |field: &str| field.starts_with('*') || field.starts_with('?');
        let mut weekdays = field_bits(weekday, 0, 7, &WEEKDAYS, 0)?;
        if weekdays & (1 << 7) != 0 {
            weekdays |= 1;
        }
        Ok(Schedule {
            minutes: field_bits(minute, 0, 59, &[], 0)?,
            hours: field_bits(hour, 0, 23, &[], 0)?,
            days: field_bits(day, 1, 31, &[], 0)?,
            months: field_bits(month, 1, 12, &MONTHS, 1)?,
            weekdays,
            either_day: !starred(day) && !starred(weekday),
            zone,
        })
    }

    fn holds_on(&self, date: Date) -> bool {
        let bit = |bits: u64, at: i8| bits & (1 << at) != 0;
        let weekday = date.weekday().to_sunday_zero_offset();
        let (day, weekday) = (bit(self.days, date.day()), bit(self.weekdays, weekday));
        bit(self.months, date.month()) && if self.either_day { day || weekday } else { day && weekday }
    }

    /// The first moment after `after` (seconds since the epoch) in a time zone; nothing within five years.
    ///
    /// # Errors
    /// When the zone is unknown or the time out of range.
    pub fn next(&self, after: i64, zone: &str) -> Result<Option<i64>, String> {
        let name = self.zone.as_deref().unwrap_or(zone);
        let zone = match name {
            "" | "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))?,
        };
        let range = |_| "the time is out of range".to_owned();
        let start = Timestamp::from_second(after).map_err(range)?.to_zoned(zone.clone());
        let mut date = start.date();
        for _ in 0..DAYS {
            if self.holds_on(date)
                && let Some(found) = self.first_on(date, &zone, after)
            {
                return Ok(Some(found));
            }
            date = date.checked_add(1.day()).map_err(|_| "the time is out of range".to_owned())?;
        }
        Ok(None)
    }

    fn first_on(&self, date: Date, zone: &TimeZone, after: i64) -> Option<i64> {
        for hour in (0..24i8).filter(|hour| self.hours & (1 << hour) != 0) {
            for minute in (0..60i8).filter(|minute| self.minutes & (1 << minute) != 0) {
                let moment: Option<Zoned> = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok();
                let second = moment.map(|moment| moment.timestamp().as_second());
                if let Some(second) = second.filter(|second| *second > after) {
                    return Some(second);
                }
            }
        }
        None
    }
}

/// The bits of a field: lists of `*`, numbers, names and ranges, each with a step.
fn field_bits(field: &str, low: u32, high: u32, names: &[&str], first: u32) -> Result<u64, String> {
    let mut bits = 0u64;
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<u32>().ok().filter(|step| *step > 0);
                (
                    range,
                    Some(step.ok_or_else(|| format!("step of range should be a positive number: {part}"))?),
                )
            }
            None => (part, None),
        };
        let number = |text: &str| -> Result<u32, String> {
            let lower = text.to_lowercase();
            if let Some(at) = names.iter().position(|name| *name == lower) {
                return Ok(u32::try_from(at).unwrap_or(0) + first);
            }
            text.parse::<u32>().map_err(|_| format!("failed to parse int from {text}"))
        };
        let (start, end) = match range {
            "*" | "?" => (low, high.min(if names.len() == 7 { 6 } else { high })),
            range => match range.split_once('-') {
                Some((start, end)) => (number(start)?, number(end)?),
                None => {
                    let start = number(range)?;
                    (start, if step.is_some() { high } else { start })
                }
            },
        };
        if start < low || end > high {
            return Err(format!("{part} is outside of {low} to {high}"));
        }
        if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
        }
        let mut at = start;
        while at <= end {
            bits |= 1 << at;
            at += step.unwrap_or(1);
        }
    }
    Ok(bits)
}
