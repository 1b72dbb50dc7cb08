//! Writing answers.

use std::convert::Infallible;

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;

use crate::protobuf;
use crate::request::Media;
use crate::server::Body;
use crate::status::Failure;

/// Text of any type.
pub fn bytes(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// JSON text.
pub fn json_text(code: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    bytes(code, "application/json", body)
}

/// A tree in what was asked for.
pub fn tree(code: StatusCode, value: &Value, media: Media) -> Response<Body> {
    match media {
        Media::Json => json_text(code, value.to_string()),
        Media::Yaml => bytes(code, "application/yaml", yaml::to_string(value)),
        Media::Protobuf => match protobuf::envelope(value) {
            Some(body) => bytes(code, protobuf::MEDIA, body),
            None => json_text(code, value.to_string()),
        },
    }
}

/// A failure.
pub fn failure(failure: &Failure, media: Media) -> Response<Body> {
    if failure.is_raw() {
        return bytes(failure.code(), "text/plain; charset=utf-8", failure.message().to_owned());
    }
    let mut response = match media {
        Media::Json => json_text(failure.code(), failure.text()),
        _ => tree(failure.code(), &failure.body(), media),
    };
    if let Some(seconds) = failure.body().pointer("/details/retryAfterSeconds")
        && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    warn(&mut response, failure.warnings());
    if failure.code() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A body that is written as it comes.
pub fn stream<S>(content_type: &'static str, stream: S) -> Response<Body>
where
    S: Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static,
{
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// As [`warn`], before the warnings that are there already.
pub fn warn_first(response: &mut Response<Body>, warnings: &[String]) {
    if warnings.is_empty() {
        return;
    }
    let later: Vec<HeaderValue> = match response.headers_mut().entry(header::WARNING) {
        header::Entry::Occupied(found) => found.remove_entry_mult().1.collect(),
        header::Entry::Vacant(_) => Vec::new(),
    };
    warn(response, warnings);
    for value in later {
        response.headers_mut().append(header::WARNING, value);
    }
}

/// Adds `Warning` headers (code 299), each text once.
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for (at, text) in warnings.iter().enumerate() {
        if warnings.iter().take(at).any(|earlier| earlier == text) {
            continue;
        }
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
