//! Go's own template functions.

use std::rc::Rc;

use crate::func::{Body, Context, FuncError, Function, Param};
use crate::value::{Elem, List, Str, Value};

type Res = Result<Value, FuncError>;

/// All of them.
pub(crate) fn functions() -> Vec<Function> {
    use Param::{Any, Reflect, String};
    let native = Function::native;
    let mut and = native("and", &[Reflect, Reflect], true, call);
    and.body = Body::And;
    let mut or = native("or", &[Reflect, Reflect], true, call);
    or.body = Body::Or;
    let mut call = native("call", &[Reflect, Reflect], true, call);
    call.body = Body::Call;
    vec![
        and,
        or,
        call,
        native("not", &[Reflect], false, |_, args| Ok(Value::Bool(!arg(args, 0).is_true()))),
        native("len", &[Reflect], false, |_, args| length(arg(args, 0))),
        native("index", &[Reflect, Reflect], true, |_, args| index(args)),
        native("slice", &[Reflect, Reflect], true, |_, args| slice(args)),
        native("print", &[Any], true, |_, args| Ok(Value::str(crate::fmt::sprint(args)))),
        native("println", &[Any], true, |_, args| Ok(Value::str(crate::fmt::sprintln(args)))),
        native("printf", &[String, Any], true, printf),
        native("html", &[Any], true, |_, args| Ok(Value::str(html(&joined(args))))),
        native("js", &[Any], true, |_, args| Ok(Value::str(js(&joined(args))))),
        native("urlquery", &[Any], true, |_, args| Ok(Value::str(query_escape(&joined(args))))),
        native("eq", &[Reflect, Reflect], true, |_, args| eq(args).map(Value::Bool)),
        native("ne", &[Reflect, Reflect], false, |_, args| eq(args).map(|equal| Value::Bool(!equal))),
        native("lt", &[Reflect, Reflect], false, |_, args| less(args).map(Value::Bool)),
        native("le", &[Reflect, Reflect], false, |_, args| le(args).map(Value::Bool)),
        native("gt", &[Reflect, Reflect], false, |_, args| le(args).map(|le| Value::Bool(!le))),
        native("ge", &[Reflect, Reflect], false, |_, args| less(args).map(|less| Value::Bool(!less))),
    ]
}

fn arg(args: &[Value], index: usize) -> &Value {
    args.get(index).unwrap_or(&Value::Invalid)
}

/// The executor itself runs `and`, `or` and `call`.
fn call(_: &mut Context<'_, '_>, _: &[Value]) -> Res {
    Err("unreachable".into())
}

fn printf(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    match args.split_first() {
        Some((Value::Str(format), rest)) => Ok(Value::str(crate::fmt::sprintf(format.as_bytes(), rest))),
        _ => Err("expected string".into()),
    }
}

/// What an object stands for, if it is a named map or slice.
fn inner(value: &Value) -> Value {
    match value {
        Value::Object(object) => object.underlying().unwrap_or_else(|| value.clone()),
        value => value.clone(),
    }
}

/// The name of the type that a pointer points to, or of any other value.
fn pointed(value: &Value) -> String {
    value.type_name().trim_start_matches('*').to_owned()
}

fn length(value: &Value) -> Res {
    let length = match inner(value) {
        Value::Str(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.len(),
        Value::Nil | Value::NilPtr(_) => return Err("len of nil pointer".into()),
        Value::Invalid => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        other => return Err(format!("len of type {}", pointed(&other)).into()),
    };
    Ok(Value::int(length as i64))
}

/// An index into something with `limit` as the largest.
fn position(index: &Value, limit: usize) -> Result<usize, FuncError> {
    let position = match index {
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Invalid | Value::Nil => return Err("cannot index slice/array with nil".into()),
        other => return Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    };
    match usize::try_from(position) {
        Ok(position) if position <= limit => Ok(position),
        _ => Err(format!("index out of range: {position}").into()),
    }
}

fn index(args: &[Value]) -> Res {
    let Some((item, indexes)) = args.split_first() else {
        return Err("index of untyped nil".into());
    };
    if item.is_nil() {
        return Err("index of untyped nil".into());
    }
    let mut item = item.clone();
    for key in indexes {
        item = match inner(&item) {
            Value::Nil | Value::Invalid | Value::NilPtr(_) => return Err("index of nil pointer".into()),
            Value::Str(text) => {
                let at = position(key, text.len())?;
                match text.as_bytes().get(at) {
                    Some(byte) => Value::Uint(u64::from(*byte), crate::value::UintType::Uint8),
                    None => return Err("reflect: string index out of range".into()),
                }
            }
            Value::List(list) => {
                let at = position(key, list.items.len())?;
                match list.items.get(at) {
                    Some(value) => value.clone(),
                    None => return Err("reflect: slice index out of range".into()),
                }
            }
            Value::Map(map) => match key {
                Value::Str(key) => {
                    map.get_bytes(key.as_bytes()).unwrap_or_else(|| crate::exec::zero_of(map.elem))
                }
                Value::Nil | Value::Invalid => return Err("value is nil; should be of type string".into()),
                other => return Err(format!("value has type {}; should be string", other.type_name()).into()),
            },
            other => return Err(format!("can't index item of type {}", pointed(&other)).into()),
        };
    }
    Ok(item)
}

fn slice(args: &[Value]) -> Res {
    let Some((item, indexes)) = args.split_first() else {
        return Err("slice of untyped nil".into());
    };
    let item = match inner(item) {
        Value::Nil | Value::Invalid => return Err("slice of untyped nil".into()),
        Value::NilPtr(_) => return Err("slice of nil pointer".into()),
        item => item,
    };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let (length, capacity) = match &item {
        Value::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Str(text) => (text.len(), text.len()),
        Value::List(list) => (list.items.len(), list.capacity()),
        other => return Err(format!("can't slice item of type {}", pointed(other)).into()),
    };
    let mut bounds = [0, length, capacity];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, capacity)?;
    }
    let [from, to, cap] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}").into());
    }
    if indexes.len() == 3 && to > cap {
        return Err(format!("invalid slice index: {to} > {cap}").into());
    }
    Ok(match &item {
        Value::Str(text) => Value::Str(Str::from(text.as_bytes().get(from..to).unwrap_or_default())),
        Value::List(list) => list.part(from, to),
        other => other.clone(),
    })
}

// Comparison.

/// The kinds that compare.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Basic {
    None,
    Bool,
    Complex,
    Int,
    Float,
    String,
    Uint,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Complex(..) => Basic::Complex,
        Value::Int(..) => Basic::Int,
        Value::Float(_) => Basic::Float,
        Value::Str(_) => Basic::String,
        Value::Uint(..) => Basic::Uint,
        _ => Basic::None,
    }
}

fn incompatible(a: &Value, b: &Value) -> FuncError {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()).into()
}

fn eq(args: &[Value]) -> Result<bool, FuncError> {
    let Some((first, rest)) = args.split_first() else {
        return Err("missing argument for comparison".into());
    };
    if rest.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, FuncError> {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Int(a, _), Value::Int(b, _)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a == b,
        (Value::Int(a, _), Value::Uint(b, _)) | (Value::Uint(b, _), Value::Int(a, _)) => {
            u64::try_from(*a) == Ok(*b)
        }
        _ if basic(a) != basic(b) => {
            if a.is_nil() || b.is_nil() {
                return Ok(false);
            }
            return Err(incompatible(a, b));
        }
        _ => return equal_others(a, b),
    })
}

/// Equality of what has no basic kind: nil, or comparable types.
fn equal_others(a: &Value, b: &Value) -> Result<bool, FuncError> {
    let (none, other) = (is_nil(a), is_nil(b));
    if a.kind() != b.kind() && !a.is_nil() && !b.is_nil() {
        let shown = String::from_utf8_lossy(&crate::fmt::text(b)).into_owned();
        let message =
            format!("non-comparable types {}: {}, {}: {shown}", reflected(a), a.type_name(), b.type_name());
        return Err(message.into());
    }
    if none || other {
        return Ok(none == other);
    }
    match (a, b) {
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::Object(a), Value::Object(b)) => Ok(Rc::ptr_eq(a, b)),
        _ => Err(format!("non-comparable type {}: {}", reflected(b), b.type_name()).into()),
    }
}

/// How `%s` shows a `reflect.Value` that holds the value.
fn reflected(value: &Value) -> String {
    String::from_utf8_lossy(&crate::fmt::sprintf(b"%s", std::slice::from_ref(value))).into_owned()
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Invalid | Value::NilPtr(_) => true,
        Value::Map(map) => map.is_nil(),
        Value::List(list) => list.nil,
        _ => false,
    }
}

fn less(args: &[Value]) -> Result<bool, FuncError> {
    let (a, b) = (arg(args, 0), arg(args, 1));
    if basic(a) == Basic::None || basic(b) == Basic::None {
        return Err("invalid type for comparison".into());
    }
    Ok(match (a, b) {
        (Value::Float(a), Value::Float(b)) => a < b,
        (Value::Int(a, _), Value::Int(b, _)) => a < b,
        (Value::Str(a), Value::Str(b)) => a < b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a < b,
        (Value::Int(a, _), Value::Uint(b, _)) => u64::try_from(*a).map_or(true, |a| a < *b),
        (Value::Uint(a, _), Value::Int(b, _)) => u64::try_from(*b).is_ok_and(|b| *a < b),
        _ if basic(a) != basic(b) => return Err(incompatible(a, b)),
        _ => return Err("invalid type for comparison".into()),
    })
}

fn le(args: &[Value]) -> Result<bool, FuncError> {
    Ok(less(args)? || eq(args)?)
}

// Escaping.

/// The operands as `fmt.Sprint` joins them.
fn joined(args: &[Value]) -> Vec<u8> {
    match args {
        [Value::Str(text)] => text.as_bytes().to_vec(),
        args => {
            // What is nil is shown as a missing value, and counts as a string.
            let shown =
                |value: &Value| if value.is_nil() { Value::from("<no value>") } else { value.clone() };
            crate::fmt::sprint(&args.iter().map(shown).collect::<Vec<_>>())
        }
    }
}

fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            byte => out.push(*byte),
        }
    }
    out
}

fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '\\' => out.extend_from_slice(b"\\\\"),
            '\'' => out.extend_from_slice(b"\\'"),
            '"' => out.extend_from_slice(b"\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\u{1f}' => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes());
            }
            c if c.is_ascii() || crate::fmt::is_print(c) => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            c => out.extend_from_slice(format!("\\u{:04X}", u32::from(c)).as_bytes()),
        }
    }
    out
}

/// As `url.QueryEscape`.
pub(crate) fn query_escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            b' ' => out.push(b'+'),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

/// The elements of a slice as they are, whatever named type it has.
pub(crate) fn items_of(value: &Value) -> Option<(Elem, Rc<List>)> {
    match inner(value) {
        Value::List(list) => Some((list.elem, list)),
        _ => None,
    }
}
