//! A stored object: its JSON text, ready to be sent, and what selection needs of it.
//!
//! Objects are kept as text, not as trees: a tree of a Deployment takes several times its text,
//! reads and watches need no parsing at all, and a write parses the one object that it changes.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use crate::select::Fields;

/// One version of an object.
#[derive(Debug)]
pub struct Object {
    /// The revision that wrote it.
    pub revision: u64,
    /// `namespace/name`, or `name` for cluster-scoped objects.
    pub key: Box<str>,
    /// Labels, for selectors.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Whether it is on its way out.
    pub ending: bool,
    /// The same in other versions, where those were converted.
    versions: Vec<(Arc<str>, Object)>,
    /// What can be selected by besides labels, once somebody does.
    pub fields: OnceLock<Box<Fields>>,
    /// `{"apiVersion":…,"kind":…,"metadata":{"resourceVersion":"…",…`.
    json: Bytes,
    /// Where the body after `kind` starts.
    body_at: u32,
    /// Where the text of the revision stands in `json`.
    revision_at: u32,
}

/// An object's text before its revision is known.
#[derive(Debug)]
pub struct Draft {
    head: Vec<u8>,
    tail: Vec<u8>,
    body_at: usize,
    labels: Box<[(Box<str>, Box<str>)]>,
    ending: bool,
    versions: Vec<(Arc<str>, Draft)>,
}

const REVISION_KEY: &[u8] = b"\"resourceVersion\":\"";

impl Draft {
    /// Writes an object down, leaving room for its revision.
    pub fn new(value: &Value) -> Draft {
        let empty = serde_json::Map::new();
        let map = value.as_object().unwrap_or(&empty);
        let mut head = Vec::with_capacity(512);
        head.push(b'{');
        for key in ["apiVersion", "kind"] {
            if head.len() > 1 {
                head.push(b',');
            }
            write_json(&mut head, &Value::String(key.to_owned()));
            head.push(b':');
            write_json(&mut head, map.get(key).unwrap_or(&Value::String(String::new())));
        }
        let body_at = head.len();
        head.extend_from_slice(b",\"metadata\":{");
        head.extend_from_slice(REVISION_KEY);
        let mut tail = Vec::with_capacity(1024);
        tail.push(b'"');
        if let Some(Value::Object(metadata)) = map.get("metadata") {
            for (key, value) in metadata {
                if key == "resourceVersion" {
                    continue;
                }
                tail.push(b',');
                write_json_key(&mut tail, key);
                write_json(&mut tail, value);
            }
        }
        tail.push(b'}');
        for (key, value) in map {
            if matches!(key.as_str(), "apiVersion" | "kind" | "metadata") {
                continue;
            }
            tail.push(b',');
            write_json_key(&mut tail, key);
            write_json(&mut tail, value);
        }
        tail.push(b'}');
        let ending = value.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        Draft { head, tail, body_at, labels: labels_of(value), ending, versions: Vec::new() }
    }

    /// Whether `object` has this very content (whatever its revision).
    pub fn same_as(&self, object: &Object) -> bool {
        let json = &object.json;
        json.starts_with(&self.head) && json.ends_with(&self.tail) && {
            let digits = json.len().saturating_sub(self.head.len() + self.tail.len());
            json.get(self.head.len()..self.head.len() + digits)
                .is_some_and(|text| text.iter().all(u8::is_ascii_digit))
        }
    }

    /// Adds the same in another version.
    pub fn add_version(&mut self, version: Arc<str>, draft: Draft) {
        self.versions.push((version, draft));
    }

    /// The object at a revision.
    pub fn finish(self, key: &str, revision: u64) -> Object {
        let text = revision.to_string();
        let mut json = Vec::with_capacity(self.head.len() + text.len() + self.tail.len());
        json.extend_from_slice(&self.head);
        json.extend_from_slice(text.as_bytes());
        json.extend_from_slice(&self.tail);
        Object {
            revision,
            key: key.into(),
            labels: self.labels,
            ending: self.ending,
            versions: self
                .versions
                .into_iter()
                .map(|(version, draft)| (version, draft.finish(key, revision)))
                .collect(),
            fields: OnceLock::new(),
            json: json.into(),
            body_at: self.body_at as u32,
            revision_at: self.head.len() as u32,
        }
    }
}

impl Object {
    /// Reads a stored text back; `None` when it is not of this module's making.
    pub fn restore(key: &str, revision: u64, json: Bytes) -> Option<Object> {
        let value: Value = serde_json::from_slice(&json).ok()?;
        let draft = Draft::new(&value);
        let object = draft.finish(key, revision);
        Some(Object { json: if object.json == json { json } else { object.json }, ..object })
    }

    /// The same in another version, if it was converted.
    pub fn version(&self, api_version: &str) -> Option<&Object> {
        self.versions.iter().find(|(own, _)| **own == *api_version).map(|(_, object)| object)
    }

    /// This very object, with one more version of it.
    pub fn with_version(&self, version: Arc<str>, draft: Draft) -> Object {
        let mut own = self.at_revision(self.revision);
        own.versions.retain(|(known, _)| *known != version);
        own.versions.push((version, draft.finish(&self.key, self.revision)));
        own
    }

    /// The whole text.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// The text in another version of the same shape.
    pub fn json_as(&self, api_version: &str, kind: &str) -> Bytes {
        let mut out = Vec::with_capacity(self.json.len() + 32);
        out.extend_from_slice(b"{\"apiVersion\":");
        write_json(&mut out, &Value::String(api_version.to_owned()));
        out.extend_from_slice(b",\"kind\":");
        write_json(&mut out, &Value::String(kind.to_owned()));
        out.extend_from_slice(self.json.get(self.body_at as usize..).unwrap_or_default());
        out.into()
    }

    /// The text without `apiVersion` and `kind`, as the items of typed lists are written; the
    /// opening brace is not part of it.
    pub fn body(&self) -> &[u8] {
        self.json.get(self.body_at as usize + 1..).unwrap_or_default()
    }

    /// The tree, with `metadata.resourceVersion`.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }

    /// The same content under another revision (the last state in a DELETED event).
    pub fn at_revision(&self, revision: u64) -> Object {
        let start = self.revision_at as usize;
        let digits = self.revision.to_string().len();
        let text = revision.to_string();
        let mut json = Vec::with_capacity(self.json.len() + text.len());
        json.extend_from_slice(self.json.get(..start).unwrap_or_default());
        json.extend_from_slice(text.as_bytes());
        json.extend_from_slice(self.json.get(start + digits..).unwrap_or_default());
        Object {
            revision,
            key: self.key.clone(),
            labels: self.labels.clone(),
            ending: self.ending,
            versions: self
                .versions
                .iter()
                .map(|(version, object)| (version.clone(), object.at_revision(revision)))
                .collect(),
            fields: OnceLock::new(),
            json: json.into(),
            body_at: self.body_at,
            revision_at: self.revision_at,
        }
    }

    /// The namespace, empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&self.key, |(_, name)| name)
    }

    /// One label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| &**k == key).map(|(_, v)| &**v)
    }
}

fn labels_of(value: &Value) -> Box<[(Box<str>, Box<str>)]> {
    match value.pointer("/metadata/labels") {
        Some(Value::Object(map)) => {
            map.iter().filter_map(|(k, v)| Some((k.as_str().into(), v.as_str()?.into()))).collect()
        }
        _ => Box::default(),
    }
}

fn write_json(out: &mut Vec<u8>, value: &Value) {
    // Writing a tree to a vector cannot fail: its keys are strings and a vector takes every byte.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

fn write_json_key(out: &mut Vec<u8>, key: &str) {
    write_json(out, &Value::String(key.to_owned()));
    out.push(b':');
}
