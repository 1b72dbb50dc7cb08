//! Merging two values of a type, and taking parts out of one.

use std::collections::{BTreeMap, BTreeSet};

use object::{Map, Value};
use schema::{ListKind, ListType, MapType, Node, NodeId, Schema};

use crate::element::Element;
use crate::set::FieldSet;
use crate::typed::{Shape, as_list, as_map, element_of, field_type, shape};

/// Merges `right` into `left`: what only one holds stays, scalars and atomic parts of the right win.
///
/// # Errors
/// When the right side holds an element twice, or elements without keys.
pub(crate) fn merge(schema: &Schema, id: NodeId, left: &Value, right: &Value) -> Result<Value, String> {
    let mut errors = Vec::new();
    let merged = Merging { schema, errors: &mut errors }.visit(id, Some(left), Some(right));
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(merged.unwrap_or(Value::Null)),
    }
}

struct Merging<'a> {
    schema: &'a Schema,
    errors: &'a mut Vec<String>,
}

impl Merging<'_> {
    fn visit(&mut self, id: NodeId, left: Option<&Value>, right: Option<&Value>) -> Option<Value> {
        let schema = self.schema;
        let node = schema.node(id);
        // Values of two shapes do not merge: the right one decides.
        let shape = if right.is_none() { shape(node, left) } else { shape(node, right) };
        self.handle(node, shape, left, right)
    }

    fn handle(
        &mut self,
        node: &Node,
        shape: Shape,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        match shape {
            Shape::Scalar | Shape::Nothing => right.or(left).cloned(),
            Shape::Map => {
                let map = node.map.as_ref()?;
                let (before, after) = (as_map(left), as_map(right));
                let empty = before.is_none_or(Map::is_empty) && after.is_none_or(Map::is_empty);
                if map.atomic || empty {
                    return right.or(left).cloned();
                }
                self.fields(map, before, after)
            }
            Shape::List => {
                let list = node.list.as_ref()?;
                let (before, after) = (as_list(left), as_list(right));
                let empty = before.is_none_or(Vec::is_empty) && after.is_none_or(Vec::is_empty);
                if list.kind == ListKind::Atomic || empty {
                    return right.or(left).cloned();
                }
                self.items(list, before.map_or(&[], Vec::as_slice), after.map_or(&[], Vec::as_slice))
            }
        }
    }

    fn fields(&mut self, map: &MapType, left: Option<&Map>, right: Option<&Map>) -> Option<Value> {
        let mut merged = Map::new();
        for (key, before) in left.into_iter().flatten() {
            let after = right.and_then(|right| right.get(key));
            let value = match (after, field_type(map, key)) {
                (None, _) => Some(before.clone()),
                (Some(after), Some(id)) => self.visit(id, Some(before), Some(after)),
                (Some(after), None) => Some(after.clone()),
            };
            merged.extend(value.map(|value| (key.clone(), value)));
        }
        for (key, after) in right.into_iter().flatten() {
            if left.is_none_or(|left| !left.contains_key(key)) {
                let value = match field_type(map, key) {
                    Some(id) => self.visit(id, None, Some(after)),
                    None => Some(after.clone()),
                };
                merged.extend(value.map(|value| (key.clone(), value)));
            }
        }
        (!merged.is_empty()).then_some(Value::Object(merged))
    }

    /// The elements of a list with their identities; `None` for the value of one that is there twice.
    fn index<'v>(
        &mut self,
        list: &ListType,
        values: &'v [Value],
        duplicates: bool,
    ) -> (Vec<(Element, &'v Value)>, BTreeMap<Element, Option<&'v Value>>) {
        let mut elements = Vec::with_capacity(values.len());
        let mut found: BTreeMap<Element, Option<&Value>> = BTreeMap::new();
        for (index, value) in values.iter().enumerate() {
            match element_of(self.schema, list, value) {
                Err(message) => self.errors.push(format!("element {index}: {message}")),
                Ok(element) if found.contains_key(&element) => {
                    if !duplicates {
                        self.errors.push(format!("duplicate entries for key {element}"));
                        continue;
                    }
                    found.insert(element.clone(), None);
                    elements.push((element, value));
                }
                Ok(element) => {
                    found.insert(element.clone(), Some(value));
                    elements.push((element, value));
                }
            }
        }
        (elements, found)
    }

    /// Elements of the right list keep their order; those only in the left stay near their neighbours.
    fn items(&mut self, list: &ListType, left: &[Value], right: &[Value]) -> Option<Value> {
        let (rights, in_right) = self.index(list, right, false);
        let (lefts, in_left) = self.index(list, left, true);
        if !self.errors.is_empty() {
            return None;
        }
        let mut shared =
            rights.iter().map(|(element, _)| element).filter(|element| in_left.contains_key(*element));
        let mut next_shared = shared.next();
        let mut done: BTreeSet<&Element> = BTreeSet::new();
        let mut merged = Vec::with_capacity(left.len().max(right.len()));
        let (mut l, mut r) = (0, 0);
        loop {
            let (on_left, on_right) = (lefts.get(l), rights.get(r));
            if let (Some((element, _)), Some((other, _))) = (on_left, on_right) {
                if element == other {
                    done.insert(other);
                    merged.extend(self.item(list, other, &in_left, &in_right));
                    (l, r) = (l + 1, r + 1);
                    next_shared = shared.next();
                    continue;
                }
                if in_right.contains_key(element) && next_shared.is_some_and(|next| next != element) {
                    // On both sides, but its turn comes later.
                    l += 1;
                    continue;
                }
            }
            if let Some((element, value)) = on_left {
                if !in_right.contains_key(element) {
                    merged.extend(self.visit(list.item, Some(value), None));
                    l += 1;
                    continue;
                }
                if done.contains(element) {
                    l += 1;
                }
            }
            match on_right {
                Some((element, _)) => {
                    done.insert(element);
                    merged.extend(self.item(list, element, &in_left, &in_right));
                    r += 1;
                    if next_shared == Some(element) {
                        next_shared = shared.next();
                    }
                }
                None if on_left.is_none() => break,
                // Only elements that were merged before are left over; each step consumes one.
                None if l < lefts.len() && on_left.is_some_and(|(element, _)| !done.contains(element)) => {
                    l += 1
                }
                None => {}
            }
        }
        (!merged.is_empty()).then_some(Value::Array(merged))
    }

    fn item(
        &mut self,
        list: &ListType,
        element: &Element,
        in_left: &BTreeMap<Element, Option<&Value>>,
        in_right: &BTreeMap<Element, Option<&Value>>,
    ) -> Option<Value> {
        // An element that was there twice does not merge: it counts as null.
        let left = in_left.get(element).map(|value| value.unwrap_or(&Value::Null));
        let right = in_right.get(element).map(|value| value.unwrap_or(&Value::Null));
        self.visit(list.item, left, right)
    }
}

/// The value without the paths of a set.
pub(crate) fn remove(schema: &Schema, id: NodeId, value: &Value, gone: &FieldSet) -> Value {
    if gone.is_empty() {
        return value.clone();
    }
    Picking { schema, extract: false }.visit(id, value, gone)
}

/// The value with the paths of a set alone.
pub(crate) fn extract(schema: &Schema, id: NodeId, value: &Value, wanted: &FieldSet) -> Value {
    Picking { schema, extract: true }.visit(id, value, wanted)
}

struct Picking<'a> {
    schema: &'a Schema,
    extract: bool,
}

impl Picking<'_> {
    fn visit(&self, id: NodeId, value: &Value, set: &FieldSet) -> Value {
        let node = self.schema.node(id);
        match (shape(node, Some(value)), value) {
            (Shape::Scalar, _) => value.clone(),
            (Shape::Map, Value::Object(values)) if !values.is_empty() => match &node.map {
                Some(map) if map.atomic => self.whole(value),
                Some(map) => self.fields(map, values, set),
                None => Value::Null,
            },
            (Shape::List, Value::Array(values)) if !values.is_empty() => match &node.list {
                Some(list) if list.kind == ListKind::Atomic => self.whole(value),
                Some(list) => self.items(list, values, set),
                None => Value::Null,
            },
            _ => Value::Null,
        }
    }

    fn whole(&self, value: &Value) -> Value {
        if self.extract { value.clone() } else { Value::Null }
    }

    fn fields(&self, map: &MapType, values: &Map, set: &FieldSet) -> Value {
        let mut picked = Map::new();
        for (key, value) in values {
            let element = Element::field(key);
            let child = field_type(map, key);
            let visit = |set: &FieldSet| child.map_or(Value::Null, |id| self.visit(id, value, set));
            if set.has_member(&element) {
                if self.extract {
                    picked.insert(key.clone(), visit(set));
                }
                continue;
            }
            match set.below(&element).filter(|below| !below.is_empty()) {
                Some(below) => {
                    picked.insert(key.clone(), visit(below));
                }
                None if self.extract => {}
                None => {
                    picked.insert(key.clone(), value.clone());
                }
            }
        }
        if picked.is_empty() { Value::Null } else { Value::Object(picked) }
    }

    fn items(&self, list: &ListType, values: &[Value], set: &FieldSet) -> Value {
        let mut picked = Vec::new();
        for value in values {
            let Ok(element) = element_of(self.schema, list, value) else {
                if !self.extract {
                    picked.push(value.clone());
                }
                continue;
            };
            if set.has_member(&element) {
                if !self.extract {
                    continue;
                }
                picked.push(self.visit(list.item, value, set));
            }
            match set.below(&element).filter(|below| !below.is_empty()) {
                Some(below) => picked.push(self.visit(list.item, value, below)),
                None if self.extract => {}
                None => picked.push(value.clone()),
            }
        }
        if picked.is_empty() { Value::Null } else { Value::Array(picked) }
    }
}
