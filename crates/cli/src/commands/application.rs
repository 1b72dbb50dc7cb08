//! The user's hand on an Argo CD Application: `landfall reconcile`, `suspend`, `resume` and `rollback`.

use super::reconcile::Verb;
use cluster::{Cluster, PatchKind, PatchOptions};
use object::{Gvk, Value, get, get_str};
use serde_json::json;
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
    timeout: u64,
) -> anyhow::Result<bool> {
    let shown = format!("{}/{name}", gvk.kind.to_lowercase());
    if cluster.get(gvk, namespace, name).await?.is_none() {
        return Err(anyhow::anyhow!("{shown} is not in namespace {namespace}"));
    }
    let patch = match verb {
        Verb::Reconcile if gvk.kind == argo::names::APPLICATION => {
            let operation =
                json!({"initiatedBy": {"username": "landfall"}, "sync": {"syncStrategy": {"hook": {}}}});
            return operate(cluster, gvk, namespace, name, operation, timeout).await;
        }
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
