//! Live objects by the application that they name: what is pruned is found here, whatever a status says.
//!
//! Fed by the watch store. It may lag behind it by a moment, so whoever finds an object here looks at it again.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use cluster::Cluster;
use object::{Key, Value, meta};

use crate::{names, tracking};

#[derive(Default)]
struct Index {
    by_instance: HashMap<String, BTreeSet<Key>>,
    instance_of: HashMap<Key, String>,
}

/// The index.
pub struct Owned {
    index: Arc<Mutex<Index>>,
    feed: tokio::task::JoinHandle<()>,
}

fn instance(live: &Value) -> Option<String> {
    let (instance, _) = tracking::parse(meta::annotation(live, names::TRACKING_ID)?)?;
    Some(instance.to_owned())
}

impl Index {
    fn set(&mut self, key: Key, now: Option<String>) {
        let before = match &now {
            Some(now) => self.instance_of.insert(key.clone(), now.clone()),
            None => self.instance_of.remove(&key),
        };
        if let Some(before) = before.filter(|before| Some(before) != now.as_ref())
            && let Some(keys) = self.by_instance.get_mut(&before)
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_instance.remove(&before);
            }
        }
        if let Some(now) = now {
            self.by_instance.entry(now).or_default().insert(key);
        }
    }
}

impl Owned {
    /// Of a cluster, whose store is followed from now on.
    pub fn of_cluster(cluster: &Cluster) -> Owned {
        let store = cluster.store().clone();
        let mut changes = store.changes();
        let index: Arc<Mutex<Index>> = Arc::default();
        let fed = index.clone();
        let feed = tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                let now = store.get(&change.key).as_ref().and_then(instance);
                fed.lock().unwrap_or_else(PoisonError::into_inner).set(change.key, now);
            }
        });
        Owned { index, feed }
    }

    /// What names `instance`.
    pub fn of(&self, instance: &str) -> Vec<Key> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.by_instance.get(instance).into_iter().flatten().cloned().collect()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.feed.abort();
    }
}
