//! Pipelines, commands and operands.

use std::sync::Arc;

use super::lex::{Item, Type};
use super::node::{Command, Expr, ExprKind, Id, Pipe, Span, Variable};
use super::{MAX_DEPTH, Parser, Result2, grown, number};
use crate::fmt::quote;
use crate::value::Str;

/// The variables that a pipeline declares or assigns.
#[derive(Default)]
struct Declared {
    assign: bool,
    variables: [Option<Variable>; 2],
}

/// Puts a node where it stays; its position there.
pub(super) fn put<T>(pool: &mut Vec<T>, node: T) -> usize {
    pool.push(node);
    pool.len() - 1
}

impl Parser<'_> {
    /// The token's text behind its first `skip` bytes; equal words are held once.
    fn word(&self, item: Item, skip: usize) -> Arc<str> {
        self.words.share(self.text(item).get(skip..).unwrap_or_default())
    }

    /// The number of the variable whose name is the token's text.
    fn variable(&mut self, item: Item) -> Variable {
        let name = self.lexer.text.get(item.start..item.end).unwrap_or_default();
        let known = self.source.variables.iter().position(|known| **known == *name);
        Variable(known.unwrap_or_else(|| {
            self.source.variables.push(Arc::from(name));
            self.source.variables.len() - 1
        }) as u32)
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
                    let start = self.source.commands.len();
                    self.source.commands.extend(self.commands.drain(base..));
                    let commands = Span::new(start, self.source.commands.len());
                    let start = self.source.declared.len();
                    self.source.declared.extend(declared.variables.into_iter().flatten());
                    let decl = Span::new(start, self.source.declared.len());
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
            let variable = self.variable(item);
            self.state.variables.push(variable);
            match &mut declared.variables {
                [Some(_), second] => *second = Some(variable),
                [first, _] => *first = Some(variable),
            }
            if !comma {
                declared.assign = next.kind == Type::Assign;
                return Ok(false);
            }
            if context == "range" && declared.variables.last().is_some_and(Option::is_none) {
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
        let commands = self.source.all(pipe.commands);
        if commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            use ExprKind::{Bool, Dot, Nil, Number, Str};
            let first = self.source.all(command.args).first();
            if let Some(Bool(_) | Dot | Nil | Number(_) | Str(..)) = first.map(|arg| &arg.kind) {
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
        let start = self.source.exprs.len();
        self.source.exprs.extend(self.args.drain(base..));
        Ok(Command { pos, args: Span::new(start, self.source.exprs.len()) })
    }

    fn operand(&mut self) -> Result2<Option<Expr>> {
        let Some(term) = self.term()? else {
            return Ok(None);
        };
        let first = self.peek();
        if first.kind != Type::Field {
            return Ok(Some(term));
        }
        let start = self.source.names.len();
        let own = match term.kind {
            ExprKind::Field(own) | ExprKind::Variable(_, own) => own,
            _ => Span::default(),
        };
        // The term's own name is mostly the last one there is.
        let start = match own.is_followed_by(start) {
            true => start - own.len(),
            false => {
                self.source.names.extend_from_within(own.range());
                start
            }
        };
        while self.peek().kind == Type::Field {
            let item = self.next();
            let name = self.word(item, 1);
            self.source.names.push(name);
        }
        let pos = first.start as u32;
        let names = Span::new(start, self.source.names.len());
        let kind = match term.kind {
            ExprKind::Field(_) => ExprKind::Field(names),
            ExprKind::Variable(variable, _) => ExprKind::Variable(variable, names),
            ExprKind::Bool(_) | ExprKind::Str(..) | ExprKind::Number(_) | ExprKind::Nil | ExprKind::Dot => {
                return self.fail(format!("unexpected . after term {}", quote(&term.text(&self.source))));
            }
            _ => ExprKind::Chain(Id::new(put(&mut self.source.exprs, term)), names),
        };
        Ok(Some(Expr { pos, kind }))
    }

    fn term(&mut self) -> Result2<Option<Expr>> {
        let item = self.next_non_space();
        let text = self.text(item);
        let kind = match item.kind {
            Type::Identifier => match self.grammar.by_name.get(text) {
                Some(index) => ExprKind::Function(*index, item.end as u32),
                None => return self.fail(format!("function {} not defined", quote(text))),
            },
            Type::Dot => ExprKind::Dot,
            Type::Nil => ExprKind::Nil,
            Type::Variable => {
                let known = |variable: &Variable| self.source.variable(*variable) == text;
                match self.state.variables.iter().find(|variable| known(variable)) {
                    Some(variable) => ExprKind::Variable(*variable, Span::default()),
                    None => return self.fail(format!("undefined variable {}", quote(text))),
                }
            }
            Type::Field => {
                let name = self.word(item, 1);
                let at = put(&mut self.source.names, name);
                ExprKind::Field(Span::new(at, at + 1))
            }
            Type::Bool => ExprKind::Bool(text == "true"),
            Type::CharConstant | Type::Complex | Type::Number => match number::number(text, item.kind) {
                Ok(number) => ExprKind::Number(Id::new(put(&mut self.source.numbers, number))),
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
                let pipe = Id::new(put(&mut self.source.pipes, pipe));
                return Ok(Some(Expr { pos, kind: ExprKind::Pipe(pipe) }));
            }
            Type::String | Type::RawString => match number::unquote(text) {
                Some(value) => {
                    let value = put(&mut self.source.strings, Str::from(value));
                    ExprKind::Str(item.end as u32, Id::new(value))
                }
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
