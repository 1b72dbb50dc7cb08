//! The value side's tree: one document in an arena, so that aliases are indices and nothing recurses.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::Error;
use crate::parser::{Event, EventKind, Parser, Properties};
use crate::scanner::Rules;
use crate::text::Mark;

/// Nesting beyond this is refused: what is deeper is an attack, and dropping it would exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 300;

#[derive(Debug)]
pub(crate) enum Item<'a> {
    Scalar { value: Cow<'a, str>, implicit: bool },
    Mapping(Box<[u32]>),
    Sequence(Box<[u32]>),
    Alias { name: &'a str, target: u32 },
}

#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub item: Item<'a>,
    /// Long form, empty when not written.
    pub tag: Option<Box<str>>,
    pub line: u32,
    pub column: u32,
}

/// One document; the root is the last entry.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    pub entries: Vec<Entry<'a>>,
    pub root: u32,
}

struct Open {
    index: u32,
    children: Vec<u32>,
    mapping: bool,
}

/// Reads documents one after the other.
pub(crate) struct Documents<'a> {
    parser: Parser<'a>,
}

pub(crate) fn too_deep(mark: Mark) -> Error {
    let line = mark.line + 1;
    Error::new(format!("yaml: line {line}: exceeded max depth of {MAX_DEPTH}"), line, mark.column + 1)
}

impl<'a> Documents<'a> {
    pub fn new(text: &'a str) -> Self {
        Documents { parser: Parser::new(text, Rules::V2) }
    }

    fn event(&mut self) -> Result<Event<'a>, Error> {
        self.parser.next().map_err(|fault| fault.into_error(Rules::V2))
    }

    /// The next document, `None` at the end.
    pub fn next(&mut self) -> Result<Option<Document<'a>>, Error> {
        if let EventKind::StreamEnd = self.event()?.kind {
            return Ok(None);
        }
        let mut document = Document::default();
        let mut anchors: HashMap<&'a str, u32> = HashMap::new();
        let mut open: Vec<Open> = Vec::new();
        loop {
            let event = self.event()?;
            let done = match event.kind {
                EventKind::Scalar { properties, value, implicit, .. } => {
                    document.add(Item::Scalar { value, implicit }, properties, event.start, &mut anchors)
                }
                EventKind::Alias(name) => {
                    let Some(&target) = anchors.get(name) else {
                        let message = format!("yaml: unknown anchor '{name}' referenced");
                        return Err(Error::new(message, event.start.line + 1, event.start.column + 1));
                    };
                    document.add(
                        Item::Alias { name, target },
                        Properties::default(),
                        event.start,
                        &mut anchors,
                    )
                }
                EventKind::SequenceStart { properties, .. } => {
                    let item = Item::Sequence(Box::default());
                    let index = document.add(item, properties, event.start, &mut anchors);
                    open.push(Open { index, children: Vec::new(), mapping: false });
                    if open.len() > MAX_DEPTH {
                        return Err(too_deep(event.start));
                    }
                    continue;
                }
                EventKind::MappingStart { properties, .. } => {
                    let item = Item::Mapping(Box::default());
                    let index = document.add(item, properties, event.start, &mut anchors);
                    open.push(Open { index, children: Vec::new(), mapping: true });
                    if open.len() > MAX_DEPTH {
                        return Err(too_deep(event.start));
                    }
                    continue;
                }
                EventKind::SequenceEnd | EventKind::MappingEnd => {
                    let Some(closed) = open.pop() else { continue };
                    let children = closed.children.into_boxed_slice();
                    if let Some(entry) = document.entries.get_mut(closed.index as usize) {
                        entry.item =
                            if closed.mapping { Item::Mapping(children) } else { Item::Sequence(children) };
                    }
                    closed.index
                }
                EventKind::DocumentStart => continue,
                EventKind::DocumentEnd | EventKind::StreamEnd => return Ok(Some(document)),
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(done),
                None => document.root = done,
            }
        }
    }
}

impl<'a> Document<'a> {
    fn add(
        &mut self,
        item: Item<'a>,
        properties: Properties<'a>,
        start: Mark,
        anchors: &mut HashMap<&'a str, u32>,
    ) -> u32 {
        let index = self.entries.len() as u32;
        if let Some(name) = properties.anchor {
            anchors.insert(name, index);
        }
        let (line, column) = (start.line as u32, start.column as u32);
        self.entries.push(Entry { item, tag: properties.tag, line, column });
        index
    }

    pub fn get(&self, index: u32) -> Option<&Entry<'a>> {
        self.entries.get(index as usize)
    }
}
