//! How objects reach the cluster, and how one waits for them.

use std::time::Duration;

use cluster::{Cluster, Propagation};
use jiff::Timestamp;
use object::Value;
use plan::ObjectRef;

use crate::Fault;

/// How objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// As the driver does.
    #[default]
    Own,
    /// Server-side apply.
    ServerSide,
    /// Server-side apply, after it was the other way: the fields that were written that way are taken over.
    FromClientSide,
    /// What changed since the release before, as a patch of the live object.
    ClientSide,
}

impl Method {
    /// What a release says of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Own => "",
            Method::ServerSide | Method::FromClientSide => "ssa",
            Method::ClientSide => "csa",
        }
    }
}

/// How objects are applied.
#[derive(Debug, Clone, Copy)]
pub struct Applying<'a> {
    /// What the release before asked for.
    pub old: &'a [Value],
    /// Whether objects that cannot be changed in place are replaced.
    pub force: bool,
    /// Whether objects that belong to nobody, or to another release, are taken over.
    pub take_ownership: bool,
    /// How objects are written.
    pub method: Method,
}

/// What an action needs of whoever runs it.
pub trait Driver: Sync {
    /// The cluster, with the rights of the release.
    fn cluster(&self) -> &Cluster;

    /// The present time.
    fn now(&self) -> Timestamp;

    /// Says what is being done.
    fn progress(&self, line: String) {
        tracing::debug!("{line}");
    }

    /// A kind is not served (yet).
    fn missing_kind(&self) {}

    /// Says whether objects may be brought in, before anything is stored or written.
    fn check(&self, objects: &[Value], how: Applying<'_>) -> impl Future<Output = Result<(), Fault>> + Send {
        let _ = (objects, how);
        async { Ok(()) }
    }

    /// An object as it is.
    fn live(&self, target: &ObjectRef) -> impl Future<Output = Result<Option<Value>, Fault>> + Send;

    /// Creates and changes objects, in their order.
    fn apply(
        &self,
        objects: Vec<Value>,
        how: Applying<'_>,
    ) -> impl Future<Output = Result<Vec<ObjectRef>, Fault>> + Send;

    /// Deletes objects, in their order.
    fn delete(
        &self,
        targets: &[ObjectRef],
        propagation: Propagation,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes what a release has no more use for, in its order. Returns what is gone: a driver may hold back what
    /// somebody is to look at first.
    fn prune(
        &self,
        targets: &[ObjectRef],
        propagation: Propagation,
    ) -> impl Future<Output = Result<Vec<ObjectRef>, Fault>> + Send {
        async move { self.delete(targets, propagation).await.map(|()| targets.to_vec()) }
    }

    /// Waits until objects are ready.
    fn wait_ready(
        &self,
        targets: &[ObjectRef],
        limit: Duration,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits until objects are gone.
    fn wait_gone(
        &self,
        targets: &[ObjectRef],
        limit: Duration,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Creates a hook's object.
    fn start_hook(&self, object: &Value) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Waits until a hook has done its work.
    fn wait_hook(
        &self,
        target: &ObjectRef,
        limit: Duration,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Shows what the containers of a hook that is over printed, where somebody looks on. A hook's end does not depend
    /// on it.
    fn show_output(&self, target: &ObjectRef) -> impl Future<Output = ()> + Send {
        let _ = target;
        async {}
    }
}
