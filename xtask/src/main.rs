//! Tasks of the project itself: `cargo xtask tidy | conformance | bench | fuzz | fuzz-helm | fuzz-kustomize | generate |
//! simulate | record`.

mod bench;
mod conformance;
mod fuzz;
mod fuzz_helm;
mod fuzz_inputs;
mod generate;
mod random;
mod record;
mod simulate;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "xtask", about = "Checks, measures and generates what the project keeps")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what no compiler checks: licences, words, sizes, links, stray paths.
    Tidy,
    /// Run the peers' suites and print `suite passed/total`, a line each.
    Conformance(conformance::Args),
    /// Measure beside the real tools, in one run, as ratios.
    Bench(bench::Args),
    /// Derive the facts about Kubernetes' kinds in `crates/schema/data` anew.
    Generate(generate::Args),
    /// Feed readers of YAML, templates, archives and --set with inputs that are nearly right.
    Fuzz(fuzz_inputs::Args),
    /// Render random charts with the real helm and with ours, and keep what differs.
    FuzzHelm(fuzz_helm::Args),
    /// Build generated kustomizations beside the real kustomize.
    FuzzKustomize(fuzz::Args),
    /// Run the engine in simulated worlds that go wrong in every way, as many as there is time for.
    Simulate(simulate::Args),
    /// Record what the real tools make of the Flux example repository, as test data.
    Record(record::Args),
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let result = match words.next() {
        Some(word) if word == bench::MEASURE => bench::measure(&words.collect::<Vec<_>>()),
        _ => run(Args::parse().task),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(task: Task) -> anyhow::Result<bool> {
    match task {
        Task::Tidy => tidy::run(),
        Task::Conformance(args) => conformance::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Generate(args) => generate::run(&args),
        Task::Fuzz(args) => fuzz_inputs::run(&args),
        Task::FuzzHelm(args) => fuzz_helm::run(&args),
        Task::FuzzKustomize(args) => fuzz::run(&args),
        Task::Simulate(args) => simulate::run(&args),
        Task::Record(args) => record::run(&args),
    }
}
