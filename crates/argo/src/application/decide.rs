//! Is it time for a sync of its own accord? Pure.

use std::time::Duration;

use delivery::fields::{bool_at, list_at, str_at, strings_at};
use jiff::Timestamp;
use object::{Value, get, get_i64};
use serde_json::json;

use super::spec::Spec;
use super::state::State;
use crate::settings::Healing;
use crate::sync::operation::Operation;

/// What the policy comes to.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing to do, or nothing that is allowed.
    Nothing,
    /// A sync.
    Sync(Box<Operation>),
    /// A sync, but not before this much time has passed.
    Later(Duration),
    /// Not without somebody's word: the line of a SyncError.
    Refused(String),
}

/// The longest time after which a repair counts as the first again.
const CALM: Duration = Duration::from_secs(600);

/// Does the policy ask for a sync of `state` at these revisions? `status` is that of the Application.
pub fn automated(
    spec: &Spec,
    state: &State,
    status: &Value,
    revisions: &[String],
    healing: Healing,
    now: Timestamp,
) -> Verdict {
    let last = get(status, &["operationState"]).unwrap_or(&Value::Null);
    // One that something newer ended, or that is to be tried again, has hooks that did not run yet.
    let unfinished =
        str_at(last, &["phase"]) == "Running" && bool_at(last, &["operation", "initiatedBy", "automated"]);
    let Some(policy) = spec.automated.filter(|_| unfinished || !state.is_synced()) else {
        return Verdict::Nothing;
    };
    let mut out = state.items.iter().filter(|item| item.synced == Some(false));
    if !unfinished && !policy.prune && out.all(|item| item.is_extra()) {
        return Verdict::Nothing;
    }
    let wanted = state.items.iter().any(|item| !item.is_extra());
    if policy.prune && !wanted && !policy.allow_empty {
        let revisions = revisions.join(", ");
        return Verdict::Refused(format!(
            "Skipping sync attempt to {revisions}: auto-sync will wipe out all resources"
        ));
    }
    let full = || Operation::automated(revisions, spec.multiple, policy.prune, &spec.options, &[]);
    if !same_attempt(spec, last, revisions) {
        return Verdict::Sync(Box::new(full()));
    }
    match str_at(last, &["phase"]) {
        "Succeeded" if !policy.self_heal => Verdict::Nothing,
        "Succeeded" => heal(spec, state, last, revisions, healing, now),
        // Where Argo CD would give up for ever, this goes on, after growing pauses.
        _ => Verdict::Sync(Box::new(full())),
    }
}

/// Was the last sync one of these sources at these revisions?
fn same_attempt(spec: &Spec, last: &Value, revisions: &[String]) -> bool {
    let result = get(last, &["syncResult"]).unwrap_or(&Value::Null);
    let sources: Vec<&Value> = spec.sources.iter().map(|source| &source.raw).collect();
    if spec.multiple {
        strings_at(result, &["revisions"]) == revisions
            && list_at(result, &["sources"]).iter().collect::<Vec<_>>() == sources
    } else {
        revisions.first().map(String::as_str) == Some(str_at(result, &["revision"]))
            && get(result, &["source"]) == sources.first().copied()
    }
}

/// Undoes drift: only what differs, without hooks, after growing pauses when it comes back.
fn heal(
    spec: &Spec,
    state: &State,
    last: &Value,
    revisions: &[String],
    healing: Healing,
    now: Timestamp,
) -> Verdict {
    let finished: Option<Timestamp> = str_at(last, &["finishedAt"]).parse().ok();
    let since = finished
        .and_then(|finished| Duration::try_from(now.duration_since(finished)).ok())
        .unwrap_or(Duration::MAX);
    let healed = bool_at(last, &["operation", "initiatedBy", "automated"]);
    let before = get_i64(last, &["operation", "sync", "autoHealAttemptsCount"]).unwrap_or(0);
    let before = if healed && since < CALM { u32::try_from(before).unwrap_or(0) } else { 0 };
    let pause = healing.pause(before);
    if since < pause {
        return Verdict::Later(pause - since);
    }
    let prune = spec.automated.is_some_and(|policy| policy.prune);
    let mut operation =
        Operation::automated(revisions, spec.multiple, prune, &spec.options, &state.out_of_sync());
    operation.raw["sync"]["autoHealAttemptsCount"] = json!(before.saturating_add(1));
    Verdict::Sync(Box::new(operation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::state::Item;
    use crate::sync::tasks::Resource;
    use object::{Gvk, Key};

    fn item(name: &str, wanted: bool) -> Item {
        let object = json!({"metadata": {"name": name}});
        let resource = Resource {
            key: Key::new("", "ConfigMap", "a", name),
            gvk: Gvk::new("", "v1", "ConfigMap"),
            target: wanted.then(|| object.clone()),
            live: Some(object),
        };
        Item { resource, synced: Some(false), health: None }
    }

    fn state(items: &[(&str, bool)]) -> State {
        State { items: items.iter().map(|(name, wanted)| item(name, *wanted)).collect(), ..State::default() }
    }

    fn spec(automated: Value) -> Spec {
        Spec::of(&json!({"spec": {
            "source": {"repoURL": "https://x", "path": "."}, "syncPolicy": {"automated": automated},
        }}))
    }

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap_or_default()
    }

    fn done(phase: &str) -> Value {
        json!({"operationState": {
            "phase": phase, "finishedAt": "2026-01-01T00:00:00Z",
            "syncResult": {"revision": "abc", "source": {"repoURL": "https://x", "path": "."}},
        }})
    }

    #[test]
    fn a_new_revision_is_synced_once() {
        let (revisions, drift) = (["abc".to_owned()], state(&[("a", true)]));
        let verdict = |policy: Value, status: &Value| {
            automated(&spec(policy), &drift, status, &revisions, Healing::default(), now())
        };
        assert!(matches!(verdict(json!({}), &Value::Null), Verdict::Sync(_)));
        assert!(matches!(verdict(json!({}), &done("Succeeded")), Verdict::Nothing));
        assert!(matches!(verdict(json!({}), &done("Failed")), Verdict::Sync(_)));
        let Verdict::Sync(healing) = verdict(json!({"selfHeal": true}), &done("Succeeded")) else {
            panic!("drift is not undone")
        };
        assert!(healing.is_selective());
        assert!(matches!(verdict(json!({"enabled": false}), &Value::Null), Verdict::Nothing));
    }

    #[test]
    fn pruning_is_asked_for() {
        let revisions = ["abc".to_owned()];
        let extra = state(&[("a", false)]);
        let verdict = |policy: Value| {
            automated(&spec(policy), &extra, &Value::Null, &revisions, Healing::default(), now())
        };
        assert!(matches!(verdict(json!({})), Verdict::Nothing));
        assert!(matches!(verdict(json!({"prune": true})), Verdict::Refused(_)));
        assert!(matches!(verdict(json!({"prune": true, "allowEmpty": true})), Verdict::Sync(_)));
    }
}
