//! Character classes and the lazily copied text the scanner builds scalars with.

use std::borrow::Cow;

/// A place in the input; all counts start at 0, `index` and `column` count characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub index: usize,
    pub line: usize,
    pub column: usize,
}

/// Letters, digits, `_` and `-`: what names of anchors, handles and directives are made of.
pub(crate) fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'-'
}

/// Bytes of the line break at `p`, 0 when there is none. CR LF counts as one break.
pub(crate) fn break_len(bytes: &[u8], p: usize) -> usize {
    match bytes.get(p) {
        Some(b'\n') => 1,
        Some(b'\r') => 1 + usize::from(bytes.get(p + 1) == Some(&b'\n')),
        Some(0xC2) if bytes.get(p + 1) == Some(&0x85) => 2,
        Some(0xE2) if bytes.get(p + 1) == Some(&0x80) && matches!(bytes.get(p + 2), Some(0xA8 | 0xA9)) => 3,
        _ => 0,
    }
}

/// Is there a line break at `p`?
pub(crate) fn is_break(bytes: &[u8], p: usize) -> bool {
    break_len(bytes, p) > 0
}

/// A line break or the end.
pub(crate) fn is_breakz(bytes: &[u8], p: usize) -> bool {
    matches!(bytes.get(p), None | Some(0)) || is_break(bytes, p)
}

/// Space, tab, line break or the end.
pub(crate) fn is_blankz(bytes: &[u8], p: usize) -> bool {
    matches!(bytes.get(p), Some(b' ' | b'\t')) || is_breakz(bytes, p)
}

/// Length of the UTF-8 sequence that starts with `c`.
pub(crate) fn width(c: u8) -> usize {
    match c {
        0..=0x7F => 1,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
        _ => 2,
    }
}

/// Characters in a piece of UTF-8.
pub(crate) fn count_chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&b| (b & 0xC0) != 0x80).count()
}

/// The position of the next line break or the end, from `p`.
pub(crate) fn find_break(bytes: &[u8], mut p: usize) -> usize {
    while let Some(rest) = bytes.get(p..) {
        // NEL, LS and PS are rare: their lead bytes stop the fast search and are looked at here.
        let Some(hit) = rest.iter().position(|c| matches!(c, b'\n' | b'\r' | 0 | 0xC2 | 0xE2)) else { break };
        p += hit;
        if is_breakz(bytes, p) {
            return p;
        }
        p += 1;
    }
    bytes.len()
}

/// The document markers `---` and `...` must be followed by white space.
pub(crate) fn is_document_marker(bytes: &[u8], p: usize) -> bool {
    matches!(bytes.get(p..p + 3), Some(b"---" | b"...")) && is_blankz(bytes, p + 3)
}

/// The first character YAML does not allow in a text, by byte offset.
pub(crate) fn find_forbidden(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut p = 0;
    while p < bytes.len() {
        let suspicious = |c: &u8| {
            (*c < 0x20 && !matches!(c, b'\t' | b'\n' | b'\r')) || *c == 0x7F || *c == 0xC2 || *c == 0xEF
        };
        p += bytes[p..].iter().position(suspicious)?;
        let (c, next) = (bytes[p], bytes.get(p + 1).copied().unwrap_or(0));
        let forbidden = match c {
            0xC2 => next < 0xA0 && next != 0x85,
            0xEF => next == 0xBF && matches!(bytes.get(p + 2), Some(0xBE | 0xBF)),
            _ => true,
        };
        if forbidden {
            return Some(p);
        }
        p += 1;
    }
    None
}

/// Text put together from pieces of the input; copied only when they do not adjoin.
pub(crate) struct Builder<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    owned: Option<String>,
}

impl<'a> Builder<'a> {
    pub fn new(text: &'a str) -> Self {
        Builder { text, start: 0, end: 0, owned: None }
    }

    fn own(&mut self) -> &mut String {
        let (text, start, end) = (self.text, self.start, self.end);
        self.owned.get_or_insert_with(|| text.get(start..end).unwrap_or_default().to_string())
    }

    /// Appends bytes `a..b` of the input.
    pub fn range(&mut self, a: usize, b: usize) {
        if self.owned.is_none() {
            if self.start == self.end {
                (self.start, self.end) = (a, b);
                return;
            }
            if self.end == a {
                self.end = b;
                return;
            }
        }
        let piece = self.text.get(a..b).unwrap_or_default();
        self.own().push_str(piece);
    }

    /// Appends other text.
    pub fn push(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.own().push_str(piece);
        }
    }

    /// Appends one character.
    pub fn push_char(&mut self, c: char) {
        self.own().push(c);
    }

    pub fn finish(self) -> Cow<'a, str> {
        match self.owned {
            Some(owned) => Cow::Owned(owned),
            None => Cow::Borrowed(self.text.get(self.start..self.end).unwrap_or_default()),
        }
    }
}
