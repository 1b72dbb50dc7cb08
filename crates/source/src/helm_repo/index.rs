//! `index.yaml`: read, made from archives, and its addresses resolved.

use super::{ChartVersion, Index, LocalChart};
use crate::{Error, Result, Revision, version};
use object::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Reads an index; entries without name or version are passed over, as Helm does.
pub(super) fn parse(bytes: &[u8], digest: &str) -> Result<Index> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Error::Refused(format!("is not UTF-8: {error}")))?;
    let value = yaml::from_str(text).map_err(|error| Error::Refused(error.to_string()))?;
    let Some(all) = value.get("entries").and_then(Value::as_object) else {
        return Err(Error::Refused("is not a chart repository's index: it has no entries".to_string()));
    };
    let mut entries = BTreeMap::new();
    for (name, versions) in all {
        let versions = versions.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut versions: Vec<ChartVersion> = versions.iter().filter_map(entry).collect();
        versions.sort_by(|a, b| version::newest_first(&a.version, &b.version));
        entries.insert(name.clone(), versions);
    }
    Ok(Index { revision: Revision::new("", digest), entries })
}

fn entry(value: &Value) -> Option<ChartVersion> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let urls = value.get("urls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(ChartVersion {
        version: text("version")?.to_string(),
        urls: urls.iter().filter_map(Value::as_str).map(String::from).collect(),
        digest: text("digest").map(String::from),
    })
}

/// The index of a mirrored repository: relative addresses lead into its folder.
pub(super) fn of_mirror(folder: &Path) -> Result<Index> {
    let path = folder.join("index.yaml");
    let bytes = std::fs::read(&path).map_err(|error| Error::io(&path, error))?;
    let place = path.display().to_string();
    let mut index = parse(&bytes, &crate::tree::sha256(&bytes)).map_err(|error| error.within(&place))?;
    for versions in index.entries.values_mut() {
        for entry in versions {
            let local = entry.urls.iter().find_map(|url| {
                let name = url.split(['?', '#']).next().unwrap_or(url);
                let relative = if name.contains("://") { name.rsplit('/').next()? } else { name };
                let path = folder.join(crate::tree::clean(relative)?);
                path.is_file().then(|| format!("file://{}", path.display()))
            });
            if let Some(local) = local {
                entry.urls = vec![local];
            }
        }
    }
    Ok(index)
}

/// An index of archives on disk.
pub(super) fn of_charts(charts: Vec<LocalChart>) -> Index {
    let mut entries: BTreeMap<String, Vec<ChartVersion>> = BTreeMap::new();
    let mut content = String::new();
    for chart in charts {
        content.push_str(&format!("{} {} {}\n", chart.name, chart.version, chart.digest));
        entries.entry(chart.name).or_default().push(ChartVersion {
            version: chart.version,
            urls: vec![format!("file://{}", chart.path.display())],
            digest: Some(chart.digest),
        });
    }
    for versions in entries.values_mut() {
        versions.sort_by(|a, b| version::newest_first(&a.version, &b.version));
    }
    Index { revision: Revision::new("", crate::tree::sha256(content.as_bytes())), entries }
}

/// Where a version can be downloaded: relative addresses are seen from the repository.
pub(super) fn resolve(repository: &str, found: &ChartVersion) -> Result<String> {
    let Some(address) = found.urls.first() else {
        return Err(Error::NotFound(format!(
            "{repository}: version {} has no download address",
            found.version
        )));
    };
    if address.contains("://") {
        return Ok(address.clone());
    }
    let wrong = |error: url::ParseError| Error::Invalid(format!("{repository}: {address}: {error}"));
    let mut base = url::Url::parse(repository).map_err(wrong)?;
    // The repository is a folder, with or without its slash; its query goes along.
    let query = base.query().map(String::from);
    base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
    base.set_query(None);
    let mut full = base.join(address).map_err(wrong)?;
    if full.query().is_none() {
        full.set_query(query.as_deref());
    }
    Ok(full.to_string())
}

/// A digest of an index with its algorithm, which indexes leave out.
pub(super) fn full_digest(digest: &str) -> String {
    let digest = digest.to_ascii_lowercase();
    if digest.contains(':') { digest } else { format!("sha256:{digest}") }
}
