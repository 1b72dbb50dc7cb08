//! What Go's reflection says about a value: type name, kind, truth, equality, methods.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Elem, IntType, Kind, List, Map, UintType, Value};
use crate::func::Function;

impl IntType {
    /// Go's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            IntType::Int => "int",
            IntType::Int8 => "int8",
            IntType::Int16 => "int16",
            IntType::Int32 => "int32",
            IntType::Int64 => "int64",
            IntType::Duration => "time.Duration",
            IntType::Month => "time.Month",
            IntType::Weekday => "time.Weekday",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            IntType::Duration => "int64",
            IntType::Month | IntType::Weekday => "int",
            other => other.name(),
        }
    }
}

impl UintType {
    /// Go's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            UintType::Uint => "uint",
            UintType::Uint8 => "uint8",
            UintType::Uint16 => "uint16",
            UintType::Uint32 => "uint32",
            UintType::Uint64 => "uint64",
        }
    }
}

impl Kind {
    /// Go's name of the kind.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Bool => "bool",
            Kind::Int(name) | Kind::Uint(name) => name,
            Kind::Float => "float64",
            Kind::Complex => "complex128",
            Kind::String => "string",
            Kind::Slice => "slice",
            Kind::Map => "map",
            Kind::Struct => "struct",
            Kind::Ptr => "ptr",
            Kind::Func => "func",
            Kind::Interface => "interface",
        }
    }
}

impl List {
    /// Go's name of the type.
    pub fn type_name(&self) -> Cow<'static, str> {
        match (self.name, self.elem) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Elem::Any) => Cow::Borrowed("[]interface {}"),
            (None, Elem::String) => Cow::Borrowed("[]string"),
            (None, elem) => Cow::Owned(format!("[]{}", elem.name())),
        }
    }
}

impl Map {
    /// Go's name of the type.
    pub fn type_name(&self) -> Cow<'static, str> {
        match (self.name, self.elem) {
            (Some(name), _) => Cow::Borrowed(name),
            (None, Elem::Any) => Cow::Borrowed("map[string]interface {}"),
            (None, elem) => Cow::Owned(format!("map[string]{}", elem.name())),
        }
    }
}

impl Value {
    /// Go's name of the type, as `%T` and errors print it.
    pub fn type_name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Value::Invalid => "<nil>",
            Value::Nil => "interface {}",
            Value::Bool(_) => "bool",
            Value::Int(_, kind) => kind.name(),
            Value::Uint(_, kind) => kind.name(),
            Value::Float(_) => "float64",
            Value::Complex(..) => "complex128",
            Value::Str(_) => "string",
            Value::List(list) => return list.type_name(),
            Value::Map(map) => return map.type_name(),
            Value::Time(_) => "time.Time",
            Value::Object(object) => return Cow::Borrowed(object.type_name()),
            Value::Func(function) => return Cow::Owned(function.type_name()),
            Value::NilPtr(name) => name,
        })
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Invalid | Value::Nil => Kind::Invalid,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_, kind) => Kind::Int(kind.kind()),
            Value::Uint(_, kind) => Kind::Uint(kind.name()),
            Value::Float(_) => Kind::Float,
            Value::Complex(..) => Kind::Complex,
            Value::Str(_) => Kind::String,
            Value::List(_) => Kind::Slice,
            Value::Map(_) => Kind::Map,
            Value::Time(_) => Kind::Struct,
            Value::Object(object) => object.kind(),
            Value::Func(_) => Kind::Func,
            Value::NilPtr(_) => Kind::Ptr,
        }
    }

    /// The truth of `if`: not the zero value, not empty. Structs are always true.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Invalid | Value::Nil | Value::NilPtr(_) => false,
            Value::Bool(value) => *value,
            Value::Int(value, _) => *value != 0,
            Value::Uint(value, _) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Time(_) | Value::Func(_) => true,
            Value::Object(object) => object.underlying().is_none_or(|value| value.is_true()),
        }
    }

    /// As `reflect.DeepEqual`: same types, same contents. Values nested too deeply are never equal.
    pub fn deep_equal(&self, other: &Value) -> bool {
        deep_equal(self, other, 0)
    }
}

fn deep_equal(a: &Value, b: &Value, depth: usize) -> bool {
    if depth > super::MAX_DEPTH {
        return false;
    }
    match (a, b) {
        (Value::Invalid | Value::Nil, Value::Invalid | Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, s), Value::Int(b, t)) => a == b && s == t,
        (Value::Uint(a, s), Value::Uint(b, t)) => a == b && s == t,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, b), Value::Complex(c, d)) => a == c && b == d,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.elem == b.elem
                && a.name == b.name
                && a.nil == b.nil
                && a.items.len() == b.items.len()
                && a.items.iter().zip(&b.items).all(|(a, b)| deep_equal(a, b, depth + 1))
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.elem != b.elem || a.name != b.name || a.is_nil() != b.is_nil() || a.len() != b.len() {
                return false;
            }
            if a.same(b) {
                return true;
            }
            let (a, b) = (a.borrow(), b.borrow());
            a.iter().zip(b.iter()).all(|((j, a), (k, b))| j == k && deep_equal(a, b, depth + 1))
        }
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Object(a), Value::Object(b)) => {
            if Rc::ptr_eq(a, b) {
                return true;
            }
            let (fields, others) = (a.fields(), b.fields());
            let inner = match (a.underlying(), b.underlying()) {
                (Some(a), Some(b)) => deep_equal(&a, &b, depth + 1),
                (None, None) => !fields.is_empty() || a.string() == b.string(),
                _ => false,
            };
            a.type_name() == b.type_name()
                && inner
                && fields.len() == others.len()
                && fields.iter().zip(&others).all(|((j, a), (k, b))| j == k && deep_equal(a, b, depth + 1))
        }
        (Value::NilPtr(a), Value::NilPtr(b)) => a == b,
        _ => false,
    }
}

/// The method `name` of a value, if its type has one.
pub(crate) fn method_of(value: &Value, name: &str) -> Option<Rc<Function>> {
    match value {
        Value::Object(object) => object.method(name),
        Value::Map(map) => map.methods.and_then(|methods| methods(map, name)),
        Value::Time(time) => crate::time::method(time, name),
        Value::Int(value, kind @ (IntType::Duration | IntType::Month | IntType::Weekday)) => {
            crate::time::int_method(*value, *kind, name)
        }
        _ => None,
    }
}
