//! Bucket: served through maps for now.

use std::sync::Arc;

use controller::{Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::{Gvk, Value};
use source::{Artifact, Revision, WorkingCopy};

use super::{Failure, Fetch, Fetched, source_gvk};
use crate::common::{self, Pass, str_at};
use crate::options::Shared;

pub(crate) struct Buckets {
    pub shared: Arc<Shared>,
}

impl Kind for Buckets {
    fn gvk(&self) -> Gvk {
        source_gvk("Bucket")
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

impl Fetch for Buckets {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> BoxFuture<'a, Result<Fetched, Failure>> {
        Box::pin(async move {
            let object = &pass.object;
            let bucket = str_at(object, &["spec", "bucketName"]);
            let url = format!("https://{}/{bucket}", str_at(object, &["spec", "endpoint"]));
            super::follow(&self.shared, pass, &url);
            let Some(mapped) = self.shared.options.fetcher.maps().find(&url) else {
                let why = format!(
                    "bucket '{bucket}': object storage cannot be read yet; serve it from a folder with --map {url}=DIR"
                );
                return Err(Failure::new("FetchFailed", "BucketOperationFailed", why).stalled());
            };
            let ignore =
                Some(str_at(object, &["spec", "ignore"])).filter(|text| !text.is_empty()).map(str::to_owned);
            let limits = *self.shared.options.fetcher.limits();
            let folder = mapped.path.join(&mapped.rest);
            let read = move || {
                let mut copy = WorkingCopy::open(&folder, limits)?;
                Ok::<_, source::Error>(copy.snapshot(ignore.as_deref())?.tree)
            };
            let failed = |error: String| Failure::new("FetchFailed", "BucketOperationFailed", error);
            let tree = pass
                .context
                .compute(read)
                .await
                .map_err(failed)?
                .map_err(|error| failed(error.to_string()))?;
            let artifact = Artifact::of_tree(Revision::new("", tree.digest()), tree);
            let message = format!("stored artifact: revision '{}'", artifact.revision);
            Ok(Fetched { artifact, reason: "Succeeded", message })
        })
    }
}
