//! The kinds that Kubernetes itself serves: resource table and types, from generated facts.

use object::{Gvk, Value};

use crate::TypeRef;

/// A resource of one group and version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Plural name in paths.
    pub resource: String,
    /// Kind.
    pub kind: String,
    /// Singular name.
    pub singular: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Verbs, as discovery lists them.
    pub verbs: Vec<String>,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories.
    pub categories: Vec<String>,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// The hash that discovery shows for the storage version; empty when there is none.
    pub storage_version_hash: String,
}

impl Resource {
    /// Its group, version and kind.
    pub fn gvk(&self) -> Gvk {
        Gvk::new(&self.group, &self.version, &self.kind)
    }
}

/// A subresource: `status`, `scale`, `eviction` …
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subresource {
    /// Its name (without the resource's).
    pub name: String,
    /// Group of its kind.
    pub group: String,
    /// Version of its kind.
    pub version: String,
    /// Its kind.
    pub kind: String,
    /// Verbs.
    pub verbs: Vec<String>,
}

/// A group with its versions, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Group {
    /// Name; empty for the core group.
    pub name: String,
    /// Versions, preferred first.
    pub versions: Vec<String>,
}

/// Facts about all built-in kinds.
pub struct Builtin {
    groups: Vec<Group>,
    resources: Vec<Resource>,
}

/// The facts about the built-in kinds, read on first use.
pub fn builtin() -> &'static Builtin {
    static BUILTIN: std::sync::OnceLock<Builtin> = std::sync::OnceLock::new();
    BUILTIN.get_or_init(|| Builtin { groups: Vec::new(), resources: Vec::new() })
}

impl Builtin {
    /// The groups in the order of discovery.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// All resources, all versions, in the order of discovery.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The resource with this plural name.
    pub fn resource(&self, group: &str, version: &str, resource: &str) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|known| known.group == group && known.version == version && known.resource == resource)
    }

    /// The resource whose objects are of this kind.
    pub fn by_kind(&self, gvk: &Gvk) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|known| known.group == gvk.group && known.version == gvk.version && known.kind == gvk.kind)
    }

    /// The type of a kind's objects (also of kinds without a resource, such as `v1 Status`, when Kubernetes
    /// publishes them).
    pub fn type_of(&self, gvk: &Gvk) -> Option<TypeRef> {
        let _ = gvk;
        None
    }

    /// The OpenAPI v3 document of a group and version (`api/v1`, `apis/apps/v1`).
    pub fn openapi_v3(&self, path: &str) -> Option<Value> {
        let _ = path;
        None
    }

    /// The OpenAPI v2 document: definitions and the paths that kubectl looks at.
    pub fn openapi_v2(&self) -> Value {
        Value::Null
    }
}
