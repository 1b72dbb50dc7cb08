//! PATCH: JSON, merge, strategic merge and server-side apply.

use bytes::Bytes;
use http::{Response, StatusCode};
use object::{json_patch, merge_patch, meta, strategic};
use serde_json::Value;

use super::Call;
use super::body::{self, FieldValidation};
use super::write::{self, Context, Proposal, Written};
use crate::respond;
use crate::server::Body;
use crate::status::{Cause, Failure};
use crate::{convert, fields, types};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
/// What is said of patches that do not fit, whatever the cause.
const REJECTED: &str = "the server rejected our request due to an error in our request";
/// A JSON patch of more operations is refused, as Kubernetes does.
const MAX_OPERATIONS: usize = 10_000;

/// PATCH of the object or one of the subresources that hold the whole object.
pub async fn patch(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let mode = FieldValidation::of(call)?;
    let context = Context::of(call)?;
    match body::media_type(&call.headers) {
        APPLY => apply(call, body, &context, mode).await,
        media @ (JSON | MERGE | STRATEGIC) => {
            if call.query.text("force").is_some() {
                let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
                return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[cause]));
            }
            change(call, body, &context, mode, media).await
        }
        _ => Err(Failure::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").empty_details()),
    }
}

async fn change(
    call: &Call,
    body: &Bytes,
    context: &Context,
    mode: FieldValidation,
    media: &str,
) -> Result<Response<Body>, Failure> {
    let resource = &call.resource;
    if media == STRATEGIC && resource.custom.is_some() {
        return Err(Failure::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {JSON}, {MERGE}, {APPLY}"
            ),
        ));
    }
    let mut found = Vec::new();
    let (document, duplicates) = crate::strict::parse(body).map_err(|e| {
        let why = schema::gojson::explain(body, &e);
        Failure::bad_request(format!("error decoding patch: {why}"))
    })?;
    found.extend(duplicates);
    if media == JSON && !document.is_array() {
        return Err(Failure::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ));
    }
    if media == JSON {
        let operations = document.as_array().map_or(0, Vec::len);
        if operations > MAX_OPERATIONS {
            return Err(Failure::new(
                413,
                "RequestEntityTooLarge",
                format!(
                    "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {operations}"
                ),
            ));
        }
    }
    let mut warnings = Vec::new();
    let mut problems = Vec::new();
    let result =
        write::modify(&call.app, resource, call.namespace(), call.name(), context, &mut warnings, |live| {
            let mut value = apply_patch(call, media, live, &document)?;
            // The original shows the patch where it goes without text, else what came of it.
            let strategic = media == STRATEGIC;
            let shown =
                |value: &Value| if strategic { go_text(&document, Some(live)) } else { value.to_string() };
            let patched = (mode == FieldValidation::Strict).then(|| shown(&value));
            problems = found.clone();
            body::check_kind(&mut value, &resource.api_version(), &resource.kind)?;
            check_identity(live, &value)?;
            if strategic {
                if let Err(why) = types::restore(resource, &mut value, &mut problems) {
                    let cause = Cause::invalid("patch", &go_text(&document, Some(live)).into(), why);
                    return Err(Failure::invalid("", "", "", &[cause]));
                }
            } else if let Err(failure) = types::drop_unknown(resource, &mut value, &mut problems) {
                return Err(unfit(failure, &value));
            }
            if let Some(patched) = patched.filter(|_| !problems.is_empty()) {
                let why = format!("strict decoding error: {}", problems.join(", "));
                let cause = Cause::invalid("patch", &patched.into(), why);
                return Err(Failure::invalid("", "", "", &[cause]));
            }
            Ok(Proposal::update(value))
        })
        .await;
    let result = result.map_err(|failure| failure.warned(&warnings))?;
    if mode == FieldValidation::Warn {
        warnings.extend(problems);
    }
    let mut response = result.answer(call, StatusCode::OK).await?;
    respond::warn(&mut response, &warnings);
    Ok(response)
}

/// A patch as Go's `%+v` prints it when it was merged into an object: what is new there has lost its nulls.
fn go_text(value: &Value, live: Option<&Value>) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(|item| go_text(item, None)).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let live = live.and_then(Value::as_object);
            let fields = map
                .iter()
                .filter(|(_, value)| live.is_some() || !value.is_null())
                .map(|(key, value)| format!("{key}:{}", go_text(value, live.and_then(|own| own.get(key)))));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// What a patch makes of an object does not fit its type: that is the patch's fault.
fn unfit(failure: Failure, value: &Value) -> Failure {
    let refused = failure.code() == StatusCode::BAD_REQUEST;
    let Some((_, why)) = failure.message().split_once(" cannot be handled as a ").filter(|_| refused) else {
        return failure;
    };
    let why = why.split_once(": ").map_or(why, |(_, why)| why);
    let cause = Cause::invalid("patch", &value.to_string().into(), why);
    Failure::invalid("", "", "", &[cause])
}

/// The object after a patch that is not an apply.
fn apply_patch(call: &Call, media: &str, live: &Value, document: &Value) -> Result<Value, Failure> {
    let mut value = live.clone();
    match media {
        JSON => json_patch::apply(&mut value, document).map_err(|error| {
            tracing::debug!(%error, "a JSON patch does not fit");
            Failure::new(422, "Invalid", REJECTED).empty_details()
        })?,
        MERGE => {
            if !document.is_object() {
                return Err(Failure::bad_request("error decoding patch: a merge patch is an object"));
            }
            merge_patch::apply(&mut value, document);
        }
        _ => {
            let meta = types::patch_meta(&call.resource);
            strategic::apply(&mut value, document, meta.as_ref())
                .map_err(|e| Failure::bad_request(e.to_string()))?;
        }
    }
    Ok(value)
}

fn check_identity(live: &Value, value: &Value) -> Result<(), Failure> {
    let (path, name) = (meta::name(live), meta::name(value));
    if name.is_empty() {
        return Err(Failure::bad_request("name must be provided"));
    }
    if name != path {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({path})"
        )));
    }
    if meta::uid(value) != meta::uid(live) && !meta::uid(value).is_empty() {
        let cause = Cause::invalid("metadata.uid", &meta::uid(value).into(), "field is immutable");
        let gvk = object::Gvk::of(live);
        // Said twice, as with every rule for metadata.
        return Err(Failure::invalid(&gvk.group, &gvk.kind, path, &[cause.clone(), cause]));
    }
    let (path, namespace) =
        (meta::namespace(live).unwrap_or_default(), meta::namespace(value).unwrap_or_default());
    if namespace != path && !namespace.is_empty() {
        return Err(Failure::bad_request(format!(
            "the namespace of the object ({namespace}) does not match the namespace on the URL ({path})"
        )));
    }
    Ok(())
}

async fn apply(
    call: &Call,
    body: &Bytes,
    context: &Context,
    mode: FieldValidation,
) -> Result<Response<Body>, Failure> {
    let resource = &call.resource;
    if call.query.text("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[cause]));
    }
    let (mut applied, problems) = read_applied(body)?;
    let mut warnings = body::judge_problems(call, mode, problems)?;
    check_applied(call, &mut applied)?;
    let force = call.query.flag("force");
    let exists = call.app.object(resource, call.namespace(), call.name()).is_some();
    let mut exists = exists;
    loop {
        if exists {
            let result = write::modify(
                &call.app,
                resource,
                call.namespace(),
                call.name(),
                context,
                &mut warnings,
                |live| fields::apply(resource, Some(live), &applied, context, force),
            )
            .await;
            match result {
                Err(failure) if failure.reason() == "NotFound" && context.subresource.is_empty() => {
                    exists = false;
                }
                other => {
                    let written = other.map_err(|failure| failure.warned(&warnings))?;
                    let mut response = written.answer(call, StatusCode::OK).await?;
                    respond::warn(&mut response, &warnings);
                    return Ok(response);
                }
            }
        } else {
            match create_applied(call, &applied, context, force, &mut warnings).await {
                Err(failure) if failure.reason() == "AlreadyExists" => exists = true,
                other => {
                    let written = other.map_err(|failure| failure.warned(&warnings))?;
                    let mut response = written.answer(call, StatusCode::CREATED).await?;
                    respond::warn(&mut response, &warnings);
                    return Ok(response);
                }
            }
        }
    }
}

async fn create_applied(
    call: &Call,
    applied: &Value,
    context: &Context,
    force: bool,
    warnings: &mut Vec<String>,
) -> Result<Written, Failure> {
    if !context.subresource.is_empty() {
        return Err(call.not_found());
    }
    if !meta::uid(applied).is_empty() {
        return Err(Failure::conflict(
            &call.resource.group,
            &call.resource.name,
            call.name(),
            &format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                meta::uid(applied)
            ),
        ));
    }
    let mut proposal = fields::apply(&call.resource, None, applied, context, force)?;
    meta::set_name(&mut proposal.value, call.name());
    if call.resource.namespaced {
        meta::set_namespace(&mut proposal.value, call.namespace());
    }
    write::create_proposal(&call.app, &call.resource, context, proposal, warnings).await
}

fn read_applied(body: &Bytes) -> Result<(Value, Vec<String>), Failure> {
    let mut problems = Vec::new();
    let bad = |e: &str| Failure::bad_request(format!("error decoding YAML: {e}"));
    // Nearly every client sends JSON, which is YAML and much faster to read.
    let value = match crate::strict::parse(body) {
        Ok((value, duplicates)) => {
            problems.extend(duplicates);
            value
        }
        Err(_) => {
            let text = std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?;
            if let Err(error) = yaml::from_str_strict(text) {
                problems.push(error.to_string());
            }
            yaml::from_str(text).map_err(|e| bad(&format!("error converting YAML to JSON: {e}")))?
        }
    };
    if !value.is_object() {
        return Err(bad("the document is not an object"));
    }
    Ok((value, problems))
}

fn check_applied(call: &Call, applied: &mut Value) -> Result<(), Failure> {
    let resource = &call.resource;
    if object::get(applied, &["metadata", "managedFields"])
        .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()))
    {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    object::remove(applied, &["metadata", "managedFields"]);
    let text = |field: &str| object::get_str(applied, &[field]).unwrap_or_default();
    if text("apiVersion").is_empty() || text("kind").is_empty() {
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        return Err(Failure::bad_request(format!(
            "invalid object type: {group}/{version}, Kind={}",
            text("kind")
        )));
    }
    body::check_kind(applied, &resource.api_version(), &resource.kind)?;
    let mut placed = applied.clone();
    if meta::name(applied).is_empty() {
        meta::set_name(&mut placed, call.name());
    }
    body::check_place(call, &mut placed)
}

/// Answers with what is stored, in the version asked for.
pub fn current(call: &Call) -> Option<Value> {
    let object = call.app.object(&call.resource, call.namespace(), call.name())?;
    Some(convert::tree(&call.app, &call.resource, &object))
}
