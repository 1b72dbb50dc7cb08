//! The user's hand on an Argo CD Application: `landfall reconcile`, `suspend`, `resume` and `rollback`.

use super::named;
use super::reconcile::Verb;
use crate::errors::usage;
use crate::target::Target;
use crate::views::{Output, structured, table::table};
use cluster::{Cluster, PatchKind, PatchOptions};
use object::{Gvk, Value, get, get_i64, get_str};
use serde_json::json;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Who asks: audited in the managed fields and in the operation.
const MANAGER: &str = "landfall-cli";

/// Syncs, or keeps the engine away and lets it back.
pub async fn act(
    cluster: &Cluster,
    gvk: &Gvk,
    namespace: &str,
    name: &str,
    verb: Verb,
    sync: &Sync,
    timeout: u64,
) -> anyhow::Result<bool> {
    let shown = format!("{}/{name}", gvk.kind.to_lowercase());
    if cluster.get(gvk, namespace, name).await?.is_none() {
        return Err(anyhow::anyhow!("{shown} is not in namespace {namespace}"));
    }
    let patch = match verb {
        Verb::Reconcile if gvk.kind == argo::names::APPLICATION => {
            let operation = json!({"initiatedBy": {"username": "landfall"}, "sync": sync.operation()?});
            return operate(cluster, gvk, namespace, name, operation, timeout).await;
        }
        _ if sync.is_used() => return Err(usage(format!("{shown} is not synced; only Applications are"))),
        Verb::Reconcile => {
            json!({"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}})
        }
        Verb::Suspend => json!({"metadata": {"annotations": {argo::names::SKIP_RECONCILE: "true"}}}),
        Verb::Resume => json!({"metadata": {"annotations": {argo::names::SKIP_RECONCILE: null}}}),
    };
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    cluster.patch(gvk, namespace, name, PatchKind::Merge, &patch, &options).await?;
    println!(
        "{shown} is {}",
        match verb {
            Verb::Reconcile => "asked to reconcile",
            Verb::Suspend => "suspended",
            Verb::Resume => "resumed",
        }
    );
    Ok(true)
}

/// Sets `.operation` and waits for what comes of it; `true` when it succeeded.
pub async fn operate(
    cluster: &Cluster,
    gvk: &Gvk,
    namespace: &str,
    name: &str,
    operation: Value,
    timeout: u64,
) -> anyhow::Result<bool> {
    let shown = format!("{}/{name}", gvk.kind.to_lowercase());
    let patch = json!({
        "operation": operation, "metadata": {"annotations": {argo::names::REFRESH: "normal"}},
    });
    let options = PatchOptions { manager: MANAGER.into(), ..PatchOptions::default() };
    cluster.patch(gvk, namespace, name, PatchKind::Merge, &patch, &options).await?;
    if timeout == 0 {
        println!("{shown} is asked to sync");
        return Ok(true);
    }
    let until = Instant::now() + Duration::from_secs(timeout);
    loop {
        let object = cluster.get(gvk, namespace, name).await?;
        let Some(object) = object else { return Err(anyhow::anyhow!("{shown} was deleted meanwhile")) };
        if get(&object, &["operation"]).is_none() {
            let text = |path: &[&str]| get_str(&object, path).unwrap_or_default().to_owned();
            let phase = text(&["status", "operationState", "phase"]);
            if operation_is_dry(&object) {
                results(&object);
            }
            println!("{shown}: {phase}: {}", text(&["status", "operationState", "message"]));
            return Ok(phase == "Succeeded");
        }
        if Instant::now() >= until {
            println!("{shown}: no outcome in {timeout} s; ask: landfall why {shown}");
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn operation_is_dry(object: &Value) -> bool {
    get(object, &["status", "operationState", "operation", "sync", "dryRun"]) == Some(&Value::Bool(true))
}

/// What became of each object, or would.
fn results(object: &Value) {
    let list =
        get(object, &["status", "operationState", "syncResult", "resources"]).and_then(Value::as_array);
    for entry in list.into_iter().flatten() {
        let text = |field: &str| get_str(entry, &[field]).unwrap_or_default();
        println!("{} {}/{}: {}", text("kind"), text("namespace"), text("name"), text("message"));
    }
}

/// What of an Application is synced, and how: in the words of `argocd app sync`.
#[derive(clap::Args, Default)]
pub struct Sync {
    /// Sync only GROUP:KIND:NAME or GROUP:KIND:NAMESPACE/NAME; `*` is any, `!` before it leaves out (Applications only)
    #[arg(long, value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Delete what the sources do not have any more (Applications only)
    #[arg(long)]
    prune: bool,
    /// Only show what would be done (Applications only)
    #[arg(long)]
    dry_run: bool,
    /// Delete and make anew what cannot be changed (Applications only)
    #[arg(long)]
    force: bool,
    /// Sync to this revision, once for each source (Applications only)
    #[arg(long, value_name = "REVISION")]
    revision: Vec<String>,
    /// With hooks, or without (Applications only)
    #[arg(long, value_enum, default_value_t)]
    strategy: Strategy,
    /// Sync only what differs (Applications only)
    #[arg(long)]
    apply_out_of_sync_only: bool,
    /// Replace objects instead of applying them (Applications only)
    #[arg(long)]
    replace: bool,
}

/// Do hooks run?
#[derive(clap::ValueEnum, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// They do.
    #[default]
    Hook,
    /// They do not.
    Apply,
}

impl Sync {
    /// Was any of it asked for?
    pub fn is_used(&self) -> bool {
        !self.resource.is_empty()
            || !self.revision.is_empty()
            || self.strategy != Strategy::Hook
            || [self.prune, self.dry_run, self.force, self.apply_out_of_sync_only, self.replace]
                .contains(&true)
    }

    /// `.operation.sync`.
    fn operation(&self) -> anyhow::Result<Value> {
        let name = if self.strategy == Strategy::Hook { "hook" } else { "apply" };
        let how = if self.force { json!({"force": true}) } else { json!({}) };
        let mut sync = json!({"syncStrategy": {name: how}});
        for (field, wanted) in [("prune", self.prune), ("dryRun", self.dry_run)] {
            if wanted {
                sync[field] = json!(true);
            }
        }
        let options: Vec<&str> =
            [("ApplyOutOfSyncOnly=true", self.apply_out_of_sync_only), ("Replace=true", self.replace)]
                .into_iter()
                .filter_map(|(option, wanted)| wanted.then_some(option))
                .collect();
        if !options.is_empty() {
            sync["syncOptions"] = json!(options);
        }
        match self.revision.as_slice() {
            [] => {}
            [one] => sync["revision"] = json!(one),
            many => sync["revisions"] = json!(many),
        }
        if !self.resource.is_empty() {
            let resources: anyhow::Result<Vec<Value>> =
                self.resource.iter().map(|word| selector(word)).collect();
            sync["resources"] = Value::Array(resources?);
        }
        Ok(sync)
    }
}

/// `GROUP:KIND:NAME` as an entry of `.operation.sync.resources`.
fn selector(word: &str) -> anyhow::Result<Value> {
    let (exclude, rest) = match word.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let [group, kind, name] = parts.as_slice() else {
        return Err(usage(format!("--resource {word}: it is written GROUP:KIND:NAME")));
    };
    let mut entry = match name.split_once('/') {
        Some((namespace, name)) => {
            json!({"group": group, "kind": kind, "namespace": namespace, "name": name})
        }
        None => json!({"group": group, "kind": kind, "name": name}),
    };
    if exclude {
        entry["exclude"] = json!(true);
    }
    Ok(entry)
}

/// Arguments of `landfall history`.
#[derive(clap::Args)]
pub struct HistoryArgs {
    /// app/NAME
    application: String,
    /// The namespace
    #[arg(short, long, default_value = "argocd")]
    namespace: String,
    /// The format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    target: Target,
}

/// Prints the history of an Application, oldest first.
pub async fn history(args: HistoryArgs) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::new(args.target.client().await?);
    let (_, _, object) = read(&cluster, &args.application, &args.namespace).await?;
    let history = get(&object, &["status", "history"]).cloned().unwrap_or_else(|| json!([]));
    if let Some(text) = structured(&history, args.output)? {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let row = |entry: &Value| {
        let text = |path: &[&str]| get_str(entry, path).unwrap_or_default().to_owned();
        let revisions = get(entry, &["revisions"]).and_then(Value::as_array);
        let revision = match revisions {
            Some(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            None => text(&["revision"]),
        };
        let by = match get(entry, &["initiatedBy", "automated"]) {
            Some(Value::Bool(true)) => "automated".to_owned(),
            _ => text(&["initiatedBy", "username"]),
        };
        let id = get_i64(entry, &["id"]).unwrap_or_default().to_string();
        vec![id, text(&["deployedAt"]), revision, by]
    };
    let rows: Vec<Vec<String>> = history.as_array().into_iter().flatten().map(row).collect();
    print!("{}", table(&["ID", "DEPLOYED", "REVISION", "BY"], &rows));
    Ok(ExitCode::SUCCESS)
}

/// The Application that a word names.
pub async fn read(cluster: &Cluster, word: &str, namespace: &str) -> anyhow::Result<(Gvk, String, Value)> {
    let (kind, names) = named::split(&[word.to_owned()])?;
    let (Some(kind), Some(name)) = (kind, names.into_iter().next()) else {
        return Err(usage("name an Application: app/NAME"));
    };
    if kind.kind != argo::names::APPLICATION {
        return Err(usage(format!("{} has no history; name an Application: app/NAME", kind.kind)));
    }
    let Some(object) = cluster.get(&kind.gvk(), namespace, &name).await? else {
        anyhow::bail!("application/{name} is not in namespace {namespace}");
    };
    Ok((kind.gvk(), name, object))
}

/// Arguments of `landfall rollback`.
#[derive(clap::Args)]
pub struct RollbackArgs {
    /// app/NAME
    application: String,
    /// The entry of the history [default: the one before the last]
    id: Option<i64>,
    /// The namespace
    #[arg(short, long, default_value = "argocd")]
    namespace: String,
    /// Delete what the older revision does not have
    #[arg(long)]
    prune: bool,
    /// How long to wait for the outcome, in seconds (0: do not wait)
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    target: Target,
}

/// Syncs an Application to an entry of its history.
pub async fn rollback(args: RollbackArgs) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::new(args.target.client().await?);
    let namespace = args.namespace.as_str();
    let (gvk, name, object) = read(&cluster, &args.application, namespace).await?;
    let automated = get(&object, &["spec", "syncPolicy", "automated"])
        .is_some_and(|block| block.is_object() && get(block, &["enabled"]) != Some(&Value::Bool(false)));
    if automated {
        anyhow::bail!(
            "application/{name} is synced automatically and would not stay there; take syncPolicy.automated away first"
        );
    }
    let history = get(&object, &["status", "history"]).and_then(Value::as_array).cloned().unwrap_or_default();
    let entry = match args.id {
        Some(id) => history.iter().find(|entry| get_i64(entry, &["id"]) == Some(id)),
        None => history.iter().rev().nth(1),
    };
    let Some(entry) = entry else {
        let ids: Vec<String> =
            history.iter().filter_map(|entry| get_i64(entry, &["id"])).map(|id| id.to_string()).collect();
        anyhow::bail!("application/{name} has no such entry in its history; there are: {}", ids.join(", "));
    };
    let mut sync = json!({"prune": args.prune, "syncStrategy": {"apply": {}}});
    let fields =
        if get(entry, &["sources"]).is_some() { ["sources", "revisions"] } else { ["source", "revision"] };
    for field in fields {
        if let Some(value) = entry.get(field) {
            sync[field] = value.clone();
        }
    }
    let operation = json!({"initiatedBy": {"username": "landfall"}, "sync": sync});
    let good = operate(&cluster, &gvk, namespace, &name, operation, args.timeout).await?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
