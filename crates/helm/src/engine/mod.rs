//! Running the templates of a chart and its subcharts.

mod chart;
mod errors;
mod files;
mod glob;
mod host;
mod values;

use crate::capabilities::Capabilities;
use crate::chart::Dependency;
use crate::dependencies::{Forest, Index};
use crate::render::{RenderOptions, World};
use crate::values::coalesce::{Table, Warnings, table};
use crate::{Error, Result, Stage};
use bytes::Bytes;
use gotemplate::{Env, Map, Origin, Templates, Value};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// A template with the data it runs on.
struct Source {
    path: String,
    text: Bytes,
    data: Rc<Map>,
    base: String,
}

/// Runs every template that is not a partial and hands each output with its path to `put`, and with where it
/// comes from when that is asked for.
pub(crate) fn run(
    forest: &Forest<'_>,
    values: &Table,
    options: &RenderOptions,
    world: &dyn World,
    warnings: &mut Warnings,
    put: &mut dyn FnMut(String, String, Vec<Origin>),
) -> Result<()> {
    let release = release_object(options);
    let capabilities = chart::capabilities(&options.capabilities);
    let mut sources = BTreeMap::new();
    let root = Scope { release, capabilities };
    collect(forest, Forest::ROOT, values.clone(), &root, &mut sources);
    let mut sources: Vec<Source> = sources.into_values().collect();
    sources.sort_by(|a, b| by_depth(&b.path, &a.path));

    let mut templates = Templates::helm(options.strict);
    let texts: Vec<(&str, &Bytes)> =
        sources.iter().map(|source| (source.path.as_str(), &source.text)).collect();
    templates.parse_all(&texts).map_err(|error| {
        let source = sources.iter().find(|source| source.path == error.template);
        let text = source.map(|source| String::from_utf8_lossy(&source.text)).unwrap_or_default();
        errors::parse(&error.template, &text, &error)
    })?;
    let host = host::Door::new(world, options.lint);
    let mut env = Env::with_limits(&host, options.limits);
    if options.trace {
        let mut tables = HashMap::new();
        name_tables(values, "", &mut tables);
        env.trace(tables);
    }
    let result = sources.iter().try_for_each(|source| {
        if crate::path::base(&source.path).starts_with('_') {
            return Ok(());
        }
        source.data.insert("Template", template_object(source));
        let data = Value::Map(source.data.clone());
        let text = templates.execute(&source.path, &data, &mut env).map_err(|error| {
            let error = errors::execution(&source.path, &error);
            let blamed = error.file.as_deref().unwrap_or(&source.path);
            match sources.iter().find(|source| source.path == blamed) {
                Some(source) => error.with_excerpt(&String::from_utf8_lossy(&source.text)),
                None => error,
            }
        })?;
        put(source.path.clone(), without_no_value(text), env.take_origins());
        Ok(())
    });
    drop(env);
    warnings.extend(host.into_notes());
    result
}

/// A template by itself, without data.
pub(crate) fn text(template: &str, world: &dyn World) -> Result<String> {
    const NAME: &str = "name-template";
    let mut templates = Templates::helm(false);
    templates.parse(NAME, template).map_err(|error| Error::new(Stage::Values, error.message))?;
    let host = host::Door::new(world, false);
    let text = templates.execute(NAME, &Value::Nil, &mut Env::new(&host));
    text.map_err(|error| Error::new(Stage::Values, error.message))
}

/// The paths of all tables of values.
fn name_tables(table: &Table, path: &str, names: &mut HashMap<usize, String>) {
    if names.contains_key(&table.id()) {
        return;
    }
    names.insert(table.id(), path.to_owned());
    for (key, value) in table.borrow().iter() {
        if let Value::Map(inner) = value {
            let key = key.to_text();
            let path = if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") };
            name_tables(inner, &path, names);
        }
    }
}

/// Deeper paths are later, so that reading them backwards lets the top charts define last.
fn by_depth(a: &str, b: &str) -> Ordering {
    let depth = |path: &str| path.matches('/').count();
    depth(a).cmp(&depth(b)).then_with(|| a.cmp(b))
}

/// Go prints a missing key so; Helm takes it out.
fn without_no_value(text: String) -> String {
    if memchr::memmem::find(text.as_bytes(), b"<no value>").is_some() {
        text.replace("<no value>", "")
    } else {
        text
    }
}

/// What every chart of a render sees alike.
struct Scope {
    release: Value,
    capabilities: Value,
}

/// The data of a chart's templates, and through it that of its subcharts'.
fn collect(
    forest: &Forest<'_>,
    index: Index,
    values: Table,
    scope: &Scope,
    sources: &mut BTreeMap<String, Source>,
) -> Value {
    let source = forest.chart(index);
    let path = forest.path(index);
    let requirements: Vec<Dependency> = forest.requirements(index);
    let subcharts = table();
    let data = table();
    data.insert("Chart", chart::chart(source, forest.name(index), &requirements, forest.is_root(index)));
    data.insert("Files", files::files(&source.files));
    data.insert("Release", scope.release.clone());
    data.insert("Capabilities", scope.capabilities.clone());
    data.insert("Subcharts", Value::Map(subcharts.clone()));
    for child in forest.children(index) {
        let name = forest.name(*child);
        let inner = match values.get(name) {
            Some(Value::Map(inner)) => inner,
            _ => table(),
        };
        subcharts.insert(name, collect(forest, *child, inner, scope, sources));
    }
    data.insert("Values", values::values(&values));
    for file in &source.templates {
        if source.is_library() && !crate::path::base(&file.name).starts_with('_') {
            continue;
        }
        let full = crate::path::clean(&format!("{path}/{}", file.name));
        let base = format!("{path}/templates");
        let source = Source { path: full.clone(), text: file.data.clone(), data: data.clone(), base };
        sources.insert(full, source);
    }
    Value::Map(data)
}

fn template_object(source: &Source) -> Value {
    Value::named_map(
        values::TYPE,
        [
            ("Name".to_owned(), Value::from(source.path.as_str())),
            ("BasePath".to_owned(), Value::from(source.base.as_str())),
        ],
    )
}

fn release_object(options: &RenderOptions) -> Value {
    Value::map([
        ("Name", Value::from(options.release_name.as_str())),
        ("Namespace", Value::from(options.namespace.as_str())),
        ("IsUpgrade", Value::Bool(options.is_upgrade)),
        ("IsInstall", Value::Bool(options.is_install)),
        ("Revision", Value::int(i64::try_from(options.revision).unwrap_or(i64::MAX))),
        ("Service", Value::from("Helm")),
    ])
}

/// Kept here so that the objects and the options agree on the type.
pub(crate) type Known = Capabilities;
