//! Maps.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::merge::merge;
use super::{Res, arg, map, strval};
use crate::func::{Context, FuncError, Function, Param};
use crate::value::{Elem, List, MAX_DEPTH, Map, Str, Value};

pub(super) fn functions() -> Vec<Function> {
    use Param::{Any, Map, String};
    let native = Function::native;
    vec![
        native("dict", &[Any], true, dict),
        native("get", &[Map, String], false, |_, args| {
            Ok(map(args, 0)?.get_bytes(super::bytes(args, 1)).unwrap_or_else(|| Value::from("")))
        }),
        native("set", &[Map, String, Any], false, set),
        native("unset", &[Map, String], false, |_, args| {
            map(args, 0)?.remove(&strval(arg(args, 1)));
            Ok(plain(arg(args, 0)))
        }),
        native("hasKey", &[Map, String], false, |_, args| {
            Ok(Value::Bool(map(args, 0)?.contains(&strval(arg(args, 1)))))
        }),
        native("pluck", &[String, Map], true, pluck),
        native("keys", &[Map], true, keys),
        native("values", &[Map], false, |_, args| {
            Ok(Value::list(map(args, 0)?.borrow().values().cloned().collect()))
        }),
        native("pick", &[Map, String], true, |_, args| select(args, true)),
        native("omit", &[Map, String], true, |_, args| select(args, false)),
        native("merge", &[Map, Map], true, |_, args| merge_all(args, false)),
        native("mustMerge", &[Map, Map], true, |_, args| merge_all(args, false)),
        native("mergeOverwrite", &[Map, Map], true, |_, args| merge_all(args, true)),
        native("mustMergeOverwrite", &[Map, Map], true, |_, args| merge_all(args, true)),
        native("deepCopy", &[Any], false, deep_copy),
        native("mustDeepCopy", &[Any], false, deep_copy),
        native("dig", &[Any], true, |_, args| dig(args)),
    ]
}

/// A map as a function with a result of type `map[string]interface {}` returns it: the same map without
/// the name of its type.
fn plain(value: &Value) -> Value {
    match value {
        Value::Map(map) if map.name.is_some() => Value::Map(Rc::new(map.unnamed())),
        value => value.clone(),
    }
}

/// Nothing has no copy by itself, though it may be a part of what has one.
fn deep_copy(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    match arg(args, 0) {
        value if value.is_nil() => Err("reflect: call of reflect.Value.Type on zero Value".into()),
        value => copy(value, 0),
    }
}

fn dict(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let mut entries = BTreeMap::new();
    for pair in args.chunks(2) {
        entries.insert(strval(arg(pair, 0)), pair.get(1).cloned().unwrap_or_else(|| Value::from("")));
    }
    Ok(Value::Map(Rc::new(Map::new(Elem::Any, entries))))
}

fn set(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let target = map(args, 0)?;
    if target.is_nil() {
        return Err("assignment to entry in nil map".into());
    }
    target.insert(strval(arg(args, 1)), arg(args, 2).clone());
    Ok(plain(arg(args, 0)))
}

fn pluck(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let key = super::bytes(args, 0);
    let maps = args.iter().skip(1).filter_map(Value::as_map);
    Ok(Value::list(maps.filter_map(|map| map.get_bytes(key)).collect()))
}

fn keys(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let mut all: Vec<Str> = Vec::new();
    for map in args.iter().filter_map(Value::as_map) {
        all.extend(map.borrow().keys().cloned());
    }
    Ok(Value::strings(all))
}

/// The entries whose keys are named (or those that are not).
fn select(args: &[Value], named: bool) -> Res {
    let source = map(args, 0)?.borrow();
    let names = args.get(1..).unwrap_or_default();
    let listed = |key: &Str| names.iter().any(|name| matches!(name, Value::Str(name) if name == key));
    let entries = source.iter().filter(|(key, _)| listed(key) == named);
    Ok(Value::map(entries.map(|(key, value)| (key.clone(), value.clone()))))
}

fn merge_all(args: &[Value], overwrite: bool) -> Res {
    let target = map(args, 0)?;
    for source in args.iter().skip(1).filter_map(Value::as_map) {
        merge(target, source, overwrite, 0)?;
    }
    Ok(plain(arg(args, 0)))
}

/// A copy that shares nothing that can change.
fn copy(value: &Value, depth: usize) -> Res {
    if depth > MAX_DEPTH {
        return Err("the value is nested too deeply to copy".into());
    }
    Ok(match value {
        Value::List(list) => {
            let items = list.items.iter().map(|item| copy(item, depth + 1)).collect::<Result<_, _>>()?;
            Value::List(Rc::new(List { elem: list.elem, items, name: list.name, nil: list.nil, spare: 0 }))
        }
        Value::Map(map) if map.is_nil() => value.clone(),
        Value::Map(map) => {
            let mut entries = BTreeMap::new();
            for (key, item) in map.borrow().iter() {
                entries.insert(key.clone(), copy(item, depth + 1)?);
            }
            let mut target = Map::new(map.elem, entries);
            target.name = map.name;
            Value::Map(Rc::new(target))
        }
        Value::Invalid => Value::Nil,
        other => other.clone(),
    })
}

/// The map in an interface, for a type assertion to `map[string]interface {}`.
fn asserted(value: &Value) -> Result<&Rc<Map>, FuncError> {
    match value {
        Value::Map(map) if map.elem == Elem::Any && map.name.is_none() => Ok(map),
        other => Err(conversion(other, "map[string]interface {}")),
    }
}

/// Go's panic of a type assertion that does not hold.
pub(super) fn conversion(value: &Value, wanted: &str) -> FuncError {
    let found = if value.is_nil() { "nil".into() } else { value.type_name() };
    format!("interface conversion: interface {{}} is {found}, not {wanted}").into()
}

fn dig(args: &[Value]) -> Res {
    let [keys @ .., default, dict] = args else {
        return Err("dig needs at least three arguments".into());
    };
    if keys.is_empty() {
        return Err("dig needs at least three arguments".into());
    }
    let mut current = asserted(dict)?.clone();
    for key in keys {
        if !matches!(key, Value::Str(_)) {
            return Err(conversion(key, "string"));
        }
    }
    for (index, key) in keys.iter().enumerate() {
        let Some(step) = current.get_bytes(super::bytes(std::slice::from_ref(key), 0)) else {
            return Ok(default.clone());
        };
        if index + 1 == keys.len() {
            return Ok(step);
        }
        current = asserted(&step)?.clone();
    }
    Ok(default.clone())
}
