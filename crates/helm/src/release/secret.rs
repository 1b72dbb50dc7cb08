//! The object that holds a revision: JSON, gzip, base64, and base64 again where it is a Secret.

use super::{Release, Status};
use crate::gojson::go_json;
use crate::{Error, Result, Stage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};

/// The type of the Secret.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";

/// The most that a stored release may unpack to.
const MAX_UNPACKED: u64 = 256 << 20;

/// The labels that are Helm's own.
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// Why a stored release could not be read.
pub type DecodeError = Error;

/// The object's name.
pub fn stored_name(release: &str, revision: u64) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// What the labels alone tell of a stored revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLabels {
    /// The release's name.
    pub name: String,
    /// The revision.
    pub version: u64,
    /// Where it stands.
    pub status: Status,
}

/// The labels of a revision's object. `stamp` is a label of the time in Unix seconds, as Helm adds:
/// `("createdAt", …)` on creation and `("modifiedAt", …)` on change.
pub fn labels(release: &Release, stamp: Option<(&str, i64)>) -> BTreeMap<String, String> {
    let mut labels = release.labels.clone();
    if let Some((key, seconds)) = stamp {
        labels.insert(key.to_owned(), seconds.to_string());
    }
    labels.insert("name".into(), release.name.clone());
    labels.insert("owner".into(), "helm".into());
    labels.insert("status".into(), release.info.status.to_string());
    labels.insert("version".into(), release.version.to_string());
    labels
}

/// The revision as Helm's inner text: gzipped JSON in base64.
pub fn encode(release: &Release) -> Result<String> {
    let text = go_json(release).map_err(|error| fail(format!("the release has no JSON form: {error}")))?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).map_err(|error| fail(error.to_string()))?;
    let packed = encoder.finish().map_err(|error| fail(error.to_string()))?;
    Ok(STANDARD.encode(packed))
}

/// Reads [`encode`]'s text (or that of releases from before it was gzipped).
pub fn decode(text: &str) -> Result<Release> {
    let bytes = STANDARD.decode(text.trim()).map_err(|error| fail(error.to_string()))?;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b, 0x08]) { unpack(&bytes)? } else { bytes };
    serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(MAX_UNPACKED + 1);
    reader.read_to_end(&mut out).map_err(|error| fail(error.to_string()))?;
    if out.len() as u64 > MAX_UNPACKED {
        return Err(fail(format!("the stored release unpacks to more than {MAX_UNPACKED} bytes")));
    }
    Ok(out)
}

/// What holds a revision (Helm's storage driver).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Holder {
    /// A Secret of the type [`SECRET_TYPE`], Helm's default.
    #[default]
    Secret,
    /// A ConfigMap, which holds the text as it is.
    ConfigMap,
}

impl Holder {
    /// The kind of the object (`v1`).
    pub fn kind(self) -> &'static str {
        match self {
            Holder::Secret => "Secret",
            Holder::ConfigMap => "ConfigMap",
        }
    }

    /// The object of a revision; `stamp` as in [`labels`].
    pub fn store(self, release: &Release, stamp: Option<(&str, i64)>) -> Result<Value> {
        let text = encode(release)?;
        let mut object = json!({
            "apiVersion": "v1",
            "kind": self.kind(),
            "metadata": {
                "name": stored_name(&release.name, release.version),
                "namespace": release.namespace,
                "labels": labels(release, stamp),
            },
        });
        match self {
            Holder::Secret => {
                object["type"] = SECRET_TYPE.into();
                object["data"] = json!({"release": STANDARD.encode(text)});
            }
            Holder::ConfigMap => object["data"] = json!({"release": text}),
        }
        Ok(object)
    }

    /// Reads the revision that an object (of any content) holds.
    pub fn read(self, object: &Value) -> Result<Release> {
        let shown = || format!("{} {}", self.kind(), object::meta::name(object));
        let data = object.pointer("/data/release").and_then(Value::as_str);
        let data = data.ok_or_else(|| fail(format!("{} has no key \"release\"", shown())))?;
        let release = match self {
            Holder::ConfigMap => decode(data),
            Holder::Secret => {
                let inner = STANDARD.decode(data).map_err(|error| fail(error.to_string()))?;
                decode(&String::from_utf8(inner).map_err(|error| fail(error.to_string()))?)
            }
        };
        let mut release = release.map_err(|error| error.wrap(shown()))?;
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        release.labels = labels
            .into_iter()
            .flatten()
            .filter(|(key, _)| !SYSTEM_LABELS.contains(&key.as_str()))
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        Ok(release)
    }

    /// What the labels tell without unpacking anything; `None` when the object is not a stored release.
    pub fn head(self, object: &Value) -> Option<StoredLabels> {
        let label = |key: &str| object.pointer("/metadata/labels")?.get(key)?.as_str();
        let typed =
            self == Holder::ConfigMap || object.get("type").and_then(Value::as_str) == Some(SECRET_TYPE);
        if !typed || label("owner") != Some("helm") {
            return None;
        }
        Some(StoredLabels {
            name: label("name")?.to_owned(),
            version: label("version")?.parse().ok()?,
            status: label("status").and_then(Status::parse).unwrap_or_default(),
        })
    }
}

fn fail(text: impl Into<String>) -> Error {
    Error::new(Stage::Release, text)
}
