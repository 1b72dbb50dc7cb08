//! Calls: how many arguments, of which types, and the call itself.

use std::rc::Rc;

use super::{At, Exec, Result2, Slot};
use crate::error::ExecError;
use crate::func::{Body, Context, FuncError, Function, Param};
use crate::parse::{Expr, ExprKind, Number};
use crate::value::{Elem, IntType, List, Map, UintType, Value};

impl<'a> Exec<'a, '_, '_> {
    /// Calls `function` with the operands `args` and, from the pipeline, `last`.
    pub(super) fn call(
        &mut self,
        dot: &Slot,
        function: &Function,
        at: At<'a>,
        name: &str,
        args: &'a [Expr],
        last: Option<Slot>,
    ) -> Result2<Slot> {
        let given = args.len() + usize::from(last.is_some());
        let params = &*function.params;
        let mut fixed = params.len();
        if function.variadic {
            fixed = fixed.saturating_sub(1);
            if given < fixed {
                let got = args.len();
                return self
                    .error(format!("wrong number of args for {name}: want at least {fixed} got {got}"));
            }
        } else if given != fixed {
            return self.error(format!("wrong number of args for {name}: want {fixed} got {given}"));
        }
        match function.body {
            Body::And => return self.short_circuit(dot, args, last, false),
            Body::Or => return self.short_circuit(dot, args, last, true),
            _ => {}
        }
        let param = |index: usize| params.get(index).or(params.last()).copied().unwrap_or(Param::Any);
        let mut values = Vec::with_capacity(given + 1);
        if let Body::Call = function.body {
            // The callee's text comes first; it is what errors name.
            let callee = args
                .first()
                .map_or_else(|| "<reflect.Value Value>".to_owned(), |first| first.text(&self.tree.source));
            values.push(Value::from(callee));
        }
        for (index, expr) in args.iter().enumerate() {
            values.push(self.argument(dot, param(index), expr)?);
        }
        if let Some(slot) = last {
            values.push(self.checked(slot, param(args.len()))?);
        }
        if let Err(error) = self.env.charge_call(function.price, &values) {
            return self.failed(at, name, &error);
        }
        let mut context = Context { env: &mut *self.env, templates: self.set };
        let result = match &function.body {
            Body::Native(body) => body(&mut context, &values),
            Body::Closure(body) => body(&mut context, &values),
            Body::Call => call_value(&mut context, &values),
            Body::And | Body::Or => Ok(Value::Invalid),
        };
        let result = result.and_then(|value| self.env.charge_result(&value).map(|()| value));
        match result {
            Ok(value) => Ok(Slot::plain(value)),
            Err(error) => self.failed(at, name, &error),
        }
    }

    fn failed(&mut self, at: At<'a>, name: &str, error: &FuncError) -> Result2<Slot> {
        self.at = at;
        let message = self.located(&format!("error calling {name}: {error}"));
        let tree = &self.tree.name;
        Err(Box::new(if error.1 { ExecError::limit(tree, message) } else { ExecError::at(tree, message) }))
    }

    /// `and` and `or`: the first argument that decides, else the last.
    fn short_circuit(
        &mut self,
        dot: &Slot,
        args: &'a [Expr],
        last: Option<Slot>,
        stop: bool,
    ) -> Result2<Slot> {
        let mut value = Value::Invalid;
        for expr in args {
            value = self.argument(dot, Param::Reflect, expr)?;
            if value.is_true() == stop {
                return Ok(Slot::plain(value));
            }
        }
        Ok(match last {
            Some(slot) => slot,
            None => Slot::plain(value),
        })
    }

    fn argument(&mut self, dot: &Slot, param: Param, expr: &'a Expr) -> Result2<Value> {
        if let Some(slot) = self.operand(dot, expr)? {
            return self.checked(slot, param);
        }
        let found = |what: &str| format!("expected {what}; found {}", expr.text(&self.tree.source));
        match (&expr.kind, param) {
            (ExprKind::Nil, Param::Any) => Ok(Value::Nil),
            (ExprKind::Nil, param) => match nil_of(param) {
                Some(value) => Ok(value),
                None => self.error(format!("cannot assign nil to {}", param.name())),
            },
            (_, Param::Any | Param::Reflect) => self.literal(expr),
            (ExprKind::Bool(value), Param::Bool) => Ok(Value::Bool(*value)),
            (_, Param::Bool) => self.error(found("bool")),
            (ExprKind::Str(_, text), Param::String) => Ok(Value::Str(self.tree.source.one(*text).clone())),
            (_, Param::String) => self.error(found("string")),
            (ExprKind::Number(number), Param::Int | Param::Int64 | Param::Uint32 | Param::Float) => {
                match number_of(self.tree.source.one(*number), param) {
                    Some(value) => Ok(value),
                    None => self.error(found(number_name(param))),
                }
            }
            (_, Param::Int | Param::Int64 | Param::Uint32 | Param::Float) => {
                self.error(found(number_name(param)))
            }
            _ => self.error(format!(
                "can't handle {} for arg of type {}",
                expr.text(&self.tree.source),
                param.name()
            )),
        }
    }

    /// The value of `slot` if it may be assigned to `param`.
    fn checked(&mut self, slot: Slot, param: Param) -> Result2<Value> {
        let value = match (slot.value, param) {
            (value @ Value::Invalid, Param::Reflect) => return Ok(value),
            (Value::Invalid, Param::Any) => return Ok(Value::Nil),
            (Value::Invalid, param) => {
                return match nil_of(param) {
                    Some(value) => Ok(value),
                    None => self.error(format!("invalid value; expected {}", param.name())),
                };
            }
            (value, _) => value,
        };
        match assign(value, param) {
            Ok(value) => Ok(value),
            Err(value) => {
                let got = value.type_name();
                self.error(format!("wrong type for value; expected {}; got {got}", param.name()))
            }
        }
    }
}

fn number_name(param: Param) -> &'static str {
    match param {
        Param::Uint32 => "unsigned integer",
        Param::Float => "float",
        _ => "integer",
    }
}

fn number_of(number: &Number, param: Param) -> Option<Value> {
    match param {
        Param::Int => number.int.map(Value::int),
        Param::Int64 => number.int.map(Value::int64),
        Param::Uint32 => number.uint.map(|value| Value::Uint(value & 0xffff_ffff, UintType::Uint32)),
        _ => number.float.map(Value::Float),
    }
}

/// The nil of a type that has one.
fn nil_of(param: Param) -> Option<Value> {
    match param {
        Param::Any => Some(Value::Nil),
        Param::Reflect => Some(Value::Invalid),
        Param::List => Some(Value::List(Rc::new(List::nil(Elem::Any)))),
        Param::Strings => Some(Value::List(Rc::new(List::nil(Elem::String)))),
        Param::Map => Some(Value::Map(Rc::new(Map::nil(Elem::Any)))),
        Param::Named(name) if name.starts_with('*') => Some(Value::NilPtr(name)),
        _ => None,
    }
}

/// Assigns `value` to a parameter, or gives it back when its type does not fit.
fn assign(value: Value, param: Param) -> Result<Value, Value> {
    let fits = match (&value, param) {
        (_, Param::Any | Param::Reflect)
        | (Value::Bool(_), Param::Bool)
        | (Value::Str(_), Param::String)
        | (Value::Int(_, IntType::Int), Param::Int)
        | (Value::Int(_, IntType::Int64), Param::Int64)
        | (Value::Uint(_, UintType::Uint32), Param::Uint32)
        | (Value::Float(_), Param::Float)
        | (Value::Time(_), Param::Time) => true,
        (Value::List(list), Param::List) => list.elem == Elem::Any,
        (Value::List(list), Param::Strings) => list.elem == Elem::String,
        (Value::Map(map), Param::Map) => map.elem == Elem::Any,
        (Value::NilPtr(kind), Param::Named(name)) => *kind == name,
        (Value::Int(_, IntType::Duration), Param::Named(name)) => name == "time.Duration",
        (Value::Object(object), Param::Named(name)) => {
            let kind = object.type_name();
            kind == name || kind.strip_prefix('*') == Some(name)
        }
        (Value::Object(object), Param::Map | Param::List | Param::Strings) => {
            return match object.underlying() {
                Some(inner) => assign(inner, param).map_err(|_| value),
                None => Err(value),
            };
        }
        _ => false,
    };
    if fits { Ok(value) } else { Err(value) }
}

/// The builtin `call`: the text of the callee, the callee, its arguments.
fn call_value(context: &mut Context<'_, '_>, values: &[Value]) -> Result<Value, FuncError> {
    let [text, callee, args @ ..] = values else {
        return Err("call of nil".into());
    };
    let name = text.as_str().unwrap_or_default();
    let function = match callee {
        Value::Func(function) => function,
        callee if callee.is_nil() => return Err("call of nil".into()),
        callee => return Err(format!("non-function {name} of type {}", callee.type_name()).into()),
    };
    let params = &*function.params;
    let want = params.len();
    if function.variadic && args.len() + 1 < want {
        let want = want - 1;
        return Err(
            format!("wrong number of args for {name}: got {} want at least {want}", args.len()).into()
        );
    }
    if !function.variadic && args.len() != want {
        return Err(format!("wrong number of args for {name}: got {} want {want}", args.len()).into());
    }
    let mut checked = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let param = params.get(index).or(params.last()).copied().unwrap_or(Param::Any);
        checked.push(prepare(arg, param).map_err(|error| FuncError::new(format!("arg {index}: {error}")))?);
    }
    match &function.body {
        Body::Native(body) => body(context, &checked),
        Body::Closure(body) => body(context, &checked),
        Body::And | Body::Or | Body::Call => Err(format!("{name} cannot be called as a value").into()),
    }
}

/// Checks an argument of `call`; integers convert among themselves.
fn prepare(arg: &Value, param: Param) -> Result<Value, String> {
    if arg.is_nil() {
        return match param {
            Param::Any => Ok(Value::Nil),
            _ => nil_of(param).ok_or_else(|| format!("value is nil; should be of type {}", param.name())),
        };
    }
    let converted = match (arg, param) {
        (Value::Int(value, _), Param::Int) => Some(Value::int(*value)),
        (Value::Int(value, _), Param::Int64) => Some(Value::int64(*value)),
        (Value::Uint(value, _), Param::Int) => Some(Value::int(*value as i64)),
        (Value::Uint(value, _), Param::Int64) => Some(Value::int64(*value as i64)),
        _ => None,
    };
    match converted {
        Some(value) => Ok(value),
        None => assign(arg.clone(), param)
            .map_err(|value| format!("value has type {}; should be {}", value.type_name(), param.name())),
    }
}
