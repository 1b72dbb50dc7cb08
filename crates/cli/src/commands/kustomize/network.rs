//! Remote bases, files and charts of a build: each fetched once, those of one kustomization at the same time, and
//! kept on disk by commit, so that the next build needs no network for what is pinned.

use crate::commands::set_up;
use futures::future::join_all;
use futures::join;
use kustomize::{HelmPull, RepoSpec, WorldError};
use source::git::{Reference, Request};
use source::{Fetcher, Maps, Tree};
use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a fetch brought; failures are told as text, once for each time they are asked for.
type Fetched<T> = Result<T, WorldError>;

/// The way out of a build. Nothing of it is set up before the first address is asked for.
pub struct Network {
    maps: Maps,
    door: OnceCell<Door>,
    trees: RefCell<HashMap<String, Fetched<Tree>>>,
    files: RefCell<HashMap<String, Fetched<Vec<u8>>>>,
}

struct Door {
    fetcher: Fetcher,
    runtime: tokio::runtime::Runtime,
}

fn told(error: impl std::fmt::Display) -> WorldError {
    WorldError::Failed(error.to_string())
}

impl Network {
    /// With maps (`URL=PATH`).
    pub fn new(lines: &[String]) -> anyhow::Result<Network> {
        let mut maps = Maps::default();
        for line in lines {
            maps.add_line(line, Path::new("."))?;
        }
        Ok(Network { maps, door: OnceCell::new(), trees: RefCell::default(), files: RefCell::default() })
    }

    fn door(&self) -> Fetched<&Door> {
        if let Some(door) = self.door.get() {
            return Ok(door);
        }
        set_up::now();
        let options =
            source::Options { maps: self.maps.clone(), cache: cache_folder(), ..source::Options::default() };
        let fetcher = Fetcher::new(options).map_err(told)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(told)?;
        Ok(self.door.get_or_init(|| Door { fetcher, runtime }))
    }

    /// Fetches at the same time what is going to be asked for. What fails is told when it is asked for.
    pub fn fetch_ahead(&self, urls: &[&str]) {
        let (files, repositories): (Vec<&str>, Vec<&str>) = urls.iter().partition(|url| looks_like_file(url));
        let mut seen = std::collections::HashSet::new();
        let repositories: Vec<RepoSpec> = repositories
            .into_iter()
            .filter_map(RepoSpec::parse)
            .filter(|spec| !self.trees.borrow().contains_key(&key(spec)) && seen.insert(key(spec)))
            .collect();
        let files: Vec<&str> = files
            .into_iter()
            .filter(|url| url.starts_with("http") && !names_repository(url) && self.maps.find(url).is_none())
            .filter(|url| !self.files.borrow().contains_key(*url) && seen.insert((*url).to_owned()))
            .collect();
        // One alone gains nothing, and an address that turns out to be a file would be asked for twice.
        if repositories.len() + files.len() < 2 {
            return;
        }
        let Ok(door) = self.door() else { return };
        let trees =
            repositories.iter().map(|spec| async move { (key(spec), repository(&door.fetcher, spec).await) });
        let files =
            files.iter().map(|url| async move { ((*url).to_owned(), self.download(door, url).await) });
        let (trees, files) = door.runtime.block_on(async { join!(join_all(trees), join_all(files)) });
        // A file may stand where no repository is: what failed is tried again when it is asked for.
        self.trees.borrow_mut().extend(trees.into_iter().filter(|(_, tree)| tree.is_ok()));
        self.files.borrow_mut().extend(files.into_iter().filter(|(_, file)| file.is_ok()));
    }

    async fn download(&self, door: &Door, url: &str) -> Fetched<Vec<u8>> {
        let address = self.maps.redirect(url).unwrap_or_else(|| url.to_owned());
        let request = source::helm_repo::Request::new(&address);
        door.fetcher.helm_archive(&request, &address).await.map_err(told)
    }

    /// The tree of a repository.
    pub fn repository(&self, spec: &RepoSpec) -> Fetched<Tree> {
        if let Some(known) = self.trees.borrow().get(&key(spec)) {
            return known.clone();
        }
        let door = self.door()?;
        let tree = door.runtime.block_on(repository(&door.fetcher, spec));
        self.trees.borrow_mut().insert(key(spec), tree.clone());
        tree
    }

    /// A file at an address.
    pub fn file(&self, url: &str) -> Fetched<Vec<u8>> {
        let spec = RepoSpec::parse(url);
        let known = |spec: &RepoSpec| {
            names_repository(url)
                || self.trees.borrow().contains_key(&key(spec))
                || self.serves_repository(spec)
        };
        if spec.as_ref().is_some_and(known) {
            return Err(WorldError::Refused("URL is a git repository".to_owned()));
        }
        if let Some(known) = self.files.borrow().get(url) {
            return known.clone();
        }
        let file = self.fetch_file(url);
        self.files.borrow_mut().insert(url.to_owned(), file.clone());
        file
    }

    /// Does a map say that a repository is at this address?
    fn serves_repository(&self, spec: &RepoSpec) -> bool {
        self.maps.find(&spec.clone).is_some_and(|mapped| !mapped.path.join(&mapped.rest).is_file())
    }

    fn fetch_file(&self, url: &str) -> Fetched<Vec<u8>> {
        if let Some(mapped) = self.maps.find(url) {
            let path = if mapped.rest.is_empty() { mapped.path } else { mapped.path.join(&mapped.rest) };
            return std::fs::read(&path)
                .map_err(|error| told(format!("{url} (mapped): {}: {error}", path.display())));
        }
        let door = self.door()?;
        door.runtime.block_on(self.download(door, url))
    }

    /// A chart's files.
    pub fn chart(&self, chart: &HelmPull) -> Fetched<BTreeMap<String, Vec<u8>>> {
        let door = self.door()?;
        let request = source::helm_repo::Request::new(&chart.repo);
        let fetched = door
            .runtime
            .block_on(door.fetcher.helm_chart(&request, &chart.name, &chart.version))
            .map_err(told)?;
        let tree = Tree::from_tar_gz(&fetched.archive, &source::Limits::default()).map_err(told)?;
        let mut files = BTreeMap::new();
        for (path, _) in tree.files() {
            let below = path.split_once('/').map_or(path, |(_, below)| below);
            let bytes = tree.read(path).map_err(told)?;
            files.insert(below.to_owned(), bytes.to_vec());
        }
        Ok(files)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A transfer that nobody waits for any more must not hold the process.
        if let Some(door) = self.door.take() {
            door.runtime.shutdown_background();
        }
    }
}

/// What makes two addresses the same content; the folder inside does not.
fn key(spec: &RepoSpec) -> String {
    format!("{}?{}&{}", spec.clone, spec.reference, spec.submodules)
}

/// Does the address say where the repository ends? Such a one is not asked for a file first.
fn names_repository(url: &str) -> bool {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split('?').next().unwrap_or(path);
    path.contains(".git/") || path.ends_with(".git") || path.contains("//") || path.contains("_git/")
}

fn looks_like_file(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or(url);
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}

/// Where fetched content stays: `LANDFALL_CACHE`, or below the user's cache folder; with neither, nothing stays.
fn cache_folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("LANDFALL_CACHE").or_else(|| {
        let base = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
        base.map(|base| base.join("landfall/sources"))
    })
}

/// Fetches the commit that a reference means: a commit by its digest, else a branch, a tag, or any name.
async fn repository(fetcher: &Fetcher, spec: &RepoSpec) -> Fetched<Tree> {
    let commit = spec.reference.len() == 40 && spec.reference.bytes().all(|byte| byte.is_ascii_hexdigit());
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
    let limit = spec.time_limit();
    let attempt = async {
        let mut first = None;
        for reference in tries {
            let mut request = Request::new(address(&spec.clone));
            request.reference = reference;
            request.recurse_submodules = spec.submodules;
            request.timeout = limit;
            request.accept_known = true;
            match fetcher.git(&request).await {
                Ok(artifact) => return Ok(artifact.tree),
                Err(error) if first.is_none() => first = Some(error),
                Err(_) => {}
            }
        }
        // The first try is the likeliest meaning, so its failure is the one to tell.
        Err(first.map_or_else(|| told("nothing to fetch"), told))
    };
    match tokio::time::timeout(limit, attempt).await {
        Ok(result) => result,
        Err(_) => Err(told(format!("hit {} timeout running git fetch of {}", shown(limit), spec.clone))),
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

/// A time limit as Go prints it.
fn shown(limit: Duration) -> String {
    let seconds = limit.as_secs_f64();
    if seconds < 60.0 {
        return format!("{seconds}s");
    }
    let (minutes, rest) = (limit.as_secs() / 60, seconds % 60.0);
    match minutes / 60 {
        0 => format!("{minutes}m{rest}s"),
        hours => format!("{hours}h{}m{rest}s", minutes % 60),
    }
}
