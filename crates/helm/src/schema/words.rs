//! What a validator finds, in the words of the one that Helm uses.

use super::number::{Decimal, thousands};
use serde_json::Value;

/// One finding, and those it consists of.
#[derive(Debug)]
pub(super) struct Finding {
    /// Where in the values: a JSON pointer.
    pub place: String,
    pub kind: Kind,
    pub causes: Vec<Finding>,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum Kind {
    /// Several things.
    Group,
    /// What a reference leads to.
    Reference,
    Text(String),
}

impl Finding {
    /// The causes of a group, or the finding alone.
    pub(super) fn parts(self) -> Vec<Finding> {
        match self.kind {
            Kind::Group => self.causes,
            _ => vec![self],
        }
    }

    fn show(&self, depth: usize, out: &mut Vec<String>) {
        // A reference that says no more than its only cause does is left out.
        let is_hidden = matches!(self.kind, Kind::Reference) && self.causes.len() == 1;
        if !is_hidden {
            let text = match &self.kind {
                Kind::Text(text) => text,
                _ => "validation failed",
            };
            out.push(format!("{}- at {}: {text}", "  ".repeat(depth), quote(&self.place)));
        }
        let depth = if is_hidden { depth } else { depth + 1 };
        self.causes.iter().for_each(|cause| cause.show(depth, out));
    }
}

/// The findings, a line each.
pub(super) fn lines(findings: &[Finding]) -> String {
    let mut out = Vec::new();
    findings.iter().for_each(|finding| finding.show(0, &mut out));
    out.join("\n")
}

/// `keyword: got …, want …` of sizes.
pub(super) fn size(keyword: &str, got: usize, want: i64) -> String {
    format!("{keyword}: got {}, want {}", thousands(&got.to_string()), thousands(&want.to_string()))
}

/// `keyword: got …, want …` of numbers.
pub(super) fn bound(keyword: &str, got: &Decimal, want: &Decimal) -> String {
    format!("{keyword}: got {}, want {}", got.show(), want.show())
}

pub(super) fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

pub(super) fn missing(names: &[&str]) -> String {
    let word = if names.len() == 1 { "property" } else { "properties" };
    format!("missing {word} {}", quoted(names))
}

pub(super) fn constant(wanted: &Value) -> String {
    match wanted {
        Value::Array(_) | Value::Object(_) => "'const' failed".into(),
        other => format!("value must be {}", display(other)),
    }
}

pub(super) fn enumeration(options: &[Value]) -> String {
    if options.iter().any(|item| item.is_array() || item.is_object()) {
        return "'enum' failed".into();
    }
    let shown: Vec<String> = options.iter().map(display).collect();
    match shown.as_slice() {
        [one] => format!("value must be {one}"),
        many => format!("value must be one of {}", many.join(", ")),
    }
}

/// Which items, as Go prints a list of numbers.
pub(super) fn positions(items: &[usize]) -> String {
    items.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

pub(super) fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => quote(text),
        Value::Array(_) | Value::Object(_) => "value".into(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), crate::values::format_g)
        }
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
    }
}

/// Single quotes around, escapes as in Go.
pub(super) fn quote(text: &str) -> String {
    let quoted = crate::error::quote(text).replace("\\\"", "\"").replace('\'', "\\'");
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    format!("'{inner}'")
}
