//! What the API server does to objects of built-in kinds: decoding, defaulting, validation.
//!
//! The order of a request is [`decode`], [`default`], (admission, for a new object
//! [`prepare`],) [`validate`].

mod admission;
mod apps;
mod at;
mod autoscaling;
mod batch;
mod cluster;
mod decode;
mod defaults;
mod devices;
mod difference;
mod flow;
mod internal;
mod metadata;
pub(crate) mod names;
mod networking;
mod normalize;
mod persistent;
mod plumbing;
mod pod;
mod quantities;
mod service;
mod small;
mod storage;
mod validate;

use object::{Gvk, Value};

use crate::{FieldError, TypeRef, builtin};

pub use decode::{decode, restore, unknown_fields};
pub use metadata::{NameRule, any_metadata as validate_any_metadata, metadata as validate_metadata};
pub use names::{dns_1035_labels, dns_subdomain, qualified_name};
pub use normalize::normalize_applied;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
const NOT_POSITIVE: &str = "must be greater than zero";

/// Sets the defaults of a built-in kind. Idempotent.
pub fn default(gvk: &Gvk, object: &mut Value) {
    if let Some(ty) = builtin().type_of(gvk) {
        defaults::set(gvk, &ty, object);
    }
}

/// Fills in what the server itself gives a new object of a built-in kind before it is validated: a Job's selector, and the
/// labels that it selects; the names of a definition that are made of others, and its first stored version.
pub fn prepare(gvk: &Gvk, object: &mut Value) {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("batch", "Job") => batch::select_own_pods(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crate::crd::default_definition(object),
        _ => {}
    }
}

/// Validates an object of a built-in kind; `old` is the stored object on update. The object must be decoded,
/// defaulted and, when it is new, prepared.
pub fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    validate::object(gvk, object, old)
}

/// Validates a changed object of a built-in kind that was written at one of its parts, where more may change than at
/// the object itself.
pub fn validate_part(gvk: &Gvk, part: &str, object: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let before = match (gvk.group.as_str(), gvk.kind.as_str(), part) {
        ("", "Pod", "ephemeralcontainers") => pod::with_helpers(object, old, &mut errors),
        ("", "Pod", "resize") => pod::resize::resized(object, old),
        // A binding is judged by who writes it; the original asks for no more.
        ("", "Pod", "binding") => object.clone(),
        _ => old.clone(),
    };
    let mut all = validate(gvk, object, Some(&before));
    all.append(&mut errors);
    if (gvk.group.as_str(), gvk.kind.as_str(), part) == ("", "Pod", "resize") {
        pod::resize::judge(object, old, &mut all);
    }
    all
}

/// Judges a rule that says which requests a webhook is for; messages call it `path`.
pub fn validate_admission_rule(rule: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    admission::rule(&at::At::new(rule, path), &mut errors);
    errors
}

/// Removes fields that `metadata` does not have; answers their paths.
pub fn prune_metadata(metadata: &mut Value, path: &str) -> Vec<String> {
    decode::prune(&builtin().object_meta(), metadata, path)
}

/// Decodes `metadata` of an object of any kind as the API server does.
///
/// # Errors
/// When a field has the wrong type.
pub fn decode_metadata(object: &mut Value) -> Result<(), String> {
    match object.get_mut("metadata") {
        Some(metadata) => decode::decode_at(&builtin().object_meta(), metadata, "metadata"),
        None => Ok(()),
    }
}

/// Top-level fields that a write to this endpoint does not change: `status` on the main resource, everything but
/// `status` (and metadata) on the `status` subresource. Empty when the kind has no such split.
pub fn reset_fields(gvk: &Gvk, subresource: &str) -> &'static [&'static [&'static str]] {
    let has_status = builtin()
        .by_kind(gvk)
        .is_some_and(|resource| resource.subresources.iter().any(|sub| sub.name == "status"));
    match subresource {
        "" if has_status => &[&["status"]],
        "status" => &[&["spec"]],
        _ => &[],
    }
}

/// The type of a built-in kind; [`TypeRef::deduced`] for any other.
pub fn type_or_deduced(gvk: &Gvk) -> TypeRef {
    builtin().type_of(gvk).unwrap_or_else(TypeRef::deduced)
}
