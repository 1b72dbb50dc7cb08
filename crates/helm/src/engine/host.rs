//! The door from templates to the [`World`].

use crate::render::World;
use gotemplate::{FuncError, Host, Value};
use std::cell::RefCell;

/// Passes a template's questions on.
pub(super) struct Door<'w> {
    world: &'w dyn World,
    lint: bool,
    notes: RefCell<Vec<String>>,
}

impl<'w> Door<'w> {
    pub(super) fn new(world: &'w dyn World, lint: bool) -> Self {
        Door { world, lint, notes: RefCell::default() }
    }

    /// What was noted on the way.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner()
    }
}

impl Host for Door<'_> {
    fn random(&self, bytes: &mut [u8]) {
        self.world.random(bytes);
    }

    fn now(&self) -> (i64, u32) {
        let now = self.world.now();
        let nanos = now.subsec_nanosecond();
        let seconds = now.as_second();
        // jiff counts both parts away from zero; Go wants the second below and a rest above it.
        match u32::try_from(nanos) {
            Ok(nanos) => (seconds, nanos),
            Err(_) => (seconds - 1, u32::try_from(nanos + 1_000_000_000).unwrap_or(0)),
        }
    }

    fn time_zone(&self) -> String {
        self.world.time_zone()
    }

    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, FuncError> {
        if self.lint {
            return Ok(Value::map::<&str>([]));
        }
        match self.world.lookup(api_version, kind, namespace, name) {
            Ok(serde_json::Value::Null) => Ok(Value::map::<&str>([])),
            // A live object comes through the API machinery, which keeps whole numbers whole.
            Ok(object) => Ok(Value::from_json(&object)),
            Err(text) => {
                self.notes.borrow_mut().push(format!("[ERROR] lookup of {api_version} {kind}: {text}"));
                Err(FuncError::new(text))
            }
        }
    }

    fn host_by_name(&self, name: &str) -> String {
        self.world.host_by_name(name)
    }

    fn lets_pass(&self, why: &str) -> bool {
        if self.lint {
            self.notes.borrow_mut().push(format!("[INFO] {why}"));
        }
        self.lint
    }
}
