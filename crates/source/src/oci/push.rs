//! Writing to a registry, and asking it whether it lets one in.

use super::Request;
use super::registry::{Registry, Sent};
use crate::{Error, Fetcher, Result, transport};
use object::Value;
use reqwest::{Method, header};
use std::collections::BTreeMap;

/// The media type of the manifest that is written.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes with a media type.
#[derive(Debug, Clone)]
pub struct Blob {
    /// What they are.
    pub media_type: String,
    /// Themselves.
    pub bytes: Vec<u8>,
}

/// What is written: an image of a configuration and layers.
#[derive(Debug, Clone)]
pub struct Push {
    /// The tag.
    pub tag: String,
    /// The configuration.
    pub config: Blob,
    /// The layers, in this order.
    pub layers: Vec<Blob>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Blob {
    /// `sha256:…` of the bytes.
    pub fn digest(&self) -> String {
        crate::tree::sha256(&self.bytes)
    }

    fn described(&self) -> String {
        let media_type = Value::String(self.media_type.clone());
        format!(r#"{{"mediaType":{media_type},"digest":"{}","size":{}}}"#, self.digest(), self.bytes.len())
    }
}

impl Push {
    /// The manifest as Go's OCI types write it; the order of its fields decides its digest.
    pub fn manifest(&self) -> Vec<u8> {
        let layers: Vec<String> = self.layers.iter().map(Blob::described).collect();
        let annotations: Vec<String> = self
            .annotations
            .iter()
            .map(|(key, value)| format!("{}:{}", go_string(key), go_string(value)))
            .collect();
        let annotations = match annotations.is_empty() {
            true => String::new(),
            false => format!(r#","annotations":{{{}}}"#, annotations.join(",")),
        };
        format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]{annotations}}}"#,
            self.config.described(),
            layers.join(",")
        )
        .into_bytes()
    }
}

/// A JSON string as Go escapes it.
fn go_string(text: &str) -> String {
    let quoted = Value::String(text.to_string()).to_string();
    let escaped = [
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
    ];
    escaped.iter().fold(quoted, |text, (from, to)| text.replace(from, to))
}

impl Fetcher {
    /// Writes an image to `request.url` under a tag; the rest of the request says how to be let in. What the
    /// registry has already is not sent again. The manifest's digest.
    pub async fn oci_push(&self, request: &Request, push: &Push) -> Result<String> {
        let registry = Registry::open(self, request)?;
        for blob in push.layers.iter().chain([&push.config]) {
            put_blob(&registry, request, blob).await?;
        }
        let manifest = push.manifest();
        let url = format!("{}/manifests/{}", registry.base(), push.tag);
        let mut sent = Sent::new(Method::PUT, &url);
        sent.headers.push((header::CONTENT_TYPE, MANIFEST));
        sent.body = Some(&manifest);
        transport::check(registry.send(&sent).await?, &url, &request.url)?;
        Ok(crate::tree::sha256(&manifest))
    }

    /// Asks a registry (`HOST` or `HOST:PORT`) whether the credentials of the request are right.
    pub async fn oci_ping(&self, host: &str, request: &Request) -> Result<()> {
        let registry = Registry::host(self, host, request)?;
        let url = registry.base().to_string();
        let response = registry.send(&Sent::new(Method::GET, &url)).await?;
        match response.status().as_u16() {
            404 => Err(Error::NotFound(format!("{url}: not found: this is no registry"))),
            _ => transport::check(response, &url, host).map(|_| ()),
        }
    }
}

async fn put_blob(registry: &Registry, request: &Request, blob: &Blob) -> Result<()> {
    let digest = blob.digest();
    let known = format!("{}/blobs/{digest}", registry.base());
    if registry.send(&Sent::new(Method::HEAD, &known)).await?.status().is_success() {
        return Ok(());
    }
    let start = format!("{}/blobs/uploads/", registry.base());
    let response = registry.send(&Sent::new(Method::POST, &start)).await?;
    let response = transport::check(response, &start, &request.url)?;
    let place = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let place =
        place.ok_or_else(|| Error::Refused(format!("{start}: the registry names no place to upload to")))?;
    let place = registry.absolute(place)?;
    let url = format!("{place}{}digest={digest}", if place.contains('?') { '&' } else { '?' });
    let mut sent = Sent::new(Method::PUT, &url);
    sent.headers.push((header::CONTENT_TYPE, "application/octet-stream"));
    sent.body = Some(&blob.bytes);
    transport::check(registry.send(&sent).await?, &url, &request.url)?;
    Ok(())
}
