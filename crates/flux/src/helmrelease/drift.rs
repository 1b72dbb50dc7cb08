//! Drift: live objects that differ from what the release applied.

use cluster::{Apply, ErrorKind};
use object::{Key, Value, get, meta};

use super::MANAGER;
use super::action::{Actor, Fault};
use crate::common::str_at;
use crate::ignored;
use crate::memory::essence;

/// `driftDetection.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disabled,
    Warn,
    Enabled,
}

/// The mode of a HelmRelease.
pub(super) fn mode(object: &Value) -> Mode {
    match str_at(object, &["spec", "driftDetection", "mode"]) {
        "enabled" => Mode::Enabled,
        "warn" => Mode::Warn,
        _ => Mode::Disabled,
    }
}

/// A drifted object: what to apply, and one line.
pub(super) struct Drifted {
    pub desired: Value,
    pub line: String,
}

fn is_excluded(object: &Value) -> bool {
    const MARK: &str = "helm.toolkit.fluxcd.io/driftDetection";
    [meta::label(object, MARK), meta::annotation(object, MARK)]
        .into_iter()
        .flatten()
        .any(|value| value.eq_ignore_ascii_case("disabled"))
}

impl Actor<'_> {
    fn would_change(&self, live: &Value, object: &Value) -> bool {
        self.memory.would_change(self.context.cluster.store(), MANAGER, live, object)
    }

    /// Finds what differs from `manifests`, and listens for more.
    pub async fn drift(&self, objects: Vec<Value>) -> Result<Vec<Drifted>, Fault> {
        let mut found = Vec::new();
        for object in objects {
            let key = Key::of(&object).map_err(|error| Fault::failed(error.to_string()))?;
            let gvk = object::Gvk::of(&object);
            self.context.watch(&gvk).await?;
            let live = self.context.cluster.store().get(&key);
            let seen = controller::aspect::declared(live.as_ref());
            self.context.follow(&key, controller::aspect::declared, &seen);
            if is_excluded(&object) {
                continue;
            }
            let rules = get(self.object, &["spec", "driftDetection", "ignore"]);
            let paths = ignored::paths(rules, &object);
            if paths.iter().any(String::is_empty) {
                continue;
            }
            let Some(live) = live else {
                found.push(Drifted { desired: object, line: format!("{key} removed") });
                continue;
            };
            if is_excluded(&live) || !self.would_change(&live, &object) {
                continue;
            }
            let desired = ignored::without(&object, &paths);
            let options = Apply { dry_run: true, ..Apply::forced(MANAGER) };
            let after = match self.cluster.apply(&desired, &options).await {
                Ok(after) => after,
                Err(error) if error.kind == ErrorKind::Immutable => {
                    found.push(Drifted {
                        desired,
                        line: format!("{key} changed in a field that cannot be changed back"),
                    });
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if essence(&ignored::without(&after, &paths)) != essence(&ignored::without(&live, &paths)) {
                found.push(Drifted { desired, line: format!("{key} changed") });
            }
        }
        Ok(found)
    }
}
