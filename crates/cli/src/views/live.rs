//! The engine's state as lines: a tree of units with the cause below each that is not ready.

use super::{mark, one_line};
use controller::{Phase, Ready, Snapshot, Unit};
use object::Key;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How a unit is named in lines: `kustomization/apps` with its namespace behind when it is not the usual one.
pub fn name(key: &Key) -> String {
    match key.namespace.as_str() {
        "" | "flux-system" => format!("{}/{}", key.kind.to_lowercase(), key.name),
        namespace => format!("{}/{} ({namespace})", key.kind.to_lowercase(), key.name),
    }
}

/// The units as a tree: each below the unit that applied it, in the order of the snapshot.
pub fn tree(snapshot: &Snapshot, width: usize, colours: bool) -> Vec<String> {
    let known = |key: &Key| snapshot.units.iter().any(|unit| unit.key == *key);
    let is_root =
        |unit: &&Unit| unit.parent.as_ref().is_none_or(|parent| *parent == unit.key || !known(parent));
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    let mut roots: Vec<&Unit> = snapshot.units.iter().filter(is_root).collect();
    roots.sort_by_key(|unit| rank(unit));
    for unit in roots {
        branch(snapshot, unit, 0, width, colours, &mut seen, &mut lines);
    }
    // Units that apply each other in a ring have no root; none may be left out.
    for unit in &snapshot.units {
        if !seen.contains(&&unit.key) {
            branch(snapshot, unit, 0, width, colours, &mut seen, &mut lines);
        }
    }
    lines
}

fn branch<'a>(
    snapshot: &'a Snapshot,
    unit: &'a Unit,
    depth: usize,
    width: usize,
    colours: bool,
    seen: &mut Vec<&'a Key>,
    lines: &mut Vec<String>,
) {
    if seen.contains(&&unit.key) {
        return;
    }
    seen.push(&unit.key);
    lines.push(line(unit, depth, width, colours));
    if matches!(unit.phase(), Phase::Failed | Phase::Waiting | Phase::Working)
        && let Some(cause) = cause(snapshot, unit)
    {
        let indent = "  ".repeat(depth + 2);
        lines.push(format!("{indent}{}", one_line(&cause, width.saturating_sub(indent.len()).max(20))));
    }
    let mut children: Vec<&Unit> = snapshot
        .units
        .iter()
        .filter(|child| child.parent.as_ref() == Some(&unit.key) && child.key != unit.key)
        .collect();
    children.sort_by_key(|unit| rank(unit));
    for child in children {
        branch(snapshot, child, depth + 1, width, colours, seen, lines);
    }
}

/// Sources first, then what is made of them.
fn rank(unit: &Unit) -> usize {
    const ORDER: &[&str] = &[
        "GitRepository",
        "OCIRepository",
        "HelmRepository",
        "Bucket",
        "ArtifactGenerator",
        "ExternalArtifact",
        "HelmChart",
    ];
    ORDER.iter().position(|kind| *kind == unit.key.kind).unwrap_or(ORDER.len())
}

fn line(unit: &Unit, depth: usize, width: usize, colours: bool) -> String {
    let indent = "  ".repeat(depth);
    let name = name(&unit.key);
    let mark = mark(unit.phase(), colours);
    let revision = unit.revision.as_deref().map(short_revision).unwrap_or_default();
    let said = if unit.suspended {
        "suspended".to_owned()
    } else if unit.ready == Ready::True {
        revision
    } else {
        one_line(&unit.message, width.saturating_sub(indent.len() + name.len() + 6).max(20))
    };
    format!("{indent}{mark} {name}  {said}").trim_end().to_owned()
}

/// `main@sha1:0123456789…` with the digest cut to what tells it apart.
pub fn short_revision(revision: &str) -> String {
    match revision.rsplit_once(':') {
        Some((head, digest)) if digest.len() > 12 => {
            let dirty = digest.split_once('-').or_else(|| digest.split_once('+')).map(|(_, mark)| mark);
            let short: String = digest.chars().take(8).collect();
            match dirty {
                Some(mark) => format!("{head}:{short}+{}", one_line(mark, 16)),
                None => format!("{head}:{short}"),
            }
        }
        _ => revision.to_owned(),
    }
}

/// The first cause of a unit in one line, its own or that of what it waits for.
pub fn cause(snapshot: &Snapshot, unit: &Unit) -> Option<String> {
    let cause = snapshot.first_cause(&unit.key).or_else(|| unit.cause.clone())?;
    let text = cause.line_text();
    (text != unit.message).then_some(text)
}

/// Changes as lines, for terminals that cannot redraw and for logs: one whenever a unit comes to stand
/// differently.
#[derive(Default)]
pub struct Changes {
    printed: BTreeMap<Key, (Phase, String)>,
}

impl Changes {
    /// The same as objects, in the words of Flux's logs.
    pub fn entries(&mut self, snapshot: &Snapshot) -> Vec<Value> {
        let mut entries = Vec::new();
        for unit in &snapshot.units {
            let state = unit.phase();
            let message = if state == Phase::Working { String::new() } else { unit.message.clone() };
            if unit.message.is_empty() || self.printed.get(&unit.key) == Some(&(state, message.clone())) {
                continue;
            }
            let mut entry = json!({
                "level": if state == Phase::Failed { "error" } else { "info" },
                "ts": jiff::Timestamp::now().to_string(),
                "msg": if message.is_empty() { "reconciling" } else { &message },
                "controller": unit.key.kind.to_lowercase(), "controllerKind": unit.key.kind,
                "controllerGroup": unit.key.group, "namespace": unit.key.namespace, "name": unit.key.name,
                "state": state.as_str(), "revision": unit.revision,
            });
            if state == Phase::Failed {
                entry["error"] = json!(cause(snapshot, unit).unwrap_or_else(|| unit.message.clone()));
            }
            entries.push(entry);
            self.printed.insert(unit.key.clone(), (state, message));
        }
        self.printed.retain(|key, _| snapshot.unit(key).is_some());
        entries
    }

    /// The lines for what changed since the last call.
    pub fn lines(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        for unit in &snapshot.units {
            let state = unit.phase();
            // A pass has many small steps: that it began is enough.
            let message = if state == Phase::Working { String::new() } else { unit.message.clone() };
            if unit.message.is_empty() || self.printed.get(&unit.key) == Some(&(state, message.clone())) {
                continue;
            }
            // While it works, why the last attempt failed is old news.
            let said = match (state, &unit.progress) {
                (Phase::Working, Some(progress)) => progress.as_str(),
                (Phase::Working, None) if unit.ready == Ready::False => "",
                _ => &unit.message,
            };
            let line = format!("{:9} {}  {}", state.as_str(), name(&unit.key), one_line(said, 200));
            lines.push(line.trim_end().to_owned());
            if state == Phase::Failed
                && let Some(cause) = cause(snapshot, unit)
            {
                lines.push(format!("          cause: {cause}"));
            }
            self.printed.insert(unit.key.clone(), (state, message));
        }
        self.printed.retain(|key, _| snapshot.unit(key).is_some());
        lines
    }
}

/// The snapshot as data, for `-o json|yaml`.
pub fn data(snapshot: &Snapshot) -> Value {
    let units: Vec<Value> = snapshot.units.iter().map(|unit| unit_data(snapshot, unit)).collect();
    json!({"ready": snapshot.all_ready(), "units": units})
}

/// One unit as data.
pub fn unit_data(snapshot: &Snapshot, unit: &Unit) -> Value {
    let cause = (unit.ready != Ready::True)
        .then(|| snapshot.first_cause(&unit.key).or_else(|| unit.cause.clone()))
        .flatten()
        .map(|cause| {
            json!({
                "message": cause.message, "file": cause.file, "line": cause.line,
                "object": cause.object.as_ref().map(key_data),
            })
        });
    json!({
        "kind": unit.key.kind, "group": unit.key.group, "namespace": unit.key.namespace, "name": unit.key.name,
        "state": unit.phase().as_str(), "ready": unit.ready.as_str(), "reason": unit.reason, "message": unit.message,
        "revision": unit.revision, "suspended": unit.suspended, "cause": cause,
        "inventory": unit.inventory.iter().map(|entry| key_data(&entry.key)).collect::<Vec<_>>(),
    })
}

fn key_data(key: &Key) -> Value {
    json!({"group": key.group, "kind": key.kind, "namespace": key.namespace, "name": key.name})
}

#[cfg(test)]
mod tests {
    #[test]
    fn digests_are_cut() {
        let long = "main@sha1:0123456789abcdef0123456789abcdef01234567";
        assert_eq!(super::short_revision(long), "main@sha1:01234567");
        assert_eq!(super::short_revision("6.14.1"), "6.14.1");
    }
}
