//! The methods of times, durations, months and weekdays.

use std::rc::Rc;

use super::layout::{DAYS, MONTHS};
use super::{Time, Zone};
use crate::func::{FuncError, Function, Param};
use crate::value::{IntType, Value, method as closure};
use gotime::duration;

type Method = Option<Rc<Function>>;

fn constant(name: &'static str, value: Value) -> Method {
    closure(name, &[], move |_, _| Ok(value.clone()))
}

fn time_value(time: Time) -> Value {
    Value::Time(Rc::new(time))
}

fn time_arg(args: &[Value]) -> Result<Rc<Time>, FuncError> {
    match args.first() {
        Some(Value::Time(time)) => Ok(time.clone()),
        _ => Err("expected time.Time".into()),
    }
}

fn int_arg(args: &[Value], index: usize) -> i64 {
    match args.get(index) {
        Some(Value::Int(number, _)) => *number,
        _ => 0,
    }
}

const DURATION: &[Param] = &[Param::Named("time.Duration")];
const TIME: &[Param] = &[Param::Time];

/// The method `name` of a time.
pub(crate) fn method(time: &Rc<Time>, name: &str) -> Method {
    let own = time.clone();
    let civil = time.civil();
    let int = |name, number: i64| constant(name, Value::int(number));
    match name {
        "Year" => int("Year", civil.year),
        "Month" => constant("Month", Value::Int(i64::from(civil.month), IntType::Month)),
        "Day" => int("Day", i64::from(civil.day)),
        "Weekday" => constant("Weekday", Value::Int(i64::from(civil.weekday), IntType::Weekday)),
        "YearDay" => int("YearDay", i64::from(civil.yday)),
        "Hour" => int("Hour", i64::from(civil.hour)),
        "Minute" => int("Minute", i64::from(civil.minute)),
        "Second" => int("Second", i64::from(civil.second)),
        "Nanosecond" => int("Nanosecond", i64::from(time.nanos)),
        "Unix" => constant("Unix", Value::int64(time.seconds)),
        "UnixMilli" => unix("UnixMilli", time, 1000),
        "UnixMicro" => unix("UnixMicro", time, 1_000_000),
        "UnixNano" => unix("UnixNano", time, 1_000_000_000),
        "IsZero" => constant("IsZero", Value::Bool(time.key() == Time::zero().key())),
        "String" => constant("String", Value::from(time.to_string())),
        "UTC" => constant("UTC", time_value(time.in_zone(Zone::utc()))),
        "Local" => closure("Local", &[], move |context, _| {
            let zone = Zone::named(&context.host().time_zone()).unwrap_or_else(Zone::utc);
            Ok(time_value(own.in_zone(zone)))
        }),
        "Format" => closure("Format", &[Param::String], move |_, args| {
            let layout = args.first().map(Value::to_string_lossy).unwrap_or_default();
            Ok(Value::from(own.format(&layout)))
        }),
        "Add" => closure("Add", DURATION, move |_, args| Ok(time_value(own.add(int_arg(args, 0))))),
        "AddDate" => closure("AddDate", &[Param::Int, Param::Int, Param::Int], move |_, args| {
            let civil = own.civil();
            let clock = i64::from((civil.hour * 60 + civil.minute) * 60 + civil.second);
            let year = civil.year.saturating_add(int_arg(args, 0)).clamp(-1_000_000, 1_000_000);
            let month =
                i64::from(civil.month).saturating_add(int_arg(args, 1)).clamp(-10_000_000, 10_000_000);
            let day = i64::from(civil.day).saturating_add(int_arg(args, 2)).clamp(-400_000_000, 400_000_000);
            Ok(time_value(Time::of(year, month, day, clock, own.nanos, own.zone.clone())))
        }),
        "Sub" => closure("Sub", TIME, move |_, args| {
            Ok(Value::Int(own.since(&*time_arg(args)?), IntType::Duration))
        }),
        "Before" => {
            closure("Before", TIME, move |_, args| Ok(Value::Bool(own.key() < time_arg(args)?.key())))
        }
        "After" => closure("After", TIME, move |_, args| Ok(Value::Bool(own.key() > time_arg(args)?.key()))),
        "Equal" => closure("Equal", TIME, move |_, args| Ok(Value::Bool(own.key() == time_arg(args)?.key()))),
        "Compare" => closure("Compare", TIME, move |_, args| {
            Ok(Value::int(own.key().cmp(&time_arg(args)?.key()) as i64))
        }),
        "Truncate" => {
            closure("Truncate", DURATION, move |_, args| Ok(time_value(truncate(&own, int_arg(args, 0)))))
        }
        _ => None,
    }
}

fn unix(name: &'static str, time: &Time, parts: i64) -> Method {
    let fraction = i64::from(time.nanos) / (1_000_000_000 / parts);
    constant(name, Value::int64(time.seconds.wrapping_mul(parts).wrapping_add(fraction)))
}

/// Down to a multiple of `unit` since the zero time.
fn truncate(time: &Time, unit: i64) -> Time {
    if unit <= 0 {
        return time.clone();
    }
    let (seconds, nanos) = time.key();
    let since = (i128::from(seconds) - i128::from(super::ZERO)) * 1_000_000_000 + i128::from(nanos);
    time.add(-(since.rem_euclid(i128::from(unit)) as i64))
}

/// What `String()` says of a duration, month or weekday.
pub(crate) fn int_string(value: i64, kind: IntType) -> Option<String> {
    let of = |names: &[&str], index: i64, kind: &str| {
        let name = usize::try_from(index).ok().and_then(|index| names.get(index).copied());
        Some(name.map_or_else(|| format!("%!{kind}({value})"), str::to_owned))
    };
    match kind {
        IntType::Duration => Some(duration::string(value)),
        IntType::Month => of(&MONTHS, value - 1, "Month"),
        IntType::Weekday => of(&DAYS, value, "Weekday"),
        _ => None,
    }
}

/// The method `name` of a duration, month or weekday.
pub(crate) fn int_method(value: i64, kind: IntType, name: &str) -> Method {
    if name == "String" {
        return constant("String", Value::from(int_string(value, kind)?));
    }
    if kind != IntType::Duration {
        return None;
    }
    let float = |name, unit: f64| constant(name, Value::Float(value as f64 / unit));
    match name {
        "Hours" => float("Hours", 3.6e12),
        "Minutes" => float("Minutes", 6e10),
        "Seconds" => float("Seconds", 1e9),
        "Milliseconds" => constant("Milliseconds", Value::int64(value / 1_000_000)),
        "Microseconds" => constant("Microseconds", Value::int64(value / 1000)),
        "Nanoseconds" => constant("Nanoseconds", Value::int64(value)),
        "Abs" => constant("Abs", Value::Int(value.saturating_abs(), IntType::Duration)),
        "Round" => closure("Round", DURATION, move |_, args| {
            Ok(Value::Int(duration::round(value, int_arg(args, 0)), IntType::Duration))
        }),
        "Truncate" => closure("Truncate", DURATION, move |_, args| {
            let unit = int_arg(args, 0);
            Ok(Value::Int(if unit <= 0 { value } else { value - value % unit }, IntType::Duration))
        }),
        _ => None,
    }
}
