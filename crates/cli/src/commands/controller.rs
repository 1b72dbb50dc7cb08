//! `landfall controller`: the engine alone, against a real cluster.

use crate::target::Target;
use crate::views::live;
use anyhow::Context;
use cluster::Cluster;
use controller::Engine;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Arguments of `landfall controller`. Without --context it uses KUBECONFIG, or the cluster it runs in.
#[derive(clap::Args)]
pub struct Args {
    /// Where fetched sources are kept [default: a folder that goes with the process]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Serve a remote source from a local folder, archive or mirror (repeatable)
    #[arg(long = "map", value_name = "URL=PATH")]
    maps: Vec<String>,
    #[command(flatten)]
    target: Target,
}

/// Reconciles until it is told to stop; a line for each change.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stop = super::cluster::stop_signal()?;
    let cluster = Cluster::new(args.target.real_client().await?);
    let mut maps = source::Maps::default();
    let here = std::env::current_dir().context("the current folder")?;
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| crate::errors::usage(error.to_string()))?;
    }
    let options = source::Options { cache: args.cache.clone(), maps, ..source::Options::default() };
    let sources = source::Fetcher::new(options).context("cannot keep fetched sources")?;
    let cancel = CancellationToken::new();
    let kinds = flux::kinds(flux::Options::new(sources));
    let engine = Engine::start(cluster, kinds, controller::Options::default(), cancel.child_token());
    let mut changes = engine.changed();
    let mut printed = live::Changes::default();
    loop {
        let snapshot = engine.snapshot();
        for line in printed.lines(&snapshot) {
            println!("{line}");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            result = changes.changed() => {
                result.context("the engine ended")?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    cancel.cancel();
    let until = Instant::now() + Duration::from_secs(10);
    while !engine.is_stopped() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(ExitCode::SUCCESS)
}
