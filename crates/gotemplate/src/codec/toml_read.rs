//! TOML as Go's BurntSushi/toml reads it.

use std::rc::Rc;

use crate::fmt::quote;
use crate::value::{Elem, List, MAX_DEPTH, Map, Value};

/// Reads a document; the error is Go's.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    let root = Rc::new(Map::new(Elem::Any, Default::default()));
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, context: Vec::new(), key: String::new(), defined: Vec::new() };
    reader.document(&root)?;
    Ok(Value::Map(root))
}

pub(super) type Res<T> = Result<T, String>;

pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
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
    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Res<T> {
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
}
