//! From files to a [`Chart`].

use super::archive::{ArchiveLimits, read_archive, without_bom};
use super::{Chart, File, Lock, Metadata, Rules};
use crate::path;
use crate::values::Values;
use crate::{Error, Result, Stage};
use std::collections::BTreeMap;

/// How deep `charts/` may nest.
const MAX_DEPTH: usize = 64;
/// The largest file a chart folder may hold, as for archives.
const MAX_FILE: usize = 5 << 20;

/// A chart and what Helm warns about while it loads it.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The chart.
    pub chart: Chart,
    /// Helm's warnings, a line each.
    pub warnings: Vec<String>,
}

/// Sorts paths as a walk of the folders meets them: by name within each folder.
pub fn order_as_walked(files: &mut [File]) {
    files.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
}

pub(super) fn from_folder(files: BTreeMap<String, Vec<u8>>) -> Result<Loaded> {
    let ignore = files.get(".helmignore").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let rules = Rules::parse(ignore.as_deref().unwrap_or_default())?;
    let mut kept = Vec::with_capacity(files.len());
    for (name, data) in files {
        if rules.ignores_file(&name) {
            continue;
        }
        if data.len() > MAX_FILE {
            let base = crate::error::quote(path::base(&name));
            let text = format!("chart file {base} is larger than the maximum file size {MAX_FILE}");
            return Err(Error::new(Stage::Chart, text).at(name, 0, 0));
        }
        kept.push(File { name, data: without_bom(data.into()) });
    }
    order_as_walked(&mut kept);
    load(kept)
}

pub(super) fn from_archive(bytes: &[u8]) -> Result<Loaded> {
    load(read_archive(bytes, ArchiveLimits::default())?)
}

fn load(files: Vec<File>) -> Result<Loaded> {
    let mut warnings = Vec::new();
    let chart = from_list(files, 0, &mut warnings)?;
    Ok(Loaded { chart, warnings })
}

/// Sorts the files of one chart into their places and loads the subcharts.
fn from_list(files: Vec<File>, depth: usize, warnings: &mut Vec<String>) -> Result<Chart> {
    if depth > MAX_DEPTH {
        return Err(Error::new(Stage::Chart, format!("charts nest deeper than {MAX_DEPTH} levels")));
    }
    let mut sorter =
        Sorter { chart: Chart::default(), has_metadata: false, subcharts: BTreeMap::new(), warnings };
    sorter.read_metadata(&files)?;
    for file in &files {
        sorter.place(file)?;
    }
    sorter.chart.raw = files;
    if !sorter.has_metadata {
        return Err(Error::new(Stage::Chart, "Chart.yaml file is missing"));
    }
    sorter.chart.metadata.validate().map_err(|error| error.at("Chart.yaml", 0, 0))?;
    sorter.load_subcharts(depth)
}

struct Sorter<'w> {
    chart: Chart,
    has_metadata: bool,
    subcharts: BTreeMap<String, Vec<File>>,
    warnings: &'w mut Vec<String>,
}

impl Sorter<'_> {
    fn read_metadata(&mut self, files: &[File]) -> Result<()> {
        for file in files.iter().filter(|file| file.name == "Chart.yaml") {
            self.read_into_metadata(file)?;
            if self.chart.metadata.api_version.is_empty() {
                self.chart.metadata.api_version = "v1".to_owned();
            }
        }
        Ok(())
    }

    fn read_into_metadata(&mut self, file: &File) -> Result<()> {
        self.has_metadata = true;
        self.chart.metadata.read_over(&file.text()).map_err(|text| cannot_load(file, &text))
    }

    fn place(&mut self, file: &File) -> Result<()> {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => self.chart.lock = Some(read_lock(file)?),
            "values.yaml" => self.chart.values = read_values(file)?,
            "values.schema.json" => self.chart.schema = Some(file.data.clone()),
            "requirements.yaml" => {
                if self.chart.metadata.api_version != "v1" {
                    self.warnings.push("Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.".into());
                }
                self.read_into_metadata(file)?;
                self.keep_if_v1(file);
            }
            "requirements.lock" => {
                self.chart.lock = Some(read_lock(file)?);
                self.has_metadata = true;
                if self.chart.metadata.api_version != "v1" {
                    self.warnings.push("Warning: Dependency locking is handled in Chart.lock since apiVersion \"v2\". We recommend migrating to Chart.lock.".into());
                }
                self.keep_if_v1(file);
            }
            name if name.starts_with("templates/") => self.chart.templates.push(file.clone()),
            name => match name.strip_prefix("charts/") {
                Some(_) if path::extension(name) == ".prov" => self.chart.files.push(file.clone()),
                Some(inner) => {
                    let owner = inner.split('/').next().unwrap_or(inner);
                    let entry = self.subcharts.entry(owner.to_owned()).or_default();
                    entry.push(File { name: inner.to_owned(), data: file.data.clone() });
                }
                None => self.chart.files.push(file.clone()),
            },
        }
        Ok(())
    }

    fn keep_if_v1(&mut self, file: &File) {
        if self.chart.metadata.api_version == "v1" {
            self.chart.files.push(file.clone());
        }
    }

    fn load_subcharts(self, depth: usize) -> Result<Chart> {
        let Sorter { mut chart, subcharts, warnings, .. } = self;
        for (name, files) in subcharts {
            if name.starts_with(['_', '.']) {
                continue;
            }
            let parent = chart.metadata.name.clone();
            let loaded = if path::extension(&name) == ".tgz" {
                packed(&name, &files, &parent).and_then(|files| from_list(files, depth + 1, warnings))
            } else {
                from_list(below(files), depth + 1, warnings)
            };
            chart.dependencies.push(
                loaded.map_err(|error| error.wrap(format!("error unpacking subchart {name} in {parent}")))?,
            );
        }
        Ok(chart)
    }
}

/// The files of a subchart that is an archive.
fn packed(name: &str, files: &[File], parent: &str) -> Result<Vec<File>> {
    match files.first() {
        Some(file) if file.name == name => read_archive(&file.data, ArchiveLimits::default()),
        other => {
            let got = other.map_or("", |file| &file.name);
            let text = format!("error unpacking subchart tar in {parent}: expected {name}, got {got}");
            Err(Error::new(Stage::Chart, text))
        }
    }
}

/// The files of a subchart that is a folder, by their path below it.
fn below(files: Vec<File>) -> Vec<File> {
    files
        .into_iter()
        .filter_map(|file| {
            let (_, inner) = file.name.split_once('/')?;
            Some(File { name: inner.to_owned(), data: file.data })
        })
        .collect()
}

fn cannot_load(file: &File, text: &str) -> Error {
    Error::new(Stage::Chart, format!("cannot load {}: {text}", file.name)).at(&file.name, 0, 0)
}

fn read_lock(file: &File) -> Result<Lock> {
    Lock::read(&file.text()).map_err(|text| cannot_load(file, &text))
}

fn read_values(file: &File) -> Result<Option<Values>> {
    Values::parse(&file.text()).map_err(|error| {
        let (line, column) = (error.line, error.column);
        cannot_load(file, &error.message).at(&file.name, line, column).with_excerpt(&file.text())
    })
}

impl Metadata {
    /// Reads a `Chart.yaml` by itself, without the checks of a whole chart.
    pub fn parse(text: &str) -> Result<Metadata> {
        let mut metadata = Metadata::default();
        metadata.read_over(text).map_err(|text| Error::new(Stage::Chart, text).at("Chart.yaml", 0, 0))?;
        Ok(metadata)
    }
}
