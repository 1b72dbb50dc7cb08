//! Why a text is not JSON, in the words of Go's decoder, which clients of the original know.

/// What is wrong with `text`; `None` when Go's decoder would read it.
pub fn problem(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0 };
    match scanner.document() {
        Ok(()) => None,
        Err(Stop::End) => Some("unexpected end of JSON input".to_owned()),
        Err(Stop::At(byte, context)) => Some(format!("invalid character {} {context}", quoted(byte))),
    }
}

/// As [`problem`], or what our own parser says where Go's has no objection (depth, numbers out of range).
pub fn explain(text: &[u8], own: &serde_json::Error) -> String {
    problem(text).unwrap_or_else(|| own.to_string())
}

enum Stop {
    End,
    At(u8, String),
}

fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        0x20..=0x7e => format!("'{}'", byte as char),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        // Go shows a byte beyond ASCII as the character of that number.
        0x80..=0x9f => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// What may follow, innermost last.
enum Open {
    Object,
    Array,
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Result<u8, Stop> {
        self.text.get(self.at).copied().ok_or(Stop::End)
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn refuse<T>(&self, context: impl Into<String>) -> Result<T, Stop> {
        let byte = self.peek()?;
        Err(Stop::At(byte, context.into()))
    }

    /// Without recursion, so that depth costs no stack.
    fn document(&mut self) -> Result<(), Stop> {
        let mut open: Vec<Open> = Vec::new();
        self.space();
        'value: loop {
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    self.space();
                    if self.peek()? == b'}' {
                        self.at += 1;
                    } else {
                        self.key()?;
                        open.push(Open::Object);
                        continue 'value;
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.space();
                    if self.peek()? == b']' {
                        self.at += 1;
                    } else {
                        open.push(Open::Array);
                        continue 'value;
                    }
                }
                _ => self.scalar()?,
            }
            loop {
                self.space();
                match open.last() {
                    None if self.at >= self.text.len() => return Ok(()),
                    None => return self.refuse("after top-level value"),
                    Some(Open::Object) => match self.peek()? {
                        b',' => {
                            self.at += 1;
                            self.space();
                            self.key()?;
                            continue 'value;
                        }
                        b'}' => self.at += 1,
                        _ => return self.refuse("after object key:value pair"),
                    },
                    Some(Open::Array) => match self.peek()? {
                        b',' => {
                            self.at += 1;
                            self.space();
                            continue 'value;
                        }
                        b']' => self.at += 1,
                        _ => return self.refuse("after array element"),
                    },
                }
                open.pop();
            }
        }
    }

    /// A key and its colon, up to the value.
    fn key(&mut self) -> Result<(), Stop> {
        if self.peek()? != b'"' {
            return self.refuse("looking for beginning of object key string");
        }
        self.string()?;
        self.space();
        if self.peek()? != b':' {
            return self.refuse("after object key");
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Stop> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.refuse("looking for beginning of value"),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Stop> {
        for wanted in word.bytes() {
            if self.peek()? != wanted {
                return self.refuse(format!("in literal {word} (expecting {})", quoted(wanted)));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return self.refuse("in \\u hexadecimal character escape");
                                }
                                self.at += 1;
                            }
                        }
                        _ => return self.refuse("in string escape code"),
                    }
                }
                0..=0x1f => return self.refuse("in string literal"),
                _ => self.at += 1,
            }
        }
    }

    fn digits(&mut self) {
        while matches!(self.text.get(self.at), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self, context: &str) -> Result<(), Stop> {
        if !self.peek()?.is_ascii_digit() {
            return self.refuse(context);
        }
        self.digits();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Stop> {
        if self.peek()? == b'-' {
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return self.refuse("in numeric literal");
            }
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn says_what_go_says() {
        let cases = [
            ("{bad", "invalid character 'b' looking for beginning of object key string"),
            ("not", "invalid character 'o' in literal null (expecting 'u')"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{}x", "invalid character 'x' after top-level value"),
            ("{\"a\":", "unexpected end of JSON input"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("\"\\q\"", "invalid character 'q' in string escape code"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("", "unexpected end of JSON input"),
        ];
        for (text, wanted) in cases {
            assert_eq!(problem(text.as_bytes()).as_deref(), Some(wanted), "{text}");
        }
        for text in ["{}", " [1, {\"a\": [true, null]}, -0.5e+3] ", "\"\\u00e9\""] {
            assert_eq!(problem(text.as_bytes()), None, "{text}");
        }
    }
}
