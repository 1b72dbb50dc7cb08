//! Plain, quoted and block scalars.

use std::borrow::Cow;

use crate::scanner::{Rules, Scan, Scanner};
use crate::text::{Builder, Mark, find_break, is_blankz, is_break, is_breakz, is_document_marker};

/// Line breaks between two pieces of a folded scalar.
#[derive(Default)]
struct Breaks {
    first: &'static str,
    more: String,
}

impl Breaks {
    fn add(&mut self, text: &'static str, leading: &mut bool) {
        if *leading {
            self.more.push_str(text);
        } else {
            self.first = text;
            *leading = true;
        }
    }

    /// One break folds into a space, more keep all but the first.
    fn fold(&mut self, out: &mut Builder<'_>) {
        match (self.first, self.more.is_empty()) {
            ("\n", true) => out.push(" "),
            ("\n", false) => out.push(&self.more),
            _ => {
                out.push(self.first);
                out.push(&self.more);
            }
        }
        self.first = "";
        self.more.clear();
    }
}

impl<'a> Scanner<'a> {
    /// The end of the run of plain characters at `p`.
    fn plain_run(&self, mut p: usize) -> usize {
        let flow = self.flow_level > 0;
        loop {
            match self.bytes.get(p).copied().unwrap_or(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0 => return p,
                b':' if is_blankz(self.bytes, p + 1) => return p,
                b',' | b'?' | b'[' | b']' | b'{' | b'}' if flow => return p,
                0xC2 | 0xE2 if is_break(self.bytes, p) => return p,
                _ => p += 1,
            }
        }
    }

    pub(crate) fn scan_plain(&mut self) -> Scan<(Cow<'a, str>, Mark)> {
        let (start, mut end) = (self.mark, self.mark);
        let indent = self.indent + 1;
        let mut out = Builder::new(self.text);
        let mut breaks = Breaks::default();
        let mut leading = false;
        let mut blanks = (0, 0);
        loop {
            if self.mark.column == 0 && is_document_marker(self.bytes, self.pos) || self.at(0) == b'#' {
                break;
            }
            let run = self.plain_run(self.pos);
            if run > self.pos {
                if leading {
                    breaks.fold(&mut out);
                    leading = false;
                } else if blanks.1 > blanks.0 {
                    out.range(blanks.0, blanks.1);
                }
                blanks = (0, 0);
                out.range(self.pos, run);
                self.advance(run);
                end = self.mark;
            }
            if !matches!(self.at(0), b' ' | b'\t') && !is_break(self.bytes, self.pos) {
                break;
            }
            loop {
                let c = self.at(0);
                if c == b' ' || c == b'\t' {
                    if leading && c == b'\t' && (self.mark.column as isize) < indent {
                        return Err(self.fault(start, "found a tab character that violates indentation"));
                    }
                    if !leading {
                        let from = if blanks.1 > blanks.0 { blanks.0 } else { self.pos };
                        blanks = (from, self.pos + 1);
                    }
                    self.skip();
                } else if is_break(self.bytes, self.pos) {
                    blanks = (0, 0);
                    let text = self.skip_line();
                    breaks.add(text, &mut leading);
                } else {
                    break;
                }
            }
            if self.flow_level == 0 && (self.mark.column as isize) < indent {
                break;
            }
        }
        if leading {
            self.simple_key_allowed = true;
        }
        Ok((out.finish(), end))
    }

    pub(crate) fn scan_quoted(&mut self, single: bool) -> Scan<Cow<'a, str>> {
        let start = self.mark;
        let quote = if single { b'\'' } else { b'"' };
        self.skip();
        let mut out = Builder::new(self.text);
        let mut breaks = Breaks::default();
        loop {
            if self.mark.column == 0 && is_document_marker(self.bytes, self.pos) {
                return Err(self.fault(start, "found unexpected document indicator"));
            }
            if self.at(0) == 0 {
                return Err(self.fault(start, "found unexpected end of stream"));
            }
            let mut leading = self.quoted_run(single, start, &mut out)?;
            if self.at(0) == quote {
                break;
            }
            let from = self.pos;
            let mut blanks = from;
            loop {
                if matches!(self.at(0), b' ' | b'\t') {
                    self.skip();
                    if !leading {
                        blanks = self.pos;
                    }
                } else if is_break(self.bytes, self.pos) {
                    let text = self.skip_line();
                    breaks.add(text, &mut leading);
                } else {
                    break;
                }
            }
            if leading {
                breaks.fold(&mut out);
            } else {
                out.range(from, blanks);
            }
        }
        self.skip();
        Ok(out.finish())
    }

    /// Characters up to white space, the closing quote or the end; `true` after an escaped line break.
    fn quoted_run(&mut self, single: bool, start: Mark, out: &mut Builder<'a>) -> Scan<bool> {
        loop {
            let mut p = self.pos;
            loop {
                match self.bytes.get(p).copied().unwrap_or(0) {
                    b' ' | b'\t' | b'\n' | b'\r' | 0 => break,
                    b'\'' if single => break,
                    b'"' | b'\\' if !single => break,
                    0xC2 | 0xE2 if is_break(self.bytes, p) => break,
                    _ => p += 1,
                }
            }
            if p > self.pos {
                out.range(self.pos, p);
                self.advance(p);
            }
            match self.at(0) {
                b'\'' if single && self.at(1) == b'\'' => {
                    out.range(self.pos, self.pos + 1);
                    self.skip();
                    self.skip();
                }
                b'\\' if !single && is_break(self.bytes, self.pos + 1) => {
                    self.skip();
                    self.skip_line();
                    return Ok(true);
                }
                b'\\' if !single => self.scan_escape(start, out)?,
                _ => return Ok(false),
            }
        }
    }

    fn scan_escape(&mut self, start: Mark, out: &mut Builder<'a>) -> Scan<()> {
        let mut digits = 0;
        let c = match self.at(1) {
            b'0' => '\0',
            b'a' => '\u{7}',
            b'b' => '\u{8}',
            b't' | b'\t' => '\t',
            b'n' => '\n',
            b'v' => '\u{b}',
            b'f' => '\u{c}',
            b'r' => '\r',
            b'e' => '\u{1b}',
            b' ' => ' ',
            b'"' => '"',
            b'\'' => '\'',
            b'\\' => '\\',
            b'N' => '\u{85}',
            b'_' => '\u{a0}',
            b'L' => '\u{2028}',
            b'P' => '\u{2029}',
            b'x' => {
                digits = 2;
                ' '
            }
            b'u' => {
                digits = 4;
                ' '
            }
            b'U' => {
                digits = 8;
                ' '
            }
            _ => return Err(self.fault(start, "found unknown escape character")),
        };
        self.skip();
        self.skip();
        if digits == 0 {
            out.push_char(c);
            return Ok(());
        }
        let mut code = 0u32;
        for k in 0..digits {
            let Some(digit) = (self.at(k) as char).to_digit(16) else {
                return Err(self.fault(start, "did not find expected hexdecimal number"));
            };
            code = code << 4 | digit;
        }
        let Some(c) = char::from_u32(code) else {
            return Err(self.fault(start, "found invalid Unicode character escape code"));
        };
        out.push_char(c);
        for _ in 0..digits {
            self.skip();
        }
        Ok(())
    }

    pub(crate) fn scan_block_scalar(&mut self, literal: bool) -> Scan<(Cow<'a, str>, Mark)> {
        let start = self.mark;
        self.skip();
        let (keep, increment) = self.scan_block_header(start)?;
        while matches!(self.at(0), b' ' | b'\t') {
            self.skip();
        }
        if self.at(0) == b'#' {
            if self.rules == Rules::V3 {
                self.scan_line_comment(start);
            }
            if !is_breakz(self.bytes, self.pos) {
                self.advance(find_break(self.bytes, self.pos));
            }
        }
        if !is_breakz(self.bytes, self.pos) {
            return Err(self.fault(start, "did not find expected comment or line break"));
        }
        self.skip_line();
        let mut end = self.mark;
        let mut indent = if increment > 0 { self.indent.max(0) as usize + increment } else { 0 };
        let mut out = Builder::new(self.text);
        let mut trailing = String::new();
        let mut first = "";
        self.scan_block_breaks(&mut indent, &mut trailing, start, &mut end)?;
        let mut leading_blank = false;
        while self.mark.column == indent && self.at(0) != 0 {
            let blank = matches!(self.at(0), b' ' | b'\t');
            if !literal && !leading_blank && !blank && first == "\n" {
                if trailing.is_empty() {
                    out.push(" ");
                }
            } else {
                out.push(first);
            }
            out.push(&trailing);
            trailing.clear();
            leading_blank = blank;
            let line_end = find_break(self.bytes, self.pos);
            out.range(self.pos, line_end);
            if line_end > self.pos {
                // A line of blanks only does not reset the count of line breaks.
                let blank_only = self.bytes[self.pos..line_end].iter().all(|c| matches!(c, b' ' | b'\t'));
                let newlines = self.newlines;
                self.advance(line_end);
                if blank_only {
                    self.newlines = newlines;
                }
            }
            first = self.skip_line();
            self.scan_block_breaks(&mut indent, &mut trailing, start, &mut end)?;
        }
        if keep >= 0 {
            out.push(first);
        }
        if keep > 0 {
            out.push(&trailing);
        }
        Ok((out.finish(), end))
    }

    /// Chomping (-1 strip, 0 clip, 1 keep) and the indentation indicator (0 = none).
    fn scan_block_header(&mut self, start: Mark) -> Scan<(i8, usize)> {
        let (mut keep, mut increment) = (0, 0);
        let chomping = |c: u8| match c {
            b'+' => Some(1),
            b'-' => Some(-1),
            _ => None,
        };
        for turn in 0..2 {
            let c = self.at(0);
            if let Some(sign) = chomping(c).filter(|_| keep == 0) {
                keep = sign;
                self.skip();
            } else if c.is_ascii_digit() && increment == 0 && (turn == 0 || keep != 0) {
                if c == b'0' {
                    return Err(self.fault(start, "found an indentation indicator equal to 0"));
                }
                increment = usize::from(c - b'0');
                self.skip();
            } else {
                break;
            }
        }
        Ok((keep, increment))
    }

    /// Indentation and empty lines before the next line; finds the indentation when it is not set yet.
    fn scan_block_breaks(
        &mut self,
        indent: &mut usize,
        breaks: &mut String,
        start: Mark,
        end: &mut Mark,
    ) -> Scan<()> {
        *end = self.mark;
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.at(0) == b' ' {
                self.skip();
            }
            deepest = deepest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.at(0) == b'\t' {
                return Err(self.fault(start, "found a tab character where an indentation space is expected"));
            }
            if !is_break(self.bytes, self.pos) {
                break;
            }
            breaks.push_str(self.skip_line());
            *end = self.mark;
        }
        if *indent == 0 {
            *indent = deepest.max((self.indent + 1).max(1) as usize);
        }
        Ok(())
    }
}
