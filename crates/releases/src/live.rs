//! What charts see of the cluster.

use std::cell::Cell;

use cluster::{Cluster, ListOptions};
use helm::{Capabilities, KubeVersion};
use jiff::Timestamp;
use object::{Gvk, Value};
use serde_json::json;
use tokio::runtime::Handle;

/// What the cluster can do, as charts may ask.
pub async fn capabilities(cluster: &Cluster) -> Result<Capabilities, cluster::Error> {
    let version = cluster.server_version().await?;
    let api_versions = cluster.api_versions().await?;
    let text = |field: &str| version.get(field).and_then(Value::as_str).unwrap_or_default();
    Ok(Capabilities {
        kube_version: KubeVersion::of_server(text("gitVersion"), text("major"), text("minor")),
        api_versions: api_versions.iter().cloned().collect(),
        ..Capabilities::default()
    })
}

/// The live cluster as templates see it. To be used on a blocking thread.
pub struct Live {
    cluster: Cluster,
    runtime: Handle,
    now: Timestamp,
    seed: [u8; 32],
    drawn: Cell<u64>,
    hosts: Option<fn(&str) -> String>,
}

impl Live {
    /// The cluster at a time. Passwords that templates make are not guessable.
    pub fn new(cluster: Cluster, runtime: Handle, now: Timestamp) -> Live {
        Live { cluster, runtime, now, seed: rand::random(), drawn: Cell::new(0), hosts: None }
    }

    /// The same with somebody who knows the addresses of hosts.
    #[must_use]
    pub fn with_hosts(self, hosts: Option<fn(&str) -> String>) -> Self {
        Live { hosts, ..self }
    }
}

impl helm::World for Live {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        let gvk = Gvk::from_api_version(api_version, kind);
        let cluster = self.cluster.clone();
        if !name.is_empty() {
            let found = self.runtime.block_on(cluster.get(&gvk, namespace, name));
            return found.map(Option::unwrap_or_default).map_err(|error| error.to_string());
        }
        let options = ListOptions { namespace: namespace.to_owned(), ..ListOptions::default() };
        match self.runtime.block_on(cluster.list(&gvk, &options)) {
            Ok(items) => {
                Ok(json!({"apiVersion": api_version, "kind": format!("{kind}List"), "items": items}))
            }
            Err(error) if error.kind == cluster::ErrorKind::MissingKind => Ok(Value::Null),
            Err(error) => Err(error.to_string()),
        }
    }

    fn random(&self, bytes: &mut [u8]) {
        helm::fill_random(&self.seed, &self.drawn, bytes);
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn host_by_name(&self, name: &str) -> String {
        self.hosts.map(|hosts| hosts(name)).unwrap_or_default()
    }
}
