//! Git: references to commits, commits to trees.

mod app;
mod passphrase;
mod push;
pub(crate) mod read;
mod remote;
mod signing;
mod socks;
mod ssh_signature;
mod verify;

pub use push::{NewCommit, Pushed};
pub use signing::SigningKey;
pub use verify::{Mode, Verify};

use crate::fetcher::Inner;
use crate::maps::Mapped;
use crate::tree::Builder;
use crate::{Artifact, Credentials, Error, Fetcher, Result, Revision, Tree};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a GitRepository asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `http://`, `https://`, `ssh://`, `file://` or a local path.
    pub url: String,
    /// Which commit.
    pub reference: Reference,
    /// How to be let in.
    pub credentials: Credentials,
    /// `spec.ignore`.
    pub ignore: Option<String>,
    /// `spec.sparseCheckout`.
    pub sparse: Vec<String>,
    /// `spec.recurseSubmodules`.
    pub recurse_submodules: bool,
    /// For the whole fetch.
    pub timeout: Duration,
    /// Signatures that must be there.
    pub verify: Option<Verify>,
    /// When the remote cannot be reached, what the reference meant when it last could is good enough.
    pub accept_known: bool,
}

/// `spec.ref`: the most specific one given counts: commit, name, semver, tag, branch; nothing = `master`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// A branch.
    pub branch: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// The newest tag in a range of versions.
    pub semver: Option<String>,
    /// What stands before the version in the names of such tags; others are left out.
    pub tag_prefix: String,
    /// Any full reference name, such as `refs/pull/420/head`.
    pub name: Option<String>,
    /// A commit.
    pub commit: Option<String>,
}

impl Reference {
    /// The best of these tags for a range of versions, by its whole name.
    fn best(&self, range: &str, tags: &[String]) -> Result<Option<String>> {
        let versions = tags.iter().filter_map(|tag| tag.strip_prefix(self.tag_prefix.as_str()));
        let best = crate::version::best(range, versions)?;
        Ok(best.map(|version| format!("{}{version}", self.tag_prefix)))
    }
}

impl Request {
    /// A request for `url` with the defaults of Flux.
    pub fn new(url: impl Into<String>) -> Self {
        Request {
            url: url.into(),
            reference: Reference::default(),
            credentials: Credentials::default(),
            ignore: None,
            sparse: Vec::new(),
            recurse_submodules: false,
            timeout: Duration::from_secs(60),
            verify: None,
            accept_known: false,
        }
    }
}

/// Submodules inside submodules.
const MAX_SUBMODULE_DEPTH: usize = 8;

impl Fetcher {
    /// The tree of a Git repository at the reference asked for. An address that a map names is served from
    /// there: a working copy with its uncommitted edits for its branch, a mirror or bare repository by the
    /// reference, a plain folder or archive as it is.
    pub async fn git(&self, request: &Request) -> Result<Artifact> {
        self.in_time(request, |inner, request, stop| fetch(inner, request, stop, 0)).await
    }
}

impl Fetcher {
    /// The branch that `HEAD` of a remote repository stands for.
    ///
    /// # Errors
    /// When the remote cannot be reached, or its `HEAD` is no branch.
    pub async fn git_default_branch(&self, request: &Request) -> Result<String> {
        self.in_time(request, |inner, request, stop| {
            check_url(&request.url)?;
            remote::default_branch(inner, request, stop)
        })
        .await
    }

    /// The branches of a remote repository.
    ///
    /// # Errors
    /// When the remote cannot be reached.
    pub async fn git_branches(&self, request: &Request) -> Result<Vec<String>> {
        self.in_time(request, |inner, request, stop| {
            check_url(&request.url)?;
            remote::branches(inner, request, stop)
        })
        .await
    }

    /// Does something with a remote, or with its mirror, within the time that the request has.
    async fn in_time<T: Send + 'static>(
        &self,
        request: &Request,
        work: impl FnOnce(&Inner, &Request, &AtomicBool) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (inner, mut request, timeout) = (self.inner.clone(), request.clone(), request.timeout);
        if let Some(mirror) = inner.maps.redirect(&request.url) {
            request.url = mirror;
        }
        let (url, hint) = (request.url.clone(), crate::maps::hint(&request.url));
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let done = tokio::task::spawn_blocking(move || work(&inner, &request, &flag));
        match tokio::time::timeout(timeout, done).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(Error::Other(format!("{url}: {error}"))),
            Err(_) => {
                // The transfer sees the flag and ends; nobody waits for it.
                stop.store(true, Ordering::Relaxed);
                Err(Error::Unreachable { url, cause: format!("no answer within {timeout:?}"), hint })
            }
        }
    }
}

fn fetch(inner: &Inner, request: &Request, stop: &AtomicBool, depth: usize) -> Result<Artifact> {
    check_url(&request.url)?;
    if let Some(mapped) = inner.maps.find(&request.url) {
        return from_map(inner, request, &mapped, stop, depth)
            .map_err(|error| error.within(&format!("{} (mapped)", request.url)));
    }
    if let Some(path) = local_path(&request.url) {
        return from_repository(inner, request, &path, stop, depth);
    }
    let (mirror, name, commit) = remote::fetch(inner, request, stop)?;
    let verified = verify::check(&mirror, request, &name, commit)?;
    let tree = tree_at(inner, request, &mirror, commit, stop, depth)?;
    Ok(Artifact { verified, ..Artifact::of_tree(Revision::new(name, read::digest_of(commit)), tree) })
}

fn check_url(url: &str) -> Result<()> {
    let known = ["http://", "https://", "ssh://", "file://", "/", "./", "../"];
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{url}: must start with https://, http://, ssh:// or file:// (git@host:path is written ssh://git@host/path)"
    )))
}

/// The path of a `file://` address or of a plain path.
fn local_path(url: &str) -> Option<PathBuf> {
    if let Some(path) = url.strip_prefix("file://") {
        return Some(PathBuf::from(path.strip_prefix("localhost").unwrap_or(path)));
    }
    (!url.contains("://")).then(|| PathBuf::from(url))
}

/// Serves an address from a map.
fn from_map(
    inner: &Inner,
    request: &Request,
    mapped: &Mapped,
    stop: &AtomicBool,
    depth: usize,
) -> Result<Artifact> {
    let path = if mapped.rest.is_empty() { mapped.path.clone() } else { below(&mapped.path, &mapped.rest)? };
    let shown = path.display().to_string();
    let mut artifact = if path.is_file() {
        let tree = single_root(crate::helm_repo::read_archive(&path, &inner.limits)?);
        Artifact::of_tree(Revision::new(requested_name(&request.reference), tree.digest()), tree)
    } else if path.join(".git").exists() && uses_working_copy(&request.reference) {
        from_working_copy(inner, request, &path)?
    } else if path.join(".git").exists() || is_bare(&path) {
        from_repository(inner, request, &path, stop, depth)?
    } else {
        from_working_copy(inner, request, &path)?
    };
    artifact.mapped = Some(shown);
    Ok(artifact)
}

/// A path below a mapped folder, as `a/b` or as the bare `a/b.git`.
fn below(folder: &Path, rest: &str) -> Result<PathBuf> {
    let rest = crate::tree::clean(rest)
        .ok_or_else(|| Error::Refused(format!("{rest}: leaves the mapped folder")))?;
    [folder.join(&rest), folder.join(format!("{rest}.git"))]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| Error::NotFound(format!("{}: does not exist", folder.join(&rest).display())))
}

fn is_bare(path: &Path) -> bool {
    path.join("HEAD").is_file() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// A branch of a mapped checkout is the checkout as it stands; whoever asks for a tag, a range or a commit
/// gets that.
fn uses_working_copy(reference: &Reference) -> bool {
    reference.tag.is_none()
        && reference.semver.is_none()
        && reference.name.is_none()
        && reference.commit.is_none()
}

fn requested_name(reference: &Reference) -> String {
    let named = reference.name.as_ref().or(reference.tag.as_ref()).or(reference.branch.as_ref());
    named.cloned().unwrap_or_else(|| "master".to_string())
}

fn from_working_copy(inner: &Inner, request: &Request, path: &Path) -> Result<Artifact> {
    let copy = inner.working_copy(path)?;
    let snapshot = copy.lock().snapshot(request.ignore.as_deref())?;
    let mut revision = snapshot.revision;
    if revision.name.is_empty() {
        revision.name = requested_name(&request.reference);
    }
    Ok(Artifact::of_tree(revision, snapshot.tree.sparse(&request.sparse)))
}

/// A repository on this machine is read where it lies.
fn from_repository(
    inner: &Inner,
    request: &Request,
    path: &Path,
    stop: &AtomicBool,
    depth: usize,
) -> Result<Artifact> {
    if !path.exists() {
        return Err(Error::NotFound(format!("{}: does not exist", path.display())));
    }
    let repository = read::open(path)?;
    let (name, commit) = read::resolve(&repository, &request.reference)?;
    let verified = verify::check(path, request, &name, commit)?;
    let tree = tree_at(inner, request, path, commit, stop, depth)?;
    Ok(Artifact { verified, ..Artifact::of_tree(Revision::new(name, read::digest_of(commit)), tree) })
}

/// The tree of a commit, remembered as long as the same is asked for.
fn tree_at(
    inner: &Inner,
    request: &Request,
    repository: &Path,
    commit: gix::ObjectId,
    stop: &AtomicBool,
    depth: usize,
) -> Result<Tree> {
    let key = format!(
        "{}\0{:?}\0{:?}\0{}",
        request.url, request.ignore, request.sparse, request.recurse_submodules
    );
    if let Some((known, tree)) = inner.trees.lock().get(&key)
        && *known == commit
    {
        return Ok(tree.clone());
    }
    let opened = read::open(repository)?;
    let ignore = request.ignore.as_deref();
    let (mut tree, submodules) = read::tree_and_submodules(&opened, commit, ignore, &inner.limits)?;
    if request.recurse_submodules && !submodules.is_empty() {
        tree = with_submodules(inner, request, &opened, commit, tree, &submodules, stop, depth)?;
    }
    let tree = tree.sparse(&request.sparse);
    inner.trees.lock().insert(key, (commit, tree.clone()));
    Ok(tree)
}

/// Adds the files of submodules, fetched with the credentials of their parent.
fn with_submodules(
    inner: &Inner,
    request: &Request,
    repository: &gix::Repository,
    commit: gix::ObjectId,
    tree: Tree,
    submodules: &[read::Submodule],
    stop: &AtomicBool,
    depth: usize,
) -> Result<Tree> {
    if depth >= MAX_SUBMODULE_DEPTH {
        return Err(Error::Refused(format!(
            "{}: submodules are nested deeper than {MAX_SUBMODULE_DEPTH}",
            request.url
        )));
    }
    let urls = read::submodule_urls(repository, commit)?;
    let mut builder = Builder::from_tree(&tree);
    for submodule in submodules {
        let Some(url) = urls.get(&submodule.path) else {
            return Err(Error::NotFound(format!(
                "{}: .gitmodules has no url for {}",
                request.url, submodule.path
            )));
        };
        let wanted = Request {
            url: relative_url(&request.url, url),
            reference: Reference {
                commit: Some(submodule.commit.to_hex().to_string()),
                ..Reference::default()
            },
            sparse: Vec::new(),
            verify: None,
            ..request.clone()
        };
        let place = format!("submodule {}", submodule.path);
        let artifact = fetch(inner, &wanted, stop, depth + 1).map_err(|error| error.within(&place))?;
        for (path, file) in artifact.tree.files() {
            builder.put(&format!("{}/{path}", submodule.path), file.clone());
        }
        builder.check(&inner.limits, &request.url)?;
    }
    Ok(builder.build())
}

/// A submodule's address, which may be relative to its parent's.
fn relative_url(parent: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_string();
    }
    let mut base = parent.trim_end_matches('/').to_string();
    for part in url.split('/') {
        match part {
            "." | "" => {}
            ".." => base = base.rsplit_once('/').map_or(base.clone(), |(head, _)| head.to_string()),
            part => {
                base.push('/');
                base.push_str(part);
            }
        }
    }
    base
}

/// Archives of repositories usually hold one folder with everything in it: that is the root then.
fn single_root(tree: Tree) -> Tree {
    match tree.list("").as_deref() {
        Some([only]) if only.is_dir => tree.subtree(&only.name).unwrap_or(tree),
        _ => tree,
    }
}
