//! Sync options: those of the application and those of one object. Pure.

use std::collections::BTreeMap;

use object::{Value, meta};

use crate::names;

/// The words of an annotation that lists them with commas.
pub fn words(object: &Value, annotation: &str) -> Vec<String> {
    let text = meta::annotation(object, annotation).unwrap_or_default();
    text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

/// `Name=value` pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncOptions {
    given: BTreeMap<String, String>,
}

impl SyncOptions {
    /// Of a list; the last of a name counts.
    pub fn of_list(list: &[String]) -> SyncOptions {
        let pairs = list.iter().filter_map(|entry| entry.split_once('='));
        SyncOptions {
            given: pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect(),
        }
    }

    /// Of an object's annotation.
    pub fn of_object(object: &Value) -> SyncOptions {
        SyncOptions::of_list(&words(object, names::SYNC_OPTIONS))
    }

    /// The value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// Is it `Name=true`?
    pub fn is(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// Is it `Name=false`?
    pub fn is_not(&self, name: &str) -> bool {
        self.get(name) == Some("false")
    }

    /// These with others over them.
    pub fn with(&self, over: &SyncOptions) -> SyncOptions {
        let mut given = self.given.clone();
        given.extend(over.given.clone());
        SyncOptions { given }
    }

    /// All as a list.
    pub fn list(&self) -> Vec<String> {
        self.given.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// Is the object to survive when it leaves the source?
pub fn keeps_from_prune(object: &Value) -> bool {
    SyncOptions::of_object(object).is_not("Prune")
}

/// Is the object to survive the deletion of its application?
pub fn keeps_from_delete(object: &Value) -> bool {
    SyncOptions::of_object(object).is_not("Delete")
        || meta::annotation(object, names::HELM_RESOURCE_POLICY).is_some_and(|policy| policy.trim() == "keep")
}

/// Does pruning the object wait for somebody's word?
pub fn prune_needs_word(object: &Value) -> bool {
    SyncOptions::of_object(object).get("Prune") == Some("confirm")
}

/// Does deleting the object with its application wait for somebody's word?
pub fn delete_needs_word(object: &Value) -> bool {
    SyncOptions::of_object(object).get("Delete") == Some("confirm")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_objects_word_wins() {
        let app = SyncOptions::of_list(&["ServerSideApply=true".into(), "Prune=false".into()]);
        let object = json!({"metadata": {"annotations": {names::SYNC_OPTIONS: "ServerSideApply=false, Replace=true"}}});
        let both = app.with(&SyncOptions::of_object(&object));
        assert!(both.is_not("ServerSideApply") && both.is("Replace") && both.is_not("Prune"));
    }
}
