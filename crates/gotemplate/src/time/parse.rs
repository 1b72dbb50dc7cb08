//! Reading a time by its layout.

use std::rc::Rc;

use super::layout::{DAYS, MONTHS, OffsetStyle, Piece, next};
use super::{Time, Zone, days_in, is_leap};

/// What is read so far.
#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    yday: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    am: bool,
    pm: bool,
    utc: bool,
    offset: Option<i64>,
    zone: String,
}

/// Why a piece could not be read.
enum Bad {
    Syntax,
    Range(&'static str),
}

/// As Go's `time.quote`: plain ASCII as it is, all other bytes in hexadecimal.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\u{7f}' => out.push(c),
            c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("\\x{byte:02x}"))),
        }
    }
    out.push('"');
    out
}

/// Reads `value` by `layout`; without a zone of its own, it is in `local`.
pub(crate) fn parse(layout: &str, value: &str, local: &Rc<Zone>) -> Result<Time, String> {
    let cannot = |element: &str, at: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(value),
            quote(layout),
            quote(at),
            quote(element)
        )
    };
    let other = |message: String| format!("parsing time {}: {message}", quote(value));
    let mut fields = Fields::default();
    let (mut pieces, mut rest) = (layout, value);
    loop {
        let (prefix, found, suffix) = next(pieces);
        rest = skip(rest, prefix).map_err(|at| cannot(prefix, at))?;
        let Some((piece, text)) = found else {
            if rest.is_empty() {
                break;
            }
            return Err(other(format!("extra text: {}", quote(rest))));
        };
        pieces = suffix;
        let hold = rest;
        match fields.read(piece, &mut rest, pieces) {
            Ok(()) => {}
            Err(Bad::Range(what)) => return Err(other(format!("{what} out of range"))),
            Err(Bad::Syntax) => return Err(cannot(text, hold)),
        }
    }
    fields.time(local).map_err(|message| other(message.to_owned()))
}

/// Passes literal text; a space matches any number of them.
fn skip<'v>(value: &'v str, prefix: &str) -> Result<&'v str, &'v str> {
    let (mut value, mut prefix) = (value, prefix);
    while let Some(c) = prefix.chars().next() {
        if c == ' ' {
            if !value.is_empty() && !value.starts_with(' ') {
                return Err(value);
            }
            prefix = prefix.trim_start_matches(' ');
            value = value.trim_start_matches(' ');
            continue;
        }
        value = value.strip_prefix(c).ok_or(value)?;
        prefix = prefix.get(c.len_utf8()..).unwrap_or("");
    }
    Ok(value)
}

fn digit(text: &str, at: usize) -> Option<u32> {
    text.as_bytes().get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0'))
}

/// One or two digits; exactly two, if `fixed`.
fn number(rest: &mut &str, fixed: bool) -> Result<u32, Bad> {
    let first = digit(rest, 0).ok_or(Bad::Syntax)?;
    let (value, length) = match digit(rest, 1) {
        Some(second) => (first * 10 + second, 2),
        None if fixed => return Err(Bad::Syntax),
        None => (first, 1),
    };
    *rest = rest.get(length..).unwrap_or("");
    Ok(value)
}

fn take<'v>(rest: &mut &'v str, count: usize) -> Result<&'v str, Bad> {
    let (head, tail) = (rest.get(..count).ok_or(Bad::Syntax)?, rest.get(count..).ok_or(Bad::Syntax)?);
    *rest = tail;
    Ok(head)
}

/// A name in any letter case, whole or its first three letters; which one it is.
fn name(names: &[&str], whole: bool, rest: &mut &str) -> Result<u32, Bad> {
    for (index, name) in names.iter().enumerate() {
        let length = if whole { name.len() } else { 3 };
        let matches = |head: &str| name.get(..length).is_some_and(|name| name.eq_ignore_ascii_case(head));
        if rest.get(..length).is_some_and(matches) {
            *rest = rest.get(length..).unwrap_or("");
            return Ok(index as u32);
        }
    }
    Err(Bad::Syntax)
}

fn within(value: u32, range: std::ops::RangeInclusive<u32>, what: &'static str) -> Result<u32, Bad> {
    if range.contains(&value) { Ok(value) } else { Err(Bad::Range(what)) }
}

/// A point and digits as nanoseconds.
fn nanos(rest: &mut &str, length: usize) -> Result<u32, Bad> {
    let text = take(rest, length)?;
    let digits = text.strip_prefix(['.', ',']).ok_or(Bad::Syntax)?;
    let kept = digits.get(..digits.len().min(9)).unwrap_or("");
    if kept.is_empty() || !kept.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Bad::Syntax);
    }
    format!("{kept:0<9}").parse().map_err(|_| Bad::Syntax)
}

impl Fields {
    fn read(&mut self, piece: Piece, rest: &mut &str, pieces: &str) -> Result<(), Bad> {
        match piece {
            Piece::Year => {
                let year: i64 = take(rest, 2)?.parse().map_err(|_| Bad::Syntax)?;
                self.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Piece::LongYear => {
                digit(rest, 0).ok_or(Bad::Syntax)?;
                self.year = take(rest, 4)?.parse().map_err(|_| Bad::Syntax)?;
            }
            Piece::Month => self.month = Some(name(&MONTHS, false, rest)? + 1),
            Piece::LongMonth => self.month = Some(name(&MONTHS, true, rest)? + 1),
            Piece::NumMonth | Piece::ZeroMonth => {
                self.month = Some(within(number(rest, piece == Piece::ZeroMonth)?, 1..=12, "month")?);
            }
            Piece::WeekDay => {
                name(&DAYS, false, rest)?;
            }
            Piece::LongWeekDay => {
                name(&DAYS, true, rest)?;
            }
            Piece::Day | Piece::UnderDay | Piece::ZeroDay => {
                if piece == Piece::UnderDay {
                    *rest = rest.strip_prefix(' ').unwrap_or(rest);
                }
                self.day = Some(number(rest, piece == Piece::ZeroDay)?);
            }
            Piece::UnderYearDay | Piece::ZeroYearDay => {
                self.read_year_day(rest, piece == Piece::ZeroYearDay)?
            }
            Piece::Hour => self.hour = within(number(rest, false)?, 0..=23, "hour")?,
            Piece::Hour12 | Piece::ZeroHour12 => {
                self.hour = within(number(rest, piece == Piece::ZeroHour12)?, 0..=12, "hour")?;
            }
            Piece::Minute | Piece::ZeroMinute => {
                self.minute = within(number(rest, piece == Piece::ZeroMinute)?, 0..=59, "minute")?;
            }
            Piece::Second | Piece::ZeroSecond => {
                self.second = within(number(rest, piece == Piece::ZeroSecond)?, 0..=59, "second")?;
                self.read_stray_fraction(rest, pieces)?;
            }
            Piece::UpperPm => self.half(take(rest, 2)?, "AM", "PM")?,
            Piece::LowerPm => self.half(take(rest, 2)?, "am", "pm")?,
            Piece::Zone => self.read_zone(rest)?,
            Piece::Offset(style) => self.read_offset(rest, style)?,
            Piece::Fraction0(digits, _) => self.nanos = nanos(rest, digits + 1)?,
            Piece::Fraction9(..) => {
                if rest.starts_with(['.', ',']) && digit(rest, 1).is_some() {
                    self.nanos = nanos(rest, fraction_length(rest))?;
                }
            }
        }
        Ok(())
    }

    fn half(&mut self, text: &str, am: &str, pm: &str) -> Result<(), Bad> {
        self.am = text == am;
        self.pm = text == pm;
        if self.am || self.pm { Ok(()) } else { Err(Bad::Syntax) }
    }

    fn read_year_day(&mut self, rest: &mut &str, fixed: bool) -> Result<(), Bad> {
        if !fixed {
            for _ in 0..2 {
                *rest = rest.strip_prefix(' ').unwrap_or(rest);
            }
        }
        let count = (0..3).take_while(|at| digit(rest, *at).is_some()).count();
        if count == 0 || (fixed && count != 3) {
            return Err(Bad::Syntax);
        }
        self.yday = Some(take(rest, count)?.parse().map_err(|_| Bad::Syntax)?);
        Ok(())
    }

    /// A fraction after the seconds that the layout does not name is read all the same.
    fn read_stray_fraction(&mut self, rest: &mut &str, pieces: &str) -> Result<(), Bad> {
        if !rest.starts_with(['.', ',']) || digit(rest, 1).is_none() {
            return Ok(());
        }
        if let (_, Some((Piece::Fraction0(..) | Piece::Fraction9(..), _)), _) = next(pieces) {
            return Ok(());
        }
        self.nanos = nanos(rest, fraction_length(rest))?;
        Ok(())
    }

    fn read_zone(&mut self, rest: &mut &str) -> Result<(), Bad> {
        if let Some(after) = rest.strip_prefix("UTC") {
            self.utc = true;
            *rest = after;
            return Ok(());
        }
        let length = zone_length(rest).ok_or(Bad::Syntax)?;
        self.zone = take(rest, length)?.to_owned();
        Ok(())
    }

    fn read_offset(&mut self, rest: &mut &str, style: OffsetStyle) -> Result<(), Bad> {
        if let Some(after) = rest.strip_prefix('Z').filter(|_| style.z) {
            self.utc = true;
            *rest = after;
            return Ok(());
        }
        let part = |rest: &mut &str| {
            let text = take(rest, 2)?;
            let mut digits = text;
            number(&mut digits, true)
        };
        let colon = |rest: &mut &str| {
            if style.colon && take(rest, 1)? != ":" {
                return Err(Bad::Syntax);
            }
            Ok(())
        };
        let sign = take(rest, 1)?;
        let hours = part(rest)?;
        let (mut minutes, mut seconds) = (0, 0);
        if style.minutes {
            colon(rest)?;
            minutes = part(rest)?;
        }
        if style.seconds {
            colon(rest)?;
            seconds = part(rest)?;
        }
        within(hours, 0..=24, "time zone offset hour")?;
        within(minutes, 0..=60, "time zone offset minute")?;
        within(seconds, 0..=60, "time zone offset second")?;
        let offset = i64::from((hours * 60 + minutes) * 60 + seconds);
        self.offset = Some(match sign {
            "+" => offset,
            "-" => -offset,
            _ => return Err(Bad::Syntax),
        });
        Ok(())
    }

    /// Month and day of a day of the year.
    fn resolve_year_day(&mut self) -> Result<(), &'static str> {
        let Some(yday) = self.yday else { return Ok(()) };
        if yday < 1 || yday > 365 + u32::from(is_leap(self.year)) {
            return Err("day-of-year out of range");
        }
        let (mut month, mut day) = (1, yday);
        while day > days_in(month, self.year) {
            day -= days_in(month, self.year);
            month += 1;
        }
        if self.month.is_some_and(|own| own != month) {
            return Err("day-of-year does not match month");
        }
        if self.day.is_some_and(|own| own != day) {
            return Err("day-of-year does not match day");
        }
        self.month = Some(month);
        self.day = Some(day);
        Ok(())
    }

    fn time(mut self, local: &Rc<Zone>) -> Result<Time, &'static str> {
        if self.pm && self.hour < 12 {
            self.hour += 12;
        } else if self.am && self.hour == 12 {
            self.hour = 0;
        }
        self.resolve_year_day()?;
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if day < 1 || day > days_in(month, self.year) {
            return Err("day out of range");
        }
        let clock = i64::from((self.hour * 60 + self.minute) * 60 + self.second);
        let at =
            |zone: Rc<Zone>| Time::of(self.year, i64::from(month), i64::from(day), clock, self.nanos, zone);
        if self.utc {
            return Ok(at(Zone::utc()));
        }
        let fixed = |offset: i64| Zone::fixed(&self.zone, i32::try_from(offset).unwrap_or(0));
        if let Some(offset) = self.offset {
            let time = at(fixed(offset));
            let (own, name) = local.at(time.seconds);
            let same = own == offset && (self.zone.is_empty() || name == self.zone);
            return Ok(if same { time.in_zone(local.clone()) } else { time });
        }
        if !self.zone.is_empty() {
            let time = at(local.clone());
            if local.at(time.seconds).1 == self.zone {
                return Ok(time);
            }
            let hours =
                self.zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok()).unwrap_or(0);
            return Ok(at(fixed(hours * 3600)));
        }
        Ok(at(local.clone()))
    }
}

/// The point and all digits after it.
fn fraction_length(text: &str) -> usize {
    1 + text.bytes().skip(1).take_while(u8::is_ascii_digit).count()
}

/// How long the abbreviation of a zone is.
fn zone_length(text: &str) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(3 + signed_length(rest).unwrap_or(0));
    }
    if text.starts_with(['+', '-']) {
        return signed_length(text);
    }
    let capitals = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    let t_at = |at: usize| text.as_bytes().get(at) == Some(&b'T');
    match capitals {
        3 => Some(3),
        4 if t_at(3) || text.starts_with("WITA") => Some(4),
        5 if t_at(4) => Some(5),
        _ => None,
    }
}

/// The length of a signed number of hours.
fn signed_length(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['+', '-'])?;
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let hours: u32 = digits.get(..length)?.parse().ok()?;
    (hours <= 23).then_some(length + 1)
}
