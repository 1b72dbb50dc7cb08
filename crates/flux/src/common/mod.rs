//! What all kinds of Flux have in common: fields, conditions, status, finalizers, events.

mod fields;
mod secrecy;
mod status;

pub use fields::{
    Reference, bool_at, duration_at, interval, namespace_of, parent, parse_duration, reference,
    sorted_strings, str_at, string_map, strings_at,
};
pub use gotime::duration::shown as format_duration;
pub use status::{Pass, condition, describe, is_current, is_true, observed, ready_of};

/// The group of sources.
pub const SOURCE_GROUP: &str = "source.toolkit.fluxcd.io";
/// The finalizer on every kind.
pub const FINALIZER: &str = "finalizers.fluxcd.io";
/// A changed value of this annotation asks for a pass.
pub const REQUESTED_AT: &str = "reconcile.fluxcd.io/requestedAt";
/// Asks for a one-off install or upgrade, together with [`REQUESTED_AT`].
pub const FORCE_AT: &str = "reconcile.fluxcd.io/forceAt";
/// Asks to forget failures, together with [`REQUESTED_AT`].
pub const RESET_AT: &str = "reconcile.fluxcd.io/resetAt";

use object::{Value, meta};

/// `sha256:` of a text, as statuses show digests.
pub fn sha256(text: impl AsRef<[u8]>) -> String {
    format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text)))
}

/// What of an object's own is a reason to run: its spec, its deletion, and what its annotations ask for.
pub fn trigger(object: &Value) -> String {
    let annotation = |name: &str| meta::annotation(object, name).unwrap_or_default();
    format!(
        "{} {} {} {} {} {} {} {}",
        meta::uid(object),
        meta::generation(object),
        meta::deletion_timestamp(object).unwrap_or_default(),
        annotation(REQUESTED_AT),
        annotation(FORCE_AT),
        annotation(RESET_AT),
        annotation("kustomize.toolkit.fluxcd.io/reconcile"),
        annotation(crate::kustomization::APPROVE_DELETIONS),
    )
}
