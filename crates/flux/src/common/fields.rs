//! Reading fields of a spec, with Flux's defaults.

use std::time::Duration;

pub use delivery::fields::{bool_at, str_at, string_map, strings_at};
use object::{Key, Value, get, get_str, meta};

/// The same, sorted.
pub fn sorted_strings(value: &Value, path: &[&str]) -> Vec<String> {
    let mut strings = strings_at(value, path);
    strings.sort();
    strings
}

/// Reads a duration; negative ones and bare numbers are none, `0` is one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    gotime::duration::span(text).ok()
}

/// The duration at a path, if it is there and readable.
pub fn duration_at(value: &Value, path: &[&str]) -> Option<Duration> {
    get_str(value, path).and_then(parse_duration)
}

/// `spec.interval`; a missing or unreadable one is the given default.
pub fn interval(object: &Value, default: Duration) -> Duration {
    duration_at(object, &["spec", "interval"]).filter(|interval| !interval.is_zero()).unwrap_or(default)
}

/// A reference to another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Its kind.
    pub kind: String,
    /// Its namespace: the given one or the referrer's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The namespace that part of a spec names, or the object's own.
pub fn namespace_of<'a>(object: &'a Value, given: &'a str) -> &'a str {
    if given.is_empty() { meta::namespace(object).unwrap_or_default() } else { given }
}

/// The reference at a path.
pub fn reference(object: &Value, path: &[&str]) -> Option<Reference> {
    let found = get(object, path).filter(|found| found.is_object())?;
    Some(Reference {
        kind: str_at(found, &["kind"]).to_owned(),
        namespace: namespace_of(object, str_at(found, &["namespace"])).to_owned(),
        name: str_at(found, &["name"]).to_owned(),
    })
}

/// The unit that applied this object, from its labels.
pub fn parent(object: &Value) -> Option<Key> {
    for (group, kind) in
        [("kustomize.toolkit.fluxcd.io", "Kustomization"), ("helm.toolkit.fluxcd.io", "HelmRelease")]
    {
        let name = meta::label(object, &format!("{group}/name"));
        let namespace = meta::label(object, &format!("{group}/namespace"));
        if let (Some(name), Some(namespace)) = (name, namespace) {
            let key = Key::new(group, kind, namespace, name);
            // The root applies itself.
            if Key::of(object).is_ok_and(|own| own != key) {
                return Some(key);
            }
        }
    }
    None
}
