//! Who may do what: role-based access control over the stored roles and bindings.

use std::sync::Arc;

use object::{get, get_str, meta};
use serde_json::{Value, json};

use crate::api::write::{self, Context};
use crate::app::App;
use crate::auth::User;
use crate::fields;
use crate::status::{Failure, group_resource};

/// A question: may this be done?
#[derive(Debug, Clone, Copy, Default)]
pub struct Attributes<'a> {
    /// `get`, `list`, …
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource, empty for none.
    pub subresource: &'a str,
    /// Namespace, empty for the cluster.
    pub namespace: &'a str,
    /// Object name, empty for any.
    pub name: &'a str,
    /// The path of a request that is not for a resource.
    pub path: Option<&'a str>,
}

const GROUP: &str = "rbac.authorization.k8s.io";
/// Where cluster roles are kept.
pub const ROLES: &str = "clusterroles.rbac.authorization.k8s.io";

/// The answer, with the binding that allows it.
pub fn allowed(app: &App, user: &User, attributes: &Attributes<'_>) -> Option<String> {
    if user.is_master() {
        return Some(String::new());
    }
    let mut reason = None;
    visit(app, user, attributes.namespace, |binding, _, rule| {
        let found = allows(rule, attributes);
        if found {
            reason = Some(format!("RBAC: allowed by {binding}"));
        }
        !found
    });
    reason
}

/// Refuses what is not allowed.
pub fn require(app: &App, user: &User, attributes: &Attributes<'_>) -> Result<(), Failure> {
    if allowed(app, user, attributes).is_some() {
        return Ok(());
    }
    let Attributes { verb, group, resource, subresource, namespace, name, path } = *attributes;
    let user = &user.name;
    if let Some(path) = path {
        let why = format!("User {user:?} cannot {verb} path {path:?}");
        return Err(Failure::forbidden("", "", "", &why).empty_details());
    }
    let full = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let why = format!("User {user:?} cannot {verb} resource {full:?} in API group {group:?} {place}");
    let target = group_resource(group, resource);
    let message = if name.is_empty() {
        format!("{target} is forbidden: {why}")
    } else {
        format!("{target} {name:?} is forbidden: {why}")
    };
    Err(Failure::new(403, "Forbidden", message).about(group, resource, name))
}

/// Shows every rule that applies to a user in a namespace, until the visitor answers false.
pub fn visit(app: &App, user: &User, namespace: &str, mut visitor: impl FnMut(&str, &str, &Value) -> bool) {
    let (_, bindings) = app.store.list("clusterrolebindings.rbac.authorization.k8s.io", "");
    for binding in bindings {
        let value = binding.value();
        if let Some(subject) = subject_of(&value, user, "") {
            let shown = format!(
                "ClusterRoleBinding {:?} of {} {:?} to {subject}",
                binding.name(),
                get_str(&value, &["roleRef", "kind"]).unwrap_or_default(),
                get_str(&value, &["roleRef", "name"]).unwrap_or_default(),
            );
            if !rules(app, &value, "").iter().all(|rule| visitor(&shown, "", rule)) {
                return;
            }
        }
    }
    if namespace.is_empty() {
        return;
    }
    let prefix = format!("{namespace}/");
    let (_, bindings) = app.store.list("rolebindings.rbac.authorization.k8s.io", &prefix);
    for binding in bindings {
        let value = binding.value();
        if let Some(subject) = subject_of(&value, user, namespace) {
            let shown = format!(
                "RoleBinding {:?} of {} {:?} to {subject}",
                format!("{}/{namespace}", binding.name()),
                get_str(&value, &["roleRef", "kind"]).unwrap_or_default(),
                get_str(&value, &["roleRef", "name"]).unwrap_or_default(),
            );
            if !rules(app, &value, namespace).iter().all(|rule| visitor(&shown, namespace, rule)) {
                return;
            }
        }
    }
}

fn subject_of(binding: &Value, user: &User, namespace: &str) -> Option<String> {
    let subjects = get(binding, &["subjects"])?.as_array()?;
    subjects.iter().find_map(|subject| {
        let name = get_str(subject, &["name"])?;
        match get_str(subject, &["kind"])? {
            "User" if user.name == name => Some(format!("User {name:?}")),
            "Group" if user.groups.iter().any(|g| g == name) => Some(format!("Group {name:?}")),
            "ServiceAccount" => {
                let place = get_str(subject, &["namespace"]).unwrap_or(namespace);
                let full = format!("system:serviceaccount:{place}:{name}");
                (user.name == full).then(|| format!("ServiceAccount \"{name}/{place}\""))
            }
            _ => None,
        }
    })
}

fn rules(app: &App, binding: &Value, namespace: &str) -> Vec<Value> {
    let name = get_str(binding, &["roleRef", "name"]).unwrap_or_default();
    let role = match get_str(binding, &["roleRef", "kind"]) {
        Some("Role") => app.tree(&format!("roles.{GROUP}"), &format!("{namespace}/{name}")),
        _ => app.tree(&format!("clusterroles.{GROUP}"), name),
    };
    role.map(|role| role_rules(app, &role)).unwrap_or_default()
}

/// The rules of a role, those of the roles that it aggregates included.
pub fn role_rules(app: &App, role: &Value) -> Vec<Value> {
    let mut rules: Vec<Value> = get(role, &["rules"]).and_then(Value::as_array).cloned().unwrap_or_default();
    for rule in aggregated(app, role) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// The rules of the roles that a role aggregates.
fn aggregated(app: &App, role: &Value) -> Vec<Value> {
    let mut rules: Vec<Value> = Vec::new();
    let Some(Value::Array(selectors)) = get(role, &["aggregationRule", "clusterRoleSelectors"]) else {
        return rules;
    };
    let selectors: Vec<object::LabelSelector> =
        selectors.iter().filter_map(|s| object::LabelSelector::from_object(s).ok()).collect();
    let (_, roles) = app.store.list(&format!("clusterroles.{GROUP}"), "");
    for other in roles {
        if !selectors.iter().any(|s| s.matches_by(|key| other.label(key))) {
            continue;
        }
        let other = other.value();
        if meta::name(&other) == meta::name(role) {
            continue;
        }
        let more = get(&other, &["rules"]).and_then(Value::as_array);
        for rule in more.into_iter().flatten() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    rules
}

/// Writes the rules of aggregating roles into them, as a controller of the original does.
pub fn aggregate(app: &Arc<App>) {
    let Some(resource) = app.catalog().find(GROUP, "v1", "clusterroles").cloned() else { return };
    let context = Context::system("clusterrole-aggregation-controller");
    for role in app.store.list(&resource.table, "").1 {
        let value = role.value();
        if value.get("aggregationRule").is_none_or(Value::is_null) {
            continue;
        }
        let rules = aggregated(app, &value);
        if value.get("rules").and_then(Value::as_array).map_or(&[][..], Vec::as_slice) == rules {
            continue;
        }
        let applied = json!({
            "apiVersion": resource.api_version(), "kind": *resource.kind,
            "metadata": {"name": role.name()}, "rules": rules,
        });
        let written = write::modify_now(app, &resource, "", role.name(), &context, |live| {
            fields::apply(&resource, Some(live), &applied, &context, true)
        });
        if let Err(failure) = written {
            tracing::warn!(role = role.name(), error = failure.message(), "its rules cannot be gathered");
        }
    }
}

fn allows(rule: &Value, attributes: &Attributes<'_>) -> bool {
    let any = |field: &str, wanted: &dyn Fn(&str) -> bool| {
        get(rule, &[field])
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().filter_map(Value::as_str).any(wanted))
    };
    if !any("verbs", &|verb| verb == "*" || verb == attributes.verb) {
        return false;
    }
    if let Some(path) = attributes.path {
        return any("nonResourceURLs", &|url| {
            url == "*" || url == path || url.strip_suffix('*').is_some_and(|p| path.starts_with(p))
        });
    }
    if !any("apiGroups", &|group| group == "*" || group == attributes.group) {
        return false;
    }
    let full = if attributes.subresource.is_empty() {
        attributes.resource.to_owned()
    } else {
        format!("{}/{}", attributes.resource, attributes.subresource)
    };
    let fits = any("resources", &|resource| {
        resource == "*"
            || resource == full
            || resource.strip_prefix("*/").is_some_and(|sub| !sub.is_empty() && sub == attributes.subresource)
    });
    let names = get(rule, &["resourceNames"]).and_then(Value::as_array);
    fits && names.is_none_or(|list| list.is_empty() || list.iter().any(|n| n == attributes.name))
}
