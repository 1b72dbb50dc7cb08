//! `notification.toolkit.fluxcd.io`: what happens is told to chats, forges and pagers ([`dispatch`]), and what
//! happens elsewhere asks for a pass ([`receiver`]).
//!
//! Alerts and Providers have no status, as in Flux; they are read when an event comes.

mod bus;
mod comment;
mod commit;
mod dispatch;
mod event;
mod oidc;
mod payload;
mod provider;
mod receiver;
mod server;

use cluster::Cluster;
use object::Gvk;
use tokio_util::sync::CancellationToken;

pub use receiver::Receivers;

/// The group.
pub const GROUP: &str = "notification.toolkit.fluxcd.io";

/// Receiver, as it is reconciled.
pub fn receiver_gvk() -> Gvk {
    Gvk::new(GROUP, "v1", "Receiver")
}

/// How notifications work.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--no-cross-namespace-refs`.
    pub no_cross_namespace_refs: bool,
    /// `--rate-limit-interval`: the same event is told once in this time.
    pub rate_limit: std::time::Duration,
    /// Names this process in events.
    pub instance: String,
    /// Asks clouds for the identities of Providers.
    pub fetcher: Option<source::Fetcher>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            no_cross_namespace_refs: false,
            rate_limit: std::time::Duration::from_secs(300),
            instance: "landfall".into(),
            fetcher: None,
        }
    }
}

/// Tells of every event that is recorded in `cluster` from now on, until `cancel` fires.
pub fn start(cluster: &Cluster, options: Options, cancel: CancellationToken) {
    let events = cluster.recorded();
    let cluster = cluster.clone();
    tokio::spawn(async move { dispatch::run(cluster, options, events, cancel).await });
}

/// Takes webhooks (`/hook/…`) and events of other controllers (`POST /`).
pub fn door(cluster: &Cluster, options: Options) -> std::sync::Arc<dyn delivery::doors::Door> {
    std::sync::Arc::new(server::Server::new(cluster.clone(), options))
}
