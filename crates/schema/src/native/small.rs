//! Kinds with a rule or two of their own.

use object::{Gvk, Value, meta};

use super::at::{At, Errors};
use super::validate::immutable;
use super::{internal, names, quantities};
use crate::FieldError;

/// Errors of an object of one of these kinds; nothing for other kinds.
pub(super) fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Event") => event(object, errors),
        ("discovery.k8s.io", "EndpointSlice") => slice(object, old, errors),
        ("node.k8s.io", "RuntimeClass") => runtime_class(object, old, errors),
        ("scheduling.k8s.io", "PriorityClass") => {
            for field in ["value", "preemptionPolicy"] {
                if old.is_some_and(|old| object.get(field) != old.get(field)) {
                    errors.push(FieldError::forbidden(field, "may not be changed in an update."));
                }
            }
        }
        _ => {}
    }
}

/// Events are about an object of their own namespace, or about one without in `default`.
fn event(object: &Value, errors: &mut Errors) {
    let root = At::new(object, "");
    let about = ["involvedObject", "regarding"].into_iter().find(|field| root.get(field).some());
    let target = root.get(about.unwrap_or("involvedObject")).get("namespace").text();
    let own = meta::namespace(object).unwrap_or_default();
    let timed = root.get("eventTime").some();
    let fits = match (target.is_empty(), timed) {
        (true, false) => matches!(own, "" | "default"),
        (true, true) => matches!(own, "default" | "kube-system"),
        (false, false) => own == target,
        (false, true) => true,
    };
    if !fits {
        let detail = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", target, detail));
    }
    if !timed {
        return;
    }
    let newer = root.get("reportingController");
    let reporter = if newer.some() { newer } else { root.get("reportingComponent") };
    reporter.must(errors);
    if let Some(message) = names::qualified_name(reporter.text()) {
        reporter.invalid_as(reporter.text(), message, errors);
    }
    for field in ["reportingInstance", "action", "reason"] {
        root.get(field).must(errors);
    }
}

const MAX_ENDPOINTS: usize = 1000;
const MAX_PORTS: usize = 20_000;
const MAX_HINTS: usize = 8;
const MAX_ADDRESSES: usize = 100;

fn slice(object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let root = At::new(object, "");
    let kind = root.get("addressType");
    kind.must_be_one_of(&["FQDN", "IPv4", "IPv6"], errors);
    slice_ports(&root.get("ports"), errors);
    let endpoints = root.get("endpoints");
    if old.is_none_or(|old| old.get("endpoints") != object.get("endpoints")) {
        slice_endpoints(&endpoints, kind.text(), errors);
    }
    immutable(object, old, &["addressType"], errors);
}

fn slice_ports(ports: &At<'_>, errors: &mut Errors) {
    if ports.len() > MAX_PORTS {
        errors.push(FieldError::too_many(&ports.path, ports.len() as i64, MAX_PORTS as i64));
        return;
    }
    let mut seen = std::collections::BTreeSet::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            name.label(errors);
        }
        if !seen.insert(name.text()) {
            name.duplicate(name.text(), errors);
        }
        let protocol = port.get("protocol");
        if protocol.some() {
            protocol.one_of(&["SCTP", "TCP", "UDP"], errors);
        } else {
            protocol.required(errors);
        }
        if port.get("appProtocol").some() {
            port.get("appProtocol").qualified(errors);
        }
    }
}

fn slice_endpoints(endpoints: &At<'_>, kind: &str, errors: &mut Errors) {
    if endpoints.len() > MAX_ENDPOINTS {
        let (count, most) = (endpoints.len() as i64, MAX_ENDPOINTS as i64);
        errors.push(FieldError::too_many(&endpoints.path, count, most));
        return;
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.get("addresses");
        match addresses.len() {
            0 => addresses.required_because("must contain at least 1 address", errors),
            count if count > MAX_ADDRESSES => {
                errors.push(FieldError::too_many(&addresses.path, count as i64, MAX_ADDRESSES as i64));
            }
            _ => {}
        }
        for address in addresses.items() {
            slice_address(kind, &address, &addresses, errors);
        }
        if endpoint.get("nodeName").some() {
            endpoint.get("nodeName").subdomain(errors);
        }
        let topology = endpoint.get("deprecatedTopology");
        super::metadata::labels(topology.value, &topology.path, errors);
        if endpoint.get("hostname").some() {
            endpoint.get("hostname").label(errors);
        }
        hints(&endpoint.get("hints"), errors);
    }
}

fn slice_address(kind: &str, address: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let is_six = names::sloppy_ip(address.text()).map(|ip| ip.is_ipv6());
    match (kind, is_six) {
        ("IPv4" | "IPv6", None) => {
            address.address(errors);
        }
        ("IPv4" | "IPv6", Some(six)) => {
            if six != (kind == "IPv6") {
                list.invalid_as(address.text(), format!("must be an {kind} address"), errors);
            }
            super::service::usable(address, errors);
        }
        ("FQDN", _) => {
            if address.text().is_empty() {
                address.required(errors);
                return;
            }
            let text = address.text().strip_suffix('.').unwrap_or(address.text());
            address.judge(names::dns_subdomains(text), errors);
            if text.split('.').count() < 2 {
                address.invalid("should be a domain with at least two segments separated by dots", errors);
            }
        }
        _ => {}
    }
}

fn hints(own: &At<'_>, errors: &mut Errors) {
    for (field, wrong) in [
        ("forZones", names::label_values as fn(&str) -> Vec<String>),
        ("forNodes", names::dns_subdomains as fn(&str) -> Vec<String>),
    ] {
        let list = own.get(field);
        if list.len() > MAX_HINTS {
            errors.push(FieldError::too_many(&list.path, list.len() as i64, MAX_HINTS as i64));
            return;
        }
        let mut seen = std::collections::BTreeSet::new();
        for entry in list.items() {
            let name = entry.get("name");
            if !seen.insert(name.text()) {
                name.duplicate(name.text(), errors);
            }
            name.judge(wrong(name.text()), errors);
        }
    }
}

fn runtime_class(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    if old.is_some() {
        immutable(object, old, &["handler"], errors);
        return;
    }
    root.get("handler").label(errors);
    // Overhead is judged as limits of a container.
    for (name, own) in root.get("overhead").get("podFixed").named("overhead.limits").entries() {
        quantities::container_resource(name, &own, errors);
        quantities::amount(name, &own, errors);
    }
    let scheduling = root.get("scheduling");
    let selector = scheduling.get("nodeSelector");
    super::metadata::labels(selector.value, &selector.path, errors);
    let list = scheduling.get("tolerations");
    super::pod::tolerations(&list.named(format!("{}.tolerations", list.path)), errors);
    let mut seen = Vec::new();
    for own in list.items() {
        let key = ["key", "operator", "value", "effect"].map(|field| own.get(field).text());
        if seen.contains(&key) {
            errors.push(FieldError {
                reason: crate::Reason::Duplicate,
                field: own.path.clone(),
                value: None,
                detail: internal::shown("Toleration", own.value),
            });
        }
        seen.push(key);
    }
}

/// `domain/path`.
pub(super) fn domain_path(own: &At<'_>, errors: &mut Errors) {
    if !own.must(errors) {
        return;
    }
    match own.text().split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) {
        Some((host, path)) => {
            names::dns_subdomains(host).into_iter().for_each(|why| own.invalid_as(host, why, errors));
            let word = |c: char| c.is_ascii_alphanumeric() || "/-_.:~!$&'()*,;=@%".contains(c) || c == '+';
            if !path.chars().all(word) {
                let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
                own.invalid_as(path, detail, errors);
            }
        }
        None => own.invalid("must be a domain-prefixed path (such as \"acme.io/foo\")", errors),
    }
}
