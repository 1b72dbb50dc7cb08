//! `landfall helm`: the verbs, flags, output and exit codes of `helm`.

mod act;
mod connect;
mod dependency;
mod flags;
mod get;
mod install;
mod lint;
mod locate;
mod look;
mod name;
mod output;
mod package;
mod pull;
mod repo;
mod resources;
mod rollback;
mod settings;
mod show;
mod table;
mod template;
mod upgrade;
pub mod world;

use crate::target::Target;
use clap::{Args, Subcommand};
use connect::Connection;
use helm::Release;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `landfall helm`.
#[derive(Args)]
pub struct HelmArgs {
    /// The namespace of the release
    #[arg(short, long, global = true, env = "HELM_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,
    /// Say more about what goes wrong
    #[arg(long, global = true)]
    debug: bool,
    /// Use this context of the kubeconfig
    #[arg(long, global = true, env = "HELM_KUBECONTEXT", value_name = "NAME")]
    kube_context: Option<String>,
    /// The kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The state directory of an embedded cluster
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render a chart's templates and print them
    #[command(disable_version_flag = true)]
    Template(Box<template::Args>),
    /// Look for faults in a chart
    Lint(lint::Args),
    /// Show what a chart holds
    #[command(alias = "inspect", subcommand)]
    Show(show::Command),
    /// Pack a chart's folder into an archive
    #[command(disable_version_flag = true)]
    Package(package::Args),
    /// The charts that a chart depends on
    #[command(visible_aliases = ["dep", "dependencies"], subcommand)]
    Dependency(dependency::Command),
    /// Fetch a chart from a repository
    #[command(visible_alias = "fetch", disable_version_flag = true)]
    Pull(pull::Args),
    /// The chart repositories that go by a name
    #[command(subcommand)]
    Repo(repo::Command),
    /// Look for charts
    #[command(subcommand)]
    Search(repo::Search),
    /// Install a chart as a release
    #[command(disable_version_flag = true)]
    Install(Box<install::Args>),
    /// Upgrade a release
    #[command(disable_version_flag = true)]
    Upgrade(Box<upgrade::Args>),
    /// Go back to an earlier revision of a release
    Rollback(rollback::RollbackArgs),
    /// Remove releases and their objects
    #[command(aliases = ["del", "delete", "un"])]
    Uninstall(rollback::UninstallArgs),
    /// Run the tests of a release
    Test(rollback::TestArgs),
    /// List releases
    #[command(visible_alias = "ls")]
    List(look::ListArgs),
    /// List the revisions of a release
    #[command(alias = "hist")]
    History(look::HistoryArgs),
    /// Show how a release stands
    Status(look::StatusArgs),
    /// Show what is stored of a release
    #[command(subcommand)]
    Get(get::Command),
}

impl HelmArgs {
    /// May it talk to a server before it looks for a chart?
    pub fn reaches_out(&self) -> bool {
        !matches!(
            self.command,
            Command::Template(_) | Command::Lint(_) | Command::Show(_) | Command::Package(_)
        )
    }
}

/// What every verb is told.
struct Settings {
    namespace: Option<String>,
    debug: bool,
    target: Target,
}

impl Settings {
    /// The namespace where no cluster has a say.
    fn namespace_or_default(&self) -> String {
        self.namespace.clone().unwrap_or_else(|| "default".into())
    }
}

/// Runs a verb. Failures are printed as `helm` prints them.
pub fn run(args: HelmArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        namespace: args.namespace.filter(|name| !name.is_empty()),
        debug: args.debug,
        target: Target { context: args.kube_context, kubeconfig: args.kubeconfig, state: args.state },
    };
    let result = match args.command {
        Command::Template(args) => template::run(&args, &settings),
        Command::Lint(args) => lint::run(&args, &settings),
        Command::Show(command) => show::run(&command),
        Command::Package(args) => package::run(&args),
        Command::Dependency(command) => dependency::run(&command),
        Command::Pull(args) => pull::run(&args),
        Command::Repo(command) => repo::run(&command),
        Command::Search(command) => repo::search(&command),
        Command::Install(args) => install::run(&args, &settings),
        Command::Upgrade(args) => upgrade::run(&args, &settings),
        Command::Rollback(args) => wait_for(rollback::rollback(&args, &settings)),
        Command::Uninstall(args) => wait_for(rollback::uninstall(&args, &settings)),
        Command::Test(args) => wait_for(rollback::test(&args, &settings)),
        Command::List(args) => wait_for(look::list(&args, &settings)),
        Command::History(args) => wait_for(look::history(&args, &settings)),
        Command::Status(args) => wait_for(look::status(&args, &settings)),
        Command::Get(command) => wait_for(get::run(&command, &settings)),
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("Error: {error:#}");
            if settings.debug
                && let Some(error) = error.downcast_ref::<helm::Error>()
                && !error.excerpt.is_empty()
            {
                eprintln!("{}", error.excerpt);
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints to standard output without a newline of its own.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Waits for what talks to a server, on a runtime of its own.
fn wait_for<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

/// A release's name, or Helm's words for why it is none.
fn checked_name<'n>(name: &'n str, words: &str) -> anyhow::Result<&'n str> {
    match helm::release::check_name(name) {
        Ok(()) => Ok(name),
        Err(_) => Err(anyhow::anyhow!("{words}: {name}")),
    }
}

/// A stored revision of a release (0: the newest).
async fn stored(connection: &Connection, name: &str, revision: u64) -> anyhow::Result<Release> {
    let name = checked_name(name, "releaseContent: Release name is invalid")?;
    let storage = connection.storage(name);
    let found = match revision {
        0 => storage.last().await?,
        revision => storage.get(revision).await?,
    };
    found.ok_or_else(|| anyhow::anyhow!("release: not found"))
}
