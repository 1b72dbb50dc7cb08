//! Argo CD's kinds as a dialect of the engine.
//!
//! An Application turns its sources into objects, compares them with what is live and, when it is asked to or when
//! its policy says so, carries out a sync. Spec, conditions, phases, messages, annotations, labels, finalizers and
//! field managers are Argo CD's; what runs when, and what is cancelled by what, is the engine's.

pub mod names;

use object::Gvk;

/// The kinds of this dialect, for reading what a status says.
pub fn gvks() -> Vec<Gvk> {
    [names::APPLICATION, names::APPLICATION_SET, names::APP_PROJECT].map(names::gvk).to_vec()
}
