//! What the engine needs of a cluster, over a [`kube::Client`] and nothing else.
//!
//! In the flow this stands between the plan and the API: [`Cluster`] finds out how a kind is served
//! (discovery, asked once for each group), applies, patches and deletes objects with a bound on what is
//! in flight, and keeps a [`Store`]: a copy of the kinds in use, fed by watches, so that planning and
//! waiting for health cost no request. Errors are typed by what a caller can do about them, and values of
//! Secrets are taken out of every message in one place ([`error::mask`]).

pub mod client;
pub mod discovery;
pub mod error;
pub mod events;
pub mod store;
mod watch;

pub use client::{
    Apply, Cluster, Delete, Limits, ListOptions, Options, PatchKind, PatchOptions, Propagation,
};
pub use discovery::Resource;
pub use error::{Error, ErrorKind};
pub use events::{EventNote, EventType};
pub use store::{Change, Interest, Store};
