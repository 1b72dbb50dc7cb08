//! The listener that forges, registries and other controllers call, and what is common to their calls. What a path
//! means is a dialect's: each brings a [`Door`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The largest body.
const MAX_BODY: usize = 50 << 20;
/// Connections at a time.
const CONNECTIONS: usize = 256;
/// One request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A call that came in.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, without what was asked for behind it.
    pub path: String,
    /// Headers, by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// What was sent.
    pub body: Vec<u8>,
}

impl Call {
    /// A header, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// A line for the caller.
    pub text: String,
}

impl From<u16> for Reply {
    fn from(status: u16) -> Reply {
        Reply { status, text: String::new() }
    }
}

/// Who answers calls to some paths.
pub trait Door: Send + Sync {
    /// The longest body of a call to this path; `None` when it is another's.
    fn takes(&self, path: &str) -> Option<usize>;
    /// Answers one.
    fn answer(&self, call: Call) -> BoxFuture<'_, Reply>;
}

/// Serves calls until `cancel` fires; `/healthz` and `/readyz` are answered here.
pub async fn serve(doors: Vec<Arc<dyn Door>>, listener: tokio::net::TcpListener, cancel: CancellationToken) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let doors: Arc<[Arc<dyn Door>]> = doors.into();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let (doors, cancel) = (doors.clone(), cancel.clone());
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let doors = doors.clone();
                async move { Ok::<_, Infallible>(response(&doors, request).await) }
            });
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = cancel.cancelled() => {}
                done = connection => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "a connection ended");
                    }
                }
            }
            drop(permit);
        });
    }
}

async fn response(doors: &[Arc<dyn Door>], request: Request<Incoming>) -> Response<Full<Bytes>> {
    let work = reply(doors, request);
    let reply = tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Reply::from(408));
    let mut response = Response::new(Full::new(Bytes::from(reply.text)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

async fn reply(doors: &[Arc<dyn Door>], request: Request<Incoming>) -> Reply {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if matches!(path.as_str(), "/healthz" | "/readyz") {
        return 200.into();
    }
    let found = doors.iter().find_map(|door| Some((door, door.takes(&path)?)));
    let Some((door, most)) = found else { return 404.into() };
    if parts.method != Method::POST {
        return 405.into();
    }
    let Ok(body) = Limited::new(body, most.min(MAX_BODY)).collect().await else { return 413.into() };
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let call =
        Call { method: parts.method, path, headers: headers.collect(), body: body.to_bytes().to_vec() };
    door.answer(call).await
}

/// Is `given` (`sha256=…`, `sha1=…`, `sha512=…`) the signature of a body?
///
/// # Errors
/// When it is not.
pub fn signed(given: &str, key: &str, body: &[u8]) -> Result<(), String> {
    let (algorithm, hex) = given.split_once('=').ok_or("the signature's form is algorithm=hex")?;
    let algorithm = match algorithm {
        "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => hmac::HMAC_SHA256,
        "sha512" => hmac::HMAC_SHA512,
        _ => return Err("the signature's algorithm is not known".into()),
    };
    let tag = hex::decode(hex.trim()).map_err(|_| "the signature is not hexadecimal")?;
    let key = hmac::Key::new(algorithm, key.as_bytes());
    hmac::verify(&key, body, &tag).map_err(|_| "the signature does not fit".into())
}

/// Are two secrets the same? Takes as long for all of one length.
pub fn same(given: &str, wanted: &str) -> bool {
    constant_time::verify_slices_are_equal(given.as_bytes(), wanted.as_bytes()).is_ok()
}
