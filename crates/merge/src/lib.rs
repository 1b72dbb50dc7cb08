//! Server-side apply: field sets, managed fields and structured merge.
//!
//! Everything is pure: the live object, what a manager sends, the manager and the type go in, the merged
//! object with its `metadata.managedFields` comes out. [`apply`] and [`update`] do what the API server does
//! around a write; [`Updater`] is the structured merge below them, for any way of naming managers.

mod combine;
mod element;
mod managed;
mod ownership;
mod set;
mod typed;

use std::sync::OnceLock;

use object::{Value, get, meta};
use schema::TypeRef;

pub use element::{Element, ElementError};
use managed::Managed;
pub use managed::ManagerKey;
pub use ownership::{
    ConflictAt, Failure, OneType, Owned, Owners, Updater, Versions, check, compare, extract, field_set,
    merge, remove,
};
pub use set::{FieldSet, path_text};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL: &str = "kubectl";
/// Who owns what was there before the first apply to an object without managed fields.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Most plain writers that are told apart.
const MAX_WRITERS: usize = 10;
/// Largest size of all annotations together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Who writes, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Name of the field manager.
    pub name: String,
    /// apiVersion in which the request is made.
    pub api_version: String,
    /// Subresource written to; empty for the object itself.
    pub subresource: String,
    /// The time of the request, RFC 3339 in UTC with seconds.
    pub time: String,
}

impl Manager {
    fn key(&self, name: &str, applied: bool) -> ManagerKey {
        ManagerKey {
            name: if name.is_empty() { "unknown".to_owned() } else { name.to_owned() },
            applied,
            api_version: if applied { String::new() } else { self.api_version.clone() },
            subresource: self.subresource.clone(),
        }
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The merged object, managed fields included.
    pub object: Value,
    /// Whether it differs from the live object, the times of managed fields aside.
    pub changed: bool,
}

/// A field that someone else owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The other manager as messages name it.
    pub manager: String,
    /// Path of the field (`.spec.replicas`).
    pub field: String,
}

impl Conflict {
    /// The `message` of the cause in a Status.
    pub fn message(&self) -> String {
        format!("conflict with {}", self.manager)
    }
}

/// Why a write is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Fields belong to others: 409 Conflict.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The request is wrong: 400.
    #[error("{0}")]
    Invalid(String),
    /// Objects do not fit their type or cannot be converted: 500.
    #[error("{0}")]
    Internal(String),
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", only.manager, only.field);
    }
    let mut managers: Vec<&str> = conflicts.iter().map(|conflict| conflict.manager.as_str()).collect();
    managers.sort_unstable();
    managers.dedup();
    let mut lines = Vec::new();
    for manager in managers {
        lines.push(format!("conflicts with {manager}:"));
        let fields = conflicts.iter().filter(|conflict| conflict.manager == manager);
        lines.extend(fields.map(|conflict| format!("- {}", conflict.field)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// Metadata that nobody owns.
fn stripped() -> &'static FieldSet {
    static STRIPPED: OnceLock<FieldSet> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        FieldSet::of_fields(&[
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ])
    })
}

/// `namespace/name; group/version, Kind=kind`, as messages name an object.
fn shown(object: &Value) -> String {
    let gvk = object::Gvk::of(object);
    format!(
        "{}/{}; {}/{}, Kind={}",
        meta::namespace(object).unwrap_or_default(),
        meta::name(object),
        gvk.group,
        gvk.version,
        gvk.kind
    )
}

/// What a new object is compared with: an object of its kind in which nothing is set. In kinds that the API
/// server holds in Go structures some fields are there even then, and nobody comes to own them.
fn nothing_yet(object: &Value, ty: &TypeRef) -> Value {
    let mut empty = serde_json::json!({"apiVersion": object["apiVersion"], "kind": object["kind"]});
    // Nothing is set, so that nothing can have the wrong type.
    let decoded = schema::native::decode(ty, &mut empty);
    debug_assert!(decoded.is_ok(), "an empty object has no errors");
    empty
}

fn joined(errors: &[String]) -> String {
    match errors {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    }
}

fn without_managed_fields(object: &Value) -> Value {
    let mut object = object.clone();
    object::remove(&mut object, &["metadata", "managedFields"]);
    object
}

fn strip(managed: &mut Managed, key: &ManagerKey) {
    if let Some(owned) = managed.owners.get_mut(key) {
        owned.set = owned.set.difference(stripped());
        if owned.set.is_empty() {
            managed.owners.remove(key);
        }
    }
}

/// Server-side apply when all versions of the kind have the same fields (or there is one version).
///
/// `ignored` are paths that this endpoint does not write (`status` on the main resource): they are left out of
/// what is applied. Defaults are not set: the caller does that with the answer.
///
/// # Errors
/// On conflicts without `force`, and when the applied object is malformed.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    ty: &TypeRef,
    ignored: &[&[&str]],
) -> Result<Applied, Error> {
    apply_versions(live, applied, manager, force, &OneType(ty), ignored)
}

/// As [`apply`], for a kind whose versions differ.
///
/// # Errors
/// As [`apply`].
pub fn apply_versions(
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    versions: &dyn Versions,
    ignored: &[&[&str]],
) -> Result<Applied, Error> {
    if meta::api_version(applied) != manager.api_version {
        return Err(Error::Invalid(format!(
            "Incorrect version specified in apply patch. Specified patch version: {}, expected: {}",
            meta::api_version(applied),
            manager.api_version
        )));
    }
    if get(applied, &["metadata", "managedFields"]).is_some_and(|fields| !fields.is_null()) {
        return Err(Error::Invalid("metadata.managedFields must be nil".to_owned()));
    }
    let mut config = applied.clone();
    for path in ignored {
        object::remove(&mut config, path);
    }
    let ty = versions
        .type_of(&manager.api_version)
        .ok_or_else(|| Error::Internal(format!("no type for objects of version {}", manager.api_version)))?;
    let errors = check(&ty, &config, false);
    if !errors.is_empty() {
        let message = joined(&errors);
        return Err(Error::Internal(format!(
            "failed to create typed patch object ({}): {message}",
            shown(&config)
        )));
    }
    let empty = nothing_yet(&config, &ty);
    let stored = live.map(without_managed_fields);
    let base = stored.as_ref().unwrap_or(&empty);
    let mut managed = match live {
        Some(live) => Managed::of(live)
            .map_err(|error| Error::Internal(format!("failed to decode managed fields: {error}")))?,
        None => Managed::default(),
    };
    let ignored_set = FieldSet::of_fields(ignored);
    let updater = Updater { versions, ignored: &ignored_set };
    if live.is_some() && managed.owners.is_empty() {
        record(&updater, &empty, base, manager, BEFORE_FIRST_APPLY, &mut managed)?;
    }
    let key = manager.key(&manager.name, true);
    let attempt = |force: bool, owners: Owners<ManagerKey>| {
        updater.apply(base, &config, &manager.api_version, owners, &key, force)
    };
    let result = match attempt(force, managed.owners.clone()) {
        Err(Failure::Conflicts(conflicts)) if manager.name == KUBECTL => {
            // kubectl takes over what its client-side apply wrote.
            let allowed = last_applied_fields(base, manager, &ty);
            let rest: Vec<_> = conflicts
                .into_iter()
                .filter(|(_, path)| !allowed.as_ref().is_some_and(|allowed| allowed.has(path)))
                .collect();
            if rest.is_empty() {
                attempt(true, managed.owners.clone())
            } else {
                Err(Failure::Conflicts(rest))
            }
        }
        other => other,
    };
    let (new, owners) = result.map_err(refused)?;
    let before = (managed.owners.clone(), live.is_some());
    managed.owners = owners;
    strip(&mut managed, &key);
    let mut changed = !before.1 || new.is_some() || managed.owners != before.0;
    if new.is_some() || live.is_none() {
        managed.times.insert(key, manager.time.clone());
    }
    let mut object = new.unwrap_or_else(|| base.clone());
    if manager.name == KUBECTL && meta::annotation(&object, LAST_APPLIED).is_some_and(|text| !text.is_empty())
    {
        changed |= sync_last_applied(&mut object, applied);
    }
    managed.write(&mut object);
    Ok(Applied { object, changed })
}

fn refused(failure: Failure<ManagerKey>) -> Error {
    match failure {
        Failure::Broken(message) => Error::Internal(message),
        Failure::Conflicts(conflicts) => Error::Conflicts(
            conflicts
                .into_iter()
                .map(|(key, path)| Conflict { manager: key.shown(), field: path_text(&path) })
                .collect(),
        ),
    }
}

/// The fields that client-side apply set and nobody changed since.
fn last_applied_fields(live: &Value, manager: &Manager, ty: &TypeRef) -> Option<FieldSet> {
    let last: Value = serde_json::from_str(meta::annotation(live, LAST_APPLIED)?).ok()?;
    if meta::api_version(&last) != manager.api_version || !check(ty, &last, false).is_empty() {
        return None;
    }
    let (removed, modified, added) = compare(ty, &last, live);
    Some(field_set(ty, &last).difference(&modified).difference(&added).difference(&removed))
}

/// Keeps the annotation of client-side apply in step; says whether it changed.
fn sync_last_applied(object: &mut Value, applied: &Value) -> bool {
    let mut plain = applied.clone();
    object::remove(&mut plain, &["metadata", "annotations", LAST_APPLIED]);
    let text = format!("{plain}\n");
    let before = meta::annotation(object, LAST_APPLIED).map(str::to_owned);
    meta::set_annotation(object, LAST_APPLIED, &text);
    let size: usize = meta::annotations(object)
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MAX_ANNOTATIONS {
        object::remove(object, &["metadata", "annotations", LAST_APPLIED]);
        return true;
    }
    before.as_deref() != Some(&text)
}

/// Records a plain write under a manager's name.
fn record(
    updater: &Updater<'_>,
    live: &Value,
    new: &Value,
    manager: &Manager,
    name: &str,
    managed: &mut Managed,
) -> Result<(), Error> {
    let key = manager.key(name, false);
    // The write is recorded under a name of its own first: only what it changes becomes the manager's.
    let own = ManagerKey { name: "current-operation".to_owned(), ..key.clone() };
    let owners = std::mem::take(&mut managed.owners);
    managed.owners = updater.update(live, new, &manager.api_version, owners, &own).map_err(refused)?;
    strip(managed, &own);
    if let Some(written) = managed.owners.remove(&own) {
        let set = match managed.owners.get(&key) {
            Some(before) => written.set.union(&before.set),
            None => written.set,
        };
        managed.owners.insert(key.clone(), Owned { set, ..written });
        managed.times.insert(key, manager.time.clone());
    }
    managed.cap_writers(MAX_WRITERS);
    Ok(())
}

/// Records who owns what after a create, update or patch: `new` is the object as it will be stored. The answer
/// is `new` with its managed fields. Managed fields that the request itself carries are honoured on the main
/// resource: an empty list (or one empty entry) clears them.
///
/// # Errors
/// When objects cannot be converted.
pub fn update(
    live: Option<&Value>,
    new: &Value,
    manager: &Manager,
    ty: &TypeRef,
    ignored: &[&[&str]],
) -> Result<Value, Error> {
    update_versions(live, new, manager, &OneType(ty), ignored)
}

/// As [`update`] for a new object of a type whose empty object is not quite empty: built-in kinds write some
/// fields even when nothing was set, and nobody owns these. `empty` is such an object.
///
/// # Errors
/// As [`update`].
pub fn create(
    empty: &Value,
    new: &Value,
    manager: &Manager,
    ty: &TypeRef,
    ignored: &[&[&str]],
) -> Result<Value, Error> {
    let mut managed = requested(None, new, !manager.subresource.is_empty());
    let mut object = without_managed_fields(new);
    let ignored = FieldSet::of_fields(ignored);
    let updater = Updater { versions: &OneType(ty), ignored: &ignored };
    record(&updater, empty, &object, manager, &manager.name, &mut managed)?;
    managed.write(&mut object);
    Ok(object)
}

/// As [`update`], for a kind whose versions differ.
///
/// # Errors
/// As [`update`].
pub fn update_versions(
    live: Option<&Value>,
    new: &Value,
    manager: &Manager,
    versions: &dyn Versions,
    ignored: &[&[&str]],
) -> Result<Value, Error> {
    let mut managed = requested(live, new, !manager.subresource.is_empty());
    let mut object = without_managed_fields(new);
    // An object whose owners were never tracked, or were cleared, stays so until someone applies.
    if managed.owners.is_empty() && live.is_some() {
        return Ok(object);
    }
    let base = match (live, versions.type_of(&manager.api_version)) {
        (Some(live), _) => without_managed_fields(live),
        (None, Some(ty)) => nothing_yet(&object, &ty),
        (None, None) => Value::Object(object::Map::new()),
    };
    let ignored = FieldSet::of_fields(ignored);
    let updater = Updater { versions, ignored: &ignored };
    record(&updater, &base, &object, manager, &manager.name, &mut managed)?;
    managed.write(&mut object);
    Ok(object)
}

/// The managed fields that a write starts from: those that it carries, or else the live ones.
fn requested(live: Option<&Value>, new: &Value, subresource: bool) -> Managed {
    let stored = || live.and_then(|live| Managed::of(live).ok()).unwrap_or_default();
    if subresource {
        return stored();
    }
    if let Some(Value::Array(entries)) = get(new, &["metadata", "managedFields"]) {
        let cleared = match entries.as_slice() {
            [] => true,
            [Value::Object(only)] => only.is_empty(),
            _ => false,
        };
        if cleared {
            return Managed::default();
        }
    }
    match Managed::of(new) {
        Ok(managed) if !managed.owners.is_empty() => managed,
        _ => stored(),
    }
}

/// Whether applying would change anything but the times of managed fields.
///
/// # Errors
/// As [`apply`].
pub fn would_change(
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
    ty: &TypeRef,
) -> Result<bool, Error> {
    apply(live, applied, manager, force, ty, &[]).map(|applied| applied.changed)
}
