//! The printer behind the verbs.

use super::float;
use super::quote;
use crate::value::{Elem, Kind, List, MAX_DEPTH, Map, Value};

const LOWER: &[u8; 17] = b"0123456789abcdefx";
const UPPER: &[u8; 17] = b"0123456789ABCDEFX";
/// Widths and precisions beyond it count as errors.
const TOO_LARGE: i64 = 1_000_000;

#[derive(Clone, Copy, Default)]
struct Flags {
    width: Option<usize>,
    precision: Option<usize>,
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    plus_v: bool,
    sharp_v: bool,
}

pub(super) struct Printer<'o> {
    out: &'o mut Vec<u8>,
    flags: Flags,
    erroring: bool,
}

impl<'o> Printer<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Printer { out, flags: Flags::default(), erroring: false }
    }

    fn write(&mut self, text: &str) {
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
        let address: u64 = if matches!(value, Value::NilPtr(_)) { 0 } else { 0xc000_0000_00 };
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
fn rune_width(bytes: &[u8]) -> usize {
    let Some(chunk) = bytes.get(..bytes.len().min(4)).and_then(|head| head.utf8_chunks().next()) else {
        return 0;
    };
    chunk.valid().chars().next().map_or(1, char::len_utf8)
}

fn rune_count(bytes: &[u8]) -> usize {
    bytes.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

fn parse_number(format: &[u8], at: usize) -> (Option<usize>, usize) {
    let mut number: i64 = 0;
    let mut end = at;
    while let Some(digit) = format.get(end).filter(|byte| byte.is_ascii_digit()) {
        if number > TOO_LARGE {
            return (None, format.len());
        }
        number = number * 10 + i64::from(digit - b'0');
        end += 1;
    }
    (usize::try_from(number).ok().filter(|_| end > at), end)
}

/// The state of reading a format.
struct Format<'f> {
    format: &'f [u8],
    values: &'f [Value],
    arg: usize,
    at: usize,
    reordered: bool,
    good: bool,
}

impl Format<'_> {
    fn byte(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// `[n]`: the number of the next operand. Whether there was one.
    fn index(&mut self) -> bool {
        if self.byte() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let close = rest.iter().position(|byte| *byte == b']').filter(|_| rest.len() >= 3);
        let Some(close) = close else {
            self.good = false;
            self.at += 1;
            return false;
        };
        let inner = rest.get(..close).unwrap_or_default();
        let (number, end) = parse_number(inner, 1);
        self.at += close + 1;
        match number {
            Some(number) if end == close => {
                if (1..=self.values.len()).contains(&number) {
                    self.arg = number - 1;
                    return true;
                }
                self.good = false;
                true
            }
            _ => {
                self.good = false;
                false
            }
        }
    }

    /// The operand that a `*` stands for.
    fn star(&mut self) -> Option<i64> {
        let value = self.values.get(self.arg)?;
        self.arg += 1;
        let number = match value {
            Value::Int(number, _) => Some(*number),
            Value::Uint(number, _) => i64::try_from(*number).ok(),
            _ => None,
        };
        number.filter(|number| number.abs() <= TOO_LARGE)
    }
}

/// Reads flags; whether a simple verb followed and was printed.
fn flags(printer: &mut Printer<'_>, format: &mut Format<'_>) -> bool {
    while let Some(byte) = format.byte() {
        match byte {
            b'#' => printer.flags.sharp = true,
            b'0' => printer.flags.zero = true,
            b'+' => printer.flags.plus = true,
            b'-' => printer.flags.minus = true,
            b' ' => printer.flags.space = true,
            b'a'..=b'z' => {
                let Some(value) = format.values.get(format.arg) else { return false };
                print_verb(printer, value, char::from(byte));
                format.arg += 1;
                format.at += 1;
                return true;
            }
            _ => return false,
        }
        format.at += 1;
    }
    false
}

fn print_verb(printer: &mut Printer<'_>, value: &Value, verb: char) {
    if matches!(verb, 'v' | 'w') {
        printer.flags.sharp_v = std::mem::take(&mut printer.flags.sharp);
        printer.flags.plus_v = std::mem::take(&mut printer.flags.plus);
    }
    printer.argument(value, verb);
}

/// Width and precision; whether an operand index stood right before the verb.
fn width_and_precision(printer: &mut Printer<'_>, format: &mut Format<'_>) {
    let mut after_index = format.index();
    if format.byte() == Some(b'*') {
        format.at += 1;
        match format.star() {
            Some(width) => {
                if width < 0 {
                    printer.flags.minus = true;
                    printer.flags.zero = false;
                }
                printer.flags.width = Some(width.unsigned_abs() as usize);
            }
            None => printer.write("%!(BADWIDTH)"),
        }
        after_index = false;
    } else {
        let (width, at) = parse_number(format.format, format.at);
        printer.flags.width = width;
        format.at = at;
        if after_index && width.is_some() {
            format.good = false;
        }
    }
    if format.byte() == Some(b'.') && format.at + 1 < format.format.len() {
        format.at += 1;
        if after_index {
            format.good = false;
        }
        after_index = format.index();
        if format.byte() == Some(b'*') {
            format.at += 1;
            match format.star() {
                Some(precision) if precision >= 0 => printer.flags.precision = Some(precision as usize),
                _ => printer.write("%!(BADPREC)"),
            }
            after_index = false;
        } else {
            let (precision, at) = parse_number(format.format, format.at);
            printer.flags.precision = Some(precision.unwrap_or(0));
            format.at = at;
        }
    }
    if !after_index {
        format.index();
    }
}

/// Appends `values` printed as `format` says.
pub(super) fn printf(out: &mut Vec<u8>, text: &[u8], values: &[Value]) {
    let mut format = Format { format: text, values, arg: 0, at: 0, reordered: false, good: true };
    let mut printer = Printer::new(out);
    while format.at < text.len() {
        format.good = true;
        let rest = text.get(format.at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        printer.out.extend_from_slice(rest.get(..plain).unwrap_or_default());
        format.at += plain;
        if format.at >= text.len() {
            break;
        }
        format.at += 1;
        printer.flags = Flags::default();
        if flags(&mut printer, &mut format) {
            continue;
        }
        width_and_precision(&mut printer, &mut format);
        let rest = text.get(format.at..).unwrap_or_default();
        let width = rune_width(rest);
        if width == 0 {
            printer.write("%!(NOVERB)");
            break;
        }
        let verb = std::str::from_utf8(rest.get(..width).unwrap_or_default())
            .ok()
            .and_then(|text| text.chars().next());
        let verb = verb.unwrap_or('\u{fffd}');
        format.at += width;
        if verb == '%' {
            printer.write("%");
        } else if !format.good {
            printer.write(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = values.get(format.arg) {
            print_verb(&mut printer, value, verb);
            format.arg += 1;
        } else {
            printer.write(&format!("%!{verb}(MISSING)"));
        }
    }
    extra(&mut printer, &format);
}

/// Operands that no verb asked for.
fn extra(printer: &mut Printer<'_>, format: &Format<'_>) {
    let Some(rest) = format.values.get(format.arg..).filter(|rest| !rest.is_empty() && !format.reordered)
    else {
        return;
    };
    printer.flags = Flags::default();
    printer.write("%!(EXTRA ");
    for (index, value) in rest.iter().enumerate() {
        if index > 0 {
            printer.write(", ");
        }
        if matches!(value, Value::Invalid | Value::Nil) {
            printer.write("<nil>");
        } else {
            printer.write(&value.type_name());
            printer.write("=");
            printer.argument(value, 'v');
        }
    }
    printer.write(")");
}
