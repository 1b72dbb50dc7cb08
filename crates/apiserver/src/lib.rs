//! The embedded Kubernetes API: storage, admission, discovery, watch.
//!
//! [`Server::open`] loads (or creates) a state directory and gives a running API. It is reached in
//! process through [`Server::client`] or [`Server::service`], and on loopback with TLS and a bearer
//! token through [`Server::serve`].

mod admission;
mod api;
mod app;
mod auth;
mod automatic;
mod bootstrap;
mod catalog;
mod certificates;
mod clusters;
mod components;
mod conversion;
mod convert;
mod crd;
mod credentials;
mod definitions;
mod discovery;
mod error;
mod fields;
mod flows;
mod listen;
mod manage;
mod metadata;
mod metrics;
mod network;
mod openapi;
mod openapi_groups;
mod openapi_proto;
mod protobuf;
mod rbac;
mod remote;
mod request;
mod respond;
mod router;
mod select;
mod server;
mod services;
mod status;
mod store;
mod strategy;
mod strict;
mod table;
mod token;
mod types;
mod warnings;

pub use clusters::{ChildError, Origin};
pub use error::{OpenError, ServeError};
pub use server::{
    ApiService, Body, Notice, OnChild, Options, Server, Serving, Storage, check_backup, kubeconfig, restore,
};
pub use store::backup::BackupError;
