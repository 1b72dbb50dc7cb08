//! Taking over from Flux's own controllers: all that they reconcile.

use super::door::{self, Differences};
use super::{Args, MANAGER};
use crate::beside;
use anyhow::Context as _;
use cluster::{Cluster, PatchKind, PatchOptions};
use controller::Engine;
use object::{Value, get_i64, meta};
use serde_json::json;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How many pods a controller had before it was handed over.
const BEFORE: &str = "landfall.dev/replicas-before";

/// Rehearses and takes over, or hands back.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::new(args.target.real_client().await?);
    if args.undo {
        return undo(&cluster).await;
    }
    let differences = rehearse(args).await?;
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

async fn rehearse(args: &Args) -> anyhow::Result<Vec<String>> {
    let differences = Differences::default();
    let client = door::rehearsing(args.target.real_client().await?, differences.clone());
    let mut maps = source::Maps::default();
    let here = std::env::current_dir().context("the current folder")?;
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| crate::errors::usage(error.to_string()))?;
    }
    let sources = source::Fetcher::new(source::Options { maps, ..source::Options::default() })?;
    let mut settings = flux::Options::new(sources);
    settings.outward = false;
    let noted = differences.clone();
    settings.door = Some(Arc::new(move |client| door::rehearsing(client, noted.clone())));
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
