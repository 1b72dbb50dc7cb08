//! Reading a `printf` format.

use super::printer::{Flags, Printer, rune_width};
use crate::value::Value;

/// Widths and precisions beyond it count as errors.
const TOO_LARGE: i64 = 1_000_000;

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
    while format.at < text.len() && printer.out.len() <= crate::env::MAX_TEXT {
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
