//! What a release may delete: within the budget, nothing that takes data with it before somebody has seen that, and
//! never without a word.

use std::sync::{Mutex, PoisonError};

use cluster::{EventType, Propagation};
use controller::aspect;
use delivery::protect::Held;
use object::{Value, meta};
use plan::{Action, Budget, ObjectRef, Step};

use super::action::{Actor, Fault};
use super::run::set_inventory;
use crate::apply::Report;
use crate::common::{Pass, str_at};
use crate::kustomization::{APPROVE_DELETIONS, list_held};
use crate::options::Options;

/// The condition that says what is held back.
const CONDITION: &str = "Pruned";

/// What came of the deletions of one action.
#[derive(Default)]
struct Log {
    deleted: Vec<String>,
    held: Vec<Held>,
    /// Was there anything to look at?
    asked: bool,
    /// The word for all that would have been deleted.
    word: String,
}

/// Watches over the deletions of one pass.
pub(super) struct Guard {
    /// How much may go; no bound where all of a release is meant to.
    budget: Option<Budget>,
    protect: bool,
    said: String,
    log: Mutex<Log>,
}

impl Guard {
    /// For a release that changes.
    pub fn new(options: &Options, object: &Value) -> Guard {
        Guard {
            budget: Some(options.deletion_budget),
            protect: options.protect,
            said: meta::annotation(object, APPROVE_DELETIONS).unwrap_or_default().to_owned(),
            log: Mutex::default(),
        }
    }

    /// For a release that goes as a whole.
    pub fn of_whole(options: &Options, object: &Value) -> Guard {
        Guard { budget: None, ..Guard::new(options, object) }
    }

    /// For what was brought in just now and holds nothing yet.
    pub fn of_new(options: &Options, object: &Value) -> Guard {
        Guard { protect: false, ..Guard::of_whole(options, object) }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, report: &Report, held: Vec<Held>, word: String) {
        let mut log = self.log();
        log.deleted.extend(report.lines());
        log.held.extend(held);
        log.word = word;
        log.asked = true;
    }
}

fn steps(targets: &[ObjectRef]) -> Vec<Step> {
    let step = |target: &ObjectRef| Step {
        action: Action::Delete,
        target: target.clone(),
        desired: None,
        force: false,
        merge: false,
        reason: "no longer in the chart".into(),
    };
    targets.iter().map(step).collect()
}

impl Actor<'_> {
    /// Deletes whatever it is told to.
    pub(super) async fn delete_all(
        &self,
        targets: &[ObjectRef],
        propagation: Propagation,
    ) -> Result<Report, Fault> {
        let report = self.applier().delete_with(&steps(targets), propagation).await;
        if report.preempted {
            return Err(Fault::Preempted);
        }
        match report.errors.first() {
            Some((key, error)) => Err(Fault::at(key, format!("{key}: {error}"))),
            None => Ok(report),
        }
    }

    /// Deletes what may be deleted. Returns that.
    pub(super) async fn delete_guarded(
        &self,
        targets: &[ObjectRef],
        propagation: Propagation,
    ) -> Result<Vec<ObjectRef>, Fault> {
        let guard = &self.guard;
        let word = plan::word_for(targets.iter());
        let approved = guard.said == word;
        let number = if approved { Some(targets.len()) } else { guard.said.parse().ok() };
        if let Some(budget) = guard.budget {
            let total = self.inventory.len().max(targets.len());
            budget.check(targets.len(), total, number).map_err(|exceeded| {
                Fault::failed(format!(
                    "{exceeded}; to allow it, annotate the HelmRelease with {APPROVE_DELETIONS}={}",
                    targets.len()
                ))
            })?;
        }
        let held = match guard.protect && !approved {
            true => self.applier().held(&steps(targets)).await?,
            false => Vec::new(),
        };
        let is_held = |target: &ObjectRef| held.iter().any(|held| held.target.key == target.key);
        let free: Vec<ObjectRef> = targets.iter().filter(|target| !is_held(target)).cloned().collect();
        let done = self.delete_all(&free, propagation).await;
        for held in &held {
            // Whoever deletes it by hand ends the matter.
            let live = self.context.cluster.store().get(&held.target.key);
            let seen = aspect::existence(live.as_ref());
            self.context.follow(&held.target.key, aspect::existence, &seen);
        }
        let word = plan::word_for(held.iter().map(|held| &held.target));
        guard.note(&done?, held, word);
        Ok(free)
    }

    /// Is something held back, as far as was said?
    pub(super) fn holds(pass: &Pass) -> bool {
        pass.get_condition(CONDITION).is_some()
    }

    /// Says what was deleted since this was asked last, and what is held back. Returns the latter.
    pub(super) fn tell_deletions(&self, pass: &mut Pass) -> Vec<ObjectRef> {
        let Log { deleted, held, asked, word } = std::mem::take(&mut *self.guard.log());
        let revision = str_at(pass.status(), &["lastAttemptedRevision"]).to_owned();
        if !deleted.is_empty() {
            pass.event(EventType::Normal, "Pruned", &deleted.join("\n"), &revision);
        }
        if !asked {
            return Vec::new();
        }
        if held.is_empty() {
            pass.drop_condition(CONDITION);
            return Vec::new();
        }
        let message = match self.guard.budget {
            Some(_) => format!(
                "no longer in the chart, but not deleted: {}; to delete, annotate the HelmRelease with \
                 {APPROVE_DELETIONS}={word}",
                list_held(&held)
            ),
            None => format!("left where it is: {}; whoever wants it gone deletes it", list_held(&held)),
        };
        if pass.get_condition(CONDITION).map(|known| str_at(known, &["message"])) != Some(message.as_str()) {
            pass.event(EventType::Warning, "DeletionHeld", &message, &revision);
        }
        pass.condition(CONDITION, "False", "DeletionHeld", &message);
        held.into_iter().map(|held| held.target).collect()
    }

    /// The same; what is held back stays in the inventory.
    pub(super) fn settle_deletions(&self, pass: &mut Pass) {
        let held = self.tell_deletions(pass);
        if let (false, Ok(mut inventory)) = (held.is_empty(), super::run::inventory(pass)) {
            inventory.extend(held);
            inventory.sort_by(|a, b| plan::compare(&a.key, &b.key));
            inventory.dedup_by(|a, b| a.key == b.key);
            set_inventory(pass, inventory);
        }
    }
}
