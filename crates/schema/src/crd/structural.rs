//! Structural schemas: reading them, and what they make of objects.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use object::{Map, Value};
use regex::Regex;

use super::rules::Rules;
use crate::builtin::{builtin, list_kind, map_type};
use crate::types::{Field, ListType, MapType, Node as TypeNode, NodeId, Scalar, Schema, TypeRef};
use crate::{FieldError, ListKind};

/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 128;
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The structural schema of a version. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Structural {
    pub(super) root: Arc<Node>,
    types: TypeRef,
}

/// What additional properties of a mapping are.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Not declared.
    #[default]
    Undeclared,
    /// Declared to be allowed or not.
    Allowed(bool),
    /// Of this type.
    Typed(Box<Node>),
}

/// A node of a schema.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) kind: String,
    /// Boxed: a map's leaf has room for eleven values, however few it holds.
    pub(super) properties: BTreeMap<String, Box<Node>>,
    pub(super) items: Option<Box<Node>>,
    pub(super) additional: Additional,
    pub(super) default: Option<Value>,
    pub(super) nullable: bool,
    pub(super) preserve_unknown: bool,
    pub(super) embedded: bool,
    pub(super) int_or_string: bool,
    pub(super) list: Option<ListKind>,
    pub(super) atomic_map: Option<bool>,
    limits: Option<Box<Limits>>,
    pub(super) rules: Option<Rules>,
}

impl Node {
    /// What values must satisfy besides their type.
    pub(super) fn limits(&self) -> &Limits {
        static NONE: LazyLock<Limits> = LazyLock::new(Limits::default);
        self.limits.as_deref().unwrap_or(&NONE)
    }
}

/// What values must satisfy besides their type.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) allowed: Option<Vec<Value>>,
    pub(super) format: String,
    pub(super) pattern: Option<String>,
    pub(super) regex: OnceLock<Option<Regex>>,
    pub(super) minimum: Option<(f64, Value, bool)>,
    pub(super) maximum: Option<(f64, Value, bool)>,
    pub(super) multiple_of: Option<f64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) min_items: Option<u64>,
    pub(super) max_items: Option<u64>,
    pub(super) unique_items: bool,
    pub(super) min_properties: Option<u64>,
    pub(super) max_properties: Option<u64>,
    pub(super) required: Vec<String>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
}

impl Structural {
    /// From an `openAPIV3Schema`.
    ///
    /// # Errors
    /// When it is no schema.
    pub fn parse(schema: &Value) -> Result<Structural, Vec<FieldError>> {
        let root = parse_node(schema, "", 0)?;
        let mut types = TypeBuilder::new();
        let id = types.node(&root, true, false);
        Ok(Structural { root: Arc::new(root), types: TypeRef::new(Arc::new(Schema::new(types.nodes)), id) })
    }

    /// The schema of versions without any: everything is kept.
    pub fn open() -> Structural {
        let root = Node { kind: "object".to_owned(), preserve_unknown: true, ..Node::default() };
        let mut types = TypeBuilder::new();
        let id = types.node(&root, true, false);
        Structural { root: Arc::new(root), types: TypeRef::new(Arc::new(Schema::new(types.nodes)), id) }
    }

    /// The type for merging; apiVersion, kind and metadata included.
    pub fn type_ref(&self) -> &TypeRef {
        &self.types
    }

    /// Removes nulls that the schema does not allow, and sets defaults.
    pub fn default(&self, object: &mut Value) {
        prune_nulls(object, &self.root);
        set_defaults(object, &self.root);
    }

    /// Removes fields that the schema does not know; answers their paths (`spec.foo`). Unknown fields of
    /// `metadata` go too.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        let mut gone = Vec::new();
        prune_node(object, Some(&self.root), true, "", &mut gone);
        gone
    }

    /// Validates an object against the schema and its CEL rules. With `old`, transition rules run and errors of
    /// unchanged parts are forgiven (ratcheting).
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = super::validate::values(&self.root, object, old);
        super::validate::lists(&self.root, object, "", &mut errors);
        let blocking = errors.iter().any(|error| {
            use crate::Reason::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
            matches!(error.reason, NotSupported | Required | TooLong | TooMany | TypeInvalid)
        });
        if blocking {
            errors.push(FieldError::invalid(
                "<nil>",
                Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
            ));
        } else {
            super::rules::evaluate(&self.root, object, old, "", &mut errors);
        }
        errors
    }

    /// CEL rules that cannot be evaluated here, with the reason: objects pass them unchecked, and whoever
    /// serves the definition should say so.
    pub fn unsupported_rules(&self) -> Vec<String> {
        super::rules::unsupported(&self.root)
    }
}

fn parse_node(schema: &Value, path: &str, depth: usize) -> Result<Node, Vec<FieldError>> {
    if depth > MAX_DEPTH {
        return Err(vec![FieldError::invalid(path, "", "the schema is nested too deeply")]);
    }
    let Value::Object(map) = schema else {
        return Err(vec![FieldError::invalid(path, schema.clone(), "must be a schema")]);
    };
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or_default();
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut node = Node {
        kind: text("type"),
        default: map.get("default").filter(|default| !default.is_null()).cloned(),
        nullable: flag("nullable"),
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        int_or_string: flag("x-kubernetes-int-or-string"),
        list: map.contains_key("x-kubernetes-list-type").then(|| list_kind(schema)),
        atomic_map: map_type(schema),
        ..Node::default()
    };
    for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.properties[{name}]");
        let property = parse_node(property, path.trim_start_matches('.'), depth + 1)?;
        node.properties.insert(name.clone(), Box::new(property));
    }
    if let Some(items) = map.get("items").filter(|items| items.is_object()) {
        node.items = Some(Box::new(parse_node(items, &format!("{path}.items"), depth + 1)?));
    }
    node.additional = match map.get("additionalProperties") {
        None | Some(Value::Null) => Additional::Undeclared,
        Some(Value::Bool(allowed)) => Additional::Allowed(*allowed),
        Some(schema) => Additional::Typed(Box::new(parse_node(
            schema,
            &format!("{path}.additionalProperties"),
            depth + 1,
        )?)),
    };
    if LIMITS.iter().any(|key| map.contains_key(*key)) {
        node.limits = Some(Box::new(parse_limits(map, path, depth)?));
    }
    node.rules = Rules::parse(schema);
    Ok(node)
}

/// The keys that [`parse_limits`] reads.
const LIMITS: [&str; 18] = [
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
];

fn parse_limits(map: &Map, path: &str, depth: usize) -> Result<Limits, Vec<FieldError>> {
    let number = |key: &str| map.get(key).and_then(Value::as_f64);
    let count = |key: &str| map.get(key).and_then(Value::as_u64);
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or_default();
    let many = |key: &str| -> Result<Vec<Node>, Vec<FieldError>> {
        let list = map.get(key).and_then(Value::as_array).into_iter().flatten();
        list.enumerate()
            .map(|(index, one)| parse_node(one, &format!("{path}.{key}[{index}]"), depth + 1))
            .collect()
    };
    let bound = |key: &str, exclusive: &str| {
        let value = map.get(key)?;
        Some((value.as_f64()?, value.clone(), flag(exclusive)))
    };
    let texts = |key: &str| {
        let list = map.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(Limits {
        allowed: map.get("enum").and_then(Value::as_array).cloned(),
        format: map.get("format").and_then(Value::as_str).unwrap_or_default().to_owned(),
        pattern: map
            .get("pattern")
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        regex: OnceLock::new(),
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: flag("uniqueItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        required: texts("required"),
        all_of: many("allOf")?,
        any_of: many("anyOf")?,
        one_of: many("oneOf")?,
        not: match map.get("not").filter(|not| not.is_object()) {
            Some(not) => Some(Box::new(parse_node(not, &format!("{path}.not"), depth + 1)?)),
            None => None,
        },
    })
}

/// Schema nodes to type nodes.
struct TypeBuilder {
    nodes: Vec<TypeNode>,
    meta: NodeId,
    untyped: NodeId,
    deduced: NodeId,
}

impl TypeBuilder {
    /// Starts from the table of `ObjectMeta`, whose first two nodes are the two open types.
    fn new() -> Self {
        let (nodes, meta) = builtin().definition_nodes(META);
        TypeBuilder { nodes, meta, untyped: 0, deduced: 1 }
    }

    fn push(&mut self, node: TypeNode) -> NodeId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    /// `open`: an outer schema keeps unknown fields, which holds for all below it.
    fn node(&mut self, node: &Node, root: bool, open: bool) -> NodeId {
        let open = open || node.preserve_unknown;
        let flags = TypeNode {
            preserve_unknown: open,
            embedded_resource: node.embedded || root,
            int_or_string: node.int_or_string,
            ..TypeNode::default()
        };
        let built = match node.kind.as_str() {
            "object" => TypeNode { map: Some(self.map(node, root, open)), ..flags },
            "array" => TypeNode { list: Some(self.list(node, open)), ..flags },
            "integer" => TypeNode { scalar: Some(Scalar::Integer), ..flags },
            "number" => TypeNode { scalar: Some(Scalar::Number), ..flags },
            "boolean" => TypeNode { scalar: Some(Scalar::Boolean), ..flags },
            "string" if matches!(node.limits().format.as_str(), "" | "byte") => {
                TypeNode { scalar: Some(Scalar::String), ..flags }
            }
            "string" => TypeNode { scalar: Some(Scalar::Untyped), ..flags },
            _ => TypeNode {
                scalar: Some(Scalar::Untyped),
                list: Some(self.list(node, open)),
                map: Some(self.map(node, root, open)),
                ..flags
            },
        };
        self.push(built)
    }

    fn map(&mut self, node: &Node, root: bool, open: bool) -> MapType {
        let mut map = MapType { atomic: node.atomic_map == Some(true), ..MapType::default() };
        for (name, property) in &node.properties {
            let field = Field {
                node: self.node(property, false, open),
                default: property.default.clone(),
                required: node.limits().required.contains(name),
                ..Field::default()
            };
            map.fields.insert(name.clone(), field);
        }
        map.element = match &node.additional {
            Additional::Typed(schema) => Some(self.node(schema, false, open)),
            Additional::Allowed(true) => Some(self.deduced),
            Additional::Allowed(false) => None,
            Additional::Undeclared => (open || map.fields.is_empty()).then_some(self.deduced),
        };
        if root || node.embedded {
            let text = self.push(TypeNode::scalar(Scalar::String));
            for name in ["apiVersion", "kind"] {
                map.fields.insert(name.to_owned(), Field { node: text, ..Field::default() });
            }
            map.fields.insert("metadata".to_owned(), Field { node: self.meta, ..Field::default() });
        }
        map
    }

    fn list(&mut self, node: &Node, open: bool) -> ListType {
        let item = match &node.items {
            Some(items) => self.node(items, false, open),
            None => self.untyped,
        };
        ListType { item, kind: node.list.clone().unwrap_or(ListKind::Atomic) }
    }
}

/// Removes nulls from fields that may not be null and have no default.
fn prune_nulls(value: &mut Value, node: &Node) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                let null = value.is_null();
                match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => !null || property.nullable || property.default.is_some(),
                    (None, Additional::Typed(schema)) => !null || schema.nullable || schema.default.is_some(),
                    _ => true,
                }
            });
            for (key, value) in map.iter_mut() {
                match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => prune_nulls(value, property),
                    (None, Additional::Typed(schema)) => prune_nulls(value, schema),
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                list.iter_mut().for_each(|value| prune_nulls(value, items));
            }
        }
        _ => {}
    }
}

fn set_defaults(value: &mut Value, node: &Node) {
    match value {
        Value::Object(map) => {
            for (name, property) in &node.properties {
                let Some(default) = &property.default else { continue };
                if map.get(name).is_none_or(|value| value.is_null() && !property.nullable) {
                    map.insert(name.clone(), default.clone());
                }
            }
            for (key, value) in map.iter_mut() {
                match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => set_defaults(value, property),
                    (None, Additional::Typed(schema)) => default_element(value, schema),
                    _ => {}
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = &node.items {
                list.iter_mut().for_each(|value| default_element(value, items));
            }
        }
        _ => {}
    }
}

fn default_element(value: &mut Value, node: &Node) {
    if let (Value::Null, false, Some(default)) = (&*value, node.nullable, &node.default) {
        *value = default.clone();
    }
    set_defaults(value, node);
}

fn prune_node(value: &mut Value, node: Option<&Node>, root: bool, path: &str, gone: &mut Vec<String>) {
    let resource = root || node.is_some_and(|node| node.embedded);
    let keep = node.is_some_and(|node| node.preserve_unknown);
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                let place = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if resource && matches!(key.as_str(), "apiVersion" | "kind") {
                    return true;
                }
                if resource && key == "metadata" {
                    gone.extend(crate::native::prune_metadata(value, &place));
                    return true;
                }
                match node.map(|node| (node.properties.get(key), &node.additional)) {
                    Some((Some(property), _)) => prune_node(value, Some(property), false, &place, gone),
                    Some((None, Additional::Typed(schema))) => {
                        prune_node(value, Some(schema), false, &place, gone)
                    }
                    _ if keep => {}
                    Some((None, Additional::Allowed(_))) => prune_node(value, None, false, &place, gone),
                    _ => {
                        gone.push(place);
                        return false;
                    }
                }
                true
            });
        }
        Value::Array(list) => {
            let items = node.and_then(|node| node.items.as_deref());
            if items.is_some() || !keep {
                for (index, value) in list.iter_mut().enumerate() {
                    prune_node(value, items, false, &format!("{path}[{index}]"), gone);
                }
            }
        }
        _ => {}
    }
}
