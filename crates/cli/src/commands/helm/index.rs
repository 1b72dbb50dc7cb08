//! `landfall helm repo index`: the index of a folder of archives.

use super::locate;
use anyhow::Context as _;
use helm::Metadata;
use helm::repo::{Entry, Index};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder, and how the index is made.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the archives
    dir: String,
    /// The address of the repository
    #[arg(long, default_value = "", value_name = "URL")]
    url: String,
    /// An index whose other charts are taken over
    #[arg(long, default_value = "", value_name = "FILE")]
    merge: String,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Writes `index.yaml`.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = std::path::absolute(&args.dir)?;
    let now = super::output::now();
    let mut index = Index { api_version: "v1".into(), generated: now.clone(), ..Index::default() };
    for (inner, archive) in archives(&folder) {
        add(&mut index, &inner, &archive, &args.url, &now)?;
    }
    if !args.merge.is_empty() {
        merge(&mut index, &args.merge, &now, args.json)?;
    }
    index.sort();
    write(&index, &folder.join("index.yaml"), args.json)
}

/// The archives of the folder, then those one folder below, each with the name of its folder.
fn archives(folder: &Path) -> Vec<(String, PathBuf)> {
    let list = |folder: &Path| {
        let mut found: Vec<PathBuf> =
            std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        found.sort();
        found
    };
    let is_archive = |path: &Path| path.extension().is_some_and(|extension| extension == "tgz");
    let top = list(folder);
    let mut found: Vec<(String, PathBuf)> =
        top.iter().filter(|path| is_archive(path)).map(|path| (String::new(), path.clone())).collect();
    for inner in top.iter().filter(|path| path.is_dir()) {
        let name = inner.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        found
            .extend(list(inner).into_iter().filter(|path| is_archive(path)).map(|path| (name.clone(), path)));
    }
    found
}

fn add(index: &mut Index, inner: &str, archive: &Path, url: &str, now: &str) -> anyhow::Result<()> {
    // What is no chart is passed over, as Helm does.
    let Ok(loaded) = locate::load(&archive.display().to_string()) else { return Ok(()) };
    let file = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = std::fs::read(archive)
        .map_err(|error| locate::go_error("open", &archive.display().to_string(), &error))?;
    let metadata = loaded.chart.metadata;
    let base = joined(url, inner);
    let address = if base.is_empty() { file } else { joined(&base, &file) };
    index.entries.entry(metadata.name.clone()).or_default().push(Entry {
        metadata,
        urls: vec![address],
        created: now.to_owned(),
        digest: hex::encode(Sha256::digest(&bytes)),
        ..Entry::default()
    });
    Ok(())
}

/// A name below an address: one slash between them.
fn joined(base: &str, name: &str) -> String {
    match (base.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (false, true) => base.to_owned(),
        (false, false) => format!("{}/{name}", base.trim_end_matches('/')),
    }
}

/// Takes over what another index has besides. One that is not there is made.
fn merge(index: &mut Index, path: &str, now: &str, as_json: bool) -> anyhow::Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let empty = Index { api_version: "v1".into(), generated: now.to_owned(), ..Index::default() };
            return write(&empty, Path::new(path), as_json);
        }
        Err(error) => return Err(locate::go_error("open", path, &error)),
    };
    let other = Index::parse(&text).context("merge failed")?;
    for warning in &other.warnings {
        eprintln!("{warning}");
    }
    for (name, versions) in other.entries {
        for version in versions {
            let own = index.entries.entry(name.clone()).or_default();
            if !own.iter().any(|known| known.metadata.version == version.metadata.version) {
                own.push(version);
            }
        }
    }
    Ok(())
}

fn write(index: &Index, path: &Path, as_json: bool) -> anyhow::Result<()> {
    let written = Written::of(index);
    let text = match as_json {
        true => pretty(&written)?,
        false => yaml::to_string(&serde_json::to_value(&written)?),
    };
    let shown = path.display().to_string();
    std::fs::write(path, text).map_err(|error| locate::go_error("open", &shown, &error))
}

/// JSON as Go indents and escapes it; the characters it escapes stand in strings only.
fn pretty(index: &Written<'_>) -> anyhow::Result<String> {
    let text = serde_json::to_string_pretty(index)?;
    let escaped = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    Ok(escaped.iter().fold(text, |text, (from, to)| text.replace(*from, to)))
}

/// An index in the order in which Helm writes its fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'i> {
    api_version: &'i str,
    generated: &'i str,
    entries: BTreeMap<&'i str, Vec<WrittenEntry<'i>>>,
}

#[derive(Serialize)]
struct WrittenEntry<'i> {
    #[serde(flatten)]
    metadata: &'i Metadata,
    urls: &'i [String],
    created: &'i str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    digest: &'i str,
}

impl<'i> Written<'i> {
    fn of(index: &'i Index) -> Self {
        let entry = |entry: &'i Entry| WrittenEntry {
            metadata: &entry.metadata,
            urls: &entry.urls,
            created: if entry.created.is_empty() { ZERO } else { &entry.created },
            removed: entry.removed,
            digest: &entry.digest,
        };
        let entries =
            index.entries.iter().map(|(name, all)| (name.as_str(), all.iter().map(entry).collect()));
        Written { api_version: &index.api_version, generated: &index.generated, entries: entries.collect() }
    }
}

/// Go's time without a value.
const ZERO: &str = "0001-01-01T00:00:00Z";
