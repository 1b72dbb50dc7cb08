//! Which objects are hooks, of which phases, and when they go. Pure.

use object::{Value, meta};

use super::options::words;
use crate::names;

/// A phase of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before the objects.
    PreSync,
    /// With the objects.
    Sync,
    /// After the objects are healthy.
    PostSync,
    /// When the sync failed.
    SyncFail,
}

impl Phase {
    /// As Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::PreSync => "PreSync",
            Phase::Sync => "Sync",
            Phase::PostSync => "PostSync",
            Phase::SyncFail => "SyncFail",
        }
    }
}

/// A type of hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Runs in a phase of a sync.
    Phase(Phase),
    /// Is neither applied nor pruned.
    Skip,
    /// Runs before an application's objects are deleted.
    PreDelete,
    /// Runs after an application's objects are deleted.
    PostDelete,
}

impl Hook {
    /// As Argo CD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Phase(phase) => phase.as_str(),
            Hook::Skip => "Skip",
            Hook::PreDelete => "PreDelete",
            Hook::PostDelete => "PostDelete",
        }
    }

    fn of_argo(word: &str) -> Option<Hook> {
        Some(match word {
            "PreSync" => Hook::Phase(Phase::PreSync),
            "Sync" => Hook::Phase(Phase::Sync),
            "PostSync" => Hook::Phase(Phase::PostSync),
            "SyncFail" => Hook::Phase(Phase::SyncFail),
            "Skip" => Hook::Skip,
            "PreDelete" => Hook::PreDelete,
            "PostDelete" => Hook::PostDelete,
            _ => return None,
        })
    }

    fn of_helm(word: &str) -> Option<Hook> {
        Some(match word {
            "pre-install" | "pre-upgrade" => Hook::Phase(Phase::PreSync),
            "post-install" | "post-upgrade" => Hook::Phase(Phase::PostSync),
            "pre-delete" => Hook::PreDelete,
            "post-delete" => Hook::PostDelete,
            _ => return None,
        })
    }
}

/// When a hook's object is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletePolicy {
    /// Before it is made anew.
    BeforeHookCreation,
    /// When it succeeded.
    HookSucceeded,
    /// When it failed.
    HookFailed,
}

/// The types of hook that an object is; empty for plain objects.
pub fn types(object: &Value) -> Vec<Hook> {
    let own = words(object, names::HOOK);
    let mut found: Vec<Hook> = if own.is_empty() {
        // A chart's test or rollback hook is one that nobody runs.
        words(object, names::HELM_HOOK).iter().filter_map(|word| Hook::of_helm(word)).collect()
    } else {
        own.iter().filter_map(|word| Hook::of_argo(word)).collect()
    };
    found.sort_unstable();
    found.dedup();
    found
}

/// Is the object a hook, also one that nobody runs?
pub fn is_hook(object: &Value) -> bool {
    let own = words(object, names::HOOK);
    if !own.is_empty() {
        return !types(object).is_empty() && types(object) != [Hook::Skip];
    }
    let helm = words(object, names::HELM_HOOK);
    // A definition that Helm 2 installed first is a plain object here.
    !helm.is_empty() && helm != ["crd-install"]
}

/// Is the object neither applied nor pruned?
pub fn is_skipped(object: &Value) -> bool {
    types(object) == [Hook::Skip]
}

/// Is it one of a chart's hooks that have no phase here?
pub fn is_ignored(object: &Value) -> bool {
    is_hook(object) && types(object).is_empty()
}

/// The phases in which an object is handled.
pub fn phases(object: &Value) -> Vec<Phase> {
    if is_skipped(object) {
        return Vec::new();
    }
    if !is_hook(object) {
        return vec![Phase::Sync];
    }
    types(object)
        .into_iter()
        .filter_map(|hook| match hook {
            Hook::Phase(phase) => Some(phase),
            _ => None,
        })
        .collect()
}

/// When the hook's object is deleted. Without a word: before it is made anew.
pub fn delete_policies(object: &Value) -> Vec<DeletePolicy> {
    let mut found = Vec::new();
    for word in words(object, names::HOOK_DELETE_POLICY) {
        found.extend(match word.as_str() {
            "BeforeHookCreation" => Some(DeletePolicy::BeforeHookCreation),
            "HookSucceeded" => Some(DeletePolicy::HookSucceeded),
            "HookFailed" => Some(DeletePolicy::HookFailed),
            _ => None,
        });
    }
    for word in words(object, names::HELM_HOOK_DELETE_POLICY) {
        found.extend(match word.as_str() {
            "before-hook-creation" => Some(DeletePolicy::BeforeHookCreation),
            "hook-succeeded" => Some(DeletePolicy::HookSucceeded),
            "hook-failed" => Some(DeletePolicy::HookFailed),
            _ => None,
        });
    }
    if found.is_empty() {
        found.push(DeletePolicy::BeforeHookCreation);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The wave of an object: its own, or Helm's weight.
pub fn wave(object: &Value) -> i64 {
    let number = |name: &str| meta::annotation(object, name).and_then(|text| text.trim().parse().ok());
    number(names::SYNC_WAVE).or_else(|| number(names::HELM_HOOK_WEIGHT)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(annotations: Value) -> Value {
        json!({"metadata": {"name": "x", "annotations": annotations}})
    }

    #[test]
    fn own_words_hide_helms() {
        let both = object(json!({names::HOOK: "PostSync", names::HELM_HOOK: "pre-install"}));
        assert_eq!(phases(&both), [Phase::PostSync]);
        let helm = object(json!({names::HELM_HOOK: "pre-install,pre-upgrade,post-delete"}));
        assert_eq!(types(&helm), [Hook::Phase(Phase::PreSync), Hook::PostDelete]);
        let test = object(json!({names::HELM_HOOK: "test"}));
        assert!(is_hook(&test) && is_ignored(&test) && phases(&test).is_empty());
        let crd = object(json!({names::HELM_HOOK: "crd-install"}));
        assert!(!is_hook(&crd) && phases(&crd) == [Phase::Sync]);
    }

    #[test]
    fn skip_counts_alone() {
        let skip = object(json!({names::HOOK: "Skip"}));
        assert!(is_skipped(&skip) && !is_hook(&skip));
        let both = object(json!({names::HOOK: "Skip,PreSync"}));
        assert!(!is_skipped(&both));
        assert_eq!(phases(&both), [Phase::PreSync]);
    }

    #[test]
    fn weights_are_waves_of_any_object() {
        assert_eq!(wave(&object(json!({names::HELM_HOOK_WEIGHT: "-5"}))), -5);
        assert_eq!(wave(&object(json!({names::HELM_HOOK_WEIGHT: "-5", names::SYNC_WAVE: "2"}))), 2);
        assert_eq!(delete_policies(&object(json!({}))), [DeletePolicy::BeforeHookCreation]);
    }
}
