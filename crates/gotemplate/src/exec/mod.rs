//! Runs a template: walks its tree and writes what it says.

mod call;
mod eval;

pub(crate) use eval::zero as zero_of;

use crate::env::Env;
use crate::error::ExecError;
use crate::parse::{Branch, Call, Command, Expr, List, Node, Pipe, Tree, Variable};
use crate::price::Price;
use crate::templates::Templates;
use crate::trace::Origin;
use crate::value::{Elem, Value};

/// A value, and whether its static type is `interface {}`: field errors name that type.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    pub(crate) boxed: bool,
}

impl Slot {
    pub(crate) fn plain(value: Value) -> Self {
        let boxed = matches!(value, Value::Nil);
        Slot { value, boxed }
    }

    /// An element of something whose elements have the type `elem`.
    pub(crate) fn element(value: Value, elem: Elem) -> Self {
        Slot { value, boxed: elem == Elem::Any }
    }

    pub(crate) fn invalid() -> Self {
        Slot { value: Value::Invalid, boxed: false }
    }

    /// The value inside the interface.
    fn unboxed(self) -> Self {
        match self.value {
            Value::Nil => Slot::invalid(),
            value => Slot { value, boxed: false },
        }
    }
}

/// The node that an error would name.
#[derive(Clone, Copy)]
enum At<'t> {
    Node(&'t Node),
    Branch(&'static str, &'t Branch),
    Call(&'t Call),
    List(&'t List),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Expr(&'t Expr),
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Result2<T> = Result<T, Box<ExecError>>;

/// Bytes of stack that must be left before going deeper, and what is added otherwise.
const RED_ZONE: usize = 256 << 10;
const GROWTH: usize = 4 << 20;

struct Exec<'a, 'e, 'h> {
    set: &'a Templates,
    env: &'e mut Env<'h>,
    out: &'e mut Vec<u8>,
    tree: &'a Tree,
    at: At<'a>,
    vars: Vec<(Variable, Slot)>,
    /// Where the variables of the running template begin.
    base: usize,
    /// Whether this is the template that was asked for, and where its output comes from is to be noted.
    traced: bool,
}

/// Executes `tree` with `data` as dot, appending its output to `out`.
pub(crate) fn execute(
    set: &Templates,
    tree: &Tree,
    data: &Value,
    env: &mut Env<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ExecError> {
    let dot = Slot::plain(data.clone()).unboxed();
    let at = At::List(&tree.root);
    let vars = vec![(Variable(0), dot.clone())];
    let traced = env.trace.is_some() && env.depth == 0;
    let mut exec = Exec { set, env, out, tree, at, vars, base: 0, traced };
    let limit = exec.env.limits.depth;
    if exec.env.depth >= limit {
        let message = format!("template: {}: templates are nested deeper than {limit}", tree.name);
        return Err(ExecError::limit(&tree.name, message));
    }
    exec.env.depth += 1;
    let result = stacker::maybe_grow(RED_ZONE, GROWTH, || exec.list(&dot, &tree.root));
    exec.env.depth -= 1;
    result.map(|_| ()).map_err(|error| *error)
}

impl<'a> Exec<'a, '_, '_> {
    // Errors.

    fn error<T>(&self, message: impl AsRef<str>) -> Result2<T> {
        Err(Box::new(ExecError::at(&self.tree.name, self.located(message.as_ref()))))
    }

    fn limit<T>(&self, message: &str) -> Result2<T> {
        Err(Box::new(ExecError::limit(&self.tree.name, self.located(message))))
    }

    fn located(&self, message: &str) -> String {
        let source = &*self.tree.source;
        let mut text = String::new();
        let pos = match self.at {
            At::Node(node) => {
                node.write(source, &mut text);
                match node {
                    Node::Text(pos, _) | Node::Action(pos, _) | Node::Break(pos) | Node::Continue(pos) => {
                        *pos
                    }
                    Node::If(branch) | Node::Range(branch) | Node::With(branch) => source.one(*branch).pos,
                    Node::Template(call) => source.one(*call).pos,
                }
            }
            At::Branch(word, branch) => {
                branch.write(word, source, &mut text);
                branch.pos
            }
            At::Call(call) => {
                call.write(source, &mut text);
                call.pos
            }
            At::List(list) => {
                list.write(source, &mut text);
                list.pos
            }
            At::Pipe(pipe) => {
                pipe.write(source, &mut text);
                pipe.pos
            }
            At::Command(command) => {
                command.write(source, &mut text);
                command.pos
            }
            At::Expr(expr) => {
                expr.write(source, &mut text);
                expr.pos
            }
        };
        let name = crate::fmt::quote(&self.tree.name);
        format!("template: {}: executing {name} at <{text}>: {message}", self.tree.place(pos))
    }

    fn step(&mut self) -> Result2<()> {
        self.env.steps += 1;
        if self.env.steps > self.env.limits.steps {
            return self.limit("the templates take more steps than are allowed");
        }
        Ok(())
    }

    /// Counts the output since `before` against the limit.
    fn count(&mut self, before: usize) -> Result2<()> {
        self.env.written += self.out.len() - before;
        if self.env.written > self.env.limits.output {
            return self.limit("the templates write more output than is allowed");
        }
        Ok(())
    }

    /// Notes what the output since `before` comes from.
    fn note(&mut self, before: usize, pos: u32, is_text: bool) {
        if !self.traced {
            return;
        }
        let (end, line) = (self.out.len(), self.tree.line(pos));
        if let Some(trace) = &mut self.env.trace {
            let reads = if is_text { Vec::new() } else { trace.take_reads() };
            if end > before {
                let template = self.tree.source.name.to_string();
                trace.origins.push(Origin { start: before, end, template, line, is_text, reads });
            }
        }
    }

    // Variables.

    fn mark(&self) -> usize {
        self.vars.len()
    }

    fn variable(&self, id: Variable) -> Option<usize> {
        let own = self.vars.get(self.base..)?;
        own.iter().rposition(|(other, _)| *other == id).map(|at| at + self.base)
    }

    fn assign(&mut self, variable: Variable, slot: Slot) -> Result2<()> {
        match self.variable(variable).and_then(|at| self.vars.get_mut(at)) {
            Some((_, target)) => {
                *target = slot;
                Ok(())
            }
            None => self.error(format!("undefined variable: {}", self.tree.source.variable(variable))),
        }
    }

    /// Sets the `back`th variable from the top.
    fn set_top(&mut self, back: usize, slot: Slot) {
        let at = self.vars.len().wrapping_sub(back);
        if let Some((_, target)) = self.vars.get_mut(at) {
            *target = slot;
        }
    }

    // Nodes.

    fn list(&mut self, dot: &Slot, list: &'a List) -> Result2<Flow> {
        self.at = At::List(list);
        for node in self.tree.source.all(list.nodes) {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Slot, node: &'a Node) -> Result2<Flow> {
        self.at = At::Node(node);
        self.step()?;
        let before = self.out.len();
        match node {
            Node::Text(start, end) => {
                let text = self.tree.source.text.get(*start as usize..*end as usize);
                self.out.extend_from_slice(text.unwrap_or_default());
                self.note(before, *start, true);
                self.count(before)?;
            }
            Node::Action(pos, pipe) => {
                if let Some(trace) = self.env.trace.as_ref().filter(|_| self.traced) {
                    // What a condition before it read is not this action's.
                    trace.take_reads();
                }
                let slot = self.pipeline(dot, pipe)?;
                if pipe.decl.is_empty() {
                    self.at = At::Node(node);
                    self.print(&slot.value)?;
                    self.note(before, *pos, false);
                    self.count(before)?;
                }
            }
            Node::If(branch) => {
                let branch = self.tree.source.one(*branch);
                return stacker::maybe_grow(RED_ZONE, GROWTH, || self.branch(dot, "if", branch));
            }
            Node::With(branch) => {
                let branch = self.tree.source.one(*branch);
                return stacker::maybe_grow(RED_ZONE, GROWTH, || self.branch(dot, "with", branch));
            }
            Node::Range(branch) => {
                let branch = self.tree.source.one(*branch);
                return stacker::maybe_grow(RED_ZONE, GROWTH, || self.range(dot, branch));
            }
            Node::Template(call) => {
                let call = self.tree.source.one(*call);
                stacker::maybe_grow(RED_ZONE, GROWTH, || self.template(dot, call))?;
            }
            Node::Break(_) => return Ok(Flow::Break),
            Node::Continue(_) => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) -> Result2<()> {
        match value {
            Value::Invalid => self.out.extend_from_slice(b"<no value>"),
            Value::Str(text) => self.out.extend_from_slice(text.as_bytes()),
            Value::Func(_) => {
                let mut text = String::new();
                if let At::Node(node) = self.at {
                    node.write(&self.tree.source, &mut text);
                }
                return self.error(format!("can't print {text} of type {}", value.type_name()));
            }
            Value::List(_) | Value::Map(_) => {
                if self.env.charge_call(Price::Deep, std::slice::from_ref(value)).is_err() {
                    return self.limit("the templates take more steps than are allowed");
                }
                crate::fmt::print(self.out, value);
            }
            value => crate::fmt::print(self.out, value),
        }
        Ok(())
    }

    fn branch(&mut self, dot: &Slot, word: &'static str, branch: &'a Branch) -> Result2<Flow> {
        let mark = self.mark();
        let slot = self.pipeline(dot, &branch.pipe)?;
        let flow = if slot.value.is_true() {
            let inner = if word == "with" { &slot } else { dot };
            self.list(inner, &branch.list)?
        } else if let Some(other) = &branch.other {
            self.list(dot, other)?
        } else {
            Flow::Next
        };
        self.vars.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Slot, branch: &'a Branch) -> Result2<Flow> {
        self.at = At::Branch("range", branch);
        let outer = self.mark();
        let slot = self.pipeline(dot, &branch.pipe)?;
        let value = match &slot.value {
            Value::Object(object) => object.underlying().unwrap_or_else(|| slot.value.clone()),
            value => value.clone(),
        };
        // Empty unless an item ran; an early end of the enclosing lists goes through as well.
        let mut ran = false;
        let flow = self.items(&value, branch, &mut ran)?;
        let flow = match (&branch.other, ran) {
            (Some(other), false) => self.list(dot, other)?,
            _ => flow,
        };
        self.vars.truncate(outer);
        Ok(flow)
    }

    fn items(&mut self, value: &Value, branch: &'a Branch, ran: &mut bool) -> Result2<Flow> {
        match value {
            Value::Int(count, kind) => {
                self.one_variable(value, branch)?;
                for item in 0..*count {
                    *ran = true;
                    if self.item(branch, Slot::invalid(), Slot::plain(Value::Int(item, *kind)))? {
                        break;
                    }
                }
            }
            Value::Uint(count, kind) => {
                self.one_variable(value, branch)?;
                for item in 0..*count {
                    *ran = true;
                    if self.item(branch, Slot::invalid(), Slot::plain(Value::Uint(item, *kind)))? {
                        break;
                    }
                }
            }
            Value::List(list) => {
                for (index, item) in list.items.iter().enumerate() {
                    *ran = true;
                    let key = Slot::plain(Value::int(index as i64));
                    if self.item(branch, key, Slot::element(item.clone(), list.elem))? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.entries() {
                    *ran = true;
                    if self.item(branch, Slot::plain(Value::Str(key)), Slot::element(item, map.elem))? {
                        break;
                    }
                }
            }
            Value::Invalid | Value::Nil => {}
            value => {
                let mut text = Vec::new();
                crate::fmt::print(&mut text, value);
                return self.error(format!("range can't iterate over {}", String::from_utf8_lossy(&text)));
            }
        }
        Ok(Flow::Next)
    }

    fn one_variable(&self, value: &Value, branch: &Branch) -> Result2<()> {
        if branch.pipe.decl.len() > 1 {
            let mut text = Vec::new();
            crate::fmt::print(&mut text, value);
            let text = String::from_utf8_lossy(&text);
            return self.error(format!("can't use {text} to iterate over more than one variable"));
        }
        Ok(())
    }

    /// One round of a range; whether to stop.
    fn item(&mut self, branch: &'a Branch, key: Slot, item: Slot) -> Result2<bool> {
        let pipe = &branch.pipe;
        let decl = self.tree.source.all(pipe.decl);
        if let Some(first) = decl.first() {
            if !pipe.assign {
                self.set_top(1, item.clone());
            } else if decl.len() > 1 {
                self.assign(*first, key.clone())?;
            } else {
                self.assign(*first, item.clone())?;
            }
        }
        if let Some(second) = decl.get(1) {
            if pipe.assign {
                self.assign(*second, item.clone())?;
            } else {
                self.set_top(2, key);
            }
        }
        let mark = self.mark();
        self.step()?;
        let flow = self.list(&item, &branch.list)?;
        self.vars.truncate(mark);
        Ok(flow == Flow::Break)
    }

    fn template(&mut self, dot: &Slot, call: &'a Call) -> Result2<()> {
        self.at = At::Call(call);
        let Some(tree) = self.set.layer.get(&call.name) else {
            return self.error(format!("template {} not defined", crate::fmt::quote(&call.name)));
        };
        let limit = self.env.limits.depth;
        if self.env.depth >= limit {
            return self.limit(&format!("exceeded maximum template depth ({limit})"));
        }
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Slot::invalid(),
        };
        let (outer, base) = (self.tree, self.base);
        self.tree = tree;
        self.base = self.mark();
        self.vars.push((Variable(0), dot.clone()));
        self.env.depth += 1;
        let result = self.list(&dot, &tree.root);
        self.env.depth -= 1;
        // After an error nothing runs any more; its text is already made.
        result?;
        self.vars.truncate(self.base);
        self.tree = outer;
        self.base = base;
        Ok(())
    }
}
