//! Characters to tokens, after the libyaml lineage: what may be a simple key, where block collections
//! begin and end, and in which order things are noticed, since that decides which error is told.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::Error;
use crate::comments::Comment;
use crate::node::Style;
use crate::text::{Mark, break_len, find_forbidden, is_blankz, is_break, is_document_marker, width};

/// Which library's rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    V2,
    V3,
}

/// Why the scanner or the parser stopped.
#[derive(Debug)]
pub(crate) struct Fault {
    problem: Cow<'static, str>,
    scanner: bool,
    context: Mark,
    at: Mark,
}

pub(crate) type Scan<T> = Result<T, Box<Fault>>;

impl Fault {
    pub fn parser(problem: &'static str, context: Mark, at: Mark) -> Box<Fault> {
        Box::new(Fault { problem: problem.into(), scanner: false, context, at })
    }

    fn reader() -> Box<Fault> {
        let problem = "control characters are not allowed".into();
        Box::new(Fault { problem, scanner: false, context: Mark::default(), at: Mark::default() })
    }

    /// The error as the library words it; the two disagree on which mark names the line.
    pub fn into_error(self, rules: Rules) -> Error {
        let told = match rules {
            Rules::V2 if self.at.line != 0 => self.at.line + usize::from(self.scanner),
            Rules::V2 => self.context.line,
            Rules::V3 if self.context.line != 0 => self.context.line + usize::from(self.scanner),
            Rules::V3 if self.at.line != 0 => self.at.line + usize::from(self.scanner),
            Rules::V3 => 0,
        };
        let message = match told {
            0 => format!("yaml: {}", self.problem),
            line => format!("yaml: line {line}: {}", self.problem),
        };
        Error::new(message, self.at.line + 1, self.at.column + 1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarStyle {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

impl From<ScalarStyle> for Style {
    fn from(style: ScalarStyle) -> Style {
        match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::Single => Style::SingleQuoted,
            ScalarStyle::Double => Style::DoubleQuoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum TokenKind<'a> {
    StreamStart,
    StreamEnd,
    VersionDirective(u8, u8),
    TagDirective(Cow<'a, str>, Cow<'a, str>),
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
    Alias(&'a str),
    Anchor(&'a str),
    /// Handle (empty for a verbatim tag) and suffix.
    Tag(Cow<'a, str>, Cow<'a, str>),
    Scalar(Cow<'a, str>, ScalarStyle),
}

#[derive(Debug, Clone)]
pub(crate) struct Token<'a> {
    pub kind: TokenKind<'a>,
    pub start: Mark,
    pub end: Mark,
}

/// What the comment rules ask about earlier tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    BlockSequenceStart,
    BlockEntry,
    FlowEntry,
    Value,
    Other,
}

impl Token<'_> {
    fn seen(&self) -> (Seen, Mark) {
        let seen = match self.kind {
            TokenKind::BlockSequenceStart => Seen::BlockSequenceStart,
            TokenKind::BlockEntry => Seen::BlockEntry,
            TokenKind::FlowEntry => Seen::FlowEntry,
            TokenKind::Value => Seen::Value,
            _ => Seen::Other,
        };
        (seen, self.start)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    /// The next token may not be handed out while it could be this key. An empty flow collection loses
    /// the mark (a quirk of the original), so `[]: 1` is no mapping.
    holds: bool,
    token: usize,
    mark: Mark,
}

/// Nesting beyond this is refused, in flow and in block style alike.
const MAX_DEPTH: usize = 10_000;
/// Go reads the input in pieces of this size and checks each for forbidden characters as a whole.
const READ_SIZE: usize = 512;

pub(crate) struct Scanner<'a> {
    pub(crate) text: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) pos: usize,
    pub(crate) mark: Mark,
    pub(crate) newlines: usize,
    pub(crate) rules: Rules,
    pub(crate) indent: isize,
    pub(crate) flow_level: usize,
    pub(crate) simple_key_allowed: bool,
    pub(crate) comments: VecDeque<Comment>,
    /// The text was cut before a forbidden character: reaching the end is an error.
    cut: bool,
    tokens: VecDeque<Token<'a>>,
    /// Tokens handed out.
    parsed: usize,
    available: bool,
    history: [(Seen, Mark); 2],
    simple_keys: Vec<SimpleKey>,
    /// Token numbers of keys given up while their token waited, and their level: the original still asks
    /// that level about the token, though another key may stand there by then.
    stale: Vec<(usize, usize)>,
    indents: Vec<isize>,
    started: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str, rules: Rules) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = if text.is_empty() { "\n" } else { text };
        let forbidden = find_forbidden(text);
        let text = forbidden.map_or(text, |at| {
            let mut cut = at / READ_SIZE * READ_SIZE;
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            &text[..cut]
        });
        Scanner {
            text,
            bytes: text.as_bytes(),
            pos: 0,
            mark: Mark::default(),
            newlines: 0,
            rules,
            indent: -1,
            flow_level: 0,
            simple_key_allowed: false,
            comments: VecDeque::new(),
            cut: forbidden.is_some(),
            tokens: VecDeque::new(),
            parsed: 0,
            available: false,
            history: [(Seen::Other, Mark::default()); 2],
            simple_keys: Vec::new(),
            stale: Vec::new(),
            indents: Vec::new(),
            started: false,
        }
    }

    // ---- What the parser sees.

    /// The next token.
    pub fn peek(&mut self) -> Scan<&Token<'a>> {
        if !self.available {
            let outcome = self.fetch_more();
            // Past the cut lies a forbidden character, found by the reader before anything else.
            if self.cut && self.pos + 4 > self.bytes.len() {
                return Err(Fault::reader());
            }
            outcome?;
            self.available = true;
        }
        let at = self.mark;
        self.tokens
            .front()
            .ok_or_else(|| Fault::parser("attempted to go past the end of stream; corrupted value?", at, at))
    }

    /// Takes the token [`peek`](Self::peek) showed.
    pub fn take(&mut self) -> Scan<Token<'a>> {
        self.peek()?;
        let at = self.mark;
        let token = self.tokens.pop_front().ok_or_else(|| {
            Fault::parser("attempted to go past the end of stream; corrupted value?", at, at)
        })?;
        self.available = false;
        self.parsed += 1;
        if !self.stale.is_empty() {
            let parsed = self.parsed;
            self.stale.retain(|(token, _)| *token >= parsed);
        }
        self.history = [self.history[1], token.seen()];
        Ok(token)
    }

    /// The last token scanned (`back` = 0) or the one before (1), whether handed out or not.
    pub(crate) fn recent(&self, back: usize) -> (Seen, Mark) {
        match self.tokens.len().checked_sub(back + 1).and_then(|i| self.tokens.get(i)) {
            Some(token) => token.seen(),
            None => self.history[if back > self.tokens.len() { 0 } else { 1 }],
        }
    }

    /// Tokens scanned so far, as far as the comment rules care (more than one or not).
    pub(crate) fn scanned(&self) -> usize {
        self.parsed + self.tokens.len()
    }

    // ---- Moving over characters.

    /// The byte `ahead` of the current one; 0 at the end.
    #[inline]
    pub(crate) fn at(&self, ahead: usize) -> u8 {
        self.bytes.get(self.pos + ahead).copied().unwrap_or(0)
    }

    pub(crate) fn blankz(&self, ahead: usize) -> bool {
        is_blankz(self.bytes, self.pos + ahead)
    }

    pub(crate) fn skip(&mut self) {
        let c = self.at(0);
        if c != b' ' && c != b'\t' {
            self.newlines = 0;
        }
        self.mark.index += 1;
        self.mark.column += 1;
        self.pos += width(c);
    }

    /// Moves to `to` over characters of one line that are not all blank.
    pub(crate) fn advance(&mut self, to: usize) {
        let count = crate::text::count_chars(self.bytes.get(self.pos..to).unwrap_or_default());
        self.mark.index += count;
        self.mark.column += count;
        self.pos = to;
        self.newlines = 0;
    }

    /// Moves over a line break and returns the text it stands for.
    pub(crate) fn skip_line(&mut self) -> &'static str {
        let len = break_len(self.bytes, self.pos);
        if len == 0 {
            return "";
        }
        let (lead, tail) = (self.at(0), self.at(len - 1));
        self.mark.index += if lead == b'\r' { len } else { 1 };
        self.mark.column = 0;
        self.mark.line += 1;
        self.newlines += 1;
        self.pos += len;
        match (lead, tail) {
            (0xE2, 0xA8) => "\u{2028}",
            (0xE2, _) => "\u{2029}",
            _ => "\n",
        }
    }

    pub(crate) fn fault(&self, context: Mark, problem: impl Into<Cow<'static, str>>) -> Box<Fault> {
        Box::new(Fault { problem: problem.into(), scanner: true, context, at: self.mark })
    }

    // ---- Tokens and simple keys.

    fn push(&mut self, kind: TokenKind<'a>, start: Mark) {
        self.tokens.push_back(Token { kind, start, end: self.mark });
    }

    fn fetch_more(&mut self) -> Scan<()> {
        loop {
            // Comments (v3) are attached by looking two tokens ahead.
            let enough = match self.rules {
                Rules::V2 => !self.tokens.is_empty(),
                Rules::V3 => self.tokens.len() > 2,
            };
            if enough && !self.head_may_be_key()? {
                return Ok(());
            }
            if matches!(self.tokens.back(), Some(Token { kind: TokenKind::StreamEnd, .. })) {
                self.head_may_be_key()?;
                return Ok(());
            }
            self.fetch_next()?;
        }
    }

    /// May the next token to hand out still turn out to be a simple key?
    fn head_may_be_key(&mut self) -> Scan<bool> {
        // Token numbers grow with the level, so the search can stop early.
        let first = self.simple_keys.partition_point(|key| key.token < self.parsed);
        for level in first..self.simple_keys.len() {
            match self.simple_keys.get(level) {
                Some(key) if key.token != self.parsed => break,
                Some(key) if !key.possible || !key.holds => continue,
                _ => return self.key_is_valid(level),
            }
        }
        let parsed = self.parsed;
        match self.stale.iter().find(|(token, _)| *token == parsed).copied() {
            Some((_, level)) => self.key_is_valid(level),
            None => Ok(false),
        }
    }

    fn key_is_valid(&mut self, level: usize) -> Scan<bool> {
        let here = self.mark;
        let Some(key) = self.simple_keys.get_mut(level) else { return Ok(false) };
        if !key.possible {
            return Ok(false);
        }
        // A simple key fits on one line and in 1024 characters.
        if key.mark.line < here.line || key.mark.index + 1024 < here.index {
            if key.required {
                let context = key.mark;
                return Err(self.fault(context, "could not find expected ':'"));
            }
            key.possible = false;
            if key.holds {
                self.stale.push((key.token, level));
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn save_key(&mut self) -> Scan<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.mark.column as isize;
        let key = SimpleKey { possible: true, required, holds: true, token: self.scanned(), mark: self.mark };
        self.remove_key()?;
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
        }
        Ok(())
    }

    fn remove_key(&mut self) -> Scan<()> {
        match self.simple_keys.last_mut() {
            Some(key) if key.possible => {
                if key.required {
                    let context = key.mark;
                    return Err(self.fault(context, "could not find expected ':'"));
                }
                key.possible = false;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    // ---- Indentation.

    fn roll_indent(
        &mut self,
        column: usize,
        number: Option<usize>,
        kind: TokenKind<'a>,
        mark: Mark,
    ) -> Scan<()> {
        if self.flow_level > 0 || self.indent >= column as isize {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column as isize;
        if self.indents.len() > MAX_DEPTH {
            let context = self.simple_keys.last().map(|key| key.mark).unwrap_or_default();
            return Err(self.fault(context, format!("exceeded max depth of {MAX_DEPTH}")));
        }
        let token = Token { kind, start: mark, end: mark };
        match number {
            Some(number) => self.insert(number, token),
            None => self.tokens.push_back(token),
        }
        Ok(())
    }

    /// Puts a token before the one with this number; when that is handed out already, at the end.
    fn insert(&mut self, number: usize, token: Token<'a>) {
        match number.checked_sub(self.parsed).filter(|at| *at <= self.tokens.len()) {
            Some(at) => self.tokens.insert(at, token),
            None => self.tokens.push_back(token),
        }
    }

    fn unroll_indent(&mut self, column: isize, scan_mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut block_mark = if self.rules == Rules::V3 { scan_mark } else { self.mark };
        // One before; wrapping is harmless, the value is only compared.
        let before = (scan_mark.index as isize) - 1;
        let mut block_index = before;
        while self.indent > column {
            if self.rules == Rules::V3 {
                // A block ends above the comments that stand at its own column.
                let mut stop = block_index;
                for comment in self.comments.iter().rev() {
                    if (comment.end_mark.index as isize) < stop {
                        break;
                    }
                    if comment.start_mark.column as isize == self.indent + 1 {
                        block_mark = comment.start_mark;
                        block_index = comment.start_mark.index as isize;
                    }
                    stop = comment.scan_mark.index as isize;
                }
            }
            let mut mark = block_mark;
            if self.rules == Rules::V3 {
                mark.index = block_index.max(0) as usize;
            }
            self.tokens.push_back(Token { kind: TokenKind::BlockEnd, start: mark, end: mark });
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    // ---- One token.

    fn fetch_next(&mut self) -> Scan<()> {
        if !self.started {
            self.started = true;
            self.simple_keys.push(SimpleKey::default());
            self.simple_key_allowed = true;
            self.push(TokenKind::StreamStart, self.mark);
            return Ok(());
        }
        let scan_mark = self.mark;
        self.skip_to_token()?;
        self.unroll_indent(self.mark.column as isize, scan_mark);
        let c = self.at(0);
        if c == 0 {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 {
            if c == b'%' {
                return self.fetch_directive();
            }
            if (c == b'-' || c == b'.') && is_document_marker(self.bytes, self.pos) {
                return self.fetch_document_marker();
            }
        }
        if self.rules == Rules::V2 {
            return self.fetch_content(c);
        }
        let at_indicator = (self.flow_level == 0 && c == b':') || (self.flow_level > 0 && c == b',');
        let comment_mark = if at_indicator { self.recent(0).1 } else { self.mark };
        self.fetch_content(c)?;
        if !matches!(self.tokens.back(), Some(Token { kind: TokenKind::BlockEntry, .. })) {
            self.scan_line_comment(comment_mark);
        }
        Ok(())
    }

    fn fetch_content(&mut self, c: u8) -> Scan<()> {
        let flow = self.flow_level > 0;
        match c {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.blankz(1) => self.fetch_block_entry(),
            b'?' if flow || self.blankz(1) => self.fetch_key(),
            b':' if flow || self.blankz(1) => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(),
            b'!' => self.fetch_tag(),
            b'|' | b'>' if !flow => self.fetch_block_scalar(c == b'|'),
            b'\'' | b'"' => self.fetch_quoted(c == b'\''),
            b'|' | b'>' | b'#' | b'%' | b'@' | b'`' | b'\t' => {
                Err(self.fault(self.mark, "found character that cannot start any token"))
            }
            _ => self.fetch_plain(),
        }
    }

    fn fetch_stream_end(&mut self) -> Scan<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1, self.mark);
        self.remove_key()?;
        self.simple_key_allowed = false;
        self.push(TokenKind::StreamEnd, self.mark);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scan<()> {
        self.unroll_indent(-1, self.mark);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (kind, end) = self.scan_directive()?;
        self.tokens.push_back(Token { kind, start, end });
        Ok(())
    }

    fn fetch_document_marker(&mut self) -> Scan<()> {
        self.unroll_indent(-1, self.mark);
        self.remove_key()?;
        self.simple_key_allowed = false;
        let (start, kind) =
            (self.mark, if self.at(0) == b'-' { TokenKind::DocumentStart } else { TokenKind::DocumentEnd });
        self.advance(self.pos + 3);
        self.push(kind, start);
        Ok(())
    }

    /// Takes the one-character token `kind`.
    fn indicator(&mut self, kind: TokenKind<'a>) -> Scan<()> {
        let start = self.mark;
        self.skip();
        self.push(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind<'a>) -> Scan<()> {
        self.save_key()?;
        self.simple_keys.push(SimpleKey { token: self.scanned(), mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return Err(self.fault(self.mark, format!("exceeded max depth of {MAX_DEPTH}")));
        }
        self.simple_key_allowed = true;
        self.indicator(kind)
    }

    fn fetch_flow_end(&mut self, kind: TokenKind<'a>) -> Scan<()> {
        self.remove_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            let inner = self.simple_keys.pop().unwrap_or_default().token;
            if let Some(outer) = self.simple_keys.last_mut().filter(|outer| outer.token == inner) {
                outer.holds = false;
            }
            self.stale.retain(|(token, _)| *token != inner);
        }
        self.simple_key_allowed = false;
        self.indicator(kind)
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenKind::FlowEntry)
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.fault(self.mark, "block sequence entries are not allowed in this context"));
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockSequenceStart, self.mark)?;
        }
        self.remove_key()?;
        self.simple_key_allowed = true;
        self.indicator(TokenKind::BlockEntry)
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.fault(self.mark, "mapping keys are not allowed in this context"));
            }
            self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
        }
        self.remove_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.indicator(TokenKind::Key)
    }

    fn fetch_value(&mut self) -> Scan<()> {
        let level = self.simple_keys.len().saturating_sub(1);
        if self.key_is_valid(level)? {
            let key = self.simple_keys.get(level).copied().unwrap_or_default();
            self.insert(key.token, Token { kind: TokenKind::Key, start: key.mark, end: key.mark });
            self.roll_indent(key.mark.column, Some(key.token), TokenKind::BlockMappingStart, key.mark)?;
            if let Some(key) = self.simple_keys.get_mut(level) {
                key.possible = false;
            }
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.fault(self.mark, "mapping values are not allowed in this context"));
                }
                self.roll_indent(self.mark.column, None, TokenKind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.indicator(TokenKind::Value)
    }

    fn fetch_anchor(&mut self) -> Scan<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_anchor()?;
        self.push(kind, start);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Scan<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_tag()?;
        self.push(kind, start);
        Ok(())
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Scan<()> {
        self.remove_key()?;
        self.simple_key_allowed = true;
        let start = self.mark;
        let (value, end) = self.scan_block_scalar(literal)?;
        let style = if literal { ScalarStyle::Literal } else { ScalarStyle::Folded };
        self.tokens.push_back(Token { kind: TokenKind::Scalar(value, style), start, end });
        Ok(())
    }

    fn fetch_quoted(&mut self, single: bool) -> Scan<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let value = self.scan_quoted(single)?;
        let style = if single { ScalarStyle::Single } else { ScalarStyle::Double };
        self.push(TokenKind::Scalar(value, style), start);
        Ok(())
    }

    fn fetch_plain(&mut self) -> Scan<()> {
        self.save_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (value, end) = self.scan_plain()?;
        self.tokens.push_back(Token { kind: TokenKind::Scalar(value, ScalarStyle::Plain), start, end });
        Ok(())
    }

    /// Moves over white space and comments.
    fn skip_to_token(&mut self) -> Scan<()> {
        let scan_mark = self.mark;
        loop {
            if self.mark.index == 0 && self.bytes.starts_with(b"\xEF\xBB\xBF") {
                self.skip();
            }
            // Tabs may not indent: they are white space only where no block could begin.
            while self.at(0) == b' '
                || ((self.flow_level > 0 || !self.simple_key_allowed) && self.at(0) == b'\t')
            {
                self.skip();
            }
            if self.rules == Rules::V3 {
                self.lift_entry_comment();
            }
            if self.at(0) == b'#' {
                match self.rules {
                    Rules::V2 => self.advance(crate::text::find_break(self.bytes, self.pos)),
                    Rules::V3 => self.scan_comments(scan_mark),
                }
            }
            if !is_break(self.bytes, self.pos) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }
}
