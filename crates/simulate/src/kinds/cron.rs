//! Cron schedules: five fields, names, ranges, steps, `@daily` and its kin, a time zone.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A schedule.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A star in both day fields joins them by "and", otherwise either may match.
    any_day: bool,
    any_weekday: bool,
    /// `@every`: so many seconds.
    every: Option<i64>,
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// A schedule that has no time within so many days has none (30 February).
const HORIZON_DAYS: i32 = 366 * 5;

impl Schedule {
    /// Reads a schedule; the reason when it is none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let mut schedule = Schedule {
            minutes: 0,
            hours: 0,
            days: 0,
            months: 0,
            weekdays: 0,
            any_day: false,
            any_weekday: false,
            every: None,
        };
        if let Some(pause) = text.strip_prefix("@every ") {
            schedule.every = Some(seconds(pause.trim()).ok_or_else(|| format!("{pause:?} is no duration"))?);
            return Ok(schedule);
        }
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: {parts:?}", parts.len()));
        };
        schedule.minutes = field(minute, 0, 59, &[])?;
        schedule.hours = field(hour, 0, 23, &[])?;
        schedule.days = field(day, 1, 31, &[])?;
        schedule.months = field(month, 1, 12, MONTHS)?;
        let weekdays = field(weekday, 0, 7, WEEKDAYS)?;
        // Seven is Sunday, too.
        schedule.weekdays = (weekdays | (weekdays >> 7)) & 0x7F;
        schedule.any_day = day.starts_with(['*', '?']);
        schedule.any_weekday = weekday.starts_with(['*', '?']);
        Ok(schedule)
    }

    /// The first time after `from`.
    pub(crate) fn next(&self, from: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if let Some(seconds) = self.every {
            return from.checked_add(jiff::SignedDuration::from_secs(seconds)).ok();
        }
        let start = zone.to_datetime(from);
        let mut day = start.date();
        for _ in 0..HORIZON_DAYS {
            if self.on_day(day) {
                for hour in bits(self.hours) {
                    for minute in bits(self.minutes) {
                        let (Ok(hour), Ok(minute)) = (i8::try_from(hour), i8::try_from(minute)) else {
                            continue;
                        };
                        let local: DateTime = day.at(hour, minute, 0, 0);
                        if local <= start {
                            continue;
                        }
                        if let Ok(time) = zone.to_ambiguous_zoned(local).compatible()
                            && time.timestamp() > from
                        {
                            return Some(time.timestamp());
                        }
                    }
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn on_day(&self, day: jiff::civil::Date) -> bool {
        let has = |set: u64, value: i8| u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0);
        if !has(self.months, day.month()) {
            return false;
        }
        let of_month = has(self.days, day.day());
        let of_week = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        if self.any_day || self.any_weekday { of_month && of_week } else { of_month || of_week }
    }
}

fn bits(set: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| set & (1 << bit) != 0)
}

/// `1h30m` as seconds.
fn seconds(text: &str) -> Option<i64> {
    let (mut total, mut number) = (0i64, String::new());
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    (number.is_empty() && total > 0).then_some(total)
}

/// One field as a set of bits.
fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a list of values from {low} to {high}");
    let value = |word: &str| -> Option<u32> {
        let named = names.iter().position(|name| word.eq_ignore_ascii_case(name));
        let number = match named {
            // Months count from one.
            Some(at) => u32::try_from(at).ok()? + low,
            None => word.parse().ok()?,
        };
        (low..=high).contains(&number).then_some(number)
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, step.parse::<u32>().ok().filter(|step| *step > 0).ok_or_else(wrong)?)
            }
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (value(from).ok_or_else(wrong)?, value(to).ok_or_else(wrong)?),
            None if range == "*" || range == "?" => (low, high),
            None => {
                let from = value(range).ok_or_else(wrong)?;
                (from, if part.contains('/') { high } else { from })
            }
        };
        if from > to {
            return Err(wrong());
        }
        let mut at = from;
        while at <= to {
            set |= 1u64 << at;
            at += step;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_times() {
        for (schedule, from, next) in [
            ("*/5 * * * *", "2026-01-01T00:01:30Z", "2026-01-01T00:05:00Z"),
            ("0 0 * * *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("30 4 1,15 * 5", "2026-01-02T05:00:00Z", "2026-01-09T04:30:00Z"),
            ("0 12 * feb mon-fri", "2026-01-30T00:00:00Z", "2026-02-02T12:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@hourly", "2026-01-01T00:59:59Z", "2026-01-01T01:00:00Z"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
        ] {
            let found = Schedule::parse(schedule)
                .expect(schedule)
                .next(from.parse().expect("a time"), &TimeZone::UTC);
            assert_eq!(found, Some(next.parse().expect("a time")), "{schedule}");
        }
        assert!(
            Schedule::parse("0 0 30 2 *")
                .expect("parses")
                .next(Timestamp::UNIX_EPOCH, &TimeZone::UTC)
                .is_none()
        );
        for wrong in ["", "* * * *", "60 * * * *", "a * * * *", "*/0 * * * *", "5-1 * * * *", "@every x"] {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
