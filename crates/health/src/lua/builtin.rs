//! The scripts of this crate: one state per thread, made when the first object asks for it.

use std::cell::RefCell;

use mlua::{Function, Lua, LuaOptions, StdLib, Table};

use super::{LuaError, time};

/// The checks, in the order in which they are loaded.
const HEALTH: &[(&str, &str)] = &[
    ("=argoproj", include_str!("../../lua/health/argoproj.lua")),
    ("=cloud", include_str!("../../lua/health/cloud.lua")),
    ("=data", include_str!("../../lua/health/data.lua")),
    ("=network", include_str!("../../lua/health/network.lua")),
    ("=platform", include_str!("../../lua/health/platform.lua")),
    ("=policies", include_str!("../../lua/health/policies.lua")),
    ("=promoter", include_str!("../../lua/health/promoter.lua")),
    ("=workloads", include_str!("../../lua/health/workloads.lua")),
];

/// The actions.
const ACTIONS: &[(&str, &str)] = &[
    ("=actions", include_str!("../../lua/actions/prelude.lua")),
    ("=kubernetes", include_str!("../../lua/actions/kubernetes.lua")),
    ("=operators", include_str!("../../lua/actions/operators.lua")),
    ("=rollouts", include_str!("../../lua/actions/rollouts.lua")),
];

/// The state with our scripts.
pub(crate) struct Builtin {
    lua: Lua,
    checks: Table,
    offers: Table,
    runs: Table,
    /// The names with wildcards: they are asked when no name fits as it is.
    wild: Vec<String>,
}

thread_local! {
    static STATE: RefCell<Option<Builtin>> = const { RefCell::new(None) };
}

/// Runs `work` with this thread's state; a state in which something failed is thrown away.
pub(crate) fn with_builtin<T>(work: impl FnOnce(&Builtin) -> Result<T, LuaError>) -> Result<T, LuaError> {
    STATE.with(|cell| {
        let mut slot =
            cell.try_borrow_mut().map_err(|_| LuaError::Failed("a check asked for a check".to_owned()))?;
        if slot.is_none() {
            *slot = Some(Builtin::new().map_err(|error| LuaError::of(&error))?);
        }
        let Some(state) = slot.as_ref() else { return Err(LuaError::Failed("no Lua state".to_owned())) };
        let outcome = work(state);
        if outcome.is_err() {
            *slot = None;
        }
        outcome
    })
}

impl Builtin {
    fn new() -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default())?;
        lua.load(include_str!("../../lua/prelude.lua")).set_name("=prelude").exec()?;
        for (name, text) in HEALTH.iter().chain(ACTIONS) {
            lua.load(*text).set_name(*name).exec()?;
        }
        let globals = lua.globals();
        let checks: Table = globals.get("checks")?;
        let mut wild = Vec::new();
        checks.for_each(|name: String, _: Function| {
            if name.contains('*') {
                wild.push(name);
            }
            Ok(())
        })?;
        wild.sort();
        let (offers, runs) = (globals.get("offers")?, globals.get("runs")?);
        Ok(Builtin { lua, checks, offers, runs, wild })
    }

    /// The state itself.
    pub(crate) fn lua(&self) -> &Lua {
        &self.lua
    }

    /// The moment that scripts see.
    pub(crate) fn at(&self, now: i64) -> mlua::Result<()> {
        time::install(&self.lua, now)
    }

    /// The check of a kind.
    pub(crate) fn check(&self, group: &str, kind: &str) -> mlua::Result<Option<Function>> {
        let name = format!("{group}/{kind}");
        if let Some(found) = self.checks.get::<Option<Function>>(name.as_str())? {
            return Ok(Some(found));
        }
        match self.wild.iter().find(|pattern| covers(pattern, group, kind)) {
            Some(pattern) => self.checks.get(pattern.as_str()),
            None => Ok(None),
        }
    }

    /// What says which actions an object offers.
    pub(crate) fn offer(&self, name: &str) -> mlua::Result<Option<Function>> {
        self.offers.get(name)
    }

    /// An action.
    pub(crate) fn action(&self, name: &str, action: &str) -> mlua::Result<Option<Function>> {
        match self.runs.get::<Option<Table>>(name)? {
            Some(all) => all.get(action),
            None => Ok(None),
        }
    }
}

/// Whether `*.crossplane.io/*` and its like cover a kind; the star of a group stands for at least one name.
fn covers(pattern: &str, group: &str, kind: &str) -> bool {
    let Some((wanted_group, wanted_kind)) = pattern.split_once('/') else { return false };
    let group_fits = match wanted_group.strip_prefix("*.") {
        // `crossplane.io` itself counts too, as `pkg.crossplane.io` does.
        Some(rest) => group == rest || group.ends_with(&format!(".{rest}")),
        None => group == wanted_group,
    };
    group_fits && (wanted_kind == "*" || wanted_kind == kind)
}
