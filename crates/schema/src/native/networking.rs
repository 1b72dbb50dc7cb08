//! Ingresses, network policies, and addresses of services.

use std::net::IpAddr;

use object::{Value, meta};

use super::at::{At, Errors};
use super::{internal, names, small, validate};
use crate::FieldError;

/// An Ingress.
pub(super) fn ingress(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    let spec = root.get("spec");
    let (rules, default) = (spec.get("rules"), spec.get("defaultBackend"));
    if rules.len() == 0 && !default.some() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        spec.invalid_as(rules.value.clone(), detail, errors);
    }
    if default.some() {
        backend(&default, errors);
    }
    for rule in rules.items() {
        host(&rule.get("host"), errors);
        let http = rule.get("http");
        if http.some() {
            if http.get("paths").len() == 0 {
                http.get("paths").required(errors);
            }
            http.get("paths").items().for_each(|path| http_path(&path, errors));
        }
    }
    for tls in spec.get("tls").items() {
        for own in tls.get("hosts").items() {
            let wild = own.text().contains('*');
            let wrong = if wild { names::wildcard_subdomains } else { names::dns_subdomains };
            own.judge(wrong(own.text()), errors);
        }
        if !tls.get("secretName").text().is_empty() {
            tls.get("secretName").subdomain(errors);
        }
    }
    let class = spec.get("ingressClassName");
    if class.some() {
        class.subdomain(errors);
    }
    const OLD_CLASS: &str = "kubernetes.io/ingress.class";
    let annotated = meta::annotation(object, OLD_CLASS);
    if let Some(annotated) = annotated.filter(|own| old.is_none() && class.some() && *own != class.text()) {
        let path = format!("annotations.{OLD_CLASS}");
        let detail = "must match `ingressClassName` when both are specified";
        errors.push(FieldError::invalid(path, annotated, detail));
    }
}

fn host(own: &At<'_>, errors: &mut Errors) {
    let text = own.text();
    if text.is_empty() {
        return;
    }
    if names::sloppy_ip(text).is_some() {
        own.invalid("must be a DNS name, not an IP address", errors);
    }
    let wrong = if text.contains('*') { names::wildcard_subdomains } else { names::dns_subdomains };
    own.judge(wrong(text), errors);
}

fn http_path(own: &At<'_>, errors: &mut Errors) {
    let (kind, path) = (own.get("pathType"), own.get("path"));
    let relative = !path.text().starts_with('/');
    match kind.value {
        Value::Null => {
            kind.required_because("pathType must be specified", errors);
            return;
        }
        _ if matches!(kind.text(), "Exact" | "Prefix") => {
            if relative {
                path.invalid_as(path.text(), "must be an absolute path", errors);
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if path.text().contains(part) {
                    path.invalid(format!("must not contain '{part}'"), errors);
                }
            }
            for end in ["/..", "/."] {
                if path.text().ends_with(end) {
                    path.invalid(format!("cannot end with '{end}'"), errors);
                }
            }
        }
        _ if kind.text() == "ImplementationSpecific" => {
            if relative && !path.text().is_empty() {
                path.invalid("must be an absolute path", errors);
            }
        }
        _ => kind.one_of(&["Exact", "ImplementationSpecific", "Prefix"], errors),
    }
    backend(&own.get("backend"), errors);
}

fn backend(own: &At<'_>, errors: &mut Errors) {
    let (service, resource) = (own.get("service"), own.get("resource"));
    match (service.some(), resource.some()) {
        (true, true) => own.invalid_as("", "cannot set both resource and service backends", errors),
        (false, true) => typed_reference(&resource, errors),
        (false, false) => own.invalid_as("", "resource or service backend is required", errors),
        (true, false) => {
            let name = service.get("name");
            if name.must(errors) {
                name.judge(names::dns_1035_labels(name.text()), errors);
            }
            let (port, number) = (service.get("port").get("name"), service.get("port").get("number"));
            match (!port.text().is_empty(), number.number() != 0) {
                (true, true) => own.invalid_as("", "cannot set both port name & port number", errors),
                (true, false) => port.judge(names::port_names(port.text()), errors),
                (false, true) => number.port(errors),
                (false, false) => own.required_because("port name or number is required", errors),
            }
        }
    }
}

fn typed_reference(own: &At<'_>, errors: &mut Errors) {
    if own.get("apiGroup").some() {
        own.get("apiGroup").subdomain(errors);
    }
    for field in ["kind", "name"] {
        if own.get(field).must(errors) {
            own.get(field).judge(names::path_segments(own.get(field).text()), errors);
        }
    }
}

/// A class of Ingresses.
pub(super) fn ingress_class(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let controller = spec.get("controller");
    if let Some(old) = old {
        let before = At::new(old, "").get("spec").get("controller");
        if before.text() != controller.text() {
            controller.invalid_as(controller.text(), "field is immutable", errors);
        }
    }
    if controller.text().len() > 250 {
        errors.push(FieldError::too_long(&controller.path, 250));
    }
    small::domain_path(&controller, errors);
    let parameters = spec.get("parameters");
    if !parameters.some() {
        return;
    }
    typed_reference(&parameters, errors);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    if !scope.some() {
        scope.required(errors);
        return;
    }
    scope.one_of(&["Cluster", "Namespace"], errors);
    match scope.text() {
        "Namespace" if !namespace.some() => {
            namespace.required_because("`parameters.scope` is set to 'Namespace'", errors);
        }
        "Namespace" => namespace.label(errors),
        "Cluster" if namespace.some() => {
            namespace.forbidden("`parameters.scope` is set to 'Cluster'", errors);
        }
        _ => {}
    }
}

/// A network policy.
pub(super) fn policy(object: &Value, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let pods = spec.get("podSelector");
    validate::selector(pods.value, &pods.path, errors);
    for (field, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(field).items() {
            rule.get("ports").items().for_each(|port| policy_port(&port, errors));
            rule.get(peers).items().for_each(|peer| policy_peer(&peer, errors));
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        types.invalid("may not specify more than two policyTypes", errors);
        return;
    }
    types.items().for_each(|own| own.one_of(&["Ingress", "Egress"], errors));
}

fn policy_port(own: &At<'_>, errors: &mut Errors) {
    own.get("protocol").may_be_one_of(&["TCP", "UDP", "SCTP"], errors);
    let (port, end) = (own.get("port"), own.get("endPort"));
    match port.value {
        Value::Null => {
            if end.some() {
                end.invalid("may not be specified when `port` is not specified", errors);
            }
        }
        Value::String(name) => {
            if end.some() {
                end.invalid("may not be specified when `port` is non-numeric", errors);
            }
            port.judge(names::port_names(name), errors);
        }
        _ => {
            port.port(errors);
            if end.some() {
                if end.number() < port.number() {
                    end.invalid_as(port.number(), "must be greater than or equal to `port`", errors);
                }
                end.port(errors);
            }
        }
    }
}

fn policy_peer(own: &At<'_>, errors: &mut Errors) {
    let mut count = 0;
    for field in ["podSelector", "namespaceSelector"] {
        let selector = own.get(field);
        if selector.some() {
            count += 1;
            validate::selector(selector.value, &selector.path, errors);
        }
    }
    let block = own.get("ipBlock");
    if block.some() {
        count += 1;
        ip_block(&block, errors);
    }
    if count == 0 {
        own.required_because("must specify a peer", errors);
    } else if count > 1 && block.some() {
        own.forbidden("may not specify both ipBlock and another peer", errors);
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(own) => (u128::from(u32::from(own)), 32),
        IpAddr::V6(own) => (u128::from(own), 128),
    }
}

/// The first `length` bits of an address.
fn prefix(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = bits(address);
    bits.checked_shr(width.saturating_sub(u32::from(length))).unwrap_or(0)
}

fn ip_block(own: &At<'_>, errors: &mut Errors) {
    let whole = own.get("cidr");
    if !whole.must(errors) {
        return;
    }
    whole.cidr(errors);
    let Some((address, length)) = names::sloppy_cidr(whole.text()) else { return };
    for part in own.get("except").items() {
        part.cidr(errors);
        let Some((inner, inner_length)) = names::sloppy_cidr(part.text()) else { continue };
        let inside = address.is_ipv4() == inner.is_ipv4()
            && prefix(address, length) == prefix(inner, length)
            && length < inner_length;
        if !inside {
            part.invalid("must be a strict subset of `cidr`", errors);
        }
    }
}

/// An address in use.
pub(super) fn address(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let parent = At::new(object, "").get("spec").get("parentRef");
    if let Some(old) = old {
        let before = At::new(old, "").get("spec").get("parentRef");
        if before.value != parent.value {
            let shown = match parent.some() {
                true => internal::shown("networking.ParentReference", parent.value),
                false => "null".to_owned(),
            };
            errors.push(FieldError::invalid_shown(&parent.path, &shown, "field is immutable"));
        }
        return;
    }
    if !parent.some() {
        parent.required(errors);
        return;
    }
    if !parent.get("group").text().is_empty() {
        parent.get("group").subdomain(errors);
    }
    for field in ["resource", "name"] {
        if parent.get(field).must(errors) {
            parent.get(field).judge(names::path_segments(parent.get(field).text()), errors);
        }
    }
    if !parent.get("namespace").text().is_empty() {
        let namespace = parent.get("namespace");
        namespace.judge(names::path_segments(namespace.text()), errors);
    }
}

/// A range of addresses for services.
pub(super) fn service_range(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let list = At::new(object, "").get("spec").get("cidrs");
    let Some(old) = old else { return ranges(&list, errors) };
    let before = At::new(old, "").get("spec").get("cidrs").texts();
    let now = list.texts();
    match (before.len(), now.len()) {
        (a, b) if a == b => {
            for (own, old) in list.items().zip(&before).filter(|(own, old)| own.text() != **old) {
                own.invalid("field is immutable", errors);
                let _ = old;
            }
        }
        (1, 2) => {
            if now.first() != before.first()
                && let Some(first) = list.items().next()
            {
                first.invalid("field is immutable", errors);
            }
            ranges(&list, errors);
        }
        _ => list.invalid("field is immutable", errors),
    }
}

fn ranges(list: &At<'_>, errors: &mut Errors) {
    match list.len() {
        0 => return list.required_because("at least one CIDR required", errors),
        1 | 2 => {}
        _ => {
            let shown = format!("{{\"CIDRs\":{}}}", list.value);
            errors.push(FieldError::invalid_shown(&list.path, &shown, "may only hold up to 2 values"));
            return;
        }
    }
    let mut families = Vec::new();
    for own in list.items() {
        own.cidr(errors);
        let Some((address, length)) = names::sloppy_cidr(own.text()) else { continue };
        families.push(address.is_ipv4());
        let (all, width) = bits(address);
        let shift = width.saturating_sub(u32::from(length));
        let masked = prefix(address, length).checked_shl(shift).unwrap_or(0);
        let network = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(masked).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(masked.into()),
        };
        let canonical = format!("{network}/{length}");
        if masked != all {
            own.invalid("must not have bits set beyond the prefix length", errors);
        } else if own.text() != canonical {
            own.invalid(format!("must be in canonical form ({canonical:?})"), errors);
        }
    }
    if let [a, b] = families.as_slice()
        && a == b
    {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        list.invalid(detail, errors);
    }
}
