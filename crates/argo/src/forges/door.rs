//! HTTP to a forge: signed in as a Secret says, page after page, bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use object::{Value, get_str};
use url::Url;

use super::{Addresses, MAX_ENTRIES, Repo, text};

/// The longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer.
const MAX_ANSWER: usize = 32 << 20;
/// The most pages of one list.
const MAX_PAGES: usize = 500;

/// How the line ends about a list that is not there.
pub(super) const NOT_FOUND: &str = ": not found";

/// An answer that is still to come.
pub(super) type Asked<'a, T> = BoxFuture<'a, Result<T, String>>;

/// Secrets and ConfigMaps beside an ApplicationSet.
pub trait Secrets: Send + Sync {
    /// The text under a key.
    fn get<'a>(&'a self, kind: &'a str, name: &'a str, key: &'a str)
    -> BoxFuture<'a, Result<String, String>>;
    /// A token of a GitHub App, as the data of its Secret describes it.
    fn app(&self, data: BTreeMap<String, Vec<u8>>) -> BoxFuture<'_, Result<String, String>>;
}

/// A generator's spec, and how its forge is reached.
pub(super) struct Door<'a> {
    /// The whole generator.
    pub spec: &'a Value,
    /// The forge's part of it.
    pub block: &'a Value,
    /// The forges' public services.
    pub addresses: &'a Addresses,
    pub secrets: &'a dyn Secrets,
}

/// A signed-in client.
pub(super) struct Http {
    client: reqwest::Client,
    base: String,
    headers: Vec<(&'static str, String)>,
}

impl Door<'_> {
    /// A field of the forge's part.
    pub fn text(&self, field: &str) -> String {
        get_str(self.block, &[field]).unwrap_or_default().to_owned()
    }

    /// A field that must be there.
    pub fn needed(&self, field: &str) -> Result<String, String> {
        let value = self.text(field);
        if value.is_empty() { Err(format!("{field} is missing")) } else { Ok(value) }
    }

    /// What a reference `{secretName, key}` stands for; nothing without one.
    pub async fn secret(&self, path: &[&str]) -> Result<Option<String>, String> {
        let Some(reference) = object::get(self.block, path).filter(|found| found.is_object()) else {
            return Ok(None);
        };
        let text = |field: &str| get_str(reference, &[field]).unwrap_or_default();
        let found = self.secrets.get("Secret", text("secretName"), text("key")).await;
        found.map(|text| Some(text.trim().to_owned()))
    }

    /// User and password, or a token, of Bitbucket.
    pub async fn bitbucket_login(&self) -> Result<Option<String>, String> {
        use base64::Engine as _;
        let user = get_str(self.block, &["basicAuth", "username"]).unwrap_or_default();
        if let Some(password) = self.secret(&["basicAuth", "passwordRef"]).await? {
            let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            return Ok(Some(format!("Basic {both}")));
        }
        Ok(self.secret(&["bearerToken", "tokenRef"]).await?.map(|token| format!("Bearer {token}")))
    }

    /// A client for `base`, which sends these headers.
    pub async fn client(&self, base: &str, headers: Vec<(&'static str, String)>) -> Result<Http, String> {
        let mut given = source::Credentials {
            any_certificate: super::flag(self.block, "insecure"),
            ..source::Credentials::default()
        };
        if let Some(reference) = self.block.get("caRef").filter(|found| found.is_object()) {
            let text = |field: &str| get_str(reference, &[field]).unwrap_or_default();
            let ca = self.secrets.get("ConfigMap", text("configMapName"), text("key")).await?;
            given.ca = Some(ca.into_bytes());
        }
        let client = source::http_client(&given, TIMEOUT).map_err(|error| error.to_string())?;
        Ok(Http { client, base: base.trim_end_matches('/').to_owned(), headers })
    }
}

/// An answer: what it holds, and where the next page is.
struct Page {
    value: Value,
    next: Option<String>,
}

impl Http {
    /// The address of `segments` below the base. What has a `/` stays one segment.
    pub fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, String> {
        let mut url = Url::parse(&self.base).map_err(|error| format!("{}: {error}", self.base))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("{}: an address of http or https is needed", self.base));
        }
        url.path_segments_mut()
            .map_err(|()| format!("{} is no address", self.base))?
            .pop_if_empty()
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn page(&self, url: Url) -> Result<Option<Page>, String> {
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let mut call =
            self.client.get(url).header("User-Agent", "landfall").header("Accept", "application/json");
        for (name, value) in &self.headers {
            call = call.header(*name, value);
        }
        let answer = call.send().await.map_err(|error| format!("{place}: {}", error.without_url()))?;
        let status = answer.status();
        if status == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(format!("{place}: the server answered {status}"));
        }
        let next = answer.headers().get("link").and_then(|link| next_of(link.to_str().ok()?));
        let bytes = read(answer).await.map_err(|why| format!("{place}: {why}"))?;
        if bytes.is_empty() {
            return Ok(Some(Page { value: Value::Null, next }));
        }
        let value = serde_json::from_slice(&bytes).map_err(|_| format!("{place}: the answer is no JSON"))?;
        Ok(Some(Page { value, next }))
    }

    /// One object; nothing when there is none.
    pub async fn one(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Option<Value>, String> {
        Ok(self.page(self.url(segments, query)?).await?.map(|page| page.value))
    }

    /// The branches below `base`, or only the one that the repository begins with; `commit.<id>` names a commit.
    pub async fn branches(
        &self,
        base: &[&str],
        repo: &Repo,
        all: bool,
        size: (&str, usize),
        id: &str,
    ) -> Result<Vec<Repo>, String> {
        let found = if all {
            self.numbered(base, &[], size).await?
        } else {
            let one = [base, &[&repo.branch]].concat();
            self.one(&one, &[]).await?.into_iter().collect()
        };
        let of = |item: &Value| Repo {
            branch: text(item, &["name"]),
            sha: text(item, &["commit", id]),
            ..repo.clone()
        };
        Ok(found.iter().map(of).collect())
    }

    /// Is there anything?
    pub async fn exists(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<bool, String> {
        let url = self.url(segments, query)?;
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let mut call = self.client.get(url).header("User-Agent", "landfall");
        for (name, value) in &self.headers {
            call = call.header(*name, value);
        }
        let answer = call.send().await.map_err(|error| format!("{place}: {}", error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(true),
            reqwest::StatusCode::NOT_FOUND => Ok(false),
            status => Err(format!("{place}: the server answered {status}")),
        }
    }

    /// A whole list. `next` says from a page and its number where the following one is.
    async fn list(
        &self,
        first: Url,
        items: impl Fn(&Value) -> Option<&Vec<Value>>,
        next: impl Fn(&Page, usize) -> Result<Option<Url>, String>,
    ) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        let mut url = first;
        for number in 1..=MAX_PAGES {
            let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
            let page = self.page(url).await?.ok_or_else(|| format!("{place}{NOT_FOUND}"))?;
            let found = items(&page.value).ok_or_else(|| format!("{place}: the answer holds no list"))?;
            all.extend(found.iter().cloned());
            if all.len() > MAX_ENTRIES {
                return Err(format!("{place}: more than {MAX_ENTRIES} entries"));
            }
            match next(&page, number)? {
                Some(following) => url = following,
                None => return Ok(all),
            }
        }
        Err(format!("more than {MAX_PAGES} pages"))
    }

    /// A list whose pages are numbered (`page=2`), told by `Link` headers or by full pages.
    pub async fn numbered(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        size: (&str, usize),
    ) -> Result<Vec<Value>, String> {
        let at = |number: usize| {
            let (number, count) = (number.to_string(), size.1.to_string());
            let paging = [(size.0, count.as_str()), ("page", number.as_str())];
            let all: Vec<(&str, &str)> = query.iter().copied().chain(paging).collect();
            self.url(segments, &all)
        };
        self.list(at(1)?, Value::as_array, |page, number| {
            let full = page.value.as_array().is_some_and(|list| list.len() >= size.1);
            if page.next.is_some() || full { at(number + 1).map(Some) } else { Ok(None) }
        })
        .await
    }

    /// A list whose pages name the next one (`values` and `next`), as Bitbucket Cloud's do.
    pub async fn linked(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let first = self.url(segments, query)?;
        let origin = first.origin();
        self.list(
            first,
            |page| page.get("values")?.as_array(),
            |page, _| match get_str(&page.value, &["next"]) {
                None => Ok(None),
                Some(next) => match Url::parse(next) {
                    // What signs in is not sent to anybody else.
                    Ok(url) if url.origin() == origin => Ok(Some(url)),
                    _ => Err(format!("the next page is elsewhere: {next}")),
                },
            },
        )
        .await
    }

    /// A list whose pages begin at a number (`values`, `isLastPage`, `nextPageStart`), as Bitbucket Server's do.
    pub async fn started(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        let at = |start: &str| {
            let all: Vec<(&str, &str)> =
                query.iter().copied().chain([("limit", "100"), ("start", start)]).collect();
            self.url(segments, &all)
        };
        self.list(
            at("0")?,
            |page| page.get("values")?.as_array(),
            |page, _| {
                let last = page.value.get("isLastPage") != Some(&Value::Bool(false));
                let start = page.value.get("nextPageStart").and_then(Value::as_u64);
                match start.filter(|_| !last) {
                    Some(start) => at(&start.to_string()).map(Some),
                    None => Ok(None),
                }
            },
        )
        .await
    }

    /// A list in `value`, whose pages skip what came before, as Azure DevOps' do.
    pub async fn skipped(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Vec<Value>, String> {
        const SIZE: usize = 100;
        let at = |skip: usize| {
            let (top, skip) = (SIZE.to_string(), skip.to_string());
            let paging = [("$top", top.as_str()), ("$skip", skip.as_str())];
            let all: Vec<(&str, &str)> = query.iter().copied().chain(paging).collect();
            self.url(segments, &all)
        };
        self.list(
            at(0)?,
            |page| page.get("value")?.as_array(),
            |page, number| {
                let full =
                    page.value.get("value").and_then(Value::as_array).is_some_and(|list| list.len() >= SIZE);
                if full { at(number * SIZE).map(Some) } else { Ok(None) }
            },
        )
        .await
    }
}

async fn read(answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut stream = answer.bytes_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| error.without_url().to_string())?);
        if bytes.len() > MAX_ANSWER {
            return Err(format!("the answer is larger than {MAX_ANSWER} bytes"));
        }
    }
    Ok(bytes)
}

/// Is another page named by a `Link` header?
fn next_of(link: &str) -> Option<String> {
    let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    part.split(['<', '>']).nth(1).map(str::to_owned)
}

/// Sends one JSON document and reads the answer; used by plugins.
pub(super) async fn post(url: &str, token: &str, body: &Value, timeout: Duration) -> Result<Value, String> {
    let client =
        source::http_client(&source::Credentials::default(), timeout).map_err(|error| error.to_string())?;
    let sent = client.post(url).header("User-Agent", "landfall").bearer_auth(token).json(body).send();
    let answer = sent.await.map_err(|error| format!("{url}: {}", error.without_url()))?;
    let status = answer.status();
    let bytes = read(answer).await.map_err(|why| format!("{url}: {why}"))?;
    if !status.is_success() {
        return Err(format!("{url}: the plugin answered {status}"));
    }
    serde_json::from_slice(&bytes).map_err(|_| format!("{url}: the answer is no JSON"))
}
