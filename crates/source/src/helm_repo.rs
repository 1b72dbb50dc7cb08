//! Chart repositories: an index over HTTP, or charts in an OCI registry.

use crate::{Credentials, Error, Fetcher, Result, Revision};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a HelmRepository says.
#[derive(Debug, Clone)]
pub struct Request {
    /// `http://`, `https://` or `oci://`.
    pub url: String,
    /// How to be let in.
    pub credentials: Credentials,
    /// Send the credentials also to chart addresses on other hosts.
    pub pass_credentials: bool,
    /// Plain HTTP for OCI.
    pub insecure: bool,
    /// For each download.
    pub timeout: Duration,
}

/// The index of a repository.
#[derive(Debug, Clone)]
pub struct Index {
    /// `sha256:…` of the index file.
    pub revision: Revision,
    /// Versions of each chart, newest first.
    pub entries: BTreeMap<String, Vec<ChartVersion>>,
}

/// One version of a chart in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartVersion {
    /// Its version.
    pub version: String,
    /// Where it can be downloaded, absolute or relative to the repository.
    pub urls: Vec<String>,
    /// SHA-256 of the archive in hex, when the index gives it.
    pub digest: Option<String>,
}

/// A downloaded chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The archive.
    pub archive: Arc<[u8]>,
    /// `sha256:…` of the archive.
    pub digest: String,
    /// Where a map served it from: a path on this machine.
    pub mapped: Option<String>,
}

impl Request {
    /// A request for `url` with the defaults of Flux.
    pub fn new(url: impl Into<String>) -> Self {
        Request {
            url: url.into(),
            credentials: Credentials::default(),
            pass_credentials: false,
            insecure: false,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Fetcher {
    /// The index of an HTTP repository (or one made of the archives that a map points to).
    pub async fn helm_index(&self, request: &Request) -> Result<Arc<Index>> {
        Err(Error::Other(format!("{}: not fetched yet", request.url)))
    }

    /// A chart by name and version range (`*` or empty = newest stable) from a repository of either kind.
    pub async fn helm_chart(&self, request: &Request, name: &str, version: &str) -> Result<Chart> {
        Err(Error::Other(format!("{}: {name} {version} not fetched yet", request.url)))
    }
}
