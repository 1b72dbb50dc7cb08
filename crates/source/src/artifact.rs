//! What a fetch brings home.

use crate::{Revision, Tree};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One fetched state of a source.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its revision, in Flux's words.
    pub revision: Revision,
    /// The files. Empty when the blob is kept as it is.
    pub tree: Tree,
    /// The blob itself, for an OCI layer that is copied rather than extracted and for a chart.
    pub blob: Option<Arc<[u8]>>,
    /// Annotations that travel with it (`org.opencontainers.image.*`).
    pub metadata: BTreeMap<String, String>,
    /// Whose signatures were checked, in words.
    pub verified: Option<String>,
    /// Where it really came from when a map served it: a path on this machine.
    pub mapped: Option<String>,
}

impl Artifact {
    /// An artifact of files.
    pub fn of_tree(revision: Revision, tree: Tree) -> Self {
        Artifact { revision, tree, blob: None, metadata: BTreeMap::new(), verified: None, mapped: None }
    }

    /// An artifact of one blob.
    pub fn of_blob(revision: Revision, blob: Arc<[u8]>) -> Self {
        Artifact {
            revision,
            tree: Tree::default(),
            blob: Some(blob),
            metadata: BTreeMap::new(),
            verified: None,
            mapped: None,
        }
    }

    /// The artifact as one archive, as it is served and as charts are loaded: the blob as it is, or the tree
    /// packed reproducibly.
    pub fn archive(&self) -> Arc<[u8]> {
        match &self.blob {
            Some(blob) => blob.clone(),
            None => self.tree.to_tar_gz().into(),
        }
    }

    /// The digest of the content without packing it: `sha256:` of the blob, or of the tree.
    pub fn content_digest(&self) -> String {
        match &self.blob {
            Some(blob) => crate::tree::sha256(blob),
            None => self.tree.digest().to_string(),
        }
    }
}
