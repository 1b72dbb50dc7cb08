//! Tells when files of a working copy change.

use crate::{Error, Result};
use notify::{Event, EventKind, RecursiveMode, Watcher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Between two looks where the system cannot tell of changes.
const POLL: Duration = Duration::from_secs(2);

/// Watches a folder until dropped.
pub struct Watcher {
    changes: watch::Receiver<u64>,
    /// Ends the watching when dropped.
    _watcher: Box<dyn notify::Watcher + Send + Sync>,
    task: tokio::task::JoinHandle<()>,
}

impl Watcher {
    /// Starts watching `root`; changes that follow each other within `quiet` are one. Git's own files count
    /// only where they say that another commit or index is in force.
    pub fn start(root: &Path, quiet: Duration) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| Error::io(root, error))?;
        let (events, mut received) = mpsc::unbounded_channel::<()>();
        let handler = handler(root.clone(), events);
        let watcher = start(&root, handler)?;
        let (sender, changes) = watch::channel(0u64);
        let task = tokio::spawn(async move {
            while received.recv().await.is_some() {
                // Wait for the burst to end, but not for ever: something may write all the time.
                let latest = tokio::time::Instant::now() + quiet.saturating_mul(10);
                while tokio::time::Instant::now() < latest
                    && matches!(tokio::time::timeout(quiet, received.recv()).await, Ok(Some(())))
                {
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Watcher { changes, _watcher: watcher, task })
    }

    /// A counter that grows with every settled burst of changes; wait with `changed().await`.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Handler = Box<dyn FnMut(notify::Result<Event>) + Send + 'static>;

fn handler(root: PathBuf, events: mpsc::UnboundedSender<()>) -> Handler {
    Box::new(move |event| match event {
        Ok(event) if counts(&root, &event) => {
            // Nobody listens any more: the watcher is about to go.
            events.send(()).ok();
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(root = %root.display(), %error, "watching");
            events.send(()).ok();
        }
    })
}

/// Watches through the system, and by looking where its watches are used up.
fn start(root: &Path, handler: Handler) -> Result<Box<dyn notify::Watcher + Send + Sync>> {
    let handler = std::sync::Arc::new(parking_lot::Mutex::new(handler));
    let forward = |handler: &std::sync::Arc<parking_lot::Mutex<Handler>>| {
        let handler = handler.clone();
        move |event| (handler.lock())(event)
    };
    let broken = |error: notify::Error| Error::io(root, error);
    match notify::recommended_watcher(forward(&handler))
        .and_then(|mut watcher| watcher.watch(root, RecursiveMode::Recursive).map(|()| watcher))
    {
        Ok(watcher) => Ok(Box::new(watcher)),
        Err(error) => {
            tracing::warn!(root = %root.display(), %error, "the system cannot watch it; looking every {POLL:?} instead");
            let config = notify::Config::default().with_poll_interval(POLL);
            let mut watcher = notify::PollWatcher::new(forward(&handler), config).map_err(broken)?;
            watcher.watch(root, RecursiveMode::Recursive).map_err(broken)?;
            Ok(Box::new(watcher))
        }
    }
}

fn counts(root: &Path, event: &Event) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(|path| path_counts(root, path))
}

fn path_counts(root: &Path, path: &Path) -> bool {
    let Ok(relative) = path.strip_prefix(root) else { return true };
    let mut parts = relative.components().map(|part| part.as_os_str().to_string_lossy());
    if parts.next().as_deref() != Some(".git") {
        return true;
    }
    let rest: Vec<_> = parts.collect();
    let last = rest.last().map(|last| last.as_ref()).unwrap_or_default();
    if last.ends_with(".lock") {
        return false;
    }
    match rest.first().map(|first| first.as_ref()) {
        Some("HEAD" | "index" | "packed-refs") => rest.len() == 1,
        Some("refs") => rest.get(1).is_some_and(|kind| kind == "heads"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_paths_count() {
        let root = Path::new("/r");
        for (path, expected) in [
            ("/r/apps/x.yaml", true),
            ("/r/.git/HEAD", true),
            ("/r/.git/refs/heads/main", true),
            ("/r/.git/refs/heads/main.lock", false),
            ("/r/.git/index.lock", false),
            ("/r/.git/objects/aa/bb", false),
            ("/r/.gitignore", true),
        ] {
            assert_eq!(path_counts(root, Path::new(path)), expected, "{path}");
        }
    }
}
