//! Merging the items of lists one by one, told apart by keys.
//!
//! The order of operations is kyaml's, since it shows: which of two items with one key wins, what becomes
//! of items without the key, and where new items go.

use crate::error::Error;
use crate::merge::{Grow, ItemPatch, ListPatch};
use crate::tree::{Node, wrong_kind};

type Walk<'a> = dyn FnMut(Option<Node>, ItemPatch) -> Result<Option<Node>, Error> + 'a;

/// Merges a list with a patch; no keys means a list of scalars.
pub(crate) fn merge(
    items: Vec<Node>,
    changes: ListPatch,
    keys: &[&str],
    grow: Grow,
    walk: &mut Walk<'_>,
) -> Result<Vec<Node>, Error> {
    if keys.is_empty() {
        return merge_scalars(items, changes, grow);
    }
    let same = matches!(changes, ListPatch::Same);
    let mut dest = items;
    let changes = match changes {
        ListPatch::Changes(changes) => changes,
        ListPatch::None | ListPatch::Same => Vec::new(),
    };
    let mut values = key_values(&dest, &changes, keys, grow);
    if values.is_empty() {
        return Ok(dest);
    }
    if keys.len() > 1 {
        join_values(&mut values);
    }
    let known: Vec<bool> = (0..keys.len())
        .map(|at| values.iter().any(|one| one.get(at).is_some_and(|v| !v.is_empty())))
        .collect();
    let mut added: Vec<Node> = Vec::with_capacity(values.len());
    let mut valid_keys: Vec<&str> = Vec::new();
    for one in &values {
        let (item_keys, item_values) = valid(keys, one, &known);
        let at = position(&dest, &item_keys, &item_values);
        let old = at.and_then(|at| dest.get(at)).cloned();
        let (patch, replaces) =
            match position(&changes, &item_keys, &item_values).and_then(|at| changes.get(at)) {
                Some(change) => (
                    ItemPatch::Change(change.clone()),
                    change.get("$patch").is_some_and(|word| word.text() == "replace"),
                ),
                None if same => (ItemPatch::Same, false),
                None => (ItemPatch::None, false),
            };
        let merged = walk(old, patch)?;
        match merged.filter(|node| !node.is_empty()) {
            None => set_element(&mut dest, None, &item_keys, &item_values)?,
            Some(mut node) => {
                for (key, value) in item_keys.iter().zip(&item_values) {
                    if node.get(key).is_none() && !value.is_empty() {
                        node.set_field(key, Node::plain(*value));
                    }
                }
                if let (Some(slot), false) = (at.and_then(|at| dest.get_mut(at)), replaces) {
                    *slot = node.clone();
                }
                set_element(&mut added, Some(node), &item_keys, &item_values)?;
            }
        }
        valid_keys = item_keys;
    }
    match grow {
        Grow::Front => append_all(added, dest, &valid_keys),
        Grow::Back => append_all(dest, added, &valid_keys),
    }
}

fn field_text<'a>(item: &'a Node, key: &str) -> &'a str {
    item.get(key).filter(|value| !value.is_empty()).map_or("", Node::text)
}

/// The keys' values of every item, each combination once: first those of the side that goes first.
fn key_values<'a>(dest: &'a [Node], changes: &'a [Node], keys: &[&str], grow: Grow) -> Vec<Vec<String>> {
    let (first, second) = match grow {
        Grow::Front => (changes, dest),
        Grow::Back => (dest, changes),
    };
    let mut seen = std::collections::HashSet::new();
    let mut values = Vec::new();
    for item in first.iter().chain(second) {
        let one: Vec<String> = keys.iter().map(|key| field_text(item, key).to_owned()).collect();
        if seen.insert(one.clone()) {
            values.push(one);
        }
    }
    values
}

/// Two combinations that differ only in what one leaves out are one.
fn join_values(values: &mut [Vec<String>]) {
    for i in 0..values.len() {
        for j in 0..values.len() {
            let (Some(a), Some(b)) = (values.get(i), values.get(j)) else { continue };
            if let Some(joined) = join(a, b) {
                if let Some(slot) = values.get_mut(i) {
                    slot.clone_from(&joined);
                }
                if let Some(slot) = values.get_mut(j) {
                    *slot = joined;
                }
            }
        }
    }
}

fn join(a: &[String], b: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut joined = Vec::with_capacity(a.len());
    for (x, y) in a.iter().zip(b) {
        if x == y {
            common = true;
            joined.push(x.clone());
        } else if x.is_empty() {
            joined.push(y.clone());
        } else if y.is_empty() {
            joined.push(x.clone());
        } else {
            return None;
        }
    }
    common.then_some(joined)
}

/// The keys that count: those that any item has (all, when none has any).
fn valid<'k, 'v>(keys: &[&'k str], values: &'v [String], known: &[bool]) -> (Vec<&'k str>, Vec<&'v str>) {
    if !known.iter().any(|known| *known) {
        return (keys.to_vec(), values.iter().map(String::as_str).collect());
    }
    let picked = keys.iter().zip(values).zip(known).filter(|(_, known)| **known);
    picked.map(|((key, value), _)| (*key, value.as_str())).unzip()
}

/// The first item whose keys have these values; keys without a value are left out unless all are.
fn position(items: &[Node], keys: &[&str], values: &[&str]) -> Option<usize> {
    let some = values.iter().any(|value| !value.is_empty());
    items.iter().position(|item| {
        matches!(item, Node::Map(_))
            && keys
                .iter()
                .zip(values)
                .filter(|(_, value)| !some || !value.is_empty())
                .all(|(key, value)| item.get(key).is_some_and(|field| field.text() == *value))
    })
}

/// Puts an element in the place of those whose keys have these values (or at the end); `None` removes them.
fn set_element(
    list: &mut Vec<Node>,
    element: Option<Node>,
    keys: &[&str],
    values: &[&str],
) -> Result<(), Error> {
    let mapping_setter = keys.first().is_some_and(|key| !key.is_empty())
        && values.first().is_some_and(|value| !value.is_empty());
    let mut kept = Vec::with_capacity(list.len() + 1);
    let mut matched = false;
    for item in list.drain(..) {
        if item.is_null() || matches!(&item, Node::Map(fields) if fields.is_empty()) {
            continue;
        }
        if !matches!(item, Node::Map(_)) && mapping_setter {
            kept.push(item);
            continue;
        }
        if !fits(&item, keys, values)? {
            if !values.is_empty() {
                kept.push(item);
            }
            continue;
        }
        matched = true;
        if let Some(element) = &element {
            kept.push(element.clone());
        }
    }
    if let (Some(element), false) = (element, matched)
        && !element.is_null()
    {
        kept.push(element);
    }
    *list = kept;
    Ok(())
}

fn fits(item: &Node, keys: &[&str], values: &[&str]) -> Result<bool, Error> {
    let mut last = false;
    for (at, key) in keys.iter().enumerate() {
        if let Some(value) = values.get(at) {
            last = if key.is_empty() {
                if !matches!(item, Node::Scalar(_)) {
                    return Err(Error::new(wrong_kind(item, "ScalarNode")));
                }
                item.value_text() == *value
            } else {
                if !matches!(item, Node::Map(_)) {
                    return Err(Error::new(wrong_kind(item, "MappingNode")));
                }
                item.get(key).is_some_and(|field| value.is_empty() || field.text() == *value)
            };
        }
        if !last {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends the items of one list to another, in the place of those with the same keys.
fn append_all(list: Vec<Node>, more: Vec<Node>, keys: &[&str]) -> Result<Vec<Node>, Error> {
    let mut list = list;
    for item in more {
        let mut values = Vec::with_capacity(keys.len());
        let mut missing = 0;
        for key in keys {
            match item.get(key) {
                Some(value) => values.push(value.text().to_owned()),
                None => missing += 1,
            }
        }
        for _ in 0..missing {
            list.push(item.clone());
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        if keys.len() > 1 {
            set_element(&mut list, None, keys, &values)?;
        }
        set_element(&mut list, Some(item), keys, &values)?;
    }
    Ok(list)
}

/// A list of scalars: each text once, the side that goes first in front.
fn merge_scalars(items: Vec<Node>, changes: ListPatch, grow: Grow) -> Result<Vec<Node>, Error> {
    let ListPatch::Changes(changes) = changes else { return unique(items) };
    let (mut first, second) = match grow {
        Grow::Front => (changes, items),
        Grow::Back => (items, changes),
    };
    first.extend(second);
    unique(first)
}

fn unique(items: Vec<Node>) -> Result<Vec<Node>, Error> {
    let mut seen = std::collections::HashSet::new();
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for item in items {
        if item.is_null() || matches!(&item, Node::Map(fields) if fields.is_empty()) {
            continue;
        }
        if !matches!(item, Node::Scalar(_)) {
            return Err(Error::new(wrong_kind(&item, "ScalarNode")));
        }
        if seen.insert(item.text().to_owned()) {
            kept.push(item);
        }
    }
    Ok(kept)
}
