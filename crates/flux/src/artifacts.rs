//! What was fetched, by the object that fetched it. Consumers read trees from here; other controllers see
//! `status.artifact` with the fields Flux gives it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use object::Key;
use serde_json::{Value, json};
use source::Artifact;

/// A fetched artifact as it is offered.
#[derive(Debug)]
pub struct Offered {
    /// The content.
    pub artifact: Artifact,
    /// Its revision.
    pub revision: String,
    /// The digest of its content.
    pub digest: String,
    /// When it was first seen.
    pub time: String,
}

impl Offered {
    /// An artifact, seen now.
    pub fn new(artifact: Artifact, time: String) -> Offered {
        Offered { revision: artifact.revision.to_string(), digest: artifact.content_digest(), artifact, time }
    }

    /// Content that was there before, as `status.artifact` tells, keeps its time.
    pub fn keep_time(&mut self, known: Option<&Value>) {
        let text = |field: &str| known.and_then(|known| object::get_str(known, &[field]));
        if text("revision") == Some(self.revision.as_str())
            && text("digest") == Some(self.digest.as_str())
            && let Some(time) = text("lastUpdateTime")
        {
            self.time = time.to_owned();
        }
    }

    /// The revision that the content had where it came from, as OCI artifacts tell it.
    pub fn origin_revision(&self) -> Option<&str> {
        self.artifact.metadata.get("org.opencontainers.image.revision").map(String::as_str)
    }

    /// `status.artifact` of the object `key`.
    pub fn status(&self, key: &Key) -> Value {
        let hex = self.revision.rsplit(':').next().unwrap_or(&self.revision);
        let name = match (&self.artifact.blob, key.kind.as_str()) {
            (Some(_), "HelmChart") => format!("{}-{}.tgz", key.name, self.revision),
            _ => format!("{hex}.tar.gz"),
        };
        let path = format!("{}/{}/{}/{name}", key.kind.to_lowercase(), key.namespace, key.name);
        let size = match &self.artifact.blob {
            Some(blob) => blob.len() as u64,
            None => self.artifact.tree.size(),
        };
        let mut status = json!({
            "url": format!("http://source-controller.flux-system.svc.cluster.local./{path}"),
            "path": path,
            "revision": self.revision,
            "digest": self.digest,
            "lastUpdateTime": self.time,
            "size": size,
        });
        if !self.artifact.metadata.is_empty() {
            status["metadata"] = json!(self.artifact.metadata);
        }
        status
    }
}

/// All artifacts of this process.
#[derive(Default)]
pub struct Artifacts {
    offered: Mutex<HashMap<Key, Arc<Offered>>>,
}

impl Artifacts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Offered>>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `key` offers.
    pub fn get(&self, key: &Key) -> Option<Arc<Offered>> {
        self.lock().get(key).cloned()
    }

    /// Offers an artifact. The same content under the same revision keeps the older one with its time.
    /// Says whether anything is new.
    pub fn offer(&self, key: &Key, offered: Offered) -> (Arc<Offered>, bool) {
        let mut all = self.lock();
        if let Some(known) = all.get(key)
            && known.revision == offered.revision
            && known.digest == offered.digest
        {
            return (known.clone(), false);
        }
        let offered = Arc::new(offered);
        all.insert(key.clone(), offered.clone());
        (offered, true)
    }

    /// Takes an offer back.
    pub fn withdraw(&self, key: &Key) -> bool {
        self.lock().remove(key).is_some()
    }
}
