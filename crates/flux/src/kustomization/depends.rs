//! `dependsOn`: what must be ready before, and what is said while it is not.

use controller::{Cause, Context};
use object::{Key, Value, meta};

use super::{dependencies, gvk};
use crate::cel;
use crate::common::{self, is_true, observed, reference, str_at};
use crate::options::Shared;

/// Why a unit may not begin.
pub(crate) struct Blocked {
    /// The condition's message.
    pub message: String,
    /// Only a changed spec can help.
    pub stalled: bool,
    /// The line for people, with the unit it points to.
    pub cause: Cause,
}

impl Blocked {
    pub fn by(key: &Key, message: String) -> Blocked {
        Blocked {
            cause: Cause { via: Some(key.clone()), ..Cause::new(message.clone()) },
            message,
            stalled: false,
        }
    }

    pub fn broken(message: String) -> Blocked {
        Blocked { cause: Cause::new(message.clone()), message, stalled: true }
    }
}

/// The part of a dependency that decides.
fn aspect(object: Option<&Value>) -> String {
    let Some(object) = object else { return "absent".into() };
    format!(
        "{} {} {} {}",
        meta::generation(object),
        observed(object),
        is_true(object, "Ready"),
        str_at(object, &["status", "lastAppliedRevision"])
    )
}

/// `a → b → a`, when the unit waits for itself.
pub(crate) fn cycle(context: &Context) -> Option<Blocked> {
    let cycle = context.cycle()?;
    let names: Vec<String> = cycle.iter().map(Key::to_string).collect();
    let message = format!("dependency cycle: {}; remove one of these dependsOn entries", names.join(" -> "));
    Some(Blocked { cause: Cause::new(message.clone()), message, stalled: false })
}

/// Checks every dependency of a Kustomization whose source offers `revision`.
pub(crate) async fn check(
    shared: &Shared,
    context: &Context,
    object: &Value,
    revision: &str,
) -> Result<Option<Blocked>, cluster::Error> {
    let wanted = dependencies(object);
    if wanted.is_empty() {
        return Ok(None);
    }
    let source = reference(object, &["spec", "sourceRef"]);
    let mut blocked = None;
    for (key, expression) in &wanted {
        let name = format!("{}/{}", key.namespace, key.name);
        let part = if expression.is_empty() { aspect } else { controller::aspect::version };
        let found = context.read(&gvk(), &key.namespace, &key.name, part, false).await?;
        // All of them are read, so that each can wake this unit; the first that is not ready is named.
        if blocked.is_some() {
            continue;
        }
        let Some(dependency) = found else {
            blocked = Some(Blocked::by(key, format!("dependency '{name}' not found")));
            continue;
        };
        if !expression.is_empty() {
            blocked = by_expression(expression, object, &dependency, key, &name);
            if blocked.is_some() || !shared.options.additive_cel_dependency_check {
                continue;
            }
        }
        if !observed(&dependency) || !is_true(&dependency, "Ready") {
            blocked = Some(Blocked::by(key, format!("dependency '{name}' is not ready")));
        } else if common::reference(&dependency, &["spec", "sourceRef"]) == source
            && str_at(&dependency, &["status", "lastAppliedRevision"]) != revision
        {
            blocked = Some(Blocked::by(key, format!("dependency '{name}' revision is not up to date")));
        }
    }
    // Also when nothing blocks: a cycle closed while all were ready would hold at the next commit.
    if !blocked.as_ref().is_some_and(|blocked: &Blocked| blocked.stalled)
        && let Some(cycle) = cycle(context)
    {
        return Ok(Some(cycle));
    }
    Ok(blocked)
}

/// A `readyExpr` over `self` and `dep`.
pub(crate) fn by_expression(
    expression: &str,
    object: &Value,
    dependency: &Value,
    key: &Key,
    name: &str,
) -> Option<Blocked> {
    match cel::boolean(expression, &[("self", object), ("dep", dependency)]) {
        Ok(true) => None,
        Ok(false) => {
            Some(Blocked::by(key, format!("dependency '{name}' is not ready according to readyExpr eval")))
        }
        Err(error @ cel::Fault::Syntax(_)) => {
            Some(Blocked::broken(format!("failed to evaluate dependency {}: {error}", key.name)))
        }
        Err(error) => Some(Blocked::by(key, format!("dependency '{name}' is not ready: {error}"))),
    }
}
