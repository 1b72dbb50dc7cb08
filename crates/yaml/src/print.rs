//! Values out, as `sigs.k8s.io/yaml` prints them: through JSON text and yaml.v2.

use std::cmp::Ordering;

use serde_json::{Map, Number};

use crate::Value;
use crate::gotext::{format_g, format_json};
use crate::resolve::{Scalar, is_base60, resolve};
use crate::scanner::{Rules, ScalarStyle};
use crate::writer::{Writer, analyze};

pub(crate) fn print(value: &Value) -> String {
    let mut printer = Printer { w: Writer::new(Rules::V2) };
    printer.node(value, Place::Root);
    printer.w.indent = -1;
    printer.w.write_indent();
    printer.w.out
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Item,
    Key,
    Field,
}

struct Printer {
    w: Writer,
}

impl Printer {
    fn node(&mut self, value: &Value, place: Place) {
        match value {
            Value::Null => self.plain("null", place),
            Value::Bool(b) => self.plain(if *b { "true" } else { "false" }, place),
            Value::Number(number) => self.plain(&number_text(number), place),
            Value::String(text) => self.string(text, place),
            Value::Array(items) if items.is_empty() => self.empty("[", "]"),
            Value::Object(fields) if fields.is_empty() => self.empty("{", "}"),
            Value::Array(items) => self.sequence(items, place),
            Value::Object(fields) => self.mapping(fields),
        }
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.w.indicator(open, true, true, false);
        self.w.indicator(close, false, false, false);
    }

    fn increase_indent(&mut self) -> isize {
        let before = self.w.indent;
        self.w.indent = if before < 0 { 0 } else { before + 2 };
        before
    }

    fn sequence(&mut self, items: &[Value], place: Place) {
        // A sequence below a key is not indented.
        let indentless = place == Place::Field && !self.w.indention && self.w.indent >= 0;
        let before = if indentless { self.w.indent } else { self.increase_indent() };
        for item in items {
            self.w.write_indent();
            self.w.indicator("-", true, false, true);
            self.node(item, Place::Item);
        }
        self.w.indent = before;
    }

    fn mapping(&mut self, fields: &Map<String, Value>) {
        let before = self.increase_indent();
        for (key, value) in sorted(fields) {
            self.w.write_indent();
            let simple = key.len() <= 128 && !analyze(key, Rules::V2).multiline;
            if simple {
                self.string(key, Place::Key);
                self.w.indicator(":", false, false, false);
            } else {
                self.w.indicator("?", true, false, true);
                self.string(key, Place::Field);
                self.w.write_indent();
                self.w.indicator(":", true, false, true);
            }
            self.node(value, Place::Field);
        }
        self.w.indent = before;
    }

    fn plain(&mut self, text: &str, place: Place) {
        self.scalar(text, ScalarStyle::Plain, place);
    }

    fn string(&mut self, text: &str, place: Place) {
        let folded;
        let text = match text.contains('\u{85}') {
            true => {
                folded = fold_next_lines(text);
                folded.as_str()
            }
            false => text,
        };
        let style = if text.contains('\n') {
            ScalarStyle::Literal
        } else if resolve(text, Rules::V2) == Scalar::Str && !is_base60(text) {
            ScalarStyle::Plain
        } else {
            ScalarStyle::Double
        };
        self.scalar(text, style, place);
    }

    fn scalar(&mut self, text: &str, wanted: ScalarStyle, place: Place) {
        let analysis = analyze(text, Rules::V2);
        let key = place == Place::Key;
        let mut style = wanted;
        if key && analysis.multiline {
            style = ScalarStyle::Double;
        }
        if style == ScalarStyle::Plain && (!analysis.block_plain || (text.is_empty() && key)) {
            style = ScalarStyle::Single;
        }
        if style == ScalarStyle::Single && !analysis.single {
            style = ScalarStyle::Double;
        }
        if style == ScalarStyle::Literal && (!analysis.block || key) {
            style = ScalarStyle::Double;
        }
        let before = self.w.indent;
        self.w.indent = if before < 0 { 2 } else { before + 2 };
        self.w.scalar(text, style, !key, None);
        self.w.indent = before;
    }
}

/// On its way through JSON text a NEL character (U+0085) is a line break inside a quoted scalar: it
/// folds into a space, more of them into line feeds, and the spaces around them go.
fn fold_next_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{85}') {
        let (before, from) = rest.split_at(at);
        out.push_str(before.trim_end_matches(' '));
        rest = from.trim_start_matches([' ', '\u{85}']);
        let breaks = from.get(..from.len() - rest.len()).unwrap_or_default().matches('\u{85}').count();
        match breaks {
            1 => out.push(' '),
            _ => out.extend(std::iter::repeat_n('\n', breaks.saturating_sub(1))),
        }
    }
    out.push_str(rest);
    out
}

/// A number goes through JSON text and is read again, so `1.0` is an integer and `1e21` a float.
fn number_text(number: &Number) -> String {
    if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
        let json = format_json(float);
        return match resolve(&json, Rules::V2) {
            Scalar::Int(int) => int.to_string(),
            Scalar::Uint(uint) => uint.to_string(),
            _ => format_g(float),
        };
    }
    number.to_string()
}

/// Fields in printing order. The order is not a total one for every set of keys, which the standard
/// sort does not forgive, so this is a merge sort of our own.
fn sorted(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let in_order = fields.keys().zip(fields.keys().skip(1)).all(|(a, b)| natural(a, b) != Ordering::Greater);
    if in_order {
        return fields.iter().collect();
    }
    let mut runs: Vec<Vec<(&String, &Value)>> = fields.iter().map(|field| vec![field]).collect();
    while runs.len() > 1 {
        let mut next = Vec::with_capacity(runs.len().div_ceil(2));
        let mut pairs = runs.into_iter();
        while let Some(left) = pairs.next() {
            next.push(match pairs.next() {
                Some(right) => merge(left, right),
                None => left,
            });
        }
        runs = next;
    }
    runs.pop().unwrap_or_default()
}

fn merge<'v>(
    left: Vec<(&'v String, &'v Value)>,
    right: Vec<(&'v String, &'v Value)>,
) -> Vec<(&'v String, &'v Value)> {
    // Keys come in byte order, which mostly is the order wanted.
    if let (Some(last), Some(first)) = (left.last(), right.first())
        && natural(last.0, first.0) != Ordering::Greater
    {
        let mut out = left;
        out.extend(right);
        return out;
    }
    let mut out = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(l), Some(r)) = (left.peek(), right.peek()) {
        let from_right = natural(r.0, l.0) == Ordering::Less;
        out.extend(if from_right { right.next() } else { left.next() });
    }
    out.extend(left);
    out.extend(right);
    out
}

/// The order of keys: numbers inside by value, letters behind everything else.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    // Keys of plain ASCII letters are the common case.
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    if let (Some(x), Some(y)) = (a.as_bytes().get(common), b.as_bytes().get(common))
        && x.is_ascii_alphabetic()
        && y.is_ascii_alphabetic()
    {
        return x.cmp(y);
    }
    let left: Vec<char> = a.chars().collect();
    let right: Vec<char> = b.chars().collect();
    match less(&left, &right) {
        true => Ordering::Less,
        false if less(&right, &left) => Ordering::Greater,
        false => Ordering::Equal,
    }
}

fn less(left: &[char], right: &[char]) -> bool {
    for i in 0..left.len().min(right.len()) {
        let (l, r) = (left[i], right[i]);
        if l == r {
            continue;
        }
        match (l.is_alphabetic(), r.is_alphabetic()) {
            (true, true) => return l < r,
            (false, false) => {}
            (_, right_is_letter) => return right_is_letter,
        }
        return less_number(left, right, i);
    }
    left.len() < right.len()
}

/// Both differ at `i` in characters that are no letters: runs of digits compare by value.
fn less_number(left: &[char], right: &[char], i: usize) -> bool {
    let (mut l_value, mut r_value) = (0i64, 0i64);
    if left[i] == '0' || right[i] == '0' {
        let digits = left[..i].iter().rev().take_while(|c| is_digit(**c));
        if digits.into_iter().any(|c| *c != '0') {
            (l_value, r_value) = (1, 1);
        }
    }
    let run = |text: &[char], mut value: i64| {
        let mut end = i;
        while let Some(c) = text.get(end).filter(|c| is_digit(**c)) {
            value = value.wrapping_mul(10).wrapping_add(i64::from(*c as u32) - i64::from(b'0'));
            end += 1;
        }
        (value, end)
    };
    let (l_value, l_end) = run(left, l_value);
    let (r_value, r_end) = run(right, r_value);
    if l_value != r_value {
        return l_value < r_value;
    }
    if l_end != r_end {
        return l_end < r_end;
    }
    left[i] < right[i]
}

/// Decimal digits of any script.
fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
        || (!c.is_ascii() && c.is_numeric() && !c.is_alphabetic() && c.to_digit(36).is_none() && is_nd(c))
}

/// Unicode's decimal digits beyond ASCII stand in runs of ten; these are their starts.
fn is_nd(c: char) -> bool {
    const STARTS: [u32; 37] = [
        0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50,
        0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
        0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0,
    ];
    let code = c as u32;
    STARTS.iter().any(|start| (*start..start + 10).contains(&code))
}
