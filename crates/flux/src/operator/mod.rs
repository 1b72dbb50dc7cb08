//! `fluxcd.controlplane.io`: flux-operator's kinds. A ResourceSet renders its templates once for each of its inputs
//! and applies the result; providers export inputs; a FluxInstance is taken for what it syncs.

mod configs;
mod filter;
mod forges;
mod inputs;
mod instance;
mod provider;
mod resourceset;
mod schedule;
mod template;

use std::sync::Arc;
use std::time::Duration;

use controller::Kind;
use object::{Gvk, Value, meta};

use crate::common::parse_duration;
use crate::options::Shared;

/// The group.
pub const GROUP: &str = "fluxcd.controlplane.io";
/// The field manager of applied objects.
const MANAGER: &str = "flux-operator";

pub(crate) fn gvk(kind: &str) -> Gvk {
    Gvk::new(GROUP, "v1", kind)
}

/// The kinds, as they are reconciled.
pub fn gvks() -> Vec<Gvk> {
    ["ResourceSet", "ResourceSetInputProvider", "FluxInstance"].map(gvk).to_vec()
}

/// Every kind.
pub fn kinds(shared: &Arc<Shared>) -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(resourceset::ResourceSets { shared: shared.clone() }),
        Arc::new(provider::Providers { shared: shared.clone() }),
        Arc::new(instance::Instances),
    ]
}

/// A duration that an annotation `fluxcd.controlplane.io/NAME` gives.
fn every(object: &Value, name: &str, default: Duration) -> Duration {
    let given = meta::annotation(object, &format!("{GROUP}/{name}")).and_then(parse_duration);
    given.filter(|given| !given.is_zero()).unwrap_or(default)
}

/// Is the object left alone (`fluxcd.controlplane.io/reconcile: disabled`)?
fn is_disabled(object: &Value) -> bool {
    meta::annotation(object, &format!("{GROUP}/reconcile")) == Some("disabled")
}

/// What of an object is a reason to run: its annotations are settings here.
fn trigger(object: &Value) -> String {
    let own =
        |name: &str| meta::annotation(object, &format!("{GROUP}/{name}")).unwrap_or_default().to_owned();
    let settings = ["reconcile", "reconcileEvery", "reconcileTimeout"].map(own).join(" ");
    format!("{} {settings}", crate::common::trigger(object))
}
