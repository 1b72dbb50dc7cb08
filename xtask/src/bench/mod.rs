//! Measurements beside the real tools, in one run, as ratios.
//!
//! An area is a module with `pub fn run() -> anyhow::Result<Vec<Row>>`. Wall time and peak memory are those
//! of whole processes; medians of the runs are compared, so a slow machine shifts both sides alike.

use anyhow::bail;
use std::path::PathBuf;

/// `cargo xtask bench AREA`.
#[derive(clap::Args)]
pub struct Args {
    /// The area.
    area: String,
    /// Counted runs of each command.
    #[arg(short = 'n', long, default_value_t = 5)]
    runs: usize,
    /// Where the real tools are.
    #[arg(long, env = "PEERS_BIN")]
    peers: Option<PathBuf>,
}

/// Runs an area and prints its rows.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    bail!("no area named {}", args.area)
}
