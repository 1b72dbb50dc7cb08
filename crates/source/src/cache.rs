//! What was fetched before, on disk: blobs by their digest, Git mirrors by their address.

use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The cache folder.
pub(crate) struct Cache {
    root: PathBuf,
    /// Removed when the fetcher goes, for caches nobody asked to keep.
    temporary: bool,
}

/// Makes names of unfinished files unique within the process.
static COUNTER: AtomicU64 = AtomicU64::new(0);

impl Cache {
    pub(crate) fn open(root: Option<PathBuf>) -> Result<Self> {
        let (root, temporary) = match root {
            Some(root) => (root, false),
            None => {
                let name = format!("landfall-cache-{}-{}", std::process::id(), next());
                (std::env::temp_dir().join(name), true)
            }
        };
        for folder in ["blobs", "git"] {
            let path = root.join(folder);
            std::fs::create_dir_all(&path).map_err(|error| Error::io(&path, error))?;
        }
        Ok(Cache { root, temporary })
    }

    /// The blob with this digest, if it is here and whole: what does not match its name is dropped.
    pub(crate) fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        let path = self.blob_path(digest)?;
        let bytes = std::fs::read(&path).ok()?;
        if crate::tree::sha256(&bytes) == digest {
            return Some(bytes);
        }
        tracing::warn!(path = %path.display(), "damaged cache entry dropped");
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot be removed");
        }
        None
    }

    /// Keeps a blob. A full disk costs the cache entry, not the fetch.
    pub(crate) fn keep_blob(&self, digest: &str, bytes: &[u8]) {
        let Some(path) = self.blob_path(digest) else { return };
        if let Err(error) = write_whole(&path, bytes) {
            tracing::warn!(path = %path.display(), %error, "not cached");
        }
    }

    /// The folder of the mirror of a Git address.
    pub(crate) fn mirror(&self, url: &str) -> PathBuf {
        let digest = crate::tree::sha256(url.as_bytes());
        self.root.join("git").join(digest.trim_start_matches("sha256:"))
    }

    fn blob_path(&self, digest: &str) -> Option<PathBuf> {
        let hex = digest.strip_prefix("sha256:")?;
        let well_formed = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        well_formed.then(|| self.root.join("blobs").join(hex))
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = std::fs::remove_dir_all(&self.root)
        {
            tracing::debug!(path = %self.root.display(), %error, "temporary cache not removed");
        }
    }
}

/// Writes beside and renames, so that nobody ever reads half a file.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("part-{}-{}", std::process::id(), next()));
    std::fs::write(&unfinished, bytes)?;
    std::fs::rename(&unfinished, path)
}

fn next() -> u64 {
    COUNTER.fetch_add(1, Ordering::Relaxed)
}
