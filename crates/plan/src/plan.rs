//! Making a plan.

use std::collections::{BTreeMap, BTreeSet};

use object::{Key, Value, meta};

use crate::inventory::ObjectRef;
use crate::order::{compare, stage_of};

/// What is done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It does not exist.
    Create,
    /// It differs.
    Change,
    /// It is as it should be: no request at all.
    Unchanged,
    /// It exists without belonging to anybody we know.
    Adopt,
    /// It goes.
    Delete,
    /// It is left alone, and stays in the inventory.
    Skip,
}

/// One object and what is done with it.
#[derive(Debug, Clone)]
pub struct Step {
    /// What.
    pub action: Action,
    /// Which object, in which version.
    pub target: ObjectRef,
    /// As it should be; `None` for deletions.
    pub desired: Option<Value>,
    /// Delete and create anew when a field cannot change.
    pub force: bool,
    /// Foreign fields are kept: no take-over from other managers.
    pub merge: bool,
    /// Why, in a few words.
    pub reason: String,
}

/// What to do, in order.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Stages; each begins when the one before is established. Steps of a stage are in order.
    pub stages: Vec<Vec<Step>>,
    /// Deletions, in order, after all stages. `Skip` steps among them name what stays, and why.
    pub deletions: Vec<Step>,
}

impl Plan {
    /// Every step that is not a deletion.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flatten()
    }

    /// The inventory after the plan succeeded: everything desired.
    pub fn inventory(&self) -> Vec<ObjectRef> {
        let mut refs: Vec<ObjectRef> = self.steps().map(|step| step.target.clone()).collect();
        refs.sort_by(|a, b| compare(&a.key, &b.key));
        refs
    }

    /// How many objects would be deleted.
    pub fn deletion_count(&self) -> usize {
        self.deletions.iter().filter(|step| step.action == Action::Delete).count()
    }
}

/// The words by which objects ask for special treatment, and those that say whose they are.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The prefix of labels and annotations (`kustomize.toolkit.fluxcd.io`).
    pub group: String,
    /// The owner's name, as in the label `<group>/name`.
    pub name: String,
    /// The owner's namespace, as in the label `<group>/namespace`.
    pub namespace: String,
}

impl Marks {
    fn is(&self, object: &Value, word: &str, value: &str) -> bool {
        let key = format!("{}/{word}", self.group);
        let matches = |found: Option<&str>| found.is_some_and(|found| found.eq_ignore_ascii_case(value));
        matches(meta::label(object, &key)) || matches(meta::annotation(object, &key))
    }

    /// Does the object carry exactly this owner's labels?
    pub fn owns(&self, object: &Value) -> bool {
        meta::label(object, &format!("{}/name", self.group)) == Some(self.name.as_str())
            && meta::label(object, &format!("{}/namespace", self.group)) == Some(self.namespace.as_str())
    }

    /// Puts the owner's labels on an object.
    pub fn claim(&self, object: &mut Value) {
        meta::set_label(object, &format!("{}/name", self.group), &self.name);
        meta::set_label(object, &format!("{}/namespace", self.group), &self.namespace);
    }

    /// Why the object must not be touched, if so.
    pub fn hands_off(&self, object: &Value) -> Option<String> {
        for (word, value) in [("reconcile", "disabled"), ("ssa", "Ignore")] {
            if self.is(object, word, value) {
                return Some(format!("{}/{word}: {value}", self.group));
            }
        }
        None
    }
}

/// What a plan is made of.
pub struct Request<'a> {
    /// Whose objects.
    pub marks: &'a Marks,
    /// What should be.
    pub desired: Vec<Value>,
    /// What is: the live object.
    pub live: &'a dyn Fn(&Key) -> Option<Value>,
    /// Would applying the second change the first?
    pub would_change: &'a dyn Fn(&Value, &Value) -> bool,
    /// What was applied before.
    pub inventory: &'a [ObjectRef],
    /// Are objects deleted that are no longer desired?
    pub prune: bool,
    /// Recreate any object when it cannot be changed.
    pub force: bool,
    /// Kinds with a stage of their own.
    pub custom_stages: &'a [(String, String)],
}

/// Makes the plan.
///
/// # Errors
/// When a desired object has no name, or two have the same.
pub fn plan(request: Request<'_>) -> Result<Plan, String> {
    let mut stages: BTreeMap<u8, Vec<Step>> = BTreeMap::new();
    let mut wanted: BTreeSet<Key> = BTreeSet::new();
    let (live, marks) = (request.live, request.marks);
    for object in request.desired {
        let target = ObjectRef::of(&object).map_err(|error| error.to_string())?;
        if !wanted.insert(target.key.clone()) {
            return Err(format!("{} is there twice", target.key));
        }
        let stage = stage_of(&target.key, request.custom_stages);
        let current = live(&target.key);
        let (action, reason) = decide(marks, &object, current.as_ref(), request.would_change);
        let force = request.force
            || marks.is(&object, "force", "enabled")
            || current.as_ref().is_some_and(|current| marks.is(current, "force", "enabled"));
        let merge = marks.is(&object, "ssa", "Merge");
        stages.entry(stage).or_default().push(Step {
            action,
            target,
            desired: Some(object),
            force,
            merge,
            reason,
        });
    }
    for steps in stages.values_mut() {
        steps.sort_by(|a, b| compare(&a.target.key, &b.target.key));
    }
    let deletions =
        if request.prune { deletions(marks, request.inventory, &wanted, live) } else { Vec::new() };
    Ok(Plan { stages: stages.into_values().collect(), deletions })
}

fn decide(
    marks: &Marks,
    object: &Value,
    live: Option<&Value>,
    would_change: &dyn Fn(&Value, &Value) -> bool,
) -> (Action, String) {
    if let Some(why) = marks.hands_off(object) {
        return (Action::Skip, why);
    }
    let Some(live) = live else { return (Action::Create, "does not exist".to_owned()) };
    if let Some(why) = marks.hands_off(live) {
        return (Action::Skip, why);
    }
    if marks.is(object, "ssa", "IfNotPresent") {
        return (Action::Skip, "exists already".to_owned());
    }
    if !would_change(live, object) {
        return (Action::Unchanged, String::new());
    }
    if marks.owns(live) {
        (Action::Change, "differs".to_owned())
    } else {
        (Action::Adopt, "exists, not applied by this owner before".to_owned())
    }
}

/// What of the inventory is no longer wanted, in reverse order. Pure: the objects may be asked for again.
fn deletions(
    marks: &Marks,
    inventory: &[ObjectRef],
    wanted: &BTreeSet<Key>,
    live: &dyn Fn(&Key) -> Option<Value>,
) -> Vec<Step> {
    let mut stale: Vec<&ObjectRef> = inventory.iter().filter(|entry| !wanted.contains(&entry.key)).collect();
    stale.sort_by(|a, b| compare(&b.key, &a.key));
    let mut steps = Vec::new();
    for entry in stale {
        let Some(current) = live(&entry.key) else { continue };
        let prune_disabled = marks.is(&current, "prune", "disabled");
        let (action, reason) = if !marks.owns(&current) {
            (Action::Skip, "belongs to another owner now".to_owned())
        } else if prune_disabled {
            (Action::Skip, format!("{}/prune: disabled", marks.group))
        } else if let Some(why) = marks.hands_off(&current) {
            (Action::Skip, why)
        } else {
            (Action::Delete, "no longer in the source".to_owned())
        };
        steps.push(Step { action, target: entry.clone(), desired: None, force: false, merge: false, reason });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn marks() -> Marks {
        Marks {
            group: "kustomize.toolkit.fluxcd.io".into(),
            name: "apps".into(),
            namespace: "flux-system".into(),
        }
    }

    fn map(name: &str, annotations: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "ns", "annotations": annotations}})
    }

    fn owned(mut object: Value) -> Value {
        marks().claim(&mut object);
        object
    }

    fn run(desired: Vec<Value>, live: Vec<Value>, inventory: &[&str]) -> Vec<(Action, String)> {
        let live: BTreeMap<Key, Value> =
            live.into_iter().map(|object| (Key::of(&object).unwrap(), object)).collect();
        let inventory: Vec<ObjectRef> = inventory
            .iter()
            .map(|name| ObjectRef { key: Key::new("", "ConfigMap", "ns", *name), version: "v1".into() })
            .collect();
        let marks = marks();
        let plan = plan(Request {
            marks: &marks,
            desired,
            live: &|key| live.get(key).cloned(),
            would_change: &|live, desired| {
                live["metadata"]["annotations"] != desired["metadata"]["annotations"]
            },
            inventory: &inventory,
            prune: true,
            force: false,
            custom_stages: &[],
        })
        .unwrap();
        plan.steps().chain(&plan.deletions).map(|step| (step.action, step.target.key.name.clone())).collect()
    }

    #[test]
    fn each_object_gets_what_it_needs() {
        let desired = vec![
            map("adopted", json!({"x": "1"})),
            map("changed", json!({"x": "1"})),
            map("new", json!({})),
            map("once", json!({"kustomize.toolkit.fluxcd.io/ssa": "ifnotpresent"})),
            map("same", json!({})),
        ];
        let live = vec![
            map("adopted", json!({})),
            owned(map("changed", json!({}))),
            map("once", json!({"else": "1"})),
            owned(map("same", json!({}))),
            owned(map("gone", json!({}))),
            owned(map("kept", json!({"kustomize.toolkit.fluxcd.io/prune": "disabled"}))),
            map("moved", json!({})),
        ];
        let steps = run(desired, live, &["gone", "kept", "moved", "missing", "same"]);
        let expected = [
            (Action::Adopt, "adopted"),
            (Action::Change, "changed"),
            (Action::Create, "new"),
            (Action::Skip, "once"),
            (Action::Unchanged, "same"),
            (Action::Skip, "moved"),
            (Action::Skip, "kept"),
            (Action::Delete, "gone"),
        ];
        assert_eq!(steps, expected.map(|(action, name)| (action, name.to_owned())));
    }
}
