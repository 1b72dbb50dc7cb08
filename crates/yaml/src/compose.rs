//! Events to nodes, by yaml.v3's rules for comments.

use std::collections::HashSet;

use crate::node::{Kind, Node, Style};
use crate::parser::{Event, EventKind, Parser, Properties};
use crate::resolve::{resolve, short_tag};
use crate::scanner::{Rules, ScalarStyle};
use crate::tree::{MAX_DEPTH, too_deep};
use crate::{Error, text::Mark};

/// Reads documents as nodes, one after the other.
pub(crate) struct Composer<'a> {
    parser: Parser<'a>,
    anchors: HashSet<&'a str>,
}

fn node(kind: Kind, start: Mark, event: &mut Option<Box<crate::parser::Comments>>) -> Node {
    let comments = event.take().unwrap_or_default();
    Node {
        kind,
        line: start.line + 1,
        column: start.column + 1,
        head_comment: comments.head,
        line_comment: comments.line,
        foot_comment: comments.foot,
        ..Node::default()
    }
}

impl<'a> Composer<'a> {
    pub fn new(text: &'a str) -> Self {
        Composer { parser: Parser::new(text, Rules::V3), anchors: HashSet::new() }
    }

    fn event(&mut self) -> Result<Event<'a>, Error> {
        self.parser.next().map_err(|fault| fault.into_error(Rules::V3))
    }

    /// The next document, `None` at the end.
    pub fn next(&mut self) -> Result<Option<Node>, Error> {
        let mut event = self.event()?;
        if let EventKind::StreamEnd = event.kind {
            return Ok(None);
        }
        let mut document = node(Kind::Document, event.start, &mut event.comments);
        let mut open: Vec<Node> = Vec::new();
        loop {
            let mut event = self.event()?;
            let start = event.start;
            let (done, key_started) = match event.kind {
                EventKind::Scalar { .. } | EventKind::Alias(_) => (self.leaf(event)?, false),
                EventKind::SequenceStart { properties, flow } => {
                    let mut sequence = node(Kind::Sequence, event.start, &mut event.comments);
                    self.decorate(&mut sequence, properties, "!!seq");
                    sequence.style = if flow { Style::Flow } else { Style::Plain };
                    (sequence, true)
                }
                EventKind::MappingStart { properties, flow } => {
                    let mut mapping = node(Kind::Mapping, event.start, &mut event.comments);
                    self.decorate(&mut mapping, properties, "!!map");
                    mapping.style = if flow { Style::Flow } else { Style::Plain };
                    (mapping, true)
                }
                EventKind::SequenceEnd | EventKind::MappingEnd => {
                    let Some(mut closed) = open.pop() else { continue };
                    close(&mut closed, *event.comments.take().unwrap_or_default());
                    (closed, false)
                }
                EventKind::DocumentStart => continue,
                EventKind::DocumentEnd | EventKind::StreamEnd => {
                    document.foot_comment = event.comments.take().map(|c| c.foot).unwrap_or_default();
                    return Ok(Some(document));
                }
            };
            if key_started {
                if open.len() >= MAX_DEPTH {
                    return Err(too_deep(start));
                }
                open.push(done);
                continue;
            }
            match open.last_mut() {
                Some(parent) => adopt(parent, done),
                None => document.content.push(done),
            }
        }
    }

    fn decorate(&mut self, node: &mut Node, properties: Properties<'a>, default: &str) {
        match properties.tag.as_deref() {
            Some(tag) if tag != "!" => {
                node.tag = short_tag(tag).into_owned();
                node.tagged = true;
            }
            _ => node.tag = default.to_string(),
        }
        if let Some(anchor) = properties.anchor {
            node.anchor = anchor.to_string();
            self.anchors.insert(anchor);
        }
    }

    fn leaf(&mut self, event: Event<'a>) -> Result<Node, Error> {
        let Event { kind, start, mut comments } = event;
        match kind {
            EventKind::Alias(name) => {
                if !self.anchors.contains(name) {
                    let message = format!("yaml: unknown anchor '{name}' referenced");
                    return Err(Error::new(message, start.line + 1, start.column + 1));
                }
                let mut alias = node(Kind::Alias, start, &mut comments);
                alias.value = name.to_string();
                Ok(alias)
            }
            EventKind::Scalar { properties, value, style, .. } => {
                let mut scalar = node(Kind::Scalar, start, &mut comments);
                let default = match style {
                    ScalarStyle::Plain => resolve(&value, Rules::V3).tag(),
                    _ => "!!str",
                };
                self.decorate(&mut scalar, properties, default);
                scalar.value = value.into_owned();
                scalar.style = style.into();
                Ok(scalar)
            }
            _ => Ok(Node::null()),
        }
    }
}

/// Adds a finished child; in mappings foot comments move to the key they belong below.
fn adopt(parent: &mut Node, mut child: Node) {
    if parent.kind != Kind::Mapping {
        parent.content.push(child);
        return;
    }
    let length = parent.content.len();
    if length.is_multiple_of(2) {
        // A foot on a key of a block mapping stands below the field before.
        if parent.style != Style::Flow && !child.foot_comment.is_empty() && length >= 2 {
            parent.content[length - 2].foot_comment = std::mem::take(&mut child.foot_comment);
        }
    } else if let Some(key) = parent.content.last_mut()
        && key.foot_comment.is_empty()
    {
        key.foot_comment = std::mem::take(&mut child.foot_comment);
    }
    parent.content.push(child);
}

/// What the end of a collection brings: its line and foot comments.
fn close(node: &mut Node, comments: crate::parser::Comments) {
    node.line_comment = comments.line;
    node.foot_comment = comments.foot;
    let length = node.content.len();
    if node.kind == Kind::Mapping && node.style != Style::Flow && !node.foot_comment.is_empty() && length > 1
    {
        node.content[length - 2].foot_comment = std::mem::take(&mut node.foot_comment);
    }
}
