//! The strings, numbers and dates of TOML.

use std::rc::Rc;

use super::toml_read::{Reader, Res};
use crate::fmt::quote;
use crate::parse::number::{parse_float, parse_int};
use crate::time::{Zone, parse as parse_time};
use crate::value::Value;

impl Reader<'_> {
    pub(super) fn string(&mut self, mark: char) -> Res<String> {
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

    pub(super) fn basic_string(&mut self) -> Res<String> {
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

    pub(super) fn raw_string(&mut self) -> Res<String> {
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

    pub(super) fn number_or_date(&mut self) -> Res<Value> {
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
