//! Numbers out of anything, as spf13/cast makes them: what is no number is zero.

use crate::parse::number::{parse_float, parse_int};
use crate::value::Value;

/// A float as an integer, as the processor converts it: out of range gives the smallest.
pub(crate) fn truncate(number: f64) -> i64 {
    if (i64::MIN as f64..-(i64::MIN as f64)).contains(&number) { number as i64 } else { i64::MIN }
}

/// Cuts `.000` off.
fn without_zero_decimals(text: &str) -> &str {
    let trimmed = text.trim_end_matches('0');
    match trimmed.strip_suffix('.') {
        Some(whole) if trimmed.len() < text.len() => whole,
        _ => text,
    }
}

/// `int64` of anything.
pub(crate) fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Float(number) => truncate(*number),
        Value::Str(text) => parse_int(without_zero_decimals(&text.to_text())).unwrap_or(0),
        Value::Bool(flag) => i64::from(*flag),
        _ => 0,
    }
}

/// `float64` of anything.
pub(crate) fn to_float64(value: &Value) -> f64 {
    match value {
        Value::Int(number, _) => *number as f64,
        Value::Uint(number, _) => *number as f64,
        Value::Float(number) => *number,
        Value::Str(text) => float_word(&text.to_text()).unwrap_or(0.0),
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        _ => 0.0,
    }
}

/// As `strconv.ParseFloat`, words included.
fn float_word(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "+inf" | "infinity" | "+infinity" => Some(f64::INFINITY),
        "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
        "nan" => Some(f64::NAN),
        _ => parse_float(text),
    }
}

/// As `strconv.ParseInt(text, 10, 64)` whose error is ignored: out of range gives the nearest.
pub(crate) fn decimal(text: &str) -> i64 {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX })
}
