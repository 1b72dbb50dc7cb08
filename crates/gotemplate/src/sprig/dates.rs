//! Dates.

use std::rc::Rc;

use super::{Res, arg, text};
use crate::func::{Context, FuncError, Function, Param};
use crate::time::{self, Time, Zone};
use crate::value::{IntType, Value};

const HTML: &str = "2006-01-02";
const SECOND: i64 = 1_000_000_000;

pub(super) fn functions() -> Vec<Function> {
    use Param::{Any, String, Time};
    let native = Function::native;
    vec![
        native("now", &[], false, |context, _| Ok(Value::Time(Rc::new(now(context))))),
        native("ago", &[Any], false, |context, args| {
            let then = moment(context, arg(args, 0));
            let past = now(context).since(&then);
            Ok(Value::from(time::duration_string(time::round(past, SECOND))))
        }),
        native("date", &[String, Any], false, |context, args| {
            in_zone(context, &text(args, 0), arg(args, 1), "Local")
        }),
        native("date_in_zone", &[String, Any, String], false, date_in_zone),
        native("dateInZone", &[String, Any, String], false, date_in_zone),
        native("htmlDate", &[Any], false, |context, args| in_zone(context, HTML, arg(args, 0), "Local")),
        native("htmlDateInZone", &[Any, String], false, |context, args| {
            in_zone(context, HTML, arg(args, 0), &text(args, 1))
        }),
        native("date_modify", &[String, Time], false, |_, args| {
            Ok(modify(args).unwrap_or_else(|_| arg(args, 1).clone()))
        }),
        native("dateModify", &[String, Time], false, |_, args| {
            Ok(modify(args).unwrap_or_else(|_| arg(args, 1).clone()))
        }),
        native("must_date_modify", &[String, Time], false, |_, args| modify(args)),
        native("mustDateModify", &[String, Time], false, |_, args| modify(args)),
        native("duration", &[Any], false, |_, args| {
            let seconds = match arg(args, 0) {
                Value::Str(text) => super::cast::decimal(&text.to_text()),
                Value::Int(seconds, IntType::Int64) => *seconds,
                _ => 0,
            };
            Ok(Value::from(time::duration_string(seconds.wrapping_mul(SECOND))))
        }),
        native("durationRound", &[Any], false, |context, args| {
            let nanos = match arg(args, 0) {
                Value::Str(text) => time::parse_duration(&text.to_text()).unwrap_or(0),
                Value::Int(nanos, IntType::Int64) => *nanos,
                Value::Time(then) => now(context).since(then),
                _ => 0,
            };
            Ok(Value::from(rounded(nanos)))
        }),
        native("toDate", &[String, String], false, |context, args| {
            Ok(to_date(context, args).unwrap_or_else(|_| Value::Time(Rc::new(time::Time::zero()))))
        }),
        native("mustToDate", &[String, String], false, to_date),
        native("unixEpoch", &[Time], false, |_, args| match arg(args, 0) {
            Value::Time(time) => Ok(Value::from(time.unix().to_string())),
            _ => Err("expected time.Time".into()),
        }),
    ]
}

fn local(context: &Context<'_, '_>) -> Rc<Zone> {
    Zone::named(&context.host().time_zone()).unwrap_or_else(Zone::utc)
}

fn now(context: &Context<'_, '_>) -> Time {
    let (seconds, nanos) = context.host().now();
    Time::new(seconds, nanos, local(context))
}

/// The moment that a value means; now for what means none.
fn moment(context: &Context<'_, '_>, value: &Value) -> Time {
    match value {
        Value::Time(time) => (**time).clone(),
        Value::Int(seconds, IntType::Int | IntType::Int32 | IntType::Int64) => {
            Time::new(*seconds, 0, local(context))
        }
        _ => now(context),
    }
}

fn in_zone(context: &mut Context<'_, '_>, layout: &str, date: &Value, zone: &str) -> Res {
    let zone = match zone {
        "Local" => local(context),
        // An unknown zone is UTC.
        name => Zone::named(name).unwrap_or_else(Zone::utc),
    };
    Ok(Value::from(moment(context, date).in_zone(zone).format(layout)))
}

fn date_in_zone(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    in_zone(context, &text(args, 0), arg(args, 1), &text(args, 2))
}

fn modify(args: &[Value]) -> Res {
    let nanos = time::parse_duration(&text(args, 0)).map_err(FuncError::from)?;
    match arg(args, 1) {
        Value::Time(time) => Ok(Value::Time(Rc::new(time.add(nanos)))),
        _ => Err("expected time.Time".into()),
    }
}

fn to_date(context: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let time = time::parse(&text(args, 0), &text(args, 1), &local(context))?;
    Ok(Value::Time(Rc::new(time)))
}

/// The largest unit that fits, rounded down.
fn rounded(nanos: i64) -> String {
    const UNITS: [(u64, &str); 6] =
        [(365 * 86400, "y"), (30 * 86400, "mo"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let size = nanos.unsigned_abs();
    let fitting = UNITS.iter().find(|(seconds, _)| size > seconds * SECOND as u64);
    fitting.map_or_else(
        || "0s".to_owned(),
        |(seconds, unit)| format!("{}{unit}", size / (seconds * SECOND as u64)),
    )
}
