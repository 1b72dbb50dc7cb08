//! The embedded cluster in this process: the API, its simulated workloads, and what others need to reach it.

use crate::errors::usage;
use crate::state::{Running, State};
use apiserver::{OpenError, Options, ServeError, Server, Serving, Storage};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What runs beside the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workloads {
    /// Nothing: no controllers, no nodes.
    None,
    /// Controllers, and pods on so many simulated nodes.
    Simulated {
        /// At least one.
        nodes: u32,
        /// Whether pods that no node fits wait for one.
        strict: bool,
    },
}

/// An embedded cluster that runs until [`Embedded::shutdown`].
pub struct Embedded {
    /// The API server.
    pub server: Server,
    /// Where it is served on loopback.
    pub serving: Serving,
    state: Option<State>,
    simulation: Option<JoinHandle<()>>,
    cancel: CancellationToken,
}

impl Embedded {
    /// Opens the state (`None`: nothing is kept), serves it on loopback and starts the simulated workloads,
    /// unless it is to be bare.
    pub async fn start(
        state: Option<State>,
        port: u16,
        workloads: Workloads,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Embedded> {
        let storage = state.as_ref().map_or(Storage::Ephemeral, |state| Storage::Path(state.dir.clone()));
        let on_notice = std::sync::Arc::new(|notice: apiserver::Notice| {
            tracing::info!(about = notice.about, "{}", notice.message);
        });
        let options = Options {
            storage,
            // Nobody acts on Flux's kinds where the API is served alone.
            crds: if workloads == Workloads::None { Vec::new() } else { schema::crds::flux() },
            service_accounts: workloads != Workloads::None,
            on_notice: Some(on_notice),
            on_child: match workloads {
                Workloads::None => None,
                Workloads::Simulated { nodes, strict } => {
                    Some(std::sync::Arc::new(move |name: &str, child: &Server| {
                        tracing::info!(name, "a cluster beside the main one runs");
                        let options = simulate::Options { nodes, strict, ..simulate::Options::default() };
                        tokio::spawn(run_simulation(child.client(), options, child.stopped()));
                    }))
                }
            },
            ..Options::default()
        };
        let server = Server::open(options).await.map_err(open_error)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let serving = server.serve(address).await.map_err(serve_error)?;
        if let Some(state) = &state {
            let running = Running {
                pid: std::process::id(),
                address: serving.addr.to_string(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            state.announce(&running, &serving.kubeconfig())?;
        }
        let cancel = cancel.child_token();
        let (nodes, strict) = match workloads {
            Workloads::None => (0, true),
            Workloads::Simulated { nodes, strict } => (nodes, strict),
        };
        let simulation = simulate::Options {
            nodes,
            strict,
            root_ca: Some(serving.ca_pem.clone()),
            on_notice: Some(std::sync::Arc::new(|notice: String| tracing::info!("{notice}"))),
            ..simulate::Options::default()
        };
        let simulation =
            (nodes > 0).then(|| tokio::spawn(run_simulation(server.client(), simulation, cancel.clone())));
        Ok(Embedded { server, serving, state, simulation, cancel })
    }

    /// Finds clusters beside the main one by their names.
    pub fn children(&self) -> argo::sites::Children {
        let server = self.server.clone();
        std::sync::Arc::new(move |name| {
            let server = server.clone();
            Box::pin(async move { server.child(&name).await.ok().map(|child| child.client()) })
        })
    }

    /// Stops the simulation, makes the last writes durable and releases the state.
    pub async fn shutdown(self) {
        self.cancel.cancel();
        if let Some(simulation) = self.simulation
            && let Err(error) = simulation.await
        {
            tracing::warn!(%error, "the simulated workloads ended badly");
        }
        self.server.shutdown().await;
        if let Some(state) = &self.state {
            state.withdraw();
        }
    }
}

async fn run_simulation(client: kube::Client, options: simulate::Options, cancel: CancellationToken) {
    simulate::run(client, options, cancel).await;
}

fn open_error(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Preload { .. } | OpenError::Certificates(_) => error.into(),
        other => usage(other.to_string()),
    }
}

fn serve_error(error: ServeError) -> anyhow::Error {
    usage(error.to_string())
}
