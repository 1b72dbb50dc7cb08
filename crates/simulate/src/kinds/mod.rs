//! A module for each kind: what its controller would do.

mod api_service;
mod common;
mod cron_job;
mod daemon_set;
mod deployment;
mod ending;
mod history;
mod job;
mod job_failures;
mod namespace;
mod node;
mod pod;
mod policy;
mod replica_set;
mod rollout;
mod scheduler;
mod service;
mod shell;
mod stateful_set;
mod taints;
mod volume;

pub(crate) use common::is_active;
pub(crate) use ending::End;
pub(crate) use namespace::ROOT_CA;
pub(crate) use taints::driving;
pub(crate) use volume::{Volumes, mounts};

use crate::error::Result;
use crate::kind::{self, Kind};
use crate::world::World;

/// Brings one object to where it should be. An object that is not there any more needs nothing.
pub(crate) async fn reconcile(world: &World, kind: Kind, namespace: &str, name: &str) -> Result<()> {
    let Some(object) = world.get(kind, namespace, name) else { return Ok(()) };
    match kind {
        kind::DEPLOYMENT => deployment::reconcile(world, &object).await,
        kind::REPLICA_SET => replica_set::reconcile(world, kind, &object).await,
        kind::REPLICATION_CONTROLLER => replica_set::reconcile(world, kind, &object).await,
        kind::STATEFUL_SET => stateful_set::reconcile(world, &object).await,
        kind::DAEMON_SET => daemon_set::reconcile(world, &object).await,
        kind::JOB => job::reconcile(world, &object).await,
        kind::CRON_JOB => cron_job::reconcile(world, &object).await,
        kind::POD => pod::reconcile(world, &object).await,
        kind::CLAIM => volume::claim(world, &object).await,
        kind::VOLUME => volume::volume(world, &object).await,
        kind::SERVICE => service::reconcile(world, &object).await,
        kind::INGRESS => service::ingress(world, &object).await,
        kind::NAMESPACE => namespace::reconcile(world, &object).await,
        kind::API_SERVICE => api_service::reconcile(world, &object).await,
        kind::AUTOSCALER => policy::autoscaler(world, &object).await,
        kind::BUDGET => policy::budget(world, &object).await,
        kind::QUOTA => policy::quota(world, &object).await,
        _ => Ok(()),
    }
}

/// What every cluster has: nodes and a default storage class.
pub(crate) async fn foundation(world: &World) -> Result<()> {
    node::foundation(world).await?;
    volume::foundation(world).await
}
