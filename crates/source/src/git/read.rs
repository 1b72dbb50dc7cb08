//! Reading a local object database: references to commits, commits to trees.

use super::Reference;
use crate::ignore::Ignore;
use crate::tree::{Builder, File, size};
use crate::{Error, Limits, Result, Tree};
use gix::bstr::ByteSlice;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Opens the repository at exactly this folder, with nothing of the user's own configuration that could run
/// programs.
pub(crate) fn open(path: &Path) -> Result<gix::Repository> {
    gix::open_opts(path, gix::open::Options::isolated()).map_err(|error| {
        Error::Invalid(format!("{}: is not a Git repository: {}", path.display(), explain(&error)))
    })
}

/// An error of Git's with all its causes, on one line.
pub(crate) fn explain(error: &gix::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.iter_errors() {
        let text = cause.to_string();
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// `sha1:<hex>` or `sha256:<hex>` of a commit.
pub(crate) fn digest_of(id: gix::ObjectId) -> String {
    let hex = id.to_hex().to_string();
    format!("{}:{hex}", if hex.len() == 40 { "sha1" } else { "sha256" })
}

/// Finds the commit of a reference in a local repository: the name for the revision, and the commit.
pub(crate) fn resolve(repository: &gix::Repository, wanted: &Reference) -> Result<(String, gix::ObjectId)> {
    let place = repository.git_dir().display().to_string();
    if let Some(commit) = &wanted.commit {
        let id = object_id(commit)?;
        let missing = || Error::NotFound(format!("{place}: has no commit {commit}"));
        let commit =
            repository.find_object(id).map_err(|_| missing())?.peel_to_commit().map_err(|_| missing())?;
        return Ok((wanted.branch.clone().unwrap_or_default(), commit.id));
    }
    if let Some(name) = &wanted.name {
        return Ok((name.clone(), by_name(repository, &[name], &format!("reference {name}"))?));
    }
    if let Some(range) = &wanted.semver {
        let tags = names(repository, "refs/tags/");
        let tag = wanted.best(range, &tags)?.ok_or_else(|| {
            Error::NotFound(format!("{place}: no tag is in the range {range}{}", have("tags", &tags)))
        })?;
        return Ok((tag.to_string(), by_name(repository, &[&format!("refs/tags/{tag}")], &tag)?));
    }
    if let Some(tag) = &wanted.tag {
        return Ok((
            tag.clone(),
            by_name(repository, &[&format!("refs/tags/{tag}")], &format!("tag {tag}"))?,
        ));
    }
    let branch = wanted.branch.as_deref().unwrap_or("master");
    // In a clone that only tracks the branch it is under the remote's name.
    let places = [format!("refs/heads/{branch}"), format!("refs/remotes/origin/{branch}")];
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    Ok((branch.to_string(), by_name(repository, &places, &format!("branch {branch}"))?))
}

fn by_name(repository: &gix::Repository, places: &[&str], what: &str) -> Result<gix::ObjectId> {
    for place in places {
        match repository.try_find_reference(*place) {
            Ok(Some(mut reference)) => return peel(&mut reference, what),
            Ok(None) => {}
            Err(error) => return Err(Error::Invalid(format!("{what}: {}", explain(&error)))),
        }
    }
    let branches = names(repository, "refs/heads/");
    let list = have("branches", &branches);
    Err(Error::NotFound(format!("{}: has no {what}{list}", repository.git_dir().display())))
}

/// Follows symbolic references and annotated tags to the commit.
pub(crate) fn peel(reference: &mut gix::Reference<'_>, what: &str) -> Result<gix::ObjectId> {
    reference
        .peel_to_commit()
        .map(|commit| commit.id)
        .map_err(|error| Error::Invalid(format!("{what}: does not lead to a commit: {}", explain(&error))))
}

/// `; it has the tags a, b and 3 more`, for the error that something is missing.
pub(crate) fn have(what: &str, names: &[String]) -> String {
    match names {
        [] => format!("; it has no {what}"),
        names if names.len() <= 8 => format!("; it has the {what} {}", names.join(", ")),
        names => {
            let shown = names.iter().rev().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("; it has the {what} {shown} and {} more", names.len() - 8)
        }
    }
}

fn names(repository: &gix::Repository, prefix: &str) -> Vec<String> {
    let Ok(platform) = repository.references() else { return Vec::new() };
    let Ok(all) = platform.prefixed(prefix) else { return Vec::new() };
    all.filter_map(|reference| {
        let name = reference.ok()?.name().as_bstr().to_str_lossy().into_owned();
        name.strip_prefix(prefix).map(String::from)
    })
    .collect()
}

/// Reads hex digits.
pub(crate) fn object_id(hex: &str) -> Result<gix::ObjectId> {
    gix::ObjectId::from_hex(hex.as_bytes())
        .map_err(|_| Error::Invalid(format!("commit {hex:?} is not a full SHA of 40 hexadecimal digits")))
}

/// A submodule of a tree: where it stands and the commit it is pinned to.
pub(crate) struct Submodule {
    pub(crate) path: String,
    pub(crate) commit: gix::ObjectId,
}

/// The addresses of the submodules of a commit, by path.
pub(crate) fn submodule_urls(
    repository: &gix::Repository,
    commit: gix::ObjectId,
) -> Result<BTreeMap<String, String>> {
    let broken =
        |error: gix::error::Error| Error::Other(format!("commit {commit}: .gitmodules: {}", explain(&error)));
    let tree = repository.find_object(commit).map_err(broken)?.peel_to_tree().map_err(broken)?;
    let Some(entry) = tree.lookup_entry_by_path(".gitmodules").map_err(broken)? else {
        return Ok(BTreeMap::new());
    };
    let text = entry.object().map_err(broken)?.detach().data;
    let mut urls = BTreeMap::new();
    let (mut path, mut url) = (None, None);
    let text = String::from_utf8_lossy(&text);
    for line in text.lines().map(str::trim).chain(["["]) {
        if line.starts_with('[') {
            if let (Some(path), Some(url)) = (path.take(), url.take()) {
                urls.insert(path, url);
            }
            continue;
        }
        match line
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"').to_string()))
        {
            Some(("path", value)) => path = Some(value),
            Some(("url", value)) => url = Some(value),
            _ => {}
        }
    }
    Ok(urls)
}

/// The files of a commit.
pub(crate) fn tree_of(
    repository: &gix::Repository,
    commit: gix::ObjectId,
    spec_ignore: Option<&str>,
    limits: &Limits,
) -> Result<Tree> {
    Ok(tree_and_submodules(repository, commit, spec_ignore, limits)?.0)
}

/// The files of a commit, and its submodules, which are not among them.
pub(crate) fn tree_and_submodules(
    repository: &gix::Repository,
    commit: gix::ObjectId,
    spec_ignore: Option<&str>,
    limits: &Limits,
) -> Result<(Tree, Vec<Submodule>)> {
    let broken = |error: gix::error::Error| Error::Other(format!("commit {commit}: {}", explain(&error)));
    let tree = repository.find_object(commit).map_err(broken)?.peel_to_tree().map_err(broken)?;
    let entries = tree.traverse().breadthfirst.files().map_err(broken)?;
    let blob =
        |id: gix::ObjectId| repository.find_object(id).map_err(broken).map(|object| object.detach().data);
    let mut rules = Vec::new();
    for entry in &entries {
        let path = entry.filepath.to_str_lossy();
        if entry.mode.is_blob() && (path == ".sourceignore" || path.ends_with("/.sourceignore")) {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_string();
            rules.push((folder, String::from_utf8_lossy(&blob(entry.oid)?).into_owned()));
        }
    }
    let ignore = Ignore::for_source(rules.iter().map(|(a, b)| (a.as_str(), b.as_str())), spec_ignore);
    let mut builder = Builder::default();
    let mut submodules = Vec::new();
    for entry in entries {
        let Ok(path) = entry.filepath.to_str() else {
            builder.skip(entry.filepath.to_str_lossy(), "its name is not UTF-8");
            continue;
        };
        if crate::tree::clean(path).as_deref() != Some(path) {
            return Err(Error::Refused(format!("commit {commit}: the path {path:?} leaves the tree")));
        }
        if entry.mode.is_commit() {
            submodules.push(Submodule { path: path.to_string(), commit: entry.oid });
            builder.skip(path, "submodule");
        } else if entry.mode.is_link() {
            let target = String::from_utf8_lossy(&blob(entry.oid)?).into_owned();
            builder.skip(path, format!("symbolic link to {target}"));
        } else if entry.mode.is_blob() && !ignore.excludes(path, false) {
            let length = repository.find_header(entry.oid).map_err(broken)?.size();
            let file = if length > limits.file_bytes {
                let most = size(limits.file_bytes);
                File::problem(
                    format!("{} is more than the {most} that one file may have", size(length)),
                    &length.to_string(),
                )
            } else {
                File::new(blob(entry.oid)?, entry.mode.is_executable())
            };
            builder.put(path, Arc::new(file));
            builder.check(limits, &format!("commit {commit}"))?;
        }
    }
    Ok((builder.build(), submodules))
}
