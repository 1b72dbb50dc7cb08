//! Errors of the API, typed by what a caller can do about them.

use base64::Engine as _;
use serde_json::Value;

/// What went wrong, as far as it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Another manager owns a field, or the object changed in between (409).
    Conflict,
    /// The object exists already (409 on create).
    AlreadyExists,
    /// The object is not acceptable (400, 422).
    Invalid,
    /// The object is acceptable, but not as a change of the live one.
    Immutable,
    /// Not allowed (401, 403).
    Forbidden,
    /// There is no such object (404).
    NotFound,
    /// The API does not serve this kind.
    MissingKind,
    /// The namespace is being deleted or does not exist.
    Namespace,
    /// The resource version is too old (410).
    Expired,
    /// The server asks to slow down, or has a fault of its own (429, 5xx).
    Busy,
    /// The server cannot be reached.
    Unreachable,
    /// Anything else.
    Other,
}

/// An error of a request, with the object it was about.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// One line for people, without secret values.
    pub message: String,
    /// The API's reason word, when it gave one.
    pub reason: String,
    /// The HTTP status, 0 when there was none.
    pub code: u16,
}

impl Error {
    /// An error of our own.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), reason: String::new(), code: 0 }
    }

    /// The same error about the object `subject` (`Kind/ns/name`).
    pub fn about(mut self, subject: &str) -> Error {
        self.message = format!("{subject}: {}", self.message);
        self
    }

    /// Is asking again, without any change, worth it?
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Busy | ErrorKind::Unreachable | ErrorKind::Expired)
    }

    pub(crate) fn from_kube(error: kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => from_status(status.code, &status.reason, &status.message),
            other => Error::new(ErrorKind::Unreachable, chain(&other)),
        }
    }
}

/// An error with all its causes in one line: the innermost one is what a person needs.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

fn from_status(code: u16, reason: &str, message: &str) -> Error {
    let kind = match (code, reason) {
        (_, "AlreadyExists") => ErrorKind::AlreadyExists,
        (_, "Expired" | "Gone") | (410, _) => ErrorKind::Expired,
        (401 | 403, _) if message.contains("being terminated") => ErrorKind::Namespace,
        (401 | 403, _) => ErrorKind::Forbidden,
        (404, _) if message.starts_with("namespaces ") => ErrorKind::Namespace,
        (404, _) if message.contains("could not find the requested resource") => ErrorKind::MissingKind,
        (404, _) => ErrorKind::NotFound,
        (409 | 422, _) if is_immutable(message) => ErrorKind::Immutable,
        (409, _) => ErrorKind::Conflict,
        (400 | 422, _) => ErrorKind::Invalid,
        (429, _) | (500..=599, _) => ErrorKind::Busy,
        _ => ErrorKind::Other,
    };
    Error { kind, message: message.to_owned(), reason: reason.to_owned(), code }
}

/// The words by which the API says that a field cannot change.
pub fn is_immutable(message: &str) -> bool {
    [
        "is immutable",
        "immutable field",
        "may not change once set",
        "updates to statefulset spec for fields other than",
    ]
    .iter()
    .any(|words| message.contains(words))
}

const MASK: &str = "*****";

/// `message` without any value of `object`'s Secret data, plain or base64. Other kinds pass unchanged.
pub fn mask(object: &Value, message: String) -> String {
    if object.get("kind").and_then(Value::as_str) != Some("Secret") {
        return message;
    }
    let mut values: Vec<String> = Vec::new();
    for field in ["data", "stringData"] {
        let Some(entries) = object.get(field).and_then(Value::as_object) else { continue };
        for text in entries.values().filter_map(Value::as_str) {
            values.push(text.to_owned());
            if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text)
                && let Ok(plain) = String::from_utf8(bytes)
            {
                values.push(plain);
            }
        }
    }
    // The longest first, so that a value that contains another one is taken out whole.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut masked = message;
    for value in values.iter().filter(|value| !value.trim().is_empty()) {
        masked = masked.replace(value.as_str(), MASK);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secret_values_leave_messages() {
        let secret =
            json!({"kind": "Secret", "data": {"a": "aHVudGVyMg=="}, "stringData": {"b": "hunter23"}});
        let masked = mask(&secret, "bad: hunter2 aHVudGVyMg== hunter23".into());
        assert_eq!(masked, "bad: ***** ***** *****");
        let other = json!({"kind": "ConfigMap", "data": {"a": "x"}});
        assert_eq!(mask(&other, "x".into()), "x");
    }

    #[test]
    fn kinds_of_errors() {
        assert_eq!(
            from_status(422, "Invalid", "spec.selector: field is immutable").kind,
            ErrorKind::Immutable
        );
        assert_eq!(from_status(404, "NotFound", "namespaces \"x\" not found").kind, ErrorKind::Namespace);
        assert_eq!(from_status(503, "", "x").kind, ErrorKind::Busy);
        assert!(from_status(410, "Expired", "x").is_transient());
    }
}
