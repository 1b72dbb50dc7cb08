//! The listener that others call.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::Cluster;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;

use super::dispatch::Post;
use super::event::Event;
use super::{Options, receiver};

/// The largest body.
const MAX_BODY: usize = 3 << 20;
/// Connections at a time.
const CONNECTIONS: usize = 256;
/// One request.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Shared {
    cluster: Cluster,
    options: Options,
    post: Mutex<Post>,
}

pub(super) async fn run(
    cluster: Cluster,
    options: Options,
    listener: tokio::net::TcpListener,
    cancel: CancellationToken,
) {
    let post = Mutex::new(Post::new(cluster.clone(), options.clone()));
    let shared = Arc::new(Shared { cluster, options, post });
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
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
        let (shared, cancel) = (shared.clone(), cancel.clone());
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
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

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let work = handle(shared, request);
    let status = tokio::time::timeout(TIMEOUT, work).await.unwrap_or(408);
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

async fn handle(shared: &Shared, request: Request<Incoming>) -> u16 {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if matches!(path.as_str(), "/healthz" | "/readyz") {
        return 200;
    }
    if parts.method != Method::POST {
        return 405;
    }
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else { return 413 };
    let body = body.to_bytes().to_vec();
    if path.starts_with("/hook/") {
        let headers = parts
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        let call = receiver::Call { path, headers: headers.collect(), body };
        return receiver::handle(&shared.cluster, shared.options.no_cross_namespace_refs, call).await;
    }
    if path != "/" {
        return 404;
    }
    match serde_json::from_slice::<Event>(&body) {
        Ok(event) if !event.involved_object.kind.is_empty() => {
            shared.post.lock().await.deliver(event).await;
            202
        }
        _ => 400,
    }
}
