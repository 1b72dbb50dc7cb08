//! The API's error: a `Status` object with Kubernetes' codes, reasons and messages.

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Map, Value, json};

/// A refused request, boxed so that results stay small.
#[derive(Debug, Clone)]
pub struct Failure(Box<Status>);

/// The parts of a `Status` object.
#[derive(Debug, Clone)]
struct Status {
    code: u16,
    reason: Cow<'static, str>,
    message: String,
    details: Map<String, Value>,
    metadata: Map<String, Value>,
    raw: bool,
    empty_details: bool,
    warnings: Vec<String>,
}

/// One entry of `details.causes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `FieldValueRequired` and the like.
    pub reason: &'static str,
    /// The field's path.
    pub field: String,
    /// What is wrong, without the path.
    pub message: String,
}

impl Cause {
    /// A value that is not allowed: `Invalid value: <value>: <why>`.
    pub fn invalid(field: impl Into<String>, value: &Value, why: impl AsRef<str>) -> Cause {
        let shown = show_value(value);
        Cause {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {shown}: {}", why.as_ref()),
        }
    }

    /// A missing value: `Required value[: why]`.
    pub fn required(field: impl Into<String>, why: &str) -> Cause {
        let message =
            if why.is_empty() { "Required value".to_owned() } else { format!("Required value: {why}") };
        Cause { reason: "FieldValueRequired", field: field.into(), message }
    }

    /// A value that must not be set here.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    /// A value outside a fixed set.
    pub fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Cause {
        let allowed: Vec<String> = allowed.iter().map(|v| format!("{v:?}")).collect();
        Cause {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!(
                "Unsupported value: {}: supported values: {}",
                show_value(value),
                allowed.join(", ")
            ),
        }
    }
}

/// The fields of a `Status`, and of its details, as the original writes them.
const ORDER: &[&str] = &["kind", "apiVersion", "metadata", "status", "message", "reason", "details", "code"];
const DETAILS: &[&str] = &["name", "group", "kind", "uid", "causes", "retryAfterSeconds"];

fn plainly(_: &str, value: &Value) -> String {
    value.to_string()
}

/// A mapping as JSON with these fields first, in this order.
fn in_order(value: &Value, order: &[&str], text: impl Fn(&str, &Value) -> String) -> String {
    let Some(map) = value.as_object() else { return value.to_string() };
    let first = order.iter().filter_map(|field| map.get_key_value(*field));
    let rest = map.iter().filter(|(field, _)| !order.contains(&field.as_str()));
    let fields = first
        .chain(rest)
        .map(|(field, value)| format!("{}:{}", Value::from(field.as_str()), text(field, value)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// A value as validation messages show it: strings quoted, the rest as JSON.
pub fn show_value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// `pods` or `deployments.apps`.
pub fn group_resource(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl Failure {
    /// Any status.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Failure {
        Failure(Box::new(Status {
            code,
            reason: reason.into(),
            message: message.into(),
            details: Map::new(),
            metadata: Map::new(),
            raw: false,
            empty_details: false,
            warnings: Vec::new(),
        }))
    }

    /// What somebody else, who was asked, says.
    pub fn of_status(code: u16, reason: &str, message: String, details: Map<String, Value>) -> Failure {
        let mut failure = Failure::new(code, "", message);
        failure.0.reason = reason.to_owned().into();
        failure.0.details = details;
        failure
    }

    /// The router's plain `404 page not found`.
    pub fn page_not_found() -> Failure {
        let mut failure = Failure::new(404, "NotFound", "404 page not found\n");
        failure.0.raw = true;
        failure
    }

    /// Writes `details` even when nothing is in it, as the router's own answers do.
    #[must_use]
    pub fn empty_details(mut self) -> Failure {
        self.0.empty_details = true;
        self
    }

    /// Adds what was warned of before the refusal.
    #[must_use]
    pub fn warned(mut self, warnings: &[String]) -> Failure {
        self.0.warnings = warnings.to_vec();
        self
    }

    /// What is warned of besides.
    pub fn warnings(&self) -> &[String] {
        &self.0.warnings
    }

    /// Whether the body is plain text.
    pub fn is_raw(&self) -> bool {
        self.0.raw
    }

    /// Adds one field of `details`.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Failure {
        self.0.details.insert(key.to_owned(), value.into());
        self
    }

    /// Adds one field of `metadata` (a fresh continue token).
    #[must_use]
    pub fn metadata(mut self, key: &str, value: impl Into<Value>) -> Failure {
        self.0.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Names the object in `details`.
    #[must_use]
    pub fn about(self, group: &str, kind: &str, name: &str) -> Failure {
        let mut failure = self;
        if !name.is_empty() {
            failure = failure.detail("name", name);
        }
        if !group.is_empty() {
            failure = failure.detail("group", group);
        }
        if !kind.is_empty() {
            failure = failure.detail("kind", kind);
        }
        failure
    }

    /// 404 for an object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Failure {
        let message = format!("{} {name:?} not found", group_resource(group, resource));
        Failure::new(404, "NotFound", message).about(group, resource, name)
    }

    /// 409 on create.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Failure {
        let message = format!("{} {name:?} already exists", group_resource(group, resource));
        Failure::new(409, "AlreadyExists", message).about(group, resource, name)
    }

    /// 409 with any cause.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Failure {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", group_resource(group, resource));
        Failure::new(409, "Conflict", message).about(group, resource, name)
    }

    /// 409 because the object changed under the caller.
    pub fn modified(group: &str, resource: &str, name: &str) -> Failure {
        Failure::conflict(
            group,
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403 for an object.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Failure {
        let target = group_resource(group, resource);
        let message = if target.is_empty() {
            format!("forbidden: {why}")
        } else if name.is_empty() {
            format!("{target} is forbidden: {why}")
        } else {
            format!("{target} {name:?} is forbidden: {why}")
        };
        Failure::new(403, "Forbidden", message).about(group, resource, name)
    }

    /// 422 with field causes.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Failure {
        let mut texts: Vec<String> = Vec::new();
        for cause in causes {
            let text = format!("{}: {}", cause.field, cause.message);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        let joined = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        let message = format!("{} {name:?} is invalid: {joined}", group_resource(group, kind));
        let causes: Vec<Value> = causes
            .iter()
            .map(|c| json!({"reason": c.reason, "message": c.message, "field": c.field}))
            .collect();
        Failure::new(422, "Invalid", message).about(group, kind, name).detail("causes", causes)
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Failure {
        Failure::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405.
    pub fn method_not_allowed() -> Failure {
        Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 410 for a revision that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Failure {
        Failure::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Failure {
        Failure::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Failure {
        Failure::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Failure {
        let text = format!("406: Not Acceptable\n\nAvailable representations: {}", accepted.join(", "));
        Failure::new(406, "NotAcceptable", text).empty_details()
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Failure {
        let message = message.into();
        Failure::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .detail("causes", json!([{"message": message}]))
    }

    /// The HTTP status.
    pub fn code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The reason word.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The `Status` as JSON, its fields in the order in which the original writes them.
    pub fn text(&self) -> String {
        let body = self.body();
        let details = |field: &str, value: &Value| match (field, value) {
            ("causes", Value::Array(list)) => {
                let causes = list.iter().map(|own| in_order(own, &["reason", "message", "field"], plainly));
                format!("[{}]", causes.collect::<Vec<_>>().join(","))
            }
            _ => value.to_string(),
        };
        let text = in_order(&body, ORDER, |field, value| match field {
            "details" => in_order(value, DETAILS, details),
            _ => value.to_string(),
        });
        text + "\n"
    }

    /// The `Status`.
    pub fn body(&self) -> Value {
        let status = &self.0;
        let mut body = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": status.metadata,
            "status": "Failure",
            "message": status.message,
            "code": status.code,
        });
        if !status.reason.is_empty()
            && let Some(map) = body.as_object_mut()
        {
            map.insert("reason".into(), status.reason.as_ref().into());
        }
        let wants_details = !status.details.is_empty() || status.code == 405 || status.empty_details;
        if wants_details && let Some(map) = body.as_object_mut() {
            map.insert("details".into(), Value::Object(status.details.clone()));
        }
        body
    }
}
