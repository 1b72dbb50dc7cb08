//! The identity that a workload has in a cloud: of this process, from its environment, or of a service account, whose
//! token is exchanged. What comes of it are keys and tokens with an end, which are kept until shortly before.

mod aws;
mod azure;
mod clusters;
mod google;
mod login;

use crate::{Credentials, Error, Fetcher, Result, transport};
use futures::future::BoxFuture;
use object::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use azure::{BLOBS, DEVOPS, EVENT_HUBS, KUBERNETES, MANAGEMENT, VAULT};
pub use clusters::Described;

/// One answer of a cloud.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A token is renewed this many seconds before it ends.
const SPARE: i64 = 300;

/// Which cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon's.
    Aws,
    /// Microsoft's.
    Azure,
    /// Google's.
    Google,
}

impl Cloud {
    /// The cloud that `spec.provider` names.
    pub fn of(provider: &str) -> Option<Cloud> {
        match provider {
            "aws" => Some(Cloud::Aws),
            "azure" => Some(Cloud::Azure),
            "gcp" => Some(Cloud::Google),
            _ => None,
        }
    }
}

/// Makes a token of a service account for an audience; the error is for people.
pub type Issuer = Arc<dyn Fn(String) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// A service account that has an identity in a cloud, as its annotations say.
#[derive(Clone)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Makes its tokens.
    pub issuer: Issuer,
}

impl Account {
    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    fn place(&self) -> String {
        format!("service account '{}/{}'", self.namespace, self.name)
    }

    async fn token(&self, audience: &str) -> Result<String> {
        let failed = |why: String| Error::Other(format!("no token for {}: {why}", self.place()));
        (self.issuer)(audience.to_owned()).await.map_err(failed)
    }

    /// What tells its tokens from those of others.
    fn digest(&self) -> String {
        format!("{}/{} {:?}", self.namespace, self.name, self.annotations)
    }
}

/// The environment of this process.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(readable).collect()
}

/// A way to ask clouds.
pub(crate) struct Asker<'a> {
    fetcher: &'a Fetcher,
    client: reqwest::Client,
    variables: Arc<BTreeMap<String, String>>,
}

impl<'a> Asker<'a> {
    /// Through the proxy of the source, if it has one; its certificates are for the source alone.
    fn new(fetcher: &'a Fetcher, credentials: &Credentials) -> Result<Asker<'a>> {
        let through = Credentials { proxy: credentials.proxy.clone(), ..Credentials::default() };
        let client = transport::client(&through, TIMEOUT)?;
        let variables = fetcher.inner.variables.lock().clone();
        Ok(Asker { fetcher, client, variables })
    }

    /// A variable of the environment that is not empty.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The address of a service: of the environment, or the usual one.
    fn address(&self, variables: &[&str], usual: impl Into<String>) -> String {
        let given = variables.iter().find_map(|name| self.variable(name));
        given.map_or_else(|| usual.into(), |given| given.trim_end_matches('/').to_owned())
    }

    /// A file that a variable names.
    fn file(&self, path: &str) -> Result<String> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        Ok(text.trim().to_owned())
    }

    fn form(&self, url: &str, pairs: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let call = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        call.body(crate::sign::query(pairs))
    }

    /// The body of a success. Errors name the place and the status: bodies may repeat what was sent.
    async fn bytes(&self, url: &str, call: reqwest::RequestBuilder) -> Result<Vec<u8>> {
        let shown = url.split('?').next().unwrap_or_default();
        let answer =
            call.send().await.map_err(|error| transport::unreachable(shown, shown, &error.without_url()))?;
        let status = answer.status();
        let bytes = transport::body(answer, shown, shown, self.fetcher.limits()).await?;
        if status.is_success() {
            return Ok(bytes);
        }
        let why = reason(&bytes).map(|why| format!(": {why}")).unwrap_or_default();
        let cause = format!("the server answered {status}{why}");
        match status.as_u16() {
            400..=499 => Err(Error::Denied { url: shown.to_owned(), cause }),
            _ => Err(Error::Other(format!("{shown}: {cause}"))),
        }
    }

    async fn json(&self, url: &str, call: reqwest::RequestBuilder) -> Result<Value> {
        let bytes = self.bytes(url, call).await?;
        let shown = url.split('?').next().unwrap_or_default();
        serde_json::from_slice(&bytes).map_err(|_| Error::Refused(format!("{shown}: the answer is not JSON")))
    }

    /// What was got under `key` while it is good; otherwise what `get` gets, with its end in seconds.
    async fn kept(&self, key: String, get: impl Future<Output = Result<(String, i64)>>) -> Result<String> {
        let now = now();
        if let Some((known, until)) = self.fetcher.inner.tokens.lock().get(&key)
            && now < *until - SPARE
        {
            return Ok(known.clone());
        }
        let (text, until) = get.await?;
        let mut tokens = self.fetcher.inner.tokens.lock();
        tokens.retain(|_, (_, until)| now < *until);
        tokens.insert(key, (text.clone(), until));
        Ok(text)
    }
}

/// The short word for what went wrong, where clouds have one: never a description, which may quote.
fn reason(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let word = body.get("error").and_then(Value::as_str).map(str::to_owned);
    let word = word.or_else(|| body.pointer("/error/status").and_then(Value::as_str).map(str::to_owned));
    let word = word.or_else(|| body.get("__type").and_then(Value::as_str).map(str::to_owned));
    let word = word.or_else(|| crate::bucket::xml::first(&text, "Code"))?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.#".contains(letter);
    (word.len() <= 80 && word.chars().all(plain)).then_some(word)
}

pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The end of a token: `expires_in` seconds from now, as a number or a text; an hour when nothing is said.
fn end_of(answer: &Value) -> i64 {
    let left = answer.get("expires_in");
    let left = left.and_then(|left| left.as_i64().or_else(|| left.as_str()?.parse().ok()));
    now() + left.unwrap_or(3600)
}

fn text_at<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    value.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The seconds of a time.
fn seconds(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second())
}

impl Fetcher {
    /// The address of a service: what a variable of the environment says (`HOST`, `HOST:PORT` or with a scheme), or the
    /// usual one.
    pub fn service(&self, variable: &str, usual: &str) -> String {
        match self.inner.variables.lock().get(variable).filter(|text| !text.is_empty()) {
            Some(given) if given.contains("://") => given.trim_end_matches('/').to_owned(),
            Some(given) => format!("http://{given}"),
            None => usual.to_owned(),
        }
    }

    /// Asks clouds as in another environment than that of this process: variables by name.
    pub fn set_environment(&self, variables: BTreeMap<String, String>) {
        *self.inner.variables.lock() = Arc::new(variables);
    }
}
