//! `landfall diff`: what a sync of an Application would change, object by object.

use super::{application, jsonnet};
use crate::errors::usage;
use crate::target::Target;
use anyhow::Context as _;
use argo::application::state::Difference;
use cluster::Cluster;
use object::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Something differs.
const DIFFERS: u8 = 1;
/// It could not be told, as with `argocd app diff`.
const FAILED: u8 = 20;

/// Arguments of `landfall diff`.
#[derive(clap::Args)]
pub struct Args {
    /// app/NAME
    application: String,
    /// The namespace
    #[arg(short, long, default_value = "argocd")]
    namespace: String,
    /// Compare with this revision instead of the one of the Application (once for each source)
    #[arg(long, value_name = "REVISION")]
    revision: Vec<String>,
    /// Compare with the files of this checkout instead of the Application's Git repositories
    #[arg(long, value_name = "FOLDER")]
    local: Option<PathBuf>,
    /// Serve URL from a folder, an archive or another address: URL=PATH
    #[arg(long = "map", value_name = "URL=PATH")]
    maps: Vec<String>,
    /// Let config management plugins run
    #[arg(long)]
    enable_plugins: bool,
    /// End with 0 although something differs
    #[arg(long)]
    exit_zero: bool,
    #[command(flatten)]
    target: Target,
}

/// Prints the differences. The exit code is 0 without any, 1 with some, 20 when they cannot be told.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::new(args.target.client().await?);
    let (_, name, object) = application::read(&cluster, &args.application, &args.namespace).await?;
    let options = argo::Options {
        plugins: args.enable_plugins,
        jsonnet: jsonnet::evaluator()?,
        ..argo::Options::new(fetcher(&args, &object)?)
    };
    let found =
        argo::application::differences(&cluster, options, &args.namespace, &name, args.revision.clone());
    match found.await {
        Ok(found) => {
            found.iter().for_each(print);
            let differs = !found.is_empty() && !args.exit_zero;
            Ok(if differs { ExitCode::from(DIFFERS) } else { ExitCode::SUCCESS })
        }
        Err(why) => {
            eprintln!("application/{name}: {why}");
            Ok(ExitCode::from(FAILED))
        }
    }
}

/// Where sources come from.
fn fetcher(args: &Args, application: &Value) -> anyhow::Result<source::Fetcher> {
    let here = std::env::current_dir().context("the current folder")?;
    let mut maps = source::Maps::default();
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| usage(error.to_string()))?;
    }
    if let Some(folder) = &args.local {
        let folder = folder.canonicalize().with_context(|| format!("--local {}", folder.display()))?;
        for source in argo::application::spec::Spec::of(application).sources {
            if source.origin() == argo::application::spec::Origin::Git {
                maps.add(source.repo_url(), &folder);
            }
        }
    }
    source::Fetcher::new(source::Options { maps, ..source::Options::default() })
        .context("cannot keep fetched sources")
}

/// One object, as `argocd app diff` heads it.
fn print(difference: &Difference) {
    let key = &difference.key;
    println!("===== {}/{} {}/{} ======", key.group, key.kind, key.namespace, key.name);
    let text = |object: &Option<Value>| object.as_ref().map(yaml::to_string).unwrap_or_default();
    let (live, wanted) = (text(&difference.live), text(&difference.wanted));
    print!("{}", similar::TextDiff::from_lines(&live, &wanted).unified_diff().header("live", "wanted"));
}
