//! What an object is ([`Gvk`]) and which one it is ([`Key`]).

use std::fmt;

use crate::{Value, meta};

/// Group, version and kind.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: String,
    /// Version within the group.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Gvk {
    /// From its three parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Gvk { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// From an `apiVersion` (`v1`, `apps/v1`) and a kind.
    pub fn from_api_version(api_version: &str, kind: &str) -> Self {
        let (group, version) = split_api_version(api_version);
        Gvk::new(group, version, kind)
    }

    /// Of an object; missing parts are empty.
    pub fn of(object: &Value) -> Self {
        Self::from_api_version(meta::api_version(object), meta::kind(object))
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `Kind` or `Kind.group`: how kubectl and the API name a kind without its version.
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.api_version(), self.kind)
    }
}

/// Splits `apps/v1` into group and version; `v1` has the empty group.
pub(crate) fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// Which object: stable across the versions of its kind.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
pub struct Key {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty when the object is cluster-scoped (or has none yet).
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// An object that cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no JSON object.
    #[error("not a Kubernetes object: expected a mapping")]
    NotAnObject,
    /// `apiVersion` is missing, empty or no string.
    #[error("not a Kubernetes object: apiVersion is not set")]
    NoApiVersion,
    /// `kind` is missing, empty or no string.
    #[error("not a Kubernetes object: kind is not set")]
    NoKind,
    /// `metadata.name` is missing, empty or no string.
    #[error("{0}: metadata.name is not set")]
    NoName(Gvk),
}

impl Key {
    /// From its four parts.
    pub fn new(
        group: impl Into<String>,
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Key { group: group.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }
    }

    /// Of an object, which must have an apiVersion, a kind and a name.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn of(object: &Value) -> Result<Self, KeyError> {
        if !object.is_object() {
            return Err(KeyError::NotAnObject);
        }
        let api_version = meta::api_version(object);
        if api_version.is_empty() {
            return Err(KeyError::NoApiVersion);
        }
        let kind = meta::kind(object);
        if kind.is_empty() {
            return Err(KeyError::NoKind);
        }
        let name = meta::name(object);
        if name.is_empty() {
            return Err(KeyError::NoName(Gvk::of(object)));
        }
        Ok(Key::new(
            split_api_version(api_version).0,
            kind,
            meta::namespace(object).unwrap_or_default(),
            name,
        ))
    }

    /// `Kind.group`, or `Kind` in the core group.
    pub fn group_kind(&self) -> String {
        if self.group.is_empty() { self.kind.clone() } else { format!("{}.{}", self.kind, self.group) }
    }
}

impl fmt::Display for Key {
    /// `Kind/namespace/name` or `Kind/name`, as Flux and kubectl print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        }
    }
}
