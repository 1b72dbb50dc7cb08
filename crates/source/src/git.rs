//! Git: references to commits, commits to trees.

use crate::{Artifact, Credentials, Error, Fetcher, Result};
use std::time::Duration;

/// What a GitRepository asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `http://`, `https://`, `ssh://`, `file://` or a local path.
    pub url: String,
    /// Which commit.
    pub reference: Reference,
    /// How to be let in.
    pub credentials: Credentials,
    /// `spec.ignore`.
    pub ignore: Option<String>,
    /// `spec.sparseCheckout`.
    pub sparse: Vec<String>,
    /// `spec.recurseSubmodules`.
    pub recurse_submodules: bool,
    /// For the whole fetch.
    pub timeout: Duration,
}

/// `spec.ref`: the most specific one given counts: commit, name, semver, tag, branch; nothing = `master`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// A branch.
    pub branch: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// The newest tag in a range of versions.
    pub semver: Option<String>,
    /// Any full reference name, such as `refs/pull/420/head`.
    pub name: Option<String>,
    /// A commit.
    pub commit: Option<String>,
}

impl Request {
    /// A request for `url` with the defaults of Flux.
    pub fn new(url: impl Into<String>) -> Self {
        Request {
            url: url.into(),
            reference: Reference::default(),
            credentials: Credentials::default(),
            ignore: None,
            sparse: Vec::new(),
            recurse_submodules: false,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Fetcher {
    /// The tree of a Git repository at the reference asked for.
    pub async fn git(&self, request: &Request) -> Result<Artifact> {
        Err(Error::Other(format!("{}: not fetched yet", request.url)))
    }
}
