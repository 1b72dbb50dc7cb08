//! One error type: what went wrong, where, and what to do next.

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a source could not be had. The kinds are those a caller acts on differently.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The remote could not be reached (DNS, connection, timeout, 5xx): worth another try; says which
    /// `--map` would serve it from disk.
    #[error("{url}: cannot be reached: {cause}\n  to serve it from disk: {hint}")]
    Unreachable {
        /// The address asked for.
        url: String,
        /// The transport's reason.
        cause: String,
        /// The exact `--map` to give.
        hint: String,
    },
    /// The credentials are missing or refused.
    #[error("{url}: access denied: {cause}")]
    Denied {
        /// The address asked for.
        url: String,
        /// What the server said.
        cause: String,
    },
    /// The branch, tag, chart, version, layer or file does not exist there.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is wrong (bad URL, bad range, bad regular expression …): trying again is futile.
    #[error("{0}")]
    Invalid(String),
    /// The content is refused: digest mismatch, path traversal, over a limit.
    #[error("{0}")]
    Refused(String),
    /// A signature is missing or does not fit.
    #[error("{why}")]
    Unverified {
        /// Flux's word for it.
        reason: &'static str,
        /// Whose, and why not.
        why: String,
    },
    /// A local file or folder could not be read or written.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        cause: String,
    },
    /// Anything else a transport says.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// An input/output error at `path`.
    pub fn io(path: impl AsRef<std::path::Path>, cause: impl std::fmt::Display) -> Self {
        Error::Io { path: path.as_ref().display().to_string(), cause: cause.to_string() }
    }

    /// Whether another try can succeed without anybody changing the request.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Io { .. } | Error::Other(_))
    }
}

/// An error with all its causes on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = cause.source();
    }
    text
}

impl Error {
    /// The same error with the place it happened in front.
    pub fn within(self, place: &str) -> Self {
        match self {
            Error::NotFound(text) => Error::NotFound(format!("{place}: {text}")),
            Error::Invalid(text) => Error::Invalid(format!("{place}: {text}")),
            Error::Refused(text) => Error::Refused(format!("{place}: {text}")),
            Error::Other(text) => Error::Other(format!("{place}: {text}")),
            other => other,
        }
    }
}
