//! GET of one object and lists.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use object::LabelSelector;
use serde_json::{Value, json};

use super::Call;
use crate::catalog::Resource;
use crate::convert;
use crate::protobuf;
use crate::request::{Media, Shape};
use crate::respond;
use crate::select::Selection;
use crate::server::Body;
use crate::status::Failure;
use crate::store::Object;
use crate::table;

/// GET of one object.
pub fn get(call: &Call) -> Result<Response<Body>, Failure> {
    let version = revision_parameter(call)?;
    ensure_known(call, version)?;
    let object =
        call.app.object(&call.resource, call.namespace(), call.name()).ok_or_else(|| call.not_found())?;
    Ok(answer(call, StatusCode::OK, &object))
}

/// An object in the representation that was asked for.
pub fn answer(call: &Call, code: StatusCode, object: &Arc<Object>) -> Response<Body> {
    if call.format.shape == Shape::Whole && call.format.media == Media::Json {
        return respond::json_text(code, convert::text(&call.app, &call.resource, object));
    }
    answer_tree(call, code, &convert::tree(&call.app, &call.resource, object))
}

/// A tree in the representation that was asked for.
pub fn answer_tree(call: &Call, code: StatusCode, value: &Value) -> Response<Body> {
    let format = call.format;
    let shaped = match format.shape {
        Shape::Whole => return respond::tree(code, value, format.media),
        Shape::Metadata => metadata_only(value, format.meta_version),
        Shape::Table => {
            let version = value.pointer("/metadata/resourceVersion").cloned();
            let meta = json!({"resourceVersion": version.unwrap_or_else(|| "".into())});
            table::table(call, &[value], meta, true)
        }
    };
    respond::tree(code, &shaped, format.media)
}

/// The `PartialObjectMetadata` of an object.
pub fn metadata_only(value: &Value, meta_version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{meta_version}"),
        "metadata": value.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// `resourceVersion` of a read: absent, `0`, or a number.
pub fn revision_parameter(call: &Call) -> Result<Option<u64>, Failure> {
    let Some(text) = call.query.text("resourceVersion") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        Failure::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))
    })
}

/// Refuses revisions from the future.
fn ensure_known(call: &Call, version: Option<u64>) -> Result<(), Failure> {
    let current = call.app.store.revision();
    match version {
        Some(asked) if asked > current => Err(Failure::new(
            504,
            "Timeout",
            format!("Timeout: Too large resource version: {asked}, current: {current}"),
        )
        .detail(
            "causes",
            json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]),
        )
        .detail("retryAfterSeconds", 1)),
        _ => Ok(()),
    }
}

/// Where a chunked list goes on.
struct Continue {
    revision: i64,
    start: String,
}

fn parse_continue(token: &str) -> Result<Continue, Failure> {
    let bad =
        |why: &str| Failure::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let raw =
        URL_SAFE_NO_PAD.decode(token).or_else(|_| URL_SAFE.decode(token)).map_err(|e| bad(&e.to_string()))?;
    let value: Value = serde_json::from_slice(&raw).map_err(|e| bad(&schema::gojson::explain(&raw, &e)))?;
    if value.get("v").and_then(Value::as_str) != Some("meta.k8s.io/v1") {
        return Err(bad("server does not recognize this encoded version"));
    }
    let revision = value.get("rv").and_then(Value::as_i64).unwrap_or(0);
    let start = value.get("start").and_then(Value::as_str).unwrap_or_default().to_owned();
    if revision == 0 {
        return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"));
    }
    if start.is_empty() {
        return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
    }
    Ok(Continue { revision, start })
}

fn continue_token(revision: i64, start: &str) -> String {
    let text = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string();
    URL_SAFE_NO_PAD.encode(text)
}

/// The objects of one page.
struct Page {
    revision: u64,
    objects: Vec<Arc<Object>>,
    next: Option<String>,
    remaining: Option<usize>,
}

/// A list.
pub fn list(call: &Call) -> Result<Response<Body>, Failure> {
    let selection = Selection::of(call)?;
    let page = page(call, &selection)?;
    let mut meta = json!({"resourceVersion": page.revision.to_string()});
    if let Some(next) = &page.next {
        meta["continue"] = next.as_str().into();
        if let Some(remaining) = page.remaining {
            meta["remainingItemCount"] = remaining.into();
        }
    }
    Ok(render(call, meta, &page.objects))
}

fn page(call: &Call, selection: &Selection) -> Result<Page, Failure> {
    let limit = limit(call)?;
    let prefix = selection.prefix();
    let asked = revision_parameter(call)?;
    let (revision, objects, start) = match call.query.text("continue") {
        Some(token) => {
            if asked.is_some_and(|revision| revision > 0) {
                return Err(Failure::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            continued(call, token, &prefix)?
        }
        None => {
            check_match(call, asked)?;
            let (revision, objects) = first_page(call, asked, &prefix)?;
            (revision, objects, String::new())
        }
    };
    // Continue keys are relative to the namespace asked for, as in Kubernetes.
    let start = if start.is_empty() { start } else { format!("{prefix}{start}") };
    let mut chosen = Vec::new();
    let mut next = None;
    let mut seen = 0;
    for object in &objects {
        if !start.is_empty() && *object.key < *start {
            continue;
        }
        if limit.is_some_and(|limit| chosen.len() >= limit) {
            if let Some(last) = chosen.last().map(|o: &Arc<Object>| o.key.clone()) {
                let relative = last.strip_prefix(&prefix).unwrap_or(&last);
                next = Some(continue_token(revision as i64, &format!("{relative}\0")));
            }
            break;
        }
        seen += 1;
        if selection.matches(call, object) {
            chosen.push(object.clone());
        }
    }
    let skipped = objects.iter().take_while(|o| !start.is_empty() && *o.key < *start).count();
    let remaining =
        (next.is_some() && selection.is_everything()).then(|| objects.len().saturating_sub(seen + skipped));
    Ok(Page { revision, objects: chosen, next, remaining })
}

fn limit(call: &Call) -> Result<Option<usize>, Failure> {
    match call.query.text("limit") {
        None => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(limit) if limit > 0 => Ok(Some(limit as usize)),
            Ok(_) => Ok(None),
            Err(_) => {
                Err(Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
            }
        },
    }
}

fn check_match(call: &Call, asked: Option<u64>) -> Result<(), Failure> {
    let invalid = |value: &str, why: &str| {
        let cause = crate::status::Cause::forbidden("resourceVersionMatch", why);
        let cause = if why.is_empty() {
            crate::status::Cause::unsupported(
                "resourceVersionMatch",
                &value.into(),
                &["Exact", "NotOlderThan", ""],
            )
        } else {
            cause
        };
        Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]))
    };
    match call.query.text("resourceVersionMatch") {
        None => Ok(()),
        Some(value @ ("Exact" | "NotOlderThan")) => match asked {
            None => invalid(value, "resourceVersionMatch is forbidden unless resourceVersion is provided"),
            Some(0) if value == "Exact" => {
                invalid(value, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
            }
            Some(_) => Ok(()),
        },
        Some(other) => invalid(other, ""),
    }
}

fn first_page(call: &Call, asked: Option<u64>, prefix: &str) -> Result<(u64, Vec<Arc<Object>>), Failure> {
    ensure_known(call, asked)?;
    let store = &call.app.store;
    let exact = call.query.text("resourceVersionMatch") == Some("Exact")
        || (call.query.text("resourceVersionMatch").is_none()
            && asked.is_some_and(|revision| revision > 0)
            && limit(call)?.is_some());
    match asked {
        Some(revision) if exact => {
            store.list_at(&call.resource.table, prefix, revision).map(|objects| (revision, objects)).map_err(
                |_| Failure::expired("The resourceVersion for the provided list is too old.".to_string()),
            )
        }
        _ => Ok(store.list(&call.resource.table, prefix)),
    }
}

fn continued(call: &Call, token: &str, prefix: &str) -> Result<(u64, Vec<Arc<Object>>, String), Failure> {
    let at = parse_continue(token)?;
    let store = &call.app.store;
    if at.revision < 0 {
        let (revision, objects) = store.list(&call.resource.table, prefix);
        return Ok((revision, objects, at.start));
    }
    match store.list_at(&call.resource.table, prefix, at.revision as u64) {
        Ok(objects) => Ok((at.revision as u64, objects, at.start)),
        Err(_) => Err(Failure::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        )
        .metadata("continue", continue_token(-1, &at.start))),
    }
}

fn render(call: &Call, meta: Value, objects: &[Arc<Object>]) -> Response<Body> {
    let resource = &call.resource;
    match call.format.shape {
        Shape::Whole if call.format.media == Media::Json => {
            respond::json_text(StatusCode::OK, list_text(call, &meta, objects))
        }
        Shape::Whole if call.format.media == Media::Protobuf => match list_protobuf(call, &meta, objects) {
            Some(body) => respond::bytes(StatusCode::OK, protobuf::MEDIA, body),
            None => respond::json_text(StatusCode::OK, list_text(call, &meta, objects)),
        },
        Shape::Whole => {
            let items: Vec<Value> = objects.iter().map(|o| convert::tree(&call.app, resource, o)).collect();
            let list = json!({"kind": *resource.list_kind, "apiVersion": resource.api_version(), "metadata": meta, "items": items});
            respond::tree(StatusCode::OK, &list, Media::Yaml)
        }
        Shape::Metadata => {
            let version = call.format.meta_version;
            let items: Vec<Value> = objects
                .iter()
                .map(|o| metadata_only(&convert::tree(&call.app, resource, o), version))
                .collect();
            let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": meta, "items": items});
            respond::tree(StatusCode::OK, &list, call.format.media)
        }
        Shape::Table => {
            let trees: Vec<Value> = objects.iter().map(|o| convert::tree(&call.app, resource, o)).collect();
            let rows: Vec<&Value> = trees.iter().collect();
            respond::tree(StatusCode::OK, &table::table(call, &rows, meta, true), call.format.media)
        }
    }
}

/// A list of objects that are not stored, in the shape that was asked for.
pub fn list_tree(call: &Call, items: &[Value]) -> Value {
    let resource = &call.resource;
    match call.format.shape {
        Shape::Whole => {
            let plain = items.iter().map(|item| {
                let mut item = item.clone();
                // Items of typed lists leave their type out.
                object::remove(&mut item, &["apiVersion"]);
                object::remove(&mut item, &["kind"]);
                item
            });
            let items: Vec<Value> = plain.collect();
            json!({"kind": *resource.list_kind, "apiVersion": resource.api_version(), "metadata": {}, "items": items})
        }
        Shape::Metadata => {
            let version = call.format.meta_version;
            let items: Vec<Value> = items.iter().map(|own| metadata_only(own, version)).collect();
            let api_version = format!("meta.k8s.io/{version}");
            json!({"kind": "PartialObjectMetadataList", "apiVersion": api_version, "metadata": {}, "items": items})
        }
        Shape::Table => table::table(call, &items.iter().collect::<Vec<_>>(), json!({}), true),
    }
}

fn list_protobuf(call: &Call, meta: &Value, objects: &[Arc<Object>]) -> Option<Vec<u8>> {
    let resource = &call.resource;
    let mut list = protobuf::List::new(&resource.api_version(), &resource.list_kind, meta)?;
    for object in objects {
        list.push(&convert::tree(&call.app, resource, object));
    }
    Some(list.finish())
}

/// The text of a list, put together from the texts of its items.
fn list_text(call: &Call, meta: &Value, objects: &[Arc<Object>]) -> Bytes {
    let resource: &Resource = &call.resource;
    let size: usize = objects.iter().map(|o| o.json().len() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    let head = json!({"apiVersion": resource.api_version(), "kind": *resource.list_kind});
    let head = head.to_string();
    out.extend_from_slice(head.trim_end_matches('}').as_bytes());
    out.extend_from_slice(b",\"metadata\":");
    out.extend_from_slice(meta.to_string().as_bytes());
    out.extend_from_slice(b",\"items\":[");
    let typed = resource.custom.is_none() && *resource.stored_as == *resource.api_version();
    for (at, object) in objects.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if typed {
            out.push(b'{');
            out.extend_from_slice(object.body());
        } else {
            out.extend_from_slice(&convert::text(&call.app, resource, object));
        }
    }
    out.extend_from_slice(b"]}");
    out.into()
}

/// Parses a label selector parameter.
pub fn label_selector(text: &str) -> Result<LabelSelector, Failure> {
    LabelSelector::parse(text).map_err(|e| Failure::bad_request(e.to_string()))
}
