//! Landfall: a platform in one binary. Parses the command line and hands it to the command.

mod beside;
mod commands;
mod embedded;
mod entry;
mod errors;
mod probes;
mod repository;
mod state;
mod target;
mod views;

use clap::Parser;
use std::process::ExitCode;

// Fewer pages and less time than the system's allocator under many small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match commands::stand_in::parse() {
        Some(parsed) => parsed.map(commands::stand_in::StandIn::run),
        None => commands::Cli::try_parse().map(|cli| {
            cli.set_up();
            cli.run()
        }),
    };
    match result {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => errors::report(&error),
        Err(error) => commands::bad_usage(&error),
    }
}
