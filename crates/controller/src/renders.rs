//! What was rendered, by what was read: a new revision that looks the same to a unit is not rendered again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object::Value;

/// How much output all units together may leave here.
const MOST_HELD: usize = 64 << 20;

/// What a render made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendered {
    /// The objects, in output order.
    pub objects: Vec<Value>,
    /// `sha256:` of the objects.
    pub digest: String,
}

struct Record<I, L> {
    input: I,
    looks: L,
    digest: String,
    /// The objects as text, which takes a fraction of the room that values take.
    text: Arc<[u8]>,
    used: u64,
}

struct Known<K, I, L> {
    records: HashMap<K, Record<I, L>>,
    held: usize,
    turn: u64,
}

/// The last render of each unit: what it was given (`I`), what it looked at (`L`), and what came of it. When the
/// outputs take too much room, those that were not asked for the longest go, and are rendered anew when they are
/// wanted.
pub struct Renders<K, I, L> {
    known: Mutex<Known<K, I, L>>,
    most: usize,
    made: AtomicU64,
}

impl<K: Eq + Hash + Clone, I: PartialEq, L> Default for Renders<K, I, L> {
    fn default() -> Self {
        Renders::bounded(MOST_HELD)
    }
}

impl<K: Eq + Hash + Clone, I: PartialEq, L> Renders<K, I, L> {
    /// Nothing rendered yet; at most so many bytes of output are held.
    pub fn bounded(most: usize) -> Self {
        let known = Known { records: HashMap::new(), held: 0, turn: 0 };
        Renders { known: Mutex::new(known), most, made: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Known<K, I, L>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `unit` rendered last, when it was given the same and `same` finds that all it looked at is as it was.
    pub fn recall(&self, unit: &K, input: &I, same: impl FnOnce(&L) -> bool) -> Option<Rendered> {
        let (text, digest) = {
            let mut known = self.lock();
            known.turn += 1;
            let turn = known.turn;
            let record = known.records.get_mut(unit)?;
            if record.input != *input || !same(&record.looks) {
                return None;
            }
            record.used = turn;
            (record.text.clone(), record.digest.clone())
        };
        // It was written here, so it can be read.
        let objects = serde_json::from_slice(&text).ok()?;
        Some(Rendered { objects, digest })
    }

    /// Notes what a render of `unit` was given, what it looked at and what it made.
    pub fn keep(&self, unit: K, input: I, looks: L, rendered: &Rendered) {
        self.made.fetch_add(1, Ordering::Relaxed);
        self.forget(&unit);
        let Ok(text) = serde_json::to_vec(&rendered.objects) else { return };
        let mut known = self.lock();
        known.turn += 1;
        known.held += text.len();
        let record =
            Record { input, looks, digest: rendered.digest.clone(), text: text.into(), used: known.turn };
        known.records.insert(unit, record);
        while known.held > self.most {
            let oldest = known.records.iter().min_by_key(|(_, record)| record.used);
            let Some(oldest) = oldest.map(|(unit, _)| unit.clone()) else { return };
            known.remove(&oldest);
        }
    }

    /// Did `unit` render since this process began?
    pub fn knows(&self, unit: &K) -> bool {
        self.lock().records.contains_key(unit)
    }

    /// Forgets a unit that is gone.
    pub fn forget(&self, unit: &K) {
        self.lock().remove(unit);
    }

    /// How many renders were made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl<K: Eq + Hash, I, L> Known<K, I, L> {
    fn remove(&mut self, unit: &K) {
        if let Some(record) = self.records.remove(unit) {
            self.held = self.held.saturating_sub(record.text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(text: &str) -> Rendered {
        Rendered { objects: vec![json!({"text": text})], digest: format!("sha256:{text}") }
    }

    #[test]
    fn what_was_given_and_seen_decides() {
        let renders = Renders::default();
        renders.keep("a", 1, "seen", &rendered("x"));
        assert_eq!(renders.recall(&"a", &1, |looks| *looks == "seen"), Some(rendered("x")));
        assert_eq!(renders.recall(&"a", &2, |_| true), None, "another input");
        assert_eq!(renders.recall(&"a", &1, |_| false), None, "something differs");
        assert_eq!(renders.recall(&"b", &1, |_| true), None, "another unit");
        renders.forget(&"a");
        assert!(!renders.knows(&"a"));
        assert_eq!(renders.made(), 1);
    }

    #[test]
    fn the_room_is_bounded_and_the_oldest_go() {
        let renders = Renders::bounded(49);
        for (unit, text) in [("a", "one"), ("b", "two"), ("c", "three")] {
            renders.keep(unit, (), (), &rendered(text));
            assert!(renders.recall(&"a", &(), |()| true).is_some(), "it is in use");
        }
        assert!(!renders.knows(&"b") && renders.knows(&"c"));
        // What is larger than all the room is not held at all.
        renders.keep("d", (), (), &rendered(&"x".repeat(60)));
        assert!(!renders.knows(&"d"));
    }
}
