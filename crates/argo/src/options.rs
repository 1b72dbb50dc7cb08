//! Settings of the dialect, and what all its kinds share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller::Context;
use source::Fetcher;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::names;
use crate::render::Renders;
use crate::render::jsonnet::Evaluator;
use crate::repositories::Repositories;
use crate::sites::{Children, Sites};

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
    /// Clusters beside an embedded one: destinations name them.
    pub children: Option<Children>,
    /// May config management plugins run?
    pub plugins: bool,
    /// May hydrators commit to repositories?
    pub outward: bool,
    /// Who evaluates Jsonnet.
    pub jsonnet: Evaluator,
    /// Where the public forges answer.
    pub forges: crate::forges::Addresses,
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
            children: None,
            plugins: false,
            outward: false,
            jsonnet: Evaluator::Inside,
            forges: crate::forges::Addresses::default(),
        }
    }
}

/// How many Applications whose objects are all as they should be may write their status at the same time: who has
/// something to apply comes first.
const UNCHANGED_AT_ONCE: usize = 8;

/// Annotations that ask for something once.
pub(crate) const REQUESTS: &[&str] = &[names::REFRESH, "kubectl.kubernetes.io/restartedAt"];

/// What all kinds share.
pub struct Shared {
    /// The settings.
    pub options: Options,
    /// What was fetched.
    pub repositories: Arc<Repositories>,
    /// The clusters that are delivered to.
    pub sites: Sites,
    unchanged: Semaphore,
    told: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// Nothing fetched, nothing applied yet.
    pub fn new(options: Options) -> Shared {
        Shared {
            repositories: Repositories::new(options.fetcher.clone(), &options.namespace),
            sites: Sites::new(&options.namespace, options.children.clone()),
            options,
            unchanged: Semaphore::new(UNCHANGED_AT_ONCE),
            told: Mutex::default(),
        }
    }

    /// Says what cannot be read of the settings, once.
    pub fn tell<'a>(&self, problems: impl Iterator<Item = &'a String>) {
        for problem in problems {
            if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(problem.clone()) {
                tracing::warn!("{problem}");
            }
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
