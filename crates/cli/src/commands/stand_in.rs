//! The verbs that stand in for another tool, by a short way: scripts start them often, and the arguments of all
//! other commands need not be known for them.

use super::{helm, kustomize, set_up};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::process::ExitCode;

/// The command line of one verb. What it says about itself is what the whole command line says.
#[derive(Parser)]
#[command(
    name = "landfall",
    version,
    about,
    max_term_width = 100,
    propagate_version = true,
    args_override_self = true
)]
struct Only<C: Subcommand> {
    /// Say more on standard error (-vv: everything). LANDFALL_LOG takes a filter instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: C,
}

#[derive(Subcommand)]
enum Helm {
    /// Helm's verbs, flags and output
    Helm(helm::HelmArgs),
}

#[derive(Subcommand)]
enum Kustomize {
    /// Kustomize's verbs, flags and output
    Kustomize(kustomize::KustomizeArgs),
}

/// A verb with its arguments.
pub struct StandIn {
    verbose: u8,
    verb: Verb,
}

enum Verb {
    Helm(Box<helm::HelmArgs>),
    Kustomize(Box<kustomize::KustomizeArgs>),
}

/// The arguments of the process, when its first one is such a verb.
pub fn parse() -> Option<Result<StandIn, clap::Error>> {
    let verb = std::env::args_os().nth(1)?;
    match verb.to_str()? {
        "helm" => Some(parse_helm()),
        "kustomize" => Some(plain_build().map_or_else(parse_kustomize, Ok)),
        _ => None,
    }
}

fn parse_helm() -> Result<StandIn, clap::Error> {
    let mut command = Only::<Helm>::command();
    if let Some(only) = std::env::args_os().nth(2).and_then(|verb| helm::HelmArgs::only(&verb)) {
        command.get_subcommands_mut().for_each(|inner| *inner = only.clone());
    }
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let only = Only::<Helm>::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let Helm::Helm(args) = only.command;
    Ok(StandIn { verbose: only.verbose, verb: Verb::Helm(Box::new(args)) })
}

fn plain_build() -> Option<StandIn> {
    let words: Vec<String> =
        std::env::args_os().skip(2).map(|word| word.into_string().ok()).collect::<Option<_>>()?;
    let args = kustomize::KustomizeArgs::of_plain_build(&words)?;
    Some(StandIn { verbose: 0, verb: Verb::Kustomize(Box::new(args)) })
}

fn parse_kustomize() -> Result<StandIn, clap::Error> {
    let only = Only::<Kustomize>::try_parse()?;
    let Kustomize::Kustomize(args) = only.command;
    Ok(StandIn { verbose: only.verbose, verb: Verb::Kustomize(Box::new(args)) })
}

impl StandIn {
    /// Runs the verb.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        set_up::say(self.verbose);
        match self.verb {
            Verb::Helm(args) => {
                if args.reaches_out() {
                    set_up::now();
                }
                helm::run(*args)
            }
            Verb::Kustomize(args) => kustomize::run(*args),
        }
    }
}
