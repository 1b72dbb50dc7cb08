//! A state for one script of a user, with its limits.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mlua::{
    Error, Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value as Lua51, VmState,
};
use object::Value;

use super::{Clock, Limits, LuaError, time, to_lua};

/// How many instructions run between two looks at the limits.
const STEP: u32 = 1_000;
/// What a search for a pattern may cost at worst, in comparisons.
const PATTERN_COST: f64 = 2e9;

/// Takes from the base library what reaches outside or hides the limits.
const GUARD: &str = r"
pcall, xpcall = ...
local modules = { os = os, table = table, string = string, math = math }
require = function(name)
  if modules[name] == nil then error('module ' .. tostring(name) .. ' is not available', 2) end
  return modules[name]
end
for _, name in ipairs({ 'dofile', 'loadfile', 'load', 'loadstring', 'module', 'newproxy', 'coroutine', 'package', 'io',
  'debug', 'collectgarbage', 'gcinfo', 'setfenv', 'getfenv' }) do
  _G[name] = nil
end
print = function() end
string.dump = nil
";

/// What a run of a script is given.
pub(crate) struct Run<'a> {
    pub(crate) script: &'a str,
    pub(crate) name: &'a str,
    pub(crate) object: &'a Value,
    /// Texts by name, seen as `actionParams`.
    pub(crate) parameters: &'a [(String, String)],
    /// Seconds since the epoch.
    pub(crate) now: i64,
    pub(crate) limits: Limits,
    pub(crate) clock: Option<Clock>,
}

/// The limit that was reached, told to everyone who might catch the error.
type Spent = Rc<RefCell<Option<LuaError>>>;

/// Runs a script of a user and hands what it returns to `read`.
pub(crate) fn run<T>(run: &Run<'_>, read: impl FnOnce(&Lua51) -> Result<T, LuaError>) -> Result<T, LuaError> {
    let spent: Spent = Rc::default();
    let outcome = inside(run, &spent, read);
    match spent.take() {
        Some(limit) => Err(limit),
        None => outcome,
    }
}

fn inside<T>(
    run: &Run<'_>,
    spent: &Spent,
    read: impl FnOnce(&Lua51) -> Result<T, LuaError>,
) -> Result<T, LuaError> {
    let state = |error: Error| explain(&error, run.limits);
    if run.script.starts_with('\u{1b}') {
        return Err(LuaError::Failed("the script is bytecode: only text is accepted".to_owned()));
    }
    let lua =
        Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default()).map_err(state)?;
    lua.set_memory_limit(run.limits.memory).map_err(state)?;
    time::install(&lua, run.now).map_err(state)?;
    guard(&lua, spent).map_err(state)?;
    let object = to_lua(&lua, run.object).map_err(state)?;
    lua.globals().set("obj", object).map_err(state)?;
    let parameters = lua.create_table().map_err(state)?;
    for (name, value) in run.parameters {
        parameters.set(name.as_str(), value.as_str()).map_err(state)?;
    }
    lua.globals().set("actionParams", parameters).map_err(state)?;
    limit(&lua, run, spent).map_err(state)?;
    let chunk = lua.load(run.script).set_name(run.name).set_mode(mlua::chunk::ChunkMode::Text);
    let returned: Lua51 = chunk.eval().map_err(state)?;
    lua.remove_hook();
    read(&returned)
}

fn explain(error: &Error, limits: Limits) -> LuaError {
    match error {
        Error::MemoryError(_) => LuaError::Memory(limits.memory),
        Error::CallbackError { cause, .. } => explain(cause, limits),
        other => LuaError::of(other),
    }
}

/// Counts instructions and, where there is a clock, time.
fn limit(lua: &Lua, run: &Run<'_>, spent: &Spent) -> mlua::Result<()> {
    let (limits, clock, spent) = (run.limits, run.clock, spent.clone());
    let started = clock.map(|clock| clock());
    let used = std::cell::Cell::new(0u64);
    lua.set_hook(HookTriggers::new().every_nth_instruction(STEP), move |_, _| {
        used.set(used.get().saturating_add(u64::from(STEP)));
        let elapsed =
            clock.zip(started).map_or(Duration::ZERO, |(clock, started)| clock().saturating_sub(started));
        let reached = if used.get() > limits.instructions {
            LuaError::Instructions(limits.instructions)
        } else if elapsed > limits.time {
            LuaError::Time(limits.time)
        } else {
            return Ok(VmState::Continue);
        };
        *spent.borrow_mut() = Some(reached.clone());
        Err(Error::external(reached))
    })
}

/// Calls a function for `pcall`: its error is a value, but not when a limit was reached.
fn protected(
    spent: &Spent,
    function: &Lua51,
    arguments: MultiValue,
) -> mlua::Result<Result<MultiValue, String>> {
    let Lua51::Function(function) = function else {
        return Ok(Err(format!("attempt to call a {} value", function.type_name())));
    };
    let outcome = function.call::<MultiValue>(arguments);
    if let Some(limit) = spent.borrow().as_ref() {
        return Err(Error::external(limit.clone()));
    }
    match outcome {
        Err(Error::MemoryError(text)) => Err(Error::MemoryError(text)),
        Err(error) => Ok(Err(LuaError::of(&error).to_string())),
        Ok(values) => Ok(Ok(values)),
    }
}

fn guard(lua: &Lua, spent: &Spent) -> mlua::Result<()> {
    let asked = spent.clone();
    let pcall = lua.create_function(move |lua, (function, arguments): (Lua51, MultiValue)| {
        let (good, mut answer) = match protected(&asked, &function, arguments)? {
            Ok(values) => (true, values),
            Err(text) => (false, MultiValue::from_iter([Lua51::String(lua.create_string(text)?)])),
        };
        answer.push_front(Lua51::Boolean(good));
        Ok(answer)
    })?;
    let asked = spent.clone();
    let xpcall = lua.create_function(move |_, (function, handler): (Lua51, Function)| {
        match protected(&asked, &function, MultiValue::new())? {
            Ok(mut values) => {
                values.push_front(Lua51::Boolean(true));
                Ok(values)
            }
            Err(text) => {
                let mut values = handler.call::<MultiValue>(text)?;
                values.push_front(Lua51::Boolean(false));
                Ok(values)
            }
        }
    })?;
    patterns(lua)?;
    lua.load(GUARD).set_name("=guard").call::<()>((pcall, xpcall))
}

/// Searches whose cost could explode are refused before they begin: nothing counts inside them.
fn patterns(lua: &Lua) -> mlua::Result<()> {
    let strings: Table = lua.globals().get("string")?;
    for name in ["find", "match", "gmatch", "gsub"] {
        let real: Function = strings.get(name)?;
        let checked = lua.create_function(move |_, arguments: MultiValue| -> mlua::Result<MultiValue> {
            let texts: Vec<Option<&mlua::LuaString>> =
                arguments.iter().take(2).map(|value| value.as_string()).collect();
            if let [Some(text), Some(pattern)] = texts.as_slice() {
                let (length, pattern) = (text.as_bytes().len(), pattern.as_bytes());
                if cost(length, &pattern) > PATTERN_COST {
                    return Err(Error::runtime(format!(
                        "the pattern '{}' is too expensive for a text of {length} bytes",
                        String::from_utf8_lossy(&pattern)
                    )));
                }
            }
            real.call(arguments)
        })?;
        strings.set(name, checked)?;
    }
    Ok(())
}

/// The most that a search can cost: each repetition tries every length, and a pattern without an anchor every start.
fn cost(length: usize, pattern: &[u8]) -> f64 {
    let (mut repetitions, mut at, mut in_class) = (0i32, 0usize, false);
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'%' => at += 1,
            b'[' if !in_class => in_class = true,
            b']' if in_class => in_class = false,
            b'*' | b'+' | b'-' if !in_class && at > 0 => repetitions += 1,
            _ => {}
        }
        at += 1;
    }
    let starts = i32::from(pattern.first() != Some(&b'^'));
    let length = f64::from(u32::try_from(length).unwrap_or(u32::MAX));
    length.max(1.0).powi(repetitions.max(1) + starts.min(repetitions))
}
