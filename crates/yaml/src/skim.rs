//! Going over the members of a root mapping that nobody wants, without reading them.
//!
//! Most of what programs write is plain: block mappings and sequences, scalars on their own lines, block scalars.
//! Whether such a text is valid shows in its lines, several times faster than a parser gets there. Whatever is not
//! plainly valid ends the skimming, and the parser judges: this never has to be complete, only right.

/// Mappings and sequences within one another: deeper is left to the parser.
const MAX_DEPTH: usize = 100;
/// Longer keys may be none.
const MAX_KEY: usize = 500;

/// `text` without the members of its root mapping that are not `wanted`, when all of it is plain.
pub(crate) fn wanted_members(text: &str, wanted: &[&str]) -> Option<String> {
    let mut kept = String::new();
    let mut skim = Skim { text, next: 0, open: Vec::with_capacity(16), pending: None };
    let (mut marked, mut begun, mut found) = (false, false, false);
    // Where the current member began, and whether it is wanted.
    let (mut start, mut keep) = (0, true);
    while let Some(line) = skim.peek()? {
        if line.indent == 0 && !line.is_blank() && !line.is_comment() && !line.is_item() {
            if line.content == "---" && !begun && !marked {
                marked = true;
                skim.advance(&line);
                continue;
            }
            let (key, _) = key(line.content)?;
            if keep {
                kept.push_str(text.get(start..line.start)?);
            }
            (start, keep) = (line.start, wanted.contains(&key));
            found |= keep;
            if !begun {
                skim.open.push(Open::Mapping(0));
            }
            begun = true;
        }
        skim.line(line)?;
    }
    if keep {
        kept.push_str(text.get(start..)?);
    }
    // A root without any of them is still a mapping: the parser says so.
    found.then_some(kept)
}

/// A line without its indentation and its break.
#[derive(Clone, Copy)]
struct Line<'t> {
    start: usize,
    indent: usize,
    content: &'t str,
    end: usize,
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        self.content.is_empty()
    }

    fn is_comment(&self) -> bool {
        self.content.starts_with('#')
    }

    fn is_item(&self) -> bool {
        self.content == "-" || self.content.starts_with("- ")
    }
}

/// An open collection and the column it stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Mapping(usize),
    Sequence(usize),
}

impl Open {
    fn column(self) -> usize {
        match self {
            Open::Mapping(column) | Open::Sequence(column) => column,
        }
    }
}

/// Goes over lines. `None` from any of its functions: this is not plain.
struct Skim<'t> {
    text: &'t str,
    next: usize,
    open: Vec<Open>,
    /// The collection whose last key or dash has no value yet; it may follow on the next line.
    pending: Option<Open>,
}

impl<'t> Skim<'t> {
    /// The line that comes; `Some(None)` at the end.
    fn peek(&self) -> Option<Option<Line<'t>>> {
        let rest = self.text.get(self.next..)?;
        if rest.is_empty() {
            return Some(None);
        }
        let length = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let whole = rest.get(..length)?;
        if !is_ordinary(whole.as_bytes()) {
            return None;
        }
        let content = whole.trim_start_matches(' ');
        let indent = whole.len() - content.len();
        let end = self.next + (length + 1).min(rest.len());
        // Spaces at the end of a line matter nowhere but in block scalars, which look at the indentation alone.
        Some(Some(Line { start: self.next, indent, content: content.trim_end_matches(' '), end }))
    }

    fn advance(&mut self, line: &Line<'_>) {
        self.next = line.end;
    }

    fn push(&mut self, open: Open) -> Option<()> {
        self.open.push(open);
        (self.open.len() <= MAX_DEPTH).then_some(())
    }

    /// A line that begins outside of any scalar, and what belongs to it.
    fn line(&mut self, line: Line<'t>) -> Option<()> {
        self.advance(&line);
        if line.is_blank() || line.is_comment() {
            return Some(());
        }
        let column = line.indent;
        let opens = match self.pending.take() {
            Some(pending) if column > pending.column() => {
                if !line.is_item() && key(line.content).is_none() {
                    return self.scalar(pending.column(), line.content);
                }
                true
            }
            // A sequence may stand as far left as the key it is the value of.
            Some(Open::Mapping(at)) if column == at => line.is_item(),
            _ => false,
        };
        if opens {
            self.push(if line.is_item() { Open::Sequence(column) } else { Open::Mapping(column) })?;
        } else {
            let wanted = if line.is_item() { Open::Sequence(column) } else { Open::Mapping(column) };
            while self.open.last().is_some_and(|open| *open != wanted && open.column() >= column) {
                self.open.pop();
            }
            if self.open.last() != Some(&wanted) {
                return None;
            }
        }
        self.content(column, line.content)
    }

    /// Items and a key, as many as one line begins, and the value after them.
    fn content(&mut self, mut column: usize, mut content: &'t str) -> Option<()> {
        while let Some(rest) = item(content) {
            let inner = rest.trim_start_matches(' ');
            if inner.is_empty() || inner.starts_with('#') {
                self.pending = Some(Open::Sequence(column));
                return Some(());
            }
            let inside = column + content.len() - inner.len();
            if item(inner).is_some() {
                self.push(Open::Sequence(inside))?;
            } else if key(inner).is_some() {
                self.push(Open::Mapping(inside))?;
            } else {
                return self.scalar(column, inner);
            }
            (column, content) = (inside, inner);
        }
        let (_, value) = key(content)?;
        let value = value.trim_start_matches(' ');
        if value.is_empty() || value.starts_with('#') {
            self.pending = Some(Open::Mapping(column));
            return Some(());
        }
        self.scalar(column, value)
    }

    /// A scalar whose first line is `first`, of an item or a key in this column.
    fn scalar(&mut self, column: usize, first: &'t str) -> Option<()> {
        match first.as_bytes() {
            [b'|' | b'>'] | [b'|' | b'>', b'-' | b'+'] => self.block(column),
            [b'\'', rest @ ..] => self.quoted(column, rest, b'\''),
            [b'"', rest @ ..] => self.quoted(column, rest, b'"'),
            b"[]" | b"{}" => Some(()),
            [b'[', inner @ .., b']'] => inner.split(|byte| *byte == b',').all(is_flow_word).then_some(()),
            b"-" | [b'-', b' ', ..] | b"<<" => None,
            [
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'/' | b'.' | b'-' | b'+' | b'(' | b'$',
                ..,
            ]
            | [b'^' | b'\\' | b'~' | b'=' | b'<' | b';', ..] => self.plain(column, first),
            _ => None,
        }
    }

    fn plain(&mut self, column: usize, first: &str) -> Option<()> {
        if let Some((text, _comment)) = first.split_once(" #") {
            // The comment ends the scalar.
            return (is_plain(text) && !is_strange_number(text.trim_end_matches(' '))).then_some(());
        }
        if !is_plain(first) {
            return None;
        }
        let mut may_end = !is_strange_number(first);
        while let Some(line) = self.peek()? {
            // Blank lines are part of the scalar or not: nothing either way.
            if !line.is_blank() {
                if line.indent <= column || line.is_comment() {
                    break;
                }
                if !is_plain(line.content) {
                    return None;
                }
                // With a second line it is no number.
                may_end = true;
            }
            self.advance(&line);
        }
        may_end.then_some(())
    }

    fn quoted(&mut self, column: usize, first: &[u8], quote: u8) -> Option<()> {
        let mut rest = first;
        loop {
            match rest {
                [] => {
                    let line = self.peek()??;
                    if !line.is_blank() && line.indent <= column {
                        return None;
                    }
                    self.advance(&line);
                    rest = line.content.as_bytes();
                }
                [b'\'', b'\'', after @ ..] if quote == b'\'' => rest = after,
                // Those that need no digits; at the end of a line it joins the lines.
                [
                    b'\\',
                    b'0' | b'a' | b'b' | b't' | b'n' | b'v' | b'f' | b'r' | b'e' | b'"' | b'\\' | b' ',
                    after @ ..,
                ] if quote == b'"' => {
                    rest = after;
                }
                [b'\\'] if quote == b'"' => rest = &[],
                [b'\\', ..] if quote == b'"' => return None,
                [byte, after @ ..] if *byte == quote => {
                    let rest = after.trim_ascii_start();
                    let comment = rest.len() < after.len() && rest.starts_with(b"#");
                    return (after.is_empty() || comment).then_some(());
                }
                [_, after @ ..] => rest = after,
            }
        }
    }

    /// The lines of a block scalar.
    fn block(&mut self, column: usize) -> Option<()> {
        let mut indent = None;
        while let Some(line) = self.peek()? {
            match indent {
                _ if line.is_blank() => {
                    // Before the first line, spaces might say that the scalar is indented further.
                    if indent.is_none() && line.indent > 0 {
                        return None;
                    }
                }
                None if line.indent > column => indent = Some(line.indent),
                Some(indent) if line.indent >= indent => {}
                // What stands between the two is a fault or a comment.
                _ if line.indent > column => return None,
                _ => return Some(()),
            }
            self.advance(&line);
        }
        Some(())
    }
}

/// What follows a dash.
fn item(content: &str) -> Option<&str> {
    let rest = content.strip_prefix('-')?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
}

/// A key and what follows its colon.
fn key(content: &str) -> Option<(&str, &str)> {
    let (key, rest) = match content.as_bytes().first()? {
        quote @ (b'"' | b'\'') => {
            let inner = content.get(1..)?;
            let end = inner.bytes().position(|byte| byte == *quote || byte == b'\\')?;
            (inner.get(..end)?, inner.get(end..)?.strip_prefix(char::from(*quote))?)
        }
        b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
            let end = content.bytes().position(|byte| !word(byte))?;
            let (key, rest) = content.split_at_checked(end)?;
            if matches!(key, "null" | "Null" | "NULL") {
                return None;
            }
            (key, rest)
        }
        _ => return None,
    };
    let value = rest.strip_prefix(':')?;
    let ends = value.is_empty() || value.starts_with(' ');
    (ends && key.len() <= MAX_KEY).then_some((key, value))
}

/// Whether a line of a plain scalar holds nothing that would end it.
fn is_plain(content: &str) -> bool {
    let bytes = content.as_bytes();
    if bytes.last() == Some(&b':') {
        return false;
    }
    !bytes.windows(2).any(|pair| matches!(pair, b": " | b" #"))
}

/// Whether a line holds nothing but printable text: no tabs, no other line breaks, no byte-order marks.
fn is_ordinary(line: &[u8]) -> bool {
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return true;
    }
    line.iter().enumerate().all(|(at, byte)| match byte {
        b' '..=b'~' | 0x80..=0xc1 | 0xc3..=0xe1 | 0xe3..=0xec | 0xee => true,
        // Control characters end below U+00A0; the other line breaks are U+2028 and U+2029.
        0xc2 => line.get(at + 1).is_some_and(|next| *next >= 0xa0),
        0xe2 => !matches!(line.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])),
        _ => false,
    })
}

/// What may be a number that JSON does not have; with a second line it would be a text.
fn is_strange_number(text: &str) -> bool {
    let unsigned = text.trim_start_matches(['+', '-']);
    let float = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-' | b'_');
    unsigned.eq_ignore_ascii_case(".inf")
        || unsigned.eq_ignore_ascii_case(".nan")
        || unsigned.contains(['e', 'E']) && unsigned.bytes().all(float)
}

/// A word that needs no care in a flow sequence.
fn is_flow_word(word: &[u8]) -> bool {
    let word = word.trim_ascii();
    if let [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] = word {
        return !inner.iter().any(|byte| matches!(byte, b'"' | b'\'' | b'\\'));
    }
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'-');
    matches!(word.first(), Some(b'A'..=b'Z' | b'a'..=b'z' | b'_')) && word.iter().all(inner)
}
