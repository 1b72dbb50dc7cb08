//! What containers and Pods ask for and may use.

use std::collections::BTreeSet;

use object::Quantity;

use super::super::at::{At, Errors};
use super::super::names;
use super::super::quantities::{self, is_huge, may_overcommit};

/// The resources of a container.
pub(super) fn of_container(own: &At<'_>, claims: &At<'_>, errors: &mut Errors) {
    requirements(own, quantities::container_resource, claims, errors);
}

/// The resources of a whole Pod.
pub(super) fn of_pod(spec: &At<'_>, errors: &mut Errors) {
    let own = spec.get("resources");
    if !own.some() {
        return;
    }
    if spec.get("os").get("name").text() == "windows" {
        own.forbidden("may not be set for a windows pod", errors);
        return;
    }
    if own.get("claims").some() {
        own.get("claims").forbidden("claims may not be set for Resources at pod-level", errors);
    }
    requirements(&own, quantities::pod_resource, &spec.get("resourceClaims"), errors);
    consistent(spec, &own, errors);
}

/// What all containers ask for together fits into what the Pod asks for.
fn consistent(spec: &At<'_>, own: &At<'_>, errors: &mut Errors) {
    for (name, wanted) in own.get("requests").entries() {
        let mut sum = Quantity::whole(0);
        let mut any = false;
        for container in spec.get("containers").items() {
            if let Some(amount) = container.get("resources").get("requests").get(name).quantity() {
                sum = sum.plus(&amount);
                any = true;
            }
        }
        if any && wanted.quantity().is_some_and(|wanted| sum > wanted) {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            wanted.invalid(detail, errors);
        }
    }
    for container in spec.get("containers").items() {
        for (name, limit) in container.get("resources").get("limits").entries() {
            let Some(most) = own.get("limits").get(name).quantity() else { continue };
            if limit.quantity().is_some_and(|limit| limit > most) {
                let index = container.path.rsplit_once("containers").map_or("", |(_, index)| index);
                let path = format!("{}.containers{index}[{name}].limits", own.path);
                limit
                    .named(path)
                    .invalid(format!("must be less than or equal to pod limits of {most}"), errors);
            }
        }
    }
}

fn requirements(own: &At<'_>, judge: fn(&str, &At<'_>, &mut Errors), claims: &At<'_>, errors: &mut Errors) {
    let (limits, requests) = (own.get("limits"), own.get("requests"));
    let (mut huge, mut basic) = (false, false);
    let mut one = |name: &str, entry: &At<'_>, errors: &mut Errors| {
        basic |= matches!(name, "cpu" | "memory");
        huge |= is_huge(name);
        judge(name, entry, errors);
        quantities::amount(name, entry, errors);
    };
    for (name, entry) in limits.entries() {
        one(name, &entry, errors);
        quantities::huge_amount(name, &entry, errors);
    }
    for (name, entry) in requests.entries() {
        one(name, &entry, errors);
        let limit = limits.get(name);
        match (entry.quantity(), limit.quantity()) {
            (Some(asked), Some(most)) => {
                let shown = requests.named(&requests.path);
                if asked != most && !may_overcommit(name) {
                    let detail = format!("must be equal to {name} limit of {most}");
                    shown.invalid_as(asked.to_string(), detail, errors);
                } else if asked > most {
                    let detail = format!("must be less than or equal to {name} limit of {most}");
                    shown.invalid_as(asked.to_string(), detail, errors);
                }
            }
            _ if !may_overcommit(name) => {
                limits.required_because("Limit must be set for non overcommitable resources", errors);
            }
            _ => {}
        }
        quantities::huge_amount(name, &entry, errors);
    }
    if huge && !basic {
        own.forbidden("HugePages require cpu or memory", errors);
    }
    claim_names(&own.get("claims"), claims, errors);
}

fn claim_names(list: &At<'_>, claims: &At<'_>, errors: &mut Errors) {
    let known: BTreeSet<String> = claims
        .items()
        .map(|claim| claim.get("name").text().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for entry in list.items() {
        let (name, request) = (entry.get("name").text(), entry.get("request"));
        if name.is_empty() {
            entry.required(errors);
            continue;
        }
        if seen.contains(name) {
            entry.duplicate(name, errors);
        } else {
            let mut key = name.to_owned();
            if !request.text().is_empty() {
                request.judge(names::dns_labels(request.text()), errors);
                key = format!("{name}/{}", request.text());
            }
            if seen.contains(&key) {
                entry.duplicate(key.as_str(), errors);
            } else if request.text().is_empty()
                && seen.iter().any(|own| own.split_once('/').is_some_and(|(own, _)| own == name))
            {
                entry.duplicate(name, errors);
            }
            seen.insert(key);
        }
        if !known.contains(name) {
            let mut detail = "must be one of the names in pod.spec.resourceClaims".to_owned();
            if known.is_empty() {
                detail.push_str(" which is empty");
            } else {
                let all: Vec<&str> = known.iter().map(String::as_str).collect();
                detail = format!("{detail}: {}", all.join(", "));
            }
            let shown = object::Value::from(name);
            At::new(&shown, &entry.path).not_found(detail, errors);
        }
    }
}
