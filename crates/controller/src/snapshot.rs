//! How the units stand: for `up`, `get`, `tree` and `why`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object::Key;
use serde_json::Value;

use crate::context::Relation;
use crate::engine::UnitState;
use crate::kind::{Cause, Description, Kind, ObjectRef, Ready};

/// A reference from one unit to another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// To what.
    pub to: Key,
    /// As what.
    pub relation: Relation,
}

/// How a unit stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// As it should be.
    Ready,
    /// Told not to run.
    Suspended,
    /// It is at it.
    Working,
    /// Something else comes first.
    Waiting,
    /// It needs help.
    Failed,
}

impl Phase {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Ready => "ready",
            Phase::Suspended => "suspended",
            Phase::Working => "working",
            Phase::Waiting => "waiting",
            Phase::Failed => "failed",
        }
    }
}

/// One unit.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Which one.
    pub key: Key,
    /// Its Ready condition.
    pub ready: Ready,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// The applied or fetched revision.
    pub revision: Option<String>,
    /// Is it suspended?
    pub suspended: bool,
    /// Has the status seen the newest generation?
    pub observed: bool,
    /// Is a pass running?
    pub running: bool,
    /// What the running pass is doing.
    pub progress: Option<String>,
    /// Has a pass ended since the last change of an input? (Always true without an engine.)
    pub settled: bool,
    /// Did the last pass end because something else comes first?
    pub waiting: bool,
    /// Failures in a row.
    pub attempts: u32,
    /// Why it is not ready.
    pub cause: Option<Cause>,
    /// What it refers to.
    pub edges: Vec<Edge>,
    /// What it applied.
    pub inventory: Vec<ObjectRef>,
    /// Is that in another cluster?
    pub elsewhere: bool,
    /// The unit that applied it.
    pub parent: Option<Key>,
}

impl Unit {
    pub(crate) fn of_state(key: &Key, state: &UnitState) -> Unit {
        let mut unit = Unit::of_description(key, &state.description);
        unit.running = state.running.is_some();
        unit.progress = state.progress.as_ref().map(|now| now.message.clone());
        unit.settled = unit.suspended || (state.ran && !unit.running && !state.again);
        unit.attempts = state.attempts;
        unit.waiting = state.waiting;
        // What a running pass does is newer than why the last one failed.
        unit.cause = match &state.progress {
            Some(now) if unit.running => Some(now.clone()),
            _ if unit.running && unit.ready == Ready::Unknown => None,
            _ => state.cause.clone().or(unit.cause),
        };
        unit
    }

    /// How it stands.
    pub fn phase(&self) -> Phase {
        match self.ready {
            _ if self.suspended => Phase::Suspended,
            Ready::True => Phase::Ready,
            // A failure stands until an attempt went better or something changed.
            Ready::False if self.running && self.attempts > 0 => Phase::Failed,
            _ if self.running => Phase::Working,
            _ if self.waiting => Phase::Waiting,
            Ready::Unknown => Phase::Working,
            Ready::False => Phase::Failed,
        }
    }

    /// From what its object says alone.
    pub fn of_description(key: &Key, description: &Description) -> Unit {
        let failed = description.ready != Ready::True && !description.message.is_empty();
        Unit {
            key: key.clone(),
            ready: description.ready,
            reason: description.reason.clone(),
            message: description.message.clone(),
            revision: description.revision.clone(),
            suspended: description.suspended,
            observed: description.observed,
            running: false,
            progress: None,
            settled: true,
            waiting: description.reason.ends_with("NotReady"),
            attempts: 0,
            cause: failed.then(|| Cause::new(description.message.clone())),
            edges: description
                .edges
                .iter()
                .map(|(relation, to)| Edge { to: to.clone(), relation: *relation })
                .collect(),
            inventory: description.inventory.clone(),
            elsewhere: description.elsewhere,
            parent: description.parent.clone(),
        }
    }

    /// Ready, at the newest generation, or told not to be.
    pub fn is_ready(&self) -> bool {
        self.suspended || (self.ready == Ready::True && self.observed)
    }
}

/// One step on the way to a first cause.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The unit.
    pub unit: Key,
    /// What it says.
    pub cause: Cause,
}

/// All units at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// By kind, namespace and name.
    pub units: Vec<Unit>,
    /// Was every kind listed?
    pub complete: bool,
}

impl Snapshot {
    pub(crate) fn new(units: Vec<Unit>, complete: bool) -> Snapshot {
        Snapshot { units, complete }
    }

    /// The same view without an engine, from the objects alone.
    pub fn of_objects(kinds: &[Arc<dyn Kind>], objects: &[Value]) -> Snapshot {
        let mut units = Vec::new();
        for object in objects {
            let Ok(key) = Key::of(object) else { continue };
            let kind = kinds.iter().find(|kind| {
                let gvk = kind.gvk();
                gvk.group == key.group && gvk.kind == key.kind
            });
            if let Some(kind) = kind {
                units.push(Unit::of_description(&key, &kind.describe(object)));
            }
        }
        units.sort_by(|a, b| a.key.cmp(&b.key));
        Snapshot { units, complete: true }
    }

    /// A unit.
    pub fn unit(&self, key: &Key) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.key == *key)
    }

    /// Every unit had its pass since the last change, and none is running.
    pub fn settled(&self) -> bool {
        self.complete && self.units.iter().all(|unit| unit.settled)
    }

    /// Settled, and every unit that is not suspended is ready.
    pub fn all_ready(&self) -> bool {
        self.settled() && self.units.iter().all(Unit::is_ready)
    }

    /// The way from a unit to the first cause of its not being ready, the unit itself first.
    pub fn why(&self, key: &Key) -> Vec<Hop> {
        let by_key: BTreeMap<&Key, &Unit> = self.units.iter().map(|unit| (&unit.key, unit)).collect();
        let mut hops = Vec::new();
        let mut seen = BTreeSet::new();
        let mut at = key;
        while let Some(unit) = by_key.get(at) {
            if !seen.insert(at) {
                break;
            }
            if unit.is_ready() && !hops.is_empty() {
                break;
            }
            let cause = unit.cause.clone().unwrap_or_else(|| Cause::new(unit.message.clone()));
            let next = self.next_hop(unit, &cause, &by_key);
            hops.push(Hop { unit: unit.key.clone(), cause });
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        hops
    }

    /// The last hop's cause: what must be changed.
    pub fn first_cause(&self, key: &Key) -> Option<Cause> {
        let unit = self.unit(key)?;
        if unit.is_ready() {
            return None;
        }
        self.why(key).into_iter().rev().find(|hop| !hop.cause.message.is_empty()).map(|hop| hop.cause)
    }

    fn next_hop<'a>(
        &self,
        unit: &'a Unit,
        cause: &Cause,
        by_key: &BTreeMap<&'a Key, &'a Unit>,
    ) -> Option<&'a Key> {
        let not_ready =
            |key: &Key| by_key.get_key_value(key).filter(|(_, unit)| !unit.is_ready()).map(|(key, _)| *key);
        if unit.is_ready() {
            return None;
        }
        if let Some(found) = cause.via.as_ref().or(cause.object.as_ref()).and_then(not_ready)
            && *found != unit.key
        {
            return Some(found);
        }
        // A place in a file is as deep as it gets.
        if cause.file.is_some() {
            return None;
        }
        if let Some(found) = unit.edges.iter().find_map(|edge| not_ready(&edge.to)) {
            return Some(found);
        }
        unit.inventory.iter().find_map(|entry| not_ready(&entry.key)).filter(|found| **found != unit.key)
    }
}

/// The dependency cycle through `start`, as `[start, …, start]`. Only `DependsOn` edges count.
pub(crate) fn cycle(start: &Key, edges_of: impl Fn(&Key) -> Vec<(Relation, Key)>) -> Option<Vec<Key>> {
    let mut seen = BTreeSet::new();
    let mut path: Vec<(Key, Vec<Key>)> = vec![(start.clone(), next_of(start, &edges_of))];
    while let Some((_, open)) = path.last_mut() {
        let Some(next) = open.pop() else {
            path.pop();
            continue;
        };
        if next == *start {
            let mut found: Vec<Key> = path.into_iter().map(|(key, _)| key).collect();
            found.push(next);
            return Some(found);
        }
        if seen.insert(next.clone()) {
            let more = next_of(&next, &edges_of);
            path.push((next, more));
        }
    }
    None
}

fn next_of(key: &Key, edges_of: &impl Fn(&Key) -> Vec<(Relation, Key)>) -> Vec<Key> {
    let mut next: Vec<Key> = edges_of(key)
        .into_iter()
        .filter(|(relation, _)| *relation == Relation::DependsOn)
        .map(|(_, to)| to)
        .collect();
    next.reverse();
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("kustomize.toolkit.fluxcd.io", "Kustomization", "ns", name)
    }

    fn unit(name: &str, ready: Ready, message: &str, to: &[&str]) -> Unit {
        let description = Description {
            ready,
            message: message.into(),
            observed: true,
            edges: to.iter().map(|name| (Relation::DependsOn, key(name))).collect(),
            ..Description::default()
        };
        Unit::of_description(&key(name), &description)
    }

    #[test]
    fn the_first_cause_is_hops_away() {
        let units = vec![
            unit("app", Ready::False, "dependency not ready", &["db"]),
            unit("db", Ready::False, "dependency not ready", &["base"]),
            unit("base", Ready::False, "a.yaml:3: bad", &[]),
            unit("fine", Ready::True, "Applied", &[]),
        ];
        let snapshot = Snapshot::new(units, true);
        let hops: Vec<String> = snapshot.why(&key("app")).iter().map(|hop| hop.unit.name.clone()).collect();
        assert_eq!(hops, ["app", "db", "base"]);
        assert_eq!(
            snapshot.first_cause(&key("app")).map(|cause| cause.message),
            Some("a.yaml:3: bad".into())
        );
        assert_eq!(snapshot.first_cause(&key("fine")), None);
        assert!(snapshot.settled() && !snapshot.all_ready());
    }

    #[test]
    fn cycles_are_named_in_order() {
        let edges = |from: &Key| -> Vec<(Relation, Key)> {
            let to: &[&str] = match from.name.as_str() {
                "a" => &["x", "b"],
                "b" => &["c"],
                "c" => &["a"],
                _ => &[],
            };
            to.iter().map(|name| (Relation::DependsOn, key(name))).collect()
        };
        let names = |start: &str| {
            cycle(&key(start), edges).map(|found| found.into_iter().map(|key| key.name).collect::<Vec<_>>())
        };
        assert_eq!(names("a"), Some(vec!["a".into(), "b".into(), "c".into(), "a".into()]));
        assert_eq!(names("x"), None);
    }
}
