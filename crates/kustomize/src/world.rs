//! What a build reads: the only door to the outside.

use std::collections::BTreeMap;
use std::rc::Rc;

/// Why the world could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// There is nothing at that path.
    #[error("no such file or directory")]
    NotFound,
    /// A symbolic link leads to this path, where nothing is.
    #[error("lstat {0}: no such file or directory")]
    BrokenLink(String),
    /// The world does not do this at all (no network, no charts).
    #[error("{0}")]
    Refused(String),
    /// It tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// A fetched remote kustomization.
pub struct Root {
    /// The fetched tree.
    pub world: Rc<dyn World>,
    /// The root of the checkout in that tree; files above it may not be read.
    pub root: String,
    /// The folder (or file) that the address names, in that tree.
    pub dir: String,
}

/// A chart to be fetched for `helmCharts`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HelmPull {
    /// The chart's name.
    pub name: String,
    /// The wanted version or constraint; "" for the newest.
    pub version: String,
    /// The repository, `https://…` or `oci://…`.
    pub repo: String,
    /// Pre-releases count too.
    pub devel: bool,
}

/// The files a build may see, and what it may fetch. Paths are absolute, clean and '/'-separated
/// (`/apps/web/kustomization.yaml`); `/` is the world's root.
pub trait World {
    /// The bytes of a file.
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError>;
    /// Whether a folder is at this path.
    fn is_dir(&self, path: &str) -> bool;
    /// Whether a file is at this path.
    fn is_file(&self, path: &str) -> bool;
    /// The names in a folder, sorted.
    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError>;
    /// The path with every symbolic link resolved; worlds without links answer the path itself.
    fn resolve(&self, path: &str) -> Result<String, WorldError> {
        if self.is_dir(path) || self.is_file(path) { Ok(path.to_owned()) } else { Err(WorldError::NotFound) }
    }
    /// Says which addresses are going to be asked for, so that they can be fetched at the same time.
    fn expect(&self, _urls: &[&str]) {}
    /// Fetches a remote base: any address that Kustomize takes for a repository.
    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        Err(WorldError::Refused(format!("remote bases are not available here: {url}")))
    }
    /// Fetches one file over HTTP.
    fn remote_file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        Err(WorldError::Refused(format!("remote files are not available here: {url}")))
    }
    /// Fetches a chart that is not in the chart home: its files by path, `Chart.yaml` at the top.
    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        Err(WorldError::Refused(format!("charts cannot be fetched here: {} {}", chart.repo, chart.name)))
    }
    /// A variable of the environment, for `env` entries of generators that carry no value.
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }
    /// Runs an executable function (`--enable-exec`) in a folder: program, arguments, standard input.
    fn exec(
        &self,
        _dir: &str,
        program: &str,
        _arguments: &[String],
        _input: &[u8],
    ) -> Result<Vec<u8>, WorldError> {
        Err(WorldError::Refused(format!("programs are not run here: {program}")))
    }
}

/// A world of files in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryWorld {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryWorld {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(clean(path), bytes.into());
    }
}

impl<P: AsRef<str>, B: Into<Vec<u8>>> FromIterator<(P, B)> for MemoryWorld {
    fn from_iter<I: IntoIterator<Item = (P, B)>>(files: I) -> Self {
        let mut world = MemoryWorld::new();
        for (path, bytes) in files {
            world.insert(path.as_ref(), bytes);
        }
        world
    }
}

impl World for MemoryWorld {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        self.files.get(path).cloned().ok_or(WorldError::NotFound)
    }
    fn is_dir(&self, path: &str) -> bool {
        has_below(&self.files, path)
    }
    fn is_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }
    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        if !self.is_dir(path) {
            return Err(WorldError::NotFound);
        }
        Ok(names_below(&self.files, path))
    }
}

/// A world with some files put over it, in memory.
pub struct Overlay<'a> {
    base: &'a dyn World,
    files: BTreeMap<String, Vec<u8>>,
}

impl<'a> Overlay<'a> {
    /// The base world, nothing changed yet.
    pub fn new(base: &'a dyn World) -> Self {
        Overlay { base, files: BTreeMap::new() }
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(clean(path), bytes.into());
    }
}

impl World for Overlay<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        match self.files.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None => self.base.read(path),
        }
    }
    fn is_dir(&self, path: &str) -> bool {
        has_below(&self.files, path) || self.base.is_dir(path)
    }
    fn is_file(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.base.is_file(path)
    }
    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        let mut names = match self.base.list_dir(path) {
            Ok(names) => names,
            Err(WorldError::NotFound) if has_below(&self.files, path) => Vec::new(),
            Err(error) => return Err(error),
        };
        names.extend(names_below(&self.files, path));
        names.sort();
        names.dedup();
        Ok(names)
    }
    fn resolve(&self, path: &str) -> Result<String, WorldError> {
        if self.files.contains_key(path) || has_below(&self.files, path) {
            return Ok(path.to_owned());
        }
        self.base.resolve(path)
    }
    fn expect(&self, urls: &[&str]) {
        self.base.expect(urls);
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        self.base.remote(url)
    }
    fn remote_file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        self.base.remote_file(url)
    }
    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        self.base.helm_pull(chart)
    }
    fn variable(&self, name: &str) -> Option<String> {
        self.base.variable(name)
    }
    fn exec(
        &self,
        dir: &str,
        program: &str,
        arguments: &[String],
        input: &[u8],
    ) -> Result<Vec<u8>, WorldError> {
        self.base.exec(dir, program, arguments, input)
    }
}

fn has_below(files: &BTreeMap<String, Vec<u8>>, path: &str) -> bool {
    let prefix = with_slash(path);
    files.range(prefix.clone()..).next().is_some_and(|(name, _)| name.starts_with(&prefix))
}

fn names_below(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Vec<String> {
    let prefix = with_slash(path);
    let mut names: Vec<String> = files
        .range(prefix.clone()..)
        .map_while(|(name, _)| name.strip_prefix(&prefix))
        .map(|rest| rest.split('/').next().unwrap_or(rest).to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn with_slash(path: &str) -> String {
    if path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

/// The absolute form of a path: no `.`, no `..`, no doubled or trailing slash.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `path` as seen from the folder `base`.
pub fn join(base: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{base}/{path}")) }
}

/// The folder a path lies in.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => path.get(..at).unwrap_or("/"),
    }
}
