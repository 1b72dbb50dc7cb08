//! Which cluster a command talks to: a real one by context, or the embedded one of a repository.

use crate::errors::usage;
use crate::state::State;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The flags that choose a cluster.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Target {
    /// Use this context of the kubeconfig instead of the embedded cluster.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig file.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The state directory of the embedded cluster.
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

impl Target {
    /// Whether a real cluster was asked for.
    pub fn is_real(&self) -> bool {
        self.context.is_some() || self.kubeconfig.is_some()
    }

    /// A client of the real cluster that the flags name.
    pub async fn real_client(&self) -> anyhow::Result<kube::Client> {
        let config = self.real_config().await?;
        let client = kube::Client::try_from(config).context("cannot make a client from the kubeconfig")?;
        client.apiserver_version().await.map_err(|error| {
            usage(format!("the cluster does not answer: {error}; check --context and --kubeconfig"))
        })?;
        Ok(client)
    }

    /// A client for the engine: the cluster that the flags or the environment name, or else the one it runs in.
    pub async fn engine_client(&self) -> anyhow::Result<kube::Client> {
        let inside = !self.is_real()
            && std::env::var_os("KUBECONFIG").is_none()
            && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        if !inside {
            return self.real_client().await;
        }
        let config =
            kube::Config::incluster().map_err(|error| usage(format!("no service account: {error}")))?;
        kube::Client::try_from(config).context("cannot make a client from the service account")
    }

    /// The configuration that the flags (or the environment) name.
    pub async fn real_config(&self) -> anyhow::Result<kube::Config> {
        let options = kube::config::KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let config = match &self.kubeconfig {
            Some(path) => {
                let read = kube::config::Kubeconfig::read_from(path)
                    .map_err(|error| usage(format!("{}: {error}", path.display())))?;
                kube::Config::from_custom_kubeconfig(read, &options).await
            }
            None => kube::Config::from_kubeconfig(&options).await,
        };
        config.map_err(|error| usage(format!("no such cluster: {error}")))
    }

    /// The state directory: the one named, else that of `repository`.
    pub fn state(&self, repository: &Path) -> anyhow::Result<State> {
        match &self.state {
            Some(dir) => Ok(State::at(dir)),
            None => State::of_repository(repository),
        }
    }

    /// A client for looking and acting from another process: the real cluster, or the server that runs on
    /// the state directory of the repository here.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        if self.is_real() {
            return self.real_client().await;
        }
        let state = self.running_state()?;
        let path = state.kubeconfig_path();
        let read = kube::config::Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
        let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Whether an embedded cluster runs for this folder or one above it.
    pub fn embedded_here(&self) -> anyhow::Result<bool> {
        let here = std::env::current_dir().context("the current folder")?;
        for folder in here.ancestors() {
            if State::of_repository(folder)?.running()?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The state directory whose server runs: the one named, that of this folder or of a folder above it,
    /// or the only one that runs.
    fn running_state(&self) -> anyhow::Result<State> {
        if let Some(dir) = &self.state {
            let state = State::at(dir);
            return match state.running()? {
                Some(_) => Ok(state),
                None => Err(usage(format!(
                    "no server runs on {}; start it: landfall cluster start --state {} --detach",
                    dir.display(),
                    dir.display()
                ))),
            };
        }
        let here = std::env::current_dir().context("the current folder")?;
        for folder in here.ancestors() {
            let state = State::of_repository(folder)?;
            if state.running()?.is_some() {
                return Ok(state);
            }
        }
        let mut running = State::all_running()?;
        match (running.pop(), running.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(usage(
                "no embedded cluster runs; start one with `landfall up REPO`, or name a real one with --context",
            )),
            (Some(last), false) => {
                running.push(last);
                let names: Vec<String> =
                    running.iter().map(|state| format!("  --state {}", state.dir.display())).collect();
                Err(usage(format!("several embedded clusters run; choose one:\n{}", names.join("\n"))))
            }
        }
    }
}
