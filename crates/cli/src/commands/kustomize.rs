//! `landfall kustomize`: the verbs, flags, output and exit codes of `kustomize`.

mod build;
mod edit;
mod localize;
mod network;
mod world;

use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Arguments of `landfall kustomize`.
#[derive(Args)]
pub struct KustomizeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build a kustomization target from a directory or URL
    Build(Box<build::Args>),
    /// Edits a kustomization file
    #[command(subcommand)]
    Edit(edit::Command),
    /// Creates a copy in which remote references are local
    Localize(localize::Args),
    /// Prints the version of Kustomize that this does as
    Version,
}

impl KustomizeArgs {
    /// The arguments of `build [DIR]`, by far the commonest call, without the parser for all others.
    pub fn of_plain_build(words: &[String]) -> Option<KustomizeArgs> {
        let dir = match words {
            [verb] if verb == "build" => None,
            [verb, dir] if verb == "build" && !dir.starts_with('-') => Some(dir.as_str()),
            _ => return None,
        };
        Some(KustomizeArgs { command: Command::Build(Box::new(build::Args::of_folder(dir))) })
    }
}

/// Runs a verb. Failures are printed as `kustomize` prints them.
pub fn run(args: KustomizeArgs) -> anyhow::Result<ExitCode> {
    let result = match args.command {
        Command::Build(args) => build::run(&args),
        Command::Edit(command) => edit::run(command),
        Command::Localize(args) => localize::run(&args),
        Command::Version => {
            println!("{}", kustomize::VERSION);
            Ok(())
        }
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("Error: {error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A path from the root of the disk.
fn absolute(path: &str) -> anyhow::Result<String> {
    Ok(std::path::absolute(path)?.to_string_lossy().into_owned())
}
