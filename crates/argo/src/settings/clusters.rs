//! Clusters: Secrets with the label `argocd.argoproj.io/secret-type: cluster`.

use object::{Value, get, get_str, meta};

use crate::applicationset::secret_text;
use crate::names::SECRET_TYPE;

/// The name of the cluster that an installation runs in.
pub const IN_CLUSTER: &str = "in-cluster";
/// Its address.
pub const LOCAL_SERVER: &str = "https://kubernetes.default.svc";

/// A cluster. How one signs in is never printed.
#[derive(Clone, Default, PartialEq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Its address.
    pub server: String,
    /// The only namespaces that are looked at; empty for all.
    pub namespaces: Vec<String>,
    /// Whether cluster-scoped objects are looked at although namespaces are named.
    pub cluster_resources: bool,
    /// The project that alone may use it; empty for all.
    pub project: String,
    /// The labels of the Secret.
    pub labels: Value,
    /// Its annotations.
    pub annotations: Value,
    config: Value,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// From a Secret; nothing when it is none of a cluster.
    ///
    /// # Errors
    /// When its `config` is malformed.
    pub fn from_secret(secret: &Value) -> Option<Result<Self, String>> {
        if meta::label(secret, SECRET_TYPE) != Some("cluster") {
            return None;
        }
        let text = |key: &str| secret_text(secret, key);
        let config = text("config");
        let config = if config.is_empty() {
            Ok(Value::Null)
        } else {
            serde_json::from_str(&config)
                .map_err(|_| format!("Secret {}: config is no JSON", meta::name(secret)))
        };
        Some(config.map(|config| {
            Cluster {
                name: text("name"),
                server: text("server").trim_end_matches('/').to_owned(),
                namespaces: text("namespaces")
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
                cluster_resources: text("clusterResources") == "true",
                project: text("project"),
                labels: get(secret, &["metadata", "labels"]).cloned().unwrap_or_default(),
                annotations: get(secret, &["metadata", "annotations"]).cloned().unwrap_or_default(),
                config,
            }
        }))
    }

    /// The cluster that the installation runs in.
    pub fn local() -> Self {
        Cluster { name: IN_CLUSTER.to_owned(), server: LOCAL_SERVER.to_owned(), ..Cluster::default() }
    }

    /// One that needs no word on how to sign in.
    pub fn named(name: &str, server: &str) -> Self {
        Cluster { name: name.to_owned(), server: server.to_owned(), ..Cluster::default() }
    }

    /// Whether it is the one that the installation runs in.
    pub fn is_local(&self) -> bool {
        self.server == LOCAL_SERVER
    }

    /// What alone is watched of it.
    pub fn limits(&self) -> cluster::Limits {
        cluster::Limits { namespaces: self.namespaces.clone(), cluster_scoped: self.cluster_resources }
    }

    /// A kubeconfig for it.
    ///
    /// # Errors
    /// When signing in would run a program, or asks AWS: neither is done here.
    pub fn kubeconfig(&self) -> Result<Value, String> {
        if get(&self.config, &["execProviderConfig"]).is_some_and(|found| !found.is_null()) {
            return Err(format!(
                "cluster {}: execProviderConfig would run a program: it is refused",
                self.name
            ));
        }
        if get(&self.config, &["awsAuthConfig"]).is_some_and(|found| !found.is_null()) {
            return Err(format!(
                "cluster {}: awsAuthConfig is not supported: use a token or a certificate",
                self.name
            ));
        }
        let text = |path: &[&str]| get_str(&self.config, path).unwrap_or_default().to_owned();
        let tls = |key: &str| text(&["tlsClientConfig", key]);
        let mut cluster = serde_json::json!({ "server": self.server });
        let mut user = serde_json::json!({});
        let put = |into: &mut Value, key: &str, value: String| {
            if !value.is_empty()
                && let Some(map) = into.as_object_mut()
            {
                map.insert(key.to_owned(), Value::String(value));
            }
        };
        put(&mut cluster, "certificate-authority-data", tls("caData"));
        put(&mut cluster, "tls-server-name", tls("serverName"));
        put(&mut cluster, "proxy-url", text(&["proxyUrl"]));
        if get(&self.config, &["tlsClientConfig", "insecure"]) == Some(&Value::Bool(true)) {
            object::set(&mut cluster, &["insecure-skip-tls-verify"], Value::Bool(true));
        }
        put(&mut user, "token", text(&["bearerToken"]));
        put(&mut user, "username", text(&["username"]));
        put(&mut user, "password", text(&["password"]));
        put(&mut user, "client-certificate-data", tls("certData"));
        put(&mut user, "client-key-data", tls("keyData"));
        Ok(serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": self.name,
            "clusters": [{ "name": self.name, "cluster": cluster }],
            "users": [{ "name": self.name, "user": user }],
            "contexts": [{ "name": self.name, "context": { "cluster": self.name, "user": self.name } }],
        }))
    }
}
