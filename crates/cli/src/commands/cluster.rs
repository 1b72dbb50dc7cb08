//! `landfall cluster`: the embedded cluster by itself.

use super::clusters;
use crate::embedded::{Embedded, Workloads};
use crate::errors::usage;
use crate::state::State;
use anyhow::Context;
use std::io::Write;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Verbs on the embedded cluster.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Serve it, in the foreground unless --detach
    Start(Start),
    /// Stop the server of a state directory
    Stop(Which),
    /// Remove a state directory and all that is in it
    Reset(Which),
    /// Print the kubeconfig of a running server, or of a cluster beside its main one
    Kubeconfig(Kubeconfig),
    /// Serve another, isolated cluster in the running server
    Create(clusters::Create),
    /// Serve a copy of the main cluster (or of --from) in the running server
    Fork(clusters::Create),
    /// List the clusters beside the main one
    List(Which),
    /// Remove a cluster beside the main one
    Delete(clusters::Named),
    /// Write all objects of this moment to a file
    Backup(clusters::File),
    /// Make a cluster from a backup
    Restore(clusters::File),
}

/// Which embedded cluster.
#[derive(clap::Args, Clone)]
pub struct Which {
    /// The state directory [default: one in the user's state directory]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Whose kubeconfig.
#[derive(clap::Args)]
pub struct Kubeconfig {
    #[command(flatten)]
    which: Which,
    /// A cluster beside the main one
    #[arg(long)]
    name: Option<String>,
}

/// How to serve it.
#[derive(clap::Args)]
pub struct Start {
    #[command(flatten)]
    which: Which,
    /// Keep nothing: the cluster is gone with the process
    #[arg(long, conflicts_with_all = ["state", "detach"])]
    ephemeral: bool,
    /// The port on loopback (0: any free one)
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serve the API alone: no controllers, no simulated nodes and pods
    #[arg(long)]
    bare: bool,
    /// Simulated nodes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=5000))]
    nodes: u32,
    /// Serve in the background and return when it is ready
    #[arg(long)]
    detach: bool,
}

/// Runs the verb.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Start(start) if start.detach => detach(&start),
        Command::Start(start) => super::block_on(serve(start)),
        Command::Stop(which) => stop(&which),
        Command::Reset(which) => {
            let state = which.state()?;
            state.reset()?;
            println!("{} is removed", state.dir.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Kubeconfig(Kubeconfig { which, name: Some(name) }) => {
            super::block_on(async move { clusters::kubeconfig(&which, &name).await })
        }
        Command::Kubeconfig(Kubeconfig { which, name: None }) => kubeconfig(&which),
        Command::Create(create) => super::block_on(clusters::create(create)),
        Command::Fork(mut fork) => {
            fork.from.get_or_insert_with(|| ".".to_owned());
            super::block_on(clusters::create(fork))
        }
        Command::List(which) => super::block_on(clusters::list(which)),
        Command::Delete(named) => super::block_on(clusters::delete(named)),
        Command::Backup(file) => super::block_on(clusters::backup(file)),
        Command::Restore(file) => clusters::restore(&file),
    }
}

impl Which {
    /// Its state directory.
    pub fn state(&self) -> anyhow::Result<State> {
        match &self.state {
            Some(dir) => Ok(State::at(dir)),
            None => State::of_default_cluster(),
        }
    }
}

async fn serve(start: Start) -> anyhow::Result<ExitCode> {
    let state = if start.ephemeral { None } else { Some(start.which.state()?) };
    let kubeconfig = state.as_ref().map(State::kubeconfig_path);
    let stop = stop_signal()?;
    let cancel = CancellationToken::new();
    let simulated = Workloads::Simulated { nodes: start.nodes, strict: true };
    let workloads = if start.bare { Workloads::None } else { simulated };
    let embedded = Embedded::start(state, start.port, workloads, &cancel).await?;
    let said = match kubeconfig {
        Some(path) => serving_text(&embedded.serving.addr.to_string(), start.bare, &path),
        None => embedded.serving.kubeconfig(),
    };
    // Who started it may have read enough and gone; that is no reason to end.
    if let Err(error) = writeln!(std::io::stdout(), "{said}") {
        tracing::warn!(%error, "nobody takes the output");
    }
    stop.cancelled().await;
    embedded.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Where it serves, what of it is not real, and how to reach it.
fn serving_text(address: &str, bare: bool, kubeconfig: &std::path::Path) -> String {
    let workloads = if bare { "no workloads run" } else { "workloads are simulated" };
    format!("serving on https://{address}; {workloads}\nexport KUBECONFIG={}", kubeconfig.display())
}

/// Listens from now on to Ctrl-C and SIGTERM. The token fires at the first one; a second one ends the process
/// at once, for whoever does not want to wait.
pub fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let stop = CancellationToken::new();
    let fired = stop.clone();
    tokio::spawn(async move {
        for second in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if second {
                std::process::exit(130);
            }
            fired.cancel();
        }
    });
    Ok(stop)
}

/// Starts this binary again as a server of its own process group, and waits until it serves.
fn detach(start: &Start) -> anyhow::Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let state = start.which.state()?;
    if let Some(running) = state.running()? {
        println!("already serving on https://{} (process {})", running.address, running.pid);
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::create_dir_all(&state.dir).with_context(|| state.dir.display().to_string())?;
    let log =
        std::fs::File::create(state.log_path()).with_context(|| state.log_path().display().to_string())?;
    let mut child = std::process::Command::new(std::env::current_exe().context("this program's own path")?)
        .args(["cluster", "start", "--port", &start.port.to_string()])
        .args(start.bare.then_some("--bare"))
        .args(["--nodes", &start.nodes.to_string()])
        .arg("--state")
        .arg(&state.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the server")?;
    let since = Instant::now();
    loop {
        if let Some(running) = state.running()?.filter(|running| running.pid == child.id()) {
            println!("{}", serving_text(&running.address, start.bare, &state.kubeconfig_path()));
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(state.log_path()).unwrap_or_default();
            let said = log.trim().trim_start_matches("error: ").to_owned();
            return Err(usage(if said.is_empty() { format!("the server ended: {status}") } else { said }));
        }
        if since.elapsed() > Duration::from_secs(30) {
            return Err(anyhow::anyhow!(
                "the server did not become ready in 30 s; see {}",
                state.log_path().display()
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stop(which: &Which) -> anyhow::Result<ExitCode> {
    let state = which.state()?;
    if state.stop()? {
        println!("stopped; the state stays in {}", state.dir.display());
    } else {
        println!("no server runs on {}", state.dir.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn kubeconfig(which: &Which) -> anyhow::Result<ExitCode> {
    let state = which.state()?;
    if state.running()?.is_none() {
        return Err(usage(format!(
            "no server runs on {}; start it: landfall cluster start --state {} --detach",
            state.dir.display(),
            state.dir.display()
        )));
    }
    let path = state.kubeconfig_path();
    print!("{}", std::fs::read_to_string(&path).with_context(|| path.display().to_string())?);
    Ok(ExitCode::SUCCESS)
}
