//! Go's fmt.
pub(crate) fn quote(text: &str) -> String { format!("{text:?}") }
pub(crate) fn float_g(value: f64) -> String { value.to_string() }
