//! Lists.

use std::rc::Rc;

use super::cast::to_int64;
use super::{NIL_PANIC, Res, arg, int, items, strval};
use crate::func::{FuncError, Function, Native, Param};
use crate::value::{Elem, List, Str, Value};

pub(super) fn functions() -> Vec<Function> {
    use Param::{Any, Int, String};
    let native = Function::native;
    let mut all = vec![
        native("list", &[Any], true, |_, args| Ok(Value::list(args.to_vec()))),
        native("tuple", &[Any], true, |_, args| Ok(Value::list(args.to_vec()))),
        native("concat", &[Any], true, concat),
        native("sortAlpha", &[Any], false, |_, args| Ok(sort_alpha(arg(args, 0)))),
        native("join", &[String, Any], false, join),
        native("toStrings", &[Any], false, |_, args| Ok(Value::strings(strings_of(arg(args, 0))))),
    ];
    let one: &'static [Param] = &[Any];
    let two: &'static [Param] = &[Any, Any];
    let pairs: [(&'static str, &'static str, &'static [Param], bool, Native); 16] = [
        ("append", "mustAppend", two, false, push),
        ("push", "mustPush", two, false, push),
        ("prepend", "mustPrepend", two, false, prepend),
        ("first", "mustFirst", one, false, first),
        ("rest", "mustRest", one, false, rest),
        ("last", "mustLast", one, false, last),
        ("initial", "mustInitial", one, false, initial),
        ("reverse", "mustReverse", one, false, reverse),
        ("uniq", "mustUniq", one, false, uniq),
        ("compact", "mustCompact", one, false, compact),
        ("without", "mustWithout", two, true, without),
        ("has", "mustHas", two, false, has),
        ("slice", "mustSlice", two, true, slice),
        ("chunk", "mustChunk", &[Int, Any], false, chunk),
        ("all", "", one, true, |_, args| Ok(Value::Bool(!args.iter().any(empty)))),
        ("any", "", one, true, |_, args| Ok(Value::Bool(!args.iter().all(empty)))),
    ];
    for (name, must, params, variadic, body) in pairs {
        all.push(native(name, params, variadic, body));
        if !must.is_empty() {
            all.push(native(must, params, variadic, body));
        }
    }
    all
}

type Ctx<'a, 'b, 'h> = &'a mut crate::func::Context<'b, 'h>;

/// Whether it is the zero value of its type.
pub(super) fn empty(value: &Value) -> bool {
    !value.is_true()
}

fn push(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot push on type")?;
    let mut all = list.items.clone();
    all.push(arg(args, 1).clone());
    Ok(Value::list(all))
}

fn prepend(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot prepend on type")?;
    let mut all = Vec::with_capacity(list.items.len() + 1);
    all.push(arg(args, 1).clone());
    all.extend_from_slice(&list.items);
    Ok(Value::list(all))
}

fn first(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find first on type")?;
    Ok(list.items.first().cloned().unwrap_or(Value::Nil))
}

fn last(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find last on type")?;
    Ok(list.items.last().cloned().unwrap_or(Value::Nil))
}

/// A part of a list, or a nil one of an empty list.
fn part(list: &List, items: Option<&[Value]>) -> Value {
    match items {
        Some(items) if !list.items.is_empty() => Value::list(items.to_vec()),
        _ => Value::List(Rc::new(List::nil(Elem::Any))),
    }
}

fn rest(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find rest on type")?;
    Ok(part(&list, list.items.get(1..)))
}

fn initial(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find initial on type")?;
    Ok(part(&list, list.items.split_last().map(|(_, rest)| rest)))
}

fn reverse(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find reverse on type")?;
    Ok(Value::list(list.items.iter().rev().cloned().collect()))
}

fn in_list(list: &[Value], item: &Value) -> bool {
    list.iter().any(|other| other.deep_equal(item))
}

fn uniq(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find uniq on type")?;
    let mut found: Vec<Value> = Vec::new();
    for item in &list.items {
        if !in_list(&found, item) {
            found.push(item.clone());
        }
    }
    Ok(Value::list(found))
}

fn compact(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot compact on type")?;
    Ok(Value::list(list.items.iter().filter(|item| !empty(item)).cloned().collect()))
}

fn without(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "Cannot find without on type")?;
    let omit = args.get(1..).unwrap_or_default();
    Ok(Value::list(list.items.iter().filter(|item| !in_list(omit, item)).cloned().collect()))
}

fn has(_: Ctx, args: &[Value]) -> Res {
    let haystack = arg(args, 1);
    if haystack.is_nil() {
        return Ok(Value::Bool(false));
    }
    let list = items(haystack, "Cannot find has on type")?;
    Ok(Value::Bool(in_list(&list.items, arg(args, 0))))
}

fn slice(_: Ctx, args: &[Value]) -> Res {
    let list = items(arg(args, 0), "list should be type of slice or array but")?;
    let length = list.items.len();
    if length == 0 {
        return Ok(Value::Nil);
    }
    let start = args.get(1).map_or(0, to_int64);
    let end = args.get(2).map_or(length as i64, to_int64);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match range {
        Some((start, end)) if start <= end && end <= list.capacity() => Ok(list.part(start, end)),
        _ => Err("reflect.Value.Slice: slice index out of bounds".into()),
    }
}

fn chunk(_: Ctx, args: &[Value]) -> Res {
    const OUT_OF_RANGE: &str = "runtime error: makeslice: len out of range";
    let size = int(args, 0);
    let list = items(arg(args, 1), "Cannot chunk type")?;
    let length = list.items.len();
    let chunks = ((length as f64 - 1.0) / size as f64).floor() + 1.0;
    if chunks.is_nan() || chunks < 0.0 || chunks > length as f64 + 1.0 {
        return Err(OUT_OF_RANGE.into());
    }
    let mut parts = Vec::new();
    if chunks > 0.0 {
        match usize::try_from(size) {
            Ok(size) if size > 0 => parts.extend(list.items.chunks(size).map(<[Value]>::to_vec)),
            // A negative size still makes one chunk of one item.
            _ if length == 1 && size < -1 => parts.push(list.items.clone()),
            _ => return Err(OUT_OF_RANGE.into()),
        }
    }
    let parts = parts.into_iter().map(Value::list).collect();
    Ok(Value::List(Rc::new(List::new(Elem::AnyList, parts))))
}

fn concat(_: Ctx, args: &[Value]) -> Res {
    let mut all = Vec::new();
    for value in args {
        if value.is_nil() {
            return Err(NIL_PANIC.into());
        }
        match crate::builtin::items_of(value) {
            Some((_, list)) => all.extend_from_slice(&list.items),
            None => return Err(format!("Cannot concat type {} as list", value.kind().name()).into()),
        }
    }
    if all.is_empty() {
        return Ok(Value::List(Rc::new(List::nil(Elem::Any))));
    }
    Ok(Value::list(all))
}

/// The strings of a list's items (nil ones left out), or of a single value.
pub(super) fn strings_of(value: &Value) -> Vec<Str> {
    match crate::builtin::items_of(value) {
        Some((_, list)) => list.items.iter().filter(|item| !item.is_nil()).map(strval).collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![strval(value)],
    }
}

fn sort_alpha(value: &Value) -> Value {
    if crate::builtin::items_of(value).is_none() {
        return Value::strings([strval(value)]);
    }
    let mut strings = strings_of(value);
    strings.sort();
    Value::strings(strings)
}

fn join(_: Ctx, args: &[Value]) -> Result<Value, FuncError> {
    let separator = super::bytes(args, 0);
    let mut out = Vec::new();
    for (index, text) in strings_of(arg(args, 1)).iter().enumerate() {
        if out.len() > crate::env::MAX_TEXT {
            break;
        }
        if index > 0 {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(text.as_bytes());
    }
    Ok(Value::str(out))
}
