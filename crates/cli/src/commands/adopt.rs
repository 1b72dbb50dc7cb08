//! `landfall adopt`: proves that taking over would change nothing, takes over, and hands back.
//!
//! The proof is a rehearsal: the engine runs against the cluster through a door that turns every write into a dry run.
//! What the API would have made of it is compared with what is there.

use crate::beside;
use crate::target::Target;
use anyhow::Context as _;
use cluster::{Cluster, PatchKind, PatchOptions};
use controller::Engine;
use http_body_util::BodyExt as _;
use kube::client::Body;
use object::{Value, get_i64, meta};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Who asks: audited in the managed fields.
const MANAGER: &str = "landfall-cli";
/// How many pods a controller had before it was handed over.
const BEFORE: &str = "landfall.dev/replicas-before";

/// What is taken over.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// What Flux's controllers reconcile on this cluster
    Flux,
}

/// Take over what another tool reconciles, after a proof that this changes nothing
///
/// The engine first rehearses: it goes over every object with dry runs, and every difference is printed. Only when there
/// is none are the other tool's controllers scaled to zero; landfall controller then begins by itself.
#[derive(clap::Args)]
pub struct Args {
    /// From whom
    what: What,
    /// Only rehearse: print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take over although something would change
    #[arg(long)]
    force: bool,
    /// Hand back: the controllers run again, with as many pods as before
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    undo: bool,
    /// Serve a remote source from a local folder, archive or mirror (repeatable)
    #[arg(long = "map", value_name = "URL=PATH")]
    maps: Vec<String>,
    /// How long to wait for the rehearsal and for pods to end, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    target: Target,
}

/// Rehearses and takes over, or hands back.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::new(args.target.real_client().await?);
    let What::Flux = args.what;
    if args.undo {
        return undo(&cluster).await;
    }
    let differences = rehearse(&args).await?;
    for line in &differences {
        println!("{line}");
    }
    if differences.is_empty() {
        println!("nothing would change");
    } else {
        println!("{} differences", differences.len());
    }
    if args.dry_run || (!differences.is_empty() && !args.force) {
        if !args.dry_run {
            println!("not taken over; --force takes over nevertheless");
        }
        return Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    take_over(&cluster, Duration::from_secs(args.timeout)).await
}

async fn scale(cluster: &Cluster, object: &Value, replicas: i64, before: Option<i64>) -> anyhow::Result<()> {
    let annotation = before.map_or(Value::Null, |before| json!(before.to_string()));
    let patch = json!({"metadata": {"annotations": {BEFORE: annotation}}, "spec": {"replicas": replicas}});
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    let namespace = meta::namespace(object).unwrap_or_default();
    cluster
        .patch(&beside::deployments(), namespace, meta::name(object), PatchKind::Merge, &patch, &options)
        .await
        .with_context(|| format!("cannot scale {namespace}/{}", meta::name(object)))?;
    println!("{namespace}/{}: {replicas} replicas", meta::name(object));
    Ok(())
}

async fn take_over(cluster: &Cluster, patience: Duration) -> anyhow::Result<ExitCode> {
    let running = beside::flux(cluster).await?;
    for object in &running {
        scale(cluster, object, 0, Some(beside::replicas(object))).await?;
    }
    let until = Instant::now() + patience;
    for object in &running {
        let (namespace, name) = (meta::namespace(object).unwrap_or_default(), meta::name(object));
        loop {
            let live = cluster.get(&beside::deployments(), namespace, name).await?;
            let pods = live.as_ref().and_then(|live| get_i64(live, &["status", "replicas"])).unwrap_or(0);
            if pods == 0 {
                break;
            }
            if Instant::now() > until {
                anyhow::bail!("{namespace}/{name} still has {pods} pods");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    println!("taken over; landfall adopt flux --undo hands back");
    Ok(ExitCode::SUCCESS)
}

async fn undo(cluster: &Cluster) -> anyhow::Result<ExitCode> {
    let all = cluster.list(&beside::deployments(), &cluster::ListOptions::default()).await?;
    let mut any = false;
    for object in all.iter().filter(|object| beside::is_of_flux(object)) {
        if let Some(before) = meta::annotation(object, BEFORE).and_then(|text| text.parse().ok()) {
            scale(cluster, object, before, None).await?;
            any = true;
        }
    }
    if !any {
        println!("nothing was handed over");
    }
    Ok(ExitCode::SUCCESS)
}

/// What the engine would write, as lines.
type Differences = Arc<Mutex<BTreeMap<String, String>>>;

async fn rehearse(args: &Args) -> anyhow::Result<Vec<String>> {
    let differences = Differences::default();
    let client = rehearsing(args.target.real_client().await?, differences.clone());
    let mut maps = source::Maps::default();
    let here = std::env::current_dir().context("the current folder")?;
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| crate::errors::usage(error.to_string()))?;
    }
    let sources = source::Fetcher::new(source::Options { maps, ..source::Options::default() })?;
    let mut settings = flux::Options::new(sources);
    settings.outward = false;
    let cancel = CancellationToken::new();
    let engine = Engine::start(
        Cluster::new(client),
        flux::kinds(settings),
        controller::Options::default(),
        cancel.clone(),
    );
    let mut changes = engine.changed();
    let until = tokio::time::Instant::now() + Duration::from_secs(args.timeout);
    let snapshot = loop {
        let snapshot = engine.snapshot();
        if snapshot.settled() {
            break snapshot;
        }
        if tokio::time::timeout_at(until, changes.changed()).await.is_err() {
            let open: Vec<String> =
                snapshot.units.iter().filter(|unit| !unit.settled).map(|unit| unit.key.to_string()).collect();
            anyhow::bail!("the rehearsal did not end; still at work: {}", open.join(", "));
        }
    };
    cancel.cancel();
    let mut lines: Vec<String> =
        differences.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
    for unit in &snapshot.units {
        if let Some(cause) = unit.cause.as_ref().filter(|_| !unit.suspended && unit.attempts > 0) {
            lines.push(format!("{} cannot be rehearsed: {}", unit.key, cause.line_text()));
        }
    }
    Ok(lines)
}

/// A client through which nothing can be written.
fn rehearsing(client: kube::Client, noted: Differences) -> kube::Client {
    let namespace = client.default_namespace().to_owned();
    let door = tower::service_fn(move |request: http::Request<Body>| {
        let (client, noted) = (client.clone(), noted.clone());
        async move {
            match request.method().as_str() {
                "GET" | "HEAD" | "OPTIONS" => client.send(request).await.map_err(Failed::from),
                _ => write(&client, &noted, request).await,
            }
        }
    });
    kube::Client::new(door, namespace)
}

type Failed = tower::BoxError;

async fn write(
    client: &kube::Client,
    noted: &Differences,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, Failed> {
    let (mut parts, body) = request.into_parts();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let text = match parts.uri.query() {
        Some(query) => format!("{path}?{query}&dryRun=All"),
        None => format!("{path}?dryRun=All"),
    };
    parts.uri = text.parse()?;
    // What it says of its own work is no difference: status, events, finalizers of its own kinds.
    let told = path.ends_with("/status") || path.contains("/events") || path.contains("/leases/");
    let before = if told || method == "POST" { None } else { read(client, &path, &parts.headers).await? };
    let response = client.send(http::Request::from_parts(parts, body)).await?;
    if told || !response.status().is_success() {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let after: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let line = match method.as_str() {
        "DELETE" => Some(format!("{path} would be deleted")),
        "POST" => Some(format!("{path}/{} would be created", meta::name(&after))),
        _ => match &before {
            None => Some(format!("{path} would be created")),
            Some(before) => difference(&path, before, &after),
        },
    };
    if let Some(line) = line {
        noted.lock().unwrap_or_else(PoisonError::into_inner).insert(path, line);
    }
    Ok(http::Response::from_parts(head, Body::from(bytes.to_vec())))
}

async fn read(client: &kube::Client, path: &str, headers: &http::HeaderMap) -> Result<Option<Value>, Failed> {
    let mut request = http::Request::get(path).body(Body::empty())?;
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str().starts_with("impersonate")) {
        request.headers_mut().append(name, value.clone());
    }
    let response = client.send(request).await?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&bytes).ok())
}

/// What a write would change of what people wrote, without values: they may be secret.
fn difference(path: &str, before: &Value, after: &Value) -> Option<String> {
    let mut fields = Vec::new();
    compare("", &content(before), &content(after), &mut fields);
    // The finalizer of a delivery object is the engine's own, as any controller's of that kind.
    if path.contains(".toolkit.fluxcd.io/") || path.contains("/fluxcd.controlplane.io/") {
        fields.retain(|field| field != "metadata.finalizers");
    }
    (!fields.is_empty()).then(|| format!("{path} would change: {}", fields.join(", ")))
}

fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object::remove(&mut object, &["status"]);
    for field in ["managedFields", "resourceVersion", "generation"] {
        object::remove(&mut object, &["metadata", field]);
    }
    object
}

fn compare(place: &str, before: &Value, after: &Value, fields: &mut Vec<String>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(one), Value::Object(two)) => {
            for key in one.keys().chain(two.keys().filter(|key| !one.contains_key(*key))) {
                let (one, two) = (one.get(key).unwrap_or(&Value::Null), two.get(key).unwrap_or(&Value::Null));
                compare(&format!("{place}.{key}"), one, two, fields);
            }
        }
        _ => fields.push(place.trim_start_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_fields_and_no_values() {
        let before = json!({"data": {"a": "secret"}, "metadata": {"resourceVersion": "1", "name": "x"}});
        let after =
            json!({"data": {"a": "other", "b": "more"}, "metadata": {"resourceVersion": "2", "name": "x"}});
        assert_eq!(difference("/x", &before, &after).as_deref(), Some("/x would change: data.a, data.b"));
        assert_eq!(difference("/x", &before, &before), None);
    }
}
