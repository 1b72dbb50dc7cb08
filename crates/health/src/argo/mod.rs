//! Health as Argo CD judges it: a user's Lua, this crate's Lua for the well-known kinds, then the built-in checks.
//!
//! [`Judge::health`] is the verdict on one object, [`aggregate`] what a set of verdicts means for an application, and
//! [`actions`] what can be done with an object.

pub mod actions;
mod custom;
mod kinds;

use mlua::Value as Lua51;
use object::{Gvk, Value, get, get_str, meta};

use crate::lua::{self, Clock, Limits, LuaError, Run};

pub use crate::lua::{Clock as LuaClock, Limits as LuaLimits, LuaError as JudgeError};
pub use custom::{Customization, Customizations, glob};

/// A state of health. The order is Argo CD's: what is greater is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Status {
    /// All is well.
    Healthy,
    /// Somebody has stopped it on purpose.
    Suspended,
    /// It may yet become healthy.
    Progressing,
    /// It does not exist.
    Missing,
    /// It failed.
    Degraded,
    /// Nothing can be said.
    Unknown,
}

impl Status {
    /// As Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Healthy => "Healthy",
            Status::Suspended => "Suspended",
            Status::Progressing => "Progressing",
            Status::Missing => "Missing",
            Status::Degraded => "Degraded",
            Status::Unknown => "Unknown",
        }
    }

    /// From Argo CD's word.
    pub fn parse(word: &str) -> Option<Self> {
        use Status::{Degraded, Healthy, Missing, Progressing, Suspended, Unknown};
        [Healthy, Suspended, Progressing, Missing, Degraded, Unknown]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub status: Status,
    /// One line, or nothing.
    pub message: String,
}

impl Verdict {
    /// A verdict.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Verdict { status, message: message.into() }
    }
}

/// The worst of several states; `Healthy` when there are none.
pub fn aggregate(states: impl IntoIterator<Item = Status>) -> Status {
    states.into_iter().max().unwrap_or(Status::Healthy)
}

/// What judges objects: the customizations of an installation and the limits of their scripts.
#[derive(Debug, Clone, Default)]
pub struct Judge {
    /// Health checks and actions of the installation.
    pub customizations: Customizations,
    /// How much a script may use.
    pub limits: Limits,
    /// Measures how long a script runs.
    pub clock: Option<Clock>,
}

/// A hook that Argo CD holds with its finalizer is not on its way out: its result counts.
const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";

impl Judge {
    /// The verdict on an object; nothing for kinds that have no health. `now` is in seconds since the epoch.
    ///
    /// # Errors
    /// When a script fails. The object's health is then unknown, for the reason that the error gives.
    pub fn health(&self, object: &Value, now: i64) -> Result<Option<Verdict>, LuaError> {
        if meta::deletion_timestamp(object).is_some_and(|time| !time.is_empty()) && !held(object) {
            return Ok(Some(Verdict::new(Status::Progressing, "Pending deletion")));
        }
        let gvk = Gvk::of(object);
        if let Some(custom) = self.customizations.health(&gvk) {
            return self.scripted(custom, object, now).map(Some);
        }
        match scripted_by_us(&gvk, object, now)? {
            Some(verdict) => Ok(Some(verdict)),
            None => Ok(kinds::judge(&gvk, object)),
        }
    }

    fn scripted(&self, script: &str, object: &Value, now: i64) -> Result<Verdict, LuaError> {
        let run = Run {
            script,
            name: "=health",
            object,
            parameters: &[],
            now,
            limits: self.limits,
            clock: self.clock,
        };
        lua::run(&run, verdict)
    }
}

fn held(object: &Value) -> bool {
    let finalizers = get(object, &["metadata", "finalizers"]).and_then(Value::as_array);
    finalizers.is_some_and(|all| all.iter().any(|finalizer| finalizer == HOOK_FINALIZER))
}

/// The verdict of this crate's Lua, where it has a check for the kind.
pub fn scripted_by_us(gvk: &Gvk, object: &Value, now: i64) -> Result<Option<Verdict>, LuaError> {
    lua::with_builtin(|state| {
        let error = |error: mlua::Error| LuaError::of(&error);
        let Some(check) = state.check(&gvk.group, &gvk.kind).map_err(error)? else { return Ok(None) };
        state.at(now).map_err(error)?;
        let given = lua::to_lua(state.lua(), object).map_err(error)?;
        let returned: Lua51 = check.call(given).map_err(error)?;
        verdict(&returned).map(Some)
    })
}

/// What a health script returned.
fn verdict(returned: &Lua51) -> Result<Verdict, LuaError> {
    let Lua51::Table(_) = returned else {
        return Err(LuaError::Returned { wanted: "table", found: returned.type_name().to_owned() });
    };
    let value = lua::from_lua(returned)?;
    let message = get_str(&value, &["message"]).unwrap_or_default().to_owned();
    match get_str(&value, &["status"]).and_then(Status::parse) {
        Some(status) => Ok(Verdict { status, message }),
        None => Ok(Verdict::new(Status::Unknown, "Lua returned an invalid health status")),
    }
}
