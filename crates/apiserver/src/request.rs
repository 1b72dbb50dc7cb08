//! Reading a request: path, query, content types.

use http::{HeaderMap, Method};

/// What a path under `/api` or `/apis` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// API group, empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Namespace, when the path has one.
    pub namespace: Option<String>,
    /// Object name.
    pub name: Option<String>,
    /// Subresource.
    pub subresource: Option<String>,
    /// What follows the subresource (proxy paths).
    pub rest: String,
    /// The deprecated `/watch/` prefix.
    pub watch_prefix: bool,
}

/// Splits a path under `/api/VERSION` or `/apis/GROUP/VERSION`; `None` when it names no resource.
pub fn target(path: &str) -> Option<Target> {
    let segments: Vec<String> = path
        .split('/')
        .skip(1)
        .filter(|s| !s.is_empty())
        .map(percent_decode)
        .collect::<Option<Vec<String>>>()?;
    let mut segments = segments.into_iter();
    let mut target = Target::default();
    match segments.next()?.as_str() {
        "api" => {}
        "apis" => target.group = segments.next()?,
        _ => return None,
    }
    target.version = segments.next()?;
    let mut rest: Vec<String> = segments.collect();
    if rest.first().is_some_and(|s| s == "watch") {
        target.watch_prefix = true;
        rest.remove(0);
    }
    let mut rest = rest.into_iter();
    let first = rest.next()?;
    if first == "namespaces" {
        let Some(namespace) = rest.next() else {
            target.resource = first;
            return Some(target);
        };
        match rest.next() {
            None => {
                target.resource = first;
                target.name = Some(namespace);
                return Some(target);
            }
            Some(sub) if target.group.is_empty() && matches!(sub.as_str(), "status" | "finalize") => {
                target.resource = first;
                target.name = Some(namespace);
                target.subresource = Some(sub);
                return Some(target);
            }
            Some(resource) => {
                target.namespace = Some(namespace);
                target.resource = resource;
            }
        }
    } else {
        target.resource = first;
    }
    target.name = rest.next();
    target.subresource = rest.next();
    target.rest = rest.collect::<Vec<_>>().join("/");
    Some(target)
}

fn percent_decode(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return Some(segment.to_owned());
    }
    let mut out = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = (bytes.next()? as char).to_digit(16)?;
            let low = (bytes.next()? as char).to_digit(16)?;
            out.push((high * 16 + low) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// A decoded query string.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query string.
    pub fn parse(text: Option<&str>) -> Query {
        Query(
            url::form_urlencoded::parse(text.unwrap_or_default().as_bytes())
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// The first value of a parameter that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|v| !v.is_empty())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// A flag: present and neither `false` nor `0`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| !matches!(v, "false" | "0"))
    }
}

/// The verb that authorization sees.
pub fn verb(method: &Method, target: &Target, query: &Query) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if target.name.is_none() => "deletecollection",
        Method::DELETE => "delete",
        _ if target.watch_prefix || query.flag("watch") => "watch",
        _ if target.name.is_none() => "list",
        _ => "get",
    }
}

/// How an answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The object itself.
    Whole,
    /// A `Table`.
    Table,
    /// `PartialObjectMetadata`.
    Metadata,
}

/// The chosen representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What is sent.
    pub shape: Shape,
    /// `v1` or `v1beta1` of `meta.k8s.io`.
    pub meta_version: &'static str,
    /// What it is written in.
    pub media: Media,
}

/// What answers are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Kubernetes' protobuf; what has no such form is written as JSON.
    Protobuf,
}

impl Format {
    /// Plain JSON.
    pub const JSON: Format = Format { shape: Shape::Whole, meta_version: "v1", media: Media::Json };
}

/// Chooses a representation from `Accept`; `None` when nothing fits. `typed` tells whether whole objects have a protobuf form.
pub fn negotiate(headers: &HeaderMap, tables: bool, typed: bool) -> Option<Format> {
    let mut any = false;
    for value in headers.get_all(http::header::ACCEPT) {
        let Ok(text) = value.to_str() else { continue };
        for clause in text.split(',').map(str::trim).filter(|c| !c.is_empty()) {
            any = true;
            if let Some(format) = clause_format(clause, tables, typed) {
                return Some(format);
            }
        }
    }
    if any { None } else { Some(Format::JSON) }
}

fn clause_format(clause: &str, tables: bool, typed: bool) -> Option<Format> {
    let mut parts = clause.split(';').map(str::trim);
    let media = match parts.next()? {
        "application/json" | "*/*" | "application/*" => Media::Json,
        "application/yaml" => Media::Yaml,
        crate::protobuf::MEDIA => Media::Protobuf,
        _ => return None,
    };
    let (mut kind, mut group, mut version) = ("", "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => kind = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    let shape = match kind {
        "" if media == Media::Protobuf && !typed => return None,
        "" => return Some(Format { media, ..Format::JSON }),
        "Table" if tables && media != Media::Protobuf => Shape::Table,
        "PartialObjectMetadata" | "PartialObjectMetadataList" if tables => Shape::Metadata,
        _ => return None,
    };
    let meta_version = match (group, version) {
        ("meta.k8s.io", "v1") => "v1",
        ("meta.k8s.io", "v1beta1") => "v1beta1",
        _ => return None,
    };
    Some(Format { shape, meta_version, media })
}
