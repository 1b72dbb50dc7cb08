//! Deletion of a Kustomization: what goes with it.

use cluster::EventType;
use controller::{Cause, Outcome, wait_for};
use object::{Key, get, meta};
use plan::{Action, ObjectRef, Step};

use super::{APPROVE_DELETIONS, Kustomizations, MANAGER, marks, prune, retry, timeout};
use crate::apply::Applier;
use crate::common::{Pass, bool_at, str_at};
use crate::target::{self, NoTarget, Target, has_kubeconfig};

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
pub(super) async fn finalize(kind: &Kustomizations, pass: &mut Pass) -> Result<Outcome, cluster::Error> {
    if !pass.reread().await? {
        return Ok(Outcome::done());
    }
    if deletes(pass) {
        let done = delete_inventory(kind, pass).await;
        if pass.context.cancel.is_cancelled() {
            return Ok(Outcome::preempted());
        }
        let refused = match done {
            Ok(Ok(Some(outcome))) => return Ok(outcome),
            Ok(Ok(None)) => None,
            Ok(Err(cause)) => Some(cause),
            // Another cluster that fails us can be told of.
            Err(error) if has_kubeconfig(&pass.object) => Some(Cause::new(error.to_string())),
            Err(error) => return Err(error),
        };
        if let Some(cause) = refused {
            let before = pass.ready_message();
            let message = format!(
                "unable to prune objects: {}; what it applied stays if it is suspended before it goes",
                cause.message
            );
            pass.refuse("PruneFailed", &message, false, &before);
            pass.write().await?;
            return Ok(Outcome::retry(retry(&pass.object), Cause { message, ..cause }));
        }
    }
    kind.renders().forget(&pass.context.key);
    kind.shared.targets.leave(&pass.context);
    pass.remove_finalizer().await?;
    Ok(Outcome::done())
}

/// Deletes what was applied. Says why that cannot be done, or what else there is to do first.
async fn delete_inventory(
    kind: &Kustomizations,
    pass: &mut Pass,
) -> Result<Result<Option<Outcome>, Cause>, cluster::Error> {
    let inventory = match ObjectRef::parse_entries(get(&pass.object, &["status", "inventory"])) {
        Ok(inventory) if inventory.is_empty() => return Ok(Ok(None)),
        Ok(inventory) => inventory,
        // Not being able to read what it applied must not look like having applied nothing.
        Err(error) => return Ok(Err(Cause::new(format!("status.inventory cannot be read: {error}")))),
    };
    match target::find(&kind.shared, pass).await? {
        Ok(target) => delete(kind, pass, &target, &inventory).await.map(Ok),
        Err(NoTarget::NoAccount(why)) => {
            let names: Vec<String> = inventory.iter().map(|entry| entry.key.to_string()).collect();
            let message = format!("unable to prune objects: {why}\n{}", names.join("\n"));
            pass.event(EventType::Warning, "PruneFailed", &message, "");
            Ok(Ok(None))
        }
        Err(missing) => Ok(Err(missing.cause())),
    }
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
    target: &Target,
    inventory: &[ObjectRef],
) -> Result<Option<Outcome>, cluster::Error> {
    let marks = marks(&pass.object);
    let applier = Applier {
        context: &target.context,
        cluster: target.cluster.clone(),
        manager: MANAGER,
        memory: &target.memory,
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
        let gone = wait_for(&target.context, &keys, timeout(&pass.object), controller::gone);
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
