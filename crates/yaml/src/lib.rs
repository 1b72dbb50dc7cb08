//! YAML as Go's libraries read and print it.
//!
//! Two sides, because Kubernetes tools use two libraries:
//!
//! * **values** ([`from_str`], [`documents`], [`to_string`]) follow `sigs.k8s.io/yaml`: YAML 1.1 words,
//!   every scalar ends as JSON, keys are strings. Helm and kubectl see the world so.
//! * **nodes** ([`parse_nodes`], [`emit`], [`Node`]) follow yaml.v3 as kustomize's kyaml uses it: order,
//!   comments, styles and positions survive a round trip.

mod error;
mod node;

pub use error::Error;
pub use node::{Kind, Node, Style};

/// The JSON value every reader ends in.
pub type Value = serde_json::Value;

/// Reads the first document of `text` as a JSON value; an empty text is `Null`.
pub fn from_str(text: &str) -> Result<Value, Error> {
    let _ = text;
    Err(Error::new("the reader is not built yet", 0, 0))
}

/// As [`from_str`], but a key given twice in one mapping is an error.
pub fn from_str_strict(text: &str) -> Result<Value, Error> {
    from_str(text)
}

/// Every document of `text`; empty ones (`Null`) are left out.
pub fn documents(text: &str) -> Result<Vec<Value>, Error> {
    Ok(vec![from_str(text)?])
}

/// Prints `value` as `sigs.k8s.io/yaml` does: keys in natural order, a final newline.
pub fn to_string(value: &Value) -> String {
    value.to_string()
}

/// Reads every document as a [`Kind::Document`] node whose one content node is the root.
pub fn parse_nodes(text: &str) -> Result<Vec<Node>, Error> {
    from_str(text).map(|value| vec![Node::from_value(&value)])
}

/// Prints a node (a document or anything below) as kyaml does.
pub fn emit(node: &Node) -> String {
    node.value.clone()
}
