//! The one door to every source: cache, maps and limits behind one handle.

use crate::cache::Cache;
use crate::helm_repo::Index;
use crate::{Limits, Maps, Result, Tree, WorkingCopy};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a [`Fetcher`] works.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where mirrors, layers, charts and indexes are kept; `None` = a folder that goes with the fetcher.
    pub cache: Option<PathBuf>,
    /// What is served from disk.
    pub maps: Maps,
    /// Bounds on everything read.
    pub limits: Limits,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Fetcher")
    }
}

/// Fetches sources. Cheap to clone; all clones share the cache and the open working copies.
#[derive(Clone)]
pub struct Fetcher {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) maps: Maps,
    pub(crate) limits: Limits,
    pub(crate) cache: Cache,
    /// Open checkouts and folders, by path: they remember what they read.
    copies: Mutex<HashMap<PathBuf, Arc<Mutex<WorkingCopy>>>>,
    /// The last tree of every Git request.
    pub(crate) trees: Mutex<HashMap<String, (gix::ObjectId, Tree)>>,
    /// One fetch at a time for each mirror.
    mirrors: Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>,
    /// The last index of every chart repository, by address and digest.
    pub(crate) indexes: Mutex<HashMap<String, (String, Arc<Index>)>>,
    /// By address: which artifact was looked at with which trust, and who signed it.
    pub(crate) verdicts: Mutex<HashMap<String, (String, String)>>,
    /// What every bucket held last.
    pub(crate) buckets: Mutex<HashMap<String, crate::bucket::Known>>,
    /// Tokens of GitHub Apps with their ends, by what they were asked with, and of clouds.
    pub(crate) tokens: Mutex<HashMap<String, (String, i64)>>,
    /// The environment that clouds are asked in.
    pub(crate) variables: Mutex<Arc<BTreeMap<String, String>>>,
}

impl Inner {
    /// The folder at `path`, opened once.
    pub(crate) fn working_copy(&self, path: &Path) -> Result<Arc<Mutex<WorkingCopy>>> {
        let mut copies = self.copies.lock();
        if let Some(copy) = copies.get(path) {
            // A folder that became a checkout since, or the other way round, is opened anew.
            if copy.lock().is_git() == path.join(".git").exists() {
                return Ok(copy.clone());
            }
        }
        let copy = Arc::new(Mutex::new(WorkingCopy::at(path.to_path_buf(), self.limits)?));
        copies.insert(path.to_path_buf(), copy.clone());
        Ok(copy)
    }

    /// The lock of a mirror.
    pub(crate) fn mirror_lock(&self, mirror: &Path) -> Arc<Mutex<()>> {
        self.mirrors.lock().entry(mirror.to_path_buf()).or_default().clone()
    }
}

impl Fetcher {
    /// A fetcher over a cache folder, which is made if missing.
    pub fn new(options: Options) -> Result<Self> {
        let cache = Cache::open(options.cache)?;
        Ok(Fetcher {
            inner: Arc::new(Inner {
                maps: options.maps,
                limits: options.limits,
                cache,
                copies: Mutex::default(),
                trees: Mutex::default(),
                mirrors: Mutex::default(),
                indexes: Mutex::default(),
                verdicts: Mutex::default(),
                buckets: Mutex::default(),
                tokens: Mutex::default(),
                variables: Mutex::new(Arc::new(crate::cloud::environment())),
            }),
        })
    }

    /// The maps in force.
    pub fn maps(&self) -> &Maps {
        &self.inner.maps
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }
}
