//! YAML documents, comments kept where they stood.

use yaml::{Kind, Node, Style};

use crate::tree::{Document, Entry, Item, Leaf, Value, short_float};

/// Aliases inside of aliases, and everything else that nests.
const MAX_DEPTH: usize = 100;
/// Nodes after aliases are followed.
const MAX_NODES: usize = 500_000;

pub(super) fn read(text: &str) -> Result<Vec<Document>, String> {
    let nodes = yaml::parse_nodes(text).map_err(|error| format!("line {}: it is not YAML", error.line))?;
    let mut documents = Vec::new();
    for node in &nodes {
        let mut reader = Reader { anchors: Vec::new(), nodes: 0 };
        reader.collect(node);
        let mut items = Vec::new();
        comments(&node.head_comment, false, &mut items);
        reader.root(node.root(), &mut items, 0)?;
        comments(&node.foot_comment, false, &mut items);
        documents.push(items);
    }
    Ok(documents)
}

struct Reader<'n> {
    anchors: Vec<(&'n str, &'n Node)>,
    nodes: usize,
}

fn lines(comment: &str) -> impl Iterator<Item = String> + '_ {
    comment
        .split('\n')
        .filter(|line| !line.is_empty())
        .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned())
}

fn comments(comment: &str, inline: bool, items: &mut Vec<Item>) {
    items.extend(lines(comment).map(|text| Item::Comment { text, inline }));
}

fn entry_comments(comment: &str, inline: bool, entries: &mut Vec<Entry>) {
    entries.extend(lines(comment).map(|text| Entry::Comment { text, inline }));
}

impl<'n> Reader<'n> {
    fn collect(&mut self, node: &'n Node) {
        if !node.anchor.is_empty() && node.kind != Kind::Alias {
            self.anchors.push((&node.anchor, node));
        }
        for inner in &node.content {
            self.collect(inner);
        }
    }

    fn target(&self, alias: &Node) -> Result<&'n Node, String> {
        // The newest anchor of that name before the alias; documents that use one name twice are rare.
        let mut known = self.anchors.iter().filter(|(name, _)| *name == alias.value);
        let before = |node: &&(&str, &Node)| (node.1.line, node.1.column) <= (alias.line, alias.column);
        let found = known.clone().rev().find(before).or_else(|| known.next());
        found
            .map(|(_, node)| *node)
            .ok_or_else(|| format!("line {}: an alias without its anchor", alias.line))
    }

    fn guard(&mut self, node: &Node, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(format!("line {}: it is nested too deeply or too large", node.line));
        }
        Ok(())
    }

    fn root(&mut self, node: &'n Node, items: &mut Vec<Item>, depth: usize) -> Result<(), String> {
        self.guard(node, depth)?;
        match node.kind {
            Kind::Mapping => {
                let Value::Map(fields) = self.mapping(node, false, depth)? else { return Ok(()) };
                items.extend(fields);
                Ok(())
            }
            Kind::Scalar if node.is_null() => Ok(()),
            Kind::Scalar => Err("a document that is one value is not supported".into()),
            Kind::Sequence => Err("a document that is a sequence is not supported".into()),
            Kind::Alias => self.root(self.target(node)?, items, depth + 1),
            Kind::Document => Ok(()),
        }
    }

    fn mapping(&mut self, node: &'n Node, handled: bool, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        if !handled {
            comments(&node.head_comment, false, &mut items);
            comments(&node.line_comment, false, &mut items);
        }
        for (key, value) in node.fields() {
            comments(&key.head_comment, false, &mut items);
            comments(&key.line_comment, false, &mut items);
            let here = matches!(value.kind, Kind::Scalar | Kind::Alias);
            if here {
                comments(&value.head_comment, false, &mut items);
                comments(&value.line_comment, true, &mut items);
            }
            if key.kind != Kind::Scalar || key.resolved_tag() != "!!str" {
                return Err(format!("line {}: only string keys are supported", key.line));
            }
            let inner = self.value(value, here, depth + 1)?;
            items.push(Item::Field(key.value.clone(), inner));
            if here {
                comments(&value.foot_comment, false, &mut items);
            }
            comments(&key.foot_comment, false, &mut items);
        }
        if !handled {
            comments(&node.foot_comment, false, &mut items);
        }
        Ok(Value::Map(items))
    }

    fn value(&mut self, node: &'n Node, handled: bool, depth: usize) -> Result<Value, String> {
        self.guard(node, depth)?;
        match node.kind {
            Kind::Mapping => self.mapping(node, handled, depth),
            Kind::Sequence => {
                let mut entries = Vec::new();
                if !handled {
                    entry_comments(&node.head_comment, false, &mut entries);
                    entry_comments(&node.line_comment, false, &mut entries);
                }
                for item in node.items() {
                    entry_comments(&item.head_comment, false, &mut entries);
                    entry_comments(&item.line_comment, true, &mut entries);
                    entries.push(Entry::Value(self.value(item, true, depth + 1)?));
                    entry_comments(&item.foot_comment, false, &mut entries);
                }
                if !handled {
                    entry_comments(&node.foot_comment, false, &mut entries);
                }
                Ok(Value::List(entries))
            }
            Kind::Alias => self.value(self.target(node)?, false, depth + 1),
            Kind::Scalar | Kind::Document => scalar(node),
        }
    }
}

fn scalar(node: &Node) -> Result<Value, String> {
    if node.resolved_tag() == "!!timestamp" {
        return Ok(Value::Leaf(Leaf::Time(node.value.clone())));
    }
    let value = node.to_value().map_err(|_| format!("line {}: the value cannot be read", node.line))?;
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Leaf(Leaf::Bool(yes)),
        serde_json::Value::Number(number) => Value::Leaf(match number.as_i64() {
            Some(whole) if node.resolved_tag() == "!!int" => Leaf::Int(whole),
            _ => Leaf::Float(number.as_f64().unwrap_or_default()),
        }),
        serde_json::Value::String(text) => Value::Leaf(Leaf::Text(text)),
        _ => return Err(format!("line {}: the value cannot be read", node.line)),
    })
}

pub(super) fn write(documents: &[Document]) -> String {
    let texts: Vec<String> = documents.iter().map(|document| yaml::emit_plain(&mapping(document))).collect();
    texts.join("---\n")
}

#[derive(Default)]
struct Waiting {
    head: Vec<String>,
    inline: Vec<String>,
}

impl Waiting {
    fn add(&mut self, text: &str, inline: bool) {
        let list = if inline { &mut self.inline } else { &mut self.head };
        list.push(format!("#{text}"));
    }

    fn head(&mut self, node: &mut Node) {
        let lines = std::mem::take(&mut self.head);
        if lines.is_empty() {
            return;
        }
        let above = lines.join("\n");
        node.head_comment =
            if node.head_comment.is_empty() { above } else { format!("{above}\n{}", node.head_comment) };
    }

    fn line(&mut self, node: &mut Node) {
        let lines = std::mem::take(&mut self.inline);
        if !lines.is_empty() {
            node.line_comment = lines.join("\n");
        }
    }

    /// What is left at the end stands below the last one, or above all when there is none.
    fn rest(mut self, last: Option<&mut Node>) -> Option<String> {
        self.head.append(&mut self.inline);
        if self.head.is_empty() {
            return None;
        }
        let text = self.head.join("\n");
        match last {
            Some(node) => {
                node.foot_comment = if node.foot_comment.is_empty() {
                    text
                } else {
                    format!("{}\n{text}", node.foot_comment)
                };
                None
            }
            None => Some(text),
        }
    }
}

fn mapping(items: &[Item]) -> Node {
    let mut node = Node::mapping();
    let mut waiting = Waiting::default();
    for item in items {
        match item {
            Item::Comment { text, inline } => waiting.add(text, *inline),
            Item::Field(key, value) => {
                if node.content.is_empty() {
                    waiting.head(&mut node);
                }
                let mut key = string(key);
                waiting.head(&mut key);
                let mut value = value_node(value);
                waiting.line(&mut value);
                node.content.push(key);
                node.content.push(value);
            }
        }
    }
    let last = node.content.len().checked_sub(2).and_then(|at| node.content.get_mut(at));
    if let Some(above) = waiting.rest(last) {
        node.head_comment = above;
    }
    node
}

fn sequence(entries: &[Entry]) -> Node {
    let mut node = Node::sequence();
    let mut waiting = Waiting::default();
    for entry in entries {
        match entry {
            Entry::Comment { text, inline } => waiting.add(text, *inline),
            Entry::Value(value) => {
                if node.content.is_empty() {
                    waiting.head(&mut node);
                }
                let mut item = value_node(value);
                waiting.head(&mut item);
                waiting.line(&mut item);
                node.content.push(item);
            }
        }
    }
    if let Some(above) = waiting.rest(node.content.last_mut()) {
        node.head_comment = above;
    }
    node
}

fn string(text: &str) -> Node {
    let mut node = Node::quoted_if_needed(text);
    if text.contains('\n') {
        node.style = Style::Literal;
    }
    node
}

fn value_node(value: &Value) -> Node {
    match value {
        Value::Null => Node::null(),
        Value::Map(items) => mapping(items),
        Value::List(entries) => sequence(entries),
        Value::Leaf(leaf) => match leaf {
            Leaf::Text(text) | Leaf::Comment(text) => string(text),
            Leaf::Bytes(bytes) => string(&String::from_utf8_lossy(bytes)),
            Leaf::Time(text) => Node::scalar(text.clone()),
            Leaf::Int(number) => Node::scalar(number.to_string()),
            Leaf::Float(number) => Node::scalar(short_float(*number)),
            Leaf::Bool(yes) => Node::scalar(yes.to_string()),
        },
    }
}
