//! `landfall cluster create · fork · list · delete · backup · restore`: clusters beside the main one, and copies of it.
//!
//! All but `restore` and a backup of a stopped cluster ask the running server.

use super::cluster::Which;
use crate::errors::usage;
use crate::state::{State, write_private};
use anyhow::Context;
use futures::AsyncReadExt;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A cluster to be made.
#[derive(clap::Args)]
pub struct Create {
    /// Its name
    pub name: String,
    /// Begin with all that is in this cluster ('.' is the main one)
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    #[command(flatten)]
    pub which: Which,
}

/// A cluster by name.
#[derive(clap::Args)]
pub struct Named {
    /// Its name
    pub name: String,
    #[command(flatten)]
    pub which: Which,
}

/// Where a backup is written to or read from.
#[derive(clap::Args)]
pub struct File {
    /// The file
    pub file: PathBuf,
    #[command(flatten)]
    pub which: Which,
}

/// How to reach the server of a state directory.
struct Door {
    client: kube::Client,
    address: String,
    state: State,
}

impl Door {
    async fn of(which: &Which) -> anyhow::Result<Door> {
        let state = which.state()?;
        let Some(running) = state.running()? else {
            let dir = state.dir.display();
            return Err(usage(format!(
                "no server runs on {dir}; start it: landfall cluster start --state {dir} --detach"
            )));
        };
        let path = state.kubeconfig_path();
        let read = kube::config::Kubeconfig::read_from(&path).with_context(|| path.display().to_string())?;
        let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await?;
        Ok(Door { client: kube::Client::try_from(config)?, address: running.address, state })
    }

    async fn ask(&self, method: http::Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = http::Request::builder().method(method).uri(path).body(body)?;
        self.client.request::<Value>(request).await.map_err(|error| match error {
            kube::Error::Api(status) => usage(status.message.clone()),
            other => other.into(),
        })
    }

    /// The kubeconfig of a cluster that the server described.
    fn kubeconfig(&self, cluster: &Value) -> String {
        let text = |field: &str| cluster.get(field).and_then(Value::as_str).unwrap_or_default();
        let server = format!("https://{}{}", self.address, text("path"));
        apiserver::kubeconfig(text("name"), &server, text("caCertificate"), text("token"))
    }

    /// Where the kubeconfig of a cluster is kept.
    fn kubeconfig_path(&self, name: &str) -> PathBuf {
        self.state.dir.join(format!("kubeconfig-{name}"))
    }

    fn keep(&self, cluster: &Value) -> anyhow::Result<PathBuf> {
        let name = cluster.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = self.kubeconfig_path(name);
        write_private(&path, self.kubeconfig(cluster).as_bytes())?;
        Ok(path)
    }
}

const CLUSTERS: &str = "/landfall/clusters";

/// Makes a cluster and says how to reach it.
pub async fn create(create: Create) -> anyhow::Result<ExitCode> {
    let door = Door::of(&create.which).await?;
    let wanted = json!({"name": create.name, "from": create.from.unwrap_or_default()});
    let made = door.ask(http::Method::POST, CLUSTERS, &wanted).await?;
    let path = door.keep(&made)?;
    println!(
        "{} is served; workloads are those of its server\nexport KUBECONFIG={}",
        create.name,
        path.display()
    );
    Ok(ExitCode::SUCCESS)
}

/// One line for each cluster.
pub async fn list(which: Which) -> anyhow::Result<ExitCode> {
    let door = Door::of(&which).await?;
    let found = door.ask(http::Method::GET, CLUSTERS, &Value::Null).await?;
    for item in found.get("items").and_then(Value::as_array).into_iter().flatten() {
        println!("{}", item.get("name").and_then(Value::as_str).unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes a cluster and all that is in it.
pub async fn delete(named: Named) -> anyhow::Result<ExitCode> {
    let door = Door::of(&named.which).await?;
    door.ask(http::Method::DELETE, &format!("{CLUSTERS}/{}", named.name), &Value::Null).await?;
    match std::fs::remove_file(door.kubeconfig_path(&named.name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    println!("{} is removed", named.name);
    Ok(ExitCode::SUCCESS)
}

/// Prints the kubeconfig of a cluster.
pub async fn kubeconfig(which: &Which, name: &str) -> anyhow::Result<ExitCode> {
    let door = Door::of(which).await?;
    let cluster = door.ask(http::Method::GET, &format!("{CLUSTERS}/{name}"), &Value::Null).await?;
    door.keep(&cluster)?;
    print!("{}", door.kubeconfig(&cluster));
    Ok(ExitCode::SUCCESS)
}

/// Writes a backup: of the running server at this moment, or of what a stopped one left.
pub async fn backup(file: File) -> anyhow::Result<ExitCode> {
    let state = file.which.state()?;
    let part = file.file.with_extension("part");
    let shown = || part.display().to_string();
    write_private(&part, b"")?;
    let mut out = std::fs::OpenOptions::new().append(true).open(&part).with_context(shown)?;
    if state.running()?.is_some() {
        let door = Door::of(&file.which).await?;
        let request = http::Request::get("/landfall/backup").body(Vec::new())?;
        let mut body = Box::pin(door.client.request_stream(request).await?);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let size = body.read(&mut buffer).await?;
            let Some(read) = buffer.get(..size).filter(|read| !read.is_empty()) else { break };
            out.write_all(read).with_context(shown)?;
        }
    } else if state.dir.join("state.redb").exists() {
        let options = apiserver::Options {
            storage: apiserver::Storage::Path(state.dir.clone()),
            ..apiserver::Options::default()
        };
        let server = apiserver::Server::open(options).await.map_err(|error| usage(error.to_string()))?;
        server.backup(&mut out)?;
        server.shutdown().await;
    } else {
        std::fs::remove_file(&part).with_context(shown)?;
        return Err(usage(format!("there is no cluster in {}", state.dir.display())));
    }
    out.sync_all().with_context(shown)?;
    // Only what can be read back is a backup.
    let objects = apiserver::check_backup(std::fs::File::open(&part).with_context(shown)?);
    let objects = objects.with_context(shown)?;
    std::fs::rename(&part, &file.file).with_context(|| file.file.display().to_string())?;
    println!("{objects} objects are in {}; secrets are among them", file.file.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes a cluster from a backup in a state directory that holds none.
pub fn restore(file: &File) -> anyhow::Result<ExitCode> {
    let state = file.which.state()?;
    if let Some(running) = state.running()? {
        return Err(usage(format!(
            "{} is served by process {}; choose another --state, or stop and reset it first",
            state.dir.display(),
            running.pid
        )));
    }
    let from = open(&file.file)?;
    apiserver::restore(from, &state.dir).map_err(|error| usage(error.to_string()))?;
    println!("restored; serve it: landfall cluster start --state {}", state.dir.display());
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> anyhow::Result<std::fs::File> {
    std::fs::File::open(path).map_err(|error| usage(format!("{}: {error}", path.display())))
}
