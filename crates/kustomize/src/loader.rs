//! Reading files and folders on behalf of one kustomization, within its limits.

use crate::LoadRestrictions;
use crate::error::Error;
use crate::remote::{self, RepoSpec};
use crate::world::{self, World, WorldError};
use std::rc::Rc;

/// A world a loader reads from: the caller's, or one that was fetched.
#[derive(Clone)]
enum Source<'w> {
    Caller(&'w dyn World),
    Fetched(Rc<dyn World>),
}

/// Reads for the kustomization in one folder.
pub(crate) struct Loader<'w> {
    source: Source<'w>,
    root: String,
    restrictions: LoadRestrictions,
    /// Roots of the kustomizations that led here, nearest first.
    visited: Vec<String>,
    /// Addresses of the repositories that led here.
    repos: Vec<String>,
    /// The fetched repository's root, in which all must stay.
    repo_root: Option<String>,
}

/// Why a file could not be read: the words, and whether a server said so.
pub(crate) struct LoadError {
    pub error: Error,
    pub http: bool,
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Error {
        error.error
    }
}

impl<'w> Loader<'w> {
    /// For the kustomization a build starts with.
    pub fn new(
        world: &'w dyn World,
        target: &str,
        restrictions: LoadRestrictions,
    ) -> Result<Loader<'w>, Error> {
        if let Some(spec) = RepoSpec::parse(target) {
            let base = Loader {
                source: Source::Caller(world),
                root: "/".to_owned(),
                restrictions,
                visited: Vec::new(),
                repos: Vec::new(),
                repo_root: None,
            };
            return base.fetch(&spec);
        }
        let root = confirm_dir(world, &world::clean(target), target)
            .map_err(|error| error.wrap("must build at directory"))?;
        Ok(Loader {
            source: Source::Caller(world),
            root,
            restrictions,
            visited: Vec::new(),
            repos: Vec::new(),
            repo_root: None,
        })
    }

    pub fn world(&self) -> &dyn World {
        match &self.source {
            Source::Caller(world) => *world,
            Source::Fetched(world) => world.as_ref(),
        }
    }

    /// The folder of the kustomization.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The root of the fetched repository it is in.
    pub fn repo(&self) -> Option<&str> {
        self.repo_root.as_deref()
    }

    /// For a base or component.
    pub fn sub(&self, path: &str) -> Result<Loader<'w>, Error> {
        if path.is_empty() {
            return Err(Error::new("new root cannot be empty"));
        }
        if let Some(spec) = RepoSpec::parse(path) {
            if let Some(previous) = self.repos.iter().find(|previous| previous.starts_with(spec.raw())) {
                return Err(Error::new(format!(
                    "cycle detected: URI '{}' referenced by previous URI '{previous}'",
                    spec.raw()
                )));
            }
            return self.fetch(&spec);
        }
        if path.starts_with('/') {
            return Err(Error::new(format!("new root '{path}' cannot be absolute")));
        }
        let ambiguous = path.split('/').any(|part| !matches!(part, "" | "." | "..") && part.contains(".."));
        if ambiguous {
            return Err(Error::new(format!(
                "path {path:?} is ambiguous: resolves to {:?} after normalization, which is likely not the intended target; check for YAML indentation errors in your kustomization file",
                remote::clean_relative(path)
            )));
        }
        let full = world::join(&self.root, path);
        let root =
            confirm_dir(self.world(), &full, &full).map_err(|error| error.wrap("must build at directory"))?;
        if let Some(repo) = &self.repo_root
            && !is_within(&root, repo)
        {
            return Err(Error::new(format!(
                "security; bases in kustomizations found in cloned git repos must be within the repo, but base '{root}' is outside '{repo}'"
            )));
        }
        for visited in std::iter::once(&self.root).chain(&self.visited) {
            if is_within(visited, &root) {
                return Err(Error::new(format!(
                    "cycle detected: candidate root '{root}' contains visited root '{visited}'"
                )));
            }
        }
        let mut visited = vec![self.root.clone()];
        visited.extend(self.visited.iter().cloned());
        Ok(Loader {
            source: self.source.clone(),
            root,
            restrictions: self.restrictions,
            visited,
            repos: self.repos.clone(),
            repo_root: self.repo_root.clone(),
        })
    }

    fn fetch(&self, spec: &RepoSpec) -> Result<Loader<'w>, Error> {
        let fetched = self.world().remote(spec.raw()).map_err(|error| Error::new(error.to_string()))?;
        let dir = world::clean(&fetched.dir);
        let repo = world::clean(&fetched.root);
        if fetched.world.is_file(&dir) {
            return Err(Error::new(format!("'{dir}' refers to file '{dir}'; expecting directory")));
        }
        let root = confirm_dir(fetched.world.as_ref(), &dir, &dir)?;
        if !is_within(&root, &repo) {
            return Err(Error::new(format!("{dir:?} refers to directory outside of repo {repo:?}")));
        }
        let mut repos = self.repos.clone();
        repos.push(spec.raw().to_owned());
        Ok(Loader {
            source: Source::Fetched(fetched.world),
            root,
            restrictions: LoadRestrictions::RootOnly,
            visited: Vec::new(),
            repos,
            repo_root: Some(repo),
        })
    }

    /// The bytes of a file named by the kustomization.
    pub fn load(&self, path: &str) -> Result<Vec<u8>, LoadError> {
        let plain = |error: Error| LoadError { error, http: false };
        if path.starts_with("http://") || path.starts_with("https://") {
            return self.load_http(path);
        }
        let full = world::join(&self.root, path);
        let full = match self.restrictions {
            LoadRestrictions::None => full,
            LoadRestrictions::RootOnly => self.restrict(&full).map_err(plain)?,
        };
        let world = self.world();
        if world.is_dir(&full) {
            return Err(plain(Error::new(format!("read {full}: is a directory"))));
        }
        world
            .read(&full)
            .map_err(|error| plain(Error::new(format!("open {full}: {error}")).in_file(full.clone())))
    }

    fn load_http(&self, url: &str) -> Result<Vec<u8>, LoadError> {
        self.world().remote_file(url).map_err(|error| {
            let repository = RepoSpec::parse(url).is_some();
            match error {
                WorldError::Refused(_) | WorldError::NotFound | WorldError::Failed(_) if repository => {
                    LoadError { error: Error::new("URL is a git repository"), http: false }
                }
                other => LoadError { error: Error::new(other.to_string()), http: true },
            }
        })
    }

    fn restrict(&self, path: &str) -> Result<String, Error> {
        let world = self.world();
        let resolved = resolve(world, path)?;
        if world.is_dir(&resolved) {
            return Err(Error::new(format!("'{path}' must resolve to a file")).in_file(path));
        }
        if !is_within(world::parent(&resolved), &self.root) {
            return Err(Error::new(format!("security; file '{path}' is not in or below '{}'", self.root))
                .in_file(path));
        }
        Ok(resolved)
    }

    /// A file's text.
    pub fn load_text(&self, path: &str) -> Result<String, LoadError> {
        let bytes = self.load(path)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }
}

fn resolve(world: &dyn World, path: &str) -> Result<String, Error> {
    world.resolve(path).map_err(|error| match error {
        WorldError::NotFound => {
            let missing = first_missing(world, path);
            Error::new(format!(
                "evalsymlink failure on '{path}' : lstat {missing}: no such file or directory"
            ))
            .in_file(path)
        }
        other => Error::new(format!("evalsymlink failure on '{path}' : {other}")).in_file(path),
    })
}

/// How much of a path has to be walked until there is nothing.
fn first_missing<'p>(world: &dyn World, path: &'p str) -> &'p str {
    path.match_indices('/')
        .filter_map(|(at, _)| path.get(..at).filter(|parent| !parent.is_empty()))
        .find(|parent| !world.is_dir(parent))
        .unwrap_or(path)
}

fn confirm_dir(world: &dyn World, path: &str, shown: &str) -> Result<String, Error> {
    let resolved = resolve(world, path).map_err(|error| error.wrap("not a valid directory"))?;
    if !world.is_dir(&resolved) {
        return Err(Error::new(format!("'{shown}': file is not directory")).in_file(shown));
    }
    Ok(resolved)
}

/// Is `path` the folder `root` or below it?
pub(crate) fn is_within(path: &str, root: &str) -> bool {
    root == "/" || path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}
