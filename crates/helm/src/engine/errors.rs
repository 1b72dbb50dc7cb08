//! Helm's shorter form of what the template engine reports.

use crate::{Error, Stage};
use gotemplate::{ExecError, ParseError};

/// The delimiters that Helm puts around the words of `fail` and `required`.
const WARN_START: &str = "HELM_ERR_START";
const WARN_END: &str = "HELM_ERR_END";

/// A template that does not parse.
pub(super) fn parse(path: &str, source: &str, error: &ParseError) -> Error {
    let tokens: Vec<&str> = error.message.split(": ").collect();
    let text = match (tokens.get(1), tokens.last()) {
        (Some(place), Some(last)) => format!("parse error at ({place}): {last}"),
        _ => format!("parse error in ({path}): {}", error.message),
    };
    Error::new(Stage::Template, text).at(path, error.line, 0).with_excerpt(source)
}

/// A template that failed while it ran.
pub(super) fn execution(path: &str, error: &ExecError) -> Error {
    let message = &error.message;
    let mut parts = message.splitn(3, ": ");
    let (_, place, rest) = (parts.next(), parts.next(), parts.next());
    let (Some(place), Some(rest)) = (place, rest) else {
        let text = match error.is_exec() {
            true => format!("execution error in ({path}): {message}"),
            false => message.clone(),
        };
        return Error::new(Stage::Template, text).at(path, 0, 0);
    };
    let warned = warning(rest).filter(|_| error.is_exec());
    let text =
        warned.map_or_else(|| message.clone(), |words| format!("execution error at ({place}): {words}"));
    let (file, line, column) = position(place);
    Error::new(Stage::Template, text).at(file, line, column)
}

/// The words between the outermost delimiters.
fn warning(text: &str) -> Option<&str> {
    let start = text.find(WARN_START)? + WARN_START.len();
    let end = text.rfind(WARN_END)?;
    text.get(start..end)
}

/// `file:line:column`.
fn position(place: &str) -> (&str, usize, usize) {
    let mut parts = place.rsplitn(3, ':');
    let (column, line, file) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>| part.and_then(|text| text.parse().ok());
    match (file, number(line), number(column)) {
        (Some(file), Some(line), Some(column)) => (file, line, column),
        _ => (place, 0, 0),
    }
}
