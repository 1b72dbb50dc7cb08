//! Schemas, read: documents with their resources and anchors, and the keywords of every schema that is reachable.
//!
//! Semantics: JSON Schema drafts 4, 6, 7, 2019-09 and 2020-12 as the validator in Helm reads them. A document must obey
//! its draft's own schema before it is used.

use super::documents::{Document, Draft, decoded, escaped, join, published, token, walk};
use super::number::Decimal;
use super::validate;
use gotemplate::Regexp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

/// Schemas of one document at most, those that references lead to included.
const MAX_SCHEMAS: usize = 200_000;
/// A place among the compiled schemas.
pub(super) type Index = usize;

/// What may stand where a schema or a list of names may.
pub(super) enum Dependency {
    Names(Vec<String>),
    Schema(Index),
}

/// `additionalProperties`, `additionalItems`.
pub(super) enum Additional {
    Allowed(bool),
    Schema(Index),
}

/// `items` before 2020-12.
pub(super) enum Items {
    All(Index),
    Each(Vec<Index>),
}

/// One schema's keywords.
#[derive(Default)]
pub(super) struct Schema {
    pub draft: Option<Draft>,
    /// Its address.
    pub place: String,
    /// The root of the resource it belongs to.
    pub resource: Index,
    pub dynamic_anchors: BTreeMap<String, Index>,
    pub verdict: Option<bool>,
    pub reference: Option<Index>,
    pub recursive_reference: Option<Index>,
    pub recursive_anchor: bool,
    pub dynamic_reference: Option<(Index, Option<String>)>,
    pub dynamic_anchor: Option<String>,
    pub types: Vec<&'static str>,
    pub allowed: Option<Vec<Value>>,
    pub constant: Option<Value>,
    pub not: Option<Index>,
    pub all_of: Vec<Index>,
    pub any_of: Vec<Index>,
    pub one_of: Vec<Index>,
    pub condition: Option<(Index, Option<Index>, Option<Index>)>,
    pub format: Option<String>,
    pub min_properties: Option<i64>,
    pub max_properties: Option<i64>,
    pub required: Vec<String>,
    pub property_names: Option<Index>,
    pub properties: BTreeMap<String, Index>,
    pub pattern_properties: Vec<(Regexp, Index)>,
    pub additional_properties: Option<Additional>,
    pub dependencies: BTreeMap<String, Dependency>,
    pub dependent_required: BTreeMap<String, Vec<String>>,
    pub dependent_schemas: BTreeMap<String, Index>,
    pub unevaluated_properties: Option<Index>,
    pub min_items: Option<i64>,
    pub max_items: Option<i64>,
    pub unique_items: bool,
    pub contains: Option<Index>,
    pub min_contains: Option<i64>,
    pub max_contains: Option<i64>,
    pub items: Option<Items>,
    pub additional_items: Option<Additional>,
    pub prefix_items: Vec<Index>,
    pub rest_items: Option<Index>,
    pub unevaluated_items: Option<Index>,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub pattern: Option<(String, Regexp)>,
    pub maximum: Option<Decimal>,
    pub minimum: Option<Decimal>,
    pub exclusive_maximum: Option<Decimal>,
    pub exclusive_minimum: Option<Decimal>,
    pub multiple_of: Option<Decimal>,
}

/// Schemas that are ready to judge.
pub(super) struct Compiled {
    pub schemas: Vec<Schema>,
    pub root: Index,
}

/// Reads schemas, and what they refer to.
pub(super) struct Compiler {
    documents: Vec<Document>,
    /// Where each schema is: a document and a place in it.
    places: Vec<(usize, String)>,
    known: HashMap<(usize, String), Index>,
    schemas: Vec<Schema>,
    /// Formats are asserted in every draft: so it is for the drafts' own schemas.
    asserts_formats: bool,
}

/// The draft's own schema, compiled once.
pub(super) fn own_schema(draft: Draft) -> Result<&'static Compiled, String> {
    type Own = LazyLock<Result<Compiled, String>>;
    fn compiled(draft: Draft) -> Result<Compiled, String> {
        let mut compiler = Compiler::new(true);
        let document = compiler.load(draft.address())?;
        compiler.finish(document)
    }
    static D4: Own = LazyLock::new(|| compiled(Draft::D4));
    static D6: Own = LazyLock::new(|| compiled(Draft::D6));
    static D7: Own = LazyLock::new(|| compiled(Draft::D7));
    static D2019: Own = LazyLock::new(|| compiled(Draft::D2019));
    static D2020: Own = LazyLock::new(|| compiled(Draft::D2020));
    let own = match draft {
        Draft::D4 => &D4,
        Draft::D6 => &D6,
        Draft::D7 => &D7,
        Draft::D2019 => &D2019,
        Draft::D2020 => &D2020,
    };
    own.as_ref().map_err(Clone::clone)
}

/// A user's schema, compiled.
pub(super) fn compile(address: &str, value: &Value) -> Result<Compiled, String> {
    let mut compiler = Compiler::new(false);
    let document = compiler.add(address, Arc::new(value.clone()))?;
    compiler.finish(document)
}

impl Compiler {
    fn new(asserts_formats: bool) -> Compiler {
        Compiler {
            documents: Vec::new(),
            places: Vec::new(),
            known: HashMap::new(),
            schemas: Vec::new(),
            asserts_formats,
        }
    }

    fn finish(mut self, document: usize) -> Result<Compiled, String> {
        let root = self.enqueue(document, String::new())?;
        let mut at = 0;
        while let Some((document, pointer)) = self.places.get(at).cloned() {
            self.ensure(document, &pointer)?;
            let schema = self.read(document, &pointer)?;
            if let Some(place) = self.schemas.get_mut(at) {
                *place = schema;
            }
            at += 1;
        }
        Ok(Compiled { schemas: self.schemas, root })
    }

    fn enqueue(&mut self, document: usize, pointer: String) -> Result<Index, String> {
        if let Some(index) = self.known.get(&(document, pointer.clone())) {
            return Ok(*index);
        }
        if self.schemas.len() >= MAX_SCHEMAS {
            return Err(format!("more than {MAX_SCHEMAS} schemas"));
        }
        let index = self.schemas.len();
        self.schemas.push(Schema::default());
        self.places.push((document, pointer.clone()));
        self.known.insert((document, pointer), index);
        Ok(index)
    }

    fn document(&self, index: usize) -> Result<&Document, String> {
        self.documents.get(index).ok_or_else(|| "a document is missing".to_owned())
    }

    /// The document at an address. Nothing is fetched: the drafts' own schemas are here, and names without a place
    /// accept everything.
    fn load(&mut self, address: &str) -> Result<usize, String> {
        if let Some(found) = self.documents.iter().position(|document| document.address == address) {
            return Ok(found);
        }
        if let Some(value) = published(address) {
            return self.add(address, value);
        }
        if address.starts_with("urn:") {
            return self.add(address, Arc::new(Value::Bool(true)));
        }
        Err(format!("failing loading {address:?}: references to other places are not followed"))
    }

    fn add(&mut self, address: &str, value: Arc<Value>) -> Result<usize, String> {
        let mut document = Document {
            address: address.to_owned(),
            value: value.clone(),
            resources: BTreeMap::new(),
            walked: BTreeSet::new(),
        };
        walk(&mut document, &value, address, "", Draft::D2020, 0)?;
        let is_published = ["http://json-schema.org/", "https://json-schema.org/"]
            .iter()
            .any(|head| address.starts_with(head));
        if !is_published {
            obeys_draft(&document, &value, "")?;
        }
        self.documents.push(document);
        Ok(self.documents.len() - 1)
    }

    /// A reference may lead to a place that is no schema's by its position: it is one from now on.
    fn ensure(&mut self, index: usize, pointer: &str) -> Result<(), String> {
        let document = self.document(index)?;
        if document.walked.contains(pointer) {
            return Ok(());
        }
        let whole = Arc::clone(&document.value);
        document.value_at(pointer)?;
        let value = whole.pointer(pointer).unwrap_or(&Value::Null);
        let (id, draft) = document
            .resource_at(pointer)
            .map(|(_, resource)| (resource.id.clone(), resource.draft))
            .unwrap_or_else(|| (document.address.clone(), Draft::D2020));
        let Some(document) = self.documents.get_mut(index) else { return Ok(()) };
        walk(document, value, &id, pointer, draft, 0)?;
        obeys_draft(document, value, pointer)
    }

    /// Where a reference leads.
    fn resolve(
        &mut self,
        document: usize,
        pointer: &str,
        reference: &str,
    ) -> Result<(usize, String), String> {
        let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment =
            decoded(fragment).ok_or_else(|| format!("error in parsing {reference:?}: invalid URL escape"))?;
        let base = self.document(document)?.resource_at(pointer).map(|(_, resource)| resource.id.clone());
        let address = join(&base.unwrap_or_default(), path)
            .map_err(|error| format!("error in parsing {path:?}: {error}"))?;
        let local = self.document(document)?;
        let found = if address == local.address {
            Some(String::new())
        } else {
            local
                .resources
                .iter()
                .find(|(_, resource)| resource.id == address)
                .map(|(place, _)| place.clone())
        };
        let (document, place) = match found {
            Some(place) => (document, place),
            None => (self.load(&address)?, String::new()),
        };
        if fragment.is_empty() || fragment.starts_with('/') {
            return Ok((document, format!("{place}{fragment}")));
        }
        let target = self.document(document)?;
        let resource = target.resources.get(&place);
        let anchor = resource.and_then(|resource| resource.anchors.get(&fragment)).cloned();
        let anchor = anchor.ok_or_else(|| {
            let id = resource.map(|resource| resource.id.as_str()).unwrap_or_default();
            let shown = format!("{id}#{}", escaped(&fragment));
            format!("anchor in {shown:?} not found in schema {:?}", target.address)
        })?;
        Ok((document, anchor))
    }

    fn read(&mut self, document: usize, pointer: &str) -> Result<Schema, String> {
        let source = self.document(document)?;
        let whole = Arc::clone(&source.value);
        source.value_at(pointer)?;
        let value = whole.pointer(pointer).unwrap_or(&Value::Null);
        let Some((place, resource)) = source.resource_at(pointer) else {
            return Err("a resource is missing".into());
        };
        let (place, resource) = (place.to_owned(), resource.clone());
        let shown = source.shown(pointer);
        let mut schema = Schema { draft: Some(resource.draft), place: shown, ..Schema::default() };
        schema.resource = self.enqueue(document, place.clone())?;
        if resource.draft >= Draft::D2020 && place == pointer {
            for name in &resource.dynamic {
                if let Some(place) = resource.anchors.get(name) {
                    let index = self.enqueue(document, place.clone())?;
                    schema.dynamic_anchors.insert(name.clone(), index);
                }
            }
        }
        match value {
            Value::Bool(verdict) => schema.verdict = Some(*verdict),
            Value::Object(keywords) if keywords.is_empty() => schema.verdict = Some(true),
            Value::Object(keywords) => {
                let mut keywords = Keywords { compiler: self, document, pointer, keywords };
                keywords.read(&mut schema, resource.draft)?;
            }
            _ => {}
        }
        Ok(schema)
    }
}

fn obeys_draft(document: &Document, value: &Value, pointer: &str) -> Result<(), String> {
    let draft = document.resource_at(pointer).map_or(Draft::D2020, |(_, resource)| resource.draft);
    let own = own_schema(draft)?;
    // A resource inside may be of another draft.
    let others: BTreeMap<String, Draft> = document
        .resources
        .iter()
        .filter(|(place, resource)| {
            !place.is_empty() && place.starts_with(pointer) && resource.draft != draft
        })
        .filter_map(|(place, resource)| Some((place.get(pointer.len()..)?.to_owned(), resource.draft)))
        .collect();
    validate::judge(own, value, &others).map_err(|findings| {
        let head = super::words::quote(&format!("{}#", draft.address()));
        format!(
            "{:?} is not valid against metaschema: jsonschema validation failed with {head}\n{findings}",
            document.shown(pointer)
        )
    })
}

/// One schema object on its way to a [`Schema`].
struct Keywords<'k> {
    compiler: &'k mut Compiler,
    document: usize,
    pointer: &'k str,
    keywords: &'k Map<String, Value>,
}

impl Keywords<'_> {
    fn read(&mut self, schema: &mut Schema, draft: Draft) -> Result<(), String> {
        schema.reference = self.reference("$ref")?.map(|(index, _)| index);
        if draft < Draft::D2019 && schema.reference.is_some() {
            return Ok(());
        }
        self.combinations(schema, draft)?;
        self.objects(schema, draft)?;
        self.arrays(schema, draft)?;
        self.scalars(schema, draft)?;
        if draft >= Draft::D2019 {
            schema.recursive_reference = self.reference("$recursiveRef")?.map(|(index, _)| index);
            schema.recursive_anchor = self.flag("$recursiveAnchor");
        }
        if draft >= Draft::D2020 {
            schema.dynamic_reference = self.reference("$dynamicRef")?;
            schema.dynamic_anchor = self.text("$dynamicAnchor").map(str::to_owned);
        }
        Ok(())
    }

    fn combinations(&mut self, schema: &mut Schema, draft: Draft) -> Result<(), String> {
        schema.all_of = self.list("allOf")?;
        schema.any_of = self.list("anyOf")?;
        schema.one_of = self.list("oneOf")?;
        schema.not = self.one("not")?;
        if draft >= Draft::D7
            && let Some(condition) = self.one("if")?
        {
            schema.condition = Some((condition, self.one("then")?, self.one("else")?));
        }
        Ok(())
    }

    fn objects(&mut self, schema: &mut Schema, draft: Draft) -> Result<(), String> {
        schema.min_properties = self.count("minProperties");
        schema.max_properties = self.count("maxProperties");
        schema.required = self.names("required");
        schema.properties = self.map("properties")?;
        for (pattern, index) in self.map("patternProperties")? {
            let regex = self.pattern("patternProperties", &pattern)?;
            schema.pattern_properties.push((regex, index));
        }
        schema.additional_properties = self.additional("additionalProperties")?;
        let dependencies = self.keywords.get("dependencies").and_then(Value::as_object);
        for (name, value) in dependencies.into_iter().flatten() {
            let dependency = match value {
                Value::Array(names) => Dependency::Names(strings(names)),
                _ => {
                    let place = format!("{}/dependencies/{}", self.pointer, token(name));
                    Dependency::Schema(self.compiler.enqueue(self.document, place)?)
                }
            };
            schema.dependencies.insert(name.clone(), dependency);
        }
        if draft >= Draft::D6 {
            schema.property_names = self.one("propertyNames")?;
        }
        if draft >= Draft::D2019 {
            let required = self.keywords.get("dependentRequired").and_then(Value::as_object);
            for (name, value) in required.into_iter().flatten() {
                let names = value.as_array().map(|names| strings(names)).unwrap_or_default();
                schema.dependent_required.insert(name.clone(), names);
            }
            schema.dependent_schemas = self.map("dependentSchemas")?;
            schema.unevaluated_properties = self.one("unevaluatedProperties")?;
        }
        Ok(())
    }

    fn arrays(&mut self, schema: &mut Schema, draft: Draft) -> Result<(), String> {
        schema.min_items = self.count("minItems");
        schema.max_items = self.count("maxItems");
        schema.unique_items = self.flag("uniqueItems");
        if draft >= Draft::D6 {
            schema.contains = self.one("contains")?;
        }
        if draft >= Draft::D2020 {
            schema.prefix_items = self.list("prefixItems")?;
            schema.rest_items = self.one("items")?;
        } else {
            match self.keywords.get("items") {
                Some(Value::Array(_)) => {
                    schema.items = Some(Items::Each(self.list("items")?));
                    schema.additional_items = self.additional("additionalItems")?;
                }
                _ => schema.items = self.one("items")?.map(Items::All),
            }
        }
        if draft >= Draft::D2019 {
            if schema.contains.is_some() {
                schema.min_contains = self.count("minContains");
                schema.max_contains = self.count("maxContains");
            }
            schema.unevaluated_items = self.one("unevaluatedItems")?;
        }
        Ok(())
    }

    fn scalars(&mut self, schema: &mut Schema, draft: Draft) -> Result<(), String> {
        let given: Vec<&str> = match self.keywords.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        schema.types = validate::TYPES.iter().copied().filter(|name| given.contains(name)).collect();
        schema.allowed = self.keywords.get("enum").and_then(Value::as_array).cloned();
        if draft >= Draft::D6 {
            schema.constant = self.keywords.get("const").cloned();
        }
        schema.multiple_of = self.number("multipleOf");
        let bound = |keyword: &str, exclusive: &str| match self.flag(exclusive) {
            true => (None, self.number(keyword)),
            false => (self.number(keyword), self.number(exclusive)),
        };
        (schema.maximum, schema.exclusive_maximum) = bound("maximum", "exclusiveMaximum");
        (schema.minimum, schema.exclusive_minimum) = bound("minimum", "exclusiveMinimum");
        schema.min_length = self.count("minLength");
        schema.max_length = self.count("maxLength");
        if let Some(pattern) = self.text("pattern") {
            schema.pattern = Some((pattern.to_owned(), self.pattern("pattern", pattern)?));
        }
        if self.compiler.asserts_formats || draft < Draft::D2019 {
            schema.format = self.text("format").map(str::to_owned);
        }
        Ok(())
    }

    fn text(&self, keyword: &str) -> Option<&str> {
        self.keywords.get(keyword)?.as_str()
    }

    fn flag(&self, keyword: &str) -> bool {
        self.keywords.get(keyword) == Some(&Value::Bool(true))
    }

    fn number(&self, keyword: &str) -> Option<Decimal> {
        match self.keywords.get(keyword)? {
            Value::Number(number) => Decimal::of(number),
            _ => None,
        }
    }

    fn count(&self, keyword: &str) -> Option<i64> {
        self.number(keyword)?.count()
    }

    fn names(&self, keyword: &str) -> Vec<String> {
        self.keywords.get(keyword).and_then(Value::as_array).map(|names| strings(names)).unwrap_or_default()
    }

    fn pattern(&self, keyword: &str, pattern: &str) -> Result<Regexp, String> {
        Regexp::compile(pattern).map(|(regex, _)| regex).map_err(|error| {
            let place = format!("{}/{keyword}", self.pointer);
            let place = self.compiler.document(self.document).map(|document| document.shown(&place));
            format!("invalid regex {pattern:?} at {:?}: {error}", place.unwrap_or_default())
        })
    }

    fn one(&mut self, keyword: &str) -> Result<Option<Index>, String> {
        if !self.keywords.contains_key(keyword) {
            return Ok(None);
        }
        self.compiler.enqueue(self.document, format!("{}/{keyword}", self.pointer)).map(Some)
    }

    fn list(&mut self, keyword: &str) -> Result<Vec<Index>, String> {
        let length = self.keywords.get(keyword).and_then(Value::as_array).map_or(0, Vec::len);
        let places = (0..length).map(|at| format!("{}/{keyword}/{at}", self.pointer));
        places.map(|place| self.compiler.enqueue(self.document, place)).collect()
    }

    fn map(&mut self, keyword: &str) -> Result<BTreeMap<String, Index>, String> {
        let members = self.keywords.get(keyword).and_then(Value::as_object);
        let places = members
            .into_iter()
            .flatten()
            .map(|(name, _)| (name.clone(), format!("{}/{keyword}/{}", self.pointer, token(name))));
        places.map(|(name, place)| Ok((name, self.compiler.enqueue(self.document, place)?))).collect()
    }

    fn additional(&mut self, keyword: &str) -> Result<Option<Additional>, String> {
        match self.keywords.get(keyword) {
            Some(Value::Bool(allowed)) => Ok(Some(Additional::Allowed(*allowed))),
            _ => Ok(self.one(keyword)?.map(Additional::Schema)),
        }
    }

    /// Where a reference leads, and the anchor it names.
    fn reference(&mut self, keyword: &str) -> Result<Option<(Index, Option<String>)>, String> {
        let Some(reference) = self.text(keyword).map(str::to_owned) else { return Ok(None) };
        let (document, place) = self.compiler.resolve(self.document, self.pointer, &reference)?;
        let anchor = reference.split_once('#').map(|(_, fragment)| fragment.to_owned());
        let anchor = anchor.filter(|name| !name.is_empty() && !name.starts_with('/'));
        Ok(Some((self.compiler.enqueue(document, place)?, anchor)))
    }
}

fn strings(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
