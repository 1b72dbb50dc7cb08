//! Drift: live objects that differ from what the release applied.

use cluster::{Apply, ErrorKind};
use object::{Key, Value, get, json_patch, meta};
use regex::Regex;
use serde_json::json;

use super::MANAGER;
use super::action::{Actor, Fault};
use crate::common::{str_at, strings_at};
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

/// The JSON pointers that are ignored for an object.
fn ignored(release: &Value, object: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    let rules = get(release, &["spec", "driftDetection", "ignore"]).and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        let target = rule.get("target").cloned().unwrap_or_default();
        let matches = |field: &str, value: &str| {
            let pattern = str_at(&target, &[field]);
            pattern.is_empty()
                || Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value))
        };
        let gvk = object::Gvk::of(object);
        let selected = |field: &str, map: Option<&object::Map>| {
            let text = str_at(&target, &[field]);
            let labels = map.cloned().unwrap_or_default();
            text.is_empty()
                || object::LabelSelector::parse(text).is_ok_and(|selector| selector.matches(Some(&labels)))
        };
        if matches("group", &gvk.group)
            && matches("version", &gvk.version)
            && matches("kind", &gvk.kind)
            && matches("name", meta::name(object))
            && matches("namespace", meta::namespace(object).unwrap_or_default())
            && selected("labelSelector", meta::labels(object))
            && selected("annotationSelector", meta::annotations(object))
        {
            paths.extend(strings_at(rule, &["paths"]));
        }
    }
    paths
}

/// The object without what is ignored.
fn without(object: &Value, paths: &[String]) -> Value {
    let mut object = object.clone();
    for path in paths {
        if object.pointer(path).is_some() {
            let removed = json_patch::apply(&mut object, &json!([{"op": "remove", "path": path}]));
            if let Err(error) = removed {
                tracing::debug!(%error, path, "a path to ignore cannot be removed");
            }
        }
    }
    object
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
            let paths = ignored(self.object, &object);
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
            let desired = without(&object, &paths);
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
            if essence(&without(&after, &paths)) != essence(&without(&live, &paths)) {
                found.push(Drifted { desired, line: format!("{key} changed") });
            }
        }
        Ok(found)
    }
}
