//! The loads: applies and creates from many connections, lists, watch fan-out.

use super::client::{APPLY, Connection, JSON, Lines, Target};
use anyhow::{Context, bail};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections that write what the watchers see.
const WRITERS: usize = 10;
/// Longer than any server needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a set of requests took, in all and each.
pub struct Timing {
    /// From the first request to the last answer.
    pub wall: Duration,
    /// Of every single request, sorted.
    each: Vec<Duration>,
}

impl Timing {
    /// The time that `percent` of all requests did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.each.len() * percent / 100).min(self.each.len().saturating_sub(1));
        self.each.get(at).copied().unwrap_or_default()
    }
}

/// A request that is ready to be sent.
struct Job {
    method: Method,
    path: String,
    media: &'static str,
    body: Bytes,
}

/// Makes a namespace.
pub async fn namespace(target: &Arc<Target>, name: &str) -> anyhow::Result<()> {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut connection = Connection::open(target).await?;
    connection.ask(Method::POST, "/api/v1/namespaces", JSON, body.to_string().into()).await?;
    Ok(())
}

/// Server-side applies of `apps` times a ConfigMap, a ServiceAccount, a Service and a Deployment.
pub async fn applies(
    target: &Arc<Target>,
    connections: usize,
    apps: usize,
    revision: &str,
) -> anyhow::Result<Timing> {
    let mut jobs: Vec<Vec<Job>> = (0..connections).map(|_| Vec::new()).collect();
    for app in 0..apps {
        if let Some(list) = jobs.get_mut(app % connections) {
            list.extend(app_jobs(app, revision));
        }
    }
    run(target, jobs).await
}

fn app_jobs(app: usize, revision: &str) -> Vec<Job> {
    let name = format!("app-{app}");
    let meta = json!({"name": name, "namespace": "bare", "labels": {"app": name}});
    let container = json!({
        "name": "main",
        "image": format!("ghcr.io/example/app:{revision}"),
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    });
    let objects = [
        (
            "/api/v1",
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"rev": revision, "color": "blue"}}),
        ),
        (
            "/api/v1",
            "serviceaccounts",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}),
        ),
        (
            "/api/v1",
            "services",
            json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
        ),
        (
            "/apis/apps/v1",
            "deployments",
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": {"app": name}}, "spec": {"serviceAccountName": name, "containers": [container]}}}}),
        ),
    ];
    objects
        .into_iter()
        .map(|(base, resource, body)| Job {
            method: Method::PATCH,
            path: format!("{base}/namespaces/bare/{resource}/{name}?fieldManager=bare&force=true"),
            media: APPLY,
            body: body.to_string().into(),
        })
        .collect()
}

/// Creates of ConfigMaps of 300 bytes.
pub async fn creates(target: &Arc<Target>, connections: usize, count: usize) -> anyhow::Result<Timing> {
    let mut jobs: Vec<Vec<Job>> = (0..connections).map(|_| Vec::new()).collect();
    for number in 0..count {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("load-{number}")}, "data": {"text": "x".repeat(300)}});
        if let Some(list) = jobs.get_mut(number % connections) {
            list.push(Job {
                method: Method::POST,
                path: "/api/v1/namespaces/load/configmaps".to_owned(),
                media: JSON,
                body: body.to_string().into(),
            });
        }
    }
    run(target, jobs).await
}

/// Every list of jobs on a connection of its own, all at once.
async fn run(target: &Arc<Target>, jobs: Vec<Vec<Job>>) -> anyhow::Result<Timing> {
    let mut ready = Vec::new();
    for list in jobs {
        ready.push((Connection::open(target).await?, list));
    }
    let since = Instant::now();
    let workers: Vec<_> = ready
        .into_iter()
        .map(|(mut connection, list)| {
            tokio::spawn(async move {
                let mut took = Vec::with_capacity(list.len());
                for job in list {
                    let since = Instant::now();
                    connection.ask(job.method, &job.path, job.media, job.body).await?;
                    took.push(since.elapsed());
                }
                anyhow::Ok(took)
            })
        })
        .collect();
    let mut each = Vec::new();
    for worker in workers {
        each.extend(worker.await??);
    }
    let wall = since.elapsed();
    each.sort_unstable();
    Ok(Timing { wall, each })
}

/// The median of seven lists of everything that [`creates`] made.
pub async fn lists(target: &Arc<Target>, count: usize) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(target).await?;
    let mut times = Vec::new();
    for _ in 0..7 {
        let since = Instant::now();
        let size =
            connection.ask(Method::GET, "/api/v1/namespaces/load/configmaps", JSON, Bytes::new()).await?;
        times.push(since.elapsed());
        if size < count * 300 {
            bail!("the list of {count} objects has {size} bytes");
        }
    }
    times.sort_unstable();
    times.get(3).copied().context("seven lists")
}

/// From the first of `writes` creates to the moment at which the last of `watchers` has seen them all. The
/// watchers share the machine with the server, so they do as little as can be: bytes off the socket, lines counted.
pub async fn fan_out(target: &Arc<Target>, watchers: usize, writes: usize) -> anyhow::Result<Duration> {
    let path = "/api/v1/namespaces/fan/configmaps";
    let watch = format!("{path}?watch=true&resourceVersion=0&timeoutSeconds=600");
    let mut tasks = Vec::new();
    for _ in 0..watchers {
        let mut lines = Lines::open(target, &watch).await?;
        tasks.push(tokio::spawn(async move { lines.count(writes).await }));
    }
    // One writer alone would measure how long the disk takes for each write.
    let mut jobs: Vec<Vec<Job>> = (0..WRITERS).map(|_| Vec::new()).collect();
    for number in 0..writes {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("fan{number}")}, "data": {"text": "x".repeat(300)}});
        if let Some(list) = jobs.get_mut(number % WRITERS) {
            let body = body.to_string().into();
            list.push(Job { method: Method::POST, path: path.to_owned(), media: JSON, body });
        }
    }
    let since = Instant::now();
    run(target, jobs).await?;
    for task in tasks {
        tokio::time::timeout(PATIENCE, task).await.context("a watch does not see all writes")???;
    }
    Ok(since.elapsed())
}
