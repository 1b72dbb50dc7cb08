//! The immutable snapshot that everything downstream reads.

use crate::ignore::Ignore;
use crate::{Error, Limits, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Files by path (`/`-separated, relative, sorted), with a digest of the whole. Cloning costs a pointer.
#[derive(Clone, Default)]
pub struct Tree(Arc<Inner>);

#[derive(Default)]
struct Inner {
    files: BTreeMap<Arc<str>, Arc<File>>,
    skipped: Vec<Skipped>,
    digest: OnceLock<String>,
}

/// One file of a tree.
pub struct File {
    content: Content,
    /// Whether it may be executed.
    pub executable: bool,
    sha256: [u8; 32],
}

enum Content {
    Bytes(Arc<[u8]>),
    /// Listed but not readable (too large, no permission): reading it is the error, so that it stops only
    /// who needs it.
    Problem(String),
}

/// Something of the origin that is not in the tree, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub path: String,
    /// The reason: `symbolic link to ../x`, `submodule`, `not a regular file`.
    pub reason: String,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name without the folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

impl File {
    /// A file with this content.
    pub fn new(bytes: impl Into<Arc<[u8]>>, executable: bool) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes).into();
        File { content: Content::Bytes(bytes), executable, sha256 }
    }

    /// A file that is listed but cannot be read; `identity` changes when it changes.
    pub(crate) fn problem(reason: String, identity: &str) -> Self {
        let sha256 = Sha256::digest(format!("{reason}\0{identity}")).into();
        File { content: Content::Problem(reason), executable: false, sha256 }
    }

    /// Its bytes, or why they cannot be had.
    pub fn bytes(&self) -> std::result::Result<&Arc<[u8]>, &str> {
        match &self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Problem(reason) => Err(reason),
        }
    }

    /// The SHA-256 of its content.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    fn len(&self) -> u64 {
        self.bytes().map_or(0, |bytes| bytes.len() as u64)
    }
}

impl Tree {
    /// A tree of these files. Paths are cleaned; one that leaves the tree is refused.
    pub fn from_files<P: AsRef<str>, B: Into<Arc<[u8]>>>(
        files: impl IntoIterator<Item = (P, B)>,
    ) -> Result<Self> {
        let mut builder = Builder::default();
        for (path, bytes) in files {
            builder.insert(path.as_ref(), File::new(bytes, false))?;
        }
        Ok(builder.build())
    }

    /// The file at `path`, if there is one.
    pub fn get(&self, path: &str) -> Option<&Arc<File>> {
        self.0.files.get(clean(path)?.as_str())
    }

    /// The bytes of the file at `path`, or the reason why there are none.
    pub fn read(&self, path: &str) -> Result<Arc<[u8]>> {
        let Some(file) = self.get(path) else {
            if self.is_dir(path) {
                return Err(Error::Invalid(format!("{path}: is a folder, not a file")));
            }
            let skipped =
                clean(path).and_then(|path| self.0.skipped.iter().find(|skipped| skipped.path == path));
            return Err(Error::NotFound(match skipped {
                Some(skipped) => format!("{path}: left out of the source: {}", skipped.reason),
                None => format!("{path}: no such file in the source"),
            }));
        };
        file.bytes().cloned().map_err(|reason| Error::Refused(format!("{path}: {reason}")))
    }

    /// Whether a file is at `path`.
    pub fn is_file(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Whether anything is below `path`; the root always is a folder.
    pub fn is_dir(&self, path: &str) -> bool {
        match clean(path) {
            Some(path) if path.is_empty() => true,
            Some(path) => self.below(&path).next().is_some(),
            None => false,
        }
    }

    /// What stands directly in the folder `path`, sorted; `None` when there is no such folder.
    pub fn list(&self, path: &str) -> Option<Vec<Entry>> {
        let path = clean(path)?;
        if !self.is_dir(&path) {
            return None;
        }
        let skip = if path.is_empty() { 0 } else { path.len() + 1 };
        let mut entries: Vec<Entry> = Vec::new();
        for (name, _) in self.below(&path) {
            let rest = name.get(skip..).unwrap_or_default();
            let entry = match rest.split_once('/') {
                Some((dir, _)) => Entry { name: dir.to_string(), is_dir: true },
                None => Entry { name: rest.to_string(), is_dir: false },
            };
            if entries.last() != Some(&entry) {
                entries.push(entry);
            }
        }
        entries.sort();
        entries.dedup();
        Some(entries)
    }

    /// Every file, in order of the paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Arc<File>)> {
        self.0.files.iter().map(|(path, file)| (&**path, file))
    }

    /// Every file at or below the folder `path`, in order.
    pub fn files_below(&self, path: &str) -> impl Iterator<Item = (&str, &Arc<File>)> {
        let path = clean(path).unwrap_or_else(|| "..".to_string());
        self.below_owned(path)
    }

    /// How many files.
    pub fn len(&self) -> usize {
        self.0.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.files.is_empty()
    }

    /// What the origin held that is not in here.
    pub fn skipped(&self) -> &[Skipped] {
        &self.0.skipped
    }

    /// Bytes of all files together.
    pub fn size(&self) -> u64 {
        self.0.files.values().map(|file| file.len()).sum()
    }

    /// The digest of all paths, modes and contents: `sha256:<hex>`. Equal trees have equal digests, wherever
    /// they come from.
    pub fn digest(&self) -> &str {
        self.0.digest.get_or_init(|| {
            let mut hash = Sha256::new();
            for (path, file) in &self.0.files {
                hash.update((path.len() as u64).to_le_bytes());
                hash.update(path.as_bytes());
                hash.update([u8::from(file.executable)]);
                hash.update(file.sha256);
            }
            format!("sha256:{}", hex::encode(hash.finalize()))
        })
    }

    /// The folder `path` as a tree of its own, without copying a byte.
    pub fn subtree(&self, path: &str) -> Result<Tree> {
        let Some(clean) = clean(path) else {
            return Err(Error::Refused(format!("{path}: leaves the source")));
        };
        if clean.is_empty() {
            return Ok(self.clone());
        }
        if !self.is_dir(&clean) {
            return Err(Error::NotFound(format!("{path}: no such folder in the source")));
        }
        let skip = clean.len() + 1;
        let mut builder = Builder::default();
        for (name, file) in self.below(&clean) {
            builder.put(name.get(skip..).unwrap_or_default(), file.clone());
        }
        Ok(builder.build())
    }

    /// The paths that are in only one of the two or differ.
    pub fn changed(&self, other: &Tree) -> Vec<String> {
        let differs = |path: &Arc<str>, file: &Arc<File>, in_tree: &Tree| {
            in_tree
                .0
                .files
                .get(path)
                .is_none_or(|theirs| theirs.sha256 != file.sha256 || theirs.executable != file.executable)
        };
        let mut paths: Vec<String> = Vec::new();
        paths.extend(
            self.0.files.iter().filter(|(path, file)| differs(path, file, other)).map(|(p, _)| p.to_string()),
        );
        paths.extend(
            other
                .0
                .files
                .keys()
                .filter(|path| !self.0.files.contains_key(*path))
                .map(|path| path.to_string()),
        );
        paths.sort();
        paths
    }

    /// The tree without what `ignore` excludes.
    pub fn without(&self, ignore: &Ignore) -> Tree {
        let mut builder = Builder { skipped: self.0.skipped.clone(), ..Builder::default() };
        for (path, file) in &self.0.files {
            if !ignore.excludes(path, false) {
                builder.files.insert(path.clone(), file.clone());
            }
        }
        builder.build()
    }

    /// The tree by the rules of its own `.sourceignore` files and `spec.ignore`.
    pub fn with_source_rules(&self, spec_ignore: Option<&str>) -> Tree {
        let mut rules = Vec::new();
        for (path, file) in self.files() {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            if name == ".sourceignore"
                && let Ok(bytes) = file.bytes()
            {
                rules.push((folder, String::from_utf8_lossy(bytes).into_owned()));
            }
        }
        let rules = rules.iter().map(|(folder, text)| (*folder, text.as_str()));
        self.without(&Ignore::for_source(rules, spec_ignore))
    }

    /// Only the folders of a sparse checkout, and the files beside them at the root.
    pub fn sparse(&self, folders: &[String]) -> Tree {
        if folders.is_empty() {
            return self.clone();
        }
        let folders: Vec<String> = folders.iter().filter_map(|folder| clean(folder)).collect();
        let keeps = |path: &str| {
            !path.contains('/') || folders.iter().any(|folder| folder.is_empty() || is_below(path, folder))
        };
        let mut builder = Builder { skipped: self.0.skipped.clone(), ..Builder::default() };
        for (path, file) in self.0.files.iter().filter(|(path, _)| keeps(path)) {
            builder.files.insert(path.clone(), file.clone());
        }
        builder.build()
    }

    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Arc<File>)> + 'a {
        let from = if path.is_empty() { String::new() } else { format!("{path}/") };
        let prefix = from.clone();
        self.0
            .files
            .range::<str, _>((std::ops::Bound::Included(from.as_str()), std::ops::Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .map(|(name, file)| (&**name, file))
    }

    fn below_owned(&self, path: String) -> impl Iterator<Item = (&str, &Arc<File>)> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.0
            .files
            .range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .map(|(name, file)| (&**name, file))
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tree({} files, {})", self.len(), self.digest())
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for Tree {}

/// Collects files into a tree.
#[derive(Default)]
pub(crate) struct Builder {
    files: BTreeMap<Arc<str>, Arc<File>>,
    skipped: Vec<Skipped>,
    bytes: u64,
}

impl Builder {
    /// Starts from an existing tree.
    pub(crate) fn from_tree(tree: &Tree) -> Self {
        Builder { files: tree.0.files.clone(), skipped: tree.0.skipped.clone(), bytes: tree.size() }
    }

    /// Adds a file at a path from outside.
    pub(crate) fn insert(&mut self, path: &str, file: File) -> Result<()> {
        match clean(path) {
            Some(path) if !path.is_empty() => {
                self.put(&path, Arc::new(file));
                Ok(())
            }
            _ => Err(Error::Refused(format!("{path}: leaves the source"))),
        }
    }

    /// Adds a file at a path that is known to be clean.
    pub(crate) fn put(&mut self, path: &str, file: Arc<File>) {
        self.bytes += file.len();
        self.files.insert(path.into(), file);
    }

    /// Notes something left out.
    pub(crate) fn skip(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.skipped.push(Skipped { path: path.into(), reason: reason.into() });
    }

    /// The file put at `path` so far.
    pub(crate) fn get(&self, path: &str) -> Option<&Arc<File>> {
        self.files.get(path)
    }

    /// Whether something was put below `path`.
    pub(crate) fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || {
            let prefix = format!("{path}/");
            self.files
                .range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded))
                .next()
                .is_some_and(|(name, _)| name.starts_with(&prefix))
        }
    }

    /// Errs when the whole has become larger than allowed.
    pub(crate) fn check(&self, limits: &Limits, origin: &str) -> Result<()> {
        if self.files.len() > limits.entries {
            return Err(Error::Refused(format!(
                "{origin}: more than {} files; leave some out with .sourceignore or spec.ignore",
                limits.entries
            )));
        }
        if self.bytes > limits.total_bytes {
            return Err(Error::Refused(format!(
                "{origin}: more than {} in all; leave some files out with .sourceignore or spec.ignore",
                size(limits.total_bytes)
            )));
        }
        Ok(())
    }

    /// The finished tree.
    pub(crate) fn build(self) -> Tree {
        Tree(Arc::new(Inner { files: self.files, skipped: self.skipped, digest: OnceLock::new() }))
    }
}

/// The path without `.`, empty and trailing parts; `None` when it is absolute, climbs out, or holds NUL or a
/// backslash drive. A leading `./` is fine.
pub(crate) fn clean(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// `sha256:<hex>` of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} bytes"),
        1024..=1_048_575 => format!("{} KiB", bytes / 1024),
        1_048_576..=1_073_741_823 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1u32 << 30)),
    }
}
