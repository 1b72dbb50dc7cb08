//! Paths to fields, and the tables of them that transformers work through.

use crate::error::Error;
use crate::ids::{Gvk, split_api_version};
use crate::tree::{Node, Tag, wrong_kind};
use serde::Deserialize;

/// A path to a field of the kinds that match.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FieldSpec {
    #[serde(flatten)]
    pub gvk: Gvk,
    pub path: String,
    #[serde(rename = "create")]
    pub create: bool,
}

impl FieldSpec {
    pub fn of(path: &str, create: bool) -> FieldSpec {
        FieldSpec { gvk: Gvk::default(), path: path.to_owned(), create }
    }
}

/// Adds one more, unless what is there covers it.
pub(crate) fn merge_one(list: &mut Vec<FieldSpec>, spec: &FieldSpec) -> Result<(), String> {
    // Written so that a spec for every kind does not cover a narrower one, as the original compares.
    let found = list.iter().find(|one| one.gvk.is_selected(&spec.gvk) && one.path == spec.path);
    match found {
        Some(one) if one.create != spec.create => Err("conflicting fieldspecs".to_owned()),
        Some(_) => Ok(()),
        None => {
            list.push(spec.clone());
            Ok(())
        }
    }
}

/// Adds all of `more`.
pub(crate) fn merge_all(list: &mut Vec<FieldSpec>, more: &[FieldSpec]) -> Result<(), String> {
    more.iter().try_for_each(|spec| merge_one(list, spec))
}

/// Splits a path, `\` before a delimiter keeping it.
pub(crate) fn split_path(path: &str, delimiter: char) -> Vec<String> {
    let mut parts: Vec<&str> = path.split(delimiter).collect();
    if parts.len() > 1 && parts.first() == Some(&"") {
        parts.remove(0);
    }
    let mut result: Vec<String> = Vec::with_capacity(parts.len());
    for part in parts {
        match result.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => result.push(part.to_owned()),
        }
    }
    result
}

/// Splits a path and keeps `[a.b=c.d]` and `[a.b]` in one piece.
pub(crate) fn split_path_brackets(path: &str) -> Vec<String> {
    let parts = split_path(path, '.');
    let mut result = Vec::with_capacity(parts.len());
    let mut parts = parts.into_iter();
    while let Some(part) = parts.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            result.push(part);
            continue;
        }
        let mut whole = part;
        for next in parts.by_ref() {
            whole.push('.');
            whole.push_str(&next);
            if next.ends_with(']') {
                break;
            }
        }
        if whole.contains('=') {
            result.push(whole);
        } else {
            result.push(whole.trim_matches(|c| c == '[' || c == ']').to_owned());
        }
    }
    result
}

/// What to make of a field that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    /// Nothing.
    No,
    Map,
    /// A scalar with this tag.
    Scalar(ScalarTag),
}

/// The tag of a created scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarTag {
    None,
    Str,
    Int,
}

impl Create {
    fn node(self) -> Node {
        match self {
            Create::No | Create::Map => Node::map(),
            Create::Scalar(ScalarTag::None) => Node::plain(""),
            Create::Scalar(ScalarTag::Str) => Node::tagged("", Tag::Str),
            Create::Scalar(ScalarTag::Int) => Node::tagged("", Tag::Int),
        }
    }
}

/// Does the object's kind fit the spec?
pub(crate) fn matches_object(gvk: &Gvk, object: &Node) -> bool {
    let kind = object.get("kind").map_or("", Node::text);
    if !gvk.kind.is_empty() && gvk.kind != kind {
        return false;
    }
    if gvk.group.is_empty() && gvk.version.is_empty() {
        return true;
    }
    let (group, version) = split_api_version(object.get("apiVersion").map_or("", Node::text));
    (gvk.group.is_empty() || gvk.group == group) && (gvk.version.is_empty() || gvk.version == version)
}

/// Calls `set` on every field of the object that the spec names.
pub(crate) fn apply(
    spec: &FieldSpec,
    object: &mut Node,
    create: Create,
    set: &mut dyn FnMut(&mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    if !matches_object(&spec.gvk, object) {
        return Ok(());
    }
    let path = split_path(&spec.path, '/');
    let create = if spec.create { create } else { Create::No };
    match walk(&path, object, create, set) {
        Ok(()) => Ok(()),
        Err(error) => {
            let id = describe(object);
            Err(error.wrap(format!("considering field '{}' of object {id}", spec.path)).of_resource(id))
        }
    }
}

/// The identity of an object as messages give it.
pub(crate) fn describe(object: &Node) -> String {
    let gvk =
        Gvk::new(object.get("apiVersion").map_or("", Node::text), object.get("kind").map_or("", Node::text));
    let meta = object.get("metadata");
    let text = |key: &str| meta.and_then(|meta| meta.get(key)).map_or("", Node::value_text).to_owned();
    let (name, namespace) = (text("name"), text("namespace"));
    let name = if name.is_empty() { "[noName]".to_owned() } else { name };
    let namespace = if namespace.is_empty() { "[noNs]".to_owned() } else { namespace };
    format!("{gvk}/{name}.{namespace}")
}

fn walk(
    path: &[String],
    node: &mut Node,
    create: Create,
    set: &mut dyn FnMut(&mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some((first, rest)) = path.split_first() else { return set(node) };
    if node.is_null() {
        return Ok(());
    }
    match node {
        Node::Seq(items) => {
            for item in items {
                walk(path, item, create, set)
                    .map_err(|error| error.wrap(format!("visit traversal on path: [{}]", path.join(" "))))?;
            }
            Ok(())
        }
        Node::Map(_) => walk_map(first, rest, node, create, set),
        Node::Scalar(_) => Err(Error::new("expected sequence or mapping node")),
    }
}

fn walk_map(
    first: &str,
    rest: &[String],
    node: &mut Node,
    create: Create,
    set: &mut dyn FnMut(&mut Node) -> Result<(), Error>,
) -> Result<(), Error> {
    let (name, is_list) = match first.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (first, false),
    };
    if name.is_empty() {
        return Err(Error::new("cannot set or create an empty field name"));
    }
    let making = create != Create::No && !is_list;
    let fresh = || if rest.is_empty() { create.node() } else { Node::map() };
    if let Ok(field) = lookup_mut(node, name)? {
        if field.is_null() {
            if making {
                // A null turns into what would have been made; its text stays.
                *field = match fresh() {
                    Node::Scalar(mut scalar) => {
                        scalar.text = field.text().to_owned();
                        Node::Scalar(scalar)
                    }
                    other => other,
                };
            } else if is_list {
                *field = Node::Seq(Vec::new());
            }
        }
        return walk(rest, field, create, set);
    }
    if !making {
        return Ok(());
    }
    node.put(name, fresh());
    match node.get_mut(name) {
        Some(field) => walk(rest, field, create, set),
        None => Ok(()),
    }
}

/// A field by one part of a path: a name, `[key=value]` or an index. The inner error says "not there".
fn lookup_mut<'a>(node: &'a mut Node, part: &str) -> Result<Result<&'a mut Node, ()>, Error> {
    if part.starts_with('[') || part.parse::<usize>().is_ok() || part == "-" {
        return Ok(crate::paths::lookup_part_mut(node, part).map_err(Error::new)?.ok_or(()));
    }
    match node {
        Node::Map(_) => Ok(node.get_mut(part).ok_or(())),
        other => Err(Error::new(wrong_kind(other, "MappingNode"))),
    }
}

// ---------------------------------------------------------------------------------------------------
// The tables

/// Fields that hold the name of another object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NameReference {
    #[serde(flatten)]
    pub gvk: Gvk,
    #[serde(rename = "fieldSpecs")]
    pub referrers: Vec<FieldSpec>,
}

/// All tables: built in, from `configurations` and from `crds`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Tables {
    pub name_prefix: Vec<FieldSpec>,
    pub name_suffix: Vec<FieldSpec>,
    pub namespace: Vec<FieldSpec>,
    pub common_labels: Vec<FieldSpec>,
    pub labels: Vec<FieldSpec>,
    pub template_labels: Vec<FieldSpec>,
    pub volume_claim_template_labels: Vec<FieldSpec>,
    pub common_annotations: Vec<FieldSpec>,
    pub name_reference: Vec<NameReference>,
    pub var_reference: Vec<FieldSpec>,
    pub images: Vec<FieldSpec>,
    pub replicas: Vec<FieldSpec>,
}

impl Tables {
    /// The built-in ones.
    pub fn builtin() -> Tables {
        parse_tables(include_str!("../data/field-specs.txt"))
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.name_reference.is_empty() && self.lists().iter().all(|(_, list)| list.is_empty())
    }

    fn lists(&self) -> [(&'static str, &Vec<FieldSpec>); 11] {
        [
            ("NamePrefix", &self.name_prefix),
            ("NameSuffix", &self.name_suffix),
            ("NameSpace", &self.namespace),
            ("CommonAnnotations", &self.common_annotations),
            ("CommonLabels", &self.common_labels),
            ("Labels", &self.labels),
            ("TemplateLabels", &self.template_labels),
            ("VolumeClaimTemplateLabels", &self.volume_claim_template_labels),
            ("VarReference", &self.var_reference),
            ("Images", &self.images),
            ("Replicas", &self.replicas),
        ]
    }

    fn lists_mut(&mut self) -> [(&'static str, &mut Vec<FieldSpec>); 11] {
        [
            ("NamePrefix", &mut self.name_prefix),
            ("NameSuffix", &mut self.name_suffix),
            ("NameSpace", &mut self.namespace),
            ("CommonAnnotations", &mut self.common_annotations),
            ("CommonLabels", &mut self.common_labels),
            ("Labels", &mut self.labels),
            ("TemplateLabels", &mut self.template_labels),
            ("VolumeClaimTemplateLabels", &mut self.volume_claim_template_labels),
            ("VarReference", &mut self.var_reference),
            ("Images", &mut self.images),
            ("Replicas", &mut self.replicas),
        ]
    }

    /// Puts every table in the order of kinds.
    pub fn sort(&mut self) {
        for (_, list) in self.lists_mut() {
            list.sort_by_cached_key(|spec| spec.gvk.sort_key());
        }
        self.name_reference.sort_by_cached_key(|reference| reference.gvk.sort_key());
    }

    /// Adds another set of tables.
    pub fn merge(&mut self, other: &Tables) -> Result<(), String> {
        for ((name, list), (_, more)) in self.lists_mut().into_iter().zip(other.lists()) {
            merge_all(list, more).map_err(|error| format!("failed to merge {name} fieldSpec: {error}"))?;
        }
        for reference in &other.name_reference {
            self.merge_reference(reference)
                .map_err(|error| format!("failed to merge NameReference fieldSpec: {error}"))?;
        }
        self.sort();
        Ok(())
    }

    /// Adds one kind's referrers.
    pub fn merge_reference(&mut self, reference: &NameReference) -> Result<(), String> {
        match self.name_reference.iter_mut().find(|one| one.gvk == reference.gvk) {
            Some(one) => merge_all(&mut one.referrers, &reference.referrers),
            None => {
                self.name_reference.push(reference.clone());
                Ok(())
            }
        }
    }
}

fn parse_tables(text: &str) -> Tables {
    let mut tables = Tables::default();
    let mut section = "";
    let word = |text: Option<&str>| text.filter(|text| *text != "-").unwrap_or_default().to_owned();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            continue;
        }
        if let Some(target) = line.strip_prefix("> ") {
            let mut words = target.split(' ');
            let gvk =
                Gvk { group: word(words.next()), version: word(words.next()), kind: word(words.next()) };
            tables.name_reference.push(NameReference { gvk, referrers: Vec::new() });
            continue;
        }
        let mut words = line.split(' ');
        let path = word(words.next());
        let gvk = Gvk { group: word(words.next()), version: word(words.next()), kind: word(words.next()) };
        let spec = FieldSpec { gvk, path, create: words.next() == Some("+") };
        let list = match section {
            "namePrefix" => &mut tables.name_prefix,
            "nameSuffix" => &mut tables.name_suffix,
            "namespace" => &mut tables.namespace,
            "commonLabels" => &mut tables.common_labels,
            "templateLabels" => &mut tables.template_labels,
            "volumeClaimTemplateLabels" => &mut tables.volume_claim_template_labels,
            "commonAnnotations" => &mut tables.common_annotations,
            "varReference" => &mut tables.var_reference,
            "images" => &mut tables.images,
            "replicas" => &mut tables.replicas,
            _ => match tables.name_reference.last_mut() {
                Some(reference) => &mut reference.referrers,
                None => continue,
            },
        };
        list.push(spec);
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::Tables;

    #[test]
    fn the_built_in_tables_are_as_merging_leaves_them() {
        let shown = |tables: &Tables| format!("{tables:#?}");
        let builtin = Tables::builtin();
        let mut merged = Tables::default();
        merged.merge(&builtin).expect("no conflict");
        assert_eq!(shown(&merged), shown(&builtin), "data/field-specs.txt is not in order");
        merged.merge(&builtin).expect("no conflict");
        assert_eq!(shown(&merged), shown(&builtin));
    }
}
