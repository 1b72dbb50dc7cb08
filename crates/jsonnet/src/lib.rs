//! Jsonnet to JSON, as Argo CD's directories use it: external variables, top-level arguments, libraries.
//!
//! The crate is pure: a program sees the files that its caller hands in, by their paths in the repository, and can name
//! no other. [`evaluate`] runs in the caller's process and knows no limit of time or memory, only of the depth of
//! calls; who evaluates files of strangers does so in a process that can be ended, which speaks [`wire`].

mod imports;
mod report;
mod run;
pub mod wire;

use serde::{Deserialize, Serialize};

pub use run::evaluate;

/// How deep calls may nest: go-jsonnet's own limit, which Argo CD leaves as it is.
pub const MAX_CALLS: usize = 500;
/// The most that a program may make, as bytes of JSON.
pub const MAX_OUTPUT: usize = 32 << 20;
/// The most that one source file may hold; nested brackets are read recursively.
pub const MAX_SOURCE: usize = 10 << 20;

/// A value that is given to a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// A text, or code.
    pub value: String,
    /// Is it code?
    pub code: bool,
}

/// What is evaluated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The path of the program in the repository.
    pub file: String,
    /// What `std.extVar` gives. Of two with one name the last counts.
    pub external: Vec<Variable>,
    /// Arguments of a program that is a function.
    pub arguments: Vec<Variable>,
    /// Folders where imports are looked for that do not stand beside the importing file. The last comes first.
    pub libraries: Vec<String>,
}

/// The files of a repository.
pub trait Files {
    /// The content of a file, by its path without a leading slash; `None` where there is none.
    fn read(&mut self, path: &str) -> Option<Vec<u8>>;
}

/// Why there is no JSON. Its text begins as go-jsonnet's does, and each further line is a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, and where.
    pub message: String,
    /// The file with the fault.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<usize>,
}

impl Error {
    /// A fault without a place.
    pub fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), file: None, line: None }
    }
}
