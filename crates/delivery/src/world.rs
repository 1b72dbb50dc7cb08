//! A source's tree as the world of a build, which notes what the build looked at.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use kustomize::{HelmPull, Root, World, WorldError};
use source::{Error, Tree};

use crate::remotes::Remotes;

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// The bytes of a file.
    Read,
    /// Is it a folder?
    IsDir,
    /// Is it a file?
    IsFile,
    /// The names in a folder.
    List,
    /// Every file below a folder.
    Below,
    /// Something that comes from elsewhere, and may be something else the next time.
    Elsewhere,
}

/// Everything that was looked at, with a digest of what was seen.
pub type Looks = BTreeMap<(Look, String), u64>;

/// The world.
pub struct TreeWorld<'a> {
    tree: &'a Tree,
    looks: RefCell<Looks>,
    remotes: Rc<Remotes>,
}

fn digest(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn see(tree: &Tree, look: Look, path: &str) -> u64 {
    let relative = path.trim_start_matches('/');
    match look {
        Look::Read => digest(tree.get(relative).map(|file| *file.sha256())),
        Look::IsDir => digest(relative.is_empty() || tree.is_dir(relative)),
        Look::IsFile => digest(tree.is_file(relative)),
        Look::List => digest(
            tree.list(relative)
                .map(|entries| entries.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()),
        ),
        Look::Below => {
            let mut hasher = DefaultHasher::new();
            for (path, file) in tree.files_below(relative) {
                path.hash(&mut hasher);
                file.sha256().hash(&mut hasher);
            }
            hasher.finish()
        }
        Look::Elsewhere => 0,
    }
}

/// Would a build that saw `looks` see the same in `tree`?
pub fn same(tree: &Tree, looks: &Looks) -> bool {
    looks.iter().all(|((look, path), seen)| *look != Look::Elsewhere && see(tree, *look, path) == *seen)
}

impl<'a> TreeWorld<'a> {
    /// Over a tree; nothing looked at yet.
    pub fn new(tree: &'a Tree, remotes: Rc<Remotes>) -> TreeWorld<'a> {
        TreeWorld { tree, looks: RefCell::default(), remotes }
    }

    /// What was looked at.
    pub fn into_looks(self) -> Looks {
        self.looks.into_inner()
    }

    /// The files below a folder, by path from there.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn files_below(&self, path: &str) -> source::Result<BTreeMap<String, Vec<u8>>> {
        self.note(Look::Below, path);
        let relative = path.trim_matches('/');
        let mut files = BTreeMap::new();
        for (file, _) in self.tree.files_below(relative) {
            let inner = file.strip_prefix(relative).unwrap_or(file).trim_start_matches('/');
            files.insert(inner.to_owned(), self.tree.read(file)?.to_vec());
        }
        Ok(files)
    }

    /// The same, without what is listed but cannot be read, such as submodules that were not fetched.
    pub fn readable_below(&self, path: &str) -> BTreeMap<String, Vec<u8>> {
        self.note(Look::Below, path);
        let relative = path.trim_matches('/');
        let of = |(file, _): (&str, _)| {
            let bytes = self.tree.read(file).ok()?;
            let inner = file.strip_prefix(relative).unwrap_or(file).trim_start_matches('/');
            Some((inner.to_owned(), bytes.to_vec()))
        };
        self.tree.files_below(relative).filter_map(of).collect()
    }

    /// Is the file a program?
    pub fn is_executable(&self, path: &str) -> bool {
        self.tree.get(path.trim_start_matches('/')).is_some_and(|file| file.executable)
    }

    fn note(&self, look: Look, path: &str) {
        let mut looks = self.looks.borrow_mut();
        looks.entry((look, path.to_owned())).or_insert_with(|| see(self.tree, look, path));
    }
}

impl World for TreeWorld<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, WorldError> {
        self.note(Look::Read, path);
        match self.tree.read(path.trim_start_matches('/')) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(Error::NotFound(_)) => Err(WorldError::NotFound),
            Err(error) => Err(WorldError::Failed(error.to_string())),
        }
    }

    fn remote(&self, url: &str) -> Result<Root, WorldError> {
        self.note(Look::Elsewhere, url);
        self.remotes.open(url)
    }

    fn helm_pull(&self, chart: &HelmPull) -> Result<BTreeMap<String, Vec<u8>>, WorldError> {
        self.note(Look::Elsewhere, &format!("{} {} {}", chart.repo, chart.name, chart.version));
        self.remotes.chart(chart)
    }

    fn remote_file(&self, url: &str) -> Result<Vec<u8>, WorldError> {
        self.note(Look::Elsewhere, url);
        self.remotes.file(url)
    }

    fn is_dir(&self, path: &str) -> bool {
        self.note(Look::IsDir, path);
        let relative = path.trim_start_matches('/');
        relative.is_empty() || self.tree.is_dir(relative)
    }

    fn is_file(&self, path: &str) -> bool {
        self.note(Look::IsFile, path);
        self.tree.is_file(path.trim_start_matches('/'))
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, WorldError> {
        self.note(Look::List, path);
        let entries = self.tree.list(path.trim_start_matches('/')).ok_or(WorldError::NotFound)?;
        Ok(entries.iter().map(|entry| entry.name.to_string()).collect())
    }
}
