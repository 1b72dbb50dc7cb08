//! Who goes so that a more important pod finds room.

use super::load::{Load, Name};
use super::{Company, Share, allocatable, by_itself, fits, name_of};
use crate::kind;
use crate::world::World;
use object::{LabelSelector, Value, get, get_i64, get_str, meta};
use std::borrow::Cow;
use std::sync::Arc;

/// The pods that go, and the node that they leave.
pub(crate) struct Victims {
    pub(crate) node: String,
    pub(crate) pods: Vec<Arc<Value>>,
}

/// A load as a pod of this name and priority sees it: without itself, and without what is kept for lesser ones.
pub(crate) fn without<'a>(load: &'a Load, name: &Name, priority: i64) -> Cow<'a, Load> {
    let unseen = |own: &Name, share: &Share| own == name || (share.held && share.priority < priority);
    let gone: Vec<Name> =
        load.pods.iter().filter(|(own, share)| unseen(own, share)).map(|(own, _)| own.clone()).collect();
    if gone.is_empty() {
        return Cow::Borrowed(load);
    }
    let mut load = load.clone();
    for name in &gone {
        load.remove(name);
    }
    Cow::Owned(load)
}

/// The rank of a choice: budgets broken, the highest priority lost, the sum of priorities, their number, the name.
type Rank = (usize, i64, i64, usize, String);

/// The least loss that lets the pod in, if any does.
pub(crate) fn victims(world: &World, pod: &Value) -> Option<Victims> {
    if get_str(pod, &["spec", "preemptionPolicy"]) == Some("Never") {
        return None;
    }
    let priority = get_i64(pod, &["spec", "priority"]).unwrap_or(0);
    let company = Company::of(world, pod);
    let budgets = Budgets::of(world);
    let mut best: Option<(Rank, Victims)> = None;
    for node in world.list(kind::NODE, "") {
        if by_itself(pod, &node).is_err()
            || company.as_ref().is_some_and(|own| own.refuses(pod, &node).is_some())
        {
            continue;
        }
        let Some((broken, pods)) = on_node(world, pod, &node, priority, &budgets) else { continue };
        let of = |own: &Arc<Value>| get_i64(own, &["spec", "priority"]).unwrap_or(0);
        let highest = pods.iter().map(of).max().unwrap_or(i64::MIN);
        // Priorities may be negative: shifted, so that fewer victims are always less.
        let sum = pods.iter().map(|own| of(own).saturating_add(1 << 31)).sum();
        let rank = (broken, highest, sum, pods.len(), meta::name(&node).to_owned());
        if best.as_ref().is_none_or(|(own, _)| rank < *own) {
            let node = meta::name(&node).to_owned();
            best = Some((rank, Victims { node, pods }));
        }
    }
    best.map(|(_, victims)| victims)
}

/// All lesser pods of the node but those that may stay.
fn on_node(
    world: &World,
    pod: &Value,
    node: &Value,
    priority: i64,
    budgets: &Budgets,
) -> Option<(usize, Vec<Arc<Value>>)> {
    let (name, share, offers) = (name_of(pod), Share::of(pod), allocatable(node));
    let state = world.state();
    let mut load = without(state.loads.of(meta::name(node))?, &name, priority).into_owned();
    let mut lesser: Vec<(Name, Arc<Share>)> = load
        .pods
        .iter()
        .filter(|(_, share)| share.priority < priority)
        .map(|(name, share)| (name.clone(), share.clone()))
        .collect();
    for (name, _) in &lesser {
        load.remove(name);
    }
    if lesser.is_empty() || !fits(&load, &share, &offers) {
        return None;
    }
    let object = |name: &Name| state.object(kind::POD, &name.0, &name.1);
    // Those that a budget guards are tried to keep first, then the important and the old.
    let guarded = budgets.guarded(lesser.iter().filter_map(|(name, _)| object(name)));
    lesser.sort_by_key(|(name, share)| {
        let since = object(name).and_then(|own| meta::creation_timestamp(&own).map(str::to_owned));
        (!guarded.contains(name), std::cmp::Reverse(share.priority), since)
    });
    let (mut broken, mut gone) = (0, Vec::new());
    for (name, own) in lesser {
        load.add(name.clone(), own);
        if fits(&load, &share, &offers) {
            continue;
        }
        load.remove(&name);
        broken += usize::from(guarded.contains(&name));
        gone.extend(object(&name));
    }
    (!gone.is_empty()).then_some((broken, gone))
}

/// How many more pods each PodDisruptionBudget may lose.
struct Budgets(Vec<(String, LabelSelector, i64)>);

impl Budgets {
    fn of(world: &World) -> Budgets {
        let budget = |own: &Arc<Value>| {
            let selector = LabelSelector::from_object(get(own, &["spec", "selector"])?).ok()?;
            let allowed = get_i64(own, &["status", "disruptionsAllowed"]).unwrap_or(0);
            Some((meta::namespace(own)?.to_owned(), selector, allowed))
        };
        Budgets(world.list(kind::BUDGET, "").iter().filter_map(budget).collect())
    }

    /// The pods whose loss would break a budget.
    fn guarded(&self, pods: impl Iterator<Item = Arc<Value>>) -> Vec<Name> {
        let mut left: Vec<i64> = self.0.iter().map(|(_, _, allowed)| *allowed).collect();
        let mut guarded = Vec::new();
        for pod in pods {
            let mut breaks = false;
            for ((namespace, selector, _), left) in self.0.iter().zip(&mut left) {
                if meta::namespace(&pod) == Some(namespace.as_str()) && selector.matches_object(&pod) {
                    *left -= 1;
                    breaks |= *left < 0;
                }
            }
            if breaks {
                guarded.push(name_of(&pod));
            }
        }
        guarded
    }
}
