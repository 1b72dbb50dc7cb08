//! The errors of parsing and executing.

/// A template that does not parse. The text is Go's: `template: name:3: unexpected "}" in operand`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The name of the template (for a file, its path).
    pub template: String,
    /// The line, from 1.
    pub line: usize,
    /// The whole text.
    pub message: String,
}

/// An execution that failed. The text is Go's:
/// `template: name:1:3: executing "name" at <.x>: nil pointer evaluating interface {}.y`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ExecError {
    /// The template in which it happened; empty when the template to execute does not exist.
    pub template: String,
    /// The whole text.
    pub message: String,
    kind: ErrorKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ErrorKind {
    Exec,
    Missing,
    Limit,
}

impl ExecError {
    /// An error at a place in a template (Go's `ExecError`).
    pub(crate) fn at(template: &str, message: String) -> Self {
        ExecError { template: template.to_owned(), message, kind: ErrorKind::Exec }
    }

    /// The template to execute does not exist.
    pub(crate) fn missing(message: String) -> Self {
        ExecError { template: String::new(), message, kind: ErrorKind::Missing }
    }

    pub(crate) fn limit(template: &str, message: String) -> Self {
        ExecError { template: template.to_owned(), message, kind: ErrorKind::Limit }
    }

    /// Whether a limit of the environment stopped it.
    pub fn is_limit(&self) -> bool {
        self.kind == ErrorKind::Limit
    }

    /// Whether Go's error would be a `template.ExecError` (Helm shortens only those).
    pub fn is_exec(&self) -> bool {
        self.kind != ErrorKind::Missing
    }
}
