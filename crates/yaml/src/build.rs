//! Events straight to a caller's own tree, for those who need neither comments nor places: the way through
//! [`Node`](crate::Node) costs as much as reading does.

use std::borrow::Cow;

use crate::node::Style;
use crate::parser::{EventKind, Parser, Properties};
use crate::resolve::resolve;
use crate::scanner::{Rules, ScalarStyle};
use crate::tree::{MAX_DEPTH, too_deep};
use crate::{Error, text::Mark};

/// Makes the nodes of a tree, leaves first.
pub trait Build {
    /// A node of the tree.
    type Node;
    /// A name of a field.
    type Key;
    /// A scalar with the tag its text resolves to (`!!str` when it is quoted).
    fn scalar(&mut self, text: Cow<'_, str>, tag: &'static str, style: Style) -> Self::Node;
    /// A name as it is written.
    fn key(&mut self, text: Cow<'_, str>, style: Style) -> Self::Key;
    /// A sequence.
    fn sequence(&mut self, items: Vec<Self::Node>) -> Self::Node;
    /// A mapping, keys as they are written, twice what is there twice.
    fn mapping(&mut self, fields: Vec<(Self::Key, Self::Node)>) -> Self::Node;
}

/// What there is of a text's first document.
#[derive(Debug)]
pub enum First<N> {
    /// No document.
    Nothing,
    /// The tree.
    Tree(N),
    /// It has anchors, merge keys, tags or keys that are collections, which only
    /// [`parse_first_node`](crate::parse_first_node) tells.
    NeedsNodes,
}

enum Open<K, N> {
    Sequence(Vec<N>),
    Mapping(Vec<(K, N)>, Option<K>),
}

/// Builds the first document of `text`.
pub fn build_first<B: Build>(text: &str, build: &mut B) -> Result<First<B::Node>, Error> {
    let mut parser = Parser::new(text, Rules::V3);
    let mut event = || parser.next().map_err(|fault| fault.into_error(Rules::V3));
    if let EventKind::StreamEnd = event()?.kind {
        return Ok(First::Nothing);
    }
    let mut open: Vec<Open<B::Key, B::Node>> = Vec::new();
    let mut root = None;
    loop {
        let event = event()?;
        let done = match event.kind {
            EventKind::Scalar { properties, value, style, .. } => {
                if is_special(&properties) {
                    return Ok(First::NeedsNodes);
                }
                if let Some(Open::Mapping(_, key @ None)) = open.last_mut() {
                    if style == ScalarStyle::Plain && value == "<<" {
                        return Ok(First::NeedsNodes);
                    }
                    *key = Some(build.key(value, style.into()));
                    continue;
                }
                let style = Style::from(style);
                let tag = if style == Style::Plain { resolve(&value, Rules::V3).tag() } else { "!!str" };
                if tag == "!!merge" {
                    return Ok(First::NeedsNodes);
                }
                build.scalar(value, tag, style)
            }
            EventKind::Alias(_) => return Ok(First::NeedsNodes),
            EventKind::SequenceStart { properties, .. } => {
                begin(&mut open, Open::Sequence(Vec::new()), event.start)?;
                if is_special(&properties) || is_key(&open) {
                    return Ok(First::NeedsNodes);
                }
                continue;
            }
            EventKind::MappingStart { properties, .. } => {
                begin(&mut open, Open::Mapping(Vec::new(), None), event.start)?;
                if is_special(&properties) || is_key(&open) {
                    return Ok(First::NeedsNodes);
                }
                continue;
            }
            EventKind::SequenceEnd | EventKind::MappingEnd => match open.pop() {
                Some(Open::Sequence(items)) => build.sequence(items),
                Some(Open::Mapping(fields, _)) => build.mapping(fields),
                None => continue,
            },
            EventKind::DocumentStart => continue,
            EventKind::DocumentEnd | EventKind::StreamEnd => {
                return Ok(root.map_or(First::NeedsNodes, First::Tree));
            }
        };
        match open.last_mut() {
            Some(Open::Sequence(items)) => items.push(done),
            Some(Open::Mapping(fields, key)) => fields.extend(key.take().map(|key| (key, done))),
            None => root = Some(done),
        }
    }
}

fn is_special(properties: &Properties<'_>) -> bool {
    properties.anchor.is_some() || properties.tag.is_some()
}

fn begin<K, N>(open: &mut Vec<Open<K, N>>, collection: Open<K, N>, start: Mark) -> Result<(), Error> {
    if open.len() >= MAX_DEPTH {
        return Err(too_deep(start));
    }
    open.push(collection);
    Ok(())
}

/// Does the collection that was just opened stand where a key is due?
fn is_key<K, N>(open: &[Open<K, N>]) -> bool {
    matches!(open.iter().rev().nth(1), Some(Open::Mapping(_, None)))
}
