//! Which objects a patch or a replacement means.

use crate::error::Error;
use crate::ids::{Gvk, ResId};
use crate::paths::{Regexp, go_regex};
use crate::resource::Resource;
use crate::schema::Schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A selector as written: patterns for kind and name, label and annotation selectors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Selector {
    #[serde(flatten)]
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub annotation_selector: String,
    pub label_selector: String,
}

impl Selector {
    /// Selects by nothing but labels or annotations (or nothing at all)?
    pub fn has_no_id(&self) -> bool {
        self.gvk == Gvk::default() && self.name.is_empty() && self.namespace.is_empty()
    }

    /// The identity it spells, its patterns taken as they stand.
    pub fn id(&self) -> ResId {
        ResId {
            gvk: self.gvk.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            cluster_scoped: false,
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:a={}:l={}", self.id(), self.annotation_selector, self.label_selector)
    }
}

/// A selector with its patterns compiled.
pub(crate) struct SelectorMatcher {
    group: Option<Regexp>,
    version: Option<Regexp>,
    kind: Option<Regexp>,
    name: Option<Regexp>,
    namespace: Option<Regexp>,
    pub annotations: LabelSelector,
    pub labels: LabelSelector,
}

fn anchored(pattern: &str) -> Result<Option<Regexp>, Error> {
    if pattern.is_empty() {
        return Ok(None);
    }
    go_regex(&format!("^(?:{pattern})$")).map(Some).map_err(Error::new)
}

fn fits(regex: &Option<Regexp>, text: &str) -> bool {
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

impl SelectorMatcher {
    pub fn new(selector: &Selector) -> Result<SelectorMatcher, Error> {
        Ok(SelectorMatcher {
            group: anchored(&selector.gvk.group)?,
            version: anchored(&selector.gvk.version)?,
            kind: anchored(&selector.gvk.kind)?,
            name: anchored(&selector.name)?,
            namespace: anchored(&selector.namespace)?,
            annotations: LabelSelector::parse(&selector.annotation_selector)?,
            labels: LabelSelector::parse(&selector.label_selector)?,
        })
    }

    fn matches_gvk(&self, gvk: &Gvk) -> bool {
        fits(&self.group, &gvk.group) && fits(&self.version, &gvk.version) && fits(&self.kind, &gvk.kind)
    }

    /// By kind, name and (written) namespace.
    pub fn matches_id(&self, id: &ResId) -> bool {
        self.matches_gvk(&id.gvk) && fits(&self.name, &id.name) && fits(&self.namespace, &id.namespace)
    }

    /// By labels and annotations.
    pub fn matches_meta(&self, resource: &Resource) -> Result<bool, Error> {
        Ok((self.annotations.is_empty() || self.annotations.matches(&resource.meta_map("annotations")))
            && (self.labels.is_empty() || self.labels.matches(&resource.meta_map("labels"))))
    }

    /// By all, names and namespaces being the present or the original ones.
    pub fn matches_resource(&self, resource: &Resource, schema: &Schema) -> Result<bool, Error> {
        let gvk = resource.gvk();
        if !self.matches_gvk(&gvk) {
            return Ok(false);
        }
        let original_name = resource.previous.first().map_or(resource.name(), |previous| &previous.name);
        if !fits(&self.name, original_name) && !fits(&self.name, resource.name()) {
            return Ok(false);
        }
        if self.namespace.is_some() {
            let original = resource.original_id(schema);
            let current = resource.current_id(schema);
            if !fits(&self.namespace, original.effective_namespace())
                && !fits(&self.namespace, current.effective_namespace())
            {
                return Ok(false);
            }
        }
        self.matches_meta(resource)
    }
}

/// `a=b,c in (d, e),!f`, as kubectl reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Missing,
    Greater,
    Less,
}

impl LabelSelector {
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = |value: &String| requirement.values.iter().any(|one| one == value);
            let number = |text: Option<&String>| text.and_then(|text| text.parse::<i64>().ok());
            match requirement.operator {
                Operator::In => value.is_some_and(listed),
                Operator::NotIn => !value.is_some_and(listed),
                Operator::Exists => value.is_some(),
                Operator::Missing => value.is_none(),
                Operator::Greater => {
                    number(value).zip(number(requirement.values.first())).is_some_and(|(a, b)| a > b)
                }
                Operator::Less => {
                    number(value).zip(number(requirement.values.first())).is_some_and(|(a, b)| a < b)
                }
            }
        })
    }

    pub fn parse(text: &str) -> Result<LabelSelector, Error> {
        let mut requirements = Vec::new();
        let wrong = |what: String| Error::new(format!("unable to parse requirement: {what}"));
        for part in split_top(text) {
            let part = part.trim();
            if part.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(wrong("found '', expected: !, identifier, or 'end of string'".to_owned()));
            }
            requirements.push(parse_requirement(part).map_err(wrong)?);
        }
        Ok(LabelSelector { requirements })
    }
}

/// Splits at commas outside parentheses.
fn split_top(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or(""));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or(""));
    parts
}

fn parse_requirement(part: &str) -> Result<Requirement, String> {
    let make = |key: &str, operator, values: Vec<String>| -> Result<Requirement, String> {
        let key = key.trim();
        check_key(key)?;
        for value in &values {
            check_value(value)?;
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    };
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::Missing, Vec::new());
    }
    if let Some(open) = part.find('(') {
        let (head, list) = part.split_at(open);
        let Some(list) = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')')) else {
            return Err(format!("found '{part}', expected: ',' or ')'"));
        };
        let values: Vec<String> = list.split(',').map(|value| value.trim().to_owned()).collect();
        let words: Vec<&str> = head.split_whitespace().collect();
        return match words.as_slice() {
            [key, "in"] => make(key, Operator::In, values),
            [key, "notin"] => make(key, Operator::NotIn, values),
            _ => Err(format!(
                "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                words.get(1).copied().unwrap_or("")
            )),
        };
    }
    for (sign, operator) in [
        ("!=", Operator::NotIn),
        ("==", Operator::In),
        ("=", Operator::In),
        (">", Operator::Greater),
        ("<", Operator::Less),
    ] {
        if let Some((key, value)) = part.split_once(sign) {
            return make(key, operator, vec![value.trim().to_owned()]);
        }
    }
    let words: Vec<&str> = part.split_whitespace().collect();
    match words.as_slice() {
        [key] => make(key, Operator::Exists, Vec::new()),
        [_, other, ..] => Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        [] => Err("found '', expected: !, identifier, or 'end of string'".to_owned()),
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let good = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if good {
        Ok(())
    } else {
        Err(format!(
            "invalid label key {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        ))
    }
}

fn check_value(value: &str) -> Result<(), String> {
    let good = value.is_empty()
        || (value.len() <= 63
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && value.ends_with(|c: char| c.is_ascii_alphanumeric()));
    if good {
        Ok(())
    } else {
        Err(format!(
            "invalid label value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        ))
    }
}
