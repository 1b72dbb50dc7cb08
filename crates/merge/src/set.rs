//! Sets of paths: who owns what.

use std::cmp::Ordering;

use object::{Map, Value};
use schema::{NodeId, Schema};

use crate::element::{Element, ElementError};

/// Deepest nesting of a field set read from an object.
const MAX_DEPTH: usize = 256;

/// A set of paths, as a tree sorted by element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    nodes: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    element: Element,
    /// The path that ends here is in the set.
    member: bool,
    children: FieldSet,
}

impl Entry {
    fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

/// What a walk of two sorted lists meets.
enum Meet<'a> {
    Left(&'a Entry),
    Right(&'a Entry),
    Both(&'a Entry, &'a Entry),
}

impl FieldSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of paths of field names.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = FieldSet::new();
        for path in paths {
            let path: Vec<Element> = path.iter().map(|name| Element::field(name)).collect();
            set.insert(&path);
        }
        set
    }

    /// From `fieldsV1`.
    ///
    /// # Errors
    /// When a key is no path element.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, ElementError> {
        Self::read(fields, 0).map(|(set, _)| set)
    }

    fn read(fields: &Value, depth: usize) -> Result<(Self, bool), ElementError> {
        if depth > MAX_DEPTH {
            return Err(ElementError("fieldsV1 is nested too deeply".to_owned()));
        }
        let empty = Map::new();
        let map = match fields {
            Value::Object(map) => map,
            Value::Null => &empty,
            other => return Err(ElementError(other.to_string())),
        };
        let mut set = FieldSet::new();
        let mut own = false;
        for (key, below) in map {
            if key == "." {
                own = true;
                continue;
            }
            let element = Element::parse(key)?;
            let (children, member) = Self::read(below, depth + 1)?;
            let leaf = below.as_object().is_none_or(Map::is_empty);
            set.nodes.push(Entry { element, member: member || leaf, children });
        }
        set.nodes.sort_by(|a, b| a.element.cmp(&b.element));
        Ok((set, own))
    }

    /// As `fieldsV1`.
    pub fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for entry in &self.nodes {
            let mut below = entry.children.to_fields_v1();
            if entry.member
                && !entry.children.is_empty()
                && let Value::Object(below) = &mut below
            {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            if !entry.is_empty() {
                map.insert(entry.element.text(), below);
            }
        }
        Value::Object(map)
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.iter().all(Entry::is_empty)
    }

    fn position(&self, element: &Element) -> Result<usize, usize> {
        // Walks insert in order: the end is the likeliest place.
        if self.nodes.last().is_none_or(|last| last.element < *element) {
            return Err(self.nodes.len());
        }
        self.nodes.binary_search_by(|entry| entry.element.cmp(element))
    }

    fn entry(&self, element: &Element) -> Option<&Entry> {
        self.position(element).ok().and_then(|index| self.nodes.get(index))
    }

    fn entry_mut(&mut self, element: &Element) -> &mut Entry {
        let index = match self.position(element) {
            Ok(index) => index,
            Err(index) => {
                let entry = Entry { element: element.clone(), member: false, children: FieldSet::new() };
                self.nodes.insert(index, entry);
                index
            }
        };
        &mut self.nodes[index]
    }

    /// Adds a path; the empty path is ignored.
    pub fn insert(&mut self, path: &[Element]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut set = self;
        for element in parents {
            set = &mut set.entry_mut(element).children;
        }
        set.entry_mut(last).member = true;
    }

    /// Whether a path is in the set.
    pub fn has(&self, path: &[Element]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let set = parents.iter().try_fold(self, |set, element| set.below(element));
        set.is_some_and(|set| set.has_member(last))
    }

    /// Whether the path of this single element is in the set.
    pub fn has_member(&self, element: &Element) -> bool {
        self.entry(element).is_some_and(|entry| entry.member)
    }

    /// The set of what follows an element.
    pub fn below(&self, element: &Element) -> Option<&FieldSet> {
        self.entry(element).map(|entry| &entry.children)
    }

    /// Elements with whether they are members, and what is below.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&Element, bool, &FieldSet)> {
        self.nodes.iter().map(|entry| (&entry.element, entry.member, &entry.children))
    }

    /// All paths: members of a level before what is below.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all);
        all
    }

    fn collect(&self, prefix: &mut Vec<Element>, all: &mut Vec<Vec<Element>>) {
        for entry in self.nodes.iter().filter(|entry| entry.member) {
            prefix.push(entry.element.clone());
            all.push(prefix.clone());
            prefix.pop();
        }
        for entry in &self.nodes {
            prefix.push(entry.element.clone());
            entry.children.collect(prefix, all);
            prefix.pop();
        }
    }

    fn zip<'a>(&'a self, other: &'a FieldSet) -> impl Iterator<Item = Meet<'a>> {
        let (mut left, mut right) = (self.nodes.iter().peekable(), other.nodes.iter().peekable());
        std::iter::from_fn(move || {
            let order = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) => a.element.cmp(&b.element),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            match order {
                Ordering::Less => left.next().map(Meet::Left),
                Ordering::Greater => right.next().map(Meet::Right),
                Ordering::Equal => left.next().zip(right.next()).map(|(a, b)| Meet::Both(a, b)),
            }
        })
    }

    fn build(entries: impl Iterator<Item = Entry>) -> FieldSet {
        FieldSet { nodes: entries.filter(|entry| !entry.is_empty()).collect() }
    }

    /// Paths in either.
    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        if self.nodes.is_empty() {
            return other.clone();
        }
        if other.nodes.is_empty() {
            return self.clone();
        }
        Self::build(self.zip(other).map(|meet| match meet {
            Meet::Left(entry) | Meet::Right(entry) => entry.clone(),
            Meet::Both(a, b) => Entry {
                element: a.element.clone(),
                member: a.member || b.member,
                children: a.children.union(&b.children),
            },
        }))
    }

    /// Paths in both.
    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        Self::build(self.zip(other).filter_map(|meet| match meet {
            Meet::Both(a, b) => Some(Entry {
                element: a.element.clone(),
                member: a.member && b.member,
                children: a.children.intersection(&b.children),
            }),
            _ => None,
        }))
    }

    /// Paths in this one that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        if other.nodes.is_empty() {
            return self.clone();
        }
        Self::build(self.zip(other).filter_map(|meet| match meet {
            Meet::Left(entry) => Some(entry.clone()),
            Meet::Right(_) => None,
            Meet::Both(a, b) => Some(Entry {
                element: a.element.clone(),
                member: a.member && !b.member,
                children: a.children.difference(&b.children),
            }),
        }))
    }

    /// Paths in this one that are not in the other and not below a path in the other.
    #[must_use]
    pub fn recursive_difference(&self, other: &FieldSet) -> FieldSet {
        if other.nodes.is_empty() {
            return self.clone();
        }
        Self::build(self.zip(other).filter_map(|meet| match meet {
            Meet::Left(entry) => Some(entry.clone()),
            Meet::Right(_) => None,
            Meet::Both(_, b) if b.member => None,
            Meet::Both(a, b) => Some(Entry {
                element: a.element.clone(),
                member: a.member,
                children: a.children.recursive_difference(&b.children),
            }),
        }))
    }

    /// The set with every declared field that has members below it as a member too.
    #[must_use]
    pub(crate) fn with_named_fields(&self, schema: &Schema, id: Option<NodeId>) -> FieldSet {
        let node = id.map(|id| schema.node(id));
        let map = node.and_then(|node| node.map.as_ref());
        let list = node.and_then(|node| node.list.as_ref());
        let nodes = self.nodes.iter().map(|entry| {
            let declared = match (&entry.element, map) {
                (Element::Field(name), Some(map)) => map.fields.get(&**name),
                _ => None,
            };
            let child = match &entry.element {
                Element::Field(_) => declared.map(|field| field.node).or(map.and_then(|map| map.element)),
                Element::Key(_) => list.map(|list| list.item),
                _ => None,
            };
            Entry {
                element: entry.element.clone(),
                member: entry.member || (declared.is_some() && !entry.children.nodes.is_empty()),
                children: entry.children.with_named_fields(schema, child),
            }
        });
        FieldSet { nodes: nodes.collect() }
    }
}

/// A path as messages show it: `.spec.containers[name="x"].image`.
pub fn path_text(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}
