//! `landfall up`: bring up what a repository describes, show it, keep it so.

use crate::embedded::{Embedded, Workloads};
use crate::entry::{self, Kind};
use crate::errors::usage;
use crate::repository::Repository;
use crate::state::State;
use crate::target::Target;
use crate::views::{Output, live, structured};
use anyhow::Context;
use cluster::{Apply, Cluster};
use controller::{Engine, Phase, Snapshot};
use object::Key;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Arguments of `landfall up`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder of the repository
    #[arg(default_value = ".")]
    repo: PathBuf,
    /// The folder in it to begin at, such as clusters/staging
    #[arg(long, value_name = "DIR")]
    path: Option<String>,
    /// End when all is ready (exit 0), or when it is clear that it is not (exit 1, with the causes)
    #[arg(long)]
    once: bool,
    /// With --once: give up after this long (30s, 5m, 1h)
    #[arg(long, default_value = "5m", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
    /// Serve a remote source from a local folder, archive or mirror, or ask another address (repeatable)
    #[arg(long = "map", value_name = "URL=PATH")]
    maps: Vec<String>,
    /// Keep nothing: the embedded cluster is gone with the process
    #[arg(long, conflicts_with = "state")]
    ephemeral: bool,
    /// The port of the embedded API on loopback (0: any free one)
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Take webhooks (of Receivers, and Argo CD's /api/webhook) and events of other controllers here, for example
    /// 127.0.0.1:9292
    #[arg(long, value_name = "ADDRESS")]
    webhooks: Option<std::net::SocketAddr>,
    /// Let Argo CD's config management plugins run: programs that ConfigMaps of the installation name
    #[arg(long)]
    enable_plugins: bool,
    /// Act on the world also from the embedded cluster, whose workloads are simulated: send notifications, scan
    /// registries, push image updates
    #[arg(long)]
    outward: bool,
    /// The format: table redraws a tree in a terminal and prints lines elsewhere; json and yaml print the
    /// outcome with --once, a document for each change without
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// Parses `90`, `90s`, `5m`, `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text}: give a duration such as 30s or 5m"))?;
    span.try_into().map_err(|_| format!("{text}: a duration is not negative"))
}

/// Brings it up. 0: ready (or stopped by the user); 1: not ready; 2: a fault in the call.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let stop = super::cluster::stop_signal()?;
    let shown = args.repo.display().to_string();
    let repository = Repository::open(&args.repo)?;
    let entry = repository.entry(args.path.as_deref(), &shown)?;
    let mut maps = repository.maps(&args.maps)?;
    let url = repository.urls.first().cloned().unwrap_or_default();
    let seed = entry::bootstrap(&repository.tree, &entry, &url, &repository.branch);
    for url in repository.urls.iter().chain(&seed.own_urls) {
        maps.add(url, repository.root.clone());
    }

    let cancel = CancellationToken::new();
    let state = if args.target.is_real() || args.ephemeral {
        None
    } else {
        Some(args.target.state(&repository.root)?)
    };
    let (embedded, client) = if args.target.is_real() {
        tokio::select! {
            client = args.target.real_client() => (None, client?),
            () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
        }
    } else {
        let embedded = Embedded::start(
            state.clone(),
            args.port,
            Workloads::Simulated { nodes: 1, strict: false },
            &cancel,
        )
        .await?;
        let client = embedded.server.client();
        (Some(embedded), client)
    };
    let cluster = Cluster::new(client);
    if embedded.is_none() {
        let running = crate::beside::flux(&cluster).await.context("cannot see whether Flux runs there")?;
        if !running.is_empty() {
            return Err(usage(crate::beside::refusal(&running)));
        }
    }
    let result = deliver(
        &args,
        started,
        &cluster,
        embedded.as_ref(),
        state.as_ref(),
        &seed,
        maps,
        entry.kind,
        &cancel,
        &stop,
    )
    .await;
    cancel.cancel();
    if let Some(embedded) = embedded {
        embedded.shutdown().await;
    }
    result
}

async fn deliver(
    args: &Args,
    started: Instant,
    cluster: &Cluster,
    embedded: Option<&Embedded>,
    state: Option<&State>,
    seed: &entry::Bootstrap,
    maps: source::Maps,
    kind: Kind,
    cancel: &CancellationToken,
    stop: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let quiet = matches!(args.output, Output::Json | Output::Yaml);
    if !quiet {
        announce(embedded, state, started, kind);
    }
    tokio::select! {
        planted = plant(cluster, embedded.is_none(), seed) => planted?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    }
    let cache = state.map(|state| state.dir.join("sources"));
    let sources = source::Fetcher::new(source::Options { cache, maps, ..source::Options::default() })
        .context("cannot keep fetched sources")?;
    let outward = embedded.is_none() || args.outward;
    let children = embedded.map(Embedded::children);
    let mut kinds = argo::kinds(argo::Options {
        children,
        plugins: args.enable_plugins,
        outward,
        jsonnet: super::jsonnet::evaluator()?,
        ..argo::Options::new(sources.clone())
    });
    kinds.extend(flux::kinds(flux::Options {
        outward,
        stop_stand_ins: embedded.is_none(),
        // Nothing on a simulated cluster holds data.
        protect: embedded.is_none(),
        ..flux::Options::new(sources.clone())
    }));
    if outward {
        argo::notifications::start(cluster, sources.clone(), "argocd", cancel.child_token());
        argo::images::start(cluster, sources.clone(), "argocd", cancel.child_token());
        let notification =
            flux::notification::Options { fetcher: Some(sources.clone()), ..Default::default() };
        flux::notification::start(cluster, notification, cancel.child_token());
    }
    if let Some(address) = args.webhooks {
        let listener = tokio::net::TcpListener::bind(address).await.context("cannot listen for webhooks")?;
        let receivers = flux::notification::door(cluster, flux::notification::Options::default());
        let doors = vec![receivers, argo::webhooks::door(cluster, "argocd")];
        tokio::spawn(delivery::doors::serve(doors, listener, cancel.child_token()));
    }
    let engine = Engine::start(cluster.clone(), kinds, controller::Options::default(), cancel.child_token());
    let outcome = follow(args, &engine, started, stop).await;
    cancel.cancel();
    let until = Instant::now() + Duration::from_secs(10);
    while !engine.is_stopped() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    outcome
}

/// Says what runs where, so that anyone can look with their own tools.
fn announce(embedded: Option<&Embedded>, state: Option<&State>, started: Instant, kind: Kind) {
    if let Some(embedded) = embedded {
        println!(
            "Kubernetes API on https://{} in {} ms; workloads are simulated",
            embedded.serving.addr,
            started.elapsed().as_millis()
        );
    }
    if let Some(state) = state {
        println!("export KUBECONFIG={}", state.kubeconfig_path().display());
    }
    tracing::info!(?kind, "entry point");
}

/// Puts the objects there that everything else follows from. On a real cluster the kinds come first.
async fn plant(cluster: &Cluster, real: bool, seed: &entry::Bootstrap) -> anyhow::Result<()> {
    let apply = Apply::forced("landfall");
    let mut definitions = if real { schema::crds::flux() } else { Vec::new() };
    if seed.argo {
        definitions.extend(schema::crds::argo());
    }
    if !definitions.is_empty() {
        install(cluster, &definitions, &apply).await?;
        let until = Instant::now() + Duration::from_secs(30);
        for kind in
            super::named::DELIVERED.iter().filter(|kind| seed.argo || kind.group != argo::names::GROUP)
        {
            while let Err(error) = cluster.list(&kind.gvk(), &Default::default()).await {
                if Instant::now() > until {
                    return Err(error).context("the installed kinds are not served");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    for object in &seed.objects {
        // A namespace or project that is there belongs to whoever made it: nothing is to be said about it.
        if matches!(object::meta::kind(object), "Namespace" | argo::names::APP_PROJECT) {
            let gvk = object::Gvk::of(object);
            let namespace = object::meta::namespace(object).unwrap_or_default();
            let there = cluster.get(&gvk, namespace, object::meta::name(object)).await;
            if there.context("cannot look for the namespace")?.is_some() {
                continue;
            }
        }
        let shown = Key::of(object).map(|key| super::look::shown(&key)).unwrap_or_default();
        cluster
            .apply(object, &apply)
            .await
            .map_err(|error| usage(format!("cannot begin with {shown}: {error}")))?;
    }
    Ok(())
}

/// Installs definitions. Kinds that are there already belong to whoever installed them.
async fn install(cluster: &Cluster, definitions: &[object::Value], apply: &Apply) -> anyhow::Result<()> {
    let definition = object::Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    for crd in definitions {
        let there = cluster.get(&definition, "", object::meta::name(crd)).await;
        if there.context("cannot look for installed kinds")?.is_none() {
            cluster.apply(crd, apply).await.context("cannot install the kinds")?;
        }
    }
    Ok(())
}

/// Shows every change until all is ready (with --once), the time is over, or the user stops it.
async fn follow(
    args: &Args,
    engine: &Engine,
    started: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let mut changes = engine.changed();
    let mut screen = Screen::new(args.output);
    let until = started + args.timeout;
    let mut stillness = Stillness::default();
    let mut was_ready = false;
    loop {
        let snapshot = engine.snapshot();
        let ready = !snapshot.units.is_empty() && snapshot.all_ready();
        screen.show(&snapshot, args.once)?;
        if ready && !was_ready {
            screen.settle(&snapshot, started)?;
        }
        was_ready = ready;
        let over = Instant::now() >= until || stillness.since(&snapshot) >= STILL;
        if args.once && (ready || over) {
            return finish(args, &snapshot, ready, started);
        }
        tokio::select! {
            () = stop.cancelled() => {
                if screen.is_human() {
                    println!("\nstopped; the state is kept, go on with the same command");
                }
                return Ok(ExitCode::SUCCESS);
            }
            result = changes.changed() => {
                result.context("the engine ended")?;
                // Changes come in bursts; one drawing serves many.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            () = tokio::time::sleep_until(until.into()), if args.once => {}
            () = tokio::time::sleep(Duration::from_secs(1)), if args.once => {}
        }
    }
}

/// With --once: when nothing moved for this long, waiting longer would not help.
const STILL: Duration = Duration::from_secs(15);

/// How long the units have stood as they stand, none of them at work.
#[derive(Default)]
struct Stillness {
    seen: Vec<(Key, Phase, String)>,
    since: Option<Instant>,
}

impl Stillness {
    fn since(&mut self, snapshot: &Snapshot) -> Duration {
        let now: Vec<_> = snapshot
            .units
            .iter()
            .map(|unit| (unit.key.clone(), unit.phase(), unit.message.clone()))
            .collect();
        let moves = now.is_empty() || now.iter().any(|(_, state, _)| *state == Phase::Working);
        if moves || now != self.seen {
            self.since = None;
        }
        self.seen = now;
        self.since.get_or_insert_with(Instant::now).elapsed()
    }
}

/// The last word of --once: the outcome as data, or the causes.
fn finish(args: &Args, snapshot: &Snapshot, ready: bool, started: Instant) -> anyhow::Result<ExitCode> {
    if let Some(text) = structured(&live::data(snapshot), args.output)? {
        print!("{text}");
    } else if !ready {
        println!("\nnot ready after {} s:", started.elapsed().as_secs());
        for (cause, units) in causes(snapshot) {
            println!("  {}", cause.replace('\n', "\n  "));
            println!("    stops {}", units.join(", "));
        }
    }
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Every first cause once, with the units that it stops, the one next to it first.
fn causes(snapshot: &Snapshot) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<(usize, String)>)> = Vec::new();
    for unit in snapshot.units.iter().filter(|unit| !unit.is_ready()) {
        let cause =
            snapshot.first_cause(&unit.key).map_or_else(|| unit.message.clone(), |cause| cause.line_text());
        let stopped = (snapshot.why(&unit.key).len(), live::name(&unit.key));
        match found.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, units)) => units.push(stopped),
            None => found.push((cause, vec![stopped])),
        }
    }
    let names = |mut units: Vec<(usize, String)>| {
        units.sort();
        units.into_iter().map(|(_, name)| name).collect()
    };
    found.into_iter().map(|(cause, units)| (cause, names(units))).collect()
}

/// What the user sees while it runs.
struct Screen {
    output: Output,
    redraws: bool,
    colours: bool,
    /// Lines of the last drawing.
    drawn: usize,
    /// Below the tree as long as all is ready.
    footer: String,
    changes: live::Changes,
}

impl Screen {
    fn new(output: Output) -> Screen {
        let human = !matches!(output, Output::Json | Output::Yaml);
        let terminal = std::io::stdout().is_terminal();
        Screen {
            output,
            redraws: human && terminal,
            colours: crate::views::colours(),
            drawn: 0,
            footer: String::new(),
            changes: live::Changes::default(),
        }
    }

    fn is_human(&self) -> bool {
        !matches!(self.output, Output::Json | Output::Yaml)
    }

    fn show(&mut self, snapshot: &Snapshot, once: bool) -> anyhow::Result<()> {
        if self.redraws {
            return self.redraw(snapshot);
        }
        let changed = self.changes.lines(snapshot);
        if self.is_human() {
            for line in &changed {
                println!("{line}");
            }
        }
        if !changed.is_empty()
            && !once
            && let Some(text) = structured(&live::data(snapshot), self.output)?
        {
            let text = if self.output == Output::Yaml { format!("---\n{text}") } else { text };
            print!("{text}");
        }
        std::io::stdout().flush()?;
        Ok(())
    }

    /// Draws the tree over the last one. What does not fit the terminal is cut at its top.
    fn redraw(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let (width, height) = crossterm::terminal::size().unwrap_or((100, 40));
        let mut lines = live::tree(snapshot, usize::from(width).saturating_sub(1), self.colours);
        if snapshot.all_ready() && !self.footer.is_empty() {
            lines.push(self.footer.clone());
        }
        let room = usize::from(height).saturating_sub(2).max(5);
        if lines.len() > room {
            let hidden = lines.len() - room + 1;
            lines.drain(..hidden);
            lines.insert(0, format!("… {hidden} more above"));
        }
        let mut out = std::io::stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        self.drawn = lines.len();
        out.flush()?;
        Ok(())
    }

    fn settle(&mut self, snapshot: &Snapshot, started: Instant) -> anyhow::Result<()> {
        let objects: usize = snapshot.units.iter().map(|unit| unit.inventory.len()).sum();
        let line = format!(
            "all ready: {} units, {objects} objects, {:.1} s after the start",
            snapshot.units.len(),
            started.elapsed().as_secs_f64()
        );
        if self.redraws {
            self.footer = line;
            return self.redraw(snapshot);
        }
        if self.is_human() {
            println!("{line}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert!(duration("soon").is_err());
    }
}
