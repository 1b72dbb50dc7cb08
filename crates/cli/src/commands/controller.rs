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
    /// Take webhooks of Receivers and events of other controllers here, for example 0.0.0.0:9292
    #[arg(long, value_name = "ADDRESS")]
    webhooks: Option<std::net::SocketAddr>,
    /// References into other namespaces are refused
    #[arg(long)]
    no_cross_namespace_refs: bool,
    /// Kustomizations and HelmReleases without a service account use this one
    #[arg(long, value_name = "NAME")]
    default_service_account: Option<String>,
    /// The Secret with age keys for Kustomizations whose decryption names none
    #[arg(long, value_name = "NAMESPACE/NAME")]
    sops_age_secret: Option<String>,
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
    let argo = argo::kinds(argo::Options::new(sources.clone()));
    let mut settings = flux::Options::new(sources);
    settings.no_cross_namespace_refs = args.no_cross_namespace_refs;
    settings.default_service_account = args.default_service_account.clone();
    if let Some(secret) = &args.sops_age_secret {
        let (namespace, name) = secret
            .split_once('/')
            .ok_or_else(|| crate::errors::usage("--sops-age-secret is written NAMESPACE/NAME"))?;
        settings.sops_age_secret = Some((namespace.to_owned(), name.to_owned()));
    }
    let notification = flux::notification::Options {
        no_cross_namespace_refs: args.no_cross_namespace_refs,
        ..flux::notification::Options::default()
    };
    flux::notification::start(&cluster, notification.clone(), cancel.child_token());
    if let Some(address) = args.webhooks {
        let listener = tokio::net::TcpListener::bind(address).await.context("cannot listen for webhooks")?;
        flux::notification::serve(&cluster, notification, listener, cancel.child_token());
    }
    let kinds = flux::kinds(settings).into_iter().chain(argo).collect();
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
