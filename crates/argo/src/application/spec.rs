//! The spec of an Application, as far as it decides what is done. Pure.

use delivery::fields::{bool_at, list_at, str_at, string_map, strings_at};
use object::{Value, get, meta};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::names;
use crate::sync::options::SyncOptions;

/// The cluster that the controller runs in.
pub const IN_CLUSTER: &str = "https://kubernetes.default.svc";
/// Its name.
pub const IN_CLUSTER_NAME: &str = "in-cluster";

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The whole source, as the user wrote it.
    pub raw: Value,
}

/// Where a source comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A Git repository.
    Git,
    /// A chart of a Helm repository.
    Helm,
    /// An OCI artifact.
    Oci,
}

impl Source {
    fn text(&self, field: &str) -> &str {
        str_at(&self.raw, &[field])
    }

    /// `repoURL`.
    pub fn repo_url(&self) -> &str {
        self.text("repoURL")
    }

    /// `path`.
    pub fn path(&self) -> &str {
        self.text("path")
    }

    /// `chart`.
    pub fn chart(&self) -> &str {
        self.text("chart")
    }

    /// `targetRevision`.
    pub fn target_revision(&self) -> &str {
        self.text("targetRevision")
    }

    /// `ref`.
    pub fn reference(&self) -> &str {
        self.text("ref")
    }

    /// What it is fetched as.
    pub fn origin(&self) -> Origin {
        if !self.chart().is_empty() {
            Origin::Helm
        } else if self.repo_url().starts_with("oci://") {
            Origin::Oci
        } else {
            Origin::Git
        }
    }

    /// Does it only lend files to other sources?
    pub fn only_lends(&self) -> bool {
        !self.reference().is_empty() && self.path().is_empty() && self.chart().is_empty()
    }
}

/// `spec.destination`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Destination {
    /// The API's address.
    pub server: String,
    /// The cluster's name.
    pub name: String,
    /// The namespace of objects that have none.
    pub namespace: String,
}

impl Destination {
    /// As the spec of an Application or ApplicationSet's template says it.
    pub fn of_spec(spec: &Value) -> Destination {
        Destination {
            server: str_at(spec, &["destination", "server"]).to_owned(),
            name: str_at(spec, &["destination", "name"]).to_owned(),
            namespace: str_at(spec, &["destination", "namespace"]).to_owned(),
        }
    }

    /// Is it the cluster that the controller runs in?
    pub fn is_in_cluster(&self) -> bool {
        match (self.server.as_str(), self.name.as_str()) {
            ("", name) => name == IN_CLUSTER_NAME,
            (server, _) => server.trim_end_matches('/') == IN_CLUSTER,
        }
    }
}

/// `spec.syncPolicy.automated`, when it is there and enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Automated {
    /// Are objects deleted that left the source?
    pub prune: bool,
    /// Is drift undone?
    pub self_heal: bool,
    /// May everything be pruned?
    pub allow_empty: bool,
}

/// `spec.syncPolicy.retry` or that of an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// How often; below zero without end.
    pub limit: i64,
    /// The first pause.
    pub duration: Duration,
    /// What the pause grows by.
    pub factor: f64,
    /// The longest pause.
    pub max: Duration,
}

impl Retry {
    /// From a retry block; without one `limit`.
    pub fn of(block: Option<&Value>, limit: i64) -> Retry {
        let block = block.unwrap_or(&Value::Null);
        let time = |field: &str, default: u64| {
            let text = str_at(block, &["backoff", field]);
            parse_duration(text).unwrap_or(Duration::from_secs(default))
        };
        Retry {
            limit: object::get_i64(block, &["limit"]).unwrap_or(if block.is_object() { 0 } else { limit }),
            duration: time("duration", 5),
            factor: get(block, &["backoff", "factor"]).and_then(Value::as_f64).unwrap_or(2.0).max(1.0),
            max: time("maxDuration", 180),
        }
    }

    /// The pause before the try after `count` retries.
    pub fn pause(&self, count: u32) -> Duration {
        let seconds = self.duration.as_secs_f64() * self.factor.powi(count.min(64) as i32);
        if seconds.is_finite() {
            Duration::from_secs_f64(seconds.min(86_400.0)).min(self.max)
        } else {
            self.max
        }
    }
}

/// A duration as Go and Argo CD write it: `90` (seconds), `5s`, `3m`, `1h30m`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // Days are Argo CD's own, and stand in front.
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.parse::<u64>().ok()?, rest),
        None => (0, text),
    };
    let rest = if rest.is_empty() { Duration::ZERO } else { gotime::duration::span(rest).ok()? };
    Duration::from_secs(days.checked_mul(86_400)?).checked_add(rest)
}

/// The spec.
#[derive(Debug, Clone)]
pub struct Spec {
    /// All sources, in order.
    pub sources: Vec<Source>,
    /// Was `sources` used?
    pub multiple: bool,
    /// Where it goes.
    pub destination: Destination,
    /// The project.
    pub project: String,
    /// Automated sync.
    pub automated: Option<Automated>,
    /// Options of every sync.
    pub options: SyncOptions,
    /// `syncPolicy.retry`.
    pub retry: Option<Value>,
    /// `managedNamespaceMetadata`: labels and annotations.
    pub namespace_metadata: Option<(BTreeMap<String, String>, BTreeMap<String, String>)>,
    /// `revisionHistoryLimit`.
    pub history_limit: usize,
    /// `ignoreDifferences`.
    pub ignore_differences: Vec<Value>,
}

impl Spec {
    /// Of an Application.
    pub fn of(object: &Value) -> Spec {
        let spec = get(object, &["spec"]).unwrap_or(&Value::Null);
        let listed = list_at(spec, &["sources"]);
        // A source that is written by the hydrator stands where the others do.
        let hydrated = hydrated(spec);
        let sources: Vec<Source> = match (listed.is_empty(), hydrated) {
            (_, Some(raw)) => vec![Source { raw }],
            (false, _) => listed.iter().map(|raw| Source { raw: raw.clone() }).collect(),
            (true, _) => get(spec, &["source"])
                .filter(|source| source.is_object())
                .map(|raw| Source { raw: raw.clone() })
                .into_iter()
                .collect(),
        };
        let policy = get(spec, &["syncPolicy"]).unwrap_or(&Value::Null);
        let automated = get(policy, &["automated"])
            .filter(|block| block.is_object())
            .filter(|block| get(block, &["enabled"]).and_then(Value::as_bool) != Some(false))
            .map(|block| Automated {
                prune: bool_at(block, &["prune"]),
                self_heal: bool_at(block, &["selfHeal"]),
                allow_empty: bool_at(block, &["allowEmpty"]),
            });
        let namespace_metadata = get(policy, &["managedNamespaceMetadata"])
            .filter(|block| block.is_object())
            .map(|block| (string_map(block, &["labels"]), string_map(block, &["annotations"])));
        let limit = object::get_i64(spec, &["revisionHistoryLimit"]).unwrap_or(10);
        let project = match str_at(spec, &["project"]) {
            "" => "default",
            named => named,
        };
        Spec {
            multiple: !listed.is_empty(),
            sources,
            destination: Destination::of_spec(spec),
            project: project.to_owned(),
            automated,
            options: SyncOptions::of_list(&strings_at(policy, &["syncOptions"])),
            retry: get(policy, &["retry"]).filter(|block| block.is_object()).cloned(),
            namespace_metadata,
            history_limit: usize::try_from(limit).unwrap_or(0),
            ignore_differences: list_at(spec, &["ignoreDifferences"]).to_vec(),
        }
    }

    /// The namespace of the destination as `managedNamespaceMetadata` wants it.
    pub fn managed_namespace(&self) -> Option<Value> {
        let (labels, annotations) = self.namespace_metadata.as_ref()?;
        let mut wanted = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.destination.namespace},
        });
        for (key, value) in labels {
            meta::set_label(&mut wanted, key, value);
        }
        for (key, value) in annotations {
            meta::set_annotation(&mut wanted, key, value);
        }
        Some(wanted)
    }

    /// What is wrong with it, as messages of InvalidSpecError.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.sources.is_empty() {
            faults.push(
                "spec.source.repoURL and either spec.source.path or spec.source.chart are required".into(),
            );
        }
        for (at, source) in self.sources.iter().enumerate() {
            let place = if self.multiple { format!("spec.sources[{at}]") } else { "spec.source".to_owned() };
            let named =
                !source.path().is_empty() || !source.chart().is_empty() || !source.reference().is_empty();
            if source.repo_url().is_empty() || !(named || source.origin() == Origin::Oci) {
                faults.push(format!(
                    "{place}.repoURL and either {place}.path, {place}.chart, or {place}.ref are required"
                ));
            } else if !source.chart().is_empty() && source.target_revision().is_empty() {
                faults.push(format!(
                    "{place}.targetRevision is required if the manifest source is a helm chart"
                ));
            } else if !source.chart().is_empty() && !source.reference().is_empty() {
                faults.push(format!("{place}: a source with chart cannot be referred to by ref"));
            }
            let tools: Vec<&str> = ["kustomize", "helm", "directory", "plugin"]
                .into_iter()
                .filter(|tool| get(&source.raw, &[tool]).is_some_and(Value::is_object))
                .collect();
            if tools.len() > 1 {
                faults.push(format!("{place}: multiple application sources defined: {}", tools.join(",")));
            }
        }
        match (self.destination.server.as_str(), self.destination.name.as_str()) {
            ("", "") => faults.push("Destination server missing from app spec".into()),
            (server, name) if !server.is_empty() && !name.is_empty() => faults.push(format!(
                "application destination can't have both name and server defined: {name} {server}"
            )),
            _ => {}
        }
        faults
    }
}

/// The source that a source hydrator leaves for the cluster.
fn hydrated(spec: &Value) -> Option<Value> {
    let block = get(spec, &["sourceHydrator"]).filter(|block| block.is_object())?;
    Some(serde_json::json!({
        "repoURL": match str_at(block, &["syncSource", "repoURL"]) {
            "" => str_at(block, &["drySource", "repoURL"]),
            own => own,
        },
        "targetRevision": str_at(block, &["syncSource", "targetBranch"]),
        "path": str_at(block, &["syncSource", "path"]),
    }))
}

/// The name by which an application's objects are tracked: with its namespace when that is not the controller's.
pub fn instance(object: &Value, home: &str) -> String {
    let (namespace, name) = (meta::namespace(object).unwrap_or_default(), meta::name(object));
    if namespace.is_empty() || namespace == home { name.to_owned() } else { format!("{namespace}_{name}") }
}

/// The key of the Application that an instance name means.
pub fn application_of(instance: &str, home: &str) -> object::Key {
    let (namespace, name) = instance.split_once('_').unwrap_or((home, instance));
    names::key(names::APPLICATION, namespace, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_is_said() {
        let spec = Spec::of(&json!({"spec": {"source": {"repoURL": "https://x"}}}));
        assert_eq!(spec.faults().len(), 2, "{:?}", spec.faults());
        let good = json!({"spec": {
            "source": {"repoURL": "https://x", "path": "."}, "destination": {"name": "in-cluster"},
        }});
        assert!(Spec::of(&good).faults().is_empty());
        assert!(Spec::of(&good).destination.is_in_cluster());
        assert_eq!(Spec::of(&good).project, "default");
    }

    #[test]
    fn pauses_grow_to_their_ceiling() {
        let retry = Retry::of(
            Some(&json!({"limit": 3, "backoff": {"duration": "2s", "factor": 3, "maxDuration": "1m"}})),
            5,
        );
        let pauses: Vec<u64> = (0..5).map(|count| retry.pause(count).as_secs()).collect();
        assert_eq!(pauses, [2, 6, 18, 54, 60]);
        assert_eq!(Retry::of(None, 5).limit, 5);
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1d12h"), Some(Duration::from_secs(129_600)));
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("soon"), None);
    }
}
