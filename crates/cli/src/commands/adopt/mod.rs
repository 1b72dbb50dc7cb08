//! `landfall adopt`: proves that taking over would change nothing, takes over, and hands back.
//!
//! The proof is a rehearsal: the engine runs against the cluster through a door ([`door`]) that turns every write into a
//! dry run. What the API would have made of it is compared with what is there.

mod door;
mod flux_controllers;
mod units;

use crate::target::Target;
use std::process::ExitCode;

/// Who asks: audited in the managed fields.
const MANAGER: &str = "landfall-cli";

/// Take over what another tool reconciles, after a proof that this changes nothing
///
/// `adopt flux` takes over everything that Flux's controllers reconcile. `adopt kustomization/NAME` and `adopt
/// helmrelease/NAME` take objects and releases over that kubectl, helm, Terraform or Argo CD brought, for an object of
/// that kind that is in the cluster, suspended: the engine rehearses what it would apply, and every difference is
/// printed. Only when there is none do the fields become its own, and it is resumed.
#[derive(clap::Args)]
pub struct Args {
    /// `flux`, or KIND/NAME …
    #[arg(required = true)]
    what: Vec<String>,
    /// The namespace of the objects
    #[arg(short, long, default_value = "flux-system")]
    namespace: String,
    /// Only rehearse: print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take over although something would change
    #[arg(long)]
    force: bool,
    /// Hand back to Flux: its controllers run again, with as many pods as before (adopt flux)
    #[arg(long, conflicts_with_all = ["dry_run", "force"])]
    undo: bool,
    /// Take the fields of this manager over, too (repeatable; those of kubectl, helm, Terraform and Argo CD are known)
    #[arg(long = "from", value_name = "MANAGER")]
    from: Vec<String>,
    /// Print what was found as text or JSON
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
    /// Serve a remote source from a local folder, archive or mirror (repeatable)
    #[arg(long = "map", value_name = "URL=PATH")]
    maps: Vec<String>,
    /// How long to wait for the rehearsal and for pods to end, in seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    target: Target,
}

/// How findings are printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Lines for people.
    Text,
    /// One object.
    Json,
}

/// Rehearses and takes over, or hands back.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.what == ["flux"] {
        return flux_controllers::run(&args).await;
    }
    if args.undo {
        let hint = "--undo is for `adopt flux`; `landfall orphan KIND/NAME` gives objects and releases up";
        return Err(crate::errors::usage(hint));
    }
    units::run(&args).await
}
