//! Sources to trees: where the content comes from that everything else renders and applies.
//!
//! A [`Fetcher`] answers requests for Git repositories ([`git`]), OCI artifacts ([`oci`]) and chart
//! repositories ([`helm_repo`]) with an [`Artifact`]: a [`Revision`] and an immutable [`Tree`] (or the blob
//! itself). Any remote address can be served from a local folder, archive or mirror through [`Maps`], and the
//! repository's own address is served from the working copy ([`WorkingCopy`]), uncommitted edits included.

mod archive;
mod artifact;
mod auth;
pub mod bucket;
mod cache;
pub mod cloud;
mod compose;
mod error;
mod fetcher;
pub mod git;
pub mod helm_repo;
mod ignore;
mod limits;
pub mod maps;
pub mod oci;
mod revision;
mod scan;
pub mod sign;
mod transport;
mod tree;
mod version;
pub mod watch;
mod working;

pub use artifact::Artifact;
pub use auth::{Credentials, Proxy};
pub use compose::{Copy, Strategy, compose};
pub use error::{Error, Result};
pub use fetcher::{Fetcher, Options};
pub use ignore::Ignore;
pub use limits::Limits;
pub use maps::Maps;
pub use revision::Revision;
pub use scan::StatCache;
pub use transport::client as http_client;
pub use tree::{Entry, File, Skipped, Tree};
pub use version::{best as best_version, newest_first};
pub use watch::Watcher;
pub use working::{Snapshot, WorkingCopy};
