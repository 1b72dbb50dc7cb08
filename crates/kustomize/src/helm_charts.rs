//! `helmCharts`: charts inflated by our own Helm.

use crate::Options;
use crate::error::Error;
use crate::kustomization::HelmChart;
use crate::loader::Loader;
use crate::resource::Resource;

/// Renders a chart into objects.
pub(crate) fn inflate(
    chart: &HelmChart,
    _loader: &Loader<'_>,
    options: &Options,
) -> Result<Vec<Resource>, Error> {
    if !options.enable_helm {
        return Err(Error::new("must specify --enable-helm"));
    }
    Err(Error::new(format!("charts cannot be inflated yet: {}", chart.name)))
}
