//! Where comments belong (v3): above, behind or below a node.

use crate::scanner::{Scanner, Seen};
use crate::text::{Mark, is_break, is_breakz};

/// A comment on its way to a node. `token_mark` says from which token on it may be handed out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comment {
    pub scan_mark: Mark,
    pub token_mark: Mark,
    pub start_mark: Mark,
    pub end_mark: Mark,
    pub head: String,
    pub line: String,
    pub foot: String,
}

/// How far ahead a comment is looked for.
const LOOK_AHEAD: usize = 512;

impl Scanner<'_> {
    /// A comment behind the first `-` of a sequence belongs above the item that follows.
    pub(crate) fn lift_entry_comment(&mut self) {
        if self.comments.is_empty() || self.scanned() < 2 || is_break(self.bytes, self.pos) {
            return;
        }
        if self.recent(1).0 != Seen::BlockSequenceStart || self.recent(0).0 != Seen::BlockEntry {
            return;
        }
        let here = self.mark;
        if let Some(comment) = self.comments.back_mut().filter(|comment| !comment.line.is_empty()) {
            comment.head = std::mem::take(&mut comment.line);
            if comment.start_mark.line + 1 == here.line {
                comment.token_mark = here;
            }
        }
    }

    /// A comment behind the token just scanned, on its line.
    pub(crate) fn scan_line_comment(&mut self, token_mark: Mark) {
        if self.newlines > 0 {
            return;
        }
        let blanks =
            self.bytes[self.pos..].iter().take(LOOK_AHEAD).take_while(|c| matches!(c, b' ' | b'\t')).count();
        if blanks == LOOK_AHEAD || self.at(blanks) != b'#' {
            return;
        }
        for _ in 0..blanks {
            self.skip();
        }
        let start_mark = self.mark;
        let mut line = String::new();
        self.read_comment(&mut line);
        self.comments.push_back(Comment { token_mark, start_mark, line, ..Comment::default() });
    }

    /// The rest of the line.
    fn read_comment(&mut self, text: &mut String) {
        let end = crate::text::find_break(self.bytes, self.pos);
        text.push_str(self.text.get(self.pos..end).unwrap_or_default());
        if end > self.pos {
            self.advance(end);
        }
    }

    /// Moves to the character `seen` (by index), over blanks and line breaks.
    fn skip_to(&mut self, seen: usize) {
        while self.mark.index < seen {
            if is_break(self.bytes, self.pos) {
                self.skip_line();
            } else if self.at(0) == 0 {
                return;
            } else {
                self.skip();
            }
        }
    }

    /// Comments on lines of their own, from here to the next token.
    ///
    /// A comment directly below a node, followed by an empty line or less indented than what follows, is
    /// that node's foot; the others are the head of what follows.
    pub(crate) fn scan_comments(&mut self, mut scan_mark: Mark) {
        let mut token = self.recent(0);
        if token.0 == Seen::FlowEntry && self.scanned() > 1 {
            token = self.recent(1);
        }
        let mut token_mark = token.1;
        let mut start_mark = Mark::default();
        let mut next_indent = self.indent.max(0) as usize;
        let mut recent_empty = false;
        let mut first_empty = self.newlines <= 1;
        let (mut line, mut column) = (self.mark.line, self.mark.column);
        let mut text = String::new();
        let foot_line = (scan_mark.line > 0).then(|| {
            let base = self.mark.line as isize - self.newlines as isize + 1;
            base + isize::from(self.newlines == 0 && self.mark.column > 1)
        });
        let foot_line = foot_line.unwrap_or(-1);
        let mut peek = 0;
        while peek < LOOK_AHEAD {
            column += 1;
            let p = self.pos + peek;
            let c = self.at(peek);
            if c == b' ' || c == b'\t' {
                peek += 1;
                continue;
            }
            let here = Mark { index: self.mark.index + peek, line, column };
            let close_flow = self.flow_level > 0 && (c == b']' || c == b'}');
            if close_flow || is_breakz(self.bytes, p) {
                if close_flow || !recent_empty {
                    let outdented = start_mark.column < next_indent + 1;
                    let below = start_mark.line as isize == foot_line && token.0 != Seen::Value;
                    if close_flow || first_empty && (below || outdented) {
                        if !text.is_empty() {
                            if outdented {
                                token_mark = start_mark;
                            }
                            let foot = std::mem::take(&mut text);
                            self.comments.push_back(Comment {
                                scan_mark,
                                token_mark,
                                start_mark,
                                end_mark: here,
                                foot,
                                ..Comment::default()
                            });
                            scan_mark = here;
                            token_mark = scan_mark;
                        }
                    } else if !text.is_empty() && c != 0 {
                        text.push('\n');
                    }
                }
                if !is_break(self.bytes, p) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                column = 0;
                line += 1;
                // Each byte of a longer break is looked at, as the original does for CR LF.
                peek += if c == b'\r' || c == b'\n' { 1 } else { crate::text::break_len(self.bytes, p) };
                continue;
            }
            if !text.is_empty() && (close_flow || column < next_indent + 1 && column != start_mark.column) {
                let foot = std::mem::take(&mut text);
                self.comments.push_back(Comment {
                    scan_mark,
                    token_mark,
                    start_mark,
                    end_mark: here,
                    foot,
                    ..Comment::default()
                });
                scan_mark = here;
                token_mark = scan_mark;
            }
            if c != b'#' {
                break;
            }
            if text.is_empty() {
                start_mark = here;
            } else {
                text.push('\n');
            }
            recent_empty = false;
            self.skip_to(self.mark.index + peek);
            self.read_comment(&mut text);
            // The break behind the comment is stepped over, it is no empty line.
            peek = 1;
            column = 0;
            line = self.mark.line;
            next_indent = self.indent.max(0) as usize;
        }
        if !text.is_empty() {
            let end_mark = Mark { index: (self.mark.index + peek).saturating_sub(1), line, column };
            self.comments.push_back(Comment {
                scan_mark,
                token_mark: start_mark,
                start_mark,
                end_mark,
                head: text,
                ..Comment::default()
            });
        }
    }
}
