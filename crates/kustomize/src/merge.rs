//! Strategic merge patches, as kyaml's merge2 makes them of Kubernetes'.

use crate::error::Error;
use crate::schema::{Place, Schema};
use crate::tree::{Key, Link, Node, Scalar, Tag, Written, guard_text, is_non_string_1_1, wrong_kind};

/// How lists grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grow {
    /// New items go before the old ones (patches).
    Front,
    /// New items go after the old ones.
    Back,
}

const DIRECTIVE: &str = "$patch";
const MAX_DEPTH: usize = 400;

/// What a patch says of a collection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// Merges a patch into an object; `None` when the patch deletes it.
pub(crate) fn merge(
    dest: Node,
    patch: Node,
    schema: Option<&Schema>,
    grow: Grow,
) -> Result<Option<Node>, Error> {
    let merger = Merger { schema, grow };
    merger.walk(Some(dest), Some(patch), None, &mut Vec::new())
}

struct Merger<'s> {
    schema: Option<&'s Schema>,
    grow: Grow,
}

fn present(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| !node.is_null())
}

impl<'s> Merger<'s> {
    fn place(
        &self,
        dest: Option<&Node>,
        patch: Option<&Node>,
        place: Option<Place<'s>>,
    ) -> Option<Place<'s>> {
        if place.is_some() {
            return place;
        }
        let schema = self.schema?;
        [dest, patch].into_iter().find_map(|node| {
            let node = present(node)?;
            let api_version = node.get("apiVersion")?.value_text();
            let kind = node.get("kind")?.value_text();
            schema.of(api_version, kind)
        })
    }

    fn walk(
        &self,
        dest: Option<Node>,
        patch: Option<Node>,
        place: Option<Place<'s>>,
        path: &mut Vec<String>,
    ) -> Result<Option<Node>, Error> {
        if path.len() > MAX_DEPTH {
            return Err(Error::new(format!("patch nests deeper than {MAX_DEPTH} levels")));
        }
        let place = self.place(dest.as_ref(), patch.as_ref(), place);
        let lead = present(dest.as_ref()).or(present(patch.as_ref()));
        let Some(lead) = lead else { return self.walk_nulls(dest, patch) };
        let expected = lead.kind_name();
        for node in [dest.as_ref(), patch.as_ref()].into_iter().flatten() {
            if !node.is_null() && node.kind_name() != expected {
                return Err(Error::new(wrong_kind(node, expected)).in_field(path.join(".")));
            }
        }
        match lead {
            Node::Map(_) => self.walk_map(dest, patch, place, path),
            Node::Seq(_) if place.is_some_and(Place::merges) => self.walk_list(dest, patch, place, path),
            // A list without keys, or a scalar: the patch's word stands, a null of it clears.
            Node::Seq(_) | Node::Scalar(_) => Ok(patch.or(dest)),
        }
    }

    /// Neither side has anything but nulls: a null that only the object has stays when it is spelled out.
    fn walk_nulls(&self, dest: Option<Node>, patch: Option<Node>) -> Result<Option<Node>, Error> {
        match (dest, patch) {
            (Some(dest), None) if !dest.text().is_empty() => Ok(Some(dest)),
            (_, patch) => Ok(patch),
        }
    }

    fn walk_map(
        &self,
        dest: Option<Node>,
        patch: Option<Node>,
        place: Option<Place<'s>>,
        path: &mut Vec<String>,
    ) -> Result<Option<Node>, Error> {
        let mut patch = patch;
        let Some(Node::Map(mut fields)) = dest.filter(|node| !node.is_null()) else {
            // The patch brings it all; directives in it still count.
            let Some(mut node) = patch else { return Ok(None) };
            return match take_directive(&mut node) {
                Ok(Directive::Delete) => Ok(None),
                _ => self.settle(node, place, path),
            };
        };
        if patch.as_ref().is_some_and(Node::is_null) {
            return Ok(None);
        }
        if let Some(node) = &mut patch {
            match take_directive(node)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => {
                    let Some(node) = patch else { return Ok(None) };
                    return self.settle(node, place, path);
                }
                Directive::Merge => {}
            }
        }
        let mut changes: Vec<Option<(Key, Node)>> = match patch {
            Some(Node::Map(changes)) => changes.into_iter().map(Some).collect(),
            _ => Vec::new(),
        };
        let mut merged_fields = Vec::with_capacity(fields.len() + changes.len());
        for (key, old) in fields.drain(..) {
            let change = changes
                .iter_mut()
                .find(|change| change.as_ref().is_some_and(|(name, _)| *name == key))
                .and_then(Option::take)
                .map(|(_, change)| change);
            let merged = match change {
                None if is_settled(&old) => Some(old),
                change => self.walk_field(&key, Some(old), change, place, path)?,
            };
            // A null that the object spells out stays; one that the patch brings clears the field.
            if let Some(merged) = merged {
                merged_fields.push((key, merged));
            }
        }
        for (key, change) in changes.into_iter().flatten() {
            let merged = self.walk_field(&key, None, Some(change), place, path)?;
            if let Some(merged) = merged.filter(|node| !node.is_null()) {
                merged_fields.push((key.copied(), merged));
            }
        }
        Ok(Some(Node::Map(merged_fields)))
    }

    fn walk_field(
        &self,
        key: &str,
        old: Option<Node>,
        change: Option<Node>,
        place: Option<Place<'s>>,
        path: &mut Vec<String>,
    ) -> Result<Option<Node>, Error> {
        let field_place = place.and_then(|place| place.field(key));
        let cleared = change.as_ref().is_some_and(Node::is_null);
        let style = match (&old, &change) {
            (Some(Node::Scalar(old)), Some(Node::Scalar(_))) => Some((old.written, old.link.rewritten())),
            (None, _) | (_, None) => None,
            _ => Some((Written::Plain, Link::default())),
        };
        path.push(key.to_owned());
        let mut merged = self.walk(old, change, field_place, path)?;
        path.pop();
        if cleared {
            return Ok(None);
        }
        if let Some(merged) = &mut merged {
            // Every field that is walked is written anew, changed or not.
            guard_text(merged);
        }
        if let (Some((written, link)), Some(Node::Scalar(scalar))) = (style, &mut merged) {
            scalar.written = written;
            scalar.link = link;
        }
        Ok(merged)
    }

    /// What comes from the patch alone: nulls and directives in it are carried out.
    fn settle(
        &self,
        node: Node,
        place: Option<Place<'s>>,
        path: &mut Vec<String>,
    ) -> Result<Option<Node>, Error> {
        if path.len() > MAX_DEPTH {
            return Err(Error::new(format!("patch nests deeper than {MAX_DEPTH} levels")));
        }
        let place = self.place(Some(&node), None, place);
        match node {
            Node::Map(mut fields) => {
                let mut settled = Vec::with_capacity(fields.len());
                for (key, mut value) in fields.drain(..) {
                    let field_place = place.and_then(|place| place.field(&key));
                    if matches!(value, Node::Map(_)) && take_directive(&mut value)? == Directive::Delete {
                        continue;
                    }
                    path.push(key.as_str().to_owned());
                    let value = self.settle(value, field_place, path)?;
                    path.pop();
                    if let Some(mut value) = value.filter(|value| !value.is_null()) {
                        guard_text(&mut value);
                        settled.push((key, value));
                    }
                }
                Ok(Some(Node::Map(settled)))
            }
            Node::Seq(items) if place.is_some_and(Place::merges) => {
                let mut list = Node::Seq(items);
                if path.len() > 1 && take_list_directive(&mut list)? == Directive::Delete {
                    return Ok(None);
                }
                let Node::Seq(items) = list else { return Ok(None) };
                self.lists(items, ListPatch::Same, place, path).map(Some)
            }
            other => Ok(Some(other)),
        }
    }

    fn walk_list(
        &self,
        dest: Option<Node>,
        patch: Option<Node>,
        place: Option<Place<'s>>,
        path: &mut Vec<String>,
    ) -> Result<Option<Node>, Error> {
        let Some(Node::Seq(items)) = dest.filter(|node| !node.is_null()) else {
            let Some(Node::Seq(items)) = patch else { return Ok(None) };
            return self.lists(items, ListPatch::Same, place, path).map(Some);
        };
        let Some(mut patch) = patch else {
            return self.lists(items, ListPatch::None, place, path).map(Some);
        };
        if patch.is_null() {
            return Ok(None);
        }
        let directive = take_list_directive(&mut patch)?;
        let Node::Seq(changes) = patch else { return Ok(None) };
        match directive {
            Directive::Delete => Ok(None),
            Directive::Replace => self.lists(changes, ListPatch::Same, place, path).map(Some),
            Directive::Merge => self.lists(items, ListPatch::Changes(changes), place, path).map(Some),
        }
    }

    fn lists(
        &self,
        items: Vec<Node>,
        changes: ListPatch,
        place: Option<Place<'s>>,
        path: &mut Vec<String>,
    ) -> Result<Node, Error> {
        let (_, keys) = place.map(Place::strategy_and_keys).unwrap_or(("", Vec::new()));
        let items_place = place.and_then(Place::items);
        let mut walk = |dest: Option<Node>, patch: ItemPatch| -> Result<Option<Node>, Error> {
            match patch {
                ItemPatch::None => self.walk(dest, None, items_place, path),
                ItemPatch::Change(change) => self.walk(dest, Some(change), items_place, path),
                ItemPatch::Same => {
                    let Some(mut node) = dest else { return Ok(None) };
                    if matches!(node, Node::Map(_)) && take_directive(&mut node)? == Directive::Delete {
                        return Ok(None);
                    }
                    self.settle(node, items_place, path)
                }
            }
        };
        crate::merge_lists::merge(items, changes, &keys, self.grow, &mut walk).map(Node::Seq)
    }
}

/// What a list is merged with.
pub(crate) enum ListPatch {
    /// Nothing: it is only tidied.
    None,
    /// Itself: it came with the patch.
    Same,
    /// The patch's items.
    Changes(Vec<Node>),
}

/// What an item is merged with.
pub(crate) enum ItemPatch {
    None,
    Same,
    Change(Node),
}

/// Would walking it alone leave it as it is? (No nulls without a word, no lists that may merge, no text that
/// gets quotes.)
fn is_settled(node: &Node) -> bool {
    match node {
        Node::Map(fields) => fields.iter().all(|(_, value)| is_settled(value)),
        Node::Seq(items) => items.is_empty(),
        Node::Scalar(Scalar { tag: Tag::None, written: Written::Plain, .. }) => false,
        Node::Scalar(Scalar { tag: Tag::Str, written: Written::Plain, text, .. }) => !is_non_string_1_1(text),
        Node::Scalar(_) => !(node.is_null() && node.text().is_empty()),
    }
}

fn directive(text: &str) -> Result<Directive, Error> {
    match text {
        "delete" => Ok(Directive::Delete),
        "replace" => Ok(Directive::Replace),
        "merge" => Ok(Directive::Merge),
        other => Err(Error::new(format!("unknown patch strategy '{other}'"))),
    }
}

/// Reads and removes a mapping's directive.
fn take_directive(node: &mut Node) -> Result<Directive, Error> {
    let Some(value) = node.get(DIRECTIVE) else { return Ok(Directive::Merge) };
    let found = directive(value.text())?;
    node.remove(DIRECTIVE);
    Ok(found)
}

/// Reads and removes a list's directive: an item that holds nothing else.
fn take_list_directive(node: &mut Node) -> Result<Directive, Error> {
    let Node::Seq(items) = node else { return Ok(Directive::Merge) };
    let Some(item) = items.iter().find(|item| item.get(DIRECTIVE).is_some()) else {
        return Ok(Directive::Merge);
    };
    if item.fields().len() > 1 {
        return Ok(Directive::Merge);
    }
    let text = item.get(DIRECTIVE).map_or("", Node::text).to_owned();
    let found = directive(&text)?;
    items.retain(|item| !item.is_empty() && item.get(DIRECTIVE).is_none_or(|value| value.text() != text));
    Ok(found)
}
