//! The built-in transformers: namespace, prefix and suffix, labels, annotations, images, replicas, values.

use crate::error::Error;
use crate::fieldspec::{self, Create, FieldSpec, ScalarTag};
use crate::ids::Gvk;
use crate::kustomization::{Image, Replica};
use crate::resmap::ResMap;
use crate::selector::Selector;
use crate::tree::{Link, Node, Tag, wrong_kind};
use std::collections::BTreeMap;

/// Sets labels (or annotations) in the fields of a table.
pub(crate) fn set_entries(
    map: &mut ResMap,
    entries: &BTreeMap<String, String>,
    specs: &[FieldSpec],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    for resource in map.contents_mut() {
        for (key, value) in entries {
            let (link, mut linked) = (Link::fresh(), false);
            for spec in specs {
                fieldspec::apply(spec, &mut resource.node, Create::Map, &mut |node| match node {
                    Node::Map(_) => {
                        linked |= node.set_linked_field(key, value, link);
                        Ok(())
                    }
                    other => Err(Error::new(wrong_kind(other, "MappingNode"))),
                })?;
            }
            if linked {
                resource.node.settle_links();
            }
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------
// Prefix and suffix

/// Which end of a name is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affix {
    Prefix,
    Suffix,
}

fn keeps_name(gvk: &Gvk) -> bool {
    matches!(gvk.kind.as_str(), "CustomResourceDefinition" | "Namespace")
        || (gvk.kind == "APIService" && gvk.group == "apiregistration.k8s.io")
}

/// Puts a text before or after names.
pub(crate) fn add_affix(
    map: &mut ResMap,
    affix: Affix,
    text: &str,
    specs: &[FieldSpec],
) -> Result<(), Error> {
    let schema = map.schema().clone();
    for resource in map.list_mut() {
        let id = resource.original_id(&schema);
        if keeps_name(&id.gvk) {
            continue;
        }
        for spec in specs.iter().filter(|spec| id.gvk.is_selected(&spec.gvk)) {
            if spec.path == "metadata/name" && !text.is_empty() {
                match affix {
                    Affix::Prefix => resource.prefixes.push(text.to_owned()),
                    Affix::Suffix => resource.suffixes.push(text.to_owned()),
                }
                resource.store_previous_id(&schema);
            }
            fieldspec::apply(spec, &mut resource.node, Create::Scalar(ScalarTag::Str), &mut |node| {
                let name = match affix {
                    Affix::Prefix => format!("{text}{}", node.text()),
                    Affix::Suffix => format!("{}{text}", node.text()),
                };
                node.set_scalar(Node::plain(name)).map_err(Error::new)
            })?;
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------
// Namespace

/// Which subjects of role bindings follow the namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Subjects {
    /// Those named `default`.
    #[default]
    Default,
    /// All service accounts.
    ServiceAccounts,
    None,
}

/// The namespace transformer's settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamespaceSettings {
    pub namespace: String,
    pub specs: Vec<FieldSpec>,
    pub unset_only: bool,
    pub subjects: Subjects,
}

/// Sets the namespace of everything that can have one.
pub(crate) fn set_namespace(map: &mut ResMap, settings: &NamespaceSettings) -> Result<(), Error> {
    if settings.namespace.is_empty() {
        return Ok(());
    }
    let schema = map.schema().clone();
    let mut count: std::collections::HashMap<_, usize> = std::collections::HashMap::new();
    for resource in map.list() {
        *count.entry(resource.current_id(&schema).key()).or_default() += 1;
    }
    for at in 0..map.list().len() {
        let Some(resource) = map.list_mut().get_mut(at) else { break };
        if resource.deleted || resource.node.is_empty() || resource.helm_generated {
            continue;
        }
        let before = resource.current_id(&schema);
        resource.store_previous_id(&schema);
        apply_namespace(&mut resource.node, settings, before.cluster_scoped)?;
        let after = resource.current_id(&schema);
        if let Some(slot) = count.get_mut(&before.key()) {
            *slot = slot.saturating_sub(1);
        }
        let same = count.entry(after.key()).or_default();
        *same += 1;
        if *same != 1 {
            let texts: Vec<String> = map
                .list()
                .iter()
                .filter(|one| one.current_id(&schema).equals(&after))
                .map(crate::resource::Resource::to_json)
                .collect();
            return Err(Error::new(format!(
                "namespace transformation produces ID conflict: [{}]",
                texts.join(" ")
            ))
            .in_field("namespace")
            .of_resource(after.to_string()));
        }
    }
    Ok(())
}

fn apply_namespace(node: &mut Node, settings: &NamespaceSettings, cluster_scoped: bool) -> Result<(), Error> {
    let mut set = |node: &mut Node| -> Result<(), Error> {
        if settings.unset_only
            && !node.is_empty()
            && matches!(node, Node::Scalar(_))
            && !node.value_text().is_empty()
        {
            return Ok(());
        }
        node.set_scalar(Node::string(&settings.namespace)).map_err(Error::new)
    };
    if !cluster_scoped {
        let spec = FieldSpec::of("metadata/namespace", true);
        fieldspec::apply(&spec, node, Create::Scalar(ScalarTag::None), &mut set)?;
    }
    let core = node.get("apiVersion").map_or("", Node::text) == "v1";
    let kind = node.get("kind").map_or("", Node::text).to_owned();
    let binding = |kind: &str| kind == "RoleBinding" || kind == "ClusterRoleBinding";
    if binding(&kind) {
        set_subjects(node, settings, &mut set)?;
    }
    for spec in &settings.specs {
        let skip = spec.path == "metadata/namespace"
            || (!core && spec.path == "metadata/name")
            || (binding(&kind) && binding(&spec.gvk.kind) && spec.path == "subjects/namespace");
        if skip {
            continue;
        }
        fieldspec::apply(spec, node, Create::Scalar(ScalarTag::Str), &mut set).map_err(|error| {
            let scalar = error.message.contains("wrong node kind");
            let error = if scalar {
                error.wrap("namespace field specs must target scalar nodes")
            } else {
                error.wrap("namespace transformation failed")
            };
            error.in_field("namespace")
        })?;
    }
    Ok(())
}

fn set_subjects(
    node: &mut Node,
    settings: &NamespaceSettings,
    set: &mut dyn FnMut(&mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let (key, wanted) = match settings.subjects {
        Subjects::None => return Ok(()),
        Subjects::Default => ("name", "default"),
        Subjects::ServiceAccounts => ("kind", "ServiceAccount"),
    };
    let wrap = |error: Error| error.wrap("setting namespace on (cluster)role binding subjects");
    let subjects = match node.get_mut("subjects") {
        None => return Ok(()),
        Some(subjects) if subjects.is_null() => return Ok(()),
        Some(Node::Seq(subjects)) => subjects,
        Some(other) => return Err(wrap(Error::new(wrong_kind(other, "SequenceNode")))),
    };
    for subject in subjects {
        if subject.get(key).is_none_or(|value| value.is_null() || value.text() != wanted) {
            continue;
        }
        if subject.get("namespace").is_none() {
            subject.put("namespace", Node::plain(""));
        }
        if let Some(field) = subject.get_mut("namespace") {
            if field.is_null() {
                *field = Node::plain("");
            }
            set(field).map_err(wrap)?;
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------
// Images

struct ImageUpdater<'a> {
    image: &'a Image,
    pattern: Option<crate::paths::Regexp>,
}

impl<'a> ImageUpdater<'a> {
    fn new(image: &'a Image) -> Self {
        let pattern = format!(
            "^{}(:[a-zA-Z0-9_.{{}}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{{}}-]*)?$",
            image.name
        );
        ImageUpdater { image, pattern: crate::paths::go_regex(&pattern).ok() }
    }

    fn update(&self, node: &mut Node) -> Result<(), Error> {
        if node.is_null() {
            // A null reads as no image; only a pattern that fits nothing fits it.
            return Ok(());
        }
        if !matches!(node, Node::Scalar(_)) {
            return Err(Error::new(wrong_kind(node, "ScalarNode")));
        }
        let text = node.text();
        if !self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text)) {
            return Ok(());
        }
        let (name, tag, digest) = split_image(text);
        let image = self.image;
        let name = if image.new_name.is_empty() { name } else { &image.new_name };
        let (tag, digest) = if !image.new_tag.is_empty() {
            (image.new_tag.clone(), image.digest.as_str())
        } else if !image.digest.is_empty() {
            (String::new(), image.digest.as_str())
        } else if !image.tag_suffix.is_empty() {
            (format!("{tag}{}", image.tag_suffix), "")
        } else {
            (tag.to_owned(), digest)
        };
        let mut result = name.to_owned();
        if !tag.is_empty() {
            result.push(':');
            result.push_str(&tag);
        }
        if !digest.is_empty() {
            result.push('@');
            result.push_str(digest);
        }
        node.set_scalar(Node::plain(result)).map_err(Error::new)
    }
}

/// Name, tag and digest of an image.
pub(crate) fn split_image(image: &str) -> (&str, &str, &str) {
    let start = image.find('/').unwrap_or(0);
    let tail = image.get(start..).unwrap_or("");
    let digest_at = tail.find('@').map(|at| at + start);
    let tag_at = tail.find(':').map(|at| at + start);
    let part = |from: usize, to: usize| image.get(from..to).unwrap_or("");
    match (tag_at, digest_at) {
        (None, None) => (image, "", ""),
        (tag, Some(at)) if tag.is_none_or(|tag| at < tag) => (part(0, at), "", part(at + 1, image.len())),
        (Some(tag), Some(at)) => (part(0, tag), part(tag + 1, at), part(at + 1, image.len())),
        (Some(tag), None) => (part(0, tag), part(tag + 1, image.len()), ""),
        (None, Some(at)) => (part(0, at), "", part(at + 1, image.len())),
    }
}

/// Changes names, tags and digests of images.
pub(crate) fn set_image(map: &mut ResMap, image: &Image, specs: &[FieldSpec]) -> Result<(), Error> {
    let updater = ImageUpdater::new(image);
    for resource in map.contents_mut() {
        if resource.kind() == "CustomResourceDefinition" {
            continue;
        }
        update_containers(&mut resource.node, &updater, 0)?;
    }
    for resource in map.contents_mut() {
        if resource.kind() == "CustomResourceDefinition" {
            continue;
        }
        for spec in specs {
            fieldspec::apply(spec, &mut resource.node, Create::No, &mut |node| updater.update(node))?;
        }
    }
    Ok(())
}

/// Finds every list called `containers` or `initContainers`, wherever it is.
fn update_containers(node: &mut Node, updater: &ImageUpdater<'_>, depth: usize) -> Result<(), Error> {
    if depth > 400 {
        return Ok(());
    }
    match node {
        Node::Map(fields) => {
            for (key, value) in fields {
                update_containers(value, updater, depth + 1)?;
                if !matches!(key.as_str(), "containers" | "initContainers") {
                    continue;
                }
                let Node::Seq(items) = value else { continue };
                for item in items {
                    match item {
                        Node::Map(_) => {
                            if let Some(image) = item.get_mut("image") {
                                updater.update(image)?;
                            }
                        }
                        other if other.is_null() => {}
                        other => return Err(Error::new(wrong_kind(other, "MappingNode"))),
                    }
                }
            }
            Ok(())
        }
        Node::Seq(items) => items.iter_mut().try_for_each(|item| update_containers(item, updater, depth + 1)),
        Node::Scalar(_) => Ok(()),
    }
}

// ---------------------------------------------------------------------------------------------------
// Replicas

/// Sets the number of replicas of the objects of one name.
pub(crate) fn set_replicas(map: &mut ResMap, replica: &Replica, specs: &[FieldSpec]) -> Result<(), Error> {
    let schema = map.schema().clone();
    let named = map.named(&replica.name);
    let mut found = false;
    for spec in specs {
        for at in &named {
            let Some(resource) = map.at_mut(*at) else { continue };
            let current = resource.current_id(&schema);
            let matches = |id: &crate::ids::ResId| id.name == replica.name && id.gvk.is_selected(&spec.gvk);
            if !matches(&current) && !resource.previous_ids(&schema).iter().any(matches) {
                continue;
            }
            found = true;
            fieldspec::apply(spec, &mut resource.node, Create::Scalar(ScalarTag::Int), &mut |node| {
                node.set_scalar(Node::tagged(replica.count.to_string(), Tag::Int)).map_err(Error::new)
            })?;
        }
    }
    if found {
        return Ok(());
    }
    let kinds: Vec<String> = specs.iter().map(|spec| spec.gvk.to_string()).collect();
    Err(Error::new(format!(
        "resource with name {} does not match a config with the following GVK [{}]",
        replica.name,
        kinds.join(" ")
    ))
    .in_field("replicas"))
}

// ---------------------------------------------------------------------------------------------------
// Values

/// A target of the value-add transformer.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ValueTarget {
    pub selector: Option<Selector>,
    pub field_path: String,
    pub file_path_position: i64,
}

/// Puts a value into fields.
pub(crate) fn add_value(map: &mut ResMap, value: &str, targets: &[ValueTarget]) -> Result<(), Error> {
    for target in targets {
        let picked = match &target.selector {
            None => (0..map.list().len()).collect(),
            Some(selector) => map.select(selector)?,
        };
        let schema = map.schema().clone();
        for at in picked {
            let Some(resource) = map.list_mut().get_mut(at) else { continue };
            if target.field_path == "metadata/namespace" {
                let settings =
                    NamespaceSettings { namespace: value.to_owned(), ..NamespaceSettings::default() };
                let cluster_scoped = resource.current_id(&schema).cluster_scoped;
                apply_namespace(&mut resource.node, &settings, cluster_scoped)?;
                continue;
            }
            let path = fieldspec::split_path(&target.field_path, '/');
            let field = crate::paths::lookup_create(&mut resource.node, &path, &Node::plain(""))
                .map_err(Error::new)?;
            let Some(field) = field else { continue };
            if !matches!(field, Node::Scalar(_)) {
                return Err(Error::new(wrong_kind(field, "ScalarNode")));
            }
            let new = match usize::try_from(target.file_path_position) {
                Ok(position) if position > 0 => insert_part(field.text(), position - 1, value),
                _ => value.to_owned(),
            };
            field.set_scalar(Node::plain(new)).map_err(Error::new)?;
        }
    }
    Ok(())
}

/// Inserts a part into a path.
fn insert_part(path: &str, position: usize, part: &str) -> String {
    if part.is_empty() {
        return path.to_owned();
    }
    if path.is_empty() {
        return part.to_owned();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.insert(position.min(parts.len()), part);
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}
