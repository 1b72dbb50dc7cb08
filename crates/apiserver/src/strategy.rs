//! What the server itself writes into objects of built-in kinds, and which writes it takes.

use std::sync::Arc;

use object::{Gvk, get, get_i64, get_str, meta, remove, set};
use serde_json::{Value, json};

use crate::api::write::Context;
use crate::app::App;
use crate::catalog::Resource;
use crate::network::Reservation;
use crate::status::{Cause, Failure};

/// Whether objects count their spec's changes.
pub fn has_generation(resource: &Resource) -> bool {
    if resource.custom.is_some() {
        return true;
    }
    match (&*resource.group, &*resource.name) {
        ("apps", name) => name != "controllerrevisions",
        ("", name) => matches!(name, "pods" | "podtemplates" | "replicationcontrollers"),
        ("batch" | "policy" | "admissionregistration.k8s.io" | "apiextensions.k8s.io", _) => true,
        ("networking.k8s.io", "ipaddresses" | "servicecidrs") => false,
        ("networking.k8s.io", _) | ("flowcontrol.apiserver.k8s.io", _) => true,
        ("scheduling.k8s.io", _)
        | ("discovery.k8s.io", _)
        | ("resource.k8s.io", "deviceclasses" | "resourceslices") => true,
        _ => false,
    }
}

/// Whether a PUT may create.
pub fn creates_on_update(resource: &Resource) -> bool {
    matches!(
        (&*resource.group, &*resource.name),
        ("coordination.k8s.io", "leases")
            | ("" | "events.k8s.io", "events")
            | ("", "endpoints" | "limitranges" | "podtemplates" | "services")
            | ("node.k8s.io", "runtimeclasses")
            | ("rbac.authorization.k8s.io", _)
    )
}

/// Whether a PUT without a revision overwrites.
pub fn updates_blindly(resource: &Resource) -> bool {
    resource.custom.is_none()
        && !matches!(
            &*resource.group,
            "apiextensions.k8s.io"
                | "apiregistration.k8s.io"
                | "coordination.k8s.io"
                | "admissionregistration.k8s.io"
                | "flowcontrol.apiserver.k8s.io"
        )
}

/// Whether the part that `generation` counts differs.
pub fn spec_changed(resource: &Resource, subresource: &str, live: &Value, value: &Value) -> bool {
    if subresource == "status" {
        return false;
    }
    let skip = |key: &str| {
        matches!(key, "apiVersion" | "kind" | "metadata")
            || (key == "status" && (resource.custom.is_none() || resource.has_status()))
    };
    let parts = |value: &Value| -> Vec<(String, Value)> {
        value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !skip(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    // Deployments also count their annotations: rollouts write them.
    let annotated = &*resource.table == "deployments.apps"
        && get(live, &["metadata", "annotations"]) != get(value, &["metadata", "annotations"]);
    // Slices count their labels, which say whose they are.
    let labelled = &*resource.table == "endpointslices.discovery.k8s.io"
        && get(live, &["metadata", "labels"]) != get(value, &["metadata", "labels"]);
    annotated || labelled || parts(live) != parts(value)
}

/// What decoding itself writes: it belongs to whoever sent the object.
pub fn normalize(resource: &Resource, value: &mut Value) {
    match &*resource.table {
        "secrets" => fold_string_data(value),
        "namespaces" => {
            let name = meta::name(value).to_owned();
            if !name.is_empty() {
                meta::set_label(value, "kubernetes.io/metadata.name", &name);
            }
        }
        _ => {}
    }
}

/// Fields that a new object gets or loses.
pub fn prepare_create(resource: &Resource, context: &Context, value: &mut Value) -> Result<(), Failure> {
    if resource.has_status() && !keeps_status(resource) {
        remove(value, &["status"]);
    }
    drop_disabled(resource, None, value);
    schema::native::prepare(&Gvk::of(value), value);
    match (&*resource.group, &*resource.name) {
        ("", "namespaces") => {
            let list = get(value, &["spec", "finalizers"]).and_then(Value::as_array).cloned();
            let mut list = list.unwrap_or_default();
            if !list.iter().any(|f| f == "kubernetes") {
                list.push("kubernetes".into());
            }
            set(value, &["spec", "finalizers"], list.into());
            set(value, &["status"], json!({"phase": "Active"}));
        }
        ("", "pods") => begin_pod(value),
        ("", "persistentvolumeclaims") => {
            set(value, &["status"], json!({"phase": "Pending"}));
            data_sources(value);
        }
        ("", "persistentvolumes") => {
            let time = crate::app::now();
            set(value, &["status"], json!({"phase": "Pending", "lastPhaseTransitionTime": time}));
        }
        ("certificates.k8s.io", _) => {
            set(value, &["spec", "username"], context.user.name.as_str().into());
            set(value, &["spec", "groups"], json!(context.user.groups));
            remove(value, &["status"]);
        }
        ("apiextensions.k8s.io", _) => crate::crd::begin_status(value),
        ("", "services") => cluster_addresses(value, None),
        _ => {}
    }
    Ok(())
}

fn begin_pod(pod: &mut Value) {
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(pod)});
    if containers(pod, "schedulingGates").next().is_some() {
        status["conditions"] = json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null, "lastTransitionTime": crate::app::now(),
        }]);
    }
    set(pod, &["status"], status);
    if get_i64(pod, &["spec", "terminationGracePeriodSeconds"]).is_some_and(|seconds| seconds < 0) {
        set(pod, &["spec", "terminationGracePeriodSeconds"], 1.into());
    }
}

/// Fields of Pods whose features are off are taken off, unless they are there already.
fn drop_disabled(resource: &Resource, live: Option<&Value>, value: &mut Value) {
    let Some(path) = crate::warnings::pod_path(resource) else { return };
    let image = |spec: &Value| containers_of(spec, "volumes").any(|own| own.get("image").is_some());
    let had = |test: &dyn Fn(&Value) -> bool| live.and_then(|live| get(live, &path)).is_some_and(test);
    let (had_image, had_policy) = (had(&image), had(&restarts));
    let Some(spec) = object::get_mut(value, &path) else { return };
    if !had_policy && restarts(spec) {
        for (field, kept) in [("containers", ""), ("initContainers", "Always"), ("ephemeralContainers", "")] {
            for own in spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten() {
                if get_str(own, &["restartPolicy"]).is_some_and(|policy| policy != kept || kept.is_empty()) {
                    remove(own, &["restartPolicy"]);
                }
                remove(own, &["restartPolicyRules"]);
            }
        }
    }
    if !had_image && image(spec) {
        let list = spec.get_mut("volumes").and_then(Value::as_array_mut);
        if let Some(list) = list {
            list.retain(|own| own.get("image").is_none());
        }
    }
}

/// Whether containers say when they are restarted, besides those that run beside others.
fn restarts(spec: &Value) -> bool {
    let policy = |own: &Value| get_str(own, &["restartPolicy"]).map(str::to_owned);
    containers_of(spec, "containers").any(|own| policy(own).is_some())
        || containers_of(spec, "initContainers").any(|own| policy(own).is_some_and(|own| own != "Always"))
}

fn containers_of<'a>(spec: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    get(spec, &[field]).and_then(Value::as_array).into_iter().flatten()
}

/// What a claim begins with stands in two fields; the older one is only for claims and snapshots.
fn data_sources(claim: &mut Value) {
    if let Some(source) = get(claim, &["spec", "dataSource"]) {
        let known = match get_str(source, &["apiGroup"]).unwrap_or_default() {
            "" => get_str(source, &["kind"]) == Some("PersistentVolumeClaim"),
            "snapshot.storage.k8s.io" => get_str(source, &["kind"]) == Some("VolumeSnapshot"),
            _ => false,
        };
        if !known {
            remove(claim, &["spec", "dataSource"]);
        }
    }
    let (old, new) =
        (get(claim, &["spec", "dataSource"]).cloned(), get(claim, &["spec", "dataSourceRef"]).cloned());
    match (old, new) {
        (Some(old), None) => set(claim, &["spec", "dataSourceRef"], old),
        (None, Some(new)) if new.get("namespace").is_none() => {
            set(claim, &["spec", "dataSource"], new);
            data_sources_kept(claim);
        }
        _ => {}
    }
}

/// The older field only holds what it may hold.
fn data_sources_kept(claim: &mut Value) {
    let kind = get_str(claim, &["spec", "dataSource", "kind"]).unwrap_or_default();
    if kind.is_empty() {
        remove(claim, &["spec", "dataSource"]);
    }
}

/// The first of a service's addresses stands in a field of its own; whoever changes only that field means both.
fn cluster_addresses(value: &mut Value, live: Option<&Value>) {
    let one = get_str(value, &["spec", "clusterIP"]).unwrap_or_default().to_owned();
    let list = get(value, &["spec", "clusterIPs"]).cloned();
    let Some(live) = live else {
        if !one.is_empty() && list.is_none_or(|list| list.as_array().is_none_or(Vec::is_empty)) {
            set(value, &["spec", "clusterIPs"], json!([one]));
        }
        return;
    };
    let before = get_str(live, &["spec", "clusterIP"]).unwrap_or_default();
    if one == before || list.as_ref() != get(live, &["spec", "clusterIPs"]) {
        return;
    }
    if one.is_empty() {
        remove(value, &["spec", "clusterIPs"]);
    } else {
        set(value, &["spec", "clusterIPs"], json!([one]));
    }
}

/// Completes a new pod whose annotations say what fields say today, and warns of annotations that nobody reads.
pub fn modernize(resource: &Resource, value: &mut Value, warnings: &mut Vec<String>) {
    const ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
    const SECCOMP: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const SECCOMP_OF: &str = "container.seccomp.security.alpha.kubernetes.io/";
    if &*resource.table != "pods" || get(value, &["metadata", "annotations"]).is_none() {
        return;
    }
    let whole = get(value, &["spec", "securityContext", "appArmorProfile"]).cloned();
    let windows = get_str(value, &["spec", "os", "name"]) == Some("windows");
    let annotations = get(value, &["metadata", "annotations"]).cloned().unwrap_or_default();
    let annotation = |key: &str| annotations.get(key).and_then(Value::as_str);
    let mut unread = Vec::new();
    let seccomp = "non-functional in v1.27+; use the \"seccompProfile\" field instead";
    if annotation(SECCOMP).is_some() && get(value, &["spec", "securityContext", "seccompProfile"]).is_none() {
        unread.push(format!("metadata.annotations[{SECCOMP}]: {seccomp}"));
    }
    for field in ["initContainers", "containers"] {
        let list = object::get_mut(value, &["spec", field]).and_then(Value::as_array_mut);
        for container in list.into_iter().flatten() {
            let name = get_str(container, &["name"]).unwrap_or_default().to_owned();
            let own = |field: &str| get(container, &["securityContext", field]).is_some_and(Value::is_object);
            let key = format!("{SECCOMP_OF}{name}");
            if annotation(&key).is_some() && !own("seccompProfile") {
                unread.push(format!("metadata.annotations[{key}]: {seccomp}"));
            }
            let key = format!("{ARMOR}{name}");
            let Some(text) = annotation(&key).filter(|_| !windows && !own("appArmorProfile")) else {
                continue;
            };
            let profile = match text {
                "unconfined" => Some(json!({"type": "Unconfined"})),
                "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
                _ => text
                    .strip_prefix("localhost/")
                    .filter(|name| !name.is_empty())
                    .map(|name| json!({"type": "Localhost", "localhostProfile": name})),
            };
            if profile.is_some() && profile == whole {
                continue;
            }
            if let Some(profile) = profile {
                set(container, &["securityContext", "appArmorProfile"], profile);
            }
            let why = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            warnings.push(format!("metadata.annotations[{key}]: {why}"));
        }
    }
    warnings.extend(unread);
}

/// What becomes of dependents when a delete does not say.
pub fn default_propagation(resource: &Resource) -> Option<&'static str> {
    match (&*resource.group, &*resource.name) {
        ("batch", "jobs") | ("", "replicationcontrollers") => Some("Orphan"),
        _ => None,
    }
}

/// Kinds whose creator may set the status.
fn keeps_status(resource: &Resource) -> bool {
    matches!(
        (&*resource.group, &*resource.name),
        ("", "nodes") | ("apiextensions.k8s.io", _) | ("resource.k8s.io", _)
    )
}

/// Fields that an update must leave to others.
pub fn prepare_update(
    resource: &Resource,
    context: &Context,
    live: &Value,
    value: &mut Value,
) -> Result<(), Failure> {
    match context.subresource.as_str() {
        "status" => status_only(resource, live, value),
        "finalize" => {
            let finalizers = get(value, &["spec", "finalizers"]).cloned();
            let metadata = get(value, &["metadata"]).cloned().unwrap_or_default();
            *value = live.clone();
            set(value, &["metadata"], metadata);
            match finalizers {
                Some(list) => set(value, &["spec", "finalizers"], list),
                None => {
                    remove(value, &["spec", "finalizers"]);
                }
            }
        }
        "approval" => {
            let conditions = get(value, &["status", "conditions"]).cloned();
            let spec = live.get("spec").cloned().unwrap_or_default();
            set(value, &["spec"], spec);
            if let Some(conditions) = conditions {
                set(value, &["status", "conditions"], conditions);
            }
        }
        _ if resource.has_status() => copy(live, value, "status"),
        _ => {}
    }
    match (&*resource.group, &*resource.name) {
        ("", "namespaces") if context.subresource.is_empty() => {
            // Only the finalize subresource takes finalizers of the namespace itself off.
            match get(live, &["spec", "finalizers"]) {
                Some(list) => set(value, &["spec", "finalizers"], list.clone()),
                None => {
                    remove(value, &["spec", "finalizers"]);
                }
            }
        }
        ("apiextensions.k8s.io", _) => crate::crd::keep_status(value),
        ("", "services") if context.subresource.is_empty() => {
            cluster_addresses(value, Some(live));
            crate::services::prepare_update(live, value);
        }
        ("storage.k8s.io", "csidrivers") if live.get("spec") != value.get("spec") => {
            // These count their changes only.
            set(value, &["metadata", "generation"], (meta::generation(live) + 1).into());
        }
        _ => {}
    }
    drop_disabled(resource, Some(live), value);
    Ok(())
}

fn copy(live: &Value, value: &mut Value, field: &str) {
    match live.get(field) {
        Some(old) => set(value, &[field], old.clone()),
        None => {
            remove(value, &[field]);
        }
    }
}

fn status_only(resource: &Resource, live: &Value, value: &mut Value) {
    let status = value.get("status").cloned();
    let managed = crate::fields::take(value);
    if resource.custom.is_some() {
        let revision = get(value, &["metadata", "resourceVersion"]).cloned();
        *value = live.clone();
        if let Some(revision) = revision {
            set(value, &["metadata", "resourceVersion"], revision);
        }
    } else {
        let metadata = value.get("metadata").cloned().unwrap_or_default();
        *value = live.clone();
        set(value, &["metadata"], metadata);
        for field in ["ownerReferences", "labels"] {
            if field == "labels" && !matches!(&*resource.group, "apps" | "batch" | "policy") {
                continue;
            }
            match get(live, &["metadata", field]) {
                Some(old) => set(value, &["metadata", field], old.clone()),
                None => {
                    remove(value, &["metadata", field]);
                }
            }
        }
    }
    crate::fields::take(value);
    crate::fields::put(value, managed);
    match status {
        Some(status) => set(value, &["status"], status),
        None => {
            remove(value, &["status"]);
        }
    }
}

/// `stringData` is write-only: its texts become `data`.
fn fold_string_data(value: &mut Value) {
    use base64::Engine;
    let Some(Value::Object(texts)) = object::take(value, &["stringData"]) else { return };
    for (key, text) in texts {
        let text = text.as_str().unwrap_or_default();
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        set(value, &["data", &key], encoded.into());
    }
}

fn containers<'a>(pod: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    get(pod, &["spec", field]).and_then(Value::as_array).into_iter().flatten()
}

/// `Guaranteed`, `Burstable` or `BestEffort`.
fn qos_class(pod: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in containers(pod, "containers").chain(containers(pod, "initContainers")) {
        for resource in ["cpu", "memory"] {
            let request = get(container, &["resources", "requests", resource]);
            let limit = get(container, &["resources", "limits", resource]);
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|r| Some(r) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Rules that need more than the object's own type: other objects, immutability across kinds.
pub fn validate(app: &App, resource: &Resource, value: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    if &*resource.table == crate::crd::TABLE && old.is_none() {
        crate::crd::check_names(app, value, &mut causes);
    }
    if &*resource.table == crate::certificates::TABLE && old.is_none() {
        crate::certificates::check(value, &mut causes);
    }
    if crate::admission::webhooks::is_configuration(&resource.table) {
        crate::admission::configuration::check(value, old, &mut causes);
    }
    if &*resource.group == "admissionregistration.k8s.io" {
        crate::admission::policy::check_expressions(app, value, old, &mut causes);
    }
    causes
}

/// Takes cluster addresses and node ports for services.
pub fn allocate(
    app: &Arc<App>,
    resource: &Resource,
    value: &mut Value,
    live: Option<&Value>,
    dry_run: bool,
) -> Result<Reservation, Failure> {
    if &*resource.table != "services" {
        return Ok(Reservation::none());
    }
    crate::network::allocate(app, value, live, dry_run)
}

/// The time that a deleted pod gets to end, `0` when nothing has to end.
pub fn grace(resource: &Resource, value: &Value, asked: Option<i64>) -> i64 {
    if !(resource.group.is_empty() && &*resource.name == "pods") {
        return 0;
    }
    let phase = get_str(value, &["status", "phase"]).unwrap_or_default();
    let scheduled = get_str(value, &["spec", "nodeName"]).is_some_and(|n| !n.is_empty());
    if !scheduled || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = get_i64(value, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30);
    match asked {
        Some(seconds) if seconds < 0 => 1,
        Some(seconds) => seconds,
        None => own.max(0),
    }
}

/// Kinds whose delete answers with the object instead of a `Status`.
pub fn returns_deleted(resource: &Resource) -> bool {
    match &*resource.group {
        "" => matches!(
            &*resource.name,
            "pods"
                | "services"
                | "serviceaccounts"
                | "persistentvolumeclaims"
                | "persistentvolumes"
                | "podtemplates"
                | "resourcequotas"
        ),
        "storage.k8s.io" => {
            matches!(&*resource.name, "storageclasses" | "csidrivers" | "csinodes" | "volumeattachments")
        }
        _ => false,
    }
}
