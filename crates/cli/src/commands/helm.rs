//! `landfall helm`: the verbs, flags, output and exit codes of `helm`.

mod dependency;
mod flags;
mod lint;
mod locate;
mod package;
mod show;
mod table;
mod template;
pub mod world;

use clap::{Args, Subcommand};
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
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render a chart's templates and print them
    Template(Box<template::Args>),
    /// Look for faults in a chart
    Lint(lint::Args),
    /// Show what a chart holds
    #[command(alias = "inspect", subcommand)]
    Show(show::Command),
    /// Pack a chart's folder into an archive
    Package(package::Args),
    /// The charts that a chart depends on
    #[command(visible_aliases = ["dep", "dependencies"], subcommand)]
    Dependency(dependency::Command),
}

/// What every verb is told.
struct Settings {
    namespace: String,
    debug: bool,
}

/// Runs a verb. Failures are printed as `helm` prints them.
pub fn run(args: HelmArgs) -> anyhow::Result<ExitCode> {
    let settings =
        Settings { namespace: args.namespace.unwrap_or_else(|| "default".into()), debug: args.debug };
    let result = match args.command {
        Command::Template(args) => template::run(&args, &settings),
        Command::Lint(args) => lint::run(&args, &settings),
        Command::Show(command) => show::run(&command),
        Command::Package(args) => package::run(&args),
        Command::Dependency(command) => dependency::run(&command),
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
