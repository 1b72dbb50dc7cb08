//! The simulation of `crates/flux/tests/simulation`, with as many seeds as asked for.

use std::process::Command;

/// Arguments of `cargo xtask simulate`.
#[derive(clap::Args)]
pub struct Args {
    /// How many runs
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Repeat the run of one seed
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Build with optimisation: takes longer, and the runs then take a fraction
    #[arg(long)]
    release: bool,
}

/// Runs them; `false` when one fails, with its seed.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["test", "--workspace", "--locked", "--test", "simulation"]);
    if args.release {
        command.arg("--release");
    }
    command.args(["--", "--nocapture"]);
    match args.seed {
        Some(seed) => command.env("LANDFALL_SEED", seed.to_string()),
        None => command
            .env("LANDFALL_SEEDS", args.seeds.to_string())
            .env("LANDFALL_FIRST_SEED", args.first.to_string()),
    };
    Ok(command.status()?.success())
}
