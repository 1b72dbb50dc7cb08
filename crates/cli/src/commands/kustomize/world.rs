//! What a build on the command line may read: the disk, repositories and charts.

use kustomize::{HelmPull, RepoSpec, Root, World, WorldError};
use source::git::{Reference, Request};
use source::{Fetcher, Tree};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

/// The disk, from its root.
pub struct DiskWorld {
    fetcher: Fetcher,
    runtime: tokio::runtime::Runtime,
    environment: Vec<String>,
}

impl DiskWorld {
    /// With maps (`URL=PATH`) and the environment that functions get.
    pub fn new(maps: &[String], environment: Vec<String>) -> anyhow::Result<DiskWorld> {
        let mut served = source::Maps::default();
        for line in maps {
            served.add_line(line, Path::new("."))?;
        }
        let fetcher = Fetcher::new(source::Options { maps: served, ..source::Options::default() })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(DiskWorld { fetcher, runtime, environment })
    }

    fn fetch(&self, spec: &RepoSpec) -> Result<Tree, source::Error> {
        let commit =
            spec.reference.len() == 40 && spec.reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        let reference = spec.reference.clone();
        let tries = if reference.is_empty() {
            vec![Reference { name: Some("HEAD".to_owned()), ..Reference::default() }]
        } else if commit {
            vec![Reference { commit: Some(reference), ..Reference::default() }]
        } else {
            vec![
                Reference { branch: Some(reference.clone()), ..Reference::default() },
                Reference { tag: Some(reference.clone()), ..Reference::default() },
                Reference { name: Some(reference), ..Reference::default() },
            ]
        };
        let mut first = None;
        for reference in tries {
            let mut request = Request::new(&spec.clone);
            request.reference = reference;
            request.recurse_submodules = spec.submodules;
            match self.runtime.block_on(self.fetcher.git(&request)) {
                Ok(artifact) => return Ok(artifact.tree),
                Err(error) if first.is_none() => first = Some(error),
                Err(_) => {}
            }
        }
        // The first try is the likeliest meaning, so its failure is the one to tell.
        Err(first.unwrap_or_else(|| source::Error::io(&spec.clone, "nothing to fetch")))
    }
}

fn failed(error: std::io::Error) -> WorldError {
    match error.kind() {
        std::io::ErrorKind::NotFound => WorldError::NotFound,
        std::io::ErrorKind::PermissionDenied => WorldError::Failed("permission denied".to_owned()),
        std::io::ErrorKind::IsADirectory => WorldError::Failed("is a directory".to_owned()),
        _ => WorldError::Failed(error.to_string()),
    }
}

impl World for DiskWorld {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        std::fs::read(path).map_err(failed)
    }

    fn is_dir(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }

    fn is_file(&self, path: &str) -> bool {
        Path::new(path).is_file()
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn resolve(&self, path: &str) -> Result<String, WorldError> {
        std::fs::canonicalize(path).map(|path| path.to_string_lossy().into_owned()).map_err(failed)
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        let spec =
            RepoSpec::parse(url).ok_or_else(|| WorldError::Failed(format!("{url} names no repository")))?;
        let tree = self.fetch(&spec).map_err(|error| WorldError::Failed(error.to_string()))?;
        Ok(Root { world: Rc::new(TreeWorld(tree)), root: "/".to_owned(), dir: format!("/{}", spec.path) })
    }

    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        let told = |error: &dyn std::fmt::Display| WorldError::Failed(error.to_string());
        let request = source::helm_repo::Request::new(&chart.repo);
        let fetched = self
            .runtime
            .block_on(self.fetcher.helm_chart(&request, &chart.name, &chart.version))
            .map_err(|error| told(&error))?;
        let limits = source::Limits::default();
        let tree = Tree::from_tar_gz(&fetched.archive, &limits).map_err(|error| told(&error))?;
        let mut files = BTreeMap::new();
        for (path, _) in tree.files() {
            let below = path.split_once('/').map_or(path, |(_, below)| below);
            let bytes = tree.read(path).map_err(|error| told(&error))?;
            files.insert(below.to_owned(), bytes.to_vec());
        }
        Ok(files)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn exec(&self, program: &str, arguments: &[String], input: &[u8]) -> Result<Vec<u8>, WorldError> {
        use std::io::Write as _;
        let told = |error: std::io::Error| WorldError::Failed(format!("{program}: {error}"));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        for entry in &self.environment {
            match entry.split_once('=') {
                Some((name, value)) => command.env(name, value),
                None => &mut command,
            };
        }
        let mut child = command.spawn().map_err(told)?;
        let stdin = child.stdin.take();
        let input = input.to_vec();
        // The input is written beside the reading, so that neither side waits for the other.
        let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let output = child.wait_with_output().map_err(told)?;
        // A program may end without reading its input; its exit code tells whether that was meant.
        let _written = writer.join();
        if !output.status.success() {
            return Err(WorldError::Failed(format!("{program}: {}", output.status)));
        }
        Ok(output.stdout)
    }
}

/// A fetched tree.
struct TreeWorld(Tree);

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

impl World for TreeWorld {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        if self.0.get(inside(path)).is_none() {
            return Err(WorldError::NotFound);
        }
        self.0
            .read(inside(path))
            .map(|bytes| bytes.to_vec())
            .map_err(|error| WorldError::Failed(error.to_string()))
    }

    fn is_dir(&self, path: &str) -> bool {
        self.0.is_dir(inside(path))
    }

    fn is_file(&self, path: &str) -> bool {
        self.0.is_file(inside(path))
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        let entries = self.0.list(inside(path)).ok_or(WorldError::NotFound)?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }
}
