//! `landfall completion`: scripts for the shells.

use clap::CommandFactory;
use std::process::ExitCode;

/// Prints the script to standard output, for example: source <(landfall completion bash)
#[derive(clap::Args)]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::later::all_at_once();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "landfall", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
