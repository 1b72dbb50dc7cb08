//! Finding fields by path: kyaml's Lookup and PathMatcher.
//!
//! References into a tree cannot be held across changes here, so a match is a [`Route`]: the indices that
//! lead to it.

use crate::tree::{self, Node, wrong_kind};

/// The way to a node: an index for every level (of a mapping: the field's).
pub(crate) type Route = Vec<usize>;

/// The node at the end of a route.
pub(crate) fn follow_mut<'a>(node: &'a mut Node, route: &[usize]) -> Option<&'a mut Node> {
    let mut node = node;
    for index in route {
        node = match node {
            Node::Map(fields) => fields.get_mut(*index).map(|(_, value)| value)?,
            Node::Seq(items) => items.get_mut(*index)?,
            Node::Scalar(_) => return None,
        };
    }
    Some(node)
}

fn follow<'a>(node: &'a Node, route: &[usize]) -> Option<&'a Node> {
    let mut node = node;
    for index in route {
        node = match node {
            Node::Map(fields) => fields.get(*index).map(|(_, value)| value)?,
            Node::Seq(items) => items.get(*index)?,
            Node::Scalar(_) => return None,
        };
    }
    Some(node)
}

/// Is it `[...]`?
pub(crate) fn is_list_index(part: &str) -> bool {
    part.starts_with('[') && part.ends_with(']')
}

/// The key and value of `[key=value]`.
pub(crate) fn key_value(part: &str) -> Result<(&str, &str), String> {
    let inner = part.strip_suffix(']').unwrap_or(part);
    let inner = inner.strip_prefix('[').unwrap_or(inner);
    inner
        .split_once('=')
        .ok_or_else(|| "list path element must contain fieldName=fieldValue for element to match".to_owned())
}

/// Finds the child that one part of a lookup path names.
fn child_index(node: &Node, part: &str) -> Result<Option<usize>, String> {
    if node.is_null() {
        return Ok(None);
    }
    if let Ok(index) = part.parse::<i64>() {
        let index = usize::try_from(index).map_err(|_| format!("array index {index} cannot be negative"))?;
        let Node::Seq(items) = node else { return Err(wrong_kind(node, "SequenceNode")) };
        return Ok((index < items.len()).then_some(index));
    }
    if part == "-" {
        let Node::Seq(items) = node else { return Err(wrong_kind(node, "SequenceNode")) };
        return Ok(items.len().checked_sub(1));
    }
    if part == "*" {
        return Err("wildcard is not supported in PathGetter".to_owned());
    }
    if is_list_index(part) {
        let (key, value) = key_value(part)?;
        let Node::Seq(items) = node else { return Err(wrong_kind(node, "SequenceNode")) };
        return Ok(items.iter().position(|item| {
            if key.is_empty() {
                item.text() == value
            } else {
                item.get(key).is_some_and(|field| field.text() == value)
            }
        }));
    }
    match node {
        Node::Map(fields) => Ok(fields.iter().position(|(name, _)| name == part)),
        other => Err(wrong_kind(other, "MappingNode")),
    }
}

/// The route that a lookup path leads along; `None` when something on it is missing.
pub(crate) fn lookup_route(node: &Node, path: &[String]) -> Result<Option<Route>, String> {
    let mut route = Route::new();
    let mut here = node;
    for part in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let Some(index) = child_index(here, part)? else { return Ok(None) };
        route.push(index);
        here = match follow(here, &[index]) {
            Some(node) => node,
            None => return Ok(None),
        };
    }
    Ok(Some(route))
}

/// The node that a lookup path leads to.
pub(crate) fn lookup<'a>(node: &'a Node, path: &[String]) -> Result<Option<&'a Node>, String> {
    Ok(lookup_route(node, path)?.and_then(|route| follow(node, &route)))
}

/// As [`lookup`], for one part, to change it.
pub(crate) fn lookup_part_mut<'a>(node: &'a mut Node, part: &str) -> Result<Option<&'a mut Node>, String> {
    let Some(index) = child_index(node, part)? else { return Ok(None) };
    Ok(follow_mut(node, &[index]))
}

/// As [`lookup`], making what is missing: mappings on the way, `leaf` at the end.
pub(crate) fn lookup_create<'a>(
    node: &'a mut Node,
    path: &[String],
    leaf: &Node,
) -> Result<Option<&'a mut Node>, String> {
    let path: Vec<&str> = path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    let mut here = node;
    for (at, part) in path.iter().enumerate() {
        let next = path.get(at + 1).copied();
        let index = match child_index(here, part)? {
            Some(index) => index,
            None => {
                let fresh = fresh_for(next, leaf);
                match here {
                    Node::Map(fields) => {
                        fields.push(((*part).into(), fresh));
                        fields.len() - 1
                    }
                    Node::Seq(items) if is_list_index(part) => {
                        let (key, value) = key_value(part)?;
                        items.push(element(key, value));
                        items.len() - 1
                    }
                    _ => return Ok(None),
                }
            }
        };
        here = match follow_mut(here, &[index]) {
            Some(node) => node,
            None => return Ok(None),
        };
    }
    Ok(Some(here))
}

fn element(key: &str, value: &str) -> Node {
    if key.is_empty() { Node::plain(value) } else { Node::Map(vec![(key.into(), Node::plain(value))]) }
}

/// What is made for a part: what the next one needs.
fn fresh_for(next: Option<&str>, leaf: &Node) -> Node {
    match next {
        None | Some("") => leaf.clone(),
        Some(part) if is_list_index(part) || part.parse::<usize>().is_ok() => Node::Seq(Vec::new()),
        Some(_) => Node::map(),
    }
}

/// Finds everything that a path matches: names, indices, `*`, `[key=pattern]` and `[=pattern]`. With
/// `create`, what is missing is made and `create` stands at the end.
pub(crate) fn find(node: &mut Node, path: &[String], create: Option<&Node>) -> Result<Vec<Route>, String> {
    let mut found = Vec::new();
    let mut route = Route::new();
    find_in(node, path, create, &mut route, &mut found, 0)?;
    Ok(found)
}

fn find_in(
    node: &mut Node,
    path: &[String],
    create: Option<&Node>,
    route: &mut Route,
    found: &mut Vec<Route>,
    depth: usize,
) -> Result<(), String> {
    if depth > 200 {
        return Err("path is too long".to_owned());
    }
    let Some((part, rest)) = path.split_first() else {
        found.push(route.clone());
        return Ok(());
    };
    if part.parse::<usize>().is_ok() {
        return find_index(node, part, rest, create, route, found, depth);
    }
    if is_list_index(part) {
        return find_elements(node, part, rest, create, route, found, depth);
    }
    if part == "*" {
        if node.is_null() {
            return Ok(());
        }
        let Node::Seq(items) = node else { return Err(wrong_kind(node, "SequenceNode")) };
        for (index, item) in items.iter_mut().enumerate() {
            route.push(index);
            find_in(item, rest, create, route, found, depth + 1)?;
            route.pop();
        }
        return Ok(());
    }
    find_field(node, part, rest, create, route, found, depth)
}

fn find_field(
    node: &mut Node,
    part: &str,
    rest: &[String],
    create: Option<&Node>,
    route: &mut Route,
    found: &mut Vec<Route>,
    depth: usize,
) -> Result<(), String> {
    if node.is_null() {
        return Ok(());
    }
    let Node::Map(fields) = node else { return Err(wrong_kind(node, "MappingNode")) };
    let index = match (fields.iter().position(|(name, _)| name == part), create) {
        (Some(index), _) => index,
        (None, None) => return Ok(()),
        (None, Some(leaf)) => {
            let fresh = match fresh_for(rest.first().map(String::as_str), leaf) {
                Node::Scalar(_) => Node::plain(""),
                Node::Map(_) => Node::map(),
                Node::Seq(_) => Node::Seq(Vec::new()),
            };
            fields.push((part.into(), fresh));
            fields.len() - 1
        }
    };
    let Some((_, field)) = fields.get_mut(index) else { return Ok(()) };
    if let (Node::Scalar(scalar), false) = (&*field, rest.is_empty()) {
        // The rest of the path leads into data that the scalar holds; changes to it are lost, as there.
        let inner = yaml::parse_first_node(&scalar.text).map_err(|error| error.to_string())?;
        let Some(inner) = inner else {
            return Err(format!(
                "wrong node kind: expected MappingNode but got : node contents:\n{}",
                if field.is_null() { "null\n".to_owned() } else { tree::to_text(field) }
            ));
        };
        let leaf = create.map(tree::to_yaml);
        if !crate::structured::find(&mut inner.into_root(), rest, leaf.as_ref())?.is_empty() {
            found.push(vec![usize::MAX]);
        }
        return Ok(());
    }
    route.push(index);
    find_in(field, rest, create, route, found, depth + 1)?;
    route.pop();
    Ok(())
}

fn find_index(
    node: &mut Node,
    part: &str,
    rest: &[String],
    create: Option<&Node>,
    route: &mut Route,
    found: &mut Vec<Route>,
    depth: usize,
) -> Result<(), String> {
    let index: usize = part.parse().map_err(|_| format!("{part} is no index"))?;
    if !node.is_null() && !matches!(node, Node::Seq(_)) {
        return Err(wrong_kind(node, "SequenceNode"));
    }
    let count = node.items().len();
    if let (Node::Seq(items), Some(leaf)) = (&mut *node, create)
        && index == count
    {
        let fresh = match fresh_for(rest.first().map(String::as_str), leaf) {
            Node::Scalar(_) => Node::plain(""),
            other => empty_like(&other),
        };
        items.push(fresh);
    }
    let count = node.items().len();
    let item = match node {
        Node::Seq(items) => items.get_mut(index),
        _ => None,
    };
    let Some(item) = item else {
        return Err(format!("index {index} specified but only {count} elements found"));
    };
    route.push(index);
    find_in(item, rest, create, route, found, depth + 1)?;
    route.pop();
    Ok(())
}

fn empty_like(node: &Node) -> Node {
    match node {
        Node::Map(_) => Node::map(),
        Node::Seq(_) => Node::Seq(Vec::new()),
        Node::Scalar(_) => Node::plain(""),
    }
}

fn find_elements(
    node: &mut Node,
    part: &str,
    rest: &[String],
    create: Option<&Node>,
    route: &mut Route,
    found: &mut Vec<Route>,
    depth: usize,
) -> Result<(), String> {
    let (key, pattern) = key_value(part)?;
    if node.is_null() {
        return Ok(());
    }
    let Node::Seq(items) = node else { return Err(wrong_kind(node, "SequenceNode")) };
    let before = found.len();
    match_elements(items, key, pattern, rest, create, route, found, depth)?;
    if found.len() == before && create.is_some() {
        items.push(element(key, pattern));
        match_elements(items, key, pattern, rest, create, route, found, depth)?;
    }
    Ok(())
}

fn match_elements(
    items: &mut [Node],
    key: &str,
    pattern: &str,
    rest: &[String],
    create: Option<&Node>,
    route: &mut Route,
    found: &mut Vec<Route>,
    depth: usize,
) -> Result<(), String> {
    if items.is_empty() {
        return Ok(());
    }
    let regex = go_regex(pattern)?;
    for (index, item) in items.iter_mut().enumerate() {
        if key.is_empty() {
            if regex.is_match(tree::to_text(item).trim()) {
                route.push(index);
                found.push(route.clone());
                route.pop();
            }
            continue;
        }
        let Some(value) = item.get(key) else { continue };
        let matched = match value {
            Node::Scalar(scalar) if scalar.tag == tree::Tag::Str && !scalar.quoted() => {
                regex.is_match(scalar.text.trim())
            }
            other => regex.is_match(tree::to_text(other).trim()),
        };
        if matched {
            route.push(index);
            find_in(item, rest, create, route, found, depth + 1)?;
            route.pop();
        }
    }
    Ok(())
}

/// Compiles a pattern written for Go's regexp.
pub(crate) fn go_regex(pattern: &str) -> Result<Regexp, String> {
    gotemplate::Regexp::compile(pattern).map(|(compiled, _)| Regexp(compiled))
}

/// A pattern that means what it means to Go's regexp.
pub(crate) struct Regexp(gotemplate::Regexp);

impl Regexp {
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}
