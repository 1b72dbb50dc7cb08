//! OCI artifacts: tags and digests to layers.

mod auth;
mod cosign;
mod layout;
mod mapped;
mod push;
mod registry;
mod signatures;

pub(crate) use registry::is_loopback;

pub use cosign::Cosign;
pub use push::{Blob, Push};

use crate::{Artifact, Credentials, Error, Fetcher, Result, Revision, Tree, version};
use layout::Layout;
use object::Value;
use registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The media type of the layer that holds a Helm chart.
pub const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// The media type of the layer with the chart's provenance file.
pub const PROVENANCE_LAYER: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";

/// The media type of a Helm chart's metadata.
pub const CHART_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

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
    /// Whose signatures are wanted; what a map serves has none, and is taken unverified.
    pub verify: Option<Arc<Cosign>>,
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
            verify: None,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Fetcher {
    /// The artifact of an OCI repository. The revision is `<tag>@sha256:…` with the manifest's digest (or the
    /// digest alone when that was asked for). A map serves it from an OCI layout, a chart or `tar.gz`
    /// archive, a folder of charts, or a folder.
    pub async fn oci(&self, request: &Request) -> Result<Artifact> {
        let work = self.oci_inner(request);
        match tokio::time::timeout(request.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unreachable {
                url: request.url.clone(),
                cause: format!("no answer within {:?}", request.timeout),
                hint: crate::maps::hint(&request.url),
            }),
        }
    }

    async fn oci_inner(&self, request: &Request) -> Result<Artifact> {
        if let Some(mirror) = self.mirrored(request) {
            return Box::pin(self.oci_inner(&mirror)).await;
        }
        let filter = filter(request)?;
        if let Some(found) = self.inner.maps.find(&request.url) {
            let place = format!("{} (mapped)", request.url);
            return mapped::fetch(self, request, &found, filter.as_ref())
                .await
                .map_err(|error| error.within(&place));
        }
        let registry = Registry::open(self, request)?;
        self.oci_from(&Store::Registry(registry), request, filter.as_ref()).await
    }

    /// The request to the mirror of the repository, if it has one.
    fn mirrored(&self, request: &Request) -> Option<Request> {
        let mirror = self.inner.maps.redirect(&request.url)?;
        let (scheme, rest) = mirror.split_once("://")?;
        let insecure = request.insecure || scheme == "http";
        Some(Request { url: format!("oci://{rest}"), insecure, ..request.clone() })
    }

    /// The tags of an OCI repository.
    pub async fn oci_tags(&self, request: &Request) -> Result<Vec<String>> {
        if let Some(mirror) = self.mirrored(request) {
            return Box::pin(self.oci_tags(&mirror)).await;
        }
        if let Some(found) = self.inner.maps.find(&request.url) {
            return mapped::tags(self, request, &found);
        }
        Registry::open(self, request)?.tags().await
    }

    /// The digest of the manifest that a request's reference means, an index for several platforms as it is.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn oci_digest(&self, request: &Request) -> Result<String> {
        if let Some(mirror) = self.mirrored(request) {
            return Box::pin(self.oci_digest(&mirror)).await;
        }
        let store = Store::Registry(Registry::open(self, request)?);
        let (_, wanted) = choose(&store, request, None).await?;
        Ok(store.manifest(&wanted).await?.1)
    }

    /// When the image that a request's reference means was built; nothing when it does not say so, or is for none of
    /// these platforms (`os/architecture`; any when there are none).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn oci_created(
        &self,
        request: &Request,
        platforms: &[String],
    ) -> Result<Option<jiff::Timestamp>> {
        if let Some(mirror) = self.mirrored(request) {
            return Box::pin(self.oci_created(&mirror, platforms)).await;
        }
        let store = Store::Registry(Registry::open(self, request)?);
        let (_, wanted) = choose(&store, request, None).await?;
        let (mut manifest, _) = store.manifest(&wanted).await?;
        let entries = manifest.get("manifests").and_then(Value::as_array).cloned();
        if let Some(entries) = entries {
            let text = |entry: &Value, at: &str| {
                entry.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let named = |entry: &Value| {
                format!("{}/{}", text(entry, "/platform/os"), text(entry, "/platform/architecture"))
            };
            let chosen = match platforms {
                [] => platform(&manifest),
                wanted => entries
                    .iter()
                    .find(|entry| wanted.contains(&named(entry)))
                    .map(|entry| text(entry, "/digest")),
            };
            let Some(digest) = chosen else { return Ok(None) };
            manifest = store.manifest(&digest).await?.0;
        }
        let digest = manifest.pointer("/config/digest").and_then(Value::as_str).unwrap_or_default();
        if !digest.starts_with("sha256:") {
            return Ok(None);
        }
        let config = self.layer(&store, digest).await?;
        let config: Value = serde_json::from_slice(&config)
            .map_err(|error| Error::Refused(format!("{}: its configuration: {error}", request.url)))?;
        Ok(config.get("created").and_then(Value::as_str).and_then(|text| text.parse().ok()))
    }

    async fn oci_from(
        &self,
        store: &Store,
        request: &Request,
        filter: Option<&regex::Regex>,
    ) -> Result<Artifact> {
        let (name, wanted) = choose(store, request, filter).await?;
        let (manifest, digest) = store.manifest(&wanted).await?;
        let verified = match (&request.verify, store) {
            (Some(cosign), Store::Registry(_)) => Some(self.verified(store, request, cosign, &digest).await?),
            _ => None,
        };
        let (manifest, digest) = match platform(&manifest) {
            // What is reported is the digest the tag points to.
            Some(inner) => (store.manifest(&inner).await?.0, digest),
            None => (manifest, digest),
        };
        let layer = pick_layer(&manifest, request)?;
        let bytes: Arc<[u8]> = self.layer(store, &layer).await?.into();
        let mut artifact = unpack(self, request, Revision::new(name, digest), bytes)?;
        artifact.metadata = annotations(&manifest);
        artifact.verified = verified;
        Ok(artifact)
    }

    async fn layer(&self, store: &Store, digest: &str) -> Result<Vec<u8>> {
        if let Some(bytes) = self.inner.cache.blob(digest) {
            return Ok(bytes);
        }
        let bytes = store.blob(digest).await?;
        verify(&bytes, digest)?;
        self.inner.cache.keep_blob(digest, &bytes);
        Ok(bytes)
    }
}

/// Where manifests and blobs come from.
enum Store {
    Registry(Registry),
    Layout(Layout),
}

impl Store {
    async fn tags(&self) -> Result<Vec<String>> {
        match self {
            Store::Registry(registry) => registry.tags().await,
            Store::Layout(layout) => layout.tags(),
        }
    }

    /// A manifest by tag or digest, and its digest.
    async fn manifest(&self, reference: &str) -> Result<(Value, String)> {
        let bytes = match self {
            Store::Registry(registry) => registry.manifest(reference).await?,
            Store::Layout(layout) => layout.manifest(reference)?,
        };
        let digest = crate::tree::sha256(&bytes);
        if reference.starts_with("sha256:") {
            verify(&bytes, reference)?;
        }
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Refused(format!("manifest {reference}: is not JSON: {error}")))?;
        Ok((value, digest))
    }

    /// Descriptors of what refers to a manifest.
    async fn referrers(&self, digest: &str) -> Result<Vec<Value>> {
        match self {
            Store::Registry(registry) => registry.referrers(digest).await,
            Store::Layout(_) => Ok(Vec::new()),
        }
    }

    async fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        match self {
            Store::Registry(registry) => registry.blob(digest).await,
            Store::Layout(layout) => layout.blob(digest),
        }
    }
}

fn filter(request: &Request) -> Result<Option<regex::Regex>> {
    let Some(text) = &request.reference.semver_filter else { return Ok(None) };
    regex::Regex::new(text)
        .map(Some)
        .map_err(|error| Error::Invalid(format!("semverFilter {text:?}: {error}")))
}

/// The name for the revision and the reference to ask the store for.
async fn choose(store: &Store, request: &Request, filter: Option<&regex::Regex>) -> Result<(String, String)> {
    let reference = &request.reference;
    if let Some(digest) = &reference.digest {
        if !digest.starts_with("sha256:") {
            return Err(Error::Invalid(format!(
                "{}: digest {digest:?} must start with sha256:",
                request.url
            )));
        }
        return Ok((String::new(), digest.clone()));
    }
    if let Some(range) = &reference.semver {
        let tags = store.tags().await?;
        let tag = best_tag(range, &tags, filter)?.ok_or_else(|| no_tag(request, range, &tags))?;
        return Ok((tag.clone(), tag));
    }
    let tag = reference.tag.clone().unwrap_or_else(|| "latest".to_string());
    Ok((tag.clone(), tag))
}

/// The highest tag in the range. A tag cannot hold `+`, which is written `_`.
fn best_tag(range: &str, tags: &[String], filter: Option<&regex::Regex>) -> Result<Option<String>> {
    let wanted: Vec<(String, &String)> = tags
        .iter()
        .filter(|tag| filter.is_none_or(|filter| filter.is_match(tag)))
        .map(|tag| (tag.replace('_', "+"), tag))
        .collect();
    let best = version::best(range, wanted.iter().map(|(version, _)| version.as_str()))?;
    Ok(best
        .and_then(|best| wanted.iter().find(|(version, _)| version == best))
        .map(|(_, tag)| (*tag).clone()))
}

fn no_tag(request: &Request, range: &str, tags: &[String]) -> Error {
    let list = crate::git::read::have("tags", tags);
    let filter =
        request.reference.semver_filter.as_ref().map_or(String::new(), |text| format!(" matching {text:?}"));
    Error::NotFound(format!("{}: no tag{filter} is in the range {range}{list}", request.url))
}

/// The digest of the manifest to take from an image index: linux/amd64, else the first.
fn platform(manifest: &Value) -> Option<String> {
    let entries = manifest.get("manifests")?.as_array()?;
    let is_linux = |entry: &&Value| {
        entry.pointer("/platform/os").and_then(Value::as_str) == Some("linux")
            && entry.pointer("/platform/architecture").and_then(Value::as_str) == Some("amd64")
    };
    let entry = entries.iter().find(is_linux).or_else(|| entries.first())?;
    entry.get("digest")?.as_str().map(String::from)
}

fn pick_layer(manifest: &Value, request: &Request) -> Result<String> {
    let layers = manifest.get("layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let media_type =
        |layer: &Value| layer.get("mediaType").and_then(Value::as_str).unwrap_or_default().to_string();
    let layer = match &request.layer.media_type {
        Some(wanted) => layers.iter().find(|layer| media_type(layer) == *wanted).ok_or_else(|| {
            let have: Vec<String> = layers.iter().map(media_type).collect();
            let have = have.join(", ");
            Error::NotFound(format!("{}: no layer has the media type {wanted}; it has {have}", request.url))
        })?,
        None => layers
            .first()
            .ok_or_else(|| Error::NotFound(format!("{}: the artifact has no layers", request.url)))?,
    };
    let digest = layer.get("digest").and_then(Value::as_str).unwrap_or_default();
    if digest.starts_with("sha256:") {
        return Ok(digest.to_string());
    }
    Err(Error::Refused(format!("{}: the layer's digest {digest:?} is not sha256", request.url)))
}

fn annotations(manifest: &Value) -> BTreeMap<String, String> {
    let Some(map) = manifest.get("annotations").and_then(Value::as_object) else { return BTreeMap::new() };
    map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string()))).collect()
}

/// The layer as the selector wants it.
fn unpack(fetcher: &Fetcher, request: &Request, revision: Revision, bytes: Arc<[u8]>) -> Result<Artifact> {
    match request.layer.operation {
        Operation::Copy => Ok(Artifact::of_blob(revision, bytes)),
        Operation::Extract => {
            let tree =
                Tree::from_tar_gz(&bytes, fetcher.limits()).map_err(|error| error.within(&request.url))?;
            Ok(Artifact::of_tree(revision, tree.with_source_rules(request.ignore.as_deref())))
        }
    }
}

fn verify(bytes: &[u8], digest: &str) -> Result<()> {
    let found = crate::tree::sha256(bytes);
    if found == digest {
        return Ok(());
    }
    Err(Error::Refused(format!("digest mismatch: asked for {digest}, got {found}")))
}
