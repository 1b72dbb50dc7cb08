//! Go's `fmt`: `print`, `println` and `printf` with every verb, flag and complaint.

mod float;
mod format;
mod printer;
mod quote;

pub(crate) use float::format as float;
pub(crate) use quote::{append as append_quoted, is_print, quote, unicode};

use crate::value::Value;
use printer::Printer;

/// A float as `%v` prints it.
pub(crate) fn float_g(value: f64) -> String {
    float::format(value, b'g', None)
}

/// Appends the value as `%v` prints it.
pub(crate) fn print(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Str(text) => out.extend_from_slice(text.as_bytes()),
        Value::Int(number, crate::value::IntType::Int | crate::value::IntType::Int64) => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Float(number) => out.extend_from_slice(float_g(*number).trim_start_matches("+N").as_bytes()),
        value => Printer::new(out).argument(value, 'v'),
    }
}

/// The value as `%v` prints it.
pub(crate) fn text(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    print(&mut out, value);
    out
}

/// As `fmt.Sprint`: a space between operands when neither is a string.
pub(crate) fn sprint(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut after_string = false;
    for (index, value) in values.iter().enumerate() {
        let string = matches!(value, Value::Str(_));
        if index > 0 && !string && !after_string {
            out.push(b' ');
        }
        print(&mut out, value);
        after_string = string;
    }
    out
}

/// As `fmt.Sprintln`.
pub(crate) fn sprintln(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        print(&mut out, value);
    }
    out.push(b'\n');
    out
}

/// As `fmt.Sprintf`.
pub(crate) fn sprintf(format: &[u8], values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(format.len() + 16);
    format::printf(&mut out, format, values);
    out
}
