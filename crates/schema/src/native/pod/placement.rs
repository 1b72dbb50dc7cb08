//! Where a Pod may go: affinity, tolerations, an even spread.

use std::collections::BTreeSet;

use object::Value;

use super::super::at::{At, Errors};
use super::super::{names, validate};
use crate::FieldError;

const UNKNOWN: &str = "not a valid selector operator";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// The affinity of a Pod.
pub(super) fn affinity(own: &At<'_>, errors: &mut Errors) {
    let nodes = own.get("nodeAffinity");
    if nodes.get(REQUIRED).some() {
        node_selector(&nodes.get(REQUIRED), errors);
    }
    for term in nodes.get(PREFERRED).items() {
        weight(&term, errors);
        node_term(&term.get("preference"), true, errors);
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        let pods = own.get(field);
        pods.get(REQUIRED).items().for_each(|term| pod_term(&term, errors));
        for term in pods.get(PREFERRED).items() {
            weight(&term, errors);
            pod_term(&term.get("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &At<'_>, errors: &mut Errors) {
    let own = term.get("weight");
    if !(1..=100).contains(&own.number()) {
        own.invalid_as(own.number(), "must be in the range 1-100", errors);
    }
}

/// A selector of nodes by terms of which one must hold.
pub(in super::super) fn node_selector(own: &At<'_>, errors: &mut Errors) {
    let terms = own.get("nodeSelectorTerms");
    if terms.len() == 0 {
        terms.required_because("must have at least one node selector term", errors);
    }
    terms.items().for_each(|term| node_term(&term, false, errors));
}

fn node_term(term: &At<'_>, any_value: bool, errors: &mut Errors) {
    for own in term.get("matchExpressions").items() {
        let (values, operator) = (own.get("values"), own.get("operator"));
        match operator.text() {
            "In" | "NotIn" => {
                if values.len() == 0 {
                    values.required_because("must be specified when `operator` is 'In' or 'NotIn'", errors);
                }
            }
            "Exists" | "DoesNotExist" => {
                if values.len() > 0 {
                    let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    values.forbidden(detail, errors);
                }
            }
            "Gt" | "Lt" => {
                if values.len() != 1 {
                    let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                    values.required_because(detail, errors);
                }
            }
            other => operator.invalid_as(other, UNKNOWN, errors),
        }
        own.get("key").qualified(errors);
        if !any_value {
            values.items().for_each(|value| value.judge(names::label_values(value.text()), errors));
        }
    }
    for own in term.get("matchFields").items() {
        let (values, operator, key) = (own.get("values"), own.get("operator"), own.get("key"));
        if !matches!(operator.text(), "In" | "NotIn") {
            operator.invalid_as(operator.text(), UNKNOWN, errors);
        } else if values.len() != 1 {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            values.required_because(detail, errors);
        }
        if key.text() == "metadata.name" {
            values.items().for_each(|value| value.subdomain(errors));
        } else {
            key.invalid_as(key.text(), "not a valid field selector key", errors);
        }
    }
}

fn pod_term(term: &At<'_>, errors: &mut Errors) {
    for field in ["labelSelector", "namespaceSelector"] {
        let own = term.get(field);
        if own.some() {
            validate::selector(own.value, &own.path, errors);
        }
    }
    for name in term.get("namespaces").texts() {
        for why in names::dns_labels(name) {
            errors.push(FieldError::invalid(term.child("namespace"), name, why));
        }
    }
    label_keys(term, errors);
    let key = term.get("topologyKey");
    if key.text().is_empty() {
        key.required_because("can not be empty", errors);
    }
    key.qualified(errors);
}

/// Keys of labels that a selector takes from the Pod itself.
fn label_keys(term: &At<'_>, errors: &mut Errors) {
    let selector = term.get("labelSelector");
    let (same, other) = (term.get("matchLabelKeys"), term.get("mismatchLabelKeys"));
    for list in [&same, &other] {
        if list.len() == 0 {
            continue;
        }
        if !selector.some() {
            list.forbidden("must not be specified when labelSelector is not set", errors);
            continue;
        }
        list.items().for_each(|key| key.qualified(errors));
    }
    if selector.some() {
        let keys = same.texts();
        let mut seen: BTreeSet<&str> = selector.get("matchLabels").entries().map(|(key, _)| key).collect();
        for expression in selector.get("matchExpressions").items() {
            let key = expression.get("key").text();
            if let Some(at) = keys.iter().rposition(|own| *own == key)
                && seen.contains(key)
            {
                let path = format!("{}[{at}]", term.path);
                errors.push(FieldError::invalid(
                    path,
                    key,
                    "exists in both matchLabelKeys and labelSelector",
                ));
            }
            seen.insert(key);
        }
    }
    let others = other.texts();
    for key in same.items().filter(|key| others.contains(&key.text())) {
        key.invalid("exists in both matchLabelKeys and mismatchLabelKeys", errors);
    }
}

/// How evenly Pods are spread.
pub(super) fn spread(list: &At<'_>, errors: &mut Errors) {
    let all: Vec<At<'_>> = list.items().collect();
    for (index, own) in all.iter().enumerate() {
        own.get("maxSkew").positive(errors);
        let (key, action) = (own.get("topologyKey"), own.get("whenUnsatisfiable"));
        if key.text().is_empty() {
            key.required_because("can not be empty", errors);
        }
        action.one_of(&["DoNotSchedule", "ScheduleAnyway"], errors);
        let same = |other: &&At<'_>| {
            other.get("topologyKey").text() == key.text()
                && other.get("whenUnsatisfiable").text() == action.text()
        };
        if all.iter().skip(index + 1).find(same).is_some() {
            let shown = format!("{{{}, {}}}", key.text(), action.text());
            errors.push(FieldError::duplicate(own.child("{topologyKey, whenUnsatisfiable}"), shown));
        }
        let domains = own.get("minDomains");
        if domains.some() {
            domains.positive(errors);
            if action.text() != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                domains.invalid(detail, errors);
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            own.get(field).may_be_one_of(&["Honor", "Ignore"], errors);
        }
        label_keys(own, errors);
        let selector = own.get("labelSelector");
        if selector.some() {
            validate::selector(selector.value, &selector.path, errors);
        }
    }
}

/// Taints that a Pod does not mind.
pub(in super::super) fn tolerations(list: &At<'_>, errors: &mut Errors) {
    for own in list.items() {
        let (key, operator, effect) = (own.get("key"), own.get("operator"), own.get("effect"));
        if !key.text().is_empty() {
            key.qualified(errors);
        } else if operator.text() != "Exists" {
            let detail =
                "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            operator.invalid_as(operator.text(), detail, errors);
        }
        if own.get("tolerationSeconds").some() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            effect.invalid_as(effect.text(), detail, errors);
        }
        let value = own.get("value").text();
        match operator.text() {
            "Equal" | "" => {
                let wrong = names::label_values(value);
                if !wrong.is_empty() {
                    operator.invalid_as(value, wrong.join(";"), errors);
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    operator.invalid_as(value, "value must be empty when `operator` is 'Exists'", errors);
                }
            }
            _ => operator.one_of(&["Equal", "Exists"], errors),
        }
        if !effect.text().is_empty() {
            effect.one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"], errors);
        }
    }
}

/// Taints of a node.
pub(in super::super) fn taints(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for own in list.items() {
        own.get("key").qualified(errors);
        let value = own.get("value");
        let wrong = names::label_values(value.text());
        if !wrong.is_empty() {
            value.invalid_as(value.text(), wrong.join(";"), errors);
        }
        own.get("effect").must_be_one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"], errors);
        if !seen.insert((own.get("effect").text(), own.get("key").text())) {
            let shown = super::super::internal::shown("Taint", own.value);
            let detail = format!("{shown}: taints must be unique by key and effect pair");
            errors.push(FieldError {
                reason: crate::Reason::Duplicate,
                field: own.path.clone(),
                value: None,
                detail,
            });
        }
    }
}

/// Whether the tolerations of a Pod only grew, but for their times.
pub(super) fn only_added(new: &At<'_>, old: &Value, errors: &mut Errors) {
    let plain = |value: &Value| {
        let mut value = value.clone();
        object::remove(&mut value, &["tolerationSeconds"]);
        value
    };
    let kept: Vec<Value> = new.value.as_array().into_iter().flatten().map(plain).collect();
    let mut before = old.as_array().into_iter().flatten().map(plain);
    if before.any(|own| !kept.contains(&own)) {
        new.forbidden("existing toleration can not be modified except its tolerationSeconds", errors);
        return;
    }
    tolerations(new, errors);
}
