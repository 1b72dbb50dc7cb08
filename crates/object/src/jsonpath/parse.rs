//! Text to nodes.

use super::Error;
use crate::Value;

/// Deepest nesting of filters and ranges.
const MAX_DEPTH: usize = 32;

/// A step or a piece of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// Literal text outside braces, or a quoted string inside.
    Text(String),
    /// The steps of one expression in braces.
    Path(Vec<Node>),
    /// The document itself.
    Root,
    /// The current element.
    Current,
    /// A key.
    Field(String),
    /// Start, end (exclusive), step; a plain index has only a start and `single`.
    Slice { start: Option<i64>, end: Option<i64>, step: Option<i64>, single: bool },
    /// Every element.
    Wildcard,
    /// The value and everything below.
    Recursive,
    /// Elements for which a comparison holds.
    Filter { left: Box<Node>, operator: Operator, right: Box<Node> },
    /// Several alternatives in one pair of brackets.
    Union(Vec<Node>),
    /// A number or boolean.
    Literal(Value),
    /// `{range path}…{end}`.
    Range(Vec<Node>, Vec<Node>),
}

/// How a filter compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

fn error<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error(message.into()))
}

/// Parses a template.
pub(super) fn template(text: &str) -> Result<Vec<Node>, Error> {
    // Open ranges: their path and the nodes collected so far outside.
    let mut open: Vec<(Vec<Node>, Vec<Node>)> = Vec::new();
    let mut nodes = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find('{') else {
            nodes.push(Node::Text(rest.to_owned()));
            break;
        };
        if at > 0 {
            nodes.push(Node::Text(rest[..at].to_owned()));
        }
        let inside = &rest[at + 1..];
        let end = closing(inside, '}').ok_or_else(|| Error("unclosed action".to_owned()))?;
        let action = inside[..end].trim();
        rest = &inside[end + 1..];
        if action == "end" {
            let Some((path, outer)) = open.pop() else { return error("not in range, nothing to end") };
            let body = std::mem::replace(&mut nodes, outer);
            nodes.push(Node::Range(path, body));
        } else if let Some(path) =
            action.strip_prefix("range").filter(|path| path.starts_with([' ', '.', '[']))
        {
            if open.len() >= MAX_DEPTH {
                return error("ranges are nested too deeply");
            }
            open.push((steps(path.trim(), 0)?, std::mem::take(&mut nodes)));
        } else {
            nodes.push(Node::Path(steps(action, 0)?));
        }
    }
    if open.is_empty() { Ok(nodes) } else { error("range is not closed: {end} is missing") }
}

/// The byte at which `close` stands outside quotes.
fn closing(text: &str, close: char) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, _) if character == close => return Some(at),
            _ => {}
        }
    }
    None
}

/// The byte at which the bracket opened before `text` closes, minding quotes and nesting.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    let mut depth = 0usize;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn steps(text: &str, depth: usize) -> Result<Vec<Node>, Error> {
    if depth > MAX_DEPTH {
        return error("the path is nested too deeply");
    }
    let mut nodes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            ' ' => rest = rest.trim_start(),
            '$' => {
                nodes.push(Node::Root);
                rest = &rest[1..];
            }
            '@' => {
                nodes.push(Node::Current);
                rest = &rest[1..];
            }
            '"' | '\'' => {
                let end = closing(&rest[1..], first).or_else(|| quoted_end(&rest[1..], first));
                let Some(end) = end else { return error("unterminated quoted string") };
                nodes.push(Node::Text(unquote(&rest[1..=end])));
                rest = &rest[end + 2..];
            }
            '[' => {
                let Some(end) = closing_bracket(&rest[1..]) else { return error("unterminated array") };
                nodes.push(bracket(rest[1..=end].trim(), depth)?);
                rest = &rest[end + 2..];
            }
            '.' => {
                rest = &rest[1..];
                if let Some(after) = rest.strip_prefix('.') {
                    nodes.push(Node::Recursive);
                    // `..name` and `..[0]`: what follows is a step of its own.
                    rest = after;
                    if rest.starts_with(['.', '[']) || rest.is_empty() {
                        continue;
                    }
                }
                if rest.starts_with('[') || rest.is_empty() {
                    continue;
                }
                let (name, after) = field(rest);
                nodes.push(if name == "*" { Node::Wildcard } else { Node::Field(name) });
                rest = after;
            }
            _ => {
                let end = rest.find(' ').unwrap_or(rest.len());
                nodes.push(literal(&rest[..end])?);
                rest = &rest[end..];
            }
        }
    }
    Ok(nodes)
}

fn quoted_end(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == quote {
            return Some(at);
        }
    }
    None
}

/// A field name up to an unescaped terminator.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, next)| next)),
            '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}' | ' ' => return (name, &text[at..]),
            other => name.push(other),
        }
    }
    (name, "")
}

fn literal(text: &str) -> Result<Node, Error> {
    match text {
        "true" => Ok(Node::Literal(Value::Bool(true))),
        "false" => Ok(Node::Literal(Value::Bool(false))),
        _ => match serde_json::from_str::<serde_json::Number>(text.trim_start_matches('+')) {
            Ok(number) => Ok(Node::Literal(Value::Number(number))),
            Err(_) => error(format!("unrecognized identifier {text}")),
        },
    }
}

fn unquote(text: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('t') => result.push('\t'),
            Some('r') => result.push('\r'),
            Some(other) => result.push(other),
            None => result.push('\\'),
        }
    }
    result
}

fn bracket(text: &str, depth: usize) -> Result<Node, Error> {
    if text == "*" {
        return Ok(Node::Wildcard);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return filter_node(filter.trim(), depth);
    }
    let parts = split(text, ',');
    if parts.len() > 1 {
        let nodes = parts.iter().map(|part| bracket(part.trim(), depth + 1)).collect::<Result<_, _>>()?;
        return Ok(Node::Union(nodes));
    }
    if let Some(quote) = text.chars().next().filter(|quote| matches!(quote, '"' | '\'')) {
        let inner =
            text[1..].strip_suffix(quote).ok_or_else(|| Error("unterminated quoted string".to_owned()))?;
        return Ok(Node::Field(unquote(inner)));
    }
    let bounds: Vec<Option<i64>> = text
        .split(':')
        .map(|part| match part.trim() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| Error(format!("invalid array index {text}"))),
        })
        .collect::<Result<_, _>>()?;
    match bounds.as_slice() {
        [Some(start)] => Ok(Node::Slice { start: Some(*start), end: None, step: None, single: true }),
        [start, end] => Ok(Node::Slice { start: *start, end: *end, step: None, single: false }),
        [start, end, step] => Ok(Node::Slice { start: *start, end: *end, step: *step, single: false }),
        _ => error(format!("invalid array index {text}")),
    }
}

/// Splits outside quotes, brackets and parentheses.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0i32, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth -= 1,
            (None, _) if character == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn filter_node(text: &str, depth: usize) -> Result<Node, Error> {
    let operand = |text: &str| Ok(Box::new(Node::Path(steps(text.trim(), depth + 1)?)));
    let mut quote = None;
    let mut brackets = 0i32;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => brackets += 1,
            (None, ']') => brackets -= 1,
            (None, '=' | '!' | '<' | '>') if brackets == 0 => {
                let rest = &text[at..];
                let found = [
                    ("==", Operator::Equal),
                    ("!=", Operator::NotEqual),
                    ("<=", Operator::LessEqual),
                    (">=", Operator::GreaterEqual),
                    ("<", Operator::Less),
                    (">", Operator::Greater),
                ];
                let Some((sign, operator)) = found.iter().find(|(sign, _)| rest.starts_with(sign)) else {
                    return error(format!("unrecognized filter operator in {text}"));
                };
                let right = operand(&rest[sign.len()..])?;
                return Ok(Node::Filter { left: operand(&text[..at])?, operator: *operator, right });
            }
            _ => {}
        }
    }
    let left = operand(text)?;
    Ok(Node::Filter { left, operator: Operator::Exists, right: Box::new(Node::Root) })
}
