//! Validation of built-in kinds with the reasons and messages of the Kubernetes API.

use object::{Gvk, Value, get, get_str};

use super::at::{At, Errors};
use super::metadata::{NameRule, any_finalizer, any_metadata, labels, metadata};
use super::{
    admission, apps, autoscaling, batch, cluster, devices, flow, names, networking, persistent, plumbing,
    pod, service, small, storage,
};
use crate::FieldError;

/// Errors of a label selector object.
pub(super) fn selector(value: &Value, path: &str, errors: &mut Errors) {
    let own = At::new(value, path);
    let matched = own.get("matchLabels");
    labels(matched.value, &matched.path, errors);
    for expression in own.get("matchExpressions").items() {
        let (operator, values) = (expression.get("operator"), expression.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.len() == 0 => {
                values.required_because("must be specified when `operator` is 'In' or 'NotIn'", errors);
            }
            "Exists" | "DoesNotExist" if values.len() > 0 => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                values.forbidden(detail, errors);
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => operator.invalid_as(other, "not a valid selector operator", errors),
        }
        expression.get("key").qualified(errors);
        values.items().for_each(|value| value.judge(names::label_values(value.text()), errors));
    }
}

/// A field that must not change.
pub(super) fn immutable(object: &Value, old: Option<&Value>, path: &[&str], errors: &mut Vec<FieldError>) {
    let Some(old) = old else { return };
    let new = get(object, path);
    if new != get(old, path) {
        errors.push(FieldError::invalid(
            path.join("."),
            new.cloned().unwrap_or_default(),
            "field is immutable",
        ));
    }
}

/// All errors of an object.
pub(super) fn object(gvk: &Gvk, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let Some(resource) = crate::builtin().by_kind(gvk) else { return Vec::new() };
    let rule = NameRule::of(gvk);
    let mut errors = match any_finalizer(gvk) {
        // The original looks at nothing but the specification.
        _ if gvk.kind == "PodDisruptionBudget" => Errors::new(),
        true => any_metadata(object, old, resource.namespaced, rule),
        false => metadata(object, old, resource.namespaced, rule),
    };
    if old.is_some() && judged_twice(gvk) {
        own_rules(gvk, object, None, &mut errors);
    }
    own_rules(gvk, object, old, &mut errors);
    errors
}

/// Kinds whose changed objects are judged as new ones first, so that what is wrong with both is said twice.
fn judged_twice(gvk: &Gvk) -> bool {
    matches!(
        gvk.kind.as_str(),
        "Job"
            | "RoleBinding"
            | "ClusterRoleBinding"
            | "ClusterRole"
            | "Role"
            | "PersistentVolume"
            | "PersistentVolumeClaim"
            | "ReplicationController"
            | "Node"
            | "StorageClass"
            | "VolumeAttributesClass"
            | "RuntimeClass"
            | "IPAddress"
            | "ResourceClaim"
            | "ResourceClaimTemplate"
    )
}

/// The rules of a kind besides those of its metadata.
fn own_rules(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Errors) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => pod::validate(object, old, errors),
        ("", "PodTemplate") => pod::template(&At::new(object, "").get("template"), errors),
        ("", "Service") => service::validate(object, old, errors),
        ("", "ReplicationController") => apps::replication_controller(object, errors),
        ("", "ConfigMap") => cluster::config_map(object, old, errors),
        ("", "Secret") => cluster::secret(object, old, errors),
        ("", "Node") => cluster::node(object, old, errors),
        ("", "LimitRange") => cluster::limits(object, errors),
        ("", "ResourceQuota") => cluster::quota(object, old, errors),
        ("", "Endpoints") => cluster::endpoints(object, old, errors),
        ("", "PersistentVolume") => persistent::volume(object, old, errors),
        ("", "PersistentVolumeClaim") => persistent::claim(object, old, errors),
        ("apps", "ControllerRevision") => apps::revision(object, old, errors),
        ("apps", kind) => apps::workload(kind, object, old, errors),
        ("batch", "Job") => batch::job(object, old, errors),
        ("batch", "CronJob") => batch::cron_job(object, old, errors),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            binding(gvk, object, old, errors)
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => role(gvk, object, errors),
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::validate(object, old, errors),
        ("networking.k8s.io", "Ingress") => networking::ingress(object, old, errors),
        ("networking.k8s.io", "IngressClass") => networking::ingress_class(object, old, errors),
        ("networking.k8s.io", "NetworkPolicy") => networking::policy(object, errors),
        ("networking.k8s.io", "IPAddress") => networking::address(object, old, errors),
        ("networking.k8s.io", "ServiceCIDR") => networking::service_range(object, old, errors),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => admission::policy(object, errors),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            admission::binding(object, errors);
        }
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => flow::schema(object, errors),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => flow::level(object, errors),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            errors.extend(crate::crd::validate_definition(object, old));
        }
        _ => {
            storage::validate(gvk, object, old, errors);
            plumbing::validate(gvk, object, errors);
            devices::validate(gvk, object, old, errors);
            small::validate(gvk, object, old, errors);
        }
    }
}

fn binding(gvk: &Gvk, object: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let group = get_str(object, &["roleRef", "apiGroup"]).unwrap_or_default();
    if group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kind = get_str(object, &["roleRef", "kind"]).unwrap_or_default();
    let known: &[&str] =
        if gvk.kind == "ClusterRoleBinding" { &["ClusterRole"] } else { &["Role", "ClusterRole"] };
    if !known.contains(&kind) {
        errors.push(FieldError::not_supported("roleRef.kind", kind, known));
    }
    if get_str(object, &["roleRef", "name"]).is_none_or(str::is_empty) {
        errors.push(FieldError::required("roleRef.name", ""));
    }
    let subjects = object.get("subjects").and_then(Value::as_array);
    for (index, subject) in subjects.into_iter().flatten().enumerate() {
        let path = format!("subjects[{index}]");
        let text = |field: &str| get_str(subject, &[field]).unwrap_or_default();
        let name = text("name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        let mut grouped = |wanted: &str| {
            if text("apiGroup") != wanted {
                let at = format!("{path}.apiGroup");
                errors.push(FieldError::not_supported(at, text("apiGroup"), &[wanted]));
            }
        };
        match text("kind") {
            "User" | "Group" => grouped(GROUP),
            "ServiceAccount" => {
                grouped("");
                if let Some(why) = names::dns_subdomain(name).filter(|_| !name.is_empty()) {
                    errors.push(FieldError::invalid(format!("{path}.name"), name, why));
                }
                if gvk.kind == "ClusterRoleBinding" && text("namespace").is_empty() {
                    errors.push(FieldError::required(format!("{path}.namespace"), ""));
                }
            }
            other => {
                let known = ["ServiceAccount", "User", "Group"];
                errors.push(FieldError::not_supported(format!("{path}.kind"), other, &known));
            }
        }
    }
    if let Some(old) = old
        && object.get("roleRef") != old.get("roleRef")
    {
        let field = |name: &str| get(object, &["roleRef", name]).cloned().unwrap_or_default();
        let shown =
            serde_json::json!({"APIGroup": field("apiGroup"), "Kind": field("kind"), "Name": field("name")});
        errors.push(FieldError::invalid("roleRef", shown, "cannot change roleRef"));
    }
}

fn role(gvk: &Gvk, object: &Value, errors: &mut Vec<FieldError>) {
    role_rules(gvk, object, errors);
    let aggregation = At::new(object, "").get("aggregationRule");
    let selectors = aggregation.get("clusterRoleSelectors");
    if aggregation.some() && selectors.len() == 0 {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        selectors.required_because(detail, errors);
    }
    for own in selectors.items() {
        let before = errors.len();
        selector(own.value, &own.path, errors);
        if errors.len() > before {
            own.invalid_as(Value::Null, "invalid label selector.", errors);
        }
    }
}

fn role_rules(gvk: &Gvk, object: &Value, errors: &mut Vec<FieldError>) {
    let rules = object.get("rules").and_then(Value::as_array);
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        let some =
            |field: &str| rule.get(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let path = format!("rules[{index}]");
        if !some("verbs") {
            errors
                .push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        if some("nonResourceURLs") {
            if gvk.kind == "Role" {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                let shown = rule.get("nonResourceURLs").cloned().unwrap_or_default();
                errors.push(FieldError::invalid(format!("{path}.nonResourceURLs"), shown, detail));
            }
            if some("apiGroups") || some("resources") || some("resourceNames") {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                let shown = rule.get("nonResourceURLs").cloned().unwrap_or_default();
                errors.push(FieldError::invalid(format!("{path}.nonResourceURLs"), shown, detail));
            }
            continue;
        }
        if !some("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            errors.push(FieldError::required(format!("{path}.apiGroups"), detail));
        }
        if !some("resources") {
            let detail = "resource rules must supply at least one resource";
            errors.push(FieldError::required(format!("{path}.resources"), detail));
        }
    }
}
