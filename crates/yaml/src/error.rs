//! What reading can fail with.

use std::fmt;

/// Why a text could not be read, and where.
///
/// Displayed as Go's libraries print it (`yaml: line 3: …`), so that output which quotes it stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The whole message as Go prints it, with its prefix.
    pub message: String,
    /// Line, from 1; 0 when unknown. May differ from the line Go prints, which is off by one in places.
    pub line: usize,
    /// Column, from 1; 0 when unknown.
    pub column: usize,
}

impl Error {
    /// An error at a place (0 = unknown).
    pub fn new(message: impl Into<String>, line: usize, column: usize) -> Self {
        Error { message: message.into(), line, column }
    }

    /// The line of `text` the error points at, with its neighbours and a marker, for a person to read;
    /// empty when the place is unknown.
    pub fn excerpt(&self, text: &str) -> String {
        excerpt(text, self.line, self.column)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Up to two lines before `line`, the line itself and a caret under `column` (both from 1).
pub fn excerpt(text: &str, line: usize, column: usize) -> String {
    if line == 0 {
        return String::new();
    }
    let first = line.saturating_sub(2).max(1);
    let width = line.to_string().len();
    let mut out = String::new();
    for (number, content) in
        text.lines().enumerate().map(|(i, l)| (i + 1, l)).skip(first - 1).take(line - first + 1)
    {
        let shown: String = content.chars().take(160).collect();
        out.push_str(&format!("{number:>width$} | {shown}\n"));
    }
    if column > 0 && column <= 160 && !out.is_empty() {
        out.push_str(&format!("{:>width$} | {:>column$}\n", "", "^"));
    }
    out
}
