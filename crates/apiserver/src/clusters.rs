//! Clusters beside clusters: forks, and children that one process serves under paths of their own.
//!
//! A child is a cluster like any other, with its own objects, credentials and, where its parent is durable, its own
//! state directory. What both begin with is shared in memory until one of them changes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use object::meta;
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::credentials::Credentials;
use crate::server::{Options, Server, Storage};
use crate::store::{Draft, Object, Snapshot, Store};
use crate::{OpenError, crd};

/// Where the path of a child begins.
pub const PREFIX: &str = "/clusters/";
/// The folder of a state directory in which children have theirs.
const FOLDER: &str = "clusters";
/// Names stand in paths and in folders.
const LONGEST_NAME: usize = 63;

/// Why a child cannot be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The name cannot be one.
    #[error("{0:?} is no name for a cluster: use up to 63 lower-case letters, digits and dashes")]
    BadName(String),
    /// There is one already.
    #[error("there is a cluster {0:?} already")]
    Exists(String),
    /// There is none.
    #[error("there is no cluster {0:?}")]
    Missing(String),
    /// Its state.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its folder.
    #[error("the cluster's folder cannot be used: {0}")]
    Io(#[from] std::io::Error),
}

/// What a new child begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// What every cluster has, and the custom resource definitions that its parent was opened with.
    Empty,
    /// All that is in the parent.
    Parent,
    /// All that is in another child.
    Child(String),
}

/// The children of one cluster.
#[derive(Default)]
pub struct Children {
    running: Mutex<BTreeMap<String, Server>>,
    /// What an empty child begins with, made for the first one.
    empty: tokio::sync::Mutex<Option<Server>>,
    /// Only one is made or opened at a time.
    change: tokio::sync::Mutex<()>,
}

impl Children {
    /// Those that run.
    pub fn running(&self) -> Vec<Server> {
        self.running.lock().values().cloned().collect()
    }
}

fn directory(storage: &Storage) -> Option<&std::path::Path> {
    match storage {
        Storage::Ephemeral => None,
        Storage::Path(path) => Some(path),
    }
}

fn check_name(name: &str) -> Result<(), ChildError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.chars().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if fits { Ok(()) } else { Err(ChildError::BadName(name.to_owned())) }
}

impl Server {
    /// A cluster of its own that begins with everything in this one: objects are shared in memory until one of the
    /// two changes them. Later changes are seen by neither of the other; credentials are new.
    pub fn fork(&self, storage: Storage) -> Result<Server, OpenError> {
        let store = self.app.store.fork(directory(&storage))?;
        self.branch(store, storage)
    }

    fn branch(&self, store: Store, storage: Storage) -> Result<Server, OpenError> {
        let app = &self.app;
        let credentials = match &storage {
            Storage::Ephemeral => Credentials::generate(None)?,
            Storage::Path(path) => Credentials::load(path, None)?,
        };
        let options = Options { storage, token: None, ..app.options.clone() };
        // The definitions come first: a catalog that is newer than what is known of them is only read once more.
        let definitions = app.definitions.copy();
        let own = App::sharing(store, options, credentials, app.builtin.clone(), app.catalog(), definitions);
        let own = Arc::new(own);
        // What changed between the snapshot and the catalog is put right here.
        crd::resume(&own);
        Ok(Server::begin(own))
    }

    fn folder(&self) -> Option<PathBuf> {
        match &self.app.options.storage {
            Storage::Ephemeral => None,
            Storage::Path(path) => Some(path.join(FOLDER)),
        }
    }

    fn child_storage(&self, name: &str) -> Storage {
        self.folder().map_or(Storage::Ephemeral, |folder| Storage::Path(folder.join(name)))
    }

    /// Makes a child: it is served at once under `/clusters/NAME` wherever this cluster is served.
    pub async fn create_child(&self, name: &str, origin: &Origin) -> Result<Server, ChildError> {
        check_name(name)?;
        let children = &self.app.children;
        let _only_one = children.change.lock().await;
        if self.child_names()?.iter().any(|own| own == name) {
            return Err(ChildError::Exists(name.to_owned()));
        }
        let storage = self.child_storage(name);
        let child = match origin {
            Origin::Parent => self.fork(storage)?,
            Origin::Child(other) => self.opened(other).await?.fork(storage)?,
            Origin::Empty => {
                let mut empty = children.empty.lock().await;
                if empty.is_none() {
                    let options =
                        Options { storage: Storage::Ephemeral, token: None, ..self.app.options.clone() };
                    *empty = Some(Box::pin(Server::open(options)).await?);
                }
                let Some(template) = empty.as_ref() else { return Err(ChildError::Missing(name.to_owned())) };
                let mut snapshot = template.app.store.snapshot();
                renew(&mut snapshot);
                let store = Store::from_snapshot(snapshot, directory(&storage))?;
                template.branch(store, storage)?
            }
        };
        self.keep(name, &child);
        Ok(child)
    }

    fn keep(&self, name: &str, child: &Server) {
        self.app.children.running.lock().insert(name.to_owned(), child.clone());
        if let Some(begins) = &self.app.options.on_child {
            begins(name, child);
        }
    }

    /// A child by name, opened when it is not running.
    pub async fn child(&self, name: &str) -> Result<Server, ChildError> {
        if let Some(running) = self.app.children.running.lock().get(name) {
            return Ok(running.clone());
        }
        let _only_one = self.app.children.change.lock().await;
        self.opened(name).await
    }

    async fn opened(&self, name: &str) -> Result<Server, ChildError> {
        if let Some(running) = self.app.children.running.lock().get(name) {
            return Ok(running.clone());
        }
        check_name(name)?;
        let folder = self.folder().map(|folder| folder.join(name)).filter(|folder| folder.is_dir());
        let Some(folder) = folder else { return Err(ChildError::Missing(name.to_owned())) };
        let options = Options { storage: Storage::Path(folder), token: None, ..self.app.options.clone() };
        let child = Box::pin(Server::open(options)).await?;
        self.keep(name, &child);
        Ok(child)
    }

    /// The names of all children, running or not.
    pub fn child_names(&self) -> Result<Vec<String>, ChildError> {
        let mut names: Vec<String> = self.app.children.running.lock().keys().cloned().collect();
        if let Some(folder) = self.folder()
            && folder.is_dir()
        {
            for entry in std::fs::read_dir(folder)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if check_name(&name).is_ok() {
                    names.push(name);
                }
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Ends a child and removes all that is in it.
    pub async fn delete_child(&self, name: &str) -> Result<(), ChildError> {
        let _only_one = self.app.children.change.lock().await;
        check_name(name)?;
        let running = self.app.children.running.lock().remove(name);
        if let Some(child) = &running {
            child.shutdown().await;
        }
        let folder = self.folder().map(|folder| folder.join(name)).filter(|folder| folder.is_dir());
        match folder {
            Some(folder) => Ok(std::fs::remove_dir_all(folder)?),
            None if running.is_some() => Ok(()),
            None => Err(ChildError::Missing(name.to_owned())),
        }
    }

    /// Ends when this cluster does.
    pub fn stopped(&self) -> CancellationToken {
        self.app.stop.clone()
    }

    /// The administrator's bearer token.
    pub fn token(&self) -> &str {
        &self.app.credentials.token
    }
}

/// Gives what tells clusters apart anew: the identities and ages of the first namespaces.
fn renew(snapshot: &mut Snapshot) {
    let Some(namespaces) = snapshot.tables.get_mut("namespaces") else { return };
    for object in namespaces.values_mut() {
        let mut value: Value = object.value();
        object::set(&mut value, &["metadata", "uid"], uuid::Uuid::new_v4().to_string().into());
        object::set(&mut value, &["metadata", "creationTimestamp"], crate::app::now().into());
        debug_assert!(!meta::name(&value).is_empty(), "namespaces have names");
        let fresh: Object = Draft::new(&value).finish(&object.key, object.revision);
        *object = Arc::new(fresh);
    }
}
