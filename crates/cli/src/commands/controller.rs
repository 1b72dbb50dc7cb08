//! `landfall controller`: the engine alone, against a real cluster.

use crate::beside;
use crate::probes;
use crate::target::Target;
use crate::views::live;
use anyhow::Context;
use cluster::Cluster;
use controller::{Engine, LeaseOptions};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Take webhooks (of Receivers, and Argo CD's /api/webhook) and events of other controllers here, for example
    /// 0.0.0.0:9292
    #[arg(long, value_name = "ADDRESS")]
    webhooks: Option<std::net::SocketAddr>,
    /// References into other namespaces are refused
    #[arg(long)]
    no_cross_namespace_refs: bool,
    /// Kustomizations and HelmReleases without a service account use this one
    #[arg(long, value_name = "NAME")]
    default_service_account: Option<String>,
    /// Remote bases of kustomizations are refused
    #[arg(long)]
    no_remote_bases: bool,
    /// Take the fields of this manager over, besides kubectl's (repeatable)
    #[arg(long = "override-manager", value_name = "NAME")]
    override_managers: Vec<String>,
    /// Kinds that are applied and waited for before the rest (repeatable)
    #[arg(long = "custom-apply-stage-kinds", value_name = "GROUP/KIND", value_delimiter = ',')]
    custom_stages: Vec<String>,
    /// Switch Flux's gates StrictPostBuildSubstitutions and AdditiveCELDependencyCheck
    #[arg(long = "feature-gates", value_name = "NAME=BOOL", value_delimiter = ',')]
    gates: Vec<String>,
    /// The account that signs in to another cluster where the ConfigMap of spec.kubeConfig names none
    #[arg(long, value_name = "NAME")]
    default_kubeconfig_service_account: Option<String>,
    /// Let kubeconfigs in Secrets run programs (user.exec)
    #[arg(long)]
    insecure_kubeconfig_exec: bool,
    /// Let kubeconfigs in Secrets do without verifying the server
    #[arg(long)]
    insecure_kubeconfig_tls: bool,
    /// The Secret with age keys for Kustomizations whose decryption names none
    #[arg(long, value_name = "NAMESPACE/NAME")]
    sops_age_secret: Option<String>,
    /// Let Argo CD's config management plugins run: programs that ConfigMaps of the installation name
    #[arg(long)]
    enable_plugins: bool,
    /// Prune namespaces, volume claims, stateful workloads and definitions in use without asking, as Flux does
    #[arg(long)]
    prune_data: bool,
    /// Reconcile only objects with these labels, for example sharding.fluxcd.io/key=one or !sharding.fluxcd.io/key;
    /// a source belongs to the share of those who use it
    #[arg(long, value_name = "SELECTOR")]
    watch_label_selector: Option<String>,
    /// Of several processes, one leads and the others wait
    #[arg(long, alias = "enable-leader-election")]
    leader_elect: bool,
    /// The Lease by which they agree; each share needs its own
    #[arg(long, value_name = "NAME", default_value = "landfall")]
    lease: String,
    /// Where the Lease is [default: the namespace that the process runs in]
    #[arg(long, value_name = "NAMESPACE", env = "RUNTIME_NAMESPACE", default_value = "landfall-system")]
    leader_election_namespace: String,
    /// Serve Prometheus metrics here, at /metrics, for example :8080
    #[arg(long, value_name = "ADDRESS", value_parser = probes::address)]
    metrics_addr: Option<std::net::SocketAddr>,
    /// Answer /healthz and /readyz here, for example :9440
    #[arg(long, value_name = "ADDRESS", value_parser = probes::address)]
    health_addr: Option<std::net::SocketAddr>,
    /// How what happens is written: lines for people, or an object a line
    #[arg(long, value_enum, default_value = "text")]
    log_encoding: Encoding,
    #[command(flatten)]
    target: Target,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Encoding {
    /// Lines for people.
    Text,
    /// Objects, one a line.
    Json,
}

/// How the process stands, for those who ask from outside.
#[derive(Default)]
struct Standing {
    engine: Mutex<Option<Engine>>,
    /// Why it does not reconcile, when it does not.
    waits: Mutex<Option<String>>,
    leads: AtomicBool,
}

impl Standing {
    fn engine(&self) -> Option<Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait(&self, why: Option<String>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn metrics(&self) -> String {
        let leads = u8::from(self.leads.load(Ordering::Relaxed));
        let mut text = format!(
            "# HELP leader_election_master_status Whether this process leads.\n\
             # TYPE leader_election_master_status gauge\nleader_election_master_status{{name=\"landfall\"}} {leads}\n"
        );
        if let Some(engine) = self.engine() {
            text.push_str(&engine.metrics());
        }
        text
    }

    fn answer(&self, path: &str) -> Option<(u16, &'static str, String)> {
        match path {
            "/metrics" => Some((200, "text/plain; version=0.0.4", self.metrics())),
            "/healthz" => Some((200, "text/plain", "ok\n".into())),
            "/readyz" => {
                let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Whoever waits for its turn is as it should be.
                let refused = waits.filter(|_| self.engine().is_none());
                Some(match refused {
                    Some(why) => (503, "text/plain", why + "\n"),
                    None => (200, "text/plain", "ok\n".into()),
                })
            }
            _ => None,
        }
    }
}

/// How often it is looked whether Flux runs on the cluster.
const LOOK: Duration = Duration::from_secs(15);

/// Reconciles until it is told to stop; a line for each change.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stop = super::cluster::stop_signal()?;
    let cluster = Cluster::new(args.target.engine_client().await?);
    let standing = Arc::new(Standing::default());
    let ended = CancellationToken::new();
    for address in [args.metrics_addr, args.health_addr].into_iter().flatten().collect::<BTreeSet<_>>() {
        let standing = standing.clone();
        probes::serve(address, Arc::new(move |path: &str| standing.answer(path)), ended.child_token())
            .await?;
    }
    let result = turns(&args, &cluster, &standing, &stop).await;
    ended.cancel();
    result.map(|()| ExitCode::SUCCESS)
}

/// Waits for its turn, reconciles while it has it, and begins again.
async fn turns(
    args: &Args,
    cluster: &Cluster,
    standing: &Arc<Standing>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        if let Some(why) = beside_flux(cluster).await {
            if standing.waits.lock().unwrap_or_else(PoisonError::into_inner).as_ref() != Some(&why) {
                say(args.log_encoding, "error", &why);
            }
            standing.wait(Some(why));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK) => continue,
            }
        }
        standing.wait(None);
        let leader = if args.leader_elect {
            let identity = identity();
            let clock = Arc::new(controller::SystemClock);
            let options = LeaseOptions::new(&args.leader_election_namespace, &args.lease, &identity, clock);
            say(args.log_encoding, "info", &format!("waiting for the lease {} as {identity}", args.lease));
            let Some(leader) = controller::lead(cluster, options, stop).await else { return Ok(()) };
            Some(leader)
        } else {
            None
        };
        standing.leads.store(true, Ordering::Relaxed);
        let lost = leader.as_ref().map(|leader| leader.lost.clone()).unwrap_or_default();
        let done = turn(args, cluster, standing, stop, &lost).await;
        standing.leads.store(false, Ordering::Relaxed);
        if let Some(leader) = leader {
            leader.release().await;
        }
        done?;
        if lost.is_cancelled() {
            // As with Kubernetes' own controllers: whoever lost the lead starts anew, with nothing left over.
            anyhow::bail!("the lease {} was lost", args.lease);
        }
    }
    Ok(())
}

/// A name that no other process has.
fn identity() -> String {
    let host = std::env::var("POD_NAME")
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "landfall".into());
    format!("{host}_{:016x}", rand::random::<u64>())
}

/// Why nothing may be reconciled; `None` when Flux does not run here, or nobody may know.
async fn beside_flux(cluster: &Cluster) -> Option<String> {
    match beside::flux(cluster).await {
        Ok(running) => (!running.is_empty()).then(|| beside::refusal(&running)),
        Err(error) => Some(format!("cannot see whether Flux runs on this cluster: {error}")),
    }
}

fn say(encoding: Encoding, level: &str, message: &str) {
    match encoding {
        Encoding::Text => eprintln!("{level}: {message}"),
        Encoding::Json => {
            let stamp = jiff::Timestamp::now().to_string();
            eprintln!("{}", serde_json::json!({"level": level, "ts": stamp, "msg": message}));
        }
    }
}

/// Sets one of Flux's gates; those that are always open here may be named too.
fn open_gate(settings: &mut flux::Options, gate: &str) -> anyhow::Result<()> {
    const OPEN: [&str; 6] = [
        "CancelHealthCheckOnNewRevision",
        "DisableStatusPollerCache",
        "ObjectLevelWorkloadIdentity",
        "ExternalArtifact",
        "DirectSourceFetch",
        "GroupChangeLog",
    ];
    let wrong = |why: &str| crate::errors::usage(format!("--feature-gates {gate}: {why}"));
    let (name, value) = gate.split_once('=').ok_or_else(|| wrong("it is written NAME=true or NAME=false"))?;
    let value: bool = value.parse().map_err(|_| wrong("it is written NAME=true or NAME=false"))?;
    match name {
        "StrictPostBuildSubstitutions" => settings.strict_substitutions = value,
        "AdditiveCELDependencyCheck" => settings.additive_cel_dependency_check = value,
        open if OPEN.contains(&open) && value => {}
        open if OPEN.contains(&open) => return Err(wrong("this cannot be switched off here")),
        _ => return Err(wrong("there is no such gate here")),
    }
    Ok(())
}

/// Where sources come from.
fn fetcher(args: &Args) -> anyhow::Result<source::Fetcher> {
    let mut maps = source::Maps::default();
    let here = std::env::current_dir().context("the current folder")?;
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| crate::errors::usage(error.to_string()))?;
    }
    let options = source::Options { cache: args.cache.clone(), maps, ..source::Options::default() };
    source::Fetcher::new(options).context("cannot keep fetched sources")
}

/// The settings of the kinds.
fn kinds(args: &Args, sources: source::Fetcher) -> anyhow::Result<Vec<Arc<dyn controller::Kind>>> {
    let argo = argo::kinds(argo::Options {
        plugins: args.enable_plugins,
        outward: true,
        jsonnet: super::jsonnet::evaluator()?,
        ..argo::Options::new(sources.clone())
    });
    let mut settings = flux::Options::new(sources);
    settings.no_cross_namespace_refs = args.no_cross_namespace_refs;
    settings.default_service_account = args.default_service_account.clone();
    settings.no_remote_bases = args.no_remote_bases;
    settings.override_managers = args.override_managers.clone();
    for kind in &args.custom_stages {
        let (group, kind) = kind.rsplit_once('/').ok_or_else(|| {
            crate::errors::usage(format!("--custom-apply-stage-kinds {kind}: it is written GROUP/KIND"))
        })?;
        settings.custom_stages.push((group.to_owned(), kind.to_owned()));
    }
    for gate in &args.gates {
        open_gate(&mut settings, gate)?;
    }
    settings.default_kubeconfig_service_account = args.default_kubeconfig_service_account.clone();
    settings.kubeconfigs =
        flux::target::Trust { exec: args.insecure_kubeconfig_exec, tls: args.insecure_kubeconfig_tls };
    settings.stop_stand_ins = true;
    settings.protect = !args.prune_data;
    if let Some(secret) = &args.sops_age_secret {
        let (namespace, name) = secret
            .split_once('/')
            .ok_or_else(|| crate::errors::usage("--sops-age-secret is written NAMESPACE/NAME"))?;
        settings.sops_age_secret = Some((namespace.to_owned(), name.to_owned()));
    }
    Ok(flux::kinds(settings).into_iter().chain(argo).collect())
}

/// Reconciles until it is told to stop, the lead is lost, or Flux comes back.
async fn turn(
    args: &Args,
    cluster: &Cluster,
    standing: &Standing,
    stop: &CancellationToken,
    lost: &CancellationToken,
) -> anyhow::Result<()> {
    let cancel = CancellationToken::new();
    let selector = args.watch_label_selector.as_deref().map(object::selector::LabelSelector::parse);
    let selector = selector
        .transpose()
        .map_err(|error| crate::errors::usage(format!("--watch-label-selector: {error}")))?;
    let sources = fetcher(args)?;
    let notification = flux::notification::Options {
        no_cross_namespace_refs: args.no_cross_namespace_refs,
        fetcher: Some(sources.clone()),
        ..flux::notification::Options::default()
    };
    flux::notification::start(cluster, notification.clone(), cancel.child_token());
    argo::notifications::start(cluster, sources.clone(), "argocd", cancel.child_token());
    argo::images::start(cluster, sources.clone(), "argocd", cancel.child_token());
    if let Some(address) = args.webhooks {
        let listener = tokio::net::TcpListener::bind(address).await.context("cannot listen for webhooks")?;
        let doors =
            vec![flux::notification::door(cluster, notification), argo::webhooks::door(cluster, "argocd")];
        tokio::spawn(delivery::doors::serve(doors, listener, cancel.child_token()));
    }
    let options = controller::Options { selector, ..controller::Options::default() };
    let engine = Engine::start(cluster.clone(), kinds(args, sources)?, options, cancel.child_token());
    *standing.engine.lock().unwrap_or_else(PoisonError::into_inner) = Some(engine.clone());
    let mut changes = engine.changed();
    let mut printed = live::Changes::default();
    let mut look = tokio::time::interval(LOOK);
    look.tick().await;
    let result = loop {
        let snapshot = engine.snapshot();
        match args.log_encoding {
            Encoding::Text => printed.lines(&snapshot).iter().for_each(|line| println!("{line}")),
            Encoding::Json => {
                for entry in printed.entries(&snapshot) {
                    println!("{entry}");
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            () = lost.cancelled() => break Ok(()),
            _ = look.tick() => {
                if beside_flux(cluster).await.is_some_and(|why| why.starts_with("Flux runs")) {
                    break Ok(());
                }
            }
            result = changes.changed() => match result {
                Ok(()) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(error) => break Err(error).context("the engine ended"),
            },
        }
    };
    cancel.cancel();
    let until = Instant::now() + Duration::from_secs(10);
    while !engine.is_stopped() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    *standing.engine.lock().unwrap_or_else(PoisonError::into_inner) = None;
    result
}
