//! What objects count for against a `ResourceQuota`, and the resources that a pod asks for in all.
//!
//! Admission and whoever keeps a quota's status both count with this, so that they agree.

use std::collections::BTreeMap;

use crate::{Quantity, Value, get, get_i64, get_str};

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// The amounts in a mapping of quantities; what is no quantity is left out.
pub fn amounts(value: Option<&Value>) -> Amounts {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), Quantity::from_value(value).ok()?))).collect()
}

/// Adds to each amount.
pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let total = sum.get(name).map_or(*amount, |before| before.plus(amount));
        sum.insert(name.clone(), total);
    }
}

fn raise(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if sum.get(name).is_none_or(|before| before < amount) {
            sum.insert(name.clone(), *amount);
        }
    }
}

fn containers<'a>(pod: &'a Value, field: &str) -> &'a [Value] {
    get(pod, &["spec", field]).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What a pod needs at most at one time: its containers, or an init container with the sidecars before it;
/// what is said for the pod as a whole wins. `side` is `requests` or `limits`.
pub fn pod_resources(pod: &Value, side: &str) -> Amounts {
    let of = |container: &Value| amounts(get(container, &["resources", side]));
    let mut sum = Amounts::new();
    for container in containers(pod, "containers") {
        add(&mut sum, &of(container));
    }
    let (mut sidecars, mut start) = (Amounts::new(), Amounts::new());
    for container in containers(pod, "initContainers") {
        let own = of(container);
        if get_str(container, &["restartPolicy"]) == Some("Always") {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            raise(&mut start, &sidecars);
        } else {
            let mut together = own;
            add(&mut together, &sidecars);
            raise(&mut start, &together);
        }
    }
    raise(&mut sum, &start);
    for (name, amount) in amounts(get(pod, &["spec", "resources", side])) {
        sum.insert(name, amount);
    }
    for (name, amount) in amounts(get(pod, &["spec", "overhead"])) {
        let total = sum.get(&name).map(|before| before.plus(&amount));
        match total {
            Some(total) => {
                sum.insert(name, total);
            }
            None if side == "requests" => {
                sum.insert(name, amount);
            }
            None => {}
        }
    }
    sum
}

/// Whether a pod has run to its end.
fn is_over(pod: &Value) -> bool {
    matches!(get_str(pod, &["status", "phase"]), Some("Succeeded" | "Failed"))
}

fn one() -> Quantity {
    number(1)
}

fn number(count: usize) -> Quantity {
    Quantity::whole(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What one object counts for; `plural` is its resource.
pub fn usage(group: &str, plural: &str, object: &Value) -> Amounts {
    let full = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    let mut used = Amounts::from([(format!("count/{full}"), one())]);
    match full.as_str() {
        "pods" if !is_over(object) => pod_usage(object, &mut used),
        "services" => service_usage(object, &mut used),
        "persistentvolumeclaims" => claim_usage(object, &mut used),
        "configmaps" | "secrets" | "resourcequotas" | "replicationcontrollers" => {
            used.insert(full, one());
        }
        _ => {}
    }
    used
}

fn pod_usage(pod: &Value, used: &mut Amounts) {
    used.insert("pods".into(), one());
    compute(&pod_resources(pod, "requests"), &pod_resources(pod, "limits"), used);
}

/// Requests and limits under the names that quotas have for them.
fn compute(requests: &Amounts, limits: &Amounts, used: &mut Amounts) {
    for (name, amount) in requests {
        let native = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        if native || name.starts_with("hugepages-") {
            used.insert(name.clone(), *amount);
            used.insert(format!("requests.{name}"), *amount);
        } else if name.contains('/') {
            used.insert(format!("requests.{name}"), *amount);
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            used.insert(format!("limits.{name}"), *amount);
        }
    }
}

fn service_usage(service: &Value, used: &mut Amounts) {
    used.insert("services".into(), one());
    let ports = get(service, &["spec", "ports"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (balancers, nodes) = match get_str(service, &["spec", "type"]) {
        Some("NodePort") => (0, ports.len()),
        Some("LoadBalancer") => {
            let all = crate::get_bool(service, &["spec", "allocateLoadBalancerNodePorts"]) != Some(false);
            let set = ports.iter().filter(|port| get_i64(port, &["nodePort"]).unwrap_or(0) != 0).count();
            (1, if all { ports.len() } else { set })
        }
        _ => (0, 0),
    };
    used.insert("services.loadbalancers".into(), number(balancers));
    used.insert("services.nodeports".into(), number(nodes));
}

fn claim_usage(claim: &Value, used: &mut Amounts) {
    used.insert("persistentvolumeclaims".into(), one());
    let storage = amounts(get(claim, &["spec", "resources", "requests"])).remove("storage");
    if let Some(storage) = &storage {
        used.insert("requests.storage".into(), *storage);
    }
    let class = get_str(claim, &["spec", "storageClassName"]).unwrap_or_default();
    if !class.is_empty() {
        used.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
        if let Some(storage) = storage {
            used.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage);
        }
    }
}

/// Whether a quota's scopes take in an object. Only pods have scopes: a quota with scopes counts nothing else.
pub fn in_scope(quota: &Value, group: &str, plural: &str, object: &Value) -> bool {
    let list = |path: &[&str]| get(quota, path).and_then(Value::as_array).cloned().unwrap_or_default();
    let (scopes, selectors) =
        (list(&["spec", "scopes"]), list(&["spec", "scopeSelector", "matchExpressions"]));
    if scopes.is_empty() && selectors.is_empty() {
        return true;
    }
    if !group.is_empty() || plural != "pods" {
        return false;
    }
    let plain = scopes.iter().filter_map(Value::as_str).all(|scope| pod_in(object, scope, "Exists", &[]));
    plain
        && selectors.iter().all(|selector| {
            let text = |field: &str| get_str(selector, &[field]).unwrap_or_default();
            let values = get(selector, &["values"]).and_then(Value::as_array).cloned().unwrap_or_default();
            pod_in(object, text("scopeName"), text("operator"), &values)
        })
}

fn pod_in(pod: &Value, scope: &str, operator: &str, values: &[Value]) -> bool {
    let ends = get_i64(pod, &["spec", "activeDeadlineSeconds"]).is_some_and(|seconds| seconds >= 0);
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => is_best_effort(pod),
        "NotBestEffort" => !is_best_effort(pod),
        "PriorityClass" => {
            let class = get_str(pod, &["spec", "priorityClassName"]).unwrap_or_default();
            let listed = values.iter().any(|value| value.as_str() == Some(class));
            match operator {
                "In" => !class.is_empty() && listed,
                "NotIn" => !listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

fn is_best_effort(pod: &Value) -> bool {
    let positive = |container: &Value| {
        ["requests", "limits"].iter().any(|side| {
            let own = amounts(get(container, &["resources", side]));
            ["cpu", "memory"].iter().any(|name| own.get(*name).is_some_and(|amount| !amount.is_zero()))
        })
    };
    let all = [containers(pod, "containers"), containers(pod, "initContainers")];
    !all.into_iter().flatten().any(positive)
}

/// Whether a term of its affinity names namespaces of its own.
fn crosses_namespaces(pod: &Value) -> bool {
    let named = |term: &Value| {
        get(term, &["namespaces"]).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
            || get(term, &["namespaceSelector"]).is_some_and(|own| !own.is_null())
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|side| {
        let terms = |field: &str| get(pod, &["spec", "affinity", side, field]).and_then(Value::as_array);
        terms("requiredDuringSchedulingIgnoredDuringExecution").into_iter().flatten().any(named)
            || terms("preferredDuringSchedulingIgnoredDuringExecution")
                .into_iter()
                .flatten()
                .filter_map(|term| get(term, &["podAffinityTerm"]))
                .any(named)
    })
}

/// The resources of a quota that a pod must ask for explicitly and which containers do not: `cpu for: main`.
pub fn unsaid(hard: &Amounts, pod: &Value) -> Option<String> {
    const ASKED: &[&str] =
        &["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
    if get(pod, &["spec", "resources"]).is_some_and(|own| own.as_object().is_some_and(|map| !map.is_empty()))
    {
        return None;
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in containers(pod, "containers").iter().chain(containers(pod, "initContainers")) {
        let mut own = Amounts::new();
        let side = |side: &str| amounts(get(container, &["resources", side]));
        compute(&side("requests"), &side("limits"), &mut own);
        for name in ASKED {
            if hard.contains_key(*name) && !own.contains_key(*name) {
                missing.entry(name).or_default().push(get_str(container, &["name"]).unwrap_or_default());
            }
        }
    }
    if missing.is_empty() {
        return None;
    }
    let parts: Vec<String> = missing
        .into_iter()
        .map(|(name, mut containers)| {
            containers.sort_unstable();
            containers.dedup();
            format!("{name} for: {}", containers.join(","))
        })
        .collect();
    Some(parts.join("; "))
}

/// Amounts as messages show them: `cpu=1,pods=2`.
pub fn shown(amounts: &Amounts) -> String {
    let parts: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    parts.join(",")
}
