//! `replacements`: values copied from one object into others.

use crate::error::Error;
use crate::fieldspec::split_path_brackets;
use crate::ids::ResId;
use crate::kustomization::{FieldOptions, Replacement, Source, Target};
use crate::loader::Loader;
use crate::paths::{self, Route};
use crate::resmap::ResMap;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::selector::SelectorMatcher;
use crate::tree::{self, Node};
use serde_json::Value;

/// Reads the entries, those in files included.
pub(crate) fn load(entries: &[Replacement], loader: &Loader<'_>) -> Result<Vec<Replacement>, Error> {
    let mut all = Vec::new();
    for entry in entries {
        if entry.path.is_empty() {
            all.push(entry.clone());
            continue;
        }
        if entry.source.is_some() || entry.targets.as_ref().is_some_and(|targets| !targets.is_empty()) {
            return Err(Error::new("cannot specify both path and inline replacement"));
        }
        let text = loader.load_text(&entry.path)?;
        all.extend(
            crate::plugins::read_replacements(&text).map_err(|error| error.in_file(entry.path.clone()))?,
        );
    }
    Ok(all)
}

/// Carries them out.
pub(crate) fn run(map: &mut ResMap, replacements: &[Replacement]) -> Result<(), Error> {
    let schema = map.schema().clone();
    for replacement in replacements {
        let targets = match &replacement.targets {
            Some(targets) if replacement.source.is_some() || replacement.source_value.is_some() => targets,
            _ => return Err(Error::new("replacements must specify a source and at least one target")),
        };
        let value = match (&replacement.source, &replacement.source_value) {
            (Some(_), Some(_)) => {
                return Err(Error::new("value and resource selectors are mutually exclusive"));
            }
            (None, value) => Node::plain(value.clone().unwrap_or_default()),
            (Some(source), None) => source_value(map.list(), source, &schema)?,
        };
        for target in targets {
            apply(map, &value, target, &schema)?;
        }
    }
    Ok(())
}

fn all_ids(resource: &Resource, schema: &Schema) -> Vec<ResId> {
    let mut ids = vec![resource.current_id(schema)];
    ids.extend(resource.previous_ids(schema));
    ids
}

fn shown(source: &Source) -> String {
    let id = ResId {
        gvk: source.gvk.clone(),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        cluster_scoped: false,
    };
    let mut text = id.to_string();
    if !source.field_path.is_empty() {
        text.push(':');
        text.push_str(&source.field_path);
    }
    if let Some(options) =
        source.options.as_ref().filter(|options| !options.delimiter.is_empty() || options.create)
    {
        text.push_str(&format!(":{}({}), create={}", options.delimiter, options.index, options.create));
    }
    text
}

fn source_value(list: &[Resource], source: &Source, schema: &Schema) -> Result<Node, Error> {
    let selector = ResId {
        gvk: source.gvk.clone(),
        name: source.name.clone(),
        namespace: source.namespace.clone(),
        cluster_scoped: false,
    };
    let mut found: Option<&Resource> = None;
    for resource in list {
        if all_ids(resource, schema).iter().any(|id| id.is_selected_by(&selector)) {
            if found.is_some() {
                return Err(Error::new(format!("multiple matches for selector {}", shown(source))));
            }
            found = Some(resource);
        }
    }
    let resource = found.ok_or_else(|| Error::new(format!("nothing selected by {}", shown(source))))?;
    let path = if source.field_path.is_empty() { "metadata.name" } else { &source.field_path };
    let node = paths::lookup(&resource.node, &split_path_brackets(path))
        .map_err(|error| Error::new(format!("error looking up replacement source: {error}")))?;
    let Some(node) = node.filter(|node| !node.is_empty()) else {
        return Err(Error::new(format!("fieldPath `{path}` is missing for replacement source {selector}")));
    };
    refine(node, source.options.as_ref())
}

/// The part of a text that the options name.
fn refine(node: &Node, options: Option<&FieldOptions>) -> Result<Node, Error> {
    let Some(options) = options.filter(|options| !options.delimiter.is_empty()) else {
        return Ok(node.clone());
    };
    let Node::Scalar(scalar) = node else {
        return Err(Error::new("delimiter option can only be used with scalar nodes"));
    };
    let parts: Vec<&str> = scalar.text.split(options.delimiter.as_str()).collect();
    let part = usize::try_from(options.index).ok().and_then(|index| parts.get(index));
    let Some(part) = part else {
        return Err(Error::new(format!(
            "options.index {} is out of bounds for value {}",
            options.index, scalar.text
        )));
    };
    let mut refined = scalar.clone();
    refined.text = (*part).to_owned();
    Ok(Node::Scalar(refined))
}

fn apply(map: &mut ResMap, value: &Node, target: &Target, schema: &Schema) -> Result<(), Error> {
    let Some(select) = &target.select else {
        return Err(Error::new("target must specify resources to select"));
    };
    let name_path = ["metadata.name".to_owned()];
    let field_paths: &[String] = if target.field_paths.is_empty() { &name_path } else { &target.field_paths };
    let compile = |selector| {
        SelectorMatcher::new(selector).map_err(|error: Error| error.wrap("error creating target selector"))
    };
    let selected = compile(select)?;
    let mut rejected = Vec::with_capacity(target.reject.len());
    for reject in &target.reject {
        rejected.push((reject, compile(reject)?));
    }
    let mut changed = false;
    for at in 0..map.list().len() {
        let Some(resource) = map.list().get(at) else { break };
        if !selected.matches_meta(resource)? {
            continue;
        }
        let ids = all_ids(resource, schema);
        if !ids.iter().any(|id| selected.matches_id(id)) {
            continue;
        }
        let mut out = false;
        for (reject, matcher) in &rejected {
            let by_meta = !(reject.annotation_selector.is_empty() && reject.label_selector.is_empty());
            out |= by_meta && matcher.matches_meta(resource)?;
            out |= !reject.has_no_id() && ids.iter().any(|id| matcher.matches_id(id));
        }
        if out {
            continue;
        }
        if let Some(resource) = map.at_mut(at) {
            copy_to(&mut resource.node, value, field_paths, target.options.as_ref())
                .map_err(|error| error.of_resource(crate::fieldspec::describe(&resource.node)))?;
            resource.node.settle_links();
            changed = true;
        }
    }
    if changed {
        map.names_changed();
    }
    Ok(())
}

fn leaf_like(value: &Node) -> Node {
    match value {
        Node::Map(_) => Node::map(),
        Node::Seq(_) => Node::Seq(Vec::new()),
        Node::Scalar(_) => Node::plain(""),
    }
}

fn copy_to(
    node: &mut Node,
    value: &Node,
    field_paths: &[String],
    options: Option<&FieldOptions>,
) -> Result<(), Error> {
    let creates = options.is_some_and(|options| options.create);
    let leaf = leaf_like(value);
    let create = creates.then_some(&leaf);
    for field_path in field_paths {
        let path = split_path_brackets(field_path);
        if set_in_data(node, value, &path, creates, options).is_ok() {
            continue;
        }
        let failed = || {
            if creates {
                format!("unable to find or create field {field_path:?} in replacement target")
            } else {
                format!("unable to find field {field_path:?} in replacement target")
            }
        };
        let routes = paths::find(node, &path, create).map_err(|error| Error::new(error).wrap(failed()))?;
        if routes.is_empty() {
            return Err(Error::new(failed()));
        }
        set_all(node, &routes, value, options)?;
    }
    Ok(())
}

fn set_all(
    node: &mut Node,
    routes: &[Route],
    value: &Node,
    options: Option<&FieldOptions>,
) -> Result<(), Error> {
    for route in routes {
        if let Some(field) = paths::follow_mut(node, route) {
            set_value(field, value, options)?;
        }
    }
    Ok(())
}

fn set_value(field: &mut Node, value: &Node, options: Option<&FieldOptions>) -> Result<(), Error> {
    let mut text = value.text().to_owned();
    if let Some(options) = options.filter(|options| !options.delimiter.is_empty()) {
        let Node::Scalar(old) = &*field else {
            return Err(Error::new("delimiter option can only be used with scalar nodes"));
        };
        let new = value.value_text().to_owned();
        let mut parts: Vec<&str> = old.text.split(options.delimiter.as_str()).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, &new),
            Ok(index) => match parts.get_mut(index) {
                Some(part) => *part = &new,
                None => parts.push(&new),
            },
        }
        text = parts.join(&options.delimiter);
    }
    match field {
        // The field keeps its type, so that numbers stay numbers and texts stay texts.
        Node::Scalar(scalar) => {
            scalar.text = text;
            scalar.link = scalar.link.rewritten();
        }
        other => *other = value.clone(),
    }
    Ok(())
}

/// Sets a value inside YAML or JSON that a field holds as text.
fn set_in_data(
    node: &mut Node,
    value: &Node,
    path: &[String],
    create: bool,
    options: Option<&FieldOptions>,
) -> Result<(), Error> {
    let none = || Error::new("no structured data found in path");
    let mut found = None;
    for length in 1..path.len() {
        let Some(head) = path.get(..length) else { break };
        let Ok(Some(route)) = paths::lookup_route(node, head) else { continue };
        let Some(Node::Scalar(scalar)) = paths::follow_mut(node, &route).map(|field| &*field) else {
            continue;
        };
        if let Ok(parsed) = yaml::parse_first_node(&scalar.text) {
            found = Some((route, length, parsed));
            break;
        }
    }
    let (route, length, data) = found.ok_or_else(none)?;
    // A text without a document has no place to go on from.
    let mut data = data.ok_or_else(none)?.into_root();
    let rest = path.get(length..).unwrap_or_default();
    let leaf = tree::to_yaml(&leaf_like(value));
    let routes = crate::structured::find(&mut data, rest, create.then_some(&leaf)).map_err(Error::new)?;
    if routes.is_empty() {
        return Err(Error::new("unable to find field in structured data"));
    }
    for route in &routes {
        if let Some(field) = crate::structured::follow_mut(&mut data, route) {
            set_structured(field, value, options)?;
        }
    }
    let Some(Node::Scalar(scalar)) = paths::follow_mut(node, &route) else { return Err(none()) };
    scalar.text = serialize(&data, &scalar.text)?;
    Ok(())
}

/// As [`set_value`], where comments and styles count.
fn set_structured(field: &mut yaml::Node, value: &Node, options: Option<&FieldOptions>) -> Result<(), Error> {
    if field.kind != yaml::Kind::Scalar {
        if options.is_some_and(|options| !options.delimiter.is_empty()) {
            return Err(Error::new("delimiter option can only be used with scalar nodes"));
        }
        *field = tree::to_yaml(value);
        return Ok(());
    }
    let mut text = Node::plain(field.value.clone());
    set_value(&mut text, value, options)?;
    if let Node::Scalar(scalar) = text {
        field.value = scalar.text;
    }
    Ok(())
}

/// Writes the data back as it was written: JSON in one line or several, or YAML.
fn serialize(data: &yaml::Node, original: &str) -> Result<String, Error> {
    let text = yaml::emit(data);
    if !original.trim_start().starts_with(['{', '[']) {
        return Ok(text.trim().to_owned());
    }
    let read = tree::parse_one(&text).map_err(Error::new)?;
    let value: Value = read.map_or(Ok(Value::Null), |node| tree::to_value(&node)).map_err(Error::new)?;
    if original.contains('\n')
        && original.contains("  ")
        && let Ok(pretty) = serde_json::to_string_pretty(&value)
    {
        return Ok(crate::generate::escape_html(pretty));
    }
    Ok(crate::generate::go_json(&value))
}
