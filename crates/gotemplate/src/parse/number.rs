//! Literals: numbers, characters and quoted strings in Go's syntax.

use super::lex::Type;
use super::node::Number;
use crate::fmt::quote;

/// Reads a number or character constant.
pub(super) fn number(text: &str, kind: Type) -> Result<Number, String> {
    let mut number = Number { text: text.into(), ..Number::default() };
    match kind {
        Type::CharConstant => return character(text, number),
        Type::Complex => {
            number.complex = Some(complex(text)?);
            simplify(&mut number);
            return Ok(number);
        }
        _ => {}
    }
    if let Some(value) = text.strip_suffix('i').and_then(parse_float) {
        number.complex = Some((0.0, value));
        simplify(&mut number);
        return Ok(number);
    }
    number.uint = parse_uint(text);
    number.int = parse_int(text);
    if number.int == Some(0) && number.uint.is_none() {
        number.uint = Some(0);
    }
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = parse_float(text) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote(text)));
        }
        number.float = Some(float);
        fit(&mut number, float);
    } else {
        return Err(format!("illegal number syntax: {}", quote(text)));
    }
    Ok(number)
}

/// Sets the integer forms of a float without a fraction.
fn fit(number: &mut Number, float: f64) {
    if float == float.trunc() && (i64::MIN as f64..-(i64::MIN as f64)).contains(&float) {
        number.int = Some(float as i64);
    }
    if float == float.trunc() && (0.0..1.844_674_407_370_955_2e19).contains(&float) {
        number.uint = Some(float as u64);
    }
}

fn simplify(number: &mut Number) {
    if let Some((real, imaginary)) = number.complex
        && imaginary == 0.0
    {
        number.float = Some(real);
        fit(number, real);
    }
}

fn character(text: &str, mut number: Number) -> Result<Number, String> {
    let inner = text.get(1..).unwrap_or("");
    let (value, tail) = unquote_char(inner, b'\'').ok_or("invalid syntax")?;
    if tail != "'" {
        return Err(format!("malformed character constant: {text}"));
    }
    let code = match value {
        Unit::Char(c) => i64::from(u32::from(c)),
        Unit::Byte(byte) => i64::from(byte),
    };
    number.int = Some(code);
    number.uint = Some(code as u64);
    number.float = Some(code as f64);
    Ok(number)
}

fn complex(text: &str) -> Result<(f64, f64), String> {
    let body = text.strip_suffix('i').unwrap_or(text);
    let bytes = body.as_bytes();
    let split = (1..bytes.len()).rev().find(|at| {
        matches!(bytes.get(*at), Some(b'+' | b'-'))
            && !matches!(bytes.get(at - 1), Some(b'e' | b'E' | b'p' | b'P'))
    });
    let parts = split.and_then(|at| Some((parse_float(body.get(..at)?)?, parse_float(body.get(at..)?)?)));
    parts.ok_or_else(|| "syntax error scanning complex number".to_owned())
}

/// Whether underscores stand only between digits or after a base prefix.
fn underscores_ok(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = body.to_ascii_lowercase();
    let prefixed = ["0x", "0b", "0o"].iter().any(|prefix| lower.starts_with(prefix));
    let hex = lower.starts_with("0x");
    let body = if prefixed { lower.get(2..).unwrap_or("") } else { lower.as_str() };
    // What stood before: a digit (or the prefix), an underscore, or something else.
    let mut last = if prefixed { '0' } else { '^' };
    for c in body.chars() {
        let digit = c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
        if digit {
            last = '0';
        } else if c == '_' {
            if last != '0' {
                return false;
            }
            last = '_';
        } else {
            if last == '_' {
                return false;
            }
            last = '!';
        }
    }
    last != '_'
}

/// As `strconv.ParseUint(text, 0, 64)`; the base is told by the prefix.
pub(crate) fn parse_uint(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) || (text.contains('_') && !underscores_ok(text)) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), base).ok()
}

/// As `strconv.ParseInt(text, 0, 64)`.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let negative = text.starts_with('-');
    let magnitude = parse_uint(text.strip_prefix(['+', '-']).unwrap_or(text))?;
    if negative {
        return (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg());
    }
    i64::try_from(magnitude).ok()
}

/// As `strconv.ParseFloat(text, 64)`, without the words for infinity.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let clean = if text.contains('_') {
        if !underscores_ok(text) {
            return None;
        }
        text.replace('_', "")
    } else {
        text.to_owned()
    };
    let body = clean.strip_prefix(['+', '-']).unwrap_or(&clean);
    if body.starts_with("0x") || body.starts_with("0X") {
        let value = hex_float(body.get(2..)?)?;
        return Some(if clean.starts_with('-') { -value } else { value });
    }
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = clean.parse().ok()?;
    value.is_finite().then_some(value)
}

/// The digits of a hexadecimal float, whose exponent is required.
fn hex_float(text: &str) -> Option<f64> {
    let at = text.find(['p', 'P'])?;
    let (mantissa, exponent) = (text.get(..at)?, text.get(at + 1..)?);
    let mut exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    exponent = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    let result = value * 2f64.powi(exponent);
    result.is_finite().then_some(result)
}

/// A character or a byte of a quoted text.
pub(crate) enum Unit {
    Char(char),
    Byte(u8),
}

/// The first character of a quoted text, escapes resolved, and the rest.
pub(crate) fn unquote_char(text: &str, quote: u8) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first == char::from(quote) {
        return None;
    }
    if first != '\\' {
        return Some((Unit::Char(first), chars.as_str()));
    }
    let escape = chars.next()?;
    let rest = chars.as_str();
    let unit = match escape {
        'a' => Unit::Char('\u{7}'),
        'b' => Unit::Char('\u{8}'),
        'f' => Unit::Char('\u{c}'),
        'n' => Unit::Char('\n'),
        'r' => Unit::Char('\r'),
        't' => Unit::Char('\t'),
        'v' => Unit::Char('\u{b}'),
        '\\' => Unit::Char('\\'),
        '\'' | '"' if escape == char::from(quote) => Unit::Char(escape),
        'x' => return Some((Unit::Byte(u8::from_str_radix(digits(rest, 2, 16)?, 16).ok()?), rest.get(2..)?)),
        'u' | 'U' => {
            let count = if escape == 'u' { 4 } else { 8 };
            let code = u32::from_str_radix(digits(rest, count, 16)?, 16).ok()?;
            return Some((Unit::Char(char::from_u32(code)?), rest.get(count..)?));
        }
        '0'..='7' => {
            let code = u32::from_str_radix(digits(text.get(1..)?, 3, 8)?, 8).ok()?;
            return Some((Unit::Byte(u8::try_from(code).ok()?), text.get(4..)?));
        }
        _ => return None,
    };
    Some((unit, rest))
}

fn digits(text: &str, count: usize, radix: u32) -> Option<&str> {
    let found = text.get(..count)?;
    found.chars().all(|c| c.is_digit(radix)).then_some(found)
}

/// As `strconv.Unquote` for double quotes and back quotes.
pub(crate) fn unquote(text: &str) -> Option<Vec<u8>> {
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if text.starts_with('`') {
        return Some(inner.replace('\r', "").into_bytes());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, tail) = unquote_char(rest, b'"')?;
        match unit {
            Unit::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte(byte) => out.push(byte),
        }
        rest = tail;
    }
    Some(out)
}
