//! TOML as Go's BurntSushi/toml reads it.

use std::rc::Rc;

use crate::fmt::quote;
use crate::parse::number::{parse_float, parse_int};
use crate::time::{Zone, parse as parse_time};
use crate::value::{Elem, List, MAX_DEPTH, Map, Value};

/// Reads a document; the error is Go's.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    let root = Rc::new(Map::new(Elem::Any, Default::default()));
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, context: Vec::new(), key: String::new(), defined: Vec::new() };
    reader.document(&root)?;
    Ok(Value::Map(root))
}

type Res<T> = Result<T, String>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// The table whose entries are read.
    context: Vec<String>,
    key: String,
    /// Tables that a header has named; naming them again is an error.
    defined: Vec<Vec<String>>,
}

fn shown(c: char) -> String {
    let quoted = quote(&c.to_string());
    match c {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        _ => format!("'{}'", quoted.trim_matches('"')),
    }
}

fn new_map() -> Value {
    Value::Map(Rc::new(Map::new(Elem::Any, Default::default())))
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn error<T>(&self, message: impl Into<String>) -> Res<T> {
        let mut end = self.at.min(self.text.len());
        // An error at a line's end belongs to that line.
        if self.text.as_bytes().get(end.wrapping_sub(1)) == Some(&b'\n') {
            end -= 1;
        }
        let line = 1 + self.text.as_bytes().iter().take(end).filter(|byte| **byte == b'\n').count();
        let mut last = self.context.clone();
        if !self.key.is_empty() {
            last.push(self.key.clone());
        }
        let message = message.into();
        if last.is_empty() {
            return Err(format!("toml: line {line}: {message}"));
        }
        Err(format!("toml: line {line} (last key {}): {message}", quote(&last.join("."))))
    }

    fn spaces(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// White space, line ends and comments.
    fn blank(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                Some('#') => self.comment(),
                _ => return,
            }
        }
    }

    fn comment(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn document(&mut self, root: &Rc<Map>) -> Res<()> {
        loop {
            self.blank();
            match self.peek() {
                None => return Ok(()),
                Some('[') => self.header(root)?,
                Some(_) => {
                    let table = self.table(root, &self.context.clone())?;
                    self.entry(&table, 0)?;
                    self.key.clear();
                }
            }
            self.spaces();
            match self.peek() {
                None | Some('\n' | '#') => {}
                Some('\r') if self.rest().starts_with("\r\n") => {}
                Some(c) => {
                    self.next();
                    let expected = "expected a top-level item to end with a newline, comment, or EOF";
                    return self.error(format!("{expected}, but got {} instead", shown(c)));
                }
            }
        }
    }

    /// `[a.b]` or `[[a.b]]`.
    fn header(&mut self, root: &Rc<Map>) -> Res<()> {
        self.next();
        let array = self.peek() == Some('[');
        if array {
            self.next();
        }
        let mut path = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                Some(']') | None => {
                    return self.error("unexpected end of table name (table names cannot be empty)");
                }
                Some('.') => return self.error("unexpected table separator (table names cannot be empty)"),
                _ => path.push(self.name()?),
            }
            self.spaces();
            match self.next() {
                Some('.') => {}
                Some(']') => break,
                Some(c) => {
                    return self.error(format!(
                        "expected '.' or ']' to end table name, but got {} instead",
                        shown(c)
                    ));
                }
                None => return self.error("expected '.' or ']' to end table name, but got '\\x00' instead"),
            }
        }
        if array && self.next() != Some(']') {
            return self.error("expected end of table array name delimiter ']'");
        }
        self.context.clear();
        self.open(root, &path, array)?;
        self.context = path;
        Ok(())
    }

    fn open(&mut self, root: &Rc<Map>, path: &[String], array: bool) -> Res<()> {
        let Some((last, parents)) = path.split_last() else { return Ok(()) };
        let parent = self.table(root, parents)?;
        let joined = path.join(".");
        if array {
            let mut items = match parent.get(last) {
                None => Vec::new(),
                Some(Value::List(list)) if list.elem == Elem::AnyMap => list.items.clone(),
                Some(_) => {
                    return self.error(format!(
                        "Key '{joined}' was already created and cannot be used as an array."
                    ));
                }
            };
            items.push(new_map());
            // What was below the former element may be defined anew.
            self.defined.retain(|other| !other.starts_with(path));
            parent.insert(last.as_str(), Value::List(Rc::new(List::new(Elem::AnyMap, items))));
            return Ok(());
        }
        let again = self.defined.iter().any(|other| other == path);
        match parent.get(last) {
            Some(Value::Map(_)) if !again => {}
            Some(_) => return self.error(format!("Key '{joined}' has already been defined.")),
            None => parent.insert(last.as_str(), new_map()),
        }
        self.defined.push(path.to_vec());
        Ok(())
    }

    /// The table at a path; missing ones are made, and of an array the last is meant.
    fn table(&self, root: &Rc<Map>, path: &[String]) -> Res<Rc<Map>> {
        let mut table = root.clone();
        for (index, name) in path.iter().enumerate() {
            let next = match table.get(name) {
                Some(Value::Map(map)) => map,
                Some(Value::List(list)) => match list.items.last() {
                    Some(Value::Map(map)) => map.clone(),
                    _ => return self.not_a_table(path, index),
                },
                Some(_) => return self.not_a_table(path, index),
                None => {
                    let map = Rc::new(Map::new(Elem::Any, Default::default()));
                    table.insert(name.as_str(), Value::Map(map.clone()));
                    map
                }
            };
            table = next;
        }
        Ok(table)
    }

    fn not_a_table<T>(&self, path: &[String], index: usize) -> Res<T> {
        let path = path.get(..=index).unwrap_or(path).join(".");
        self.error(format!("Key '{path}' was already created as a hash."))
    }

    /// A bare or quoted name.
    fn name(&mut self) -> Res<String> {
        match self.peek() {
            Some('"') => {
                self.next();
                self.basic_string()
            }
            Some('\'') => {
                self.next();
                self.raw_string()
            }
            _ => {
                let rest = self.rest();
                let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                let end = rest.find(|c| !bare(c)).unwrap_or(rest.len());
                let name = rest.get(..end).unwrap_or("").to_owned();
                self.at += end;
                Ok(name)
            }
        }
    }

    /// `a.b = value` into `table`.
    fn entry(&mut self, table: &Rc<Map>, depth: usize) -> Res<()> {
        match self.peek() {
            Some('=') | None => return self.error("unexpected '=': key name appears blank"),
            Some('.') => return self.error("unexpected '.': keys cannot start with a '.'"),
            _ => {}
        }
        let mut path = vec![self.name()?];
        loop {
            self.spaces();
            match self.next() {
                Some('=') => break,
                Some('.') => {
                    self.spaces();
                    match self.peek() {
                        Some('=') | None => return self.error("unexpected '='"),
                        Some('.') => return self.error("unexpected '.'"),
                        _ => path.push(self.name()?),
                    }
                }
                Some(c) => return self.error(format!("expected '.' or '=', but got {} instead", shown(c))),
                None => return self.error("unexpected EOF; expected key separator '='"),
            }
        }
        let (last, parents) = path.split_last().ok_or("toml: no key")?;
        let target = self.table(table, parents)?;
        self.key = path.join(".");
        self.spaces();
        let value = self.value(depth)?;
        if target.get(last).is_some() {
            let mut full = self.context.clone();
            full.extend(path.iter().cloned());
            return self.error(format!("Key '{}' has already been defined.", full.join(".")));
        }
        target.insert(last.as_str(), value);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Res<Value> {
        if depth > MAX_DEPTH {
            return self.error("values are nested too deeply");
        }
        let Some(c) = self.peek() else {
            return self.error("unexpected EOF; expected value");
        };
        match c {
            '"' | '\'' => self.string(c).map(Value::from),
            '[' => self.array(depth),
            '{' => self.inline_table(depth),
            't' | 'f' => self.boolean(),
            '0'..='9' | '+' | '-' | 'i' | 'n' => self.number_or_date(),
            '.' => self.error("floats must start with a digit, not '.'"),
            c if c.is_alphabetic() => self.boolean(),
            c => {
                self.next();
                self.error(format!("expected value but found {} instead", shown(c)))
            }
        }
    }

    fn boolean(&mut self) -> Res<Value> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or("").to_owned();
        self.at += end;
        match word.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            word => self.error(format!("expected value but found {} instead", quote(word))),
        }
    }

    fn array(&mut self, depth: usize) -> Res<Value> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.blank();
            match self.peek() {
                Some(']') => break,
                Some(',') => return self.error("unexpected comma"),
                _ => items.push(self.value(depth + 1)?),
            }
            self.blank();
            match self.peek() {
                Some(',') => {
                    self.next();
                }
                Some(']') => break,
                other => {
                    self.next();
                    let got = other.map_or("end of file".to_owned(), |c| format!("'{c}'"));
                    return self
                        .error(format!("expected a comma (',') or array terminator (']'), but got {got}"));
                }
            }
        }
        self.next();
        Ok(Value::list(items))
    }

    fn inline_table(&mut self, depth: usize) -> Res<Value> {
        self.next();
        let map = Rc::new(Map::new(Elem::Any, Default::default()));
        let key = std::mem::take(&mut self.key);
        if !key.is_empty() {
            self.context.push(key.clone());
        }
        loop {
            self.blank();
            match self.peek() {
                Some('}') => break,
                Some(',') => return self.error("unexpected comma"),
                _ => self.entry(&map, depth + 1)?,
            }
            self.key.clear();
            self.blank();
            match self.peek() {
                Some(',') => {
                    self.next();
                }
                Some('}') => break,
                other => {
                    self.next();
                    let got = other.map_or("end of file".to_owned(), |c| format!("'{c}'"));
                    let expected = "expected a comma or an inline table terminator '}'";
                    return self.error(format!("{expected}, but got {got} instead"));
                }
            }
        }
        self.next();
        if !key.is_empty() {
            self.context.pop();
        }
        self.key = key;
        Ok(Value::Map(map))
    }

    // Strings.

    fn string(&mut self, mark: char) -> Res<String> {
        let triple: String = std::iter::repeat_n(mark, 3).collect();
        if !self.rest().starts_with(&triple) {
            self.next();
            return if mark == '"' { self.basic_string() } else { self.raw_string() };
        }
        self.at += 3;
        let body = self.rest();
        let skip = if body.starts_with("\r\n") { 2 } else { usize::from(body.starts_with('\n')) };
        self.at += skip;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(&triple) {
                // Up to two marks may stand right before the end.
                let marks = rest.chars().take_while(|c| *c == mark).count().min(5);
                out.extend(std::iter::repeat_n(mark, marks - 3));
                self.at += marks;
                return Ok(out);
            }
            match self.next() {
                None if mark == '"' => return self.error("unexpected EOF; expected '\"\"\"'"),
                None => return self.error("unexpected EOF; expected \"'''\""),
                Some('\\') if mark == '"' => self.escape(&mut out, true)?,
                Some(c) => out.push(c),
            }
        }
    }

    fn basic_string(&mut self) -> Res<String> {
        let mut out = String::new();
        loop {
            match self.next() {
                None => return self.error("unexpected EOF; expected '\"'"),
                Some('\n') => return self.error("strings cannot contain newlines"),
                Some('"') => return Ok(out),
                Some('\\') => self.escape(&mut out, false)?,
                Some(c) => out.push(c),
            }
        }
    }

    fn raw_string(&mut self) -> Res<String> {
        let mut out = String::new();
        loop {
            match self.next() {
                None => return self.error("unexpected EOF; expected \"'\""),
                Some('\n') => return self.error("strings cannot contain newlines"),
                Some('\'') => return Ok(out),
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, out: &mut String, multiline: bool) -> Res<()> {
        let Some(c) = self.next() else { return self.error("unexpected EOF") };
        let plain = match c {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            'e' => '\u{1b}',
            '"' => '"',
            '\\' => '\\',
            'x' | 'u' | 'U' => return self.code(out, c),
            ' ' | '\t' | '\r' | '\n' if multiline => {
                // A backslash at a line's end takes the space after it along.
                let rest = self.rest();
                let space = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
                self.at += space;
                return Ok(());
            }
            c => return self.error(format!("invalid escape in string '\\{c}'")),
        };
        out.push(plain);
        Ok(())
    }

    fn code(&mut self, out: &mut String, kind: char) -> Res<()> {
        let count = match kind {
            'x' => 2,
            'u' => 4,
            _ => 8,
        };
        let digits = self.rest().get(..count).unwrap_or("").to_owned();
        if digits.len() < count || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return self.error(format!(
                "expected {count} hexadecimal digits after '\\{kind}', but got \"{digits}\" instead"
            ));
        }
        self.at += count;
        match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                Ok(())
            }
            None => self.error(format!("Escaped character '\\u{digits}' is not valid UTF-8.")),
        }
    }

    // Numbers and dates.

    fn number_or_date(&mut self) -> Res<Value> {
        let rest = self.rest();
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | ':' | '_');
        let mut end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        // A date and a time may stand apart.
        let date = |text: &str| text.len() == 10 && text.as_bytes().get(4) == Some(&b'-');
        if rest.get(..end).is_some_and(date) {
            let tail = rest.get(end..).unwrap_or("");
            if tail.strip_prefix(' ').is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit())) {
                let time = tail.get(1..).unwrap_or("");
                end += 1 + time.find(|c| !part(c)).unwrap_or(time.len());
            }
        }
        let text = rest.get(..end).unwrap_or("").to_owned();
        self.at += end;
        let body = text.trim_start_matches(['+', '-']);
        if body.len() > 4 && body.contains(':') || body.as_bytes().get(4) == Some(&b'-') {
            return self.date(&text);
        }
        match text.as_str() {
            "inf" | "+inf" => return Ok(Value::Float(f64::INFINITY)),
            "-inf" => return Ok(Value::Float(f64::NEG_INFINITY)),
            "nan" | "+nan" | "-nan" => return Ok(Value::Float(f64::NAN)),
            _ => {}
        }
        let based = body.len() > 2 && ["0x", "0o", "0b"].iter().any(|prefix| body.starts_with(prefix));
        let float = !based && text.contains(['.', 'e', 'E']);
        let what = if float { "float" } else { "integer" };
        let underscore = |pair: &str| text.contains(pair);
        if text.ends_with('_') || ["__", "_.", "._", "_e", "e_"].iter().any(|pair| underscore(pair)) {
            let text = quote(&text);
            return self.error(format!("Invalid {what} {text}: underscores must be surrounded by digits"));
        }
        if !based
            && body.len() > 1
            && body.starts_with('0')
            && body.as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            return self.error(format!("Invalid {what} {}: cannot have leading zeroes", quote(&text)));
        }
        if float {
            let number = parse_float(&text.replace('_', "")).filter(|_| !body.starts_with('.'));
            return match number {
                Some(number) => Ok(Value::Float(number)),
                None => self.error(format!("Invalid float value: {}", quote(&text))),
            };
        }
        match parse_int(&text) {
            Some(number) => Ok(Value::int64(number)),
            None if body.chars().all(|c| c.is_ascii_digit() || c == '_') && !body.is_empty() => {
                self.error(format!("{text} is out of range for int64"))
            }
            None => self.error(format!("expected value but found {} instead", quote(&text))),
        }
    }

    fn date(&self, text: &str) -> Res<Value> {
        const LAYOUTS: [&str; 7] = [
            "2006-01-02T15:04:05.999999999Z07:00",
            "2006-01-02T15:04:05.999999999",
            "2006-01-02",
            "15:04:05.999999999",
            "2006-01-02T15:04Z07:00",
            "2006-01-02T15:04",
            "15:04",
        ];
        let clean = text.replace([' ', 't'], "T").replace('z', "Z");
        let zone = Zone::utc();
        match LAYOUTS.iter().find_map(|layout| parse_time(layout, &clean, &zone).ok()) {
            Some(time) => Ok(Value::Time(Rc::new(time))),
            None => self.error(format!("invalid datetime: {}", quote(&clean))),
        }
    }
}
