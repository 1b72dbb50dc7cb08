//! A Provider with its Secrets, and the HTTP calls that reach it.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::Cluster;
use object::{Gvk, Value, meta};
use source::cloud::Account;
use source::{Credentials, Fetcher, Proxy};

use super::event::Event;
use super::{GROUP, bus, comment, commit, payload};
use crate::common::{bool_at, duration_at, str_at};
use crate::identity;
use crate::sources::secret_data;

/// Where and how to tell.
pub(super) struct Target {
    pub kind: String,
    pub address: String,
    pub channel: String,
    pub username: String,
    pub password: String,
    pub token: String,
    pub headers: BTreeMap<String, String>,
    /// Names a commit status.
    pub status: String,
    pub client: reqwest::Client,
    /// Asks clouds.
    pub fetcher: Option<Fetcher>,
    /// Whose identity is used there; `None` = this process's.
    pub account: Option<Account>,
}

/// One request.
pub(super) struct Call {
    pub method: reqwest::Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Call {
    /// `POST` of JSON.
    pub fn json(url: impl Into<String>, body: &Value) -> Call {
        Call {
            method: reqwest::Method::POST,
            url: url.into(),
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }

    /// `GET`.
    pub fn get(url: impl Into<String>) -> Call {
        Call { method: reqwest::Method::GET, url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Another method.
    pub fn method(mut self, method: reqwest::Method) -> Call {
        self.method = method;
        self
    }

    /// One more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Another content type.
    pub fn content_type(mut self, value: &str) -> Call {
        self.headers.retain(|(name, _)| name != "Content-Type");
        self.header("Content-Type", value)
    }

    /// `Authorization: Bearer …`, unless there is no token.
    pub fn bearer(self, token: &str) -> Call {
        if token.is_empty() { self } else { self.header("Authorization", format!("Bearer {token}")) }
    }

    /// Basic authentication.
    pub fn basic(self, user: &str, password: &str) -> Call {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", format!("Basic {pair}"))
    }
}

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; anything else is `null`.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Tries after the first.
const RETRIES: u32 = 4;
/// Answers are read up to this.
const MAX_ANSWER: usize = 4 << 20;

impl Target {
    /// Asks clouds.
    pub fn clouds(&self) -> Result<Fetcher, String> {
        match &self.fetcher {
            Some(fetcher) => Ok(fetcher.clone()),
            None => Fetcher::new(source::Options::default()).map_err(|error| error.to_string()),
        }
    }

    /// Sends, again and again while the other side cannot answer. Errors never hold the address, which may be
    /// a secret, nor what was sent.
    pub async fn send(&self, call: Call) -> Result<Answer, String> {
        let mut pause = Duration::from_secs(2);
        for attempt in 0..=RETRIES {
            let mut request = self.client.request(call.method.clone(), &call.url);
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            let last = attempt == RETRIES;
            match request.body(call.body.clone()).send().await {
                Ok(response) => {
                    let status = response.status().as_u16();
                    if !last && (status == 429 || (500..600).contains(&status) && status != 501) {
                        tokio::time::sleep(pause).await;
                    } else {
                        let body = response.bytes().await.map_err(bare)?;
                        if body.len() > MAX_ANSWER {
                            return Err("the answer is too large".into());
                        }
                        return Ok(Answer { status, body: body.to_vec() });
                    }
                }
                Err(error) if last || error.is_builder() => return Err(bare(error)),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
        Err("no answer".into())
    }

    /// The same; any answer but success is an error.
    pub async fn post(&self, call: Call) -> Result<Answer, String> {
        let answer = self.send(call).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(format!("the server answered {}", answer.status))
    }
}

/// Without the URL.
fn bare(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn read(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
    let gvk = match kind {
        "Provider" => Gvk::new(GROUP, "v1beta3", "Provider"),
        other => Gvk::new("", "v1", other),
    };
    // Asked for directly: a delivery is rare, and it must not miss what was made a moment ago.
    let found = cluster.get(&gvk, namespace, name).await.map_err(|error| error.to_string())?;
    found.ok_or_else(|| format!("failed to read {kind} '{namespace}/{name}': not found"))
}

/// Tells one event as one Alert wants it.
pub(super) async fn tell(
    cluster: &Cluster,
    fetcher: Option<Fetcher>,
    alert: &Value,
    event: Event,
) -> Result<(), String> {
    let namespace = meta::namespace(alert).unwrap_or_default();
    let provider =
        read(cluster, "Provider", namespace, str_at(alert, &["spec", "providerRef", "name"])).await?;
    if bool_at(&provider, &["spec", "suspend"]) {
        return Ok(());
    }
    let timeout = duration_at(&provider, &["spec", "timeout"]).unwrap_or(Duration::from_secs(15));
    let work = async {
        let target = target(cluster, fetcher, alert, &provider, &event, timeout).await?;
        // What only moves a commit's status is no news for a chat.
        if event.is_status_update() && !commit::is_for(&target.kind) {
            return Ok(());
        }
        if commit::is_for(&target.kind) {
            return commit::post(&target, &event).await;
        }
        if bus::is_for(&target.kind) {
            return bus::post(&target, &event).await;
        }
        if comment::is_for(&target.kind) {
            return comment::post(&target, &event).await;
        }
        payload::post(&target, &event).await
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done,
        Err(_) => Err(format!("no success within {timeout:?}")),
    }
}

async fn target(
    cluster: &Cluster,
    fetcher: Option<Fetcher>,
    alert: &Value,
    provider: &Value,
    event: &Event,
    timeout: Duration,
) -> Result<Target, String> {
    let namespace = meta::namespace(provider).unwrap_or_default();
    let spec = |field: &str| str_at(provider, &["spec", field]).to_owned();
    let account = match spec("serviceAccountName") {
        name if name.is_empty() => None,
        name => {
            let found = read(cluster, "ServiceAccount", namespace, &name).await?;
            Some(identity::of(cluster, &found))
        }
    };
    let mut target = Target {
        kind: spec("type"),
        address: spec("address"),
        channel: spec("channel"),
        username: spec("username"),
        password: String::new(),
        token: String::new(),
        headers: BTreeMap::new(),
        status: commit::context(provider, alert, event)?,
        client: reqwest::Client::new(),
        fetcher,
        account,
    };
    let mut credentials = Credentials::default();
    let mut proxy = spec("proxy");
    let secret = str_at(provider, &["spec", "secretRef", "name"]);
    if !secret.is_empty() {
        let data = secret_data(&read(cluster, "Secret", namespace, secret).await?);
        let text =
            |field: &str| data.get(field).map(|value| String::from_utf8_lossy(value).trim().to_owned());
        for (slot, field) in [
            (&mut target.address, "address"),
            (&mut target.username, "username"),
            (&mut target.password, "password"),
            (&mut target.token, "token"),
            (&mut proxy, "proxy"),
        ] {
            if let Some(value) = text(field) {
                *slot = value;
            }
        }
        if let Some(headers) = text("headers") {
            let read = yaml::from_str(&headers).map_err(|_| "the Secret's headers are not YAML")?;
            for (name, value) in read.as_object().into_iter().flatten() {
                if let Some(value) = value.as_str() {
                    target.headers.insert(name.clone(), value.to_owned());
                }
            }
        }
    }
    let certificate = str_at(provider, &["spec", "certSecretRef", "name"]);
    if !certificate.is_empty() {
        credentials.add_secret(&secret_data(&read(cluster, "Secret", namespace, certificate).await?));
        (credentials.username, credentials.password) = (None, None);
    }
    let through = str_at(provider, &["spec", "proxySecretRef", "name"]);
    if !through.is_empty() {
        credentials.set_proxy_secret(&secret_data(&read(cluster, "Secret", namespace, through).await?));
    } else if !proxy.is_empty() {
        credentials.proxy = Some(Proxy { address: proxy, ..Proxy::default() });
    }
    if target.address.is_empty() {
        target.address = match target.kind.as_str() {
            "telegram" => "https://api.telegram.org".into(),
            _ => return Err("the provider has no address".into()),
        };
    }
    if url::Url::parse(&target.address).is_err() && !bus::is_for(&target.kind) {
        return Err("the provider's address is no URL".into());
    }
    target.client = source::http_client(&credentials, timeout).map_err(|error| error.to_string())?;
    Ok(target)
}
