//! One step of a path into an object, and its text form.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use object::Value;

/// One step of a path: a field, an element of a list by its keys or its value, or an index.
#[derive(Debug, Clone)]
pub enum Element {
    /// A field of a mapping (`f:`).
    Field(Arc<str>),
    /// An element of a list of mappings, by the values of its keys, sorted by name (`k:`).
    Key(Arc<Vec<(String, Value)>>),
    /// An element of a set (`v:`).
    Value(Arc<Value>),
    /// An element of a list by its place (`i:`).
    Index(i64),
}

/// Why text is no path element.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a path element: {0}")]
pub struct ElementError(pub String);

impl Element {
    /// A field.
    pub fn field(name: &str) -> Self {
        Element::Field(Arc::from(name))
    }

    /// From its text in managed fields: `f:name`, `k:{"name":"x"}`, `v:"x"`, `i:0`.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, ElementError> {
        let bad = || ElementError(text.to_owned());
        let (kind, rest) = text.split_at_checked(2).ok_or_else(bad)?;
        match kind {
            "f:" => Ok(Element::field(rest)),
            "v:" => Ok(Element::Value(Arc::new(serde_json::from_str(rest).map_err(|_| bad())?))),
            "i:" => Ok(Element::Index(rest.parse().map_err(|_| bad())?)),
            "k:" => match serde_json::from_str(rest) {
                // The map is sorted by name already.
                Ok(Value::Object(map)) => Ok(Element::Key(Arc::new(map.into_iter().collect()))),
                _ => Err(bad()),
            },
            _ => Err(bad()),
        }
    }

    /// Its text in managed fields.
    pub fn text(&self) -> String {
        match self {
            Element::Field(name) => format!("f:{name}"),
            Element::Value(value) => format!("v:{value}"),
            Element::Index(index) => format!("i:{index}"),
            Element::Key(fields) => {
                let map: object::Map = fields.iter().cloned().collect();
                format!("k:{}", Value::Object(map))
            }
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Element::Field(_) => 0,
            Element::Key(_) => 1,
            Element::Value(_) => 2,
            Element::Index(_) => 3,
        }
    }
}

impl fmt::Display for Element {
    /// As messages show it: `.name`, `[name="x"]`, `[="x"]`, `[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Field(name) => write!(f, ".{name}"),
            Element::Value(value) => write!(f, "[={value}]"),
            Element::Index(index) => write!(f, "[{index}]"),
            Element::Key(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Element::Field(a), Element::Field(b)) => a.cmp(b),
            (Element::Value(a), Element::Value(b)) => compare(a, b),
            (Element::Index(a), Element::Index(b)) => a.cmp(b),
            (Element::Key(a), Element::Key(b)) => {
                for ((name_a, a), (name_b, b)) in a.iter().zip(b.iter()) {
                    let order = name_a.cmp(name_b).then_with(|| compare(a, b));
                    if order.is_ne() {
                        return order;
                    }
                }
                a.len().cmp(&b.len())
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Element {}

/// A total order of JSON in which 1 and 1.0 are equal.
pub(crate) fn compare(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(x), Value::String(y)) => x.cmp(y),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Array(x), Value::Array(y)) => {
            let order = x.iter().zip(y).map(|(x, y)| compare(x, y)).find(|order| order.is_ne());
            order.unwrap_or_else(|| x.len().cmp(&y.len()))
        }
        (Value::Object(x), Value::Object(y)) => {
            let pairs = x.iter().zip(y);
            let order = pairs
                .map(|((kx, x), (ky, y))| kx.cmp(ky).then_with(|| compare(x, y)))
                .find(|order| order.is_ne());
            order.unwrap_or_else(|| x.len().cmp(&y.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Equality of JSON in which 1 and 1.0 are equal.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    compare(a, b).is_eq()
}
