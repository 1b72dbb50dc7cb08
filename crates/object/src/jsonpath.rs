//! JSONPath as kubectl (`-o jsonpath`) and CustomResourceDefinitions (printer columns, scale) read it.

mod eval;
mod parse;

use crate::Value;

/// Why a JSONPath cannot be read or evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

/// A parsed template: text and expressions in braces.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    nodes: Vec<parse::Node>,
    /// Missing keys are no error.
    pub allow_missing_keys: bool,
}

impl JsonPath {
    /// A template as kubectl takes it: `{.items[*].metadata.name}{"\n"}`, `{range .items[*]}…{end}`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn template(text: &str) -> Result<Self, Error> {
        Ok(JsonPath { nodes: parse::template(text)?, allow_missing_keys: false })
    }

    /// A single path as CustomResourceDefinitions hold it: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`.
    /// Braces around it and a missing leading dot are accepted.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn path(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let inner =
            if inner.starts_with(['.', '[', '$', '@']) { inner.to_owned() } else { format!(".{inner}") };
        Ok(JsonPath { nodes: parse::template(&format!("{{{inner}}}"))?, allow_missing_keys: true })
    }

    /// All values that the expressions find, in order.
    ///
    /// # Errors
    /// When a key is missing and missing keys are not allowed, or a filter cannot be evaluated.
    pub fn find<'a>(&self, value: &'a Value) -> Result<Vec<std::borrow::Cow<'a, Value>>, Error> {
        eval::find(&self.nodes, value, self.allow_missing_keys)
    }

    /// The text of the template.
    ///
    /// # Errors
    /// As [`JsonPath::find`].
    pub fn render(&self, value: &Value) -> Result<String, Error> {
        eval::render(&self.nodes, value, self.allow_missing_keys)
    }
}
