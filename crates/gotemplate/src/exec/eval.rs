//! Pipelines, commands and their operands.

use std::rc::Rc;
use std::sync::Arc;

use super::{At, Exec, GROWTH, RED_ZONE, Result2, Slot};
use crate::parse::{Command, Expr, ExprKind, Number, Pipe};
use crate::templates::MissingKey;
use crate::value::{Elem, IntType, List, Map, Value};

impl<'a> Exec<'a, '_, '_> {
    pub(super) fn pipeline(&mut self, dot: &Slot, pipe: &'a Pipe) -> Result2<Slot> {
        self.at = At::Pipe(pipe);
        let mut last: Option<Slot> = None;
        let source = &*self.tree.source;
        for command in source.all(pipe.commands) {
            last = Some(self.command(dot, command, last)?.unboxed());
        }
        let slot = last.unwrap_or_else(Slot::invalid);
        for variable in source.all(pipe.decl) {
            if pipe.assign {
                self.assign(*variable, slot.clone())?;
            } else {
                self.vars.push((*variable, slot.clone()));
            }
        }
        Ok(slot)
    }

    fn command(&mut self, dot: &Slot, command: &'a Command, last: Option<Slot>) -> Result2<Slot> {
        let source = &*self.tree.source;
        let args = source.all(command.args);
        let Some(first) = args.first() else {
            return self.error("empty command");
        };
        match &first.kind {
            ExprKind::Field(names) => {
                self.at = At::Expr(first);
                return self.fields(dot, dot.clone(), first, source.all(*names), args, last);
            }
            ExprKind::Chain(node, names) => {
                return self.chain(dot, first, source.one(*node), source.all(*names), args, last);
            }
            ExprKind::Function(index, _) => {
                return self.function(dot, first, At::Command(command), *index, args, last);
            }
            ExprKind::Pipe(pipe) => {
                self.not_a_function(args, last.as_ref())?;
                return self.nested(dot, source.one(*pipe));
            }
            ExprKind::Variable(..) => return self.variable_fields(dot, first, args, last),
            _ => {}
        }
        self.at = At::Expr(first);
        self.not_a_function(args, last.as_ref())?;
        match &first.kind {
            ExprKind::Bool(value) => Ok(Slot::plain(Value::Bool(*value))),
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Number(number) => Ok(Slot::plain(self.constant(first, source.one(*number))?)),
            ExprKind::Str(_, text) => Ok(Slot::plain(Value::Str(source.one(*text).clone()))),
            _ => self.error("nil is not a command"),
        }
    }

    /// Notes that a value is used as a whole.
    fn used(&self, value: &Value) {
        if let (Some(trace), Value::Map(map)) = (&self.env.trace, value) {
            trace.used(map.id());
        }
    }

    fn nested(&mut self, dot: &Slot, pipe: &'a Pipe) -> Result2<Slot> {
        stacker::maybe_grow(RED_ZONE, GROWTH, || self.pipeline(dot, pipe))
    }

    fn not_a_function(&self, args: &'a [Expr], last: Option<&Slot>) -> Result2<()> {
        if args.len() > 1 || last.is_some() {
            let first = args.first().map(|first| first.text(&self.tree.source)).unwrap_or_default();
            return self.error(format!("can't give argument to non-function {first}"));
        }
        Ok(())
    }

    fn constant(&mut self, expr: &'a Expr, number: &Number) -> Result2<Value> {
        self.at = At::Expr(expr);
        let text = &*number.text;
        if let Some((real, imaginary)) = number.complex {
            return Ok(Value::Complex(real, imaginary));
        }
        let hex = text.len() > 2
            && matches!(text.as_bytes(), [b'0', b'x' | b'X', ..])
            && !text.contains(['p', 'P']);
        match number {
            Number { float: Some(float), .. }
                if !hex && !text.starts_with('\'') && text.contains(['.', 'e', 'E', 'p', 'P']) =>
            {
                Ok(Value::Float(*float))
            }
            Number { int: Some(int), .. } => Ok(Value::int(*int)),
            Number { uint: Some(_), .. } => self.error(format!("{text} overflows int")),
            _ => Ok(Value::Invalid),
        }
    }

    fn chain(
        &mut self,
        dot: &Slot,
        expr: &'a Expr,
        node: &'a Expr,
        names: &'a [Arc<str>],
        args: &'a [Expr],
        last: Option<Slot>,
    ) -> Result2<Slot> {
        self.at = At::Expr(expr);
        if let ExprKind::Nil = node.kind {
            return self
                .error(format!("indirection through explicit nil in {}", expr.text(&self.tree.source)));
        }
        let receiver = match &node.kind {
            ExprKind::Pipe(pipe) => {
                self.at = At::Expr(node);
                self.nested(dot, self.tree.source.one(*pipe))?
            }
            ExprKind::Function(index, _) => {
                self.at = At::Expr(node);
                self.function(dot, node, At::Expr(node), *index, &[], None)?
            }
            _ => return self.error(format!("can't evaluate {}", node.text(&self.tree.source))),
        };
        self.fields(dot, receiver, expr, names, args, last)
    }

    fn variable_fields(
        &mut self,
        dot: &Slot,
        expr: &'a Expr,
        args: &'a [Expr],
        last: Option<Slot>,
    ) -> Result2<Slot> {
        self.at = At::Expr(expr);
        let ExprKind::Variable(variable, names) = &expr.kind else {
            return self.error("not a variable");
        };
        let found = self.variable(*variable).and_then(|at| self.vars.get(at));
        let Some((_, slot)) = found else {
            return self.error(format!("undefined variable: {}", self.tree.source.variable(*variable)));
        };
        let slot = slot.clone();
        if names.is_empty() {
            self.not_a_function(args, last.as_ref())?;
            self.used(&slot.value);
            return Ok(slot);
        }
        self.fields(dot, slot, expr, self.tree.source.all(*names), args, last)
    }

    /// `.X.Y.Z`, from `receiver`; only the last may be given arguments.
    fn fields(
        &mut self,
        dot: &Slot,
        receiver: Slot,
        expr: &'a Expr,
        names: &'a [Arc<str>],
        args: &'a [Expr],
        last: Option<Slot>,
    ) -> Result2<Slot> {
        let mut slot = receiver;
        if let Some((end, path)) = names.split_last() {
            for name in path {
                slot = self.field(dot, name, expr, &[], None, slot)?;
            }
            slot = self.field(dot, end, expr, args, last, slot)?;
        }
        Ok(slot)
    }

    fn field(
        &mut self,
        dot: &Slot,
        name: &Arc<str>,
        expr: &'a Expr,
        args: &'a [Expr],
        last: Option<Slot>,
        receiver: Slot,
    ) -> Result2<Slot> {
        let has_args = args.len() > 1 || last.is_some();
        match &receiver.value {
            Value::Map(map) if map.methods.is_none() => return self.entry(map, name, has_args),
            Value::Invalid => {
                if self.set.shared.grammar.options.missing_key == MissingKey::Error {
                    return self.error(format!("nil data; no entry for key {}", crate::fmt::quote(name)));
                }
                return Ok(Slot::invalid());
            }
            Value::Nil => return self.error(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::NilPtr(kind) => return self.error(format!("nil pointer evaluating {kind}.{name}")),
            _ => {}
        }
        if let Some(method) = crate::value::method_of(&receiver.value, name) {
            let args = args.get(1..).unwrap_or_default();
            return self.call(dot, &method, At::Expr(expr), name, args, last);
        }
        if let Value::Map(map) = &receiver.value {
            return self.entry(map, name, has_args);
        }
        if let Value::Object(object) = &receiver.value {
            if let Some(value) = object.field(name) {
                if has_args {
                    return self.error(format!("{name} has arguments but cannot be invoked as function"));
                }
                return Ok(Slot::plain(value));
            }
            if let Some(Value::Map(map)) = object.underlying() {
                return self.entry(&map, name, has_args);
            }
        }
        let kind = if receiver.boxed { "interface {}".into() } else { receiver.value.type_name() };
        self.error(format!("can't evaluate field {name} in type {kind}"))
    }

    fn entry(&self, map: &Map, name: &str, has_args: bool) -> Result2<Slot> {
        if has_args {
            return self.error(format!("{name} is not a method but has arguments"));
        }
        if let Some(value) = map.get(name) {
            if let Some(trace) = &self.env.trace {
                trace.read(map.id(), name);
            }
            return Ok(Slot::element(value, map.elem));
        }
        match self.set.shared.grammar.options.missing_key {
            MissingKey::Invalid => Ok(Slot::invalid()),
            MissingKey::Zero => Ok(Slot::element(zero(map.elem), map.elem)),
            MissingKey::Error => self.error(format!("map has no entry for key {}", crate::fmt::quote(name))),
        }
    }

    fn function(
        &mut self,
        dot: &Slot,
        expr: &'a Expr,
        at: At<'a>,
        index: u32,
        args: &'a [Expr],
        last: Option<Slot>,
    ) -> Result2<Slot> {
        self.at = At::Expr(expr);
        let set = self.set;
        match set.shared.functions.get(index as usize) {
            Some(function) => {
                self.call(dot, function, at, &function.name, args.get(1..).unwrap_or_default(), last)
            }
            None => {
                let name = crate::fmt::quote(&expr.text(&self.tree.source));
                self.error(format!("{name} is not a defined function"))
            }
        }
    }

    /// An operand in the place of an argument whose type does not matter yet; literals are left out.
    pub(super) fn operand(&mut self, dot: &Slot, expr: &'a Expr) -> Result2<Option<Slot>> {
        self.at = At::Expr(expr);
        let source = &*self.tree.source;
        Ok(Some(match &expr.kind {
            ExprKind::Dot => {
                self.used(&dot.value);
                dot.clone()
            }
            ExprKind::Field(names) => self.fields(dot, dot.clone(), expr, source.all(*names), &[], None)?,
            ExprKind::Variable(..) => self.variable_fields(dot, expr, &[], None)?,
            ExprKind::Pipe(pipe) => self.nested(dot, source.one(*pipe))?,
            ExprKind::Function(index, _) => self.function(dot, expr, At::Expr(expr), *index, &[], None)?,
            ExprKind::Chain(node, names) => {
                self.chain(dot, expr, source.one(*node), source.all(*names), &[], None)?
            }
            _ => return Ok(None),
        }))
    }

    /// A literal for a parameter of type `interface {}`.
    pub(super) fn literal(&mut self, expr: &'a Expr) -> Result2<Value> {
        match &expr.kind {
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::Number(number) => self.constant(expr, self.tree.source.one(*number)),
            ExprKind::Str(_, text) => Ok(Value::Str(self.tree.source.one(*text).clone())),
            _ => self.error(format!(
                "can't handle assignment of {} to empty interface argument",
                expr.text(&self.tree.source)
            )),
        }
    }
}

/// The zero value of an element type.
pub(crate) fn zero(elem: Elem) -> Value {
    match elem {
        Elem::Any => Value::Nil,
        Elem::String => Value::from(""),
        Elem::Int => Value::int(0),
        Elem::Int64 => Value::Int(0, IntType::Int64),
        Elem::Float => Value::Float(0.0),
        Elem::Bool => Value::Bool(false),
        Elem::Byte => Value::Uint(0, crate::value::UintType::Uint8),
        Elem::Bytes => Value::List(Rc::new(List::nil(Elem::Byte))),
        Elem::Strings => Value::List(Rc::new(List::nil(Elem::String))),
        Elem::AnyMap => Value::Map(Rc::new(Map::nil(Elem::Any))),
        Elem::AnyList => Value::List(Rc::new(List::nil(Elem::Any))),
        Elem::Named(name) => Value::NilPtr(name),
    }
}
