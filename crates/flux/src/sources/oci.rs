//! OCIRepository.

use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Value, get};
use source::oci::{LayerSelector, Operation, Reference, Request};

use super::{Failure, Fetch, Fetched, secrets, source_gvk, verification};
use crate::common::{self, Pass, bool_at, duration_at, str_at};
use crate::options::Shared;

pub(crate) struct OciRepositories {
    pub shared: Arc<Shared>,
}

impl Kind for OciRepositories {
    fn gvk(&self) -> Gvk {
        source_gvk("OCIRepository")
    }

    fn describe(&self, object: &Value) -> Description {
        super::describe_source(object)
    }

    fn trigger(&self, object: &Value) -> String {
        common::trigger(object)
    }

    fn reconcile(self: Arc<Self>, context: Context, object: Value) -> BoxFuture<'static, Outcome> {
        Box::pin(async move { super::reconcile(&*self, context, object).await })
    }
}

fn text(object: &Value, path: &[&str]) -> Option<String> {
    Some(str_at(object, path)).filter(|text| !text.is_empty()).map(str::to_owned)
}

impl Fetch for OciRepositories {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> BoxFuture<'a, Result<Fetched, Failure>> {
        Box::pin(async move {
            let object = pass.object.clone();
            let url = str_at(&object, &["spec", "url"]).to_owned();
            if !url.starts_with("oci://") {
                let why = format!("URL validation failed for '{url}': an OCI address begins with oci://");
                return Err(Failure::new("FetchFailed", "URLInvalid", why).stalled());
            }
            super::follow(&self.shared, pass, &url);
            let operation = match str_at(&object, &["spec", "layerSelector", "operation"]) {
                "copy" => Operation::Copy,
                _ => Operation::Extract,
            };
            let mut request = Request::new(url.clone());
            request.reference = Reference {
                tag: text(&object, &["spec", "ref", "tag"]),
                semver: text(&object, &["spec", "ref", "semver"]),
                semver_filter: text(&object, &["spec", "ref", "semverFilter"]),
                digest: text(&object, &["spec", "ref", "digest"]),
            };
            let media_type = text(&object, &["spec", "layerSelector", "mediaType"]);
            request.layer = LayerSelector { media_type, operation };
            request.credentials = secrets::of_registry(&self.shared, pass, &url).await?;
            request.insecure = bool_at(&object, &["spec", "insecure"]);
            request.ignore = text(&object, &["spec", "ignore"]);
            request.timeout = duration_at(&object, &["spec", "timeout"]).unwrap_or(Duration::from_secs(60));
            request.verify = verification::cosign(pass).await?;
            let artifact = self.shared.options.fetcher.oci(&request).await.map_err(|error| match error {
                source::Error::Unverified { why, .. } => verification::failed(format!(
                    "failed to verify the signature using provider '{}': {why}",
                    verification::provider(&object)
                )),
                error => Failure::fetch(
                    "OCIArtifactPullFailed",
                    &format!("failed to pull artifact from '{url}'"),
                    &error,
                ),
            })?;
            let said = format!("verified signature of revision {}", artifact.revision);
            let said = artifact.verified.is_some().then_some(said.as_str());
            verification::say(pass, request.verify.is_some(), said, artifact.mapped.as_deref());
            for (field, observed) in
                [("ignore", "observedIgnore"), ("layerSelector", "observedLayerSelector")]
            {
                pass.set(&[observed], get(&object, &["spec", field]).cloned().unwrap_or_default());
            }
            let message = format!("stored artifact for digest '{}'", artifact.revision);
            Ok(Fetched { artifact, reason: "Succeeded", message })
        })
    }
}
