//! Where `helm` keeps its files.

use anyhow::Context;
use std::path::PathBuf;

/// A folder named by a variable, or one below the home folder.
fn folder(own: &str, shared: &str, below: &str) -> anyhow::Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set(own) {
        return Ok(path);
    }
    let base = set(shared).or_else(|| Some(set("HOME")?.join(below)));
    Ok(base.with_context(|| format!("neither {own} nor HOME is set"))?.join("helm"))
}

fn file(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The file of the repositories that were added.
pub fn repositories() -> anyhow::Result<PathBuf> {
    match file("HELM_REPOSITORY_CONFIG") {
        Some(path) => Ok(path),
        None => Ok(folder("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config")?.join("repositories.yaml")),
    }
}

fn cache() -> anyhow::Result<PathBuf> {
    match file("HELM_REPOSITORY_CACHE") {
        Some(path) => Ok(path),
        None => Ok(folder("HELM_CACHE_HOME", "XDG_CACHE_HOME", ".cache")?.join("repository")),
    }
}

/// The index of a repository as it was fetched last.
pub fn cached_index(name: &str) -> anyhow::Result<PathBuf> {
    Ok(cache()?.join(format!("{name}-index.yaml")))
}

/// The names of its charts.
pub fn cached_names(name: &str) -> anyhow::Result<PathBuf> {
    Ok(cache()?.join(format!("{name}-charts.txt")))
}
