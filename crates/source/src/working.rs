//! A local checkout with its uncommitted edits.

use crate::git::read;
use crate::scan::{GitView, StatCache, scan};
use crate::{Error, Limits, Result, Revision, Tree};
use std::path::{Path, PathBuf};

/// An open working copy, or a plain folder.
pub struct WorkingCopy {
    root: PathBuf,
    /// Whether `.git` stands in it; the repository itself is opened for each look, which is cheap.
    git: bool,
    limits: Limits,
    cache: StatCache,
    /// The content digest of the commit last seen with some ignore rules.
    committed: Vec<(gix::ObjectId, Option<String>, String)>,
}

/// Its content at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// `main@sha1:<HEAD>`, with the dirty mark when the content differs from the commit; for a folder that no
    /// repository holds `sha256:<content>`.
    pub revision: Revision,
    /// The content.
    pub tree: Tree,
}

impl WorkingCopy {
    /// Opens the checkout that holds `path`, or the folder itself when no repository holds it.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let path = path.canonicalize().map_err(|error| Error::io(path, error))?;
        if !path.is_dir() {
            return Err(Error::Invalid(format!("{}: is not a folder", path.display())));
        }
        let found = path.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_path_buf);
        Self::at(found.unwrap_or(path), limits)
    }

    /// Opens exactly this folder: a checkout when `.git` stands in it, a plain folder otherwise.
    pub fn at(root: PathBuf, limits: Limits) -> Result<Self> {
        let root = root.canonicalize().map_err(|error| Error::io(&root, error))?;
        let git = root.join(".git").exists();
        if git {
            read::open(&root)?;
        }
        Ok(WorkingCopy { root, git, limits, cache: StatCache::default(), committed: Vec::new() })
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is a Git checkout.
    pub fn is_git(&self) -> bool {
        self.git
    }

    /// The addresses of the checkout's remotes, so that its own URL can be served from it.
    pub fn remote_urls(&self) -> Vec<String> {
        let Some(repository) = self.repository() else { return Vec::new() };
        let mut urls = Vec::new();
        for name in repository.remote_names() {
            let Ok(remote) = repository.find_remote(&**name) else { continue };
            if let Some(url) = remote.url(gix::remote::Direction::Fetch) {
                urls.push(url.to_bstring().to_string());
            }
        }
        urls
    }

    /// The branch that is checked out; `None` outside Git and on a detached HEAD.
    pub fn branch(&self) -> Option<String> {
        let repository = self.repository()?;
        repository.head_name().ok().flatten().map(|name| name.shorten().to_string())
    }

    /// Reads it, only what changed since the last time.
    pub fn snapshot(&mut self, spec_ignore: Option<&str>) -> Result<Snapshot> {
        if !self.git {
            let tree = scan(&self.root, spec_ignore, &self.limits, &mut self.cache, None)?;
            return Ok(Snapshot { revision: Revision::new("", tree.digest()), tree });
        }
        let repository = read::open(&self.root)?;
        let view = self.git_view(&repository)?;
        let tree = scan(&self.root, spec_ignore, &self.limits, &mut self.cache, Some(&view))?;
        let name = self.branch().unwrap_or_default();
        let Ok(head) = repository.head_id().map(gix::Id::detach) else {
            // No commit yet.
            return Ok(Snapshot { revision: Revision::new(name, tree.digest()), tree });
        };
        let mut revision = Revision::new(name, read::digest_of(head));
        if self.committed_digest(&repository, head, spec_ignore)? != tree.digest() {
            revision = revision.with_dirty(tree.digest());
        }
        Ok(Snapshot { revision, tree })
    }

    fn repository(&self) -> Option<gix::Repository> {
        if self.git { read::open(&self.root).ok() } else { None }
    }

    fn git_view(&self, repository: &gix::Repository) -> Result<GitView> {
        let index = repository
            .index_or_empty()
            .map_err(|error| Error::io(repository.git_dir().join("index"), read::explain(&error)))?;
        let exclude = std::fs::read_to_string(repository.git_dir().join("info/exclude")).unwrap_or_default();
        Ok(GitView::new(index.entries().iter().map(|entry| entry.path(&index).to_string()), exclude))
    }

    fn committed_digest(
        &mut self,
        repository: &gix::Repository,
        head: gix::ObjectId,
        spec_ignore: Option<&str>,
    ) -> Result<String> {
        self.committed.retain(|(commit, _, _)| *commit == head);
        let known = self.committed.iter().find(|(_, ignore, _)| ignore.as_deref() == spec_ignore);
        if let Some((_, _, digest)) = known {
            return Ok(digest.clone());
        }
        let tree = read::tree_of(repository, head, spec_ignore, &self.limits)?;
        let digest = tree.digest().to_string();
        self.committed.push((head, spec_ignore.map(String::from), digest.clone()));
        Ok(digest)
    }
}
