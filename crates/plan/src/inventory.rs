//! Inventory entries as Flux writes them: `<namespace>_<name>_<group>_<kind>` and a version.

use object::{Gvk, Key};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An object in an inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Which object.
    pub key: Key,
    /// In which version of its group it was applied.
    pub version: String,
}

/// An inventory id that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an inventory id (<namespace>_<name>_<group>_<kind>)")]
pub struct BadId(pub String);

impl ObjectRef {
    /// Of an object.
    pub fn of(object: &Value) -> Result<ObjectRef, object::KeyError> {
        Ok(ObjectRef { key: Key::of(object)?, version: Gvk::of(object).version })
    }

    /// The kind with group and version.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.key.group.clone(), self.version.clone(), self.key.kind.clone())
    }

    /// The id. Names of RBAC objects may hold colons, which an id must not.
    pub fn id(&self) -> String {
        let name = if self.key.group == "rbac.authorization.k8s.io" {
            self.key.name.replace(':', "__")
        } else {
            self.key.name.clone()
        };
        format!("{}_{}_{}_{}", self.key.namespace, name, self.key.group, self.key.kind)
    }

    /// The entry of a status.
    pub fn entry(&self) -> Value {
        json!({"id": self.id(), "v": self.version})
    }

    /// Reads an id. No part but an RBAC name can hold an underscore.
    pub fn parse(id: &str, version: &str) -> Result<ObjectRef, BadId> {
        let bad = || BadId(id.to_owned());
        let (namespace, rest) = id.split_once('_').ok_or_else(bad)?;
        let (rest, kind) = rest.rsplit_once('_').ok_or_else(bad)?;
        let (name, group) = rest.rsplit_once('_').ok_or_else(bad)?;
        if name.is_empty() || kind.is_empty() {
            return Err(bad());
        }
        let name =
            if group == "rbac.authorization.k8s.io" { name.replace("__", ":") } else { name.to_owned() };
        Ok(ObjectRef { key: Key::new(group, kind, namespace, name), version: version.to_owned() })
    }

    /// What an inventory must hold before `objects` are applied: what is `known`, and what is new. Whoever writes it
    /// down first loses sight of nothing, whatever ends the work half-way. `None` when nothing is new.
    pub fn foreseen(objects: &[Value], known: &[ObjectRef]) -> Option<Vec<ObjectRef>> {
        let keys: BTreeSet<&Key> = known.iter().map(|entry| &entry.key).collect();
        let refs = objects.iter().filter_map(|object| ObjectRef::of(object).ok());
        let fresh: Vec<ObjectRef> = refs.filter(|entry| !keys.contains(&entry.key)).collect();
        (!fresh.is_empty()).then(|| known.iter().cloned().chain(fresh).collect())
    }

    /// Reads the `entries` of a status.
    pub fn parse_entries(inventory: Option<&Value>) -> Result<Vec<ObjectRef>, BadId> {
        let entries = inventory.and_then(|inventory| inventory.get("entries")).and_then(Value::as_array);
        let mut found = Vec::new();
        for entry in entries.into_iter().flatten() {
            let id = object::get_str(entry, &["id"]).unwrap_or_default();
            found.push(ObjectRef::parse(id, object::get_str(entry, &["v"]).unwrap_or_default())?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_foreseen() {
        let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let known = [ObjectRef::of(&map("a")).unwrap(), ObjectRef::of(&map("gone")).unwrap()];
        assert_eq!(ObjectRef::foreseen(&[map("a")], &known), None);
        let names = |refs: Vec<ObjectRef>| refs.into_iter().map(|entry| entry.key.name).collect::<Vec<_>>();
        assert_eq!(
            ObjectRef::foreseen(&[map("b"), map("a")], &known).map(names).unwrap(),
            ["a", "gone", "b"]
        );
    }

    #[test]
    fn ids_there_and_back() {
        for (id, key) in [
            ("apps_web_apps_Deployment", Key::new("apps", "Deployment", "apps", "web")),
            ("_apps__Namespace", Key::new("", "Namespace", "", "apps")),
            (
                "_system__x_rbac.authorization.k8s.io_ClusterRole",
                Key::new("rbac.authorization.k8s.io", "ClusterRole", "", "system:x"),
            ),
        ] {
            let parsed = ObjectRef::parse(id, "v1").unwrap();
            assert_eq!(parsed.key, key);
            assert_eq!(parsed.id(), id);
        }
        assert!(ObjectRef::parse("nothing", "v1").is_err());
        assert!(ObjectRef::parse("a__b_c", "v1").is_err());
    }
}
