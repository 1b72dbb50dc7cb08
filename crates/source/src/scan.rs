//! Reading a folder into a tree, again and again, at the price of what changed.

use crate::ignore::Ignore;
use crate::tree::{Builder, File, size};
use crate::{Error, Limits, Result, Tree};
use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What was read before, by path: a file whose size, times and inode are the same is not read again.
#[derive(Default)]
pub struct StatCache {
    files: HashMap<String, Cached>,
}

struct Cached {
    stamp: Stamp,
    /// A file changed within the clock's grain of being read may change again without its stamp changing.
    settled: bool,
    file: Arc<File>,
}

#[derive(PartialEq, Eq, Clone, Copy)]
struct Stamp {
    size: u64,
    modified: i128,
    changed: i128,
    inode: u64,
    mode: u32,
}

/// Longer than the grain of any file system's clock in use.
const GRAIN: Duration = Duration::from_secs(2);

/// What Git knows of a checkout: its tracked files are content even when a `.gitignore` names them.
pub(crate) struct GitView {
    files: HashSet<String>,
    folders: HashSet<String>,
    /// Patterns outside the checkout's own files (`.git/info/exclude`).
    exclude: String,
}

impl GitView {
    pub(crate) fn new(tracked: impl Iterator<Item = String>, exclude: String) -> Self {
        let files: HashSet<String> = tracked.collect();
        let mut folders = HashSet::new();
        for path in &files {
            for (at, _) in path.match_indices('/') {
                if let Some(folder) = path.get(..at) {
                    folders.insert(folder.to_string());
                }
            }
        }
        GitView { files, folders, exclude }
    }
}

impl Tree {
    /// Reads a folder with Flux's ignore rules (`spec_ignore` is `spec.ignore`).
    pub fn from_dir(dir: &Path, spec_ignore: Option<&str>, limits: &Limits) -> Result<Tree> {
        scan(dir, spec_ignore, limits, &mut StatCache::default(), None)
    }
}

/// Reads `dir`; `cache` carries what the previous reading of the same folder found.
pub(crate) fn scan(
    dir: &Path,
    spec_ignore: Option<&str>,
    limits: &Limits,
    cache: &mut StatCache,
    git: Option<&GitView>,
) -> Result<Tree> {
    let mut walk =
        Walk { limits, git, found: Vec::new(), builder: Builder::default(), gitignore: Ignore::default() };
    if let Some(git) = git {
        walk.gitignore.add("", &git.exclude);
    }
    walk.folder(dir, "", 0)?;
    let Walk { found, mut builder, .. } = walk;
    let now = SystemTime::now();
    let mut rules = Vec::new();
    for (path, full, metadata) in &found {
        if path == ".sourceignore" || path.ends_with("/.sourceignore") {
            let file = cache.read(path, full, metadata, limits, now);
            let text = file.bytes().map_err(|reason| Error::io(full, reason))?;
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
            rules.push((folder, String::from_utf8_lossy(text).into_owned()));
        }
    }
    let ignore = Ignore::for_source(rules.iter().map(|(a, b)| (a.as_str(), b.as_str())), spec_ignore);
    for (path, full, metadata) in &found {
        if !ignore.excludes(path, false) {
            builder.put(path, cache.read(path, full, metadata, limits, now));
            builder.check(limits, &dir.display().to_string())?;
        }
    }
    let seen: HashSet<&str> = found.iter().map(|(path, _, _)| path.as_str()).collect();
    cache.files.retain(|path, _| seen.contains(path.as_str()));
    Ok(builder.build())
}

impl StatCache {
    fn read(
        &mut self,
        path: &str,
        full: &Path,
        metadata: &Metadata,
        limits: &Limits,
        now: SystemTime,
    ) -> Arc<File> {
        let stamp = Stamp::of(metadata);
        if let Some(cached) = self.files.get(path)
            && cached.settled
            && cached.stamp == stamp
        {
            return cached.file.clone();
        }
        let mut file = Arc::new(read_file(full, metadata, limits));
        if let Some(cached) = self.files.get(path)
            && cached.file.sha256() == file.sha256()
            && cached.file.executable == file.executable
        {
            file = cached.file.clone();
        }
        let settled = metadata
            .modified()
            .ok()
            .and_then(|modified| now.duration_since(modified).ok())
            .is_some_and(|age| age > GRAIN);
        self.files.insert(path.to_string(), Cached { stamp, settled, file: file.clone() });
        file
    }
}

fn read_file(full: &Path, metadata: &Metadata, limits: &Limits) -> File {
    let length = metadata.len();
    if length > limits.file_bytes {
        let reason =
            format!("{} is more than the {} that one file may have", size(length), size(limits.file_bytes));
        return File::problem(reason, &length.to_string());
    }
    match std::fs::read(full) {
        Ok(bytes) => File::new(bytes, is_executable(metadata)),
        Err(error) => {
            File::problem(format!("cannot be read: {error}; check the permissions of {}", full.display()), "")
        }
    }
}

struct Walk<'a> {
    limits: &'a Limits,
    git: Option<&'a GitView>,
    found: Vec<(String, PathBuf, Metadata)>,
    builder: Builder,
    gitignore: Ignore,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<()> {
        if depth > self.limits.depth {
            return Err(Error::Refused(format!(
                "{}: nested deeper than {} folders",
                dir.display(),
                self.limits.depth
            )));
        }
        if self.git.is_some() {
            match std::fs::read_to_string(dir.join(".gitignore")) {
                Ok(text) => self.gitignore.add(prefix, &text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(dir.join(".gitignore"), error)),
            }
        }
        let entries = std::fs::read_dir(dir).map_err(|error| Error::io(dir, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(dir, error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                self.builder.skip(format!("{prefix}/{}", name.to_string_lossy()), "its name is not UTF-8");
                continue;
            };
            if name == ".git" {
                continue;
            }
            let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
            // A file that vanishes between the listing and here is simply gone.
            match entry.metadata() {
                Ok(metadata) => self.entry(path, entry.path(), metadata, depth)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(entry.path(), error)),
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: String, full: PathBuf, metadata: Metadata, depth: usize) -> Result<()> {
        if self.ignored_by_git(&path, metadata.is_dir()) {
            return Ok(());
        }
        if metadata.is_dir() {
            return match self.folder(&full, &path, depth + 1) {
                Err(Error::Io { cause, .. }) if !full.exists() => {
                    tracing::debug!(path, cause, "vanished while it was read");
                    Ok(())
                }
                result => result,
            };
        }
        if metadata.is_symlink() {
            let target =
                std::fs::read_link(&full).map(|target| target.display().to_string()).unwrap_or_default();
            self.builder.skip(path, format!("symbolic link to {target}"));
            return Ok(());
        }
        if !metadata.is_file() {
            self.builder.skip(path, "not a regular file");
            return Ok(());
        }
        if self.found.len() >= self.limits.entries {
            return Err(Error::Refused(format!(
                "{}: more than {} files; leave some out with .gitignore",
                full.display(),
                self.limits.entries
            )));
        }
        self.found.push((path, full, metadata));
        Ok(())
    }

    fn ignored_by_git(&self, path: &str, is_dir: bool) -> bool {
        let Some(git) = self.git else { return false };
        let tracked = if is_dir { git.folders.contains(path) } else { git.files.contains(path) };
        !tracked && self.gitignore.excludes(path, is_dir)
    }
}

#[cfg(unix)]
impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Stamp {
            size: metadata.len(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            mode: metadata.mode(),
        }
    }
}

#[cfg(not(unix))]
impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified =
            metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |time| time.as_nanos() as i128);
        Stamp { size: metadata.len(), modified, changed: 0, inode: 0, mode: 0 }
    }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}
