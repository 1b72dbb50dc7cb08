//! Durations: nanoseconds as `1h2m3.5s`. The semantics are those of Go's package `time`.

use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
/// The largest magnitude, which only a negative duration has.
const MAX: u64 = 1 << 63;

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1000),
    ("µs", 1000),
    ("μs", 1000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

/// Nanoseconds as `time.Duration.String` prints them: `1h0m0s`, `5m0s`, `1.5s`, `12ms`.
pub fn string(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let sign = if nanos < 0 { "-" } else { "" };
    if size == 0 {
        return "0s".to_owned();
    }
    if size < SECOND {
        let (unit, name) = match size {
            0..1000 => (1, "ns"),
            1000..1_000_000 => (1000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", fraction(size, unit));
    }
    let (hours, minutes) = (size / (3600 * SECOND), size / (60 * SECOND) % 60);
    let seconds = fraction(size % (60 * SECOND), SECOND);
    match (hours, size / (60 * SECOND)) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// A span as [`string`] prints it; the longest that Go knows for all that are longer.
pub fn shown(span: Duration) -> String {
    string(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX))
}

/// `size` in `unit`s, with as many decimals as it has.
fn fraction(size: u64, unit: u64) -> String {
    let (whole, rest) = (size / unit, size % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

/// Reads nanoseconds as `time.ParseDuration` does.
///
/// # Errors
/// In Go's words: no duration, no unit, an unknown one, or too many nanoseconds.
pub fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (whole, tail) = rest.split_at(end);
        let (decimals, tail) = match tail.strip_prefix('.') {
            Some(tail) => tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())),
            None => ("", tail),
        };
        if whole.is_empty() && decimals.is_empty() {
            return Err(invalid());
        }
        let end = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(end);
        if name.is_empty() {
            return Err(format!("time: missing unit in duration {}", quoted(text)));
        }
        let Some((_, unit)) = UNITS.iter().find(|(unit, _)| *unit == name) else {
            return Err(format!("time: unknown unit {} in duration {}", quoted(name), quoted(text)));
        };
        rest = tail;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        let kept = decimals.get(..decimals.len().min(18)).unwrap_or("");
        let part = kept.parse::<u64>().unwrap_or(0) as f64 * (*unit as f64 / 10f64.powi(kept.len() as i32));
        let amount = whole.checked_mul(*unit).and_then(|amount| amount.checked_add(part as u64));
        total = amount
            .and_then(|amount| total.checked_add(amount))
            .filter(|total| *total <= MAX)
            .ok_or_else(invalid)?;
    }
    if negative {
        return Ok((total as i64).wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid())
}

/// As [`parse`], for what cannot be negative.
///
/// # Errors
/// As [`parse`], and for a negative duration.
pub fn span(text: &str) -> Result<Duration, String> {
    let nanos = parse(text)?;
    let nanos = u64::try_from(nanos).map_err(|_| format!("the duration {} is negative", quoted(text)))?;
    Ok(Duration::from_nanos(nanos))
}

/// The nearest multiple of `unit`, halves away from zero.
pub fn round(nanos: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanos;
    }
    let rest = nanos % unit;
    let down = nanos - rest;
    if rest.unsigned_abs() * 2 < unit.unsigned_abs() {
        return down;
    }
    down.saturating_add(if nanos < 0 { -unit } else { unit })
}

/// In quotes as Go's package `time` quotes: byte by byte what is not printable ASCII.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='\x7f' => out.push(c),
            _ => {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|byte| out.push_str(&format!("\\x{byte:02x}")));
            }
        }
    }
    out.push('"');
    out
}
