//! HorizontalPodAutoscalers.

use object::Value;

use super::at::{At, Errors};
use super::{names, quantities};
use crate::FieldError;

const POPULATE: &str = "must populate information for the given metric source";
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("External", "external"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
];

/// An autoscaler.
pub(super) fn validate(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if least.int().is_some_and(|least| least < 1) {
        least.invalid("must be greater than or equal to 1", errors);
    }
    if most.number() < 1 {
        most.invalid_as(most.number(), "must be greater than 0", errors);
    }
    if least.int().is_some_and(|least| most.number() < least) {
        most.invalid_as(most.number(), "must be greater than or equal to `minReplicas`", errors);
    }
    let target = spec.get("scaleTargetRef");
    let same = old.is_some_and(|old| {
        let before = At::new(old, "").get("spec").get("scaleTargetRef");
        before.get("apiVersion").text() == target.get("apiVersion").text()
            && before.get("kind").text() == target.get("kind").text()
    });
    let core = target.get("kind").text() == "ReplicationController";
    reference(&target, same, core, errors);
    let metrics = spec.get("metrics");
    let mut beyond = false;
    for metric in metrics.items() {
        beyond |= matches!(metric.get("type").text(), "Object" | "External");
        metric_spec(&metric, errors);
    }
    if least.int() == Some(0) && !beyond {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        metrics.forbidden(detail, errors);
    }
    for field in ["scaleUp", "scaleDown"] {
        let rules = spec.get("behavior").get(field);
        if rules.some() {
            scaling_rules(&rules, errors);
        }
    }
}

fn segment(own: &At<'_>, errors: &mut Errors) {
    own.judge(names::path_segments(own.text()), errors);
}

fn reference(own: &At<'_>, any_version: bool, core: bool, errors: &mut Errors) {
    for field in ["kind", "name"] {
        if own.get(field).must(errors) {
            segment(&own.get(field), errors);
        }
    }
    if any_version {
        return;
    }
    let version = own.get("apiVersion");
    let parts: Vec<&str> = version.text().split('/').collect();
    let group = if parts.len() == 2 { parts.first().copied().unwrap_or_default() } else { "" };
    if parts.len() > 2 {
        version.invalid(format!("unexpected GroupVersion string: {}", version.text()), errors);
    } else if group.is_empty() && !core {
        version.invalid_as(version.text(), "apiVersion must specify API group", errors);
    }
}

fn metric_spec(own: &At<'_>, errors: &mut Errors) {
    let known = ["ContainerResource", "External", "Object", "Pods", "Resource"];
    let kind = own.get("type");
    if kind.text().is_empty() {
        kind.required_because("must specify a metric source type", errors);
    }
    kind.one_of(&known, errors);
    let given: Vec<&str> =
        SOURCES.iter().map(|(_, field)| *field).filter(|field| own.get(field).some()).collect();
    if let Some(first) = given.first() {
        let source = own.get(first);
        match *first {
            "object" => object_source(&source, errors),
            "external" => external_source(&source, errors),
            "pods" => {
                identifier(&source.get("metric"), errors);
                target(&source.get("target"), errors);
                let average = source.get("target").get("averageValue");
                if !average.some() {
                    average.required_because("must specify a positive target averageValue", errors);
                }
            }
            _ => resource_source(&source, *first == "containerResource", errors),
        }
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == kind.text()).map(|(_, field)| *field);
    match expected {
        Some(field) if !own.get(field).some() => own.get(field).required_because(POPULATE, errors),
        Some(_) => {}
        None => kind.one_of(&known, errors),
    }
    if given.len() != 1 {
        for field in given.iter().filter(|field| Some(**field) != expected) {
            own.get(field).forbidden("must populate the given metric source only", errors);
        }
    }
}

fn identifier(own: &At<'_>, errors: &mut Errors) {
    let name = own.get("name");
    if name.text().is_empty() {
        name.required_because("must specify a metric name", errors);
    } else {
        segment(&name, errors);
    }
}

fn target(own: &At<'_>, errors: &mut Errors) {
    let kind = own.get("type");
    if kind.text().is_empty() {
        kind.required_because("must specify a metric target type", errors);
    }
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        kind.invalid_as(kind.text(), "must be either Utilization, Value, or AverageValue", errors);
    }
    for field in ["value", "averageValue"] {
        let amount = own.get(field);
        if amount.quantity().is_some_and(|own| own.is_negative() || own.is_zero()) {
            amount.invalid("must be positive", errors);
        }
    }
    let share = own.get("averageUtilization");
    if share.int().is_some_and(|share| share < 1) {
        share.invalid("must be greater than 0", errors);
    }
}

fn object_source(own: &At<'_>, errors: &mut Errors) {
    reference(&own.get("describedObject"), false, true, errors);
    identifier(&own.get("metric"), errors);
    let wanted = own.get("target");
    target(&wanted, errors);
    if !wanted.get("value").some() && !wanted.get("averageValue").some() {
        let detail = "must set either a target value or averageValue";
        wanted.get("averageValue").required_because(detail, errors);
    }
}

fn external_source(own: &At<'_>, errors: &mut Errors) {
    identifier(&own.get("metric"), errors);
    let wanted = own.get("target");
    target(&wanted, errors);
    match (wanted.get("value").some(), wanted.get("averageValue").some()) {
        (false, false) => {
            let detail = "must set either a target value for metric or a per-pod target";
            wanted.get("averageValue").required_because(detail, errors);
        }
        (true, true) => {
            let detail = "may not set both a target value for metric and a per-pod target";
            wanted.get("value").forbidden(detail, errors);
        }
        _ => {}
    }
}

fn resource_source(own: &At<'_>, contained: bool, errors: &mut Errors) {
    let name = own.get("name");
    if name.text().is_empty() {
        name.required_because("must specify a resource name", errors);
    } else if contained {
        quantities::container_resource(name.text(), &name, errors);
    }
    if contained {
        let container = own.get("container");
        if container.text().is_empty() {
            container.required_because("must specify a container", errors);
        } else {
            container.label(errors);
        }
    }
    let wanted = own.get("target");
    target(&wanted, errors);
    match (wanted.get("averageUtilization").some(), wanted.get("averageValue").some()) {
        (false, false) => {
            let detail = "must set either a target raw value or a target utilization";
            wanted.get("averageUtilization").required_because(detail, errors);
        }
        (true, true) => {
            let detail = "may not set both a target raw value and a target utilization";
            wanted.get("averageValue").forbidden(detail, errors);
        }
        _ => {}
    }
}

fn scaling_rules(own: &At<'_>, errors: &mut Errors) {
    let window = own.get("stabilizationWindowSeconds");
    if window.number() < 0 {
        window.invalid("must be greater than or equal to zero", errors);
    }
    if window.number() > 3600 {
        window.invalid("must be less than or equal to 3600", errors);
    }
    own.get("selectPolicy").may_be_one_of(&["Disabled", "Max", "Min"], errors);
    let policies = own.get("policies");
    if policies.len() == 0 {
        policies.required_because("must specify at least one Policy", errors);
    }
    for policy in policies.items() {
        policy.get("type").one_of(&["Percent", "Pods"], errors);
        for field in ["value", "periodSeconds"] {
            let number = policy.get(field);
            if number.number() <= 0 {
                number.invalid_as(number.number(), "must be greater than zero", errors);
            }
        }
        let period = policy.get("periodSeconds");
        if period.number() > 1800 {
            period.invalid("must be less than or equal to 1800", errors);
        }
    }
    let tolerance = own.get("tolerance");
    if tolerance.quantity().is_some_and(|own| own.is_negative()) {
        errors.push(FieldError::invalid(&tolerance.path, tolerance.value.clone(), super::NOT_NEGATIVE));
    }
}
