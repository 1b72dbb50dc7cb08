//! `landfall orphan`: gives objects and releases up. They stay as they are, and whoever applies them next has them.

use super::named;
use crate::errors::usage;
use crate::target::Target;
use anyhow::Context as _;
use cluster::{Cluster, Delete, ErrorKind, PatchKind, PatchOptions};
use object::{get, get_str, meta};
use plan::ObjectRef;
use serde_json::json;
use std::process::ExitCode;

/// Who asks: audited in the managed fields.
const MANAGER: &str = "landfall-cli";

/// Give up what a Kustomization or HelmRelease applied: the objects stay, and are nobody's
///
/// The object is suspended, its labels leave what it applied, and it owns no field there any more: kubectl, helm and
/// other tools meet no conflict. Secrets of a release stay, so `helm upgrade` goes on from there. `landfall adopt`
/// takes everything over again.
#[derive(clap::Args)]
pub struct Args {
    /// KIND/NAME …: Kustomizations or HelmReleases
    #[arg(required = true)]
    objects: Vec<String>,
    /// Their namespace
    #[arg(short, long, default_value = "flux-system")]
    namespace: String,
    /// Delete the Kustomization or HelmRelease itself, too
    #[arg(long)]
    delete: bool,
    /// Only print what would be given up
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    target: Target,
}

/// Suspends, gives up, and deletes if asked to.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (kind, names) = named::split(&args.objects)?;
    let kind = kind.filter(|kind| matches!(kind.kind, "Kustomization" | "HelmRelease"));
    let Some(kind) = kind.filter(|_| !names.is_empty()) else {
        return Err(usage("name kustomization/NAME or helmrelease/NAME"));
    };
    let manager = match kind.kind {
        "Kustomization" => flux::kustomization::MANAGER,
        _ => flux::helmrelease::MANAGER,
    };
    let labels = [format!("{}/name", kind.group), format!("{}/namespace", kind.group)];
    let cluster = Cluster::new(args.target.client().await?);
    for name in &names {
        let unit = cluster.get(&kind.gvk(), &args.namespace, name).await?;
        let unit = unit.with_context(|| format!("{}/{name} is not in {}", kind.kind, args.namespace))?;
        if get(&unit, &["spec", "kubeConfig"]).is_some_and(object::Value::is_object) {
            anyhow::bail!("{}/{name} delivers to another cluster: nothing is given up there", kind.kind);
        }
        let inventory = ObjectRef::parse_entries(get(&unit, &["status", "inventory"]))?;
        if !args.dry_run {
            suspend(&cluster, kind, &args.namespace, name).await?;
        }
        for entry in &inventory {
            if args.dry_run {
                println!("{} would be given up", entry.key);
                continue;
            }
            match adoption(&cluster, manager, entry, &labels).await {
                Ok(true) => println!("{} is nobody's now", entry.key),
                Ok(false) => println!("{} was not {name}'s", entry.key),
                Err(error) if error.kind == ErrorKind::MissingKind => {}
                Err(error) => return Err(error).with_context(|| format!("{} is not given up", entry.key)),
            }
        }
        if args.delete && !args.dry_run {
            cluster.delete(&kind.gvk(), &args.namespace, name, &Delete::default()).await?;
            println!("{}/{name} is deleted", kind.kind);
        } else if !args.dry_run {
            println!("{}/{name} is suspended", kind.kind);
        }
        if let Some(parent) = meta::label(&unit, "kustomize.toolkit.fluxcd.io/name") {
            println!("it is part of Kustomization {parent}: remove it from its source, too");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives one object up; tried again where somebody else wrote to it meanwhile.
async fn adoption(
    cluster: &Cluster,
    manager: &str,
    entry: &ObjectRef,
    labels: &[String],
) -> Result<bool, cluster::Error> {
    const TRIES: usize = 5;
    let mut tries = 0;
    loop {
        let done = delivery::adoption::give_up(cluster, manager, &entry.gvk(), &entry.key, labels).await;
        tries += 1;
        match done {
            Err(error) if tries < TRIES && matches!(error.kind, ErrorKind::Conflict | ErrorKind::Invalid) => {
            }
            other => return other,
        }
    }
}

/// Nothing is applied by it from now on. A pass that runs is ended by the change of its spec.
async fn suspend(
    cluster: &Cluster,
    kind: &named::Delivered,
    namespace: &str,
    name: &str,
) -> anyhow::Result<()> {
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    let patch = json!({"spec": {"suspend": true}});
    let live = cluster.patch(&kind.gvk(), namespace, name, PatchKind::Merge, &patch, &options).await?;
    tracing::debug!(suspended = get_str(&live, &["metadata", "name"]), "suspended");
    // The engine ends a running pass at once; a write that is on its way still lands.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    Ok(())
}
