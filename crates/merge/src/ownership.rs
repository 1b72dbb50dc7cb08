//! Who owns what of one object, and how writes move ownership.

use std::collections::BTreeMap;

use object::Value;
use schema::TypeRef;

use crate::combine;
use crate::element::Element;
use crate::set::FieldSet;
use crate::typed::{self, Comparison};

/// The fields of one manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The fields.
    pub set: FieldSet,
    /// The apiVersion whose fields these are.
    pub api_version: String,
    /// Whether they were applied (else written).
    pub applied: bool,
}

/// Managers and their fields. `K` names a manager.
pub type Owners<K> = BTreeMap<K, Owned>;

/// A conflict: the manager that owns the field, and the field.
pub type ConflictAt<K> = (K, Vec<Element>);

/// Why an apply fails.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure<K> {
    /// Others own fields that it changes.
    Conflicts(Vec<ConflictAt<K>>),
    /// The value does not merge or convert.
    Broken(String),
}

/// How objects of other versions are read; managed fields may have been written in any of them.
pub trait Versions {
    /// The type of objects in `api_version`; `None` when that version is gone.
    fn type_of(&self, api_version: &str) -> Option<TypeRef>;

    /// The object in `api_version`; `None` when that version is gone.
    ///
    /// # Errors
    /// When it cannot be converted.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String>;
}

/// All versions have one type; converting changes `apiVersion` alone.
pub struct OneType<'a>(pub &'a TypeRef);

impl Versions for OneType<'_> {
    fn type_of(&self, _: &str) -> Option<TypeRef> {
        Some(self.0.clone())
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Option<Value>, String> {
        let mut object = object.clone();
        if let Some(version) = object.get_mut("apiVersion") {
            *version = api_version.into();
        }
        Ok(Some(object))
    }
}

/// Structured merge of one kind of object.
pub struct Updater<'a> {
    /// Its versions.
    pub versions: &'a dyn Versions,
    /// Paths whose ownership is not tracked.
    pub ignored: &'a FieldSet,
}

/// An object in some version, with its type.
struct Typed {
    value: Value,
    ty: TypeRef,
}

impl Typed {
    fn set(&self) -> FieldSet {
        typed::field_set(self.ty.schema(), self.ty.id(), &self.value)
    }

    fn named(&self, set: &FieldSet) -> FieldSet {
        set.with_named_fields(self.ty.schema(), Some(self.ty.id()))
    }

    fn without(&self, gone: &FieldSet) -> Value {
        combine::remove(self.ty.schema(), self.ty.id(), &self.value, gone)
    }
}

impl Updater<'_> {
    fn typed<K>(&self, value: &Value, version: &str) -> Result<Option<Typed>, Failure<K>> {
        let value = self.versions.convert(value, version).map_err(Failure::Broken)?;
        Ok(value.zip(self.versions.type_of(version)).map(|(value, ty)| Typed { value, ty }))
    }

    fn need<K>(&self, version: &str) -> Result<TypeRef, Failure<K>> {
        self.versions
            .type_of(version)
            .ok_or_else(|| Failure::Broken(format!("no type for objects of version {version}")))
    }

    /// A plain write of `new` over `live`: what changed belongs to the manager, and to nobody else.
    ///
    /// # Errors
    /// When the objects cannot be converted.
    pub fn update<K: Ord + Clone>(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
        owners: Owners<K>,
        manager: &K,
    ) -> Result<Owners<K>, Failure<K>> {
        let owners = self.reconcile(owners)?;
        let (mut owners, compared) = self.transfer(live, new, version, owners, manager, true)?;
        let before = owners.remove(manager).map(|owned| owned.set).unwrap_or_default();
        let set = before
            .difference(&compared.removed)
            .union(&compared.modified)
            .union(&compared.added)
            .recursive_difference(self.ignored);
        if !set.is_empty() {
            owners.insert(manager.clone(), Owned { set, api_version: version.to_owned(), applied: false });
        }
        Ok(owners)
    }

    /// Server-side apply of `config` to `live`: what the manager applied before and does not any more goes,
    /// unless someone else owns it. `None` instead of an object means that nothing changes.
    ///
    /// # Errors
    /// On conflicts without `force`; when the objects do not merge or convert.
    pub fn apply<K: Ord + Clone>(
        &self,
        live: &Value,
        config: &Value,
        version: &str,
        owners: Owners<K>,
        manager: &K,
        force: bool,
    ) -> Result<(Option<Value>, Owners<K>), Failure<K>> {
        let mut owners = self.reconcile(owners)?;
        let ty = self.need(version)?;
        let merged = combine::merge(ty.schema(), ty.id(), live, config)
            .map_err(|error| Failure::Broken(format!("failed to merge config: {error}")))?;
        let set = typed::field_set(ty.schema(), ty.id(), config).recursive_difference(self.ignored);
        let owned = Owned { set, api_version: version.to_owned(), applied: true };
        let last = owners.insert(manager.clone(), owned);
        let pruned = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, &owners, version, &last)?,
            _ => merged,
        };
        // Alone, a manager has nobody to take anything from.
        if owners.keys().any(|key| key != manager) {
            owners = self.transfer(live, &pruned, version, owners, manager, force)?.0;
        } else {
            owners.retain(|_, owned| !owned.set.is_empty());
        }
        let changed = !crate::element::equal(live, &pruned);
        Ok((changed.then_some(pruned), owners))
    }

    /// Takes from all others what the write changes, and what it removes from everyone.
    fn transfer<K: Ord + Clone>(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
        mut owners: Owners<K>,
        manager: &K,
        force: bool,
    ) -> Result<(Owners<K>, Comparison), Failure<K>> {
        let ty = self.need(version)?;
        let own = typed::compare(ty.schema(), ty.id(), live, new).without(self.ignored);
        let mut by_version: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
        by_version.insert(version.to_owned(), Some(own));
        let mut conflicts = Vec::new();
        let mut next = Owners::new();
        for (key, owned) in std::mem::take(&mut owners) {
            if key == *manager {
                next.insert(key, owned);
                continue;
            }
            if !by_version.contains_key(&owned.api_version) {
                let compared = self.compare_in(live, new, &owned.api_version)?;
                by_version.insert(owned.api_version.clone(), compared);
            }
            // Whoever wrote in a version that is gone is forgotten.
            let Some(Some(compared)) = by_version.get(&owned.api_version) else { continue };
            let lost = owned.set.intersection(&compared.modified.union(&compared.added));
            if !lost.is_empty() && !force {
                conflicts.extend(lost.paths().into_iter().map(|path| (key.clone(), path)));
            }
            let set = owned.set.difference(&lost).difference(&compared.removed);
            if !set.is_empty() {
                next.insert(key, Owned { set, ..owned });
            }
        }
        if !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
        if next.get(manager).is_some_and(|owned| owned.set.is_empty()) {
            next.remove(manager);
        }
        let own = by_version.remove(version).flatten().unwrap_or_default();
        Ok((next, own))
    }

    fn compare_in<K>(
        &self,
        live: &Value,
        new: &Value,
        version: &str,
    ) -> Result<Option<Comparison>, Failure<K>> {
        let (Some(live), Some(new)) = (self.typed(live, version)?, self.typed(new, version)?) else {
            return Ok(None);
        };
        let compared = typed::compare(live.ty.schema(), live.ty.id(), &live.value, &new.value);
        Ok(Some(compared.without(self.ignored)))
    }

    /// Removes from `merged` what the manager applied last and does not apply now.
    fn prune<K: Ord + Clone>(
        &self,
        merged: Value,
        owners: &Owners<K>,
        version: &str,
        last: &Owned,
    ) -> Result<Value, Failure<K>> {
        let Some(at_last) = self.typed(&merged, &last.api_version)? else { return Ok(merged) };
        let pruned = at_last.without(&at_last.named(&last.set));
        let pruned = self.add_back_owned(&at_last.value, pruned, &last.api_version, owners)?;
        let pruned = self.add_back_dangling(&at_last, &pruned, last)?;
        match self.versions.convert(&pruned, version).map_err(Failure::Broken)? {
            Some(pruned) => Ok(pruned),
            None => Err(Failure::Broken(format!("no type for objects of version {version}"))),
        }
    }

    /// Puts back what pruning took and someone (the manager itself included) owns.
    fn add_back_owned<K: Ord + Clone>(
        &self,
        merged: &Value,
        pruned: Value,
        pruned_version: &str,
        owners: &Owners<K>,
    ) -> Result<Value, Failure<K>> {
        let mut by_version: BTreeMap<&str, FieldSet> = BTreeMap::new();
        for owned in owners.values() {
            let set = by_version.entry(&owned.api_version).or_default();
            *set = set.union(&owned.set);
        }
        let mut pruned = pruned;
        // First the version of the pruned object: what conversions need is then there again.
        let first = by_version.remove_entry(pruned_version);
        for (version, managed) in first.into_iter().chain(by_version) {
            let (Some(whole), Some(part)) =
                (self.typed::<K>(merged, version)?, self.typed::<K>(&pruned, version)?)
            else {
                continue;
            };
            let keep = part.named(&part.set()).union(&whole.named(&managed));
            pruned = whole.without(&whole.named(&whole.set()).difference(&keep));
        }
        Ok(pruned)
    }

    /// Puts back what pruning took and the manager never applied.
    fn add_back_dangling<K>(
        &self,
        merged: &Typed,
        pruned: &Value,
        last: &Owned,
    ) -> Result<Value, Failure<K>> {
        let Some(pruned) = self.typed(pruned, &last.api_version)? else { return Ok(merged.value.clone()) };
        let gone = merged.named(&merged.set()).difference(&merged.named(&pruned.set()));
        Ok(merged.without(&gone.intersection(&merged.named(&last.set))))
    }

    /// Brings ownership in line with types that changed since it was recorded.
    fn reconcile<K: Ord + Clone>(&self, owners: Owners<K>) -> Result<Owners<K>, Failure<K>> {
        let mut types: BTreeMap<String, Option<TypeRef>> = BTreeMap::new();
        let mut result = Owners::new();
        for (key, owned) in owners {
            let ty = types
                .entry(owned.api_version.clone())
                .or_insert_with_key(|version| self.versions.type_of(version));
            let Some(ty) = ty else { continue };
            let set = typed::reconcile(ty.schema(), ty.id(), &owned.set);
            result.insert(key, Owned { set: set.unwrap_or(owned.set), ..owned });
        }
        Ok(result)
    }
}

/// The fields of a value, as a manager that applied it would own them.
pub fn field_set(ty: &TypeRef, value: &Value) -> FieldSet {
    typed::field_set(ty.schema(), ty.id(), value)
}

/// The part of a value that a set of fields covers.
pub fn extract(ty: &TypeRef, value: &Value, set: &FieldSet) -> Value {
    combine::extract(ty.schema(), ty.id(), value, set)
}

/// The value without the paths of a set.
pub fn remove(ty: &TypeRef, value: &Value, gone: &FieldSet) -> Value {
    combine::remove(ty.schema(), ty.id(), value, gone)
}

/// Merges `right` into `left` as apply does, without regard to owners.
///
/// # Errors
/// When the right side holds an element twice, or elements without keys.
pub fn merge(ty: &TypeRef, left: &Value, right: &Value) -> Result<Value, String> {
    combine::merge(ty.schema(), ty.id(), left, right)
}

/// Checks a value against a type as apply does; the answers are `path: message`.
pub fn check(ty: &TypeRef, value: &Value, allow_duplicates: bool) -> Vec<String> {
    typed::validate(ty.schema(), ty.id(), value, allow_duplicates)
}

/// The paths that two values of a type differ in: removed, modified, added.
pub fn compare(ty: &TypeRef, left: &Value, right: &Value) -> (FieldSet, FieldSet, FieldSet) {
    let compared = typed::compare(ty.schema(), ty.id(), left, right);
    (compared.removed, compared.modified, compared.added)
}
