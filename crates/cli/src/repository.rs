//! The repository that `landfall up` was pointed at: its files, its names, its settings.

use crate::entry::{self, Entry, Files};
use crate::errors::usage;
use anyhow::Context;
use object::Value;
use source::{Limits, Maps, Tree, WorkingCopy};
use std::path::{Path, PathBuf};

/// An opened repository.
pub struct Repository {
    /// The folder, absolute.
    pub root: PathBuf,
    /// Its files now.
    pub tree: Tree,
    /// What it calls itself: the URLs of its Git remotes, or its own `file://` URL.
    pub urls: Vec<String>,
    /// The branch that is checked out.
    pub branch: String,
}

impl Files for Tree {
    fn paths(&self) -> Vec<String> {
        self.files().map(|(path, _)| path.to_owned()).collect()
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        Tree::read(self, path).ok().map(|bytes| bytes.to_vec())
    }
}

/// A Git remote as a URL: `git@host:path` is short for `ssh://git@host/path`, a path for `file://`.
fn address(remote: &str) -> String {
    match remote.split_once(':') {
        _ if remote.contains("://") => remote.to_owned(),
        Some((host, path)) if !host.contains('/') => format!("ssh://{host}/{}", path.trim_start_matches('/')),
        _ => format!("file://{remote}"),
    }
}

impl Repository {
    /// Opens a folder: a Git checkout or a plain one.
    pub fn open(path: &Path) -> anyhow::Result<Repository> {
        let shown = path.display();
        let text = path.to_string_lossy();
        if text.contains("://") || text.starts_with("git@") {
            return Err(usage(format!(
                "{shown} is an address; clone it first: git clone {shown} repository && landfall up repository"
            )));
        }
        let root = path.canonicalize().map_err(|error| {
            usage(format!("{shown}: {error}; give the folder of a repository: landfall up REPO"))
        })?;
        if !root.is_dir() {
            return Err(usage(format!(
                "{shown} is a file; give the folder of a repository: landfall up REPO"
            )));
        }
        let mut copy =
            WorkingCopy::at(root.clone(), Limits::default()).map_err(|error| usage(error.to_string()))?;
        let snapshot = copy.snapshot(None).map_err(|error| usage(error.to_string()))?;
        if snapshot.tree.is_empty() {
            return Err(usage(format!("{shown} is empty: there is nothing to deliver in it")));
        }
        let urls: Vec<String> = copy.remote_urls().iter().map(|url| address(url)).collect();
        let branch = copy.branch().unwrap_or_else(|| "main".to_owned());
        let urls = if urls.is_empty() { vec![format!("file://{}", root.display())] } else { urls };
        Ok(Repository { root, tree: snapshot.tree, urls, branch })
    }

    /// The entry point: the one named, or the only one there is.
    pub fn entry(&self, path: Option<&str>, shown: &str) -> anyhow::Result<Entry> {
        if let Some(path) = path {
            return entry::entry_at(&self.tree, path)
                .ok_or_else(|| usage(format!("{shown} has no folder {path}; {}", self.suggestion(shown))));
        }
        let mut entries = entry::entries(&self.tree);
        match (entries.len(), entries.pop()) {
            (1, Some(only)) => Ok(only),
            (0, _) | (_, None) => Err(usage(format!(
                "{shown} holds nothing that can be delivered: no cluster folder, kustomization, chart or manifest; \
                 name a folder with --path DIR"
            ))),
            (count, Some(_)) => {
                Err(usage(format!("{shown} has {count} entry points; {}", self.suggestion(shown))))
            }
        }
    }

    fn suggestion(&self, shown: &str) -> String {
        let commands: Vec<String> = entry::entries(&self.tree)
            .iter()
            .map(|entry| format!("  landfall up {shown} --path {}", entry.path))
            .collect();
        if commands.is_empty() {
            return "and no other entry point was found".to_owned();
        }
        format!("choose one:\n{}", commands.join("\n"))
    }

    /// `maps` of the repository's `landfall.yaml`, then those of the command line, which win.
    pub fn maps(&self, lines: &[String]) -> anyhow::Result<Maps> {
        let mut maps = Maps::default();
        if let Ok(bytes) = Tree::read(&self.tree, SETTINGS) {
            let text =
                String::from_utf8(bytes.to_vec()).map_err(|_| usage(format!("{SETTINGS}: is not UTF-8")))?;
            let settings = yaml::from_str(&text).map_err(|error| usage(format!("{SETTINGS}: {error}")))?;
            for (url, path) in settings.get("maps").and_then(Value::as_object).into_iter().flatten() {
                let path =
                    path.as_str().ok_or_else(|| usage(format!("{SETTINGS}: maps: {url}: give a path")))?;
                maps.add(url, self.root.join(path));
            }
        }
        let here = std::env::current_dir().context("the current folder")?;
        for line in lines {
            maps.add_line(line, &here).map_err(|error| usage(error.to_string()))?;
        }
        Ok(maps)
    }
}

/// Settings of a repository.
const SETTINGS: &str = "landfall.yaml";

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn remotes_are_urls() {
        for (remote, url) in [
            ("https://example.com/a/b.git", "https://example.com/a/b.git"),
            ("git@example.com:a/b.git", "ssh://git@example.com/a/b.git"),
            ("/srv/git/b", "file:///srv/git/b"),
        ] {
            assert_eq!(address(remote), url);
        }
    }
}
