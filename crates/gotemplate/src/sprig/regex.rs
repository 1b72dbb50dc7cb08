//! Regular expressions.

use std::rc::Rc;

use super::{Res, bytes, int, text};
use crate::func::{Context, FuncError, Function, Param};
use crate::regexp::Regexp;
use crate::value::{Elem, List, Value};

/// Patterns that one environment keeps compiled.
const MAX_CACHED: usize = 1000;

pub(super) fn functions() -> Vec<Function> {
    use Param::{Int, String};
    const TWO: &[Param] = &[String, String];
    const COUNTED: &[Param] = &[String, String, Int];
    const THREE: &[Param] = &[String, String, String];
    let native = Function::native;
    vec![
        native("regexMatch", TWO, false, |context, args| {
            // sprig ignores a bad pattern here.
            Ok(Value::Bool(
                compiled(context, args, false).is_ok_and(|regexp| regexp.is_match(bytes(args, 1))),
            ))
        }),
        native("mustRegexMatch", TWO, false, |context, args| {
            Ok(Value::Bool(compiled(context, args, false)?.is_match(bytes(args, 1))))
        }),
        native("regexFindAll", COUNTED, false, |context, args| find_all(context, args, true)),
        native("mustRegexFindAll", COUNTED, false, |context, args| find_all(context, args, false)),
        native("regexFind", TWO, false, |context, args| find(context, args, true)),
        native("mustRegexFind", TWO, false, |context, args| find(context, args, false)),
        native("regexReplaceAll", THREE, false, |context, args| replace(context, args, true, true)),
        native("mustRegexReplaceAll", THREE, false, |context, args| replace(context, args, true, false)),
        native("regexReplaceAllLiteral", THREE, false, |context, args| replace(context, args, false, true)),
        native("mustRegexReplaceAllLiteral", THREE, false, |context, args| {
            replace(context, args, false, false)
        }),
        native("regexSplit", COUNTED, false, |context, args| split(context, args, true)),
        native("mustRegexSplit", COUNTED, false, |context, args| split(context, args, false)),
        native("regexQuoteMeta", &[String], false, |_, args| Ok(Value::str(quote_meta(bytes(args, 0))))),
    ]
}

/// The compiled pattern of the first argument. `panics` tells which of Go's two error texts fits.
fn compiled(context: &mut Context<'_, '_>, args: &[Value], panics: bool) -> Result<Rc<Regexp>, FuncError> {
    let pattern = text(args, 0);
    if let Some(regexp) = context.env.regexps.get(&*pattern) {
        return Ok(regexp.clone());
    }
    let regexp = Regexp::compile(&pattern).map_err(|error| {
        FuncError::new(if panics {
            let shown = crate::fmt::quote(&pattern);
            let shown = if pattern.contains('`') { shown } else { format!("`{pattern}`") };
            format!("regexp: Compile({shown}): {error}")
        } else {
            error
        })
    })?;
    let (regexp, steps) = regexp;
    context.env.charge(steps)?;
    let regexp = Rc::new(regexp);
    if context.env.regexps.len() >= MAX_CACHED {
        context.env.regexps.clear();
    }
    context.env.regexps.insert(Rc::from(&*pattern), regexp.clone());
    Ok(regexp)
}

fn find(context: &mut Context<'_, '_>, args: &[Value], panics: bool) -> Res {
    let regexp = compiled(context, args, panics)?;
    Ok(Value::str(regexp.find(bytes(args, 1)).unwrap_or_default()))
}

fn find_all(context: &mut Context<'_, '_>, args: &[Value], panics: bool) -> Res {
    let regexp = compiled(context, args, panics)?;
    let limit = usize::try_from(int(args, 2)).unwrap_or(usize::MAX);
    let found = regexp.find_all(bytes(args, 1), limit);
    if found.is_empty() {
        return Ok(Value::List(Rc::new(List::nil(Elem::String))));
    }
    Ok(Value::strings(found))
}

fn replace(context: &mut Context<'_, '_>, args: &[Value], expand: bool, panics: bool) -> Res {
    let regexp = compiled(context, args, panics)?;
    Ok(Value::str(regexp.replace_all(bytes(args, 1), bytes(args, 2), expand)))
}

fn split(context: &mut Context<'_, '_>, args: &[Value], panics: bool) -> Res {
    let regexp = compiled(context, args, panics)?;
    match regexp.split(bytes(args, 1), int(args, 2)) {
        Some(parts) => Ok(Value::strings(parts)),
        None => Ok(Value::List(Rc::new(List::nil(Elem::String)))),
    }
}

fn quote_meta(source: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(source.len());
    for byte in source {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}
