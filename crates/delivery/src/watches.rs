//! Edits of local folders wake the sources that are served from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller::Waker;
use object::Key;
use source::Watcher;

/// A burst of edits (an editor's save, a checkout) counts as one.
const QUIET: Duration = Duration::from_millis(40);

type Wakers = HashMap<Key, Waker>;

/// Which folder wakes whom.
#[derive(Default)]
pub struct Watches {
    folders: Mutex<HashMap<PathBuf, Wakers>>,
}

impl Watches {
    /// Wakes `waker`'s unit when something below `folder` changes, from now on.
    pub fn follow(self: &Arc<Self>, folder: &Path, waker: Waker) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = !folders.contains_key(folder);
        folders.entry(folder.to_path_buf()).or_default().insert(waker.key().clone(), waker);
        drop(folders);
        if fresh {
            self.start(folder);
        }
    }

    fn start(self: &Arc<Self>, folder: &Path) {
        let watcher = match Watcher::start(folder, QUIET) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "edits are seen at the next interval only");
                return;
            }
        };
        let weak = Arc::downgrade(self);
        let folder = folder.to_path_buf();
        tokio::spawn(async move {
            let mut changes = watcher.changes();
            while changes.changed().await.is_ok() {
                let Some(watches) = weak.upgrade() else { return };
                let mut folders = watches.folders.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(wakers) = folders.get_mut(&folder) else { return };
                wakers.retain(|_, waker| waker.wake());
            }
        });
    }
}
