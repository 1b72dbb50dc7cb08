//! Why a build failed.

/// A failed build: Kustomize's own words in `message`, and where to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, in Kustomize's words where it has any.
    pub message: String,
    /// The file that is at fault: a kustomization, a resource file or a patch; "" when unknown.
    pub file: String,
    /// The field of the kustomization; "" when unknown.
    pub field: String,
    /// The resource, as `kind.version.group/name.namespace`; "" when unknown.
    pub resource: String,
}

impl Error {
    /// An error that only has words.
    pub fn new(message: impl Into<String>) -> Self {
        Error { message: message.into(), file: String::new(), field: String::new(), resource: String::new() }
    }

    /// The same error behind `prefix: `.
    #[must_use]
    pub fn wrap(mut self, prefix: impl std::fmt::Display) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }

    /// The same error, with the file named when none is yet.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        if self.file.is_empty() {
            self.file = file.into();
        }
        self
    }

    /// The same error, with the field named when none is yet.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        if self.field.is_empty() {
            self.field = field.into();
        }
        self
    }

    /// The same error, with the resource named when none is yet.
    #[must_use]
    pub fn of_resource(mut self, resource: impl Into<String>) -> Self {
        if self.resource.is_empty() {
            self.resource = resource.into();
        }
        self
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Error::new(message)
    }
}
