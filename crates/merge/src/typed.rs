//! Walks over values by their type: check, ownership, comparison, reconciliation.

use std::collections::BTreeMap;
use std::sync::Arc;

use object::Value;
use schema::{ListKind, ListType, MapType, Node, NodeId, Scalar, Schema};

use crate::element::{Element, equal};
use crate::set::FieldSet;

/// What a value is taken for, given what its type allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Map,
    Scalar,
    List,
    /// The type allows nothing.
    Nothing,
}

/// The shape of a value in a type. A value that the type does not allow, and null, is taken for whatever the
/// type allows first.
pub(crate) fn shape(node: &Node, value: Option<&Value>) -> Shape {
    match value {
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if node.scalar.is_some() => Shape::Scalar,
        Some(Value::Array(_)) if node.list.is_some() => Shape::List,
        Some(Value::Object(_)) if node.map.is_some() => Shape::Map,
        _ if node.map.is_some() => Shape::Map,
        _ if node.scalar.is_some() => Shape::Scalar,
        _ if node.list.is_some() => Shape::List,
        _ => Shape::Nothing,
    }
}

/// The type of a field of a mapping; `None` when the type does not know it.
pub(crate) fn field_type(map: &MapType, name: &str) -> Option<NodeId> {
    map.fields.get(name).map(|field| field.node).or(map.element)
}

/// The mapping in a value that should be one.
pub(crate) fn as_map(value: Option<&Value>) -> Option<&object::Map> {
    value.and_then(Value::as_object)
}

/// The list in a value that should be one.
pub(crate) fn as_list(value: Option<&Value>) -> Option<&Vec<Value>> {
    value.and_then(Value::as_array)
}

/// How an element of a list is identified.
pub(crate) fn element_of(schema: &Schema, list: &ListType, item: &Value) -> Result<Element, String> {
    match &list.kind {
        ListKind::Atomic => Err("invalid indexing of non-associative list".to_owned()),
        ListKind::Map(keys) if !keys.is_empty() => {
            let map = match item {
                Value::Object(map) => map,
                Value::Null => {
                    return Err("associative list with keys may not have a null element".to_owned());
                }
                _ => return Err("associative list with keys may not have non-map elements".to_owned()),
            };
            let declared = schema.node(list.item).map.as_ref();
            let mut found = Vec::with_capacity(keys.len());
            for key in keys {
                let default = || declared?.fields.get(key)?.default.as_ref();
                if let Some(value) = map.get(key).or_else(default) {
                    found.push((key.clone(), value.clone()));
                }
            }
            if found.is_empty() {
                return Err(format!(
                    "associative list with keys has an element that omits all key fields {} (and doesn't have default values for any key fields)",
                    go_list(keys)
                ));
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(Element::Key(Arc::new(found)))
        }
        ListKind::Map(_) | ListKind::Set => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(Element::Value(Arc::new(scalar.clone()))),
        },
    }
}

/// A list of strings as Go's `%q` prints it.
fn go_list(keys: &[String]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

/// Checks a value against its type; the answers are `path: message`.
pub(crate) fn validate(schema: &Schema, id: NodeId, value: &Value, duplicates: bool) -> Vec<String> {
    let mut errors = Vec::new();
    Validation { schema, duplicates, errors: &mut errors }.visit(id, value, &mut String::new());
    errors
}

struct Validation<'a> {
    schema: &'a Schema,
    /// Lists may hold an element twice.
    duplicates: bool,
    errors: &'a mut Vec<String>,
}

impl Validation<'_> {
    fn error(&mut self, path: &str, message: impl std::fmt::Display) {
        self.errors.push(if path.is_empty() { message.to_string() } else { format!("{path}: {message}") });
    }

    fn visit(&mut self, id: NodeId, value: &Value, path: &mut String) {
        let schema = self.schema;
        let node = schema.node(id);
        match shape(node, Some(value)) {
            Shape::Map => match (value, &node.map) {
                (Value::Object(values), Some(map)) => self.fields(map, values, path),
                (Value::Null, _) => {}
                _ => self.error(path, format_args!("expected map, got &{{{}}}", go_value(value))),
            },
            Shape::List => match (value, &node.list) {
                (Value::Array(values), Some(list)) => self.items(list, values, path),
                (Value::Null, _) => {}
                _ => self.error(path, format_args!("expected list, got &{{{}}}", go_value(value))),
            },
            Shape::Scalar => {
                if let Some(message) = node.scalar.and_then(|scalar| scalar_error(scalar, value)) {
                    self.error(path, message);
                }
            }
            Shape::Nothing => self.error(path, "schema error: invalid atom: inlined"),
        }
    }

    fn fields(&mut self, map: &MapType, values: &object::Map, path: &mut String) {
        for (key, value) in values {
            let length = path.len();
            path.push('.');
            path.push_str(key);
            match field_type(map, key) {
                Some(id) => self.visit(id, value, path),
                None => self.error(path, "field not declared in schema"),
            }
            path.truncate(length);
        }
    }

    fn items(&mut self, list: &ListType, values: &[Value], path: &mut String) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let element = if list.kind == ListKind::Atomic {
                Element::Index(index as i64)
            } else {
                match element_of(self.schema, list, value) {
                    Ok(element) => element,
                    Err(message) => return self.error(path, format_args!("element {index}: {message}")),
                }
            };
            let length = path.len();
            if list.kind != ListKind::Atomic {
                if !self.duplicates && seen.contains(&element) {
                    self.error(path, format_args!("duplicate entries for key {element}"));
                }
                seen.insert(element.clone());
            }
            path.push_str(&element.to_string());
            self.visit(list.item, value, path);
            path.truncate(length);
        }
    }
}

fn scalar_error(scalar: Scalar, value: &Value) -> Option<String> {
    let (fits, wanted) = match scalar {
        Scalar::Integer | Scalar::Number => (value.is_number(), "numeric (int or float)"),
        Scalar::String => (value.is_string(), "string"),
        Scalar::Boolean => (value.is_boolean(), "boolean"),
        Scalar::Untyped => (!value.is_array() && !value.is_object(), "any scalar"),
    };
    if fits || value.is_null() {
        return None;
    }
    Some(match scalar {
        Scalar::Integer | Scalar::Number => format!("expected {wanted}, got {}", go_type(value)),
        Scalar::String => {
            format!("expected {wanted}, got &value.valueUnstructured{{Value:{}}}", go_value(value))
        }
        _ => format!("expected {wanted}, got &{{{}}}", go_value(value)),
    })
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn go_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_value(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(go_value).collect();
            format!("[{}]", items.join(" "))
        }
        other => other.to_string(),
    }
}

/// All paths that a value owns.
pub(crate) fn field_set(schema: &Schema, id: NodeId, value: &Value) -> FieldSet {
    let mut set = FieldSet::new();
    Ownership { schema, set: &mut set, path: Vec::new() }.visit(id, value);
    set
}

struct Ownership<'a> {
    schema: &'a Schema,
    set: &'a mut FieldSet,
    path: Vec<Element>,
}

impl Ownership<'_> {
    fn visit(&mut self, id: NodeId, value: &Value) {
        let schema = self.schema;
        let node = schema.node(id);
        match shape(node, Some(value)) {
            Shape::Scalar => self.set.insert(&self.path),
            Shape::Map => match &node.map {
                Some(map) if map.atomic => self.set.insert(&self.path),
                Some(map) => self.fields(map, value),
                None => {}
            },
            Shape::List => match &node.list {
                Some(list) if list.kind == ListKind::Atomic => self.set.insert(&self.path),
                Some(list) => self.items(list, value),
                None => {}
            },
            Shape::Nothing => {}
        }
    }

    fn fields(&mut self, map: &MapType, value: &Value) {
        for (key, value) in value.as_object().into_iter().flatten() {
            self.path.push(Element::field(key));
            if let Some(id) = field_type(map, key) {
                self.visit(id, value);
            }
            let empty = value.is_null() || value.as_object().is_some_and(object::Map::is_empty);
            if empty || !map.fields.contains_key(key) {
                self.set.insert(&self.path);
            }
            self.path.pop();
        }
    }

    fn items(&mut self, list: &ListType, value: &Value) {
        let mut counts: BTreeMap<Element, usize> = BTreeMap::new();
        let items: Vec<(Element, &Value)> = value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| Some((element_of(self.schema, list, item).ok()?, item)))
            .collect();
        for (element, _) in &items {
            *counts.entry(element.clone()).or_default() += 1;
        }
        for (element, item) in items {
            let single = counts.get(&element) == Some(&1);
            self.path.push(element);
            // Of an element that is there twice only the element itself is owned.
            if single {
                self.visit(list.item, item);
            }
            self.set.insert(&self.path);
            self.path.pop();
        }
    }
}

/// What differs between two values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Comparison {
    pub(crate) removed: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) added: FieldSet,
}

impl Comparison {
    /// Without the paths in `ignored` and all below them.
    pub(crate) fn without(self, ignored: &FieldSet) -> Self {
        if ignored.is_empty() {
            return self;
        }
        Comparison {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

/// Compares two values of a type.
pub(crate) fn compare(schema: &Schema, id: NodeId, left: &Value, right: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    Comparing { schema, result: &mut comparison, path: Vec::new() }.visit(id, Some(left), Some(right));
    comparison
}

struct Comparing<'a> {
    schema: &'a Schema,
    result: &'a mut Comparison,
    path: Vec<Element>,
}

impl Comparing<'_> {
    fn visit(&mut self, id: NodeId, left: Option<&Value>, right: Option<&Value>) {
        let schema = self.schema;
        let node = schema.node(id);
        let (on_left, on_right) = (shape(node, left), shape(node, right));
        let leaf = match (left, right) {
            (None, None) => return,
            (_, None) => self.handle(node, on_left, left, right),
            (None, _) => self.handle(node, on_right, left, right),
            _ => {
                if on_left != on_right {
                    self.handle(node, on_left, left, right);
                }
                self.handle(node, on_right, left, right)
            }
        };
        if !leaf {
            match (left, right) {
                (None, _) => self.result.added.insert(&self.path),
                (_, None) => self.result.removed.insert(&self.path),
                _ => {}
            }
        }
    }

    /// Answers whether the value was compared as a whole.
    fn handle(&mut self, node: &Node, shape: Shape, left: Option<&Value>, right: Option<&Value>) -> bool {
        match shape {
            Shape::Scalar => self.leaf(left, right),
            Shape::Map => {
                let Some(map) = &node.map else { return false };
                let (before, after) = (as_map(left), as_map(right));
                let empty =
                    before.is_none_or(object::Map::is_empty) && after.is_none_or(object::Map::is_empty);
                if map.atomic || empty {
                    return self.leaf(left, right);
                }
                self.fields(map, before, after);
                false
            }
            Shape::List => {
                let Some(list) = &node.list else { return false };
                let (before, after) = (as_list(left), as_list(right));
                let empty = before.is_none_or(Vec::is_empty) && after.is_none_or(Vec::is_empty);
                if list.kind == ListKind::Atomic || empty {
                    return self.leaf(left, right);
                }
                self.items(list, before.map_or(&[], Vec::as_slice), after.map_or(&[], Vec::as_slice));
                false
            }
            Shape::Nothing => false,
        }
    }

    fn leaf(&mut self, left: Option<&Value>, right: Option<&Value>) -> bool {
        match (left, right) {
            (None, _) => self.result.added.insert(&self.path),
            (_, None) => self.result.removed.insert(&self.path),
            (Some(left), Some(right)) if !equal(left, right) => self.result.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn fields(&mut self, map: &MapType, left: Option<&object::Map>, right: Option<&object::Map>) {
        let mut both = |key: &str, before: Option<&Value>, after: Option<&Value>| {
            // Most fields of most writes are the same.
            if before.is_some() && before == after {
                return;
            }
            if let Some(id) = field_type(map, key) {
                self.path.push(Element::field(key));
                self.visit(id, before, after);
                self.path.pop();
            }
        };
        for (key, before) in left.into_iter().flatten() {
            both(key, Some(before), right.and_then(|right| right.get(key)));
        }
        for (key, after) in right.into_iter().flatten() {
            if left.is_none_or(|left| !left.contains_key(key)) {
                both(key, None, Some(after));
            }
        }
    }

    fn items(&mut self, list: &ListType, left: &[Value], right: &[Value]) {
        let mut found: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in left {
            if let Ok(element) = element_of(self.schema, list, item) {
                found.entry(element).or_default().0.push(item);
            }
        }
        for item in right {
            if let Ok(element) = element_of(self.schema, list, item) {
                found.entry(element).or_default().1.push(item);
            }
        }
        for (element, (before, after)) in found {
            self.path.push(element);
            match (before.as_slice(), after.as_slice()) {
                ([] | [_], [] | [_]) => {
                    self.visit(list.item, before.first().copied(), after.first().copied());
                }
                ([_, _, ..], [_, _, ..]) => {
                    let same =
                        before.len() == after.len() && before.iter().zip(&after).all(|(a, b)| equal(a, b));
                    if !same {
                        self.result.modified.insert(&self.path);
                    }
                }
                ([_, _, ..], _) => {
                    self.visit(list.item, None, after.first().copied());
                    self.result.removed.insert(&self.path);
                }
                (_, _) => {
                    self.visit(list.item, before.first().copied(), None);
                    self.result.added.insert(&self.path);
                }
            }
            self.path.pop();
        }
    }
}

/// A field set brought in line with a type that changed since it was written: where the type is atomic now,
/// the owner of parts owns the whole. `None` when nothing changes.
pub(crate) fn reconcile(schema: &Schema, id: NodeId, set: &FieldSet) -> Option<FieldSet> {
    let mut atomic = FieldSet::new();
    Reconciling { schema, atomic: &mut atomic, path: Vec::new() }.visit(Some(id), Some(set), false);
    if atomic.is_empty() { None } else { Some(set.recursive_difference(&atomic).union(&atomic)) }
}

struct Reconciling<'a> {
    schema: &'a Schema,
    /// Paths that are atomic now and were owned in parts.
    atomic: &'a mut FieldSet,
    path: Vec<Element>,
}

impl Reconciling<'_> {
    fn visit(&mut self, id: Option<NodeId>, set: Option<&FieldSet>, whole: bool) {
        let Some(id) = id else { return };
        let schema = self.schema;
        let node = schema.node(id);
        match shape(node, None) {
            Shape::Map => {
                let Some(map) = &node.map else { return };
                let open = map.element.is_some_and(|id| schema.node(id).scalar == Some(Scalar::Untyped));
                if map.fields.is_empty() && open {
                    return;
                }
                if !whole && map.atomic {
                    if set.is_some_and(|set| !set.is_empty()) {
                        self.atomic.insert(&self.path);
                    }
                    return;
                }
                for (element, member, below) in set.into_iter().flat_map(FieldSet::entries) {
                    let id = match element {
                        Element::Field(name) => field_type(map, name),
                        _ => map.element,
                    };
                    self.descend(element, id, member, below);
                }
            }
            Shape::List => {
                let Some(list) = &node.list else { return };
                if !whole && list.kind == ListKind::Atomic {
                    self.atomic.insert(&self.path);
                    return;
                }
                for (element, member, below) in set.into_iter().flat_map(FieldSet::entries) {
                    self.descend(element, Some(list.item), member, below);
                }
            }
            Shape::Scalar | Shape::Nothing => {}
        }
    }

    fn descend(&mut self, element: &Element, id: Option<NodeId>, member: bool, below: &FieldSet) {
        let children = !below.is_empty();
        self.path.push(element.clone());
        self.visit(id, children.then_some(below), member && !children);
        self.path.pop();
    }
}
