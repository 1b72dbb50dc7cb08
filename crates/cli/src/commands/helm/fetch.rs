//! From a chart's name in a repository to its archive, and to its provenance file.

use super::flags::ChartFlags;
use super::{registry, verify};
use anyhow::{Context as _, anyhow, bail};
use openpgp::Verified;
use source::Fetcher;
use source::helm_repo::Request;

/// A chart's archive from a repository.
pub struct Fetched {
    /// The archive.
    pub archive: Vec<u8>,
    /// Its file name.
    pub file: String,
    /// What `helm` says of it on standard error.
    pub said: String,
    /// Its address; that of its provenance file has `.prov` behind it.
    pub address: String,
    /// The provenance file, or why it is not there, when it was asked for.
    pub provenance: Option<anyhow::Result<Vec<u8>>>,
}

impl Fetched {
    /// Checks the archive with its provenance file.
    pub fn verified(&self, keyring: &str) -> anyhow::Result<Verified> {
        match &self.provenance {
            Some(Ok(provenance)) => verify::bytes(&self.file, &self.archive, provenance, keyring),
            _ => bail!("failed to fetch provenance {:?}", format!("{}.prov", self.address)),
        }
    }
}

/// Fetches a chart: `oci://…`, `https://….tgz`, `REPOSITORY/NAME` of a known repository, or a name in the
/// repository that the flags name.
pub async fn fetch(name: &str, flags: &ChartFlags, provenance: bool) -> anyhow::Result<Fetched> {
    crate::commands::set_up::now();
    let fetcher = Fetcher::new(Default::default())?;
    let mut request = Request::new(flags.repo.clone().unwrap_or_default());
    request.credentials = flags.access.credentials()?;
    request.pass_credentials = flags.pass_credentials;
    request.insecure = flags.access.plain_http;
    if let Some(address) = name.strip_prefix("oci://") {
        return fetch_oci(&fetcher, &request, address, flags.range(), provenance).await;
    }
    let (archive, file, address) = if name.contains("://") {
        request.url = name.to_owned();
        let archive = fetcher.helm_archive(&request, name).await?;
        let path = name.split(['?', '#']).next().unwrap_or(name);
        (archive, path.rsplit('/').next().unwrap_or(path).to_owned(), name.to_owned())
    } else {
        let mut chart = name;
        if flags.repo.is_none() {
            let Some((repository, inner)) = name.split_once('/') else {
                bail!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {name}");
            };
            known_repository(repository, &mut request)?;
            chart = inner;
        }
        let found = fetcher.helm_chart(&request, chart, flags.range()).await?;
        (found.archive.to_vec(), format!("{}-{}.tgz", found.name, found.version), found.address)
    };
    let provenance = match provenance {
        true => Some(beside(&fetcher, &request, &address).await),
        false => None,
    };
    Ok(Fetched { archive, file, said: String::new(), address, provenance })
}

/// The provenance file beside an archive: at an address, or on disk where a map served the archive.
async fn beside(fetcher: &Fetcher, request: &Request, address: &str) -> anyhow::Result<Vec<u8>> {
    let wanted = format!("{address}.prov");
    match address.contains("://") {
        true => Ok(fetcher.helm_archive(request, &wanted).await?),
        false => std::fs::read(&wanted).map_err(|error| super::locate::go_error("open", &wanted, &error)),
    }
}

async fn fetch_oci(
    fetcher: &Fetcher,
    request: &Request,
    address: &str,
    range: &str,
    provenance: bool,
) -> anyhow::Result<Fetched> {
    let (address, digest) = match address.split_once('@') {
        Some((address, digest)) => (address, Some(digest)),
        None => (address, None),
    };
    let (place, tag) = match address.rsplit_once(':') {
        Some((place, tag)) if !tag.contains('/') => (place, Some(tag)),
        _ => (address, None),
    };
    let mut wanted = source::oci::Request::new(format!("oci://{place}"));
    wanted.credentials = request.credentials.clone();
    registry::log_in(&mut wanted.credentials, place.split('/').next().unwrap_or_default())?;
    wanted.insecure = request.insecure;
    let layer = |media_type: &str| source::oci::LayerSelector {
        media_type: Some(media_type.to_owned()),
        operation: source::oci::Operation::Copy,
    };
    wanted.layer = layer(source::oci::CHART_LAYER);
    match (digest, tag) {
        (Some(digest), _) => wanted.reference.digest = Some(digest.to_owned()),
        (None, Some(tag)) => wanted.reference.tag = Some(tag.replace('+', "_")),
        (None, None) if helm::version::Version::parse_strict(range).is_ok() => {
            wanted.reference.tag = Some(range.replace('+', "_"))
        }
        (None, None) => wanted.reference.semver = Some(if range.is_empty() { "*" } else { range }.to_owned()),
    }
    let artifact = fetcher.oci(&wanted).await?;
    let archive = artifact.blob.as_ref().context("the artifact holds no chart")?.to_vec();
    let revision = artifact.revision.clone();
    let tag =
        if revision.name.is_empty() { tag.unwrap_or_default().to_owned() } else { revision.name.clone() };
    let reference = match (tag.as_str(), digest) {
        ("", Some(digest)) => format!("{place}@{digest}"),
        (tag, _) => format!("{place}:{tag}"),
    };
    let mut said = format!("Pulled: {reference}\nDigest: {}\n", revision.digest);
    if reference.contains('_') {
        said.push_str(&registry::underscore(&reference));
    }
    let provenance = match provenance {
        true => {
            wanted.layer = layer(source::oci::PROVENANCE_LAYER);
            wanted.reference = Default::default();
            wanted.reference.digest = Some(revision.digest.clone());
            let found = fetcher.oci(&wanted).await.map_err(anyhow::Error::from);
            said.push_str(&if found.is_ok() { said.clone() } else { String::new() });
            Some(found.and_then(|found| Ok(found.blob.context("the artifact holds no provenance")?.to_vec())))
        }
        false => None,
    };
    let name = place.rsplit('/').next().unwrap_or(place);
    let version = match tag.as_str() {
        "" => helm::Chart::load_archive(&archive)?.chart.metadata.version,
        tag => tag.replace('_', "+"),
    };
    let file = format!("{name}-{version}.tgz");
    Ok(Fetched { archive, file, said, address: format!("oci://{reference}"), provenance })
}

/// Fills in what `helm repo add` noted of a repository.
fn known_repository(name: &str, request: &mut Request) -> anyhow::Result<()> {
    let file = super::settings::repositories()?;
    let text = std::fs::read_to_string(&file).ok();
    let Some(text) = text else { bail!("repo {name} not found") };
    let shown = file.display().to_string();
    let list = yaml::from_str(&text).map_err(|error| anyhow!("{shown}: {error}"))?;
    let entries = list.get("repositories").and_then(serde_json::Value::as_array);
    let entry = entries
        .into_iter()
        .flatten()
        .find(|entry| object::get_str(entry, &["name"]) == Some(name))
        .with_context(|| format!("repo {name} not found"))?;
    let text =
        |field: &str| object::get_str(entry, &[field]).filter(|text| !text.is_empty()).map(str::to_owned);
    let bytes = |field: &str| -> anyhow::Result<Option<Vec<u8>>> {
        let read =
            |path: String| std::fs::read(&path).map_err(|e| super::locate::go_error("open", &path, &e));
        text(field).map(read).transpose()
    };
    let on = |field: &str| object::get(entry, &[field]).is_some_and(|on| on == true);
    request.url = text("url").with_context(|| format!("no url found for repository {name:?} in {shown}"))?;
    let known = &mut request.credentials;
    known.username = known.username.take().or_else(|| text("username"));
    known.password = known.password.take().or_else(|| text("password"));
    if text("caFile").is_some() || text("certFile").is_some() {
        (known.ca, known.cert, known.key) = (bytes("caFile")?, bytes("certFile")?, bytes("keyFile")?);
    }
    known.any_certificate |= on("insecure_skip_tls_verify");
    request.pass_credentials |= on("pass_credentials_all");
    Ok(())
}
