//! What a sync does, in order. Pure.
//!
//! Phases follow each other, waves inside a phase, kinds inside a wave. Namespaces and definitions come no later than
//! what needs them; what is pruned goes in the mirrored order of its waves.

use std::collections::BTreeSet;

use object::{Gvk, Key, Value, get_str, meta};

use super::hooks::{self, Phase};
use super::options::{self, SyncOptions};

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// In which phase.
    pub phase: Phase,
    /// In which wave.
    pub wave: i64,
    /// With which object.
    pub key: Key,
    /// In which version.
    pub gvk: Gvk,
    /// As it should be; `None` for prunes.
    pub target: Option<Value>,
    /// As it is.
    pub live: Option<Value>,
    /// Is it a hook of this phase?
    pub hook: bool,
    /// Why nothing is done after all.
    pub skip: Option<&'static str>,
}

impl Task {
    /// Does it delete?
    pub fn is_prune(&self) -> bool {
        self.target.is_none()
    }

    fn object(&self) -> &Value {
        self.target.as_ref().or(self.live.as_ref()).unwrap_or(&Value::Null)
    }
}

/// An object of the application: wanted, live, or both.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Which.
    pub key: Key,
    /// In which version.
    pub gvk: Gvk,
    /// As it should be.
    pub target: Option<Value>,
    /// As it is.
    pub live: Option<Value>,
}

/// What decides about tasks.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Are objects pruned?
    pub prune: bool,
    /// Are hooks left out?
    pub skip_hooks: bool,
    /// Are all prunes last?
    pub prune_last: bool,
    /// Did somebody agree to prunes that ask for it?
    pub confirmed: bool,
    /// For names that hooks do not have: `<revision 7>-<phase>-<unix time>`, without the phase.
    pub revision: String,
    /// The unix time.
    pub time: i64,
}

/// The tasks, in order.
pub fn tasks(
    resources: Vec<Resource>,
    hook_objects: Vec<Resource>,
    app: &SyncOptions,
    rules: &Rules,
) -> Vec<Task> {
    let mut tasks = Vec::new();
    for resource in resources {
        let object = resource.target.as_ref().or(resource.live.as_ref()).unwrap_or(&Value::Null);
        // Whatever is a hook is not pruned, and what is to be skipped is not touched.
        if hooks::is_hook(object) || hooks::is_skipped(object) {
            continue;
        }
        let skip = match (&resource.target, &resource.live) {
            (None, Some(live)) => skipped_prune(live, app, rules),
            _ => None,
        };
        tasks.push(Task {
            phase: Phase::Sync,
            wave: hooks::wave(object),
            key: resource.key,
            gvk: resource.gvk,
            target: resource.target,
            live: resource.live,
            hook: false,
            skip,
        });
    }
    if !rules.skip_hooks {
        for resource in hook_objects {
            tasks.extend(hook_tasks(&resource, rules));
        }
    }
    mirror_prunes(&mut tasks, app, rules);
    order(&mut tasks);
    bubble(&mut tasks);
    tasks
}

fn skipped_prune(live: &Value, app: &SyncOptions, rules: &Rules) -> Option<&'static str> {
    let options = app.with(&SyncOptions::of_object(live));
    if !rules.prune {
        return Some("ignored (requires pruning)");
    }
    if options.is_not("Prune") {
        return Some("ignored (no prune)");
    }
    (options.get("Prune") == Some("confirm") && !rules.confirmed).then_some("ignored (requires confirmation)")
}

fn hook_tasks(resource: &Resource, rules: &Rules) -> Vec<Task> {
    let Some(target) = &resource.target else { return Vec::new() };
    let mut tasks = Vec::new();
    for phase in hooks::phases(target) {
        let (mut target, mut key, mut live) = (target.clone(), resource.key.clone(), resource.live.clone());
        if meta::name(&target).is_empty()
            && let Some(prefix) = get_str(&target, &["metadata", "generateName"]).map(str::to_owned)
        {
            let short: String = rules.revision.chars().take(7).collect();
            let name = format!("{prefix}{short}-{}-{}", phase.as_str().to_lowercase(), rules.time);
            object::set(&mut target, &["metadata", "name"], Value::from(name.clone()));
            key.name = name;
            live = None;
        }
        tasks.push(Task {
            phase,
            wave: hooks::wave(&target),
            key,
            gvk: resource.gvk.clone(),
            target: Some(target),
            live,
            hook: true,
            skip: None,
        });
    }
    tasks
}

/// The first wave of prunes changes places with the last, and so on to the middle.
fn mirror_prunes(tasks: &mut [Task], app: &SyncOptions, rules: &Rules) {
    let waves: BTreeSet<i64> = tasks.iter().filter(|task| task.is_prune()).map(|task| task.wave).collect();
    let waves: Vec<i64> = waves.into_iter().collect();
    let last =
        tasks.iter().filter(|task| task.phase == Phase::Sync && !task.is_prune()).map(|task| task.wave).max();
    for task in tasks.iter_mut().filter(|task| task.is_prune()) {
        if let Ok(at) = waves.binary_search(&task.wave) {
            task.wave = waves.get(waves.len() - 1 - at).copied().unwrap_or(task.wave);
        }
    }
    let last =
        tasks.iter().filter(|task| task.is_prune()).map(|task| task.wave).chain(last).max().unwrap_or(0);
    for task in tasks.iter_mut().filter(|task| task.is_prune()) {
        let own = task.live.as_ref().is_some_and(|live| SyncOptions::of_object(live).is("PruneLast"));
        if own || rules.prune_last || app.is("PruneLast") {
            task.wave = last.saturating_add(1);
        }
    }
}

/// The kinds whose order is given; all others come after them.
const KINDS: &[&str] = &[
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// The place of a kind in a wave.
pub fn rank(kind: &str) -> usize {
    KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len())
}

fn order(tasks: &mut [Task]) {
    tasks.sort_by(|a, b| {
        let place = |task: &Task| (task.phase, task.wave, rank(&task.key.kind));
        place(a).cmp(&place(b)).then_with(|| a.key.name.cmp(&b.key.name)).then_with(|| a.key.cmp(&b.key))
    });
}

/// Namespaces and definitions of the sync come no later than the first that needs them.
fn bubble(tasks: &mut [Task]) {
    let needs = |provider: &Task, task: &Task| match provider.key.kind.as_str() {
        "Namespace" if provider.key.group.is_empty() => task.key.namespace == provider.key.name,
        "CustomResourceDefinition" => {
            let target = provider.object();
            get_str(target, &["spec", "group"]) == Some(task.key.group.as_str())
                && get_str(target, &["spec", "names", "kind"]) == Some(task.key.kind.as_str())
        }
        _ => false,
    };
    let mut moved = false;
    for at in 0..tasks.len() {
        let Some(provider) = tasks.get(at).filter(|task| !task.is_prune()) else { continue };
        let first = tasks.iter().find(|task| !task.is_prune() && needs(provider, task));
        let Some((phase, wave)) = first.map(|first| (first.phase, first.wave)) else { continue };
        if (phase, wave) < (provider.phase, provider.wave)
            && let Some(provider) = tasks.get_mut(at)
        {
            provider.phase = phase;
            provider.wave = wave;
            moved = true;
        }
    }
    if moved {
        order(tasks);
    }
}

/// The steps: tasks of one phase and wave each, hooks of a failed sync apart.
pub fn steps(tasks: Vec<Task>) -> (Vec<Vec<Task>>, Vec<Task>) {
    let (on_failure, tasks): (Vec<Task>, Vec<Task>) =
        tasks.into_iter().partition(|task| task.phase == Phase::SyncFail);
    let mut steps: Vec<Vec<Task>> = Vec::new();
    for task in tasks {
        match steps.last_mut() {
            Some(step)
                if step.first().is_some_and(|first| (first.phase, first.wave) == (task.phase, task.wave)) =>
            {
                step.push(task);
            }
            _ => steps.push(vec![task]),
        }
    }
    (steps, on_failure)
}

/// Does pruning `live` ask for somebody's word?
pub fn needs_word(live: &Value) -> bool {
    options::prune_needs_word(live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use serde_json::json;

    fn resource(kind: &str, name: &str, wave: i64, wanted: bool) -> Resource {
        let group = if kind == "CustomResourceDefinition" { "apiextensions.k8s.io" } else { "" };
        let namespaced = !matches!(kind, "Namespace" | "CustomResourceDefinition");
        let gvk = Gvk::new(group, "v1", kind);
        let object = json!({"apiVersion": gvk.api_version(), "kind": kind, "metadata": {
            "name": name, "annotations": {names::SYNC_WAVE: wave.to_string()},
        }});
        Resource {
            key: Key::new(group, kind, if namespaced { "web" } else { "" }, name),
            gvk,
            target: wanted.then(|| object.clone()),
            live: (!wanted).then_some(object),
        }
    }

    fn names_of(tasks: &[Task]) -> Vec<String> {
        tasks.iter().map(|task| format!("{}/{}@{}", task.key.kind, task.key.name, task.wave)).collect()
    }

    fn all() -> Rules {
        Rules { prune: true, ..Rules::default() }
    }

    #[test]
    fn waves_then_kinds_then_names() {
        let list = vec![
            resource("Service", "b", 0, true),
            resource("ConfigMap", "z", 0, true),
            resource("ConfigMap", "a", 1, true),
            resource("Secret", "s", -1, true),
        ];
        let made = tasks(list, Vec::new(), &SyncOptions::default(), &all());
        assert_eq!(names_of(&made), ["Secret/s@-1", "ConfigMap/z@0", "Service/b@0", "ConfigMap/a@1"]);
        assert_eq!(steps(made).0.len(), 3);
    }

    #[test]
    fn a_namespace_comes_no_later_than_what_is_in_it() {
        let list = vec![resource("Namespace", "web", 5, true), resource("ConfigMap", "a", -3, true)];
        let made = tasks(list, Vec::new(), &SyncOptions::default(), &all());
        assert_eq!(names_of(&made), ["Namespace/web@-3", "ConfigMap/a@-3"]);
    }

    #[test]
    fn prunes_go_in_mirrored_waves() {
        let list = vec![
            resource("ConfigMap", "first", 0, false),
            resource("ConfigMap", "middle", 1, false),
            resource("ConfigMap", "last", 5, false),
            resource("ConfigMap", "stays", 3, true),
        ];
        let made = tasks(list.clone(), Vec::new(), &SyncOptions::default(), &all());
        assert_eq!(
            names_of(&made),
            ["ConfigMap/last@0", "ConfigMap/middle@1", "ConfigMap/stays@3", "ConfigMap/first@5"]
        );
        let last = SyncOptions::of_list(&["PruneLast=true".into()]);
        let made = tasks(list, Vec::new(), &last, &all());
        assert_eq!(made.iter().filter(|task| task.is_prune() && task.wave == 6).count(), 3);
    }

    #[test]
    fn nothing_is_pruned_unasked() {
        let mut kept = resource("ConfigMap", "kept", 0, false);
        if let Some(live) = &mut kept.live {
            meta::set_annotation(live, names::SYNC_OPTIONS, "Prune=false");
        }
        let list = vec![resource("ConfigMap", "gone", 0, false), kept];
        let skipped = |rules: &Rules| {
            let made = tasks(list.clone(), Vec::new(), &SyncOptions::default(), rules);
            made.iter().map(|task| task.skip).collect::<Vec<_>>()
        };
        assert_eq!(skipped(&all()), [None, Some("ignored (no prune)")]);
        assert_eq!(skipped(&Rules::default()), [Some("ignored (requires pruning)"); 2]);
    }

    #[test]
    fn hooks_without_a_name_get_one_each_time() {
        let mut hook = resource("Job", "", 0, true);
        if let Some(target) = &mut hook.target {
            *target = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {
                "generateName": "migrate-", "annotations": {names::HOOK: "PreSync,PostSync"},
            }});
        }
        let rules = Rules { revision: "0123456789".into(), time: 42, ..all() };
        let made = tasks(Vec::new(), vec![hook], &SyncOptions::default(), &rules);
        let names: Vec<&str> = made.iter().map(|task| task.key.name.as_str()).collect();
        assert_eq!(names, ["migrate-0123456-presync-42", "migrate-0123456-postsync-42"]);
    }
}
