//! The distribution protocol: reading, and the requests that writing is made of.

use super::{Request, auth};
use crate::{Error, Fetcher, Limits, Result, transport};
use object::Value;
use parking_lot::Mutex;

/// Manifests we can read.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// Lists of manifests.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Pages of tags at most.
const MAX_PAGES: usize = 1000;

/// One repository of one registry.
pub(super) struct Registry {
    client: reqwest::Client,
    /// `https://host/v2/name`.
    base: String,
    origin: String,
    url: String,
    name: String,
    authorization: Option<String>,
    identity_token: Option<String>,
    token: Mutex<Option<String>>,
    limits: Limits,
}

impl Registry {
    pub(super) fn open(fetcher: &Fetcher, request: &Request) -> Result<Self> {
        let (host, name) = split(&request.url)?;
        let scheme = if request.insecure || is_loopback(&host) { "http" } else { "https" };
        let server = if host == "docker.io" { "registry-1.docker.io" } else { host.as_str() };
        Ok(Registry {
            client: transport::client(&request.credentials, request.timeout)?,
            base: format!("{scheme}://{server}/v2/{name}"),
            origin: format!("{scheme}://{server}"),
            url: request.url.clone(),
            authorization: auth::authorization(&request.credentials, &host)?,
            identity_token: request.credentials.identity_token.clone(),
            name,
            token: Mutex::default(),
            limits: *fetcher.limits(),
        })
    }

    /// A registry without a repository in mind.
    pub(super) fn host(fetcher: &Fetcher, host: &str, request: &Request) -> Result<Self> {
        let named = Request { url: format!("oci://{host}/-"), ..request.clone() };
        let mut registry = Registry::open(fetcher, &named)?;
        registry.name.clear();
        registry.base = format!("{}/v2/", registry.origin);
        registry.url = host.to_string();
        Ok(registry)
    }

    /// `https://host/v2/name`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) async fn tags(&self) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let mut url = format!("{}/tags/list?n=1000", self.base);
        for _ in 0..MAX_PAGES {
            let response = self.get(&url, None).await?;
            let next =
                response.headers().get(reqwest::header::LINK).and_then(|link| next_page(link.to_str().ok()?));
            let bytes = transport::body(response, &url, &self.url, &self.limits).await?;
            let page: Value = serde_json::from_slice(&bytes)
                .map_err(|error| Error::Refused(format!("{url}: the tag list is not JSON: {error}")))?;
            let list = page.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            tags.extend(list.iter().filter_map(Value::as_str).map(String::from));
            match next {
                Some(next) => url = self.absolute(&next)?,
                None => return Ok(tags),
            }
        }
        Err(Error::Refused(format!("{}: the list of tags does not end", self.url)))
    }

    pub(super) async fn manifest(&self, reference: &str) -> Result<Vec<u8>> {
        let url = format!("{}/manifests/{reference}", self.base);
        let response = self.get(&url, Some(ACCEPT)).await.map_err(|error| match error {
            Error::NotFound(_) => Error::NotFound(format!("{}: has no {reference}", self.url)),
            other => other,
        })?;
        transport::body(response, &url, &self.url, &self.limits).await
    }

    /// What refers to a manifest: descriptors. A registry that does not answer the question keeps them in an index
    /// that is tagged after the digest.
    pub(super) async fn referrers(&self, digest: &str) -> Result<Vec<Value>> {
        let url = format!("{}/referrers/{digest}", self.base);
        let bytes = match self.get(&url, Some(INDEX)).await {
            Ok(response) => transport::body(response, &url, &self.url, &self.limits).await?,
            Err(Error::NotFound(_)) => match self.manifest(&digest.replace(':', "-")).await {
                Ok(bytes) => bytes,
                Err(Error::NotFound(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let index: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Refused(format!("{url}: the list of referrers is not JSON: {error}")))?;
        Ok(index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    pub(super) async fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        let url = format!("{}/blobs/{digest}", self.base);
        let response = self.get(&url, None).await?;
        transport::body(response, &url, &self.url, &self.limits).await
    }

    /// An address that the registry names must be of the same registry: credentials go with the request.
    pub(super) fn absolute(&self, next: &str) -> Result<String> {
        if next.starts_with('/') {
            return Ok(format!("{}{next}", self.origin));
        }
        if next.starts_with(&format!("{}/", self.origin)) {
            return Ok(next.to_string());
        }
        Err(Error::Refused(format!("{}: the registry leads to another host: {next}", self.url)))
    }

    async fn get(&self, url: &str, accept: Option<&str>) -> Result<reqwest::Response> {
        let mut request = Sent::new(reqwest::Method::GET, url);
        request.headers.extend(accept.map(|accept| (reqwest::header::ACCEPT, accept)));
        transport::check(self.send(&request).await?, url, &self.url)
    }

    /// Sends a request, with the token handshake when the registry asks for it. The answer, whatever it is.
    pub(super) async fn send(&self, request: &Sent<'_>) -> Result<reqwest::Response> {
        let first = self.token.lock().clone().or_else(|| self.authorization.clone());
        let response = self.send_as(request, first.as_deref()).await?;
        if response.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let asked = response.headers().get_all(reqwest::header::WWW_AUTHENTICATE).iter();
        let challenge = asked.filter_map(|value| value.to_str().ok()).find_map(auth::challenge);
        let Some(challenge) = challenge else { return Ok(response) };
        let header = format!("Bearer {}", self.fetch_token(&challenge, request).await?);
        let response = self.send_as(request, Some(&header)).await?;
        *self.token.lock() = Some(header);
        Ok(response)
    }

    async fn send_as(&self, sent: &Sent<'_>, authorization: Option<&str>) -> Result<reqwest::Response> {
        let mut request = self.client.request(sent.method.clone(), sent.url);
        for (name, value) in &sent.headers {
            request = request.header(name, *value);
        }
        if let Some(value) = authorization {
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        if let Some(body) = sent.body {
            request = request.body(body.to_vec());
        }
        request.send().await.map_err(|error| transport::unreachable(sent.url, &self.url, &error))
    }

    /// An access token for an identity token.
    async fn exchange(&self, realm: &str, service: &str, scope: &str, token: &str) -> Result<Vec<u8>> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "landfall")
            .append_pair("service", service)
            .append_pair("scope", scope)
            .append_pair("refresh_token", token)
            .finish();
        let request = self
            .client
            .post(realm)
            .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let response =
            request.send().await.map_err(|error| transport::unreachable(realm, &self.url, &error))?;
        let response = transport::check(response, realm, &self.url)?;
        transport::body(response, realm, &self.url, &self.limits).await
    }

    async fn fetch_token(&self, challenge: &auth::Challenge, request: &Sent<'_>) -> Result<String> {
        let reads = matches!(request.method, reqwest::Method::GET | reqwest::Method::HEAD);
        let scope = match challenge.scope.as_str() {
            "" if self.name.is_empty() => String::new(),
            "" if reads => format!("repository:{}:pull", self.name),
            "" => format!("repository:{}:pull,push", self.name),
            scope => scope.to_string(),
        };
        let mut url = url::Url::parse(&challenge.realm).map_err(|error| {
            Error::Refused(format!("{}: token address {:?}: {error}", self.url, challenge.realm))
        })?;
        if !scope.is_empty() {
            url.query_pairs_mut().append_pair("scope", &scope);
        }
        if !challenge.service.is_empty() {
            url.query_pairs_mut().append_pair("service", &challenge.service);
        }
        let bytes = match &self.identity_token {
            Some(token) => self.exchange(&challenge.realm, &challenge.service, &scope, token).await?,
            None => {
                let known = self.authorization.as_deref();
                transport::get(&self.client, url.as_str(), known, &self.url, &self.limits).await?
            }
        };
        let answer: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Refused(format!("{}: the token is not JSON: {error}", self.url)))?;
        let token = answer.get("token").or_else(|| answer.get("access_token")).and_then(Value::as_str);
        token.map(String::from).ok_or_else(|| Error::Denied {
            url: self.url.clone(),
            cause: "the registry's token service gave no token".to_string(),
        })
    }
}

/// A request to a registry.
pub(super) struct Sent<'s> {
    pub(super) method: reqwest::Method,
    pub(super) url: &'s str,
    pub(super) headers: Vec<(reqwest::header::HeaderName, &'s str)>,
    pub(super) body: Option<&'s [u8]>,
}

impl<'s> Sent<'s> {
    pub(super) fn new(method: reqwest::Method, url: &'s str) -> Self {
        Sent { method, url, headers: Vec::new(), body: None }
    }
}

/// `oci://host/name` as host and name.
pub(super) fn split(url: &str) -> Result<(String, String)> {
    let wrong = |why: &str| Error::Invalid(format!("{url}: {why}; it must be oci://HOST/PATH"));
    let rest = url.strip_prefix("oci://").ok_or_else(|| wrong("does not start with oci://"))?;
    let (host, name) = rest.trim_end_matches('/').split_once('/').ok_or_else(|| wrong("has no path"))?;
    if name.contains(['@', '?', '#']) || name.rsplit('/').next().is_some_and(|last| last.contains(':')) {
        return Err(wrong("has a tag or digest, which belongs in spec.ref"));
    }
    if host.is_empty() || name.is_empty() || name.split('/').any(|part| part.is_empty() || part == "..") {
        return Err(wrong("is incomplete"));
    }
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let name =
        if host == "docker.io" && !name.contains('/') { format!("library/{name}") } else { name.to_string() };
    Ok((host.to_string(), name))
}

/// Whether the host is this machine, where registries speak plain HTTP.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The address in `<…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (address, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| address.to_string())
}
