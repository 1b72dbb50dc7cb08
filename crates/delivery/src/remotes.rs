//! Remote bases of a build: repositories that a kustomization names by address.
//!
//! Builds run on threads that may wait, so fetching blocks.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use kustomize::{HelmPull, RepoSpec, Root, World, WorldError};
use source::git::{Reference, Request};
use source::{Credentials, Error, Fetcher, Tree};
use tokio::runtime::Handle;

/// Fetches for one build.
pub struct Remotes {
    /// `None` when remote bases are not allowed.
    door: Option<(Fetcher, Handle)>,
    /// What lets us into the place at an address.
    keys: Option<Keys>,
    trees: RefCell<HashMap<String, Result<Tree, WorldError>>>,
}

/// Tells what lets us into the place at an address; may block.
pub type Keys = Box<dyn Fn(&str) -> Result<Credentials, String>>;

impl Remotes {
    /// The same, signed in where `keys` know how.
    pub fn signed_in(door: (Fetcher, Handle), keys: Keys) -> Rc<Remotes> {
        Rc::new(Remotes { door: Some(door), keys: Some(keys), trees: RefCell::default() })
    }

    fn credentials(&self, address: &str) -> Result<Credentials, WorldError> {
        match &self.keys {
            Some(keys) => keys(address).map_err(WorldError::Failed),
            None => Ok(Credentials::default()),
        }
    }

    /// Through a fetcher; `None` refuses every address.
    pub fn new(door: Option<(Fetcher, Handle)>) -> Rc<Remotes> {
        Rc::new(Remotes { door, keys: None, trees: RefCell::default() })
    }

    /// The root that an address names.
    pub fn open(self: &Rc<Self>, address: &str) -> Result<Root, WorldError> {
        let spec = RepoSpec::parse(address)
            .ok_or_else(|| WorldError::Failed(format!("{address} names no repository")))?;
        let key = format!("{} {} {}", spec.clone, spec.reference, spec.submodules);
        let known = self.trees.borrow().get(&key).cloned();
        let tree = match known {
            Some(known) => known,
            None => {
                let fetched = self.fetch(&spec);
                self.trees.borrow_mut().insert(key, fetched.clone());
                fetched
            }
        }?;
        let world = RemoteWorld { tree, remotes: self.clone() };
        Ok(Root { world: Rc::new(world), root: "/".to_owned(), dir: format!("/{}", spec.path) })
    }

    /// The files of a chart that a build inflates.
    ///
    /// # Errors
    /// When it cannot be fetched or read.
    pub fn chart(&self, pull: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        let failed = |why: String| WorldError::Failed(why);
        let chart = self.pull(&pull.repo, &pull.name, &pull.version)?;
        let limits = *self.door()?.0.limits();
        let tree = Tree::from_tar_gz(&chart.archive, &limits).map_err(|error| failed(error.to_string()))?;
        let inner = tree.subtree(&chart.name).map_err(|error| failed(error.to_string()))?;
        let mut files = BTreeMap::new();
        for (path, _) in inner.files() {
            let bytes = inner.read(path).map_err(|error| failed(error.to_string()))?;
            files.insert(path.to_owned(), bytes.to_vec());
        }
        Ok(files)
    }

    /// A chart of a repository, `https://…` or `oci://…`.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn pull(
        &self,
        repository: &str,
        name: &str,
        version: &str,
    ) -> Result<source::helm_repo::Chart, WorldError> {
        let (fetcher, runtime) = self.door()?;
        let mut request = source::helm_repo::Request::new(repository);
        request.credentials = self.credentials(repository)?;
        runtime
            .block_on(fetcher.helm_chart(&request, name, version))
            .map_err(|error| WorldError::Failed(error.to_string()))
    }

    /// One file over HTTP, or from what a map serves for it.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub fn file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        let (fetcher, runtime) = self.door()?;
        if let Some(mapped) = fetcher.maps().find(url) {
            let path =
                if mapped.rest.is_empty() { mapped.path.clone() } else { mapped.path.join(&mapped.rest) };
            return std::fs::read(&path)
                .map_err(|error| WorldError::Failed(format!("{}: {error}", path.display())));
        }
        let mut request = source::helm_repo::Request::new(url);
        request.credentials = self.credentials(url)?;
        runtime
            .block_on(fetcher.helm_archive(&request, url))
            .map_err(|error| WorldError::Failed(error.to_string()))
    }

    fn door(&self) -> Result<&(Fetcher, Handle), WorldError> {
        let refused = || WorldError::Refused("nothing is fetched for builds here".to_owned());
        self.door.as_ref().ok_or_else(refused)
    }

    fn fetch(&self, spec: &RepoSpec) -> Result<Tree, WorldError> {
        let (fetcher, runtime) = self.door.as_ref().ok_or_else(|| {
            WorldError::Refused(format!(
                "remote bases are not allowed here (--no-remote-bases): {}",
                spec.raw()
            ))
        })?;
        let name = spec.reference.clone();
        let commit = name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let tries = match (name.is_empty(), commit) {
            (true, _) => vec![Reference { name: Some("HEAD".into()), ..Reference::default() }],
            (_, true) => vec![Reference { commit: Some(name), ..Reference::default() }],
            _ => vec![
                Reference { branch: Some(name.clone()), ..Reference::default() },
                Reference { tag: Some(name.clone()), ..Reference::default() },
                Reference { name: Some(name), ..Reference::default() },
            ],
        };
        let mut first: Option<Error> = None;
        let credentials = self.credentials(&spec.clone)?;
        for reference in tries {
            let mut request = Request::new(address(&spec.clone));
            request.credentials = credentials.clone();
            request.reference = reference;
            request.recurse_submodules = spec.submodules;
            request.timeout = spec.time_limit();
            match runtime.block_on(fetcher.git(&request)) {
                Ok(artifact) => return Ok(artifact.tree),
                // The first try is the likeliest meaning, so its failure is the one to tell.
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(WorldError::Failed(first.map(|error| error.to_string()).unwrap_or_default()))
    }
}

/// `git@host:path` as an address with a scheme.
fn address(clone: &str) -> String {
    match clone.split_once(':') {
        Some((host, path)) if !clone.contains("://") && !host.contains('/') => {
            format!("ssh://{host}/{}", path.trim_start_matches('/'))
        }
        _ => clone.to_owned(),
    }
}

/// A fetched tree, which may name others.
struct RemoteWorld {
    tree: Tree,
    remotes: Rc<Remotes>,
}

impl World for RemoteWorld {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        match self.tree.read(path.trim_start_matches('/')) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(Error::NotFound(_)) => Err(WorldError::NotFound),
            Err(error) => Err(WorldError::Failed(error.to_string())),
        }
    }

    fn is_dir(&self, path: &str) -> bool {
        let relative = path.trim_start_matches('/');
        relative.is_empty() || self.tree.is_dir(relative)
    }

    fn is_file(&self, path: &str) -> bool {
        self.tree.is_file(path.trim_start_matches('/'))
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        let entries = self.tree.list(path.trim_start_matches('/')).ok_or(WorldError::NotFound)?;
        Ok(entries.iter().map(|entry| entry.name.to_string()).collect())
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        self.remotes.open(url)
    }
}
