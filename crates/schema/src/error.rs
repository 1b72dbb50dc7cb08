//! Errors about fields, worded as the Kubernetes API words them.

use std::fmt;

use object::{Gvk, Value};
use serde_json::json;

/// The reason of a [`FieldError`]: the `reason` of a cause in a Status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A value is missing.
    Required,
    /// A value is malformed.
    Invalid,
    /// A value is none of the allowed ones.
    NotSupported,
    /// A value appears twice.
    Duplicate,
    /// A value may not be set here.
    Forbidden,
    /// Text is too long.
    TooLong,
    /// A list has too many elements.
    TooMany,
    /// A value has the wrong type.
    TypeInvalid,
    /// Something referred to does not exist.
    NotFound,
    /// The server failed.
    Internal,
}

impl Reason {
    /// As in `status.details.causes[].reason`.
    pub fn code(self) -> &'static str {
        match self {
            Reason::Required => "FieldValueRequired",
            Reason::Invalid => "FieldValueInvalid",
            Reason::NotSupported => "FieldValueNotSupported",
            Reason::Duplicate => "FieldValueDuplicate",
            Reason::Forbidden => "FieldValueForbidden",
            Reason::TooLong => "FieldValueTooLong",
            Reason::TooMany => "FieldValueTooMany",
            Reason::TypeInvalid => "FieldValueTypeInvalid",
            Reason::NotFound => "FieldValueNotFound",
            Reason::Internal => "InternalError",
        }
    }

    /// As in messages.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Required => "Required value",
            Reason::Invalid | Reason::TypeInvalid => "Invalid value",
            Reason::NotSupported => "Unsupported value",
            Reason::Duplicate => "Duplicate value",
            Reason::Forbidden => "Forbidden",
            Reason::TooLong => "Too long",
            Reason::TooMany => "Too many",
            Reason::NotFound => "Not found",
            Reason::Internal => "Internal error",
        }
    }
}

/// One error about one field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// Why.
    pub reason: Reason,
    /// Path of the field: `spec.containers[0].name`; `<nil>` when it has none.
    pub field: String,
    /// The offending value, when the message shows it.
    pub value: Option<Value>,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    fn new(
        reason: Reason,
        field: impl Into<String>,
        value: Option<Value>,
        detail: impl Into<String>,
    ) -> Self {
        FieldError { reason, field: field.into(), value, detail: detail.into() }
    }

    /// A missing value.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Reason::Required, field, None, detail)
    }

    /// A malformed value.
    pub fn invalid(field: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, field, Some(value.into()), detail)
    }

    /// A malformed value that messages show as `shown`, which is JSON already.
    pub fn invalid_shown(field: impl Into<String>, shown: &str, detail: &str) -> Self {
        Self::new(Reason::Invalid, field, None, format!("{shown}: {detail}"))
    }

    /// A value of the wrong type.
    pub fn type_invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(Reason::TypeInvalid, field, Some(value.into()), detail)
    }

    /// A value that is none of `supported`.
    pub fn not_supported(field: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::new(Reason::NotSupported, field, Some(value.into()), detail)
    }

    /// A value that appears twice.
    pub fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(Reason::Duplicate, field, Some(value.into()), "")
    }

    /// A field that may not be set or changed.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Reason::Forbidden, field, None, detail)
    }

    /// Text longer than `max` bytes.
    pub fn too_long(field: impl Into<String>, max: i64) -> Self {
        let detail = if max >= 0 {
            format!("may not be more than {max} bytes")
        } else {
            "value is too long".to_owned()
        };
        Self::new(Reason::TooLong, field, None, detail)
    }

    /// A list of `actual` elements where `max` are allowed.
    pub fn too_many(field: impl Into<String>, actual: i64, max: i64) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        let detail = if max >= 0 {
            format!("must have at most {max} {items}")
        } else {
            "has too many items".to_owned()
        };
        Self::new(Reason::TooMany, field, Some(Value::from(actual)), detail)
    }

    /// A failure of the server.
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Reason::Internal, field, None, detail)
    }

    /// The message without the field: what a cause in a Status holds.
    pub fn body(&self) -> String {
        let mut text = self.reason.text().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(&shown(value));
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

/// Strings are quoted, everything else is JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => go_quote(text),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// Quotes as Go's `%q`.
pub(crate) fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.body())
        } else {
            write!(f, "{}: {}", self.field, self.body())
        }
    }
}

/// The Status (422 Invalid) that the API answers to an object with these errors.
pub fn invalid_status(gvk: &Gvk, name: &str, errors: &[FieldError]) -> Value {
    let mut texts: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let listed = match texts.as_slice() {
        [] => "[]".to_owned(),
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    let causes: Vec<Value> = errors
        .iter()
        .map(|error| json!({"reason": error.reason.code(), "message": error.body(), "field": error.field}))
        .collect();
    let mut details = json!({"name": name, "group": gvk.group, "kind": gvk.kind, "causes": causes});
    if gvk.group.is_empty() {
        object::remove(&mut details, &["group"]);
    }
    if name.is_empty() {
        object::remove(&mut details, &["name"]);
    }
    let message = format!("{} {} is invalid: {listed}", gvk.group_kind(), go_quote(name));
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "Invalid",
        "details": details,
        "code": 422,
    })
}
