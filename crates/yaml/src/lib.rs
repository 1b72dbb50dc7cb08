//! YAML as Go's libraries read and print it.
//!
//! Two sides, because Kubernetes tools use two libraries:
//!
//! * **values** ([`from_str`], [`documents`], [`to_string`]) follow `sigs.k8s.io/yaml`: YAML 1.1 words,
//!   every scalar ends as JSON, keys are strings. Helm and kubectl see the world so.
//! * **nodes** ([`parse_nodes`], [`emit`], [`Node`]) follow yaml.v3 as kustomize's kyaml uses it: order,
//!   comments, styles and positions survive a round trip.

mod build;
mod comments;
mod compose;
mod emit;
mod error;
mod gotext;
mod head;
mod node;
mod node_value;
mod parser;
mod print;
mod resolve;
mod scan_scalars;
mod scan_words;
mod scanner;
mod skim;
mod text;
mod tree;
mod value;
mod writer;

pub use build::{Build, First, build_first};
pub use error::{Error, excerpt};
pub use node::{Kind, Node, Style};
pub use value::json_number;

/// The JSON value every reader ends in.
pub type Value = serde_json::Value;

/// Reads the first document of `text` as a JSON value; an empty text is `Null`.
pub fn from_str(text: &str) -> Result<Value, Error> {
    value::first(text, false)
}

/// As [`from_str`], but of a root mapping only the members `wanted` are kept; the whole document is read and
/// checked all the same. What is unusual (aliases, tags, keys that are no strings) is answered in full.
pub fn from_str_members(text: &str, wanted: &[&str]) -> Result<Value, Error> {
    head::members(text, wanted)
}

/// As [`from_str`], but a key given twice in one mapping is an error.
pub fn from_str_strict(text: &str) -> Result<Value, Error> {
    value::first(text, true)
}

/// Every document of `text`; empty ones (`Null`) are left out.
pub fn documents(text: &str) -> Result<Vec<Value>, Error> {
    let mut values = value::all(text)?;
    values.retain(|value| !value.is_null());
    Ok(values)
}

/// Prints `value` as `sigs.k8s.io/yaml` does: keys in natural order, a final newline.
pub fn to_string(value: &Value) -> String {
    print::print(value)
}

/// Reads every document as a [`Kind::Document`] node whose one content node is the root.
pub fn parse_nodes(text: &str) -> Result<Vec<Node>, Error> {
    let mut composer = compose::Composer::new(text);
    let mut nodes = Vec::new();
    while let Some(node) = composer.next()? {
        nodes.push(node);
    }
    Ok(nodes)
}

/// Prints a node (a document or anything below) as kyaml does.
pub fn emit(node: &Node) -> String {
    emit::emit(node)
}

/// Prints a node as yaml.v3's encoder does by itself: four columns a level, sequences indented below their key.
pub fn emit_plain(node: &Node) -> String {
    emit::emit_with(node, 4, false)
}

/// As [`parse_nodes`], but only the first document; `None` when there is none.
pub fn parse_first_node(text: &str) -> Result<Option<Node>, Error> {
    compose::Composer::new(text).next()
}

/// Does a plain scalar of this text read as a string by YAML 1.1 rules (those of [`from_str`])? `yes`,
/// `on`, `1e3` and `~` do not.
pub fn is_plain_string(text: &str) -> bool {
    resolve::resolve(text, scanner::Rules::V2) == resolve::Scalar::Str
}

/// One document of a text cut at its `---` lines, as Kubernetes tools cut manifests before reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The document's text, without the separator lines.
    pub text: &'a str,
    /// The line of the whole text it starts at, from 1: added to a place in the piece (less 1) it gives
    /// the place in the whole.
    pub line: usize,
}

/// Cuts `text` at lines that start with `---`, without looking at what stands between: a document that
/// cannot be read does not hide the others. Pieces of white space and comments only are left out.
///
/// What follows the `---` on its line belongs to the document when it is more than a comment.
pub fn split_documents(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line) = (0, 1);
    let mut at = 0;
    let mut push = |from: usize, to: usize, line: usize| {
        let piece = text.get(from..to).unwrap_or_default();
        let empty = piece.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        if !empty {
            pieces.push(Piece { text: piece, line });
        }
    };
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if let Some(rest) = line.strip_prefix("---")
            && (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        {
            push(start, at, start_line);
            let content = rest.trim();
            // A value behind the marker keeps its marker: `--- |` is only readable with it.
            let keep = !content.is_empty() && !content.starts_with('#');
            (start, start_line) = if keep { (at, index + 1) } else { (at + line.len(), index + 2) };
        }
        at += line.len();
    }
    push(start, text.len(), start_line);
    pieces
}
