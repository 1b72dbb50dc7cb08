//! The parsed form of a template, and its text as errors show it.

use std::sync::Arc;

/// Where the nodes of a tree were read from.
pub(crate) struct Source {
    /// The name of the top-level template.
    pub(crate) name: Arc<str>,
    /// Its whole text: UTF-8, shared with whoever holds the file.
    pub(crate) text: Arc<[u8]>,
}

impl Source {
    /// The text between two positions; nothing when they are none of this text.
    pub(crate) fn slice(&self, start: u32, end: u32) -> &str {
        let bytes = self.text.get(start as usize..end as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// A named template.
pub(crate) struct Tree {
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<Source>,
    pub(crate) root: List,
}

impl Tree {
    /// Whether it holds nothing but white space and comments.
    pub(crate) fn is_empty(&self) -> bool {
        self.root.nodes.iter().all(|node| match node {
            Node::Text(start, end) => self.source.slice(*start, *end).trim().is_empty(),
            _ => false,
        })
    }

    /// The line of a position, from 1.
    pub(crate) fn line(&self, pos: u32) -> usize {
        1 + memchr_count(self.source.slice(0, pos).as_bytes())
    }

    /// `name:line:column` of a position.
    pub(crate) fn place(&self, pos: u32) -> String {
        let before = self.source.slice(0, pos);
        let line = self.line(pos);
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        format!("{}:{line}:{column}", self.source.name)
    }
}

fn memchr_count(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

#[derive(Default)]
pub(crate) struct List {
    pub(crate) pos: u32,
    pub(crate) nodes: Box<[Node]>,
}

/// A piece of a template.
pub(crate) enum Node {
    /// Text between two positions of the source.
    Text(u32, u32),
    Action(u32, Pipe),
    If(Box<Branch>),
    Range(Box<Branch>),
    With(Box<Branch>),
    Template(Box<Call>),
    Break(u32),
    Continue(u32),
}

pub(crate) struct Branch {
    pub(crate) pos: u32,
    pub(crate) pipe: Pipe,
    pub(crate) list: List,
    pub(crate) other: Option<List>,
}

/// `{{template "name" pipe}}`.
pub(crate) struct Call {
    pub(crate) pos: u32,
    pub(crate) name: Arc<str>,
    pub(crate) pipe: Option<Pipe>,
}

/// A variable by number; its name is for errors alone.
#[derive(Clone)]
pub(crate) struct Variable {
    pub(crate) id: u32,
    pub(crate) name: Arc<str>,
}

pub(crate) struct Pipe {
    pub(crate) pos: u32,
    pub(crate) assign: bool,
    pub(crate) decl: Box<[Variable]>,
    pub(crate) commands: Box<[Command]>,
}

pub(crate) struct Command {
    pub(crate) pos: u32,
    pub(crate) args: Box<[Expr]>,
}

pub(crate) struct Expr {
    pub(crate) pos: u32,
    pub(crate) kind: ExprKind,
}

pub(crate) enum ExprKind {
    /// A function, by its number in the table.
    Function(Arc<str>, u32),
    /// A variable and the fields after it.
    Variable(Variable, Box<[Arc<str>]>),
    Field(Box<[Arc<str>]>),
    Chain(Box<Expr>, Box<[Arc<str>]>),
    Dot,
    Nil,
    Bool(bool),
    Number(Box<Number>),
    /// Where it stands as written, with quotes, and what it means.
    Str(u32, u32, crate::value::Str),
    Pipe(Box<Pipe>),
}

/// A number and all the types it fits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
    pub(crate) text: Box<str>,
}

fn fields(out: &mut String, names: &[Arc<str>]) {
    for name in names {
        out.push('.');
        out.push_str(name);
    }
}

impl Expr {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        match &self.kind {
            ExprKind::Function(name, _) => out.push_str(name),
            ExprKind::Variable(variable, names) => {
                out.push_str(&variable.name);
                fields(out, names);
            }
            ExprKind::Field(names) => fields(out, names),
            ExprKind::Chain(node, names) => {
                node.write_in_parens(source, out);
                fields(out, names);
            }
            ExprKind::Dot => out.push('.'),
            ExprKind::Nil => out.push_str("nil"),
            ExprKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            ExprKind::Number(number) => out.push_str(&number.text),
            ExprKind::Str(start, end, _) => out.push_str(source.slice(*start, *end)),
            ExprKind::Pipe(pipe) => pipe.write(source, out),
        }
    }

    fn write_in_parens(&self, source: &Source, out: &mut String) {
        if let ExprKind::Pipe(pipe) = &self.kind {
            out.push('(');
            pipe.write(source, out);
            out.push(')');
        } else {
            self.write(source, out);
        }
    }

    pub(crate) fn text(&self, source: &Source) -> String {
        let mut out = String::new();
        self.write(source, &mut out);
        out
    }
}

impl Command {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        for (index, arg) in self.args.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            arg.write_in_parens(source, out);
        }
    }
}

impl Pipe {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        for (index, variable) in self.decl.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(&variable.name);
        }
        if !self.decl.is_empty() {
            out.push_str(if self.assign { " = " } else { " := " });
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                out.push_str(" | ");
            }
            command.write(source, out);
        }
    }
}

impl List {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        for node in &self.nodes {
            node.write(source, out);
        }
    }
}

impl Branch {
    pub(crate) fn write(&self, word: &str, source: &Source, out: &mut String) {
        out.push_str("{{");
        out.push_str(word);
        out.push(' ');
        self.pipe.write(source, out);
        out.push_str("}}");
        self.list.write(source, out);
        if let Some(other) = &self.other {
            out.push_str("{{else}}");
            other.write(source, out);
        }
        out.push_str("{{end}}");
    }
}

impl Node {
    /// The node as canonical template text.
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        match self {
            Node::Text(start, end) => out.push_str(source.slice(*start, *end)),
            Node::Action(_, pipe) => {
                out.push_str("{{");
                pipe.write(source, out);
                out.push_str("}}");
            }
            Node::If(branch) => branch.write("if", source, out),
            Node::Range(branch) => branch.write("range", source, out),
            Node::With(branch) => branch.write("with", source, out),
            Node::Template(call) => call.write(source, out),
            Node::Break(_) => out.push_str("{{break}}"),
            Node::Continue(_) => out.push_str("{{continue}}"),
        }
    }
}

impl Call {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        out.push_str("{{template ");
        out.push_str(&crate::fmt::quote(&self.name));
        if let Some(pipe) = &self.pipe {
            out.push(' ');
            pipe.write(source, out);
        }
        out.push_str("}}");
    }
}
