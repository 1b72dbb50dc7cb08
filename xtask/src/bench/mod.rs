//! Measurements beside the real tools, in one run, as ratios.
//!
//! An area is a module with `pub fn rows(&Setting) -> anyhow::Result<Vec<Row>>`. Wall time and peak memory
//! are those of whole processes; both sides run in turn and medians are compared, so that a slow machine
//! shifts both alike.

mod api;
mod delivery;
mod engine;
mod kustomize;
mod process;
mod renders;
mod startup;

use anyhow::bail;
pub use process::{MEASURE, measure};
use process::{Row, Setting};
use std::path::PathBuf;

/// `cargo xtask bench AREA`.
#[derive(clap::Args)]
pub struct Args {
    /// The area: api, delivery, engine (charts in process), helm, kustomize, startup, or all (but delivery).
    area: String,
    /// Counted runs of each command.
    #[arg(short = 'n', long, default_value_t = 10)]
    runs: usize,
    /// The released binary.
    #[arg(long, default_value = "target/release/landfall")]
    landfall: PathBuf,
    /// The folder of the real tools (helm, kustomize, kube-apiserver).
    #[arg(long)]
    peers: Option<PathBuf>,
    /// The folder with the suites and charts.
    #[arg(long, default_value = "../shared")]
    shared: PathBuf,
    /// What `delivery` makes: Flux's Kustomizations or Argo CD's Applications
    #[arg(long, value_enum, default_value_t)]
    flavour: delivery::Flavour,
    /// How many of them `delivery` makes, one run for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300, 1000])]
    units: Vec<usize>,
}

type Area = (&'static str, fn(&Setting) -> anyhow::Result<Vec<Row>>);

const AREAS: &[Area] = &[
    ("helm", renders::rows),
    ("engine", engine::rows),
    ("kustomize", kustomize::rows),
    ("startup", startup::rows),
    ("api", api::rows),
];

/// Runs an area and prints its rows.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let peers = args.peers.clone().unwrap_or_else(|| home.join(".cache/landfall-peers/bin"));
    if !args.landfall.exists() {
        bail!("{} is missing: cargo build --release", args.landfall.display());
    }
    let setting = Setting {
        landfall: args.landfall.canonicalize()?,
        peers,
        shared: args.shared.canonicalize()?,
        runs: args.runs,
        scratch: tempfile::tempdir()?,
    };
    if args.area == "delivery" {
        delivery::run(&setting, args.flavour, &args.units)?;
        return Ok(true);
    }
    let areas: Vec<&Area> =
        AREAS.iter().filter(|(name, _)| args.area == "all" || *name == args.area).collect();
    if areas.is_empty() {
        bail!("no area named {}", args.area);
    }
    for (name, rows) in areas {
        println!("## {name}\n");
        println!("| work | landfall | real tool | time | memory |");
        println!("| --- | --- | --- | --- | --- |");
        for row in rows(&setting)? {
            println!("{row}");
        }
        println!();
    }
    Ok(true)
}
