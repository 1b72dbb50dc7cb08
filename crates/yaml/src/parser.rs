//! Tokens to events, by the grammar's states; comments (v3) ride along.

use std::borrow::Cow;

use crate::scanner::{Fault, Rules, ScalarStyle, Scan, Scanner, Token, TokenKind};
use crate::text::Mark;

/// Comments of an event.
#[derive(Debug, Default, Clone)]
pub(crate) struct Comments {
    pub head: String,
    pub line: String,
    pub foot: String,
}

/// Anchor and tag of a node.
#[derive(Debug, Default)]
pub(crate) struct Properties<'a> {
    pub anchor: Option<&'a str>,
    /// Long form; `None` when not written.
    pub tag: Option<Box<str>>,
}

#[derive(Debug)]
pub(crate) enum EventKind<'a> {
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    Alias(&'a str),
    /// `implicit`: plain without a tag, or tagged `!`.
    Scalar {
        properties: Properties<'a>,
        value: Cow<'a, str>,
        implicit: bool,
        style: ScalarStyle,
    },
    SequenceStart {
        properties: Properties<'a>,
        flow: bool,
    },
    SequenceEnd,
    MappingStart {
        properties: Properties<'a>,
        flow: bool,
    },
    MappingEnd,
}

#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub kind: EventKind<'a>,
    pub start: Mark,
    pub comments: Option<Box<Comments>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    StreamStart,
    ImplicitDocumentStart,
    DocumentStart,
    DocumentContent,
    BlockNode,
    DocumentEnd,
    BlockSequenceFirst,
    BlockSequence,
    Indentless,
    BlockMappingFirst,
    BlockMappingKey,
    BlockMappingValue,
    FlowSequenceFirst,
    FlowSequence,
    FlowPairKey,
    FlowPairValue,
    FlowPairEnd,
    FlowMappingFirst,
    FlowMappingKey,
    FlowMappingValue,
    FlowMappingEmptyValue,
    End,
}

pub(crate) struct Parser<'a> {
    scanner: Scanner<'a>,
    state: State,
    states: Vec<State>,
    marks: Vec<Mark>,
    tag_directives: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    comments: Comments,
    stem: String,
    /// An error met while only looking ahead: the event in hand is not given out.
    pending: Option<Box<Fault>>,
}

/// What kind of token is next, without its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    StreamEnd,
    Directive,
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias,
    Anchor,
    Tag,
    Scalar,
    StreamStart,
}

fn next_of(kind: &TokenKind<'_>) -> Next {
    match kind {
        TokenKind::StreamStart => Next::StreamStart,
        TokenKind::StreamEnd => Next::StreamEnd,
        TokenKind::VersionDirective(..) | TokenKind::TagDirective(..) => Next::Directive,
        TokenKind::DocumentStart => Next::DocumentStart,
        TokenKind::DocumentEnd => Next::DocumentEnd,
        TokenKind::BlockSequenceStart => Next::BlockSequenceStart,
        TokenKind::BlockMappingStart => Next::BlockMappingStart,
        TokenKind::BlockEnd => Next::BlockEnd,
        TokenKind::FlowSequenceStart => Next::FlowSequenceStart,
        TokenKind::FlowSequenceEnd => Next::FlowSequenceEnd,
        TokenKind::FlowMappingStart => Next::FlowMappingStart,
        TokenKind::FlowMappingEnd => Next::FlowMappingEnd,
        TokenKind::BlockEntry => Next::BlockEntry,
        TokenKind::FlowEntry => Next::FlowEntry,
        TokenKind::Key => Next::Key,
        TokenKind::Value => Next::Value,
        TokenKind::Alias(_) => Next::Alias,
        TokenKind::Anchor(_) => Next::Anchor,
        TokenKind::Tag(..) => Next::Tag,
        TokenKind::Scalar(..) => Next::Scalar,
    }
}

fn join(to: &mut String, from: String) {
    if from.is_empty() {
        return;
    }
    if !to.is_empty() {
        to.push('\n');
    }
    to.push_str(&from);
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, rules: Rules) -> Self {
        Parser {
            scanner: Scanner::new(text, rules),
            state: State::StreamStart,
            states: Vec::new(),
            marks: Vec::new(),
            tag_directives: Vec::new(),
            comments: Comments::default(),
            stem: String::new(),
            pending: None,
        }
    }

    /// The next token's kind and start; its comments become due.
    fn peek(&mut self) -> Scan<(Next, Mark)> {
        let token = self.scanner.peek()?;
        let (next, start) = (next_of(&token.kind), token.start);
        if !self.scanner.comments.is_empty() {
            self.unfold_comments(next, start);
        }
        Ok((next, start))
    }

    fn unfold_comments(&mut self, next: Next, start: Mark) {
        while let Some(comment) = self.scanner.comments.front() {
            if start.index < comment.token_mark.index || (!comment.head.is_empty() && next == Next::BlockEnd)
            {
                return;
            }
            if let Some(comment) = self.scanner.comments.pop_front() {
                join(&mut self.comments.head, comment.head);
                join(&mut self.comments.foot, comment.foot);
                join(&mut self.comments.line, comment.line);
            }
        }
    }

    fn take(&mut self) -> Scan<Token<'a>> {
        self.scanner.take()
    }

    /// Takes the comments that are due.
    fn due(&mut self) -> Option<Box<Comments>> {
        self.stem.clear();
        let due = &self.comments;
        if due.head.is_empty() && due.line.is_empty() && due.foot.is_empty() {
            return None;
        }
        Some(Box::new(std::mem::take(&mut self.comments)))
    }

    fn pop(&mut self) {
        self.state = self.states.pop().unwrap_or(State::End);
    }

    fn event(kind: EventKind<'a>, start: Mark) -> Event<'a> {
        Event { kind, start, comments: None }
    }

    fn empty_scalar(&mut self, state: State, mark: Mark) -> Event<'a> {
        self.state = state;
        Self::null(mark)
    }

    fn null(mark: Mark) -> Event<'a> {
        let (value, properties) = (Cow::Borrowed(""), Properties::default());
        Self::event(EventKind::Scalar { properties, value, implicit: true, style: ScalarStyle::Plain }, mark)
    }

    /// The next event; `StreamEnd` again and again at the end.
    pub fn next(&mut self) -> Scan<Event<'a>> {
        let event = self.step()?;
        match self.pending.take() {
            Some(fault) => Err(fault),
            None => Ok(event),
        }
    }

    fn step(&mut self) -> Scan<Event<'a>> {
        match self.state {
            State::StreamStart => {
                self.take()?;
                self.state = State::ImplicitDocumentStart;
                self.document_start(true)
            }
            State::ImplicitDocumentStart => self.document_start(true),
            State::DocumentStart => self.document_start(false),
            State::DocumentContent => self.document_content(),
            State::BlockNode => self.node(true, false),
            State::DocumentEnd => self.document_end(),
            State::BlockSequenceFirst => self.block_sequence(true),
            State::BlockSequence => self.block_sequence(false),
            State::Indentless => self.indentless_sequence(),
            State::BlockMappingFirst => self.block_mapping_key(true),
            State::BlockMappingKey => self.block_mapping_key(false),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequenceFirst => self.flow_sequence(true),
            State::FlowSequence => self.flow_sequence(false),
            State::FlowPairKey => self.flow_pair_key(),
            State::FlowPairValue => self.flow_pair_value(),
            State::FlowPairEnd => {
                let (_, start) = self.peek()?;
                self.state = State::FlowSequence;
                Ok(Self::event(EventKind::MappingEnd, start))
            }
            State::FlowMappingFirst => self.flow_mapping_key(true),
            State::FlowMappingKey => self.flow_mapping_key(false),
            State::FlowMappingValue => self.flow_mapping_value(false),
            State::FlowMappingEmptyValue => self.flow_mapping_value(true),
            State::End => Ok(Self::event(EventKind::StreamEnd, Mark::default())),
        }
    }

    fn document_start(&mut self, implicit: bool) -> Scan<Event<'a>> {
        let (mut next, mut start) = self.peek()?;
        if !implicit {
            while next == Next::DocumentEnd {
                self.take()?;
                (next, start) = self.peek()?;
            }
        }
        match next {
            Next::StreamEnd => {
                self.take()?;
                self.state = State::End;
                Ok(Self::event(EventKind::StreamEnd, start))
            }
            Next::Directive | Next::DocumentStart => self.explicit_document(start),
            _ if !implicit => self.explicit_document(start),
            _ => {
                self.directives()?;
                self.states.push(State::DocumentEnd);
                let head = self.split_document_head();
                // The content of an implicit document is there: it may not be empty.
                self.state = State::BlockNode;
                let comments = (!head.is_empty()).then(|| Box::new(Comments { head, ..Comments::default() }));
                Ok(Event { kind: EventKind::DocumentStart, start, comments })
            }
        }
    }

    fn explicit_document(&mut self, start: Mark) -> Scan<Event<'a>> {
        self.directives()?;
        let (next, at) = self.peek()?;
        if next != Next::DocumentStart {
            return Err(Fault::parser("did not find expected <document start>", Mark::default(), at));
        }
        self.states.push(State::DocumentEnd);
        self.state = State::DocumentContent;
        self.take()?;
        Ok(Self::event(EventKind::DocumentStart, start))
    }

    /// A head comment with an empty line in it: what stands above the line is the document's.
    fn split_document_head(&mut self) -> String {
        let head = &self.comments.head;
        let bytes = head.as_bytes();
        for i in (1..bytes.len()).rev() {
            if bytes[i] != b'\n' {
                continue;
            }
            let end = match i {
                _ if i == bytes.len() - 1 => i,
                _ if bytes[i - 1] == b'\n' => i - 1,
                _ => continue,
            };
            let document = head.get(..end).unwrap_or_default().to_string();
            self.comments.head = head.get(i + 1..).unwrap_or_default().to_string();
            return document;
        }
        String::new()
    }

    fn document_content(&mut self) -> Scan<Event<'a>> {
        let (next, start) = self.peek()?;
        match next {
            Next::Directive | Next::DocumentStart | Next::DocumentEnd | Next::StreamEnd => {
                self.pop();
                Ok(Self::null(start))
            }
            _ => self.node(true, false),
        }
    }

    fn document_end(&mut self) -> Scan<Event<'a>> {
        let (next, start) = self.peek()?;
        if next == Next::DocumentEnd {
            self.take()?;
        }
        self.tag_directives.clear();
        self.state = State::DocumentStart;
        let mut comments = self.due();
        if let Some(comments) = comments.as_mut().filter(|comments| comments.foot.is_empty()) {
            comments.foot = std::mem::take(&mut comments.head);
        }
        Ok(Event { kind: EventKind::DocumentEnd, start, comments })
    }

    fn directives(&mut self) -> Scan<()> {
        let mut version = false;
        while let (Next::Directive, start) = self.peek()? {
            match self.take()?.kind {
                TokenKind::VersionDirective(major, minor) => {
                    let problem = match (version, major, minor) {
                        (true, ..) => "found duplicate %YAML directive",
                        (false, 1, 1) => "",
                        _ => "found incompatible YAML document",
                    };
                    if !problem.is_empty() {
                        return Err(Fault::parser(problem, Mark::default(), start));
                    }
                    version = true;
                }
                TokenKind::TagDirective(handle, prefix) => {
                    if self.tag_directives.iter().any(|(known, _)| *known == handle) {
                        return Err(Fault::parser("found duplicate %TAG directive", Mark::default(), start));
                    }
                    self.tag_directives.push((handle, prefix));
                }
                _ => {}
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.tag_directives.iter().any(|(known, _)| known == handle) {
                self.tag_directives.push((handle.into(), prefix.into()));
            }
        }
        Ok(())
    }

    fn node(&mut self, block: bool, indentless: bool) -> Scan<Event<'a>> {
        let (mut next, mut start) = self.peek()?;
        if next == Next::Alias {
            self.pop();
            let comments = self.due();
            let token = self.take()?;
            let TokenKind::Alias(name) = token.kind else { return Ok(Self::null(start)) };
            return Ok(Event { kind: EventKind::Alias(name), start, comments });
        }
        let mut properties = Properties::default();
        if matches!(next, Next::Anchor | Next::Tag) {
            properties = self.properties(start)?;
            let node_start = start;
            (next, start) = self.peek()?;
            return self.node_content(block, indentless, next, node_start, start, properties);
        }
        self.node_content(block, indentless, next, start, start, properties)
    }

    /// An anchor and a tag, in any order.
    fn properties(&mut self, start: Mark) -> Scan<Properties<'a>> {
        let mut properties = Properties::default();
        let mut tag = None;
        loop {
            let (next, mark) = self.peek()?;
            match next {
                Next::Anchor if properties.anchor.is_none() => {
                    if let TokenKind::Anchor(name) = self.take()?.kind {
                        properties.anchor = Some(name);
                    }
                }
                Next::Tag if tag.is_none() => {
                    if let TokenKind::Tag(handle, suffix) = self.take()?.kind {
                        tag = Some((handle, suffix, mark));
                    }
                }
                _ => break,
            }
        }
        if let Some((handle, suffix, mark)) = tag {
            let long = if handle.is_empty() {
                suffix.into_owned()
            } else {
                let known = self.tag_directives.iter().find(|(known, _)| *known == handle);
                known.map(|(_, prefix)| format!("{prefix}{suffix}")).unwrap_or_default()
            };
            if long.is_empty() && !handle.is_empty() {
                return Err(Fault::parser("found undefined tag handle", start, mark));
            }
            properties.tag = (!long.is_empty()).then(|| long.into());
        }
        Ok(properties)
    }

    fn node_content(
        &mut self,
        block: bool,
        indentless: bool,
        next: Next,
        start: Mark,
        token_start: Mark,
        properties: Properties<'a>,
    ) -> Scan<Event<'a>> {
        if indentless && next == Next::BlockEntry {
            self.state = State::Indentless;
            return Ok(Self::event(EventKind::SequenceStart { properties, flow: false }, start));
        }
        match next {
            Next::Scalar => {
                self.pop();
                let comments = self.due();
                let token = self.take()?;
                let TokenKind::Scalar(value, style) = token.kind else { return Ok(Self::null(start)) };
                let implicit = match &properties.tag {
                    None => style == ScalarStyle::Plain,
                    Some(tag) => &**tag == "!",
                };
                Ok(Event { kind: EventKind::Scalar { properties, value, implicit, style }, start, comments })
            }
            Next::FlowSequenceStart => {
                self.state = State::FlowSequenceFirst;
                let comments = self.due();
                Ok(Event { kind: EventKind::SequenceStart { properties, flow: true }, start, comments })
            }
            Next::FlowMappingStart => {
                self.state = State::FlowMappingFirst;
                let comments = self.due();
                Ok(Event { kind: EventKind::MappingStart { properties, flow: true }, start, comments })
            }
            Next::BlockSequenceStart if block => {
                self.state = State::BlockSequenceFirst;
                let comments = self.take_stem();
                Ok(Event { kind: EventKind::SequenceStart { properties, flow: false }, start, comments })
            }
            Next::BlockMappingStart if block => {
                self.state = State::BlockMappingFirst;
                let comments = self.take_stem();
                Ok(Event { kind: EventKind::MappingStart { properties, flow: false }, start, comments })
            }
            _ if properties.anchor.is_some() || properties.tag.is_some() => {
                self.pop();
                let implicit = properties.tag.is_none();
                let (value, style) = (Cow::Borrowed(""), ScalarStyle::Plain);
                Ok(Self::event(EventKind::Scalar { properties, value, implicit, style }, start))
            }
            _ => Err(Fault::parser("did not find expected node content", start, token_start)),
        }
    }

    fn take_stem(&mut self) -> Option<Box<Comments>> {
        let head = std::mem::take(&mut self.stem);
        (!head.is_empty()).then(|| Box::new(Comments { head, ..Comments::default() }))
    }

    /// The head comment above a `-` whose item is a block collection is the collection's own.
    fn split_stem(&mut self, length: usize) -> Scan<()> {
        if length == 0 {
            return Ok(());
        }
        let next = match self.peek() {
            Ok((next, _)) => next,
            Err(fault) => {
                self.pending = Some(fault);
                return Ok(());
            }
        };
        if matches!(next, Next::BlockSequenceStart | Next::BlockMappingStart) {
            let head = std::mem::take(&mut self.comments.head);
            self.stem = head.get(..length).unwrap_or_default().to_string();
            self.comments.head = head.get(length + 1..).unwrap_or_default().to_string();
        }
        Ok(())
    }

    fn end(&mut self, kind: EventKind<'a>, start: Mark, comments: Option<Box<Comments>>) -> Scan<Event<'a>> {
        self.pop();
        self.marks.pop();
        self.take()?;
        Ok(Event { kind, start, comments })
    }

    fn first(&mut self, first: bool) -> Scan<()> {
        if first {
            let (_, start) = self.peek()?;
            self.marks.push(start);
            self.take()?;
        }
        Ok(())
    }

    fn unexpected(&mut self, problem: &'static str, at: Mark) -> Scan<Event<'a>> {
        let context = self.marks.pop().unwrap_or_default();
        Err(Fault::parser(problem, context, at))
    }

    fn block_sequence(&mut self, first: bool) -> Scan<Event<'a>> {
        self.first(first)?;
        let (next, start) = self.peek()?;
        match next {
            Next::BlockEntry => {
                let (mark, next) = self.entry()?;
                if matches!(next, Next::BlockEntry | Next::BlockEnd) {
                    return Ok(self.empty_scalar(State::BlockSequence, mark));
                }
                self.states.push(State::BlockSequence);
                self.node(true, false)
            }
            Next::BlockEnd => self.end(EventKind::SequenceEnd, start, None),
            _ => self.unexpected("did not find expected '-' indicator", start),
        }
    }

    /// Takes a `-`; returns where it ends and what follows.
    fn entry(&mut self) -> Scan<(Mark, Next)> {
        let length = self.comments.head.len();
        let mark = self.take()?.end;
        self.split_stem(length)?;
        Ok((mark, self.peek()?.0))
    }

    fn indentless_sequence(&mut self) -> Scan<Event<'a>> {
        let (next, start) = self.peek()?;
        if next != Next::BlockEntry {
            self.pop();
            return Ok(Self::event(EventKind::SequenceEnd, start));
        }
        let (mark, next) = self.entry()?;
        if matches!(next, Next::BlockEntry | Next::Key | Next::Value | Next::BlockEnd) {
            return Ok(self.empty_scalar(State::Indentless, mark));
        }
        self.states.push(State::Indentless);
        self.node(true, false)
    }

    fn block_mapping_key(&mut self, first: bool) -> Scan<Event<'a>> {
        self.first(first)?;
        let (next, start) = self.peek()?;
        match next {
            Next::Key => {
                let mark = self.take()?.end;
                let (next, _) = self.peek()?;
                if matches!(next, Next::Key | Next::Value | Next::BlockEnd) {
                    return Ok(self.empty_scalar(State::BlockMappingValue, mark));
                }
                self.states.push(State::BlockMappingValue);
                self.node(true, true)
            }
            Next::BlockEnd => {
                let comments = self.due();
                self.end(EventKind::MappingEnd, start, comments)
            }
            _ => self.unexpected("did not find expected key", start),
        }
    }

    fn block_mapping_value(&mut self) -> Scan<Event<'a>> {
        let (next, start) = self.peek()?;
        if next != Next::Value {
            return Ok(self.empty_scalar(State::BlockMappingKey, start));
        }
        let mark = self.take()?.end;
        let (next, _) = self.peek()?;
        if matches!(next, Next::Key | Next::Value | Next::BlockEnd) {
            return Ok(self.empty_scalar(State::BlockMappingKey, mark));
        }
        self.states.push(State::BlockMappingKey);
        self.node(true, true)
    }

    fn flow_sequence(&mut self, first: bool) -> Scan<Event<'a>> {
        self.first(first)?;
        let (mut next, mut start) = self.peek()?;
        if next != Next::FlowSequenceEnd {
            if !first {
                if next != Next::FlowEntry {
                    return self.unexpected("did not find expected ',' or ']'", start);
                }
                self.take()?;
                (next, start) = self.peek()?;
            }
            if next == Next::Key {
                // `[a: b]` is a sequence of one mapping of one pair.
                self.state = State::FlowPairKey;
                self.take()?;
                let properties = Properties::default();
                return Ok(Self::event(EventKind::MappingStart { properties, flow: true }, start));
            }
            if next != Next::FlowSequenceEnd {
                self.states.push(State::FlowSequence);
                return self.node(false, false);
            }
        }
        let comments = self.due();
        self.end(EventKind::SequenceEnd, start, comments)
    }

    fn flow_pair_key(&mut self) -> Scan<Event<'a>> {
        let (next, _) = self.peek()?;
        if !matches!(next, Next::Value | Next::FlowEntry | Next::FlowSequenceEnd) {
            self.states.push(State::FlowPairValue);
            return self.node(false, false);
        }
        // The token is taken although it is not a key; what follows may be refused for it.
        let mark = self.take()?.end;
        Ok(self.empty_scalar(State::FlowPairValue, mark))
    }

    fn flow_pair_value(&mut self) -> Scan<Event<'a>> {
        let (next, start) = self.peek()?;
        if next == Next::Value {
            self.take()?;
            let (next, _) = self.peek()?;
            if !matches!(next, Next::FlowEntry | Next::FlowSequenceEnd) {
                self.states.push(State::FlowPairEnd);
                return self.node(false, false);
            }
        }
        Ok(self.empty_scalar(State::FlowPairEnd, start))
    }

    fn flow_mapping_key(&mut self, first: bool) -> Scan<Event<'a>> {
        self.first(first)?;
        let (mut next, mut start) = self.peek()?;
        if next != Next::FlowMappingEnd {
            if !first {
                if next != Next::FlowEntry {
                    return self.unexpected("did not find expected ',' or '}'", start);
                }
                self.take()?;
                (next, start) = self.peek()?;
            }
            if next == Next::Key {
                self.take()?;
                (next, start) = self.peek()?;
                if matches!(next, Next::Value | Next::FlowEntry | Next::FlowMappingEnd) {
                    return Ok(self.empty_scalar(State::FlowMappingValue, start));
                }
                self.states.push(State::FlowMappingValue);
                return self.node(false, false);
            }
            if next != Next::FlowMappingEnd {
                self.states.push(State::FlowMappingEmptyValue);
                return self.node(false, false);
            }
        }
        let comments = self.due();
        self.end(EventKind::MappingEnd, start, comments)
    }

    fn flow_mapping_value(&mut self, empty: bool) -> Scan<Event<'a>> {
        let (next, mut start) = self.peek()?;
        if !empty && next == Next::Value {
            self.take()?;
            let (next, at) = self.peek()?;
            start = at;
            if !matches!(next, Next::FlowEntry | Next::FlowMappingEnd) {
                self.states.push(State::FlowMappingKey);
                return self.node(false, false);
            }
        }
        Ok(self.empty_scalar(State::FlowMappingKey, start))
    }
}
