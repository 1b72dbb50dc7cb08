//! Chart repositories: an index over HTTP, or charts in an OCI registry.

mod index;
mod local;

pub(crate) use local::{LocalChart, local_charts, read_archive};

use crate::maps::Mapped;
use crate::{Credentials, Error, Fetcher, Result, Revision, oci, transport, version};
use std::collections::BTreeMap;
use std::path::Path;
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
    /// Whose signatures are wanted of charts in a registry.
    pub verify: Option<Arc<oci::Cosign>>,
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
    /// Where it was downloaded: its provenance file is beside it. A path when a map served it.
    pub address: String,
    /// Where a map served it from: a path on this machine.
    pub mapped: Option<String>,
    /// Whose signature was checked, in words.
    pub verified: Option<String>,
}

impl Request {
    /// A request for `url` with the defaults of Flux.
    pub fn new(url: impl Into<String>) -> Self {
        Request {
            url: url.into(),
            credentials: Credentials::default(),
            pass_credentials: false,
            insecure: false,
            verify: None,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Fetcher {
    /// The index of an HTTP repository (or one made of the archives that maps point to).
    pub async fn helm_index(&self, request: &Request) -> Result<Arc<Index>> {
        if let Some(index) = self.mapped_index(request)? {
            return Ok(Arc::new(index));
        }
        if let Some(url) = self.inner.maps.redirect(&request.url) {
            return Box::pin(self.helm_index(&Request { url, ..request.clone() })).await;
        }
        let url = format!("{}/index.yaml", request.url.trim_end_matches('/'));
        let client = transport::client(&request.credentials, request.timeout)?;
        let authorization = transport::authorization(&request.credentials);
        let limits = self.limits();
        let bytes = transport::get(&client, &url, authorization.as_deref(), &request.url, limits).await?;
        let digest = crate::tree::sha256(&bytes);
        if let Some((known, index)) = self.inner.indexes.lock().get(&request.url)
            && *known == digest
        {
            return Ok(index.clone());
        }
        let parsed = index::parse(&bytes, &digest).map_err(|error| error.within(&url))?;
        let parsed = Arc::new(parsed);
        self.inner.indexes.lock().insert(request.url.clone(), (digest, parsed.clone()));
        Ok(parsed)
    }

    /// A chart by name and version range (`*` or empty = newest stable) from a repository of either kind.
    pub async fn helm_chart(&self, request: &Request, name: &str, version: &str) -> Result<Chart> {
        if request.url.starts_with("oci://") {
            return self.oci_chart(request, name, version).await;
        }
        if request.verify.is_some() {
            return Err(Error::Unverified {
                reason: "VerificationError",
                why: format!("{}: only charts in an OCI registry can be verified", request.url),
            });
        }
        if let Some(url) = self.inner.maps.redirect(&request.url) {
            return Box::pin(self.helm_chart(&Request { url, ..request.clone() }, name, version)).await;
        }
        // A map of the one chart, `REPOSITORY/CHART=…`, wins over one of the repository.
        let index = self.helm_index(request).await?;
        let found = index.choose(&request.url, name, version)?;
        let address = index::resolve(&request.url, found)?;
        if let Some(path) = address.strip_prefix("file://") {
            return self.chart_file(Path::new(path), name, found);
        }
        if let Some(mapped) =
            self.inner.maps.find(&address).filter(|mapped| mapped.path.is_file() && mapped.rest.is_empty())
        {
            return self.chart_file(&mapped.path, name, found);
        }
        // An index may name archives by the address that is mirrored.
        let address = self.inner.maps.redirect(&address).unwrap_or(address);
        let digest = found.digest.as_deref().map(index::full_digest);
        let cached = digest.as_deref().and_then(|digest| self.inner.cache.blob(digest));
        let archive = match cached {
            Some(bytes) => bytes,
            None => self.download(request, &address).await?,
        };
        let chart = checked(name, found, archive, digest.as_deref(), &address)?;
        self.inner.cache.keep_blob(&chart.digest, &chart.archive);
        Ok(chart)
    }

    /// The file at an address, as a chart of the repository `request.url` is fetched.
    pub async fn helm_archive(&self, request: &Request, address: &str) -> Result<Vec<u8>> {
        self.download(request, address).await
    }

    async fn download(&self, request: &Request, address: &str) -> Result<Vec<u8>> {
        let client = transport::client(&request.credentials, request.timeout)?;
        let own = request.pass_credentials || same_host(&request.url, address);
        let authorization = if own { transport::authorization(&request.credentials) } else { None };
        transport::get(&client, address, authorization.as_deref(), &request.url, self.limits()).await
    }

    fn chart_file(&self, path: &Path, name: &str, found: &ChartVersion) -> Result<Chart> {
        let charts = local_charts(path, self.limits())?;
        let chart = charts.into_iter().find(|chart| chart.name == name && chart.version == found.version);
        let chart = chart.ok_or_else(|| {
            Error::NotFound(format!("{}: is not the chart {name} {}", path.display(), found.version))
        })?;
        if let Some(digest) = found.digest.as_deref().map(index::full_digest)
            && digest != chart.digest
        {
            return Err(mismatch(&path.display().to_string(), &digest, &chart.digest));
        }
        Ok(Chart {
            name: chart.name,
            version: chart.version,
            archive: chart.archive,
            digest: chart.digest,
            address: path.display().to_string(),
            mapped: Some(path.display().to_string()),
            verified: None,
        })
    }

    /// A chart of an OCI registry: the tags are the versions.
    async fn oci_chart(&self, request: &Request, name: &str, version: &str) -> Result<Chart> {
        let url = format!("{}/{name}", request.url.trim_end_matches('/'));
        let mut wanted = oci::Request::new(&url);
        wanted.credentials = request.credentials.clone();
        wanted.insecure = request.insecure;
        wanted.verify = request.verify.clone();
        wanted.timeout = request.timeout;
        wanted.layer = oci::LayerSelector {
            media_type: Some(oci::CHART_LAYER.to_string()),
            operation: oci::Operation::Copy,
        };
        let range = if version.is_empty() { "*" } else { version };
        wanted.reference.semver = Some(range.to_string());
        let artifact = self.oci(&wanted).await?;
        let archive = artifact.blob.clone().ok_or_else(|| Error::Other(format!("{url}: no chart layer")))?;
        Ok(Chart {
            name: name.to_string(),
            version: artifact.revision.name.replace('_', "+"),
            digest: crate::tree::sha256(&archive),
            archive,
            address: url,
            mapped: artifact.mapped,
            verified: artifact.verified,
        })
    }

    /// The index of what maps serve for a repository: the repository's own map, or those of single charts
    /// below its address.
    fn mapped_index(&self, request: &Request) -> Result<Option<Index>> {
        let maps = &self.inner.maps;
        let mut places: Vec<(String, Mapped)> = maps.below(&request.url);
        if let Some(mapped) = maps.find(&request.url) {
            places.insert(0, (String::new(), mapped));
        }
        if places.is_empty() {
            return Ok(None);
        }
        let mut charts: Vec<LocalChart> = Vec::new();
        for (below, mapped) in places {
            let path = mapped.path.join(&mapped.rest);
            let path = if path.exists() { path } else { mapped.path };
            if below.is_empty() && path.join("index.yaml").is_file() {
                return index::of_mirror(&path).map(Some);
            }
            let found = local_charts(&path, self.limits())?;
            if found.is_empty() {
                return Err(Error::NotFound(format!(
                    "{} (mapped): {} holds no chart archives (*.tgz) and no charts",
                    request.url,
                    path.display()
                )));
            }
            // The map of one chart replaces what the repository's map has of it.
            charts.retain(|known| below.is_empty() || !found.iter().any(|chart| chart.name == known.name));
            charts.extend(found);
        }
        Ok(Some(index::of_charts(charts)))
    }
}

impl Index {
    /// The version of a chart that a range chooses.
    pub fn choose(&self, url: &str, name: &str, range: &str) -> Result<&ChartVersion> {
        let versions = self.entries.get(name).map(Vec::as_slice).unwrap_or_default();
        if versions.is_empty() {
            let names: Vec<String> = self.entries.keys().cloned().collect();
            let list = crate::git::read::have("charts", &names);
            return Err(Error::NotFound(format!("{url}: no chart {name} in the index{list}")));
        }
        if let Some(exact) = versions.iter().find(|entry| entry.version == range) {
            return Ok(exact);
        }
        let best = version::best(range, versions.iter().map(|entry| entry.version.as_str()))?;
        best.and_then(|best| versions.iter().find(|entry| entry.version == best)).ok_or_else(|| {
            let have: Vec<String> = versions.iter().rev().map(|entry| entry.version.clone()).collect();
            let list = crate::git::read::have("versions", &have);
            Error::NotFound(format!("{url}: no version of chart {name} is in the range {range}{list}"))
        })
    }
}

fn checked(
    name: &str,
    found: &ChartVersion,
    bytes: Vec<u8>,
    digest: Option<&str>,
    place: &str,
) -> Result<Chart> {
    let archive: Arc<[u8]> = bytes.into();
    let own = crate::tree::sha256(&archive);
    if let Some(digest) = digest
        && digest != own
    {
        return Err(mismatch(place, digest, &own));
    }
    Ok(Chart {
        name: name.to_string(),
        version: found.version.clone(),
        archive,
        digest: own,
        address: place.to_string(),
        mapped: None,
        verified: None,
    })
}

fn mismatch(place: &str, wanted: &str, found: &str) -> Error {
    Error::Refused(format!("{place}: digest mismatch: the index says {wanted}, the archive is {found}"))
}

fn same_host(a: &str, b: &str) -> bool {
    let host = |text: &str| {
        let url = url::Url::parse(text).ok()?;
        Some((url.scheme().to_string(), url.host_str()?.to_string(), url.port_or_known_default()))
    };
    host(a).is_some() && host(a) == host(b)
}
