//! What can go wrong before a request is ever answered: opening the state and binding the port.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the state directory.
    #[error("the state directory {path} is in use by process {pid}; stop it or choose another --state")]
    Locked {
        /// The state directory.
        path: PathBuf,
        /// The process that holds it ("unknown" when it did not say).
        pid: String,
    },
    /// The state was written by a newer release.
    #[error(
        "the state directory {path} has format {found}, this release reads up to {supported}; use the newer release or choose another --state"
    )]
    Newer {
        /// The state directory.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format this release understands.
        supported: u64,
    },
    /// There is a state where one was to be made.
    #[error("the state directory {path} holds a cluster already; choose another one or remove it first")]
    Exists {
        /// The state directory.
        path: PathBuf,
    },
    /// The state cannot be read back.
    #[error("the state in {path} is damaged ({detail}); restore a backup or move it away to start empty")]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The state directory cannot be created, read or written.
    #[error("the state directory {path} cannot be used: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// One of the objects given in [`crate::Options::crds`] was refused.
    #[error("the preloaded object {name} was refused: {message}")]
    Preload {
        /// `Kind/name`.
        name: String,
        /// The API's own message.
        message: String,
    },
    /// Certificates or keys could not be made.
    #[error("the certificates cannot be made: {0}")]
    Certificates(String),
}

/// Why the API could not be served on an address.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Something else listens there.
    #[error("{addr} is already in use; choose another --port (0 takes any free one)")]
    PortInUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}
