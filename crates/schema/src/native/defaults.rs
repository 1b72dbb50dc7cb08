//! The defaults of built-in kinds.
//!
//! Most are facts about one structure wherever it stands (a container, a probe, a port), so that the object is
//! walked by its type and each structure looked up by its Go name. What depends on other fields is a function.

use object::{Gvk, Map, Value};
use serde_json::json;

use crate::types::{MapType, NodeId, Schema, TypeRef, Zero};

/// A plain default.
enum Plain {
    Text(&'static str),
    Number(i64),
    Flag(bool),
    /// An empty mapping.
    Empty,
    /// JSON.
    Json(&'static str),
}
use Plain::{Empty, Flag, Json, Number, Text};

/// Structure, field, default. A field is defaulted when it is absent, null or empty text.
const TABLE: &[(&str, &str, Plain)] = &[
    ("PodSpec", "dnsPolicy", Text("ClusterFirst")),
    ("PodSpec", "restartPolicy", Text("Always")),
    ("PodSpec", "securityContext", Empty),
    ("PodSpec", "terminationGracePeriodSeconds", Number(30)),
    ("PodSpec", "schedulerName", Text("default-scheduler")),
    ("Container", "terminationMessagePath", Text("/dev/termination-log")),
    ("Container", "terminationMessagePolicy", Text("File")),
    ("EphemeralContainer", "terminationMessagePath", Text("/dev/termination-log")),
    ("EphemeralContainer", "terminationMessagePolicy", Text("File")),
    ("ContainerPort", "protocol", Text("TCP")),
    ("Probe", "timeoutSeconds", Number(1)),
    ("Probe", "periodSeconds", Number(10)),
    ("Probe", "successThreshold", Number(1)),
    ("Probe", "failureThreshold", Number(3)),
    ("HTTPGetAction", "path", Text("/")),
    ("HTTPGetAction", "scheme", Text("HTTP")),
    ("GRPCAction", "service", Text("")),
    ("SecretVolumeSource", "defaultMode", Number(420)),
    ("ConfigMapVolumeSource", "defaultMode", Number(420)),
    ("DownwardAPIVolumeSource", "defaultMode", Number(420)),
    ("ProjectedVolumeSource", "defaultMode", Number(420)),
    ("ServiceAccountTokenProjection", "expirationSeconds", Number(3600)),
    ("ObjectFieldSelector", "apiVersion", Text("v1")),
    ("HostPathVolumeSource", "type", Text("")),
    ("ISCSIVolumeSource", "iscsiInterface", Text("default")),
    ("ISCSIPersistentVolumeSource", "iscsiInterface", Text("default")),
    ("RBDVolumeSource", "pool", Text("rbd")),
    ("RBDVolumeSource", "user", Text("admin")),
    ("RBDVolumeSource", "keyring", Text("/etc/ceph/keyring")),
    ("RBDPersistentVolumeSource", "pool", Text("rbd")),
    ("RBDPersistentVolumeSource", "user", Text("admin")),
    ("RBDPersistentVolumeSource", "keyring", Text("/etc/ceph/keyring")),
    ("AzureDiskVolumeSource", "cachingMode", Text("ReadWrite")),
    ("AzureDiskVolumeSource", "fsType", Text("ext4")),
    ("AzureDiskVolumeSource", "readOnly", Flag(false)),
    ("AzureDiskVolumeSource", "kind", Text("Shared")),
    ("ScaleIOVolumeSource", "storageMode", Text("ThinProvisioned")),
    ("ScaleIOVolumeSource", "fsType", Text("xfs")),
    ("ScaleIOPersistentVolumeSource", "storageMode", Text("ThinProvisioned")),
    ("ScaleIOPersistentVolumeSource", "fsType", Text("xfs")),
    ("ServiceSpec", "sessionAffinity", Text("None")),
    ("ServiceSpec", "type", Text("ClusterIP")),
    ("ServicePort", "protocol", Text("TCP")),
    ("EndpointPort", "protocol", Text("TCP")),
    ("PersistentVolumeSpec", "persistentVolumeReclaimPolicy", Text("Retain")),
    ("PersistentVolumeSpec", "volumeMode", Text("Filesystem")),
    ("PersistentVolumeStatus", "phase", Text("Pending")),
    ("PersistentVolumeClaimSpec", "volumeMode", Text("Filesystem")),
    ("PersistentVolumeClaimStatus", "phase", Text("Pending")),
    ("NamespaceStatus", "phase", Text("Active")),
    ("Secret", "type", Text("Opaque")),
    ("ReplicationControllerSpec", "replicas", Number(1)),
    ("DeploymentSpec", "replicas", Number(1)),
    ("DeploymentSpec", "revisionHistoryLimit", Number(10)),
    ("DeploymentSpec", "progressDeadlineSeconds", Number(600)),
    ("DeploymentStrategy", "type", Text("RollingUpdate")),
    ("DaemonSetSpec", "revisionHistoryLimit", Number(10)),
    ("DaemonSetUpdateStrategy", "type", Text("RollingUpdate")),
    ("StatefulSetSpec", "podManagementPolicy", Text("OrderedReady")),
    ("StatefulSetSpec", "replicas", Number(1)),
    ("StatefulSetSpec", "revisionHistoryLimit", Number(10)),
    ("StatefulSetSpec", "persistentVolumeClaimRetentionPolicy", Empty),
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "whenDeleted", Text("Retain")),
    ("StatefulSetPersistentVolumeClaimRetentionPolicy", "whenScaled", Text("Retain")),
    ("ReplicaSetSpec", "replicas", Number(1)),
    ("PodFailurePolicyOnPodConditionsPattern", "status", Text("True")),
    ("CronJobSpec", "concurrencyPolicy", Text("Allow")),
    ("CronJobSpec", "suspend", Flag(false)),
    ("CronJobSpec", "successfulJobsHistoryLimit", Number(3)),
    ("CronJobSpec", "failedJobsHistoryLimit", Number(1)),
    ("NetworkPolicyPort", "protocol", Text("TCP")),
    ("IngressClassParametersReference", "scope", Text("Cluster")),
    ("HorizontalPodAutoscalerSpec", "minReplicas", Number(1)),
    ("StorageClass", "reclaimPolicy", Text("Delete")),
    ("StorageClass", "volumeBindingMode", Text("Immediate")),
    ("CSIDriverSpec", "attachRequired", Flag(true)),
    ("CSIDriverSpec", "podInfoOnMount", Flag(false)),
    ("CSIDriverSpec", "storageCapacity", Flag(false)),
    ("CSIDriverSpec", "fsGroupPolicy", Text("ReadWriteOnceWithFSType")),
    ("CSIDriverSpec", "volumeLifecycleModes", Json(r#"["Persistent"]"#)),
    ("CSIDriverSpec", "requiresRepublish", Flag(false)),
    ("CSIDriverSpec", "seLinuxMount", Flag(false)),
    ("RoleRef", "apiGroup", Text("rbac.authorization.k8s.io")),
    ("PriorityClass", "preemptionPolicy", Text("PreemptLowerPriority")),
    ("ServiceReference", "port", Number(443)),
    ("ValidatingWebhook", "failurePolicy", Text("Fail")),
    ("ValidatingWebhook", "matchPolicy", Text("Equivalent")),
    ("ValidatingWebhook", "namespaceSelector", Empty),
    ("ValidatingWebhook", "objectSelector", Empty),
    ("ValidatingWebhook", "timeoutSeconds", Number(10)),
    ("MutatingWebhook", "failurePolicy", Text("Fail")),
    ("MutatingWebhook", "matchPolicy", Text("Equivalent")),
    ("MutatingWebhook", "namespaceSelector", Empty),
    ("MutatingWebhook", "objectSelector", Empty),
    ("MutatingWebhook", "timeoutSeconds", Number(10)),
    ("MutatingWebhook", "reinvocationPolicy", Text("Never")),
    ("RuleWithOperations", "scope", Text("*")),
    ("NamedRuleWithOperations", "scope", Text("*")),
    ("ValidatingAdmissionPolicySpec", "failurePolicy", Text("Fail")),
    ("MutatingAdmissionPolicySpec", "failurePolicy", Text("Fail")),
    ("MatchResources", "matchPolicy", Text("Equivalent")),
    ("MatchResources", "namespaceSelector", Empty),
    ("MatchResources", "objectSelector", Empty),
    ("FlowSchemaSpec", "matchingPrecedence", Number(1000)),
    ("ExemptPriorityLevelConfiguration", "nominalConcurrencyShares", Number(0)),
    ("ExemptPriorityLevelConfiguration", "lendablePercent", Number(0)),
    ("LimitedPriorityLevelConfiguration", "nominalConcurrencyShares", Number(30)),
    ("LimitedPriorityLevelConfiguration", "lendablePercent", Number(0)),
    ("QueuingConfiguration", "handSize", Number(8)),
    ("QueuingConfiguration", "queues", Number(64)),
    ("QueuingConfiguration", "queueLengthLimit", Number(50)),
    ("ExactDeviceRequest", "allocationMode", Text("ExactCount")),
    ("DeviceSubRequest", "allocationMode", Text("ExactCount")),
];

fn table() -> &'static std::collections::HashMap<&'static str, Vec<(&'static str, &'static Plain)>> {
    static BY_STRUCTURE: std::sync::OnceLock<
        std::collections::HashMap<&'static str, Vec<(&'static str, &'static Plain)>>,
    > = std::sync::OnceLock::new();
    BY_STRUCTURE.get_or_init(|| {
        let mut map: std::collections::HashMap<&str, Vec<(&str, &Plain)>> = std::collections::HashMap::new();
        for (structure, field, plain) in TABLE {
            map.entry(structure).or_default().push((field, plain));
        }
        map
    })
}

/// Sets all defaults of an object.
pub(super) fn set(gvk: &Gvk, ty: &TypeRef, object: &mut Value) {
    Defaults { schema: ty.schema(), gvk }.visit(ty.id(), object, 0);
}

/// Sets the protocols of ports, and moves the `stringData` of a Secret, and nothing else.
pub(super) fn set_protocols(ty: &TypeRef, object: &mut Value) {
    fn visit(schema: &Schema, id: NodeId, value: &mut Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let node = schema.node(id);
        match value {
            Value::Object(values) => {
                let Some(map) = &node.map else { return };
                match map.name.as_str() {
                    "ContainerPort" | "ServicePort" => absent(values, "protocol", || "TCP".into()),
                    "Secret" => string_data(values),
                    _ => {}
                }
                for (key, value) in values.iter_mut() {
                    if let Some(id) = map.fields.get(key).map(|field| field.node).or(map.element) {
                        visit(schema, id, value, depth + 1);
                    }
                }
            }
            Value::Array(values) => {
                if let Some(list) = &node.list {
                    values.iter_mut().for_each(|value| visit(schema, list.item, value, depth + 1));
                }
            }
            _ => {}
        }
    }
    visit(ty.schema(), ty.id(), object, 0);
}

/// Deepest nesting that is walked; decoding has refused anything deeper.
const MAX_DEPTH: usize = 256;

struct Defaults<'a> {
    schema: &'a Schema,
    gvk: &'a Gvk,
}

impl Defaults<'_> {
    fn visit(&self, id: NodeId, value: &mut Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        let node = self.schema.node(id);
        match value {
            Value::Object(values) => {
                let Some(map) = &node.map else { return };
                if !map.name.is_empty() {
                    self.plain(map, values);
                    self.structure(&map.name, values);
                }
                for (key, value) in values.iter_mut() {
                    if let Some(id) = map.fields.get(key).map(|field| field.node).or(map.element) {
                        self.visit(id, value, depth + 1);
                    }
                }
            }
            Value::Array(values) => {
                if let Some(list) = &node.list {
                    values.iter_mut().for_each(|value| self.visit(list.item, value, depth + 1));
                }
            }
            _ => {}
        }
    }

    fn plain(&self, map: &MapType, values: &mut Map) {
        for (field, plain) in table().get(map.name.as_str()).into_iter().flatten() {
            // Where Go cannot tell zero from absent, zero is absent.
            let zero = map.fields.get(*field).is_some_and(|field| field.zero != Zero::Keep)
                && values.get(*field).and_then(Value::as_i64) == Some(0);
            if zero {
                values.remove(*field);
            }
            // Empty text is something where Go has a pointer.
            let pointed = map.fields.get(*field).is_some_and(|field| field.zero == Zero::Keep);
            if pointed && values.get(*field).is_some_and(|value| value == "") {
                continue;
            }
            absent(values, field, || match plain {
                Text(text) => Value::from(*text),
                Number(number) => Value::from(*number),
                Flag(flag) => Value::from(*flag),
                Empty => json!({}),
                Json(text) => serde_json::from_str(text).unwrap_or_default(),
            });
        }
    }

    fn structure(&self, name: &str, values: &mut Map) {
        match name {
            "Pod" => pod(values),
            "NodeSpec" => node_spec(values),
            "NodeStatus" => {
                if let Some(capacity) = values.get("capacity").cloned() {
                    values.entry("allocatable").or_insert(capacity);
                }
            }
            "Container" | "EphemeralContainer" => pull_policy(values, "image", "imagePullPolicy"),
            "ImageVolumeSource" => pull_policy(values, "reference", "pullPolicy"),
            "Volume" => volume(values),
            "Service" => service(values),
            "PodSpec" => service_account(values),
            "Secret" => string_data(values),
            "StatefulSetSpec" => claim_templates(values),
            "DaemonSet" => template_generation(values),
            "Namespace" => namespace(values),
            "LimitRangeItem" => limit_range_item(values),
            "ReplicationController" => replication_controller(values),
            "DeploymentStrategy" => rolling(values, &json!({"maxUnavailable": "25%", "maxSurge": "25%"})),
            "DaemonSetUpdateStrategy" => rolling(values, &json!({"maxUnavailable": 1, "maxSurge": 0})),
            "StatefulSetUpdateStrategy" => stateful_set_strategy(values),
            "Job" => job_labels(values),
            // The template of a CronJob gets these when it becomes a Job.
            "JobSpec" if self.gvk.kind == "Job" => job_spec(values),
            "NetworkPolicySpec" => network_policy(values),
            "EndpointPort" if self.gvk.group == "discovery.k8s.io" => {
                absent_only(values, "name", || "".into())
            }
            "Subject"
                if self.gvk.group == "rbac.authorization.k8s.io"
                    && matches!(values.get("kind").and_then(Value::as_str), Some("User" | "Group")) =>
            {
                absent(values, "apiGroup", || "rbac.authorization.k8s.io".into());
            }
            "HorizontalPodAutoscalerSpec" if self.gvk.version == "v2" => autoscaler(values),
            "ExactDeviceRequest" | "DeviceSubRequest"
                if values.get("allocationMode").and_then(Value::as_str) == Some("ExactCount") =>
            {
                absent(values, "count", || 1.into());
            }
            _ => {}
        }
    }
}

/// Sets a field that is absent, null or empty text.
fn absent(values: &mut Map, field: &str, default: impl FnOnce() -> Value) {
    let missing = match values.get(field) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        _ => false,
    };
    if missing {
        values.insert(field.to_owned(), default());
    }
}

/// Sets a field that is absent or null.
fn absent_only(values: &mut Map, field: &str, default: impl FnOnce() -> Value) {
    if values.get(field).is_none_or(Value::is_null) {
        values.insert(field.to_owned(), default());
    }
}

fn text<'a>(values: &'a Map, field: &str) -> &'a str {
    values.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// `Always` for the tag `latest` (also an implied one), else `IfNotPresent`.
fn pull_policy(values: &mut Map, image: &str, field: &str) {
    let image = text(values, image);
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let latest = match tag {
        Some(tag) => tag == "latest",
        // What is no name has no tag either.
        None => !digest && is_image_name(name),
    };
    absent(values, field, || if latest { "Always" } else { "IfNotPresent" }.into());
}

/// Whether a reference without tag and digest names an image: a host, perhaps, and lower-case path components.
fn is_image_name(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('/').collect();
    let host = |part: &str| {
        part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
    };
    if parts.len() > 1 && parts.first().is_some_and(|part| host(part)) {
        let first = parts.remove(0);
        if !first.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b)) {
            return false;
        }
    }
    let component = |part: &&str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        edge(part.as_bytes().first()) && edge(part.as_bytes().last()) && part.bytes().all(inner)
    };
    parts.iter().all(component)
}

fn volume(values: &mut Map) {
    if !values.iter().any(|(key, value)| key != "name" && !value.is_null()) {
        values.insert("emptyDir".to_owned(), json!({}));
    }
}

fn pod(values: &mut Map) {
    let Some(Value::Object(spec)) = values.get_mut("spec") else { return };
    absent(spec, "enableServiceLinks", || true.into());
    let host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            requests_from_limits(container);
            if host {
                host_ports(container);
            }
        }
    }
    if let Some(Value::Object(resources)) = spec.get_mut("resources")
        && let Some(limits) =
            resources.get("limits").and_then(Value::as_object).filter(|limits| !limits.is_empty()).cloned()
    {
        fill(resources, "requests", &limits);
    }
}

fn requests_from_limits(container: &mut Value) {
    let Some(Value::Object(resources)) = container.get_mut("resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    fill(resources, "requests", &limits);
}

/// Adds the entries of `from` that the mapping `field` does not have.
fn fill(values: &mut Map, field: &str, from: &Map) {
    absent_only(values, field, || json!({}));
    if let Some(Value::Object(into)) = values.get_mut(field) {
        for (key, value) in from {
            into.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

fn host_ports(container: &mut Value) {
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(port) = port
            && let Some(number) = port.get("containerPort").cloned()
        {
            absent_only(port, "hostPort", || number);
        }
    }
}

fn service(values: &mut Map) {
    let Some(Value::Object(spec)) = values.get_mut("spec") else { return };
    absent(spec, "sessionAffinity", || "None".into());
    absent(spec, "type", || "ClusterIP".into());
    let kind = text(spec, "type").to_owned();
    if text(spec, "sessionAffinity") == "None" {
        spec.remove("sessionAffinityConfig");
    } else if text(spec, "sessionAffinity") == "ClientIP"
        && object::get(&Value::Object(spec.clone()), &["sessionAffinityConfig", "clientIP", "timeoutSeconds"])
            .is_none()
    {
        spec.insert("sessionAffinityConfig".to_owned(), json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let Value::Object(port) = port else { continue };
        let unset = match port.get("targetPort") {
            None | Some(Value::Null) => true,
            Some(Value::Number(number)) => number.as_i64() == Some(0),
            Some(Value::String(text)) => text.is_empty(),
            _ => false,
        };
        if unset && let Some(number) = port.get("port").cloned() {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let external_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external_ips) {
        absent(spec, "externalTrafficPolicy", || "Cluster".into());
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        absent(spec, "internalTrafficPolicy", || "Cluster".into());
    }
    if kind == "LoadBalancer" {
        absent(spec, "allocateLoadBalancerNodePorts", || true.into());
        let status = values.get_mut("status");
        let ingress = status
            .and_then(|status| object::get_mut(status, &["loadBalancer", "ingress"]))
            .and_then(Value::as_array_mut);
        for entry in ingress.into_iter().flatten() {
            if let Value::Object(entry) = entry
                && !text(entry, "ip").is_empty()
            {
                absent(entry, "ipMode", || "VIP".into());
            }
        }
    }
}

fn namespace(values: &mut Map) {
    let Some(Value::Object(metadata)) = values.get_mut("metadata") else { return };
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        absent_only(metadata, "labels", || json!({}));
        if let Some(Value::Object(labels)) = metadata.get_mut("labels") {
            labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
        }
    }
}

fn limit_range_item(values: &mut Map) {
    if text(values, "type") != "Container" {
        return;
    }
    let map =
        |values: &Map, field: &str| values.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    let (most, least) = (map(values, "max"), map(values, "min"));
    fill(values, "default", &most);
    let default = map(values, "default");
    fill(values, "defaultRequest", &default);
    fill(values, "defaultRequest", &least);
    for field in ["default", "defaultRequest"] {
        if map(values, field).is_empty() {
            values.remove(field);
        }
    }
}

/// The list has an older field for its first element.
fn node_spec(values: &mut Map) {
    let first = text(values, "podCIDR").to_owned();
    let listed = values.get("podCIDRs").and_then(Value::as_array).and_then(|list| list.first()).cloned();
    match listed {
        Some(listed) if first.is_empty() => {
            values.insert("podCIDR".to_owned(), listed);
        }
        Some(listed) if listed == first.as_str() => {}
        None if first.is_empty() => {}
        _ => {
            values.insert("podCIDRs".to_owned(), json!([first]));
        }
    }
}

/// The field has an older name that is kept in step.
fn service_account(values: &mut Map) {
    let (new, old) =
        (text(values, "serviceAccountName").to_owned(), text(values, "serviceAccount").to_owned());
    let name = if new.is_empty() { old } else { new };
    if !name.is_empty() {
        values.insert("serviceAccountName".to_owned(), name.clone().into());
        values.insert("serviceAccount".to_owned(), name.into());
    }
}

/// `stringData` is written only: it becomes `data`.
fn string_data(values: &mut Map) {
    let Some(Value::Object(plain)) = values.remove("stringData") else { return };
    absent_only(values, "data", || json!({}));
    if let Some(Value::Object(data)) = values.get_mut("data") {
        for (key, value) in plain {
            data.insert(key, base64(value.as_str().unwrap_or_default().as_bytes()).into());
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| chunk.get(index).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for index in 0..4 {
            let letter = ALPHABET.get((bits >> (18 - 6 * index) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if index <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

/// The templates are whole objects.
fn claim_templates(values: &mut Map) {
    for template in values.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut).into_iter().flatten()
    {
        if let Value::Object(template) = template {
            absent(template, "apiVersion", || "v1".into());
            absent(template, "kind", || "PersistentVolumeClaim".into());
        }
    }
}

/// What a DaemonSet counts its templates with lives in an annotation.
fn template_generation(values: &mut Map) {
    if let Some(Value::Object(metadata)) = values.get_mut("metadata") {
        absent_only(metadata, "annotations", || json!({}));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            absent(annotations, "deprecated.daemonset.template.generation", || "1".into());
        }
    }
}

fn labels_of_template(spec: &Map) -> Option<Map> {
    spec.get("template")?.get("metadata")?.get("labels")?.as_object().cloned()
}

fn own_labels(values: &mut Map, labels: &Map) {
    if let Some(Value::Object(metadata)) = values.get_mut("metadata")
        && metadata.get("labels").and_then(Value::as_object).is_none_or(Map::is_empty)
    {
        metadata.insert("labels".to_owned(), Value::Object(labels.clone()));
    }
}

fn replication_controller(values: &mut Map) {
    let Some(Value::Object(spec)) = values.get_mut("spec") else { return };
    let Some(labels) = labels_of_template(spec) else { return };
    if spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty) {
        spec.insert("selector".to_owned(), Value::Object(labels.clone()));
    }
    own_labels(values, &labels);
}

fn job_labels(values: &mut Map) {
    let labels = values.get("spec").and_then(Value::as_object).and_then(labels_of_template);
    if let Some(labels) = labels {
        own_labels(values, &labels);
    }
}

fn rolling(values: &mut Map, defaults: &Value) {
    absent(values, "type", || "RollingUpdate".into());
    if text(values, "type") != "RollingUpdate" {
        return;
    }
    absent_only(values, "rollingUpdate", || json!({}));
    if let (Some(Value::Object(rolling)), Some(defaults)) =
        (values.get_mut("rollingUpdate"), defaults.as_object())
    {
        for (key, value) in defaults {
            absent_only(rolling, key, || value.clone());
        }
    }
}

fn stateful_set_strategy(values: &mut Map) {
    if text(values, "type").is_empty() {
        values.insert("type".to_owned(), "RollingUpdate".into());
        absent_only(values, "rollingUpdate", || json!({}));
    }
    if text(values, "type") == "RollingUpdate"
        && let Some(Value::Object(rolling)) = values.get_mut("rollingUpdate")
    {
        absent_only(rolling, "partition", || 0.into());
    }
}

fn job_spec(values: &mut Map) {
    absent(values, "completionMode", || "NonIndexed".into());
    absent_only(values, "suspend", || false.into());
    absent_only(values, "manualSelector", || false.into());
    if values.get("completions").is_none_or(Value::is_null)
        && values.get("parallelism").is_none_or(Value::is_null)
    {
        values.insert("completions".to_owned(), 1.into());
    }
    absent_only(values, "parallelism", || 1.into());
    let per_index = values.get("backoffLimitPerIndex").is_some_and(|limit| !limit.is_null());
    absent_only(values, "backoffLimit", || if per_index { i32::MAX } else { 6 }.into());
    let policy = values.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    absent(values, "podReplacementPolicy", || if policy { "Failed" } else { "TerminatingOrFailed" }.into());
}

fn network_policy(values: &mut Map) {
    let some = |field: &str| values.get(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if !some("policyTypes") {
        let types = if some("egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
        values.insert("policyTypes".to_owned(), types);
    }
}

fn autoscaler(values: &mut Map) {
    if values.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
        values.insert("metrics".to_owned(), metric);
    }
    let Some(Value::Object(behavior)) = values.get_mut("behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    let up = json!({"stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent]});
    let down = json!({"selectPolicy": "Max", "policies": [percent]});
    for (field, defaults) in [("scaleUp", up), ("scaleDown", down)] {
        absent_only(behavior, field, || json!({}));
        if let (Some(Value::Object(rules)), Some(defaults)) = (behavior.get_mut(field), defaults.as_object())
        {
            for (key, value) in defaults {
                absent_only(rules, key, || value.clone());
            }
        }
    }
}
