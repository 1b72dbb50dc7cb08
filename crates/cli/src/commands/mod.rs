//! The command line: one file for each verb.

mod actions;
mod adopt;
mod application;
mod cluster;
mod clusters;
mod completion;
mod controller;
mod diff;
mod events;
mod get;
mod helm;
mod install;
mod jsonnet;
mod kustomize;
mod later;
mod look;
pub mod named;
mod orphan;
mod provenance;
mod rbac;
mod reconcile;
mod render;
mod set_up;
pub mod stand_in;
mod tree;
mod up;
mod why;

use clap::{Parser, Subcommand};
use later::Later;
use std::process::ExitCode;

/// A platform in one binary: brings up everything that a Git repository describes, and keeps it so.
#[derive(Parser)]
#[command(
    name = "landfall",
    version,
    about,
    max_term_width = 100,
    propagate_version = true,
    args_override_self = true
)]
pub struct Cli {
    /// Say more on standard error (-vv: everything). LANDFALL_LOG takes a filter instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring up a repository and keep it so
    Up(Later<up::Args>),
    /// Print what would be applied: a chart, a kustomization, a folder, or a delivery object in it
    Render(Later<render::Args>),
    /// List what is delivered, one line per object
    Get(Later<get::Args>),
    /// Show what each object brought, down to the pods
    Tree(Later<tree::Args>),
    /// Name the first cause for which an object is not ready
    Why(Later<why::Args>),
    /// Show what happened, newest last
    Events(Later<events::Args>),
    /// Reconcile now
    Reconcile(Later<reconcile::Args>),
    /// Stop reconciling until resumed
    Suspend(Later<reconcile::Args>),
    /// Reconcile again
    Resume(Later<reconcile::Args>),
    /// List what can be done with an object, or do it (Argo CD's resource actions)
    Actions(Later<actions::Args>),
    /// Show what a sync of an Argo CD Application would change
    Diff(Later<diff::Args>),
    /// Show what an Argo CD Application was synced to
    History(Later<application::HistoryArgs>),
    /// Bring an Argo CD Application back to an entry of its history
    Rollback(Later<application::RollbackArgs>),
    /// Tell who may do what in Argo CD (argocd admin settings rbac)
    #[command(subcommand)]
    Rbac(rbac::Command),
    /// Helm's verbs, flags and output
    Helm(Later<helm::HelmArgs>),
    /// Kustomize's verbs, flags and output
    Kustomize(Later<kustomize::KustomizeArgs>),
    /// The embedded cluster by itself
    #[command(subcommand)]
    Cluster(Later<cluster::Command>),
    /// Run the engine alone, against a real cluster
    Controller(Later<controller::Args>),
    /// Print the manifests that install the engine on a cluster
    Install(Later<install::Args>),
    /// Take over what another tool reconciles, after a proof that this changes nothing
    Adopt(Later<adopt::Args>),
    /// Give up what a Kustomization or HelmRelease applied: the objects stay
    Orphan(Later<orphan::Args>),
    /// Print a completion script for a shell
    Completion(Later<completion::Args>),
    /// Evaluate Jsonnet for the engine, which started this process
    #[command(hide = true, name = jsonnet::COMMAND)]
    Jsonnet,
}

impl Cli {
    /// Logging, and the process-wide crypto provider.
    pub fn set_up(&self) {
        set_up::say(self.verbose);
        set_up::now();
    }

    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(args) => block_on(up::run(args.into_inner())),
            Command::Render(args) => render::run(&args),
            Command::Get(args) => block_on(get::run(args.into_inner())),
            Command::Tree(args) => block_on(tree::run(args.into_inner())),
            Command::Why(args) => block_on(why::run(args.into_inner())),
            Command::Events(args) => block_on(events::run(args.into_inner())),
            Command::Reconcile(args) => {
                block_on(reconcile::run(args.into_inner(), reconcile::Verb::Reconcile))
            }
            Command::Suspend(args) => block_on(reconcile::run(args.into_inner(), reconcile::Verb::Suspend)),
            Command::Resume(args) => block_on(reconcile::run(args.into_inner(), reconcile::Verb::Resume)),
            Command::Actions(args) => block_on(actions::run(args.into_inner())),
            Command::Diff(args) => block_on(diff::run(args.into_inner())),
            Command::History(args) => block_on(application::history(args.into_inner())),
            Command::Rollback(args) => block_on(application::rollback(args.into_inner())),
            Command::Rbac(command) => block_on(rbac::run(command)),
            Command::Helm(args) => helm::run(args.into_inner()),
            Command::Kustomize(args) => kustomize::run(args.into_inner()),
            Command::Cluster(command) => cluster::run(command.into_inner()),
            Command::Controller(args) => block_on(controller::run(args.into_inner())),
            Command::Install(args) => install::run(&args),
            Command::Adopt(args) => block_on(adopt::run(args.into_inner())),
            Command::Orphan(args) => block_on(orphan::run(args.into_inner())),
            Command::Completion(args) => completion::run(&args),
            Command::Jsonnet => jsonnet::run(),
        }
    }
}

/// Prints help, or what is wrong with the arguments. Where we stand in for another tool, its exit code counts.
pub fn bad_usage(error: &clap::Error) -> ExitCode {
    let stands_in = std::env::args_os().nth(1).is_some_and(|verb| verb == "helm" || verb == "kustomize");
    // Nobody is left to tell when standard error is closed.
    let _told = error.print();
    match (error.use_stderr(), stands_in) {
        (false, _) => ExitCode::SUCCESS,
        (true, true) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(2),
    }
}

/// Runs a command's future on a runtime of its own.
fn block_on<F: Future<Output = anyhow::Result<ExitCode>>>(future: F) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(future);
    // Blocking fetches that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
