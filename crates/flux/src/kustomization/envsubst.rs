//! Variables in text: `${var}` and the functions of shells that Flux knows.
//!
//! `$$` is a literal `$`; a `$` that no `{` follows is text. In functions that replace, `\/` and `\\` are
//! literal `/` and `\`.

use std::collections::BTreeMap;

/// Why a text cannot be expanded, and at which line (from 1) of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub line: usize,
}

/// Variables inside the default of variables, and so on.
const MAX_DEPTH: usize = 64;
/// A few bytes of text must not become gigabytes.
const MAX_OUTPUT: usize = 64 << 20;

/// Expands `text`. With `strict`, a variable that has neither value nor default is an error.
///
/// # Errors
/// On bad syntax and, when strict, on missing variables.
pub fn expand(text: &str, variables: &BTreeMap<String, String>, strict: bool) -> Result<String, Error> {
    let mut parser = Parser { rest: text, whole: text, variables, strict };
    let mut out = String::with_capacity(text.len());
    loop {
        parser.text(&mut out, |_| true, Escapes::Dollar);
        if parser.rest.is_empty() {
            return Ok(out);
        }
        let value = parser.substitution(0)?;
        out.push_str(&value);
        if out.len() > MAX_OUTPUT {
            return Err(parser.error("the expanded text is too large"));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    None,
    Dollar,
    All,
}

struct Parser<'a> {
    rest: &'a str,
    whole: &'a str,
    variables: &'a BTreeMap<String, String>,
    strict: bool,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> Error {
        let read = self.whole.len() - self.rest.len();
        let line = 1 + self.whole.as_bytes().iter().take(read).filter(|byte| **byte == b'\n').count();
        Error { message: message.into(), line }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Text up to `${` or the first character that is not accepted.
    fn text(&mut self, out: &mut String, accept: fn(char) -> bool, escapes: Escapes) {
        while let Some(next) = self.peek() {
            if self.rest.starts_with("${") {
                return;
            }
            if escapes != Escapes::None && self.eat("$$") {
                out.push('$');
                continue;
            }
            if escapes == Escapes::All && next == '\\' {
                let escaped = self.rest.chars().nth(1).filter(|c| matches!(c, '/' | '\\'));
                if let Some(escaped) = escaped {
                    self.bump();
                    self.bump();
                    out.push(escaped);
                    continue;
                }
            }
            if !accept(next) {
                return;
            }
            self.bump();
            out.push(next);
        }
    }

    /// A `${…}`; `rest` begins with it.
    fn substitution(&mut self, depth: usize) -> Result<String, Error> {
        if depth > MAX_DEPTH {
            return Err(self.error("substitutions are nested too deeply"));
        }
        self.eat("${");
        if self.eat("#") {
            let name = self.name().ok_or_else(|| self.error("bad substitution"))?;
            self.close("bad substitution")?;
            return Ok(self.value(&name)?.len().to_string());
        }
        let name = self.name().ok_or_else(|| self.error("unable to parse variable name"))?;
        match self.peek() {
            Some(':') => match self.rest.chars().nth(1) {
                Some('=' | '-' | '?' | '+') => {
                    self.bump();
                    self.bump();
                    self.default(&name, depth)
                }
                _ => self.substring(&name, depth),
            },
            Some('=') => {
                self.bump();
                self.default(&name, depth)
            }
            Some(',' | '^') => self.casing(&name),
            Some('/') => self.replace(&name, depth),
            Some('#') => self.remove(&name, '#', depth),
            Some('%') => self.remove(&name, '%', depth),
            _ => {
                self.close("missing closing brace")?;
                self.value(&name)
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end)?;
        if name.is_empty() {
            return None;
        }
        self.rest = rest;
        Some(name.to_owned())
    }

    fn close(&mut self, message: &str) -> Result<(), Error> {
        if self.eat("}") { Ok(()) } else { Err(self.error(message)) }
    }

    fn value(&self, name: &str) -> Result<String, Error> {
        match self.variables.get(name) {
            Some(value) => Ok(value.clone()),
            None if self.strict => Err(self.error(format!("variable not set (strict mode): \"{name}\""))),
            None => Ok(String::new()),
        }
    }

    /// One argument: a nested substitution or text.
    fn argument(
        &mut self,
        accept: fn(char) -> bool,
        escapes: Escapes,
        depth: usize,
    ) -> Result<String, Error> {
        if self.rest.starts_with("${") {
            return self.substitution(depth + 1);
        }
        let mut out = String::new();
        let before = self.rest.len();
        self.text(&mut out, accept, escapes);
        if self.rest.len() == before {
            return Err(self.error("unable to parse substitution within function"));
        }
        Ok(out)
    }

    fn default(&mut self, name: &str, depth: usize) -> Result<String, Error> {
        let mut fallback = String::new();
        while self.peek() != Some('}') {
            fallback.push_str(&self.argument(|c| c != '}', Escapes::None, depth)?);
        }
        self.close("bad substitution")?;
        let value = self.variables.get(name).map(String::as_str).unwrap_or_default();
        Ok(if value.is_empty() { fallback } else { value.to_owned() })
    }

    fn substring(&mut self, name: &str, depth: usize) -> Result<String, Error> {
        self.bump();
        let position = self.argument(|c| c != ':' && c != '}', Escapes::None, depth)?;
        let mut length = None;
        if self.eat(":") {
            length = Some(self.argument(|c| c != '}', Escapes::None, depth)?);
        }
        self.close("bad substitution")?;
        let value = self.value(name)?;
        Ok(slice(&value, &position, length.as_deref()))
    }

    fn casing(&mut self, name: &str) -> Result<String, Error> {
        let mark = self.bump().unwrap_or(',');
        let all = matches!(self.peek(), Some(',' | '^'));
        let second = if all { self.bump() } else { None };
        self.close("bad substitution")?;
        let value = self.value(name)?;
        // A mixed pair (`,^`) is no function: the value stays.
        if second.is_some_and(|second| second != mark) {
            return Ok(value);
        }
        let upper = mark == '^';
        if all {
            return Ok(if upper { value.to_uppercase() } else { value.to_lowercase() });
        }
        let mut chars = value.chars();
        let Some(first) = chars.next() else { return Ok(value) };
        let first: String =
            if upper { first.to_uppercase().collect() } else { first.to_lowercase().collect() };
        Ok(first + chars.as_str())
    }

    fn replace(&mut self, name: &str, depth: usize) -> Result<String, Error> {
        self.bump();
        let mode = match self.peek() {
            Some(mode @ ('/' | '#' | '%')) => {
                self.bump();
                Some(mode)
            }
            _ => None,
        };
        let pattern = if self.peek() == Some('/') {
            String::new()
        } else {
            self.argument(|c| c != '/', Escapes::All, depth)?
        };
        if !self.eat("/") {
            return Err(self.error("bad substitution"));
        }
        // Further slashes belong to the delimiter.
        while self.eat("/") {}
        let with = if self.peek() == Some('}') {
            None
        } else {
            Some(self.argument(|c| c != '}', Escapes::All, depth)?)
        };
        self.close("bad substitution")?;
        let value = self.value(name)?;
        let new = with.clone().unwrap_or_default();
        Ok(match (mode, with) {
            (Some('/'), _) => value.replace(&pattern, &new),
            (None, _) => value.replacen(&pattern, &new, 1),
            (Some('#'), Some(_)) => match value.strip_prefix(pattern.as_str()) {
                Some(rest) => format!("{new}{rest}"),
                None => value,
            },
            (Some('%'), Some(_)) => match value.strip_suffix(pattern.as_str()) {
                Some(rest) => format!("{rest}{new}"),
                None => value,
            },
            _ => value,
        })
    }

    fn remove(&mut self, name: &str, mark: char, depth: usize) -> Result<String, Error> {
        self.bump();
        let longest = self.peek() == Some(mark);
        if longest {
            self.bump();
        }
        let pattern = self.argument(|c| c != '}', Escapes::None, depth)?;
        self.close("bad substitution")?;
        let value = self.value(name)?;
        if mark == '#' {
            return Ok(trim_prefix(&value, &pattern, longest));
        }
        let backwards = |text: &str| text.chars().rev().collect::<String>();
        Ok(backwards(&trim_prefix(&backwards(&value), &backwards(&pattern), longest)))
    }
}

fn slice(value: &str, position: &str, length: Option<&str>) -> String {
    let bytes = value.as_bytes();
    let total = bytes.len() as i64;
    let Ok(mut from) = position.trim_start_matches('+').parse::<i64>() else { return value.to_owned() };
    if from < 0 {
        from = (total + from).max(0);
    }
    let to = match length {
        None => total,
        Some(text) => match text.trim_start_matches('+').parse::<i64>() {
            Err(_) => return value.to_owned(),
            Ok(length) if length < 0 => total + length,
            Ok(length) => from.saturating_add(length).min(total),
        },
    };
    let range = usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0);
    bytes.get(range).map(|part| String::from_utf8_lossy(part).into_owned()).unwrap_or_default()
}

fn trim_prefix(value: &str, pattern: &str, longest: bool) -> String {
    let pattern: Vec<char> = pattern.chars().collect();
    let chars: Vec<char> = value.chars().collect();
    let matches = |length: usize| glob(&pattern, chars.get(..length).unwrap_or_default());
    let found = if longest {
        (1..=chars.len()).rev().find(|n| matches(*n))
    } else {
        (1..=chars.len()).find(|n| matches(*n))
    };
    chars.get(found.unwrap_or(0)..).unwrap_or_default().iter().collect()
}

/// `*`, `?`, `[…]` and `\`; `*` matches slashes too. Steps are bounded by pattern × text.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if t == text.len() && pattern.get(p..).is_none_or(|rest| rest.iter().all(|c| *c == '*')) {
            return true;
        }
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if let Some(next) = text.get(t)
            && let Some(used) = one(pattern.get(p..).unwrap_or_default(), *next)
        {
            p += used;
            t += 1;
            continue;
        }
        match star {
            Some((after, at)) if at < text.len() => {
                star = Some((after, at + 1));
                p = after;
                t = at + 1;
            }
            _ => return false,
        }
    }
}

/// How much of the pattern matches the one character.
fn one(pattern: &[char], next: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&next)).then_some(2),
        '[' => {
            let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
            let body = pattern.get(1..end)?;
            let (negated, body) = match body.first() {
                Some('^') => (true, body.get(1..)?),
                _ => (false, body),
            };
            let mut inside = false;
            let mut at = 0;
            while let Some(low) = body.get(at) {
                match (body.get(at + 1), body.get(at + 2)) {
                    (Some('-'), Some(high)) => {
                        inside |= *low <= next && next <= *high;
                        at += 3;
                    }
                    _ => {
                        inside |= *low == next;
                        at += 1;
                    }
                }
            }
            (inside != negated).then_some(end + 1)
        }
        literal => (*literal == next).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suite() {
        let Some(path) = testkit::shared("suites/unit-tables/flux-envsubst.json") else { return };
        let table: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut failures = Vec::new();
        for case in table["cases"].as_array().unwrap() {
            let variables = crate::common::string_map(case, &["vars"]);
            let got = expand(case["input"].as_str().unwrap(), &variables, case["fn"] == "expand-strict");
            let expected = case["expected"].as_str();
            if got.as_ref().ok().map(String::as_str) != expected {
                failures.push(format!("{}: {got:?}, not {expected:?}", case["id"]));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn text_stays_text() {
        let none = BTreeMap::new();
        for (text, out) in
            [("$a $ {b} 5$", "$a $ {b} 5$"), ("a$$b", "a$b"), ("$$$${x}", "$${x}"), ("\\/", "\\/")]
        {
            assert_eq!(expand(text, &none, true).as_deref(), Ok(out));
        }
        for bad in ["${", "${}", "${a", "${ a}", "${a-b}", "${a#}", "${a:}"] {
            assert!(expand(bad, &none, false).is_err(), "{bad}");
        }
        assert_eq!(expand("a\nb ${x}", &none, true).unwrap_err().line, 2);
        let deep = "${a:-".repeat(100) + &"}".repeat(100);
        assert!(expand(&deep, &none, false).is_err());
    }
}
