//! Request bodies: media types, objects, options.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::Call;
use crate::status::Failure;
use crate::strict;

/// What bodies and answers of objects are written in.
pub const OBJECT_TYPES: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// What to do about unknown and duplicate fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Drop them and warn.
    Warn,
    /// Refuse the request.
    Strict,
}

impl FieldValidation {
    /// From the query; built-in clients default to warnings.
    pub fn of(call: &Call) -> Result<FieldValidation, Failure> {
        match call.query.text("fieldValidation") {
            None | Some("Warn") => Ok(FieldValidation::Warn),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => {
                let cause = crate::status::Cause::unsupported(
                    "fieldValidation",
                    &other.into(),
                    &["", "Ignore", "Strict", "Warn"],
                );
                let kind = match call.method {
                    http::Method::POST => "CreateOptions",
                    http::Method::PUT => "UpdateOptions",
                    _ => "PatchOptions",
                };
                Err(Failure::invalid("meta.k8s.io", kind, "", &[cause]))
            }
        }
    }
}

/// The media type of a body, without parameters.
pub fn media_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .map_or("", |text| text.split(';').next().unwrap_or_default().trim())
}

/// Reads a body as a tree; duplicate fields are reported in `problems`.
pub fn read(media: &str, body: &[u8], kind: &str, problems: &mut Vec<String>) -> Result<Value, Failure> {
    match media {
        "" | "application/json" => {
            let (value, duplicates) = strict::parse(body).map_err(|error| {
                let start = String::from_utf8_lossy(body.get(..body.len().min(64)).unwrap_or_default());
                Failure::bad_request(format!(
                    "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {} ({start})",
                    schema::gojson::explain(body, &error)
                ))
            })?;
            problems.extend(duplicates);
            Ok(value)
        }
        "application/yaml" => {
            let text =
                std::str::from_utf8(body).map_err(|_| Failure::bad_request("the body is not valid UTF-8"))?;
            let value = yaml::from_str(text).map_err(|e| Failure::bad_request(e.to_string()))?;
            if let Err(error) = yaml::from_str_strict(text) {
                problems.push(error.to_string());
            }
            Ok(value)
        }
        "application/vnd.kubernetes.protobuf" => crate::protobuf::decode(body).map_err(Failure::bad_request),
        _ => Err(Failure::unsupported_media_type(OBJECT_TYPES)),
    }
}

/// An object of the request's own kind, with the problems found while reading it.
pub fn object(
    call: &Call,
    body: &Bytes,
    api_version: &str,
    kind: &str,
) -> Result<(Value, Vec<String>), Failure> {
    let mut problems = Vec::new();
    let mut value = read(media_type(&call.headers), body, kind, &mut problems)?;
    check_kind(&mut value, api_version, kind)?;
    Ok((value, problems))
}

/// Fills in or checks `apiVersion` and `kind`.
pub fn check_kind(value: &mut Value, api_version: &str, kind: &str) -> Result<(), Failure> {
    let Some(map) = value.as_object_mut() else {
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): the body is not an object"
        )));
    };
    let text = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (found_version, found_kind) = (text("apiVersion"), text("kind"));
    let same_kind = found_kind.is_empty() || found_kind == kind;
    let same_version = found_version.is_empty() || found_version == api_version;
    if !same_kind || !same_version {
        let shown = |version: &str, kind: &str| {
            let version = version.rsplit('/').next().unwrap_or_default();
            format!("{version}.{kind}")
        };
        let version = if found_version.is_empty() { api_version } else { &found_version };
        if same_kind {
            return Err(Failure::bad_request(format!(
                "the API version in the data ({found_version}) does not match the expected API version ({api_version})"
            )));
        }
        return Err(Failure::bad_request(format!(
            "{found_kind} in version {:?} cannot be handled as a {kind}: converting ({}) to ({}): unknown conversion",
            version.rsplit('/').next().unwrap_or_default(),
            shown(version, &found_kind),
            shown("core", kind),
        )));
    }
    map.insert("apiVersion".into(), api_version.into());
    map.insert("kind".into(), kind.into());
    if !map.get("metadata").is_some_and(Value::is_object) {
        map.insert("metadata".into(), json!({}));
    }
    Ok(())
}

/// Makes name and namespace agree with the path.
pub fn check_place(call: &Call, value: &mut Value) -> Result<(), Failure> {
    let namespace = object::meta::namespace(value).unwrap_or_default().to_owned();
    if call.resource.namespaced {
        let path = call.namespace();
        if namespace.is_empty() {
            if path.is_empty() {
                return Err(Failure::bad_request("an empty namespace may not be set during creation"));
            }
            object::meta::set_namespace(value, path);
        } else if !path.is_empty() && namespace != path {
            return Err(Failure::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    } else if !namespace.is_empty() {
        object::remove(value, &["metadata", "namespace"]);
    }
    let name = object::meta::name(value).to_owned();
    let path = call.name();
    if path.is_empty() {
        return Ok(());
    }
    if name.is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({path} based on URL) was undeterminable: name must be provided"
        )));
    }
    if name != path {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({path})"
        )));
    }
    Ok(())
}

/// Puts what was found into the order of the body, as the original's decoder meets it.
pub fn order_problems(call: &Call, body: &[u8], problems: &mut [String]) {
    if problems.len() > 1 && matches!(media_type(&call.headers), "" | "application/json") {
        strict::order(body, problems);
    }
}

/// Decides about unknown and duplicate fields: refuse, or give back warnings.
pub fn judge_problems(
    call: &Call,
    mode: FieldValidation,
    problems: Vec<String>,
) -> Result<Vec<String>, Failure> {
    if problems.is_empty() {
        return Ok(problems);
    }
    match mode {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(problems),
        FieldValidation::Strict => {
            let version = call.resource.version.as_ref();
            Err(Failure::bad_request(format!(
                "{} in version {version:?} cannot be handled as a {}: strict decoding error: {}",
                call.resource.kind,
                call.resource.kind,
                problems.join(", ")
            )))
        }
    }
}

/// Options of a delete, from the body or the query.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// How long the object may take to end.
    pub grace: Option<i64>,
    /// `Orphan`, `Background` or `Foreground`.
    pub propagation: Option<String>,
    /// Required UID.
    pub uid: Option<String>,
    /// Required revision.
    pub resource_version: Option<String>,
    /// Only say what would happen.
    pub dry_run: bool,
}

/// Reads the options of a delete.
pub fn delete_options(call: &Call, body: &Bytes) -> Result<DeleteOptions, Failure> {
    let mut options = DeleteOptions { dry_run: call.dry_run()?, ..DeleteOptions::default() };
    let value = if body.is_empty() {
        Value::Null
    } else {
        read(media_type(&call.headers), body, "DeleteOptions", &mut Vec::new())?
    };
    let text = |path: &[&str]| object::get_str(&value, path).map(str::to_owned);
    options.grace = object::get_i64(&value, &["gracePeriodSeconds"]);
    options.propagation = text(&["propagationPolicy"]);
    options.uid = text(&["preconditions", "uid"]);
    options.resource_version = text(&["preconditions", "resourceVersion"]);
    if let Some(Value::Array(values)) = value.get("dryRun") {
        options.dry_run |= values.iter().any(|v| v == "All");
    }
    if let Some(orphan) = object::get_bool(&value, &["orphanDependents"]) {
        options.propagation = Some(if orphan { "Orphan" } else { "Background" }.to_owned());
    }
    if options.grace.is_none() {
        options.grace = call.query.text("gracePeriodSeconds").and_then(|t| t.parse().ok());
    }
    if options.propagation.is_none() {
        options.propagation = call.query.text("propagationPolicy").map(str::to_owned);
    }
    if let Some(policy) = &options.propagation
        && !matches!(policy.as_str(), "Orphan" | "Background" | "Foreground")
    {
        let cause = crate::status::Cause::unsupported(
            "propagationPolicy",
            &policy.as_str().into(),
            &["Foreground", "Background", "Orphan", "nil"],
        );
        return Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &[cause]));
    }
    Ok(options)
}
