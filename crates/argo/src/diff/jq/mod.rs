//! jq expressions that name fields to leave out: what `del(…)` takes.
//!
//! Whoever may write an Application may write these, so they run on a budget of steps and know only what ends: paths,
//! `select`, comparisons and functions of values. Definitions, variables, assignments and endless generators are refused
//! when the expression is read.

mod parse;
mod run;

use object::Value;

/// Longest expression.
const MAX_LENGTH: usize = 4_096;

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// `.`
    This,
    /// `..`
    All,
    /// A value.
    Literal(Value),
    /// `f | g`
    Pipe(Box<Node>, Box<Node>),
    /// `f, g`
    Both(Box<Node>, Box<Node>),
    /// `f.name`, `f[g]`
    Index(Box<Node>, Box<Node>),
    /// `f[]`
    Each(Box<Node>),
    /// `f[a:b]`
    Slice(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    /// `f?`
    Try(Box<Node>),
    /// `[f]`
    List(Option<Box<Node>>),
    /// `f == g` and its like
    Binary(&'static str, Box<Node>, Box<Node>),
    /// `if f then g else h end`
    If(Box<Node>, Box<Node>, Option<Box<Node>>),
    /// `name(f; g)`
    Call(String, Vec<Node>),
}

/// An expression, ready to remove what it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    text: String,
    node: Node,
}

impl Filter {
    /// What removes the fields of a path expression.
    ///
    /// # Errors
    /// When the expression is malformed, or uses what is not offered here.
    pub fn deleting(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("the jq expression is longer than {MAX_LENGTH} bytes"));
        }
        let node = parse::parse(text).map_err(|error| format!("the jq expression '{text}': {error}"))?;
        Ok(Filter { text: text.to_owned(), node })
    }

    /// The value without the fields.
    ///
    /// # Errors
    /// When the expression fails on the value, or names no fields.
    pub fn run(&self, value: &Value) -> Result<Value, String> {
        run::delete(&self.node, value).map_err(|error| format!("jq expression '{}': {error}", self.text))
    }
}
