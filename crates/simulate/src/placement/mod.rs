//! Where pods go: the nodes that can take them, the best of these, and who makes room when there is none.

mod affinity;
mod load;
mod preemption;

pub(crate) use affinity::{closed, repelled, selects, term_matches, tolerated};
pub(crate) use load::{Loads, Name, Share};
pub(crate) use preemption::{Victims, victims};

use crate::kind;
use crate::kinds::Volumes;
use crate::world::World;
use affinity::Company;
use object::{Quantity, Value, get, get_str, meta};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The scheduler whose work this is.
const SCHEDULER: &str = "default-scheduler";

/// The name under which a pod is counted.
pub(crate) fn name_of(pod: &Value) -> Name {
    (meta::namespace(pod).unwrap_or_default().to_owned(), meta::name(pod).to_owned())
}

/// Whether the pod waits for a node, and for this scheduler to choose it.
pub(crate) fn is_ours(pod: &Value) -> bool {
    let gates = get(pod, &["spec", "schedulingGates"]).and_then(Value::as_array);
    get_str(pod, &["spec", "nodeName"]).unwrap_or_default().is_empty()
        && gates.is_none_or(Vec::is_empty)
        && get_str(pod, &["spec", "schedulerName"]).unwrap_or(SCHEDULER) == SCHEDULER
}

/// What a node offers, in thousandths.
pub(crate) fn allocatable(node: &Value) -> BTreeMap<String, i64> {
    let list = get(node, &["status", "allocatable"]).and_then(Value::as_object);
    let amount =
        |(name, own): (&String, &Value)| Some((name.clone(), Quantity::from_value(own).ok()?.milli_value()));
    list.into_iter().flatten().filter_map(amount).collect()
}

/// Why no node takes a pod: each reason with the number of nodes, in the words of the scheduler.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    nodes: usize,
    reasons: BTreeMap<String, usize>,
    /// Nodes that would refuse the pod however empty they were.
    never: usize,
    /// What is wrong with the pod itself, whatever the nodes are.
    own: Option<String>,
}

impl Refusal {
    /// No node can take the pod, for a reason of its own.
    pub(crate) fn of_pod(world: &World, reason: String) -> Refusal {
        let nodes = world.list(kind::NODE, "").len();
        Refusal { nodes, never: nodes, own: Some(reason), ..Refusal::default() }
    }

    /// Whether other nodes, or emptier ones, would be no help.
    pub(crate) fn is_of_pod(&self) -> bool {
        self.own.is_some()
    }

    fn count(&mut self, reason: impl Into<String>) {
        *self.reasons.entry(reason.into()).or_default() += 1;
    }

    /// The message of the pod's condition.
    pub(crate) fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        if let Some(reason) = &self.own {
            return format!("0/{} nodes are available: {reason}.", self.nodes);
        }
        let mut reasons: Vec<String> =
            self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        format!("0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }

    /// The message when nobody could make room either.
    pub(crate) fn without_victims(&self) -> String {
        let hopeless = (self.never, "Preemption is not helpful for scheduling");
        let full = (self.nodes.saturating_sub(self.never), "No preemption victims found for incoming pod");
        let mut parts: Vec<String> = [hopeless, full]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, text)| format!("{count} {text}"))
            .collect();
        parts.sort();
        match parts.is_empty() {
            true => self.message(),
            false => format!(
                "{} preemption: 0/{} nodes are available: {}.",
                self.message(),
                self.nodes,
                parts.join(", ")
            ),
        }
    }
}

/// What holds of a node whatever runs on it.
fn by_itself(pod: &Value, node: &Value) -> Result<(), String> {
    if closed(pod, node) {
        return Err("node(s) were unschedulable".to_owned());
    }
    if let Some(taint) = repelled(pod, node) {
        return Err(format!("node(s) had untolerated taint {taint}"));
    }
    if !selects(pod, node) {
        return Err("node(s) didn't match Pod's node affinity/selector".to_owned());
    }
    Ok(())
}

/// Finds the best node for a pod and keeps room for it there, or says why there is none.
pub(crate) fn choose(world: &World, pod: &Value, volumes: &Volumes) -> Result<String, Refusal> {
    let nodes = world.list(kind::NODE, "");
    let company = Company::of(world, pod);
    let (name, share) = (name_of(pod), Share::of(pod));
    let turn = usize::try_from(world.next()).unwrap_or(0);
    let mut refusal = Refusal { nodes: nodes.len(), ..Refusal::default() };
    let mut good: Vec<Arc<Value>> = Vec::new();
    for node in nodes {
        match by_itself(pod, &node) {
            Err(reason) => {
                refusal.count(reason);
                refusal.never += 1;
            }
            Ok(()) if !volumes.reach(&node) => {
                refusal.count("node(s) didn't match PersistentVolume's node affinity");
                refusal.never += 1;
            }
            Ok(()) => match company.as_ref().and_then(|own| own.refuses(pod, &node)) {
                Some(reason) => refusal.count(reason),
                None => good.push(node),
            },
        }
    }
    // From here on in one go, so that two pods never take the same room.
    let mut state = world.state();
    let count = good.len().max(1);
    let mut best: Option<((i64, i64, usize), String)> = None;
    for (index, node) in good.iter().enumerate() {
        let offers = allocatable(node);
        let node_name = meta::name(node);
        let load = state.loads.of(node_name).map(|load| preemption::without(load, &name, share.priority));
        let load = load.as_deref();
        if let Some(load) = load {
            let (short, clash) = load.lacks(&share, &offers);
            if !short.is_empty() || clash {
                short.iter().for_each(|resource| refusal.count(lacking(resource)));
                if clash {
                    refusal.count("node(s) didn't have free ports for the requested pod ports");
                }
                continue;
            }
        } else {
            let (short, _) = load::Load::default().lacks(&share, &offers);
            if !short.is_empty() {
                short.iter().for_each(|resource| refusal.count(lacking(resource)));
                continue;
            }
        }
        let full = load.map_or(0, |load| load.fullness(&offers));
        let rank = (-affinity::preference(pod, node), full, (index + turn) % count);
        if best.as_ref().is_none_or(|(own, _)| rank < *own) {
            best = Some((rank, node_name.to_owned()));
        }
    }
    let Some((_, node)) = best else { return Err(refusal) };
    state.loads.hold(name, &node, share);
    Ok(node)
}

fn lacking(resource: &str) -> String {
    if resource == load::PODS { "Too many pods".to_owned() } else { format!("Insufficient {resource}") }
}

/// Notes that the pod's node starts it, or says why its kubelet would not: reason and message.
pub(crate) fn refused_by_node(world: &World, pod: &Value) -> Option<(String, String)> {
    let now = world.now();
    let node = world.get(kind::NODE, "", get_str(pod, &["spec", "nodeName"])?)?;
    if !selects(pod, &node) {
        let message = "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        return Some(("NodeAffinity".into(), message.into()));
    }
    let (name, share, offers) = (name_of(pod), Share::of(pod), allocatable(&node));
    let mut state = world.state();
    let state = &mut *state;
    let full = state.loads.of(meta::name(&node))?;
    // Only those that were started before count, unless all fit anyway.
    let others = preemption::without(full, &name, i64::MIN);
    if fits(&others, &share, &offers) {
        state.started.entry(meta::uid(pod).to_owned()).or_insert(now);
        return None;
    }
    let mut running = load::Load::default();
    for (other, share) in &full.pods {
        let started = state.object(kind::POD, &other.0, &other.1).is_some_and(|own| {
            *other != name
                && (state.started.contains_key(meta::uid(&own))
                    || get_str(&own, &["status", "startTime"]).is_some())
        });
        if started {
            running.add(other.clone(), share.clone());
        }
    }
    let (short, clash) = running.lacks(&share, &offers);
    if clash {
        let message = "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        return Some(("NodePorts".into(), message.into()));
    }
    let Some(resource) = short.first() else {
        state.started.entry(meta::uid(pod).to_owned()).or_insert(now);
        return None;
    };
    let message = format!("Pod was rejected: Node didn't have enough resource: {resource}");
    Some((format!("OutOf{resource}"), message))
}

fn fits(load: &load::Load, share: &Share, offers: &BTreeMap<String, i64>) -> bool {
    let (short, clash) = load.lacks(share, offers);
    short.is_empty() && !clash
}
