//! The model of a type that merging, patching and field checks walk.

use std::collections::BTreeMap;
use std::sync::Arc;

use object::Value;
use object::strategic::{FieldMeta, PatchMeta};

/// Index of a [`Node`] in its [`Schema`].
pub type NodeId = u32;

/// A table of nodes that refer to each other; types may be recursive.
#[derive(Debug, Default)]
pub struct Schema {
    nodes: Vec<Node>,
}

/// What a value may be. More than one of the three can be set when the type leaves it open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// It may be a scalar.
    pub scalar: Option<Scalar>,
    /// It may be a list.
    pub list: Option<ListType>,
    /// It may be a mapping.
    pub map: Option<MapType>,
    /// Fields that the type does not know are kept.
    pub preserve_unknown: bool,
    /// It is a whole object of some kind, with apiVersion, kind and metadata.
    pub embedded_resource: bool,
    /// An integer of 64 bits.
    pub wide: bool,
    /// A resource quantity.
    pub quantity: bool,
    /// A point in time.
    pub time: bool,
    /// A whole number or text.
    pub int_or_string: bool,
    /// Bytes in base64.
    pub bytes: bool,
}

/// Kinds of scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// Any of them.
    Untyped,
}

/// A list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListType {
    /// Type of the elements.
    pub item: NodeId,
    /// How two lists merge.
    pub kind: ListKind,
}

/// How two lists merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// The list has one owner and is replaced as a whole.
    Atomic,
    /// Each scalar is owned by itself.
    Set,
    /// Each mapping is owned by itself; these keys tell them apart.
    Map(Vec<String>),
}

/// A mapping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MapType {
    /// The Go name of the structure, where there is one.
    pub name: String,
    /// The known fields.
    pub fields: BTreeMap<String, Field>,
    /// The type of all other entries; `None` when there may not be any.
    pub element: Option<NodeId>,
    /// The mapping has one owner and is replaced as a whole.
    pub atomic: bool,
}

/// A known field of a mapping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Field {
    /// Its type.
    pub node: NodeId,
    /// The value that stands for an absent field (as a list key, in defaulting).
    pub default: Option<Value>,
    /// It must be there.
    pub required: bool,
    /// Strategic merge patch: lists merge.
    pub patch_merge: bool,
    /// Strategic merge patch: mappings are replaced.
    pub patch_replace: bool,
    /// Strategic merge patch: writers send `$retainKeys`.
    pub patch_retain_keys: bool,
    /// Strategic merge patch: the key of the elements of a merging list.
    pub patch_merge_key: Option<String>,
    /// How Go writes it when it holds nothing.
    pub zero: Zero,
    /// Its Go type, where its form does not tell.
    pub go_type: Option<Box<str>>,
}

/// How a field of a built-in type is written when it holds its zero value: built-in objects pass through
/// typed structures on the way in, which changes what is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zero {
    /// Kept as given; empty lists and mappings are left out.
    #[default]
    Keep,
    /// Left out when zero (`""`, `0`, `false`).
    Omit,
    /// Left out when null.
    OmitNull,
    /// Always written: with this zero.
    Always(ZeroValue),
}

/// What an always-written field holds when nothing was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroValue {
    /// `null`
    Null,
    /// `""`
    String,
    /// `0`
    Number,
    /// `false`
    Boolean,
    /// A mapping with its own always-written fields.
    Struct,
    /// `"0"`
    Quantity,
    /// `"0s"`
    Duration,
}

impl Schema {
    /// A table with these nodes.
    pub fn new(nodes: Vec<Node>) -> Self {
        Schema { nodes }
    }

    /// The node with this index; an unknown index is a node that allows nothing.
    pub fn node(&self, id: NodeId) -> &Node {
        static NOTHING: std::sync::OnceLock<Node> = std::sync::OnceLock::new();
        self.nodes.get(id as usize).unwrap_or_else(|| NOTHING.get_or_init(Node::default))
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// A type: a node within its table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TypeRef {
    schema: Arc<Schema>,
    id: NodeId,
}

impl TypeRef {
    /// The node `id` of `schema`.
    pub fn new(schema: Arc<Schema>, id: NodeId) -> Self {
        TypeRef { schema, id }
    }

    /// The type of objects without any schema: everything is deduced from the values; lists are atomic.
    pub fn deduced() -> Self {
        static DEDUCED: std::sync::OnceLock<TypeRef> = std::sync::OnceLock::new();
        let nodes = || vec![Node::untyped_atomic(0), Node::deduced_separable(1, 0)];
        DEDUCED.get_or_init(|| TypeRef::new(Arc::new(Schema::new(nodes())), 1)).clone()
    }

    /// The table.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The index of the node.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The node.
    pub fn node(&self) -> &Node {
        self.schema.node(self.id)
    }

    /// The type of the field `name` of a mapping (also of an entry of an open one).
    pub fn field(&self, name: &str) -> Option<TypeRef> {
        let map = self.node().map.as_ref()?;
        let id = map.fields.get(name).map(|field| field.node).or(map.element)?;
        Some(TypeRef::new(self.schema.clone(), id))
    }

    /// The type of the elements of a list.
    pub fn items(&self) -> Option<TypeRef> {
        let list = self.node().list.as_ref()?;
        Some(TypeRef::new(self.schema.clone(), list.item))
    }
}

impl Node {
    /// A scalar.
    pub fn scalar(scalar: Scalar) -> Self {
        Node { scalar: Some(scalar), ..Node::default() }
    }

    /// Anything, owned as a whole; `own` is the index of this node.
    pub fn untyped_atomic(own: NodeId) -> Self {
        Node {
            scalar: Some(Scalar::Untyped),
            list: Some(ListType { item: own, kind: ListKind::Atomic }),
            map: Some(MapType { element: Some(own), atomic: true, ..MapType::default() }),
            preserve_unknown: true,
            ..Node::default()
        }
    }

    /// Anything, with mappings owned entry by entry; `own` is the index of this node, `untyped` that of
    /// [`Node::untyped_atomic`].
    pub fn deduced_separable(own: NodeId, untyped: NodeId) -> Self {
        Node {
            scalar: Some(Scalar::Untyped),
            list: Some(ListType { item: untyped, kind: ListKind::Atomic }),
            map: Some(MapType { element: Some(own), ..MapType::default() }),
            preserve_unknown: true,
            ..Node::default()
        }
    }
}

impl PatchMeta for TypeRef {
    fn field(&self, name: &str) -> Option<FieldMeta<'_>> {
        let map = self.node().map.as_ref()?;
        let child = |id: NodeId| -> Box<dyn PatchMeta> {
            // The child describes a mapping, or the elements of a list.
            let id = self.schema.node(id).list.as_ref().map_or(id, |list| list.item);
            Box::new(TypeRef::new(self.schema.clone(), id))
        };
        match map.fields.get(name) {
            Some(field) => Some(FieldMeta {
                merge: field.patch_merge,
                replace: field.patch_replace,
                retain_keys: field.patch_retain_keys,
                merge_key: field.patch_merge_key.as_deref(),
                child: Some(child(field.node)),
            }),
            None => map.element.map(|id| FieldMeta { child: Some(child(id)), ..FieldMeta::default() }),
        }
    }
}
