//! The rules of `metadata`: those of every kind, and those that built-in kinds add.

use object::{Gvk, Value, get, get_str, meta};

use super::at::At;
use super::names;
use crate::FieldError;

/// Largest size of all annotations of an object together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Which names objects of a kind may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
    /// DNS-1035 label.
    Label1035,
    /// Anything that is one segment of a path.
    PathSegment,
    /// An IP address.
    Address,
}

impl NameRule {
    /// The rule of a kind.
    pub fn of(gvk: &Gvk) -> NameRule {
        match (gvk.group.as_str(), gvk.kind.as_str()) {
            ("", "Namespace") | ("apps", "StatefulSet") => NameRule::Label,
            ("", "Service") => NameRule::Label1035,
            ("rbac.authorization.k8s.io", _) => NameRule::PathSegment,
            ("networking.k8s.io", "IPAddress") => NameRule::Address,
            _ => NameRule::Subdomain,
        }
    }

    fn error(self, name: &str) -> Option<String> {
        match self {
            NameRule::Subdomain => names::dns_subdomain(name),
            NameRule::Label => names::dns_label(name),
            NameRule::Label1035 => names::dns_1035_label(name),
            NameRule::PathSegment => names::path_segment(name),
            NameRule::Address => name
                .parse::<std::net::IpAddr>()
                .is_err()
                .then(|| "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()),
        }
    }
}

/// Whether objects of a kind may have finalizers that are neither standard nor qualified with a domain.
pub(super) fn any_finalizer(gvk: &Gvk) -> bool {
    matches!(
        gvk.group.as_str(),
        "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
            | "coordination.k8s.io"
            | "admissionregistration.k8s.io"
            | "node.k8s.io"
    ) || gvk.kind == "Event"
}

/// Errors of the `metadata` of a built-in kind.
pub fn metadata(object: &Value, old: Option<&Value>, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let mut errors = any_metadata(object, old, namespaced, rule);
    for (index, finalizer) in meta::finalizers(object).enumerate() {
        let standard = matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion");
        if !finalizer.contains('/') && !standard {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{index}]"), finalizer, detail));
        }
    }
    errors
}

/// Errors of `metadata` that hold for every kind; on update, what may not change.
pub fn any_metadata(
    object: &Value,
    old: Option<&Value>,
    namespaced: bool,
    rule: NameRule,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match old {
        Some(old) => changes(object, old, &mut errors),
        None => names_of(object, namespaced, rule, &mut errors),
    }
    if let Some(value) = get(object, &["metadata", "labels"]) {
        labels(value, "metadata.labels", &mut errors);
    }
    annotations(object, &mut errors);
    owners(object, &mut errors);
    if old.is_none() {
        finalizers(object, &mut errors);
    }
    errors
}

fn names_of(object: &Value, namespaced: bool, rule: NameRule, errors: &mut Vec<FieldError>) {
    let (name, generate) = (meta::name(object), meta::generate_name(object));
    if !generate.is_empty()
        && let Some(message) = rule.error(&format!("{}a", generate.trim_end_matches('-')))
    {
        errors.push(FieldError::invalid("metadata.generateName", generate, message));
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Some(message) = rule.error(name) {
        errors.push(FieldError::invalid("metadata.name", name, message));
    }
    match (namespaced, meta::namespace(object)) {
        (true, None) => errors.push(FieldError::required("metadata.namespace", "")),
        (true, Some(namespace)) => {
            if let Some(message) = names::dns_label(namespace) {
                errors.push(FieldError::invalid("metadata.namespace", namespace, message));
            }
        }
        (false, Some(_)) => {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"))
        }
        (false, None) => {}
    }
}

fn changes(object: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    if meta::deletion_timestamp(old).is_some() {
        let mut added: Vec<&str> = meta::finalizers(object)
            .filter(|finalizer| !meta::finalizers(old).any(|before| before == *finalizer))
            .collect();
        added.sort_unstable();
        added.dedup();
        if !added.is_empty() {
            let shown: Vec<String> =
                added.iter().map(|finalizer| crate::error::go_quote(finalizer)).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                shown.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", detail));
        }
    }
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        let (new, before) = (get_str(object, &["metadata", field]), get_str(old, &["metadata", field]));
        if let Some(new) = new.filter(|_| before.is_some() && new != before) {
            errors.push(FieldError::invalid(format!("metadata.{field}"), new, "field is immutable"));
        }
    }
}

/// Errors of a mapping of labels.
pub(super) fn labels(value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        for message in names::qualified_names(key) {
            errors.push(FieldError::invalid(path, key.as_str(), message));
        }
        let value = value.as_str().unwrap_or_default();
        for message in names::label_values(value) {
            errors.push(FieldError::invalid(path, value, message));
        }
    }
}

fn annotations(object: &Value, errors: &mut Vec<FieldError>) {
    annotations_at(&At::new(object, "").get("metadata").get("annotations"), errors);
}

/// Errors of a mapping of annotations.
pub(super) fn annotations_at(own: &At<'_>, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in own.value.as_object().into_iter().flatten() {
        for message in names::qualified_names(&key.to_lowercase()) {
            errors.push(FieldError::invalid(&own.path, key.as_str(), message));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(&own.path, MAX_ANNOTATIONS as i64));
    }
}

fn owners(object: &Value, errors: &mut Vec<FieldError>) {
    let entries = get(object, &["metadata", "ownerReferences"]).and_then(Value::as_array);
    let mut first: Option<String> = None;
    for entry in entries.into_iter().flatten() {
        let text = |field: &str| get_str(entry, &[field]).unwrap_or_default();
        for field in ["apiVersion", "kind", "name", "uid"] {
            let value = text(field);
            let missing = value.is_empty() || (field == "apiVersion" && value.ends_with('/'));
            if missing {
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{field}"), value, detail));
            }
        }
        if (text("apiVersion"), text("kind")) == ("v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid("metadata.ownerReferences", entry.clone(), detail));
        }
        if entry.get("controller") == Some(&Value::Bool(true)) {
            let name = format!("{}/{}", text("kind"), text("name"));
            match &first {
                None => first = Some(name),
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                    );
                    let shown = entries.cloned().map(Value::Array).unwrap_or_default();
                    errors.push(FieldError::invalid("metadata.ownerReferences", shown, detail));
                }
            }
        }
    }
}

fn finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    let (mut orphan, mut foreground) = (false, false);
    for finalizer in meta::finalizers(object) {
        for message in names::qualified_names(finalizer) {
            errors.push(FieldError::invalid("metadata.finalizers", finalizer, message));
        }
        orphan |= finalizer == "orphan";
        foreground |= finalizer == "foregroundDeletion";
    }
    if orphan && foreground {
        let shown = get(object, &["metadata", "finalizers"]).cloned().unwrap_or_default();
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid("metadata.finalizers", shown, detail));
    }
}
