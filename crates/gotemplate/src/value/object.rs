//! Values with fields and methods of their own.

use std::rc::Rc;

use crate::func::{Context, FuncError, Function};
use crate::value::{Str, Value};

/// What `kindOf` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// No value.
    Invalid,
    /// `bool`
    Bool,
    /// A signed integer, by name.
    Int(&'static str),
    /// An unsigned integer, by name.
    Uint(&'static str),
    /// `float64`
    Float,
    /// `complex128`
    Complex,
    /// `string`
    String,
    /// A slice.
    Slice,
    /// A map.
    Map,
    /// A struct.
    Struct,
    /// A pointer.
    Ptr,
    /// A function.
    Func,
    /// A nil interface.
    Interface,
}

/// A value with fields and methods: `.Files`, `.Capabilities`, `.Chart`, a `*semver.Version`.
///
/// A struct answers `field` and `fields`; a named map or slice type answers `underlying`. Methods are
/// found first, as in Go.
pub trait Object {
    /// Go's name of the type, as `%T` prints it: `*chartutil.Capabilities`, `engine.files`.
    fn type_name(&self) -> &str;

    /// The kind: `Struct`, `Ptr` (to a struct), `Map` or `Slice`.
    fn kind(&self) -> Kind;

    /// The exported field `name` of a struct.
    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All fields of a struct, in order of declaration; printing shows them.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// The map or slice that a named type stands for (`.Files` is a map of byte slices).
    fn underlying(&self) -> Option<Value> {
        None
    }

    /// The entries of a map of byte slices, by name. Printing it then makes no value of each byte.
    fn blobs(&self) -> Option<Vec<(&str, &[u8])>> {
        None
    }

    /// The method `name`: its parameters and body. The body gets the arguments alone; it captures the
    /// receiver itself.
    fn method(&self, name: &str) -> Option<Rc<Function>> {
        let _ = name;
        None
    }

    /// What `String()` or `Error()` returns, when the type has such a method: printing uses it.
    fn string(&self) -> Option<Str> {
        None
    }

    /// The members of its JSON form in Go's order, for a struct; `None` takes what [`Object::encoded`] says.
    fn encoded_fields(&self) -> Option<Vec<(&'static str, Value)>> {
        None
    }

    /// How it encodes as JSON and YAML: usually a map with the names of its tags. `None` is an error.
    fn encoded(&self) -> Option<Value> {
        self.underlying()
    }
}

/// A method made from a closure; a shorthand for implementations of [`Object::method`].
pub fn method(
    name: &'static str,
    params: &'static [crate::func::Param],
    body: impl Fn(&mut Context<'_, '_>, &[Value]) -> Result<Value, FuncError> + 'static,
) -> Option<Rc<Function>> {
    Some(Rc::new(Function::closure(name, params, false, body)))
}
