//! Services.

use std::collections::BTreeSet;

use object::{Value, meta};
use serde_json::json;

use super::at::{At, Errors};
use super::{internal, metadata, names};
use crate::{FieldError, Reason};

const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONCE: &str = "may not change once set";
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

/// A Service.
pub(super) fn validate(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    if let Some(old) = old {
        changes(&spec, &At::new(old, "").get("spec"), errors);
    }
    let kind = spec.get("type").text();
    topology(object, errors);
    let headless = is_headless(&spec);
    let ports = spec.get("ports");
    if ports.len() == 0 && !headless && kind != "ExternalName" {
        ports.required(errors);
    }
    by_type(&spec, kind, headless, errors);
    let mut seen = BTreeSet::new();
    let several = ports.len() > 1;
    for port in ports.items() {
        port_errors(&port, several, &mut seen, errors);
    }
    let selector = spec.get("selector");
    metadata::labels(selector.value, &selector.path, errors);
    affinity(&spec, errors);
    addresses(&spec, errors);
    for address in spec.get("externalIPs").items() {
        if address.address(errors) {
            usable(&address, errors);
        }
    }
    spec.get("type").must_be_one_of(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], errors);
    distinct_ports(&ports, kind, errors);
    source_ranges(object, &spec, kind, errors);
    if spec.get("allocateLoadBalancerNodePorts").some() && kind != "LoadBalancer" {
        spec.get("allocateLoadBalancerNodePorts").forbidden(ONLY_BALANCED, errors);
    }
    balancer_class(&spec, None, errors);
    traffic(&spec, kind, errors);
}

fn is_headless(spec: &At<'_>) -> bool {
    spec.get("clusterIPs").texts() == ["None"] || spec.get("clusterIP").text() == "None"
}

fn topology(object: &Value, errors: &mut Errors) {
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    if let (Some(mode), Some(hints)) = (meta::annotation(object, MODE), meta::annotation(object, HINTS))
        && mode != hints
    {
        let detail = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(FieldError::invalid(format!("metadata.annotations[{MODE}]"), mode, detail));
    }
}

fn by_type(spec: &At<'_>, kind: &str, headless: bool, errors: &mut Errors) {
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(format!("{}[0]", spec.child("clusterIPs")), "None", detail));
        }
        "ExternalName" => {
            for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                let own = spec.get(field);
                if own.len() > 0 || !own.text().is_empty() {
                    own.forbidden("may not be set for ExternalName services", errors);
                }
            }
            let name = spec.get("externalName");
            let text = name.text().strip_suffix('.').unwrap_or(name.text());
            if text.is_empty() {
                name.required(errors);
            }
            for why in names::dns_subdomains(text).into_iter().filter(|_| !text.is_empty()) {
                name.invalid_as(text, why, errors);
            }
        }
        _ => {}
    }
}

fn port_errors<'a>(port: &At<'a>, several: bool, seen: &mut BTreeSet<&'a str>, errors: &mut Errors) {
    let name = port.get("name");
    if !name.text().is_empty() {
        name.label(errors);
        if !seen.insert(name.text()) {
            name.duplicate(name.text(), errors);
        }
    } else if several {
        name.required(errors);
    }
    port.get("port").port(errors);
    port.get("protocol").must_be_one_of(&["SCTP", "TCP", "UDP"], errors);
    port.get("targetPort").port_or_name(errors);
    if port.get("appProtocol").some() {
        port.get("appProtocol").qualified(errors);
    }
}

fn affinity(spec: &At<'_>, errors: &mut Errors) {
    const LONGEST: i64 = 86400;
    let own = spec.get("sessionAffinity");
    own.must_be_one_of(&["ClientIP", "None"], errors);
    let config = spec.get("sessionAffinityConfig");
    match own.text() {
        "ClientIP" => {
            let time = config.get("clientIP").get("timeoutSeconds");
            for at in [&config, &config.get("clientIP"), &time] {
                if !at.some() {
                    at.required_because("when session affinity type is ClientIP", errors);
                    return;
                }
            }
            if !(1..=LONGEST).contains(&time.number()) {
                time.invalid(format!("must be greater than 0 and less than {LONGEST}"), errors);
            }
        }
        "None" if config.some() => {
            config.forbidden("must not be set when session affinity is None", errors);
        }
        _ => {}
    }
}

/// Addresses that mean something outside of one node.
pub(super) fn usable(own: &At<'_>, errors: &mut Errors) {
    let Some(ip) = names::sloppy_ip(own.text()) else {
        own.invalid_as(own.text(), "must be a valid IP address", errors);
        return;
    };
    let (local, group) = match ip {
        std::net::IpAddr::V4(ip) => (ip.is_link_local(), ip.octets().starts_with(&[224, 0, 0])),
        std::net::IpAddr::V6(ip) => {
            (ip.is_unicast_link_local(), ip.segments().first().is_some_and(|first| first & 0xff0f == 0xff02))
        }
    };
    if ip.is_unspecified() {
        own.invalid(format!("may not be unspecified ({})", own.text()), errors);
    }
    if ip.is_loopback() {
        own.invalid("may not be in the loopback range (127.0.0.0/8, ::1/128)", errors);
    }
    if local {
        own.invalid("may not be in the link-local range (169.254.0.0/16, fe80::/10)", errors);
    }
    if group {
        own.invalid("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)", errors);
    }
}

fn addresses(spec: &At<'_>, errors: &mut Errors) {
    if spec.get("type").text() == "ExternalName" {
        return;
    }
    let (one, list) = (spec.get("clusterIP"), spec.get("clusterIPs"));
    let texts = list.texts();
    // The list is made from the single address where it is not given.
    if texts.first().is_some_and(|first| *first != one.text()) {
        let detail = match one.text().is_empty() {
            true => "must be empty when `clusterIP` is not specified",
            false => "first value must match `clusterIP`",
        };
        list.invalid(detail, errors);
    }
    let families = spec.get("ipFamilies");
    let mut seen = BTreeSet::new();
    for family in families.items() {
        family.one_of(&["IPv4", "IPv6"], errors);
        if !seen.insert(family.text()) {
            family.duplicate(family.text(), errors);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    spec.get("ipFamilyPolicy").may_be_one_of(&policies, errors);
    let single = [one.value.clone()];
    let made =
        Value::from(if texts.is_empty() && !one.text().is_empty() { single.to_vec() } else { Vec::new() });
    let all = if texts.is_empty() { At::new(&made, &list.path) } else { list.clone() };
    let mut wrong = false;
    for (index, address) in all.items().enumerate() {
        if index == 0 && address.text() == "None" {
            if all.len() > 1 {
                wrong = true;
                list.invalid("'None' must be the first and only value", errors);
            }
            continue;
        }
        wrong |= !address.address(errors);
    }
    if all.len() > 2 {
        list.invalid("may only hold up to 2 values", errors);
    }
    if wrong {
        return;
    }
    let is_six = |text: &str| names::sloppy_ip(text).is_some_and(|ip| ip.is_ipv6());
    let kinds: BTreeSet<bool> = all.texts().iter().map(|text| is_six(text)).collect();
    if all.len() > 1 && kinds.len() < 2 {
        list.invalid("may specify no more than one IP for each IP family", errors);
    }
    if all.texts() != ["None"] {
        for (index, (address, family)) in all.items().zip(families.texts()).enumerate() {
            let wanted = matches!(family, "IPv6");
            if matches!(family, "IPv4" | "IPv6") && is_six(address.text()) != wanted {
                let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
                address.invalid(detail, errors);
            }
        }
    }
}

fn distinct_ports(ports: &At<'_>, kind: &str, errors: &mut Errors) {
    if kind == "ClusterIP" {
        for port in ports.items().filter(|port| port.get("nodePort").number() != 0) {
            let detail = "may not be used when `type` is 'ClusterIP'";
            port.get("nodePort").forbidden(detail, errors);
        }
    }
    let mut seen = BTreeSet::new();
    for port in ports.items().filter(|port| port.get("nodePort").number() != 0) {
        let node = port.get("nodePort");
        if !seen.insert((port.get("protocol").text(), node.number())) {
            node.duplicate(node.number(), errors);
        }
    }
    let mut seen = BTreeSet::new();
    for port in ports.items() {
        let (protocol, number) = (port.get("protocol").text(), port.get("port").number());
        if !seen.insert((protocol, number)) {
            let key = json!({"protocol": protocol, "port": number});
            errors.push(FieldError {
                reason: Reason::Duplicate,
                field: port.path.clone(),
                value: None,
                detail: internal::shown("ServicePort", &key),
            });
        }
    }
}

fn source_ranges(object: &Value, spec: &At<'_>, kind: &str, errors: &mut Errors) {
    // Messages begin its name with a capital letter.
    let own = spec.get("loadBalancerSourceRanges").named(spec.child("LoadBalancerSourceRanges"));
    if own.len() > 0 {
        if kind != "LoadBalancer" {
            own.forbidden(ONLY_BALANCED, errors);
        }
        for range in own.items() {
            let text = Value::from(range.text().trim());
            At::new(&text, &range.path).cidr(errors);
        }
    } else if let Some(text) = meta::annotation(object, RANGES) {
        let path = format!("metadata.annotations[{RANGES}]");
        if kind != "LoadBalancer" {
            errors.push(FieldError::forbidden(&path, ONLY_BALANCED));
        }
        for range in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
            let range = Value::from(range.trim());
            At::new(&range, &path).cidr(errors);
        }
    }
}

fn balancer_class(spec: &At<'_>, before: Option<&At<'_>>, errors: &mut Errors) {
    let balanced = |spec: &At<'_>| spec.get("type").text() == "LoadBalancer";
    let own = spec.get("loadBalancerClass");
    if let Some(before) = before.filter(|before| balanced(before) && balanced(spec))
        && before.get("loadBalancerClass").value != own.value
    {
        own.invalid(ONCE, errors);
    }
    if own.some() {
        if balanced(spec) {
            own.qualified(errors);
        } else {
            own.forbidden(ONLY_BALANCED, errors);
        }
    }
}

fn traffic(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    let outside = matches!(kind, "LoadBalancer" | "NodePort")
        || kind == "ClusterIP" && spec.get("externalIPs").len() > 0;
    let policy = spec.get("externalTrafficPolicy");
    if outside {
        policy.must_be_one_of(&["Cluster", "Local"], errors);
    } else if !policy.text().is_empty() {
        policy.invalid("may only be set for externally-accessible services", errors);
    }
    let checked = kind == "LoadBalancer" && policy.text() == "Local";
    let port = spec.get("healthCheckNodePort");
    if port.number() != 0 {
        if checked {
            port.port(errors);
        } else {
            let detail =
                "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            port.invalid(detail, errors);
        }
    }
    spec.get("internalTrafficPolicy").may_be_one_of(&["Cluster", "Local"], errors);
    let near = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    spec.get("trafficDistribution").may_be_one_of(&near, errors);
}

/// What of a Service may not change.
fn changes(spec: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let external = |spec: &At<'_>| spec.get("type").text() == "ExternalName";
    if !external(spec) && !external(before) {
        let (now, then) = (is_headless(spec), is_headless(before));
        if !(now && then) {
            cluster_addresses(spec, before, errors);
        }
        if !now && !then {
            let (list, old) = (spec.get("ipFamilies"), before.get("ipFamilies").texts());
            let new = list.texts();
            let shown = At::new(list.value, format!("{}[0]", list.path));
            let changed = old.first() != new.first() || old.len() == new.len() && old != new;
            if changed && !new.is_empty() && !old.is_empty() {
                shown.invalid(ONCE, errors);
            }
        }
    }
    balancer_class(spec, Some(before), errors);
    let checked = |spec: &At<'_>| {
        spec.get("type").text() == "LoadBalancer" && spec.get("externalTrafficPolicy").text() == "Local"
    };
    let (port, earlier) = (spec.get("healthCheckNodePort"), before.get("healthCheckNodePort"));
    if checked(spec) && checked(before) && port.number() != earlier.number() {
        port.forbidden("field is immutable", errors);
    }
}

fn cluster_addresses(spec: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let (list, old) = (spec.get("clusterIPs"), before.get("clusterIPs").texts());
    let new = list.texts();
    let at = |index: usize| At::new(list.value, format!("{}[{index}]", list.path));
    if old.len() == new.len() {
        for (index, _) in old.iter().zip(&new).enumerate().filter(|(_, (old, new))| old != new) {
            at(index).invalid(ONCE, errors);
        }
        return;
    }
    if new.is_empty() && !old.is_empty() {
        at(0).invalid("primary clusterIP can not be unset", errors);
    } else if !old.is_empty() && old.first() != new.first() {
        at(0).invalid(ONCE, errors);
    }
    let policy = spec.get("ipFamilyPolicy");
    if old.len() > new.len() && new.len() == 1 && policy.text() != "SingleStack" {
        policy.invalid("must be set to 'SingleStack' when releasing the secondary clusterIP", errors);
    }
}
