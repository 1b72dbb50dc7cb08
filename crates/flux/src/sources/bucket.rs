//! Bucket: object storage, or the folder that a map serves for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::get;
use object::{Gvk, Value};
use source::bucket::{Access, Provider, Request};
use source::{Artifact, Credentials, Revision, WorkingCopy};

use super::{Failure, Fetch, Fetched, secrets, source_gvk};
use crate::common::{self, Pass, bool_at, duration_at, str_at};
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

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new("FetchFailed", "BucketOperationFailed", error.to_string())
}

impl Fetch for Buckets {
    fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn fetch<'a>(&'a self, pass: &'a mut Pass) -> BoxFuture<'a, Result<Fetched, Failure>> {
        Box::pin(async move {
            let request = request(pass).await?;
            let scheme = if request.insecure { "http" } else { "https" };
            let url = format!("{scheme}://{}/{}", request.endpoint, request.bucket);
            super::follow(&self.shared, pass, &url);
            let fetcher = &self.shared.options.fetcher;
            let artifact = match fetcher.maps().find(&url) {
                Some(mapped) => self.mapped(pass, mapped.path.join(&mapped.rest), request.ignore).await?,
                None => fetcher.bucket(&request).await.map_err(|error| {
                    Failure::fetch("BucketOperationFailed", "bucket operation failed", &error)
                })?,
            };
            let ignore = get(&pass.object, &["spec", "ignore"]).cloned().unwrap_or_default();
            pass.set(&["observedIgnore"], ignore);
            let message = format!("stored artifact: revision '{}'", artifact.revision);
            Ok(Fetched { artifact, reason: "Succeeded", message })
        })
    }
}

impl Buckets {
    async fn mapped(
        &self,
        pass: &Pass,
        folder: PathBuf,
        ignore: Option<String>,
    ) -> Result<Artifact, Failure> {
        let limits = *self.shared.options.fetcher.limits();
        let read = move || {
            let mut copy = WorkingCopy::open(&folder, limits)?;
            Ok::<_, source::Error>(copy.snapshot(ignore.as_deref())?.tree)
        };
        let tree = pass.context.compute(read).await.map_err(failed)?.map_err(failed)?;
        Ok(Artifact::of_tree(Revision::new("", tree.digest()), tree))
    }
}

/// What the spec and its Secrets ask for.
async fn request(pass: &Pass) -> Result<Request, Failure> {
    let object = &pass.object;
    let text = |field: &str| str_at(object, &["spec", field]).to_owned();
    let provider = match text("provider").as_str() {
        "gcp" => Provider::Google,
        "azure" => Provider::Azure,
        _ => Provider::S3,
    };
    if get(object, &["spec", "sts"]).is_some_and(Value::is_object) {
        let why = "spec.sts: temporary credentials cannot be asked for yet; use a Secret with keys";
        return Err(Failure::new("FetchFailed", "InvalidSTSConfiguration", why).stalled());
    }
    let mut credentials = secrets::credentials(pass).await?;
    let access = match str_at(object, &["spec", "secretRef", "name"]) {
        "" if text("provider") == "aws" || !text("serviceAccountName").is_empty() => {
            let why = "workload identity is not available here; use spec.secretRef";
            return Err(Failure::new("FetchFailed", "AuthenticationFailed", why));
        }
        "" => Access::Anonymous,
        name => {
            let data = secrets::read(pass, name).await?;
            Access::from_secret(provider, &data).map_err(|error| {
                let why = format!("invalid '{}/{name}' secret data: {error}", pass.namespace());
                Failure::new("FetchFailed", "AuthenticationFailed", why)
            })?
        }
    };
    // Of the credentials only TLS and the proxy are for a bucket.
    credentials = Credentials { username: None, password: None, bearer_token: None, ..credentials };
    Ok(Request {
        endpoint: text("endpoint"),
        bucket: text("bucketName"),
        region: text("region"),
        prefix: text("prefix"),
        insecure: bool_at(object, &["spec", "insecure"]),
        provider,
        credentials,
        access,
        ignore: Some(text("ignore")).filter(|text| !text.is_empty()),
        timeout: duration_at(object, &["spec", "timeout"]).unwrap_or(Duration::from_secs(60)),
    })
}
