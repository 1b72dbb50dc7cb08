//! Pipelines, commands and operands.

use std::rc::Rc;

use super::lex::Type;
use super::node::{Command, Expr, ExprKind, Pipe, Variable};
use super::{MAX_DEPTH, Parser, Result2, grown, number};
use crate::fmt::quote;
use crate::value::Str;

impl Parser<'_> {
    fn variable(&mut self, name: &str) -> Variable {
        let next = self.names.len() as u32;
        match self.names.get_key_value(name) {
            Some((name, id)) => Variable { id: *id, name: name.clone() },
            None => {
                let name: Rc<str> = Rc::from(name);
                self.names.insert(name.clone(), next);
                Variable { id: next, name }
            }
        }
    }

    pub(super) fn pipeline(&mut self, context: &str, end: Type) -> Result2<Pipe> {
        let pos = self.peek_non_space().start as u32;
        let mut pipe = Pipe { pos, assign: false, decl: Vec::new(), commands: Vec::new() };
        while self.declaration(&mut pipe, context)? {}
        loop {
            let item = self.next_non_space();
            match item.kind {
                kind if kind == end => {
                    self.check(&pipe, context)?;
                    return Ok(pipe);
                }
                Type::Bool
                | Type::CharConstant
                | Type::Complex
                | Type::Dot
                | Type::Field
                | Type::Identifier
                | Type::Number
                | Type::Nil
                | Type::RawString
                | Type::String
                | Type::Variable
                | Type::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(item, context),
            }
        }
    }

    /// One declared or assigned variable; whether another may follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Result2<bool> {
        let item = self.peek_non_space();
        if item.kind != Type::Variable {
            return Ok(false);
        }
        self.next();
        let after = self.peek();
        let next = self.peek_non_space();
        let comma = next.kind == Type::Char && self.text(next) == ",";
        if comma || matches!(next.kind, Type::Assign | Type::Declare) {
            self.next_non_space();
            let name = self.text(item).to_owned();
            let variable = self.variable(&name);
            self.state.variables.push(variable.name.clone());
            pipe.decl.push(variable);
            if !comma {
                pipe.assign = next.kind == Type::Assign;
                return Ok(false);
            }
            if context == "range" && pipe.decl.len() < 2 {
                return match self.peek_non_space().kind {
                    Type::Variable | Type::RightDelim | Type::RightParen => Ok(true),
                    _ => self.fail("range can only initialize variables"),
                };
            }
            return self.fail(format!("too many declarations in {context}"));
        }
        if after.kind == Type::Space {
            self.state.tokens[1] = after;
            self.state.tokens[2] = item;
            self.state.peeked = 3;
        } else {
            self.state.tokens[1] = item;
            self.state.peeked = 2;
        }
        Ok(false)
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Result2<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            use ExprKind::{Bool, Dot, Nil, Number, Str};
            if let Some(Bool(_) | Dot | Nil | Number(_) | Str(..)) = command.args.first().map(|arg| &arg.kind)
            {
                return self.fail(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result2<Command> {
        let mut command = Command { pos: self.peek_non_space().start as u32, args: Vec::new() };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                command.args.push(operand);
            }
            let item = self.next();
            match item.kind {
                Type::Space => continue,
                Type::RightDelim | Type::RightParen => self.backup(),
                Type::Pipe => {}
                _ => return self.unexpected(item, "operand"),
            }
            break;
        }
        if command.args.is_empty() {
            return self.fail("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Result2<Option<Expr>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != Type::Field {
            return Ok(Some(term));
        }
        let mut names: Vec<Rc<str>> = Vec::new();
        while self.peek().kind == Type::Field {
            let item = self.next();
            names.push(Rc::from(self.text(item).get(1..).unwrap_or("")));
        }
        let pos = first.start as u32;
        let kind = match term.kind {
            ExprKind::Field(own) => ExprKind::Field(own.iter().cloned().chain(names).collect()),
            ExprKind::Variable(variable, own) => {
                ExprKind::Variable(variable, own.iter().cloned().chain(names).collect())
            }
            ExprKind::Bool(_) | ExprKind::Str(..) | ExprKind::Number(_) | ExprKind::Nil | ExprKind::Dot => {
                return self.fail(format!("unexpected . after term {}", quote(&term.text())));
            }
            _ => ExprKind::Chain(Box::new(term), names),
        };
        Ok(Some(Expr { pos, kind }))
    }

    fn term(&mut self) -> Result2<Option<Expr>> {
        let item = self.next_non_space();
        let text = self.text(item);
        let kind = match item.kind {
            Type::Identifier => match self.shared.by_name.get_key_value(text) {
                Some((name, index)) => ExprKind::Function(name.clone(), *index),
                None => return self.fail(format!("function {} not defined", quote(text))),
            },
            Type::Dot => ExprKind::Dot,
            Type::Nil => ExprKind::Nil,
            Type::Variable => {
                if !self.state.variables.iter().any(|name| **name == *text) {
                    return self.fail(format!("undefined variable {}", quote(text)));
                }
                let name = text.to_owned();
                ExprKind::Variable(self.variable(&name), Box::default())
            }
            Type::Field => ExprKind::Field([Rc::from(text.get(1..).unwrap_or(""))].into()),
            Type::Bool => ExprKind::Bool(text == "true"),
            Type::CharConstant | Type::Complex | Type::Number => match number::number(text, item.kind) {
                Ok(number) => ExprKind::Number(Box::new(number)),
                Err(message) => return self.fail(message),
            },
            Type::LeftParen => {
                if self.state.parens >= MAX_DEPTH {
                    return self.fail("max expression depth exceeded");
                }
                self.state.parens += 1;
                let pipe = grown(|| self.pipeline("parenthesized pipeline", Type::RightParen))?;
                self.state.parens -= 1;
                let pos = pipe.pos;
                return Ok(Some(Expr { pos, kind: ExprKind::Pipe(Box::new(pipe)) }));
            }
            Type::String | Type::RawString => match number::unquote(text) {
                Some(value) => ExprKind::Str(text.into(), Str::from(value)),
                None => return self.fail("invalid syntax"),
            },
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        Ok(Some(Expr { pos: item.start as u32, kind }))
    }
}
