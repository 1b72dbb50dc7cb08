//! What the tests of the engine share.

use std::path::Path;
use std::time::Duration;

use cluster::{Apply, Cluster};
use controller::Engine;
use object::Value;
use serde_json::json;
use source::{Fetcher, Maps};
use tokio_util::sync::CancellationToken;

/// The repository's address; the folder is served for it.
pub const URL: &str = "https://git.example.com/org/platform";

/// An embedded API, the engine on it, and a folder that stands for the repository.
pub struct World {
    pub folder: tempfile::TempDir,
    pub cluster: Cluster,
    cancel: CancellationToken,
    server: apiserver::Server,
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl World {
    /// Starts with these files and the namespace of an installation. Workloads are simulated.
    pub async fn start(files: &[(&str, &str)]) -> World {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            write(folder.path(), file, text);
        }
        let options = apiserver::Options { crds: schema::crds::argo(), ..apiserver::Options::default() };
        let server = apiserver::Server::open(options).await.unwrap();
        let cancel = CancellationToken::new();
        let simulated = simulate::Options {
            ready_delay: Duration::from_millis(20),
            run_delay: Duration::from_millis(20),
            ..simulate::Options::default()
        };
        tokio::spawn(simulate::run(server.client(), simulated, cancel.clone()));
        let cluster = Cluster::new(server.client());
        let namespace: Value =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}});
        cluster.apply(&namespace, &Apply::forced("somebody")).await.unwrap();
        let mut maps = Maps::default();
        maps.add(URL, folder.path());
        let fetcher = Fetcher::new(source::Options { maps, ..source::Options::default() }).unwrap();
        let kinds = argo::kinds(argo::Options::new(fetcher));
        Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.clone());
        World { folder, cluster, cancel, server }
    }

    /// Writes a file of the repository.
    pub fn write(&self, file: &str, text: &str) {
        write(self.folder.path(), file, text);
    }

    /// Ends the engine and the API.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.server.shutdown().await;
    }
}
