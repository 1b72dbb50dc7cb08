//! Why an action did not succeed.

use cluster::Error;
use object::Key;

/// Why an action did not succeed.
#[derive(Debug)]
pub enum Fault {
    /// Something newer came.
    Preempted,
    /// It failed.
    Failed {
        /// The line.
        message: String,
        /// The object in the way.
        object: Option<Key>,
        /// The template.
        file: Option<String>,
        /// The line in it.
        line: Option<usize>,
    },
}

impl Fault {
    /// A failure that is about no object.
    pub fn failed(message: impl Into<String>) -> Fault {
        Fault::Failed { message: message.into(), object: None, file: None, line: None }
    }

    /// A failure of one object.
    pub fn at(key: &Key, message: impl Into<String>) -> Fault {
        Fault::Failed { message: message.into(), object: Some(key.clone()), file: None, line: None }
    }

    /// The same with the template it comes from, when none is named yet.
    pub fn in_file(self, path: &str) -> Fault {
        match self {
            Fault::Failed { message, object, file, line } => {
                Fault::Failed { message, object, file: file.or_else(|| Some(path.to_owned())), line }
            }
            other => other,
        }
    }

    /// The same with words before it.
    pub fn wrap(self, words: impl std::fmt::Display) -> Fault {
        match self {
            Fault::Failed { message, object, file, line } => {
                Fault::Failed { message: format!("{words}: {message}"), object, file, line }
            }
            other => other,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Preempted => f.write_str("interrupted"),
            Fault::Failed { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::failed(error.message)
    }
}

impl From<helm::Error> for Fault {
    fn from(error: helm::Error) -> Fault {
        Fault::Failed {
            message: error.message,
            object: None,
            line: Some(error.line).filter(|line| *line > 0),
            file: error.file,
        }
    }
}
