//! Functions: what they take, and how the caller adds its own.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use crate::env::{Env, Host};
use crate::error::ExecError;
use crate::price::Price;
use crate::templates::Templates;
use crate::value::{Str, Value};

/// The type of a parameter, as Go would declare it. Arguments are checked against it before the body
/// runs, so that a body never sees another kind (but see [`Param::Map`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Param {
    /// `interface {}`: anything; no value arrives as [`Value::Nil`].
    Any,
    /// `reflect.Value`: anything, and [`Value::Invalid`] stays distinct from nil.
    Reflect,
    /// `bool`
    Bool,
    /// `string`
    String,
    /// `int`
    Int,
    /// `int64`
    Int64,
    /// `uint32`
    Uint32,
    /// `float64`
    Float,
    /// `[]interface {}`; nil arrives as a nil slice.
    List,
    /// `[]string`
    Strings,
    /// `map[string]interface {}`, also of a defined type such as `chartutil.Values`; nil arrives as a nil map.
    Map,
    /// `time.Time`
    Time,
    /// Another type, by its Go name: an [`crate::Object`] of that name.
    Named(&'static str),
}

impl Param {
    /// Go's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Param::Any => "interface {}",
            Param::Reflect => "reflect.Value",
            Param::Bool => "bool",
            Param::String => "string",
            Param::Int => "int",
            Param::Int64 => "int64",
            Param::Uint32 => "uint32",
            Param::Float => "float64",
            Param::List => "[]interface {}",
            Param::Strings => "[]string",
            Param::Map => "map[string]interface {}",
            Param::Time => "time.Time",
            Param::Named(name) => name,
        }
    }
}

/// The body of a function that captures nothing.
pub type Native = fn(&mut Context<'_, '_>, &[Value]) -> Result<Value, FuncError>;

/// A function that templates can call.
#[derive(Clone)]
pub struct Function {
    pub(crate) name: Cow<'static, str>,
    pub(crate) params: Cow<'static, [Param]>,
    /// Whether the last parameter takes any number of arguments.
    pub(crate) variadic: bool,
    pub(crate) body: Body,
    pub(crate) price: Price,
}

/// What a call runs.
#[derive(Clone)]
pub(crate) enum Body {
    Native(Native),
    Closure(Rc<dyn Fn(&mut Context<'_, '_>, &[Value]) -> Result<Value, FuncError>>),
    /// `and`, which evaluates no more than it needs.
    And,
    /// `or`, likewise.
    Or,
    /// `call`, which is told the text of its first argument.
    Call,
}

impl Function {
    /// A function with a plain body.
    pub const fn native(name: &'static str, params: &'static [Param], variadic: bool, body: Native) -> Self {
        Function {
            name: Cow::Borrowed(name),
            params: Cow::Borrowed(params),
            variadic,
            body: Body::Native(body),
            price: Price::Shallow,
        }
    }

    /// A function whose body captures something.
    pub fn closure(
        name: &'static str,
        params: &'static [Param],
        variadic: bool,
        body: impl Fn(&mut Context<'_, '_>, &[Value]) -> Result<Value, FuncError> + 'static,
    ) -> Self {
        let body = Body::Closure(Rc::new(body));
        Function {
            name: Cow::Borrowed(name),
            params: Cow::Borrowed(params),
            variadic,
            body,
            price: Price::Shallow,
        }
    }

    /// Go's name of its type.
    pub(crate) fn type_name(&self) -> String {
        let params: Vec<&str> = self.params.iter().map(|param| param.name()).collect();
        format!("func({})", params.join(", "))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What a running function may reach: the environment and the templates of the current execution.
pub struct Context<'a, 'h> {
    /// The environment of the execution.
    pub env: &'a mut Env<'h>,
    /// The templates that are visible here; inside `tpl` also those that its text defines.
    pub templates: &'a Templates,
}

impl<'h> Context<'_, 'h> {
    /// The host.
    pub fn host(&self) -> &'h dyn Host {
        self.env.host()
    }

    /// Executes the template `name` with `data` and returns its output, as Helm's `include` does: with
    /// its limit on templates that include themselves.
    pub fn include(&mut self, name: &str, data: &Value) -> Result<Str, FuncError> {
        self.templates.include(name, data, self.env)
    }

    /// Parses `text` as a template that sees every template visible here, and executes it, as Helm's
    /// `tpl` does. What it defines is seen by itself alone. Parsed texts are kept in the environment.
    pub fn tpl(&mut self, text: &str, data: &Value) -> Result<Str, FuncError> {
        self.templates.tpl(text, data, self.env)
    }
}

/// Why a function failed. The executor puts the place and `error calling <name>: ` before it.
#[derive(Clone, Debug)]
pub struct FuncError(pub(crate) Box<str>, pub(crate) bool);

impl FuncError {
    /// A failure with this text.
    pub fn new(message: impl Into<String>) -> Self {
        FuncError(message.into().into_boxed_str(), false)
    }

    /// A failure because a limit of the environment is used up: nothing may go on after it.
    pub(crate) fn limit(message: impl Into<String>) -> Self {
        FuncError(message.into().into_boxed_str(), true)
    }
}

impl fmt::Display for FuncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FuncError {}

impl From<String> for FuncError {
    fn from(message: String) -> Self {
        FuncError::new(message)
    }
}

impl From<&str> for FuncError {
    fn from(message: &str) -> Self {
        FuncError::new(message)
    }
}

impl From<ExecError> for FuncError {
    fn from(error: ExecError) -> Self {
        FuncError(error.to_string().into_boxed_str(), error.is_limit())
    }
}
