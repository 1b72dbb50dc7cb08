//! The functions of sprig 3.3.

pub(crate) mod cast;
mod certs;
mod crypto;
mod dates;
mod decimal;
mod der;
mod dicts;
mod lists;
mod merge;
mod numbers;
mod paths;
mod random;
mod regex;
mod rsa;
mod strings;
mod types;
mod urls;
mod versions;
mod words;

use std::borrow::Cow;
use std::rc::Rc;

use crate::func::{FuncError, Function};
use crate::value::{List, Map, Str, Value};

pub(crate) type Res = Result<Value, FuncError>;

/// What Go says when a nil is used where something must be.
pub(crate) const NIL_PANIC: &str = "runtime error: invalid memory address or nil pointer dereference";

/// All of them, but `env` and `expandenv`.
pub(crate) fn functions() -> Vec<Function> {
    let mut all = Vec::with_capacity(230);
    all.extend(certs::functions());
    all.extend(crypto::functions());
    all.extend(dates::functions());
    all.extend(dicts::functions());
    all.extend(lists::functions());
    all.extend(numbers::functions());
    all.extend(paths::functions());
    all.extend(random::functions());
    all.extend(regex::functions());
    all.extend(strings::functions());
    all.extend(types::functions());
    all.extend(urls::functions());
    all.extend(versions::functions());
    all.extend(crate::codec::sprig_functions());
    all
}

/// The argument `index`.
pub(crate) fn arg(args: &[Value], index: usize) -> &Value {
    args.get(index).unwrap_or(&Value::Nil)
}

/// The bytes of a string argument.
pub(crate) fn bytes(args: &[Value], index: usize) -> &[u8] {
    match args.get(index) {
        Some(Value::Str(text)) => text.as_bytes(),
        _ => &[],
    }
}

/// The text of a string argument.
pub(crate) fn text(args: &[Value], index: usize) -> Cow<'_, str> {
    match args.get(index) {
        Some(Value::Str(text)) => text.to_text(),
        _ => Cow::Borrowed(""),
    }
}

/// An integer argument.
pub(crate) fn int(args: &[Value], index: usize) -> i64 {
    match args.get(index) {
        Some(Value::Int(number, _)) => *number,
        _ => 0,
    }
}

/// A map argument.
pub(crate) fn map(args: &[Value], index: usize) -> Result<&Rc<Map>, FuncError> {
    match args.get(index) {
        Some(Value::Map(map)) => Ok(map),
        _ => Err("expected a map".into()),
    }
}

/// The slice in an argument of any type, for the function whose error says `Cannot <what> on type …`.
pub(crate) fn items(value: &Value, complaint: &str) -> Result<Rc<List>, FuncError> {
    if value.is_nil() {
        return Err(NIL_PANIC.into());
    }
    match crate::builtin::items_of(value) {
        Some((_, list)) => Ok(list),
        None => Err(format!("{complaint} {}", value.kind().name()).into()),
    }
}

/// sprig's string of a value: itself, what `String()` or `Error()` says, or as `%v` prints it.
pub(crate) fn strval(value: &Value) -> Str {
    match value {
        Value::Str(text) => text.clone(),
        Value::List(list) if list.elem == crate::value::Elem::Byte => Str::from(crate::codec::bytes_of(list)),
        value => Str::from(crate::fmt::text(value)),
    }
}
