//! Who leads: one of several processes, by a Lease, with the rules that Kubernetes' own controllers follow.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Error, ErrorKind};
use object::{Gvk, Value, get, get_i64, get_str};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Which lease, and how long it holds.
#[derive(Clone)]
pub struct LeaseOptions {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are; must be another one in each process.
    pub identity: String,
    /// Others wait so long after the last renewal.
    pub duration: Duration,
    /// Whoever could not renew for so long leads no more.
    pub deadline: Duration,
    /// The pause between two tries.
    pub retry: Duration,
    /// The clock whose time is written down. How long something is ago is measured without it.
    pub clock: Arc<dyn Clock>,
}

impl LeaseOptions {
    /// Flux's times: 35, 30 and 5 seconds.
    pub fn new(namespace: &str, name: &str, identity: &str, clock: Arc<dyn Clock>) -> LeaseOptions {
        LeaseOptions {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(35),
            deadline: Duration::from_secs(30),
            retry: Duration::from_secs(5),
            clock,
        }
    }
}

/// Leads until it is lost or given back.
pub struct Leader {
    /// Fires when somebody else may lead now.
    pub lost: CancellationToken,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Leader {
    /// Gives the lease back, so that the next one need not wait.
    pub async fn release(self) {
        self.stop.cancel();
        // A task that panicked gave nothing back; the lease then runs out.
        let _ended = self.task.await;
    }
}

/// What was last seen of the Lease, and since when it is so.
struct Seen {
    spec: Value,
    since: Instant,
}

struct Elector {
    cluster: Cluster,
    options: LeaseOptions,
    seen: Option<Seen>,
}

fn gvk() -> Gvk {
    Gvk::new("coordination.k8s.io", "v1", "Lease")
}

/// Waits until we lead; `None` when `cancel` fires before.
pub async fn lead(cluster: &Cluster, options: LeaseOptions, cancel: &CancellationToken) -> Option<Leader> {
    let mut elector = Elector { cluster: cluster.clone(), options, seen: None };
    loop {
        match elector.attempt().await {
            Ok(true) => break,
            Ok(false) => tracing::debug!(lease = elector.options.name, "somebody else leads"),
            Err(error) => tracing::warn!(lease = elector.options.name, %error, "the lease cannot be taken"),
        }
        tokio::select! {
            () = cancel.cancelled() => return None,
            () = tokio::time::sleep(elector.options.retry) => {}
        }
    }
    tracing::info!(lease = elector.options.name, identity = elector.options.identity, "leads");
    let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
    let task = tokio::spawn(keep(elector, lost.clone(), stop.clone()));
    Some(Leader { lost, stop, task })
}

async fn keep(mut elector: Elector, lost: CancellationToken, stop: CancellationToken) {
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                if let Err(error) = elector.release().await {
                    tracing::warn!(%error, "the lease was not given back");
                }
                return;
            }
            () = tokio::time::sleep(elector.options.retry) => {}
        }
        let left = elector.options.deadline.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, elector.attempt()).await {
            Ok(Ok(true)) => renewed = Instant::now(),
            Ok(Ok(false)) => tracing::warn!("the lease is somebody else's"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not renewed"),
            Err(_) => tracing::warn!("the lease was not renewed in time"),
        }
        if renewed.elapsed() >= elector.options.deadline || !elector.is_ours() {
            tracing::error!(lease = elector.options.name, "lost the lead");
            lost.cancel();
            return;
        }
    }
}

impl Elector {
    fn is_ours(&self) -> bool {
        let holder = self.seen.as_ref().and_then(|seen| get_str(&seen.spec, &["holderIdentity"]));
        holder.is_none_or(|holder| holder == self.options.identity)
    }

    /// Takes or renews the lease, if it is free, run out or ours.
    async fn attempt(&mut self) -> Result<bool, Error> {
        let options = self.options.clone();
        let live = self.cluster.get(&gvk(), &options.namespace, &options.name).await?;
        let Some(live) = live else {
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"namespace": options.namespace, "name": options.name}, "spec": self.spec(None)});
            return self.taken(self.cluster.create(&lease, "landfall").await);
        };
        let spec = live.get("spec").cloned().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|seen| seen.spec != spec) {
            self.seen = Some(Seen { spec: spec.clone(), since: Instant::now() });
        }
        let holder = get_str(&spec, &["holderIdentity"]).unwrap_or_default();
        let lasts = get_i64(&spec, &["leaseDurationSeconds"]).and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = lasts.map_or(options.duration, Duration::from_secs);
        let held = self.seen.as_ref().is_some_and(|seen| seen.since.elapsed() < lasts);
        if !holder.is_empty() && holder != options.identity && held {
            return Ok(false);
        }
        // With its version: whoever is faster wins.
        let mut next = live;
        next["spec"] = self.spec(Some(&spec));
        self.taken(self.cluster.replace(&next, "landfall").await)
    }

    fn taken(&mut self, done: Result<Value, Error>) -> Result<bool, Error> {
        match done {
            Ok(live) => {
                let spec = get(&live, &["spec"]).cloned().unwrap_or_default();
                self.seen = Some(Seen { spec, since: Instant::now() });
                Ok(true)
            }
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::AlreadyExists) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> String {
        self.options.clock.now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
    }

    fn spec(&self, before: Option<&Value>) -> Value {
        let ours = before.filter(|spec| get_str(spec, &["holderIdentity"]) == Some(&self.options.identity));
        let acquired = ours.and_then(|spec| get_str(spec, &["acquireTime"]));
        let changes = before.and_then(|spec| get_i64(spec, &["leaseTransitions"])).unwrap_or(0);
        json!({
            "holderIdentity": self.options.identity,
            "leaseDurationSeconds": self.options.duration.as_secs(),
            "acquireTime": acquired.map_or_else(|| self.now(), str::to_owned),
            "renewTime": self.now(),
            "leaseTransitions": if before.is_some() && ours.is_none() { changes + 1 } else { changes },
        })
    }

    async fn release(&mut self) -> Result<(), Error> {
        let Some(mut live) = self.cluster.get(&gvk(), &self.options.namespace, &self.options.name).await?
        else {
            return Ok(());
        };
        if get_str(&live, &["spec", "holderIdentity"]) != Some(&self.options.identity) {
            return Ok(());
        }
        let changes = get_i64(&live, &["spec", "leaseTransitions"]).unwrap_or(0);
        // Kubernetes takes no lease of zero seconds.
        live["spec"] = json!({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": changes,
            "acquireTime": self.now(), "renewTime": self.now()});
        self.cluster.replace(&live, "landfall").await.map(|_| ())
    }
}
