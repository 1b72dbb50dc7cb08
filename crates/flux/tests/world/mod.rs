//! What the tests of the engine share.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::ops::Deref;
use std::time::Duration;

use cluster::Apply;
use controller::{Engine, Snapshot};
use object::{Gvk, Value};
use scenario::Site;

/// A site with the engine and Flux's kinds on it.
pub struct World {
    pub site: Site,
    pub engine: Engine,
    /// Where webhooks are taken.
    pub hooks: std::net::SocketAddr,
}

impl Deref for World {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
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
        let site = Site::start(schema::crds::flux(), files, workloads).await;
        let (cluster, cancel) = (&site.cluster, &site.cancel);
        let mut settings = flux::Options::new(site.fetcher());
        set(&mut settings);
        let kinds = flux::kinds(settings);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hooks = listener.local_addr().unwrap();
        flux::notification::start(cluster, Default::default(), cancel.clone());
        let door = flux::notification::door(cluster, Default::default());
        tokio::spawn(delivery::doors::serve(vec![door], listener, cancel.clone()));
        let engine = Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.clone());
        for object in flux::bootstrap(scenario::URL, "main", "./clusters/test") {
            cluster.apply(&object, &Apply::forced("flux")).await.unwrap();
        }
        World { site, engine, hooks }
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
        self.site.stop().await;
    }
}
