//! `ResourceQuota`: a write that would use more than is allowed is refused.
//!
//! Usage is counted anew from what is stored, not read from a status that lags; the lock keeps two writes from
//! both taking what is left for one.

use object::quota::{Amounts, add, amounts, in_scope, shown, unsaid, usage};
use object::{get, meta};
use parking_lot::MutexGuard;
use serde_json::Value;

use crate::app::App;
use crate::catalog::Resource;
use crate::status::Failure;

/// Held from the check to the write; nothing in namespaces without quotas.
pub type Reserved<'a> = Option<MutexGuard<'a, ()>>;

/// Checks a write against the quotas of its namespace. `live` is absent for creates.
pub fn check<'a>(
    app: &'a App,
    resource: &Resource,
    value: &Value,
    live: Option<&Value>,
) -> Result<Reserved<'a>, Failure> {
    let plural: &str = &resource.name;
    let counted_again = matches!(&*resource.table, "services" | "persistentvolumeclaims" | "pods");
    let namespace = meta::namespace(value).unwrap_or_default();
    if namespace.is_empty() || (live.is_some() && !counted_again) {
        return Ok(None);
    }
    let prefix = format!("{namespace}/");
    if app.store.count("resourcequotas", &prefix) == 0 {
        return Ok(None);
    }
    let guard = app.quota.lock();
    let (_, quotas) = app.store.list("resourcequotas", &prefix);
    for quota in quotas {
        let quota = quota.value();
        let hard = amounts(get(&quota, &["spec", "hard"]));
        let before = live.filter(|live| in_scope(&quota, &resource.group, plural, live));
        if !in_scope(&quota, &resource.group, plural, value) {
            continue;
        }
        let name = meta::name(&quota);
        let refuse = |why: &str| Failure::forbidden(&resource.group, plural, meta::name(value), why);
        if live.is_none()
            && &*resource.table == "pods"
            && let Some(missing) = unsaid(&hard, value)
        {
            return Err(refuse(&format!("failed quota: {name}: must specify {missing}")));
        }
        let mut asked = usage(&resource.group, plural, value);
        asked.retain(|name, _| hard.contains_key(name));
        for (name, amount) in before.map(|live| usage(&resource.group, plural, live)).unwrap_or_default() {
            if let Some(more) = asked.get_mut(&name) {
                *more = more.minus(&amount);
            }
        }
        // What takes nothing more is never refused, even where too much is in use already.
        asked.retain(|_, amount| !amount.is_zero() && !amount.is_negative());
        if asked.is_empty() {
            continue;
        }
        let used = used(app, resource, &quota, namespace);
        let over = |name: &String| {
            let total = asked.get(name).map(|more| used.get(name).map_or(*more, |own| own.plus(more)));
            total.zip(hard.get(name)).is_some_and(|(total, most)| total > *most)
        };
        let exceeded: Vec<String> = asked.keys().filter(|name| over(name)).cloned().collect();
        if !exceeded.is_empty() {
            let part = |all: &Amounts| {
                let own = |name: &String| {
                    Some((name.clone(), all.get(name).copied().unwrap_or(object::Quantity::whole(0))))
                };
                shown(&exceeded.iter().filter_map(own).collect())
            };
            return Err(refuse(&format!(
                "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
                part(&asked),
                part(&used),
                part(&hard)
            )));
        }
    }
    Ok(Some(guard))
}

/// What the objects of one resource use of a quota now.
fn used(app: &App, resource: &Resource, quota: &Value, namespace: &str) -> Amounts {
    let (_, objects) = app.store.list(&resource.table, &format!("{namespace}/"));
    let mut sum = Amounts::new();
    for object in objects {
        let object = object.value();
        if in_scope(quota, &resource.group, &resource.name, &object) {
            add(&mut sum, &usage(&resource.group, &resource.name, &object));
        }
    }
    sum
}
