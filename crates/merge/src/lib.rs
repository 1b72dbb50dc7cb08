//! Server-side apply: field sets, managed fields and structured merge.
//!
//! Everything is pure: the live object, what a manager sends, the manager and the type go in, the merged
//! object with its `metadata.managedFields` comes out.

use object::Value;
use schema::TypeRef;

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Name of the field manager.
    pub name: String,
    /// apiVersion in which the request is made.
    pub api_version: String,
    /// Subresource written to; empty for the object itself.
    pub subresource: String,
    /// The time of the request, RFC 3339 with seconds.
    pub time: String,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The merged object, managed fields included.
    pub object: Value,
    /// Whether it differs from the live object.
    pub changed: bool,
}

/// A field that someone else owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The other manager as messages name it.
    pub manager: String,
    /// Path of the field (`.spec.replicas`).
    pub field: String,
}

/// Why a write is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Fields belong to others: 409 Conflict.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The request is wrong: 400.
    #[error("{0}")]
    Invalid(String),
    /// Objects cannot be converted between versions: 500.
    #[error("{0}")]
    Internal(String),
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    format!("Apply failed with {} conflicts", conflicts.len())
}

/// How objects of other versions are read; managed fields may have been written in any of them.
pub trait Versions {
    /// The type of objects in `api_version`; `None` when that version is gone.
    fn type_of(&self, api_version: &str) -> Option<TypeRef>;
    /// The object in `api_version`; `None` when that version is gone.
    ///
    /// # Errors
    /// When it cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String>;
}

/// Server-side apply.
///
/// `ignored` are paths that this endpoint does not write (`status` on the main resource).
///
/// # Errors
/// On conflicts without `force`, and when the applied object is malformed.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    ty: &TypeRef,
    ignored: &[&[&str]],
) -> Result<Applied, Error> {
    let _ = (live, applied, manager, force, ty, ignored);
    Err(Error::Internal(String::new()))
}

/// Records who owns what after a create, update or patch: `new` is the object as it will be stored,
/// without regard to its managed fields.
///
/// # Errors
/// When objects cannot be converted.
pub fn update(
    live: Option<&Value>,
    new: &Value,
    manager: &Manager,
    ty: &TypeRef,
    ignored: &[&[&str]],
) -> Result<Value, Error> {
    let _ = (live, new, manager, ty, ignored);
    Err(Error::Internal(String::new()))
}

/// Whether applying would change anything but the managed fields' times.
///
/// # Errors
/// As [`apply`].
pub fn would_change(
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    ty: &TypeRef,
) -> Result<bool, Error> {
    apply(live, applied, manager, force, ty, &[]).map(|applied| applied.changed)
}
