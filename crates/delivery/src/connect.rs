//! Connections to clusters beside the one that the engine runs in.

use std::time::Duration;

use cluster::Cluster;
use object::Value;

/// For how long a cluster may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a request to another cluster is repeated.
const RETRIES: u32 = 2;

/// How a kubeconfig's current context is reached. What it asks for is done, programs included: whoever takes a
/// kubeconfig from others looks at it before.
///
/// # Errors
/// When it is none, or names what is not there.
pub async fn config(kubeconfig: &Value) -> Result<kube::Config, String> {
    // The error would quote what it could not read, and that may be a secret.
    let read: kube::config::Kubeconfig = serde_json::from_value(kubeconfig.clone())
        .map_err(|_| "it is no kubeconfig: a field has a value of another type".to_owned())?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
        .await
        .map_err(|error| error.to_string())?;
    config.connect_timeout = Some(CONNECT);
    Ok(config)
}

/// A client for it.
///
/// # Errors
/// When its certificates or its user cannot be used.
pub fn client(config: kube::Config) -> Result<kube::Client, String> {
    kube::Client::try_from(config).map_err(|error| error.to_string())
}

/// A cluster behind a client that is not to be waited for longer than its units can stand.
pub fn cluster(client: kube::Client) -> Cluster {
    cluster_within(client, cluster::Limits::default())
}

/// The same, of which only a part is watched.
pub fn cluster_within(client: kube::Client, watched: cluster::Limits) -> Cluster {
    Cluster::with_options(
        client,
        cluster::Options { retries: RETRIES, watched, ..cluster::Options::default() },
    )
}
