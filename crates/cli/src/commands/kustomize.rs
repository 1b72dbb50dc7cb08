//! `landfall kustomize`: the verbs, flags, output and exit codes of `kustomize`.

mod build;
mod create;
mod edit;
mod localize;
mod network;
mod world;

use super::later::Later;
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
    /// Creates a kustomization in the current directory
    #[command(alias = "init")]
    Create(Later<create::Args>),
    /// Edits a kustomization file
    #[command(subcommand)]
    Edit(Later<edit::Command>),
    /// Creates a copy in which remote references are local
    Localize(Later<localize::Args>),
    /// Prints the version of Kustomize that this does as
    Version {
        /// Print it as `yaml` or `json`
        #[arg(short, long, default_value = "", hide_default_value = true)]
        output: String,
    },
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
        Command::Edit(command) => edit::run(command.into_inner()),
        Command::Localize(args) => localize::run(&args),
        Command::Create(args) => create::run(args.into_inner()),
        Command::Version { output } => version(&output),
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("Error: {error:#}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn version(output: &str) -> anyhow::Result<()> {
    // What was built how is said of this program.
    let facts = serde_json::json!({
        "version": kustomize::VERSION,
        "builtInto": format!("landfall {}", env!("CARGO_PKG_VERSION")),
    });
    match output {
        "" => println!("{}", kustomize::VERSION),
        "json" => println!("{}", serde_json::to_string_pretty(&facts)?),
        "yaml" => print!("{}", yaml::to_string(&facts)),
        _ => anyhow::bail!("--output must be 'yaml' or 'json'"),
    }
    Ok(())
}

/// Why a build failed, and where to look.
pub(super) fn told(error: &kustomize::Error) -> anyhow::Error {
    let message = error.message.trim_end();
    match error.place() {
        Some(place) => anyhow::anyhow!("{message}\n  in {place}"),
        None => anyhow::anyhow!("{message}"),
    }
}

/// A path from the root of the disk.
fn absolute(path: &str) -> anyhow::Result<String> {
    Ok(std::path::absolute(path)?.to_string_lossy().into_owned())
}
