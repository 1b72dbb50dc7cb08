//! HTTP clients with the credentials of one source.

use crate::{Credentials, Error, Limits, Result, error};
use base64::Engine;
use futures::StreamExt;
use std::time::Duration;

/// A client with the certificate authority, client certificate and proxy of the credentials.
pub fn client(credentials: &Credentials, timeout: Duration) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder().user_agent("landfall").timeout(timeout);
    for certificate in authorities(credentials)? {
        builder = builder.add_root_certificate(certificate);
    }
    if let Some(identity) = identity(credentials)? {
        builder = builder.identity(identity);
    }
    if credentials.any_certificate {
        builder = builder.danger_accept_invalid_certs(true);
    }
    if let Some(proxy) = proxy(credentials)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| Error::Invalid(format!("HTTP client: {}", error::chain(&error))))
}

/// The same for the blocking client that Git uses.
pub(crate) fn blocking(
    mut builder: reqwest::blocking::ClientBuilder,
    credentials: &Credentials,
) -> Result<reqwest::blocking::ClientBuilder> {
    for certificate in authorities(credentials)? {
        builder = builder.add_root_certificate(certificate);
    }
    if let Some(identity) = identity(credentials)? {
        builder = builder.identity(identity);
    }
    if credentials.any_certificate {
        builder = builder.danger_accept_invalid_certs(true);
    }
    if let Some(proxy) = proxy(credentials)? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn authorities(credentials: &Credentials) -> Result<Vec<reqwest::Certificate>> {
    let Some(pem) = &credentials.ca else { return Ok(Vec::new()) };
    reqwest::Certificate::from_pem_bundle(pem)
        .map_err(|error| Error::Invalid(format!("ca.crt: {}", error::chain(&error))))
}

fn identity(credentials: &Credentials) -> Result<Option<reqwest::Identity>> {
    match (&credentials.cert, &credentials.key) {
        (Some(cert), Some(key)) => {
            let pem = [key.as_slice(), b"\n", cert.as_slice()].concat();
            let identity = reqwest::Identity::from_pem(&pem);
            identity
                .map(Some)
                .map_err(|error| Error::Invalid(format!("tls.crt, tls.key: {}", error::chain(&error))))
        }
        (None, None) => Ok(None),
        _ => Err(Error::Invalid("tls.crt and tls.key must be given together".to_string())),
    }
}

fn proxy(credentials: &Credentials) -> Result<Option<reqwest::Proxy>> {
    let Some(wanted) = &credentials.proxy else { return Ok(None) };
    let proxy = reqwest::Proxy::all(&wanted.address)
        .map_err(|error| Error::Invalid(format!("proxy address: {}", error::chain(&error))))?;
    Ok(Some(match (&wanted.username, &wanted.password) {
        (Some(user), password) => proxy.basic_auth(user, password.as_deref().unwrap_or_default()),
        (None, _) => proxy,
    }))
}

/// The `Authorization` header of the credentials, if they have one.
pub(crate) fn authorization(credentials: &Credentials) -> Option<String> {
    if let Some(token) = &credentials.bearer_token {
        return Some(format!("Bearer {token}"));
    }
    let user = credentials.username.as_deref()?;
    let pair = format!("{user}:{}", credentials.password.as_deref().unwrap_or_default());
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

/// Sends a request and reads the whole body, within the limit.
pub(crate) async fn get(
    client: &reqwest::Client,
    url: &str,
    authorization: Option<&str>,
    mapped_url: &str,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let mut request = client.get(url);
    if let Some(value) = authorization {
        request = request.header(reqwest::header::AUTHORIZATION, value);
    }
    let response = request.send().await.map_err(|error| unreachable(url, mapped_url, &error))?;
    let response = check(response, url, mapped_url)?;
    body(response, url, mapped_url, limits).await
}

/// Sorts a status that is no success by what one can do about it.
pub(crate) fn check(response: reqwest::Response, url: &str, mapped_url: &str) -> Result<reqwest::Response> {
    let status = response.status();
    let cause = format!("the server answered {status}");
    match status.as_u16() {
        200..=299 => Ok(response),
        401 | 403 => Err(Error::Denied { url: url.to_string(), cause }),
        404 | 410 => Err(Error::NotFound(format!("{url}: not found: {cause}"))),
        _ => Err(Error::Unreachable { url: url.to_string(), cause, hint: crate::maps::hint(mapped_url) }),
    }
}

/// Reads a body up to the limit.
pub(crate) async fn body(
    response: reqwest::Response,
    url: &str,
    mapped_url: &str,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let too_large = || {
        let most = crate::tree::size(limits.download_bytes);
        Error::Refused(format!("{url}: is larger than the {most} that one download may have"))
    };
    if response.content_length().is_some_and(|length| length > limits.download_bytes) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| unreachable(url, mapped_url, &error))?;
        if bytes.len() as u64 + chunk.len() as u64 > limits.download_bytes {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A connection that failed.
pub(crate) fn unreachable(url: &str, mapped_url: &str, error: &reqwest::Error) -> Error {
    Error::Unreachable {
        url: url.to_string(),
        cause: error::chain(error),
        hint: crate::maps::hint(mapped_url),
    }
}
