//! The kinds that Kubernetes itself serves: resource table and types, from generated facts.

mod compile;
pub(crate) use compile::{list_kind, map_type};

mod openapi;

use std::collections::HashMap;
use std::io::Read;
use std::sync::{OnceLock, RwLock};

use object::{Gvk, Value};

use crate::TypeRef;

static RESOURCES: &[u8] = include_bytes!("../data/resources.json.z");
static TYPES: &[u8] = include_bytes!("../data/types.tsv.z");

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
    by_kind: HashMap<(String, String, String), usize>,
    definitions: OnceLock<Definitions>,
    types: RwLock<HashMap<Gvk, TypeRef>>,
}

#[derive(serde::Deserialize)]
struct Tables {
    groups: Vec<Group>,
    resources: Vec<Resource>,
}

/// The published definitions, each still text: few of them are ever needed.
struct Definitions {
    text: String,
    /// Name to the place of its schema.
    by_name: HashMap<String, std::ops::Range<usize>>,
    /// `group/version/kind` to name.
    by_kind: HashMap<String, String>,
}

/// Unpacks data that is part of the program. It was packed by our own generator, so that failing to read it
/// means a broken build, which every test notices: the answer is then empty.
pub(crate) fn inflate(bytes: &[u8]) -> String {
    let mut text = String::new();
    let read = flate2::read::ZlibDecoder::new(bytes).read_to_string(&mut text);
    debug_assert!(read.is_ok(), "embedded data is damaged");
    text
}

impl Definitions {
    fn read() -> Self {
        let text = inflate(TYPES);
        let (mut by_name, mut by_kind) = (HashMap::new(), HashMap::new());
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let mut parts = line.splitn(3, '\t');
            if let (Some(name), Some(kinds), Some(schema)) = (parts.next(), parts.next(), parts.next()) {
                let from = start + name.len() + kinds.len() + 2;
                by_name.insert(name.to_owned(), from..from + schema.trim_end().len());
                for kind in kinds.split(' ').filter(|kind| !kind.is_empty()) {
                    by_kind.insert(kind.to_owned(), name.to_owned());
                }
            }
            start += line.len();
        }
        Definitions { text, by_name, by_kind }
    }

    /// The schema of a definition.
    fn schema(&self, name: &str) -> Option<Value> {
        let range = self.by_name.get(name)?.clone();
        serde_json::from_str(self.text.get(range)?).ok()
    }

    fn name_of(&self, gvk: &Gvk) -> Option<&str> {
        self.by_kind.get(&format!("{}/{}/{}", gvk.group, gvk.version, gvk.kind)).map(String::as_str)
    }
}

/// The facts about the built-in kinds, read on first use.
pub fn builtin() -> &'static Builtin {
    static BUILTIN: OnceLock<Builtin> = OnceLock::new();
    BUILTIN.get_or_init(|| {
        let tables: Tables = serde_json::from_str(&inflate(RESOURCES))
            .unwrap_or_else(|_| Tables { groups: Vec::new(), resources: Vec::new() });
        let by_kind = tables
            .resources
            .iter()
            .enumerate()
            .rev()
            .map(|(index, resource)| {
                ((resource.group.clone(), resource.version.clone(), resource.kind.clone()), index)
            })
            .collect();
        Builtin {
            groups: tables.groups,
            resources: tables.resources,
            by_kind,
            definitions: OnceLock::new(),
            types: RwLock::new(HashMap::new()),
        }
    })
}

impl Builtin {
    /// The nodes of one definition and all it refers to, and its own; the first two nodes are the open types.
    pub(crate) fn definition_nodes(&self, name: &str) -> (Vec<crate::Node>, crate::NodeId) {
        compile::nodes(self.definitions(), name)
    }

    /// The type of `metadata` of every object.
    pub fn object_meta(&self) -> TypeRef {
        static META: OnceLock<TypeRef> = OnceLock::new();
        META.get_or_init(|| {
            let (nodes, id) = self.definition_nodes("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
            TypeRef::new(std::sync::Arc::new(crate::Schema::new(nodes)), id)
        })
        .clone()
    }

    fn definitions(&self) -> &Definitions {
        self.definitions.get_or_init(Definitions::read)
    }

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
        let key = (gvk.group.clone(), gvk.version.clone(), gvk.kind.clone());
        self.by_kind.get(&key).and_then(|index| self.resources.get(*index))
    }

    /// The type of a kind's objects (also of kinds without a resource, such as `v1 Status`, when Kubernetes
    /// publishes them). Read on first use and kept.
    pub fn type_of(&self, gvk: &Gvk) -> Option<TypeRef> {
        if let Some(known) = self.types.read().ok().and_then(|types| types.get(gvk).cloned()) {
            return Some(known);
        }
        let definitions = self.definitions();
        let compiled = compile::compile(definitions, definitions.name_of(gvk)?)?;
        if let Ok(mut types) = self.types.write() {
            types.insert(gvk.clone(), compiled.clone());
        }
        Some(compiled)
    }

    /// The names of the OpenAPI v3 documents: `api/v1`, `apis/apps/v1` …
    pub fn openapi_paths(&self) -> Vec<String> {
        let path = |group: &str, version: &str| match group {
            "" => format!("api/{version}"),
            group => format!("apis/{group}/{version}"),
        };
        self.groups
            .iter()
            .flat_map(|group| group.versions.iter().map(move |version| path(&group.name, version)))
            .collect()
    }

    /// The OpenAPI v3 document of a group and version (`api/v1`, `apis/apps/v1`): definitions without prose,
    /// and the paths with what kubectl looks at.
    pub fn openapi_v3(&self, path: &str) -> Option<Value> {
        openapi::v3(self, path)
    }

    /// The OpenAPI v2 document: definitions and the paths that kubectl looks at.
    pub fn openapi_v2(&self) -> Value {
        openapi::v2(self)
    }
}
