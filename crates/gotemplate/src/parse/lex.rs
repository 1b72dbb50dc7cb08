//! Cuts a template into text and the tokens of its actions.

use memchr::memmem::Finder;

/// The type of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Type {
    fn keyword(word: &str) -> Option<Type> {
        Some(match word {
            "block" => Type::Block,
            "break" => Type::Break,
            "continue" => Type::Continue,
            "define" => Type::Define,
            "else" => Type::Else,
            "end" => Type::End,
            "if" => Type::If,
            "range" => Type::Range,
            "nil" => Type::Nil,
            "template" => Type::Template,
            "with" => Type::With,
            _ => return None,
        })
    }

    /// Whether errors show it in angle brackets.
    pub(super) fn is_keyword(self) -> bool {
        use Type::*;
        matches!(
            self,
            Block | Break | Continue | Dot | Define | Else | End | If | Nil | Range | Template | With
        )
    }
}

/// A token: its type and where it stands. For [`Type::Error`] the message is in the lexer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) kind: Type,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Item {
    pub(super) const NONE: Item = Item { kind: Type::Eof, start: 0, end: 0 };
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

fn left_trim(text: &[u8]) -> bool {
    matches!(text, [b'-', b' ' | b'\t' | b'\r' | b'\n', ..])
}

fn right_trim(text: &[u8]) -> bool {
    matches!(text, [b' ' | b'\t' | b'\r' | b'\n', b'-', ..])
}

/// The lexer: [`Lexer::next_item`] gives one token after the other.
pub(super) struct Lexer<'t> {
    pub(super) text: &'t str,
    left: &'t str,
    right: &'t str,
    finder: Finder<'t>,
    pos: usize,
    start: usize,
    parens: usize,
    inside: bool,
    break_ok: bool,
    continue_ok: bool,
    pub(super) error: Option<String>,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(
        text: &'t str,
        left: &'t str,
        right: &'t str,
        break_ok: bool,
        continue_ok: bool,
    ) -> Self {
        let left = if left.is_empty() { "{{" } else { left };
        let right = if right.is_empty() { "}}" } else { right };
        Lexer {
            text,
            left,
            right,
            finder: Finder::new(left),
            pos: 0,
            start: 0,
            parens: 0,
            inside: false,
            break_ok,
            continue_ok,
            error: None,
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.pos..).unwrap_or("")
    }

    fn bytes_from(&self, pos: usize) -> &'t [u8] {
        self.text.as_bytes().get(pos..).unwrap_or_default()
    }

    /// Goes over letters, digits and `_`.
    fn word(&mut self) {
        while let Some(byte) = self.byte() {
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                self.pos += 1;
            } else if byte.is_ascii() || !self.peek().is_some_and(is_alphanumeric) {
                return;
            } else {
                self.next();
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    fn peek(&self) -> Option<char> {
        match self.byte()? {
            byte if byte.is_ascii() => Some(char::from(byte)),
            _ => self.rest().chars().next(),
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn emit(&mut self, kind: Type) -> Item {
        let item = Item { kind, start: self.start, end: self.pos };
        self.start = self.pos;
        item
    }

    fn fail(&mut self, message: impl Into<String>) -> Item {
        self.error = Some(message.into());
        let item = Item { kind: Type::Error, start: self.start, end: self.start };
        self.pos = self.text.len();
        self.start = self.pos;
        item
    }

    /// The next token. After an error or the end there is only the end.
    pub(super) fn next_item(&mut self) -> Item {
        if self.error.is_some() {
            return Item { kind: Type::Eof, start: self.pos, end: self.pos };
        }
        if self.inside { self.action() } else { self.plain() }
    }

    fn plain(&mut self) -> Item {
        loop {
            let rest = self.rest();
            let Some(at) = self.finder.find(rest.as_bytes()) else {
                self.pos = self.text.len();
                return self.emit(if self.pos > self.start { Type::Text } else { Type::Eof });
            };
            if at > 0 {
                let text = rest.get(..at).unwrap_or("");
                let after = self.bytes_from(self.pos + at + self.left.len());
                let kept = if left_trim(after) { text.trim_end_matches(SPACES).len() } else { at };
                let begin = self.start;
                self.pos += at;
                self.start = self.pos;
                if kept > 0 {
                    return Item { kind: Type::Text, start: begin, end: begin + kept };
                }
            }
            if let Some(item) = self.left_delim() {
                return item;
            }
        }
    }

    /// The left delimiter, or a whole comment (then nothing).
    fn left_delim(&mut self) -> Option<Item> {
        let after = self.pos + self.left.len();
        let marker = if left_trim(self.bytes_from(after)) { 2 } else { 0 };
        if self.bytes_from(after + marker).starts_with(b"/*") {
            self.pos = after + marker;
            self.start = self.pos;
            return self.comment();
        }
        self.pos = after;
        let item = self.emit(Type::LeftDelim);
        self.inside = true;
        self.pos += marker;
        self.start = self.pos;
        self.parens = 0;
        Some(item)
    }

    fn comment(&mut self) -> Option<Item> {
        self.pos += 2;
        let Some(end) = self.rest().find("*/") else {
            return Some(self.fail("unclosed comment"));
        };
        self.pos += end + 2;
        let Some(trim) = self.at_right_delim() else {
            return Some(self.fail("comment ends before closing delimiter"));
        };
        self.pos += if trim { 2 } else { 0 } + self.right.len();
        if trim {
            self.skip_spaces();
        }
        self.start = self.pos;
        None
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.pos += rest.len() - rest.trim_start_matches(SPACES).len();
    }

    /// Whether a right delimiter stands here, and if so whether it trims.
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.bytes_from(self.pos);
        if right_trim(rest) && self.bytes_from(self.pos + 2).starts_with(self.right.as_bytes()) {
            return Some(true);
        }
        rest.starts_with(self.right.as_bytes()).then_some(false)
    }

    fn right_delim(&mut self) -> Item {
        let trim = self.at_right_delim() == Some(true);
        if trim {
            self.pos += 2;
            self.start = self.pos;
        }
        self.pos += self.right.len();
        let item = self.emit(Type::RightDelim);
        if trim {
            self.skip_spaces();
            self.start = self.pos;
        }
        self.inside = false;
        item
    }

    fn action(&mut self) -> Item {
        if self.at_right_delim().is_some() {
            if self.parens == 0 {
                return self.right_delim();
            }
            return self.fail("unclosed left paren");
        }
        let Some(c) = self.next() else {
            return self.fail("unclosed action");
        };
        match c {
            c if is_space(c) => {
                self.pos -= c.len_utf8();
                self.space()
            }
            '=' => self.emit(Type::Assign),
            ':' => {
                if self.next() != Some('=') {
                    return self.fail("expected :=");
                }
                self.emit(Type::Declare)
            }
            '|' => self.emit(Type::Pipe),
            '"' => self.quoted('"', Type::String, "unterminated quoted string"),
            '`' => {
                while let Some(c) = self.next() {
                    if c == '`' {
                        return self.emit(Type::RawString);
                    }
                }
                self.fail("unterminated raw quoted string")
            }
            '$' => self.field_or_variable(Type::Variable),
            '\'' => self.quoted('\'', Type::CharConstant, "unterminated character constant"),
            '.' if self.pos < self.text.len() && !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.field_or_variable(Type::Field)
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.pos -= 1;
                self.number()
            }
            c if is_alphanumeric(c) => {
                self.pos -= c.len_utf8();
                self.identifier()
            }
            '(' => {
                self.parens += 1;
                self.emit(Type::LeftParen)
            }
            ')' => {
                if self.parens == 0 {
                    return self.fail("unexpected right paren");
                }
                self.parens -= 1;
                self.emit(Type::RightParen)
            }
            ' '..='~' => self.emit(Type::Char),
            c => self.fail(format!("unrecognized character in action: {}", crate::fmt::unicode(c))),
        }
    }

    fn space(&mut self) -> Item {
        let mut count = 0;
        while self.peek().is_some_and(is_space) {
            self.pos += 1;
            count += 1;
        }
        // The last space may belong to a trimming delimiter.
        let trims = right_trim(self.bytes_from(self.pos - 1));
        if trims && self.bytes_from(self.pos + 1).starts_with(self.right.as_bytes()) {
            self.pos -= 1;
            if count == 1 {
                return self.right_delim();
            }
        }
        self.emit(Type::Space)
    }

    fn quoted(&mut self, quote: char, kind: Type, message: &str) -> Item {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|c| c != '\n') => {
                    self.next();
                }
                None | Some('\n' | '\\') => return self.fail(message),
                Some(c) if c == quote => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.bytes_from(self.pos).starts_with(self.right.as_bytes()),
        }
    }

    fn bad_character(&mut self) -> Item {
        let shown = self.peek().map_or_else(|| "U+FFFFFFFFFFFFFFFF".to_owned(), crate::fmt::unicode);
        self.fail(format!("bad character {shown}"))
    }

    fn identifier(&mut self) -> Item {
        self.word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let word = self.text.get(self.start..self.pos).unwrap_or("");
        let kind = match Type::keyword(word) {
            Some(Type::Break) if !self.break_ok => Type::Identifier,
            Some(Type::Continue) if !self.continue_ok => Type::Identifier,
            Some(kind) => kind,
            None if word == "true" || word == "false" => Type::Bool,
            None => Type::Identifier,
        };
        self.emit(kind)
    }

    fn field_or_variable(&mut self, kind: Type) -> Item {
        if self.at_terminator() {
            return self.emit(if kind == Type::Variable { kind } else { Type::Dot });
        }
        self.word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.emit(kind)
    }

    fn number(&mut self) -> Item {
        let mut ok = self.scan_number();
        let mut kind = Type::Number;
        if ok && matches!(self.peek(), Some('+' | '-')) {
            // 1+2i
            ok = self.scan_number() && self.text.get(..self.pos).is_some_and(|text| text.ends_with('i'));
            kind = Type::Complex;
        }
        if ok {
            return self.emit(kind);
        }
        let text = crate::fmt::quote(self.text.get(self.start..self.pos).unwrap_or(""));
        self.fail(format!("bad number syntax: {text}"))
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|c| valid.contains(c));
        if found {
            self.pos += 1;
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn scan_number(&mut self) -> bool {
        const DECIMAL: &str = "0123456789_";
        const HEX: &str = "0123456789abcdefABCDEF_";
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEX;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits {
            DECIMAL => self.accept("eE"),
            HEX => self.accept("pP"),
            _ => false,
        };
        if exponent {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}
