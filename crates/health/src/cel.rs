//! CEL expressions over objects, as Flux's `healthCheckExprs`, `readyExpr` and their like use them.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, ExecutionError, Program, Value as Cel};
use object::Value;

use crate::Status;

/// Deepest nesting of a value handed to an expression.
const MAX_DEPTH: usize = 128;

/// Why an expression has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    /// It is malformed.
    #[error("failed to parse the CEL expression '{expression}': {message}")]
    Parse {
        /// The expression.
        expression: String,
        /// Why.
        message: String,
    },
    /// It failed on this input.
    #[error("failed to evaluate the CEL expression '{expression}': {message}")]
    Evaluate {
        /// The expression.
        expression: String,
        /// Why.
        message: String,
    },
    /// Its value has the wrong type.
    #[error("failed to evaluate CEL expression as {wanted}: '{expression}'")]
    Type {
        /// The expression.
        expression: String,
        /// The wanted type.
        wanted: &'static str,
    },
    /// Its value cannot be made a list of strings.
    #[error("failed to evaluate CEL expression '{expression}' as []string: {message}")]
    Strings {
        /// The expression.
        expression: String,
        /// Why.
        message: String,
    },
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Program,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse(text: &str) -> Result<Self, CelError> {
        let program = Program::compile(text)
            .map_err(|error| CelError::Parse { expression: text.to_owned(), message: error.to_string() })?;
        Ok(Expression { text: text.to_owned(), program })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn run(&self, data: &Value) -> Result<Cel, CelError> {
        let mut context = Context::default().with_all();
        for (name, value) in data.as_object().into_iter().flatten() {
            context.add_variable_from_value(name.as_str(), to_cel(value, 0));
        }
        self.program.execute(&context).map_err(|error| CelError::Evaluate {
            expression: self.text.clone(),
            message: self.explain(&error),
        })
    }

    fn explain(&self, error: &ExecutionError) -> String {
        match error {
            ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
            ExecutionError::UndeclaredReference(name) => {
                format!("no such attribute(s): {}", attribute(&self.text, name))
            }
            other => other.to_string(),
        }
    }

    /// Its value; the fields of `data` are the variables.
    ///
    /// # Errors
    /// When it fails on this input.
    pub fn value(&self, data: &Value) -> Result<Value, CelError> {
        from_cel(&self.run(data)?).ok_or_else(|| CelError::Evaluate {
            expression: self.text.clone(),
            message: "the value has no JSON form".to_owned(),
        })
    }

    /// Its value as a boolean.
    ///
    /// # Errors
    /// When it fails on this input or is none.
    pub fn boolean(&self, data: &Value) -> Result<bool, CelError> {
        match self.run(data)? {
            Cel::Bool(value) => Ok(value),
            _ => Err(CelError::Type { expression: self.text.clone(), wanted: "boolean" }),
        }
    }

    /// Its value as text.
    ///
    /// # Errors
    /// When it fails on this input or is none.
    pub fn string(&self, data: &Value) -> Result<String, CelError> {
        match self.run(data)? {
            Cel::String(value) => Ok(value.to_string()),
            _ => Err(CelError::Type { expression: self.text.clone(), wanted: "string" }),
        }
    }

    /// Its value as a list of strings.
    ///
    /// # Errors
    /// When it fails on this input or is none.
    pub fn strings(&self, data: &Value) -> Result<Vec<String>, CelError> {
        let wrong = |message: String| CelError::Strings { expression: self.text.clone(), message };
        let list = match self.run(data)? {
            Cel::List(list) => list,
            other => {
                let found = other.type_of();
                return Err(wrong(format!("unsupported native conversion from {found} to '[]string'")));
            }
        };
        list.iter()
            .map(|item| match item {
                Cel::String(text) => Ok(text.to_string()),
                other => {
                    Err(wrong(format!("unsupported type conversion from '{}' to string", other.type_of())))
                }
            })
            .collect()
    }
}

/// The attribute of which `name` is the root, as far as it is written as fields: `status.conditions` in
/// `status.conditions.filter(…)`.
fn attribute(text: &str, name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices(name).map(|(at, _)| at);
    let start = starts.into_iter().find(|at| {
        let before = text.get(..*at).and_then(|text| text.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(|c| word(c) || c == '.') && !after.is_some_and(word)
    });
    let Some(mut rest) = start.and_then(|at| text.get(at + name.len()..)) else { return name.to_owned() };
    let mut found = name.to_owned();
    while let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !word(c)).unwrap_or(after.len());
        let (field, next) = after.split_at(end);
        if field.is_empty() || next.starts_with('(') {
            break;
        }
        found.push('.');
        found.push_str(field);
        rest = next;
    }
    found
}

/// JSON as a CEL value; whole numbers are `int`, as Kubernetes decodes them: `uint` would not mix with literals.
pub fn cel_value(value: &Value) -> Cel {
    to_cel(value, 0)
}

fn to_cel(value: &Value, depth: usize) -> Cel {
    if depth > MAX_DEPTH {
        return Cel::Null;
    }
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Cel::Int(integer),
            (None, Some(float)) => Cel::Float(float),
            (None, None) => Cel::Null,
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(|item| to_cel(item, depth + 1)).collect())),
        Value::Object(map) => {
            let entries: HashMap<Key, Cel> = map
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value, depth + 1)))
                .collect();
            Cel::Map(Map { map: Arc::new(entries) })
        }
    }
}

/// CEL to JSON; `None` for values that have no such form (functions, types).
fn from_cel(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => Value::from(*value),
        Cel::Int(value) => Value::from(*value),
        Cel::UInt(value) => Value::from(*value),
        Cel::Float(value) => Value::from(*value),
        Cel::String(text) => Value::from(text.as_str()),
        Cel::List(list) => Value::Array(list.iter().map(from_cel).collect::<Option<_>>()?),
        Cel::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| Some((key.to_string(), from_cel(value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// The expressions that judge objects of one kind.
#[derive(Debug)]
pub struct HealthExprs {
    current: Expression,
    failed: Option<Expression>,
    in_progress: Option<Expression>,
}

impl HealthExprs {
    /// Compiles them; empty text counts as absent for the optional two.
    ///
    /// # Errors
    /// When one is malformed.
    pub fn parse(current: &str, failed: Option<&str>, in_progress: Option<&str>) -> Result<Self, CelError> {
        let optional =
            |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Expression::parse).transpose();
        Ok(HealthExprs {
            current: Expression::parse(current)?,
            failed: optional(failed)?,
            in_progress: optional(in_progress)?,
        })
    }

    /// The verdict on an object. An object whose newest generation was not observed is in progress before any
    /// expression is asked; when none of them holds it is in progress too.
    ///
    /// # Errors
    /// When an expression fails on the object.
    pub fn evaluate(&self, object: &Value) -> Result<Status, CelError> {
        let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
        let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
        if let (Some(observed), Some(generation)) = (observed, generation)
            && observed != generation
        {
            return Ok(Status::InProgress);
        }
        let checks = [
            (self.in_progress.as_ref(), Status::InProgress),
            (self.failed.as_ref(), Status::Failed),
            (Some(&self.current), Status::Current),
        ];
        for (expression, status) in checks {
            if let Some(expression) = expression
                && expression.boolean(object)?
            {
                return Ok(status);
            }
        }
        Ok(Status::InProgress)
    }
}
