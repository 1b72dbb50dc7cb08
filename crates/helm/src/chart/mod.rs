//! The chart as data: what its files say, before any value is looked at.

mod archive;
mod ignore;
mod load;
mod metadata;
mod package;

pub use archive::{ArchiveLimits, read_archive, write_archive};
pub use ignore::Rules;
pub use load::{Loaded, order_as_walked};
pub(crate) use metadata::nullable as nullable_field;
pub use metadata::{Dependency, Lock, Maintainer, Metadata, Type};

use crate::values::Values;
use crate::{Error, Result};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A file of a chart. Its bytes are shared, so copies of charts cost little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path inside the chart, with `/`.
    pub name: String,
    /// The bytes, without a leading byte-order mark.
    pub data: Bytes,
}

impl File {
    /// A file of bytes.
    pub fn new(name: impl Into<String>, data: impl AsRef<[u8]>) -> Self {
        File { name: name.into(), data: Bytes::copy_from_slice(data.as_ref()) }
    }

    /// The text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        text(&self.data)
    }
}

/// A chart with its subcharts.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// `Chart.yaml` (and, for v1 charts, `requirements.yaml`).
    pub metadata: Metadata,
    /// `Chart.lock` or `requirements.lock`.
    pub lock: Option<Lock>,
    /// Everything below `templates/`.
    pub templates: Vec<File>,
    /// `values.yaml`; `None` when there is none (or it is empty).
    pub values: Option<Values>,
    /// `values.schema.json`.
    pub schema: Option<Bytes>,
    /// Every other file: what `.Files` shows, `crds/` included.
    pub files: Vec<File>,
    /// All files as they were given.
    pub raw: Vec<File>,
    /// The charts below `charts/`, by folder or archive name.
    pub dependencies: Vec<Chart>,
}

/// Bytes as text. Nearly all are UTF-8, which the plain check finds out much faster.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// A file of a chart's `crds/` folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crd {
    /// The path inside its own chart.
    pub name: String,
    /// The path with the names of the charts around it, as `# Source:` shows it.
    pub path: String,
    /// The bytes.
    pub data: Bytes,
}

impl Crd {
    /// The text.
    pub fn text(&self) -> Cow<'_, str> {
        text(&self.data)
    }

    /// The objects in it.
    pub fn objects(&self) -> Result<Vec<serde_json::Value>> {
        yaml::documents(&self.text()).map_err(|error| {
            Error::new(crate::Stage::Manifest, format!("failed to read CRD {}: {error}", self.name)).at(
                &self.path,
                error.line,
                error.column,
            )
        })
    }
}

impl Chart {
    /// A chart from the files of a folder, by path below it. A `.helmignore` at the top is obeyed.
    pub fn from_files(files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        load::from_folder(files).map(|loaded| loaded.chart)
    }

    /// A chart from a packaged `.tgz`.
    pub fn from_archive(bytes: &[u8]) -> Result<Self> {
        load::from_archive(bytes).map(|loaded| loaded.chart)
    }

    /// As [`Chart::from_files`], with Helm's warnings.
    pub fn load_files(files: BTreeMap<String, Vec<u8>>) -> Result<Loaded> {
        load::from_folder(files)
    }

    /// As [`Chart::from_archive`], with Helm's warnings.
    pub fn load_archive(bytes: &[u8]) -> Result<Loaded> {
        load::from_archive(bytes)
    }

    /// The chart's name.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// `name-version`, as a packaged chart's file and the `helm.sh/chart` label have it.
    pub fn full_name(&self) -> String {
        format!("{}-{}", self.metadata.name, self.metadata.version)
    }

    /// Whether the chart only lends its templates to others.
    pub fn is_library(&self) -> bool {
        self.metadata.chart_type.eq_ignore_ascii_case("library")
    }

    /// A file as it was given, by path.
    pub fn raw_file(&self, name: &str) -> Option<&File> {
        self.raw.iter().find(|file| file.name == name)
    }

    /// The files of `crds/`, this chart's first, then its subcharts'.
    pub fn crds(&self) -> Vec<Crd> {
        let mut out = Vec::new();
        collect_crds(self, &self.metadata.name, &mut out);
        out
    }
}

fn collect_crds(chart: &Chart, path: &str, out: &mut Vec<Crd>) {
    own_crds(chart, path, out);
    for child in &chart.dependencies {
        collect_crds(child, &format!("{path}/charts/{}", child.metadata.name), out);
    }
}

/// The files of one chart's `crds/` folder; `path` is the chart's own.
pub(crate) fn own_crds(chart: &Chart, path: &str, out: &mut Vec<Crd>) {
    for file in &chart.files {
        if file.name.starts_with("crds/") && is_manifest(&file.name) {
            let full = crate::path::clean(&format!("{path}/{}", file.name));
            out.push(Crd { name: file.name.clone(), path: full, data: file.data.clone() });
        }
    }
}

fn is_manifest(name: &str) -> bool {
    let extension = crate::path::extension(name);
    [".yaml", ".yml", ".json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
