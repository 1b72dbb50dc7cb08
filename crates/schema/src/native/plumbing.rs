//! Kinds that the machinery of a cluster writes: leases, budgets, API services.

use object::{Gvk, Value, meta};

use super::apps::{at_most_all, positive_or_share};
use super::at::{At, Errors};
use super::names;
use super::validate::selector;

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("coordination.k8s.io", "Lease") => {
            let time = spec.get("leaseDurationSeconds");
            if time.int().is_some_and(|time| time <= 0) {
                time.invalid("must be greater than 0", errors);
            }
            spec.get("leaseTransitions").not_negative(errors);
        }
        ("policy", "PodDisruptionBudget") => budget(&spec, errors),
        ("apiregistration.k8s.io", "APIService") => service(object, &spec, errors),
        _ => {}
    }
}

fn budget(spec: &At<'_>, errors: &mut Errors) {
    for field in ["minAvailable", "maxUnavailable"] {
        let own = spec.get(field);
        positive_or_share(&own, errors);
        at_most_all(&own, errors);
    }
    let own = spec.get("selector");
    if own.value.is_object() {
        selector(own.value, &own.path, errors);
    }
}

fn service(object: &Value, spec: &At<'_>, errors: &mut Errors) {
    let (group, version) = (spec.get("group"), spec.get("version"));
    let wanted = format!("{}.{}", version.text(), group.text());
    let name = At::new(object, "").get("metadata").get("name");
    if meta::name(object) != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\"");
        name.invalid_as(meta::name(object), detail, errors);
    }
    if group.text().is_empty() {
        if version.text() != "v1" {
            group.required_because("only v1 may have an empty group and it better be legacy kube", errors);
        }
    } else if let Some(message) = names::dns_subdomain(group.text()) {
        group.invalid(message, errors);
    }
    if let Some(message) = names::dns_1035_label(version.text()) {
        version.invalid_as(version.text(), message, errors);
    }
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let own = spec.get(field);
        if !(1..=most).contains(&own.number()) {
            own.invalid_as(own.number(), format!("must be positive and less than {most}"), errors);
        }
    }
    let (own, skips) = (spec.get("service"), spec.get("insecureSkipTLSVerify"));
    if own.value.is_object() {
        own.get("namespace").must(errors);
        own.get("name").must(errors);
    } else if skips.yes() {
        skips.invalid("local APIServices may not have insecureSkipTLSVerify", errors);
    }
}
