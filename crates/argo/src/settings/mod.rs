//! Settings of an installation: `argocd-cm`, `argocd-rbac-cm`, and the Secrets of repositories and clusters. Pure.

mod clusters;
mod customizations;
mod parameters;
mod repositories;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use health::argo::{Customizations, glob};
use object::{Gvk, Value, get, get_str};

pub use clusters::{Cluster, IN_CLUSTER, LOCAL_SERVER};
pub use parameters::{Healing, Parameters, SetParameters};
pub use repositories::{Credentials, Repositories, Repository};

use crate::diff::{Normalize, Rule, StatusField};
use crate::project::Project;
use crate::project::rbac::{Match, Policies};

/// How an object's Application is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tracking {
    /// By the annotation.
    #[default]
    Annotation,
    /// By the label.
    Label,
    /// By the annotation; the label is written, too.
    AnnotationAndLabel,
}

/// Kinds that are seen or not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filtered {
    groups: Vec<String>,
    kinds: Vec<String>,
    clusters: Vec<String>,
}

impl Filtered {
    fn covers(&self, group: &str, kind: &str, cluster: &str) -> bool {
        let any =
            |list: &[String], value: &str| list.is_empty() || list.iter().any(|pattern| glob(pattern, value));
        any(&self.groups, group) && any(&self.kinds, kind) && any(&self.clusters, cluster)
    }
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Address of the web pages.
    pub url: String,
    /// The label of an object's Application.
    pub instance_label: String,
    /// How an object's Application is known.
    pub tracking: Tracking,
    /// Tells several installations on one cluster apart.
    pub installation_id: String,
    /// Health checks and actions.
    pub customizations: Customizations,
    /// Differences that do not count, for all Applications.
    pub ignored: Vec<Rule>,
    /// What is normalised before a comparison.
    pub normalize: Normalize,
    /// Kinds that are not seen.
    pub exclusions: Vec<Filtered>,
    /// The only kinds that are seen, when there are any.
    pub inclusions: Vec<Filtered>,
    /// Options of every `kustomize build`.
    pub kustomize_options: String,
    /// Options of a version's `kustomize build`.
    pub kustomize_versions: BTreeMap<String, String>,
    /// Versions of kustomize that sources may ask for by name; this program's own builds for all of them.
    pub kustomize_known: BTreeSet<String>,
    /// What the source hydrator's commits say, a template.
    pub hydrate_message: String,
    /// What its `README.md` says, a template.
    pub hydrate_readme: String,
    /// Who commits: name and address.
    pub committer: (String, String),
    /// Tools that make no manifests here: `Helm`, `Kustomize`, `Directory`.
    pub disabled_tools: Vec<&'static str>,
    /// Is the cluster that this runs in a destination (`cluster.inClusterEnabled`)?
    pub in_cluster: bool,
    /// From where values files may come.
    pub values_schemes: Vec<String>,
    /// How often sources are looked at; `Duration::MAX` when never.
    pub reconciliation: Option<Duration>,
    /// Selectors of projects and the global project that each inherits.
    pub global_projects: Vec<(Value, String)>,
    /// Annotations of Secrets that are masked.
    pub sensitive_annotations: Vec<String>,
    /// Whether destinations' service accounts stand in for the controller.
    pub impersonation: bool,
    /// Whether a sync fails where no service account fits (`application.sync.impersonation.enforced`).
    pub enforced: bool,
    /// What could not be read: the settings go on without it, and everybody is told.
    pub problems: Vec<String>,
}

/// The data of a ConfigMap.
fn data(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let map = get(object, &["data"]).and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// How often sources are looked at: Go's words for a duration, or days; `0` means never.
fn every(text: &str) -> Result<Duration, String> {
    let every =
        crate::application::spec::parse_duration(text).ok_or_else(|| format!("{text:?} is no duration"))?;
    Ok(if every.is_zero() { Duration::MAX } else { every })
}

impl Settings {
    /// Reads `argocd-cm`. What is malformed becomes a problem; the rest counts.
    pub fn parse(object: &Value) -> Self {
        let mut settings = Settings {
            instance_label: "app.kubernetes.io/instance".to_owned(),
            values_schemes: vec!["https".to_owned(), "http".to_owned()],
            in_cluster: true,
            enforced: true,
            ..Settings::default()
        };
        for (key, value) in data(object) {
            settings.entry(key, value.trim());
        }
        settings
    }

    fn entry(&mut self, key: &str, value: &str) {
        match key {
            "url" => self.url = value.to_owned(),
            "application.instanceLabelKey" if !value.is_empty() => self.instance_label = value.to_owned(),
            "application.resourceTrackingMethod" => match value {
                "" | "annotation" => self.tracking = Tracking::Annotation,
                "label" => self.tracking = Tracking::Label,
                "annotation+label" => self.tracking = Tracking::AnnotationAndLabel,
                other => self.problem(key, &format!("unknown tracking method {other}")),
            },
            "installationID" => self.installation_id = value.to_owned(),
            "kustomize.buildOptions" => self.kustomize_options = value.to_owned(),
            "sourceHydrator.commitMessageTemplate" => self.hydrate_message = value.to_owned(),
            "sourceHydrator.readmeMessageTemplate" => self.hydrate_readme = value.to_owned(),
            "commit.author.name" => self.committer.0 = value.to_owned(),
            "commit.author.email" => self.committer.1 = value.to_owned(),
            "helm.enable" if value != "true" && !value.is_empty() => self.disabled_tools.push("Helm"),
            "kustomize.enable" if value != "true" && !value.is_empty() => {
                self.disabled_tools.push("Kustomize");
            }
            "jsonnet.enable" if value != "true" && !value.is_empty() => self.disabled_tools.push("Directory"),
            "cluster.inClusterEnabled" => self.in_cluster = value != "false",
            "helm.valuesFileSchemes" => {
                self.values_schemes = value.split(',').map(|scheme| scheme.trim().to_owned()).collect();
            }
            "timeout.reconciliation" if value.is_empty() => {}
            "timeout.reconciliation" => match every(value) {
                Ok(every) => self.reconciliation = Some(every),
                Err(why) => self.problem(key, &why),
            },
            "application.sync.impersonation.enabled" => self.impersonation = value == "true",
            "application.sync.impersonation.enforced" => self.enforced = value == "true",
            "resource.sensitive.mask.annotations" => {
                self.sensitive_annotations = value.split(',').map(|name| name.trim().to_owned()).collect();
            }
            "resource.exclusions" | "resource.inclusions" => self.filtered(key, value),
            "resource.compareoptions" => self.compare_options(key, value),
            "globalProjects" => self.globals(key, value),
            "resource.customizations" => self.customized(key, value),
            _ => {
                if let Some(version) = key.strip_prefix("kustomize.buildOptions.") {
                    self.kustomize_versions.insert(version.to_owned(), value.to_owned());
                } else if let Some(version) =
                    key.strip_prefix("kustomize.path.").or_else(|| key.strip_prefix("kustomize.version."))
                {
                    self.kustomize_known.insert(version.to_owned());
                } else if let Some(rest) = key.strip_prefix("resource.customizations.") {
                    self.customized_one(key, rest, value);
                }
            }
        }
    }

    fn problem(&mut self, key: &str, text: &str) {
        self.problems.push(format!("argocd-cm: {key}: {text}"));
    }

    fn yaml(&mut self, key: &str, text: &str) -> Option<Value> {
        match yaml::from_str(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, &error.to_string());
                None
            }
        }
    }

    fn filtered(&mut self, key: &str, text: &str) {
        let Some(value) = self.yaml(key, text) else { return };
        let list = |entry: &Value, field: &str| {
            let list = entry.get(field).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let all: Vec<Filtered> = value
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| Filtered {
                groups: list(entry, "apiGroups"),
                kinds: list(entry, "kinds"),
                clusters: list(entry, "clusters"),
            })
            .collect();
        if key == "resource.exclusions" {
            self.exclusions = all;
        } else {
            self.inclusions = all;
        }
    }

    fn compare_options(&mut self, key: &str, text: &str) {
        let Some(value) = self.yaml(key, text) else { return };
        self.normalize.aggregated_roles = value.get("ignoreAggregatedRoles") == Some(&Value::Bool(true));
        self.normalize.status = match value.get("ignoreResourceStatusField") {
            Some(Value::String(word)) => StatusField::parse(word),
            Some(Value::Bool(false)) => StatusField::None,
            _ => StatusField::All,
        };
    }

    fn globals(&mut self, key: &str, text: &str) {
        let Some(value) = self.yaml(key, text) else { return };
        for entry in value.as_array().into_iter().flatten() {
            let name = get_str(entry, &["projectName"]).unwrap_or_default().to_owned();
            self.global_projects.push((entry.get("labelSelector").cloned().unwrap_or_default(), name));
        }
    }

    /// Whether objects of a kind are seen on a cluster. Events and metrics never are.
    pub fn sees(&self, group: &str, kind: &str, cluster: &str) -> bool {
        let built_in =
            matches!(group, "events.k8s.io" | "metrics.k8s.io") || (group.is_empty() && kind == "Event");
        let any = |list: &[Filtered]| list.iter().any(|entry| entry.covers(group, kind, cluster));
        !built_in && !any(&self.exclusions) && (self.inclusions.is_empty() || any(&self.inclusions))
    }

    /// Options of `kustomize build` for the version that a source asks for.
    ///
    /// # Errors
    /// When the installation knows no such version.
    pub fn kustomize_options(&self, version: &str) -> Result<&str, String> {
        if version.is_empty() {
            return Ok(&self.kustomize_options);
        }
        if !self.kustomize_known.contains(version) {
            return Err(format!("kustomize version {version} is not registered"));
        }
        Ok(self.kustomize_versions.get(version).map_or(&self.kustomize_options, String::as_str))
    }

    /// A project with what the global projects that select it add.
    pub fn inherit(&self, project: Project, find: impl Fn(&str) -> Option<Project>) -> Project {
        let globals: Vec<Project> = self
            .global_projects
            .iter()
            .filter(|(selector, name)| name != project.name() && project.selected_by(selector))
            .filter_map(|(_, name)| find(name))
            .collect();
        project.with_globals(&globals)
    }

    /// The rules of the installation for a kind.
    pub fn rules_for<'a>(&'a self, gvk: &'a Gvk) -> impl Iterator<Item = &'a Rule> {
        self.ignored.iter().filter(|rule| rule.is_about(&gvk.group, &gvk.kind, "", ""))
    }
}

/// The policies of `argocd-rbac-cm`.
///
/// # Errors
/// When a line of them is malformed.
pub fn policies(object: &Value) -> Result<Policies, String> {
    let written = WrittenPolicies::of(object);
    Policies::parse(&written.csv, &written.default_role, written.matching)
}

/// What `argocd-rbac-cm` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenPolicies {
    /// All its lines.
    pub csv: String,
    /// `policy.default`.
    pub default_role: String,
    /// `policy.matchMode`.
    pub matching: Match,
}

impl WrittenPolicies {
    /// Of the ConfigMap.
    pub fn of(object: &Value) -> WrittenPolicies {
        let values: BTreeMap<&str, &str> = data(object).collect();
        let text = |key: &str| values.get(key).copied().unwrap_or_default();
        let matching = if text("policy.matchMode") == "regex" { Match::Regex } else { Match::Glob };
        let mut csv = text("policy.csv").to_owned();
        for (key, value) in &values {
            if *key != "policy.csv" && key.starts_with("policy.") && key.ends_with(".csv") {
                csv.push('\n');
                csv.push_str(value);
            }
        }
        let default_role = text("policy.default").to_owned();
        WrittenPolicies { csv, default_role, matching }
    }
}

/// A value in which `$key` stands for an entry of `argocd-secret`, and `$secret:key` for one of another Secret. What is
/// not there stays as it is written.
pub fn resolve(text: &str, lookup: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let end =
            after.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.:".contains(c))).unwrap_or(after.len());
        let name = after.get(..end).unwrap_or_default();
        let (secret, key) = name.split_once(':').unwrap_or(("argocd-secret", name));
        match lookup(secret, key) {
            Some(value) if !key.is_empty() => out.push_str(value.trim()),
            _ => {
                out.push('$');
                out.push_str(name);
            }
        }
        rest = after.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
