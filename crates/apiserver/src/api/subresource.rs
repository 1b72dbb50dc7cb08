//! Subresources: status, scale, finalize, approval, eviction, binding, tokens; and the ones that would
//! need a running container, which say that there is none.

use bytes::Bytes;
use http::{Response, StatusCode};
use object::{get, get_i64, get_str, meta, set};
use serde_json::{Value, json};

use super::body::{self, DeleteOptions};
use super::delete::delete_object;
use super::write::{self, Context, Proposal};
use super::{Call, connect, patch, read};
use crate::catalog::{Resource, Subresource};
use crate::respond;
use crate::server::Body;
use crate::status::{Cause, Failure};
use crate::token;

/// Answers a request for a subresource.
pub async fn dispatch(
    call: Call,
    subresource: &Subresource,
    verb: &str,
    body: &Bytes,
) -> Result<Response<Body>, Failure> {
    match (&*call.resource.name, &*subresource.name) {
        (_, "scale") => scale(&call, verb, body).await,
        ("pods", "eviction") => evict(&call, body).await,
        ("pods", "binding") => bind(&call, body).await,
        ("pods", "log") => connect::log(&call),
        ("pods", "exec" | "attach" | "portforward" | "proxy") | ("services" | "nodes", "proxy") => {
            connect::connect(&call, &subresource.name).await
        }
        ("serviceaccounts", "token") => token::create(&call, body),
        _ => match verb {
            "get" => read::get(&call),
            "update" => write::update(&call, body).await,
            "patch" => patch::patch(&call, body).await,
            _ => Err(Failure::method_not_allowed()),
        },
    }
}

/// Where a resource keeps its scale.
struct ScalePaths {
    spec: Vec<String>,
    status: Vec<String>,
    selector: Option<Vec<String>>,
}

fn scale_paths(resource: &Resource) -> Result<ScalePaths, Failure> {
    let split =
        |path: &str| -> Vec<String> { path.trim_start_matches('.').split('.').map(str::to_owned).collect() };
    match &resource.custom {
        None => Ok(ScalePaths {
            spec: split("spec.replicas"),
            status: split("status.replicas"),
            selector: Some(split("spec.selector")),
        }),
        Some(custom) => {
            let scale = custom.version.scale.as_ref().ok_or_else(super::unknown_resource)?;
            Ok(ScalePaths {
                spec: split(&scale.spec_replicas),
                status: split(&scale.status_replicas),
                selector: scale.label_selector.as_deref().map(split),
            })
        }
    }
}

fn path(segments: &[String]) -> Vec<&str> {
    segments.iter().map(String::as_str).collect()
}

/// The `Scale` of an object, if its resource has one.
pub fn scale_object(resource: &Resource, value: &Value) -> Option<Value> {
    scale_paths(resource).ok().map(|paths| scale_of(&paths, value))
}

/// The `Scale` of an object.
fn scale_of(paths: &ScalePaths, value: &Value) -> Value {
    let number = |segments: &[String]| get_i64(value, &path(segments));
    let selector = paths.selector.as_ref().and_then(|s| get(value, &path(s)));
    let text = match selector {
        Some(Value::String(text)) => text.clone(),
        Some(selector) => {
            object::LabelSelector::from_object(selector).map(|s| s.to_string()).unwrap_or_default()
        }
        None => String::new(),
    };
    let mut spec = json!({});
    if let Some(replicas) = number(&paths.spec).filter(|n| *n != 0) {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": number(&paths.status).unwrap_or(0)});
    if !text.is_empty() {
        status["selector"] = text.into();
    }
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(found) = get(value, &["metadata", field]) {
            metadata[field] = found.clone();
        }
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

async fn scale(call: &Call, verb: &str, body: &Bytes) -> Result<Response<Body>, Failure> {
    let paths = scale_paths(&call.resource)?;
    if verb == "get" {
        let value = patch::current(call).ok_or_else(|| call.not_found())?;
        if call.resource.custom.is_some() && get(&value, &path(&paths.spec)).is_none() {
            return Err(Failure::internal(format!(
                "the spec replicas field \".{}\" does not exist",
                paths.spec.join(".")
            )));
        }
        return Ok(respond::tree(StatusCode::OK, &scale_of(&paths, &value), call.format.media));
    }
    let context = Context::of(call)?;
    let mut warnings = Vec::new();
    let media = body::media_type(&call.headers).to_owned();
    let document = if verb == "update" {
        body::read(&media, body, "Scale", &mut Vec::new())?
    } else {
        crate::strict::parse(body)
            .map(|(value, _)| value)
            .or_else(|error| {
                let text = std::str::from_utf8(body).map_err(|_| error.to_string())?;
                yaml::from_str(text).map_err(|e| e.to_string())
            })
            .map_err(|e| Failure::bad_request(format!("the body cannot be read: {e}")))?
    };
    let written = write::modify(
        &call.app,
        &call.resource,
        call.namespace(),
        call.name(),
        &context,
        &mut warnings,
        |live| {
            let before = scale_of(&paths, live);
            let scale = changed_scale(call, verb, &media, &before, &document)?;
            let mut value = live.clone();
            let replicas = get_i64(&scale, &["spec", "replicas"]).unwrap_or(0);
            if replicas < 0 {
                let cause =
                    Cause::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0");
                return Err(Failure::invalid("autoscaling", "Scale", call.name(), &[cause]));
            }
            set(&mut value, &path(&paths.spec), replicas.into());
            let version = meta::resource_version(&scale).to_owned();
            if verb == "update" && !version.is_empty() {
                set(&mut value, &["metadata", "resourceVersion"], version.into());
            }
            Ok(Proposal::update(value))
        },
    )
    .await?;
    let value = written.tree(&call.app, &call.resource).await?;
    Ok(respond::tree(StatusCode::OK, &scale_of(&paths, &value), call.format.media))
}

fn changed_scale(
    call: &Call,
    verb: &str,
    media: &str,
    before: &Value,
    document: &Value,
) -> Result<Value, Failure> {
    if verb == "update" {
        let name = meta::name(document);
        if name != call.name() {
            return Err(Failure::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                call.name()
            )));
        }
        return Ok(document.clone());
    }
    let mut scale = before.clone();
    match media {
        "application/json-patch+json" => object::json_patch::apply(&mut scale, document)
            .map_err(|e| Failure::new(422, "Invalid", e.to_string()))?,
        "application/merge-patch+json"
        | "application/strategic-merge-patch+json"
        | "application/apply-patch+yaml" => object::merge_patch::apply(&mut scale, document),
        _ => {
            return Err(
                Failure::new(415, "UnsupportedMediaType", "415: Unsupported Media Type").empty_details()
            );
        }
    }
    Ok(scale)
}

/// Evicts a pod unless a disruption budget forbids it.
async fn evict(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let (eviction, _) = body::object(call, body, "policy/v1", "Eviction")?;
    let pod = patch::current(call).ok_or_else(|| call.not_found())?;
    let budgets = call.app.store.list("poddisruptionbudgets.policy", &format!("{}/", call.namespace()));
    for budget in budgets.1 {
        let budget = budget.value();
        let selected = get(&budget, &["spec", "selector"])
            .and_then(|s| object::LabelSelector::from_object(s).ok())
            .is_some_and(|s| s.matches_object(&pod));
        let allowed = get_i64(&budget, &["status", "disruptionsAllowed"]).unwrap_or(0);
        if selected && allowed <= 0 {
            let name = meta::name(&budget);
            let need = get_i64(&budget, &["status", "desiredHealthy"]).unwrap_or(0);
            let have = get_i64(&budget, &["status", "currentHealthy"]).unwrap_or(0);
            return Err(Failure::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            )
            .detail("causes", json!([{
                "reason": "DisruptionBudget",
                "message": format!("The disruption budget {name} needs {need} healthy pods and has {have} currently"),
            }])));
        }
    }
    let options = DeleteOptions {
        grace: get_i64(&eviction, &["deleteOptions", "gracePeriodSeconds"]),
        dry_run: call.dry_run()?,
        ..DeleteOptions::default()
    };
    let context = Context::of(call)?;
    let done = delete_object(
        &call.app,
        &call.resource,
        call.namespace(),
        call.name(),
        &context,
        &options,
        &mut Vec::new(),
    )
    .await?;
    if let super::delete::Deleted::Gone(_, durable) | super::delete::Deleted::Waiting(_, durable) = done {
        write::settle(durable).await?;
    }
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::tree(StatusCode::CREATED, &status, call.format.media))
}

/// Puts a pod on a node.
async fn bind(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let (binding, _) = body::object(call, body, "v1", "Binding")?;
    let node = get_str(&binding, &["target", "name"]).unwrap_or_default().to_owned();
    if node.is_empty() {
        let cause = Cause::required("target.name", "");
        return Err(Failure::invalid("", "Binding", call.name(), &[cause]));
    }
    let context = Context { subresource: "binding".into(), ..Context::of(call)? };
    let mut warnings = Vec::new();
    let written = write::modify(
        &call.app,
        &call.resource,
        call.namespace(),
        call.name(),
        &context,
        &mut warnings,
        |live| {
            let bound = get_str(live, &["spec", "nodeName"]).unwrap_or_default();
            if !bound.is_empty() {
                let why = format!("pod {} is already assigned to node {bound:?}", call.name());
                return Err(Failure::conflict("", "pods/binding", call.name(), &why));
            }
            let mut value = live.clone();
            set(&mut value, &["spec", "nodeName"], node.as_str().into());
            set_condition(&mut value, "PodScheduled");
            Ok(Proposal::update(value))
        },
    )
    .await?;
    written.tree(&call.app, &call.resource).await?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(respond::tree(StatusCode::CREATED, &status, call.format.media))
}

fn set_condition(pod: &mut Value, kind: &str) {
    let condition = json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": crate::app::now()});
    let list = get(pod, &["status", "conditions"]).and_then(Value::as_array).cloned();
    let mut list = list.unwrap_or_default();
    list.retain(|c| get_str(c, &["type"]) != Some(kind));
    list.push(condition);
    set(pod, &["status", "conditions"], list.into());
}
