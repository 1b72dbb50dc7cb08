//! Nobody gives out by role or binding what he may not do himself, unless he has the verb `escalate` or `bind`.

use std::collections::{BTreeMap, BTreeSet};

use object::{get, get_str, meta};
use serde_json::Value;

use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;
use crate::rbac::{self, Attributes};
use crate::status::Failure;

const GROUP: &str = "rbac.authorization.k8s.io";

/// One right: a verb on a resource (perhaps one object of it) or on a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    group: Option<String>,
    resource: Option<String>,
    path: Option<String>,
    name: Option<String>,
    verb: String,
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    get(rule, &[field]).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Every single right of a rule.
fn rights(rule: &Value) -> Vec<Right> {
    let names = texts(rule, "resourceNames");
    let names: Vec<Option<&str>> =
        if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
    let mut all = Vec::new();
    for verb in texts(rule, "verbs") {
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                for name in &names {
                    all.push(Right {
                        group: Some(group.to_owned()),
                        resource: Some(resource.to_owned()),
                        path: None,
                        name: name.map(str::to_owned),
                        verb: verb.to_owned(),
                    });
                }
            }
        }
        for path in texts(rule, "nonResourceURLs") {
            all.push(Right {
                group: None,
                resource: None,
                path: Some(path.to_owned()),
                name: None,
                verb: verb.to_owned(),
            });
        }
    }
    all
}

/// Whether a rule contains a right.
fn covers(rule: &Value, right: &Right) -> bool {
    let has = |field: &str, wanted: &str| texts(rule, field).iter().any(|own| *own == "*" || *own == wanted);
    if !has("verbs", &right.verb) {
        return false;
    }
    if let Some(path) = &right.path {
        return texts(rule, "nonResourceURLs")
            .iter()
            .any(|own| own == path || own.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix)));
    }
    let (Some(group), Some(resource)) = (&right.group, &right.resource) else { return false };
    let every_parent = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
    let names = texts(rule, "resourceNames");
    has("apiGroups", group)
        && (has("resources", resource)
            || every_parent.is_some_and(|own| texts(rule, "resources").contains(&own.as_str())))
        && (names.is_empty() || right.name.as_deref().is_some_and(|name| names.contains(&name)))
}

/// Judges a write of a role or binding.
pub fn check(
    app: &App,
    resource: &Resource,
    context: &Context,
    value: &Value,
    live: Option<&Value>,
) -> Result<(), Failure> {
    let user = &context.user;
    if &*resource.group != GROUP || user.is_master() || context.is_system() {
        return Ok(());
    }
    let namespace = if resource.namespaced { meta::namespace(value).unwrap_or_default() } else { "" };
    let name = meta::name(value);
    let may = |verb: &str, resource: &str, name: &str| {
        let attributes =
            Attributes { verb, group: GROUP, resource, namespace, name, ..Attributes::default() };
        rbac::allowed(app, user, &attributes).is_some()
    };
    let refuse = |why: &str| Err(Failure::forbidden(&resource.group, &resource.name, name, why));
    match &*resource.name {
        "roles" | "clusterroles" => {
            let asked = if live.is_some() { name } else { "" };
            if live.is_some_and(|live| only_ends(live, value)) || may("escalate", &resource.name, asked) {
                return Ok(());
            }
            let rules = get(value, &["rules"]).and_then(Value::as_array).cloned().unwrap_or_default();
            if let Some(why) = missing(app, context, namespace, &rules) {
                return refuse(&why);
            }
            let gathers = |role: &Value| {
                let selectors = get(role, &["aggregationRule", "clusterRoleSelectors"]);
                selectors.and_then(Value::as_array).is_some_and(|list| !list.is_empty())
            };
            let everything = serde_json::json!([
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]);
            let everything = everything.as_array().map_or(&[][..], Vec::as_slice);
            if (gathers(value) || live.is_some_and(gathers))
                && missing(app, context, namespace, everything).is_some()
            {
                return refuse("must have cluster-admin privileges to use the aggregationRule");
            }
            Ok(())
        }
        "rolebindings" | "clusterrolebindings" => {
            let role = get_str(value, &["roleRef", "name"]).unwrap_or_default();
            let is_role = get_str(value, &["roleRef", "kind"]) == Some("Role");
            let (plural, key) = if is_role {
                ("roles", format!("{namespace}/{role}"))
            } else {
                ("clusterroles", role.to_owned())
            };
            if live.is_some_and(|live| only_ends(live, value)) || may("bind", plural, role) {
                return Ok(());
            }
            let Some(found) = app.tree(&format!("{plural}.{GROUP}"), &key) else {
                return Err(Failure::not_found(GROUP, plural, role));
            };
            match missing(app, context, namespace, &rbac::role_rules(app, &found)) {
                Some(why) => refuse(&why),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether nothing changes but what the garbage collector writes.
fn only_ends(live: &Value, value: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        for field in ["finalizers", "ownerReferences", "resourceVersion", "managedFields", "generation"] {
            object::remove(&mut object, &["metadata", field]);
        }
        object
    };
    rest(live) == rest(value)
}

/// What a user would give out without having it.
fn missing(app: &App, context: &Context, namespace: &str, rules: &[Value]) -> Option<String> {
    let mut own = Vec::new();
    rbac::visit(app, &context.user, namespace, |_, _, rule| {
        own.push(rule.clone());
        true
    });
    let held = |right: &Right| own.iter().any(|rule| covers(rule, right));
    // Verbs on one resource are told together.
    let mut verbs: BTreeMap<(Option<String>, Option<String>, Option<String>), Vec<String>> = BTreeMap::new();
    let mut lines = BTreeSet::new();
    for right in rules.iter().flat_map(rights).filter(|right| !held(right)) {
        match &right.path {
            Some(path) => {
                lines.insert(format!("{{NonResourceURLs:[{path:?}], Verbs:[{:?}]}}", right.verb));
            }
            None => verbs.entry((right.group, right.resource, right.name)).or_default().push(right.verb),
        }
    }
    for ((group, resource, name), verbs) in verbs {
        let shown: Vec<String> = verbs.iter().map(|verb| format!("{verb:?}")).collect();
        let one = |field: &str, text: Option<String>| text.map(|text| format!("{field}:[{text:?}]"));
        let parts = [one("APIGroups", group), one("Resources", resource), one("ResourceNames", name)];
        let mut parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.push(format!("Verbs:[{}]", shown.join(" ")));
        lines.insert(format!("{{{}}}", parts.join(", ")));
    }
    if lines.is_empty() {
        return None;
    }
    let groups: Vec<String> = context.user.groups.iter().map(|group| format!("{group:?}")).collect();
    let lines: Vec<String> = lines.into_iter().collect();
    Some(format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        context.user.name,
        groups.join(" "),
        lines.join("\n")
    ))
}
