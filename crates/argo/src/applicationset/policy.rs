//! What follows for the Applications that are there.

use delivery::fields::strings_at;
use object::{Value, get, get_str, meta};

use super::Params;
use crate::diff::Filter;
use crate::names::{APPLICATION_SET, POST_DELETE_FINALIZER, PRE_DELETE_FINALIZER, REFRESH};
use crate::settings::SetParameters;

/// Annotations that controllers write: a set never takes them away.
const KEPT_ANNOTATIONS: [&str; 3] =
    ["notified.notifications.argoproj.io", REFRESH, "argocd.argoproj.io/hydrate"];

/// What a set may do with its Applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Make them.
    CreateOnly,
    /// Make and change them.
    CreateUpdate,
    /// Make and delete them.
    CreateDelete,
    /// All of it.
    #[default]
    Sync,
}

impl Policy {
    /// From `spec.syncPolicy.applicationsSync` or the controller's flag.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "create-only" => Some(Policy::CreateOnly),
            "create-update" => Some(Policy::CreateUpdate),
            "create-delete" => Some(Policy::CreateDelete),
            "sync" => Some(Policy::Sync),
            _ => None,
        }
    }

    /// The policy of a set: its own where the controller has none or lets sets override it.
    pub fn of(set: &Value, controller: Option<Policy>, may_override: bool) -> Self {
        let own = get_str(set, &["spec", "syncPolicy", "applicationsSync"]).and_then(Policy::parse);
        match (controller, own) {
            (Some(_), Some(own)) if may_override => own,
            (Some(controller), _) => controller,
            (None, own) => own.unwrap_or_default(),
        }
    }

    fn updates(self) -> bool {
        matches!(self, Policy::CreateUpdate | Policy::Sync)
    }

    pub(super) fn deletes(self) -> bool {
        matches!(self, Policy::CreateDelete | Policy::Sync)
    }
}

/// Labels and annotations that a set never takes away from its Applications.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    annotations: Vec<String>,
    labels: Vec<String>,
}

impl Kept {
    /// What the set preserves, what the controller does for all sets, and what controllers write.
    pub fn of(set: &Value, parameters: &SetParameters) -> Kept {
        let own = |field: &str| strings_at(set, &["spec", "preservedFields", field]);
        let always = KEPT_ANNOTATIONS.iter().map(|name| (*name).to_owned());
        Kept {
            annotations: own("annotations")
                .into_iter()
                .chain(parameters.annotations.iter().cloned())
                .chain(always)
                .collect(),
            labels: own("labels").into_iter().chain(parameters.labels.iter().cloned()).collect(),
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An Application is made.
    Create(Value),
    /// An Application becomes this.
    Update(Value),
    /// An Application of this name is deleted.
    Delete(String),
    /// An Application of this name is there and belongs to somebody else: nothing is done with it.
    Foreign(String),
}

/// Whether an Application belongs to a set.
pub fn is_owned(application: &Value, set: &Value) -> bool {
    let owners = get(application, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        get_str(owner, &["kind"]) == Some(APPLICATION_SET)
            && get_str(owner, &["name"]) == Some(meta::name(set))
            && (meta::uid(set).is_empty() || get_str(owner, &["uid"]) == Some(meta::uid(set)))
    })
}

/// What there is to do: `existing` are the Applications of the set's namespace.
///
/// # Errors
/// When `spec.ignoreApplicationDifferences` is malformed or fails.
pub fn plan(
    set: &Value,
    desired: &[Value],
    existing: &[Value],
    policy: Policy,
    kept: &Kept,
) -> Result<Vec<Step>, String> {
    let rules = Ignored::parse(set)?;
    let mut steps = Vec::new();
    for wanted in desired {
        let name = meta::name(wanted);
        match existing.iter().find(|application| meta::name(application) == name) {
            None => steps.push(Step::Create(wanted.clone())),
            Some(found) => {
                let owners = get(found, &["metadata", "ownerReferences"]).and_then(Value::as_array);
                let owned = owners.is_some_and(|owners| !owners.is_empty());
                if owned && !is_owned(found, set) {
                    steps.push(Step::Foreign(name.to_owned()));
                } else if policy.updates() {
                    let updated = update(kept, found, wanted, &rules)?;
                    if updated != *found {
                        steps.push(Step::Update(updated));
                    }
                }
            }
        }
    }
    if policy.deletes() {
        for application in existing.iter().filter(|application| is_owned(application, set)) {
            let name = meta::name(application);
            let going = meta::deletion_timestamp(application).is_some();
            if !going && !desired.iter().any(|wanted| meta::name(wanted) == name) {
                steps.push(Step::Delete(name.to_owned()));
            }
        }
    }
    Ok(steps)
}

/// An Application as it becomes: what the set says, without what others wrote and what does not count.
fn update(kept: &Kept, found: &Value, wanted: &Value, rules: &Ignored) -> Result<Value, String> {
    let mut desired = found.clone();
    object::set(&mut desired, &["spec"], wanted.get("spec").cloned().unwrap_or_default());
    if let Some(operation) = wanted.get("operation").filter(|operation| !operation.is_null()) {
        object::set(&mut desired, &["operation"], operation.clone());
    }
    keep(&kept.annotations, found, wanted, &mut desired, "annotations");
    keep(&kept.labels, found, wanted, &mut desired, "labels");
    finalizers(found, wanted, &mut desired);
    if let Some(owners) = get(wanted, &["metadata", "ownerReferences"]) {
        object::set(&mut desired, &["metadata", "ownerReferences"], owners.clone());
    }
    rules.respect(found, &desired)
}

/// The labels or annotations of the set, and those of the live Application that are preserved.
fn keep(kept: &[String], found: &Value, wanted: &Value, desired: &mut Value, field: &str) {
    let of = |object: &Value| {
        get(object, &["metadata", field]).and_then(Value::as_object).cloned().unwrap_or_default()
    };
    let mut all: Params = of(wanted);
    let live = of(found);
    for key in kept {
        if let Some(value) = live.get(key) {
            all.insert(key.clone(), value.clone());
        }
    }
    match (all.is_empty(), desired.get_mut("metadata").and_then(Value::as_object_mut)) {
        (true, Some(metadata)) => {
            metadata.remove(field);
        }
        (false, _) => {
            object::set(desired, &["metadata", field], Value::Object(all));
        }
        (true, None) => {}
    }
}

/// The set's finalizers, and those that stand for hooks of the Application itself.
fn finalizers(found: &Value, wanted: &Value, desired: &mut Value) {
    let mut all: Vec<String> = meta::finalizers(wanted).map(str::to_owned).collect();
    for live in meta::finalizers(found) {
        let hook = live.starts_with(POST_DELETE_FINALIZER) || live.starts_with(PRE_DELETE_FINALIZER);
        if hook && !all.iter().any(|known| known == live) {
            all.push(live.to_owned());
        }
    }
    if let (true, Some(metadata)) =
        (all.is_empty(), desired.get_mut("metadata").and_then(Value::as_object_mut))
    {
        metadata.remove("finalizers");
        return;
    }
    object::set(desired, &["metadata", "finalizers"], all.into());
}

/// `spec.ignoreApplicationDifferences`.
#[derive(Debug, Default)]
pub struct Ignored(Vec<(String, Vec<String>, Vec<Filter>)>);

impl Ignored {
    /// Reads the rules of a set.
    ///
    /// # Errors
    /// When a jq expression is malformed.
    pub fn parse(set: &Value) -> Result<Self, String> {
        Self::from_list(get(set, &["spec", "ignoreApplicationDifferences"]))
    }

    /// Reads a list of rules.
    ///
    /// # Errors
    /// When a jq expression is malformed.
    pub fn from_list(list: Option<&Value>) -> Result<Self, String> {
        let mut rules = Vec::new();
        for rule in list.and_then(Value::as_array).into_iter().flatten() {
            let texts = |field: &str| {
                let list = rule.get(field).and_then(Value::as_array).into_iter().flatten();
                list.filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
            };
            let expressions = texts("jqPathExpressions");
            let filters = expressions.iter().map(|text| Filter::deleting(text)).collect::<Result<_, _>>()?;
            let name = get_str(rule, &["name"]).unwrap_or_default().to_owned();
            rules.push((name, texts("jsonPointers"), filters));
        }
        Ok(Ignored(rules))
    }

    fn without(&self, application: &Value) -> Result<Value, String> {
        let mut plain = application.clone();
        for (name, pointers, filters) in &self.0 {
            if !name.is_empty() && name != meta::name(application) {
                continue;
            }
            for pointer in pointers {
                let patch = serde_json::json!([{ "op": "remove", "path": pointer }]);
                // A path that is not there has nothing to remove.
                let mut tried = plain.clone();
                if object::json_patch::apply(&mut tried, &patch).is_ok() {
                    plain = tried;
                }
            }
            for filter in filters {
                plain = filter.run(&plain)?;
            }
        }
        Ok(plain)
    }

    /// The live Application with what differs and counts. A list in which something counts is replaced as a whole.
    ///
    /// # Errors
    /// When an expression fails.
    pub fn respect(&self, found: &Value, desired: &Value) -> Result<Value, String> {
        if self.0.is_empty() {
            return Ok(desired.clone());
        }
        let patch = object::merge_patch::diff(&self.without(found)?, &self.without(desired)?);
        let mut result = found.clone();
        object::merge_patch::apply(&mut result, &patch);
        Ok(result)
    }
}
