//! Buckets: what lies in object storage, fetched by listing it and reading only what changed.

mod azure;
mod google;
mod s3;
pub(crate) mod xml;

use crate::sign::AwsKeys;
use crate::tree::Builder;
use crate::{Artifact, Credentials, Error, Fetcher, File, Result, Revision, Tree, transport};
use futures::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a Bucket asks for.
#[derive(Clone)]
pub struct Request {
    /// `s3.amazonaws.com`, `minio.example.com:9000`, `https://account.blob.core.windows.net`.
    pub endpoint: String,
    /// The bucket, or the container.
    pub bucket: String,
    /// The region; empty = `us-east-1`.
    pub region: String,
    /// Only what begins with it.
    pub prefix: String,
    /// Plain HTTP.
    pub insecure: bool,
    /// Whose API.
    pub provider: Provider,
    /// TLS and proxy.
    pub credentials: Credentials,
    /// How to be let in.
    pub access: Access,
    /// `spec.ignore`.
    pub ignore: Option<String>,
    /// For the whole fetch.
    pub timeout: Duration,
}

/// Whose API a bucket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// S3, of whoever speaks it.
    S3,
    /// Google's JSON API.
    Google,
    /// Azure's blobs.
    Azure,
}

/// How to be let into a bucket.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody may read.
    #[default]
    Anonymous,
    /// `accesskey`, `secretkey`.
    Aws(AwsKeys),
    /// `serviceaccount`: Google's JSON.
    Google(Vec<u8>),
    /// A token of an identity, at Google or Azure.
    Bearer(String),
    /// `accountKey`.
    AzureKey(String),
    /// `sasKey`.
    AzureSas(String),
    /// `tenantId`, `clientId`, `clientSecret`, and the authority's address.
    AzureClient {
        /// The tenant.
        tenant: String,
        /// The application.
        client: String,
        /// Its secret.
        secret: String,
        /// `https://login.microsoftonline.com`.
        authority: String,
    },
}

impl Access {
    /// Reads the decoded `data` of a Secret for a provider.
    ///
    /// # Errors
    /// When it holds nothing that this provider takes.
    pub fn from_secret(provider: Provider, data: &BTreeMap<String, Vec<u8>>) -> Result<Access> {
        let text = |name: &str| data.get(name).map(|value| String::from_utf8_lossy(value).trim().to_string());
        match provider {
            Provider::S3 => match (text("accesskey"), text("secretkey")) {
                (Some(access), Some(secret)) => Ok(Access::Aws(AwsKeys { access, secret, session: None })),
                _ => Err(Error::Invalid("required fields: accesskey, secretkey".into())),
            },
            Provider::Google => match data.get("serviceaccount") {
                Some(json) => Ok(Access::Google(json.clone())),
                None => Err(Error::Invalid("required fields: serviceaccount".into())),
            },
            Provider::Azure => {
                if let (Some(tenant), Some(client), Some(secret)) =
                    (text("tenantId"), text("clientId"), text("clientSecret"))
                {
                    let authority = text("authorityHost");
                    let authority = authority.unwrap_or_else(|| "https://login.microsoftonline.com".into());
                    return Ok(Access::AzureClient { tenant, client, secret, authority });
                }
                if let Some(key) = text("sasKey") {
                    return Ok(Access::AzureSas(key.trim_start_matches('?').to_string()));
                }
                text("accountKey").map(Access::AzureKey).ok_or_else(|| {
                    Error::Invalid(
                        "required fields: accountKey, sasKey, or tenantId with clientId and clientSecret"
                            .into(),
                    )
                })
            }
        }
    }
}

/// Objects that are read at a time.
const AT_ONCE: usize = 8;
/// Pages of a listing.
const MAX_PAGES: usize = 1000;
/// Objects of a bucket.
const MAX_OBJECTS: usize = 100_000;

/// One page of a listing: names with entity tags, and where the next begins.
pub(crate) struct Page {
    objects: Vec<(String, String)>,
    next: Option<String>,
}

/// Address, headers.
type Signed = (String, Vec<(String, String)>);

/// A bucket that can be listed and read.
enum Store {
    S3(s3::S3),
    Google(google::Google),
    Azure(azure::Azure),
}

impl Store {
    fn list(&self, prefix: &str, next: Option<&str>) -> Result<Signed> {
        match self {
            Store::S3(store) => Ok(store.list(prefix, next)),
            Store::Google(store) => Ok(store.list(prefix, next)),
            Store::Azure(store) => store.list(prefix, next),
        }
    }

    fn page(&self, bytes: &[u8]) -> Result<Page> {
        match self {
            Store::S3(_) => s3::page(bytes),
            Store::Google(_) => google::page(bytes),
            Store::Azure(_) => Ok(azure::page(bytes)),
        }
    }

    fn object(&self, name: &str) -> Result<Signed> {
        match self {
            Store::S3(store) => Ok(store.object(name)),
            Store::Google(store) => Ok(store.object(name)),
            Store::Azure(store) => store.object(name),
        }
    }
}

/// What a bucket held last.
#[derive(Clone)]
pub(crate) struct Known {
    tags: BTreeMap<String, String>,
    tree: Tree,
}

impl Fetcher {
    /// The tree of a bucket. Its revision is the digest of all names and entity tags.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn bucket(&self, request: &Request) -> Result<Artifact> {
        let url = address(request)?;
        match tokio::time::timeout(request.timeout, self.bucket_inner(request, &url)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unreachable {
                hint: crate::maps::hint(&url),
                cause: format!("no answer within {:?}", request.timeout),
                url,
            }),
        }
    }

    async fn bucket_inner(&self, request: &Request, url: &str) -> Result<Artifact> {
        let client = transport::client(&request.credentials, request.timeout)?;
        let store = match request.provider {
            Provider::S3 => Store::S3(s3::S3::open(request)?),
            Provider::Google => Store::Google(google::Google::open(&client, request).await?),
            Provider::Azure => Store::Azure(azure::Azure::open(&client, request).await?),
        };
        let read = async |signed: Signed| -> Result<Vec<u8>> {
            let (address, headers) = signed;
            let mut call = client.get(&address);
            for (name, value) in headers {
                call = call.header(name, value);
            }
            // A shared access signature stands in the address.
            let shown = address.split('?').next().unwrap_or_default().to_string();
            let response = call
                .send()
                .await
                .map_err(|error| transport::unreachable(&shown, url, &error.without_url()))?;
            let response = transport::check(response, &shown, url)?;
            transport::body(response, &shown, url, self.limits()).await
        };
        let mut tags = BTreeMap::new();
        let mut next: Option<String> = None;
        for page in 0.. {
            if page == MAX_PAGES || tags.len() > MAX_OBJECTS {
                return Err(Error::Refused(format!("{url}: holds more than {MAX_OBJECTS} objects")));
            }
            let bytes =
                read(store.list(&request.prefix, next.as_deref())?).await.map_err(|error| match error {
                    Error::NotFound(_) => Error::NotFound(format!("bucket '{}' not found", request.bucket)),
                    other => other,
                })?;
            let page = store.page(&bytes)?;
            tags.extend(page.objects.into_iter().filter(|(name, _)| !name.ends_with('/')));
            next = page.next.filter(|next| !next.is_empty());
            if next.is_none() {
                break;
            }
        }
        // What is ignored is not read. The rules at the root are an object themselves.
        let mut rules = Builder::default();
        if tags.contains_key(".sourceignore") {
            rules.insert(".sourceignore", File::new(read(store.object(".sourceignore")?).await?, false))?;
        }
        for name in tags.keys().filter(|name| *name != ".sourceignore") {
            rules.insert(name, File::new(Vec::new(), false))?;
        }
        let wanted = rules.build().with_source_rules(request.ignore.as_deref());
        tags.retain(|name, _| crate::tree::clean(name).is_some_and(|clean| wanted.is_file(&clean)));
        let key = format!("{url}\0{}", request.prefix);
        let known = self.inner.buckets.lock().get(&key).cloned();
        let mut builder = Builder::default();
        let mut missing = Vec::new();
        for (name, tag) in &tags {
            let same = known.as_ref().filter(|known| known.tags.get(name) == Some(tag) && !tag.is_empty());
            let path = crate::tree::clean(name).unwrap_or_default();
            match same.and_then(|known| known.tree.get(&path)) {
                Some(file) => builder.put(&path, file.clone()),
                None => missing.push(name.clone()),
            }
        }
        let reads = missing.into_iter().map(|name| {
            let signed = store.object(&name);
            let read = &read;
            async move { Ok::<_, Error>((name, read(signed?).await?)) }
        });
        let mut files = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some((name, bytes)) = files.try_next().await? {
            builder.put(&crate::tree::clean(&name).unwrap_or_default(), Arc::new(File::new(bytes, false)));
            builder.check(self.limits(), url)?;
        }
        drop(files);
        let tree = builder.build();
        let index: String = tags.iter().map(|(name, tag)| format!("{name} {tag}\n")).collect();
        let digest = crate::tree::sha256(index.as_bytes());
        self.inner.buckets.lock().insert(key, Known { tags, tree: tree.clone() });
        Ok(Artifact::of_tree(Revision::new("", digest), tree))
    }
}

/// `https://endpoint/bucket`.
fn address(request: &Request) -> Result<String> {
    let endpoint = request.endpoint.trim_end_matches('/');
    let scheme = if request.insecure { "http" } else { "https" };
    let url = if endpoint.contains("://") {
        format!("{endpoint}/{}", request.bucket)
    } else {
        format!("{scheme}://{endpoint}/{}", request.bucket)
    };
    match url::Url::parse(&url) {
        Ok(parsed) if parsed.host_str().is_some() && !request.bucket.is_empty() => Ok(url),
        _ => Err(Error::Invalid(format!("{url}: is no address of a bucket"))),
    }
}

/// Scheme with host, and host with its port.
fn origin(url: &str) -> (String, String) {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let port = parsed.as_ref().and_then(url::Url::port).map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = parsed.as_ref().map_or("https", |url| url.scheme());
    (format!("{scheme}://{host}{port}"), format!("{host}{port}"))
}
