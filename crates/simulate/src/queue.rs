//! What is to be done: each piece of work at most once at a time, some of it later.

use crate::kind::Kind;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Bring one object to where it should be.
    Object(Kind, String, String),
    /// Look whether the object with this UID is to be collected, or its dependents.
    Collect(String),
    /// See which resources there are.
    Discover,
    /// Make what a cluster has from the start.
    Foundation,
}

/// The longest pause after failures.
const LONGEST: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(crate) struct Queue {
    ready: VecDeque<Work>,
    queued: HashSet<Work>,
    running: HashSet<Work>,
    /// Asked for while running.
    again: HashSet<Work>,
    later: BTreeMap<(Timestamp, u64), Work>,
    /// The earliest appointment of each.
    planned: HashMap<Work, Timestamp>,
    failures: HashMap<Work, u32>,
    sequence: u64,
}

impl Queue {
    /// Asks for work now.
    pub(crate) fn add(&mut self, work: Work) {
        if self.running.contains(&work) {
            self.again.insert(work);
        } else if self.queued.insert(work.clone()) {
            self.ready.push_back(work);
        }
    }

    /// Asks for work at a time.
    pub(crate) fn add_at(&mut self, work: Work, time: Timestamp) {
        // An earlier appointment will look at the time itself.
        if self.planned.get(&work).is_some_and(|due| *due <= time) {
            return;
        }
        self.sequence += 1;
        self.planned.insert(work.clone(), time);
        self.later.insert((time, self.sequence), work);
    }

    /// Moves what is due; the time of the next appointment.
    pub(crate) fn due(&mut self, now: Timestamp) -> Option<Timestamp> {
        while let Some(entry) = self.later.first_entry() {
            let time = entry.key().0;
            if time > now {
                return Some(time);
            }
            let work = entry.remove();
            if self.planned.get(&work).is_some_and(|due| *due <= time) {
                self.planned.remove(&work);
            }
            self.add(work);
        }
        None
    }

    /// Takes the next piece; [`Queue::done`] must follow.
    pub(crate) fn take(&mut self) -> Option<Work> {
        let work = self.ready.pop_front()?;
        self.queued.remove(&work);
        self.running.insert(work.clone());
        Some(work)
    }

    /// A piece is finished; the pause before the next try when it failed.
    pub(crate) fn done(&mut self, work: &Work, failed: bool, now: Timestamp) {
        self.running.remove(work);
        if self.again.remove(work) {
            self.add(work.clone());
        }
        if !failed {
            self.failures.remove(work);
            return;
        }
        let count = self.failures.entry(work.clone()).or_default();
        *count += 1;
        let pause = Duration::from_millis(5 << (*count).min(14)).min(LONGEST);
        self.add_at(work.clone(), crate::time::after(now, pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_again() {
        let mut queue = Queue::default();
        let now = Timestamp::UNIX_EPOCH;
        queue.add(Work::Discover);
        queue.add(Work::Discover);
        let work = queue.take().expect("work");
        assert!(queue.take().is_none());
        queue.add(Work::Discover);
        assert!(queue.take().is_none(), "it runs");
        queue.done(&work, false, now);
        assert!(queue.take().is_some(), "asked for again");
        queue.done(&work, true, now);
        let next = queue.due(now).expect("a later try");
        assert!(next > now && queue.take().is_none());
        assert!(queue.due(next).is_none());
        assert!(queue.take().is_some());
    }
}
