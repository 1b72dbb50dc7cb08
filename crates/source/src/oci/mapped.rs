//! OCI addresses served from disk: a layout, a chart or other archive, a folder of charts, a folder.

use super::{CHART_LAYER, Layout, Operation, Request, Store, best_tag, no_tag, unpack};
use crate::helm_repo::{LocalChart, local_charts};
use crate::maps::Mapped;
use crate::{Artifact, Error, Fetcher, Limits, Result, Revision, Tree};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands behind a mapped address.
enum Found {
    Layout(PathBuf),
    /// Versions of one chart: its tags are their versions.
    Charts(Vec<LocalChart>),
    /// Any other archive or folder: it answers to every tag.
    Archive(PathBuf),
    Folder(PathBuf),
}

pub(super) async fn fetch(
    fetcher: &Fetcher,
    request: &Request,
    mapped: &Mapped,
    filter: Option<&regex::Regex>,
) -> Result<Artifact> {
    let mut artifact = match look(mapped, request, fetcher.limits())? {
        Found::Layout(path) => {
            let mut artifact = fetcher.oci_from(&Store::Layout(Layout::open(&path)), request, filter).await?;
            artifact.mapped = Some(path.display().to_string());
            artifact
        }
        Found::Charts(charts) => chart(fetcher, request, charts, filter)?,
        Found::Archive(path) => {
            let bytes: Arc<[u8]> = std::fs::read(&path).map_err(|error| Error::io(&path, error))?.into();
            let revision = revision(request, crate::tree::sha256(&bytes))?;
            let mut artifact = unpack(fetcher, request, revision, bytes)?;
            artifact.mapped = Some(path.display().to_string());
            artifact
        }
        Found::Folder(path) => folder(fetcher, request, &path)?,
    };
    if artifact.mapped.is_none() {
        artifact.mapped = Some(mapped.path.display().to_string());
    }
    Ok(artifact)
}

pub(super) fn tags(fetcher: &Fetcher, request: &Request, mapped: &Mapped) -> Result<Vec<String>> {
    match look(mapped, request, fetcher.limits())? {
        Found::Layout(path) => Layout::open(&path).tags(),
        Found::Charts(charts) => Ok(charts.iter().map(|chart| tag_of(&chart.version)).collect()),
        Found::Archive(_) | Found::Folder(_) => Ok(vec![requested(request)]),
    }
}

fn look(mapped: &Mapped, request: &Request, limits: &Limits) -> Result<Found> {
    let exact = mapped.path.join(&mapped.rest);
    let path = if !mapped.rest.is_empty() && exact.exists() { exact } else { mapped.path.clone() };
    if Layout::is_at(&path) {
        return Ok(Found::Layout(path));
    }
    let charts = local_charts(&path, limits)?;
    // One archive is the chart, whatever it is called; in a folder the address's last part names it.
    let name = request.url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let named: Vec<LocalChart> = charts.iter().filter(|chart| chart.name == name).cloned().collect();
    if !named.is_empty() {
        return Ok(Found::Charts(named));
    }
    let one_name = charts.iter().all(|chart| Some(&chart.name) == charts.first().map(|first| &first.name));
    if !charts.is_empty() && one_name && mapped.rest.is_empty() {
        return Ok(Found::Charts(charts));
    }
    if !charts.is_empty() && path.is_dir() && (!mapped.rest.is_empty() || wants_chart(request)) {
        let have: Vec<String> =
            charts.into_iter().map(|chart| format!("{} {}", chart.name, chart.version)).collect();
        return Err(Error::NotFound(format!(
            "{}: holds no chart {name}{}",
            path.display(),
            crate::git::read::have("charts", &have)
        )));
    }
    if path.is_file() { Ok(Found::Archive(path)) } else { Ok(Found::Folder(path)) }
}

fn wants_chart(request: &Request) -> bool {
    request.layer.media_type.as_deref() == Some(CHART_LAYER)
}

fn tag_of(version: &str) -> String {
    version.replace('+', "_")
}

fn requested(request: &Request) -> String {
    request.reference.tag.clone().unwrap_or_else(|| "latest".to_string())
}

fn chart(
    fetcher: &Fetcher,
    request: &Request,
    charts: Vec<LocalChart>,
    filter: Option<&regex::Regex>,
) -> Result<Artifact> {
    let tags: Vec<String> = charts.iter().map(|chart| tag_of(&chart.version)).collect();
    let reference = &request.reference;
    let wanted = if let Some(digest) = &reference.digest {
        charts.iter().find(|chart| chart.digest == *digest).ok_or_else(|| pinned(request, digest, &charts))?
    } else {
        let tag = match (&reference.semver, &reference.tag) {
            (Some(range), _) => {
                best_tag(range, &tags, filter)?.ok_or_else(|| no_tag(request, range, &tags))?
            }
            (None, Some(tag)) if tag != "latest" => tag.clone(),
            _ => best_tag(">=0.0.0-0", &tags, None)?.ok_or_else(|| no_tag(request, "latest", &tags))?,
        };
        charts.iter().find(|chart| same_version(&tag_of(&chart.version), &tag)).ok_or_else(|| {
            let list = crate::git::read::have("versions", &tags);
            Error::NotFound(format!("{}: tag {tag} is not what the map serves{list}", request.url))
        })?
    };
    let name = if reference.digest.is_some() { String::new() } else { tag_of(&wanted.version) };
    let mut artifact = match request.layer.operation {
        Operation::Copy => Artifact::of_blob(Revision::default(), wanted.archive.clone()),
        Operation::Extract => unpack(fetcher, request, Revision::default(), wanted.archive.clone())?,
    };
    artifact.revision = Revision::new(name, wanted.digest.clone());
    artifact.mapped = Some(wanted.path.display().to_string());
    Ok(artifact)
}

fn same_version(a: &str, b: &str) -> bool {
    a.strip_prefix('v').unwrap_or(a) == b.strip_prefix('v').unwrap_or(b)
}

fn pinned(request: &Request, digest: &str, charts: &[LocalChart]) -> Error {
    let have: Vec<&str> = charts.iter().map(|chart| chart.digest.as_str()).collect();
    Error::Refused(format!(
        "{}: spec.ref.digest pins {digest}, the map serves {}; map an OCI layout that holds the pinned artifact",
        request.url,
        have.join(", ")
    ))
}

/// The revision of something that has no tags of its own.
fn revision(request: &Request, digest: String) -> Result<Revision> {
    if let Some(wanted) = &request.reference.digest
        && *wanted != digest
    {
        return Err(Error::Refused(format!(
            "{}: spec.ref.digest pins {wanted}, the map serves {digest}; map an OCI layout that holds the pinned artifact",
            request.url
        )));
    }
    let name = match &request.reference {
        reference if reference.digest.is_some() => String::new(),
        // A range cannot be checked against something without a version; what the map names is taken.
        _ => requested(request),
    };
    Ok(Revision::new(name, digest))
}

fn folder(fetcher: &Fetcher, request: &Request, path: &Path) -> Result<Artifact> {
    let copy = fetcher.inner.working_copy(path)?;
    let tree: Tree = copy.lock().snapshot(request.ignore.as_deref())?.tree;
    let revision = revision(request, tree.digest().to_string())?;
    let mut artifact = Artifact::of_tree(revision, tree);
    artifact.mapped = Some(path.display().to_string());
    if request.layer.operation == Operation::Copy {
        artifact.blob = Some(artifact.tree.to_tar_gz().into());
    }
    Ok(artifact)
}
