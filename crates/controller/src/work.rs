//! What each unit read, so that a change wakes exactly its readers.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use object::Key;
use serde_json::Value;

use crate::context::Aspect;

struct Input {
    aspect: Aspect,
    preempts: bool,
    /// What the unit itself applied: somebody else changed it.
    follows: bool,
    seen: u64,
    run: u64,
}

#[derive(Default)]
struct State {
    by_unit: HashMap<Key, HashMap<Key, Input>>,
    readers: HashMap<Key, HashSet<Key>>,
    of_kind: HashMap<(String, String), HashMap<Key, u64>>,
    /// The pass that a unit is in the middle of.
    running: HashMap<Key, u64>,
}

impl State {
    /// Takes note of what an input is now. Says whether its reader has to run again: not when it saw just
    /// that, and not when it is in the middle of a pass that did not come to read it yet.
    fn news(&mut self, unit: &Key, input: &Key, now: impl Fn(&Input) -> u64) -> Option<Wake> {
        let running = self.running.get(unit).copied();
        let known = self.by_unit.get_mut(unit)?.get_mut(input)?;
        let now = now(known);
        if known.seen == now {
            return None;
        }
        known.seen = now;
        if running.is_some_and(|run| known.run < run) {
            return None;
        }
        tracing::debug!(%unit, %input, "an input changed");
        Some(Wake { unit: unit.clone(), preempts: known.preempts, follows: known.follows })
    }

    fn readers(&self, input: &Key) -> Vec<Key> {
        self.readers.get(input).into_iter().flatten().cloned().collect()
    }
}

/// A unit that has to run again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wake {
    pub unit: Key,
    pub preempts: bool,
    /// For a change of what it applied: two who want different things must not race for ever.
    pub follows: bool,
}

/// The index of inputs.
#[derive(Default)]
pub(crate) struct Inputs {
    state: Mutex<State>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Inputs {
    pub fn record(&self, unit: &Key, run: u64, input: Key, aspect: Aspect, preempts: bool, seen: String) {
        let mut state = lock(&self.state);
        state.readers.entry(input.clone()).or_default().insert(unit.clone());
        let slot = state.by_unit.entry(unit.clone()).or_default();
        slot.insert(input, Input { aspect, preempts, follows: false, seen: digest(&seen), run });
    }

    /// The same for an object that the unit applied.
    pub fn follow(&self, unit: &Key, run: u64, input: Key, aspect: Aspect, seen: &str) {
        let mut state = lock(&self.state);
        state.readers.entry(input.clone()).or_default().insert(unit.clone());
        let slot = state.by_unit.entry(unit.clone()).or_default();
        // What was read for another reason stays that: it may preempt.
        let known = slot.get(&input).is_some_and(|known| known.run == run && !known.follows);
        if !known {
            slot.insert(input, Input { aspect, preempts: false, follows: true, seen: digest(seen), run });
        }
    }

    pub fn record_any(&self, unit: &Key, run: u64, group: &str, kind: &str) {
        let mut state = lock(&self.state);
        state.of_kind.entry((group.to_owned(), kind.to_owned())).or_default().insert(unit.clone(), run);
    }

    /// A pass begins.
    pub fn started(&self, unit: &Key, run: u64) {
        lock(&self.state).running.insert(unit.clone(), run);
    }

    /// A pass was interrupted: what it and the one before it read still counts.
    pub fn interrupted(&self, unit: &Key) {
        lock(&self.state).running.remove(unit);
    }

    /// A pass came to its end: what it did not read any more is no input.
    pub fn finished(&self, unit: &Key, run: u64) {
        let mut state = lock(&self.state);
        state.running.remove(unit);
        let mut dropped = Vec::new();
        if let Some(inputs) = state.by_unit.get_mut(unit) {
            inputs.retain(|key, input| {
                let keep = input.run >= run;
                if !keep {
                    dropped.push(key.clone());
                }
                keep
            });
        }
        for key in dropped {
            forget_reader(&mut state, &key, unit);
        }
        for readers in state.of_kind.values_mut() {
            readers.retain(|reader, last| reader != unit || *last >= run);
        }
    }

    pub fn forget_unit(&self, unit: &Key) {
        let mut state = lock(&self.state);
        state.running.remove(unit);
        for key in state.by_unit.remove(unit).unwrap_or_default().into_keys() {
            forget_reader(&mut state, &key, unit);
        }
        for readers in state.of_kind.values_mut() {
            readers.remove(unit);
        }
    }

    pub fn has_readers(&self, key: &Key) -> bool {
        let state = lock(&self.state);
        state.readers.contains_key(key) || state.of_kind.contains_key(&(key.group.clone(), key.kind.clone()))
    }

    /// Who has to run since `key` is now `object`.
    pub fn changed(&self, key: &Key, object: Option<&Value>) -> Vec<Wake> {
        let mut state = lock(&self.state);
        let mut wakes = Vec::new();
        for unit in state.readers(key) {
            wakes.extend(state.news(&unit, key, |input| digest(&(input.aspect)(object))));
        }
        if let Some(readers) = state.of_kind.get(&(key.group.clone(), key.kind.clone())) {
            wakes.extend(readers.keys().map(|unit| Wake {
                unit: unit.clone(),
                preempts: false,
                follows: false,
            }));
        }
        wakes
    }

    /// Who has to run since the input `key`, which is no object, is now what `text` says.
    pub fn announced(&self, key: &Key, text: &str) -> Vec<Wake> {
        let mut state = lock(&self.state);
        let now = digest(text);
        let mut wakes = Vec::new();
        for unit in state.readers(key) {
            wakes.extend(state.news(&unit, key, |_| now));
        }
        wakes
    }
}

fn forget_reader(state: &mut State, input: &Key, unit: &Key) {
    if let Some(readers) = state.readers.get_mut(input) {
        readers.remove(unit);
        if readers.is_empty() {
            state.readers.remove(input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key::new("", "ConfigMap", "ns", name)
    }

    fn data(object: Option<&Value>) -> String {
        object.map(|object| object["data"].to_string()).unwrap_or_default()
    }

    #[test]
    fn only_readers_of_the_changed_part_wake() {
        let inputs = Inputs::default();
        inputs.record(&key("unit"), 1, key("a"), data, true, data(Some(&json!({"data": 1}))));
        assert!(inputs.changed(&key("a"), Some(&json!({"data": 1, "other": 2}))).is_empty());
        assert!(inputs.changed(&key("b"), None).is_empty());
        let wakes = inputs.changed(&key("a"), Some(&json!({"data": 2})));
        assert_eq!(wakes, [Wake { unit: key("unit"), preempts: true, follows: false }]);
        assert!(inputs.changed(&key("a"), Some(&json!({"data": 2}))).is_empty(), "told once");
    }

    #[test]
    fn what_is_announced_wakes_those_who_saw_something_else() {
        let inputs = Inputs::default();
        inputs.record(&key("early"), 1, key("a"), data, true, "none".into());
        inputs.record(&key("late"), 1, key("a"), data, true, "first".into());
        assert_eq!(
            inputs.announced(&key("a"), "first"),
            [Wake { unit: key("early"), preempts: true, follows: false }]
        );
        assert!(inputs.announced(&key("a"), "first").is_empty(), "told once");
    }

    #[test]
    fn a_pass_that_has_not_read_an_input_yet_is_left_alone() {
        let inputs = Inputs::default();
        inputs.record(&key("unit"), 1, key("a"), data, true, String::new());
        inputs.finished(&key("unit"), 1);
        inputs.started(&key("unit"), 2);
        assert!(inputs.changed(&key("a"), Some(&json!({"data": 2}))).is_empty());
        inputs.record(&key("unit"), 2, key("a"), data, true, "2".into());
        assert_eq!(inputs.changed(&key("a"), Some(&json!({"data": 3}))).len(), 1);
    }

    #[test]
    fn inputs_of_an_older_pass_are_forgotten() {
        let inputs = Inputs::default();
        inputs.record(&key("unit"), 1, key("a"), data, false, String::new());
        inputs.record(&key("unit"), 2, key("b"), data, false, String::new());
        inputs.finished(&key("unit"), 2);
        assert!(inputs.changed(&key("a"), Some(&json!({"data": 2}))).is_empty());
        assert_eq!(inputs.changed(&key("b"), Some(&json!({"data": 2}))).len(), 1);
    }
}
