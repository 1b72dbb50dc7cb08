//! JSON patch (RFC 6902) with the error texts that the Kubernetes API answers.

use crate::Value;

/// Most operations one patch may hold, as in the Kubernetes API.
pub const MAX_OPERATIONS: usize = 10_000;

/// Why a patch does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The patch itself is malformed.
    #[error("{0}")]
    Malformed(String),
    /// It has more operations than allowed.
    #[error("the allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooMany(usize),
    /// An operation names a place that does not exist.
    #[error("{op} operation does not apply: doc is missing {what}: {path}: missing value")]
    Missing {
        /// The operation.
        op: &'static str,
        /// `path`, `key` or `from path`.
        what: &'static str,
        /// The JSON pointer.
        path: String,
    },
    /// An operation names a list index that is not one or is out of range.
    #[error("{op} operation does not apply: {path}: invalid array index {index}")]
    Index {
        /// The operation.
        op: &'static str,
        /// The JSON pointer.
        path: String,
        /// The index as written.
        index: String,
    },
    /// A `test` did not hold.
    #[error("testing value {0} failed: test failed")]
    Test(String),
}

/// Applies all operations of `patch` in order; on an error `target` is left as it was.
///
/// # Errors
/// When the patch is malformed, names a place that is not there, or a test fails.
pub fn apply(target: &mut Value, patch: &Value) -> Result<(), Error> {
    let operations = patch
        .as_array()
        .ok_or_else(|| Error::Malformed("a JSON patch is a list of operations".to_owned()))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::TooMany(operations.len()));
    }
    let mut document = target.clone();
    for operation in operations {
        apply_one(&mut document, operation)?;
    }
    *target = document;
    Ok(())
}

fn apply_one(document: &mut Value, operation: &Value) -> Result<(), Error> {
    let path = text(operation, "path")?;
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or_else(|| Error::Malformed(format!("operation on {path}: value is missing")))
    };
    match text(operation, "op")? {
        "add" => add(document, path, value()?, "add"),
        "remove" => take(document, path, "remove").map(drop),
        "replace" => {
            let value = value()?;
            *find(document, path, "replace", "key")? = value;
            Ok(())
        }
        "move" => {
            let from = text(operation, "from")?;
            if path.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
                return Err(Error::Malformed(format!("move of {from} into itself: {path}")));
            }
            let moved = take(document, from, "move")?;
            add(document, path, moved, "move")
        }
        "copy" => {
            let from = text(operation, "from")?;
            let copied = find(document, from, "copy", "from path")?.clone();
            add(document, path, copied, "copy")
        }
        "test" => {
            let expected = operation.get("value").cloned().unwrap_or(Value::Null);
            let found = find(document, path, "test", "path").map(|found| &*found);
            match found {
                Ok(found) if same(found, &expected) => Ok(()),
                Err(_) if expected.is_null() => Ok(()),
                Ok(_) => Err(Error::Test(path.to_owned())),
                Err(error) => Err(error),
            }
        }
        other => Err(Error::Malformed(format!("Unexpected kind: {other}"))),
    }
}

fn text<'a>(operation: &'a Value, field: &str) -> Result<&'a str, Error> {
    operation.get(field).and_then(Value::as_str).ok_or_else(|| {
        Error::Malformed(format!("a JSON patch operation needs a string {field}: {operation}"))
    })
}

/// Equality of JSON: 1 and 1.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// The unescaped steps of a JSON pointer.
fn steps(pointer: &str) -> Result<Vec<String>, Error> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer
        .strip_prefix('/')
        .ok_or_else(|| Error::Malformed(format!("a JSON pointer starts with a slash: {pointer}")))?;
    Ok(rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
}

fn find<'a>(
    document: &'a mut Value,
    path: &str,
    op: &'static str,
    what: &'static str,
) -> Result<&'a mut Value, Error> {
    let missing = || Error::Missing { op, what, path: path.to_owned() };
    let mut at = document;
    for step in steps(path)? {
        at = match at {
            Value::Object(map) => map.get_mut(&step).ok_or_else(missing)?,
            Value::Array(list) => {
                let index = existing_index(&step, list.len(), op, path)?;
                list.get_mut(index).ok_or_else(missing)?
            }
            _ => return Err(missing()),
        };
    }
    Ok(at)
}

/// The index of an element that exists; negative ones count from the end, as the Kubernetes API allows.
fn existing_index(step: &str, length: usize, op: &'static str, path: &str) -> Result<usize, Error> {
    let bad = || Error::Index { op, path: path.to_owned(), index: step.to_owned() };
    let index: i64 = step.parse().map_err(|_| bad())?;
    let index = if index < 0 { index + length as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < length).ok_or_else(bad)
}

fn parent<'a>(
    document: &'a mut Value,
    path: &str,
    op: &'static str,
    what: &'static str,
) -> Result<(&'a mut Value, String), Error> {
    let (parent, _) = path
        .rsplit_once('/')
        .ok_or_else(|| Error::Malformed(format!("a JSON pointer starts with a slash: {path}")))?;
    let last = steps(path)?.pop().unwrap_or_default();
    let missing = Error::Missing { op, what, path: path.to_owned() };
    Ok((find(document, parent, op, what).map_err(|_| missing)?, last))
}

fn add(document: &mut Value, path: &str, value: Value, op: &'static str) -> Result<(), Error> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (parent, last) = parent(document, path, op, "path")?;
    match parent {
        Value::Object(map) => {
            map.insert(last, value);
            Ok(())
        }
        Value::Array(list) if last == "-" => {
            list.push(value);
            Ok(())
        }
        Value::Array(list) => {
            // One past the end is a place to add at.
            let index = existing_index(&last, list.len() + 1, op, path)?;
            list.insert(index, value);
            Ok(())
        }
        _ => Err(Error::Missing { op, what: "path", path: path.to_owned() }),
    }
}

fn take(document: &mut Value, path: &str, op: &'static str) -> Result<Value, Error> {
    if path.is_empty() {
        return Ok(document.take());
    }
    let (parent, last) = parent(document, path, op, "path")?;
    match parent {
        Value::Object(map) => {
            map.remove(&last).ok_or(Error::Missing { op, what: "key", path: path.to_owned() })
        }
        Value::Array(list) => {
            let index = existing_index(&last, list.len(), op, path)?;
            Ok(list.remove(index))
        }
        _ => Err(Error::Missing { op, what: "path", path: path.to_owned() }),
    }
}
