//! The messages: field numbers, names in JSON, types.

use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;

static TABLE: &[u8] = include_bytes!("../../data/protobuf.tsv.z");

/// A message, by its place in the table.
pub type Id = usize;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    String,
    Bytes,
    Bool,
    Unsigned,
    Signed,
    Double,
    Float,
    Message(Id),
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    pub number: u64,
    /// In JSON.
    pub name: String,
    pub kind: Kind,
    pub repeated: bool,
    pub map: bool,
    /// Its fields stand in the message's own JSON object.
    pub inline: bool,
    /// Nothing is written where there is none.
    pub pointer: bool,
}

/// Types whose JSON is not a mapping of their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    Duration,
    /// JSON text in bytes.
    Raw,
    SchemaOrArray,
    SchemaOrBool,
    SchemaOrStrings,
    /// A list that protobuf wraps in a message.
    Wrapped,
}

/// A message.
#[derive(Debug, Default)]
pub struct Message {
    pub special: Option<Special>,
    /// In the order of their numbers.
    pub fields: Vec<Field>,
}

impl Message {
    /// The field with a number.
    pub fn field(&self, number: u64) -> Option<&Field> {
        let at = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(at)
    }
}

#[derive(Debug, Default)]
struct Table {
    names: HashMap<String, Id>,
    messages: Vec<Message>,
}

/// A message by its place.
pub fn message(id: Id) -> Option<&'static Message> {
    table().messages.get(id)
}

/// The message of a kind of objects.
pub fn find(api_version: &str, kind: &str) -> Option<Id> {
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let group = match group {
        "events.k8s.io" => "events",
        "flowcontrol.apiserver.k8s.io" => "flowcontrol",
        "internal.apiserver.k8s.io" => "apiserverinternal",
        "rbac.authorization.k8s.io" => "rbac",
        "meta.k8s.io" => "apis.meta",
        other => other.strip_suffix(".k8s.io").unwrap_or(other),
    };
    let names = &table().names;
    names
        .get(&format!("{group}.{version}.{kind}"))
        .or_else(|| names.get(&format!("apis.meta.v1.{kind}")))
        .copied()
}

/// Read on first use.
fn table() -> &'static Table {
    static ALL: OnceLock<Table> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut text = String::new();
        let read = flate2::read::ZlibDecoder::new(TABLE).read_to_string(&mut text);
        debug_assert!(read.is_ok(), "embedded data is damaged");
        Table::parse(&text)
    })
}

impl Table {
    fn parse(text: &str) -> Table {
        let mut table = Table::default();
        let mut current = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('=') {
                current = Some(table.id(name));
                continue;
            }
            let mut parts = line.split('\t');
            let number = parts.next().and_then(|number| number.parse().ok());
            let (Some(number), Some(name), Some(kind)) = (number, parts.next(), parts.next()) else {
                continue;
            };
            let marks = parts.next().unwrap_or_default();
            let field = Field {
                number,
                name: name.to_owned(),
                kind: table.kind(kind),
                repeated: marks.contains('*'),
                map: marks.contains('%'),
                inline: marks.contains('~'),
                pointer: marks.contains('^'),
            };
            if let Some(message) = current.and_then(|id: Id| table.messages.get_mut(id)) {
                message.fields.push(field);
            }
        }
        for message in &mut table.messages {
            message.fields.sort_by_key(|field| field.number);
        }
        table
    }

    fn id(&mut self, name: &str) -> Id {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = self.messages.len();
        self.names.insert(name.to_owned(), id);
        self.messages.push(Message { special: special(name), fields: Vec::new() });
        id
    }

    fn kind(&mut self, name: &str) -> Kind {
        match name {
            "string" => Kind::String,
            "bytes" => Kind::Bytes,
            "bool" => Kind::Bool,
            "uint32" | "uint64" => Kind::Unsigned,
            "int32" | "int64" => Kind::Signed,
            "double" => Kind::Double,
            "float" => Kind::Float,
            name => Kind::Message(self.id(name)),
        }
    }
}

fn special(name: &str) -> Option<Special> {
    Some(match name {
        "apis.meta.v1.Time" => Special::Time,
        "apis.meta.v1.MicroTime" => Special::MicroTime,
        "api.resource.Quantity" => Special::Quantity,
        "util.intstr.IntOrString" => Special::IntOrString,
        "apis.meta.v1.Duration" => Special::Duration,
        "apis.meta.v1.FieldsV1" | "runtime.RawExtension" | "apiextensions.v1.JSON" => Special::Raw,
        "apiextensions.v1.JSONSchemaPropsOrArray" => Special::SchemaOrArray,
        "apiextensions.v1.JSONSchemaPropsOrBool" => Special::SchemaOrBool,
        "apiextensions.v1.JSONSchemaPropsOrStringArray" => Special::SchemaOrStrings,
        _ => match name.rsplit('.').next().unwrap_or_default() {
            "Verbs" | "ExtraValue" | "OptionalNames" => Special::Wrapped,
            _ => return None,
        },
    })
}
