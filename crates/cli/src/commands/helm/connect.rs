//! Which cluster a verb talks to, and in which namespace.

use super::Settings;
use anyhow::Context as _;
use cluster::Cluster;
use helm::release::Holder;
use releases::Storage;

/// The field manager of everything that is written.
pub const MANAGER: &str = "helm";

/// A cluster and the namespace that is meant.
pub struct Connection {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace: given, or the context's.
    pub namespace: String,
    /// What holds the releases.
    pub holder: Holder,
}

/// The storage driver that `HELM_DRIVER` names.
fn holder() -> anyhow::Result<Holder> {
    let driver = std::env::var("HELM_DRIVER").unwrap_or_default();
    match driver.as_str() {
        "" | "secret" | "secrets" => Ok(Holder::Secret),
        "configmap" | "configmaps" => Ok(Holder::ConfigMap),
        "memory" => anyhow::bail!(
            "HELM_DRIVER=memory is not supported: it would forget the release at once; use `helm template` to try a chart"
        ),
        "sql" => {
            anyhow::bail!("HELM_DRIVER=sql is not supported: releases are kept in Secrets or ConfigMaps")
        }
        other => anyhow::bail!("unknown driver \"{other}\" in HELM_DRIVER"),
    }
}

impl Connection {
    /// The stored revisions of a release.
    pub fn storage(&self, name: &str) -> Storage {
        Storage {
            cluster: self.cluster.clone(),
            holder: self.holder,
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            manager: MANAGER,
        }
    }
}

impl Settings {
    /// Connects: to the cluster that flags or `KUBECONFIG` name, else to the embedded one that runs for this
    /// folder, else to that of the user's kubeconfig.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let holder = holder()?;
        let target = &self.target;
        let named = target.is_real()
            || self.cluster.names_one()
            || std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
        let embedded = target.state.is_some() || !named && target.embedded_here()?;
        let (client, own) = match embedded {
            true => (target.client().await?, None),
            false => real(self, named).await?,
        };
        let namespace = self.namespace.clone().or(own).unwrap_or_else(|| "default".into());
        let cluster = Cluster::new(client);
        cluster
            .server_version()
            .await
            .map_err(|error| anyhow::anyhow!("Kubernetes cluster unreachable: {error}"))?;
        Ok(Connection { cluster, namespace, holder })
    }
}

async fn real(told: &Settings, named: bool) -> anyhow::Result<(kube::Client, Option<String>)> {
    let target = &told.target;
    let mut config = match target.real_config().await {
        Ok(config) => config,
        // The address alone is enough.
        Err(_) if told.cluster.names_one() => kube::Config::new("https://localhost".parse()?),
        // Without any kubeconfig the only embedded cluster that runs is meant.
        Err(error) if !named => {
            let client = target.client().await;
            return Ok((client.with_context(|| format!("{error:#}"))?, None));
        }
        Err(error) => return Err(error.context("Kubernetes cluster unreachable")),
    };
    told.cluster.over(&mut config)?;
    let namespace = config.default_namespace.clone();
    let client = kube::Client::try_from(config).context("cannot make a client from the kubeconfig")?;
    Ok((client, Some(namespace)))
}
