//! Types of Kubernetes and of custom resources: defaulting, pruning, validation, list types.
//!
//! Three things live here. [`types`] is the one model of a type that merging and patching walk: what may be
//! a scalar, a list or a mapping, and how lists and mappings merge. [`builtin()`] answers for the kinds that
//! Kubernetes itself serves: the resource table, their types, how they are defaulted and validated
//! ([`native`]). [`crd`] reads CustomResourceDefinitions and does the same for custom resources.

pub mod builtin;
pub mod crd;
pub mod crds;
mod error;
pub mod expressions;
pub mod gojson;
pub mod native;
pub mod types;

pub use builtin::{Builtin, Resource, Subresource, builtin};
pub use crd::Crd;
pub use error::{FieldError, Reason, invalid_status};
pub use types::{Field, ListKind, ListType, MapType, Node, NodeId, Scalar, Schema, TypeRef};
