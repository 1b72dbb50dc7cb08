//! Repositories and credentials: Secrets with the label `argocd.argoproj.io/secret-type`.

use object::{Value, meta};

use crate::applicationset::secret_text;
use crate::names::SECRET_TYPE;
use crate::project::{normalize_url, same_repository};

/// How somebody signs in at a repository. Nothing of it is ever printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password or token.
    pub password: String,
    /// Bearer token.
    pub bearer_token: String,
    /// Private key.
    pub ssh_private_key: String,
    /// Client certificate.
    pub tls_cert: String,
    /// Its key.
    pub tls_key: String,
    /// A GitHub App: its ID, installation and key.
    pub github_app: Option<(String, String, String)>,
    /// Address of a GitHub Enterprise server's API.
    pub github_enterprise: String,
    /// Service account of Google Cloud.
    pub gcp_service_account: String,
    /// Whether a service principal or an identity of Azure signs in.
    pub azure: bool,
    /// Proxy.
    pub proxy: String,
    /// Whom the proxy is not for.
    pub no_proxy: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Credentials {
    fn of(secret: &Value) -> Self {
        let text = |key: &str| secret_text(secret, key);
        let app = (text("githubAppID"), text("githubAppInstallationID"), text("githubAppPrivateKey"));
        Credentials {
            username: text("username"),
            password: text("password"),
            bearer_token: text("bearerToken"),
            ssh_private_key: text("sshPrivateKey"),
            tls_cert: text("tlsClientCertData"),
            tls_key: text("tlsClientCertKey"),
            github_app: (!app.0.is_empty()).then_some(app),
            github_enterprise: text("githubAppEnterpriseBaseUrl"),
            gcp_service_account: text("gcpServiceAccountKey"),
            azure: text("useAzureWorkloadIdentity") == "true"
                || !text("azureServicePrincipalClientId").is_empty(),
            proxy: text("proxy"),
            no_proxy: text("noProxy"),
        }
    }

    /// Whether nobody is named: then the credentials of a prefix count.
    pub fn is_anonymous(&self) -> bool {
        [
            &self.username,
            &self.password,
            &self.bearer_token,
            &self.ssh_private_key,
            &self.tls_cert,
            &self.gcp_service_account,
        ]
        .iter()
        .all(|text| text.is_empty())
            && self.github_app.is_none()
            && !self.azure
    }
}

/// A repository that is known by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its address.
    pub url: String,
    /// `git`, `helm` or `oci`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The project that alone may use it; empty for all.
    pub project: String,
    /// Whether certificates and host keys are not checked.
    pub insecure: bool,
    /// Whether charts come from an OCI registry.
    pub oci: bool,
    /// Whether a registry is asked over plain HTTP.
    pub plain_http: bool,
    /// How to sign in.
    pub credentials: Credentials,
}

/// All repositories and credentials.
#[derive(Debug, Clone, Default)]
pub struct Repositories {
    known: Vec<Repository>,
    /// Credentials for all addresses that begin so.
    prefixes: Vec<Repository>,
}

impl Repositories {
    /// From Secrets; those of other types are left out. `write` takes what the source hydrator pushes with.
    pub fn from_secrets<'a>(secrets: impl IntoIterator<Item = &'a Value>, write: bool) -> Self {
        let (known, prefixes) =
            if write { ("repository-write", "repo-write-creds") } else { ("repository", "repo-creds") };
        let mut all = Repositories::default();
        for secret in secrets {
            let kind = meta::label(secret, SECRET_TYPE).unwrap_or_default();
            if kind == known {
                all.known.push(repository(secret));
            } else if kind == prefixes {
                all.prefixes.push(repository(secret));
            }
        }
        all
    }

    /// The repository of an address as a project may use it: its own first, then one for all. Where nobody is named in
    /// it, the credentials of the longest prefix count.
    pub fn find(&self, url: &str, project: &str) -> Repository {
        let same: Vec<&Repository> =
            self.known.iter().filter(|repository| same(&repository.url, url)).collect();
        let own = same.iter().find(|repository| repository.project == project && !project.is_empty());
        let found = own.or_else(|| same.iter().find(|repository| repository.project.is_empty()));
        let mut repository = match found {
            Some(found) => (*found).clone(),
            None => Repository { url: url.to_owned(), ..Repository::default() },
        };
        if repository.credentials.is_anonymous()
            && let Some(prefix) = self.prefix(url)
        {
            let (proxy, no_proxy) =
                (repository.credentials.proxy.clone(), repository.credentials.no_proxy.clone());
            repository.credentials = prefix.credentials.clone();
            if !proxy.is_empty() {
                repository.credentials.proxy = proxy;
                repository.credentials.no_proxy = no_proxy;
            }
            repository.insecure |= prefix.insecure;
            repository.plain_http |= prefix.plain_http;
            repository.oci |= prefix.oci;
            if repository.kind.is_empty() {
                repository.kind.clone_from(&prefix.kind);
            }
        }
        repository
    }

    fn prefix(&self, url: &str) -> Option<&Repository> {
        let url = normalize_url(url);
        self.prefixes
            .iter()
            .filter(|prefix| url.starts_with(&normalize_url(&prefix.url)))
            .max_by_key(|prefix| normalize_url(&prefix.url).len())
    }

    /// All repositories that are known by name.
    pub fn known(&self) -> &[Repository] {
        &self.known
    }
}

impl Repository {
    /// From a Secret with these fields.
    pub fn of_secret(secret: &Value) -> Repository {
        repository(secret)
    }
}

/// One repository? Addresses of chart repositories may end with a slash.
fn same(a: &str, b: &str) -> bool {
    same_repository(a.trim_end_matches('/'), b.trim_end_matches('/'))
}

fn repository(secret: &Value) -> Repository {
    let text = |key: &str| secret_text(secret, key);
    Repository {
        url: text("url"),
        kind: text("type"),
        name: text("name"),
        project: text("project"),
        insecure: text("insecure") == "true" || text("insecureIgnoreHostKey") == "true",
        oci: text("enableOCI") == "true",
        plain_http: text("insecureOCIForceHttp") == "true",
        credentials: Credentials::of(secret),
    }
}
