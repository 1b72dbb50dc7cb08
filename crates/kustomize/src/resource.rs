//! One object and what the build remembers of it.

use crate::error::Error;
use crate::ids::{Gvk, ResId};
use crate::schema::Schema;
use crate::tree::{self, Node};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a generator may do with an object of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Behavior {
    /// No generator made it.
    #[default]
    None,
    Unspecified,
    Create,
    Replace,
    Merge,
}

impl Behavior {
    pub fn parse(text: &str) -> Behavior {
        match text {
            "create" => Behavior::Create,
            "replace" => Behavior::Replace,
            "merge" => Behavior::Merge,
            _ => Behavior::Unspecified,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Behavior::None | Behavior::Unspecified => "unspecified",
            Behavior::Create => "create",
            Behavior::Replace => "replace",
            Behavior::Merge => "merge",
        }
    }
}

/// A name an object had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Previous {
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub node: Node,
    pub previous: Vec<Previous>,
    pub prefixes: Vec<String>,
    pub suffixes: Vec<String>,
    pub behavior: Behavior,
    pub needs_hash: bool,
    pub allow_name_change: bool,
    pub allow_kind_change: bool,
    pub helm_generated: bool,
    /// Variables that take their value from this object.
    pub var_names: Vec<String>,
    /// A patch deleted it.
    pub deleted: bool,
    /// The file it was read from.
    pub file: Option<Rc<str>>,
}

/// The annotation that says where an object comes from.
pub(crate) const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation that says what changed an object.
pub(crate) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// Annotations of the build's own that input may carry; none is printed.
const BUILD_ANNOTATIONS: &[&str] = &[
    "internal.config.kubernetes.io/previousKinds",
    "internal.config.kubernetes.io/previousNames",
    "internal.config.kubernetes.io/prefixes",
    "internal.config.kubernetes.io/suffixes",
    "internal.config.kubernetes.io/previousNamespaces",
    "internal.config.kubernetes.io/allowNameChange",
    "internal.config.kubernetes.io/allowKindChange",
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/needsHashSuffix",
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/helm-generated",
];

impl Resource {
    pub fn new(node: Node) -> Resource {
        let mut resource = Resource {
            node,
            previous: Vec::new(),
            prefixes: Vec::new(),
            suffixes: Vec::new(),
            behavior: Behavior::None,
            needs_hash: false,
            allow_name_change: false,
            allow_kind_change: false,
            helm_generated: false,
            var_names: Vec::new(),
            deleted: false,
            file: None,
        };
        resource.read_build_annotations();
        resource
    }

    /// Input may carry the build's own annotations (the output of a plugin, say).
    fn read_build_annotations(&mut self) {
        let get = |node: &Node, name: &str| -> Option<String> {
            node.at(&["metadata", "annotations"])?
                .get(&format!("internal.config.kubernetes.io/{name}"))
                .map(|value| value.text().to_owned())
        };
        if !self.node.at(&["metadata", "annotations"]).is_some_and(|node| {
            node.fields().iter().any(|(key, _)| key.starts_with("internal.config.kubernetes.io/"))
        }) {
            return;
        }
        let list = |text: Option<String>| -> Vec<String> {
            text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
        };
        let node = &self.node;
        self.needs_hash = get(node, "needsHashSuffix").as_deref() == Some("enabled");
        self.behavior = get(node, "generatorBehavior").map_or(Behavior::None, |text| Behavior::parse(&text));
        self.helm_generated = get(node, "helm-generated").as_deref() == Some("true");
        self.prefixes = list(get(node, "prefixes"));
        self.suffixes = list(get(node, "suffixes"));
        let names = list(get(node, "previousNames"));
        let namespaces = list(get(node, "previousNamespaces"));
        let kinds = list(get(node, "previousKinds"));
        if names.len() == namespaces.len() && names.len() == kinds.len() {
            self.previous = names
                .into_iter()
                .zip(namespaces)
                .zip(kinds)
                .map(|((name, namespace), kind)| Previous { kind, name, namespace })
                .collect();
        }
    }

    /// The history as the annotations that [`Resource::new`] reads.
    pub fn history(&self) -> Vec<(&'static str, String)> {
        let list = |part: fn(&Previous) -> &String| {
            self.previous.iter().map(|previous| part(previous).as_str()).collect::<Vec<_>>().join(",")
        };
        let mut marks = Vec::new();
        if self.allow_kind_change {
            marks.push(("internal.config.kubernetes.io/allowKindChange", "enabled".to_owned()));
        }
        if self.allow_name_change {
            marks.push(("internal.config.kubernetes.io/allowNameChange", "enabled".to_owned()));
        }
        if self.behavior != Behavior::None {
            marks.push(("internal.config.kubernetes.io/generatorBehavior", self.behavior.name().to_owned()));
        }
        if self.helm_generated {
            marks.push(("internal.config.kubernetes.io/helm-generated", "true".to_owned()));
        }
        if self.needs_hash {
            marks.push(("internal.config.kubernetes.io/needsHashSuffix", "enabled".to_owned()));
        }
        if !self.prefixes.is_empty() {
            marks.push(("internal.config.kubernetes.io/prefixes", self.prefixes.join(",")));
        }
        if !self.previous.is_empty() {
            marks.push(("internal.config.kubernetes.io/previousKinds", list(|previous| &previous.kind)));
            marks.push(("internal.config.kubernetes.io/previousNames", list(|previous| &previous.name)));
            marks.push((
                "internal.config.kubernetes.io/previousNamespaces",
                list(|previous| &previous.namespace),
            ));
        }
        if !self.suffixes.is_empty() {
            marks.push(("internal.config.kubernetes.io/suffixes", self.suffixes.join(",")));
        }
        marks
    }

    pub fn kind(&self) -> &str {
        self.node.get("kind").map_or("", Node::text)
    }

    pub fn api_version(&self) -> &str {
        self.node.get("apiVersion").map_or("", Node::text)
    }

    pub fn name(&self) -> &str {
        self.meta_text("name")
    }

    pub fn namespace(&self) -> &str {
        self.meta_text("namespace")
    }

    fn meta_text(&self, key: &str) -> &str {
        self.node
            .get("metadata")
            .and_then(|meta| meta.get(key))
            .map_or("", |value| if value.is_empty() { "" } else { value.text() })
    }

    pub fn gvk(&self) -> Gvk {
        Gvk::new(self.api_version(), self.kind())
    }

    /// What it is called now.
    pub fn current_id(&self, schema: &Schema) -> ResId {
        ResId::new(self.gvk(), self.name(), self.namespace(), schema)
    }

    /// What it was called before, oldest first.
    pub fn previous_ids(&self, schema: &Schema) -> Vec<ResId> {
        let gvk = self.gvk();
        self.previous
            .iter()
            .map(|previous| {
                let gvk = Gvk { kind: previous.kind.clone(), ..gvk.clone() };
                ResId::new(gvk, &previous.name, &previous.namespace, schema)
            })
            .collect()
    }

    /// What it was called in its file.
    pub fn original_id(&self, schema: &Schema) -> ResId {
        match self.previous.first() {
            Some(previous) => {
                let gvk = Gvk { kind: previous.kind.clone(), ..self.gvk() };
                ResId::new(gvk, &previous.name, &previous.namespace, schema)
            }
            None => self.current_id(schema),
        }
    }

    /// Has it, now or before, this identity?
    pub fn has_id(&self, id: &ResId, schema: &Schema) -> bool {
        let known = self.name() == id.name || self.previous.iter().any(|previous| previous.name == id.name);
        known
            && (self.previous_ids(schema).iter().any(|previous| id.equals(previous))
                || id.equals(&self.current_id(schema)))
    }

    /// The original notes such things in annotations, so that the field is there from then on; when it is
    /// empty at the end it is left out.
    pub fn has_annotations_now(&mut self) {
        if let Some(meta) = self.node.map_at("metadata") {
            meta.map_at("annotations");
        }
    }

    /// Turns the values of all annotations into texts, as writing them anew does.
    pub fn settle_annotations(&mut self) {
        let map = self.meta_map("annotations");
        self.set_meta_map("annotations", map);
        self.has_annotations_now();
    }

    /// Remembers what it is called now.
    pub fn store_previous_id(&mut self, schema: &Schema) {
        let id = self.current_id(schema);
        self.has_annotations_now();
        // An empty name is not written down, and the lists must stay of one length.
        self.previous.push(Previous {
            kind: id.gvk.kind.clone(),
            name: id.name.clone(),
            namespace: id.effective_namespace().to_owned(),
        });
    }

    pub fn set_name(&mut self, name: &str) {
        if let Some(meta) = self.node.map_at("metadata") {
            meta.set_field("name", Node::plain(name));
        }
    }

    pub fn set_kind(&mut self, kind: &str) {
        self.node.set_field("kind", Node::plain(kind));
    }

    pub fn set_api_version(&mut self, api_version: &str) {
        self.node.set_field("apiVersion", Node::plain(api_version));
    }

    pub fn set_namespace(&mut self, namespace: &str) {
        if namespace.is_empty() {
            if let Some(meta) = self.node.get_mut("metadata") {
                meta.remove("namespace");
            }
        } else if let Some(meta) = self.node.map_at("metadata") {
            meta.set_field("namespace", Node::plain(namespace));
        }
    }

    /// The annotations (or labels) as text.
    pub fn meta_map(&self, field: &str) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        if let Some(values) = self.node.get("metadata").and_then(|meta| meta.get(field)) {
            for (key, value) in values.fields() {
                map.insert(key.as_str().to_owned(), value.text().to_owned());
            }
        }
        map
    }

    /// Replaces the annotations (or labels); none removes the field.
    pub fn set_meta_map(&mut self, field: &str, map: BTreeMap<String, String>) {
        let Some(meta) = self.node.map_at("metadata") else { return };
        meta.remove(field);
        if map.is_empty() {
            return;
        }
        let fields = map.into_iter().map(|(key, value)| (key.into(), Node::value(value))).collect();
        meta.put(field, Node::Map(fields));
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.node.at(&["metadata", "annotations"])?.get(key).map(Node::text)
    }

    pub fn set_annotation(&mut self, key: &str, value: &str) {
        let Some(meta) = self.node.map_at("metadata") else { return };
        if let Some(annotations) = meta.map_at("annotations") {
            annotations.unlink();
            annotations.put(key, Node::string(value));
        }
    }

    /// As the end of a build leaves the annotations: text, without the build's own, none when empty.
    pub fn finish_annotations(&mut self, keep_origin: bool, keep_transformations: bool) {
        let mut map = self.meta_map("annotations");
        if !map.is_empty() {
            for key in BUILD_ANNOTATIONS {
                map.remove(*key);
            }
            if !keep_origin {
                map.remove(ORIGIN);
            }
            if !keep_transformations {
                map.remove(TRANSFORMATIONS);
            }
        }
        self.set_meta_map("annotations", map);
    }

    /// Takes over labels, annotations, name and namespace of the object it stands in for; own entries win.
    pub fn copy_merge_meta_from(&mut self, other: &Resource) {
        for field in ["labels", "annotations"] {
            let mut map = other.meta_map(field);
            map.extend(self.meta_map(field));
            self.set_meta_map(field, map);
        }
        self.set_name(other.name());
        self.set_namespace(other.namespace());
        // The history is the other's, but whether a hash is wanted the newer one decides.
        self.previous = other.previous.clone();
        self.prefixes = other.prefixes.clone();
        self.suffixes = other.suffixes.clone();
        self.behavior = other.behavior;
        self.needs_hash = self.needs_hash && other.needs_hash;
        self.allow_name_change = other.allow_name_change;
        self.allow_kind_change = other.allow_kind_change;
        self.helm_generated = other.helm_generated;
        self.var_names = other.var_names.clone();
        self.has_annotations_now();
    }

    /// Do the prefixes and suffixes it was given end in those of the other (or the reverse)?
    pub fn same_affixes(&self, other: &Resource, allow_empty: bool) -> bool {
        let fits =
            |a: &[String], b: &[String]| (allow_empty && (a.is_empty() || b.is_empty())) || same_ending(a, b);
        fits(&self.prefixes, &other.prefixes) && fits(&self.suffixes, &other.suffixes)
    }

    /// The object as Kustomize prints it in messages: with what the build noted on it.
    pub fn to_yaml(&self) -> String {
        match self.shown() {
            Ok(value) => yaml::to_string(&value),
            Err(error) => format!("<{error}>"),
        }
    }

    /// The same as JSON.
    pub fn to_json(&self) -> String {
        match self.shown() {
            Ok(value) => crate::generate::go_json(&value),
            Err(error) => format!("<{error}>"),
        }
    }

    fn shown(&self) -> Result<serde_json::Value, String> {
        let mut shown = self.node.clone();
        let history = self.history();
        if !history.is_empty()
            && let Some(annotations) = shown.map_at("metadata").and_then(|meta| meta.map_at("annotations"))
        {
            for (key, value) in history {
                annotations.put(key, Node::string(value));
            }
        }
        tree::to_value(&shown)
    }
}

fn same_ending(a: &[String], b: &[String]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() { long.is_empty() } else { long.ends_with(short) }
}

// ---------------------------------------------------------------------------------------------------
// From text

/// The objects of a text; lists are taken apart, bad objects refused.
pub(crate) fn parse_resources(text: &str) -> Result<Vec<Resource>, String> {
    let mut documents = tree::parse_documents(text)?;
    if documents.len() == 1 && is_wrapper(documents.first()) {
        documents = match documents.pop().and_then(|mut list| list.remove("items")) {
            Some(Node::Seq(items)) => items,
            _ => Vec::new(),
        };
    }
    let mut waiting: std::collections::VecDeque<Node> = good(documents)?.into();
    let mut resources = Vec::with_capacity(waiting.len());
    while let Some(node) = waiting.pop_front() {
        let kind = node.get("kind").map_or("", Node::text);
        if !kind.ends_with("List") || node.get("items").is_none() {
            resources.push(Resource::new(node));
            continue;
        }
        let kind = kind.to_owned();
        match into_field(node, "items") {
            Some(Node::Seq(items)) => waiting.extend(good(items)?),
            Some(other) if other.is_null() => {}
            Some(other) => {
                let found = match other {
                    Node::Map(_) => "map[string]interface {}",
                    _ => "string",
                };
                return Err(format!("expected array in {kind}/items, but found {found}"));
            }
            None => {}
        }
    }
    Ok(resources)
}

fn into_field(mut node: Node, key: &str) -> Option<Node> {
    node.remove(key)
}

fn is_wrapper(node: Option<&Node>) -> bool {
    node.is_some_and(|node| {
        matches!(node.get("kind").map(Node::text), Some("ResourceList" | "List"))
            && (node.get("items").is_some() || node.get("functionConfig").is_some())
    })
}

/// Leaves out empty objects and refuses those without kind or name.
fn good(nodes: Vec<Node>) -> Result<Vec<Node>, String> {
    let mut result = Vec::with_capacity(nodes.len());
    for node in nodes {
        if node.is_empty() {
            continue;
        }
        validate_metadata(&node)?;
        result.push(node);
    }
    Ok(result)
}

/// Refuses an object without kind or name, in Kustomize's words.
pub(crate) fn validate_metadata(node: &Node) -> Result<(), String> {
    let text = |key: &str| node.get(key).filter(|value| !value.is_empty()).map_or("", Node::text);
    let meta = node.get("metadata").filter(|meta| !meta.is_empty());
    let meta_text = |key: &str| {
        meta.and_then(|meta| meta.get(key)).filter(|value| !value.is_empty()).map_or("", Node::text)
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (name, namespace) = (meta_text("name"), meta_text("namespace"));
    let map = |key: &str| -> String {
        let entries: BTreeMap<&str, &str> = meta
            .and_then(|meta| meta.get(key))
            .map(|values| {
                values.fields().iter().map(|(key, value)| (key.as_str(), value.value_text())).collect()
            })
            .unwrap_or_default();
        let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        format!("map[{}]", entries.join(" "))
    };
    let has = |key: &str| meta.and_then(|meta| meta.get(key)).is_some_and(|value| !value.is_empty());
    if api_version.is_empty()
        && kind.is_empty()
        && name.is_empty()
        && namespace.is_empty()
        && !has("labels")
        && !has("annotations")
    {
        return Err("missing Resource metadata".to_owned());
    }
    let shown = || {
        format!(
            "{{{{{api_version} {kind}}} {{{{{name} {namespace}}} {} {}}}}}",
            map("labels"),
            map("annotations")
        )
    };
    if kind.is_empty() {
        return Err(format!("missing kind in object {}", shown()));
    }
    if !kind.ends_with("List") && name.is_empty() {
        return Err(format!("missing metadata.name in object {}", shown()));
    }
    Ok(())
}

/// Kustomize's words for a file that does not parse.
pub(crate) fn file_error(message: String, path: &str) -> Error {
    let message =
        if message.contains("error converting YAML to JSON") || message.contains("error unmarshaling JSON") {
            format!("YAML file [{path}] encounters a format error.\n{message}\n")
        } else if message.contains("MalformedYAMLError") {
            format!("{message} in File: {path}")
        } else {
            message
        };
    Error::new(message).in_file(path)
}
