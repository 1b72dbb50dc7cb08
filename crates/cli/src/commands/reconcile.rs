//! `landfall reconcile`, `suspend` and `resume`: the user's hand on a delivery object.

use super::named;
use crate::errors::usage;
use crate::target::Target;
use cluster::{Cluster, ListOptions, PatchKind, PatchOptions};
use object::{Value, get, get_str, meta};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What to do with the objects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Run now.
    Reconcile,
    /// Set `spec.suspend`.
    Suspend,
    /// Take `spec.suspend` back.
    Resume,
}

/// Arguments of the three verbs.
#[derive(clap::Args)]
pub struct Args {
    /// KIND/NAME …, or KIND and names
    #[arg(required = true)]
    objects: Vec<String>,
    /// The namespace [default: flux-system, argocd for Applications]
    #[arg(short, long)]
    namespace: Option<String>,
    /// Every object of the kind in the namespace
    #[arg(long)]
    all: bool,
    /// Reconcile the object's source first (reconcile only)
    #[arg(long)]
    with_source: bool,
    /// How long to wait for the outcome, in seconds (0: do not wait)
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    sync: super::application::Sync,
    #[command(flatten)]
    target: Target,
}

/// Who asks: audited in the managed fields.
const MANAGER: &str = "landfall-cli";
const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";

/// Patches the objects and waits for what comes of it.
pub async fn run(args: Args, verb: Verb) -> anyhow::Result<ExitCode> {
    let (kind, names) = named::split(&args.objects)?;
    let Some(kind) = kind else { return Err(usage("name a kind: KIND/NAME")) };
    let cluster = Cluster::new(args.target.client().await?);
    let namespace = args.namespace.clone().unwrap_or_else(|| kind.home().to_owned());
    let names = if args.all {
        let options = ListOptions { namespace: namespace.clone(), ..ListOptions::default() };
        cluster
            .list(&kind.gvk(), &options)
            .await?
            .iter()
            .map(|object| meta::name(object).to_owned())
            .collect()
    } else {
        names
    };
    if names.is_empty() {
        return Err(usage("name the objects, or give --all"));
    }
    if args.sync.is_used() && (verb != Verb::Reconcile || !kind.is_argo()) {
        return Err(usage("--resource, --prune, --dry-run and their like are for syncs of Applications"));
    }
    let mut good = true;
    for name in &names {
        good &= if kind.is_argo() {
            let gvk = kind.gvk();
            super::application::act(&cluster, &gvk, &namespace, name, verb, &args.sync, args.timeout).await?
        } else {
            act(&cluster, kind, name, &namespace, &args, verb).await?
        };
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

async fn act(
    cluster: &Cluster,
    kind: &named::Delivered,
    name: &str,
    namespace: &str,
    args: &Args,
    verb: Verb,
) -> anyhow::Result<bool> {
    let gvk = kind.gvk();
    let shown = format!("{}/{name}", kind.kind.to_lowercase());
    let Some(object) = cluster.get(&gvk, namespace, name).await? else {
        return Err(anyhow::anyhow!("{shown} is not in namespace {namespace}"));
    };
    let suspended = get(&object, &["spec", "suspend"]).and_then(Value::as_bool).unwrap_or(false);
    if verb == Verb::Reconcile && suspended {
        return Err(anyhow::anyhow!("{shown} is suspended; resume it: landfall resume {shown}"));
    }
    if args.with_source && verb == Verb::Reconcile {
        reconcile_source(cluster, &object, namespace, args).await?;
    }
    let stamp = jiff::Timestamp::now().to_string();
    let patch = match verb {
        Verb::Reconcile => json!({"metadata": {"annotations": {REQUESTED_AT: stamp}}}),
        Verb::Suspend => json!({"spec": {"suspend": true}}),
        Verb::Resume => {
            json!({"spec": {"suspend": null}, "metadata": {"annotations": {REQUESTED_AT: stamp}}})
        }
    };
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    cluster.patch(&gvk, namespace, name, PatchKind::Merge, &patch, &options).await?;
    match verb {
        Verb::Suspend => {
            println!("{shown} is suspended");
            Ok(true)
        }
        _ if args.timeout == 0 => {
            println!("{shown} is asked to reconcile");
            Ok(true)
        }
        _ => wait(cluster, kind, name, namespace, &shown, &stamp, args.timeout).await,
    }
}

/// Asks the source that the object names to fetch first.
async fn reconcile_source(cluster: &Cluster, object: &Value, own: &str, args: &Args) -> anyhow::Result<()> {
    let reference =
        [&["spec", "sourceRef"][..], &["spec", "chart", "spec", "sourceRef"], &["spec", "chartRef"]]
            .iter()
            .find_map(|path| get(object, path));
    let Some(reference) = reference else { return Ok(()) };
    let (Some(word), Some(name)) = (get_str(reference, &["kind"]), get_str(reference, &["name"])) else {
        return Ok(());
    };
    let kind = named::kind(word)?;
    let namespace = get_str(reference, &["namespace"]).unwrap_or(own);
    let stamp = jiff::Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {REQUESTED_AT: stamp}}});
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    cluster.patch(&kind.gvk(), namespace, name, PatchKind::Merge, &patch, &options).await?;
    let shown = format!("{}/{name}", kind.kind.to_lowercase());
    wait(cluster, kind, name, namespace, &shown, &stamp, args.timeout).await?;
    Ok(())
}

/// Waits until the request was handled and the object is Ready or failed; `true` when Ready.
async fn wait(
    cluster: &Cluster,
    kind: &named::Delivered,
    name: &str,
    namespace: &str,
    shown: &str,
    stamp: &str,
    timeout: u64,
) -> anyhow::Result<bool> {
    let until = Instant::now() + Duration::from_secs(timeout);
    loop {
        let object = cluster.get(&kind.gvk(), namespace, name).await?;
        let Some(object) = object else { return Err(anyhow::anyhow!("{shown} was deleted meanwhile")) };
        let handled = get_str(&object, &["status", "lastHandledReconcileAt"]) == Some(stamp);
        if let Some((ready, message)) = ready(&object).filter(|_| handled) {
            println!("{shown}: {message}");
            return Ok(ready);
        }
        if Instant::now() >= until {
            println!("{shown}: no outcome in {timeout} s; ask: landfall why {shown}");
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The Ready condition, once it is decided.
fn ready(object: &Value) -> Option<(bool, String)> {
    let conditions = get(object, &["status", "conditions"])?.as_array()?;
    let condition = conditions.iter().find(|condition| get_str(condition, &["type"]) == Some("Ready"))?;
    let message = get_str(condition, &["message"]).unwrap_or_default().to_owned();
    match get_str(condition, &["status"]) {
        Some("True") => Some((true, message)),
        Some("False") => Some((false, message)),
        _ => None,
    }
}
