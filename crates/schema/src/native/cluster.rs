//! What clusters and namespaces are made of: nodes, limits, quotas, secrets and configuration, endpoints.

use std::collections::BTreeSet;

use object::{Quantity, Value, meta};

use super::at::{At, Errors};
use super::{internal, names, pod, quantities, service};
use crate::{FieldError, Reason};

/// Largest size of the data of a ConfigMap or Secret.
const MAX_DATA: usize = 1024 * 1024;
const FROZEN: &str = "field is immutable when `immutable` is set";

/// A node.
pub(super) fn node(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    let spec = root.get("spec");
    // Messages look for taints among the metadata.
    let taints = spec.get("taints").named("metadata.taints");
    if old.is_none() {
        pod::taints(&taints, errors);
    }
    for field in ["capacity", "allocatable"] {
        for (name, own) in root.get("status").get(field).entries() {
            quantities::amount(name, &own.named(format!("status.{field}.{name}")), errors);
        }
    }
    let ranges = spec.get("podCIDRs");
    let Some(old) = old else {
        ranges.items().for_each(|range| range.cidr(errors));
        let families: BTreeSet<bool> = ranges.texts().iter().map(|text| text.contains(':')).collect();
        if ranges.len() > 1 && families.len() < ranges.len() {
            ranges.invalid("may specify no more than one CIDR for each IP family", errors);
        }
        return;
    };
    let mut seen = Vec::new();
    for address in root.get("status").get("addresses").items() {
        if seen.contains(&address.value) {
            errors.push(FieldError {
                reason: Reason::Duplicate,
                field: address.path.clone(),
                value: None,
                detail: internal::shown("NodeAddress", address.value),
            });
        }
        seen.push(address.value);
    }
    let before = At::new(old, "").get("spec");
    let (now, then) = (ranges.texts(), before.get("podCIDRs").texts());
    if !then.is_empty() {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        let changed = then.iter().zip(&now).filter(|(a, b)| a != b).count();
        for _ in 0..if now.len() == then.len() { changed } else { 1 } {
            ranges.forbidden(detail, errors);
        }
    }
    let provider = spec.get("providerID");
    let earlier = before.get("providerID").text();
    if !earlier.is_empty() && earlier != provider.text() {
        let detail = "node updates may not change providerID except from \"\" to valid";
        provider.forbidden(detail, errors);
    }
    pod::taints(&taints, errors);
}

/// Limits of a namespace.
pub(super) fn limits(object: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for limit in At::new(object, "").get("spec").get("limits").items() {
        let kind = limit.get("type");
        let wrong = names::qualified_names(kind.text());
        if !wrong.is_empty() {
            kind.judge(wrong, errors);
        } else if !kind.text().contains('/')
            && !matches!(kind.text(), "Pod" | "Container" | "PersistentVolumeClaim")
        {
            kind.invalid("must be a standard limit type or fully qualified", errors);
        }
        if !seen.insert(kind.text()) {
            kind.duplicate(kind.text(), errors);
        }
        limit_amounts(&limit, kind.text(), errors);
    }
}

fn limit_amounts(limit: &At<'_>, kind: &str, errors: &mut Errors) {
    let mut all: BTreeSet<&str> = BTreeSet::new();
    for field in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let own = limit.get(field);
        if kind == "Pod" && matches!(field, "default" | "defaultRequest") {
            if own.len() > 0 {
                own.forbidden("may not be specified when `type` is 'Pod'", errors);
            }
            continue;
        }
        if field == "maxLimitRequestRatio" && kind == "PersistentVolumeClaim" {
            let bounded = ["min", "max"].iter().any(|field| limit.get(field).get("storage").some());
            if !bounded {
                let detail = "either minimum or maximum storage value is required, but neither was provided";
                limit.get("limits").required_because(detail, errors);
            }
        }
        for (name, entry) in own.entries() {
            match kind {
                "Pod" | "Container" => quantities::container_resource(name, &entry, errors),
                _ => {
                    quantities::resource(name, &entry, errors);
                }
            }
            all.insert(name);
        }
    }
    for name in all {
        compare(limit, kind, name, errors);
    }
}

/// Whether the bounds and defaults of one resource fit together.
fn compare(limit: &At<'_>, kind: &str, name: &str, errors: &mut Errors) {
    let own = |field: &str| {
        let hidden = kind == "Pod" && matches!(field, "default" | "defaultRequest");
        let quantity = limit.get(field).get(name).quantity();
        quantity.filter(|_| !hidden)
    };
    let (min, max) = (own("min"), own("max"));
    let (default, request, ratio) = (own("default"), own("defaultRequest"), own("maxLimitRequestRatio"));
    let mut say = |field: &str, shown: &Quantity, detail: String| {
        let path = format!("{}.{field}[{name}]", limit.path);
        errors.push(FieldError::invalid(path, shown.to_string(), detail));
    };
    let over = |a: &Option<Quantity>, b: &Option<Quantity>| match (a, b) {
        (Some(a), Some(b)) if a > b => Some((*a, *b)),
        _ => None,
    };
    if let Some((a, b)) = over(&min, &max) {
        say("min", &a, format!("min value {a} is greater than max value {b}"));
    }
    if let Some((a, b)) = over(&min, &request) {
        say("defaultRequest", &b, format!("min value {a} is greater than default request value {b}"));
    }
    if let Some((a, b)) = over(&request, &max) {
        say("defaultRequest", &a, format!("default request value {a} is greater than max value {b}"));
    }
    if let Some((a, b)) = over(&request, &default) {
        say(
            "defaultRequest",
            &a,
            format!("default request value {a} is greater than default limit value {b}"),
        );
    }
    if let Some((a, b)) = over(&min, &default) {
        say("default", &a, format!("min value {a} is greater than default value {b}"));
    }
    if let Some((a, b)) = over(&default, &max) {
        say("default", &b, format!("default value {a} is greater than max value {b}"));
    }
    if let Some(ratio) = &ratio {
        if *ratio < Quantity::whole(1) {
            say("maxLimitRequestRatio", ratio, format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = (&min, &max) {
            let most = max.milli_value() as f64 / min.milli_value() as f64;
            if ratio.milli_value() as f64 / 1000.0 > most {
                say(
                    "maxLimitRequestRatio",
                    ratio,
                    format!("ratio {ratio} is greater than max/min = {most:.6}"),
                );
            }
        }
    }
    if let (Some(default), Some(request)) = (&default, &request)
        && !quantities::may_overcommit(name)
        && default != request
    {
        let detail =
            format!("default value {default} must equal to defaultRequest value {request} in {name}");
        say("defaultRequest", request, detail);
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// A quota.
pub(super) fn quota(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let spec = At::new(object, "").get("spec");
    let hard = spec.get("hard");
    for (name, own) in hard.entries() {
        quantities::resource(name, &own, errors);
        if !name.contains('/') && !quantities::is_standard(name) {
            own.invalid_as(name, "must be a standard resource for quota", errors);
        }
        quantities::amount(name, &own, errors);
    }
    let names: Vec<&str> = hard.entries().map(|(name, _)| name).collect();
    let scopes = spec.get("scopes");
    for scope in scopes.texts() {
        if !SCOPES.contains(&scope) {
            scopes.invalid("unsupported scope", errors);
        }
        for _ in names.iter().filter(|name| quantities::is_standard(name) && !fits(scope, name)) {
            scopes.invalid("unsupported scope applied to resource", errors);
        }
    }
    conflicts(&scopes.texts(), &scopes, errors);
    scope_selector(&spec, &names, errors);
    if let Some(old) = old {
        let before: BTreeSet<&str> = At::new(old, "").get("spec").get("scopes").texts().into_iter().collect();
        let now: BTreeSet<&str> = scopes.texts().into_iter().collect();
        if before != now {
            scopes.invalid("field is immutable", errors);
        }
    }
}

/// Whether a resource can be counted within a scope.
fn fits(scope: &str, name: &str) -> bool {
    match scope {
        "BestEffort" => name == "pods",
        "VolumeAttributesClass" => {
            matches!(name, "persistentvolumeclaims" | "requests.storage")
        }
        _ => matches!(
            name,
            "pods" | "cpu" | "memory" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory"
        ),
    }
}

fn conflicts(given: &[&str], shown: &At<'_>, errors: &mut Errors) {
    for pair in [["BestEffort", "NotBestEffort"], ["NotTerminating", "Terminating"]] {
        if pair.iter().all(|scope| given.contains(scope)) {
            shown.invalid("conflicting scopes", errors);
        }
    }
}

fn scope_selector(spec: &At<'_>, names: &[&str], errors: &mut Errors) {
    let own = spec.get("scopeSelector");
    let list = own.get("matchExpressions");
    let mut given = Vec::new();
    for entry in list.items() {
        let (scope, operator, values) = (entry.get("scopeName"), entry.get("operator"), entry.get("values"));
        // Messages name the list.
        let (at_scope, at_operator) =
            (scope.named(list.child("scopeName")), operator.named(list.child("operator")));
        if !SCOPES.contains(&scope.text()) {
            at_scope.invalid("unsupported scope", errors);
        }
        for _ in names.iter().filter(|name| quantities::is_standard(name) && !fits(scope.text(), name)) {
            let shown = internal::shown("ScopeSelector", own.value);
            let detail = "unsupported scope applied to resource";
            errors.push(FieldError::invalid_shown(&list.path, &shown, detail));
        }
        let plain = SCOPES.contains(&scope.text())
            && !matches!(scope.text(), "PriorityClass" | "VolumeAttributesClass");
        if plain && operator.text() != "Exists" {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            at_operator.invalid(detail, errors);
        }
        match operator.text() {
            "In" | "NotIn" => {
                if values.len() == 0 {
                    let detail =
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    values.named(list.child("values")).required_because(detail, errors);
                }
            }
            "Exists" | "DoesNotExist" => {
                if values.len() > 0 {
                    let detail =
                        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                    values.named(list.child("values")).invalid(detail, errors);
                }
            }
            _ => at_operator.invalid("not a valid selector operator", errors),
        }
        given.push(scope.text());
    }
    conflicts(&given, &spec.get("scopes").named(list.child("scopes")), errors);
}

/// A Secret.
pub(super) fn secret(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    let kind = root.get("type");
    if let Some(old) = old {
        let before = At::new(old, "");
        if kind.text() != before.get("type").text() {
            kind.invalid_as(kind.text(), "field is immutable", errors);
        }
        frozen(&root, &before, &["data"], errors);
    }
    let data = root.get("data");
    let mut size = 0;
    for (key, own) in data.entries() {
        names::config_keys(key).into_iter().for_each(|why| own.invalid_as(key, why, errors));
        size += decoded(own.text());
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long(&data.path, MAX_DATA as i64));
    }
    let need = |key: &str, errors: &mut Errors| {
        let there = data.value.get(key).is_some();
        if !there {
            errors.push(FieldError::required(format!("{}[{key}]", data.path), ""));
        }
        there
    };
    match kind.text() {
        "kubernetes.io/service-account-token" => {
            const NAME: &str = "kubernetes.io/service-account.name";
            if meta::annotation(object, NAME).is_none_or(str::is_empty) {
                errors.push(FieldError::required(format!("metadata.annotations[{NAME}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" | "kubernetes.io/dockerconfigjson" => {
            let key = if kind.text().ends_with("json") { ".dockerconfigjson" } else { ".dockercfg" };
            if need(key, errors) {
                docker(&data.get(key), &format!("{}[{key}]", data.path), errors);
            }
        }
        "kubernetes.io/basic-auth"
            if data.value.get("username").is_none() && data.value.get("password").is_none() =>
        {
            need("username", errors);
            need("password", errors);
        }
        "kubernetes.io/ssh-auth" => {
            let key = "ssh-privatekey";
            if need(key, errors) && data.get(key).text().is_empty() {
                errors.push(FieldError::required(format!("{}[{key}]", data.path), ""));
            }
        }
        "kubernetes.io/tls" => {
            need("tls.crt", errors);
            need("tls.key", errors);
        }
        _ => {}
    }
}

/// The length of what base64 stands for.
fn decoded(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// Credentials for registries are a JSON object.
fn docker(own: &At<'_>, path: &str, errors: &mut Errors) {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(own.text()).unwrap_or_default();
    let why = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(other) => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(_) => crate::gojson::problem(&bytes).unwrap_or_default(),
    };
    errors.push(FieldError::invalid(path, "<secret contents redacted>", why));
}

fn frozen(root: &At<'_>, before: &At<'_>, fields: &[&str], errors: &mut Errors) {
    if !before.get("immutable").yes() {
        return;
    }
    if !root.get("immutable").yes() {
        root.get("immutable").forbidden(FROZEN, errors);
    }
    for field in fields {
        if root.get(field).value != before.get(field).value {
            root.get(field).forbidden(FROZEN, errors);
        }
    }
}

/// A ConfigMap.
pub(super) fn config_map(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    if let Some(old) = old {
        frozen(&root, &At::new(old, ""), &["data", "binaryData"], errors);
    }
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, own) in root.get(field).entries() {
            names::config_keys(key).into_iter().for_each(|why| own.invalid_as(key, why, errors));
            if field == "data" && root.get("binaryData").value.get(key).is_some() {
                own.invalid_as(key, "duplicate of key present in binaryData", errors);
            }
            size += if field == "data" { own.text().len() } else { decoded(own.text()) };
        }
    }
    if size > MAX_DATA {
        errors.push(FieldError::too_long("", MAX_DATA as i64));
    }
}

/// Endpoints.
pub(super) fn endpoints(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let subsets = At::new(object, "").get("subsets");
    if old.is_some_and(|old| old.get("subsets") == object.get("subsets")) {
        return;
    }
    for subset in subsets.items() {
        let (ready, waiting) = (subset.get("addresses"), subset.get("notReadyAddresses"));
        if ready.len() == 0 && waiting.len() == 0 {
            subset.required_because("must specify `addresses` or `notReadyAddresses`", errors);
        }
        for address in ready.items().chain(waiting.items()) {
            let ip = address.get("ip");
            ip.address(errors);
            if !address.get("hostname").text().is_empty() {
                address.get("hostname").label(errors);
            }
            if address.get("nodeName").some() {
                address.get("nodeName").subdomain(errors);
            }
            service::usable(&ip, errors);
        }
        let ports = subset.get("ports");
        for port in ports.items() {
            let name = port.get("name");
            if !name.text().is_empty() {
                name.label(errors);
            } else if ports.len() > 1 {
                name.required(errors);
            }
            port.get("port").port(errors);
            port.get("protocol").must_be_one_of(&["SCTP", "TCP", "UDP"], errors);
            if port.get("appProtocol").some() {
                port.get("appProtocol").qualified(errors);
            }
        }
    }
}
