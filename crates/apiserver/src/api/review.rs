//! Questions in the form of objects: who am I, may I, is this token good.

use bytes::Bytes;
use http::{Response, StatusCode};
use object::{get, get_str};
use serde_json::{Value, json};

use super::{Call, body, read};
use crate::auth::User;
use crate::catalog::Resource;
use crate::rbac::{self, Attributes};
use crate::server::Body;
use crate::status::{Cause, Failure};
use crate::token;

/// Whether objects of this resource are answered instead of stored.
pub fn is_review(resource: &Resource) -> bool {
    matches!(&*resource.group, "authentication.k8s.io" | "authorization.k8s.io")
}

/// Answers a review.
pub fn create(call: &Call, body: &Bytes) -> Result<Response<Body>, Failure> {
    let resource = &call.resource;
    if call.format.shape != crate::request::Shape::Whole {
        return Err(Failure::not_acceptable(body::OBJECT_TYPES));
    }
    let (mut value, _) = body::object(call, body, &resource.api_version(), &resource.kind)?;
    let mut problems = Vec::new();
    crate::types::drop_unknown(resource, &mut value, &mut problems)?;
    let status = match &*resource.name {
        "selfsubjectreviews" => json!({"userInfo": call.user.info()}),
        "tokenreviews" => {
            if get_str(&value, &["spec", "token"]).unwrap_or_default().is_empty() {
                return Err(Failure::bad_request("token is required for TokenReview in authentication"));
            }
            token_review(call, &value)
        }
        "selfsubjectaccessreviews" => access(call, &call.user, &value)?,
        "localsubjectaccessreviews" | "subjectaccessreviews" => access(call, &subject(&value), &value)?,
        "selfsubjectrulesreviews" => rules(call, &value),
        _ => return Err(super::unknown_resource()),
    };
    if &*resource.name != "selfsubjectreviews" {
        // Reviews are not kept, but written as any object is.
        let context = super::write::Context::of(call)?;
        crate::fields::on_write(resource, None, &mut value, None, &context)?;
    }
    object::set(&mut value, &["status"], status);
    if &*resource.name == "selfsubjectreviews" {
        object::set(&mut value, &["metadata", "creationTimestamp"], crate::app::now().into());
    }
    Ok(read::answer_tree(call, StatusCode::CREATED, &value))
}

fn token_review(call: &Call, value: &Value) -> Value {
    let given = get_str(value, &["spec", "token"]).unwrap_or_default();
    let audiences: Vec<String> = get(value, &["spec", "audiences"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    if let Some(verified) = token::verify(&call.app, given, &audiences) {
        return json!({"authenticated": true, "user": verified.user.info(), "audiences": verified.audiences});
    }
    match crate::auth::by_token(&call.app, given) {
        Some(user) => json!({"authenticated": true, "user": user.info()}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}

fn texts(value: &Value, path: &[&str]) -> Vec<String> {
    get(value, path)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

fn subject(value: &Value) -> User {
    User {
        name: get_str(value, &["spec", "user"]).unwrap_or_default().to_owned(),
        uid: get_str(value, &["spec", "uid"]).unwrap_or_default().to_owned(),
        groups: texts(value, &["spec", "groups"]),
        extra: Vec::new(),
    }
}

fn access(call: &Call, user: &User, value: &Value) -> Result<Value, Failure> {
    let resource = get(value, &["spec", "resourceAttributes"]).filter(|v| !v.is_null());
    let path = get(value, &["spec", "nonResourceAttributes"]).filter(|v| !v.is_null());
    let refuse = |field: &str, value: &Value, why: &str| {
        let cause = Cause::invalid(field, value, why);
        Err(Failure::invalid(&call.resource.group, "", "", &[cause]))
    };
    // As the original's own type prints.
    let shown = |attributes: &Value| {
        let map = attributes.as_object().into_iter().flatten();
        let capital =
            |key: &String| key.get(..1).unwrap_or_default().to_uppercase() + key.get(1..).unwrap_or_default();
        Value::Object(map.map(|(key, value)| (capital(key), value.clone())).collect())
    };
    if &*call.resource.name != "selfsubjectaccessreviews" && user.name.is_empty() && user.groups.is_empty() {
        return refuse("spec.user", &"".into(), "at least one of user or group must be specified");
    }
    if let (Some(_), Some(path)) = (resource, path) {
        let why = "cannot be specified in combination with resourceAttributes";
        return refuse("spec.nonResourceAttributes", &shown(path), why);
    }
    if &*call.resource.name == "localsubjectaccessreviews" {
        if let Some(path) = path {
            return refuse("spec.nonResourceAttributes", &shown(path), "disallowed on this kind of request");
        }
        let namespace = resource.and_then(|own| get_str(own, &["namespace"])).unwrap_or_default();
        if resource.is_some() && namespace != call.namespace() {
            let why = "must match metadata.namespace";
            return refuse("spec.resourceAttributes.namespace", &namespace.into(), why);
        }
    }
    let (Some(found), attributes) = (match (resource, path) {
        (Some(attributes), None) => {
            let text = |field: &str| get_str(attributes, &[field]).unwrap_or_default();
            let attributes = Attributes {
                verb: text("verb"),
                group: text("group"),
                resource: text("resource"),
                subresource: text("subresource"),
                namespace: text("namespace"),
                name: text("name"),
                path: None,
            };
            (Some(()), attributes)
        }
        (None, Some(attributes)) => {
            let text = |field: &str| get_str(attributes, &[field]).unwrap_or_default();
            let attributes =
                Attributes { verb: text("verb"), path: Some(text("path")), ..Attributes::default() };
            (Some(()), attributes)
        }
        _ => (None, Attributes::default()),
    }) else {
        let cause = Cause::invalid(
            "spec.resourceAttributes",
            &Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        );
        let resource = &call.resource;
        return Err(Failure::invalid(&resource.group, "", "", &[cause]));
    };
    let () = found;
    Ok(match rbac::allowed(&call.app, user, &attributes) {
        Some(reason) if reason.is_empty() => json!({"allowed": true}),
        Some(reason) => json!({"allowed": true, "reason": reason}),
        None => json!({"allowed": false}),
    })
}

fn rules(call: &Call, value: &Value) -> Value {
    let namespace = get_str(value, &["spec", "namespace"]).unwrap_or_default();
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    rbac::visit(&call.app, &call.user, namespace, |_, _, rule| {
        let is_path = get(rule, &["nonResourceURLs"]).is_some();
        if is_path {
            paths.push(rule.clone())
        } else {
            resources.push(rule.clone())
        }
        true
    });
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}
