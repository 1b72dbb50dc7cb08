//! Argo CD's kinds as a dialect of the engine.
//!
//! An Application turns its sources into objects, compares them with what is live and, when it is asked to or when
//! its policy says so, carries out a sync. Spec, conditions, phases, messages, annotations, labels, finalizers and
//! field managers are Argo CD's; what runs when, and what is cancelled by what, is the engine's.

pub mod application;
pub mod applicationset;
pub mod diff;
pub mod forges;
pub mod health;
pub mod images;
pub mod installation;
pub mod names;
pub mod notifications;
pub mod options;
mod owned;
pub mod project;
pub mod render;
pub mod repositories;
pub mod settings;
pub mod sites;
pub mod sync;
pub mod tracking;
pub mod webhooks;

use std::sync::Arc;

use cluster::{Cluster, ErrorKind, ListOptions};
use controller::Kind;
use object::{Gvk, Value};

pub use options::Options;

/// Every kind of Argo CD that is reconciled, ready for [`controller::Engine::start`].
pub fn kinds(options: Options) -> Vec<Arc<dyn Kind>> {
    let shared = Arc::new(options::Shared::new(options));
    vec![
        Arc::new(application::Applications::new(shared.clone())),
        Arc::new(applicationset::ApplicationSets::new(shared)),
    ]
}

/// The kinds of this dialect, for reading what a status says.
pub fn gvks() -> Vec<Gvk> {
    [names::APPLICATION, names::APPLICATION_SET, names::APP_PROJECT].map(names::gvk).to_vec()
}

/// All objects of Argo CD's kinds in a cluster; kinds that are not served have none.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn list(cluster: &Cluster) -> Result<Vec<Value>, cluster::Error> {
    let mut found = Vec::new();
    for gvk in gvks() {
        match cluster.list(&gvk, &ListOptions::default()).await {
            Ok(objects) => found.extend(objects),
            Err(error) if error.kind == ErrorKind::MissingKind => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
