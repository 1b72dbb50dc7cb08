//! Documents of schemas: their drafts, and the resources and anchors that references lead to.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Levels of a schema document.
const MAX_DEPTH: usize = 256;

/// A version of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    D4,
    D6,
    D7,
    D2019,
    D2020,
}

impl Draft {
    /// The draft of a `$schema`; `None` for a schema of somebody's own.
    fn named(address: &str) -> Option<Draft> {
        let (address, fragment) = address.split_once('#').unwrap_or((address, ""));
        let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
        match rest.filter(|_| fragment.is_empty())? {
            "json-schema.org/schema" | "json-schema.org/draft/2020-12/schema" => Some(Draft::D2020),
            "json-schema.org/draft/2019-09/schema" => Some(Draft::D2019),
            "json-schema.org/draft-07/schema" => Some(Draft::D7),
            "json-schema.org/draft-06/schema" => Some(Draft::D6),
            "json-schema.org/draft-04/schema" => Some(Draft::D4),
            _ => None,
        }
    }

    /// The address of the draft's own schema.
    pub(super) fn address(self) -> &'static str {
        match self {
            Draft::D4 => "http://json-schema.org/draft-04/schema",
            Draft::D6 => "http://json-schema.org/draft-06/schema",
            Draft::D7 => "http://json-schema.org/draft-07/schema",
            Draft::D2019 => "https://json-schema.org/draft/2019-09/schema",
            Draft::D2020 => "https://json-schema.org/draft/2020-12/schema",
        }
    }

    fn id(self) -> &'static str {
        if self == Draft::D4 { "id" } else { "$id" }
    }

    /// Keywords that hold one schema, a list of them, and a map of them.
    fn places(self) -> (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>) {
        let mut one = vec!["not", "additionalProperties", "items", "additionalItems"];
        let mut lists = vec!["allOf", "anyOf", "oneOf", "items"];
        let mut maps = vec!["definitions", "properties", "patternProperties", "dependencies"];
        if self >= Draft::D6 {
            one.extend(["propertyNames", "contains"]);
        }
        if self >= Draft::D7 {
            one.extend(["if", "then", "else"]);
        }
        if self >= Draft::D2019 {
            one.extend(["unevaluatedProperties", "unevaluatedItems", "contentSchema"]);
            maps.extend(["$defs", "dependentSchemas"]);
        }
        if self >= Draft::D2020 {
            lists.push("prefixItems");
        }
        (one, lists, maps)
    }
}

/// The identifier of a schema object without its fragment.
fn id_of(draft: Draft, schema: &Map<String, Value>) -> Option<&str> {
    if draft < Draft::D2019 && schema.contains_key("$ref") {
        return None;
    }
    let id = schema.get(draft.id())?.as_str()?;
    let id = id.split('#').next().unwrap_or(id);
    (!id.is_empty()).then_some(id)
}

/// A schema with an identifier of its own, or a document's root.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub id: String,
    pub draft: Draft,
    pub anchors: BTreeMap<String, String>,
    pub dynamic: BTreeSet<String>,
}

/// One document.
pub(super) struct Document {
    pub address: String,
    pub value: Arc<Value>,
    /// By the place in the document.
    pub resources: BTreeMap<String, Resource>,
    /// Places that are schemas.
    pub walked: BTreeSet<String>,
}

impl Document {
    /// The resource that a place belongs to.
    pub(super) fn resource_at(&self, pointer: &str) -> Option<(&str, &Resource)> {
        let mut at = pointer;
        loop {
            if let Some((place, resource)) = self.resources.get_key_value(at) {
                return Some((place, resource));
            }
            at = at.get(..at.rfind('/')?)?;
        }
    }

    pub(super) fn shown(&self, pointer: &str) -> String {
        format!("{}#{}", self.address, escaped(pointer))
    }

    pub(super) fn value_at(&self, pointer: &str) -> Result<&Value, String> {
        self.value
            .pointer(pointer)
            .ok_or_else(|| format!("json-pointer in {:?} not found", self.shown(pointer)))
    }
}

/// A fragment as an address shows it.
pub(super) fn escaped(pointer: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+=:@/".contains(&byte);
    pointer.bytes().fold(String::new(), |mut out, byte| {
        match keep(byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

pub(super) fn token(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

/// The drafts' own schemas.
pub(super) fn published(address: &str) -> Option<Arc<Value>> {
    use referencing::meta;
    let old = match address {
        "http://json-schema.org/draft-04/schema" => Some(&meta::DRAFT4),
        "http://json-schema.org/draft-06/schema" => return Some(Arc::new(lenient_examples())),
        "http://json-schema.org/draft-07/schema" => Some(&meta::DRAFT7),
        _ => None,
    };
    if let Some(value) = old {
        return Some(Arc::clone(value));
    }
    let (draft, rest) = address.strip_prefix("https://json-schema.org/draft/")?.split_once('/')?;
    let value = match (draft, rest) {
        ("2019-09", "schema") => &meta::DRAFT201909,
        ("2019-09", "meta/applicator") => &meta::DRAFT201909_APPLICATOR,
        ("2019-09", "meta/content") => &meta::DRAFT201909_CONTENT,
        ("2019-09", "meta/core") => &meta::DRAFT201909_CORE,
        ("2019-09", "meta/format") => &meta::DRAFT201909_FORMAT,
        ("2019-09", "meta/meta-data") => &meta::DRAFT201909_META_DATA,
        ("2019-09", "meta/validation") => &meta::DRAFT201909_VALIDATION,
        ("2020-12", "schema") => &meta::DRAFT202012,
        ("2020-12", "meta/applicator") => &meta::DRAFT202012_APPLICATOR,
        ("2020-12", "meta/content") => &meta::DRAFT202012_CONTENT,
        ("2020-12", "meta/core") => &meta::DRAFT202012_CORE,
        ("2020-12", "meta/format-annotation") => &meta::DRAFT202012_FORMAT_ANNOTATION,
        ("2020-12", "meta/format-assertion") => &meta::DRAFT202012_FORMAT_ASSERTION,
        ("2020-12", "meta/meta-data") => &meta::DRAFT202012_META_DATA,
        ("2020-12", "meta/unevaluated") => &meta::DRAFT202012_UNEVALUATED,
        ("2020-12", "meta/validation") => &meta::DRAFT202012_VALIDATION,
        _ => return None,
    };
    Some(Arc::clone(value))
}

/// Draft 6 as Helm's validator has it: examples may be anything.
fn lenient_examples() -> Value {
    let mut draft = Value::clone(&referencing::meta::DRAFT6);
    if let Some(examples) = draft.pointer_mut("/properties/examples") {
        *examples = Value::Bool(true);
    }
    draft
}

/// Notes the resources and anchors of a schema and of all within it.
pub(super) fn walk(
    document: &mut Document,
    value: &Value,
    base: &str,
    pointer: &str,
    fallback: Draft,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("nested more than {MAX_DEPTH} levels deep"));
    }
    if !document.walked.insert(pointer.to_owned()) {
        return Ok(());
    }
    let root =
        |draft| Resource { id: base.to_owned(), draft, anchors: BTreeMap::new(), dynamic: BTreeSet::new() };
    let Value::Object(schema) = value else {
        if pointer.is_empty() {
            document.resources.insert(String::new(), root(fallback));
        }
        return Ok(());
    };
    let mut draft = match schema.get("$schema").and_then(Value::as_str) {
        None => fallback,
        Some(named) => match Draft::named(named) {
            Some(draft) => draft,
            None if named.starts_with("urn:") => fallback,
            None => {
                let address = named.split('#').next().unwrap_or(named);
                return Err(format!(
                    "failing loading {address:?}: references to other places are not followed"
                ));
            }
        },
    };
    let mut id = id_of(draft, schema);
    if id.is_none() && !pointer.is_empty() {
        draft = fallback;
        id = id_of(draft, schema);
    }
    let mut base = base.to_owned();
    let resource = match id {
        Some(id) => {
            base = join(&base, id)
                .map_err(|_| format!("error in parsing id at {:?}", document.shown(pointer)))?;
            Some(Resource { id: base.clone(), ..root(draft) })
        }
        None if pointer.is_empty() => Some(root(draft)),
        None => None,
    };
    if let Some(resource) = resource {
        let same = document.resources.iter().find(|(_, other)| other.id == resource.id);
        match same.map(|(place, _)| place.clone()) {
            Some(place) if place != pointer => {
                return Err(format!(
                    "duplicate id {:?} in {:?} at {pointer:?} and {place:?}",
                    resource.id, document.address
                ));
            }
            _ => drop(document.resources.insert(pointer.to_owned(), resource)),
        }
    }
    note_anchors(document, schema, &base, pointer)?;
    let draft = document.resource_at(pointer).map_or(draft, |(_, resource)| resource.draft);
    let (one, lists, maps) = draft.places();
    for keyword in one {
        if let Some(inner) = schema.get(keyword) {
            walk(document, inner, &base, &format!("{pointer}/{keyword}"), draft, depth + 1)?;
        }
    }
    for keyword in lists {
        let items = schema.get(keyword).and_then(Value::as_array);
        for (at, inner) in items.into_iter().flatten().enumerate() {
            walk(document, inner, &base, &format!("{pointer}/{keyword}/{at}"), draft, depth + 1)?;
        }
    }
    for keyword in maps {
        let members = schema.get(keyword).and_then(Value::as_object);
        for (name, inner) in members.into_iter().flatten() {
            let place = format!("{pointer}/{keyword}/{}", token(name));
            walk(document, inner, &base, &place, draft, depth + 1)?;
        }
    }
    Ok(())
}

fn note_anchors(
    document: &mut Document,
    schema: &Map<String, Value>,
    base: &str,
    pointer: &str,
) -> Result<(), String> {
    let address = document.address.clone();
    let Some(resource) = document.resources.values_mut().find(|resource| resource.id == base) else {
        return Ok(());
    };
    let text = |keyword: &str| schema.get(keyword).and_then(Value::as_str);
    let mut names = Vec::new();
    if resource.draft < Draft::D2019 {
        if schema.contains_key("$ref") {
            return Ok(());
        }
        let fragment =
            text(resource.draft.id()).and_then(|id| id.split_once('#')).map(|(_, fragment)| fragment);
        names.extend(fragment.filter(|name| !name.is_empty() && !name.starts_with('/')));
    } else {
        names.extend(text("$anchor"));
    }
    if resource.draft >= Draft::D2020
        && let Some(name) = text("$dynamicAnchor")
    {
        names.push(name);
        resource.dynamic.insert(name.to_owned());
    }
    for name in names {
        let place = resource.anchors.entry(name.to_owned()).or_insert_with(|| pointer.to_owned());
        if place != pointer {
            return Err(format!("duplicate anchor {name:?} in {address:?} at {place:?} and {pointer:?}"));
        }
    }
    Ok(())
}

pub(super) fn join(base: &str, reference: &str) -> Result<String, String> {
    if reference.is_empty() {
        return Ok(base.to_owned());
    }
    match url::Url::parse(base) {
        Ok(base) if !base.cannot_be_a_base() => {
            base.join(reference).map(String::from).map_err(|error| error.to_string())
        }
        _ => url::Url::parse(reference).map(String::from).map_err(|error| error.to_string()),
    }
}

/// A fragment without its escapes.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
