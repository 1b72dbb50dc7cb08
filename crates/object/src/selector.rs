//! Label and field selectors, in their text form and as objects.

use crate::{Map, Value, get};

/// Why a selector is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

/// How a requirement compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The value is one of the given.
    In,
    /// The key is missing or its value is none of the given.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is missing.
    DoesNotExist,
    /// The value is a greater integer.
    GreaterThan,
    /// The value is a smaller integer.
    LessThan,
}

/// One condition on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it compares.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

impl Requirement {
    fn holds(&self, found: Option<&str>) -> bool {
        let integer = |text: &str| text.parse::<i64>().ok();
        let first = self.values.first().and_then(|value| integer(value));
        match (self.operator, found) {
            (Operator::In, Some(found)) => self.values.iter().any(|value| value == found),
            (Operator::NotIn, Some(found)) => !self.values.iter().any(|value| value == found),
            (Operator::Exists, found) => found.is_some(),
            (Operator::DoesNotExist, found) => found.is_none(),
            (Operator::GreaterThan, Some(found)) => {
                integer(found).zip(first).is_some_and(|(found, first)| found > first)
            }
            (Operator::LessThan, Some(found)) => {
                integer(found).zip(first).is_some_and(|(found, first)| found < first)
            }
            (Operator::NotIn, None) => true,
            (_, None) => false,
        }
    }
}

/// A label selector: all requirements must hold; none means everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    /// The requirements.
    pub requirements: Vec<Requirement>,
    /// Selects nothing: what an absent selector object means.
    pub nothing: bool,
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing.
    pub fn nothing() -> Self {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// From text: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`. Empty text selects everything.
    ///
    /// # Errors
    /// When the text is no selector.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let requirements = crate::selector_text::parse(text)?;
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// From a `LabelSelector` object (`matchLabels`, `matchExpressions`). Null selects nothing, an empty
    /// mapping everything.
    ///
    /// # Errors
    /// When the object is no label selector.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        if selector.is_null() {
            return Ok(Self::nothing());
        }
        let selector =
            selector.as_object().ok_or_else(|| SelectorError("a label selector is a mapping".to_owned()))?;
        let mut requirements = match selector.get("matchLabels") {
            Some(labels) => Self::from_map(labels)?.requirements,
            None => Vec::new(),
        };
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            requirements.push(expression_requirement(expression)?);
        }
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// From a plain mapping of labels, as in a Service's `spec.selector`.
    ///
    /// # Errors
    /// When a value is no string.
    pub fn from_map(labels: &Value) -> Result<Self, SelectorError> {
        let empty = Map::new();
        let labels = match labels {
            Value::Null => &empty,
            Value::Object(labels) => labels,
            _ => return Err(SelectorError("matchLabels is a mapping".to_owned())),
        };
        let requirements = labels
            .iter()
            .map(|(key, value)| {
                let value = value
                    .as_str()
                    .ok_or_else(|| SelectorError(format!("label {key}: the value must be a string")))?;
                Ok(Requirement { key: key.clone(), operator: Operator::In, values: vec![value.to_owned()] })
            })
            .collect::<Result<_, SelectorError>>()?;
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Whether labels (a JSON mapping of strings, or none) are selected.
    pub fn matches(&self, labels: Option<&Map>) -> bool {
        self.matches_by(|key| labels?.get(key)?.as_str())
    }

    /// Whether the labels of an object are selected.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(crate::meta::labels(object))
    }

    /// As [`LabelSelector::matches`], with any source of labels.
    pub fn matches_by<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self.requirements.iter().all(|requirement| requirement.holds(label(&requirement.key)))
    }

    /// Whether every label set is selected.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }
}

impl std::fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            let (key, values) = (&requirement.key, requirement.values.join(","));
            match requirement.operator {
                Operator::In if requirement.values.len() == 1 => write!(f, "{key}={values}")?,
                Operator::In => write!(f, "{key} in ({values})")?,
                Operator::NotIn if requirement.values.len() == 1 => write!(f, "{key}!={values}")?,
                Operator::NotIn => write!(f, "{key} notin ({values})")?,
                Operator::Exists => write!(f, "{key}")?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::GreaterThan => write!(f, "{key}>{values}")?,
                Operator::LessThan => write!(f, "{key}<{values}")?,
            }
        }
        Ok(())
    }
}

fn expression_requirement(expression: &Value) -> Result<Requirement, SelectorError> {
    let key = expression.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    let values: Vec<String> = get(expression, &["values"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect();
    let operator = match expression.get("operator").and_then(Value::as_str).unwrap_or_default() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
    };
    let listed = matches!(operator, Operator::In | Operator::NotIn);
    if listed && values.is_empty() {
        return Err(SelectorError(format!(
            "for 'in', 'notin' operators, values set can't be empty: key {key:?}"
        )));
    }
    if !listed && !values.is_empty() {
        return Err(SelectorError(format!(
            "values set must be empty for exists and does not exist: key {key:?}"
        )));
    }
    Ok(Requirement { key, operator, values })
}

/// A field selector: `metadata.name=a,status.phase!=Running`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    /// Field path, whether it must be equal (else different), value.
    pub requirements: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// From text; commas, equal signs and backslashes in values are escaped with a backslash.
    ///
    /// # Errors
    /// When a part has no operator.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for part in split_escaped(text) {
            if part.trim().is_empty() {
                continue;
            }
            let bad = || SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"));
            let at = part.find(['=', '!']).ok_or_else(bad)?;
            let (field, rest) = part.split_at(at);
            let (equal, value) = if let Some(value) = rest.strip_prefix("!=") {
                (false, value)
            } else if let Some(value) = rest.strip_prefix("==") {
                (true, value)
            } else if let Some(value) = rest.strip_prefix('=') {
                (true, value)
            } else {
                return Err(bad());
            };
            requirements.push((field.trim().to_owned(), equal, unescape(value)));
        }
        Ok(FieldSelector { requirements })
    }

    /// Whether every requirement holds; `field` answers the text of a field path, empty when it is not set.
    pub fn matches_by(&self, field: impl Fn(&str) -> String) -> bool {
        self.requirements.iter().all(|(path, equal, value)| (field(path) == *value) == *equal)
    }

    /// Whether an object is selected, reading the fields by their dotted paths.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_by(|path| field_text(object, path))
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }
}

/// The text of a dotted field path as field selectors compare it; empty when it is not set.
pub fn field_text(object: &Value, path: &str) -> String {
    match path.split('.').try_fold(object, |value, key| value.get(key)) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn split_escaped(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        result.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    result
}

/// Which objects something applies to, as Flux's and kustomize's `target`: regular expressions over identity
/// (anchored at both ends; empty matches all), selectors over labels and annotations.
#[derive(Debug, Clone, Default)]
pub struct TargetSelector {
    patterns: Vec<(Part, regex::Regex)>,
    labels: LabelSelector,
    annotations: LabelSelector,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Group,
    Version,
    Kind,
    Namespace,
    Name,
}

impl TargetSelector {
    /// From an object with `group`, `version`, `kind`, `namespace`, `name`, `labelSelector` and
    /// `annotationSelector`, all optional.
    ///
    /// # Errors
    /// When a pattern or a selector is malformed.
    pub fn parse(target: &Value) -> Result<Self, SelectorError> {
        let text = |field: &str| target.get(field).and_then(Value::as_str).unwrap_or_default();
        let parts = [
            ("group", Part::Group),
            ("version", Part::Version),
            ("kind", Part::Kind),
            ("namespace", Part::Namespace),
            ("name", Part::Name),
        ];
        let mut patterns = Vec::new();
        for (field, part) in parts {
            let pattern = text(field);
            if !pattern.is_empty() {
                let regex = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
                    SelectorError(format!("{field} {pattern:?} is no regular expression: {error}"))
                })?;
                patterns.push((part, regex));
            }
        }
        Ok(TargetSelector {
            patterns,
            labels: LabelSelector::parse(text("labelSelector"))?,
            annotations: LabelSelector::parse(text("annotationSelector"))?,
        })
    }

    /// Whether an object is meant.
    pub fn matches(&self, object: &Value) -> bool {
        let gvk = crate::Gvk::of(object);
        let meant = |(part, regex): &(Part, regex::Regex)| {
            regex.is_match(match part {
                Part::Group => &gvk.group,
                Part::Version => &gvk.version,
                Part::Kind => &gvk.kind,
                Part::Namespace => crate::meta::namespace(object).unwrap_or_default(),
                Part::Name => crate::meta::name(object),
            })
        };
        self.patterns.iter().all(meant)
            && self.labels.matches(crate::meta::labels(object))
            && self.annotations.matches(crate::meta::annotations(object))
    }
}
