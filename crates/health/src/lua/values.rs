//! JSON to Lua and back, as Argo CD translates: `null` is absent, an empty table is an empty list.

use mlua::{Lua, Table, Value as Lua51};
use object::Value;

use super::LuaError;

/// Deepest nesting either way.
const MAX_DEPTH: usize = 128;

/// A JSON value in a state.
pub(crate) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<Lua51> {
    deep(lua, value, 0)
}

fn deep(lua: &Lua, value: &Value, depth: usize) -> mlua::Result<Lua51> {
    if depth > MAX_DEPTH {
        return Err(mlua::Error::runtime(format!("the object is nested deeper than {MAX_DEPTH} levels")));
    }
    Ok(match value {
        Value::Null => Lua51::Nil,
        Value::Bool(value) => Lua51::Boolean(*value),
        Value::Number(number) => Lua51::Number(number.as_f64().unwrap_or_default()),
        Value::String(text) => Lua51::String(lua.create_string(text)?),
        Value::Array(list) => {
            let table = lua.create_table_with_capacity(list.len(), 0)?;
            // A null leaves no hole: what follows moves up, as appending to a Lua list does.
            for item in list {
                if !item.is_null() {
                    table.raw_push(deep(lua, item, depth + 1)?)?;
                }
            }
            Lua51::Table(table)
        }
        Value::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, item) in map {
                table.raw_set(key.as_str(), deep(lua, item, depth + 1)?)?;
            }
            Lua51::Table(table)
        }
    })
}

/// What a script returned, as JSON.
pub(crate) fn from_lua(value: &Lua51) -> Result<Value, LuaError> {
    back(value, 0)
}

fn failed(text: impl Into<String>) -> LuaError {
    LuaError::Failed(text.into())
}

fn back(value: &Lua51, depth: usize) -> Result<Value, LuaError> {
    if depth > MAX_DEPTH {
        return Err(failed("cannot encode recursively nested tables to JSON"));
    }
    Ok(match value {
        Lua51::Nil => Value::Null,
        Lua51::Boolean(value) => Value::Bool(*value),
        Lua51::Integer(value) => Value::from(*value),
        Lua51::Number(value) => number(*value)?,
        Lua51::String(text) => Value::String(text.to_string_lossy()),
        Lua51::Table(table) => from_table(table, depth)?,
        other => return Err(failed(format!("cannot encode {} to JSON", other.type_name()))),
    })
}

fn number(value: f64) -> Result<Value, LuaError> {
    // Beyond 2^53 a double says no longer which whole number was meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        // The cast is exact: the value is whole and small enough.
        #[allow(clippy::cast_possible_truncation)]
        return Ok(Value::from(value as i64));
    }
    serde_json::Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| failed("cannot encode a number to JSON"))
}

fn from_table(table: &Table, depth: usize) -> Result<Value, LuaError> {
    let length = table.raw_len();
    let mut list = Vec::new();
    let mut map = serde_json::Map::new();
    for pair in table.pairs::<Lua51, Lua51>() {
        let (key, item) = pair.map_err(|error| LuaError::of(&error))?;
        match key {
            Lua51::String(key) => {
                map.insert(key.to_string_lossy(), back(&item, depth + 1)?);
            }
            Lua51::Integer(_) | Lua51::Number(_) => list.push(()),
            other => {
                return Err(failed(format!("cannot encode a table with a key of {}", other.type_name())));
            }
        }
    }
    match (list.len(), map.is_empty()) {
        (0, true) => Ok(Value::Array(Vec::new())),
        (0, false) => Ok(Value::Object(map)),
        (count, true) if count == length => {
            let mut items = Vec::with_capacity(length);
            for index in 1..=length {
                let item: Lua51 = table.raw_get(index).map_err(|error| LuaError::of(&error))?;
                items.push(back(&item, depth + 1)?);
            }
            Ok(Value::Array(items))
        }
        (_, true) => Err(failed("cannot encode sparse array")),
        (_, false) => Err(failed("cannot encode mixed or invalid key types")),
    }
}
