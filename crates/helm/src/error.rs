//! What can go wrong, in Helm's words.

use std::fmt;

/// The stage an [`Error`] comes from, for callers that treat them differently (exit texts, status reasons).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading a folder or an archive, `Chart.yaml`, `.helmignore`.
    Chart,
    /// Declared dependencies that are missing or do not fit.
    Dependencies,
    /// Values files and `--set` flags.
    Values,
    /// `values.schema.json` said no.
    Schema,
    /// A template that does not parse or fails while it runs.
    Template,
    /// Rendered text that is not a manifest.
    Manifest,
    /// The Kubernetes version is not what the chart asks for.
    KubeVersion,
    /// Reading or writing a stored release, release names.
    Release,
    /// A chart repository's index.
    Repository,
}

/// Why a chart could not be loaded or rendered. `Display` prints what `helm` prints after `Error: `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Where it happened.
    pub stage: Stage,
    /// Helm's text.
    pub message: String,
    /// The file inside the chart, when one is to blame.
    pub file: Option<String>,
    /// The line in that file, from 1; 0 when unknown.
    pub line: usize,
    /// The column, from 1; 0 when unknown.
    pub column: usize,
    /// The text around the place, for a person; empty when unknown.
    pub excerpt: String,
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a stage without a place.
    pub fn new(stage: Stage, message: impl Into<String>) -> Self {
        Error { stage, message: message.into(), file: None, line: 0, column: 0, excerpt: String::new() }
    }

    /// The same error with a place.
    pub fn at(mut self, file: impl Into<String>, line: usize, column: usize) -> Self {
        self.file = Some(file.into());
        self.line = line;
        self.column = column;
        self
    }

    /// The same error with the text around its place.
    pub fn with_excerpt(mut self, source: &str) -> Self {
        self.excerpt = yaml::Error::new("", self.line, self.column).excerpt(source);
        self
    }

    /// The same error with words in front, as Go's `errors.Wrap` puts them.
    pub fn wrap(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Go's `%q` for a string.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() || c == '\u{feff}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
