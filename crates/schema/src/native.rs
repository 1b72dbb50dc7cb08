//! What the API server does to objects of built-in kinds: decoding, defaulting, validation.

use object::{Gvk, Value};

use crate::{FieldError, TypeRef};

/// What a request does to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It creates it.
    Create,
    /// It changes it.
    Update,
}

/// Fields that the type does not know, as strict and warning field validation name them
/// (`unknown field "spec.foo"`).
pub fn unknown_fields(ty: &TypeRef, value: &Value) -> Vec<String> {
    let _ = (ty, value);
    Vec::new()
}

/// Decodes as the API server does: unknown fields go, zero values appear or go as Go's types write them.
/// Values of the wrong type are errors (`json: cannot unmarshal …`).
///
/// # Errors
/// The text of the 400 answer.
pub fn decode(ty: &TypeRef, value: &mut Value) -> Result<(), String> {
    let _ = (ty, value);
    Ok(())
}

/// Sets the defaults of a built-in kind. Idempotent.
pub fn default(gvk: &Gvk, object: &mut Value) {
    let _ = (gvk, object);
}

/// Validates an object of a built-in kind; `old` is the stored object on update.
pub fn validate(gvk: &Gvk, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let _ = (gvk, object, old);
    Vec::new()
}

/// Top-level fields that a write to the main resource must not change (they belong to the `status`
/// subresource), or that a write to `status` must not change.
pub fn reset_fields(gvk: &Gvk, subresource: &str) -> &'static [&'static [&'static str]] {
    let _ = (gvk, subresource);
    &[]
}
