//! The expressions of `--set` and its relatives.

use crate::error::quote;
use crate::{Error, Result, Stage};
use serde_json::{Map, Value};

/// The largest index that a list may be given.
const MAX_INDEX: i64 = 65536;
/// How many names may be nested in one expression.
const MAX_LEVELS: usize = 30;
/// How many lists may be; Helm has no limit there.
const MAX_LISTS: usize = 100;

type Table = Map<String, Value>;

/// What becomes of the text after `=`.
enum Reader<'r> {
    Typed,
    Text,
    Json,
    /// As it is; `escapes`: a backslash in a name takes the next character as it is.
    Literal {
        escapes: bool,
    },
    File(&'r mut dyn FnMut(&str) -> Result<String, String>),
}

/// Why reading stopped before a value was complete.
enum Stop {
    /// The text is at its end, which is how every expression finishes.
    End,
    /// It is wrong.
    Bad(String),
}

type Step<T> = Result<T, Stop>;

pub(super) fn typed(into: &mut Table, text: &str) -> Result<()> {
    run(into, text, Reader::Typed)
}

pub(super) fn strings(into: &mut Table, text: &str) -> Result<()> {
    run(into, text, Reader::Text)
}

pub(super) fn json(into: &mut Table, text: &str) -> Result<()> {
    run(into, text, Reader::Json)
}

pub(super) fn literal(into: &mut Table, text: &str, escapes: bool) -> Result<()> {
    run(into, text, Reader::Literal { escapes })
}

pub(super) fn files(
    into: &mut Table,
    text: &str,
    read: &mut dyn FnMut(&str) -> Result<String, String>,
) -> Result<()> {
    run(into, text, Reader::File(read))
}

fn run(into: &mut Table, text: &str, reader: Reader<'_>) -> Result<()> {
    let mut parser = Parser { text, at: 0, lists: 0, reader };
    loop {
        match parser.key(into, 0) {
            Ok(()) => {}
            Err(Stop::End) => return Ok(()),
            Err(Stop::Bad(text)) => return Err(Error::new(Stage::Values, text)),
        }
    }
}

fn bad<T>(text: impl Into<String>) -> Step<T> {
    Err(Stop::Bad(text.into()))
}

struct Parser<'t, 'r> {
    text: &'t str,
    at: usize,
    /// The lists that are open.
    lists: usize,
    reader: Reader<'r>,
}

impl Parser<'_, '_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn is_literal(&self) -> bool {
        matches!(self.reader, Reader::Literal { .. })
    }

    /// The text up to one of `stops` (which is consumed and returned; `None` at the end).
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut out = String::new();
        let escapes = !matches!(self.reader, Reader::Literal { escapes: false });
        while let Some(c) = self.next() {
            if stops.contains(&c) {
                return (out, Some(c));
            }
            if c == '\\' && escapes {
                match self.next() {
                    Some(escaped) => out.push(escaped),
                    None => return (out, None),
                }
            } else {
                out.push(c);
            }
        }
        (out, None)
    }

    /// One `name=value`, whose names go through tables and lists.
    fn key(&mut self, table: &mut Table, level: usize) -> Step<()> {
        let stops: &[char] = if self.is_literal() { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (name, stop) = self.until(stops);
        match stop {
            None if name.is_empty() => Err(Stop::End),
            None => bad(format!("key {} has no value", quote(&name))),
            Some('[') => self.enter_list(table, name, level),
            Some('=') => self.enter_member(table, name),
            Some(',') => {
                put(table, name.clone(), Value::String(String::new()));
                bad(format!("key {} has no value (cannot end with ,)", quote(&name)))
            }
            _ => self.enter_table(table, name, level + 1),
        }
    }

    fn enter_list(&mut self, table: &mut Table, name: String, level: usize) -> Step<()> {
        let index = self.index()?;
        let mut list = match table.remove(&name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(other) => {
                let found = conversion(&other, "[]interface {}");
                table.insert(name, other);
                return bad(format!("unable to parse key: {found}"));
            }
        };
        let result = self.item(&mut list, index, level);
        put(table, name, Value::Array(list));
        result
    }

    fn enter_table(&mut self, table: &mut Table, name: String, level: usize) -> Step<()> {
        if level > MAX_LEVELS {
            return bad(format!(
                "value name nested level is greater than maximum supported nested level of {MAX_LEVELS}"
            ));
        }
        let (mut inner, existed) = match table.remove(&name) {
            None => (Table::new(), false),
            Some(Value::Object(inner)) => (inner, true),
            Some(other) => {
                let found = conversion(&other, "map[string]interface {}");
                table.insert(name, other);
                return bad(format!("unable to parse key: {found}"));
            }
        };
        let result = self.key(&mut inner, level);
        let empty = inner.is_empty();
        if !empty || existed {
            put(table, name.clone(), Value::Object(inner));
        }
        match result {
            Ok(()) if empty => bad(format!("key map {} has no value", quote(&name))),
            other => other,
        }
    }

    fn enter_member(&mut self, table: &mut Table, name: String) -> Step<()> {
        match self.value() {
            Ok((value, end)) => {
                put(table, name, value);
                end
            }
            Err(stop) => Err(stop),
        }
    }

    fn index(&mut self) -> Step<i64> {
        let (digits, stop) = self.until(&[']']);
        if stop.is_none() {
            return bad("error parsing index: EOF");
        }
        digits.parse().or_else(|_| {
            let reason = if !digits.is_empty()
                && digits.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit())
                && digits.len() > 1
            {
                "value out of range"
            } else {
                "invalid syntax"
            };
            bad(format!("error parsing index: strconv.Atoi: parsing {}: {reason}", quote(&digits)))
        })
    }

    /// What follows `name[index]`.
    fn item(&mut self, list: &mut Vec<Value>, index: i64, level: usize) -> Step<()> {
        if self.lists >= MAX_LISTS {
            return bad(format!("lists are nested deeper than {MAX_LISTS}"));
        }
        self.lists += 1;
        let result = self.inner_item(list, index, level);
        self.lists -= 1;
        result
    }

    fn inner_item(&mut self, list: &mut Vec<Value>, index: i64, level: usize) -> Step<()> {
        if index < 0 {
            return bad(format!("negative {index} index not allowed"));
        }
        let (rest, stop) = self.until(&['[', '.', '=']);
        if !rest.is_empty() {
            return bad(format!("unexpected data at end of array index: {}", runes(&rest)));
        }
        match stop {
            None => Err(Stop::End),
            Some('=') => {
                let (value, end) = self.value()?;
                set_index(list, index, value)?;
                // A list item at the end of the text is complete; the next name finds the end again.
                match end {
                    Err(Stop::Bad(text)) => Err(Stop::Bad(text)),
                    _ => Ok(()),
                }
            }
            Some('[') => {
                let next = self.index()?;
                let mut inner = match at(list, index) {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(inner)) => inner.clone(),
                    Some(other) => {
                        return bad(format!("unable to parse key: {}", conversion(other, "[]interface {}")));
                    }
                };
                self.item(&mut inner, next, level)?;
                set_index(list, index, Value::Array(inner))
            }
            _ => {
                let mut inner = match at(list, index) {
                    Some(Value::Object(inner)) => inner.clone(),
                    _ => Table::new(),
                };
                let result = self.key(&mut inner, level);
                match result {
                    Ok(()) => set_index(list, index, Value::Object(inner)),
                    Err(stop) => {
                        if at(list, index).is_some() {
                            set_index(list, index, Value::Object(inner))?;
                        }
                        Err(stop)
                    }
                }
            }
        }
    }

    /// The value after `=`, and whether the text ended with it.
    fn value(&mut self) -> Step<(Value, Step<()>)> {
        match self.reader {
            Reader::Json => self.json_value().map(|value| (value, Ok(()))),
            Reader::Literal { .. } => {
                let text = self.rest().to_owned();
                self.at = self.text.len();
                Ok((Value::String(text), Ok(())))
            }
            _ => self.text_value(),
        }
    }

    fn text_value(&mut self) -> Step<(Value, Step<()>)> {
        match self.peek() {
            None => Ok((Value::String(String::new()), Err(Stop::End))),
            Some('{') => {
                self.next();
                self.list_value().map(|value| (value, Ok(())))
            }
            Some(_) => {
                let (text, _) = self.until(&[',']);
                self.convert(text).map(|value| (value, Ok(())))
            }
        }
    }

    fn list_value(&mut self) -> Step<Value> {
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            match stop {
                None => return bad("list must terminate with '}'"),
                Some('}') => {
                    if self.peek() == Some(',') {
                        self.next();
                    }
                    items.push(self.convert(text)?);
                    return Ok(Value::Array(items));
                }
                Some(_) => items.push(self.convert(text)?),
            }
        }
    }

    /// One JSON value, and the blanks and comma after it.
    fn json_value(&mut self) -> Step<Value> {
        if self.skip_empty() {
            return Ok(Value::Null);
        }
        let rest = self.rest();
        // Go's decoder takes whatever comes after a word or a number for its end.
        let alone = rest.get(..scalar_end(rest)).unwrap_or_default();
        let mut stream = serde_json::Deserializer::from_str(if alone.is_empty() { rest } else { alone })
            .into_iter::<Value>();
        let mut value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return bad(error.to_string()),
            None => return bad("EOF"),
        };
        self.at += stream.byte_offset();
        super::floats(&mut value, 0).map_err(|error| Stop::Bad(error.message))?;
        self.skip_empty();
        Ok(value)
    }

    /// Skips blanks and one comma; `true` when nothing else came before it.
    fn skip_empty(&mut self) -> bool {
        while let Some(c) = self.peek() {
            if c == ',' {
                self.next();
                return true;
            }
            if !c.is_whitespace() {
                return false;
            }
            self.next();
        }
        true
    }

    fn convert(&mut self, text: String) -> Step<Value> {
        match &mut self.reader {
            Reader::Typed => Ok(typed_value(text)),
            Reader::File(read) => read(&text).map(Value::String).map_err(Stop::Bad),
            _ => Ok(Value::String(text)),
        }
    }
}

fn put(table: &mut Table, name: String, value: Value) {
    if !name.is_empty() {
        table.insert(name, value);
    }
}

fn at(list: &[Value], index: i64) -> Option<&Value> {
    list.get(usize::try_from(index).ok()?)
}

fn set_index(list: &mut Vec<Value>, index: i64, value: Value) -> Step<()> {
    if index > MAX_INDEX {
        return bad(format!("index of {index} is greater than maximum supported index of {MAX_INDEX}"));
    }
    let index =
        usize::try_from(index).map_err(|_| Stop::Bad(format!("negative {index} index not allowed")))?;
    if list.len() <= index {
        list.resize(index + 1, Value::Null);
    }
    if let Some(slot) = list.get_mut(index) {
        *slot = value;
    }
    Ok(())
}

fn typed_value(text: String) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    if text == "0" {
        return Value::from(0);
    }
    if !text.starts_with('0')
        && let Ok(int) = text.parse::<i64>()
    {
        return Value::from(int);
    }
    Value::String(text)
}

/// What Go says when a value is not of the type that the expression takes it for.
fn conversion(value: &Value, wanted: &str) -> String {
    let found = match value {
        Value::Null => return format!("interface conversion: interface {{}} is nil, not {wanted}"),
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    format!("interface conversion: interface {{}} is {found}, not {wanted}")
}
/// Letters as Go quotes a list of them.
fn runes(text: &str) -> String {
    let quoted = text.chars().map(|letter| match letter {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        letter => {
            let inner = quote(letter.encode_utf8(&mut [0; 4]));
            format!("'{}'", inner.get(1..inner.len().saturating_sub(1)).unwrap_or_default())
        }
    });
    format!("[{}]", quoted.collect::<Vec<_>>().join(" "))
}

/// Where the word or the number that a text of JSON begins with ends; 0 when it begins with neither.
fn scalar_end(text: &str) -> usize {
    let value = text.trim_start_matches([' ', '\t', '\r', '\n']);
    let blanks = text.len() - value.len();
    if let Some(word) = ["null", "true", "false"].into_iter().find(|word| value.starts_with(word)) {
        return blanks + word.len();
    }
    let digits = |from: usize| {
        let rest = value.get(from..).unwrap_or_default();
        from + rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let at = |index: usize| value.as_bytes().get(index).copied();
    let first = usize::from(at(0) == Some(b'-'));
    if !at(first).is_some_and(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let mut end = if at(first) == Some(b'0') { first + 1 } else { digits(first) };
    if at(end) == Some(b'.') {
        end = digits(end + 1);
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        end = digits(end + 1 + usize::from(matches!(at(end + 1), Some(b'+' | b'-'))));
    }
    blanks + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_values_end_where_gos_decoder_ends_them() {
        for (text, wanted) in [
            (r#"=nulla={"b":[1,null]}a="x"."#, Some(r#"{"a":"x"}"#)),
            ("a=truefalse=-0.5", Some(r#"{"a":true,"false":-0.5}"#)),
            (r#"a="1"b="2""#, Some(r#"{"a":"1","b":"2"}"#)),
            ("a=1e2b=null", Some(r#"{"a":100.0,"b":null}"#)),
            ("a=1.x", None),
            ("a=1eb=2", None),
            ("a=-", None),
            ("a=tru", None),
        ] {
            let mut table = Table::new();
            let made = json(&mut table, text).is_ok().then(|| Value::Object(table).to_string());
            assert_eq!(made.as_deref(), wanted, "{text}");
        }
    }
}
