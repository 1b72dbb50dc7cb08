//! The embedded Kubernetes API: storage, admission, discovery, watch.
//!
//! [`Server::open`] loads (or creates) a state directory and gives a running API. It is reached in
//! process through [`Server::client`] or [`Server::service`], and on loopback with TLS and a bearer
//! token through [`Server::serve`].

mod error;
mod server;

pub use error::{OpenError, ServeError};
pub use server::{ApiService, Body, Notice, Options, Server, Serving, Storage};
