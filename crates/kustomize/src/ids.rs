//! How resources are named: group, version, kind, namespace, name.

use crate::schema::Schema;

/// Group, version and kind; empty parts match anything when used to select.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord, serde::Deserialize, serde::Serialize,
)]
#[serde(default)]
pub(crate) struct Gvk {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// The group and the version of an `apiVersion`.
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

impl Gvk {
    pub fn new(api_version: &str, kind: &str) -> Gvk {
        let (group, version) = split_api_version(api_version);
        Gvk { group: group.to_owned(), version: version.to_owned(), kind: kind.to_owned() }
    }

    pub fn kind(kind: &str) -> Gvk {
        Gvk { kind: kind.to_owned(), ..Gvk::default() }
    }

    /// Does this one fit the selector?
    pub fn is_selected(&self, selector: &Gvk) -> bool {
        fits(&self.kind, &selector.kind)
            && fits(&self.group, &selector.group)
            && fits(&self.version, &selector.version)
    }

    /// The order of field tables: kinds that others need first.
    pub fn sort_key(&self) -> (i32, String) {
        let part = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        let text =
            format!("{}_{}_{}", part(&self.group, "~G"), part(&self.version, "~V"), part(&self.kind, "~K"));
        (crate::sort::default_rank(&self.kind), text)
    }
}

fn fits(value: &str, wanted: &str) -> bool {
    wanted.is_empty() || value == wanted
}

impl std::fmt::Display for Gvk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part =
            |text: &str, none: &'static str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        write!(
            f,
            "{}.{}.{}",
            part(&self.kind, "[noKind]"),
            part(&self.version, "[noVer]"),
            part(&self.group, "[noGrp]")
        )
    }
}

/// The namespace that stands for "has none".
pub(crate) const CLUSTER: &str = "_non_namespaceable_";

/// One resource's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct ResId {
    pub gvk: Gvk,
    pub name: String,
    pub namespace: String,
    pub cluster_scoped: bool,
}

impl ResId {
    pub fn new(gvk: Gvk, name: &str, namespace: &str, schema: &Schema) -> ResId {
        let cluster_scoped = schema.is_cluster_scoped(&gvk);
        ResId { gvk, name: name.to_owned(), namespace: namespace.to_owned(), cluster_scoped }
    }

    /// The namespace it counts as being in.
    pub fn effective_namespace(&self) -> &str {
        if self.cluster_scoped {
            CLUSTER
        } else if self.namespace.is_empty() {
            "default"
        } else {
            &self.namespace
        }
    }

    pub fn same_namespace(&self, other: &ResId) -> bool {
        self.effective_namespace() == other.effective_namespace()
    }

    /// Same kind, name and namespace, "" and `default` being one namespace.
    pub fn equals(&self, other: &ResId) -> bool {
        self.name == other.name && self.gvk == other.gvk && self.same_namespace(other)
    }

    pub fn is_selected_by(&self, selector: &ResId) -> bool {
        fits(&self.name, &selector.name)
            && (selector.namespace.is_empty() || selector.same_namespace(self))
            && self.gvk.is_selected(&selector.gvk)
    }

    /// What two resources of one set must not share.
    pub fn key(&self) -> (Gvk, String, String) {
        (self.gvk.clone(), self.name.clone(), self.effective_namespace().to_owned())
    }
}

impl std::fmt::Display for ResId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.name.is_empty() { "[noName]" } else { &self.name };
        let namespace = if self.namespace.is_empty() { "[noNs]" } else { &self.namespace };
        write!(f, "{}/{name}.{namespace}", self.gvk)
    }
}
