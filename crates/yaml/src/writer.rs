//! Characters out: indentation, line breaks and the five ways to write a scalar, for both libraries.

use crate::scanner::{Rules, ScalarStyle};
use crate::text::{break_len, is_blankz, is_break, width};

/// What may be done with a scalar, judged by its characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Analysis {
    pub multiline: bool,
    pub flow_plain: bool,
    pub block_plain: bool,
    pub single: bool,
    pub block: bool,
}

fn is_printable(bytes: &[u8], i: usize) -> bool {
    let next = bytes.get(i + 1).copied().unwrap_or(0);
    let third = bytes.get(i + 2).copied().unwrap_or(0);
    match bytes.get(i).copied().unwrap_or(0) {
        0x0A | 0x20..=0x7E => true,
        0xC2 => next >= 0xA0,
        0xC3..=0xEC | 0xEE => true,
        0xED => next < 0xA0,
        0xEF => !(next == 0xBB && third == 0xBF || next == 0xBF && matches!(third, 0xBE | 0xBF)),
        _ => false,
    }
}

const ODD: u8 = 1;

/// Bytes that need a look: everything but letters, digits and harmless punctuation.
const TABLE: [u8; 256] = {
    let mut table = [ODD; 256];
    let plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+=()$;<^~\\";
    let mut i = 0;
    while i < plain.len() {
        table[plain[i] as usize] = 0;
        i += 1;
    }
    table
};

pub(crate) fn analyze(text: &str, rules: Rules) -> Analysis {
    let bytes = text.as_bytes();
    let mut a = Analysis { multiline: false, flow_plain: true, block_plain: true, single: true, block: true };
    if bytes.is_empty() {
        return Analysis { flow_plain: false, block: false, ..a };
    }
    let dots = bytes.starts_with(b"---") || bytes.starts_with(b"...");
    if !dots && bytes.iter().all(|c| TABLE[*c as usize] == 0) {
        return a;
    }
    let (mut block_indicators, mut flow_indicators) = (dots, dots);
    let (mut special, mut tabs) = (false, false);
    let (mut edge, mut trailing_space) = (false, false);
    let (mut break_space, mut space_break) = (false, false);
    let (mut previous_space, mut previous_break) = (false, false);
    let mut preceded = true;
    let mut i = 0;
    while let Some(&c) = bytes.get(i) {
        let w = width(c);
        let last = i + w >= bytes.len();
        let followed = last || matches!(bytes.get(i + w), Some(b' ' | b'\t'));
        match c {
            b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%' | b'@' | b'`' if i == 0 => {
                (flow_indicators, block_indicators) = (true, true);
            }
            b',' | b'[' | b']' | b'{' | b'}' => {
                flow_indicators = true;
                block_indicators |= i == 0;
            }
            b'?' => {
                flow_indicators = true;
                block_indicators |= i == 0 && followed;
            }
            b':' => {
                flow_indicators = true;
                block_indicators |= followed;
            }
            b'-' if i == 0 && followed => (flow_indicators, block_indicators) = (true, true),
            b'#' if preceded => (flow_indicators, block_indicators) = (true, true),
            _ => {}
        }
        if c == b'\t' && rules == Rules::V3 {
            tabs = true;
        } else if !is_printable(bytes, i) {
            special = true;
        }
        let is_a_break = is_break(bytes, i);
        if c == b' ' {
            edge |= i == 0 || last;
            trailing_space |= last;
            break_space |= previous_break;
            (previous_space, previous_break) = (true, false);
        } else if is_a_break {
            a.multiline = true;
            edge |= i == 0 || last;
            space_break |= previous_space;
            (previous_space, previous_break) = (false, true);
        } else {
            (previous_space, previous_break) = (false, false);
        }
        preceded = is_blankz(bytes, i);
        i += w;
    }
    let unsafe_plain = edge || break_space || space_break || tabs || special || a.multiline;
    a.flow_plain = !unsafe_plain && !flow_indicators;
    a.block_plain = !unsafe_plain && !block_indicators;
    a.single = !(break_space || space_break || tabs || special);
    a.block = !(trailing_space || space_break || special);
    a
}

/// The place where text is written, and what the emitter must remember about it.
pub(crate) struct Writer {
    pub out: String,
    pub rules: Rules,
    pub column: usize,
    pub indent: isize,
    pub whitespace: bool,
    pub indention: bool,
    pub foot_indent: isize,
    pub width: usize,
}

impl Writer {
    pub fn new(rules: Rules) -> Self {
        Writer {
            out: String::new(),
            rules,
            column: 0,
            indent: -1,
            whitespace: true,
            indention: true,
            foot_indent: -1,
            width: if rules == Rules::V2 { 80 } else { usize::MAX },
        }
    }

    pub fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    pub fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        if self.rules == Rules::V3 {
            self.indention = true;
        }
    }

    /// Writes the character at `i` and returns the position behind it.
    fn write(&mut self, text: &str, i: usize) -> usize {
        let end = i + width(text.as_bytes().get(i).copied().unwrap_or(0));
        self.out.push_str(text.get(i..end).unwrap_or_default());
        self.column += 1;
        end
    }

    /// Writes characters `a..b`, none of which is a line break.
    fn write_run(&mut self, text: &str, a: usize, b: usize) {
        let run = text.get(a..b).unwrap_or_default();
        self.out.push_str(run);
        self.column += crate::text::count_chars(run.as_bytes());
    }

    /// Writes the line break at `i`; only a line feed becomes one, the others stay as they are.
    fn write_break(&mut self, text: &str, i: usize) -> usize {
        if text.as_bytes().get(i) == Some(&b'\n') {
            self.put_break();
            return i + 1;
        }
        let end = self.write(text, i);
        self.column = 0;
        if self.rules == Rules::V3 {
            self.indention = true;
        }
        end
    }

    pub fn write_indent(&mut self) {
        let indent = self.indent.max(0);
        let column = self.column as isize;
        if !self.indention || column > indent || (column == indent && !self.whitespace) {
            self.put_break();
        }
        if self.rules == Rules::V3 && self.foot_indent == indent {
            self.put_break();
        }
        let missing = (indent as usize).saturating_sub(self.column);
        self.out.extend(std::iter::repeat_n(' ', missing));
        self.column += missing;
        self.whitespace = true;
        if self.rules == Rules::V2 {
            self.indention = true;
        }
        self.foot_indent = -1;
    }

    pub fn indicator(&mut self, text: &str, need_whitespace: bool, is_whitespace: bool, is_indention: bool) {
        if need_whitespace && !self.whitespace {
            self.put(' ');
        }
        self.out.push_str(text);
        self.column += text.len();
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }

    /// Writes an anchor's name, a tag or the like.
    pub fn word(&mut self, text: &str) {
        self.write_run(text, 0, text.len());
        self.whitespace = false;
        self.indention = false;
    }

    pub fn scalar(&mut self, text: &str, style: ScalarStyle, allow_breaks: bool, line_comment: Option<&str>) {
        match style {
            ScalarStyle::Plain => self.plain(text, allow_breaks),
            ScalarStyle::Single => self.single(text, allow_breaks),
            ScalarStyle::Double => self.double(text, allow_breaks),
            ScalarStyle::Literal => self.literal(text, line_comment),
            ScalarStyle::Folded => self.folded(text, line_comment),
        }
    }

    /// After a break inside a scalar v2 counts the next line as fresh.
    fn after_break(&mut self) {
        if self.rules == Rules::V2 {
            self.indention = true;
        }
    }

    fn plain(&mut self, text: &str, allow_breaks: bool) {
        if (self.rules == Rules::V2 || !text.is_empty()) && !self.whitespace {
            self.put(' ');
        }
        self.flow_text(text, allow_breaks, false);
        if self.rules == Rules::V2 || !text.is_empty() {
            self.whitespace = false;
        }
        self.indention = false;
    }

    fn single(&mut self, text: &str, allow_breaks: bool) {
        self.indicator("'", true, false, false);
        self.flow_text(text, allow_breaks, true);
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    /// Plain and single quoted text: folded at spaces beyond the width.
    fn flow_text(&mut self, text: &str, allow_breaks: bool, single: bool) {
        let bytes = text.as_bytes();
        let (mut spaces, mut breaks) = (false, false);
        let mut i = 0;
        while let Some(&c) = bytes.get(i) {
            if c == b' ' {
                let inside = !single || (i > 0 && i + 1 < bytes.len());
                let alone = bytes.get(i + 1) != Some(&b' ');
                if allow_breaks && !spaces && self.column > self.width && inside && alone {
                    self.write_indent();
                    i += 1;
                } else {
                    i = self.write(text, i);
                }
                spaces = true;
            } else if is_break(bytes, i) {
                if !breaks && c == b'\n' {
                    self.put_break();
                }
                i = self.write_break(text, i);
                self.after_break();
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if single && c == b'\'' {
                    self.put('\'');
                    i = self.write(text, i);
                } else {
                    let mut end = i + 1;
                    while bytes
                        .get(end)
                        .is_some_and(|c| !matches!(c, b' ' | b'\'' | b'\n' | b'\r') && c.is_ascii())
                    {
                        end += 1;
                    }
                    if c.is_ascii() {
                        self.write_run(text, i, end);
                        i = end;
                    } else {
                        i = self.write(text, i);
                    }
                }
                self.indention = false;
                (spaces, breaks) = (false, false);
            }
        }
    }

    fn double(&mut self, text: &str, allow_breaks: bool) {
        let bytes = text.as_bytes();
        // A text that starts with a byte order mark is escaped throughout.
        let marked = bytes.starts_with(b"\xEF\xBB\xBF");
        let mut spaces = false;
        self.indicator("\"", true, false, false);
        let mut i = 0;
        while let Some(c) = text.get(i..).and_then(|rest| rest.chars().next()) {
            let escaped = marked || !is_printable(bytes, i) || is_break(bytes, i) || c == '"' || c == '\\';
            if escaped {
                self.escape(c);
                i += c.len_utf8();
                spaces = false;
            } else if c == ' ' {
                if allow_breaks && !spaces && self.column > self.width && i > 0 && i + 1 < bytes.len() {
                    self.write_indent();
                    if bytes.get(i + 1) == Some(&b' ') {
                        self.put('\\');
                    }
                    i += 1;
                } else {
                    self.put(' ');
                    i += 1;
                }
                spaces = true;
            } else {
                self.put(c);
                i += c.len_utf8();
                spaces = false;
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => ' ',
        };
        let code = c as u32;
        let text = match short {
            ' ' if code <= 0xFF => format!("\\x{code:02X}"),
            ' ' if code <= 0xFFFF => format!("\\u{code:04X}"),
            ' ' => format!("\\U{code:08X}"),
            short => format!("\\{short}"),
        };
        self.column += text.len();
        self.out.push_str(&text);
    }

    fn block_hints(&mut self, text: &str) {
        let bytes = text.as_bytes();
        if bytes.first() == Some(&b' ') || is_break(bytes, 0) {
            self.indicator("2", false, false, false);
        }
        let mut chars = text.char_indices().rev();
        let is_break_at = |at: Option<(usize, char)>| at.map(|(i, _)| is_break(bytes, i));
        let hint = match (is_break_at(chars.next()), is_break_at(chars.next())) {
            (None | Some(false), _) => "-",
            (Some(true), None | Some(true)) => "+",
            (Some(true), Some(false)) => return,
        };
        self.indicator(hint, false, false, false);
    }

    /// Ends the line a block scalar's header stands on.
    fn header_end(&mut self, line_comment: Option<&str>) {
        match line_comment.filter(|comment| !comment.is_empty()) {
            None => self.put_break(),
            Some(comment) => {
                if !self.whitespace {
                    self.put(' ');
                }
                self.comment(comment);
            }
        }
    }

    fn literal(&mut self, text: &str, line_comment: Option<&str>) {
        self.indicator("|", true, false, false);
        self.block_hints(text);
        self.header_end(line_comment);
        self.after_break();
        self.whitespace = true;
        let bytes = text.as_bytes();
        let mut i = 0;
        let mut breaks = true;
        while i < bytes.len() {
            if is_break(bytes, i) {
                i = self.write_break(text, i);
                self.after_break();
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                let end = line_end(bytes, i);
                self.write_run(text, i, end);
                i = end;
                self.indention = false;
                breaks = false;
            }
        }
    }

    fn folded(&mut self, text: &str, line_comment: Option<&str>) {
        self.indicator(">", true, false, false);
        self.block_hints(text);
        self.header_end(line_comment);
        self.after_break();
        self.whitespace = true;
        let bytes = text.as_bytes();
        // Whether a break is doubled is judged by the first line, not by the next: a quirk to keep.
        let mut first = 0;
        while is_break(bytes, first) {
            first += break_len(&bytes[..bytes.len().min(first + 3)], first).min(width(bytes[first]));
        }
        let blank_first = is_blankz(bytes, first);
        let (mut breaks, mut leading_spaces) = (true, true);
        let mut i = 0;
        while let Some(&c) = bytes.get(i) {
            if is_break(bytes, i) {
                if !breaks && !leading_spaces && c == b'\n' && !blank_first {
                    self.put_break();
                }
                i = self.write_break(text, i);
                self.after_break();
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                    leading_spaces = matches!(c, b' ' | b'\t');
                }
                if !breaks && c == b' ' && bytes.get(i + 1) != Some(&b' ') && self.column > self.width {
                    self.write_indent();
                    i += 1;
                } else {
                    i = self.write(text, i);
                }
                self.indention = false;
                breaks = false;
            }
        }
    }

    /// A comment of one or more lines; lines without `#` get one.
    pub fn comment(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let (mut breaks, mut pound) = (false, false);
        let mut i = 0;
        while let Some(&c) = bytes.get(i) {
            if is_break(bytes, i) {
                i = self.write_break(text, i);
                (breaks, pound) = (true, false);
            } else {
                if breaks {
                    self.write_indent();
                }
                if !pound && c != b'#' {
                    self.put('#');
                    self.put(' ');
                }
                pound = true;
                i = self.write(text, i);
                self.indention = false;
                breaks = false;
            }
        }
        if !breaks {
            self.put_break();
        }
        self.whitespace = true;
    }
}

fn line_end(bytes: &[u8], mut i: usize) -> usize {
    while i < bytes.len() {
        match bytes[i] {
            b'\n' | b'\r' => return i,
            0xC2 | 0xE2 if is_break(bytes, i) => return i,
            _ => i += 1,
        }
    }
    i
}
