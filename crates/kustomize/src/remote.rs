//! Addresses of remote bases: what counts as one, and what it says.

/// A repository's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoSpec {
    raw: String,
    /// What is cloned: scheme, user, host and repository path.
    pub clone: String,
    /// The folder in it.
    pub path: String,
    /// Branch, tag or commit; "" for the default branch.
    pub reference: String,
    /// Fetch submodules too.
    pub submodules: bool,
    /// The wanted time limit as written; "" when none is.
    pub timeout: String,
}

impl RepoSpec {
    /// Takes an address apart; `None` when Kustomize would not take it for a repository.
    pub fn parse(address: &str) -> Option<RepoSpec> {
        if address.starts_with('/') {
            return None;
        }
        let (rest, query) = address.split_once('?').unwrap_or((address, ""));
        let (host, rest) = split_host(rest)?;
        let whole = host.starts_with("file://");
        let (repo, path) = split_repo(&rest, whole)?;
        if repo.is_empty() || leaves(&path) {
            return None;
        }
        let (mut reference, mut version, mut submodules, mut timeout) =
            (String::new(), String::new(), true, String::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value);
            match key {
                "ref" if reference.is_empty() => reference = value,
                "version" if version.is_empty() => version = value,
                "timeout" => timeout = value,
                "submodules" => match value.as_str() {
                    "1" | "t" | "T" | "true" | "TRUE" | "True" => submodules = true,
                    "0" | "f" | "F" | "false" | "FALSE" | "False" => submodules = false,
                    _ => {}
                },
                _ => {}
            }
        }
        let reference = if reference.is_empty() { version } else { reference };
        let path = path.strip_prefix('/').unwrap_or(&path).to_owned();
        Some(RepoSpec {
            raw: address.to_owned(),
            clone: format!("{host}{repo}"),
            path,
            reference,
            submodules,
            timeout,
        })
    }

    /// How long fetching may take: what was written, when it is seconds or a duration; else 27 seconds.
    pub fn time_limit(&self) -> std::time::Duration {
        let seconds = self.timeout.parse::<u64>().ok().filter(|seconds| *seconds > 0);
        match seconds {
            Some(seconds) => std::time::Duration::from_secs(seconds),
            None => {
                let given = gotime::duration::span(&self.timeout).ok().filter(|span| !span.is_zero());
                given.unwrap_or(std::time::Duration::from_secs(27))
            }
        }
    }

    /// The address as written.
    pub fn raw(&self) -> &str {
        &self.raw
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let pair: Vec<u8> = rest.by_ref().take(2).collect();
                let code = std::str::from_utf8(&pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                bytes.push(code.unwrap_or(b'%'));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

/// Scheme, user and host (all that precedes the repository's path), and the rest.
fn split_host(address: &str) -> Option<(String, String)> {
    let address = strip_ignoring_case(address, "git::").unwrap_or(address);
    let (mut scheme, mut rest) = ("", address);
    for one in ["ssh://", "https://", "http://", "file://"] {
        if let Some(after) = strip_ignoring_case(address, one) {
            (scheme, rest) = (one, after);
            break;
        }
    }
    let (user, rest) = split_user(rest);
    let lower = rest.to_ascii_lowercase();
    let github = lower.starts_with("github.com/") || lower.starts_with("github.com:");
    let scp = scheme.is_empty() && (!user.is_empty() || github);
    if scheme.is_empty() && !scp {
        return None;
    }
    if scheme == "file://" {
        return Some((scheme.to_owned(), format!("{user}{rest}")));
    }
    let slash = rest.find('/');
    let separator = match (scp, rest.find(':')) {
        (true, Some(colon)) if slash.is_none_or(|slash| colon > 0 && colon < slash) => Some(colon),
        _ => slash,
    };
    let (host, path) = match separator {
        Some(at) => (rest.get(..=at)?, rest.get(at + 1..)?),
        None => (rest, ""),
    };
    let start = if github {
        if scheme == "ssh://" || !user.is_empty() {
            format!("{user}github.com:")
        } else {
            "https://github.com/".to_owned()
        }
    } else {
        if host.is_empty() {
            return None;
        }
        format!("{scheme}{user}{host}")
    };
    Some((start, path.to_owned()))
}

fn split_user(text: &str) -> (&str, &str) {
    let Some(at) = text.find('@') else { return ("", text) };
    let name = text.get(..at).unwrap_or("");
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if good { text.split_at(at + 1) } else { ("", text) }
}

/// The repository's path and the folder in it.
fn split_repo(path: &str, whole: bool) -> Option<(String, String)> {
    if let Some(at) = path.find("_git/") {
        let head = path.get(..at + 5)?;
        let tail = path.get(at + 5..)?;
        let (name, rest) = tail.split_once('/').unwrap_or((tail, ""));
        return Some((format!("{head}{name}"), rest.to_owned()));
    }
    if let Some((repo, rest)) = path.split_once("//").filter(|(repo, _)| !repo.is_empty()) {
        return Some((repo.to_owned(), rest.to_owned()));
    }
    if let Some(at) = path.find(".git") {
        return Some((path.get(..at + 4)?.to_owned(), path.get(at + 4..)?.to_owned()));
    }
    if whole {
        return Some((path.to_owned(), String::new()));
    }
    let segments: Vec<&str> = path.split('/').collect();
    if segments.len() < 2 {
        return None;
    }
    let (repo, rest) = segments.split_at(2);
    Some((repo.join("/"), rest.join("/")))
}

fn leaves(path: &str) -> bool {
    let clean = clean_relative(path.strip_prefix('/').unwrap_or(path));
    clean == ".." || clean.starts_with("../")
}

/// A relative path without `.`, inner `..` and doubled slashes.
pub(crate) fn clean_relative(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
