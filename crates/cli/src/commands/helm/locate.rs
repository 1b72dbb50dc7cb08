//! From a chart's name on the command line to the chart.

use super::flags::ChartFlags;
use super::{fetch, verify};
use anyhow::anyhow;
use helm::chart::{Loaded, Rules};
use helm::{Chart, Error};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// The most folders within folders.
const MAX_DEPTH: usize = 128;

/// The chart at a path, its warnings printed.
pub fn chart(path: &str) -> anyhow::Result<Chart> {
    let Loaded { chart, warnings } = load(path)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    Ok(chart)
}

/// The chart that a word names: a folder or an archive, or else one of a repository.
pub fn find(name: &str, flags: &ChartFlags) -> anyhow::Result<Chart> {
    let name = name.trim();
    let local = name.starts_with(['/', '.']) || Path::new(name).exists();
    if local || flags.repo.is_none() && !name.contains('/') {
        if flags.verify && Path::new(name).exists() {
            verify::file(&absolute(name)?, &flags.keyring)?;
        }
        return chart(name);
    }
    let fetched = super::wait_for(fetch::fetch(name, flags, flags.verify))?;
    eprint!("{}", fetched.said);
    if flags.verify {
        fetched.verified(&flags.keyring)?;
    }
    let Loaded { chart, warnings } = Chart::load_archive(&fetched.archive)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    Ok(chart)
}

/// A path seen from the root.
fn absolute(path: &str) -> anyhow::Result<String> {
    let full = std::path::absolute(path).map_err(|error| go_error("stat", path, &error))?;
    Ok(full.display().to_string())
}

/// The chart at a path: a folder or an archive.
pub fn load(path: &str) -> anyhow::Result<Loaded> {
    let place = Path::new(path);
    let found = std::fs::metadata(place).map_err(|error| missing(path, &error))?;
    if found.is_dir() {
        return Ok(Chart::load_files(folder(place)?)?);
    }
    let bytes = std::fs::read(place).map_err(|error| go_error("open", path, &error))?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(match path.ends_with(".yaml") || path.ends_with(".yml") {
            true => anyhow!("file '{path}' seems to be a YAML file, but expected a gzipped archive"),
            false => anyhow!(
                "file '{path}' does not appear to be a gzipped archive; got 'application/octet-stream'"
            ),
        });
    }
    Ok(Chart::load_archive(&bytes)?)
}

/// Helm's words for a chart that is not there.
fn missing(path: &str, error: &std::io::Error) -> anyhow::Error {
    if error.kind() != ErrorKind::NotFound {
        return go_error("stat", path, error);
    }
    if path.starts_with(['/', '.']) {
        return anyhow!("path {path:?} not found");
    }
    match path.split_once('/') {
        Some((repository, _)) if !path.contains("://") => anyhow!("repo {repository} not found"),
        _ => anyhow!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {path}"),
    }
}

/// An I/O error as Go words it.
pub fn go_error(verb: &str, path: &str, error: &std::io::Error) -> anyhow::Error {
    let reason = match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    };
    anyhow!("{verb} {path}: {reason}")
}

/// The files of a chart's folder; what `.helmignore` leaves out is not even read.
pub fn folder(root: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let ignore = std::fs::read(root.join(".helmignore")).unwrap_or_default();
    let rules = Rules::parse(&String::from_utf8_lossy(&ignore))?;
    let mut files = BTreeMap::new();
    walk(root, "", &rules, 0, &mut files)?;
    Ok(files)
}

fn walk(
    folder: &Path,
    inside: &str,
    rules: &Rules,
    depth: usize,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<()> {
    let shown = folder.display().to_string();
    if depth > MAX_DEPTH {
        return Err(anyhow!(
            "{shown}: folders nest deeper than {MAX_DEPTH} levels (a symlink that leads up?)"
        ));
    }
    let entries = std::fs::read_dir(folder).map_err(|error| go_error("open", &shown, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| go_error("open", &shown, &error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let inner = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        let path = entry.path();
        let shown = path.display().to_string();
        let kind = std::fs::metadata(&path).map_err(|error| go_error("stat", &shown, &error))?;
        if rules.ignores(&inner, kind.is_dir()) {
            continue;
        }
        if kind.is_dir() {
            walk(&path, &inner, rules, depth + 1, files)?;
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).map_err(|error| go_error("open", &shown, &error))?;
            files.insert(inner, bytes);
        } else {
            return Err(anyhow!("cannot load irregular file {shown} as it has file mode type bits set"));
        }
    }
    Ok(())
}

/// Says that a chart is deprecated, as `helm` does before it goes on.
pub fn warn_deprecated(chart: &Chart) {
    if chart.metadata.deprecated {
        eprintln!("WARNING: This chart is deprecated");
    }
}

/// What `helm` adds to a failure of the rendering itself.
pub fn with_debug_hint(error: Error, debug: bool) -> anyhow::Error {
    use helm::Stage::{KubeVersion, Manifest, Template};
    match matches!(error.stage, Template | Manifest | KubeVersion) && !debug {
        true => anyhow!("{error}\n\nUse --debug flag to render out invalid YAML"),
        false => error.into(),
    }
}
