//! Pipelines, commands and operands.

use std::sync::Arc;

use super::lex::{Item, Type};
use super::node::{Command, Expr, ExprKind, Pipe, Variable};
use super::{MAX_DEPTH, Parser, Result2, grown, number};
use crate::fmt::quote;
use crate::value::Str;

/// The variables that a pipeline declares or assigns.
#[derive(Default)]
struct Declared {
    assign: bool,
    variables: Vec<Variable>,
}

impl Parser<'_> {
    /// The token's text behind its first `skip` bytes; equal words are held once.
    fn word(&self, item: Item, skip: usize) -> Arc<str> {
        self.words.share(self.text(item).get(skip..).unwrap_or_default())
    }

    fn variable(&mut self, name: &str) -> Variable {
        let next = self.names.len() as u32;
        match self.names.get_key_value(name) {
            Some((name, id)) => Variable { id: *id, name: name.clone() },
            None => {
                let name: Arc<str> = Arc::from(name);
                self.names.insert(name.clone(), next);
                Variable { id: next, name }
            }
        }
    }

    pub(super) fn pipeline(&mut self, context: &str, end: Type) -> Result2<Pipe> {
        let pos = self.peek_non_space().start as u32;
        let mut declared = Declared::default();
        while self.declaration(&mut declared, context)? {}
        let base = self.commands.len();
        loop {
            let item = self.next_non_space();
            match item.kind {
                kind if kind == end => {
                    let commands = self.commands.drain(base..).collect();
                    let decl = declared.variables.into_boxed_slice();
                    let pipe = Pipe { pos, assign: declared.assign, decl, commands };
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
                    self.commands.push(command);
                }
                _ => return self.unexpected(item, context),
            }
        }
    }

    /// One declared or assigned variable; whether another may follow.
    fn declaration(&mut self, declared: &mut Declared, context: &str) -> Result2<bool> {
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
            declared.variables.reserve_exact(1);
            declared.variables.push(variable);
            if !comma {
                declared.assign = next.kind == Type::Assign;
                return Ok(false);
            }
            if context == "range" && declared.variables.len() < 2 {
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
        let (pos, base) = (self.peek_non_space().start as u32, self.args.len());
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                self.args.push(operand);
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
        if self.args.len() == base {
            return self.fail("empty command");
        }
        Ok(Command { pos, args: self.args.drain(base..).collect() })
    }

    fn operand(&mut self) -> Result2<Option<Expr>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != Type::Field {
            return Ok(Some(term));
        }
        let mut names: Vec<Arc<str>> = Vec::new();
        while self.peek().kind == Type::Field {
            let item = self.next();
            names.push(self.word(item, 1));
        }
        let pos = first.start as u32;
        let kind = match term.kind {
            ExprKind::Field(own) => ExprKind::Field(own.iter().cloned().chain(names).collect()),
            ExprKind::Variable(variable, own) => {
                ExprKind::Variable(variable, own.iter().cloned().chain(names).collect())
            }
            ExprKind::Bool(_) | ExprKind::Str(..) | ExprKind::Number(_) | ExprKind::Nil | ExprKind::Dot => {
                return self.fail(format!("unexpected . after term {}", quote(&term.text(&self.source))));
            }
            _ => ExprKind::Chain(Box::new(term), names.into()),
        };
        Ok(Some(Expr { pos, kind }))
    }

    fn term(&mut self) -> Result2<Option<Expr>> {
        let item = self.next_non_space();
        let text = self.text(item);
        let kind = match item.kind {
            Type::Identifier => match self.grammar.by_name.get_key_value(text) {
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
            Type::Field => ExprKind::Field([self.word(item, 1)].into()),
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
                Some(value) => ExprKind::Str(item.start as u32, item.end as u32, Str::from(value)),
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
