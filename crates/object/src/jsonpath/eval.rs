//! Nodes over a value.

use std::borrow::Cow;

use super::Error;
use super::parse::{Node, Operator};
use crate::Value;

/// Most values one expression may yield.
const MAX_RESULTS: usize = 1_000_000;
/// Deepest descent of `..`.
const MAX_DEPTH: usize = 256;

type Found<'a> = Vec<Cow<'a, Value>>;

struct Eval {
    allow_missing: bool,
}

pub(super) fn find<'a>(nodes: &[Node], value: &'a Value, allow_missing: bool) -> Result<Found<'a>, Error> {
    let eval = Eval { allow_missing };
    let mut all = Vec::new();
    eval.each(nodes, value, &mut |_, found| {
        all.extend(found);
        Ok(())
    })?;
    Ok(all)
}

pub(super) fn render(nodes: &[Node], value: &Value, allow_missing: bool) -> Result<String, Error> {
    let mut text = String::new();
    Eval { allow_missing }.each(nodes, value, &mut |_, found| {
        for (index, value) in found.iter().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(&plain(value));
        }
        Ok(())
    })?;
    Ok(text)
}

/// Strings bare, everything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Eval {
    /// Calls `sink` with what each node of a template finds.
    fn each<'a>(
        &self,
        nodes: &[Node],
        value: &'a Value,
        sink: &mut dyn FnMut(&Node, Found<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for node in nodes {
            match node {
                Node::Range(path, body) => {
                    for item in self.steps(path, vec![Cow::Borrowed(value)])? {
                        match item {
                            Cow::Borrowed(item) => self.each(body, item, sink)?,
                            // Only literals are owned, and these hold nothing to range over.
                            Cow::Owned(_) => return Err(Error("cannot range over a literal".to_owned())),
                        }
                    }
                }
                Node::Path(steps) => sink(node, self.steps(steps, vec![Cow::Borrowed(value)])?)?,
                other => sink(other, self.step(other, vec![Cow::Borrowed(value)])?)?,
            }
        }
        Ok(())
    }

    fn steps<'a>(&self, steps: &[Node], start: Found<'a>) -> Result<Found<'a>, Error> {
        steps.iter().try_fold(start, |found, step| {
            let found = self.step(step, found)?;
            if found.len() > MAX_RESULTS {
                return Err(Error(format!("the path yields more than {MAX_RESULTS} values")));
            }
            Ok(found)
        })
    }

    fn step<'a>(&self, step: &Node, input: Found<'a>) -> Result<Found<'a>, Error> {
        match step {
            Node::Text(text) => Ok(vec![Cow::Owned(Value::String(text.clone()))]),
            Node::Literal(value) => Ok(vec![Cow::Owned(value.clone())]),
            Node::Root | Node::Current => Ok(input),
            Node::Path(steps) => self.steps(steps, input),
            Node::Field(name) => self.field(name, input),
            Node::Wildcard => Ok(input.iter().flat_map(children).collect()),
            Node::Recursive => {
                let mut all = Vec::new();
                input.iter().try_for_each(|value| descend(value, &mut all, 0))?;
                Ok(all)
            }
            Node::Union(nodes) => {
                let mut all = Vec::new();
                for node in nodes {
                    all.extend(self.step(node, input.clone())?);
                }
                Ok(all)
            }
            Node::Slice { start, end, step, single } => slice(&input, *start, *end, *step, *single),
            Node::Filter { left, operator, right } => self.filter(left, *operator, right, &input),
            Node::Range(..) => Err(Error("a range cannot stand inside a path".to_owned())),
        }
    }

    fn field<'a>(&self, name: &str, input: Found<'a>) -> Result<Found<'a>, Error> {
        if input.is_empty() {
            return Ok(input);
        }
        let found: Found<'a> = input
            .into_iter()
            .filter_map(|value| match value {
                Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
                Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
            })
            .collect();
        if found.is_empty() && !self.allow_missing {
            return Err(Error(format!("{name} is not found")));
        }
        Ok(found)
    }

    fn filter<'a>(
        &self,
        left: &Node,
        operator: Operator,
        right: &Node,
        input: &Found<'a>,
    ) -> Result<Found<'a>, Error> {
        let mut all = Vec::new();
        for value in input {
            if !value.is_array() {
                return Err(Error(format!("{value} is not array or slice and cannot be filtered")));
            }
            for item in children(value) {
                let lefts = self.step(left, vec![item.clone()]);
                if operator == Operator::Exists {
                    if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                        all.push(item);
                    }
                    continue;
                }
                let (lefts, rights) = (lefts?, self.step(right, vec![item.clone()])?);
                if lefts.len() > 1 || rights.len() > 1 {
                    return Err(Error("can only compare one element at a time".to_owned()));
                }
                if let (Some(left), Some(right)) = (lefts.first(), rights.first())
                    && compare(left, operator, right)?
                {
                    all.push(item);
                }
            }
        }
        Ok(all)
    }
}

fn compare(left: &Value, operator: Operator, right: &Value) -> Result<bool, Error> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.partial_cmp(right),
        (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
        (Value::Bool(left), Value::Bool(right)) => left.partial_cmp(right),
        _ => None,
    };
    let Some(order) = order else { return Err(Error("incompatible types for comparison".to_owned())) };
    Ok(match operator {
        Operator::Exists => true,
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
    })
}

#[allow(clippy::ptr_arg)] // What is borrowed must live as long as the value, not as the reference to it.
fn children<'a>(value: &Cow<'a, Value>) -> Found<'a> {
    match value {
        Cow::Borrowed(Value::Array(list)) => list.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(list)) => list.iter().cloned().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.values().cloned().map(Cow::Owned).collect(),
        _ => Vec::new(),
    }
}

#[allow(clippy::ptr_arg)] // As above.
fn descend<'a>(value: &Cow<'a, Value>, all: &mut Found<'a>, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH || all.len() > MAX_RESULTS {
        return Err(Error("the value is too deep or too large for a recursive path".to_owned()));
    }
    let below = children(value);
    if !below.is_empty() {
        all.push(value.clone());
    }
    below.iter().try_for_each(|child| descend(child, all, depth + 1))
}

fn slice<'a>(
    input: &Found<'a>,
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    single: bool,
) -> Result<Found<'a>, Error> {
    let mut all = Vec::new();
    for value in input.iter().filter(|value| !value.is_null()) {
        if !value.is_array() {
            return Err(Error(format!("{value} is not array or slice")));
        }
        let items = children(value);
        let length = items.len() as i64;
        let from_end = |index: i64| if index < 0 { index + length } else { index };
        let first = from_end(start.unwrap_or(0));
        let last = if single { first + 1 } else { from_end(end.unwrap_or(length)) };
        if first == last {
            continue;
        }
        for (index, shown) in [(first, first), (last - 1, last - 1)] {
            if index < 0 || index >= length {
                return Err(Error(format!("array index out of bounds: index {shown}, length {length}")));
            }
        }
        if first > last {
            return Err(Error(format!("starting index {first} is greater than ending index {last}")));
        }
        let step = step.unwrap_or(1);
        if step <= 0 {
            return Err(Error("step must be > 0".to_owned()));
        }
        let (first, last, step) = (first as usize, last as usize, step as usize);
        all.extend(items.into_iter().take(last).skip(first).step_by(step));
    }
    Ok(all)
}
