//! The tree the build works on: what decides a YAML value's meaning, and no more.
//!
//! `kustomize build` prints every object through JSON, so comments, anchors and key order never reach its
//! output. Text, tag and quoting of scalars do: a reference that is replaced keeps the quoting of the field
//! it stands in, and that decides whether `"123"` stays a string.

mod key;
mod read;
mod write;

pub(crate) use key::{Key, KeyKind};
pub(crate) use read::{from_value, parse_documents, parse_one};
pub(crate) use write::{check, check_keys_are_strings, resolved_tag, to_text, to_value, to_yaml};

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// The type of a scalar, as YAML tags it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Not said: the text decides when it is printed.
    None,
    Str,
    Null,
    Bool,
    Int,
    Float,
    Merge,
    /// Timestamps, binary, and tags of the user's own.
    Other(Box<str>),
}

impl Tag {
    fn of(text: &str) -> Tag {
        match text {
            "" => Tag::None,
            "!!str" => Tag::Str,
            "!!null" => Tag::Null,
            "!!bool" => Tag::Bool,
            "!!int" => Tag::Int,
            "!!float" => Tag::Float,
            "!!merge" => Tag::Merge,
            other => Tag::Other(other.into()),
        }
    }

    fn text(&self) -> &str {
        match self {
            Tag::None => "",
            Tag::Str => "!!str",
            Tag::Null => "!!null",
            Tag::Bool => "!!bool",
            Tag::Int => "!!int",
            Tag::Float => "!!float",
            Tag::Merge => "!!merge",
            Tag::Other(text) => text,
        }
    }
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub text: String,
    pub tag: Tag,
    /// How it was written.
    pub written: Written,
    /// The fields it is one with.
    pub link: Link,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Written {
    /// Without quotes: its text decides its type.
    #[default]
    Plain,
    Single,
    Double,
    Literal,
    /// As a folded block, whose line breaks do not all survive being printed and read again.
    Folded,
}

impl From<yaml::Style> for Written {
    fn from(style: yaml::Style) -> Written {
        match style {
            yaml::Style::SingleQuoted => Written::Single,
            yaml::Style::DoubleQuoted => Written::Double,
            yaml::Style::Literal => Written::Literal,
            yaml::Style::Folded => Written::Folded,
            _ => Written::Plain,
        }
    }
}

impl Scalar {
    /// Is it written in quotes or as a block: a string whatever it looks like?
    pub fn quoted(&self) -> bool {
        self.written != Written::Plain
    }
}

/// Kustomize puts one node into all fields of an object that a label or annotation is added to. Who later
/// writes to one of these fields writes to all: fields of one number change together.
#[derive(Debug, Clone, Copy, Default, Eq)]
pub(crate) struct Link {
    /// 0 for a field of its own.
    id: u32,
    /// Written to since the others were last brought in line.
    written: bool,
}

impl PartialEq for Link {
    fn eq(&self, _other: &Link) -> bool {
        // What a scalar is one with is no part of its value.
        true
    }
}

impl Link {
    /// A number that no other fields have.
    pub fn fresh() -> Link {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Link { id: NEXT.fetch_add(1, Ordering::Relaxed).max(1), written: false }
    }

    /// The same, for what takes the place of a linked value.
    pub fn rewritten(self) -> Link {
        Link { written: self.id != 0, ..self }
    }
}

/// A mapping's fields, in the order written.
pub(crate) type Fields = Vec<(Key, Node)>;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Map(Fields),
    Seq(Vec<Node>),
    Scalar(Scalar),
}

impl Node {
    /// A scalar whose type its text decides.
    pub fn plain(text: impl Into<String>) -> Node {
        Node::Scalar(Scalar {
            text: text.into(),
            tag: Tag::None,
            written: Written::Plain,
            link: Link::default(),
        })
    }

    /// A string.
    pub fn string(text: impl Into<String>) -> Node {
        Node::Scalar(Scalar {
            text: text.into(),
            tag: Tag::Str,
            written: Written::Plain,
            link: Link::default(),
        })
    }

    /// A string as it is put into a field of its own: in quotes where it needs them, as a block when it has lines.
    pub fn value(text: impl Into<String>) -> Node {
        let mut node = Node::string(text);
        guard_text(&mut node);
        if let Node::Scalar(scalar) = &mut node
            && scalar.text.contains('\n')
        {
            scalar.written = Written::Literal;
        }
        node
    }

    /// A scalar of a known type.
    pub fn tagged(text: impl Into<String>, tag: Tag) -> Node {
        Node::Scalar(Scalar { text: text.into(), tag, written: Written::Plain, link: Link::default() })
    }

    /// A null.
    pub fn null() -> Node {
        Node::tagged("null", Tag::Null)
    }

    pub fn map() -> Node {
        Node::Map(Vec::new())
    }

    /// Is it a null?
    pub fn is_null(&self) -> bool {
        matches!(self, Node::Scalar(Scalar { tag: Tag::Null, .. }))
    }

    /// A null, or a collection with nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Node::Map(fields) => fields.is_empty(),
            Node::Seq(items) => items.is_empty(),
            Node::Scalar(scalar) => scalar.tag == Tag::Null,
        }
    }

    /// Is it a scalar that holds (or may hold) a string?
    pub fn is_string(&self) -> bool {
        matches!(self, Node::Scalar(Scalar { tag: Tag::Str | Tag::None, .. }))
    }

    /// The text of a scalar, "" of anything else (as yaml.v3's `Value` field).
    pub fn text(&self) -> &str {
        match self {
            Node::Scalar(scalar) => &scalar.text,
            _ => "",
        }
    }

    /// As [`text`](Self::text), "" for null.
    pub fn value_text(&self) -> &str {
        if self.is_null() { "" } else { self.text() }
    }

    /// What kyaml calls this kind of node.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Node::Map(_) => "MappingNode",
            Node::Seq(_) => "SequenceNode",
            Node::Scalar(_) => "ScalarNode",
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match self {
            Node::Map(fields) => fields.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The node below a path of plain keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    pub fn fields(&self) -> &[(Key, Node)] {
        match self {
            Node::Map(fields) => fields,
            _ => &[],
        }
    }

    pub fn items(&self) -> &[Node] {
        match self {
            Node::Seq(items) => items,
            _ => &[],
        }
    }

    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let Node::Map(fields) = self else { return None };
        let index = fields.iter().position(|(name, _)| name == key)?;
        Some(fields.remove(index).1)
    }

    /// The mapping at `key`, made when it is missing. `None` when this node or the field is no mapping.
    pub fn map_at(&mut self, key: &str) -> Option<&mut Node> {
        let Node::Map(fields) = self else { return None };
        let index = match fields.iter().position(|(name, _)| name == key) {
            Some(index) => index,
            None => {
                fields.push((key.into(), Node::map()));
                fields.len() - 1
            }
        };
        let (_, value) = fields.get_mut(index)?;
        if value.is_null() {
            *value = Node::map();
        }
        matches!(value, Node::Map(_)).then_some(value)
    }

    /// Sets a field as kyaml's FieldSetter does: a null clears it, and a scalar takes over the quoting of
    /// the one it replaces.
    pub fn set_field(&mut self, key: &str, mut value: Node) {
        if value.is_null() {
            self.remove(key);
            return;
        }
        guard_text(&mut value);
        let Node::Map(fields) = self else { return };
        match fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => {
                take_style(&mut value, old);
                *old = value;
            }
            None => fields.push((key.into(), value)),
        }
    }

    /// Puts a scalar in this node's place as kyaml's FieldSetter does.
    pub fn set_scalar(&mut self, mut value: Node) -> Result<(), String> {
        if !matches!(self, Node::Scalar(_)) {
            return Err(wrong_kind(self, "ScalarNode"));
        }
        guard_text(&mut value);
        take_style(&mut value, self);
        *self = value;
        Ok(())
    }

    /// As [`set_field`](Self::set_field) with a string; a field that is made is linked with all others of
    /// that link. Answers whether a field that is one with others was written to.
    pub fn set_linked_field(&mut self, key: &str, value: &str, link: Link) -> bool {
        let linked = match self.get(key) {
            Some(Node::Scalar(old)) => Some(old.link.id != 0),
            Some(_) => Some(false),
            None => None,
        };
        self.set_field(key, Node::string(value));
        if linked.is_none()
            && let Some(Node::Scalar(made)) = self.get_mut(key)
        {
            made.link = link;
        }
        linked.unwrap_or(false)
    }

    /// Brings fields in line with those of their link that were written to.
    pub fn settle_links(&mut self) {
        let mut written = HashMap::new();
        self.visit_scalars(&mut |scalar| {
            if std::mem::take(&mut scalar.link.written) {
                written.insert(scalar.link.id, scalar.clone());
            }
        });
        if written.is_empty() {
            return;
        }
        self.visit_scalars(&mut |scalar| {
            if let Some(new) = written.get(&scalar.link.id) {
                scalar.clone_from(new);
            }
        });
    }

    /// Takes the scalars in this node out of their links.
    pub fn unlink(&mut self) {
        self.visit_scalars(&mut |scalar| scalar.link = Link::default());
    }

    fn visit_scalars(&mut self, visit: &mut dyn FnMut(&mut Scalar)) {
        match self {
            Node::Map(fields) => fields.iter_mut().for_each(|(_, value)| value.visit_scalars(visit)),
            Node::Seq(items) => items.iter_mut().for_each(|item| item.visit_scalars(visit)),
            Node::Scalar(scalar) => visit(scalar),
        }
    }

    /// Sets a field with nothing of FieldSetter's ceremony.
    pub fn put(&mut self, key: &str, value: Node) {
        let Node::Map(fields) = self else { return };
        match fields.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => fields.push((key.into(), value)),
        }
    }
}

/// A string that YAML 1.1 would read as something else is quoted.
pub(crate) fn guard_text(value: &mut Node) {
    if value.is_string()
        && let Node::Scalar(scalar) = value
        && !scalar.quoted()
        && is_non_string_1_1(&scalar.text)
    {
        scalar.written = Written::Double;
    }
}

fn take_style(value: &mut Node, old: &Node) {
    if let Node::Scalar(scalar) = value {
        scalar.written = Written::Plain;
        if let Node::Scalar(old) = old {
            scalar.written = old.written;
            scalar.link = old.link.rewritten();
        }
    }
}

/// Kyaml's words for a node of the wrong kind.
pub(crate) fn wrong_kind(node: &Node, expected: &str) -> String {
    // A null that became an empty mapping on the way has no kind to be named.
    let (kind, contents) =
        if node.is_null() { ("", "null\n".to_owned()) } else { (node.kind_name(), to_text(node)) };
    format!("wrong node kind: expected {expected} but got {kind}: node contents:\n{contents}")
}

/// Would YAML 1.1 read this text as anything but a string?
pub(crate) fn is_non_string_1_1(text: &str) -> bool {
    if text.is_empty() || text.contains('\n') || surely_string(text) {
        return false;
    }
    match yaml::from_str(text) {
        Ok(value) => !value.is_string(),
        Err(_) => false,
    }
}

/// Texts that every YAML reads as strings, found without a parser.
fn surely_string(text: &str) -> bool {
    let bytes = text.as_bytes();
    let first = bytes.first().copied().unwrap_or(b' ');
    if !first.is_ascii_alphabetic() {
        return false;
    }
    // No pair, no comment, and longer than every word that means something else.
    if text.trim_end().len() > 5 && !bytes.iter().any(|b| matches!(b, b':' | b'#') || b.is_ascii_control()) {
        return true;
    }
    let simple = bytes
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b'$'));
    let tagged = bytes.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b':' | b'\'' | b'"'))
        || (bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b':'))
            && bytes.last() != Some(&b':'));
    if !simple && !tagged {
        return false;
    }
    !matches!(first, b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') || text.len() > 5
}
