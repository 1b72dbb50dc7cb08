//! Strings.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Res, arg, bytes, int, strval, text, words};
use crate::func::{Context, FuncError, Function, Param};
use crate::value::{Elem, Map, Str, Value};

/// No function makes a longer string.
const MAX_LENGTH: usize = crate::env::MAX_TEXT;

pub(super) fn functions() -> Vec<Function> {
    use Param::{Any, Int, String};
    const ONE: &[Param] = &[String];
    const TWO: &[Param] = &[String, String];
    const COUNTED: &[Param] = &[Int, String];
    let native = Function::native;
    vec![
        native("hello", &[], false, |_, _| Ok(Value::from("Hello!"))),
        native("abbrev", COUNTED, false, |_, args| {
            Ok(Value::str(words::abbreviate(int(args, 0), bytes(args, 1))))
        }),
        native("abbrevboth", &[Int, Int, String], false, |_, args| {
            Ok(Value::str(words::abbreviate_both(int(args, 0), int(args, 1), bytes(args, 2))))
        }),
        native("trunc", COUNTED, false, |_, args| Ok(trunc(int(args, 0), bytes(args, 1)))),
        native("trim", ONE, false, |_, args| Ok(Value::from(text(args, 0).trim()))),
        native("upper", ONE, false, |_, args| Ok(map_chars(args, words::upper))),
        native("lower", ONE, false, |_, args| Ok(map_chars(args, words::lower))),
        native("title", ONE, false, |_, args| Ok(Value::from(words::title(&text(args, 0))))),
        native("untitle", ONE, false, |_, args| Ok(Value::from(words::untitle(&text(args, 0))))),
        native("substr", &[Int, Int, String], false, substr),
        native("repeat", COUNTED, false, |_, args| Ok(Value::str(repeat(bytes(args, 1), int(args, 0))?))),
        native("trimall", TWO, false, trim_all),
        native("trimAll", TWO, false, trim_all),
        native("trimSuffix", TWO, false, |_, args| {
            let all = bytes(args, 1);
            Ok(Value::str(all.strip_suffix(bytes(args, 0)).unwrap_or(all)))
        }),
        native("trimPrefix", TWO, false, |_, args| {
            let all = bytes(args, 1);
            Ok(Value::str(all.strip_prefix(bytes(args, 0)).unwrap_or(all)))
        }),
        native("nospace", ONE, false, |_, args| Ok(Value::str(words::without_space(bytes(args, 0))))),
        native("initials", ONE, false, |_, args| Ok(Value::from(words::initials(bytes(args, 0))))),
        native("swapcase", ONE, false, |_, args| Ok(Value::from(words::swap_case(&text(args, 0))))),
        native("snakecase", ONE, false, |_, args| Ok(Value::from(words::separated(&text(args, 0), '_')))),
        native("kebabcase", ONE, false, |_, args| Ok(Value::from(words::separated(&text(args, 0), '-')))),
        native("camelcase", ONE, false, |_, args| Ok(Value::from(words::pascal(&text(args, 0))))),
        native("wrap", COUNTED, false, |_, args| {
            Ok(Value::str(words::wrap(bytes(args, 1), int(args, 0), b"", false)))
        }),
        native("wrapWith", &[Int, String, String], false, |_, args| {
            Ok(Value::str(words::wrap(bytes(args, 2), int(args, 0), bytes(args, 1), true)))
        }),
        native("contains", TWO, false, |_, args| {
            Ok(Value::Bool(find(bytes(args, 1), bytes(args, 0)).is_some()))
        }),
        native("hasPrefix", TWO, false, |_, args| {
            Ok(Value::Bool(bytes(args, 1).starts_with(bytes(args, 0))))
        }),
        native("hasSuffix", TWO, false, |_, args| Ok(Value::Bool(bytes(args, 1).ends_with(bytes(args, 0))))),
        native("quote", &[Any], true, |_, args| Ok(quote(args))),
        native("squote", &[Any], true, |_, args| Ok(squote(args))),
        native("cat", &[Any], true, |_, args| Ok(cat(args))),
        native("indent", COUNTED, false, |_, args| Ok(Value::str(indent(args, Vec::new())?))),
        native("nindent", COUNTED, false, |_, args| Ok(Value::str(indent(args, vec![b'\n'])?))),
        native("replace", &[String, String, String], false, |_, args| {
            Ok(Value::str(replace(bytes(args, 2), bytes(args, 0), bytes(args, 1))?))
        }),
        native("plural", &[String, String, Int], false, |_, args| {
            Ok(arg(args, usize::from(int(args, 2) != 1)).clone())
        }),
        native("toString", &[Any], false, |_, args| Ok(Value::Str(strval(arg(args, 0))))),
        native("split", TWO, false, |_, args| Ok(numbered(split(bytes(args, 1), bytes(args, 0), -1)))),
        native("splitList", TWO, false, |_, args| {
            Ok(Value::strings(split(bytes(args, 1), bytes(args, 0), -1)))
        }),
        native("splitn", &[String, Int, String], false, |_, args| {
            Ok(numbered(split(bytes(args, 2), bytes(args, 0), int(args, 1))))
        }),
        native("fail", ONE, false, |_, args| Err(FuncError::new(text(args, 0)))),
    ]
}

fn map_chars(args: &[Value], change: fn(char) -> char) -> Value {
    let source = text(args, 0);
    Value::from(source.chars().map(change).collect::<String>())
}

fn trunc(count: i64, all: &[u8]) -> Value {
    let length = all.len() as i64;
    let part = if count < 0 && length + count > 0 {
        all.get((length + count) as usize..)
    } else if count >= 0 && length > count {
        all.get(..count as usize)
    } else {
        Some(all)
    };
    Value::str(part.unwrap_or(all))
}

fn substr(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let (start, end, all) = (int(args, 0), int(args, 1), bytes(args, 2));
    let length = all.len() as i64;
    let outside =
        |what: String| Err(FuncError::new(format!("runtime error: slice bounds out of range {what}")));
    let (from, to) = if start < 0 {
        (0, end)
    } else if end < 0 || end > length {
        (start, length)
    } else {
        (start, end)
    };
    if to < 0 {
        return outside(format!("[:{to}]"));
    }
    if to > length {
        return outside(format!("[:{to}] with length {length}"));
    }
    if from > to {
        return outside(format!("[{from}:{to}]"));
    }
    Ok(Value::str(all.get(from as usize..to as usize).unwrap_or_default()))
}

/// `all`, `count` times.
pub(super) fn repeat(all: &[u8], count: i64) -> Result<Vec<u8>, FuncError> {
    // What Go itself could not hold fails in Go's words, what it could in ours.
    const GO_LIMIT: i64 = 1 << 47;
    if count < 0 {
        return Err("strings: negative Repeat count".into());
    }
    let length = i64::try_from(all.len()).ok().and_then(|length| length.checked_mul(count));
    match (length, usize::try_from(count)) {
        (None, _) => Err("strings: Repeat output length overflow".into()),
        (Some(length), _) if length > GO_LIMIT => Err("runtime error: makeslice: len out of range".into()),
        (Some(length), Ok(count)) if length <= MAX_LENGTH as i64 => Ok(all.repeat(count)),
        _ => Err(FuncError::limit(format!("a string of more than {MAX_LENGTH} bytes is too long"))),
    }
}

fn trim_all(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let cut = text(args, 0);
    Ok(Value::from(text(args, 1).trim_matches(|c| cut.contains(c))))
}

/// Where `needle` first stands.
pub(super) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn quote(args: &[Value]) -> Value {
    let mut out = Vec::new();
    for value in args.iter().filter(|value| !value.is_nil()) {
        if !out.is_empty() {
            out.push(b' ');
        }
        crate::fmt::append_quoted(&mut out, strval(value).as_bytes(), false);
    }
    Value::str(out)
}

fn squote(args: &[Value]) -> Value {
    let mut out = Vec::new();
    for value in args.iter().filter(|value| !value.is_nil()) {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.push(b'\'');
        crate::fmt::print(&mut out, value);
        out.push(b'\'');
    }
    Value::str(out)
}

fn cat(args: &[Value]) -> Value {
    let mut out = Vec::new();
    for (index, value) in args.iter().filter(|value| !value.is_nil()).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        crate::fmt::print(&mut out, value);
    }
    Value::str(out)
}

fn indent(args: &[Value], mut out: Vec<u8>) -> Result<Vec<u8>, FuncError> {
    let source = bytes(args, 1);
    let pad = repeat(b" ", int(args, 0))?;
    let lines = source.iter().filter(|byte| **byte == b'\n').count() + 1;
    if pad.len().saturating_mul(lines) > MAX_LENGTH {
        return Err(FuncError::limit(format!("a string of more than {MAX_LENGTH} bytes is too long")));
    }
    out.reserve(source.len() + pad.len() * lines);
    for (index, line) in source.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        out.extend_from_slice(&pad);
        out.extend_from_slice(line);
    }
    Ok(out)
}

fn replace(source: &[u8], old: &[u8], new: &[u8]) -> Result<Vec<u8>, FuncError> {
    let too_long = || FuncError::limit(format!("a string of more than {MAX_LENGTH} bytes is too long"));
    let mut out = Vec::with_capacity(source.len());
    if old.is_empty() {
        // Between all characters, and at both ends.
        out.extend_from_slice(new);
        for part in split(source, b"", -1) {
            out.extend_from_slice(part.as_bytes());
            out.extend_from_slice(new);
            if out.len() > MAX_LENGTH {
                return Err(too_long());
            }
        }
        return Ok(out);
    }
    let mut rest = source;
    while let Some(at) = find(rest, old) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(new);
        rest = rest.get(at + old.len()..).unwrap_or_default();
        if out.len() > MAX_LENGTH {
            return Err(too_long());
        }
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// The parts between separators, at most `limit` of them (all, if negative). An empty separator parts
/// all characters.
pub(super) fn split(source: &[u8], separator: &[u8], limit: i64) -> Vec<Str> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    if limit == 0 {
        return parts;
    }
    let mut rest = source;
    while parts.len() + 1 < limit {
        let (at, width) = if separator.is_empty() {
            let width = first_width(rest);
            if width >= rest.len() {
                break;
            }
            (width, 0)
        } else {
            match find(rest, separator) {
                Some(at) => (at, separator.len()),
                None => break,
            }
        };
        parts.push(Str::from(rest.get(..at).unwrap_or_default()));
        rest = rest.get(at + width..).unwrap_or_default();
    }
    if !(separator.is_empty() && source.is_empty()) {
        parts.push(Str::from(rest));
    }
    parts
}

fn first_width(bytes: &[u8]) -> usize {
    let head = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let first = head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
    first.map_or(1, char::len_utf8)
}

/// `_0`, `_1` … as a map of strings.
fn numbered(parts: Vec<Str>) -> Value {
    let entries: BTreeMap<Str, Value> = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| (Str::from(format!("_{index}")), Value::Str(part)))
        .collect();
    Value::Map(Rc::new(Map::new(Elem::String, entries)))
}
