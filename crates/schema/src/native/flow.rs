//! The rules of API priority and fairness.

use object::{Value, get, meta};
use serde_json::json;

use super::at::{At, Errors};
use super::{internal, names};

const VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// The most queues of a priority level.
const MOST_QUEUES: i64 = 10_000_000;

/// Bits of a request's hash.
const HASH_BITS: f64 = 60.0;

/// A FlowSchema.
pub(super) fn schema(object: &Value, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let precedence = spec.get("matchingPrecedence");
    let number = precedence.number();
    if number <= 0 {
        precedence.invalid_as(number, "must be a positive value", errors);
    }
    if number > 10_000 {
        precedence.invalid("must not be greater than 10000", errors);
    }
    if number == 1 && meta::name(object) != "exempt" {
        precedence.invalid("only the schema named 'exempt' may have matchingPrecedence 1", errors);
    }
    let method = spec.get("distinguisherMethod");
    if method.some() && !matches!(method.get("type").text(), "ByNamespace" | "ByUser") {
        let shown = json!({"Type": method.get("type").text()});
        let path = method.child("type");
        errors.push(crate::FieldError::not_supported(path, shown, &["ByNamespace", "ByUser"]));
    }
    let level = spec.get("priorityLevelConfiguration").get("name");
    match level.text() {
        "" => level.required_because("must reference a priority level", errors),
        _ => level.subdomain(errors),
    }
    for own in spec.get("rules").items() {
        rule(&own, errors);
    }
    fixed(object, fixed_schema(meta::name(object)), "flowcontrol.FlowSchemaSpec", errors);
    conditions(object, "must not be empty", errors);
}

fn rule(own: &At<'_>, errors: &mut Errors) {
    let subjects = own.get("subjects");
    if subjects.len() == 0 {
        subjects.required_because("subjects must contain at least one value", errors);
    }
    for own in subjects.items() {
        subject(&own, errors);
    }
    let (resources, others) = (own.get("resourceRules"), own.get("nonResourceRules"));
    if resources.len() == 0 && others.len() == 0 {
        own.required_because(
            "at least one of resourceRules and nonResourceRules has to be non-empty",
            errors,
        );
    }
    for own in resources.items() {
        verbs(&own, errors);
        some_or_all(
            &own.get("apiGroups"),
            "resource rules must supply at least one api group",
            "api groups",
            errors,
        );
        some_or_all(
            &own.get("resources"),
            "resource rules must supply at least one resource",
            "resources",
            errors,
        );
        let namespaces = own.get("namespaces");
        if namespaces.len() == 0 && !own.get("clusterScope").yes() {
            let why = "resource rules that are not cluster scoped must supply at least one namespace";
            namespaces.required_because(why, errors);
        } else if namespaces.texts().contains(&"*") {
            some_or_all(&namespaces, "", "namespaces", errors);
        } else {
            for own in namespaces.items() {
                for why in names::dns_labels(own.text()) {
                    own.invalid(
                        format!("each member of this list must be '*' or a DNS-1123 label; {why}"),
                        errors,
                    );
                }
            }
        }
    }
    for own in others.items() {
        verbs(&own, errors);
        let urls = own.get("nonResourceURLs");
        some_or_all(&urls, "nonResourceURLs must contain at least one value", "non-resource URLs", errors);
        if !urls.texts().contains(&"*") {
            for own in urls.items() {
                url(&own, errors);
            }
        }
    }
}

/// A list that is not empty; who says all says nothing else.
fn some_or_all(own: &At<'_>, needed: &str, what: &str, errors: &mut Errors) {
    if own.len() == 0 {
        own.required_because(needed, errors);
    } else if own.len() > 1 && own.texts().contains(&"*") {
        own.invalid(format!("if '*' is present, must not specify other {what}"), errors);
    }
}

fn verbs(rule: &At<'_>, errors: &mut Errors) {
    let own = rule.get("verbs");
    let texts = own.texts();
    some_or_all(&own, "verbs must contain at least one value", "verbs", errors);
    if !texts.contains(&"*") && texts.iter().any(|verb| !VERBS.contains(verb)) {
        errors.push(crate::FieldError::not_supported(&own.path, own.value.clone(), VERBS));
    }
}

fn url(own: &At<'_>, errors: &mut Errors) {
    let text = own.text();
    let wildcards = text.matches('*').count();
    let wrong = if text.is_empty() {
        "must not be empty"
    } else if text == "/" {
        return;
    } else if !text.starts_with('/') {
        "must start with slash"
    } else if text.contains(' ') {
        "must not contain white-space"
    } else if text.contains("//") {
        "must not contain double slash"
    } else if wildcards > 1 || wildcards == 1 && !text.ends_with("/*") {
        "wildcard can only do suffix matching"
    } else {
        return;
    };
    own.invalid(wrong, errors);
}

/// The kinds of subjects and the fields that describe them.
const SUBJECTS: &[(&str, &str)] =
    &[("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];

fn subject(own: &At<'_>, errors: &mut Errors) {
    let kind = own.get("kind").text();
    let Some((_, field)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<&str> = SUBJECTS.iter().map(|(kind, _)| *kind).collect();
        own.get("kind").one_of(&known, errors);
        return;
    };
    let who = own.get(field);
    if !who.some() {
        who.required_because(&format!("{field} is required when subject kind is '{kind}'"), errors);
    } else {
        let name = who.get("name");
        if name.must(errors) && *field == "serviceAccount" && name.text() != "*" {
            name.subdomain(errors);
        }
        if *field == "serviceAccount" {
            let namespace = who.get("namespace");
            match namespace.text() {
                "" => namespace.required_because("must specify namespace for service account", errors),
                _ => namespace.label(errors),
            }
        }
    }
    for other in ["serviceAccount", "user", "group"] {
        if other != *field && own.get(other).some() {
            let kind = SUBJECTS.iter().find(|(_, field)| *field == other).map_or("", |(kind, _)| kind);
            let why = format!("{other} is forbidden when subject kind is not '{kind}'");
            own.get(other).forbidden(why, errors);
        }
    }
}

/// A PriorityLevelConfiguration.
pub(super) fn level(object: &Value, errors: &mut Errors) {
    const PRESERVED: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
    let root = At::new(object, "");
    if meta::annotation(object, PRESERVED).is_some() {
        let why = format!("annotation '{PRESERVED}' is forbidden");
        root.get("metadata").get("annotations").forbidden(why, errors);
    }
    let spec = root.get("spec");
    let kind = spec.get("type");
    if (meta::name(object) == "exempt") != (kind.text() == "Exempt") {
        kind.invalid_as(kind.text(), "type must be 'Exempt' if and only if name is 'exempt'", errors);
    }
    let (limited, exempt) = (spec.get("limited"), spec.get("exempt"));
    match kind.text() {
        "Exempt" => {
            if limited.some() {
                limited.forbidden("must be nil if the type is not Limited", errors);
            }
            shares(&exempt, errors);
            share(&exempt.get("lendablePercent"), errors);
        }
        "Limited" => {
            if exempt.some() {
                exempt.forbidden("must be nil if the type is Limited", errors);
            }
            if limited.some() {
                limits(&limited, errors);
            } else {
                limited.required_because("must not be empty when type is Limited", errors);
            }
        }
        _ => kind.one_of(&["Exempt", "Limited"], errors),
    }
    fixed_level(object, errors);
    conditions(object, "", errors);
}

fn shares(own: &At<'_>, errors: &mut Errors) {
    let own = own.get("nominalConcurrencyShares");
    if own.number() < 0 {
        own.invalid("must be a non-negative integer", errors);
    }
}

fn share(own: &At<'_>, errors: &mut Errors) {
    if own.some() {
        own.within(0, 100, errors);
    }
}

fn limits(own: &At<'_>, errors: &mut Errors) {
    shares(own, errors);
    let answer = own.get("limitResponse");
    let queuing = answer.get("queuing");
    match answer.get("type").text() {
        "Reject" if queuing.some() => {
            queuing.forbidden("must be nil if limited.limitResponse.type is not Limited", errors);
        }
        "Reject" => {}
        "Queue" if queuing.some() => queues(&queuing, errors),
        "Queue" => {
            queuing.required_because("must not be empty if limited.limitResponse.type is Limited", errors);
        }
        _ => answer.get("type").one_of(&["Queue", "Reject"], errors),
    }
    share(&own.get("lendablePercent"), errors);
    let borrowing = own.get("borrowingLimitPercent");
    if borrowing.number() < 0 {
        borrowing.invalid("if specified, must be a non-negative integer", errors);
    }
}

fn queues(own: &At<'_>, errors: &mut Errors) {
    const POSITIVE: &str = "must be positive";
    let length = own.get("queueLengthLimit");
    if length.number() <= 0 {
        length.invalid_as(length.number(), POSITIVE, errors);
    }
    let (queues, hand) = (own.get("queues"), own.get("handSize"));
    let (count, size) = (queues.number(), hand.number());
    if count <= 0 {
        queues.invalid_as(count, POSITIVE, errors);
    } else if count > MOST_QUEUES {
        queues.invalid(format!("must not be greater than {MOST_QUEUES}"), errors);
    }
    // How many bits it takes to deal a hand.
    let bits = ((count as f64).log2() * size as f64).ceil();
    if size <= 0 {
        hand.invalid_as(size, POSITIVE, errors);
    } else if size > count {
        hand.invalid(format!("should not be greater than queues ({count})"), errors);
    } else if bits > HASH_BITS {
        let why = format!(
            "required entropy bits of deckSize {count} and handSize {size} should not be greater than {HASH_BITS}"
        );
        hand.invalid(why, errors);
    }
}

/// The conditions of both kinds.
fn conditions(object: &Value, why: &str, errors: &mut Errors) {
    let mut seen = Vec::new();
    for own in At::new(object, "").get("status").get("conditions").items() {
        let kind = own.get("type");
        if seen.contains(&kind.text()) {
            kind.duplicate(kind.text(), errors);
        }
        seen.push(kind.text());
        if kind.text().is_empty() {
            kind.required_because(why, errors);
        }
    }
}

/// What the FlowSchemas that every cluster needs say.
fn fixed_schema(name: &str) -> Option<Value> {
    let rule = |groups: &[&str]| {
        let subject = |name: &&str| json!({"kind": "Group", "group": {"name": name}});
        json!([{
            "subjects": groups.iter().map(subject).collect::<Vec<_>>(),
            "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
            }],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    match name {
        "exempt" => Some(json!({
            "matchingPrecedence": 1,
            "priorityLevelConfiguration": {"name": name},
            "rules": rule(&["system:masters"]),
        })),
        "catch-all" => Some(json!({
            "matchingPrecedence": 10_000,
            "priorityLevelConfiguration": {"name": name},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": rule(&["system:unauthenticated", "system:authenticated"]),
        })),
        _ => None,
    }
}

fn fixed(object: &Value, want: Option<Value>, kind: &str, errors: &mut Errors) {
    let have = get(object, &["spec"]).cloned().unwrap_or_default();
    if want.is_some_and(|want| want != have) {
        let why = format!("spec of '{}' must equal the fixed value", meta::name(object));
        errors.push(crate::FieldError::invalid_shown("spec", &internal::shown(kind, &have), &why));
    }
}

/// The levels that every cluster needs; what is said of exempt requests may change.
fn fixed_level(object: &Value, errors: &mut Errors) {
    const KIND: &str = "flowcontrol.PriorityLevelConfigurationSpec";
    match meta::name(object) {
        "catch-all" => {
            let limited = json!({
                "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"},
            });
            fixed(object, Some(json!({"type": "Limited", "limited": limited})), KIND, errors);
        }
        "exempt" => {
            let have = get(object, &["spec"]).cloned().unwrap_or_default();
            if have.get("type").is_none_or(|kind| kind != "Exempt") || have.get("limited").is_some() {
                let why = "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value";
                errors.push(crate::FieldError::invalid_shown("spec", &internal::shown(KIND, &have), why));
            }
        }
        _ => {}
    }
}
