//! What pods take of nodes: amounts of resources and host ports, kept up to date by the feed.

use object::{Quantity, Value, get, get_i64, get_str, meta};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A pod's namespace and name.
pub(crate) type Name = (String, String);

/// What a pod takes of its node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Share {
    /// In thousandths.
    pub(crate) amounts: BTreeMap<String, i64>,
    pub(crate) ports: Vec<Port>,
    pub(crate) priority: i64,
    /// Kept for a pod that is not on the node yet.
    pub(crate) held: bool,
}

/// A port of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    protocol: String,
    address: String,
    port: i64,
}

impl Port {
    /// Both want the same: an address of a host is also one of all.
    pub(crate) fn clashes(&self, other: &Port) -> bool {
        let everywhere = |port: &Port| port.address == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || everywhere(self) || everywhere(other))
    }
}

/// The name under which pods themselves are counted.
pub(crate) const PODS: &str = "pods";
const MILLI: i64 = 1000;

fn requests(container: &Value) -> BTreeMap<String, i64> {
    let list = get(container, &["resources", "requests"]).and_then(Value::as_object);
    let limits = get(container, &["resources", "limits"]).and_then(Value::as_object);
    // A limit is also the request where none is said; the API has done so for pods that came through it.
    let mut all = BTreeMap::new();
    for (name, amount) in limits.into_iter().flatten().chain(list.into_iter().flatten()) {
        if let Ok(amount) = Quantity::from_value(amount) {
            all.insert(name.clone(), amount.milli_value());
        }
    }
    all
}

fn add(sum: &mut BTreeMap<String, i64>, more: &BTreeMap<String, i64>) {
    for (name, amount) in more {
        let own = sum.entry(name.clone()).or_default();
        *own = own.saturating_add(*amount);
    }
}

fn raise(sum: &mut BTreeMap<String, i64>, least: &BTreeMap<String, i64>) {
    for (name, amount) in least {
        let own = sum.entry(name.clone()).or_default();
        *own = (*own).max(*amount);
    }
}

fn list<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    get(pod, &["spec", field]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

impl Share {
    /// What a pod asks for: all containers together, or the greediest step of its start, and its overhead.
    pub(crate) fn of(pod: &Value) -> Share {
        let mut amounts = BTreeMap::new();
        for container in list(pod, "containers") {
            add(&mut amounts, &requests(container));
        }
        let (mut beside, mut start) = (BTreeMap::new(), BTreeMap::new());
        for container in list(pod, "initContainers") {
            let own = requests(container);
            let mut step = beside.clone();
            add(&mut step, &own);
            raise(&mut start, &step);
            if get_str(container, &["restartPolicy"]) == Some("Always") {
                add(&mut beside, &own);
            }
        }
        add(&mut amounts, &beside);
        raise(&mut amounts, &start);
        for (name, amount) in
            get(pod, &["spec", "resources", "requests"]).and_then(Value::as_object).into_iter().flatten()
        {
            if let Ok(amount) = Quantity::from_value(amount) {
                amounts.insert(name.clone(), amount.milli_value());
            }
        }
        for (name, amount) in get(pod, &["spec", "overhead"]).and_then(Value::as_object).into_iter().flatten()
        {
            if let Ok(amount) = Quantity::from_value(amount) {
                add(&mut amounts, &BTreeMap::from([(name.clone(), amount.milli_value())]));
            }
        }
        amounts.retain(|_, amount| *amount != 0);
        amounts.insert(PODS.into(), MILLI);
        let containers = list(pod, "containers").iter().chain(list(pod, "initContainers"));
        let ports =
            containers.flat_map(|own| get(own, &["ports"]).and_then(Value::as_array).into_iter().flatten());
        let on_host = object::get_bool(pod, &["spec", "hostNetwork"]).unwrap_or(false);
        let port = |own: &Value| {
            let port = get_i64(own, &["hostPort"]).or(get_i64(own, &["containerPort"]).filter(|_| on_host))?;
            let text = |field: &str, usual: &str| {
                get_str(own, &[field]).filter(|own| !own.is_empty()).unwrap_or(usual).to_owned()
            };
            (port > 0).then(|| Port {
                protocol: text("protocol", "TCP"),
                address: text("hostIP", "0.0.0.0"),
                port,
            })
        };
        let ports = ports.filter_map(port).collect();
        // Before the API gave a priority, every other pod may be the more important one.
        let priority = get_i64(pod, &["spec", "priority"]).unwrap_or(i64::MIN);
        Share { amounts, ports, priority, held: false }
    }
}

/// What is taken of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    pub(crate) pods: HashMap<Name, Arc<Share>>,
    sums: BTreeMap<String, i64>,
    with_ports: HashSet<Name>,
}

impl Load {
    pub(crate) fn add(&mut self, name: Name, share: Arc<Share>) {
        self.remove(&name);
        add(&mut self.sums, &share.amounts);
        if !share.ports.is_empty() {
            self.with_ports.insert(name.clone());
        }
        self.pods.insert(name, share);
    }

    pub(crate) fn remove(&mut self, name: &Name) -> Option<Arc<Share>> {
        let share = self.pods.remove(name)?;
        for (resource, amount) in &share.amounts {
            if let Some(own) = self.sums.get_mut(resource) {
                *own = own.saturating_sub(*amount);
            }
        }
        self.with_ports.remove(name);
        Some(share)
    }

    /// What stands against a pod here: the resources that are short, and whether a port is taken.
    pub(crate) fn lacks(&self, share: &Share, allocatable: &BTreeMap<String, i64>) -> (Vec<String>, bool) {
        let short = share.amounts.iter().filter(|(name, amount)| {
            let taken = self.sums.get(*name).copied().unwrap_or(0);
            taken.saturating_add(**amount) > allocatable.get(*name).copied().unwrap_or(0)
        });
        let mut taken =
            self.with_ports.iter().filter_map(|name| self.pods.get(name)).flat_map(|own| &own.ports);
        let clash = taken.any(|port| share.ports.iter().any(|own| own.clashes(port)));
        (short.map(|(name, _)| name.clone()).collect(), clash)
    }

    /// How full the node is by what is scarcest, in thousandths.
    pub(crate) fn fullness(&self, allocatable: &BTreeMap<String, i64>) -> i64 {
        let part = |(name, taken): (&String, &i64)| match allocatable.get(name) {
            Some(all) if *all > 0 => taken.saturating_mul(1000) / all,
            _ => 0,
        };
        self.sums.iter().map(part).max().unwrap_or(0)
    }
}

/// All nodes, and where each pod counts.
#[derive(Default)]
pub(crate) struct Loads {
    nodes: HashMap<String, Load>,
    places: HashMap<Name, String>,
    /// Pods that no node took.
    pub(crate) waiting: HashSet<Name>,
    /// Pods that were told to make room; the watch may not have said so yet.
    pub(crate) leaving: HashSet<Name>,
    /// Pods that keep others away by an anti-affinity of theirs.
    pub(crate) repelling: HashSet<Name>,
}

impl Loads {
    pub(crate) fn of(&self, node: &str) -> Option<&Load> {
        self.nodes.get(node)
    }

    /// Keeps room on a node for a pod that is on its way.
    pub(crate) fn hold(&mut self, name: Name, node: &str, mut share: Share) {
        share.held = true;
        self.put(name, node, share);
    }

    /// Where room is kept for a pod.
    pub(crate) fn held(&self, name: &Name) -> Option<&String> {
        let node = self.places.get(name)?;
        self.nodes.get(node)?.pods.get(name).filter(|share| share.held).map(|_| node)
    }

    pub(crate) fn release(&mut self, name: &Name) {
        if let Some(node) = self.places.remove(name)
            && let Some(load) = self.nodes.get_mut(&node)
        {
            load.remove(name);
        }
    }

    /// Gives up what is kept for a pod that did not come.
    pub(crate) fn give_up(&mut self, name: &Name) {
        if self.held(name).is_some() {
            self.release(name);
        }
    }

    fn put(&mut self, name: Name, node: &str, share: Share) {
        self.release(&name);
        self.places.insert(name.clone(), node.to_owned());
        self.nodes.entry(node.to_owned()).or_default().add(name, Arc::new(share));
    }

    /// A pod is in this state now (`None`: gone).
    pub(crate) fn observe(&mut self, name: &Name, pod: Option<&Value>) {
        let over = |pod: &&Value| matches!(get_str(pod, &["status", "phase"]), Some("Succeeded" | "Failed"));
        let Some(pod) = pod.filter(|pod| !over(pod)) else {
            self.release(name);
            self.waiting.remove(name);
            self.leaving.remove(name);
            self.repelling.remove(name);
            return;
        };
        if get(pod, &["spec", "affinity", "podAntiAffinity"]).is_some() {
            self.repelling.insert(name.clone());
        }
        let node = get_str(pod, &["spec", "nodeName"]).unwrap_or_default();
        if node.is_empty() {
            if meta::deletion_timestamp(pod).is_some() {
                self.waiting.remove(name);
            }
            return;
        }
        self.waiting.remove(name);
        let share = Share::of(pod);
        let here = self.places.get(name).is_some_and(|own| own == node);
        let known = self.nodes.get(node).and_then(|load| load.pods.get(name)).filter(|_| here);
        if known.is_none_or(|own| **own != share) {
            self.put(name.clone(), node, share);
        }
    }
}
