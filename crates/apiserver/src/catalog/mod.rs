//! What is served: groups, versions and resources, built in or defined by custom resources.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::crd::CustomVersion;

/// One served resource in one version.
#[derive(Debug, Clone)]
pub struct Resource {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Version.
    pub version: Arc<str>,
    /// Plural name, as in URLs.
    pub name: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Kind of lists.
    pub list_kind: Arc<str>,
    /// Singular name.
    pub singular: Arc<str>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs.
    pub verbs: Vec<Arc<str>>,
    /// Short names.
    pub short_names: Vec<Arc<str>>,
    /// Categories.
    pub categories: Vec<Arc<str>>,
    /// Subresources.
    pub subresources: Vec<Subresource>,
    /// The table that objects are kept in (shared by all versions).
    pub table: Arc<str>,
    /// The `apiVersion` that objects are kept in.
    pub stored_as: Arc<str>,
    /// Tells clients that objects are kept in another version.
    pub storage_hash: Arc<str>,
    /// The definition, for custom resources.
    pub custom: Option<Arc<CustomVersion>>,
}

/// A subresource.
#[derive(Debug, Clone)]
pub struct Subresource {
    /// Its path segment.
    pub name: Arc<str>,
    /// Kind of its objects.
    pub kind: Arc<str>,
    /// `apiVersion` of its objects when it is not the resource's.
    pub api_version: Option<Arc<str>>,
    /// Verbs.
    pub verbs: Vec<Arc<str>>,
}

/// A served version of a group.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its name.
    pub name: Arc<str>,
    /// Its resources by plural name.
    pub resources: Vec<Arc<Resource>>,
}

/// A served group; versions by preference.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name, empty for core.
    pub name: Arc<str>,
    /// Its versions.
    pub versions: Vec<Version>,
}

/// Everything that is served at a moment.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Core first, then the built-in groups, then custom ones by name.
    pub groups: Vec<Group>,
    index: HashMap<(Arc<str>, Arc<str>, Arc<str>), Arc<Resource>>,
    /// Grows with every change, for entity tags.
    pub generation: u64,
}

impl Resource {
    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether a verb is served.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| &**v == verb)
    }

    /// One subresource.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| &*s.name == name)
    }

    /// Whether `spec` and `status` are written apart.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// The key of an object in the table.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced { format!("{namespace}/{name}") } else { name.to_owned() }
    }
}

/// `v1` or `group/version`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

impl Catalog {
    /// The built-in resources alone.
    pub fn builtin() -> Catalog {
        let mut catalog = Catalog::default();
        // As in Kubernetes, alpha and beta versions are off by default.
        let stable = |version: &str| VersionRank::of(version).0 == 0;
        for known in schema::builtin().resources().iter().filter(|r| stable(&r.version)) {
            catalog.add(builtin_resource(known));
        }
        catalog.index();
        catalog
    }

    /// The built-in resources and the given custom ones.
    pub fn with_custom(builtin: &Catalog, custom: Vec<Resource>, generation: u64) -> Catalog {
        let mut catalog = builtin.clone();
        catalog.generation = generation;
        let mut sorted: BTreeMap<(Arc<str>, VersionRank, Arc<str>), Resource> = BTreeMap::new();
        for resource in custom {
            let key = (resource.group.clone(), VersionRank::of(&resource.version), resource.name.clone());
            sorted.insert(key, resource);
        }
        for resource in sorted.into_values() {
            catalog.add(resource);
        }
        catalog.index();
        catalog
    }

    fn add(&mut self, resource: Resource) {
        let at = self.groups.iter().position(|g| g.name == resource.group);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group { name: resource.group.clone(), versions: Vec::new() });
            self.groups.len() - 1
        });
        let Some(group) = self.groups.get_mut(at) else { return };
        let at = group.versions.iter().position(|v| v.name == resource.version);
        let at = at.unwrap_or_else(|| {
            group.versions.push(Version { name: resource.version.clone(), resources: Vec::new() });
            group.versions.len() - 1
        });
        if let Some(version) = group.versions.get_mut(at) {
            version.resources.push(Arc::new(resource));
        }
    }

    fn index(&mut self) {
        self.index.clear();
        for group in &self.groups {
            for version in &group.versions {
                for resource in &version.resources {
                    let key = (group.name.clone(), version.name.clone(), resource.name.clone());
                    self.index.insert(key, resource.clone());
                }
            }
        }
    }

    /// A group by name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| &*g.name == name)
    }

    /// A version by group and name.
    pub fn version(&self, group: &str, version: &str) -> Option<&Version> {
        self.group(group)?.versions.iter().find(|v| &*v.name == version)
    }

    /// A resource by its path.
    pub fn find(&self, group: &str, version: &str, name: &str) -> Option<&Arc<Resource>> {
        self.index.get(&(group.into(), version.into(), name.into()))
    }

    /// A resource by kind.
    pub fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.version(group, version)?.resources.iter().find(|r| &*r.kind == kind)
    }

    /// Any version of a resource that lives in a table.
    pub fn by_table(&self, table: &str) -> Option<&Arc<Resource>> {
        self.all().find(|r| &*r.table == table)
    }

    /// Every resource in every version.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.groups.iter().flat_map(|g| g.versions.iter()).flat_map(|v| v.resources.iter())
    }
}

/// The order in which Kubernetes prefers versions: v2, v1, v1beta2, v1beta1, v1alpha1, others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionRank(u8, std::cmp::Reverse<u64>, std::cmp::Reverse<u64>, String);

impl VersionRank {
    /// The rank of a version name.
    pub fn of(version: &str) -> VersionRank {
        let other = || VersionRank(3, std::cmp::Reverse(0), std::cmp::Reverse(0), version.to_owned());
        let Some(rest) = version.strip_prefix('v') else { return other() };
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, stage) = rest.split_at(digits);
        let Ok(major) = major.parse::<u64>() else { return other() };
        let rank = |class, minor| {
            VersionRank(class, std::cmp::Reverse(major), std::cmp::Reverse(minor), String::new())
        };
        if stage.is_empty() {
            return rank(0, 0);
        }
        for (class, word) in [(1, "beta"), (2, "alpha")] {
            if let Some(minor) = stage.strip_prefix(word)
                && let Ok(minor) = minor.parse::<u64>()
            {
                return rank(class, minor);
            }
        }
        other()
    }
}

fn builtin_resource(known: &schema::Resource) -> Resource {
    let texts = |list: &[String]| list.iter().map(|t| Arc::from(t.as_str())).collect::<Vec<_>>();
    let (table, stored_as) = stored(&known.group, &known.version, &known.resource);
    Resource {
        group: known.group.as_str().into(),
        version: known.version.as_str().into(),
        name: known.resource.as_str().into(),
        kind: known.kind.as_str().into(),
        list_kind: format!("{}List", known.kind).into(),
        singular: known.singular.as_str().into(),
        namespaced: known.namespaced,
        verbs: texts(&known.verbs),
        short_names: texts(&known.short_names),
        categories: texts(&known.categories),
        subresources: known.subresources.iter().map(builtin_subresource).collect(),
        table,
        stored_as,
        storage_hash: known.storage_version_hash.as_str().into(),
        custom: None,
    }
}

fn builtin_subresource(known: &schema::Subresource) -> Subresource {
    Subresource {
        name: known.name.as_str().into(),
        kind: known.kind.as_str().into(),
        api_version: (!known.version.is_empty()).then(|| api_version(&known.group, &known.version).into()),
        verbs: known.verbs.iter().map(|v| Arc::from(v.as_str())).collect(),
    }
}

/// Where a built-in resource is kept. Events of both groups share one table, and so do the versions
/// of autoscalers.
fn stored(group: &str, version: &str, name: &str) -> (Arc<str>, Arc<str>) {
    match (group, name) {
        ("events.k8s.io", "events") => ("events".into(), "v1".into()),
        ("autoscaling", _) => (format!("{name}.{group}").into(), "autoscaling/v2".into()),
        _ => (crate::status::group_resource(group, name).into(), api_version(group, version).into()),
    }
}
