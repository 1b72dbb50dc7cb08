//! The lines in which watchers are told of a change: written once for all who want them in one form.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

/// What makes the line of one change differ between watchers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The API group that is watched.
    pub group: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// What it means to the watcher: it may come into a selection, or leave it.
    pub kind: &'static str,
    /// In protobuf.
    pub protobuf: bool,
    /// Only metadata, in this version of `PartialObjectMetadata`.
    pub metadata: Option<&'static str>,
}

/// The lines of one change.
#[derive(Debug, Default)]
pub struct Lines(RwLock<Vec<(Form, Bytes)>>);

impl Lines {
    /// The line in a form, written by the first who wants it.
    pub fn get(&self, form: Form, write: impl FnOnce() -> Bytes) -> Bytes {
        if let Some(line) = self.find(&form) {
            return line;
        }
        let line = write();
        self.0.write().push((form, line.clone()));
        line
    }

    fn find(&self, form: &Form) -> Option<Bytes> {
        self.0.read().iter().find(|(own, _)| own == form).map(|(_, line)| line.clone())
    }

    /// Lets go of what nearly everybody has seen.
    pub fn forget(&self) {
        *self.0.write() = Vec::new();
    }
}
