//! The controllers and nodes of the embedded cluster, simulated.
//!
//! [`run`] does what kube-controller-manager, the scheduler and the kubelets of a cluster do, as far as a
//! client of the API can tell: Deployments roll out, pods become ready after a delay, Jobs complete, volumes
//! bind, Services get endpoints and addresses, owners' dependents are collected, namespaces empty. Nothing
//! runs: what stands for a running thing carries the annotation [`SIMULATED`].
//!
//! It works from watches alone and only writes what differs, so it may be stopped and started at any moment.
//! Objects flow from [`feed`] into [`world`]; [`dispatch`] says whose work a change is; [`engine`] runs the
//! work, each piece alone, many side by side; a module for each kind does it; [`placement`] chooses nodes.

mod api;
mod dispatch;
mod engine;
mod error;
mod feed;
mod garbage;
mod graph;
mod kind;
mod kinds;
mod names;
mod placement;
mod queue;
mod time;
mod world;

pub use controller::{Clock, SystemClock};

use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Marks objects whose running part is made up.
pub const SIMULATED: &str = "landfall.dev/simulated";

/// How the simulation behaves.
#[derive(Clone)]
pub struct Options {
    /// From a pod's scheduling to its readiness.
    pub ready_delay: Duration,
    /// From a job pod's start to its success.
    pub run_delay: Duration,
    /// How many nodes there are.
    pub nodes: u32,
    /// Whether a pod that no node can take waits, as on a real cluster. Otherwise it is put on any of them: what the
    /// real nodes of a repository are called and offer is not known.
    pub strict: bool,
    /// The certificate authority that `kube-root-ca.crt` hands out; without it the ConfigMaps are not made.
    pub root_ca: Option<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Told once for each thing that is made up in a way people should know of.
    pub on_notice: Option<Arc<dyn Fn(String) + Send + Sync>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ready_delay: Duration::from_millis(200),
            run_delay: Duration::from_millis(200),
            nodes: 1,
            strict: false,
            root_ca: None,
            clock: Arc::new(SystemClock),
            on_notice: None,
        }
    }
}

/// Simulates until cancelled. It survives errors of the API: it looks again, with growing pauses.
pub async fn run(client: kube::Client, options: Options, stop: CancellationToken) {
    engine::run(client, options, stop).await;
}
