//! Which nodes a pod wants: selectors, affinity, taints, the company of other pods, an even spread.

use crate::kind;
use crate::world::World;
use object::{LabelSelector, Value, get, get_bool, get_i64, get_str, meta};
use std::collections::BTreeMap;
use std::sync::Arc;

fn array<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    get(object, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether the node's labels and name are what the pod asks for.
pub(crate) fn selects(pod: &Value, node: &Value) -> bool {
    let selector = get(pod, &["spec", "nodeSelector"]).and_then(Value::as_object);
    let labelled = |(key, value): (&String, &Value)| meta::label(node, key) == value.as_str();
    if !selector.into_iter().flatten().all(labelled) {
        return false;
    }
    let required = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    get(pod, &required).is_none_or(|required| {
        array(required, &["nodeSelectorTerms"]).iter().any(|term| term_matches(term, node))
    })
}

/// The sum of the weights of the terms that the pod would like.
pub(crate) fn preference(pod: &Value, node: &Value) -> i64 {
    let wishes = ["spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"];
    let liked = array(pod, &wishes)
        .iter()
        .filter(|wish| get(wish, &["preference"]).is_some_and(|term| term_matches(term, node)));
    let liked: i64 = liked.filter_map(|wish| get_i64(wish, &["weight"])).sum();
    let shunned = array(node, &["spec", "taints"])
        .iter()
        .filter(|taint| get_str(taint, &["effect"]) == Some("PreferNoSchedule") && !is_tolerated(pod, taint));
    liked - i64::try_from(shunned.count()).unwrap_or(0) * 100
}

/// A term without requirements matches nothing.
pub(crate) fn term_matches(term: &Value, node: &Value) -> bool {
    let expressions = array(term, &["matchExpressions"]);
    let fields = array(term, &["matchFields"]);
    let of_label = |own: &Value| {
        let key = get_str(own, &["key"]).unwrap_or_default();
        requirement(own, meta::label(node, key))
    };
    let of_field = |own: &Value| {
        get_str(own, &["key"]) == Some("metadata.name") && requirement(own, Some(meta::name(node)))
    };
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(of_label)
        && fields.iter().all(of_field)
}

fn requirement(own: &Value, value: Option<&str>) -> bool {
    let values = || array(own, &["values"]).iter().filter_map(Value::as_str);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    match get_str(own, &["operator"]).unwrap_or_default() {
        "In" => value.is_some_and(|value| values().any(|own| own == value)),
        "NotIn" => value.is_none_or(|value| values().all(|own| own != value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value).zip(number(values().next())).is_some_and(|(value, bound)| value > bound),
        "Lt" => number(value).zip(number(values().next())).is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

/// The first taint that keeps the pod away, as `{key: value}`.
pub(crate) fn repelled(pod: &Value, node: &Value) -> Option<String> {
    let taints = array(node, &["spec", "taints"]).iter();
    let mut strict =
        taints.filter(|taint| matches!(get_str(taint, &["effect"]), Some("NoSchedule" | "NoExecute")));
    let taint = strict.find(|taint| !is_tolerated(pod, taint))?;
    let text = |field: &str| get_str(taint, &[field]).unwrap_or_default();
    Some(format!("{{{}: {}}}", text("key"), text("value")))
}

fn is_tolerated(pod: &Value, taint: &Value) -> bool {
    array(pod, &["spec", "tolerations"]).iter().any(|own| tolerated(own, taint))
}

/// Whether a toleration is for this taint.
pub(crate) fn tolerated(own: &Value, taint: &Value) -> bool {
    let text = |object: &Value, field: &str| get_str(object, &[field]).unwrap_or_default().to_owned();
    let (effect, key) = (text(own, "effect"), text(own, "key"));
    let exists = text(own, "operator") == "Exists";
    (effect.is_empty() || effect == text(taint, "effect"))
        && (key == text(taint, "key") || (key.is_empty() && exists))
        && (exists || text(own, "value") == text(taint, "value"))
}

/// Whether the node takes no new pods, and this one does not put up with that.
pub(crate) fn closed(pod: &Value, node: &Value) -> bool {
    let taint = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    get_bool(node, &["spec", "unschedulable"]).unwrap_or(false) && !is_tolerated(pod, &taint)
}

/// The company a pod wants or shuns, with the pods it is judged by.
pub(crate) struct Company {
    wanted: Vec<Value>,
    shunned: Vec<Value>,
    spread: Vec<Value>,
    others: Vec<Arc<Value>>,
    nodes: BTreeMap<String, Arc<Value>>,
    namespaces: BTreeMap<String, Arc<Value>>,
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

impl Company {
    /// Nothing when neither the pod nor any other cares.
    pub(crate) fn of(world: &World, pod: &Value) -> Option<Company> {
        let wanted = array(pod, &["spec", "affinity", "podAffinity", REQUIRED]).to_vec();
        let shunned = array(pod, &["spec", "affinity", "podAntiAffinity", REQUIRED]).to_vec();
        let strict = |own: &&Value| get_str(own, &["whenUnsatisfiable"]) != Some("ScheduleAnyway");
        let spread: Vec<Value> =
            array(pod, &["spec", "topologySpreadConstraints"]).iter().filter(strict).cloned().collect();
        let cares = !wanted.is_empty() || !shunned.is_empty() || !spread.is_empty();
        if !cares && world.state().loads.repelling.is_empty() {
            return None;
        }
        let placed =
            |own: &Arc<Value>| crate::kinds::is_active(own) && get_str(own, &["spec", "nodeName"]).is_some();
        let others = world.list(kind::POD, "").into_iter().filter(placed).collect();
        let named =
            |kind| world.list(kind, "").into_iter().map(|own| (meta::name(&own).to_owned(), own)).collect();
        Some(Company {
            wanted,
            shunned,
            spread,
            others,
            nodes: named(kind::NODE),
            namespaces: named(kind::NAMESPACE),
        })
    }

    /// Why the node is no good, if it is not.
    pub(crate) fn refuses(&self, pod: &Value, node: &Value) -> Option<&'static str> {
        for term in &self.wanted {
            let found = self
                .others
                .iter()
                .any(|other| self.applies(term, pod, other) && self.together(term, other, node));
            // The first of a group that wants its own company begins it.
            let first = !self.others.iter().any(|other| self.applies(term, pod, other))
                && self.applies(term, pod, pod);
            let somewhere =
                get_str(term, &["topologyKey"]).is_some_and(|key| meta::label(node, key).is_some());
            let begins = first && somewhere;
            if !found && !begins {
                return Some("node(s) didn't match pod affinity rules");
            }
        }
        for term in &self.shunned {
            if self
                .others
                .iter()
                .any(|other| self.applies(term, pod, other) && self.together(term, other, node))
            {
                return Some("node(s) didn't match pod anti-affinity rules");
            }
        }
        let shuns = |other: &Arc<Value>| {
            let terms = array(other, &["spec", "affinity", "podAntiAffinity", REQUIRED]);
            terms.iter().any(|term| self.applies(term, other, pod) && self.together(term, other, node))
        };
        if self.others.iter().any(shuns) {
            return Some("node(s) didn't satisfy existing pods anti-affinity rules");
        }
        self.spread.iter().find_map(|own| self.unbalances(own, pod, node))
    }

    /// Whether the term of `pod` is about `other`.
    fn applies(&self, term: &Value, pod: &Value, other: &Value) -> bool {
        let namespace = meta::namespace(other).unwrap_or_default();
        let named = array(term, &["namespaces"]);
        let spaces = get(term, &["namespaceSelector"]).and_then(|own| LabelSelector::from_object(own).ok());
        let place = match &spaces {
            None if named.is_empty() => meta::namespace(pod).unwrap_or_default() == namespace,
            None => named.iter().any(|own| own.as_str() == Some(namespace)),
            Some(selector) => {
                named.iter().any(|own| own.as_str() == Some(namespace))
                    || self.namespaces.get(namespace).is_some_and(|own| selector.matches_object(own))
            }
        };
        place && selector(term, pod).is_some_and(|own| own.matches_object(other))
    }

    fn together(&self, term: &Value, other: &Value, node: &Value) -> bool {
        let key = get_str(term, &["topologyKey"]).unwrap_or_default();
        let place = get_str(other, &["spec", "nodeName"]).and_then(|name| self.nodes.get(name));
        place.and_then(|place| meta::label(place, key)).is_some_and(|own| meta::label(node, key) == Some(own))
    }

    fn unbalances(&self, constraint: &Value, pod: &Value, node: &Value) -> Option<&'static str> {
        let key = get_str(constraint, &["topologyKey"]).unwrap_or_default();
        let Some(here) = meta::label(node, key) else {
            return Some("node(s) didn't match pod topology spread constraints (missing required label)");
        };
        let selector = selector(constraint, pod)?;
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        let eligible = self.nodes.values().filter(|node| {
            let by_affinity =
                get_str(constraint, &["nodeAffinityPolicy"]) == Some("Ignore") || selects(pod, node);
            let by_taints =
                get_str(constraint, &["nodeTaintsPolicy"]) != Some("Honor") || repelled(pod, node).is_none();
            by_affinity && by_taints
        });
        for node in eligible {
            if let Some(value) = meta::label(node, key) {
                counts.entry(value).or_default();
            }
        }
        for other in &self.others {
            let place = get_str(other, &["spec", "nodeName"]).and_then(|name| self.nodes.get(name));
            if meta::namespace(other) == meta::namespace(pod)
                && selector.matches_object(other)
                && let Some(count) =
                    place.and_then(|place| meta::label(place, key)).and_then(|own| counts.get_mut(own))
            {
                *count += 1;
            }
        }
        let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        let short = get_i64(constraint, &["minDomains"]).is_some_and(|least| domains < least);
        let least = if short { 0 } else { counts.values().copied().min().unwrap_or(0) };
        let own = i64::from(selector.matches_object(pod));
        let skew = counts.get(here).copied().unwrap_or(0) + own - least;
        (skew > get_i64(constraint, &["maxSkew"]).unwrap_or(1))
            .then_some("node(s) didn't match pod topology spread constraints")
    }
}

/// The selector of a term or constraint, narrowed by `matchLabelKeys` of the pod.
fn selector(term: &Value, pod: &Value) -> Option<LabelSelector> {
    let mut own = get(term, &["labelSelector"])?.clone();
    for key in array(term, &["matchLabelKeys"]).iter().filter_map(Value::as_str) {
        if let Some(value) = meta::label(pod, key) {
            object::set(&mut own, &["matchLabels", key], value.into());
        }
    }
    LabelSelector::from_object(&own).ok()
}
