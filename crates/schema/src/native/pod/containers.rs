//! Containers of a Pod: what they are, where they get their environment, what they mount.

use std::collections::{BTreeMap, BTreeSet};

use object::Value;

use super::super::at::{At, Errors};
use super::super::names;
use super::{probes, resources, security, volumes};
use crate::FieldError;

/// Fields of a Pod that a variable may hold.
pub(super) const VARIABLE_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields of a Pod that a file may hold.
pub(super) const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Fields of a Pod that can be read at all.
const FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const DIVISORS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// What containers of one Pod share.
pub(super) struct Around<'a> {
    /// The Pod's specification.
    pub(super) spec: &'a At<'a>,
    /// Its volumes that are right.
    pub(super) volumes: &'a BTreeMap<&'a str, &'a Value>,
}

impl Around<'_> {
    fn system(&self) -> Option<&str> {
        let os = self.spec.get("os");
        os.some().then(|| os.get("name").text())
    }
}

/// All containers of a Pod.
pub(super) fn all(around: &Around<'_>, errors: &mut Errors) {
    let spec = around.spec;
    regular(around, &spec.get("containers"), errors);
    initial(around, &spec.get("initContainers"), errors);
    ephemeral(around, &spec.get("ephemeralContainers"), errors);
}

fn regular(around: &Around<'_>, list: &At<'_>, errors: &mut Errors) {
    if list.len() == 0 {
        list.required(errors);
        return;
    }
    let mut seen = BTreeSet::new();
    for own in list.items() {
        common(around, &own, errors);
        unique(&own.get("name"), &mut seen, errors);
        running(around, &own, errors);
        if own.get("restartPolicy").some() {
            own.get("restartPolicy").forbidden("may not be set for non-init containers", errors);
        }
    }
    host_ports(list.items(), errors);
}

fn unique<'a>(name: &At<'a>, seen: &mut BTreeSet<&'a str>, errors: &mut Errors) {
    if !seen.insert(name.text()) {
        name.duplicate(name.text(), errors);
    }
}

/// What only holds for containers that go on running.
fn running(around: &Around<'_>, own: &At<'_>, errors: &mut Errors) {
    let grace = around.spec.get("terminationGracePeriodSeconds").int();
    probes::lifecycle(&own.get("lifecycle"), grace, around.system(), errors);
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        probes::probe(field, &own.get(field), grace, errors);
    }
}

fn initial(around: &Around<'_>, list: &At<'_>, errors: &mut Errors) {
    let regular: Vec<At<'_>> = around.spec.get("containers").items().collect();
    let mut seen: BTreeSet<&str> = regular.iter().map(|own| own.get("name").text()).collect();
    for own in list.items() {
        common(around, &own, errors);
        let policy = own.get("restartPolicy");
        policy.may_be_one_of(&["Always"], errors);
        let name = own.get("name");
        if seen.contains(name.text()) {
            name.duplicate(name.text(), errors);
        } else if !name.text().is_empty() {
            seen.insert(name.text());
        }
        let field = own.path.rsplit_once('[').map_or("", |(field, _)| field);
        host_ports(std::iter::once(own.named(format!("{field}[0]"))), errors);
        if policy.text() == "Always" {
            running(around, &own, errors);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if own.get(field).some() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                own.get(field).forbidden(detail, errors);
            }
        }
    }
}

fn ephemeral(around: &Around<'_>, list: &At<'_>, errors: &mut Errors) {
    const REFUSED: &str = "cannot be set for an Ephemeral Container";
    const UNFIT: [&str; 7] = [
        "ports",
        "resources",
        "resizePolicy",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle",
    ];
    let others: Vec<At<'_>> =
        around.spec.get("containers").items().chain(around.spec.get("initContainers").items()).collect();
    let others: BTreeSet<&str> = others.iter().map(|own| own.get("name").text()).collect();
    let mut seen = others.clone();
    for own in list.items() {
        common(around, &own, errors);
        padded_image(&own, errors);
        unique(&own.get("name"), &mut seen, errors);
        let target = own.get("targetContainerName");
        if !target.text().is_empty() && !others.contains(target.text()) {
            target.not_found("", errors);
        }
        for field in UNFIT {
            if own.get(field).len() > 0 {
                own.get(field).forbidden(REFUSED, errors);
            }
        }
        for mount in own.get("volumeMounts").items() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.get(field).text().is_empty() {
                    mount.get(field).forbidden(REFUSED, errors);
                }
            }
        }
    }
}

fn common(around: &Around<'_>, own: &At<'_>, errors: &mut Errors) {
    let name = own.get("name");
    if name.must(errors) {
        name.label(errors);
    }
    own.get("image").must(errors);
    own.get("terminationMessagePolicy").must_be_one_of(&["File", "FallbackToLogsOnError"], errors);
    ports(&own.get("ports"), errors);
    environment(own, errors);
    mounts(around, own, errors);
    devices(around, own, errors);
    pull_policy(&own.get("imagePullPolicy"), errors);
    resources::of_container(&own.get("resources"), &around.spec.get("resourceClaims"), errors);
    resize_policy(&own.get("resizePolicy"), around.spec.get("restartPolicy").text(), errors);
    let host_users = !matches!(around.spec.get("hostUsers").value, Value::Bool(false));
    security::of_container(&own.get("securityContext"), host_users, errors);
}

/// What Pods ask of images, and what makes Pods does not.
pub(super) fn padded_image(own: &At<'_>, errors: &mut Errors) {
    let image = own.get("image");
    if image.text().trim() != image.text() {
        image.invalid("must not have leading or trailing whitespace", errors);
    }
}

/// When an image is pulled.
pub(super) fn pull_policy(policy: &At<'_>, errors: &mut Errors) {
    policy.must_be_one_of(&["Always", "IfNotPresent", "Never"], errors);
}

fn ports(list: &At<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for port in list.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let wrong = names::port_names(name.text());
            if !wrong.is_empty() {
                name.judge(wrong, errors);
            } else if !seen.insert(name.text()) {
                name.duplicate(name.text(), errors);
            }
        }
        let number = port.get("containerPort");
        match number.number() {
            0 => number.required(errors),
            _ => number.port(errors),
        }
        if port.get("hostPort").number() != 0 {
            port.get("hostPort").port(errors);
        }
        port.get("protocol").must_be_one_of(&["SCTP", "TCP", "UDP"], errors);
    }
}

fn host_ports<'a>(containers: impl Iterator<Item = At<'a>>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for own in containers {
        for port in own.get("ports").items() {
            let host = port.get("hostPort");
            if host.number() == 0 {
                continue;
            }
            let key =
                format!("{}/{}/{}", port.get("protocol").text(), port.get("hostIP").text(), host.number());
            if !seen.insert(key.clone()) {
                host.duplicate(key, errors);
            }
        }
    }
}

fn environment(own: &At<'_>, errors: &mut Errors) {
    for entry in own.get("env").items() {
        let name = entry.get("name");
        if name.must(errors) {
            name.judge(names::environment_names(name.text()), errors);
        }
        value_from(&entry, errors);
    }
    let list = own.get("envFrom");
    for entry in list.items() {
        let prefix = entry.get("prefix");
        if !prefix.text().is_empty() {
            prefix.judge(names::environment_names(prefix.text()), errors);
        }
        let mut count = 0;
        for field in ["configMapRef", "secretRef"] {
            if entry.get(field).some() {
                count += 1;
                let name = entry.get(field).get("name");
                if name.must(errors) {
                    let checked = names::dns_subdomains(name.text().trim_end_matches('-'));
                    name.judge(checked, errors);
                }
            }
        }
        match count {
            0 => list.invalid_as("", "must specify one of: `configMapRef` or `secretRef`", errors),
            1 => {}
            _ => list.invalid_as("", "may not have more than one field specified at a time", errors),
        }
    }
}

fn value_from(entry: &At<'_>, errors: &mut Errors) {
    let from = entry.get("valueFrom");
    if !from.some() {
        return;
    }
    let mut count = 0;
    if from.get("fieldRef").some() {
        count += 1;
        field_reference(&from.get("fieldRef"), &VARIABLE_FIELDS, errors);
    }
    if from.get("resourceFieldRef").some() {
        count += 1;
        resource_reference(&from.get("resourceFieldRef"), false, errors);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        let own = from.get(field);
        if own.some() {
            count += 1;
            own.get("name").subdomain(errors);
            if own.get("key").must(errors) {
                own.get("key").judge(names::config_keys(own.get("key").text()), errors);
            }
        }
    }
    if count == 0 {
        let detail =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        from.invalid_as("", detail, errors);
    } else if !entry.get("value").text().is_empty() {
        from.invalid_as("", "may not be specified when `value` is not empty", errors);
    } else if count > 1 {
        from.invalid_as("", "may not have more than one field specified at a time", errors);
    }
}

/// A field of the Pod itself.
pub(super) fn field_reference(own: &At<'_>, known: &[&str], errors: &mut Errors) {
    let (version, path) = (own.get("apiVersion"), own.get("fieldPath"));
    if !version.must(errors) || !path.must(errors) {
        return;
    }
    let text = path.text();
    let subscripted = text.strip_suffix("']").and_then(|rest| rest.split_once("['"));
    let problem = match (version.text(), subscripted) {
        ("v1", Some((base, _))) => {
            let fits = matches!(base, "metadata.annotations" | "metadata.labels");
            (!fits).then(|| format!("field label does not support subscript: {text}"))
        }
        ("v1", None) => {
            let fits = FIELDS.contains(&text) || text == "spec.host";
            (!fits).then(|| format!("field label not supported: {text}"))
        }
        (other, _) => Some(format!("unsupported pod version: {other}")),
    };
    if let Some(problem) = problem {
        path.invalid(format!("error converting fieldPath: {problem}"), errors);
        return;
    }
    match subscripted {
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            names::qualified_names(&key)
                .into_iter()
                .for_each(|why| own.invalid_as(key.as_str(), why, errors));
        }
        Some((_, key)) => {
            names::qualified_names(key).into_iter().for_each(|why| own.invalid_as(key, why, errors));
        }
        None => {
            let text = if text == "spec.host" { "spec.nodeName" } else { text };
            if !known.contains(&text) {
                errors.push(FieldError::not_supported(&path.path, text, known));
            }
        }
    }
}

/// What a container may use, or asks for.
pub(super) fn resource_reference(own: &At<'_>, volume: bool, errors: &mut Errors) {
    let resource = own.get("resource");
    let huge = |name: &str| name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if volume && own.get("containerName").text().is_empty() {
        own.get("containerName").required(errors);
    } else if resource.must(errors) && !RESOURCES.contains(&resource.text()) && !huge(resource.text()) {
        resource.one_of(&RESOURCES, errors);
    }
    let divisor = own.get("divisor");
    let shown = divisor.text();
    if matches!(shown, "" | "0") {
        return;
    }
    let (fits, what) = match resource.text() {
        "limits.cpu" | "requests.cpu" => {
            if !matches!(shown, "1m" | "1") {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                divisor.invalid_as(resource.text(), detail, errors);
            }
            return;
        }
        "limits.memory" | "requests.memory" => (DIVISORS.contains(&shown), "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => {
            (DIVISORS.contains(&shown), "local ephemeral storage")
        }
        name if huge(name) => (DIVISORS.contains(&shown), "hugepages"),
        _ => return,
    };
    if !fits {
        let detail =
            format!("only divisor's values {} are supported with the {what} resource", DIVISORS.join(", "));
        divisor.invalid_as(resource.text(), detail, errors);
    }
}

fn mounts(around: &Around<'_>, own: &At<'_>, errors: &mut Errors) {
    let list = own.get("volumeMounts");
    let devices: Vec<At<'_>> = own.get("volumeDevices").items().collect();
    let mut points = BTreeSet::new();
    for mount in list.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        name.must(errors);
        if !around.volumes.contains_key(name.text()) {
            name.named(&name.path).not_found("", errors);
        }
        path.must(errors);
        if !points.insert(path.text()) {
            path.invalid_as(path.text(), "must be unique", errors);
        }
        if devices.iter().any(|device| device.get("name").text() == name.text()) {
            name.invalid("must not already exist in volumeDevices", errors);
        }
        if devices.iter().any(|device| device.get("devicePath").text() == path.text()) {
            path.invalid("must not already exist as a path in volumeDevices", errors);
        }
        let (sub, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
        // Messages about these name the list.
        if !sub.text().is_empty() {
            volumes::descending(&sub.named(list.child("subPath")), errors);
        }
        if !expression.text().is_empty() {
            if !sub.text().is_empty() {
                expression.invalid("subPathExpr and subPath are mutually exclusive", errors);
            }
            volumes::descending(&expression.named(list.child("subPathExpr")), errors);
        }
        propagation(&mount, own, &list, errors);
    }
}

fn propagation(mount: &At<'_>, own: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let mode = mount.get("mountPropagation").named(list.child("mountPropagation"));
    mode.may_be_one_of(&["Bidirectional", "HostToContainer", "None"], errors);
    if mode.text() == "Bidirectional" && !own.get("securityContext").get("privileged").yes() {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        mode.forbidden(detail, errors);
    }
    let recursive = mount.get("recursiveReadOnly").named(list.child("recursiveReadOnly"));
    match recursive.text() {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").yes() {
                recursive.forbidden("may only be specified when readOnly is true", errors);
            }
            if !matches!(mode.text(), "" | "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                recursive.forbidden(detail, errors);
            }
        }
        _ => recursive.may_be_one_of(&["Disabled", "Enabled", "IfPossible"], errors),
    }
}

fn devices(around: &Around<'_>, own: &At<'_>, errors: &mut Errors) {
    let mounts: Vec<At<'_>> = own.get("volumeMounts").items().collect();
    let (mut seen_names, mut seen_paths) = (BTreeSet::new(), BTreeSet::new());
    for device in own.get("volumeDevices").items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        let volume = around.volumes.get(name.text());
        name.must(errors);
        if seen_names.contains(name.text()) {
            name.invalid("must be unique", errors);
        }
        match volume {
            Some(volume) if volume.get("persistentVolumeClaim").or(volume.get("ephemeral")).is_none() => {
                let detail =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                name.invalid(detail, errors);
            }
            Some(_) => {}
            None => name.not_found("", errors),
        }
        path.must(errors);
        if seen_paths.contains(path.text()) {
            path.invalid("must be unique", errors);
        }
        if path.text().split('/').any(|part| part == "..") {
            path.invalid("can not contain backsteps ('..')", errors);
        } else {
            seen_paths.insert(path.text());
        }
        if mounts.iter().any(|mount| mount.get("name").text() == name.text()) {
            name.invalid("must not already exist in volumeMounts", errors);
        }
        if mounts.iter().any(|mount| mount.get("mountPath").text() == path.text()) {
            path.invalid("must not already exist as a path in volumeMounts", errors);
        }
        if !name.text().is_empty() {
            seen_names.insert(name.text());
        }
    }
}

fn resize_policy(list: &At<'_>, restart: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for entry in list.items() {
        let (resource, policy) = (entry.get("resourceName"), entry.get("restartPolicy"));
        if !seen.insert(resource.text()) {
            entry.duplicate(resource.text(), errors);
        }
        resource.named(&list.path).must_be_one_of(&["cpu", "memory"], errors);
        policy.named(&list.path).must_be_one_of(&["NotRequired", "RestartContainer"], errors);
        if restart == "Never" && policy.text() != "NotRequired" {
            let detail = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            policy.named(&list.path).invalid_as(policy.text(), detail, errors);
        }
    }
}
