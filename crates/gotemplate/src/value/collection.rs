//! Slices and maps with the element types that template functions make.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Str, Value};

/// The element type of a slice or map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Elem {
    /// `interface {}`
    Any,
    /// `string`
    String,
    /// `int`
    Int,
    /// `int64`
    Int64,
    /// `float64`
    Float,
    /// `bool`
    Bool,
    /// `uint8`
    Byte,
    /// `[]uint8`
    Bytes,
    /// `[]string`
    Strings,
    /// `map[string]interface {}`
    AnyMap,
    /// `[]interface {}`
    AnyList,
    /// Any other type, by name; its values are objects.
    Named(&'static str),
}

impl Elem {
    /// Go's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Elem::Any => "interface {}",
            Elem::String => "string",
            Elem::Int => "int",
            Elem::Int64 => "int64",
            Elem::Float => "float64",
            Elem::Bool => "bool",
            Elem::Byte => "uint8",
            Elem::Bytes => "[]uint8",
            Elem::Strings => "[]string",
            Elem::AnyMap => "map[string]interface {}",
            Elem::AnyList => "[]interface {}",
            Elem::Named(name) => name,
        }
    }
}

/// A slice. Its items never change once made: no template function writes into one.
pub struct List {
    /// The element type.
    pub elem: Elem,
    /// The items.
    pub items: Vec<Value>,
    /// The name of a defined slice type (`chartutil.VersionSet`), if it has one.
    pub name: Option<&'static str>,
    /// Whether it is a nil slice: empty, and `null` in JSON.
    pub nil: bool,
    /// How many items Go's slice has room for beyond its length: sprig's `slice` can reach them.
    pub spare: usize,
}

impl List {
    /// A slice of `items`.
    pub fn new(elem: Elem, items: Vec<Value>) -> Self {
        List { elem, items, name: None, nil: false, spare: 0 }
    }

    /// A nil slice.
    pub fn nil(elem: Elem) -> Self {
        List { elem, items: Vec::new(), name: None, nil: true, spare: 0 }
    }

    /// Go's capacity of the slice.
    pub fn capacity(&self) -> usize {
        self.items.len() + self.spare
    }

    /// The items from `from` to before `to`, which lie within the capacity: what Go sees beyond the
    /// length are zero values.
    pub(crate) fn part(&self, from: usize, to: usize) -> Value {
        let length = self.items.len();
        let mut items = self.items.get(from.min(length)..to.min(length)).unwrap_or_default().to_vec();
        items.resize(to - from, crate::exec::zero_of(self.elem));
        let spare = self.capacity() - to;
        Value::List(Rc::new(List { elem: self.elem, items, name: self.name, nil: false, spare }))
    }

    /// A `[]interface {}` that was appended to item by item, as decoders make them.
    pub fn appended(items: Vec<Value>) -> Self {
        let length = items.len();
        let capacity = if length <= 256 { length.next_power_of_two() } else { length };
        let mut list = List::new(Elem::Any, items);
        list.spare = if length == 0 { 0 } else { capacity - length };
        list
    }
}

/// The methods of a defined map type: given the receiver and a name, the method.
pub type MapMethods = fn(&Rc<Map>, &str) -> Option<Rc<crate::func::Function>>;

/// A map with string keys, in key order.
pub struct Map {
    /// The type of its values.
    pub elem: Elem,
    /// The name of a defined map type (`chartutil.Values`), if it has one.
    pub name: Option<&'static str>,
    /// The methods of that type, by name.
    pub methods: Option<MapMethods>,
    data: Rc<Data>,
}

/// What all views of a map share.
struct Data {
    nil: Cell<bool>,
    entries: RefCell<BTreeMap<Str, Value>>,
}

/// Takes values apart one by one: nested ones would otherwise be dropped by recursion, which a long chain
/// of maps within maps turns into a stack overflow.
fn dismantle(mut values: Vec<Value>) {
    while let Some(value) = values.pop() {
        match value {
            Value::Map(map) if Rc::strong_count(&map) == 1 && Rc::strong_count(&map.data) == 1 => {
                values.extend(map.data.entries.take().into_values());
            }
            Value::List(mut list) => {
                if let Some(list) = Rc::get_mut(&mut list) {
                    values.append(&mut list.items);
                }
            }
            _ => {}
        }
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let entries = self.entries.get_mut();
        if entries.values().any(|value| matches!(value, Value::Map(_) | Value::List(_))) {
            dismantle(std::mem::take(entries).into_values().collect());
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if self.items.iter().any(|value| matches!(value, Value::Map(_) | Value::List(_))) {
            dismantle(std::mem::take(&mut self.items));
        }
    }
}

impl Map {
    /// A map of `entries`.
    pub fn new(elem: Elem, entries: BTreeMap<Str, Value>) -> Self {
        Map {
            elem,
            name: None,
            methods: None,
            data: Rc::new(Data { nil: Cell::new(false), entries: RefCell::new(entries) }),
        }
    }

    /// A map of a defined type, such as `chartutil.Values`.
    pub fn named(name: &'static str, elem: Elem, entries: BTreeMap<Str, Value>) -> Self {
        Map { name: Some(name), ..Map::new(elem, entries) }
    }

    /// A nil map: empty, `null` in JSON, and an error to write to.
    pub fn nil(elem: Elem) -> Self {
        let map = Map::new(elem, BTreeMap::new());
        map.data.nil.set(true);
        map
    }

    /// The same map as a value of the unnamed type.
    pub fn unnamed(&self) -> Self {
        Map { elem: self.elem, name: None, methods: None, data: self.data.clone() }
    }

    /// The same map as a value of the defined type `name` with these methods.
    pub fn typed(&self, name: &'static str, methods: MapMethods) -> Self {
        Map { elem: self.elem, name: Some(name), methods: Some(methods), data: self.data.clone() }
    }

    /// What tells this map from any other that lives now, under whatever type.
    pub fn id(&self) -> usize {
        Rc::as_ptr(&self.data).addr()
    }

    /// Whether both are the same map, under whatever type.
    pub fn same(&self, other: &Map) -> bool {
        Rc::ptr_eq(&self.data, &other.data)
    }

    /// Whether it is a nil map.
    pub fn is_nil(&self) -> bool {
        self.data.nil.get()
    }

    /// The entry of `key`.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.data.entries.borrow().get(key.as_bytes()).cloned()
    }

    /// The entry of a key that may not be UTF-8.
    pub fn get_bytes(&self, key: &[u8]) -> Option<Value> {
        self.data.entries.borrow().get(key).cloned()
    }

    /// Whether `key` is present.
    pub fn contains(&self, key: &Str) -> bool {
        self.data.entries.borrow().contains_key(key)
    }

    /// Sets an entry; all holders of the map see it.
    pub fn insert(&self, key: impl Into<Str>, value: Value) {
        self.data.nil.set(false);
        self.data.entries.borrow_mut().insert(key.into(), value);
    }

    /// Removes an entry.
    pub fn remove(&self, key: &Str) -> Option<Value> {
        self.data.entries.borrow_mut().remove(key)
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.data.entries.borrow().len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries, for reading; the map must not be written to while the guard lives.
    pub fn borrow(&self) -> Ref<'_, BTreeMap<Str, Value>> {
        self.data.entries.borrow()
    }

    /// A copy of the entries (the values are shared).
    pub fn entries(&self) -> Vec<(Str, Value)> {
        self.data.entries.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}
