//! A Kubernetes object as data: keys, values, patches, quantities, diagnostics.
//!
//! Objects are plain [`Value`]s everywhere. This crate names them ([`Gvk`], [`Key`]), reads and writes
//! their fields ([`get`], [`set`], [`meta`]), applies the three kinds of patch to them and selects among
//! them. It knows nothing of schemas, clusters or files.

mod diagnostic;
mod identity;
pub mod json_patch;
pub mod jsonpath;
pub mod merge_patch;
pub mod meta;
mod path;
mod quantity;
pub mod quota;
pub mod selector;
mod selector_text;
pub mod strategic;

pub use diagnostic::{Diagnostic, Place, Severity};
pub use identity::{Gvk, Key, KeyError};
pub use path::{get, get_bool, get_i64, get_mut, get_str, remove, set, take};
pub use quantity::{Quantity, QuantityError};
pub use selector::{FieldSelector, LabelSelector, SelectorError, TargetSelector};

/// The common value of every crate: JSON, maps sorted by key.
pub type Value = serde_json::Value;
/// A JSON map, sorted by key.
pub type Map = serde_json::Map<String, Value>;

/// The name of a value's JSON type: `null`, `boolean`, `number`, `string`, `array` or `object`.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
