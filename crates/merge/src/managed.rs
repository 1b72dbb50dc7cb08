//! `metadata.managedFields`: reading and writing the entries.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use object::{Map, Value, get};
use serde_json::json;

use crate::ownership::{Owned, Owners};
use crate::set::FieldSet;

/// What tells the entries of managed fields apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManagerKey {
    /// Name of the manager.
    pub name: String,
    /// Whether it applied (else it wrote).
    pub applied: bool,
    /// The apiVersion; empty for appliers, who have one entry for all versions.
    pub api_version: String,
    /// The subresource.
    pub subresource: String,
}

impl ManagerKey {
    /// As conflict messages name it.
    pub fn shown(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.applied {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// The entries of an object's managed fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Managed {
    pub(crate) owners: Owners<ManagerKey>,
    pub(crate) times: BTreeMap<ManagerKey, String>,
}

impl Managed {
    /// Reads `metadata.managedFields` of an object.
    pub(crate) fn of(object: &Value) -> Result<Self, String> {
        match get(object, &["metadata", "managedFields"]) {
            Some(Value::Array(entries)) => Self::read(entries),
            None | Some(Value::Null) => Ok(Managed::default()),
            Some(_) => Err("metadata.managedFields must be a list".to_owned()),
        }
    }

    fn read(entries: &[Value]) -> Result<Self, String> {
        let mut managed = Managed::default();
        for (index, entry) in entries.iter().enumerate() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let applied = match text("operation") {
                "Apply" => true,
                "Update" => false,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
                other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
            }
            let key = ManagerKey {
                name: text("manager").to_owned(),
                applied,
                api_version: if applied { String::new() } else { api_version.to_owned() },
                subresource: text("subresource").to_owned(),
            };
            let set = FieldSet::from_fields_v1(entry.get("fieldsV1").unwrap_or(&Value::Null))
                .map_err(|error| format!("error decoding set: {error}"))?;
            if let Some(time) = entry.get("time").and_then(Value::as_str) {
                managed.times.insert(key.clone(), time.to_owned());
            }
            managed.owners.insert(key, Owned { set, api_version: api_version.to_owned(), applied });
        }
        Ok(managed)
    }

    /// Writes `metadata.managedFields`, or removes it when there are no entries.
    pub(crate) fn write(&self, object: &mut Value) {
        if self.owners.is_empty() {
            object::remove(object, &["metadata", "managedFields"]);
            return;
        }
        let mut entries: Vec<(&ManagerKey, &Owned)> = self.owners.iter().collect();
        entries.sort_by(|(a, of_a), (b, of_b)| self.order(a, of_a, b, of_b));
        let entries = entries
            .into_iter()
            .map(|(key, owned)| {
                let mut entry = Map::new();
                entry.insert("manager".to_owned(), json!(key.name));
                entry.insert("operation".to_owned(), json!(if key.applied { "Apply" } else { "Update" }));
                entry.insert("apiVersion".to_owned(), json!(owned.api_version));
                if let Some(time) = self.times.get(key) {
                    entry.insert("time".to_owned(), json!(time));
                }
                entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
                entry.insert("fieldsV1".to_owned(), owned.set.to_fields_v1());
                if !key.subresource.is_empty() {
                    entry.insert("subresource".to_owned(), json!(key.subresource));
                }
                Value::Object(entry)
            })
            .collect();
        object::set(object, &["metadata", "managedFields"], Value::Array(entries));
    }

    /// Appliers first, then by time (all are RFC 3339 in UTC, which sorts as text), name and version.
    fn order(&self, a: &ManagerKey, of_a: &Owned, b: &ManagerKey, of_b: &Owned) -> Ordering {
        b.applied
            .cmp(&a.applied)
            .then_with(|| self.times.get(a).cmp(&self.times.get(b)))
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| of_a.api_version.cmp(&of_b.api_version))
            .then_with(|| a.subresource.cmp(&b.subresource))
    }

    /// Joins the oldest plain writers until there are at most `most` of them.
    pub(crate) fn cap_writers(&mut self, most: usize) {
        let mut writers: Vec<ManagerKey> = self.owners.keys().filter(|key| !key.applied).cloned().collect();
        let mut count = writers.len();
        if count <= most {
            return;
        }
        writers.sort_by(|a, b| self.times.get(a).cmp(&self.times.get(b)).then_with(|| a.cmp(b)));
        let mut first_of: BTreeMap<String, ManagerKey> = BTreeMap::new();
        for key in writers {
            if count <= most {
                break;
            }
            let Some(owned) = self.owners.get(&key).cloned() else { continue };
            let Some(first) = first_of.get(&owned.api_version).cloned() else {
                first_of.insert(owned.api_version, key);
                continue;
            };
            let bucket = ManagerKey {
                name: "ancient-changes".to_owned(),
                applied: false,
                api_version: owned.api_version.clone(),
                subresource: String::new(),
            };
            if !self.owners.contains_key(&bucket)
                && let Some(oldest) = self.owners.remove(&first)
            {
                self.owners.insert(bucket.clone(), oldest);
            }
            if let Some(joined) = self.owners.get_mut(&bucket) {
                joined.set = owned.set.union(&joined.set);
            }
            self.owners.remove(&key);
            count -= 1;
            if let Some(time) = self.times.get(&key).cloned() {
                self.times.insert(bucket, time);
            }
        }
    }
}
