//! Chart repositories: `index.yaml`, the choice of a version, and where its archive is.

use crate::chart::Metadata;
use crate::error::quote;
use crate::gojson::{Decoder, field};
use crate::version::{Constraint, Version};
use crate::{Error, Result, Stage};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One version of a chart in an index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// What the chart's `Chart.yaml` says.
    pub metadata: Metadata,
    /// Where the archive is; relative to the repository when it is not absolute.
    pub urls: Vec<String>,
    /// When it was added, as RFC 3339.
    pub created: String,
    /// The archive's SHA-256 in hex, possibly with `sha256:` in front.
    pub digest: String,
    /// Whether it was taken back.
    pub removed: bool,
}

/// A repository's index.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    /// `v1`.
    pub api_version: String,
    /// When it was made, as RFC 3339.
    pub generated: String,
    /// The versions of each chart, newest first.
    pub entries: BTreeMap<String, Vec<Entry>>,
    /// Entries that were left out because they are not valid.
    pub warnings: Vec<String>,
}

fn fail(text: impl Into<String>) -> Error {
    Error::new(Stage::Repository, text)
}

impl Index {
    /// Puts the versions of each chart in order, newest first.
    pub fn sort(&mut self) {
        self.entries.values_mut().for_each(|versions| versions.sort_by(newest_first));
    }

    /// Reads a whole index.
    pub fn parse(text: &str) -> Result<Index> {
        if text.is_empty() {
            return Err(fail("empty index.yaml file"));
        }
        let value = read(text)?;
        let mut index = Index::default();
        let mut decoder = Decoder::default();
        if let Some(map) = decoder.object(&value, "", "repo.IndexFile") {
            index.api_version = decoder.string(field(map, "apiVersion"), "IndexFile.apiVersion");
            index.generated = decoder.string(field(map, "generated"), "IndexFile.generated");
            let place = "IndexFile.entries";
            let entries = field(map, "entries");
            let entries =
                entries.and_then(|value| decoder.object(value, place, "map[string]repo.ChartVersions"));
            for (name, versions) in entries.into_iter().flatten() {
                let versions = decode_versions(&mut decoder, name, versions, &mut index.warnings);
                index.entries.insert(name.clone(), versions);
            }
        }
        let index = decoder.finish(index).map_err(fail)?;
        if index.api_version.is_empty() {
            return Err(fail("no API version specified"));
        }
        Ok(index)
    }

    /// Reads the versions of one chart alone. An index as Helm writes it is cut, not parsed: 20 MB take
    /// no longer than finding the place.
    pub fn parse_chart(text: &str, name: &str) -> Result<Index> {
        let cut = excerpt(text, name).and_then(|part| {
            let value = yaml::from_str(part).ok()?;
            let versions = value.as_object()?.get(name)?.clone();
            let mut index = Index { api_version: "v1".into(), ..Index::default() };
            let mut decoder = Decoder::default();
            let versions = decode_versions(&mut decoder, name, &versions, &mut index.warnings);
            let versions = decoder.finish(versions).ok()?;
            index.entries.insert(name.to_owned(), versions);
            Some(index)
        });
        match cut {
            Some(index) => Ok(index),
            None => Index::parse(text),
        }
    }

    /// The version of a chart to take: the exact one, else the newest that fits the constraint; without
    /// one, the newest that is no prerelease.
    pub fn choose(&self, name: &str, constraint: &str) -> Result<&Entry> {
        let versions = self.entries.get(name).ok_or_else(|| fail("no chart name found"))?;
        if versions.is_empty() {
            return Err(fail("no chart version found"));
        }
        let wanted = Constraint::parse(if constraint.is_empty() { "*" } else { constraint });
        let wanted = wanted.map_err(|error| fail(error.to_string()))?;
        if !constraint.is_empty()
            && let Some(exact) = versions.iter().find(|entry| entry.metadata.version == constraint)
        {
            return Ok(exact);
        }
        let fits = |entry: &&Entry| {
            Version::parse(&entry.metadata.version).is_ok_and(|version| wanted.check(&version))
        };
        versions
            .iter()
            .find(fits)
            .ok_or_else(|| fail(format!("no chart version found for {name}-{constraint}")))
    }
}

/// JSON is read as such, anything else as YAML without repeated keys.
fn read(text: &str) -> Result<Value> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    yaml::from_str_strict(text).map_err(|error| {
        fail(format!("error converting YAML to JSON: {error}")).at("index.yaml", error.line, error.column)
    })
}

fn decode_versions(
    decoder: &mut Decoder,
    name: &str,
    versions: &Value,
    warnings: &mut Vec<String>,
) -> Vec<Entry> {
    let place = "IndexFile.entries";
    let mut out = Vec::new();
    for item in decoder.list(Some(versions), place, "repo.ChartVersions").unwrap_or_default() {
        let Some(map) = decoder.object(item, place, "repo.ChartVersion") else {
            warnings.push(format!("skipping loading invalid entry for chart {}: empty entry", quote(name)));
            continue;
        };
        let mut entry = Entry {
            urls: decoder.strings(field(map, "urls"), "ChartVersion.entries.urls"),
            created: decoder.string(field(map, "created"), "ChartVersion.entries.created"),
            digest: decoder.string(field(map, "digest"), "ChartVersion.entries.digest"),
            removed: decoder.boolean(field(map, "removed"), "ChartVersion.entries.removed"),
            ..Entry::default()
        };
        entry.metadata.decode(decoder, map);
        if entry.metadata.api_version.is_empty() {
            entry.metadata.api_version = "v1".into();
        }
        match entry.metadata.validate() {
            Err(error) if !is_skippable(&error) => {
                let version = quote(&entry.metadata.version);
                warnings.push(format!(
                    "skipping loading invalid entry for chart {} {version}: {error}",
                    quote(name)
                ));
            }
            _ => out.push(entry),
        }
    }
    out.sort_by(newest_first);
    out
}

/// An alias twice in the dependencies was let through by older releases.
fn is_skippable(error: &Error) -> bool {
    error.message.starts_with("validation: more than one dependency with name or alias")
}

fn newest_first(a: &Entry, b: &Entry) -> Ordering {
    match (Version::parse(&a.metadata.version), Version::parse(&b.metadata.version)) {
        (Ok(a), Ok(b)) => crate::version::compare(&b, &a),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => Ordering::Equal,
    }
}

/// The lines of one chart in an index that is laid out as Helm does it: `entries:` at the margin, chart
/// names two spaces in, anything of theirs further in or starting with `- `. `None` for any other layout.
fn excerpt<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let start = match text.strip_prefix("entries:\n") {
        Some(_) => "entries:\n".len(),
        None => text.find("\nentries:\n")? + "\nentries:\n".len(),
    };
    let body = text.get(start..)?;
    let head = format!("  {name}:\n");
    let begin = if body.starts_with(&head) { 0 } else { body.find(&format!("\n{head}"))? + 1 };
    if !ends_inside(body.get(..begin)?) {
        return None;
    }
    let tail = body.get(begin + head.len()..)?;
    let mut end = 0;
    for line in tail.split_inclusive('\n') {
        if !(line.starts_with("   ") || line.starts_with("  - ") || line.trim().is_empty()) {
            break;
        }
        end += line.len();
    }
    let part = body.get(begin..begin + head.len() + end)?;
    // Anchors could reach out of the part.
    (!part.contains(": *") && !part.contains("- *")).then_some(part)
}

/// Whether nothing at the margin ends `entries` before the place.
fn ends_inside(before: &str) -> bool {
    before.is_empty() || !before.lines().any(|line| !line.starts_with(' ') && !line.is_empty())
}

/// Where an archive is: `reference` itself when it is absolute, else below the repository's URL. The
/// repository's query is kept.
pub fn resolve_url(base: &str, reference: &str) -> String {
    if has_scheme(reference) {
        return reference.to_owned();
    }
    let base = base.split('#').next().unwrap_or(base);
    let (base, query) = base.split_once('?').map_or((base, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").unwrap_or(("", base));
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let joined = if let Some(other_host) = reference.strip_prefix("//") {
        return format!("{scheme}://{other_host}");
    } else if reference.starts_with('/') {
        reference.to_owned()
    } else {
        format!("{}/{reference}", path.trim_end_matches('/'))
    };
    let clean = crate::path::clean(&joined);
    let slash = if joined.ends_with('/') && clean != "/" { "/" } else { "" };
    let prefix = if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{prefix}{clean}{slash}{query}")
}

fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "apiVersion: v1\nentries:\n  a:\n  - name: a\n    version: 1.0.0\n    urls:\n    - a-1.0.0.tgz\n  - name: a\n    version: 1.10.0\n  - name: a\n    version: 2.0.0-rc.1\n  ab:\n  - name: ab\n    version: 0.1.0\ngenerated: \"2024-01-01T00:00:00Z\"\n";

    #[test]
    fn the_newest_that_fits_is_chosen() {
        for index in [Index::parse(INDEX), Index::parse_chart(INDEX, "a")] {
            let index = index.expect("an index");
            let version =
                |wanted: &str| index.choose("a", wanted).map(|entry| entry.metadata.version.clone());
            assert_eq!(version("").as_deref(), Ok("1.10.0"));
            assert_eq!(version("~1.0").as_deref(), Ok("1.0.0"));
            assert_eq!(version(">0.0.0-0").as_deref(), Ok("2.0.0-rc.1"));
            assert!(version("3").is_err());
        }
    }

    #[test]
    fn urls_resolve_against_the_repository() {
        for (base, reference, wanted) in [
            ("https://x.test/charts", "a.tgz", "https://x.test/charts/a.tgz"),
            ("https://x.test/charts/", "../a.tgz", "https://x.test/a.tgz"),
            ("https://x.test", "/b/a.tgz", "https://x.test/b/a.tgz"),
            ("https://x.test/c?t=1", "a.tgz", "https://x.test/c/a.tgz?t=1"),
            ("https://x.test/c", "https://y.test/a.tgz", "https://y.test/a.tgz"),
        ] {
            assert_eq!(resolve_url(base, reference), wanted);
        }
    }
}
