//! What `os` is in the sandbox: `time` and `date`, from the moment that was handed in, in UTC.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use mlua::{Error, Lua, Table, Value as Lua51};

fn moment(seconds: i64) -> mlua::Result<Zoned> {
    Timestamp::from_second(seconds)
        .map(|stamp| stamp.to_zoned(TimeZone::UTC))
        .map_err(|_| Error::runtime("the time is out of range"))
}

/// Puts `os` in place.
pub(super) fn install(lua: &Lua, now: i64) -> mlua::Result<()> {
    let os = lua.create_table()?;
    os.set("time", lua.create_function(move |_, given: Option<Table>| time(now, given.as_ref()))?)?;
    os.set(
        "date",
        lua.create_function(move |lua, (format, at): (Option<String>, Option<f64>)| {
            // Lua's numbers are floats; what does not fit is refused by `moment`.
            #[allow(clippy::cast_possible_truncation)]
            let at = at.map_or(now, |at| at as i64);
            date(lua, format.as_deref().unwrap_or("%c"), at)
        })?,
    )?;
    os.set("clock", lua.create_function(|_, ()| Ok(0.0))?)?;
    lua.globals().set("os", os)
}

fn time(now: i64, given: Option<&Table>) -> mlua::Result<f64> {
    let Some(given) = given else { return Ok(seconds(now)) };
    let field = |name: &str, or: Option<i16>| -> mlua::Result<i16> {
        match (given.get::<Option<i16>>(name)?, or) {
            (Some(value), _) | (None, Some(value)) => Ok(value),
            (None, None) => Err(Error::runtime(format!("field '{name}' missing in date table"))),
        }
    };
    let small = |value: i16| i8::try_from(value).map_err(|_| Error::runtime("the date is out of range"));
    let date = DateTime::new(
        field("year", None)?,
        small(field("month", None)?)?,
        small(field("day", None)?)?,
        small(field("hour", Some(12))?)?,
        small(field("min", Some(0))?)?,
        small(field("sec", Some(0))?)?,
        0,
    );
    let zoned = date
        .and_then(|date| date.to_zoned(TimeZone::UTC))
        .map_err(|error| Error::runtime(error.to_string()))?;
    Ok(seconds(zoned.timestamp().as_second()))
}

fn seconds(value: i64) -> f64 {
    // Exact for any date that there is.
    #[allow(clippy::cast_precision_loss)]
    let exact = value as f64;
    exact
}

fn date(lua: &Lua, format: &str, at: i64) -> mlua::Result<Lua51> {
    let format = format.strip_prefix('!').unwrap_or(format);
    let at = moment(at)?;
    if format.starts_with("*t") {
        let table = lua.create_table()?;
        table.set("year", at.year())?;
        table.set("month", at.month())?;
        table.set("day", at.day())?;
        table.set("hour", at.hour())?;
        table.set("min", at.minute())?;
        table.set("sec", at.second())?;
        table.set("wday", at.weekday().to_sunday_one_offset())?;
        table.set("yday", at.day_of_year())?;
        table.set("isdst", false)?;
        return Ok(Lua51::Table(table));
    }
    // The C locale's own forms, which the formatter does not know.
    let format =
        format.replace("%X", "%H:%M:%S").replace("%x", "%m/%d/%y").replace("%c", "%a %b %e %H:%M:%S %Y");
    let text = jiff::fmt::strtime::format(&format, &at).map_err(|error| Error::runtime(error.to_string()))?;
    Ok(Lua51::String(lua.create_string(text)?))
}
