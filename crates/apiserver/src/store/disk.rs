//! Durability: a thread that gathers writes into redb transactions and acknowledges them after the
//! disk did (group commit).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::oneshot;

use super::{Object, Snapshot};
use crate::OpenError;

/// `table NUL key` → revision (8 bytes, big endian), JSON.
const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
/// Numbers about the whole.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// The format that this release writes and the newest that it reads.
const FORMAT: u64 = 1;
/// Reads happen once, at start; a large page cache would only hold memory.
const CACHE_BYTES: usize = 2 << 20;
/// The database in a state directory.
pub(super) const FILE: &str = "state.redb";
/// How many writes one transaction takes at most.
const BATCH: usize = 4096;

/// Why a write is not durable.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the state directory does not take writes: {0}")]
pub struct DiskError(Arc<str>);

impl DiskError {
    pub(super) fn new(message: &str) -> DiskError {
        DiskError(message.into())
    }
}

/// What was found on disk.
pub(super) struct Loaded {
    pub revision: u64,
    pub clean: bool,
    pub objects: Vec<(String, Object)>,
}

struct Record {
    key: String,
    revision: u64,
    object: Option<Arc<Object>>,
    ack: oneshot::Sender<Result<(), DiskError>>,
}

enum Message {
    Write(Record),
    Copy(PathBuf, mpsc::Sender<Result<(), OpenError>>),
    Close(oneshot::Sender<()>),
}

/// The handle of the log thread.
pub(super) struct Disk {
    sender: mpsc::Sender<Message>,
    failure: Arc<Mutex<Option<String>>>,
    /// Held as long as the state is open; the lock ends with the file.
    lock: Mutex<Option<File>>,
}

impl Disk {
    /// Opens or creates the state, and reads everything.
    pub fn open(directory: &Path) -> Result<(Disk, Loaded), OpenError> {
        std::fs::create_dir_all(directory).map_err(io_at(directory))?;
        let lock = lock(directory)?;
        let (database, loaded) = load(&directory.join(FILE), directory)?;
        Ok((Disk::begin(directory, lock, Some(database))?, loaded))
    }

    /// Takes a state whose content is known, because it was just made. The log thread opens it: nobody waits for that.
    pub fn attach(directory: &Path) -> Result<Disk, OpenError> {
        let lock = lock(directory)?;
        Disk::begin(directory, lock, None)
    }

    fn begin(directory: &Path, lock: File, database: Option<Database>) -> Result<Disk, OpenError> {
        let path = directory.join(FILE);
        let (sender, receiver) = mpsc::channel();
        let failure = Arc::new(Mutex::new(None));
        let mut log = Log { database, path, backlog: Vec::new(), failure: failure.clone() };
        std::thread::Builder::new()
            .name("state-log".into())
            .spawn(move || log.run(&receiver))
            .map_err(io_at(directory))?;
        Ok(Disk { sender, failure, lock: Mutex::new(Some(lock)) })
    }

    /// Queues a copy of the state into a directory that has none: it holds what was queued before, and nothing that
    /// comes later.
    pub fn copy(&self, directory: &Path) -> mpsc::Receiver<Result<(), OpenError>> {
        let (done, receiver) = mpsc::channel();
        // When the thread has ended the receiver says so.
        let _ended = self.sender.send(Message::Copy(directory.to_owned(), done)).is_err();
        receiver
    }

    /// Queues a write; the order of calls is the order on disk.
    pub fn write(
        &self,
        table: &str,
        key: &str,
        revision: u64,
        object: Option<Arc<Object>>,
    ) -> oneshot::Receiver<Result<(), DiskError>> {
        let (ack, receiver) = oneshot::channel();
        let key = format!("{table}\0{key}");
        // When the thread has ended the receiver resolves with an error of its own.
        if self.sender.send(Message::Write(Record { key, revision, object, ack })).is_err() {
            tracing::error!("a write came after the state was closed");
        }
        receiver
    }

    /// Why writes fail, when they do.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Ends the thread after the last write and releases the directory.
    pub async fn close(&self) {
        let (done, receiver) = oneshot::channel();
        if self.sender.send(Message::Close(done)).is_ok() && receiver.await.is_err() {
            tracing::error!("the state was not closed cleanly");
        }
        self.lock.lock().take();
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let io = |source| OpenError::Io { path: path.clone(), source };
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let pid = if known { pid.trim().to_owned() } else { "unknown".to_owned() };
            return Err(OpenError::Locked { path: directory.to_owned(), pid });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    file.write_all(std::process::id().to_string().as_bytes()).map_err(io)?;
    Ok(file)
}

fn load(path: &Path, directory: &Path) -> Result<(Database, Loaded), OpenError> {
    let damaged = |detail: String| OpenError::Damaged { path: path.to_owned(), detail };
    let database = match open_database(path) {
        Ok(database) => database,
        Err(redb::DatabaseError::Storage(redb::StorageError::Io(source)))
            if source.kind() != std::io::ErrorKind::InvalidData
                && source.kind() != std::io::ErrorKind::UnexpectedEof =>
        {
            return Err(OpenError::Io { path: path.to_owned(), source });
        }
        Err(error) => return Err(damaged(error.to_string())),
    };
    let loaded = read_all(&database).map_err(|error| match error {
        ReadError::Newer(found) => OpenError::Newer { path: directory.to_owned(), found, supported: FORMAT },
        ReadError::Damaged(detail) => damaged(detail),
    })?;
    mark_open(&database).map_err(|error| damaged(error.to_string()))?;
    Ok((database, loaded))
}

/// A new database gets its name when it is whole: whoever is killed while it is made leaves nothing that looks damaged.
fn open_database(path: &Path) -> Result<Database, redb::DatabaseError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    if !path.exists() {
        let unfinished = path.with_extension("new");
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        drop(builder.create(&unfinished)?);
        std::fs::rename(&unfinished, path).map_err(io)?;
        if let Some(directory) = path.parent() {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)?;
        }
    }
    builder.open(path)
}

/// Writes a state that begins with a snapshot, in one piece. A directory that has a state already keeps it.
pub(super) fn create(directory: &Path, snapshot: &Snapshot) -> Result<(), OpenError> {
    make(directory, |path| fill(path, snapshot).map_err(std::io::Error::other))
}

/// Makes a state under another name and gives it its own when it is whole and on disk.
fn make(directory: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), OpenError> {
    let io = io_at(directory);
    std::fs::create_dir_all(directory).map_err(&io)?;
    let _lock = lock(directory)?;
    let path = directory.join(FILE);
    if path.exists() {
        return Err(OpenError::Exists { path: directory.to_owned() });
    }
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    write(&unfinished).map_err(&io)?;
    std::fs::rename(&unfinished, &path).map_err(&io)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
}

fn io_at(path: &Path) -> impl Fn(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path: path.clone(), source }
}

fn fill(path: &Path, snapshot: &Snapshot) -> Result<(), redb::Error> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let database = builder.create(path)?;
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("clean", 1)?;
        meta.insert("revision", snapshot.revision)?;
        let mut objects = transaction.open_table(OBJECTS)?;
        let mut value = Vec::new();
        for (table, entries) in &snapshot.tables {
            for (key, object) in entries {
                record(&mut value, object.revision, object);
                objects.insert(format!("{table}\0{key}").as_str(), value.as_slice())?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// An object as it stands on disk.
fn record(value: &mut Vec<u8>, revision: u64, object: &Object) {
    value.clear();
    value.extend_from_slice(&revision.to_be_bytes());
    value.extend_from_slice(object.json());
}

fn io(error: std::io::Error) -> redb::DatabaseError {
    redb::DatabaseError::Storage(redb::StorageError::Io(error))
}

enum ReadError {
    Newer(u64),
    Damaged(String),
}

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> ReadError {
        ReadError::Damaged(error.into().to_string())
    }
}

fn read_all(database: &Database) -> Result<Loaded, ReadError> {
    let mut loaded = Loaded { revision: 0, clean: true, objects: Vec::new() };
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(loaded),
        Err(error) => return Err(error.into()),
    };
    let format = meta.get("format")?.map_or(FORMAT, |v| v.value());
    if format > FORMAT {
        return Err(ReadError::Newer(format));
    }
    loaded.revision = meta.get("revision")?.map_or(0, |v| v.value());
    loaded.clean = meta.get("clean")?.is_none_or(|v| v.value() == 1);
    let objects = transaction.open_table(OBJECTS)?;
    for entry in objects.iter()? {
        let (key, value) = entry?;
        let bad = || ReadError::Damaged(format!("the record {:?} cannot be read", key.value()));
        let (table, name) = key.value().split_once('\0').ok_or_else(bad)?;
        let (revision, json) = value.value().split_at_checked(8).ok_or_else(bad)?;
        let revision = u64::from_be_bytes(revision.try_into().map_err(|_| bad())?);
        let json = Bytes::copy_from_slice(json);
        let object = Object::restore(name, revision, json).ok_or_else(bad)?;
        loaded.revision = loaded.revision.max(revision);
        loaded.objects.push((table.to_owned(), object));
    }
    Ok(loaded)
}

/// The state, marked as open.
fn opened(path: &Path) -> Result<Database, redb::Error> {
    let database = open_database(path)?;
    mark_open(&database)?;
    Ok(database)
}

/// Says that the state is open, unless it says so already: a copy of an open one does.
fn mark_open(database: &Database) -> Result<(), redb::Error> {
    if is_open(database).unwrap_or(false) {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("clean", 0)?;
        transaction.open_table(OBJECTS)?;
    }
    transaction.commit()?;
    Ok(())
}

fn is_open(database: &Database) -> Result<bool, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = transaction.open_table(META)?;
    let number = |name| -> Result<_, redb::Error> { Ok(meta.get(name)?.map(|number| number.value())) };
    Ok(number("format")? == Some(FORMAT) && number("clean")? == Some(0))
}

/// The log thread's own state.
struct Log {
    database: Option<Database>,
    path: PathBuf,
    /// Writes that failed; they are kept and tried again with the next ones, so that disk and
    /// memory agree as soon as the disk takes writes.
    backlog: Vec<(String, u64, Option<Arc<Object>>)>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Log {
    fn run(&mut self, receiver: &mpsc::Receiver<Message>) {
        if self.database.is_none() {
            // The first write tries again, and says what is wrong.
            self.database = opened(&self.path).ok();
        }
        loop {
            let first = match receiver.recv_timeout(Duration::from_secs(1)) {
                Ok(message) => Some(message),
                Err(mpsc::RecvTimeoutError::Timeout) if self.backlog.is_empty() => continue,
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.finish();
                    return;
                }
            };
            let mut acks = Vec::new();
            let mut closing = None;
            let mut copying = None;
            let queued = std::iter::from_fn(|| receiver.try_recv().ok());
            for message in first.into_iter().chain(queued.take(BATCH)) {
                match message {
                    Message::Write(record) => {
                        acks.push(record.ack);
                        self.backlog.push((record.key, record.revision, record.object));
                    }
                    Message::Close(done) => closing = Some(done),
                    // What comes later is not part of the copy: it waits for the next round.
                    Message::Copy(directory, done) => {
                        copying = Some((directory, done));
                        break;
                    }
                }
            }
            let result = self.flush();
            if let Some((directory, done)) = copying {
                let copied = match &result {
                    Ok(()) => self.copy_to(&directory),
                    Err(error) => Err(io_at(&self.path)(std::io::Error::other(error.to_string()))),
                };
                // Nobody waits for it any more: what was made stays, and is opened like any other.
                let _gone = done.send(copied).is_err();
            }
            for ack in acks {
                // A caller that went away needs no answer.
                let _gone = ack.send(result.clone()).is_err();
            }
            if let Some(done) = closing {
                self.finish();
                let _gone = done.send(()).is_err();
                return;
            }
        }
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if self.backlog.is_empty() {
            return Ok(());
        }
        match self.write_backlog() {
            Ok(()) => {
                self.backlog.clear();
                self.failure.lock().take();
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                tracing::error!(path = %self.path.display(), error = %text, "the state cannot be written");
                *self.failure.lock() = Some(text.clone());
                // After an I/O error redb refuses everything until it is opened again.
                self.database = None;
                Err(DiskError::new(&text))
            }
        }
    }

    fn write_backlog(&mut self) -> Result<(), redb::Error> {
        let database = match self.database.take() {
            Some(database) => database,
            None => opened(&self.path)?,
        };
        let database = self.database.insert(database);
        let transaction = database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            let mut newest = 0;
            let mut value = Vec::new();
            for (key, revision, object) in &self.backlog {
                newest = newest.max(*revision);
                match object {
                    Some(object) => {
                        record(&mut value, *revision, object);
                        objects.insert(key.as_str(), value.as_slice())?;
                    }
                    None => {
                        objects.remove(key.as_str())?;
                    }
                }
            }
            transaction.open_table(META)?.insert("revision", newest)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Every committed transaction is on disk, and nothing is written between two: the file is a whole state.
    fn copy_to(&self, directory: &Path) -> Result<(), OpenError> {
        make(directory, |unfinished| {
            std::fs::copy(&self.path, unfinished)?;
            File::open(unfinished)?.sync_all()
        })
    }

    /// Marks the state as cleanly closed.
    fn finish(&mut self) {
        let Some(database) = self.database.take() else { return };
        let mark = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert("clean", 1)?;
            transaction.commit()?;
            Ok(())
        };
        if let Err(error) = mark() {
            tracing::warn!(%error, "the state could not be marked as cleanly closed");
        }
    }
}
