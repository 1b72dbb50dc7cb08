//! What was applied, so that what is as it should be costs no request.
//!
//! What was applied is remembered with what was live afterwards. As long as neither differs, nothing is sent. When
//! the live object differs, and right after a start, when nothing is remembered, its managed fields tell whether an
//! apply would change anything.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use cluster::Store;
use object::{Gvk, Key, Value, meta};
use schema::TypeRef;

struct Remembered {
    desired: u64,
    live: u64,
}

/// How objects are applied everywhere.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    /// Annotations that ask for something once: they are nobody's configuration, so whoever sets one with kubectl keeps
    /// it, and it is not taken away before it was seen.
    pub requests: &'static [&'static str],
    /// Managers whose fields are taken over, besides kubectl's.
    pub overrides: Vec<String>,
    /// Kinds (group and kind) that are applied, and waited for, before the rest.
    pub custom_stages: Vec<(String, String)>,
}

/// What was applied by whom.
pub struct Memory {
    habits: Habits,
    known: Mutex<HashMap<(String, Key), Remembered>>,
    /// The types of custom kinds; `None` where there is no usable definition.
    types: Mutex<HashMap<Gvk, Option<TypeRef>>>,
}

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

/// The live object without what changes by itself.
pub fn essence(live: &Value) -> u64 {
    let mut live = live.clone();
    object::remove(&mut live, &["status"]);
    for field in ["resourceVersion", "generation", "managedFields"] {
        object::remove(&mut live, &["metadata", field]);
    }
    digest(&live)
}

impl Memory {
    /// Nothing applied yet. `requests` are annotations that ask for something once.
    pub fn new(requests: &'static [&'static str]) -> Memory {
        Memory::with(Habits { requests, ..Habits::default() })
    }

    /// Nothing applied yet.
    pub fn with(habits: Habits) -> Memory {
        Memory { habits, known: Mutex::default(), types: Mutex::default() }
    }

    /// How objects are applied.
    pub fn habits(&self) -> &Habits {
        &self.habits
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, Key), Remembered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an object that was applied, and what was live then.
    pub fn remember(&self, manager: &str, key: &Key, desired: &Value, live: &Value) {
        let entry = Remembered { desired: digest(desired), live: essence(live) };
        self.lock().insert((manager.to_owned(), key.clone()), entry);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, manager: &str, key: &Key) {
        self.lock().remove(&(manager.to_owned(), key.clone()));
    }

    /// Forgets the types of a group whose definitions changed.
    pub fn forget_types(&self, group: &str) {
        self.types.lock().unwrap_or_else(PoisonError::into_inner).retain(|gvk, _| gvk.group != group);
    }

    /// Was exactly `desired` applied, and is what is live still what came of it?
    pub fn is_settled(&self, manager: &str, key: &Key, live: &Value, desired: &Value) -> bool {
        let slot = (manager.to_owned(), key.clone());
        let known = self.lock().get(&slot).map(|known| (known.desired, known.live));
        known.is_some_and(|(was, then)| was == digest(desired) && then == essence(live))
    }

    /// Gives an object the defaults that the server would give it, as far as its kind is known.
    pub fn default(&self, store: &Store, object: &mut Value) {
        let gvk = Gvk::of(object);
        if gvk.kind == "CustomResourceDefinition" && gvk.group == "apiextensions.k8s.io" {
            schema::crd::default_definition(object);
        } else if let Some(ty) = schema::builtin().type_of(&gvk) {
            // What cannot be decoded is refused by the server with a better message.
            if let Err(why) = schema::native::decode(&ty, object) {
                tracing::debug!(%gvk, why, "an object cannot be decoded");
            }
            schema::native::default(&gvk, object);
        } else if let Some(crd) = custom_definition(store, &gvk)
            && let Some(version) = crd.version(&gvk.version)
        {
            version.structural.default(object);
        }
    }

    /// Would applying `desired` change `live`? `true` when that is not known.
    pub fn would_change(&self, store: &Store, manager: &str, live: &Value, desired: &Value) -> bool {
        let Ok(key) = Key::of(desired) else { return true };
        let slot = (manager.to_owned(), key);
        let Some((was_desired, was_live)) = self.lock().get(&slot).map(|known| (known.desired, known.live))
        else {
            return self.cold_change(store, manager, live, desired);
        };
        if was_desired != digest(desired) {
            return true;
        }
        let now = essence(live);
        if was_live == now {
            return false;
        }
        // Somebody wrote to it. A finalizer or a field of their own is theirs to write; what is ours, or what kubectl
        // left there, is looked at with an apply.
        if crate::ownership::holds_foreign_fields(live, manager, &self.habits)
            || self.cold_change(store, manager, live, desired)
        {
            return true;
        }
        if let Some(known) = self.lock().get_mut(&slot) {
            known.live = now;
        }
        false
    }

    /// The same question right after a start: answered from the object's managed fields. Kinds whose types
    /// are not known are applied once.
    fn cold_change(&self, store: &Store, manager: &str, live: &Value, desired: &Value) -> bool {
        let Some(ty) = self.type_of(store, &Gvk::of(desired)) else { return true };
        let manager = merge::Manager {
            name: manager.to_owned(),
            api_version: meta::api_version(desired).to_owned(),
            subresource: String::new(),
            time: String::new(),
        };
        merge::would_change(Some(live), desired, &manager, true, &ty).unwrap_or(true)
    }

    /// The type of a kind; everything is deduced from the values where it is not known.
    pub fn type_or_deduced(&self, store: &Store, gvk: &Gvk) -> TypeRef {
        self.type_of(store, gvk).unwrap_or_else(TypeRef::deduced)
    }

    fn type_of(&self, store: &Store, gvk: &Gvk) -> Option<TypeRef> {
        if let Some(ty) = schema::builtin().type_of(gvk) {
            return Some(ty);
        }
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = types.get(gvk) {
            return known.clone();
        }
        let ty = custom_type(store, gvk);
        types.insert(gvk.clone(), ty.clone());
        ty
    }
}

/// The kind of definitions of custom kinds.
pub fn definition() -> Gvk {
    Gvk::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
}

/// The definition of a custom kind in the store.
fn custom_definition(store: &Store, gvk: &Gvk) -> Option<schema::crd::Crd> {
    let definition = definition();
    let suffix = format!(".{}", gvk.group);
    let of_group = store.keys(&definition.group, &definition.kind).into_iter();
    let mut found = of_group.filter(|key| key.name.ends_with(&suffix)).filter_map(|key| store.get(&key));
    let live = found.find(|live| object::get_str(live, &["spec", "names", "kind"]) == Some(&gvk.kind))?;
    schema::crd::Crd::parse(&live).ok()
}

/// The type of a custom kind, from its definition in the store.
fn custom_type(store: &Store, gvk: &Gvk) -> Option<TypeRef> {
    let crd = custom_definition(store, gvk)?;
    crd.version(&gvk.version).map(|version| version.structural.type_ref().clone())
}
