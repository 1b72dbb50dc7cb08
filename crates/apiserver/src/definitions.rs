//! What is known of each custom resource definition, so that a change of one reads none of the others again: their
//! schemas can be megabytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object::{get_str, meta};
use parking_lot::Mutex;
use serde_json::Value;

use crate::catalog::Resource;
use crate::crd::resources_of;
use crate::store::Object;

/// A definition, read.
pub struct Known {
    revision: u64,
    uid: String,
    /// Of its spec.
    pub generation: i64,
    /// `spec.group`.
    pub group: String,
    /// `spec.names.plural`.
    pub plural: String,
    /// `spec.names.kind`.
    pub kind: String,
    /// It is served.
    pub established: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// What it adds to the catalog while it is established, or why that is nothing.
    pub resources: Arc<Result<Vec<Resource>, String>>,
}

impl Known {
    fn read(object: &Object, old: Option<&Known>) -> Known {
        let value = object.value();
        let text = |path: &[&str]| get_str(&value, path).unwrap_or_default().to_owned();
        let mut known = Known {
            revision: object.revision,
            uid: meta::uid(&value).to_owned(),
            generation: meta::generation(&value),
            group: text(&["spec", "group"]),
            plural: text(&["spec", "names", "plural"]),
            kind: text(&["spec", "names", "kind"]),
            established: is_established(&value),
            terminating: meta::deletion_timestamp(&value).is_some(),
            resources: Arc::new(Ok(Vec::new())),
        };
        let identity =
            |known: &Known| (known.uid.clone(), known.generation, known.established, known.terminating);
        match old.filter(|old| identity(old) == identity(&known)) {
            Some(old) => known.resources = old.resources.clone(),
            None if known.established => known.resources = Arc::new(resources(&value)),
            None => {}
        }
        known
    }
}

fn resources(definition: &Value) -> Result<Vec<Resource>, String> {
    match schema::Crd::parse(definition) {
        Ok(parsed) => Ok(resources_of(definition, parsed)),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

fn is_established(definition: &Value) -> bool {
    meta::condition(definition, "Established").is_some_and(|c| get_str(c, &["status"]) == Some("True"))
}

/// All definitions that were read.
#[derive(Default)]
pub struct Definitions {
    known: Mutex<BTreeMap<String, Arc<Known>>>,
}

impl Definitions {
    /// What a definition says; read once for each of its revisions, its schema once for each generation.
    pub fn of(&self, object: &Object) -> Arc<Known> {
        let mut known = self.known.lock();
        let old = known.get(object.name());
        if let Some(old) = old.filter(|old| old.revision == object.revision) {
            return old.clone();
        }
        let new = Arc::new(Known::read(object, old.map(Arc::as_ref)));
        known.insert(object.name().to_owned(), new.clone());
        new
    }

    /// The same knowledge, for a cluster that begins with the same definitions.
    pub fn copy(&self) -> Definitions {
        Definitions { known: Mutex::new(self.known.lock().clone()) }
    }

    /// Forgets all but these.
    pub fn keep(&self, names: &BTreeSet<String>) {
        self.known.lock().retain(|name, _| names.contains(name));
    }
}
