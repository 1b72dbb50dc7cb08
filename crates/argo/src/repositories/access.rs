//! What lets us into repositories: Secrets of their addresses and templates, certificates and host keys of servers.

use std::collections::{BTreeMap, BTreeSet};

use cluster::{Cluster, ListOptions};
use delivery::fields::string_map;
use object::{Gvk, Value};
use source::{Credentials, Proxy};
use url::Url;

use super::{Repositories, comparable, lock, plain};
use crate::names;
use crate::settings::{self, Repository};

/// Certificates of servers, by their names.
const CERTIFICATES: &str = "argocd-tls-certs-cm";
/// Host keys of servers.
const HOSTS: &str = "argocd-ssh-known-hosts-cm";

/// How to be let in.
#[derive(Default)]
pub(super) struct Access {
    pub credentials: Credentials,
    pub oci: bool,
    /// Is the registry asked over plain HTTP?
    pub plain_http: bool,
}

impl Access {
    /// Registries are named without a scheme.
    pub fn helm_url(&self, url: &str) -> String {
        if !url.contains("://") || (self.oci && !url.starts_with("oci://")) {
            let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
            return format!("oci://{bare}");
        }
        url.to_owned()
    }
}

/// Whose Secrets count: of addresses and of templates that are read or written with.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Read,
    Write,
}

/// The projects that have a repository of their own at an address; `None` while nobody looked.
pub(super) type Owners = Option<BTreeMap<String, BTreeSet<String>>>;

impl Repositories {
    /// How a project is let into a repository: by its own Secret of that address or the one for all, and by the template
    /// with the longest beginning of it.
    pub(super) async fn access(
        &self,
        cluster: &Cluster,
        url: &str,
        project: &str,
        purpose: Use,
    ) -> Result<Access, String> {
        let secrets = self.secrets(cluster, purpose).await?;
        let repository = secrets.find(url, project);
        let mut access = self.open(&repository).await?;
        if let Use::Read = purpose {
            *lock(&self.owners) = Some(owners(&secrets));
        }
        self.trust(cluster, url, &repository, &mut access.credentials).await?;
        Ok(access)
    }

    async fn secrets(&self, cluster: &Cluster, purpose: Use) -> Result<settings::Repositories, String> {
        let types = match purpose {
            Use::Read => "repository,repo-creds",
            Use::Write => "repository-write,repo-write-creds",
        };
        let options = ListOptions {
            namespace: self.home.clone(),
            labels: format!("{} in ({types})", names::SECRET_TYPE),
            ..ListOptions::default()
        };
        let secrets = cluster.list(&Gvk::new("", "v1", "Secret"), &options).await;
        let secrets = secrets.map_err(|error| format!("cannot read the Secrets of repositories: {error}"))?;
        Ok(settings::Repositories::from_secrets(&secrets, matches!(purpose, Use::Write)))
    }

    /// The project whose credentials an address is fetched with: none where they are the same for all, so that all share
    /// one fetch.
    ///
    /// # Errors
    /// When Secrets cannot be read.
    pub(super) async fn owner(&self, cluster: &Cluster, url: &str, project: &str) -> Result<String, String> {
        if project.is_empty() || self.fetcher.maps().find(&plain(url)).is_some() || url.starts_with("file://")
        {
            return Ok(String::new());
        }
        if lock(&self.owners).is_none() {
            let secrets = self.secrets(cluster, Use::Read).await?;
            *lock(&self.owners) = Some(owners(&secrets));
        }
        let known = lock(&self.owners);
        let own = known.as_ref().and_then(|known| known.get(&comparable(url)));
        Ok(own.filter(|projects| projects.contains(project)).map(|_| project.to_owned()).unwrap_or_default())
    }

    /// What lets us into a repository; nothing where nobody said so.
    ///
    /// # Errors
    /// With the line for people.
    pub async fn credentials(
        &self,
        cluster: &Cluster,
        url: &str,
        project: &str,
    ) -> Result<Credentials, String> {
        Ok(self.access(cluster, url, project, Use::Read).await?.credentials)
    }

    /// The same for what a render fetches: what is mapped needs none.
    ///
    /// # Errors
    /// With the line for people.
    pub async fn remote(&self, cluster: &Cluster, url: &str, project: &str) -> Result<Credentials, String> {
        if self.fetcher.maps().find(&plain(url)).is_some() {
            return Ok(Credentials::default());
        }
        self.credentials(cluster, url, project).await
    }

    /// What lets us write to a repository: Argo CD keeps that apart from what lets it read.
    ///
    /// # Errors
    /// With the line for people.
    pub async fn write_credentials(
        &self,
        cluster: &Cluster,
        url: &str,
        project: &str,
    ) -> Result<Credentials, String> {
        Ok(self.access(cluster, url, project, Use::Write).await?.credentials)
    }

    /// The same from a Secret with the fields of a repository's.
    ///
    /// # Errors
    /// With the line for people.
    pub async fn open_secret(&self, secret: &Value) -> Result<Credentials, String> {
        Ok(self.open(&Repository::of_secret(secret)).await?.credentials)
    }

    async fn open(&self, repository: &Repository) -> Result<Access, String> {
        let given = &repository.credentials;
        let url = &repository.url;
        for (there, field) in [
            (!given.gcp_service_account.is_empty(), "gcpServiceAccountKey"),
            (given.azure, "azureServicePrincipalClientId or useAzureWorkloadIdentity"),
        ] {
            if there {
                return Err(format!(
                    "{url}: signing in by {field} is not done here: use a password, a token or a key"
                ));
            }
        }
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let bytes = |part: &str| text(part).map(String::into_bytes);
        let mut credentials = Credentials {
            username: text(&given.username),
            password: text(&given.password),
            bearer_token: text(&given.bearer_token),
            identity: bytes(&given.ssh_private_key),
            cert: bytes(&given.tls_cert),
            key: bytes(&given.tls_key),
            any_certificate: repository.insecure,
            proxy: proxy(&given.proxy, &given.no_proxy, url),
            ..Credentials::default()
        };
        if let Some((id, installation, key)) = &given.github_app {
            let mut data = BTreeMap::from([
                ("githubAppID".to_owned(), id.clone().into_bytes()),
                ("githubAppPrivateKey".to_owned(), key.clone().into_bytes()),
            ]);
            for (name, value) in
                [("githubAppInstallationID", installation), ("githubAppBaseURL", &given.github_enterprise)]
            {
                if !value.is_empty() {
                    data.insert(name.to_owned(), value.clone().into_bytes());
                }
            }
            let token = self.fetcher.github_app(&data, &credentials).await;
            credentials =
                token.map_err(|error| format!("failed to get a token of the GitHub App: {error}"))?;
        }
        Ok(Access { credentials, oci: repository.oci, plain_http: repository.plain_http })
    }

    /// Adds whom the installation trusts: the certificate of the server's name, or the host keys.
    async fn trust(
        &self,
        cluster: &Cluster,
        url: &str,
        repository: &Repository,
        credentials: &mut Credentials,
    ) -> Result<(), String> {
        if repository.insecure {
            return Ok(());
        }
        let Ok(address) = Url::parse(&plain(url)) else { return Ok(()) };
        let read = async |name: &str| {
            let found = cluster.get(&Gvk::new("", "v1", "ConfigMap"), &self.home, name).await;
            let found =
                found.map_err(|error| format!("cannot read ConfigMap {}/{name}: {error}", self.home))?;
            Ok::<_, String>(found.map(|map| string_map(&map, &["data"])).unwrap_or_default())
        };
        match address.scheme() {
            "https" | "oci" => {
                let host = address.host_str().unwrap_or_default();
                let found = read(CERTIFICATES).await?.remove(host).filter(|pem| !pem.trim().is_empty());
                credentials.ca = found.map(String::into_bytes);
            }
            "ssh" => {
                let found = read(HOSTS).await?.remove("ssh_known_hosts");
                if found.is_none() && credentials.identity.is_some() {
                    return Err(format!(
                        "{url}: nobody says which host key is the right one: ConfigMap {}/{HOSTS} is missing \
                         (ssh_known_hosts), or insecure: \"true\" in the repository's Secret",
                        self.home
                    ));
                }
                credentials.known_hosts = found.map(String::into_bytes);
            }
            _ => {}
        }
        Ok(())
    }
}

fn owners(secrets: &settings::Repositories) -> BTreeMap<String, BTreeSet<String>> {
    let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for repository in secrets.known().iter().filter(|repository| !repository.project.is_empty()) {
        owners.entry(comparable(&repository.url)).or_default().insert(repository.project.clone());
    }
    owners
}

/// The proxy of a repository, unless its host is one that the proxy is not for.
fn proxy(address: &str, not_for: &str, url: &str) -> Option<Proxy> {
    let host = Url::parse(&plain(url)).ok().and_then(|url| url.host_str().map(str::to_lowercase));
    let host = host.unwrap_or_default();
    let spared = not_for.split(',').map(|one| one.trim().to_lowercase()).any(|one| {
        let bare = one.trim_start_matches("*.").trim_start_matches('.');
        let below = host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'));
        !bare.is_empty() && (bare == "*" || below || (host == bare && !one.starts_with('.')))
    });
    (!address.is_empty() && !spared).then(|| Proxy { address: address.to_owned(), ..Proxy::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_not_for_all() {
        let through = |not_for: &str| proxy("http://proxy:1", not_for, "https://git.example.com/a").is_some();
        assert!(through(""));
        assert!(through("example.org, git.example"));
        assert!(!through("example.com"));
        assert!(!through("*.example.com"));
        assert!(!through("git.example.com,other"));
        assert!(!through("*"));
        assert!(proxy("", "", "https://x").is_none());
    }
}
