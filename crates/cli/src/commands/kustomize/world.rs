//! What a build on the command line may read: the disk, repositories and charts.

use super::network::Network;
use kustomize::{HelmPull, RepoSpec, Root, World, WorldError};
use source::Tree;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

/// The disk, from its root.
pub struct DiskWorld {
    network: Rc<Network>,
    environment: Vec<String>,
}

impl DiskWorld {
    /// With maps (`URL=PATH`) and the environment that functions get.
    pub fn new(maps: &[String], environment: Vec<String>) -> anyhow::Result<DiskWorld> {
        Ok(DiskWorld { network: Rc::new(Network::new(maps)?), environment })
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
        std::fs::canonicalize(path).map(|path| path.to_string_lossy().into_owned()).map_err(|error| {
            match (failed(error), missing_target(Path::new(path))) {
                (WorldError::NotFound, Some(target)) => WorldError::BrokenLink(target),
                (error, _) => error,
            }
        })
    }

    fn expect(&self, urls: &[&str]) {
        self.network.fetch_ahead(urls);
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        remote(&self.network, url)
    }

    fn remote_file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        self.network.file(url)
    }

    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        self.network.chart(chart)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn exec(
        &self,
        dir: &str,
        program: &str,
        arguments: &[String],
        input: &[u8],
    ) -> Result<Vec<u8>, WorldError> {
        use std::io::Write as _;
        let told = |error: std::io::Error| WorldError::Failed(format!("{program}: {error}"));
        let mut command = Command::new(program);
        command.current_dir(dir);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        for entry in &self.environment {
            match entry.split_once('=') {
                Some((name, value)) => command.env(name, value),
                None => &mut command,
            };
        }
        let mut child = command
            .spawn()
            .map_err(|error| WorldError::Failed(format!("fork/exec {program}: {}", failed(error))))?;
        let stdin = child.stdin.take();
        let input = input.to_vec();
        // The input is written beside the reading, so that neither side waits for the other.
        let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let output = child.wait_with_output().map_err(told)?;
        // A program may end without reading its input; its exit code tells whether that was meant.
        let _written = writer.join();
        if !output.status.success() {
            let how = output.status.code().map(|code| format!("exit status {code}"));
            return Err(WorldError::Failed(how.unwrap_or_else(|| output.status.to_string())));
        }
        Ok(output.stdout)
    }
}

/// Where the links from here end when nothing is there; `None` when this is no link.
fn missing_target(path: &Path) -> Option<String> {
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for followed in 0..MAX_LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            Err(_) => return (followed > 0).then(|| path.to_string_lossy().into_owned()),
        }
    }
    None
}

fn remote(network: &Rc<Network>, url: &str) -> Result<Root, WorldError> {
    let spec =
        RepoSpec::parse(url).ok_or_else(|| WorldError::Failed(format!("{url} names no repository")))?;
    let tree = network.repository(&spec)?;
    let world = TreeWorld { tree, network: network.clone() };
    Ok(Root { world: Rc::new(world), root: "/".to_owned(), dir: format!("/{}", spec.path) })
}

/// A fetched tree.
struct TreeWorld {
    tree: Tree,
    /// A remote base may name others.
    network: Rc<Network>,
}

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

impl World for TreeWorld {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        if self.tree.get(inside(path)).is_none() {
            return Err(WorldError::NotFound);
        }
        self.tree
            .read(inside(path))
            .map(|bytes| bytes.to_vec())
            .map_err(|error| WorldError::Failed(error.to_string()))
    }

    fn is_dir(&self, path: &str) -> bool {
        self.tree.is_dir(inside(path))
    }

    fn is_file(&self, path: &str) -> bool {
        self.tree.is_file(inside(path))
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        let entries = self.tree.list(inside(path)).ok_or(WorldError::NotFound)?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    fn expect(&self, urls: &[&str]) {
        self.network.fetch_ahead(urls);
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        remote(&self.network, url)
    }

    fn remote_file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        self.network.file(url)
    }

    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        self.network.chart(chart)
    }
}
