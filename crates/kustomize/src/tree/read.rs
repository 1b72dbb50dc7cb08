//! The tree from YAML and from JSON values.

use super::{
    Fields, Key, KeyKind, Link, Node, Scalar, Tag, Written, is_non_string_1_1, resolved_tag, surely_string,
};
use serde_json::Value;

/// How deep a document may nest.
const MAX_DEPTH: usize = 400;
/// How many nodes a document may have after its aliases are written out.
const MAX_NODES: usize = 2_000_000;

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
    type Key = Key;

    fn scalar(&mut self, text: std::borrow::Cow<'_, str>, tag: &'static str, style: yaml::Style) -> Node {
        Node::Scalar(Scalar {
            text: text.into_owned(),
            tag: Tag::of(tag),
            written: style.into(),
            link: Link::default(),
        })
    }

    fn key(&mut self, text: std::borrow::Cow<'_, str>, style: yaml::Style) -> Key {
        Key::new(text, if style == yaml::Style::Plain { KeyKind::Plain } else { KeyKind::Quoted })
    }

    fn sequence(&mut self, mut items: Vec<Node>) -> Node {
        // Most collections are small, and lists grow to more places than those need.
        items.shrink_to_fit();
        Node::Seq(items)
    }

    fn mapping(&mut self, mut fields: Fields) -> Node {
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
fn from_yaml(document: yaml::Node) -> Result<Node, String> {
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
                fields.push((Key::of(&key), convert_plain(value, depth + 1)?));
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
            let key = if key.kind == yaml::Kind::Alias { self.target(key)? } else { key };
            own.push((Key::of(key), self.convert(value, depth + 1)?));
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

fn put_field(fields: &mut Fields, name: Key, value: Node) {
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
        Value::Object(fields) => Node::Map(
            fields.iter().map(|(key, value)| (Key::string(key.as_str()), from_value(value))).collect(),
        ),
    }
}
