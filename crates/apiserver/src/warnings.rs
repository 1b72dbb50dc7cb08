//! What the server says of objects that it takes: fields that do not do what they seem to.

use std::collections::BTreeMap;

use object::{get, get_i64, get_str};
use serde_json::Value;

use crate::catalog::Resource;

/// Warnings about a new or changed object.
pub fn about(resource: &Resource, value: &Value, live: Option<&Value>, warnings: &mut Vec<String>) {
    if resource.custom.is_some() {
        return;
    }
    if let Some(path) = pod_path(resource) {
        let spec = get(value, &path).unwrap_or(&Value::Null);
        // Pods are as they were made, but for little.
        let news = live.is_none_or(|live| get(live, &path) != Some(spec));
        if news {
            pod(spec, &path.join("."), warnings);
        }
    }
    match &*resource.table {
        "services" => {
            let external = get_str(value, &["spec", "type"]) == Some("ExternalName");
            let named = get_str(value, &["spec", "externalName"]).is_some_and(|name| !name.is_empty());
            if named && !external {
                let text = "spec.externalName is ignored when spec.type is not \"ExternalName\"";
                warnings.push(text.to_owned());
            }
            let owned = get_str(value, &["spec", "loadBalancerIP"]).is_some_and(|own| !own.is_empty());
            if owned && get_str(value, &["spec", "type"]) != Some("LoadBalancer") {
                let text = "spec.loadBalancerIP is ignored when spec.type is not \"LoadBalancer\"";
                warnings.push(text.to_owned());
            }
        }
        "secrets" if get_str(value, &["type"]) == Some("kubernetes.io/tls") => {
            warnings.extend(certificate(value));
        }
        _ => {}
    }
}

/// Where the specification of Pods stands in objects of a kind.
pub fn pod_path(resource: &Resource) -> Option<Vec<&'static str>> {
    match (&*resource.group, &*resource.name) {
        ("", "pods") => Some(vec!["spec"]),
        ("", "podtemplates") => Some(vec!["template", "spec"]),
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets")
        | ("batch", "jobs") => Some(vec!["spec", "template", "spec"]),
        ("batch", "cronjobs") => Some(vec!["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => None,
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    get_str(value, &[field]).unwrap_or_default()
}

/// Labels of nodes that have new names.
const OLD_LABELS: [(&str, &str, &str); 5] = [
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
];

fn pod(spec: &Value, path: &str, warnings: &mut Vec<String>) {
    for (old, since, new) in OLD_LABELS {
        if spec.get("nodeSelector").is_some_and(|selector| selector.get(old).is_some()) {
            warnings
                .push(format!("{path}.nodeSelector[{old}]: deprecated since {since}; use {new:?} instead"));
        }
    }
    let mut seen = Vec::new();
    for (index, alias) in list(spec, "hostAliases").iter().enumerate() {
        let ip = text(alias, "ip");
        if seen.contains(&ip) {
            warnings.push(format!("{path}.hostAliases[{index}].ip: duplicate ip {ip:?}"));
        }
        seen.push(ip);
    }
    for volume in list(spec, "volumes") {
        overlaps(volume, warnings);
    }
    let mut seen = Vec::new();
    for (index, secret) in list(spec, "imagePullSecrets").iter().enumerate() {
        let name = text(secret, "name");
        if name.is_empty() {
            warnings.push(format!("{path}.imagePullSecrets[{index}].name: invalid empty name {name:?}"));
        } else if seen.contains(&name) {
            warnings.push(format!("{path}.imagePullSecrets[{index}].name: duplicate name {name:?}"));
        }
        seen.push(name);
    }
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, field).iter().enumerate() {
            of_container(container, &format!("{path}.{field}[{index}]"), warnings);
        }
    }
    if get_i64(spec, &["terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
        warnings.push(format!(
            "{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ));
    }
}

fn of_container(container: &Value, path: &str, warnings: &mut Vec<String>) {
    for (kind, amounts) in [("limits", "limits"), ("requests", "requests")] {
        let map = get(container, &["resources", amounts]).and_then(Value::as_object);
        for (name, amount) in map.into_iter().flatten() {
            let whole = object::Quantity::from_value(amount).is_ok_and(|own| own.is_integer());
            if matches!(name.as_str(), "memory" | "ephemeral-storage") && !whole {
                let shown = amount.as_str().unwrap_or_default();
                warnings.push(format!("{path}.resources.{kind}[{name}]: fractional byte value {shown:?} is invalid, must be an integer"));
            }
        }
    }
    let ports = list(container, "ports");
    for (index, port) in ports.iter().enumerate() {
        let number = |port: &Value, field: &str| get_i64(port, &[field]).unwrap_or(0);
        let same = |other: &&Value| {
            number(other, "containerPort") == number(port, "containerPort")
                && text(other, "protocol") == text(port, "protocol")
                && number(other, "hostPort") == number(port, "hostPort")
                && text(other, "hostIP") == text(port, "hostIP")
        };
        let before = ports.iter().take(index).position(|other| same(&other));
        if let Some(before) = before.filter(|_| number(port, "hostPort") == 0) {
            warnings.push(format!(
                "{path}.ports[{index}]: duplicate port definition with {path}.ports[{before}]"
            ));
        }
        if !text(port, "hostIP").is_empty() && number(port, "hostPort") == 0 {
            warnings.push(format!(
                "{path}.ports[{index}]: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                text(port, "name"),
                number(port, "containerPort"),
                text(port, "protocol"),
                text(port, "hostIP"),
            ));
        }
    }
    let mut seen: BTreeMap<&str, &Value> = BTreeMap::new();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let name = text(variable, "name");
        if let Some(before) = seen.get(name) {
            // One that refers to what it hides builds on it.
            let built = text(variable, "value").contains(&format!("$({name})"));
            if !built && *before != &Value::Null {
                warnings.push(format!(
                    "{path}.env[{index}]: hides previous definition of {name:?}, which may be dropped when using apply"
                ));
            }
        }
        seen.insert(name, variable);
    }
}

/// Files of one volume that would lie over each other.
fn overlaps(volume: &Value, warnings: &mut Vec<String>) {
    for (field, kind, name) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")] {
        let Some(source) = volume.get(field) else { continue };
        let mut paths: Vec<&str> = list(source, "items").iter().map(|item| text(item, "path")).collect();
        paths.sort_unstable();
        let pairs = paths.iter().zip(paths.iter().skip(1));
        for (one, other) in pairs.filter(|(one, other)| one == other || other.starts_with(&format!("{one}/")))
        {
            warnings.push(format!(
                "volume {:?} ({kind} {:?}): overlapping paths: {other:?} with {one:?}",
                text(volume, "name"),
                text(source, name),
            ));
        }
    }
}

/// What Go's reader says of a certificate that it cannot read at all.
fn certificate(secret: &Value) -> Option<String> {
    use base64::Engine;
    let decode = |key: &str| {
        let own = get_str(secret, &["data", key])?;
        base64::engine::general_purpose::STANDARD.decode(own).ok()
    };
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("-----BEGIN ");
    let (certificate, key) = (decode("tls.crt")?, decode("tls.key")?);
    if !holds(&certificate) {
        return Some("tls: failed to find any PEM data in certificate input".to_owned());
    }
    (!holds(&key)).then(|| "tls: failed to find any PEM data in key input".to_owned())
}
