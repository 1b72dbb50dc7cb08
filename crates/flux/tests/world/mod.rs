//! What the tests of the engine share.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::time::Duration;

use cluster::{Apply, Cluster};
use controller::{Engine, Snapshot};
use object::{Gvk, Value};
use source::{Fetcher, Maps};
use tokio_util::sync::CancellationToken;

/// The repository's address; the folder is served for it.
pub const URL: &str = "https://git.example.com/org/platform";

/// An embedded API, the engine on it, and a folder that stands for the repository.
pub struct World {
    pub folder: tempfile::TempDir,
    pub cluster: Cluster,
    pub engine: Engine,
    /// Where webhooks are taken.
    pub hooks: std::net::SocketAddr,
    cancel: CancellationToken,
    server: apiserver::Server,
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

impl World {
    /// Starts with these files and a GitRepository and a Kustomization for `clusters/test`.
    pub async fn start(files: &[(&str, &str)]) -> World {
        World::start_with(files, false).await
    }

    /// The same, and workloads become ready when asked for.
    pub async fn start_with(files: &[(&str, &str)], workloads: bool) -> World {
        World::start_as(files, workloads, |_| {}).await
    }

    /// The same, with other settings of the dialect.
    pub async fn start_as(
        files: &[(&str, &str)],
        workloads: bool,
        set: impl FnOnce(&mut flux::Options),
    ) -> World {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            write(folder.path(), file, text);
        }
        let options = apiserver::Options { crds: schema::crds::flux(), ..apiserver::Options::default() };
        let server = apiserver::Server::open(options).await.unwrap();
        let cancel = CancellationToken::new();
        let simulated = simulate::Options {
            ready_delay: Duration::from_millis(20),
            run_delay: Duration::from_millis(20),
            ..simulate::Options::default()
        };
        if workloads {
            tokio::spawn(simulate::run(server.client(), simulated, cancel.clone()));
        }
        let cluster = Cluster::new(server.client());
        let mut maps = Maps::default();
        maps.add(URL, folder.path());
        let fetcher = Fetcher::new(source::Options { maps, ..source::Options::default() }).unwrap();
        let mut settings = flux::Options::new(fetcher);
        set(&mut settings);
        let kinds = flux::kinds(settings);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hooks = listener.local_addr().unwrap();
        flux::notification::start(&cluster, Default::default(), cancel.clone());
        flux::notification::serve(&cluster, Default::default(), listener, cancel.clone());
        let engine = Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.clone());
        for object in flux::bootstrap(URL, "main", "./clusters/test") {
            cluster.apply(&object, &Apply::forced("flux")).await.unwrap();
        }
        World { folder, cluster, engine, hooks, cancel, server }
    }

    /// Writes a file of the repository.
    pub fn write(&self, file: &str, text: &str) {
        write(self.folder.path(), file, text);
    }

    /// Waits until the snapshot is as wanted; prints it when that does not come.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let mut changed = self.engine.changed();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let snapshot = self.engine.snapshot();
            if wanted(&snapshot) {
                return snapshot;
            }
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                panic!("{what} did not come:\n{snapshot:#?}");
            }
        }
    }

    /// Waits until all units are ready.
    pub async fn ready(&self) -> Snapshot {
        self.until("ready", |snapshot| snapshot.units.len() > 1 && snapshot.all_ready()).await
    }

    /// The live object.
    pub async fn live(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.cluster.get(&Gvk::new("", "v1", kind), namespace, name).await.unwrap()
    }

    /// Waits until the live object is as wanted.
    pub async fn live_until(
        &self,
        kind: &str,
        name: &str,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Duration {
        let started = tokio::time::Instant::now();
        loop {
            let found = self.live(kind, "apps", name).await;
            if wanted(found.as_ref()) {
                return started.elapsed();
            }
            let snapshot = || self.engine.snapshot();
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{kind}/{name} is {found:#?}\n{:#?}",
                snapshot()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that anybody but the reader of a Secret can see.
    pub async fn everything_said(&self) -> String {
        let gvk = Gvk::new("", "v1", "Event");
        let events = self.cluster.list(&gvk, &cluster::ListOptions::default()).await.unwrap();
        let units = flux::list(&self.cluster).await.unwrap();
        format!("{events:?}\n{units:?}\n{:?}\n{}", self.engine.snapshot(), self.engine.metrics())
    }

    /// Ends the engine and the API.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.server.shutdown().await;
    }
}
