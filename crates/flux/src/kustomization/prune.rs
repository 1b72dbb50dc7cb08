//! Deleting what is no longer in the source: within the budget, and nothing that loses data before somebody has seen
//! that it would.

use cluster::EventType;
use controller::aspect;
use delivery::protect::Held;
use object::meta;
use plan::{Action, ObjectRef, Plan, Step};

use super::run::{Stop, failed};
use super::{APPROVE_DELETIONS, Kustomizations};
use crate::apply::Applier;
use crate::common::Pass;

/// The condition that says what is held back.
const CONDITION: &str = "Pruned";

/// What of these deletions is held back; nothing when `approved`.
pub(super) async fn held(
    kind: &Kustomizations,
    applier: &Applier<'_>,
    deletions: &[Step],
    approved: bool,
) -> Result<Vec<Held>, cluster::Error> {
    if approved || !kind.shared.options.protect {
        return Ok(Vec::new());
    }
    applier.held(deletions).await
}

/// Names what is held back, a few of many.
pub(crate) fn list(held: &[Held]) -> String {
    const SHOWN: usize = 50;
    let mut names: Vec<String> = held.iter().take(SHOWN).map(ToString::to_string).collect();
    if held.len() > SHOWN {
        names.push(format!("and {} more", held.len() - SHOWN));
    }
    names.join(", ")
}

/// Deletes what is no longer in the source; gives what is held back, and stays in the inventory. On failure says what
/// is still there.
pub(super) async fn prune(
    kind: &Kustomizations,
    pass: &mut Pass,
    applier: &Applier<'_>,
    plan: &Plan,
    total: usize,
    revision: &str,
) -> Result<Vec<ObjectRef>, (Vec<ObjectRef>, Stop)> {
    let doomed = || plan.deletions.iter().filter(|step| step.action == Action::Delete);
    let stale: Vec<ObjectRef> = doomed().map(|step| step.target.clone()).collect();
    let word = plan::word_for(stale.iter());
    let said = meta::annotation(&pass.object, APPROVE_DELETIONS).unwrap_or_default().to_owned();
    let approved = said == word;
    let number = if approved { Some(stale.len()) } else { said.parse().ok() };
    if let Err(exceeded) = kind.shared.options.deletion_budget.check(stale.len(), total, number) {
        let message = format!(
            "{exceeded}; to allow it, annotate the Kustomization with {APPROVE_DELETIONS}={}",
            stale.len()
        );
        return Err((stale, failed("PruneFailed", message)));
    }
    let held = match held(kind, applier, &plan.deletions, approved).await {
        Ok(held) => held,
        Err(error) => {
            let message = format!("what would be deleted cannot be looked at: {error}");
            return Err((stale, failed("PruneFailed", message)));
        }
    };
    let kept = |target: &ObjectRef| held.iter().any(|held| held.target.key == target.key);
    let steps: Vec<Step> = doomed().filter(|step| !kept(&step.target)).cloned().collect();
    let report = applier.delete(&steps).await;
    let survivors = || {
        let gone = |entry: &ObjectRef| report.entries.iter().any(|(target, _)| target.key == entry.key);
        stale.iter().filter(|entry| !gone(entry)).cloned().collect::<Vec<_>>()
    };
    if report.preempted {
        return Err((survivors(), Stop::Preempted));
    }
    if !report.log().is_empty() {
        pass.event(EventType::Normal, "ReconciliationSucceeded", &report.log(), revision);
    }
    if !report.errors.is_empty() {
        let message = format!("prune failed: {}", report.error_text());
        return Err((survivors(), failed("PruneFailed", message)));
    }
    for held in &held {
        // Whoever deletes it by hand ends the matter.
        let live = applier.cluster.store().get(&held.target.key);
        let seen = aspect::existence(live.as_ref());
        applier.context.follow(&held.target.key, aspect::existence, &seen);
    }
    say(pass, &held, &stale, revision);
    Ok(held.into_iter().map(|held| held.target).collect())
}

/// The condition and, when it is new, the event about what is held back.
fn say(pass: &mut Pass, held: &[Held], stale: &[ObjectRef], revision: &str) {
    if held.is_empty() {
        pass.drop_condition(CONDITION);
        return;
    }
    // What went just now is not part of the plan that is left.
    let left = stale.iter().filter(|entry| held.iter().any(|held| held.target.key == entry.key));
    let message = format!(
        "no longer in the source, but not deleted: {}; to delete, annotate the Kustomization with \
         {APPROVE_DELETIONS}={}",
        list(held),
        plan::word_for(left)
    );
    let before = pass.get_condition(CONDITION).map(|known| crate::common::str_at(known, &["message"]));
    if before != Some(message.as_str()) {
        pass.event(EventType::Warning, "DeletionHeld", &message, revision);
    }
    pass.condition(CONDITION, "False", "DeletionHeld", &message);
}
