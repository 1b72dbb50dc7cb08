//! Where in the files a fault is that only shows when an object is finished.

use crate::tree::Key;
use crate::{Error, World};
use std::collections::HashMap;

/// The error with the line of its key: the first key of the object's file that is there twice or is no string. A
/// fault that a patch or a generator brought is in no file that is looked at.
pub(crate) fn key(error: Error, file: Option<&str>, world: &dyn World) -> Error {
    let Some(file) = file else { return error };
    let Ok(bytes) = world.read(file) else { return error };
    let Ok(documents) = yaml::parse_nodes(&String::from_utf8_lossy(&bytes)) else { return error };
    let Some(fault) = documents.iter().find_map(|document| faulty_key(document, true)) else { return error };
    let mut error = error.in_file(file);
    error.line = fault.line;
    if let Some(first) = fault.first {
        let key = format!("mapping key {:?} already defined", fault.name);
        error.message = error.message.replace(&key, &format!("line {}: {key} at line {first}", fault.line));
    }
    error
}

struct Fault<'n> {
    name: &'n str,
    line: usize,
    /// The line where the same key is for the first time.
    first: Option<usize>,
}

/// Names at the top are read as texts, whatever they are.
fn faulty_key(node: &yaml::Node, top: bool) -> Option<Fault<'_>> {
    if node.kind != yaml::Kind::Mapping {
        let top = top && node.kind == yaml::Kind::Document;
        return node.content.iter().find_map(|node| faulty_key(node, top));
    }
    let mut seen = HashMap::new();
    for pair in node.content.chunks_exact(2) {
        let [name, value] = pair else { continue };
        if let Some(first) = seen.insert(name.value.as_str(), name.line) {
            return Some(Fault { name: &name.value, line: name.line, first: Some(first) });
        }
        if !top && Key::of(name).not_a_string().is_some() {
            return Some(Fault { name: &name.value, line: name.line, first: None });
        }
        if let Some(fault) = faulty_key(value, false) {
            return Some(fault);
        }
    }
    None
}
