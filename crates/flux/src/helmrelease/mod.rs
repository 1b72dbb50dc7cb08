//! HelmRelease: install, upgrade, test and repair a release of a chart.

use std::sync::Arc;

use controller::{Cause, Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Value};

use crate::common;
use crate::options::Shared;

/// The group.
pub const GROUP: &str = "helm.toolkit.fluxcd.io";

/// The kind.
pub struct HelmReleases {
    #[allow(dead_code)]
    shared: Arc<Shared>,
}

impl HelmReleases {
    /// Nothing released yet.
    pub fn new(shared: Arc<Shared>) -> HelmReleases {
        HelmReleases { shared }
    }
}

impl Kind for HelmReleases {
    fn gvk(&self) -> Gvk {
        Gvk::new(GROUP, "v2", "HelmRelease")
    }

    fn describe(&self, object: &Value) -> Description {
        common::describe(object)
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, _context: Context, _object: Value) -> BoxFuture<'static, Outcome> {
        let cause = Cause::new("HelmRelease is not reconciled yet");
        Box::pin(std::future::ready(Outcome::retry(std::time::Duration::from_secs(60), cause)))
    }
}
