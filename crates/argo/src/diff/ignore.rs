//! Rules that say which differences do not count.

use merge::{Element, FieldSet};
use object::{Value, get, get_str, meta};
use schema::TypeRef;

use super::jq::Filter;
use crate::project::permits;

/// A rule: for which objects, and which fields.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// The group, as a glob.
    pub group: String,
    /// The kind, as a glob.
    pub kind: String,
    /// The name; empty for every one.
    pub name: String,
    /// The namespace; empty for every one.
    pub namespace: String,
    /// JSON pointers of the fields.
    pub pointers: Vec<String>,
    /// jq expressions of the fields.
    pub expressions: Vec<Filter>,
    /// Managers whose fields do not count.
    pub managers: Vec<String>,
}

impl Rule {
    /// Reads a rule of `spec.ignoreDifferences`.
    ///
    /// # Errors
    /// When one of its jq expressions is malformed or could run for ever.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let text = |key: &str| get_str(value, &[key]).unwrap_or_default().to_owned();
        let list = |key: &str| {
            let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let expressions = list("jqPathExpressions");
        Ok(Rule {
            group: text("group"),
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
            pointers: list("jsonPointers"),
            expressions: expressions.iter().map(|text| Filter::deleting(text)).collect::<Result<_, _>>()?,
            managers: list("managedFieldsManagers"),
        })
    }

    /// Whether it is about an object.
    pub fn is_about(&self, group: &str, kind: &str, namespace: &str, name: &str) -> bool {
        permits(&self.group, group, false, false)
            && permits(&self.kind, kind, false, false)
            && (self.name.is_empty() || self.name == name)
            && (self.namespace.is_empty() || self.namespace == namespace)
    }
}

/// All rules of an Application: its own and those of the installation.
#[derive(Debug, Clone, Default)]
pub struct Rules(pub Vec<Rule>);

impl Rules {
    /// Reads `spec.ignoreDifferences`.
    ///
    /// # Errors
    /// When a rule is malformed.
    pub fn parse(list: Option<&Value>) -> Result<Self, String> {
        let list = list.and_then(Value::as_array).into_iter().flatten();
        list.map(Rule::parse).collect::<Result<Vec<_>, _>>().map(Rules)
    }

    /// Removes from both objects what the rules ignore.
    pub fn remove(&self, target: &mut Value, live: &mut Value, ty: &TypeRef) {
        let api_version = meta::api_version(live).to_owned();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kind = meta::kind(live).to_owned();
        let (namespace, name) =
            (meta::namespace(live).unwrap_or_default().to_owned(), meta::name(live).to_owned());
        for rule in self.0.iter().filter(|rule| rule.is_about(group, &kind, &namespace, &name)) {
            for object in [&mut *target, &mut *live] {
                rule.pointers.iter().for_each(|pointer| remove_pointer(object, pointer));
                for expression in &rule.expressions {
                    // One that does not fit the object, such as `.a[]` where there is no `a`, says nothing about it.
                    if let Ok(rest) = expression.run(object) {
                        *object = rest;
                    }
                }
            }
            for manager in &rule.managers {
                remove_managed(target, live, ty, manager);
            }
        }
    }
}

/// Removes the field of a JSON pointer, where there is one.
fn remove_pointer(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let key = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&key);
        }
        Some(Value::Array(list)) => {
            if let Some(index) = key.parse::<usize>().ok().filter(|index| *index < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
}

/// Removes the fields of a manager in which both objects differ.
fn remove_managed(target: &mut Value, live: &mut Value, ty: &TypeRef, manager: &str) {
    let mut owned = FieldSet::default();
    let entries = get(live, &["metadata", "managedFields"]).and_then(Value::as_array);
    for entry in entries.into_iter().flatten().filter(|entry| get_str(entry, &["manager"]) == Some(manager)) {
        // An entry that cannot be read owns nothing.
        if let Some(set) = entry.get("fieldsV1").and_then(|fields| FieldSet::from_fields_v1(fields).ok()) {
            owned = owned.union(&set);
        }
    }
    if owned.is_empty() {
        return;
    }
    let (added, modified, removed) = merge::compare(ty, live, target);
    let differing = owned.intersection(&added.union(&modified).union(&removed));
    for path in differing.paths() {
        remove_path(target, &path);
        remove_path(live, &path);
    }
}

/// Removes the field at a path.
fn remove_path(value: &mut Value, path: &[Element]) {
    let Some((first, rest)) = path.split_first() else { return };
    match (first, value) {
        (Element::Field(name), Value::Object(map)) => {
            if rest.is_empty() {
                map.remove(&**name);
            } else if let Some(inner) = map.get_mut(&**name) {
                remove_path(inner, rest);
            }
        }
        (element, Value::Array(list)) => {
            let at = match element {
                Element::Key(keys) => list.iter().position(|item| {
                    keys.iter().all(|(key, wanted)| item.get(key).unwrap_or(&Value::Null) == wanted)
                }),
                Element::Value(wanted) => list.iter().position(|item| item == &**wanted),
                Element::Index(index) => usize::try_from(*index).ok().filter(|index| *index < list.len()),
                Element::Field(_) => None,
            };
            let Some(at) = at else { return };
            if rest.is_empty() {
                list.remove(at);
            } else if let Some(inner) = list.get_mut(at) {
                remove_path(inner, rest);
            }
        }
        _ => {}
    }
}
