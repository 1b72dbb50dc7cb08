//! `--map URL=PATH`: remote addresses served from disk, or from another address.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Which addresses are served from which paths. The longest matching address wins; an address also matches
/// everything below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maps {
    entries: Vec<Map>,
    /// Addresses in the comparable form, and the address asked in their place.
    mirrors: Vec<(String, String)>,
}

/// One line of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    /// The address, in the comparable form.
    pub(crate) key: String,
    /// A folder, an archive or a mirror.
    pub(crate) path: PathBuf,
}

/// What an address is served from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The path of the map.
    pub path: PathBuf,
    /// What the address has beyond the mapped one (`charts/podinfo`); empty when it is the address itself.
    pub rest: String,
}

impl Maps {
    /// Adds one `URL=PATH`; relative paths are seen from `base`. A path with a scheme is a mirror.
    pub fn add_line(&mut self, line: &str, base: &Path) -> Result<()> {
        // A URL may hold `=` in its query; a path after the last one is what people mean.
        let Some((url, path)) = line.rsplit_once('=') else {
            return Err(Error::Invalid(format!(
                "--map {line}: must be URL=PATH, for example --map https://github.com/org/repo=../repo"
            )));
        };
        if url.is_empty() || path.is_empty() {
            return Err(Error::Invalid(format!(
                "--map {line}: the {} is empty",
                if url.is_empty() { "URL" } else { "path" }
            )));
        }
        if is_address(path) {
            let key = key(url);
            self.mirrors.retain(|(known, _)| *known != key);
            self.mirrors.push((key, path.trim_end_matches('/').to_owned()));
            return Ok(());
        }
        let path = base.join(path);
        if !path.exists() {
            return Err(Error::Invalid(format!("--map {line}: {} does not exist", path.display())));
        }
        self.add(url, path);
        Ok(())
    }

    /// Adds one entry; a later one for the same address wins.
    pub fn add(&mut self, url: &str, path: impl Into<PathBuf>) {
        let key = key(url);
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Map { key, path: path.into() });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.mirrors.is_empty()
    }

    /// The address to ask in place of `url`: that of the longest matching mirror, unless a path serves it.
    pub fn redirect(&self, url: &str) -> Option<String> {
        let wanted = key(url);
        // One step only: what a mirror is asked for is not mirrored again.
        if self.mirrors.iter().any(|(_, address)| wanted.starts_with(&key(address))) {
            return None;
        }
        let found = self.mirrors.iter().filter_map(|(key, address)| {
            let rest = wanted.strip_prefix(key.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (key.len(), format!("{address}{rest}")))
        });
        let (length, address) = found.max_by_key(|(length, _)| *length)?;
        let by_path = self.find(url).map(|mapped| wanted.len().saturating_sub(mapped.rest.len()));
        (by_path.is_none_or(|by_path| by_path < length)).then_some(address)
    }

    /// The maps of addresses below `url`: what each adds to it, and where it leads.
    pub(crate) fn below(&self, url: &str) -> Vec<(String, Mapped)> {
        let wanted = key(url);
        self.entries
            .iter()
            .filter_map(|entry| {
                let rest = entry.key.strip_prefix(&wanted)?.strip_prefix('/')?;
                Some((rest.to_string(), Mapped { path: entry.path.clone(), rest: String::new() }))
            })
            .collect()
    }

    /// What serves `url`, if anything does.
    pub fn find(&self, url: &str) -> Option<Mapped> {
        let wanted = key(url);
        self.entries
            .iter()
            .filter_map(|entry| {
                let rest = wanted.strip_prefix(&entry.key)?;
                let rest = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
                Some((entry.key.len(), Mapped { path: entry.path.clone(), rest: rest.to_string() }))
            })
            .max_by_key(|(length, _)| *length)
            .map(|(_, mapped)| mapped)
    }
}

/// Has it a scheme of its own that remote sources have?
fn is_address(path: &str) -> bool {
    ["http://", "https://", "oci://", "ssh://"].iter().any(|scheme| path.starts_with(scheme))
}

/// The map to give for an address that cannot be reached.
pub(crate) fn hint(url: &str) -> String {
    let url = match url.split_once("://") {
        Some((scheme, rest)) => match rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path)) {
            (host, path) if host.contains('@') && scheme != "ssh" => {
                format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or(host))
            }
            _ => url.to_string(),
        },
        None => url.to_string(),
    };
    let what = if url.starts_with("oci://") { "ARCHIVE-OR-FOLDER" } else { "FOLDER-OR-ARCHIVE" };
    format!("--map {url}={what}")
}

/// The comparable form of an address: no user, no `.git`, no trailing slash, no default port, the host in
/// lower case, and one spelling for `ssh://git@host/x`, `git@host:x` and `https://host/x`, which name the
/// same repository.
pub(crate) fn key(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest.to_string()),
        None => match scp(url) {
            Some(rest) => ("ssh".to_string(), rest),
            None => return trim(url).to_string(),
        },
    };
    if scheme == "file" {
        return trim(&rest).to_string();
    }
    let (authority, path) = rest.split_once('/').unwrap_or((&rest, ""));
    let host = authority.rsplit('@').next().unwrap_or(authority).to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        "ssh" => ":22",
        _ => "",
    };
    let host = if default.is_empty() { host.as_str() } else { host.strip_suffix(default).unwrap_or(&host) };
    let family = if scheme == "oci" { "oci://" } else { "" };
    trim(&format!("{family}{host}/{path}")).to_string()
}

fn trim(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git").unwrap_or(path)
}

/// `git@host:org/repo` as `git@host/org/repo`.
fn scp(url: &str) -> Option<String> {
    let (host, path) = url.split_once(':')?;
    let plausible = host.contains('@') && !host.contains('/') && !path.starts_with("//");
    plausible.then(|| format!("{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_one_key() {
        for url in [
            "https://github.com/org/repo",
            "https://github.com/org/repo.git",
            "https://user:secret@GitHub.com:443/org/repo/",
            "ssh://git@github.com/org/repo.git",
            "ssh://git@github.com:22/org/repo",
            "git@github.com:org/repo.git",
            "http://github.com/org/repo",
        ] {
            assert_eq!(key(url), "github.com/org/repo", "{url}");
        }
        assert_eq!(key("oci://Ghcr.io/org/x"), "oci://ghcr.io/org/x");
        assert_eq!(key("file:///a/b.git/"), "/a/b");
    }

    #[test]
    fn mirrors_are_asked_once_and_paths_come_first() {
        let mut maps = Maps::default();
        let here = Path::new("/");
        maps.add_line("https://x.io/a=http://127.0.0.1:1/m/", here).unwrap();
        maps.add_line("oci://x.io/c=oci://127.0.0.1:2/c", here).unwrap();
        maps.add_line("oci://127.0.0.1:2=oci://x.io/c", here).unwrap();
        maps.add("https://x.io/a/b", "/two");
        assert_eq!(maps.redirect("https://x.io/a/c.git").as_deref(), Some("http://127.0.0.1:1/m/c"));
        assert_eq!(maps.redirect("https://x.io/a").as_deref(), Some("http://127.0.0.1:1/m"));
        assert_eq!(maps.redirect("https://x.io/ab"), None);
        assert_eq!(maps.redirect("https://x.io/a/b/c"), None);
        assert_eq!(maps.redirect("oci://x.io/c/d"), None);
        assert_eq!(maps.redirect("http://127.0.0.1:1/m/c"), None);
    }

    #[test]
    fn longest_prefix_wins() {
        let mut maps = Maps::default();
        maps.add("https://x.io/a", "/one");
        maps.add("https://x.io/a/b", "/two");
        maps.add("oci://x.io/a", "/three");
        let found = |url: &str| maps.find(url).map(|mapped| (mapped.path.display().to_string(), mapped.rest));
        assert_eq!(found("https://x.io/a/c/d"), Some(("/one".into(), "c/d".into())));
        assert_eq!(found("https://x.io/a/b.git"), Some(("/two".into(), String::new())));
        assert_eq!(found("oci://x.io/a/b"), Some(("/three".into(), "b".into())));
        assert_eq!(found("https://x.io/ab"), None);
        assert!(maps.add_line("nonsense", Path::new("/")).is_err());
        assert!(
            maps.add_line("https://x=/no/such/path", Path::new("/"))
                .expect_err("missing")
                .to_string()
                .contains("not exist")
        );
    }
}
