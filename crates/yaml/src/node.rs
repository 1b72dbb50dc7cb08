//! The tree that keeps what a person wrote: order, comments, styles, positions.

use crate::{Error, Value, node_value, resolve};

/// What a [`Node`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Kind {
    /// A whole document; its one content node is the root.
    Document,
    /// Keys and values, in turn.
    Mapping,
    /// Items.
    Sequence,
    /// A single value as text.
    #[default]
    Scalar,
    /// A use of an anchor; `value` is the anchor's name.
    Alias,
}

/// How a node was (or shall be) written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Style {
    /// Plain scalar, or block collection.
    #[default]
    Plain,
    /// `'single'`
    SingleQuoted,
    /// `"double"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
    /// `{}` or `[]`
    Flow,
}

/// One node of a document, after yaml.v3's model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Short tag (`!!str`, `!!int`, `!custom`); empty = to be resolved from the value.
    pub tag: String,
    /// The tag was (shall be) written out.
    pub tagged: bool,
    /// Text of a scalar, anchor's name of an alias.
    pub value: String,
    /// How it is written.
    pub style: Style,
    /// Its anchor, without `&`; empty = none.
    pub anchor: String,
    /// Comment lines above it (with their `#`).
    pub head_comment: String,
    /// Comment behind it on its line.
    pub line_comment: String,
    /// Comment lines below it.
    pub foot_comment: String,
    /// Line, from 1; 0 = made by a program.
    pub line: usize,
    /// Column, from 1; 0 = made by a program.
    pub column: usize,
    /// Items; keys and values in turn; the root of a document.
    pub content: Vec<Node>,
}

impl Node {
    /// A scalar whose type is resolved from its text when read (`scalar("1")` is an integer).
    pub fn scalar(value: impl Into<String>) -> Node {
        Node { value: value.into(), ..Node::default() }
    }

    /// A string: quoted when printed if its text would read as anything else.
    pub fn string(value: impl Into<String>) -> Node {
        Node { tag: "!!str".into(), value: value.into(), ..Node::default() }
    }

    /// A string as a program's value is printed: also quoted when only older readers (YAML 1.1) would
    /// take it for a boolean or a base 60 number.
    pub fn quoted_if_needed(value: &str) -> Node {
        let quoted = resolve::is_old_bool(value) || resolve::is_base60(value);
        let style = if quoted { Style::DoubleQuoted } else { Style::Plain };
        Node { style, ..Node::string(value) }
    }

    /// A null.
    pub fn null() -> Node {
        Node { tag: "!!null".into(), value: "null".into(), ..Node::default() }
    }

    /// An empty mapping.
    pub fn mapping() -> Node {
        Node { kind: Kind::Mapping, tag: "!!map".into(), ..Node::default() }
    }

    /// An empty sequence.
    pub fn sequence() -> Node {
        Node { kind: Kind::Sequence, tag: "!!seq".into(), ..Node::default() }
    }

    /// A mapping of these fields, in order.
    pub fn mapping_of<K: Into<String>>(fields: impl IntoIterator<Item = (K, Node)>) -> Node {
        let mut node = Node::mapping();
        for (key, value) in fields {
            node.content.push(Node::string(key));
            node.content.push(value);
        }
        node
    }

    /// A sequence of these items.
    pub fn sequence_of(items: impl IntoIterator<Item = Node>) -> Node {
        let mut node = Node::sequence();
        node.content.extend(items);
        node
    }

    /// The root of a document; any other node itself.
    pub fn root(&self) -> &Node {
        match (self.kind, self.content.first()) {
            (Kind::Document, Some(root)) => root,
            _ => self,
        }
    }

    /// As [`root`](Self::root), to change it.
    pub fn root_mut(&mut self) -> &mut Node {
        if self.kind == Kind::Document && !self.content.is_empty() { &mut self.content[0] } else { self }
    }

    /// The root of a document, taken out of it.
    pub fn into_root(mut self) -> Node {
        if self.kind == Kind::Document && !self.content.is_empty() {
            self.content.swap_remove(0)
        } else {
            self
        }
    }

    /// Is it a mapping?
    pub fn is_mapping(&self) -> bool {
        self.kind == Kind::Mapping
    }

    /// Is it a sequence?
    pub fn is_sequence(&self) -> bool {
        self.kind == Kind::Sequence
    }

    /// Is it a scalar?
    pub fn is_scalar(&self) -> bool {
        self.kind == Kind::Scalar
    }

    /// Does it read as null? A document does when its root does.
    pub fn is_null(&self) -> bool {
        let root = self.root();
        match root.kind {
            Kind::Scalar => root.resolved_tag() == "!!null",
            Kind::Document => root.content.is_empty(),
            _ => false,
        }
    }

    /// A null, or a mapping or sequence with nothing in it.
    pub fn is_empty(&self) -> bool {
        let root = self.root();
        match root.kind {
            Kind::Mapping | Kind::Sequence => root.content.is_empty(),
            _ => root.is_null(),
        }
    }

    /// The text of a scalar, whatever its type.
    pub fn as_str(&self) -> Option<&str> {
        let root = self.root();
        (root.kind == Kind::Scalar).then_some(root.value.as_str())
    }

    /// The fields of a mapping (of a document's root): key node and value node.
    pub fn fields(&self) -> impl Iterator<Item = (&Node, &Node)> {
        let root = self.root();
        let content: &[Node] = if root.kind == Kind::Mapping { &root.content } else { &[] };
        content.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// As [`fields`](Self::fields), to change keys and values.
    pub fn fields_mut(&mut self) -> impl Iterator<Item = (&mut Node, &mut Node)> {
        let root = self.root_mut();
        let content: &mut [Node] = if root.kind == Kind::Mapping { &mut root.content } else { &mut [] };
        content.chunks_exact_mut(2).filter_map(|pair| match pair {
            [key, value] => Some((key, value)),
            _ => None,
        })
    }

    /// The items of a sequence; none of anything else.
    pub fn items(&self) -> &[Node] {
        let root = self.root();
        if root.kind == Kind::Sequence { &root.content } else { &[] }
    }

    /// As [`items`](Self::items), to change them.
    pub fn items_mut(&mut self) -> &mut [Node] {
        let root = self.root_mut();
        if root.kind == Kind::Sequence { &mut root.content } else { &mut [] }
    }

    /// Index of the key node of `key` in `content` (the first, when given twice).
    fn index_of(&self, key: &str) -> Option<usize> {
        if self.kind != Kind::Mapping {
            return None;
        }
        (0..self.content.len() / 2)
            .map(|i| i * 2)
            .find(|&i| self.content[i].kind == Kind::Scalar && self.content[i].value == key)
    }

    /// The value of `key` in a mapping (or in a document's root).
    pub fn get(&self, key: &str) -> Option<&Node> {
        let root = self.root();
        root.index_of(key).and_then(|i| root.content.get(i + 1))
    }

    /// As [`get`](Self::get), to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let root = self.root_mut();
        let index = root.index_of(key)?;
        root.content.get_mut(index + 1)
    }

    /// The key node and the value node of `key`.
    pub fn field(&self, key: &str) -> Option<(&Node, &Node)> {
        let root = self.root();
        let index = root.index_of(key)?;
        Some((root.content.get(index)?, root.content.get(index + 1)?))
    }

    /// The text of the scalar at `key`.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::as_str)
    }

    /// The node at a path of keys; in a sequence a decimal segment is an index.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, segment| match node.root().kind {
            Kind::Sequence => node.items().get(segment.parse::<usize>().ok()?),
            _ => node.get(segment),
        })
    }

    /// As [`at`](Self::at), to change it.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Node> {
        let mut node = self;
        for segment in path {
            node = match node.root().kind {
                Kind::Sequence => node.items_mut().get_mut(segment.parse::<usize>().ok()?)?,
                _ => node.get_mut(segment)?,
            };
        }
        Some(node)
    }

    /// Sets `key`: in place (the key keeps its position and comments) or appended. A null or missing
    /// node becomes a mapping first; on other kinds nothing happens and `false` is returned.
    pub fn set(&mut self, key: &str, value: Node) -> bool {
        let root = self.root_mut();
        if root.kind == Kind::Scalar && root.is_null() {
            let old = std::mem::take(root);
            *root = Node {
                head_comment: old.head_comment,
                line: old.line,
                column: old.column,
                ..Node::mapping()
            };
        }
        if root.kind != Kind::Mapping {
            return false;
        }
        match root.index_of(key) {
            Some(index) => {
                if let Some(slot) = root.content.get_mut(index + 1) {
                    *slot = value;
                }
            }
            None => {
                root.content.push(Node::string(key));
                root.content.push(value);
            }
        }
        true
    }

    /// Sets `key` in front of all other keys (or in place when it is there).
    pub fn set_first(&mut self, key: &str, value: Node) -> bool {
        let there = self.get(key).is_some();
        if !self.set(key, value) {
            return false;
        }
        if !there {
            self.root_mut().content.rotate_right(2);
        }
        true
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.remove_field(key).map(|(_, value)| value)
    }

    /// Removes `key` and returns key node and value node.
    pub fn remove_field(&mut self, key: &str) -> Option<(Node, Node)> {
        let root = self.root_mut();
        let index = root.index_of(key)?;
        if index + 1 >= root.content.len() {
            return None;
        }
        let mut pair = root.content.drain(index..index + 2);
        Some((pair.next()?, pair.next()?))
    }

    /// The mapping at `key`, made (empty, appended) when missing or null. `None` when it is something else.
    pub fn get_or_insert_mapping(&mut self, key: &str) -> Option<&mut Node> {
        if self.get(key).is_none_or(Node::is_null) && !self.set(key, Node::mapping()) {
            return None;
        }
        self.get_mut(key).filter(|node| node.kind == Kind::Mapping)
    }

    /// Appends an item to a sequence; `false` on anything else.
    pub fn push(&mut self, item: Node) -> bool {
        let root = self.root_mut();
        if root.kind != Kind::Sequence {
            return false;
        }
        root.content.push(item);
        true
    }

    /// Removes the comments of this node and of all below.
    pub fn clear_comments(&mut self) {
        self.head_comment.clear();
        self.line_comment.clear();
        self.foot_comment.clear();
        self.content.iter_mut().for_each(Node::clear_comments);
    }

    /// Gives this node and all below the default style (block collections, plain scalars), keeping the
    /// types of scalars: a quoted `"1"` stays a string.
    pub fn clear_style(&mut self) {
        if self.kind == Kind::Scalar && self.tag.is_empty() {
            self.tag = self.resolved_tag().to_string();
        }
        self.style = Style::Plain;
        self.content.iter_mut().for_each(Node::clear_style);
    }

    /// The short tag the node has or, when none is set, the one its text resolves to (v3 rules).
    /// An alias has none of its own.
    pub fn resolved_tag(&self) -> &str {
        node_value::short_tag_of(self)
    }

    /// Reads the node as a value (yaml.v3 rules). Aliases are followed within this node.
    pub fn to_value(&self) -> Result<Value, Error> {
        node_value::to_value(self)
    }

    /// A tree for `value`, keys in the map's order.
    pub fn from_value(value: &Value) -> Node {
        match value {
            Value::Null => Node::null(),
            Value::Bool(b) => Node { tag: "!!bool".into(), value: b.to_string(), ..Node::default() },
            Value::Number(n) => Node {
                tag: if n.is_f64() { "!!float".into() } else { "!!int".into() },
                value: n.to_string(),
                ..Node::default()
            },
            Value::String(s) => Node::quoted_if_needed(s),
            Value::Array(items) => Node::sequence_of(items.iter().map(Node::from_value)),
            Value::Object(fields) => {
                let mut node = Node::mapping();
                for (key, value) in fields {
                    node.content.push(Node::quoted_if_needed(key));
                    node.content.push(Node::from_value(value));
                }
                node
            }
        }
    }
}
