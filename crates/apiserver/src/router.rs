//! From a request to its handler: limits, authentication, authorization, paths.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use crate::api::{self, Call};
use crate::app::App;
use crate::auth::{self, User};
use crate::catalog::Resource;
use crate::metrics::{self, Asked};
use crate::rbac::{self, Attributes};
use crate::request::{self, Media, Query};
use crate::server::{Body, Server};
use crate::status::Failure;
use crate::{discovery, openapi, protobuf, respond};

/// The largest body that is read, as in Kubernetes.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// How long the body of a request may take; as long as in Kubernetes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who sends a request, as far as that is known before it is read.
pub enum Caller {
    /// Code in this process, as this user.
    Inside(User),
    /// The user of a certificate.
    Certified(User),
    /// Somebody with a token, perhaps.
    Unknown,
}

/// Answers a request.
pub async fn answer<B>(app: Arc<App>, caller: Caller, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Some((name, rest)) = child_path(request.uri()) {
        return match Server::of(app).child(&name).await {
            Ok(child) => {
                let (mut parts, body) = request.into_parts();
                parts.uri = rest;
                Box::pin(answer(child.app, Caller::Unknown, Request::from_parts(parts, body))).await
            }
            Err(error) => respond::failure(&Failure::new(404, "NotFound", error.to_string()), Media::Json),
        };
    }
    let (parts, body) = request.into_parts();
    let media = request::negotiate(&parts.headers, true, true).map_or(Media::Json, |format| format.media);
    let path = parts.uri.path().to_owned();
    // Nothing is read of strangers.
    let caller = match caller {
        Caller::Unknown if !is_health(&path) => match auth::authenticate(&app, &parts.headers) {
            Ok(user) => Caller::Certified(user),
            Err(failure) => return respond::failure(&failure, media),
        },
        known => known,
    };
    let body = match tokio::time::timeout(PATIENCE, read_body(&parts.headers, body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(failure)) => return respond::failure(&failure, media),
        Err(_) => {
            let text = "Timeout: request did not complete within the allotted timeout";
            return respond::failure(&Failure::new(504, "Timeout", text), media);
        }
    };
    let query = Query::parse(parts.uri.query());
    let result = route(app, caller, &parts.method, &path, query, parts.headers, body).await;
    match result {
        Ok(response) => response,
        Err(failure) => respond::failure(&failure, media),
    }
}

/// Whether a path leads into a child cluster.
pub fn is_child(uri: &Uri) -> bool {
    uri.path().starts_with(crate::clusters::PREFIX)
}

/// The child cluster that a path is in, and the path in it.
fn child_path(uri: &Uri) -> Option<(String, Uri)> {
    let rest = uri.path().strip_prefix(crate::clusters::PREFIX)?;
    let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
    let text = match uri.query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    };
    Some((name.to_owned(), text.parse().ok()?))
}

/// What of a body that is too large is read and thrown away: whoever still writes would not see the refusal.
const REFUSED_LIMIT: usize = 10 * BODY_LIMIT;

async fn read_body<B>(headers: &HeaderMap, body: B) -> Result<Bytes, Failure>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > REFUSED_LIMIT) {
        return Err(Failure::too_large(BODY_LIMIT));
    }
    let mut body = std::pin::pin!(Limited::new(body, REFUSED_LIMIT));
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => {
                length += data.len();
                pieces.push(data);
                if length > BODY_LIMIT {
                    pieces.clear();
                }
            }
            // Trailers say nothing here.
            Ok(Err(_)) => {}
            Err(error) if error.is::<LengthLimitError>() => return Err(Failure::too_large(BODY_LIMIT)),
            Err(error) => return Err(Failure::bad_request(format!("the body could not be read: {error}"))),
        }
    }
    if length > BODY_LIMIT {
        return Err(Failure::too_large(BODY_LIMIT));
    }
    // Most come in one piece.
    Ok(match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => whole,
        Err(pieces) => pieces.concat().into(),
    })
}

fn is_health(path: &str) -> bool {
    let probe = path.split('/').nth(1).unwrap_or_default();
    matches!(probe, "healthz" | "livez" | "readyz")
}

async fn route(
    app: Arc<App>,
    caller: Caller,
    method: &Method,
    path: &str,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response<Body>, Failure> {
    if is_health(path) {
        return Ok(answer_health(&app, path, &query));
    }
    let inside = matches!(caller, Caller::Inside(_));
    let user = match caller {
        Caller::Inside(user) | Caller::Certified(user) => user,
        Caller::Unknown => auth::authenticate(&app, &headers)?,
    };
    // Whoever is in this process is trusted to leave room for others.
    let _turn = if inside { None } else { Some(app.flows.turn(&user).await?) };
    let user = auth::impersonate(&app, user, &headers)?;
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    if segments.first() == Some(&"landfall") {
        return crate::manage::answer(&app, &user, method, &segments, &body).await;
    }
    let is_resource = matches!(segments.as_slice(), ["api", _, _, ..] | ["apis", _, _, _, ..]);
    if !is_resource {
        let verb = method.as_str().to_ascii_lowercase();
        let attributes = Attributes { verb: &verb, path: Some(path), ..Attributes::default() };
        rbac::require(&app, &user, &attributes)?;
        return plain(&app, method, path, &segments, &headers);
    }
    let target = request::target(path).ok_or_else(Failure::page_not_found)?;
    let catalog = app.catalog();
    let verb = request::verb(method, &target, &query);
    let found = catalog.find(&target.group, &target.version, &target.resource).cloned();
    let dry_run = query.get("dryRun").is_some_and(|own| !own.is_empty());
    let counted = found.is_some().then(|| Counted {
        app: app.clone(),
        target: target.clone(),
        since: Instant::now(),
        verb,
        applies: headers.get(header::CONTENT_TYPE).is_some_and(|own| own.as_bytes().starts_with(APPLY)),
        dry_run,
    });
    let _working = app.metrics.work(!matches!(verb, "get" | "list" | "watch"));
    let sent = Sent { method: method.clone(), verb, query, headers, body };
    let result = resource(app.clone(), user, target, found, sent).await;
    if let Some(counted) = counted {
        counted.answered(&result);
    }
    result
}

/// Media types of server-side apply begin so.
const APPLY: &[u8] = b"application/apply-patch";

/// A request that is counted when it is answered.
struct Counted {
    app: Arc<App>,
    target: request::Target,
    since: Instant,
    verb: &'static str,
    applies: bool,
    dry_run: bool,
}

impl Counted {
    fn answered(&self, result: &Result<Response<Body>, Failure>) {
        let code = match result {
            Ok(response) => response.status(),
            Err(failure) => failure.code(),
        };
        let asked = Asked::of(&self.target, self.verb, self.applies, self.dry_run);
        self.app.metrics.answered(&asked, code.as_u16(), self.since.elapsed());
    }
}

/// What a request for a resource brings along.
struct Sent {
    method: Method,
    verb: &'static str,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
}

/// Answers a request for a resource, if it is one.
async fn resource(
    app: Arc<App>,
    user: User,
    target: request::Target,
    found: Option<Arc<Resource>>,
    sent: Sent,
) -> Result<Response<Body>, Failure> {
    let Sent { method, verb, query, headers, body } = sent;
    let attributes = Attributes {
        verb,
        group: &target.group,
        resource: &target.resource,
        subresource: target.subresource.as_deref().unwrap_or_default(),
        namespace: namespace_of(&target),
        name: target.name.as_deref().unwrap_or_default(),
        path: None,
    };
    rbac::require(&app, &user, &attributes)?;
    let Some(resource) = found else {
        let builtin = app.builtin.version(&target.group, &target.version).is_some();
        return Err(if builtin { api::unknown_resource() } else { Failure::page_not_found() });
    };
    if target.namespace.is_some() && !resource.namespaced {
        return Err(api::unknown_resource());
    }
    let reads = matches!(verb, "get" | "list" | "watch");
    let format = {
        let typed = resource.custom.is_none() && protobuf::is_known(&resource.api_version(), &resource.kind);
        request::negotiate(&headers, true, typed)
    };
    let format = match format {
        Some(format) if reads || format.shape == request::Shape::Whole => format,
        Some(format) => format,
        None => {
            return Err(Failure::not_acceptable(&[
                "application/json",
                "application/yaml",
                "application/vnd.kubernetes.protobuf",
                "application/json;stream=watch",
                "application/vnd.kubernetes.protobuf;stream=watch",
            ]));
        }
    };
    let call = Call { app, user, method, target, query, headers, resource, format };
    let says_policy = verb == "delete"
        && (call.query.text("propagationPolicy").is_some()
            || body.windows(17).any(|part| part == b"propagationPolicy"));
    let warnings = crate::admission::warnings(&call.resource, verb, says_policy);
    let media = call.format.media;
    let result = api::dispatch(call, body).await;
    let mut response = result.unwrap_or_else(|failure| respond::failure(&failure, media));
    respond::warn_first(&mut response, &warnings);
    Ok(response)
}

/// The namespace that authorization sees: a namespace is in itself.
fn namespace_of(target: &request::Target) -> &str {
    if target.group.is_empty() && target.resource == "namespaces" {
        return target.name.as_deref().unwrap_or_default();
    }
    target.namespace.as_deref().unwrap_or_default()
}

fn plain(
    app: &Arc<App>,
    method: &Method,
    path: &str,
    segments: &[&str],
    headers: &HeaderMap,
) -> Result<Response<Body>, Failure> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Failure::method_not_allowed());
    }
    let catalog = app.catalog();
    match segments {
        [] => {
            let paths = json!({"paths": discovery::paths(&catalog)});
            Ok(respond::tree(StatusCode::OK, &paths, Media::Json))
        }
        ["metrics"] => Ok(respond::bytes(StatusCode::OK, metrics::MEDIA, metrics::text(app))),
        ["version"] => Ok(respond::tree(StatusCode::OK, &version(), Media::Json)),
        ["openapi", "v2"] => openapi::v2(app, headers),
        ["openapi", "v3", ..] => {
            openapi::v3(app, path.strip_prefix("/openapi/v3").unwrap_or_default(), headers)
        }
        [".well-known", "openid-configuration"] => Ok(respond::tree(
            StatusCode::OK,
            &json!({
                "issuer": crate::token::ISSUER,
                "jwks_uri": format!("{}/openid/v1/jwks", crate::token::ISSUER),
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
            Media::Json,
        )),
        ["api" | "apis", ..] => {
            let address = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("127.0.0.1:6443");
            discovery::answer(&catalog, segments, headers, address)
        }
        ["version", ..] => {
            let text = "the server could not find the requested resource";
            Err(Failure::new(404, "NotFound", text).empty_details())
        }
        _ => Err(Failure::page_not_found()),
    }
}

/// The version that clients see.
fn version() -> serde_json::Value {
    json!({
        "major": "1",
        "minor": "34",
        "emulationMajor": "1",
        "emulationMinor": "34",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "33",
        "gitVersion": "v1.34.2",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, platform_arch()),
    })
}

fn platform_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn answer_health(app: &App, path: &str, query: &Query) -> Response<Body> {
    let plain = "text/plain; charset=utf-8";
    let probe = path.split('/').nth(1).unwrap_or("healthz");
    if let Some(why) = app.store.disk_failure() {
        let text = format!("[-]storage failed: {why}\n{probe} check failed\n");
        return respond::bytes(StatusCode::INTERNAL_SERVER_ERROR, plain, text);
    }
    if query.get("verbose").is_some() {
        return respond::bytes(
            StatusCode::OK,
            plain,
            format!("[+]ping ok\n[+]storage ok\n{probe} check passed\n"),
        );
    }
    respond::bytes(StatusCode::OK, plain, "ok")
}
