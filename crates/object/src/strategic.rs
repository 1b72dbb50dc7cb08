//! Strategic merge patch: lists merge by key where the type says so; `$patch`, `$retainKeys`,
//! `$setElementOrder/…` and `$deleteFromPrimitiveList/…` directives.

use crate::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PREFIX: &str = "$deleteFromPrimitiveList/";
const ORDER_PREFIX: &str = "$setElementOrder/";

/// What a type says about patching its fields.
pub trait PatchMeta {
    /// How the field `name` is patched; `None` when the type does not know the field.
    fn field(&self, name: &str) -> Option<FieldMeta<'_>>;
}

/// How one field is patched.
#[derive(Default)]
pub struct FieldMeta<'a> {
    /// Lists merge instead of being replaced.
    pub merge: bool,
    /// Mappings are replaced instead of merged.
    pub replace: bool,
    /// Writers of patches send `$retainKeys`.
    pub retain_keys: bool,
    /// The key that identifies an element of a merging list of mappings.
    pub merge_key: Option<&'a str>,
    /// The type of the field's mapping, or of the elements of its list.
    pub child: Option<Box<dyn PatchMeta + 'a>>,
}

/// A type without any patch information: mappings merge, lists are replaced.
pub struct NoMeta;

impl PatchMeta for NoMeta {
    fn field(&self, _: &str) -> Option<FieldMeta<'_>> {
        None
    }
}

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch or the object is no mapping.
    #[error("a strategic merge patch is a mapping")]
    NotAMapping,
    /// `$patch` holds something unknown.
    #[error("unknown patch type: {0}")]
    BadDirective(String),
    /// An element of a merging list lacks its key.
    #[error("map: {element} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The element.
        element: String,
        /// The key of the list.
        key: String,
    },
    /// `$retainKeys` and the patch disagree.
    #[error("$retainKeys must be a list of the fields that the patch keeps")]
    RetainKeys,
    /// `$setElementOrder` is no list or does not fit the patch.
    #[error("$setElementOrder/{0} must list the elements of the patch in their order")]
    Order(String),
    /// Lists whose elements are of different types.
    #[error("list {0} mixes mappings and scalars")]
    Mixed(String),
    /// A list that merges by key has no key in its type.
    #[error("cannot merge lists without merge key for {0}")]
    NoKeyInType(String),
}

/// Applies a strategic merge patch to `target`.
///
/// # Errors
/// When the patch is malformed; `target` is left as it was.
pub fn apply(target: &mut Value, patch: &Value, meta: &dyn PatchMeta) -> Result<(), Error> {
    let Value::Object(patch) = patch else { return Err(Error::NotAMapping) };
    let original = match &*target {
        Value::Object(map) => map.clone(),
        Value::Null => Map::new(),
        _ => return Err(Error::NotAMapping),
    };
    *target = Value::Object(merge_map(original, patch.clone(), meta)?);
    Ok(())
}

fn merge_map(mut original: Map, mut patch: Map, meta: &dyn PatchMeta) -> Result<Map, Error> {
    if let Some(directive) = patch.remove(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Map::new()),
            Some("merge") => merge_map(original, patch, meta),
            _ => Err(Error::BadDirective(directive.to_string())),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    let orders: Vec<String> = patch.keys().filter(|key| key.starts_with(ORDER_PREFIX)).cloned().collect();
    let orders: Vec<(String, Value)> = orders
        .iter()
        .filter_map(|key| Some((key[ORDER_PREFIX.len()..].to_owned(), patch.remove(key)?)))
        .collect();
    for (field, order) in orders {
        merge_ordered(&mut original, &mut patch, &field, &order, meta)?;
    }
    for (key, value) in patch {
        if let Some(field) = key.strip_prefix(DELETE_PREFIX) {
            delete_scalars(&mut original, field, &value);
        } else if value.is_null() {
            original.remove(&key);
        } else {
            merge_field(&mut original, key, value, meta)?;
        }
    }
    Ok(original)
}

fn merge_field(original: &mut Map, key: String, value: Value, meta: &dyn PatchMeta) -> Result<(), Error> {
    let field = meta.field(&key).unwrap_or_default();
    let child: &dyn PatchMeta = field.child.as_deref().unwrap_or(&NoMeta);
    let merged = match (original.remove(&key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let new = if field.replace { new } else { merge_map(old, new, child)? };
            Some(Value::Object(new))
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let new = if field.merge { merge_list(old, new, &key, &field, child, None)? } else { new };
            Some(Value::Array(new))
        }
        (_, new) => without_directives(new),
    };
    if let Some(merged) = merged {
        original.insert(key, merged);
    }
    Ok(())
}

/// What a patch means where there is nothing to patch: its values, without nulls and directives.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => Some(Value::Object(
            map.into_iter()
                .filter(|(key, value)| {
                    let directive =
                        key == RETAIN_KEYS || key.starts_with(DELETE_PREFIX) || key.starts_with(ORDER_PREFIX);
                    !value.is_null() && !directive
                })
                .filter_map(|(key, value)| Some((key, without_directives(value)?)))
                .collect(),
        )),
        Value::Array(list) => Some(Value::Array(list.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn retain_keys(original: &mut Map, patch: &mut Map) -> Result<(), Error> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys: Vec<String> = keys
        .as_array()
        .ok_or(Error::RetainKeys)?
        .iter()
        .map(|key| key.as_str().map(str::to_owned).ok_or(Error::RetainKeys))
        .collect::<Result<_, _>>()?;
    let stray = patch.iter().any(|(key, value)| {
        !value.is_null()
            && !key.starts_with(DELETE_PREFIX)
            && !key.starts_with(ORDER_PREFIX)
            && !keys.contains(key)
    });
    if stray {
        return Err(Error::RetainKeys);
    }
    original.retain(|key, _| keys.contains(key));
    Ok(())
}

fn delete_scalars(original: &mut Map, field: &str, gone: &Value) {
    let (Some(Value::Array(list)), Some(gone)) = (original.get_mut(field), gone.as_array()) else { return };
    list.retain(|item| !gone.contains(item));
}

/// Merges the list `field` whose wanted order the patch gives.
fn merge_ordered(
    original: &mut Map,
    patch: &mut Map,
    name: &str,
    order: &Value,
    meta: &dyn PatchMeta,
) -> Result<(), Error> {
    let order = order.as_array().ok_or_else(|| Error::Order(name.to_owned()))?;
    let field = meta.field(name).unwrap_or_default();
    let child: &dyn PatchMeta = field.child.as_deref().unwrap_or(&NoMeta);
    let gone = patch.remove(&format!("{DELETE_PREFIX}{name}"));
    if let Some(gone) = gone {
        delete_scalars(original, name, &gone);
    }
    let new = match patch.remove(name) {
        None => None,
        Some(Value::Array(list)) => Some(list),
        Some(other) => {
            // Not a list: the field is replaced or removed, its order means nothing.
            patch.insert(name.to_owned(), other);
            return Ok(());
        }
    };
    let old = match original.remove(name) {
        None => None,
        Some(Value::Array(list)) => Some(list),
        Some(other) => {
            original.insert(name.to_owned(), other);
            return Err(Error::Order(name.to_owned()));
        }
    };
    let merged = match (old, new) {
        (None, None) => return Ok(()),
        (None, Some(new)) => {
            let Some(Value::Array(new)) = without_directives(Value::Array(new)) else { return Ok(()) };
            new
        }
        (Some(old), Some(new)) if !field.merge => {
            let _ = old;
            new
        }
        (Some(old), new) => {
            let new = new.unwrap_or_default();
            check_order(&new, order, name, &field)?;
            merge_list(old, new, name, &field, child, Some(order))?
        }
    };
    original.insert(name.to_owned(), Value::Array(merged));
    Ok(())
}

/// The elements of the patch must appear in the order list, in the same order.
fn check_order(new: &[Value], order: &[Value], name: &str, field: &FieldMeta<'_>) -> Result<(), Error> {
    let mut rest = order.iter();
    for item in new.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let wanted = identity(item, field.merge_key);
        if !order.is_empty() && !rest.any(|entry| identity(entry, field.merge_key) == wanted) {
            return Err(Error::Order(name.to_owned()));
        }
    }
    Ok(())
}

/// What tells elements apart: the value of the key in mappings, the value itself in scalars.
fn identity<'a>(item: &'a Value, key: Option<&str>) -> Option<&'a Value> {
    match (item, key) {
        (Value::Object(map), Some(key)) => map.get(key),
        _ => Some(item),
    }
}

fn merge_list(
    old: Vec<Value>,
    new: Vec<Value>,
    name: &str,
    field: &FieldMeta<'_>,
    child: &dyn PatchMeta,
    order: Option<&[Value]>,
) -> Result<Vec<Value>, Error> {
    let maps = old.iter().chain(&new).filter(|item| item.is_object()).count();
    if maps != 0 && maps != old.len() + new.len() {
        return Err(Error::Mixed(name.to_owned()));
    }
    let key = field.merge_key.filter(|key| !key.is_empty());
    if maps != 0 && key.is_none() {
        return Err(Error::NoKeyInType(name.to_owned()));
    }
    let server_order: Vec<Value> = old.iter().filter_map(|item| identity(item, key).cloned()).collect();
    let (merged, new_order) = if let (Some(key), true) = (key, maps != 0) {
        merge_maps_by_key(old, new, key, child)?
    } else {
        let mut merged = old;
        for item in &new {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        let mut seen = Vec::new();
        merged.retain(|item| {
            let first = !seen.contains(item);
            if first {
                seen.push(item.clone());
            }
            first
        });
        (merged, new)
    };
    let wanted: Vec<Value> = match order {
        Some(order) => order.iter().filter_map(|item| identity(item, key).cloned()).collect(),
        None => new_order.iter().filter_map(|item| identity(item, key).cloned()).collect(),
    };
    Ok(arrange(merged, key, &wanted, &server_order))
}

/// Merges lists of mappings; answers the merged list and the patch without its directives.
fn merge_maps_by_key(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
    child: &dyn PatchMeta,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in new {
        match item.get(DIRECTIVE).map(Value::as_str) {
            None => plain.push(item),
            Some(Some("delete")) => {
                let gone = key_of(&item, key)?.clone();
                old.retain(|entry| entry.get(key) != Some(&gone));
            }
            Some(Some("replace")) => replace = true,
            Some(_) => return Err(Error::BadDirective(item[DIRECTIVE].to_string())),
        }
    }
    if replace {
        return Ok((plain.clone(), plain));
    }
    for item in &plain {
        let wanted = key_of(item, key)?;
        let found = old.iter_mut().find(|entry| entry.get(key) == Some(wanted));
        match (found, item) {
            (Some(slot), Value::Object(patch)) => {
                let Value::Object(original) = slot.take() else { continue };
                *slot = Value::Object(merge_map(original, patch.clone(), child)?);
            }
            _ => old.extend(without_directives(item.clone())),
        }
    }
    Ok((old, plain))
}

fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, Error> {
    item.get(key).ok_or_else(|| Error::NoMergeKey { element: item.to_string(), key: key.to_owned() })
}

/// Orders a merged list: elements of the patch as `wanted` says, the others as they were, each of these
/// before the first element of the patch that it stood before on the server.
fn arrange(merged: Vec<Value>, key: Option<&str>, wanted: &[Value], server: &[Value]) -> Vec<Value> {
    let place = |order: &[Value], item: &Value| {
        identity(item, key).and_then(|identity| order.iter().position(|entry| entry == identity))
    };
    let (mut patched, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(wanted, item).is_some());
    patched.sort_by_key(|item| place(wanted, item));
    others.sort_by_key(|item| place(server, item));
    let mut result = Vec::with_capacity(patched.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in patched {
        let here = place(server, &item);
        while let (Some(other), Some(here)) = (others.peek(), here) {
            if place(server, other).is_none_or(|other| other >= here) {
                break;
            }
            result.extend(others.next());
        }
        result.push(item);
    }
    result.extend(others);
    result
}

/// What a three-way patch makes of `live`: fields that `modified` has are as there, fields that only
/// `original` has are gone, all others stay. Lists with a merge key (or of scalars that merge) are merged by
/// element; elements that only `live` has keep their place.
pub fn three_way(original: &Value, modified: &Value, live: &Value, meta: &dyn PatchMeta) -> Value {
    match (modified, live) {
        (Value::Object(modified), Value::Object(live)) => {
            Value::Object(three_way_map(original.as_object(), modified, live, meta))
        }
        _ => modified.clone(),
    }
}

fn three_way_map(original: Option<&Map>, modified: &Map, live: &Map, meta: &dyn PatchMeta) -> Map {
    let mut out = live.clone();
    for key in original.into_iter().flat_map(Map::keys).filter(|key| !modified.contains_key(*key)) {
        out.remove(key);
    }
    for (key, wanted) in modified {
        if wanted.is_null() {
            out.remove(key);
            continue;
        }
        let field = meta.field(key).unwrap_or_default();
        let child: &dyn PatchMeta = field.child.as_deref().unwrap_or(&NoMeta);
        let before = original.and_then(|original| original.get(key));
        let value = match (wanted, live.get(key)) {
            (Value::Object(wanted), Some(Value::Object(live))) if !field.replace => {
                let mut merged = three_way_map(before.and_then(Value::as_object), wanted, live, child);
                if field.retain_keys && merged != *live {
                    merged.retain(|key, _| wanted.contains_key(key));
                }
                Value::Object(merged)
            }
            (Value::Array(wanted), Some(Value::Array(live))) if field.merge => {
                let before = before.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                Value::Array(three_way_list(before, wanted, live, field.merge_key, child))
            }
            _ => wanted.clone(),
        };
        out.insert(key.clone(), value);
    }
    out
}

fn three_way_list(
    original: &[Value],
    modified: &[Value],
    live: &[Value],
    merge_key: Option<&str>,
    meta: &dyn PatchMeta,
) -> Vec<Value> {
    let id = |element: &Value| -> Value {
        match (element, merge_key) {
            (Value::Object(map), Some(key)) => map.get(key).cloned().unwrap_or(Value::Null),
            _ => element.clone(),
        }
    };
    let with_id =
        |list: &[Value], wanted: &Value| list.iter().find(|element| id(element) == *wanted).cloned();
    let mut out: Vec<Value> = Vec::new();
    for element in modified {
        let name = id(element);
        let merged = match with_id(live, &name) {
            Some(now) => three_way(&with_id(original, &name).unwrap_or(Value::Null), element, &now, meta),
            None => element.clone(),
        };
        if !out.iter().any(|known| id(known) == name) || merge_key.is_some() {
            out.push(merged);
        }
    }
    let mut place = 0;
    for element in live {
        let name = id(element);
        if let Some(at) = out.iter().position(|known| id(known) == name) {
            place = at + 1;
        } else if with_id(original, &name).is_none() {
            out.insert(place, element.clone());
            place += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A pod-like type: `containers` merges by name, `args` of scalars merges, `strategy` retains its keys.
    struct Pod;

    impl PatchMeta for Pod {
        fn field(&self, name: &str) -> Option<FieldMeta<'_>> {
            let child = Some(Box::new(Pod) as Box<dyn PatchMeta>);
            Some(match name {
                "containers" => {
                    FieldMeta { merge: true, merge_key: Some("name"), child, ..Default::default() }
                }
                "finalizers" => FieldMeta { merge: true, ..Default::default() },
                "strategy" => FieldMeta { retain_keys: true, child, ..Default::default() },
                _ => FieldMeta { child, ..Default::default() },
            })
        }
    }

    #[test]
    fn three_ways() {
        for (case, original, modified, live, wanted) in [
            (
                "live fields stay",
                json!({"a": 1}),
                json!({"a": 1}),
                json!({"a": 1, "b": 2}),
                json!({"a": 1, "b": 2}),
            ),
            (
                "dropped fields go",
                json!({"a": 1, "b": 2}),
                json!({"a": 1}),
                json!({"a": 1, "b": 3}),
                json!({"a": 1}),
            ),
            ("drift is undone", json!({"a": 1}), json!({"a": 1}), json!({"a": 5}), json!({"a": 1})),
            ("null removes", json!({"a": 1}), json!({"a": null}), json!({"a": 1}), json!({})),
            (
                "elements merge by key, foreign ones keep their place",
                json!({"containers": [{"name": "a", "x": 1}, {"name": "gone"}]}),
                json!({"containers": [{"name": "a", "y": 2}, {"name": "new"}]}),
                json!({"containers": [{"name": "side"}, {"name": "a", "x": 1, "z": 3}, {"name": "gone"}]}),
                json!({"containers": [{"name": "side"}, {"name": "a", "y": 2, "z": 3}, {"name": "new"}]}),
            ),
            (
                "scalars merge",
                json!({"finalizers": ["a", "b"]}),
                json!({"finalizers": ["a", "c"]}),
                json!({"finalizers": ["a", "b", "x"]}),
                json!({"finalizers": ["a", "x", "c"]}),
            ),
            (
                "plain lists are replaced",
                json!({"args": [1]}),
                json!({"args": [2]}),
                json!({"args": [1, 3]}),
                json!({"args": [2]}),
            ),
            (
                "a changed strategy loses what it has no place for",
                json!({"strategy": {"type": "Rolling"}}),
                json!({"strategy": {"type": "Recreate"}}),
                json!({"strategy": {"type": "Rolling", "rolling": {"max": 1}}}),
                json!({"strategy": {"type": "Recreate"}}),
            ),
            (
                "an unchanged strategy keeps its defaults",
                json!({"strategy": {"type": "Rolling"}}),
                json!({"strategy": {"type": "Rolling"}}),
                json!({"strategy": {"type": "Rolling", "rolling": {"max": 1}}}),
                json!({"strategy": {"type": "Rolling", "rolling": {"max": 1}}}),
            ),
        ] {
            assert_eq!(three_way(&original, &modified, &live, &Pod), wanted, "{case}");
        }
    }
}
