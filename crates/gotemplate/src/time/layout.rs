//! Layouts: what each piece of the reference time means.

use super::Civil;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// How an offset is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OffsetStyle {
    /// `Z` for UTC.
    pub(super) z: bool,
    pub(super) colon: bool,
    pub(super) minutes: bool,
    pub(super) seconds: bool,
}

/// A piece of a layout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Year,
    LongYear,
    Month,
    LongMonth,
    NumMonth,
    ZeroMonth,
    WeekDay,
    LongWeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    UpperPm,
    LowerPm,
    Zone,
    Offset(OffsetStyle),
    /// `.000`: digits, and whether a comma stands for the point.
    Fraction0(usize, bool),
    /// `.999`: without trailing zeros.
    Fraction9(usize, bool),
}

const fn offset(z: bool, colon: bool, minutes: bool, seconds: bool) -> Piece {
    Piece::Offset(OffsetStyle { z, colon, minutes, seconds })
}

/// Fixed spellings, longer ones before those they begin with.
const SPELLINGS: [(&str, Piece); 33] = [
    ("January", Piece::LongMonth),
    ("Monday", Piece::LongWeekDay),
    ("MST", Piece::Zone),
    ("01", Piece::ZeroMonth),
    ("002", Piece::ZeroYearDay),
    ("02", Piece::ZeroDay),
    ("03", Piece::ZeroHour12),
    ("04", Piece::ZeroMinute),
    ("05", Piece::ZeroSecond),
    ("06", Piece::Year),
    ("15", Piece::Hour),
    ("1", Piece::NumMonth),
    ("2006", Piece::LongYear),
    ("2", Piece::Day),
    ("_2", Piece::UnderDay),
    ("__2", Piece::UnderYearDay),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
    ("PM", Piece::UpperPm),
    ("pm", Piece::LowerPm),
    ("-070000", offset(false, false, true, true)),
    ("-07:00:00", offset(false, true, true, true)),
    ("-0700", offset(false, false, true, false)),
    ("-07:00", offset(false, true, true, false)),
    ("-07", offset(false, false, false, false)),
    ("Z070000", offset(true, false, true, true)),
    ("Z07:00:00", offset(true, true, true, true)),
    ("Z0700", offset(true, false, true, false)),
    ("Z07:00", offset(true, true, true, false)),
    ("Z07", offset(true, false, false, false)),
    ("Jan", Piece::Month),
    ("Mon", Piece::WeekDay),
];

/// The piece at the beginning of `rest`, and its length.
fn piece(rest: &str) -> Option<(Piece, usize)> {
    let first = *rest.as_bytes().first()?;
    match first {
        b'.' | b',' => return fraction(rest, first == b','),
        b'J' | b'M' | b'0'..=b'5' | b'_' | b'P' | b'p' | b'-' | b'Z' => {}
        _ => return None,
    }
    let (text, piece) = SPELLINGS.iter().find(|(text, _)| rest.starts_with(text))?;
    let after = rest.get(text.len()..).unwrap_or("");
    // `Janus` is no month.
    if matches!(piece, Piece::Month | Piece::WeekDay) && after.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    Some((*piece, text.len()))
}

fn fraction(rest: &str, comma: bool) -> Option<(Piece, usize)> {
    let digits = rest.get(1..)?;
    let kind = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == kind).count();
    if digits.as_bytes().get(count).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let piece = if kind == '0' { Piece::Fraction0(count, comma) } else { Piece::Fraction9(count, comma) };
    Some((piece, count + 1))
}

/// The text before the next piece, the piece with its text, and the rest.
pub(super) fn next(layout: &str) -> (&str, Option<(Piece, &str)>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..).unwrap_or("");
        // `_2006` is an underscore before a year.
        if rest.starts_with("_2006") {
            let (prefix, suffix) = (layout.get(..=at).unwrap_or(""), layout.get(at + 5..).unwrap_or(""));
            return (prefix, Some((Piece::LongYear, "2006")), suffix);
        }
        if let Some((piece, length)) = piece(rest) {
            let text = rest.get(..length).unwrap_or("");
            return (layout.get(..at).unwrap_or(""), Some((piece, text)), rest.get(length..).unwrap_or(""));
        }
    }
    (layout, None, "")
}

pub(super) fn format(civil: &Civil, nanos: u32, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while !rest.is_empty() {
        let (prefix, found, suffix) = next(rest);
        out.push_str(prefix);
        let Some((piece, _)) = found else { break };
        out.push_str(&show(civil, nanos, piece));
        rest = suffix;
    }
    out
}

/// A number with zeros on the left; the sign stands before them.
fn padded(number: i64, width: usize) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{:0width$}", number.unsigned_abs())
}

fn short(name: &str) -> String {
    name.get(..3).unwrap_or(name).to_owned()
}

fn show(civil: &Civil, nanos: u32, piece: Piece) -> String {
    let month = MONTHS.get(civil.month as usize - 1).copied().unwrap_or("");
    let weekday = DAYS.get(civil.weekday as usize).copied().unwrap_or("");
    let hour12 = (civil.hour + 11) % 12 + 1;
    match piece {
        Piece::Year => format!("{:02}", civil.year.unsigned_abs() % 100),
        Piece::LongYear => padded(civil.year, 4),
        Piece::Month => short(month),
        Piece::LongMonth => month.to_owned(),
        Piece::NumMonth => civil.month.to_string(),
        Piece::ZeroMonth => format!("{:02}", civil.month),
        Piece::WeekDay => short(weekday),
        Piece::LongWeekDay => weekday.to_owned(),
        Piece::Day => civil.day.to_string(),
        Piece::UnderDay => format!("{:2}", civil.day),
        Piece::ZeroDay => format!("{:02}", civil.day),
        Piece::UnderYearDay => format!("{:3}", civil.yday),
        Piece::ZeroYearDay => format!("{:03}", civil.yday),
        Piece::Hour => format!("{:02}", civil.hour),
        Piece::Hour12 => hour12.to_string(),
        Piece::ZeroHour12 => format!("{hour12:02}"),
        Piece::Minute => civil.minute.to_string(),
        Piece::ZeroMinute => format!("{:02}", civil.minute),
        Piece::Second => civil.second.to_string(),
        Piece::ZeroSecond => format!("{:02}", civil.second),
        Piece::UpperPm => if civil.hour >= 12 { "PM" } else { "AM" }.to_owned(),
        Piece::LowerPm => if civil.hour >= 12 { "pm" } else { "am" }.to_owned(),
        Piece::Zone if civil.abbreviation.is_empty() => {
            show_offset(civil.offset, OffsetStyle { z: false, colon: false, minutes: true, seconds: false })
        }
        Piece::Zone => civil.abbreviation.clone(),
        Piece::Offset(style) => show_offset(civil.offset, style),
        Piece::Fraction0(digits, comma) => format!("{}{}", mark(comma), fraction_digits(nanos, digits)),
        Piece::Fraction9(digits, comma) => {
            let text = fraction_digits(nanos, digits);
            let text = text.trim_end_matches('0');
            if text.is_empty() { String::new() } else { format!("{}{text}", mark(comma)) }
        }
    }
}

fn mark(comma: bool) -> char {
    if comma { ',' } else { '.' }
}

fn fraction_digits(nanos: u32, digits: usize) -> String {
    let all = format!("{nanos:09}");
    let kept = all.get(..digits.min(9)).unwrap_or("");
    format!("{kept:0<digits$}")
}

fn show_offset(offset: i64, style: OffsetStyle) -> String {
    if style.z && offset == 0 {
        return "Z".to_owned();
    }
    let minutes = offset / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let mut out = format!("{sign}{:02}", minutes.abs() / 60);
    let colon = if style.colon { ":" } else { "" };
    if style.minutes {
        out.push_str(&format!("{colon}{:02}", minutes.abs() % 60));
    }
    if style.seconds {
        out.push_str(&format!("{colon}{:02}", offset.abs() % 60));
    }
    out
}
