//! What `.operation` asks for. Pure.

use delivery::fields::{bool_at, list_at, str_at, strings_at};
use object::{Key, Value, get};
use serde_json::json;

use super::options::SyncOptions;

/// One of `resources`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Selector {
    group: String,
    kind: String,
    name: String,
    namespace: String,
    exclude: bool,
}

impl Selector {
    fn matches(&self, key: &Key) -> bool {
        let same = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        same(&self.group, &key.group)
            && same(&self.kind, &key.kind)
            && same(&self.name, &key.name)
            && (self.namespace.is_empty() || same(&self.namespace, &key.namespace))
    }
}

/// A sync that somebody, or the policy, asked for.
#[derive(Debug, Clone)]
pub struct Operation {
    /// As it stands in `.operation` or would.
    pub raw: Value,
    /// Are objects pruned?
    pub prune: bool,
    /// Is nothing written?
    pub dry_run: bool,
    /// Are objects made anew where they cannot be changed?
    pub force: bool,
    /// Is the strategy one without hooks?
    pub apply_only: bool,
    /// Its own sync options, in place of those of the application.
    pub options: Option<SyncOptions>,
    /// Was it started by the policy?
    pub automated: bool,
    resources: Vec<Selector>,
}

impl Operation {
    /// Reads one; `None` when it asks for no sync.
    pub fn of(raw: &Value) -> Option<Operation> {
        let sync = get(raw, &["sync"]).filter(|sync| sync.is_object())?;
        let resources = list_at(sync, &["resources"]).iter().map(|entry| Selector {
            group: str_at(entry, &["group"]).to_owned(),
            kind: str_at(entry, &["kind"]).to_owned(),
            name: str_at(entry, &["name"]).to_owned(),
            namespace: str_at(entry, &["namespace"]).to_owned(),
            exclude: bool_at(entry, &["exclude"]),
        });
        let options = get(sync, &["syncOptions"]).filter(|list| list.is_array());
        Some(Operation {
            prune: bool_at(sync, &["prune"]),
            dry_run: bool_at(sync, &["dryRun"]),
            force: bool_at(sync, &["syncStrategy", "apply", "force"])
                || bool_at(sync, &["syncStrategy", "hook", "force"]),
            apply_only: get(sync, &["syncStrategy", "apply"]).is_some_and(Value::is_object),
            options: options.map(|_| SyncOptions::of_list(&strings_at(sync, &["syncOptions"]))),
            automated: bool_at(raw, &["initiatedBy", "automated"]),
            resources: resources.collect(),
            raw: raw.clone(),
        })
    }

    /// The one of the policy: of everything, or of `only` these.
    pub fn automated(
        revisions: &[String],
        multiple: bool,
        prune: bool,
        options: &SyncOptions,
        only: &[Key],
    ) -> Operation {
        let mut sync = json!({"syncOptions": options.list()});
        match (multiple, revisions.first()) {
            (true, _) => sync["revisions"] = json!(revisions),
            (false, Some(revision)) => sync["revision"] = json!(revision),
            (false, None) => {}
        }
        if prune {
            sync["prune"] = json!(true);
        }
        if !only.is_empty() {
            let list: Vec<Value> = only
                .iter()
                .map(|key| json!({"group": key.group, "kind": key.kind, "name": key.name}))
                .collect();
            sync["resources"] = Value::Array(list);
        }
        let raw = json!({
            "sync": sync, "initiatedBy": {"automated": true}, "retry": {"limit": 5},
        });
        Operation::of(&raw).unwrap_or_else(|| Operation {
            raw,
            prune,
            dry_run: false,
            force: false,
            apply_only: false,
            options: None,
            automated: true,
            resources: Vec::new(),
        })
    }

    /// Does it ask for some objects only?
    pub fn is_selective(&self) -> bool {
        !self.resources.is_empty()
    }

    /// Is the object part of it?
    pub fn includes(&self, key: &Key) -> bool {
        if self.resources.iter().any(|selector| selector.exclude && selector.matches(key)) {
            return false;
        }
        let mut wanted = self.resources.iter().filter(|selector| !selector.exclude).peekable();
        wanted.peek().is_none() || wanted.any(|selector| selector.matches(key))
    }

    /// The revisions that it names, one for each source; empty where it names none.
    pub fn revisions(&self) -> Vec<String> {
        let many = strings_at(&self.raw, &["sync", "revisions"]);
        if !many.is_empty() {
            return many;
        }
        let one = str_at(&self.raw, &["sync", "revision"]);
        if one.is_empty() { Vec::new() } else { vec![one.to_owned()] }
    }

    /// The sources that it brings (a rollback).
    pub fn sources(&self) -> Option<Vec<Value>> {
        let many = list_at(&self.raw, &["sync", "sources"]);
        if !many.is_empty() {
            return Some(many.to_vec());
        }
        get(&self.raw, &["sync", "source"])
            .filter(|source| source.is_object())
            .map(|source| vec![source.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_objects_only() {
        let raw = json!({"sync": {"resources": [{"group": "apps", "kind": "Deployment", "name": "web"}]}});
        let operation = Operation::of(&raw).expect("a sync");
        assert!(operation.includes(&Key::new("apps", "Deployment", "x", "web")));
        assert!(!operation.includes(&Key::new("apps", "Deployment", "x", "api")));
        let but =
            json!({"sync": {"resources": [{"group": "*", "kind": "*", "name": "api", "exclude": true}]}});
        let but = Operation::of(&but).expect("a sync");
        assert!(but.includes(&Key::new("apps", "Deployment", "x", "web")));
        assert!(!but.includes(&Key::new("apps", "Deployment", "x", "api")));
        assert!(Operation::of(&json!({"info": []})).is_none());
    }
}
