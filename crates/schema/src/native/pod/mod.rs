//! Pods, and the templates that they are made from.

mod containers;
mod placement;
mod probes;
pub(super) mod resize;
mod resources;
mod security;
mod volumes;

pub(super) use placement::{node_selector, taints, tolerations};
pub(super) use volumes::{common_source, iscsi, no_backsteps};

use object::{Value, meta};

use super::at::{At, Errors};
use super::{internal, metadata, names};
use crate::FieldError;

/// A Pod.
pub(super) fn validate(object: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::new(object, "");
    let own = root.get("spec");
    let name = meta::name(object);
    spec(&own, name, errors);
    if own.get("serviceAccountName").text().is_empty() {
        for source in
            own.get("volumes").items().flat_map(|volume| volume.get("projected").get("sources").items())
        {
            let token = source.get("serviceAccountToken");
            if token.some() {
                token.forbidden("must not be specified when serviceAccountName is not set", errors);
            }
        }
    }
    for field in ["containers", "initContainers"] {
        own.get(field).items().for_each(|one| containers::padded_image(&one, errors));
    }
    match old {
        Some(old) => update(&own, old.get("spec").unwrap_or(&Value::Null), errors),
        None => {
            let ephemeral = own.get("ephemeralContainers");
            if ephemeral.len() > 0 {
                ephemeral.forbidden("cannot be set on create", errors);
            }
            if !own.get("nodeName").text().is_empty() && own.get("schedulingGates").len() > 0 {
                let detail = "cannot be set until all schedulingGates have been cleared";
                own.get("nodeName").forbidden(detail, errors);
            }
        }
    }
}

/// What Pods are made from.
pub(super) fn template(own: &At<'_>, errors: &mut Errors) {
    let meta = own.get("metadata");
    // Messages leave `metadata` out.
    metadata::labels(meta.get("labels").value, &own.child("labels"), errors);
    metadata::annotations_at(&meta.get("annotations").named(own.child("annotations")), errors);
    spec(&own.get("spec"), "", errors);
    let ephemeral = own.get("spec").get("ephemeralContainers");
    if ephemeral.len() > 0 {
        ephemeral.forbidden("ephemeral containers not allowed in pod template", errors);
    }
}

/// The specification of a Pod; `pod` is its name where it has one.
fn spec(own: &At<'_>, pod: &str, errors: &mut Errors) {
    let known = volumes::volumes(&own.get("volumes"), pod, errors);
    claims(&own.get("resourceClaims"), errors);
    containers::all(&containers::Around { spec: own, volumes: &known }, errors);
    resources::of_pod(own, errors);
    host_network(own, pod.is_empty(), errors);
    own.get("restartPolicy").must_be_one_of(&["Always", "OnFailure", "Never"], errors);
    let dns = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    own.get("dnsPolicy").must_be_one_of(&dns, errors);
    let selector = own.get("nodeSelector");
    metadata::labels(selector.value, &selector.path, errors);
    security::of_pod(own, errors);
    placement::affinity(&own.get("affinity"), errors);
    dns_config(own, errors);
    own.get("readinessGates").items().for_each(|gate| gate.get("conditionType").qualified(errors));
    scheduling_gates(&own.get("schedulingGates"), errors);
    placement::spread(&own.get("topologySpreadConstraints"), errors);
    host_users(own, errors);
    small_fields(own, errors);
    system(own, errors);
}

fn small_fields(own: &At<'_>, errors: &mut Errors) {
    let named = |field: &str, errors: &mut Errors| {
        if !own.get(field).text().is_empty() {
            own.get(field).subdomain(errors);
        }
    };
    named("serviceAccountName", errors);
    named("nodeName", errors);
    if own.get("activeDeadlineSeconds").some() {
        own.get("activeDeadlineSeconds").within(1, i64::from(i32::MAX), errors);
    }
    for field in ["hostname", "subdomain"] {
        if !own.get(field).text().is_empty() {
            own.get(field).label(errors);
        }
    }
    placement::tolerations(&own.get("tolerations"), errors);
    for alias in own.get("hostAliases").items() {
        alias.get("ip").address(errors);
        alias.get("hostnames").items().for_each(|name| name.subdomain(errors));
    }
    named("priorityClassName", errors);
    if own.get("runtimeClassName").some() {
        own.get("runtimeClassName").subdomain(errors);
    }
    if own.get("preemptionPolicy").some() {
        own.get("preemptionPolicy").must_be_one_of(&["PreemptLowerPriority", "Never"], errors);
    }
    for (name, entry) in own.get("overhead").named(own.child("overhead.limits")).entries() {
        super::quantities::container_resource(name, &entry, errors);
        super::quantities::amount(name, &entry, errors);
    }
}

fn claims(list: &At<'_>, errors: &mut Errors) {
    let mut seen = std::collections::BTreeSet::new();
    for claim in list.items() {
        let name = claim.get("name");
        if name.must(errors) {
            if seen.insert(name.text()) {
                name.label(errors);
            } else {
                name.duplicate(name.text(), errors);
            }
        }
        let (own, template) = (claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName"));
        let shown = internal::shown("PodResourceClaim", claim.value);
        let mut refuse = |detail: &str| errors.push(FieldError::invalid_shown(&claim.path, &shown, detail));
        match (own.some(), template.some()) {
            (true, true) => {
                refuse("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
            }
            (false, false) => refuse("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            _ => {}
        }
        for field in [own, template] {
            if field.some() {
                field.subdomain(errors);
            }
        }
    }
}

fn host_network(own: &At<'_>, template: bool, errors: &mut Errors) {
    if !own.get("hostNetwork").yes() {
        return;
    }
    for port in own.get("containers").items().flat_map(|container| container.get("ports").items()) {
        let host = port.get("hostPort");
        let wrong = host.number() != port.get("containerPort").number();
        if wrong && (!template || host.number() != 0) {
            let detail = "must match `containerPort` when `hostNetwork` is true";
            host.invalid_as(host.number(), detail, errors);
        }
    }
}

fn host_users(own: &At<'_>, errors: &mut Errors) {
    if own.get("hostUsers").value != &Value::Bool(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if own.get(field).yes() {
            errors.push(FieldError::forbidden(own.child(shown), "when `hostUsers` is false"));
        }
    }
}

fn dns_config(own: &At<'_>, errors: &mut Errors) {
    let config = own.get("dnsConfig");
    let (servers, searches) = (config.get("nameservers"), config.get("searches"));
    if own.get("dnsPolicy").text() == "None" {
        if !config.some() {
            return config.required_because("must provide `dnsConfig` when `dnsPolicy` is None", errors);
        }
        if servers.len() == 0 {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return servers.required_because(detail, errors);
        }
    }
    if servers.len() > 3 {
        servers.invalid("must not have more than 3 nameservers", errors);
    }
    for server in servers.items() {
        server.address(errors);
    }
    if searches.len() > 32 {
        searches.invalid("must not have more than 32 search paths", errors);
    }
    if searches.texts().join(" ").len() > 2048 {
        let detail = "must not have more than 2048 characters (including spaces) in the search list";
        searches.invalid(detail, errors);
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        for why in names::underscored_subdomains(text) {
            search.invalid_as(text, why, errors);
        }
    }
    for option in config.get("options").items() {
        if option.get("name").text().is_empty() {
            option.required_because("must not be empty", errors);
        }
    }
}

fn scheduling_gates(list: &At<'_>, errors: &mut Errors) {
    let mut seen = std::collections::BTreeSet::new();
    for gate in list.items() {
        let name = gate.get("name").text();
        names::qualified_names(name).into_iter().for_each(|why| gate.invalid_as(name, why, errors));
        if !seen.insert(name) {
            gate.duplicate(name, errors);
        }
    }
}

/// What an operating system does not know.
fn system(own: &At<'_>, errors: &mut Errors) {
    const LINUX: &str = "windows options cannot be set for a linux pod";
    const WINDOWS: &str = "cannot be set for a windows pod";
    let os = own.get("os");
    if !os.some() {
        return;
    }
    let name = os.get("name");
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    let contexts = containers.iter().flat_map(|field| own.get(field).items());
    match name.text() {
        "" => name.required(errors),
        "linux" => {
            let pod = std::iter::once(own.get("securityContext"));
            for context in pod.chain(contexts.map(|one| one.get("securityContext"))) {
                if context.get("windowsOptions").some() {
                    context.get("windowsOptions").forbidden(LINUX, errors);
                }
            }
        }
        "windows" => {
            let pod = own.get("securityContext");
            let refuse = |at: At<'_>, errors: &mut Errors| {
                if at.some() && at.value != &Value::Bool(false) {
                    at.forbidden(WINDOWS, errors);
                }
            };
            refuse(pod.get("appArmorProfile"), errors);
            refuse(pod.get("seLinuxOptions"), errors);
            if own.get("hostUsers").some() {
                own.get("hostUsers").forbidden(WINDOWS, errors);
            }
            refuse(own.get("hostPID"), errors);
            refuse(own.get("hostIPC"), errors);
            for field in ["seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"] {
                refuse(pod.get(field), errors);
            }
            if own.get("shareProcessNamespace").some() {
                own.get("shareProcessNamespace").forbidden(WINDOWS, errors);
            }
            for field in ["runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy"] {
                refuse(pod.get(field), errors);
            }
            for context in contexts.map(|one| one.get("securityContext")) {
                let fields = [
                    "appArmorProfile",
                    "seLinuxOptions",
                    "seccompProfile",
                    "capabilities",
                    "readOnlyRootFilesystem",
                    "privileged",
                    "allowPrivilegeEscalation",
                    "procMount",
                    "runAsUser",
                    "runAsGroup",
                ];
                for field in fields.iter().filter(|field| context.get(field).some()) {
                    context.get(field).forbidden(WINDOWS, errors);
                }
            }
        }
        other => errors.push(FieldError::not_supported(&os.path, other, &["linux", "windows"])),
    }
}

/// The pod as it was, with the ephemeral containers that it has now: those may be added, but stay as they are.
pub(super) fn with_helpers(object: &Value, old: &Value, errors: &mut Errors) -> Value {
    let own = At::new(object, "").get("spec").get("ephemeralContainers");
    for before in At::new(old, "spec").get("spec").get("ephemeralContainers").items() {
        let name = before.get("name").text();
        match own.items().find(|one| one.get("name").text() == name) {
            None => {
                own.forbidden(format!("existing ephemeral containers {name:?} may not be removed\n"), errors)
            }
            Some(one) if one.value != before.value => {
                let diff = internal::diff("EphemeralContainer", before.value, one.value);
                own.forbidden(
                    format!("existing ephemeral containers {name:?} may not be changed\n{diff}"),
                    errors,
                );
            }
            Some(_) => {}
        }
    }
    let mut with = old.clone();
    match own.some() {
        true => object::set(&mut with, &["spec", "ephemeralContainers"], own.value.clone()),
        false => {
            object::remove(&mut with, &["spec", "ephemeralContainers"]);
        }
    }
    with
}

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// What of a Pod may change.
fn update(own: &At<'_>, old: &Value, errors: &mut Errors) {
    let before = At::new(old, "spec");
    for field in ["containers", "initContainers"] {
        let list = own.get(field);
        if list.len() != before.get(field).len() {
            list.forbidden("pod updates may not add or remove containers", errors);
            return;
        }
        for one in list.items() {
            one.get("image").must(errors);
            containers::padded_image(&one, errors);
        }
    }
    let (deadline, earlier) = (own.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"));
    match (deadline.int(), earlier.int()) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            return deadline.within(0, i64::from(i32::MAX), errors);
        }
        (Some(new), Some(old)) if old < new => {
            return deadline.invalid("must be less than or equal to previous value", errors);
        }
        (None, Some(_)) => {
            deadline.invalid("must not update from a positive integer to nil value", errors);
        }
        _ => {}
    }
    let tolerations = own.get("tolerations");
    placement::only_added(&tolerations, before.get("tolerations").value, errors);
    let gates = before.get("schedulingGates");
    for gate in own.get("schedulingGates").items() {
        let name = gate.get("name");
        if !gates.items().any(|old| old.get("name").text() == name.text()) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
            name.forbidden(detail, errors);
        }
    }
    if own.value == old {
        return;
    }
    let munged = munged(own, &before, errors);
    if munged != *old {
        let diff = internal::diff("PodSpec", old, &munged);
        errors.push(FieldError::forbidden("spec", format!("{UPDATABLE}\n{diff}")));
    }
}

/// The new specification with all that may change as it was.
fn munged(own: &At<'_>, before: &At<'_>, errors: &mut Errors) -> Value {
    let old = before.value;
    let mut munged = own.value.clone();
    let restore = |munged: &mut Value, field: &str| match old.get(field) {
        Some(value) => object::set(munged, &[field], value.clone()),
        None => {
            object::remove(munged, &[field]);
        }
    };
    for field in ["containers", "initContainers"] {
        let images: Vec<Value> =
            before.get(field).items().map(|one| one.get("image").value.clone()).collect();
        let list = munged.get_mut(field).and_then(Value::as_array_mut);
        for (one, image) in list.into_iter().flatten().zip(images) {
            object::set(one, &["image"], image);
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(&mut munged, field);
    }
    let grace = own.get("terminationGracePeriodSeconds").int();
    if before.get("terminationGracePeriodSeconds").number() < 0 && grace == Some(1) {
        restore(&mut munged, "terminationGracePeriodSeconds");
    }
    if before.get("schedulingGates").len() > 0 {
        let (new, selector) = (own.get("nodeSelector"), before.get("nodeSelector"));
        if selector.entries().any(|(key, value)| new.value.get(key) != Some(value.value)) {
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            new.invalid(detail, errors);
        }
        restore(&mut munged, "nodeSelector");
        restore(&mut munged, "affinity");
    }
    munged
}
