//! Encodings.
use crate::value::List;
pub(crate) fn base64_of(_: &List) -> String { String::new() }
