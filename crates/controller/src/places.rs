//! Other clusters that units deliver to: what happens there wakes them just as what happens beside them does.
//!
//! Inputs are known by their keys, so those of another cluster carry its name in their group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cluster::Cluster;
use object::Key;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::Message;
use crate::work::{Inputs, lock};

/// An object of a place, among the inputs.
pub(crate) fn input(place: &str, key: &Key) -> Key {
    Key { group: format!("{place} {}", key.group), ..key.clone() }
}

/// The other clusters that are looked at.
#[derive(Default)]
pub(crate) struct Places {
    feeds: Mutex<HashMap<String, JoinHandle<()>>>,
}

impl Places {
    /// Has the loop told of what changes in the cluster, from now on; once for each place.
    pub fn feed(
        &self,
        place: &str,
        cluster: &Cluster,
        inputs: &Arc<Inputs>,
        messages: &mpsc::UnboundedSender<Message>,
    ) {
        let mut feeds = lock(&self.feeds);
        if feeds.get(place).is_some_and(|feed| !feed.is_finished()) {
            return;
        }
        let store = cluster.store().clone();
        let mut changes = store.changes();
        let (name, inputs, messages) = (place.to_owned(), inputs.clone(), messages.clone());
        let feed = tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                let key = input(&name, &change.key);
                if inputs.has_readers(&key)
                    && messages.send(Message::Elsewhere(key, store.get(&change.key))).is_err()
                {
                    return;
                }
            }
        });
        feeds.insert(place.to_owned(), feed);
    }

    /// Ends it.
    pub fn leave(&self, place: &str) {
        if let Some(feed) = lock(&self.feeds).remove(place) {
            feed.abort();
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for feed in lock(&self.feeds).values() {
            feed.abort();
        }
    }
}
