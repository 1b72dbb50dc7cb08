//! Directives, anchors and tags.

use std::borrow::Cow;

use crate::scanner::{Fault, Scan, Scanner, TokenKind};
use crate::text::{Mark, find_break, is_break, is_breakz, is_word};

impl<'a> Scanner<'a> {
    fn skip_blanks(&mut self) {
        while matches!(self.at(0), b' ' | b'\t') {
            self.skip();
        }
    }

    /// Letters, digits, `_` and `-` from here on.
    fn word(&mut self) -> &'a str {
        let (text, start) = (self.text, self.pos);
        while is_word(self.at(0)) {
            self.skip();
        }
        text.get(start..self.pos).unwrap_or_default()
    }

    /// A line that starts with `%`; returns the token and where it ends (before the rest of the line).
    pub(crate) fn scan_directive(&mut self) -> Scan<(TokenKind<'a>, Mark)> {
        let start = self.mark;
        self.skip();
        let name = self.word();
        if name.is_empty() {
            return Err(self.fault(start, "could not find expected directive name"));
        }
        if !self.blankz(0) {
            return Err(self.fault(start, "found unexpected non-alphabetical character"));
        }
        let kind = match name {
            "YAML" => self.scan_version(start)?,
            "TAG" => self.scan_tag_directive(start)?,
            _ => return Err(self.fault(start, "found unknown directive name")),
        };
        let end = self.mark;
        self.skip_blanks();
        if self.at(0) == b'#' {
            self.advance(find_break(self.bytes, self.pos));
        }
        if !is_breakz(self.bytes, self.pos) {
            return Err(self.fault(start, "did not find expected comment or line break"));
        }
        if is_break(self.bytes, self.pos) {
            self.skip_line();
        }
        Ok((kind, end))
    }

    fn scan_version(&mut self, start: Mark) -> Scan<TokenKind<'a>> {
        self.skip_blanks();
        let major = self.scan_version_number(start)?;
        if self.at(0) != b'.' {
            return Err(self.fault(start, "did not find expected digit or '.' character"));
        }
        self.skip();
        let minor = self.scan_version_number(start)?;
        Ok(TokenKind::VersionDirective(major, minor))
    }

    fn scan_version_number(&mut self, start: Mark) -> Scan<u8> {
        let (mut value, mut length) = (0u8, 0);
        while self.at(0).is_ascii_digit() {
            length += 1;
            if length > 2 {
                return Err(self.fault(start, "found extremely long version number"));
            }
            value = value * 10 + (self.at(0) - b'0');
            self.skip();
        }
        if length == 0 {
            return Err(self.fault(start, "did not find expected version number"));
        }
        Ok(value)
    }

    fn scan_tag_directive(&mut self, start: Mark) -> Scan<TokenKind<'a>> {
        self.skip_blanks();
        let handle = self.scan_tag_handle(true, start)?;
        if !matches!(self.at(0), b' ' | b'\t') {
            return Err(self.fault(start, "did not find expected whitespace"));
        }
        self.skip_blanks();
        let prefix = self.scan_tag_uri("", start)?;
        if !self.blankz(0) {
            return Err(self.fault(start, "did not find expected whitespace or line break"));
        }
        Ok(TokenKind::TagDirective(Cow::Borrowed(handle), Cow::Owned(prefix)))
    }

    pub(crate) fn scan_anchor(&mut self) -> Scan<TokenKind<'a>> {
        let (start, anchor) = (self.mark, self.at(0) == b'&');
        self.skip();
        let name = self.word();
        let ends =
            self.blankz(0) || matches!(self.at(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ends {
            return Err(self.fault(start, "did not find expected alphabetic or numeric character"));
        }
        Ok(if anchor { TokenKind::Anchor(name) } else { TokenKind::Alias(name) })
    }

    pub(crate) fn scan_tag(&mut self) -> Scan<TokenKind<'a>> {
        let start = self.mark;
        let (handle, suffix): (Cow<'a, str>, Cow<'a, str>);
        if self.at(1) == b'<' {
            self.skip();
            self.skip();
            (handle, suffix) = (Cow::Borrowed(""), Cow::Owned(self.scan_tag_uri("", start)?));
            if self.at(0) != b'>' {
                return Err(self.fault(start, "did not find the expected '>'"));
            }
            self.skip();
        } else {
            let head = self.scan_tag_handle(false, start)?;
            if head.len() > 1 && head.ends_with('!') {
                (handle, suffix) = (Cow::Borrowed(head), Cow::Owned(self.scan_tag_uri("", start)?));
            } else {
                let uri = self.scan_tag_uri(head, start)?;
                // A lone `!` is a tag of its own, without a handle.
                (handle, suffix) = match uri.is_empty() {
                    true => (Cow::Borrowed(""), Cow::Borrowed("!")),
                    false => (Cow::Borrowed("!"), Cow::Owned(uri)),
                };
            }
        }
        if !self.blankz(0) {
            return Err(self.fault(start, "did not find expected whitespace or line break"));
        }
        Ok(TokenKind::Tag(handle, suffix))
    }

    fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Scan<&'a str> {
        let (text, begin) = (self.text, self.pos);
        if self.at(0) != b'!' {
            return Err(self.fault(start, "did not find expected '!'"));
        }
        self.skip();
        self.word();
        if self.at(0) == b'!' {
            self.skip();
        } else if directive && self.pos - begin != 1 {
            return Err(self.fault(start, "did not find expected '!'"));
        }
        Ok(text.get(begin..self.pos).unwrap_or_default())
    }

    /// The rest of a tag after `head` (whose `!` is left out).
    fn scan_tag_uri(&mut self, head: &str, start: Mark) -> Scan<String> {
        let mut uri: Vec<u8> = head.bytes().skip(1).collect();
        let mut found = !head.is_empty();
        loop {
            let c = self.at(0);
            if c == b'%' {
                self.scan_uri_escape(start, &mut uri)?;
            } else if is_word(c) || (c != 0 && b";/?:@&=+$,.!~*'()[]".contains(&c)) {
                uri.push(c);
                self.skip();
            } else {
                break;
            }
            found = true;
        }
        if !found {
            return Err(self.fault(start, "did not find expected tag URI"));
        }
        Ok(String::from_utf8(uri)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// One character written as `%XX` octets.
    fn scan_uri_escape(&mut self, start: Mark, uri: &mut Vec<u8>) -> Result<(), Box<Fault>> {
        let mut left = None;
        while left != Some(0) {
            let hex = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
            let (high, low) = match (self.at(0), hex(self.at(1)), hex(self.at(2))) {
                (b'%', Some(high), Some(low)) => (high, low),
                _ => return Err(self.fault(start, "did not find URI escaped octet")),
            };
            let octet = high << 4 | low;
            let width = match left {
                None => match octet {
                    0..=0x7F => 1,
                    0xC0..=0xDF => 2,
                    0xE0..=0xEF => 3,
                    0xF0..=0xF7 => 4,
                    _ => return Err(self.fault(start, "found an incorrect leading UTF-8 octet")),
                },
                Some(_) if octet & 0xC0 != 0x80 => {
                    return Err(self.fault(start, "found an incorrect trailing UTF-8 octet"));
                }
                Some(width) => width,
            };
            uri.push(octet);
            self.skip();
            self.skip();
            self.skip();
            left = Some(width - 1);
        }
        Ok(())
    }
}
