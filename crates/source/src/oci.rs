//! OCI artifacts: tags and digests to layers.

use crate::{Artifact, Credentials, Error, Fetcher, Result};
use std::time::Duration;

/// What an OCIRepository asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `oci://host/path`.
    pub url: String,
    /// Which artifact.
    pub reference: Reference,
    /// Which layer and what to do with it.
    pub layer: LayerSelector,
    /// How to be let in.
    pub credentials: Credentials,
    /// Plain HTTP.
    pub insecure: bool,
    /// `spec.ignore`.
    pub ignore: Option<String>,
    /// For the whole fetch.
    pub timeout: Duration,
}

/// `spec.ref`: digest before semver before tag; nothing = `latest`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// A tag.
    pub tag: Option<String>,
    /// The highest tag in a range of versions.
    pub semver: Option<String>,
    /// Regular expression that tags must match before the range is looked at.
    pub semver_filter: Option<String>,
    /// `sha256:…`.
    pub digest: Option<String>,
}

/// `spec.layerSelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerSelector {
    /// The first layer of this media type; `None` = the first layer.
    pub media_type: Option<String>,
    /// Unpack it or keep the blob.
    pub operation: Operation,
}

/// What to do with the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operation {
    /// Unpack the `tar.gz` into a tree.
    #[default]
    Extract,
    /// Keep the blob as it is (Helm charts).
    Copy,
}

impl Request {
    /// A request for `url` with the defaults of Flux.
    pub fn new(url: impl Into<String>) -> Self {
        Request {
            url: url.into(),
            reference: Reference::default(),
            layer: LayerSelector::default(),
            credentials: Credentials::default(),
            insecure: false,
            ignore: None,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Fetcher {
    /// The artifact of an OCI repository. The revision is `<tag>@sha256:…` with the manifest's digest.
    pub async fn oci(&self, request: &Request) -> Result<Artifact> {
        Err(Error::Other(format!("{}: not fetched yet", request.url)))
    }
}
