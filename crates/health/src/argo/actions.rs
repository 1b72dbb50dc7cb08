//! What can be done with an object: actions, found and run by Lua.

use mlua::Value as Lua51;
use object::{Gvk, Value, get_str};

use super::{Customizations, Judge};
use crate::lua::{self, LuaError, Run};

/// An action of an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its Lua.
    pub lua: String,
}

/// A parameter of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value, when one was given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Its type.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What it is when nothing is given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default: String,
}

/// An action that an object offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Action {
    /// Its name.
    pub name: String,
    /// What can be given to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Parameter>,
    /// Whether it makes no sense now.
    pub disabled: bool,
    /// Its picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon_class: String,
    /// Its name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
}

/// What becomes of an object that an action returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is made.
    Create,
    /// The object that is there becomes like it.
    Patch,
}

/// An object that an action returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Impacted {
    /// What becomes of it.
    pub operation: Operation,
    /// The object.
    pub object: Value,
}

impl Judge {
    /// The actions that an object offers, by name.
    ///
    /// # Errors
    /// When a script fails.
    pub fn actions(&self, object: &Value, now: i64) -> Result<Vec<Action>, LuaError> {
        let gvk = Gvk::of(object);
        let mut found = Vec::new();
        let custom = self.customizations.actions(&gvk);
        if let Some(custom) = custom.filter(|custom| !custom.discovery.is_empty()) {
            found = lua::run(&self.run_of(&custom.discovery, "=discovery", object, &[], now), offered)?;
        }
        if custom.is_none_or(|custom| custom.merge_builtin) {
            for action in builtin_offers(&gvk, object, now)? {
                if !found.iter().any(|known: &Action| known.name == action.name) {
                    found.push(action);
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Runs an action.
    ///
    /// # Errors
    /// When there is no such action for the kind, or its script fails.
    pub fn act(
        &self,
        object: &Value,
        action: &str,
        parameters: &[(String, String)],
        now: i64,
    ) -> Result<Vec<Impacted>, LuaError> {
        let gvk = Gvk::of(object);
        let custom = self.customizations.actions(&gvk);
        if let Some(custom) = custom {
            let own = custom.actions.iter().find(|definition| definition.name == action);
            if let Some(definition) = own {
                let run = self.run_of(&definition.lua, "=action", object, parameters, now);
                return lua::run(&run, |returned| impacted(returned, object));
            }
        }
        if custom.is_none_or(|custom| custom.merge_builtin)
            && let Some(done) = builtin_run(&gvk, object, action, parameters, now)?
        {
            return Ok(done);
        }
        let name = Customizations::name_of(&gvk);
        Err(LuaError::Failed(format!("{name} has no action named {action}")))
    }

    fn run_of<'a>(
        &self,
        script: &'a str,
        name: &'a str,
        object: &'a Value,
        parameters: &'a [(String, String)],
        now: i64,
    ) -> Run<'a> {
        Run { script, name, object, parameters, now, limits: self.limits, clock: self.clock }
    }
}

fn builtin_offers(gvk: &Gvk, object: &Value, now: i64) -> Result<Vec<Action>, LuaError> {
    lua::with_builtin(|state| {
        let error = |error: mlua::Error| LuaError::of(&error);
        let Some(offer) = state.offer(&Customizations::name_of(gvk)).map_err(error)? else {
            return Ok(Vec::new());
        };
        state.at(now).map_err(error)?;
        let given = lua::to_lua(state.lua(), object).map_err(error)?;
        let returned: Lua51 = offer.call(given).map_err(error)?;
        offered(&returned)
    })
}

fn builtin_run(
    gvk: &Gvk,
    object: &Value,
    action: &str,
    parameters: &[(String, String)],
    now: i64,
) -> Result<Option<Vec<Impacted>>, LuaError> {
    lua::with_builtin(|state| {
        let error = |error: mlua::Error| LuaError::of(&error);
        let Some(run) = state.action(&Customizations::name_of(gvk), action).map_err(error)? else {
            return Ok(None);
        };
        state.at(now).map_err(error)?;
        let given = lua::to_lua(state.lua(), object).map_err(error)?;
        let table = state.lua().create_table().map_err(error)?;
        for (name, value) in parameters {
            table.set(name.as_str(), value.as_str()).map_err(error)?;
        }
        let returned: Lua51 = run.call((given, table)).map_err(error)?;
        impacted(&returned, object).map(Some)
    })
}

/// What a discovery script returned: a table of actions by name.
fn offered(returned: &Lua51) -> Result<Vec<Action>, LuaError> {
    let value = returned_table(returned)?;
    let Some(map) = value.as_object() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (name, fields) in map {
        // An empty table is an action of which nothing more is said.
        let mut action: Action = match fields {
            Value::Object(_) => serde_json::from_value(fields.clone()).map_err(|error| {
                LuaError::Failed(format!("the action {name} is no description of one: {error}"))
            })?,
            _ => Action::default(),
        };
        action.name.clone_from(name);
        found.push(action);
    }
    Ok(found)
}

fn returned_table(returned: &Lua51) -> Result<Value, LuaError> {
    match returned {
        Lua51::Table(_) => lua::from_lua(returned),
        other => Err(LuaError::Returned { wanted: "table", found: other.type_name().to_owned() }),
    }
}

/// What an action returned: the object itself, or a list of what becomes of which object.
fn impacted(returned: &Lua51, before: &Value) -> Result<Vec<Impacted>, LuaError> {
    let value = returned_table(returned)?;
    let Value::Array(list) = value else {
        return Ok(vec![Impacted { operation: Operation::Patch, object: restored(value, before) }]);
    };
    let mut found = Vec::new();
    for entry in list {
        let operation = match get_str(&entry, &["operation"]) {
            Some("create") => Operation::Create,
            Some("patch") => Operation::Patch,
            other => {
                let word = other.unwrap_or_default();
                return Err(LuaError::Failed(format!(
                    "unsupported operation: {word}: create and patch are known"
                )));
            }
        };
        let object = entry.get("resource").cloned().unwrap_or_default();
        if !object.is_object() {
            return Err(LuaError::Failed("an action returned an operation without a resource".to_owned()));
        }
        let object = if operation == Operation::Patch { restored(object, before) } else { object };
        found.push(Impacted { operation, object });
    }
    Ok(found)
}

/// Lua knows no difference between an empty list and an empty map, and no null: both are taken from the object as it
/// was.
fn restored(after: Value, before: &Value) -> Value {
    match (after, before) {
        (Value::Array(list), Value::Object(map)) if list.is_empty() && map.is_empty() => before.clone(),
        (Value::Array(list), Value::Array(old)) => {
            let null = Value::Null;
            let restore = |(at, item)| restored(item, old.get(at).unwrap_or(&null));
            Value::Array(list.into_iter().enumerate().map(restore).collect())
        }
        (Value::Object(mut map), Value::Object(old)) => {
            for (key, was) in old {
                match map.get_mut(key) {
                    Some(now) => *now = restored(now.take(), was),
                    None if was.is_null() => {
                        map.insert(key.clone(), Value::Null);
                    }
                    None => {}
                }
            }
            Value::Object(map)
        }
        (after, _) => after,
    }
}
