//! Storage: an ordered in-memory index with one revision for all, a window of events per table for
//! watches and older lists, and a log thread that makes writes durable.

pub mod backup;
mod disk;
mod lines;
mod object;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{oneshot, watch};

pub use disk::DiskError;
pub use lines::{Form, Lines};
pub use object::{Draft, Object};

use crate::OpenError;

/// How many events a table keeps for watches that resume.
const WINDOW_EVENTS: usize = 4096;
/// How many of them keep the lines that watchers get; who lags further behind has them written again.
const LINES_EVENTS: usize = 256;
/// How many bytes of objects these events may hold.
const WINDOW_BYTES: usize = 16 << 20;
/// Revisions are skipped after a crash, so that none that a watcher saw is given out twice.
pub const CRASH_GAP: u64 = 10_000;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It came into being.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change.
#[derive(Debug)]
pub struct Event {
    /// Its revision.
    pub revision: u64,
    /// What happened.
    pub change: Change,
    /// The new state; the last one, at the deletion's revision, when deleted.
    pub object: Arc<Object>,
    /// The state before.
    pub previous: Option<Arc<Object>>,
    /// How watchers are told of it.
    pub lines: Lines,
}

/// What is new to a watcher.
pub struct News {
    /// The newest revision that was looked at.
    pub seen: u64,
    /// The changes up to it.
    pub events: Vec<Arc<Event>>,
    /// How many watch the table.
    pub watchers: usize,
}

/// What must hold for a write to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// No object of that key.
    Absent,
    /// The object as of this revision.
    Revision(u64),
}

/// A write.
pub enum Write {
    /// Create or replace.
    Put(Draft),
    /// Remove.
    Remove,
}

/// The expectation did not hold: another write came first.
#[derive(Debug)]
pub struct Mismatch;

/// Resolves when the write is on disk.
pub struct Durable(Option<oneshot::Receiver<Result<(), DiskError>>>);

impl Durable {
    /// Waits for the disk.
    pub async fn wait(self) -> Result<(), DiskError> {
        match self.0 {
            None => Ok(()),
            Some(receiver) => {
                receiver.await.unwrap_or_else(|_| Err(DiskError::new("the log thread has ended")))
            }
        }
    }
}

/// A revision that is no longer kept; the oldest one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted(pub u64);

/// A table in numbers.
#[derive(Debug, Clone)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// The objects in it.
    pub objects: usize,
    /// Who watches it.
    pub watchers: usize,
}

#[derive(Debug)]
struct Table {
    objects: BTreeMap<Arc<str>, Arc<Object>>,
    events: VecDeque<Arc<Event>>,
    event_bytes: usize,
    /// Events up to this revision are forgotten.
    floor: u64,
    wake: watch::Sender<u64>,
}

impl Table {
    fn new(floor: u64) -> Table {
        Table {
            objects: BTreeMap::new(),
            events: VecDeque::new(),
            event_bytes: 0,
            floor,
            wake: watch::Sender::new(floor),
        }
    }

    fn push(&mut self, event: Event) {
        self.event_bytes += event.object.json().len();
        self.events.push_back(Arc::new(event));
        if let Some(old) = self.events.len().checked_sub(LINES_EVENTS).and_then(|at| self.events.get(at)) {
            old.lines.forget();
        }
        while self.events.len() > WINDOW_EVENTS || (self.event_bytes > WINDOW_BYTES && self.events.len() > 1)
        {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        if let Some(old) = self.events.pop_front() {
            self.event_bytes -= old.object.json().len();
            self.floor = old.revision;
        }
    }

    /// Forgets the changes up to a revision.
    fn forget(&mut self, revision: u64) {
        while self.events.front().is_some_and(|event| event.revision <= revision) {
            self.forget_one();
        }
    }
}

struct State {
    revision: u64,
    base: u64,
    /// Lists of the state before this revision are not given any more.
    compacted: u64,
    tables: HashMap<Arc<str>, Table>,
}

impl State {
    fn table(&mut self, name: &str) -> &mut Table {
        if !self.tables.contains_key(name) {
            let table = Table::new(self.base);
            self.tables.insert(name.into(), table);
        }
        // The entry was made above; a second look-up is cheaper than a key made for every call.
        match self.tables.get_mut(name) {
            Some(table) => table,
            None => unreachable!("the table was inserted above"),
        }
    }
}

impl State {
    fn snapshot(&self) -> Snapshot {
        let tables = self.tables.iter().filter(|(_, table)| !table.objects.is_empty());
        Snapshot {
            revision: self.revision,
            tables: tables.map(|(name, table)| (name.clone(), table.objects.clone())).collect(),
        }
    }
}

/// All objects as they are at one revision.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision.
    pub revision: u64,
    /// Objects by table and key.
    pub tables: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<Object>>>,
}

/// The storage of one cluster.
pub struct Store {
    state: RwLock<State>,
    disk: Option<disk::Disk>,
}

impl Store {
    /// A store that lives in memory.
    pub fn ephemeral() -> Store {
        let state = State { revision: 1, base: 1, compacted: 0, tables: HashMap::new() };
        Store { state: RwLock::new(state), disk: None }
    }

    /// The state of all tables at one revision. Objects are shared, so that this takes no longer than walking the
    /// index.
    pub fn snapshot(&self) -> Snapshot {
        self.state.read().snapshot()
    }

    /// A store that begins with everything in this one: in memory, or in a directory that holds no state yet.
    pub fn fork(&self, directory: Option<&Path>) -> Result<Store, OpenError> {
        let (Some(disk), Some(directory)) = (&self.disk, directory) else {
            return Store::from_snapshot(self.snapshot(), directory);
        };
        let state = self.state.read();
        // Writes are queued under the other lock, so none comes between what is copied and what is shared.
        let copied = disk.copy(directory);
        let snapshot = state.snapshot();
        drop(state);
        let ended = || std::io::Error::other("the log thread has ended");
        let io = |_| OpenError::Io { path: directory.to_owned(), source: ended() };
        copied.recv().map_err(io)??;
        Ok(Store::beginning_with(snapshot, Some(disk::Disk::attach(directory)?)))
    }

    /// A store that begins with a snapshot: in memory, or in a directory that holds no state yet.
    pub fn from_snapshot(snapshot: Snapshot, directory: Option<&Path>) -> Result<Store, OpenError> {
        let disk = match directory {
            None => None,
            Some(directory) => {
                disk::create(directory, &snapshot)?;
                Some(disk::Disk::attach(directory)?)
            }
        };
        Ok(Store::beginning_with(snapshot, disk))
    }

    fn beginning_with(snapshot: Snapshot, disk: Option<disk::Disk>) -> Store {
        let revision = snapshot.revision;
        let mut state = State { revision, base: revision, compacted: revision, tables: HashMap::new() };
        for (name, objects) in snapshot.tables {
            state.tables.insert(name, Table { objects, ..Table::new(revision) });
        }
        Store { state: RwLock::new(state), disk }
    }

    /// Writes a snapshot into a directory that holds no state yet.
    pub fn create(snapshot: &Snapshot, directory: &Path) -> Result<(), OpenError> {
        disk::create(directory, snapshot)
    }

    /// The store of a state directory, made when it is not there.
    pub fn open(directory: &Path) -> Result<Store, OpenError> {
        let (disk, loaded) = disk::Disk::open(directory)?;
        let gap = if loaded.clean { 0 } else { CRASH_GAP };
        let revision = loaded.revision.max(1) + gap;
        let mut state = State { revision, base: revision, compacted: 0, tables: HashMap::new() };
        for (table, object) in loaded.objects {
            let key: Arc<str> = object.key.as_ref().into();
            state.table(&table).objects.insert(key, Arc::new(object));
        }
        Ok(Store { state: RwLock::new(state), disk: Some(disk) })
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.state.read().revision
    }

    /// One object.
    pub fn get(&self, table: &str, key: &str) -> Option<Arc<Object>> {
        self.state.read().tables.get(table)?.objects.get(key).cloned()
    }

    /// The objects whose key starts with `prefix`, and the revision that this is true at.
    pub fn list(&self, table: &str, prefix: &str) -> (u64, Vec<Arc<Object>>) {
        let state = self.state.read();
        let objects = state.tables.get(table).map(|t| range(&t.objects, prefix));
        (state.revision, objects.unwrap_or_default())
    }

    /// What every table is in numbers.
    pub fn tables(&self) -> Vec<TableSize> {
        let state = self.state.read();
        let sizes = state.tables.iter().map(|(name, table)| TableSize {
            name: name.to_string(),
            objects: table.objects.len(),
            watchers: table.wake.receiver_count(),
        });
        let mut sizes: Vec<TableSize> = sizes.collect();
        sizes.sort_by(|a, b| a.name.cmp(&b.name));
        sizes
    }

    /// How many objects a table has under a prefix.
    pub fn count(&self, table: &str, prefix: &str) -> usize {
        let state = self.state.read();
        state.tables.get(table).map_or(0, |t| {
            if prefix.is_empty() {
                t.objects.len()
            } else {
                t.objects.range::<str, _>(from(prefix)).take_while(|(k, _)| k.starts_with(prefix)).count()
            }
        })
    }

    /// The objects as they were at an older revision.
    pub fn list_at(&self, table: &str, prefix: &str, revision: u64) -> Result<Vec<Arc<Object>>, Compacted> {
        let state = self.state.read();
        if revision < state.compacted {
            return Err(Compacted(state.compacted));
        }
        let Some(table) = state.tables.get(table) else { return Ok(Vec::new()) };
        if revision < table.floor {
            return Err(Compacted(table.floor));
        }
        let mut objects: BTreeMap<Arc<str>, Arc<Object>> =
            range(&table.objects, prefix).into_iter().map(|o| (Arc::from(&*o.key), o)).collect();
        // Undo what came later, newest first.
        for event in table.events.iter().rev() {
            if event.revision <= revision {
                break;
            }
            if !event.object.key.starts_with(prefix) {
                continue;
            }
            match &event.previous {
                Some(previous) => {
                    objects.insert(Arc::from(&*previous.key), previous.clone());
                }
                None => {
                    objects.remove(&*event.object.key);
                }
            }
        }
        Ok(objects.into_values().collect())
    }

    /// Takes a write when its expectation holds. Readers and watchers see it at once; the caller
    /// acknowledges it when [`Durable`] resolves.
    pub fn commit(
        &self,
        table_name: &str,
        key: &str,
        expect: Expect,
        write: Write,
    ) -> Result<(Arc<Object>, Durable), Mismatch> {
        let mut guard = self.state.write();
        let state = &mut *guard;
        let next = state.revision + 1;
        let table = state.table(table_name);
        let previous = table.objects.get(key).cloned();
        match (expect, &previous) {
            (Expect::Absent, None) => {}
            (Expect::Revision(revision), Some(object)) if object.revision == revision => {}
            _ => return Err(Mismatch),
        }
        let (change, object) = match (write, &previous) {
            (Write::Put(draft), Some(_)) => (Change::Modified, Arc::new(draft.finish(key, next))),
            (Write::Put(draft), None) => (Change::Added, Arc::new(draft.finish(key, next))),
            (Write::Remove, Some(old)) => (Change::Deleted, Arc::new(old.at_revision(next))),
            (Write::Remove, None) => return Err(Mismatch),
        };
        if change == Change::Deleted {
            table.objects.remove(key);
        } else if let Some(slot) = table.objects.get_mut(key) {
            *slot = object.clone();
        } else {
            table.objects.insert(key.into(), object.clone());
        }
        table.push(Event {
            revision: next,
            change,
            object: object.clone(),
            previous,
            lines: Lines::default(),
        });
        let wake = table.wake.clone();
        state.revision = next;
        let durable = Durable(self.disk.as_ref().map(|disk| {
            let stored = (change != Change::Deleted).then(|| object.clone());
            disk.write(table_name, key, next, stored)
        }));
        drop(guard);
        wake.send_replace(next);
        Ok((object, durable))
    }

    /// The events after `after`, or that they are forgotten.
    pub fn events_after(&self, table: &str, after: u64, limit: usize) -> Result<News, Compacted> {
        let state = self.state.read();
        let Some(table) = state.tables.get(table) else {
            return if after < state.base {
                Err(Compacted(state.base))
            } else {
                Ok(News { seen: state.revision, events: Vec::new(), watchers: 0 })
            };
        };
        if after < table.floor {
            return Err(Compacted(table.floor));
        }
        // Most watchers are up to date but for the last few.
        let fresh =
            table.events.iter().rev().take_while(|event| event.revision > after).take(limit + 1).count();
        let start = if fresh <= limit {
            table.events.len() - fresh
        } else {
            table.events.partition_point(|event| event.revision <= after)
        };
        let events: Vec<Arc<Event>> = table.events.range(start..).take(limit).cloned().collect();
        let seen = if events.len() == limit {
            events.last().map_or(state.revision, |e| e.revision)
        } else {
            state.revision
        };
        Ok(News { seen, events, watchers: table.wake.receiver_count() })
    }

    /// Brings the objects of a table in line with a type that changed, without a write: what `change` gives for an
    /// object takes its place under the same revision.
    pub fn refresh(&self, table: &str, change: impl Fn(&Object) -> Option<Draft>) {
        for object in self.list(table, "").1 {
            let Some(draft) = change(&object).filter(|draft| !draft.same_as(&object)) else { continue };
            let fresh = Arc::new(draft.finish(&object.key, object.revision));
            let mut state = self.state.write();
            let slot = state.tables.get_mut(table).and_then(|table| table.objects.get_mut(&*object.key));
            if let Some(slot) = slot
                && slot.revision == object.revision
            {
                *slot = fresh;
            }
        }
    }

    /// Adds a version to an object, unless it has changed meanwhile.
    pub fn add_version(&self, table: &str, object: &Object, version: Arc<str>, draft: Draft) {
        let fresh = Arc::new(object.with_version(version, draft));
        let mut state = self.state.write();
        let slot = state.tables.get_mut(table).and_then(|table| table.objects.get_mut(&*object.key));
        if let Some(slot) = slot
            && slot.revision == object.revision
        {
            *slot = fresh;
        }
    }

    /// Forgets what led to the state at `revision`: older lists are gone, and watches that would need it. A watch
    /// on a table in which nothing has changed since goes on.
    pub fn compact(&self, revision: u64) {
        let mut state = self.state.write();
        state.compacted = state.compacted.max(revision);
        for table in state.tables.values_mut() {
            table.forget(revision);
        }
    }

    /// Tells when a table changes.
    pub fn subscribe(&self, table: &str) -> watch::Receiver<u64> {
        if let Some(table) = self.state.read().tables.get(table) {
            return table.wake.subscribe();
        }
        self.state.write().table(table).wake.subscribe()
    }

    /// The reason why the disk takes no writes, if so.
    pub fn disk_failure(&self) -> Option<String> {
        self.disk.as_ref().and_then(disk::Disk::failure)
    }

    /// Lets all watchers know that nothing more will come.
    pub fn end_watches(&self) {
        for table in self.state.write().tables.values_mut() {
            table.wake = watch::Sender::new(0);
        }
    }

    /// Makes everything durable, marks the state as cleanly closed and releases it.
    pub async fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close().await;
        }
    }
}

fn from(prefix: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(prefix), Bound::Unbounded)
}

fn range(objects: &BTreeMap<Arc<str>, Arc<Object>>, prefix: &str) -> Vec<Arc<Object>> {
    if prefix.is_empty() {
        return objects.values().cloned().collect();
    }
    objects
        .range::<str, _>(from(prefix))
        .take_while(|(key, _)| key.starts_with(prefix))
        .map(|(_, object)| object.clone())
        .collect()
}
