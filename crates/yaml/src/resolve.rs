//! What a plain scalar means: the YAML 1.1 words (v2) or the fewer ones of yaml.v3, and numbers.

use crate::gotext;
use crate::scanner::Rules;

/// A scalar with its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer beyond `i64`.
    Uint(u64),
    Float(f64),
    Timestamp,
    /// The `<<` of a merge (v3 only: v2 asks the text itself).
    Merge,
    Str,
}

impl Scalar {
    /// Short tag.
    pub fn tag(self) -> &'static str {
        match self {
            Scalar::Null => "!!null",
            Scalar::Bool(_) => "!!bool",
            Scalar::Int(_) | Scalar::Uint(_) => "!!int",
            Scalar::Float(_) => "!!float",
            Scalar::Timestamp => "!!timestamp",
            Scalar::Merge => "!!merge",
            Scalar::Str => "!!str",
        }
    }
}

const LONG_PREFIX: &str = "tag:yaml.org,2002:";

/// `tag:yaml.org,2002:int` as `!!int`; other tags stay.
pub(crate) fn short_tag(tag: &str) -> std::borrow::Cow<'_, str> {
    match tag.strip_prefix(LONG_PREFIX) {
        Some(rest) => format!("!!{rest}").into(),
        None => tag.into(),
    }
}

/// `!!int` as `tag:yaml.org,2002:int`; other tags stay.
pub(crate) fn long_tag(tag: &str) -> std::borrow::Cow<'_, str> {
    match tag.strip_prefix("!!") {
        Some(rest) => format!("{LONG_PREFIX}{rest}").into(),
        None => tag.into(),
    }
}

/// The type of an untagged plain scalar.
pub(crate) fn resolve(text: &str, rules: Rules) -> Scalar {
    resolve_hinted(text, rules, true)
}

fn resolve_hinted(text: &str, rules: Rules, timestamps: bool) -> Scalar {
    let Some(&first) = text.as_bytes().first() else { return Scalar::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' => {
            if let Some(float) = special_float(text) {
                return Scalar::Float(float);
            }
            resolve_number(text, rules, timestamps)
        }
        b'.' => match special_float(text).or_else(|| parse_dot_float(text)) {
            Some(float) => Scalar::Float(float),
            None => Scalar::Str,
        },
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
            resolve_word(text, rules)
        }
        b'<' if text == "<<" && rules == Rules::V3 => Scalar::Merge,
        _ => Scalar::Str,
    }
}

fn resolve_word(text: &str, rules: Rules) -> Scalar {
    match text {
        "true" | "True" | "TRUE" => Scalar::Bool(true),
        "false" | "False" | "FALSE" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if rules == Rules::V2 => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if rules == Rules::V2 => Scalar::Bool(false),
        _ => Scalar::Str,
    }
}

fn special_float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => None,
    }
}

/// Words yaml.v3 still quotes because older readers take them for booleans.
pub(crate) fn is_old_bool(text: &str) -> bool {
    matches!(resolve_word(text, Rules::V2), Scalar::Bool(_))
        && matches!(resolve_word(text, Rules::V3), Scalar::Str)
}

/// Sexagesimal numbers of YAML 1.1 (`1:30`), which are read as strings but printed quoted.
pub(crate) fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = body.split(':');
    let Some(head) = parts.next() else { return false };
    let digits_then_underscores = head.starts_with(|c: char| c.is_ascii_digit())
        && head.bytes().all(|c| c.is_ascii_digit() || c == b'_');
    if !digits_then_underscores {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let group = |part: &str| match part.as_bytes() {
        [a] => a.is_ascii_digit(),
        [a, b] => (b'0'..=b'5').contains(a) && b.is_ascii_digit(),
        _ => false,
    };
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    middle.iter().all(|part| group(part))
        && group(whole)
        && fraction.bytes().all(|c| c.is_ascii_digit() || c == b'_')
}

fn resolve_number(text: &str, rules: Rules, timestamps: bool) -> Scalar {
    if timestamps && gotext::parse_timestamp(text).is_some() {
        return Scalar::Timestamp;
    }
    let stripped;
    let plain = match text.contains('_') {
        true => {
            stripped = text.replace('_', "");
            stripped.as_str()
        }
        false => text,
    };
    if let Some(int) = parse_int(plain) {
        return int;
    }
    if is_yaml_float(plain) {
        // Out of range is no float at all.
        if let Some(float) = plain.parse::<f64>().ok().filter(|f| f.is_finite()) {
            return Scalar::Float(float);
        }
    }
    // `-0b-1` and the like: the rest after the prefix may have a sign of its own where Go's parser allows it.
    if let Some(digits) = plain.strip_prefix("0b") {
        return parse_radix(digits, 2);
    }
    if let Some(digits) = plain.strip_prefix("-0b") {
        return parse_negative_radix(digits, 2);
    }
    if rules == Rules::V3 {
        if let Some(digits) = plain.strip_prefix("0o") {
            return parse_radix(digits, 8);
        }
        if let Some(digits) = plain.strip_prefix("-0o") {
            return parse_negative_radix(digits, 8);
        }
    }
    Scalar::Str
}

fn parse_radix(digits: &str, radix: u32) -> Scalar {
    match (i64::from_str_radix(digits, radix), u64::from_str_radix(digits, radix)) {
        (Ok(int), _) => Scalar::Int(int),
        (_, Ok(uint)) if !digits.starts_with('+') => Scalar::Uint(uint),
        _ => Scalar::Str,
    }
}

fn parse_negative_radix(digits: &str, radix: u32) -> Scalar {
    if digits.starts_with(['+', '-']) {
        return Scalar::Str;
    }
    match i64::from_str_radix(&format!("-{digits}"), radix) {
        Ok(int) => Scalar::Int(int),
        Err(_) => Scalar::Str,
    }
}

/// Go's integer syntax with its base prefixes (underscores are gone already).
fn parse_int(text: &str) -> Option<Scalar> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let lower = body.as_bytes().get(1).map(u8::to_ascii_lowercase);
    let (radix, digits) = match (body.starts_with('0'), lower) {
        (true, Some(b'x')) if body.len() >= 3 => (16, body.get(2..)?),
        (true, Some(b'b')) if body.len() >= 3 => (2, body.get(2..)?),
        (true, Some(b'o')) if body.len() >= 3 => (8, body.get(2..)?),
        (true, Some(_)) => (8, body.get(1..)?),
        _ => (10, body),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match (negative, i64::try_from(magnitude)) {
        (false, Ok(int)) => Some(Scalar::Int(int)),
        (false, Err(_)) => (!text.starts_with('+')).then_some(Scalar::Uint(magnitude)),
        (true, Ok(int)) => Some(Scalar::Int(-int)),
        (true, Err(_)) => (magnitude == 1 << 63).then_some(Scalar::Int(i64::MIN)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_yaml_float(text: &str) -> bool {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole = digits(rest);
    rest = rest.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if whole == 0 && count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    } else if whole == 0 {
        return false;
    }
    let Some(exponent) = rest.strip_prefix(['e', 'E']) else { return rest.is_empty() };
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !exponent.is_empty() && digits(exponent) == exponent.len()
}

/// A float that starts with its point; underscores are allowed between two digits only.
fn parse_dot_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let misplaced = |i: usize| bytes[i] == b'_' && !(i > 0 && is_digit(i - 1) && is_digit(i + 1));
    if (0..bytes.len()).any(misplaced) {
        return None;
    }
    let plain = text.replace('_', "");
    if !is_yaml_float(&plain) {
        return None;
    }
    plain.parse::<f64>().ok().filter(|f| f.is_finite())
}

/// What reading a scalar under a tag gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tagged {
    Scalar(Scalar),
    /// The text as it stands (a tag the library does not know).
    Other,
    /// Base64 text to decode.
    Binary,
    /// The tag and the text do not fit; the library's message.
    Wrong(String),
}

/// Reads `text` under the (long or short) `tag`; an empty tag resolves.
pub(crate) fn resolve_tagged(tag: &str, text: &str, rules: Rules) -> Tagged {
    let short = short_tag(tag);
    let known = matches!(&*short, "" | "!!str" | "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp");
    if !known {
        return if short == "!!binary" { Tagged::Binary } else { Tagged::Other };
    }
    if short == "!!str" {
        return Tagged::Scalar(Scalar::Str);
    }
    let scalar = resolve_hinted(text, rules, matches!(&*short, "" | "!!timestamp"));
    if short.is_empty() || short == scalar.tag() {
        return Tagged::Scalar(scalar);
    }
    if let (Scalar::Int(int), "!!float") = (scalar, &*short) {
        return Tagged::Scalar(Scalar::Float(int as f64));
    }
    Tagged::Wrong(format!("cannot decode {} `{text}` as a {short}", scalar.tag()))
}
