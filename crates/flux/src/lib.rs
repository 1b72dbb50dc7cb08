//! Flux's kinds as a dialect of the engine.
//!
//! A folder for each family: [`sources`] turn addresses into trees, [`kustomization`] and [`helmrelease`]
//! turn trees into applied objects, in the cluster that [`target`] finds. Spec, conditions, reasons, messages, annotations, labels, finalizers and
//! field managers are Flux's; what runs when, and what is cancelled by what, is the engine's.

pub mod artifacts;
pub mod bootstrap;
pub mod cel;
pub mod common;
mod health;
pub mod helmrelease;
mod identity;
mod ignored;
pub mod image;
pub mod kustomization;
pub mod notification;
pub mod operator;
pub mod options;
pub mod sources;
pub mod target;

use std::sync::Arc;

use cluster::{Cluster, ErrorKind, ListOptions};
use controller::Kind;
pub use delivery::standin;
use delivery::{apply, memory};
use object::{Gvk, Value};

pub use bootstrap::bootstrap;
pub use options::Options;

/// Every kind of Flux that is reconciled, ready for [`controller::Engine::start`].
pub fn kinds(options: Options) -> Vec<Arc<dyn Kind>> {
    let shared = Arc::new(options::Shared::new(options));
    let mut kinds: Vec<Arc<dyn Kind>> = sources::kinds(&shared);
    kinds.push(Arc::new(kustomization::Kustomizations::new(shared.clone())));
    kinds.push(Arc::new(helmrelease::HelmReleases::new(shared.clone())));
    kinds.extend(image::kinds(&shared));
    kinds.extend(operator::kinds(&shared));
    kinds.push(Arc::new(notification::Receivers));
    kinds
}

/// The kinds of [`kinds`], without a way to run them: for reading what a status says.
pub fn gvks() -> Vec<Gvk> {
    let source = |kind: &str| Gvk::new(common::SOURCE_GROUP, "v1", kind);
    let mut all = image::gvks();
    all.extend(operator::gvks());
    all.extend([
        source("Bucket"),
        source("ExternalArtifact"),
        source("GitRepository"),
        source("HelmChart"),
        source("HelmRepository"),
        source("OCIRepository"),
        Gvk::new("source.extensions.fluxcd.io", "v1beta1", "ArtifactGenerator"),
        Gvk::new("kustomize.toolkit.fluxcd.io", "v1", "Kustomization"),
        Gvk::new("helm.toolkit.fluxcd.io", "v2", "HelmRelease"),
        notification::receiver_gvk(),
    ]);
    all
}

/// All objects of Flux's kinds in a cluster; kinds that are not served have none.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn list(cluster: &Cluster) -> Result<Vec<Value>, cluster::Error> {
    let mut found = Vec::new();
    for gvk in gvks() {
        let resource = match cluster.resource(&gvk).await {
            Err(error) if error.kind == ErrorKind::MissingKind => {
                cluster.resource_any_version(&gvk.group, &gvk.kind).await
            }
            other => other,
        };
        let resource = match resource {
            Ok(resource) => resource,
            Err(error) if error.kind == ErrorKind::MissingKind => continue,
            Err(error) => return Err(error),
        };
        let served = Gvk::new(resource.group, resource.version, resource.kind);
        found.extend(cluster.list(&served, &ListOptions::default()).await?);
    }
    Ok(found)
}
