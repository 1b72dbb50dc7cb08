//! The API as one process sees it: late, cut off, overloaded, forgetful, and gone when the process is killed.

use super::chance::Chance;
use apiserver::{ApiService, Body};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What is true for all processes: how bad the times are, and what was asked for.
#[derive(Default)]
pub struct Weather {
    /// How many of a thousand requests meet a fault.
    pub faults: AtomicU64,
    /// The longest way of a request, in milliseconds.
    pub slow: AtomicU64,
    pub requests: AtomicU64,
    pub met: Mutex<BTreeMap<&'static str, u64>>,
    /// ConfigMaps that a process asked to delete.
    pub deleted: Mutex<Vec<String>>,
    /// Writes to anything but events and statuses.
    pub writes: AtomicU64,
    /// What was asked for and done, for those who look for a fault.
    pub trace: Mutex<Vec<String>>,
}

/// One process' way to the API.
#[derive(Clone)]
pub struct Api {
    inner: ApiService,
    weather: Arc<Weather>,
    dead: Arc<AtomicBool>,
    chance: Arc<Mutex<Chance>>,
    /// The process dies at this request.
    until: Option<u64>,
    count: Arc<AtomicU64>,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Answer(u16),
    /// The connection breaks before the server reads the request.
    Lost,
    /// The server does it, and nobody hears of it.
    Unheard,
    /// No answer for a long time, then a broken connection.
    Hangs,
}

impl Api {
    pub fn new(inner: ApiService, weather: Arc<Weather>, chance: Chance, until: Option<u64>) -> Api {
        Api {
            inner,
            weather,
            dead: Arc::default(),
            chance: Arc::new(Mutex::new(chance)),
            until,
            count: Arc::default(),
        }
    }

    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        kube::Client::new(service, "default")
    }

    /// From now on nothing of this process reaches the server.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn fate(&self, method: &str, watch: bool) -> (Fate, u64, u64) {
        let mut chance = self.chance.lock().unwrap();
        let slow = self.weather.slow.load(Ordering::SeqCst);
        let (there, back) = (chance.below(slow + 1), chance.below(slow + 1));
        if !chance.happens(self.weather.faults.load(Ordering::SeqCst)) {
            return (Fate::Well, there, back);
        }
        let read: &[Fate] = &[
            Fate::Answer(429),
            Fate::Answer(500),
            Fate::Answer(503),
            Fate::Answer(504),
            Fate::Lost,
            Fate::Hangs,
        ];
        let write: &[Fate] = &[
            Fate::Answer(409),
            Fate::Answer(422),
            Fate::Answer(429),
            Fate::Answer(500),
            Fate::Answer(503),
            Fate::Answer(504),
            Fate::Lost,
            Fate::Unheard,
            Fate::Unheard,
            Fate::Hangs,
        ];
        let watched: &[Fate] = &[Fate::Answer(410), Fate::Answer(429), Fate::Answer(500), Fate::Lost];
        let fates = if watch {
            watched
        } else if method == "GET" {
            read
        } else {
            write
        };
        (*chance.pick(fates), there, back)
    }

    async fn answer(self, request: Request<kube::client::Body>) -> Result<Response<Body>, Failed> {
        let count = self.count.fetch_add(1, Ordering::SeqCst);
        if self.until == Some(count) {
            self.kill();
        }
        if self.is_dead() {
            return std::future::pending().await;
        }
        self.weather.requests.fetch_add(1, Ordering::SeqCst);
        let method = request.method().to_string();
        let watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (fate, there, back) = self.fate(&method, watch);
        tokio::time::sleep(Duration::from_millis(there)).await;
        if self.is_dead() {
            return std::future::pending().await;
        }
        self.note(fate);
        match fate {
            Fate::Answer(code) => return Ok(refusal(code)),
            Fate::Lost => return Err("connection reset by peer".into()),
            Fate::Hangs => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                return Err("timed out".into());
            }
            Fate::Well | Fate::Unheard => {}
        }
        self.remember(&method, request.uri().path());
        let (request, what) = self.traced(pages(request)).await?;
        let response = self.inner.clone().oneshot(request).await?;
        if let Some(what) = what {
            let line = format!("{what} -> {} {fate:?}", response.status().as_u16());
            self.weather.trace.lock().unwrap().push(line);
        }
        tokio::time::sleep(Duration::from_millis(back)).await;
        if self.is_dead() {
            return std::future::pending().await;
        }
        if fate == Fate::Unheard {
            return Err("connection closed before message completed".into());
        }
        Ok(if watch { self.watched(response) } else { response })
    }

    /// A write to what the simulation is about, in a line.
    async fn traced(
        &self,
        request: Request<kube::client::Body>,
    ) -> Result<(Request<kube::client::Body>, Option<String>), Failed> {
        let path = request.uri().path().to_owned();
        let kinds = [
            "/configmaps",
            "/kustomizations",
            "/helmreleases",
            "/secrets",
            "/helmcharts",
            "/gitrepositories",
        ];
        let write = request.method() != "GET" && !path.contains("/events");
        let about = write || kinds.iter().any(|kind| path.contains(kind));
        let list = request.method() == "GET" && kinds.iter().any(|kind| path.ends_with(kind));
        if !about || list {
            return Ok((request, None));
        }
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let entries = body.pointer("/status/inventory/entries").and_then(serde_json::Value::as_array);
        let held: Vec<&str> = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["id"].as_str()?.split('_').nth(1))
            .collect();
        let who = Arc::as_ptr(&self.dead) as usize % 997;
        let now = tokio::time::Instant::now();
        let name = path.split('/').skip(5).collect::<Vec<_>>().join("/");
        let status = name.ends_with("/status");
        let text = if write && !status { String::from_utf8_lossy(&bytes) } else { "".into() };
        let text: String = text.chars().take(200).collect();
        let line = format!("{now:?} process {who}: {} {name} {held:?} {text}", parts.method);
        Ok((Request::from_parts(parts, kube::client::Body::from(bytes.to_vec())), Some(line)))
    }

    fn note(&self, fate: Fate) {
        let name = match fate {
            Fate::Well => return,
            Fate::Answer(409) => "409",
            Fate::Answer(410) => "410",
            Fate::Answer(422) => "422",
            Fate::Answer(429) => "429",
            Fate::Answer(_) => "5xx",
            Fate::Lost => "reset",
            Fate::Unheard => "unheard",
            Fate::Hangs => "time-out",
        };
        *self.weather.met.lock().unwrap().entry(name).or_default() += 1;
    }

    fn remember(&self, method: &str, path: &str) {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let told = parts.last().is_some_and(|last| *last == "status") || parts.contains(&"events");
        if method != "GET" && !told {
            self.weather.writes.fetch_add(1, Ordering::SeqCst);
        }
        if let (["api", "v1", "namespaces", "default", "configmaps", name], "DELETE") =
            (parts.as_slice(), method)
        {
            self.weather.deleted.lock().unwrap().push((*name).to_owned());
        }
    }

    /// A watch whose lines come late, and which may end at any of them, also with the news that it is too old.
    fn watched(&self, response: Response<Body>) -> Response<Body> {
        let api = self.clone();
        response.map(|body| {
            let stream = futures::stream::unfold((body, false), move |(mut body, over)| {
                let api = api.clone();
                async move {
                    if over {
                        return None;
                    }
                    let frame = body.frame().await?;
                    let (pause, fault) = {
                        let mut chance = api.chance.lock().unwrap();
                        let slow = api.weather.slow.load(Ordering::SeqCst);
                        let faults = api.weather.faults.load(Ordering::SeqCst);
                        let pause = chance.below(slow * 4 + 1);
                        (pause, chance.happens(faults).then(|| chance.below(2)))
                    };
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    if api.is_dead() {
                        return std::future::pending().await;
                    }
                    match fault {
                        Some(0) => None,
                        Some(_) => {
                            api.note(Fate::Answer(410));
                            let line = "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\
                                \"reason\":\"Expired\",\"message\":\"too old resource version\"}}\n";
                            Some((
                                Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(line))),
                                (body, true),
                            ))
                        }
                        None => Some((frame, (body, false))),
                    }
                }
            });
            StreamBody::new(stream).boxed_unsync()
        })
    }
}

/// Lists come in small pages, as they do where there is much.
fn pages(request: Request<kube::client::Body>) -> Request<kube::client::Body> {
    let (mut parts, body) = request.into_parts();
    let text = parts.uri.to_string();
    if text.contains("limit=") {
        let small = text.replace("limit=1000", "limit=3").replace("limit=500", "limit=3");
        if let Ok(uri) = small.parse() {
            parts.uri = uri;
        }
    }
    Request::from_parts(parts, body)
}

fn refusal(code: u16) -> Response<Body> {
    let (reason, message) = match code {
        409 => ("Conflict", "the object has been modified; please apply your changes to the latest version"),
        410 => ("Expired", "too old resource version"),
        422 => ("Invalid", "admission webhook denied the request for now"),
        429 => ("TooManyRequests", "too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "request did not complete within the allotted timeout"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    let bytes = Bytes::from(body.to_string());
    let body = http_body_util::Full::new(bytes).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
