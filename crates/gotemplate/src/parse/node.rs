//! The parsed form of a template, and its text as errors show it.

use bytes::Bytes;
use std::marker::PhantomData;
use std::sync::Arc;

/// Where the nodes of some trees were read from, and the nodes themselves: each kind in one piece of memory, in
/// which nodes name others by position. A large template has tens of thousands of them.
#[derive(Default)]
pub(crate) struct Source {
    /// The name of the top-level template.
    pub(crate) name: Arc<str>,
    /// Its whole text: UTF-8, shared with whoever holds the file.
    pub(crate) text: Bytes,
    pub(crate) nodes: Vec<Node>,
    pub(crate) branches: Vec<Branch>,
    pub(crate) calls: Vec<Call>,
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) commands: Vec<Command>,
    pub(crate) exprs: Vec<Expr>,
    pub(crate) numbers: Vec<Number>,
    pub(crate) strings: Vec<crate::value::Str>,
    /// The names in field chains.
    pub(crate) names: Vec<Arc<str>>,
    /// The variables that pipelines declare or assign.
    pub(crate) declared: Vec<Variable>,
    /// The variables' names by number; they are for errors alone.
    pub(crate) variables: Vec<Arc<str>>,
}

/// What the pools of a [`Source`] hold.
pub(crate) trait Pooled: Sized {
    fn pool(source: &Source) -> &[Self];
}

macro_rules! pooled {
    ($($kind:ty: $pool:ident),* $(,)?) => {
        $(impl Pooled for $kind {
            fn pool(source: &Source) -> &[Self] {
                &source.$pool
            }
        })*
    };
}

pooled!(Node: nodes, Branch: branches, Call: calls, Pipe: pipes, Command: commands, Expr: exprs, Number: numbers,
    crate::value::Str: strings, Arc<str>: names, Variable: declared);

/// Neighbours in a pool.
pub(crate) struct Span<T> {
    start: u32,
    end: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Span<T> {
    /// From `start` to the end of a pool that is `end` long. Positions fit: a node takes up some of a text,
    /// which is shorter than 4 GiB.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32, of: PhantomData }
    }

    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub(crate) fn is_empty(self) -> bool {
        self.end == self.start
    }

    /// The positions.
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether it ends where a pool of this length does.
    pub(crate) fn is_followed_by(self, end: usize) -> bool {
        !self.is_empty() && self.end as usize == end
    }
}

impl<T> Clone for Span<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Span<T> {}

impl<T> Default for Span<T> {
    fn default() -> Self {
        Span::new(0, 0)
    }
}

/// One in a pool.
pub(crate) struct Id<T> {
    at: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    pub(crate) fn new(at: usize) -> Self {
        Id { at: at as u32, of: PhantomData }
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl Source {
    /// The text between two positions; nothing when they are none of this text.
    pub(crate) fn slice(&self, start: u32, end: u32) -> &str {
        let bytes = self.text.get(start as usize..end as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// What is at a span.
    pub(crate) fn all<T: Pooled>(&self, span: Span<T>) -> &[T] {
        T::pool(self).get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// What is at a position of this source's own.
    #[expect(clippy::indexing_slicing, reason = "an Id is made when its target is put into the pool")]
    pub(crate) fn one<T: Pooled>(&self, id: Id<T>) -> &T {
        &T::pool(self)[id.at as usize]
    }

    /// The name of a variable, with its dollar sign.
    pub(crate) fn variable(&self, variable: Variable) -> &str {
        self.variables.get(variable.0 as usize).map_or("", |name| name)
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
        self.root.is_empty(&self.source)
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

#[derive(Clone, Copy, Default)]
pub(crate) struct List {
    pub(crate) pos: u32,
    pub(crate) nodes: Span<Node>,
}

impl List {
    /// Whether it holds nothing but white space and comments.
    pub(crate) fn is_empty(&self, source: &Source) -> bool {
        source.all(self.nodes).iter().all(|node| match node {
            Node::Text(start, end) => source.slice(*start, *end).trim().is_empty(),
            _ => false,
        })
    }
}

/// A piece of a template.
#[derive(Clone, Copy)]
pub(crate) enum Node {
    /// Text between two positions of the source.
    Text(u32, u32),
    Action(u32, Pipe),
    If(Id<Branch>),
    Range(Id<Branch>),
    With(Id<Branch>),
    Template(Id<Call>),
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

/// A variable by number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variable(pub(crate) u32);

#[derive(Clone, Copy)]
pub(crate) struct Pipe {
    pub(crate) pos: u32,
    pub(crate) assign: bool,
    pub(crate) decl: Span<Variable>,
    pub(crate) commands: Span<Command>,
}

#[derive(Clone, Copy)]
pub(crate) struct Command {
    pub(crate) pos: u32,
    pub(crate) args: Span<Expr>,
}

#[derive(Clone, Copy)]
pub(crate) struct Expr {
    pub(crate) pos: u32,
    pub(crate) kind: ExprKind,
}

#[derive(Clone, Copy)]
pub(crate) enum ExprKind {
    /// A function, by its number in the table, and where its name ends.
    Function(u32, u32),
    /// A variable and the fields after it.
    Variable(Variable, Span<Arc<str>>),
    Field(Span<Arc<str>>),
    Chain(Id<Expr>, Span<Arc<str>>),
    Dot,
    Nil,
    Bool(bool),
    Number(Id<Number>),
    /// Where it ends as written, with quotes, and what it means.
    Str(u32, Id<crate::value::Str>),
    Pipe(Id<Pipe>),
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
            ExprKind::Function(_, end) => out.push_str(source.slice(self.pos, *end)),
            ExprKind::Variable(variable, names) => {
                out.push_str(source.variable(*variable));
                fields(out, source.all(*names));
            }
            ExprKind::Field(names) => fields(out, source.all(*names)),
            ExprKind::Chain(node, names) => {
                source.one(*node).write_in_parens(source, out);
                fields(out, source.all(*names));
            }
            ExprKind::Dot => out.push('.'),
            ExprKind::Nil => out.push_str("nil"),
            ExprKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            ExprKind::Number(number) => out.push_str(&source.one(*number).text),
            ExprKind::Str(end, _) => out.push_str(source.slice(self.pos, *end)),
            ExprKind::Pipe(pipe) => source.one(*pipe).write(source, out),
        }
    }

    fn write_in_parens(&self, source: &Source, out: &mut String) {
        if let ExprKind::Pipe(pipe) = &self.kind {
            out.push('(');
            source.one(*pipe).write(source, out);
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
        for (index, arg) in source.all(self.args).iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            arg.write_in_parens(source, out);
        }
    }
}

impl Pipe {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        for (index, variable) in source.all(self.decl).iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(source.variable(*variable));
        }
        if !self.decl.is_empty() {
            out.push_str(if self.assign { " = " } else { " := " });
        }
        for (index, command) in source.all(self.commands).iter().enumerate() {
            if index > 0 {
                out.push_str(" | ");
            }
            command.write(source, out);
        }
    }
}

impl List {
    pub(crate) fn write(&self, source: &Source, out: &mut String) {
        for node in source.all(self.nodes) {
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
            Node::If(branch) => source.one(*branch).write("if", source, out),
            Node::Range(branch) => source.one(*branch).write("range", source, out),
            Node::With(branch) => source.one(*branch).write("with", source, out),
            Node::Template(call) => source.one(*call).write(source, out),
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
