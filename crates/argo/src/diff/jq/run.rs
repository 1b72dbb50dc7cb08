//! Running an expression: each value with the path on which it was found.

use std::cmp::Ordering;

use object::{Value, json_type};

use super::Node;

/// Most steps of one run.
const STEPS: usize = 500_000;
const TOO_MUCH: &str = "it does too much";

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Index(usize),
    Field(String),
}

/// A value, and where it is; nowhere when it was made.
#[derive(Clone)]
struct Found {
    path: Option<Vec<Key>>,
    value: Value,
}

impl Found {
    fn made(value: impl Into<Value>) -> Self {
        Found { path: None, value: value.into() }
    }

    fn below(&self, key: Key, value: Value) -> Self {
        let path = self.path.as_ref().map(|path| path.iter().cloned().chain([key]).collect());
        Found { path, value }
    }
}

/// The value without what an expression names.
pub(super) fn delete(node: &Node, value: &Value) -> Result<Value, String> {
    let mut run = Run { steps: STEPS };
    let root = Found { path: Some(Vec::new()), value: value.clone() };
    let mut paths = Vec::new();
    for found in run.each(node, &root)? {
        paths.push(
            found.path.ok_or("Invalid path expression: it names a value that is no part of the object")?,
        );
    }
    // From behind, so that what is removed does not move what is still to be.
    paths.sort();
    paths.dedup();
    let mut result = value.clone();
    for path in paths.iter().rev() {
        remove(&mut result, path);
    }
    Ok(result)
}

fn remove(value: &mut Value, path: &[Key]) {
    match (path.split_first(), value) {
        (None, value) => *value = Value::Null,
        (Some((Key::Field(name), [])), Value::Object(map)) => {
            map.remove(name);
        }
        (Some((Key::Index(at), [])), Value::Array(list)) if *at < list.len() => {
            list.remove(*at);
        }
        (Some((Key::Field(name), rest)), Value::Object(map)) => {
            if let Some(inner) = map.get_mut(name) {
                remove(inner, rest);
            }
        }
        (Some((Key::Index(at), rest)), Value::Array(list)) => {
            if let Some(inner) = list.get_mut(*at) {
                remove(inner, rest);
            }
        }
        _ => {}
    }
}

fn truth(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// jq's order: null, false, true, numbers, texts, lists, maps.
fn order(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => a.keys().cmp(b.keys()).then_with(|| {
            let differing = a.values().zip(b.values()).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
            differing.unwrap_or(Ordering::Equal)
        }),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

struct Run {
    steps: usize,
}

impl Run {
    fn step(&mut self, count: usize) -> Result<(), String> {
        self.steps = self.steps.checked_sub(count.max(1)).ok_or(TOO_MUCH)?;
        Ok(())
    }

    fn each(&mut self, node: &Node, input: &Found) -> Result<Vec<Found>, String> {
        self.step(1)?;
        Ok(match node {
            Node::This => vec![input.clone()],
            Node::All => self.recurse(input)?,
            Node::Literal(value) => vec![Found::made(value.clone())],
            Node::Pipe(first, second) => {
                let mut all = Vec::new();
                for found in self.each(first, input)? {
                    all.extend(self.each(second, &found)?);
                }
                all
            }
            Node::Both(first, second) => {
                let mut all = self.each(first, input)?;
                all.extend(self.each(second, input)?);
                all
            }
            Node::Index(of, key) => {
                let mut all = Vec::new();
                for key in self.each(key, input)? {
                    for found in self.each(of, input)? {
                        all.push(index(&found, &key.value)?);
                    }
                }
                all
            }
            Node::Each(of) => {
                let mut all = Vec::new();
                for found in self.each(of, input)? {
                    all.extend(self.children(&found)?);
                }
                all
            }
            Node::Slice(of, from, to) => self.slice(of, from.as_deref(), to.as_deref(), input)?,
            Node::Try(inner) => self.attempt(inner, input)?,
            Node::List(inner) => {
                let items = match inner {
                    Some(inner) => self.each(inner, input)?.into_iter().map(|found| found.value).collect(),
                    None => Vec::new(),
                };
                vec![Found::made(Value::Array(items))]
            }
            Node::Binary(operator, left, right) => self.binary(operator, left, right, input)?,
            Node::If(condition, yes, no) => {
                let mut all = Vec::new();
                for found in self.each(condition, input)? {
                    match (truth(&found.value), no) {
                        (true, _) => all.extend(self.each(yes, input)?),
                        (false, Some(no)) => all.extend(self.each(no, input)?),
                        (false, None) => all.push(input.clone()),
                    }
                }
                all
            }
            Node::Call(name, arguments) => self.call(name, arguments, input)?,
        })
    }

    /// `f?`: what fails is left out; a run that does too much still ends. After a field or `[]` only that step is tried.
    fn attempt(&mut self, inner: &Node, input: &Found) -> Result<Vec<Found>, String> {
        let mut all = Vec::new();
        match inner {
            Node::Each(of) => {
                for found in self.each(of, input)? {
                    let children = self.children(&found);
                    all.extend(self.or_nothing(children)?);
                }
            }
            Node::Index(of, key) => {
                for key in self.each(key, input)? {
                    for found in self.each(of, input)? {
                        all.extend(index(&found, &key.value).ok());
                    }
                }
            }
            other => {
                let found = self.each(other, input);
                all = self.or_nothing(found)?;
            }
        }
        Ok(all)
    }

    fn or_nothing(&self, outcome: Result<Vec<Found>, String>) -> Result<Vec<Found>, String> {
        match outcome {
            Err(error) if self.steps == 0 || error == TOO_MUCH => Err(error),
            Err(_) => Ok(Vec::new()),
            found => found,
        }
    }

    fn recurse(&mut self, input: &Found) -> Result<Vec<Found>, String> {
        self.step(1)?;
        let mut all = vec![input.clone()];
        if matches!(input.value, Value::Array(_) | Value::Object(_)) {
            for child in self.children(input)? {
                all.extend(self.recurse(&child)?);
            }
        }
        Ok(all)
    }

    fn children(&mut self, found: &Found) -> Result<Vec<Found>, String> {
        match &found.value {
            Value::Array(list) => {
                self.step(list.len())?;
                Ok(list
                    .iter()
                    .enumerate()
                    .map(|(at, item)| found.below(Key::Index(at), item.clone()))
                    .collect())
            }
            Value::Object(map) => {
                self.step(map.len())?;
                Ok(map.iter().map(|(key, item)| found.below(Key::Field(key.clone()), item.clone())).collect())
            }
            other => Err(format!("Cannot iterate over {}", json_type(other))),
        }
    }

    fn slice(
        &mut self,
        of: &Node,
        from: Option<&Node>,
        to: Option<&Node>,
        input: &Found,
    ) -> Result<Vec<Found>, String> {
        let mut bound = |node: Option<&Node>| -> Result<Option<i64>, String> {
            let Some(node) = node else { return Ok(None) };
            let found = self.each(node, input)?;
            // Bounds are small; what is not is outside of any list.
            #[allow(clippy::cast_possible_truncation)]
            let number = found.first().and_then(|found| found.value.as_f64()).map(|number| number as i64);
            number.map(Some).ok_or_else(|| "a bound of a slice is no number".to_owned())
        };
        let (from, to) = (bound(from)?, bound(to)?);
        let mut all = Vec::new();
        for found in self.each(of, input)? {
            let Value::Array(list) = &found.value else {
                return Err(format!("Cannot index {} with a slice", json_type(&found.value)));
            };
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let place = |bound: i64| (if bound < 0 { length + bound } else { bound }).clamp(0, length);
            let range = place(from.unwrap_or(0))..place(to.unwrap_or(length));
            for at in range.filter_map(|at| usize::try_from(at).ok()) {
                if let Some(item) = list.get(at) {
                    all.push(found.below(Key::Index(at), item.clone()));
                }
            }
        }
        Ok(all)
    }

    fn binary(
        &mut self,
        operator: &str,
        left: &Node,
        right: &Node,
        input: &Found,
    ) -> Result<Vec<Found>, String> {
        if operator == "//" {
            let found = self.each(left, input).unwrap_or_default();
            let good: Vec<Found> = found.into_iter().filter(|found| truth(&found.value)).collect();
            return if good.is_empty() { self.each(right, input) } else { Ok(good) };
        }
        let mut all = Vec::new();
        if matches!(operator, "and" | "or") {
            for first in self.each(left, input)? {
                let known = truth(&first.value);
                if known == (operator == "or") {
                    all.push(Found::made(known));
                    continue;
                }
                for second in self.each(right, input)? {
                    all.push(Found::made(truth(&second.value)));
                }
            }
            return Ok(all);
        }
        for second in self.each(right, input)? {
            for first in self.each(left, input)? {
                let by = order(&first.value, &second.value);
                all.push(Found::made(match operator {
                    "==" => Value::Bool(by.is_eq()),
                    "!=" => Value::Bool(by.is_ne()),
                    "<" => Value::Bool(by.is_lt()),
                    ">" => Value::Bool(by.is_gt()),
                    "<=" => Value::Bool(by.is_le()),
                    ">=" => Value::Bool(by.is_ge()),
                    _ => arithmetic(operator, &first.value, &second.value)?,
                }));
            }
        }
        Ok(all)
    }

    fn call(&mut self, name: &str, arguments: &[Node], input: &Found) -> Result<Vec<Found>, String> {
        let value = &input.value;
        match (name, arguments) {
            ("empty", _) => return Ok(Vec::new()),
            ("recurse", _) => return self.recurse(input),
            ("select", [condition]) => {
                let found = self.each(condition, input)?;
                return Ok(found.iter().filter(|found| truth(&found.value)).map(|_| input.clone()).collect());
            }
            ("arrays" | "booleans" | "nulls" | "numbers" | "objects" | "strings", _) => {
                let fits = format!("{}s", json_type(value)) == name;
                return Ok(if fits { vec![input.clone()] } else { Vec::new() });
            }
            ("first" | "last", []) => {
                let at = if name == "first" { 0.0 } else { -1.0 };
                return index(input, &serde_json::json!(at)).map(|found| vec![found]);
            }
            ("first" | "last", [inner]) => {
                let mut found = self.each(inner, input)?;
                let picked =
                    if name == "first" { (!found.is_empty()).then(|| found.remove(0)) } else { found.pop() };
                return Ok(picked.into_iter().collect());
            }
            ("getpath", [path]) => {
                let mut all = Vec::new();
                for path in self.each(path, input)? {
                    let mut found = input.clone();
                    for key in path.value.as_array().ok_or("Path must be specified as an array")? {
                        found = index(&found, key)?;
                    }
                    all.push(found);
                }
                return Ok(all);
            }
            ("any" | "all", _) => {
                let mut found = Vec::new();
                for child in self.children(input)? {
                    match arguments.first() {
                        Some(condition) => found.extend(self.each(condition, &child)?),
                        None => found.push(child),
                    }
                }
                let mut found = found.iter().map(|found| truth(&found.value));
                return Ok(vec![Found::made(if name == "any" {
                    found.any(|t| t)
                } else {
                    found.all(|t| t)
                })]);
            }
            ("map", [inner]) => {
                let mut items = Vec::new();
                for child in self.children(input)? {
                    items.extend(self.each(inner, &child)?.into_iter().map(|found| found.value));
                }
                return Ok(vec![Found::made(Value::Array(items))]);
            }
            _ => {}
        }
        let mut results = Vec::new();
        match arguments {
            [] => results.push(Found::made(plain(name, value)?)),
            [first, rest @ ..] => {
                for given in self.each(first, input)? {
                    let flags = match rest.first() {
                        Some(node) => self.each(node, input)?.into_iter().next().map(|found| found.value),
                        None => None,
                    };
                    results.push(Found::made(with(name, value, &given.value, flags.as_ref())?));
                }
            }
        }
        Ok(results)
    }
}

fn index(found: &Found, key: &Value) -> Result<Found, String> {
    match (&found.value, key) {
        (Value::Object(map), Value::String(name)) => {
            Ok(found.below(Key::Field(name.clone()), map.get(name).cloned().unwrap_or_default()))
        }
        (Value::Array(list), Value::Number(at)) => {
            // Indices are small; what is not is outside of any list.
            #[allow(clippy::cast_possible_truncation)]
            let at = at.as_f64().unwrap_or(0.0).floor() as i64;
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let at = if at < 0 { length + at } else { at };
            match usize::try_from(at).ok() {
                Some(at) => Ok(found.below(Key::Index(at), list.get(at).cloned().unwrap_or_default())),
                None => Err("Out of bounds negative array index".to_owned()),
            }
        }
        (Value::Null, Value::String(name)) => Ok(found.below(Key::Field(name.clone()), Value::Null)),
        (Value::Null, Value::Number(_) | Value::Null) => Ok(found.below(Key::Index(usize::MAX), Value::Null)),
        (of, Value::String(name)) => Err(format!("Cannot index {} with \"{name}\"", json_type(of))),
        (of, key) => Err(format!("Cannot index {} with {}", json_type(of), json_type(key))),
    }
}

fn arithmetic(operator: &str, a: &Value, b: &Value) -> Result<Value, String> {
    match (operator, a, b) {
        ("+", Value::Null, other) | ("+", other, Value::Null) => Ok(other.clone()),
        ("+", Value::String(a), Value::String(b)) => Ok(Value::String(format!("{a}{b}"))),
        ("+", Value::Array(a), Value::Array(b)) => Ok(Value::Array(a.iter().chain(b).cloned().collect())),
        ("-", Value::Array(a), Value::Array(b)) => {
            Ok(Value::Array(a.iter().filter(|item| !b.contains(item)).cloned().collect()))
        }
        (_, Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(0.0));
            Ok(serde_json::json!(if operator == "+" { a + b } else { a - b }))
        }
        _ => Err(format!("{} and {} cannot be combined with {operator}", json_type(a), json_type(b))),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Functions of a value alone.
fn plain(name: &str, value: &Value) -> Result<Value, String> {
    let wants = |what: &str| format!("{name} wants {what}, not {}", json_type(value));
    Ok(match name {
        "not" => Value::Bool(!truth(value)),
        "type" => json_type(value).into(),
        "tostring" => text(value).into(),
        "fromjson" => serde_json::from_str(value.as_str().ok_or_else(|| wants("a text"))?)
            .map_err(|error| error.to_string())?,
        "ascii_downcase" => value.as_str().ok_or_else(|| wants("a text"))?.to_ascii_lowercase().into(),
        "ascii_upcase" => value.as_str().ok_or_else(|| wants("a text"))?.to_ascii_uppercase().into(),
        "length" => match value {
            Value::Null => 0.into(),
            Value::String(text) => text.chars().count().into(),
            Value::Array(list) => list.len().into(),
            Value::Object(map) => map.len().into(),
            Value::Number(number) => serde_json::json!(number.as_f64().unwrap_or(0.0).abs()),
            Value::Bool(_) => return Err(wants("something with a length")),
        },
        "keys" => match value {
            Value::Object(map) => map.keys().cloned().collect(),
            Value::Array(list) => (0..list.len()).collect(),
            _ => return Err(wants("a map or a list")),
        },
        "flatten" => match value {
            Value::Array(list) => Value::Array(
                list.iter()
                    .flat_map(|item| match item {
                        Value::Array(inner) => inner.clone(),
                        other => vec![other.clone()],
                    })
                    .collect(),
            ),
            _ => return Err(wants("a list")),
        },
        "to_entries" => match value {
            Value::Object(map) => {
                map.iter().map(|(key, value)| serde_json::json!({ "key": key, "value": value })).collect()
            }
            _ => return Err(wants("a map")),
        },
        other => return Err(format!("{other}/0 is not defined")),
    })
}

/// Functions of a value and an argument.
fn with(name: &str, value: &Value, given: &Value, flags: Option<&Value>) -> Result<Value, String> {
    let texts = || match (value, given) {
        (Value::String(a), Value::String(b)) => Ok((a.as_str(), b.as_str())),
        _ => Err(format!("{name} wants texts, not {} and {}", json_type(value), json_type(given))),
    };
    Ok(match name {
        "startswith" => texts().map(|(text, part)| text.starts_with(part))?.into(),
        "endswith" => texts().map(|(text, part)| text.ends_with(part))?.into(),
        "ltrimstr" => match texts() {
            Ok((text, part)) => text.strip_prefix(part).unwrap_or(text).into(),
            Err(_) => value.clone(),
        },
        "rtrimstr" => match texts() {
            Ok((text, part)) => text.strip_suffix(part).unwrap_or(text).into(),
            Err(_) => value.clone(),
        },
        "split" => texts()?.0.split(texts()?.1).map(Value::from).collect(),
        "test" => {
            let (text, pattern) = texts()?;
            let insensitive = flags.and_then(Value::as_str).is_some_and(|flags| flags.contains('i'));
            let built = regex::RegexBuilder::new(pattern).case_insensitive(insensitive).build();
            built.map_err(|error| error.to_string())?.is_match(text).into()
        }
        "contains" => contains(value, given).into(),
        "inside" => contains(given, value).into(),
        "has" => match (value, given) {
            (Value::Object(map), Value::String(key)) => map.contains_key(key).into(),
            (Value::Array(list), Value::Number(at)) => at
                .as_f64()
                .is_some_and(|at| {
                    at >= 0.0 && (0..list.len()).any(|index| serde_json::json!(index).as_f64() == Some(at))
                })
                .into(),
            _ => {
                return Err(format!(
                    "Cannot check whether {} has a {} key",
                    json_type(value),
                    json_type(given)
                ));
            }
        },
        "index" => match (value, given) {
            (Value::String(text), Value::String(part)) => {
                text.find(part.as_str()).map_or(Value::Null, Value::from)
            }
            (Value::Array(list), item) => {
                list.iter().position(|other| other == item).map_or(Value::Null, Value::from)
            }
            _ => Value::Null,
        },
        "join" => match (value, given) {
            (Value::Array(list), Value::String(by)) => list
                .iter()
                .map(|item| if item.is_null() { String::new() } else { text(item) })
                .collect::<Vec<_>>()
                .join(by)
                .into(),
            _ => {
                return Err(format!(
                    "join wants a list and a text, not {} and {}",
                    json_type(value),
                    json_type(given)
                ));
            }
        },
        other => return Err(format!("{other}/1 is not defined")),
    })
}

fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Array(list), Value::Array(parts)) => {
            parts.iter().all(|part| list.iter().any(|item| contains(item, part)))
        }
        (Value::Object(map), Value::Object(parts)) => {
            parts.iter().all(|(key, part)| map.get(key).is_some_and(|item| contains(item, part)))
        }
        (value, part) => order(value, part).is_eq(),
    }
}
