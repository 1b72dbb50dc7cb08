//! By which keys lists merge, and which kinds live outside namespaces.
//!
//! The built-in table is the one Kustomize 5.8 merges by; an `openapi.path` file takes its place, as there.

use crate::ids::Gvk;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The OpenAPI version that is built in.
pub(crate) const BUILTIN_VERSION: &str = "v1.21.2";

/// The built-in table.
const BUILTIN: &str = include_str!("../data/merge-schema.txt");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    Array,
    Map,
    Other,
}

#[derive(Debug, Clone)]
struct Field {
    shape: Shape,
    strategy: String,
    merge_key: String,
    map_keys: Vec<String>,
    target: usize,
}

#[derive(Debug, Clone, Default)]
struct Type {
    fields: HashMap<String, Field>,
    /// What the values of undeclared keys are.
    rest: Option<Box<Field>>,
}

/// A type; one of the built-in table is read when it is first asked for, as few are.
#[derive(Debug, Clone)]
enum Slot {
    Made(Box<Type>),
    Text(&'static str, OnceLock<Box<Type>>),
}

impl Slot {
    fn get(&self) -> &Type {
        match self {
            Slot::Made(made) => made,
            Slot::Text(text, made) => made.get_or_init(|| Box::new(parse_fields(text))),
        }
    }
}

/// What is known of a kind.
#[derive(Debug, Clone)]
struct KindEntry {
    kind: Cow<'static, str>,
    api_version: Cow<'static, str>,
    /// `None` when only its scope is known.
    target: Option<usize>,
    namespaced: Option<bool>,
}

/// A table of types.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    types: Vec<Slot>,
    /// In the order of kind and version.
    kinds: Vec<KindEntry>,
    builtin_kinds: bool,
}

/// What is known already when an OpenAPI document is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: the document is all there is.
    Nothing,
    /// The built-in types, which win over the document's of the same name.
    BuiltinWins,
    /// The built-in types, but the document's win.
    DocumentWins,
}

/// Where in the table a node is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// An object of a type.
    Type(&'a Schema, usize),
    /// A field that is no plain object.
    Field(&'a Schema, FieldRef<'a>),
}

/// A declared field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldRef<'a>(&'a Field);

impl<'a> Place<'a> {
    /// The place of a field of the object here.
    pub fn field(self, name: &str) -> Option<Place<'a>> {
        let (schema, index) = match self {
            Place::Type(schema, index) => (schema, index),
            Place::Field(schema, FieldRef(field)) if field.shape == Shape::Object => (schema, field.target),
            Place::Field(schema, FieldRef(field)) if field.shape == Shape::Map => {
                return Some(Place::Type(schema, field.target));
            }
            Place::Field(..) => return None,
        };
        let kind = schema.types.get(index)?.get();
        let field = kind.fields.get(name).or(kind.rest.as_deref())?;
        if field.shape == Shape::Object && field.strategy.is_empty() {
            return Some(Place::Type(schema, field.target));
        }
        Some(Place::Field(schema, FieldRef(field)))
    }

    /// The place of the items of the list here.
    pub fn items(self) -> Option<Place<'a>> {
        match self {
            Place::Field(schema, FieldRef(field)) if field.shape == Shape::Array => {
                Some(Place::Type(schema, field.target))
            }
            _ => None,
        }
    }

    /// Are the items of the list here merged one by one?
    pub fn merges(self) -> bool {
        matches!(self, Place::Field(_, FieldRef(field)) if field.strategy.split(',').any(|word| word == "merge"))
    }

    /// The patch strategy of the list here, and the keys that tell its items apart.
    pub fn strategy_and_keys(self) -> (&'a str, Vec<&'a str>) {
        match self {
            Place::Field(_, FieldRef(field)) if !field.strategy.is_empty() => {
                let keys = if !field.map_keys.is_empty() {
                    field.map_keys.iter().map(String::as_str).collect()
                } else if !field.merge_key.is_empty() {
                    vec![field.merge_key.as_str()]
                } else {
                    Vec::new()
                };
                (&field.strategy, keys)
            }
            _ => ("", Vec::new()),
        }
    }
}

impl Schema {
    /// The table that is built in.
    pub fn builtin() -> &'static Arc<Schema> {
        static TABLE: OnceLock<Arc<Schema>> = OnceLock::new();
        TABLE.get_or_init(|| Arc::new(parse_table(BUILTIN)))
    }

    /// Where the versions of a kind begin.
    fn start(&self, kind: &str) -> usize {
        self.kinds.partition_point(|entry| entry.kind.as_ref() < kind)
    }

    fn versions(&self, kind: &str) -> impl Iterator<Item = &KindEntry> {
        let entries = self.kinds.get(self.start(kind)..).unwrap_or_default();
        entries.iter().take_while(move |entry| entry.kind == kind)
    }

    /// The entry of a kind, made when it is missing.
    fn entry(&mut self, api_version: String, kind: String) -> Option<&mut KindEntry> {
        let key =
            |entry: &KindEntry| (entry.kind.as_ref(), entry.api_version.as_ref()) < (&kind, &api_version);
        let at = self.kinds.partition_point(key);
        let there = self.kinds.get(at).is_some_and(|one| one.kind == kind && one.api_version == api_version);
        if !there {
            let made = KindEntry {
                kind: kind.into(),
                api_version: api_version.into(),
                target: None,
                namespaced: None,
            };
            self.kinds.insert(at, made);
        }
        self.kinds.get_mut(at)
    }

    /// The type of a kind.
    pub fn of(&self, api_version: &str, kind: &str) -> Option<Place<'_>> {
        let found = self.versions(kind).find(|entry| entry.api_version == api_version)?;
        found.target.map(|target| Place::Type(self, target))
    }

    /// Is a kind known to live outside namespaces?
    pub fn is_cluster_scoped(&self, gvk: &Gvk) -> bool {
        if !self.builtin_kinds {
            // The common kinds are known whatever OpenAPI file is given.
            if let Some(namespaced) = Schema::builtin().scope(gvk) {
                return !namespaced;
            }
        }
        self.scope(gvk).is_some_and(|namespaced| !namespaced)
    }

    fn scope(&self, gvk: &Gvk) -> Option<bool> {
        let mut scoped = self.versions(&gvk.kind).filter_map(|entry| Some((entry, entry.namespaced?)));
        if gvk.group.is_empty() {
            return scoped.find(|(entry, _)| entry.api_version == gvk.version).map(|(_, scope)| scope);
        }
        scoped.find_map(|(entry, namespaced)| {
            let (group, version) = entry.api_version.split_once('/')?;
            (group == gvk.group && version == gvk.version).then_some(namespaced)
        })
    }

    /// A table from an OpenAPI v2 document (JSON or YAML).
    pub fn from_openapi(text: &str, known: Known) -> Result<Schema, String> {
        let document = yaml::from_str(text).map_err(|error| error.to_string())?;
        // Types by the names of their definitions: nobody else asks for those.
        let mut names = match known {
            Known::Nothing => HashMap::new(),
            Known::BuiltinWins | Known::DocumentWins => builtin_names(),
        };
        let mut schema = match known {
            Known::Nothing => Schema { types: vec![Slot::Made(Box::default())], ..Schema::default() },
            Known::BuiltinWins | Known::DocumentWins => Schema::clone(Schema::builtin()),
        };
        let empty = serde_json::Map::new();
        let definitions = document.get("definitions").and_then(Value::as_object).unwrap_or(&empty);
        let mut mine = Vec::with_capacity(definitions.len());
        for (name, definition) in definitions {
            let at = match names.get(name) {
                Some(_) if known == Known::BuiltinWins => continue,
                Some(at) => *at,
                None => {
                    schema.types.push(Slot::Made(Box::default()));
                    schema.types.len() - 1
                }
            };
            names.insert(name.clone(), at);
            mine.push((at, definition));
        }
        for (at, definition) in mine {
            for (api_version, kind) in kinds_of(definition) {
                if let Some(entry) = schema.entry(api_version, kind) {
                    entry.target = Some(at);
                }
            }
            let made = openapi_type(definition, &names, &mut schema.types, 0);
            if let Some(slot) = schema.types.get_mut(at) {
                *slot = Slot::Made(Box::new(made));
            }
        }
        schema.read_scopes(&document);
        Ok(schema)
    }

    /// Is the scope of this kind known without an OpenAPI document?
    pub fn knows_scope(api_version: &str, kind: &str) -> bool {
        Schema::builtin()
            .versions(kind)
            .any(|entry| entry.api_version == api_version && entry.namespaced.is_some())
    }

    fn read_scopes(&mut self, document: &Value) {
        let Some(paths) = document.get("paths").and_then(Value::as_object) else { return };
        for (path, item) in paths {
            let Some(gvk) = item.get("get").and_then(|get| get.get("x-kubernetes-group-version-kind")) else {
                continue;
            };
            let Some((api_version, kind)) = type_meta(gvk) else { continue };
            let Some(entry) = self.entry(api_version, kind) else { continue };
            if path.contains("namespaces/{namespace}") {
                entry.namespaced = Some(true);
            } else {
                entry.namespaced.get_or_insert(false);
            }
        }
    }
}

fn type_meta(gvk: &Value) -> Option<(String, String)> {
    let version = gvk.get("version")?.as_str()?;
    let kind = gvk.get("kind")?.as_str()?;
    let api_version = match gvk.get("group").and_then(Value::as_str) {
        Some(group) if !group.is_empty() => format!("{group}/{version}"),
        _ => version.to_owned(),
    };
    Some((api_version, kind.to_owned()))
}

fn kinds_of(definition: &Value) -> Vec<(String, String)> {
    let list = definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
    list.map(|list| list.iter().filter_map(type_meta).collect()).unwrap_or_default()
}

fn openapi_type(
    definition: &Value,
    index: &HashMap<String, usize>,
    types: &mut Vec<Slot>,
    depth: usize,
) -> Type {
    let mut made = Type::default();
    if depth > 64 {
        return made;
    }
    if let Some(properties) = definition.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            made.fields.insert(name.clone(), openapi_field(property, index, types, depth));
        }
    }
    if let Some(rest) = definition.get("additionalProperties").filter(|rest| rest.is_object()) {
        made.rest = Some(Box::new(openapi_field(rest, index, types, depth)));
    }
    made
}

fn openapi_field(
    property: &Value,
    index: &HashMap<String, usize>,
    types: &mut Vec<Slot>,
    depth: usize,
) -> Field {
    let text = |key: &str| property.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let strategy = text("x-kubernetes-patch-strategy");
    let map_keys = property
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array)
        .map(|keys| keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let (shape, target) = if property.get("$ref").is_some() || property.get("properties").is_some() {
        (Shape::Object, openapi_target(property, index, types, depth))
    } else if property.get("type").and_then(Value::as_str) == Some("array") {
        let items = property.get("items").unwrap_or(&Value::Null);
        (Shape::Array, openapi_target(items, index, types, depth))
    } else if property.get("additionalProperties").is_some_and(Value::is_object) {
        (Shape::Object, openapi_target(property, index, types, depth))
    } else {
        (Shape::Other, 0)
    };
    Field { shape, strategy, merge_key: text("x-kubernetes-patch-merge-key"), map_keys, target }
}

fn openapi_target(
    value: &Value,
    index: &HashMap<String, usize>,
    types: &mut Vec<Slot>,
    depth: usize,
) -> usize {
    if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return index.get(name).copied().unwrap_or(0);
    }
    // An inline object becomes a type of its own, after the named ones.
    let made = openapi_type(value, index, types, depth + 1);
    if made.fields.is_empty() && made.rest.is_none() {
        return 0;
    }
    types.push(Slot::Made(Box::new(made)));
    types.len() - 1
}

/// The types of the built-in table, and its kinds.
fn sections(text: &str) -> (&str, &str) {
    text.split_at(text.find("\nK ").map_or(text.len(), |at| at + 1))
}

/// Each type's name and the text of its fields.
fn blocks(types: &str) -> impl Iterator<Item = (&str, &str)> {
    // What precedes the first type says what the file is.
    types.split("\nT ").skip(1).map(|block| block.split_once('\n').unwrap_or((block, "")))
}

/// Where the built-in types stand, by name.
fn builtin_names() -> HashMap<String, usize> {
    let (types, _) = sections(BUILTIN);
    blocks(types).enumerate().map(|(at, (name, _))| (name.to_owned(), at + 1)).collect()
}

/// Reads the kinds; the fields of types stay text.
fn parse_table(text: &'static str) -> Schema {
    let mut schema =
        Schema { builtin_kinds: true, types: vec![Slot::Made(Box::default())], ..Schema::default() };
    let (types, kinds) = sections(text);
    schema.types.extend(blocks(types).map(|(_, fields)| Slot::Text(fields, OnceLock::new())));
    for line in kinds.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(api_version), Some(kind)) = (words.next(), words.next()) else { continue };
        let target = words.next().and_then(|word| word.parse().ok());
        let namespaced = match words.next() {
            Some("N") => Some(true),
            Some("C") => Some(false),
            _ => None,
        };
        schema.kinds.push(KindEntry {
            kind: kind.into(),
            api_version: api_version.into(),
            target,
            namespaced,
        });
    }
    schema.kinds.sort_unstable_by(|a, b| (&a.kind, &a.api_version).cmp(&(&b.kind, &b.api_version)));
    schema
}

/// Reads the fields of one type.
fn parse_fields(text: &str) -> Type {
    let word = |text: Option<&str>| text.filter(|text| *text != "-").unwrap_or_default().to_owned();
    let mut made = Type::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(name) = words.next() else { continue };
        let shape = match words.next() {
            Some("o") => Shape::Object,
            Some("a") => Shape::Array,
            Some("m") => Shape::Map,
            _ => Shape::Other,
        };
        let strategy = word(words.next());
        let merge_key = word(words.next());
        let keys = word(words.next());
        let map_keys = keys.split(',').filter(|key| !key.is_empty()).map(str::to_owned).collect();
        let target = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        made.fields.insert(name.to_owned(), Field { shape, strategy, merge_key, map_keys, target });
    }
    made
}
