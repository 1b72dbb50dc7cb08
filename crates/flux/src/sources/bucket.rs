//! Bucket: object storage, or the folder that a map serves for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use controller::{Context, Description, Kind, Outcome};
use futures::future::BoxFuture;
use object::get;
use object::{Gvk, Value};
use source::bucket::{Access, Provider, Request};
use source::cloud::{BLOBS, Cloud};
use source::{Artifact, Credentials, Revision, WorkingCopy};

use super::{Failure, Fetch, Fetched, secrets, source_gvk};
use crate::common::{self, Pass, bool_at, duration_at, str_at};
use crate::identity;
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
            let request = request(&self.shared, pass).await?;
            let scheme = if request.insecure { "http" } else { "https" };
            let url = format!("{scheme}://{}/{}", request.endpoint, request.bucket);
            super::follow(&self.shared, pass, &url);
            let fetcher = &self.shared.options.fetcher;
            let artifact = match fetcher.maps().find(&url) {
                Some(mapped) => self.mapped(pass, mapped.path.join(&mapped.rest), request.ignore).await?,
                None => self.read(pass, request).await?,
            };
            let ignore = get(&pass.object, &["spec", "ignore"]).cloned().unwrap_or_default();
            pass.set(&["observedIgnore"], ignore);
            let message = format!("stored artifact: revision '{}'", artifact.revision);
            Ok(Fetched { artifact, reason: "Succeeded", message })
        })
    }
}

impl Buckets {
    /// Reads the bucket; one that strangers may not read, of a cloud where this process may have an identity, with that.
    async fn read(&self, pass: &Pass, mut request: Request) -> Result<Artifact, Failure> {
        let told =
            |error: source::Error| Failure::fetch("BucketOperationFailed", "bucket operation failed", &error);
        let fetcher = &self.shared.options.fetcher;
        let first = match fetcher.bucket(&request).await {
            Err(error @ (source::Error::Denied { .. } | source::Error::NotFound(_))) => error,
            other => return other.map_err(told),
        };
        let cloud = match request.provider {
            Provider::Google => Cloud::Google,
            Provider::Azure => Cloud::Azure,
            Provider::S3 => return Err(told(first)),
        };
        if request.access != Access::Anonymous {
            return Err(told(first));
        }
        let denied = |why: String| {
            let why = format!("bucket operation failed: {first}; and with an identity of the cloud: {why}");
            Failure::new("FetchFailed", "AuthenticationFailed", why)
        };
        request.access = access(&self.shared, pass, cloud, &request).await.map_err(denied)?;
        fetcher.bucket(&request).await.map_err(told)
    }

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

/// How an identity is let in.
async fn access(shared: &Shared, pass: &Pass, cloud: Cloud, request: &Request) -> Result<Access, String> {
    let name = str_at(&pass.object, &["spec", "serviceAccountName"]);
    let account = identity::account(shared, pass, name).await?;
    let (account, fetcher, given) = (account.as_ref(), &shared.options.fetcher, &request.credentials);
    let access = match cloud {
        Cloud::Aws => {
            let sts = Some(str_at(&pass.object, &["spec", "sts", "endpoint"])).filter(|sts| !sts.is_empty());
            fetcher.aws_keys(account, &request.region, sts, given).await.map(Access::Aws)
        }
        Cloud::Azure => fetcher.azure_token(account, BLOBS, given).await.map(Access::Bearer),
        Cloud::Google => fetcher.google_token(account, given).await.map(Access::Bearer),
    };
    access.map_err(|error| error.to_string())
}

/// `spec.sts`: where temporary keys come from.
async fn temporary(shared: &Shared, pass: &Pass, request: &Request) -> Result<Access, Failure> {
    let field = |name: &str| str_at(&pass.object, &["spec", "sts", name]).to_owned();
    let wrong = |why: String| Failure::new("FetchFailed", "InvalidSTSConfiguration", why).stalled();
    let denied = |why: String| Failure::new("FetchFailed", "AuthenticationFailed", why);
    let provider = str_at(&pass.object, &["spec", "provider"]);
    match (provider, field("provider").as_str()) {
        ("aws", "aws") => access(shared, pass, Cloud::Aws, request).await.map_err(denied),
        ("" | "generic", "ldap") => {
            let secret = str_at(&pass.object, &["spec", "sts", "secretRef", "name"]);
            let data = secrets::read(pass, secret).await?;
            let text =
                |name: &str| data.get(name).map(|value| String::from_utf8_lossy(value).trim().to_owned());
            let (Some(user), Some(password)) = (text("username"), text("password")) else {
                let why = format!(
                    "invalid '{}/{secret}' secret data: required fields: username, password",
                    pass.namespace()
                );
                return Err(denied(why));
            };
            let mut given =
                Credentials { proxy: request.credentials.proxy.clone(), ..Credentials::default() };
            let certificate = str_at(&pass.object, &["spec", "sts", "certSecretRef", "name"]);
            if !certificate.is_empty() {
                given.add_secret(&secrets::read(pass, certificate).await?);
            }
            let keys = shared.options.fetcher.ldap_keys(&field("endpoint"), &user, &password, &given).await;
            keys.map(Access::Aws).map_err(|error| denied(format!("no temporary keys: {error}")))
        }
        (provider, other) => Err(wrong(format!(
            "STS provider '{other}' is not supported for the bucket provider '{provider}'"
        ))),
    }
}

/// What the spec and its Secrets ask for.
async fn request(shared: &Shared, pass: &Pass) -> Result<Request, Failure> {
    let object = &pass.object;
    let text = |field: &str| str_at(object, &["spec", field]).to_owned();
    let provider = match text("provider").as_str() {
        "gcp" => Provider::Google,
        "azure" => Provider::Azure,
        _ => Provider::S3,
    };
    // Of the credentials only TLS and the proxy are for a bucket.
    let given = secrets::credentials(pass).await?;
    let mut request = Request {
        endpoint: text("endpoint"),
        bucket: text("bucketName"),
        region: text("region"),
        prefix: text("prefix"),
        insecure: bool_at(object, &["spec", "insecure"]),
        provider,
        credentials: Credentials { username: None, password: None, bearer_token: None, ..given },
        access: Access::Anonymous,
        ignore: Some(text("ignore")).filter(|text| !text.is_empty()),
        timeout: duration_at(object, &["spec", "timeout"]).unwrap_or(Duration::from_secs(60)),
    };
    let denied = |why: String| Failure::new("FetchFailed", "AuthenticationFailed", why);
    let name = str_at(object, &["spec", "secretRef", "name"]);
    if !name.is_empty() {
        let data = secrets::read(pass, name).await?;
        request.access = Access::from_secret(provider, &data)
            .map_err(|error| denied(format!("invalid '{}/{name}' secret data: {error}", pass.namespace())))?;
    } else if get(object, &["spec", "sts"]).is_some_and(Value::is_object) {
        request.access = temporary(shared, pass, &request).await?;
    } else if let Some(cloud) = Cloud::of(&text("provider"))
        && (cloud == Cloud::Aws || !text("serviceAccountName").is_empty())
    {
        request.access = access(shared, pass, cloud, &request).await.map_err(denied)?;
    }
    Ok(request)
}
