//! Which release an object belongs to.

use crate::error::quote;
use serde_json::{Map, Value};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The release an object says it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The release's name.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
}

impl Owned {
    /// Reads the marks; `None` when they are not all there.
    pub fn of(object: &Value) -> Option<Owned> {
        if mark(object, "labels", MANAGED_BY)? != "Helm" {
            return None;
        }
        Some(Owned {
            release: mark(object, "annotations", RELEASE_NAME)?.to_owned(),
            namespace: mark(object, "annotations", RELEASE_NAMESPACE)?.to_owned(),
        })
    }
}

fn mark<'o>(object: &'o Value, place: &str, key: &str) -> Option<&'o str> {
    object.get("metadata")?.get(place)?.get(key)?.as_str()
}

/// Marks an object as belonging to a release.
pub fn mark_owned(object: &mut Value, release: &str, namespace: &str) {
    put(object, "labels", MANAGED_BY, "Helm");
    put(object, "annotations", RELEASE_NAME, release);
    put(object, "annotations", RELEASE_NAMESPACE, namespace);
}

fn put(object: &mut Value, place: &str, key: &str, value: &str) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = table(object, "metadata");
    table(metadata, place).insert(key.to_owned(), Value::from(value));
}

/// The table of that name, made when there is none (or null).
fn table<'o>(object: &'o mut Map<String, Value>, name: &str) -> &'o mut Map<String, Value> {
    let entry = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    match entry {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

/// Whether an object that exists may be taken into a release: `Err` says, in Helm's words, what is wrong
/// with its marks.
pub fn check_ownership(object: &Value, release: &str, namespace: &str) -> Result<(), String> {
    let wanted = [
        ("label", "labels", MANAGED_BY, "Helm"),
        ("annotation", "annotations", RELEASE_NAME, release),
        ("annotation", "annotations", RELEASE_NAMESPACE, namespace),
    ];
    let mut text = "invalid ownership metadata".to_owned();
    let mut wrong = false;
    for (kind, place, key, value) in wanted {
        let problem = match mark(object, place, key) {
            None => format!("missing key {}: must be set to {}", quote(key), quote(value)),
            Some(found) if found != value => {
                format!("key {} must equal {}: current value is {}", quote(key), quote(value), quote(found))
            }
            Some(_) => continue,
        };
        wrong = true;
        text.push_str(&format!("; {kind} validation error: {problem}"));
    }
    if wrong { Err(text) } else { Ok(()) }
}

/// Helm's words for an object in the way of an installation.
pub fn conflict_text(kind: &str, name: &str, namespace: &str, reason: &str) -> String {
    format!(
        "Unable to continue with install: {kind} {} in namespace {} exists and cannot be imported into the current release: {reason}",
        quote(name),
        quote(namespace)
    )
}
