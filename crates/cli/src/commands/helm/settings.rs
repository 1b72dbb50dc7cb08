//! Where `helm` keeps its files.

use anyhow::Context;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The flags that say where files are; they win over variables.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Places {
    /// The file with the logins of registries
    #[arg(long, global = true, value_name = "FILE")]
    pub registry_config: Option<PathBuf>,
    /// The file with the repositories that go by a name
    #[arg(long, global = true, value_name = "FILE")]
    pub repository_config: Option<PathBuf>,
    /// The folder of the indexes that were fetched
    #[arg(long, global = true, value_name = "DIR")]
    pub repository_cache: Option<PathBuf>,
}

static PLACES: OnceLock<Places> = OnceLock::new();

/// Notes the flags, once for the process.
pub fn note(places: Places) {
    // A second call would be one of a test; the first counts.
    let _noted = PLACES.set(places);
}

fn flag(pick: impl Fn(&Places) -> &Option<PathBuf>) -> Option<PathBuf> {
    PLACES.get().and_then(|places| pick(places).clone()).filter(|path| !path.as_os_str().is_empty())
}

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

/// The folder of the settings.
pub fn config() -> anyhow::Result<PathBuf> {
    folder("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config")
}

/// The folder of what can be fetched again.
pub fn cache_home() -> anyhow::Result<PathBuf> {
    folder("HELM_CACHE_HOME", "XDG_CACHE_HOME", ".cache")
}

/// The folder of data.
pub fn data_home() -> anyhow::Result<PathBuf> {
    folder("HELM_DATA_HOME", "XDG_DATA_HOME", ".local/share")
}

/// The file of the repositories that were added.
pub fn repositories() -> anyhow::Result<PathBuf> {
    match flag(|places| &places.repository_config).or_else(|| file("HELM_REPOSITORY_CONFIG")) {
        Some(path) => Ok(path),
        None => Ok(config()?.join("repositories.yaml")),
    }
}

/// The file of the logins.
pub fn registry_config() -> anyhow::Result<PathBuf> {
    match flag(|places| &places.registry_config).or_else(|| file("HELM_REGISTRY_CONFIG")) {
        Some(path) => Ok(path),
        None => Ok(config()?.join("registry/config.json")),
    }
}

/// Docker's file of logins.
pub fn docker_config() -> Option<PathBuf> {
    let folder = file("DOCKER_CONFIG").or_else(|| Some(file("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// Where GnuPG keeps public keys.
pub fn keyring() -> String {
    let folder = file("GNUPGHOME").or_else(|| Some(file("HOME")?.join(".gnupg"))).unwrap_or_default();
    folder.join("pubring.gpg").display().to_string()
}

/// The folder of the indexes.
pub fn cache() -> anyhow::Result<PathBuf> {
    match flag(|places| &places.repository_cache).or_else(|| file("HELM_REPOSITORY_CACHE")) {
        Some(path) => Ok(path),
        None => Ok(cache_home()?.join("repository")),
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
