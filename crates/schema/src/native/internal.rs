//! How the types inside of Kubernetes are written as JSON: messages show values and differences so.
//!
//! `data/internal.tsv.z` holds the fields of each structure in their order; `cargo xtask generate schema` reads them
//! from the published Go types.

use std::collections::HashMap;
use std::io::Read;
use std::sync::OnceLock;

use object::{Value, get};

use super::difference;

static DATA: &[u8] = include_bytes!("../../data/internal.tsv.z");

/// A field of a structure.
struct Field {
    name: String,
    /// Left out when it holds nothing.
    sparse: bool,
    /// What it holds, in the letters of the table.
    code: String,
}

type Table = HashMap<String, Vec<Field>>;

/// A value with its fields in order.
enum Tree {
    Plain(Value),
    List(Vec<Tree>),
    Fields(Vec<(String, Tree)>),
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut text = String::new();
        if let Err(error) = flate2::read::ZlibDecoder::new(DATA).read_to_string(&mut text) {
            debug_assert!(false, "the table is part of the program: {error}");
        }
        let field = |text: &str| {
            let (name, code) = text.split_once(':')?;
            let sparse = name.ends_with('?');
            Some(Field { name: name.trim_end_matches('?').to_owned(), sparse, code: code.to_owned() })
        };
        text.lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, fields)| (name.to_owned(), fields.split(',').filter_map(field).collect()))
            .collect()
    })
}

/// A value of a type of the core group (or of `group.Type`) as messages show it.
pub(super) fn shown(name: &str, value: &Value) -> String {
    let mut text = String::new();
    write(&tree_of(name, value), None, 0, &mut text);
    text
}

/// The difference between two values of a type, line by line.
pub(super) fn diff(name: &str, old: &Value, new: &Value) -> String {
    let pretty = |value: &Value| {
        let mut text = String::new();
        write(&tree_of(name, value), Some(" "), 0, &mut text);
        text
    };
    difference::unified(&pretty(old), &pretty(new))
}

/// What a volume says besides where it is from.
const OUTSIDE_SOURCE: [&str; 9] = [
    "Capacity",
    "AccessModes",
    "ClaimRef",
    "PersistentVolumeReclaimPolicy",
    "StorageClassName",
    "MountOptions",
    "VolumeMode",
    "NodeAffinity",
    "VolumeAttributesClassName",
];

fn tree_of(name: &str, value: &Value) -> Tree {
    if name == "PersistentVolumeSource" {
        // It is no structure of its own outside; inside it is a part of the specification.
        let Tree::Fields(fields) = structure("core.PersistentVolumeSpec", value) else {
            return Tree::Plain(Value::Null);
        };
        let own = |name: &str| !OUTSIDE_SOURCE.contains(&name);
        return Tree::Fields(fields.into_iter().filter(|(name, _)| own(name)).collect());
    }
    let full = if name.contains('.') { name.to_owned() } else { format!("core.{name}") };
    structure(&full, value)
}

fn structure(name: &str, value: &Value) -> Tree {
    let Some(fields) = table().get(name) else { return Tree::Plain(value.clone()) };
    let moved;
    let mut out = Vec::with_capacity(fields.len());
    let value = match name {
        // What a Pod says of its host is part of its security context inside.
        "core.PodSpec" => {
            let mut own = value.clone();
            for field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"] {
                if let Some(part) = get(value, &[field]) {
                    object::set(&mut own, &["securityContext", field], part.clone());
                }
            }
            moved = own;
            &moved
        }
        _ => value,
    };
    let map = value.as_object();
    for field in fields {
        let own = map.into_iter().flatten().find(|(key, _)| key.eq_ignore_ascii_case(&field.name));
        let own = own.map_or(&Value::Null, |(_, own)| own);
        if field.sparse && is_empty(own) {
            continue;
        }
        out.push((field.name.clone(), of_code(&field.code, own)));
    }
    Tree::Fields(out)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

fn of_code(code: &str, value: &Value) -> Tree {
    let plain = |zero: Value| Tree::Plain(if value.is_null() { zero } else { value.clone() });
    let Some(first) = code.chars().next() else { return Tree::Plain(value.clone()) };
    let rest = code.get(1..).unwrap_or_default();
    match first {
        '*' | '[' | '{' if value.is_null() => Tree::Plain(Value::Null),
        '*' => of_code(rest, value),
        '[' => Tree::List(value.as_array().into_iter().flatten().map(|own| of_code(rest, own)).collect()),
        '{' => {
            let entries = value.as_object().into_iter().flatten();
            Tree::Fields(entries.map(|(key, own)| (key.clone(), of_code(rest, own))).collect())
        }
        'S' => structure(rest, value),
        's' => plain("".into()),
        'b' => plain(false.into()),
        'n' | 'i' => plain(0.into()),
        'q' => plain("0".into()),
        'd' => plain("0s".into()),
        _ => Tree::Plain(value.clone()),
    }
}

/// Text as Go's encoder writes it.
fn quoted(text: &str) -> String {
    let plain = Value::from(text).to_string();
    plain.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn write(tree: &Tree, indent: Option<&str>, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    match tree {
        Tree::Plain(Value::String(text)) => out.push_str(&quoted(text)),
        Tree::Plain(Value::Array(list)) if !list.is_empty() => {
            let list = list.iter().map(|own| Tree::Plain(own.clone())).collect();
            write(&Tree::List(list), indent, depth, out);
        }
        Tree::Plain(Value::Object(map)) if !map.is_empty() => {
            let fields = map.iter().map(|(key, own)| (key.clone(), Tree::Plain(own.clone()))).collect();
            write(&Tree::Fields(fields), indent, depth, out);
        }
        Tree::Plain(value) => out.push_str(&value.to_string()),
        Tree::List(list) if list.is_empty() => out.push_str("[]"),
        Tree::Fields(fields) if fields.is_empty() => out.push_str("{}"),
        Tree::List(list) => {
            out.push('[');
            for (index, own) in list.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                write(own, indent, depth + 1, out);
            }
            line(depth, out);
            out.push(']');
        }
        Tree::Fields(fields) => {
            out.push('{');
            for (index, (key, own)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                out.push_str(&quoted(key));
                out.push(':');
                if indent.is_some() {
                    out.push(' ');
                }
                write(own, indent, depth + 1, out);
            }
            line(depth, out);
            out.push('}');
        }
    }
}
