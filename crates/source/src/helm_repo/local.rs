//! Charts on disk: archives, folders of archives, and unpacked charts.

use crate::{Error, Limits, Result, Tree};
use object::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A chart found on disk.
#[derive(Debug, Clone)]
pub(crate) struct LocalChart {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) path: PathBuf,
    pub(crate) archive: Arc<[u8]>,
    pub(crate) digest: String,
}

/// The charts at a path: the archive itself, an unpacked chart, or all archives and unpacked charts directly
/// in a folder. What is no chart is passed over.
pub(crate) fn local_charts(path: &Path, limits: &Limits) -> Result<Vec<LocalChart>> {
    if path.is_file() {
        return Ok(archive(path, limits)?.into_iter().collect());
    }
    if path.join("Chart.yaml").is_file() {
        return unpacked(path, limits).map(|chart| vec![chart]);
    }
    let mut charts = Vec::new();
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        names.push(entry.map_err(|error| Error::io(path, error))?.path());
    }
    names.sort();
    for name in names {
        if name.join("Chart.yaml").is_file() {
            charts.push(unpacked(&name, limits)?);
        } else if is_archive(&name) && name.is_file() {
            charts.extend(archive(&name, limits)?);
        }
    }
    Ok(charts)
}

fn is_archive(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.ends_with(".tgz") || name.ends_with(".tar.gz")
}

/// The files of an archive on disk.
pub(crate) fn read_archive(path: &Path, limits: &Limits) -> Result<Tree> {
    let bytes = read(path, limits)?;
    let place = path.display().to_string();
    Tree::from_tar_gz(&bytes, limits).map_err(|error| error.within(&place))
}

fn read(path: &Path, limits: &Limits) -> Result<Arc<[u8]>> {
    let length = std::fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    if length > limits.download_bytes {
        let most = crate::tree::size(limits.download_bytes);
        return Err(Error::Refused(format!("{}: is larger than {most}", path.display())));
    }
    std::fs::read(path).map(Into::into).map_err(|error| Error::io(path, error))
}

/// The chart in an archive; `None` when it holds something else.
fn archive(path: &Path, limits: &Limits) -> Result<Option<LocalChart>> {
    let bytes = read(path, limits)?;
    let place = path.display().to_string();
    let tree = Tree::from_tar_gz(&bytes, limits).map_err(|error| error.within(&place))?;
    let found =
        tree.files().find(|(name, _)| name.ends_with("/Chart.yaml") && name.matches('/').count() == 1);
    let Some((name, _)) = found else { return Ok(None) };
    let (name, version) = metadata(&tree, name).map_err(|error| error.within(&place))?;
    let digest = crate::tree::sha256(&bytes);
    Ok(Some(LocalChart { name, version, path: path.to_path_buf(), archive: bytes, digest }))
}

/// A chart's folder, packed as `helm package` would lay it out.
fn unpacked(path: &Path, limits: &Limits) -> Result<LocalChart> {
    let place = path.display().to_string();
    let tree = Tree::from_dir(path, Some("# everything belongs to the chart\n"), limits)?;
    let (name, version) = metadata(&tree, "Chart.yaml").map_err(|error| error.within(&place))?;
    let mut builder = crate::tree::Builder::default();
    for (file, content) in tree.files() {
        builder.put(&format!("{name}/{file}"), content.clone());
    }
    let archive: Arc<[u8]> = builder.build().to_tar_gz().into();
    let digest = crate::tree::sha256(&archive);
    Ok(LocalChart { name, version, path: path.to_path_buf(), archive, digest })
}

fn metadata(tree: &Tree, path: &str) -> Result<(String, String)> {
    let bytes = tree.read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Error::Invalid(format!("{path}: {error}")))?;
    let value = yaml::from_str(text).map_err(|error| Error::Invalid(format!("{path}: {error}")))?;
    let field = |name: &str| {
        let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(String::from).ok_or_else(|| Error::Invalid(format!("{path}: has no {name}")))
    };
    Ok((field("name")?, field("version")?))
}
