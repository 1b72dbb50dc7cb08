//! The printer behind the verbs.

use super::float;
use super::quote;
use crate::value::{Elem, Kind, List, MAX_DEPTH, Map, Value};

const LOWER: &[u8; 17] = b"0123456789abcdefx";
const UPPER: &[u8; 17] = b"0123456789ABCDEFX";

/// The flags of one verb.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    pub(super) plus_v: bool,
    pub(super) sharp_v: bool,
}

pub(super) struct Printer<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) flags: Flags,
    erroring: bool,
}

impl<'o> Printer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Printer { out, flags: Flags::default(), erroring: false }
    }

    pub(super) fn write(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn padding(&mut self, count: usize) {
        // Zeros pad on the left alone.
        let fill = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        self.out.extend(std::iter::repeat_n(fill, count));
    }

    fn pad(&mut self, bytes: &[u8]) {
        let width = self.flags.width.unwrap_or(0);
        let fill = if width == 0 { 0 } else { width.saturating_sub(rune_count(bytes)) };
        if !self.flags.minus {
            self.padding(fill);
        }
        self.out.extend_from_slice(bytes);
        if self.flags.minus {
            self.padding(fill);
        }
    }

    fn pad_spaces(&mut self, bytes: &[u8]) {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(bytes);
        self.flags.zero = zero;
    }

    fn bad_verb(&mut self, value: &Value, verb: char) {
        self.erroring = true;
        self.write(&format!("%!{verb}("));
        if matches!(value, Value::Invalid | Value::Nil) {
            self.write("<nil>");
        } else {
            self.write(&value.type_name());
            self.write("=");
            self.argument(value, 'v');
        }
        self.write(")");
        self.erroring = false;
    }

    /// Prints an operand with a verb.
    pub(super) fn argument(&mut self, value: &Value, verb: char) {
        // What is longer is refused by the caller.
        if self.out.len() > crate::env::MAX_TEXT {
            return;
        }
        match (value, verb) {
            (Value::Invalid | Value::Nil, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Invalid | Value::Nil, _) => self.bad_verb(value, verb),
            (_, 'T') => {
                let name = value.type_name().into_owned();
                self.string(name.as_bytes());
            }
            (Value::List(_) | Value::Map(_) | Value::Func(_) | Value::NilPtr(_), 'p') => {
                self.pointer(value, verb)
            }
            (Value::Object(object), 'p') if object.kind() == Kind::Ptr => self.pointer(value, verb),
            (_, 'p') => self.bad_verb(value, verb),
            _ => self.value(value, verb, 0),
        }
    }

    /// An address: there is none that means anything, so a fixed one is shown.
    fn pointer(&mut self, value: &Value, verb: char) {
        let address: u64 = if matches!(value, Value::NilPtr(_)) { 0 } else { 0x00c0_0000_0000 };
        match verb {
            'v' if self.flags.sharp_v => {
                let name = value.type_name().into_owned();
                self.write(&format!("({name})("));
                if address == 0 {
                    self.write("nil");
                } else {
                    self.hex(address, true);
                }
                self.write(")");
            }
            'v' if address == 0 => self.pad(b"<nil>"),
            'v' | 'p' => self.hex(address, !self.flags.sharp),
            'b' | 'o' | 'd' | 'x' | 'X' => self.integer(value, address, false, verb),
            _ => self.bad_verb(value, verb),
        }
    }

    /// What `String()` or `Error()` says, where the verb asks for text.
    fn stringer(&mut self, value: &Value, verb: char) -> bool {
        if self.erroring || self.flags.sharp_v || !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return verb == 'w' && !self.erroring && {
                self.bad_verb(value, verb);
                true
            };
        }
        let text = match value {
            Value::Time(time) => Some(time.to_string().into_bytes()),
            Value::Int(number, kind) => crate::time::int_string(*number, *kind).map(String::into_bytes),
            Value::Object(object) => object.string().map(|text| text.as_bytes().to_vec()),
            _ => None,
        };
        if let Some(text) = &text {
            self.text(value, text, verb);
        }
        text.is_some()
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if depth > MAX_DEPTH {
            return self.write("...");
        }
        match value {
            Value::Invalid | Value::Nil => match (depth, verb) {
                (_, 'v') if self.flags.sharp_v => self.write("interface {}(nil)"),
                _ => self.write("<nil>"),
            },
            Value::Bool(flag) => match verb {
                't' | 'v' => self.pad(if *flag { b"true" } else { b"false" }),
                _ => self.bad_verb(value, verb),
            },
            Value::Int(number, _) => {
                if !self.stringer(value, verb) {
                    self.integer(value, *number as u64, true, verb);
                }
            }
            Value::Uint(number, _) => self.integer(value, *number, false, verb),
            Value::Float(number) => self.float(value, *number, verb),
            Value::Complex(real, imaginary) => {
                if !"vbgGxXfFeE".contains(verb) {
                    return self.bad_verb(value, verb);
                }
                let plus = self.flags.plus;
                self.write("(");
                self.float(value, *real, verb);
                self.flags.plus = true;
                self.float(value, *imaginary, verb);
                self.write("i)");
                self.flags.plus = plus;
            }
            Value::Str(text) => {
                let text = text.clone();
                self.text(value, text.as_bytes(), verb);
            }
            Value::List(list) => self.list(value, list, verb, depth),
            Value::Map(map) => self.map(map, verb, depth),
            Value::Time(_) => {
                if !self.stringer(value, verb) {
                    self.write("{}");
                }
            }
            Value::Object(_) => self.object(value, verb, depth),
            Value::Func(_) | Value::NilPtr(_) => self.pointer(value, verb),
        }
    }

    fn object(&mut self, value: &Value, verb: char, depth: usize) {
        let Value::Object(object) = value else { return };
        if self.stringer(value, verb) {
            return;
        }
        if verb == 'v'
            && self.flags == Flags::default()
            && let Some(blobs) = object.blobs()
        {
            return self.blobs(&blobs);
        }
        if let Some(inner) = object.underlying() {
            return self.value(&inner, verb, depth);
        }
        let name = object.type_name();
        if object.kind() == Kind::Ptr {
            if depth > 0 {
                return self.pointer(value, verb);
            }
            self.write("&");
        }
        if self.flags.sharp_v {
            self.write(name.trim_start_matches('*'));
        }
        self.write("{");
        for (index, (key, field)) in object.fields().into_iter().enumerate() {
            if index > 0 {
                self.write(if self.flags.sharp_v { ", " } else { " " });
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.write(key);
                self.write(":");
            }
            self.value(&field, verb, depth + 1);
        }
        self.write("}");
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) {
        let sharp = self.flags.sharp_v;
        if sharp {
            self.write(&map.type_name());
            if map.is_nil() {
                return self.write("(nil)");
            }
        }
        self.write(if sharp { "{" } else { "map[" });
        for (index, (key, item)) in map.entries().into_iter().enumerate() {
            if index > 0 {
                self.write(if sharp { ", " } else { " " });
            }
            self.value(&Value::Str(key), verb, depth + 1);
            self.write(":");
            self.value(&item, verb, depth + 1);
        }
        self.write(if sharp { "}" } else { "]" });
    }

    /// As a map of byte slices prints without flags. Charts do so by mistake, with all files they have.
    fn blobs(&mut self, blobs: &[(&str, &[u8])]) {
        let texts: Vec<String> = (0..=u8::MAX).map(|byte| format!("{byte} ")).collect();
        // Most bytes take three digits or two, and a space. Asked for at once, or all of it would be moved as it grows.
        self.out.reserve(blobs.iter().map(|(name, bytes)| name.len() + 4 + bytes.len() * 4).sum());
        self.write("map[");
        for (index, (name, bytes)) in blobs.iter().enumerate() {
            self.write(if index > 0 { " " } else { "" });
            self.write(name);
            self.write(":[");
            for byte in *bytes {
                self.write(texts.get(usize::from(*byte)).map_or("", |text| text));
            }
            if !bytes.is_empty() {
                self.out.pop();
            }
            self.write("]");
        }
        self.write("]");
    }

    fn list(&mut self, value: &Value, list: &List, verb: char, depth: usize) {
        let sharp = self.flags.sharp_v;
        let bytes = list.elem == Elem::Byte;
        if bytes && matches!(verb, 's' | 'q' | 'x' | 'X') {
            let bytes = crate::codec::bytes_of(list);
            return self.text(value, &bytes, verb);
        }
        if sharp {
            let name = if bytes && depth == 0 { "[]byte".into() } else { list.type_name() };
            self.write(&name);
            if list.nil {
                return self.write("(nil)");
            }
        }
        self.write(if sharp { "{" } else { "[" });
        for (index, item) in list.items.iter().enumerate() {
            if index > 0 {
                self.write(if sharp { ", " } else { " " });
            }
            self.value(item, verb, depth + 1);
        }
        self.write(if sharp { "}" } else { "]" });
    }

    // Strings.

    fn truncated<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(precision) = self.flags.precision else {
            return bytes;
        };
        let mut end = 0;
        for _ in 0..precision {
            let width = rune_width(bytes.get(end..).unwrap_or_default());
            if width == 0 {
                break;
            }
            end += width;
        }
        bytes.get(..end).unwrap_or(bytes)
    }

    fn string(&mut self, bytes: &[u8]) {
        let bytes = self.truncated(bytes);
        self.pad(bytes);
    }

    fn text(&mut self, value: &Value, bytes: &[u8], verb: char) {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(bytes),
            'v' | 's' => self.string(bytes),
            'x' => self.hex_text(bytes, LOWER),
            'X' => self.hex_text(bytes, UPPER),
            'q' => self.quoted(bytes),
            _ => self.bad_verb(value, verb),
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        let bytes = self.truncated(bytes);
        let mut out = Vec::with_capacity(bytes.len() + 2);
        if self.flags.sharp && can_backquote(bytes) {
            out.push(b'`');
            out.extend_from_slice(bytes);
            out.push(b'`');
        } else {
            quote::append(&mut out, bytes, self.flags.plus);
        }
        self.pad(&out);
    }

    fn hex_text(&mut self, bytes: &[u8], digits: &[u8; 17]) {
        let length = self.flags.precision.map_or(bytes.len(), |precision| precision.min(bytes.len()));
        let mut out = Vec::with_capacity(2 * length);
        let prefix = [b'0', digits[16]];
        for (index, byte) in bytes.iter().take(length).enumerate() {
            if index > 0 && self.flags.space {
                out.push(b' ');
            }
            if self.flags.sharp && (index == 0 || self.flags.space) {
                out.extend_from_slice(&prefix);
            }
            out.push(digits[usize::from(byte >> 4)]);
            out.push(digits[usize::from(byte & 15)]);
        }
        self.pad(&out);
    }

    // Numbers.

    fn hex(&mut self, number: u64, prefix: bool) {
        let sharp = std::mem::replace(&mut self.flags.sharp, prefix);
        self.digits(number, 16, false, 'v', LOWER);
        self.flags.sharp = sharp;
    }

    fn integer(&mut self, value: &Value, number: u64, signed: bool, verb: char) {
        match verb {
            'v' if self.flags.sharp_v && !signed => self.hex(number, true),
            'v' | 'd' => self.digits(number, 10, signed, verb, LOWER),
            'b' => self.digits(number, 2, signed, verb, LOWER),
            'o' | 'O' => self.digits(number, 8, signed, verb, LOWER),
            'x' => self.digits(number, 16, signed, verb, LOWER),
            'X' => self.digits(number, 16, signed, verb, UPPER),
            'c' => {
                let c = rune_of(number);
                self.pad(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            'q' => {
                let text = quote::rune(rune_of(number), self.flags.plus);
                self.pad(&text);
            }
            'U' => self.unicode(number),
            _ => self.bad_verb(value, verb),
        }
    }

    fn unicode(&mut self, number: u64) {
        let width = self.flags.precision.unwrap_or(4).max(4);
        let mut text = format!("U+{number:0width$X}");
        if let Some(c) = u32::try_from(number).ok().and_then(char::from_u32)
            && self.flags.sharp
            && quote::is_print(c)
        {
            text.push_str(&format!(" '{c}'"));
        }
        self.pad_spaces(text.as_bytes());
    }

    fn digits(&mut self, number: u64, base: u64, signed: bool, verb: char, digits: &[u8; 17]) {
        let negative = signed && (number as i64) < 0;
        let number = if negative { number.wrapping_neg() } else { number };
        let flags = self.flags;
        let mut minimum = 0;
        if let Some(precision) = flags.precision {
            if precision == 0 && number == 0 {
                let zero = std::mem::take(&mut self.flags.zero);
                self.padding(flags.width.unwrap_or(0));
                self.flags.zero = zero;
                return;
            }
            minimum = precision;
        } else if let (true, false, Some(width)) = (flags.zero, flags.minus, flags.width) {
            // Room for the sign is left.
            minimum = width.saturating_sub(usize::from(negative || flags.plus || flags.space));
        }
        // Made from right to left.
        let mut text = Vec::with_capacity(24);
        let mut rest = number;
        loop {
            text.push(digits.get((rest % base) as usize).copied().unwrap_or(b'?'));
            rest /= base;
            if rest == 0 {
                break;
            }
        }
        while text.len() < minimum {
            text.push(b'0');
        }
        if flags.sharp {
            match base {
                2 => text.extend_from_slice(b"b0"),
                8 if text.last() != Some(&b'0') => text.push(b'0'),
                16 => text.extend_from_slice(&[digits[16], b'0']),
                _ => {}
            }
        }
        if verb == 'O' {
            text.extend_from_slice(b"o0");
        }
        if negative {
            text.push(b'-');
        } else if flags.plus {
            text.push(b'+');
        } else if flags.space {
            text.push(b' ');
        }
        text.reverse();
        self.pad_spaces(&text);
    }

    fn float(&mut self, value: &Value, number: f64, verb: char) {
        let (verb, default) = match verb {
            'v' => (b'g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb as u8, None),
            'f' | 'e' | 'E' => (verb as u8, Some(6)),
            'F' => (b'f', Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(default);
        let mut text = float::format(number, verb, precision).into_bytes();
        if !matches!(text.first(), Some(b'+' | b'-')) {
            text.insert(0, b'+');
        }
        let flags = self.flags;
        if flags.space && !flags.plus && text.first() == Some(&b'+') {
            text[0] = b' ';
        }
        if !number.is_finite() {
            // No zeros before what is no number.
            let skip = if number.is_nan() && !flags.space && !flags.plus { 1 } else { 0 };
            let skip = if number == f64::INFINITY && !flags.space && !flags.plus { 0 } else { skip };
            return self.pad_spaces(text.get(skip..).unwrap_or_default());
        }
        if flags.sharp && verb != b'b' {
            text = with_point(&text, verb, precision);
        }
        let signed = flags.plus || text.first() != Some(&b'+');
        if !signed {
            return self.pad(text.get(1..).unwrap_or_default());
        }
        if flags.zero && !flags.minus && flags.width.is_some_and(|width| width > text.len()) {
            self.out.extend_from_slice(text.get(..1).unwrap_or_default());
            self.padding(flags.width.unwrap_or(0) - text.len());
            self.out.extend_from_slice(text.get(1..).unwrap_or_default());
            return;
        }
        self.pad(&text);
    }
}

/// Puts the decimal point and trailing zeros back that `#` asks for.
fn with_point(text: &[u8], verb: u8, precision: Option<usize>) -> Vec<u8> {
    let mut digits = match verb {
        b'g' | b'G' | b'x' => precision.map_or(6, |precision| precision as i64),
        _ => 0,
    };
    let hex = matches!(verb, b'x' | b'X');
    let is_tail = |byte: &u8| matches!(byte, b'p' | b'P') || (!hex && matches!(byte, b'e' | b'E'));
    let end = text.iter().position(is_tail).unwrap_or(text.len());
    let (number, tail) = text.split_at(end);
    let mut out = number.to_vec();
    let mut nonzero = false;
    for byte in number.iter().skip(1).filter(|byte| **byte != b'.') {
        nonzero |= *byte != b'0';
        digits -= i64::from(nonzero);
    }
    if !number.contains(&b'.') {
        if number.len() == 2 && number.get(1) == Some(&b'0') {
            digits -= 1;
        }
        out.push(b'.');
    }
    out.extend(std::iter::repeat_n(b'0', digits.max(0) as usize));
    out.extend_from_slice(tail);
    out
}

fn rune_of(number: u64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn can_backquote(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    text.chars().all(|c| (c >= ' ' || c == '\t') && !matches!(c, '`' | '\u{7f}' | '\u{feff}'))
}

/// The bytes of the first rune; one for a byte that is none.
pub(super) fn rune_width(bytes: &[u8]) -> usize {
    let Some(chunk) = bytes.get(..bytes.len().min(4)).and_then(|head| head.utf8_chunks().next()) else {
        return 0;
    };
    chunk.valid().chars().next().map_or(1, char::len_utf8)
}

fn rune_count(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}
