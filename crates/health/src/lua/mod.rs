//! Lua 5.1, as Argo CD's health checks and actions are written in, in a sandbox.
//!
//! A script sees the object as `obj`, the libraries `table`, `string` and `math`, and of `os` only the time. It cannot
//! reach files, processes, other scripts or bytecode. It ends after a number of instructions, at a limit of memory and,
//! where a clock is handed in, of time; `pcall` does not protect it from that. Every script of a user runs in a state of
//! its own; the scripts of this crate share one per thread.

mod builtin;
mod sandbox;
mod time;
mod values;

use std::time::Duration;

pub(crate) use builtin::with_builtin;
pub(crate) use sandbox::{Run, run};
pub(crate) use values::{from_lua, to_lua};

/// Time since some fixed point.
pub type Clock = fn() -> Duration;

/// How much one run of a script may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of the Lua machine.
    pub instructions: u64,
    /// Bytes, the object's own included.
    pub memory: usize,
    /// Time, where there is a clock.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { instructions: 5_000_000, memory: 64 << 20, time: Duration::from_secs(1) }
    }
}

/// Why a script has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LuaError {
    /// It is malformed or failed.
    #[error("{0}")]
    Failed(String),
    /// It ran for too long.
    #[error("the script was stopped after {0} instructions: it does not end, or does too much")]
    Instructions(u64),
    /// It ran for too long.
    #[error("the script was stopped after {} ms: it does not end, or does too much", .0.as_millis())]
    Time(Duration),
    /// It used too much memory.
    #[error("the script was stopped: it uses more than {} MiB", .0 >> 20)]
    Memory(usize),
    /// It returned something else than was asked for.
    #[error("expect {wanted} output from Lua script, not {found}")]
    Returned {
        /// What was asked for.
        wanted: &'static str,
        /// What came.
        found: String,
    },
}

impl LuaError {
    /// The error of a script, without the frames of the machine.
    pub(crate) fn of(error: &mlua::Error) -> Self {
        match error {
            mlua::Error::CallbackError { cause, .. } => Self::of(cause),
            mlua::Error::RuntimeError(text) => {
                let text = text.split("\nstack traceback:").next().unwrap_or(text);
                LuaError::Failed(text.to_owned())
            }
            mlua::Error::SyntaxError { message, .. } => LuaError::Failed(message.clone()),
            mlua::Error::ExternalError(inner) => match inner.downcast_ref::<LuaError>() {
                Some(known) => known.clone(),
                None => LuaError::Failed(inner.to_string()),
            },
            other => LuaError::Failed(other.to_string()),
        }
    }
}
