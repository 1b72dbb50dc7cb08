//! Why a build failed.

/// A failed build: Kustomize's own words in `message`, and where to look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, in Kustomize's words where it has any.
    pub message: String,
    /// The file that is at fault: a kustomization, a resource file or a patch; "" when unknown.
    pub file: String,
    /// The line of the file; 0 when unknown.
    pub line: usize,
    /// The kustomization whose build failed, the innermost of several; "" when unknown.
    pub kustomization: String,
    /// The field of the kustomization; "" when unknown.
    pub field: String,
    /// The resource, as `kind.version.group/name.namespace`; "" when unknown.
    pub resource: String,
}

impl Error {
    /// An error that only has words.
    pub fn new(message: impl Into<String>) -> Self {
        Error {
            message: message.into(),
            file: String::new(),
            line: 0,
            kustomization: String::new(),
            field: String::new(),
            resource: String::new(),
        }
    }

    /// Where to look, as far as it is known and the message does not say it: the file, the
    /// kustomization that names it, the field, the resource.
    pub fn place(&self) -> Option<String> {
        let kustomization = if self.kustomization == self.file { "" } else { &self.kustomization };
        let file = if self.line > 0 { &format!("{}:{}", self.file, self.line) } else { &self.file };
        let parts = [
            ("", file.as_str()),
            ("", kustomization),
            ("field ", &self.field),
            ("resource ", &self.resource),
        ];
        let known: Vec<String> = parts
            .iter()
            .filter(|(_, text)| !text.is_empty() && !self.message.contains(text))
            .map(|(what, text)| format!("{what}{text}"))
            .collect();
        (!known.is_empty()).then(|| known.join(", "))
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

    /// The same error, with the kustomization named when none is yet: the file at fault unless another one is.
    #[must_use]
    pub fn in_kustomization(mut self, file: impl Into<String>) -> Self {
        if self.kustomization.is_empty() {
            self.kustomization = file.into();
        }
        let file = self.kustomization.clone();
        self.in_file(file)
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
