//! Published definitions to [`Schema`] nodes, by the same rules by which the API server derives its types for
//! server-side apply.

use std::collections::HashMap;
use std::sync::Arc;

use object::Value;

use super::Definitions;
use crate::types::{
    Field, ListKind, ListType, MapType, Node, NodeId, Scalar, Schema, TypeRef, Zero, ZeroValue,
};

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const RAW: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// Compiles the definition `name` and all it refers to.
pub(super) fn compile(definitions: &Definitions, name: &str) -> Option<TypeRef> {
    definitions.by_name.contains_key(name).then(|| {
        let (nodes, root) = nodes(definitions, name);
        TypeRef::new(Arc::new(Schema::new(nodes)), root)
    })
}

/// As [`compile`], as nodes; an unknown name is the open type.
pub(super) fn nodes(definitions: &Definitions, name: &str) -> (Vec<Node>, NodeId) {
    let mut compiler = Compiler {
        definitions,
        nodes: vec![Node::untyped_atomic(UNTYPED), Node::deduced_separable(DEDUCED, UNTYPED)],
        named: HashMap::new(),
        leaves: HashMap::new(),
        overrides: Vec::new(),
    };
    let root = compiler.named(name).unwrap_or(DEDUCED);
    for (id, base, atomic) in std::mem::take(&mut compiler.overrides) {
        let mut node = compiler.nodes.get(base as usize).cloned().unwrap_or_default();
        if let Some(map) = &mut node.map {
            map.atomic = atomic;
        }
        if let Some(slot) = compiler.nodes.get_mut(id as usize) {
            *slot = node;
        }
    }
    (compiler.nodes, root)
}

const UNTYPED: NodeId = 0;
const DEDUCED: NodeId = 1;

struct Compiler<'a> {
    definitions: &'a Definitions,
    nodes: Vec<Node>,
    named: HashMap<String, NodeId>,
    leaves: HashMap<(String, String), NodeId>,
    /// Node, node it copies, whether its mapping is atomic.
    overrides: Vec<(NodeId, NodeId, bool)>,
}

impl Compiler<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    fn named(&mut self, name: &str) -> Option<NodeId> {
        if let Some(id) = self.named.get(name) {
            return Some(*id);
        }
        let schema = self.definitions.schema(name)?;
        // Types may refer to themselves: the place is taken before it is filled.
        let id = self.push(Node::default());
        self.named.insert(name.to_owned(), id);
        let mut node = match name {
            QUANTITY => Node { quantity: true, ..Node::scalar(Scalar::Untyped) },
            RAW => Node { preserve_unknown: true, ..Node::untyped_atomic(UNTYPED) },
            _ => self.node(&schema),
        };
        if let Some(map) = &mut node.map {
            map.name = name.rsplit('.').next().unwrap_or_default().to_owned();
        }
        if let Some(slot) = self.nodes.get_mut(id as usize) {
            *slot = node;
        }
        Some(id)
    }

    fn node(&mut self, schema: &Value) -> Node {
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => Node { map: Some(self.map(schema)), ..self.open(schema) },
            Some("array") => Node { list: Some(self.list(schema)), ..Node::default() },
            Some("integer") => {
                let long = schema.get("format").and_then(Value::as_str) == Some("int64");
                Node { wide: long, ..Node::scalar(Scalar::Integer) }
            }
            Some("number") => Node::scalar(Scalar::Number),
            Some("boolean") => Node::scalar(Scalar::Boolean),
            Some("string") => match schema.get("format").and_then(Value::as_str) {
                None => Node::scalar(Scalar::String),
                Some("byte") => Node { bytes: true, ..Node::scalar(Scalar::String) },
                Some("date-time") => Node { time: true, ..Node::scalar(Scalar::Untyped) },
                Some(_) => Node::scalar(Scalar::Untyped),
            },
            _ if schema.get("format").and_then(Value::as_str) == Some("int-or-string") => {
                Node { int_or_string: true, ..Node::scalar(Scalar::Untyped) }
            }
            _ => Node {
                scalar: Some(Scalar::Untyped),
                list: Some(self.list(schema)),
                map: Some(self.map(schema)),
                ..self.open(schema)
            },
        }
    }

    /// Mappings without any declared field keep everything.
    fn open(&self, schema: &Value) -> Node {
        let declared = schema.get("properties").is_some() || schema.get("additionalProperties").is_some();
        Node { preserve_unknown: !declared, ..Node::default() }
    }

    fn map(&mut self, schema: &Value) -> MapType {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let zeros = schema.get("x-zero").and_then(Value::as_object);
        let types = schema.get("x-go").and_then(Value::as_object);
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut map = MapType { atomic: map_type(schema) == Some(true), ..MapType::default() };
        for (name, property) in properties.into_iter().flatten() {
            let zero = zeros.and_then(|zeros| zeros.get(name)).and_then(Value::as_str).unwrap_or_default();
            let mut field = Field {
                node: self.reference(property),
                default: property.get("default").cloned(),
                required: required.contains(&name.as_str()),
                zero: zero_of(zero),
                go_type: types.and_then(|types| types.get(name)).and_then(Value::as_str).map(Into::into),
                ..Field::default()
            };
            let strategy =
                property.get("x-kubernetes-patch-strategy").and_then(Value::as_str).unwrap_or_default();
            for strategy in strategy.split(',') {
                match strategy {
                    "merge" => field.patch_merge = true,
                    "replace" => field.patch_replace = true,
                    "retainKeys" => field.patch_retain_keys = true,
                    _ => {}
                }
            }
            field.patch_merge_key =
                property.get("x-kubernetes-patch-merge-key").and_then(Value::as_str).map(str::to_owned);
            map.fields.insert(name.clone(), field);
        }
        map.element = match schema.get("additionalProperties") {
            None if map.fields.is_empty() => Some(DEDUCED),
            None | Some(Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(DEDUCED),
            Some(element) => Some(self.reference(element)),
        };
        map
    }

    fn list(&mut self, schema: &Value) -> ListType {
        let item = match schema.get("items") {
            Some(items) => self.reference(items),
            None => UNTYPED,
        };
        ListType { item, kind: list_kind(schema) }
    }

    /// The node of a property: a reference (alone or in `allOf`), or a schema in place.
    fn reference(&mut self, schema: &Value) -> NodeId {
        let target = schema
            .get("$ref")
            .or_else(|| schema.get("allOf")?.as_array()?.first()?.get("$ref"))
            .and_then(Value::as_str)
            .and_then(|target| target.rsplit('/').next());
        if let Some(id) = target.and_then(|target| self.named(target)) {
            return match map_type(schema) {
                Some(atomic) => {
                    let copy = self.push(Node::default());
                    self.overrides.push((copy, id, atomic));
                    copy
                }
                None => id,
            };
        }
        let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let leaf = (text("type"), text("format"));
        if matches!(leaf.0.as_str(), "string" | "integer" | "number" | "boolean") {
            if let Some(id) = self.leaves.get(&leaf) {
                return *id;
            }
            let node = self.node(schema);
            let id = self.push(node);
            self.leaves.insert(leaf, id);
            return id;
        }
        let node = self.node(schema);
        self.push(node)
    }
}

/// `Some(true)` for atomic mappings, `Some(false)` for granular ones.
pub(crate) fn map_type(schema: &Value) -> Option<bool> {
    schema.get("x-kubernetes-map-type").and_then(Value::as_str).map(|kind| kind == "atomic")
}

/// How a list merges: its list type, or else what its patch strategy says.
pub(crate) fn list_kind(schema: &Value) -> ListKind {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    match (text("x-kubernetes-list-type"), text("x-kubernetes-patch-strategy")) {
        (Some("set"), _) => ListKind::Set,
        (Some("map"), _) => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListKind::Map(keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        (None, Some("merge" | "merge,retainKeys")) => match text("x-kubernetes-patch-merge-key") {
            Some(key) => ListKind::Map(vec![key.to_owned()]),
            None => ListKind::Set,
        },
        _ => ListKind::Atomic,
    }
}

fn zero_of(letter: &str) -> Zero {
    match letter {
        "o" => Zero::Omit,
        "z" => Zero::OmitNull,
        "n" | "l" => Zero::Always(ZeroValue::Null),
        "s" => Zero::Always(ZeroValue::String),
        "0" => Zero::Always(ZeroValue::Number),
        "f" => Zero::Always(ZeroValue::Boolean),
        "S" => Zero::Always(ZeroValue::Struct),
        "q" => Zero::Always(ZeroValue::Quantity),
        "d" => Zero::Always(ZeroValue::Duration),
        _ => Zero::Keep,
    }
}
