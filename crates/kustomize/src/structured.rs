//! Finding fields in data that a field holds as text: as [`paths::find`](crate::paths::find), on a tree that keeps
//! comments, styles and anchors, since what is not changed is printed as it was.

use crate::paths::{Route, go_regex, is_list_index, key_value};
use yaml::{Kind, Node};

/// How long a path may be.
const MAX_PARTS: usize = 200;

/// The node at the end of a route; of a mapping the index counts fields.
pub(crate) fn follow_mut<'a>(node: &'a mut Node, route: &[usize]) -> Option<&'a mut Node> {
    let mut node = node;
    for index in route {
        node = match node.kind {
            Kind::Mapping => node.content.get_mut(index * 2 + 1)?,
            Kind::Sequence => node.content.get_mut(*index)?,
            _ => return None,
        };
    }
    Some(node)
}

/// Finds everything that a path matches; with `create`, what is missing is made and `create` stands at the end.
pub(crate) fn find(node: &mut Node, path: &[String], create: Option<&Node>) -> Result<Vec<Route>, String> {
    if path.len() > MAX_PARTS {
        return Err("path is too long".to_owned());
    }
    let mut search = Search { create, route: Route::new(), found: Vec::new() };
    search.node(node, path)?;
    Ok(search.found)
}

struct Search<'c> {
    create: Option<&'c Node>,
    route: Route,
    found: Vec<Route>,
}

fn is_null(node: &Node) -> bool {
    node.is_null()
}

fn wrong_kind(node: &Node, expected: &str) -> String {
    let kind = match node.kind {
        Kind::Document => "DocumentNode",
        Kind::Mapping => "MappingNode",
        Kind::Sequence => "SequenceNode",
        Kind::Scalar => "ScalarNode",
        Kind::Alias => "AliasNode",
    };
    format!("wrong node kind: expected {expected} but got {kind}: node contents:\n{}", yaml::emit(node))
}

impl Search<'_> {
    fn below(&mut self, index: usize, node: &mut Node, rest: &[String]) -> Result<(), String> {
        self.route.push(index);
        self.node(node, rest)?;
        self.route.pop();
        Ok(())
    }

    fn node(&mut self, node: &mut Node, path: &[String]) -> Result<(), String> {
        let Some((part, rest)) = path.split_first() else {
            self.found.push(self.route.clone());
            return Ok(());
        };
        if let Ok(index) = part.parse::<usize>() {
            return self.index(node, index, rest);
        }
        if is_list_index(part) {
            return self.elements(node, part, rest);
        }
        if part == "*" {
            if is_null(node) {
                return Ok(());
            }
            sequence(node)?;
            return node
                .content
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, item)| self.below(index, item, rest));
        }
        self.field(node, part, rest)
    }

    /// What is made for a part: what the next one needs.
    fn fresh(&self, rest: &[String]) -> Option<Node> {
        let leaf = self.create?;
        Some(match rest.first().map(String::as_str) {
            None | Some("") => match leaf.kind {
                Kind::Mapping => Node::mapping(),
                Kind::Sequence => Node::sequence(),
                _ => Node::scalar(""),
            },
            Some(part) if is_list_index(part) || part.parse::<usize>().is_ok() => Node::sequence(),
            Some(_) => Node::mapping(),
        })
    }

    fn field(&mut self, node: &mut Node, part: &str, rest: &[String]) -> Result<(), String> {
        if is_null(node) {
            // What is made below a null is lost, but it counts as found.
            let Some(mut fresh) = self.fresh(rest) else { return Ok(()) };
            return self.lost(&mut fresh, rest);
        }
        if node.kind != Kind::Mapping {
            return Err(wrong_kind(node, "MappingNode"));
        }
        let mut pairs = node.content.chunks_exact(2);
        let index = match pairs.position(|pair| pair.first().is_some_and(|key| key.value == part)) {
            Some(index) => index,
            None => {
                let Some(fresh) = self.fresh(rest) else { return Ok(()) };
                node.content.push(Node::scalar(part));
                node.content.push(fresh);
                node.content.len() / 2 - 1
            }
        };
        let Some(field) = node.content.get_mut(index * 2 + 1) else { return Ok(()) };
        if field.kind == Kind::Scalar && !rest.is_empty() {
            let inner = yaml::parse_first_node(&field.value).map_err(|error| error.to_string())?;
            let Some(inner) = inner else { return Err(wrong_kind(field, "MappingNode")) };
            return self.lost(&mut inner.into_root(), rest);
        }
        self.below(index, field, rest)
    }

    /// Goes on in a tree whose changes nobody keeps.
    fn lost(&mut self, node: &mut Node, rest: &[String]) -> Result<(), String> {
        let mut inner = Search { create: self.create, route: Route::new(), found: Vec::new() };
        inner.node(node, rest)?;
        if !inner.found.is_empty() {
            self.found.push(vec![usize::MAX]);
        }
        Ok(())
    }

    fn index(&mut self, node: &mut Node, index: usize, rest: &[String]) -> Result<(), String> {
        if !is_null(node) {
            sequence(node)?;
        }
        if node.kind == Kind::Sequence
            && index == node.content.len()
            && let Some(fresh) = self.fresh(rest)
        {
            node.content.push(fresh);
        }
        let count = if node.kind == Kind::Sequence { node.content.len() } else { 0 };
        if index >= count {
            return Err(format!("index {index} specified but only {count} elements found"));
        }
        match node.content.get_mut(index) {
            Some(item) => self.below(index, item, rest),
            None => Ok(()),
        }
    }

    fn elements(&mut self, node: &mut Node, part: &str, rest: &[String]) -> Result<(), String> {
        let (key, pattern) = key_value(part)?;
        if is_null(node) {
            return Ok(());
        }
        sequence(node)?;
        let before = self.found.len();
        self.matching(&mut node.content, key, pattern, rest)?;
        if self.found.len() == before && self.create.is_some() {
            node.content.push(match key.is_empty() {
                true => Node::scalar(pattern),
                false => Node::mapping_of([(key.to_owned(), Node::scalar(pattern))]),
            });
            self.matching(&mut node.content, key, pattern, rest)?;
        }
        Ok(())
    }

    fn matching(
        &mut self,
        items: &mut [Node],
        key: &str,
        pattern: &str,
        rest: &[String],
    ) -> Result<(), String> {
        if items.is_empty() {
            return Ok(());
        }
        let regex = go_regex(pattern)?;
        for (index, item) in items.iter_mut().enumerate() {
            let fits = |node: &Node| regex.is_match(yaml::emit(node).trim());
            if key.is_empty() {
                if fits(item) {
                    self.route.push(index);
                    self.found.push(self.route.clone());
                    self.route.pop();
                }
            } else if item.get(key).is_some_and(fits) {
                self.below(index, item, rest)?;
            }
        }
        Ok(())
    }
}

fn sequence(node: &Node) -> Result<(), String> {
    if node.kind == Kind::Sequence { Ok(()) } else { Err(wrong_kind(node, "SequenceNode")) }
}
