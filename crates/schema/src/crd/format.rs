//! The formats of strings that the Kubernetes API checks.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether `text` is of the format; unknown formats hold anything.
pub(super) fn is_valid(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => is_date(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "byte" => is_base64(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(text),
        "mac" => is_mac(text),
        "uri" => is_uri(text),
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && is_hostname(host)),
        "hostname" => is_hostname(text),
        "duration" => is_duration(text),
        _ => true,
    }
}

fn digits(text: &str, count: usize) -> Option<(u32, &str)> {
    let (head, rest) = text.split_at_checked(count)?;
    head.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    Some((head.parse().ok()?, rest))
}

fn date(text: &str) -> Option<&str> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    (1..=longest).contains(&day).then_some(rest)
}

fn is_date(text: &str) -> bool {
    date(text) == Some("")
}

fn time(text: &str) -> Option<&str> {
    let (hour, rest) = digits(text, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(':')?, 2)?;
    let (second, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        rest = fraction.get(end..).filter(|_| end > 0)?;
    }
    (hour < 24 && minute < 60 && second < 60).then_some(rest)
}

/// RFC 3339.
pub(crate) fn is_date_time(text: &str) -> bool {
    let zone = date(text).and_then(|rest| rest.strip_prefix(['T', 't', ' '])).and_then(time);
    match zone {
        Some("Z" | "z") => true,
        Some(zone) => zone
            .strip_prefix(['+', '-'])
            .and_then(|zone| digits(zone, 2))
            .and_then(|(hour, rest)| Some((hour, digits(rest.strip_prefix(':')?, 2)?)))
            .is_some_and(|(hour, (minute, rest))| hour < 24 && minute < 60 && rest.is_empty()),
        None => false,
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(length) = length.parse::<u8>() else { return false };
    (address.parse::<Ipv4Addr>().is_ok() && length <= 32)
        || (address.parse::<Ipv6Addr>().is_ok() && length <= 128)
}

/// The first byte at which text stops being base64, as Go's decoder reports it.
pub(crate) fn bad_base64(text: &str) -> Option<usize> {
    if is_base64(text) {
        return None;
    }
    let alphabet =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'\r' | b'\n' | b'=');
    let stray = text.bytes().position(|byte| !alphabet(byte));
    Some(stray.unwrap_or(text.len() - text.len() % 4))
}

/// Standard base64 with padding.
pub(crate) fn is_base64(text: &str) -> bool {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let body = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    bytes.len().is_multiple_of(4)
        && bytes.len() - body <= 2
        && bytes.iter().take(body).all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn is_uuid(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| *c != '-').collect();
    plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    matches!(parts.len(), 6 | 8)
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_uri(text: &str) -> bool {
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return false;
    }
    let scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    text.starts_with('/') || text.split_once(':').is_some_and(|(name, _)| scheme(name))
}

fn is_hostname(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        })
}

/// As Go's durations, or `3 days`.
fn is_duration(text: &str) -> bool {
    if let Some((count, unit)) = text.split_once(' ') {
        let unit = unit.trim().trim_end_matches('s');
        return count.parse::<u64>().is_ok()
            && matches!(unit, "day" | "week" | "hour" | "hr" | "minute" | "min" | "second" | "sec");
    }
    let mut rest = text.trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    let mut any = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h", "d", "w"].iter().find_map(|unit| {
            let after = after.strip_prefix(unit)?;
            after
                .starts_with(|c: char| c.is_ascii_digit() || c == '.')
                .then_some(after)
                .or(after.is_empty().then_some(after))
        });
        let (Ok(_), Some(after)) = (number.parse::<f64>(), unit) else { return false };
        any = true;
        rest = after;
    }
    any
}
