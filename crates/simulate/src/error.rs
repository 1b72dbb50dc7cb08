//! What the API refused.

/// An answer that is no success.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    /// The HTTP status, 0 when there was none.
    pub(crate) code: u16,
    /// The API's reason word.
    pub(crate) reason: String,
    pub(crate) message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                Error { code: status.code, reason: status.reason.clone(), message: status.message.clone() }
            }
            other => Error { code: 0, reason: String::new(), message: other.to_string() },
        }
    }

    pub(crate) fn new(message: impl Into<String>) -> Self {
        Error { code: 0, reason: String::new(), message: message.into() }
    }

    /// The object is not there (any more).
    pub(crate) fn is_gone(&self) -> bool {
        self.code == 404
    }

    /// The object is there already.
    pub(crate) fn is_there(&self) -> bool {
        self.code == 409 && self.reason == "AlreadyExists"
    }

    /// Somebody else was faster; the next look will see what they did.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code == 409 && !self.is_there()
    }

    /// The namespace takes nothing new because it is being deleted.
    pub(crate) fn is_ending(&self) -> bool {
        self.code == 403 && self.message.contains("being terminated")
    }
}

/// What is gone already need not be changed.
pub(crate) trait UnlessGone<T> {
    /// `None` when the object is not there any more.
    fn unless_gone(self) -> Result<Option<T>>;
}

impl<T> UnlessGone<T> for Result<T> {
    fn unless_gone(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_gone() || error.is_ending() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
