//! The place where a dialect is tried.

use std::path::Path;
use std::time::Duration;

use cluster::Cluster;
use object::Value;
use source::{Fetcher, Maps};
use tokio_util::sync::CancellationToken;

/// The repository's address; the folder is served for it.
pub const URL: &str = "https://git.example.com/org/platform";

/// An embedded API, and a folder that stands for the repository.
pub struct Site {
    /// The repository.
    pub folder: tempfile::TempDir,
    /// The API.
    pub cluster: Cluster,
    /// Ends the engine that works here.
    pub cancel: CancellationToken,
    server: apiserver::Server,
}

impl Site {
    /// Starts with these definitions and files. With `workloads` they become ready when asked for.
    ///
    /// # Panics
    /// When the API does not start or a file cannot be written.
    pub async fn start(crds: Vec<Value>, files: &[(&str, &str)], workloads: bool) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let options = apiserver::Options { crds, ..apiserver::Options::default() };
        let server = apiserver::Server::open(options).await.expect("an API");
        let cancel = CancellationToken::new();
        if workloads {
            let simulated = simulate::Options {
                ready_delay: Duration::from_millis(20),
                run_delay: Duration::from_millis(20),
                ..simulate::Options::default()
            };
            tokio::spawn(simulate::run(server.client(), simulated, cancel.clone()));
        }
        let site = Site { folder, cluster: Cluster::new(server.client()), cancel, server };
        files.iter().for_each(|(file, text)| site.write(file, text));
        site
    }

    /// What fetches the repository from its folder.
    ///
    /// # Panics
    /// When there is no room for what is fetched.
    pub fn fetcher(&self) -> Fetcher {
        let mut maps = Maps::default();
        maps.add(URL, self.folder.path());
        Fetcher::new(source::Options { maps, ..source::Options::default() }).expect("a fetcher")
    }

    /// Writes a file of the repository.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Serves the API over loopback.
    ///
    /// # Panics
    /// When it cannot be served.
    pub async fn serve(&self) -> apiserver::Serving {
        let any = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        self.server.serve(any).await.expect("served")
    }

    /// Ends the engine and the API.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.server.shutdown().await;
    }
}
