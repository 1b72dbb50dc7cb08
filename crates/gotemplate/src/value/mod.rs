//! What flows through a template: values with Go's kinds and type names.

mod collection;
mod convert;
mod object;
mod reflect;
mod text;

use std::rc::Rc;

pub use collection::{Elem, List, Map, MapMethods};
pub use object::{Kind, Object, method};
pub(crate) use reflect::method_of;
pub use text::Str;

/// How deep values may be nested before they are taken for endless.
pub(crate) const MAX_DEPTH: usize = 500;

use crate::func::Function;
use crate::time::Time;

/// The signed integer types that templates meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntType {
    /// `int`
    Int,
    /// `int8`
    Int8,
    /// `int16`
    Int16,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `time.Duration`
    Duration,
    /// `time.Month`
    Month,
    /// `time.Weekday`
    Weekday,
}

/// The unsigned integer types that templates meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UintType {
    /// `uint`
    Uint,
    /// `uint8`
    Uint8,
    /// `uint16`
    Uint16,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
}

/// A Go value. Cloning never copies contents: strings, lists, maps and objects are shared, and maps are
/// mutable through any of their holders (sprig's `set`, `unset` and `merge` need it).
#[derive(Clone)]
pub enum Value {
    /// No value at all: what a missing variable or the result of a nil lookup is (reflect's zero Value).
    Invalid,
    /// A nil `interface{}`.
    Nil,
    /// `bool`
    Bool(bool),
    /// A signed integer.
    Int(i64, IntType),
    /// An unsigned integer.
    Uint(u64, UintType),
    /// `float64`
    Float(f64),
    /// `complex128`
    Complex(f64, f64),
    /// `string`
    Str(Str),
    /// A slice.
    List(Rc<List>),
    /// A map with string keys.
    Map(Rc<Map>),
    /// `time.Time`
    Time(Rc<Time>),
    /// A struct, pointer or named type with fields and methods.
    Object(Rc<dyn Object>),
    /// A function.
    Func(Rc<Function>),
    /// A nil pointer, with its full type name (`*semver.Version`).
    NilPtr(&'static str),
}

impl Value {
    /// An `int`.
    pub fn int(value: i64) -> Self {
        Value::Int(value, IntType::Int)
    }

    /// An `int64`.
    pub fn int64(value: i64) -> Self {
        Value::Int(value, IntType::Int64)
    }

    /// A string.
    pub fn str(text: impl Into<Str>) -> Self {
        Value::Str(text.into())
    }

    /// A `[]interface {}`.
    pub fn list(items: Vec<Value>) -> Self {
        Value::List(Rc::new(List::new(Elem::Any, items)))
    }

    /// A `[]string`.
    pub fn strings<S: Into<Str>>(items: impl IntoIterator<Item = S>) -> Self {
        let items = items.into_iter().map(|item| Value::Str(item.into())).collect();
        Value::List(Rc::new(List::new(Elem::String, items)))
    }

    /// A `[]uint8`.
    pub fn bytes(bytes: &[u8]) -> Self {
        let items = bytes.iter().map(|byte| Value::Uint(u64::from(*byte), UintType::Uint8)).collect();
        Value::List(Rc::new(List::new(Elem::Byte, items)))
    }

    /// A `map[string]interface {}`.
    pub fn map<K: Into<Str>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Value::Map(Rc::new(Map::new(Elem::Any, entries.into_iter().map(|(k, v)| (k.into(), v)).collect())))
    }

    /// An object with fields or methods.
    pub fn object(object: impl Object + 'static) -> Self {
        Value::Object(Rc::new(object))
    }

    /// The string, when it is one and valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(Str::Text(text)) => Some(text),
            Value::Str(Str::Long(text)) => Some(text),
            _ => None,
        }
    }

    /// The string; anything else as `%v` prints it. Bytes that are no UTF-8 become U+FFFD.
    pub fn to_string_lossy(&self) -> String {
        match self {
            Value::Str(text) => text.to_text().into_owned(),
            value => String::from_utf8_lossy(&crate::fmt::text(value)).into_owned(),
        }
    }

    /// The map, when it is one.
    pub fn as_map(&self) -> Option<&Rc<Map>> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, when it is one.
    pub fn as_list(&self) -> Option<&Rc<List>> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// Whether it is nil in either form, without a type.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil | Value::Invalid)
    }

    /// The entry `key` of a map (as a plain lookup: no methods, no error).
    pub fn get(&self, key: &str) -> Option<Value> {
        self.as_map()?.get(key)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Str(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
