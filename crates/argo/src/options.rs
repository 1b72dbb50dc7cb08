//! Settings of the dialect, and what all its kinds share.

use std::sync::Arc;
use std::time::Duration;

use cluster::Cluster;
use controller::Context;
use delivery::memory::Memory;
use helm::{Capabilities, KubeVersion};
use source::Fetcher;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::names;
use crate::owned::Owned;
use crate::render::Renders;
use crate::repositories::Repositories;

/// Settings, in the words of Argo CD.
#[derive(Clone)]
pub struct Options {
    /// Where sources come from.
    pub fetcher: Fetcher,
    /// The namespace of the installation: its settings, its Secrets, its Applications.
    pub namespace: String,
    /// `timeout.reconciliation`: how old what is known of a repository may be.
    pub refresh: Duration,
    /// Objects that install a controller which this program embodies are applied, but not waited for.
    pub stand_in: bool,
    /// The last renders, so that a commit renders anew only what reads what it changed.
    pub renders: Arc<Renders>,
}

impl Options {
    /// Argo CD's defaults, over a fetcher.
    pub fn new(fetcher: Fetcher) -> Options {
        Options {
            fetcher,
            namespace: "argocd".into(),
            refresh: Duration::from_secs(120),
            stand_in: true,
            renders: Arc::default(),
        }
    }
}

/// How many Applications whose objects are all as they should be may write their status at the same time: who has
/// something to apply comes first.
const UNCHANGED_AT_ONCE: usize = 8;

/// Annotations that ask for something once.
const REQUESTS: &[&str] = &[names::REFRESH, "kubectl.kubernetes.io/restartedAt"];

/// What all kinds share.
pub struct Shared {
    /// The settings.
    pub options: Options,
    /// What was fetched.
    pub repositories: Arc<Repositories>,
    /// What was applied, so that unchanged objects cost no request.
    pub memory: Memory,
    /// Live objects by the application that they name.
    pub owned: Owned,
    unchanged: Semaphore,
    version: tokio::sync::OnceCell<KubeVersion>,
}

impl Shared {
    /// What charts may know of the cluster. Its version is asked for once, what it serves is remembered by discovery.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn capabilities(&self, cluster: &Cluster) -> Result<Capabilities, cluster::Error> {
        let ask = || async {
            let version = cluster.server_version().await?;
            let text = |field: &str| object::get_str(&version, &[field]).unwrap_or_default().to_owned();
            Ok(KubeVersion::of_server(&text("gitVersion"), &text("major"), &text("minor")))
        };
        let kube_version = self.version.get_or_try_init(ask).await?.clone();
        let api_versions = cluster.api_versions().await?;
        let api_versions = api_versions.iter().cloned().collect();
        Ok(Capabilities { kube_version, api_versions, ..Capabilities::default() })
    }

    /// Nothing fetched, nothing applied yet.
    pub fn new(options: Options) -> Shared {
        Shared {
            repositories: Repositories::new(options.fetcher.clone(), &options.namespace),
            options,
            memory: Memory::new(REQUESTS),
            owned: Owned::default(),
            unchanged: Semaphore::new(UNCHANGED_AT_ONCE),
            version: tokio::sync::OnceCell::new(),
        }
    }

    /// Waits for a turn to write that nothing changed; `None` when the pass of `context` is over.
    pub async fn turn(&self, context: &Context) -> Option<SemaphorePermit<'_>> {
        tokio::select! {
            () = context.cancel.cancelled() => None,
            // The semaphore is never closed.
            turn = self.unchanged.acquire() => turn.ok(),
        }
    }
}
