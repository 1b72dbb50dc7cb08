//! An object's type and metadata. Readers answer empty for what is missing; writers create it.

use crate::{Map, Value, get, get_i64, get_str, set};

/// `apiVersion`, or empty.
pub fn api_version(object: &Value) -> &str {
    get_str(object, &["apiVersion"]).unwrap_or_default()
}

/// `kind`, or empty.
pub fn kind(object: &Value) -> &str {
    get_str(object, &["kind"]).unwrap_or_default()
}

/// `metadata.name`, or empty.
pub fn name(object: &Value) -> &str {
    get_str(object, &["metadata", "name"]).unwrap_or_default()
}

/// `metadata.generateName`, or empty.
pub fn generate_name(object: &Value) -> &str {
    get_str(object, &["metadata", "generateName"]).unwrap_or_default()
}

/// `metadata.namespace`, when set and not empty.
pub fn namespace(object: &Value) -> Option<&str> {
    get_str(object, &["metadata", "namespace"]).filter(|namespace| !namespace.is_empty())
}

/// Sets `metadata.namespace`, or removes it when empty.
pub fn set_namespace(object: &mut Value, namespace: &str) {
    if namespace.is_empty() {
        crate::remove(object, &["metadata", "namespace"]);
    } else {
        set(object, &["metadata", "namespace"], namespace.into());
    }
}

/// Sets `metadata.name`.
pub fn set_name(object: &mut Value, name: &str) {
    set(object, &["metadata", "name"], name.into());
}

/// `metadata.uid`, or empty.
pub fn uid(object: &Value) -> &str {
    get_str(object, &["metadata", "uid"]).unwrap_or_default()
}

/// `metadata.resourceVersion`, or empty.
pub fn resource_version(object: &Value) -> &str {
    get_str(object, &["metadata", "resourceVersion"]).unwrap_or_default()
}

/// `metadata.generation`, or 0.
pub fn generation(object: &Value) -> i64 {
    get_i64(object, &["metadata", "generation"]).unwrap_or_default()
}

/// `status.observedGeneration`.
pub fn observed_generation(object: &Value) -> Option<i64> {
    get_i64(object, &["status", "observedGeneration"])
}

/// `metadata.creationTimestamp` as written.
pub fn creation_timestamp(object: &Value) -> Option<&str> {
    get_str(object, &["metadata", "creationTimestamp"])
}

/// `metadata.deletionTimestamp` as written: set once deletion was asked for.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    get_str(object, &["metadata", "deletionTimestamp"])
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> Option<&Map> {
    get(object, &["metadata", "labels"])?.as_object()
}

/// `metadata.annotations`.
pub fn annotations(object: &Value) -> Option<&Map> {
    get(object, &["metadata", "annotations"])?.as_object()
}

/// One label.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

/// One annotation.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

/// Sets one label.
pub fn set_label(object: &mut Value, key: &str, value: &str) {
    set(object, &["metadata", "labels", key], value.into());
}

/// Sets one annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    set(object, &["metadata", "annotations", key], value.into());
}

/// Removes one label; the mapping goes with its last entry.
pub fn remove_label(object: &mut Value, key: &str) -> bool {
    remove_entry(object, "labels", key)
}

/// Removes one annotation; the mapping goes with its last entry.
pub fn remove_annotation(object: &mut Value, key: &str) -> bool {
    remove_entry(object, "annotations", key)
}

fn remove_entry(object: &mut Value, field: &str, key: &str) -> bool {
    let removed = crate::remove(object, &["metadata", field, key]);
    if removed && get(object, &["metadata", field]).and_then(Value::as_object).is_some_and(Map::is_empty) {
        crate::remove(object, &["metadata", field]);
    }
    removed
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    get(object, &["metadata", "finalizers"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Adds a finalizer unless it is there; says whether the object changed.
pub fn add_finalizer(object: &mut Value, finalizer: &str) -> bool {
    if finalizers(object).any(|known| known == finalizer) {
        return false;
    }
    let mut list: Vec<Value> = finalizers(object).map(Value::from).collect();
    list.push(finalizer.into());
    set(object, &["metadata", "finalizers"], Value::Array(list));
    true
}

/// Removes a finalizer; says whether the object changed. The list goes with its last entry.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    if !finalizers(object).any(|known| known == finalizer) {
        return false;
    }
    let list: Vec<Value> = finalizers(object).filter(|known| *known != finalizer).map(Value::from).collect();
    if list.is_empty() {
        crate::remove(object, &["metadata", "finalizers"]);
    } else {
        set(object, &["metadata", "finalizers"], Value::Array(list));
    }
    true
}

/// An entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// `group/version` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
    /// Whether this is the one managing owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// Whether foreground deletion of the owner waits for this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

/// `metadata.ownerReferences`; entries that are no owner references are left out.
pub fn owner_references(object: &Value) -> Vec<OwnerReference> {
    get(object, &["metadata", "ownerReferences"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| serde::Deserialize::deserialize(entry).ok())
        .collect()
}

/// The owner whose `controller` is true.
pub fn controller_of(object: &Value) -> Option<OwnerReference> {
    owner_references(object).into_iter().find(|owner| owner.controller == Some(true))
}

/// The entry of `status.conditions` with this type.
pub fn condition<'a>(object: &'a Value, condition_type: &str) -> Option<&'a Value> {
    get(object, &["status", "conditions"])?
        .as_array()?
        .iter()
        .find(|condition| get_str(condition, &["type"]) == Some(condition_type))
}
