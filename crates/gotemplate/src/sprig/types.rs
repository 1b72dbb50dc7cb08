//! Types, defaults and choices.

use super::lists::empty;
use super::{Res, arg, bytes};
use crate::func::{Context, Function, Param};
use crate::value::Value;

pub(super) fn functions() -> Vec<Function> {
    use Param::{Any, Bool, String};
    let native = Function::native;
    vec![
        native("default", &[Any, Any], true, default),
        native("empty", &[Any], false, |_, args| Ok(Value::Bool(empty(arg(args, 0))))),
        native("coalesce", &[Any], true, |_, args| {
            Ok(args.iter().find(|value| !empty(value)).cloned().unwrap_or(Value::Nil))
        }),
        native("ternary", &[Any, Any, Bool], false, |_, args| {
            Ok(arg(args, usize::from(!arg(args, 2).is_true())).clone())
        }),
        native("typeOf", &[Any], false, |_, args| Ok(Value::from(type_of(arg(args, 0))))),
        native("typeIs", &[String, Any], false, |_, args| {
            Ok(Value::Bool(type_of(arg(args, 1)).as_bytes() == bytes(args, 0)))
        }),
        native("typeIsLike", &[String, Any], false, |_, args| {
            let name = type_of(arg(args, 1));
            let wanted = bytes(args, 0);
            let like = wanted == name.as_bytes() || [b"*", wanted].concat() == name.as_bytes();
            Ok(Value::Bool(like))
        }),
        native("kindOf", &[Any], false, |_, args| Ok(Value::from(arg(args, 0).kind().name()))),
        native("kindIs", &[String, Any], false, |_, args| {
            Ok(Value::Bool(arg(args, 1).kind().name().as_bytes() == bytes(args, 0)))
        }),
        native("deepEqual", &[Any, Any], false, |_, args| {
            Ok(Value::Bool(arg(args, 0).deep_equal(arg(args, 1))))
        }),
    ]
}

fn type_of(value: &Value) -> String {
    if value.is_nil() { "<nil>".to_owned() } else { value.type_name().into_owned() }
}

fn default(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    match args.get(1) {
        Some(given) if !empty(given) => Ok(given.clone()),
        _ => Ok(arg(args, 0).clone()),
    }
}
