//! AppProjects: what their Applications may read, where they may go, what they may make, when they may sync, and who
//! may do what with them. Pure.

mod pattern;
pub mod rbac;
mod signers;
mod windows;

use object::{LabelSelector, Value, get, get_str, meta};
use serde_json::json;

pub(crate) use pattern::permits;
pub use pattern::{normalize_url, same_repository};
pub use signers::Signers;
pub use windows::{Decision, Subject, Window, Windows};

/// The project that Applications without one belong to.
pub const DEFAULT: &str = "default";

/// Where an Application goes: one of server and name, and a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Destination<'a> {
    /// The cluster's address.
    pub server: &'a str,
    /// The cluster's name.
    pub name: &'a str,
    /// The namespace.
    pub namespace: &'a str,
}

/// A project.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    object: Value,
}

/// An entry that somebody may, or may not, make.
fn fits(entry: &Value, group: &str, kind: &str, name: &str) -> bool {
    let text = |key: &str| get_str(entry, &[key]).unwrap_or_default();
    let named = text("name");
    permits(text("group"), group, false, false)
        && permits(text("kind"), kind, false, false)
        && (named.is_empty() || permits(named, name, false, false))
}

impl Project {
    /// The project of an object.
    pub fn new(object: Value) -> Self {
        Project { object }
    }

    /// The project `default` as an installation makes it: everything is permitted.
    pub fn everything() -> Self {
        Project::new(json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": { "name": DEFAULT },
            "spec": {
                "sourceRepos": ["*"], "destinations": [{ "server": "*", "namespace": "*" }],
                "clusterResourceWhitelist": [{ "group": "*", "kind": "*" }],
            },
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        meta::name(&self.object)
    }

    /// As it was read.
    fn object(&self) -> &Value {
        &self.object
    }

    fn list(&self, field: &str) -> &[Value] {
        get(&self.object, &["spec", field]).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn texts<'a>(&'a self, field: &str) -> impl Iterator<Item = &'a str> {
        self.list(field).iter().filter_map(Value::as_str)
    }

    /// Whether a repository may be read. A pattern `!…` denies what it covers, whatever else is permitted.
    pub fn permits_source(&self, url: &str) -> bool {
        let url = normalize_url(url);
        let mut any = false;
        for entry in self.texts("sourceRepos") {
            let (denies, pattern) = match entry.strip_prefix('!') {
                Some(rest) => (true, format!("!{}", normalize_url(rest))),
                None => (false, normalize_url(entry)),
            };
            let matched = permits(&pattern, &url, true, true);
            if !matched && denies {
                return false;
            }
            any |= matched;
        }
        any
    }

    /// Whether a destination is permitted.
    pub fn permits_destination(&self, destination: &Destination<'_>) -> bool {
        let mut any = false;
        for entry in self.list("destinations") {
            let text = |key: &str| get_str(entry, &[key]).unwrap_or_default();
            let held = |key: &str, value: &str| !value.is_empty() && permits(text(key), value, true, false);
            let (by_name, by_server) = (held("name", destination.name), held("server", destination.server));
            let by_namespace = permits(text("namespace"), destination.namespace, true, false);
            if (by_name || by_server) && by_namespace {
                any = true;
                continue;
            }
            let denies = |key: &str, matched: bool| !matched && text(key).starts_with('!');
            if denies("name", by_name) || denies("server", by_server) || denies("namespace", by_namespace) {
                return false;
            }
        }
        any
    }

    /// Whether objects of a kind are permitted.
    pub fn permits_kind(&self, group: &str, kind: &str, name: &str, namespaced: bool) -> bool {
        let within = |field: &str| self.list(field).iter().any(|entry| fits(entry, group, kind, name));
        if namespaced {
            // Without a list of what is permitted all is; an empty one permits nothing.
            let listed =
                get(&self.object, &["spec", "namespaceResourceWhitelist"]).is_some_and(Value::is_array);
            return (!listed || within("namespaceResourceWhitelist"))
                && !within("namespaceResourceBlacklist");
        }
        within("clusterResourceWhitelist") && !within("clusterResourceBlacklist")
    }

    /// Whether an object is permitted there.
    pub fn permits_object(&self, group: &str, kind: &str, name: &str, at: &Destination<'_>) -> bool {
        self.permits_kind(group, kind, name, !at.namespace.is_empty())
            && (at.namespace.is_empty() || self.permits_destination(at))
    }

    /// Whether an Application of another namespace than the installation's may belong to the project.
    pub fn permits_namespace(&self, namespace: &str, installation: &str) -> bool {
        namespace == installation
            || self.texts("sourceNamespaces").any(|pattern| namespace_fits(pattern, namespace))
    }

    /// Its windows.
    ///
    /// # Errors
    /// When one of them is malformed.
    pub fn windows(&self) -> Result<Windows, String> {
        self.list("syncWindows").iter().map(Window::parse).collect::<Result<Vec<_>, _>>().map(Windows)
    }

    /// The service account that stands in for the controller at a destination: `namespace` and `name`.
    ///
    /// # Errors
    /// When accounts are declared and none is for the destination.
    pub fn service_account(&self, at: &Destination<'_>) -> Result<Option<(String, String)>, String> {
        let declared = self.list("destinationServiceAccounts");
        for entry in declared {
            let text = |key: &str| get_str(entry, &[key]).unwrap_or_default();
            if permits(text("server"), at.server, false, false)
                && permits(text("namespace"), at.namespace, false, false)
            {
                let account = text("defaultServiceAccount");
                if account.trim().is_empty() || account.chars().any(|c| "!*[]{}\\/".contains(c)) {
                    return Err(format!("default service account contains invalid chars '{account}'"));
                }
                let (namespace, name) = account.split_once(':').unwrap_or((at.namespace, account));
                return Ok(Some((namespace.to_owned(), name.to_owned())));
            }
        }
        if declared.is_empty() {
            return Ok(None);
        }
        Err(format!(
            "no matching service account found for destination server {} and namespace {}",
            at.server, at.namespace
        ))
    }

    /// Whether orphaned objects of its namespaces are looked for, and whether they are warned of.
    pub fn orphans(&self) -> Option<bool> {
        let settings = get(&self.object, &["spec", "orphanedResources"]).filter(|found| !found.is_null())?;
        Some(settings.get("warn").and_then(Value::as_bool).unwrap_or(true))
    }

    /// Whether an object that no Application has is an orphan to this project.
    pub fn is_orphan(&self, group: &str, kind: &str, namespace: &str, name: &str) -> bool {
        let known = match (group, kind, name) {
            // Kubernetes makes these itself in every namespace.
            ("", "ServiceAccount", "default") | ("", "ConfigMap", "kube-root-ca.crt") => true,
            ("", "Service" | "Endpoints", "kubernetes")
            | ("discovery.k8s.io", "EndpointSlice", "kubernetes") => namespace == "default",
            _ => false,
        };
        let ignored = get(&self.object, &["spec", "orphanedResources", "ignore"]).and_then(Value::as_array);
        !known
            && !ignored.into_iter().flatten().any(|entry| {
                let text = |key: &str| get_str(entry, &[key]).unwrap_or_default();
                let held =
                    |key: &str, value: &str| text(key).is_empty() || permits(text(key), value, false, false);
                permits(text("group"), group, false, false) && held("kind", kind) && held("name", name)
            })
    }

    /// The keys that commits must be signed with; empty when any commit will do.
    pub fn signature_keys(&self) -> Vec<&str> {
        self.list("signatureKeys").iter().filter_map(|entry| get_str(entry, &["keyID"])).collect()
    }

    /// Whether only clusters of the project itself may be used.
    pub fn only_own_clusters(&self) -> bool {
        get(&self.object, &["spec", "permitOnlyProjectScopedClusters"]) == Some(&Value::Bool(true))
    }

    /// The policies of its roles, in the words of `policy.csv`.
    pub fn policies(&self) -> String {
        let name = self.name();
        let mut lines = Vec::new();
        for role in self.list("roles") {
            let role_name = get_str(role, &["name"]).unwrap_or_default();
            let subject = format!("proj:{name}:{role_name}");
            lines.push(format!("p, {subject}, projects, get, {name}, allow"));
            let texts = |field: &str| {
                let list = role.get(field).and_then(Value::as_array).into_iter().flatten();
                list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
            };
            lines.extend(texts("policies"));
            lines.extend(texts("groups").into_iter().map(|group| format!("g, {group}, {subject}")));
        }
        lines.join("\n")
    }

    /// The project with what the global ones add: their lists are appended to its own.
    pub fn with_globals<'a>(mut self, globals: impl IntoIterator<Item = &'a Project>) -> Self {
        const LISTS: [&str; 7] = [
            "clusterResourceWhitelist",
            "clusterResourceBlacklist",
            "namespaceResourceWhitelist",
            "namespaceResourceBlacklist",
            "syncWindows",
            "sourceRepos",
            "destinations",
        ];
        for global in globals {
            for field in LISTS {
                let more = global.list(field).to_vec();
                if more.is_empty() {
                    continue;
                }
                let mut all = self.list(field).to_vec();
                all.extend(more);
                object::set(&mut self.object, &["spec", field], Value::Array(all));
            }
        }
        self
    }

    /// Whether a global project's selector means this one.
    pub fn selected_by(&self, selector: &Value) -> bool {
        LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches_object(&self.object))
    }
}

/// Whether a pattern of namespaces covers one: a glob, or a regular expression between slashes.
pub fn namespace_fits(pattern: &str, namespace: &str) -> bool {
    match pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(expression) if !expression.is_empty() => {
            regex::Regex::new(expression).is_ok_and(|expression| expression.is_match(namespace))
        }
        _ => permits(pattern, namespace, false, false),
    }
}
