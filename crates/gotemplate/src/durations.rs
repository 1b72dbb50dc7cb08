//! The duration functions of Helm 4. Helm 3 does not know them; no chart that it renders can tell.

use crate::func::{FuncError, Function, Native, Param};
use crate::time::{parse_duration, round};
use crate::value::{IntType, Value};

const SECOND: f64 = 1e9;

/// All of them.
pub(crate) fn functions() -> Vec<Function> {
    const ONE: &[Param] = &[Param::Any];
    const TWO: &[Param] = &[Param::Any, Param::Any];
    let plain: [(&'static str, Native); 8] = [
        ("durationSeconds", |_, args| Ok(Value::Float(lenient(args, 0) as f64 / SECOND))),
        ("durationMilliseconds", |_, args| Ok(Value::int64(lenient(args, 0) / 1_000_000))),
        ("durationMicroseconds", |_, args| Ok(Value::int64(lenient(args, 0) / 1000))),
        ("durationNanoseconds", |_, args| Ok(Value::int64(lenient(args, 0)))),
        ("durationMinutes", |_, args| Ok(Value::Float(lenient(args, 0) as f64 / (60.0 * SECOND)))),
        ("durationHours", |_, args| Ok(Value::Float(lenient(args, 0) as f64 / (3600.0 * SECOND)))),
        ("durationDays", |_, args| Ok(Value::Float(lenient(args, 0) as f64 / (86_400.0 * SECOND)))),
        ("durationWeeks", |_, args| Ok(Value::Float(lenient(args, 0) as f64 / (604_800.0 * SECOND)))),
    ];
    let mut all: Vec<Function> = plain.map(|(name, body)| Function::native(name, ONE, false, body)).into();
    all.push(Function::native("mustToDuration", ONE, false, |_, args| {
        duration(args.first().unwrap_or(&Value::Nil)).map(value).map_err(FuncError::from)
    }));
    all.push(Function::native("durationRoundTo", TWO, false, |_, args| {
        let nanos = lenient(args, 0);
        Ok(value(round(nanos, lenient(args, 1))))
    }));
    all.push(Function::native("durationTruncateTo", TWO, false, |_, args| {
        let (nanos, unit) = (lenient(args, 0), lenient(args, 1));
        Ok(value(if unit <= 0 { nanos } else { nanos - nanos % unit }))
    }));
    all
}

fn value(nanos: i64) -> Value {
    Value::Int(nanos, IntType::Duration)
}

/// The argument as nanoseconds; nothing for what is no duration.
fn lenient(args: &[Value], index: usize) -> i64 {
    args.get(index).map_or(0, |value| duration(value).unwrap_or(0))
}

fn seconds(number: f64) -> Result<i64, String> {
    let nanos = number * SECOND;
    if nanos.is_finite() && nanos.abs() < i64::MAX as f64 {
        return Ok(nanos as i64);
    }
    Err(format!("duration of {} seconds is out of range", crate::fmt::float_g(number)))
}

/// A duration out of a duration, a number of seconds, or the text of either.
fn duration(value: &Value) -> Result<i64, String> {
    match value {
        Value::Int(nanos, IntType::Duration) => Ok(*nanos),
        Value::Int(number, _) => number
            .checked_mul(1_000_000_000)
            .ok_or_else(|| format!("duration of {number} seconds is out of range")),
        Value::Uint(number, _) => seconds(*number as f64),
        Value::Float(number) => seconds(*number),
        Value::Str(text) => {
            let text = text.to_text();
            let text = text.trim();
            if text.is_empty() {
                return Err("empty duration".to_owned());
            }
            match (parse_duration(text), text.parse::<f64>()) {
                (Ok(nanos), _) => Ok(nanos),
                (Err(_), Ok(number)) => seconds(number),
                (Err(error), Err(_)) => Err(format!("could not parse duration: {error}")),
            }
        }
        other if other.is_nil() => Err("invalid duration".to_owned()),
        other => Err(format!("cannot convert {} to a duration", other.type_name())),
    }
}
