//! The tree the build works on: what decides a YAML value's meaning, and no more.
//!
//! `kustomize build` prints every object through JSON, so comments, anchors and key order never reach its
//! output. Text, tag and quoting of scalars do: a reference that is replaced keeps the quoting of the field
//! it stands in, and that decides whether `"123"` stays a string.

use serde_json::{Map, Number, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

/// How deep a document may nest.
const MAX_DEPTH: usize = 400;
/// How many nodes a document may have after its aliases are written out.
const MAX_NODES: usize = 2_000_000;

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
pub(crate) type Fields = Vec<(String, Node)>;

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

    pub fn fields(&self) -> &[(String, Node)] {
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
                fields.push((key.to_owned(), Node::map()));
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
            None => fields.push((key.to_owned(), value)),
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
            None => fields.push((key.to_owned(), value)),
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

// ---------------------------------------------------------------------------------------------------
// From and to YAML

/// The documents of a text as Kustomize splits and reads them: nulls left out, anchors written out.
pub(crate) fn parse_documents(text: &str) -> Result<Vec<Node>, String> {
    let clean;
    let text = if text.contains('\r') {
        clean = text.replace("\r\n", "\n");
        &clean
    } else {
        text
    };
    let parts = split_documents(text)?;
    let mut documents = Vec::with_capacity(parts.len());
    for part in parts {
        if let Some(node) = parse_one(part).map_err(|error| format!("MalformedYAMLError: {error}"))? {
            documents.push(node);
        }
    }
    Ok(documents)
}

/// The first document of a text; `None` when it is empty or null.
pub(crate) fn parse_one(text: &str) -> Result<Option<Node>, String> {
    let node = match yaml::build_first(text, &mut Plain).map_err(|error| error.to_string())? {
        yaml::First::Nothing => return Ok(None),
        yaml::First::Tree(node) => node,
        yaml::First::NeedsNodes => return parse_with_anchors(text),
    };
    Ok((!node.is_null()).then_some(node))
}

/// Builds documents that have no anchors.
struct Plain;

impl yaml::Build for Plain {
    type Node = Node;

    fn scalar(&mut self, text: std::borrow::Cow<'_, str>, tag: &'static str, style: yaml::Style) -> Node {
        Node::Scalar(Scalar {
            text: text.into_owned(),
            tag: Tag::of(tag),
            written: style.into(),
            link: Link::default(),
        })
    }

    fn sequence(&mut self, mut items: Vec<Node>) -> Node {
        // Most collections are small, and lists grow to more places than those need.
        items.shrink_to_fit();
        Node::Seq(items)
    }

    fn mapping(&mut self, mut fields: Vec<(String, Node)>) -> Node {
        fields.shrink_to_fit();
        Node::Map(fields)
    }
}

fn parse_with_anchors(text: &str) -> Result<Option<Node>, String> {
    let first = yaml::parse_first_node(text).map_err(|error| error.to_string())?;
    let Some(first) = first else { return Ok(None) };
    let node = from_yaml(first)?;
    Ok((!node.is_null()).then_some(node))
}

/// Splits at `---` lines, as kyaml does before it parses.
fn split_documents(text: &str) -> Result<Vec<&str>, String> {
    let mut parts = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(found) = text.get(from..).and_then(|rest| rest.find("\n---")) {
        let at = from + found;
        let line_end = match text.get(at + 4..).and_then(|rest| rest.find('\n')) {
            Some(end) => at + 4 + end,
            None => break,
        };
        let after = text.get(at + 4..line_end).unwrap_or("");
        let trimmed = after.trim();
        if !trimmed.is_empty() && !trimmed.starts_with('#') {
            let line = text.get(at..line_end).unwrap_or("").trim();
            return Err(format!("invalid document separator: {line}"));
        }
        // The newline that ends the part belongs to it; the one that ends the separator may start the next.
        parts.push(text.get(start..=at).unwrap_or(""));
        start = line_end + 1;
        from = start;
    }
    parts.push(text.get(start..).unwrap_or(""));
    Ok(parts)
}

/// A tree from yaml's: aliases and merge keys written out.
pub(crate) fn from_yaml(document: yaml::Node) -> Result<Node, String> {
    let root = document.into_root();
    if has_alias_or_merge(&root) {
        let mut reader = Reader { anchors: Default::default(), nodes: 0 };
        reader.collect(&root, 0)?;
        return reader.convert(&root, 0);
    }
    convert_plain(root, 0)
}

fn has_alias_or_merge(node: &yaml::Node) -> bool {
    node.kind == yaml::Kind::Alias
        || node.tag == "!!merge"
        || (node.kind == yaml::Kind::Scalar && node.value == "<<")
        || node.content.iter().any(has_alias_or_merge)
}

fn convert_plain(node: yaml::Node, depth: usize) -> Result<Node, String> {
    if depth > MAX_DEPTH {
        return Err(format!("line {}: nested deeper than {MAX_DEPTH} levels", node.line));
    }
    match node.kind {
        yaml::Kind::Mapping => {
            let mut fields = Vec::with_capacity(node.content.len() / 2);
            let mut content = node.content.into_iter();
            while let (Some(key), Some(value)) = (content.next(), content.next()) {
                fields.push((key.value, convert_plain(value, depth + 1)?));
            }
            Ok(Node::Map(fields))
        }
        yaml::Kind::Sequence | yaml::Kind::Document => {
            let mut items = Vec::with_capacity(node.content.len());
            for item in node.content {
                items.push(convert_plain(item, depth + 1)?);
            }
            Ok(Node::Seq(items))
        }
        yaml::Kind::Scalar | yaml::Kind::Alias => Ok(scalar_of(node)),
    }
}

fn scalar_of(node: yaml::Node) -> Node {
    let quoted = !matches!(node.style, yaml::Style::Plain | yaml::Style::Flow);
    let tag = if node.tag.is_empty() {
        if quoted { Tag::Str } else { Tag::of(node.resolved_tag()) }
    } else {
        Tag::of(&node.tag)
    };
    Node::Scalar(Scalar { text: node.value, tag, written: node.style.into(), link: Link::default() })
}

/// Writes anchors out.
struct Reader<'a> {
    anchors: std::collections::HashMap<&'a str, &'a yaml::Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn collect(&mut self, node: &'a yaml::Node, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("line {}: nested deeper than {MAX_DEPTH} levels", node.line));
        }
        if !node.anchor.is_empty() && node.kind != yaml::Kind::Alias {
            self.anchors.insert(&node.anchor, node);
        }
        node.content.iter().try_for_each(|child| self.collect(child, depth + 1))
    }

    fn target(&self, alias: &yaml::Node) -> Result<&'a yaml::Node, String> {
        self.anchors
            .get(alias.value.as_str())
            .copied()
            .ok_or_else(|| format!("yaml: unknown anchor '{}' referenced", alias.value))
    }

    fn convert(&mut self, node: &'a yaml::Node, depth: usize) -> Result<Node, String> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err("yaml: document contains excessive aliasing".to_owned());
        }
        match node.kind {
            yaml::Kind::Mapping => self.mapping(node, depth),
            yaml::Kind::Sequence | yaml::Kind::Document => {
                let items: Result<Vec<Node>, String> =
                    node.content.iter().map(|item| self.convert(item, depth + 1)).collect();
                Ok(Node::Seq(items?))
            }
            yaml::Kind::Alias => {
                let target = self.target(node)?;
                self.convert(target, depth + 1)
            }
            yaml::Kind::Scalar => Ok(scalar_of(node.clone())),
        }
    }

    /// A mapping with its merge keys resolved: own fields win, and come after the merged ones.
    fn mapping(&mut self, node: &'a yaml::Node, depth: usize) -> Result<Node, String> {
        let mut merged: Vec<&'a yaml::Node> = Vec::new();
        let mut seen = false;
        for pair in node.content.chunks_exact(2) {
            let [key, value] = pair else { continue };
            if !is_merge(key) {
                continue;
            }
            if seen {
                return Err("duplicate merge key".to_owned());
            }
            seen = true;
            merged = self.merge_values(value)?;
        }
        let mut fields: Fields = Vec::new();
        let mut own: Fields = Vec::new();
        for pair in node.content.chunks_exact(2) {
            let [key, value] = pair else { continue };
            if is_merge(key) {
                continue;
            }
            let name = if key.kind == yaml::Kind::Alias {
                self.target(key)?.value.clone()
            } else {
                key.value.clone()
            };
            own.push((name, self.convert(value, depth + 1)?));
        }
        if merged.is_empty() {
            return Ok(Node::Map(own));
        }
        for source in merged {
            if let Node::Map(more) = self.convert(source, depth + 1)? {
                for (name, value) in more {
                    put_field(&mut fields, name, value);
                }
            }
        }
        for (name, value) in own {
            put_field(&mut fields, name, value);
        }
        Ok(Node::Map(fields))
    }

    fn merge_values(&self, value: &'a yaml::Node) -> Result<Vec<&'a yaml::Node>, String> {
        match value.kind {
            yaml::Kind::Mapping => Ok(vec![value]),
            yaml::Kind::Alias => {
                let target = self.target(value)?;
                if target.kind != yaml::Kind::Mapping {
                    return Err("invalid map merge: received alias for a non-map value".to_owned());
                }
                Ok(vec![target])
            }
            yaml::Kind::Sequence => {
                let mut all = Vec::new();
                for item in &value.content {
                    if item.kind == yaml::Kind::Sequence {
                        return Err("invalid map merge: received a nested sequence".to_owned());
                    }
                    // Earlier ones win: they are written last.
                    let mut more = self.merge_values(item)?;
                    more.append(&mut all);
                    all = more;
                }
                Ok(all)
            }
            _ => Err("map merge requires map or sequence of maps as the value".to_owned()),
        }
    }
}

fn is_merge(key: &yaml::Node) -> bool {
    key.kind == yaml::Kind::Scalar
        && (key.tag == "!!merge"
            || (key.value == "<<" && key.tag.is_empty() && key.style == yaml::Style::Plain))
}

fn put_field(fields: &mut Fields, name: String, value: Node) {
    match fields.iter_mut().find(|(key, _)| *key == name) {
        Some((_, old)) => *old = value,
        None => fields.push((name, value)),
    }
}

/// The tree of a JSON value.
pub(crate) fn from_value(value: &Value) -> Node {
    match value {
        Value::Null => Node::null(),
        Value::Bool(flag) => Node::tagged(flag.to_string(), Tag::Bool),
        Value::Number(number) if number.is_f64() => {
            // As Go writes it: a zero is an integer then, whatever its sign.
            let text = yaml::to_string(value).trim_end().to_owned();
            let tag = Tag::of(&resolved_tag(&text));
            Node::tagged(text, tag)
        }
        Value::Number(number) => Node::tagged(number.to_string(), Tag::Int),
        Value::String(text) => {
            // As if it had been printed and read: in quotes where it needs them.
            let quoted = text.contains('\n')
                || is_non_string_1_1(text)
                || resolved_tag(text) != "!!str"
                || (!surely_string(text) && yaml::to_string(value).starts_with(['\'', '"']));
            let written = match quoted {
                false => Written::Plain,
                true if text.contains('\n') => Written::Literal,
                true => Written::Double,
            };
            Node::Scalar(Scalar { text: text.clone(), tag: Tag::Str, written, link: Link::default() })
        }
        Value::Array(items) => Node::Seq(items.iter().map(from_value).collect()),
        Value::Object(fields) => {
            Node::Map(fields.iter().map(|(key, value)| (key.clone(), from_value(value))).collect())
        }
    }
}

/// The JSON value of a tree, as printing it and reading it back (yaml.v3) would make it.
pub(crate) fn to_value(node: &Node) -> Result<Value, String> {
    Ok(match node {
        Node::Map(fields) => {
            let mut map = Map::new();
            for (key, value) in fields {
                if map.insert(key.clone(), to_value(value)?).is_some() {
                    return Err(format!("yaml: unmarshal errors:\n  mapping key {key:?} already defined"));
                }
            }
            Value::Object(map)
        }
        Node::Seq(items) => Value::Array(items.iter().map(to_value).collect::<Result<_, _>>()?),
        Node::Scalar(scalar) => scalar_value(scalar)?,
    })
}

/// Says why [`to_value`] would fail.
pub(crate) fn check(node: &Node) -> Result<(), String> {
    match node {
        Node::Map(fields) => {
            check_keys(fields)?;
            fields.iter().try_for_each(|(_, value)| check(value))
        }
        Node::Seq(items) => items.iter().try_for_each(check),
        Node::Scalar(Scalar { tag: Tag::Str, written, .. }) if *written != Written::Folded => Ok(()),
        Node::Scalar(scalar) => scalar_value(scalar).map(drop),
    }
}

fn check_keys(fields: &Fields) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    for (at, (key, _)) in fields.iter().enumerate() {
        let again = if fields.len() <= 16 {
            fields.iter().take(at).any(|(other, _)| other == key)
        } else {
            !seen.insert(key.as_str())
        };
        if again {
            return Err(format!("yaml: unmarshal errors:\n  mapping key {key:?} already defined"));
        }
    }
    Ok(())
}

/// A folded text as it comes back from being printed and read.
fn refold(text: &str) -> Result<Value, String> {
    let mut node = yaml::Node::string(text);
    node.style = yaml::Style::Folded;
    let printed = yaml::emit(&yaml::Node::mapping_of([("text", node)]));
    let read = yaml::parse_first_node(&printed).map_err(|error| error.to_string())?;
    let text = read.as_ref().and_then(|node| node.get_str("text")).unwrap_or_default();
    Ok(Value::String(text.to_owned()))
}

fn scalar_value(scalar: &Scalar) -> Result<Value, String> {
    let text = &scalar.text;
    if scalar.written == Written::Folded && matches!(scalar.tag, Tag::Str | Tag::None) {
        return refold(text);
    }
    match scalar.tag {
        Tag::Str => return Ok(Value::String(text.clone())),
        Tag::None if scalar.quoted() => return Ok(Value::String(text.clone())),
        Tag::None => return resolve_plain(text),
        _ => {}
    }
    if let (Tag::Int, false) = (&scalar.tag, scalar.quoted())
        && let Some(value) = decimal(text)
    {
        return Ok(value);
    }
    let resolved = resolved_tag(text);
    if resolved == scalar.tag.text() {
        // The tag goes without saying; what is left is the text as it is written.
        return if scalar.quoted() { Ok(Value::String(text.clone())) } else { resolve_plain(text) };
    }
    let mut node = yaml::Node::scalar(text.clone());
    node.tag = scalar.tag.text().to_owned();
    node.tagged = true;
    if scalar.quoted() {
        node.style = yaml::Style::DoubleQuoted;
    }
    node.to_value().map_err(|error| error.to_string())
}

/// What yaml.v3 takes a plain text for.
pub(crate) fn resolved_tag(text: &str) -> String {
    if plain_is_string(text) {
        "!!str".to_owned()
    } else {
        yaml::Node::scalar(text).resolved_tag().to_owned()
    }
}

fn plain_is_string(text: &str) -> bool {
    match text.as_bytes().first() {
        None => false,
        Some(byte) => !matches!(
            byte,
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'~' | b't' | b'T' | b'f' | b'F' | b'n' | b'N' | b'<' | b'='
        ),
    }
}

fn resolve_plain(text: &str) -> Result<Value, String> {
    if plain_is_string(text) || text.contains('\n') {
        return Ok(Value::String(text.to_owned()));
    }
    if let Some(value) = decimal(text) {
        return Ok(value);
    }
    let value = yaml::Node::scalar(text).to_value().map_err(|error| error.to_string())?;
    Ok(json_number(value))
}

/// A float without a fraction is printed by JSON as an integer, and read back as one.
fn json_number(value: Value) -> Value {
    if let Value::Number(number) = &value
        && !number.is_i64()
        && !number.is_u64()
        && let Some(float) = number.as_f64()
        && float.fract() == 0.0
        && float.abs() < 9.0e18
        // A hash sees the sign of a zero.
        && !(float == 0.0 && float.is_sign_negative())
    {
        return Value::Number(Number::from(float as i64));
    }
    value
}

fn decimal(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty()
        && digits.len() <= 18
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    if plain { text.parse::<i64>().ok().map(Value::from) } else { None }
}

/// The tree as yaml's, for printing.
pub(crate) fn to_yaml(node: &Node) -> yaml::Node {
    match node {
        Node::Map(fields) => {
            yaml::Node::mapping_of(fields.iter().map(|(key, value)| (key.clone(), to_yaml(value))))
        }
        Node::Seq(items) => yaml::Node::sequence_of(items.iter().map(to_yaml)),
        Node::Scalar(scalar) => {
            let mut node = yaml::Node::scalar(scalar.text.clone());
            node.tag = scalar.tag.text().to_owned();
            if scalar.text.contains('\n') {
                node.style = yaml::Style::Literal;
            } else if scalar.written == Written::Single {
                node.style = yaml::Style::SingleQuoted;
            } else if scalar.quoted() {
                node.style = yaml::Style::DoubleQuoted;
            }
            node
        }
    }
}

/// The tree as kyaml prints it.
pub(crate) fn to_text(node: &Node) -> String {
    yaml::emit(&to_yaml(node))
}
