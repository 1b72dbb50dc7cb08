//! The one door to every source: cache, maps and limits behind one handle.

use crate::cache::Cache;
use crate::{Limits, Maps, Result};
use std::path::PathBuf;
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

/// Fetches sources. Cheap to clone; all clones share the cache and the open working copies.
#[derive(Clone)]
pub struct Fetcher {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) maps: Maps,
    pub(crate) limits: Limits,
    pub(crate) cache: Cache,
}

impl Fetcher {
    /// A fetcher over a cache folder, which is made if missing.
    pub fn new(options: Options) -> Result<Self> {
        let cache = Cache::open(options.cache)?;
        Ok(Fetcher { inner: Arc::new(Inner { maps: options.maps, limits: options.limits, cache }) })
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
