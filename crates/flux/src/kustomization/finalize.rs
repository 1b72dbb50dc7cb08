//! Deletion of a Kustomization: what goes with it.

use cluster::{Cluster, EventType};
use controller::{Cause, Outcome, wait_for};
use object::{Key, get, meta};
use plan::{Action, ObjectRef, Step};

use super::{APPROVE_DELETIONS, Kustomizations, MANAGER, marks, prune, retry, timeout};
use crate::apply::Applier;
use crate::common::{Pass, bool_at, str_at};

/// Does deleting the Kustomization delete what it applied?
fn deletes(pass: &Pass) -> bool {
    if pass.is_suspended() {
        return false;
    }
    match str_at(&pass.object, &["spec", "deletionPolicy"]) {
        "" | "MirrorPrune" => bool_at(&pass.object, &["spec", "prune"]),
        "Delete" | "WaitForTermination" => true,
        _ => false,
    }
}

/// Deletes the inventory as the policy says, then lets the object go.
pub(super) async fn finalize(
    kind: &Kustomizations,
    pass: &mut Pass,
    cluster: Option<Cluster>,
) -> Result<Outcome, cluster::Error> {
    if !pass.reread().await? {
        return Ok(Outcome::done());
    }
    let inventory = ObjectRef::parse_entries(get(&pass.object, &["status", "inventory"]));
    let inventory = match inventory {
        Ok(inventory) => inventory,
        Err(error) => {
            let message = format!("unable to prune objects: {error}");
            pass.event(EventType::Warning, "PruneFailed", &message, "");
            Vec::new()
        }
    };
    if deletes(pass) && !inventory.is_empty() {
        match cluster {
            Some(cluster) => {
                if let Some(outcome) = delete(kind, pass, cluster, &inventory).await? {
                    return Ok(outcome);
                }
            }
            None => {
                let names: Vec<String> = inventory.iter().map(|entry| entry.key.to_string()).collect();
                let message = format!("unable to prune objects: \n{}", names.join("\n"));
                pass.event(EventType::Warning, "PruneFailed", &message, "");
            }
        }
    }
    kind.renders().forget(&pass.context.key);
    pass.remove_finalizer().await?;
    Ok(Outcome::done())
}

/// What takes data with it stays, unless the policy says in words that all is to go, or somebody has seen the plan.
async fn without_held(
    kind: &Kustomizations,
    pass: &Pass,
    applier: &Applier<'_>,
    mut deletions: Vec<Step>,
) -> Result<Vec<Step>, cluster::Error> {
    let doomed = deletions.iter().filter(|step| step.action == Action::Delete);
    let word = plan::word_for(doomed.map(|step| &step.target));
    let explicit =
        matches!(str_at(&pass.object, &["spec", "deletionPolicy"]), "Delete" | "WaitForTermination");
    let approved = explicit || meta::annotation(&pass.object, APPROVE_DELETIONS) == Some(word.as_str());
    let held = prune::held(kind, applier, &deletions, approved).await?;
    if !held.is_empty() {
        let message = format!(
            "left where it is: {}; with spec.deletionPolicy: Delete it would have gone, too",
            prune::list(&held)
        );
        pass.event(EventType::Warning, "DeletionHeld", &message, "");
        deletions.retain(|step| !held.iter().any(|held| held.target.key == step.target.key));
    }
    Ok(deletions)
}

async fn delete(
    kind: &Kustomizations,
    pass: &mut Pass,
    cluster: Cluster,
    inventory: &[ObjectRef],
) -> Result<Option<Outcome>, cluster::Error> {
    let marks = marks(&pass.object);
    let context = pass.context.clone();
    let applier = Applier {
        context: &context,
        cluster,
        manager: MANAGER,
        memory: &kind.shared.memory,
        take_over: false,
    };
    applier.prepare(&mut [], inventory).await?;
    let deletions = applier.deletions(&marks, Vec::new(), inventory);
    let deletions = deletions.map_err(|error| cluster::Error::new(cluster::ErrorKind::Other, error))?;
    let deletions = without_held(kind, pass, &applier, deletions).await?;
    let report = applier.delete(&deletions).await;
    if report.preempted {
        return Ok(Some(Outcome::preempted()));
    }
    let revision = str_at(&pass.object, &["status", "lastAppliedRevision"]).to_owned();
    if !report.errors.is_empty() {
        let message = format!("pruning for deleted resource failed: {}", report.error_text());
        pass.event(EventType::Warning, "PruneFailed", &message, &revision);
        return Ok(Some(Outcome::retry(retry(&pass.object), Cause::new(message))));
    }
    if !report.entries.is_empty() {
        pass.event(EventType::Normal, "ReconciliationSucceeded", &report.log(), &revision);
    }
    if str_at(&pass.object, &["spec", "deletionPolicy"]) == "WaitForTermination" {
        let keys: Vec<Key> = report.entries.iter().map(|(target, _)| target.key.clone()).collect();
        let gone = wait_for(&context, &keys, timeout(&pass.object), controller::gone);
        match gone.await {
            Ok(()) => {}
            Err(controller::WaitError::Preempted) => return Ok(Some(Outcome::preempted())),
            Err(_) => {
                let message = "failed to wait for resources termination";
                pass.event(EventType::Warning, "PruneFailed", message, &revision);
            }
        }
    }
    Ok(None)
}
