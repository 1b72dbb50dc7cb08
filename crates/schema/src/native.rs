//! What the API server does to objects of built-in kinds: decoding, defaulting, validation.
//!
//! The order of a request is [`decode`], [`default`], (admission,) [`validate`].

mod decode;
mod defaults;
mod metadata;
pub(crate) mod names;
mod normalize;
mod plumbing;
mod small;
mod storage;
mod validate;
mod workloads;

use object::{Gvk, Value};

use crate::{FieldError, TypeRef, builtin};

pub use decode::{decode, unknown_fields};
pub use metadata::{NameRule, any_metadata as validate_any_metadata, metadata as validate_metadata};
pub use names::{dns_subdomain, qualified_name};
pub use normalize::normalize_applied;

/// Sets the defaults of a built-in kind. Idempotent.
pub fn default(gvk: &Gvk, object: &mut Value) {
    if let Some(ty) = builtin().type_of(gvk) {
        defaults::set(gvk, &ty, object);
    }
}

/// Validates an object of a built-in kind; `old` is the stored object on update. The object must be decoded and
/// defaulted.
pub fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    validate::object(gvk, object, old)
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
