//! OpenAPI documents from the facts: what kubectl needs for `explain`, validation and patching.

use std::collections::BTreeSet;

use object::{Map, Value};
use serde_json::json;

use super::{Builtin, Definitions, Resource};

const V3: &str = "#/components/schemas/";
const V2: &str = "#/definitions/";

pub(super) fn v3(builtin: &Builtin, path: &str) -> Option<Value> {
    let (group, version) = match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => (String::new(), (*version).to_owned()),
        ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
        _ => return None,
    };
    let definitions = builtin.definitions();
    let resources: Vec<&Resource> = builtin
        .resources
        .iter()
        .filter(|resource| resource.group == group && resource.version == version)
        .collect();
    if resources.is_empty() {
        return None;
    }
    let prefix = format!("{group}/{version}/");
    let roots =
        definitions.by_kind.iter().filter(|(kind, _)| kind.starts_with(&prefix)).map(|(_, name)| name);
    let mut schemas = Map::new();
    for name in closure(definitions, roots.cloned().collect()) {
        if let Some(schema) = published(definitions, &name) {
            schemas.insert(name, schema);
        }
    }
    let mut paths = Map::new();
    for resource in resources {
        add_paths(&mut paths, resource, definitions, true);
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.34.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

pub(super) fn v2(builtin: &Builtin) -> Value {
    let definitions = builtin.definitions();
    let served: BTreeSet<String> =
        builtin.resources.iter().map(|own| format!("{}/{}/", own.group, own.version)).collect();
    let kinds = definitions.by_kind.iter().filter(|(kind, _)| {
        let version = kind.rfind('/').and_then(|end| kind.get(..=end));
        version.is_some_and(|version| served.contains(version))
    });
    let mut schemas = Map::new();
    for name in closure(definitions, kinds.map(|(_, name)| name.clone()).collect()) {
        if let Some(mut schema) = published(definitions, &name) {
            to_v2(&mut schema);
            schemas.insert(name, schema);
        }
    }
    let mut paths = Map::new();
    for resource in &builtin.resources {
        add_paths(&mut paths, resource, definitions, false);
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.34.2"},
        "paths": paths,
        "definitions": schemas,
    })
}

/// A definition as it is published: with its kinds, without our own extension.
fn published(definitions: &Definitions, name: &str) -> Option<Value> {
    let mut schema = definitions.schema(name)?;
    let map = schema.as_object_mut()?;
    map.remove("x-zero");
    map.remove("x-go");
    add_values(name, &mut schema);
    let map = schema.as_object_mut()?;
    let mut kinds: Vec<&String> =
        definitions.by_kind.iter().filter(|(_, known)| *known == name).map(|(kind, _)| kind).collect();
    kinds.sort();
    let kinds: Vec<Value> = kinds
        .iter()
        .filter_map(|kind| {
            let mut parts = kind.split('/');
            let (group, version, kind) = (parts.next()?, parts.next()?, parts.next()?);
            Some(json!({"group": group, "version": version, "kind": kind}))
        })
        .collect();
    if !kinds.is_empty() {
        map.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds));
    }
    Some(schema)
}

/// The values that a field may have, where these are few: a line for each with definition, place and values.
const VALUES: &str = include_str!("../../data/enums.tsv");

fn add_values(name: &str, schema: &mut Value) {
    // The lines are sorted, and few.
    let lines = VALUES.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
    for (place, values) in lines.filter_map(|line| line.split_once('\t')) {
        if let Some(Value::Object(field)) = schema.pointer_mut(place) {
            field.insert("enum".to_owned(), values.split(' ').collect());
        }
    }
}

/// All definitions that are reached from `open`.
fn closure(definitions: &Definitions, mut open: Vec<String>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !all.insert(name.clone()) {
            continue;
        }
        let Some(text) = definitions.by_name.get(&name).and_then(|range| definitions.text.get(range.clone()))
        else {
            continue;
        };
        open.extend(text.split(V3).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    all
}

/// Version 2 has other places for definitions and no `oneOf`.
fn to_v2(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace(V3, V2);
            }
            // A reference with siblings is wrapped in `allOf` in version 3 only.
            if let Some(Value::Array(all)) = map.remove("allOf")
                && let Some(target) = all.first().and_then(|one| one.get("$ref")).and_then(Value::as_str)
            {
                map.insert("$ref".to_owned(), target.replace(V3, V2).into());
            }
            if map.remove("oneOf").is_some() && !map.contains_key("type") {
                map.insert("type".to_owned(), "string".into());
            }
            // Defaults of version 3 that only say "zero" are not in version 2.
            if map
                .get("default")
                .is_some_and(|default| default == "" || default.as_object().is_some_and(Map::is_empty))
            {
                map.remove("default");
            }
            map.values_mut().for_each(to_v2);
        }
        Value::Array(list) => list.iter_mut().for_each(to_v2),
        _ => {}
    }
}

fn add_paths(paths: &mut Map, resource: &Resource, definitions: &Definitions, three: bool) {
    let root = match resource.group.as_str() {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    let scoped = if resource.namespaced { format!("{root}/namespaces/{{namespace}}") } else { root.clone() };
    let list = format!("{scoped}/{}", resource.resource);
    let item = format!("{list}/{{name}}");
    let own = Operation { resource, definitions, three, kind: resource.gvk() };
    let has = |verb: &str| resource.verbs.iter().any(|known| known == verb);
    let mut collection = Map::new();
    let mut single = Map::new();
    for (verb, action, method, into_item) in [
        ("list", "list", "get", false),
        ("create", "post", "post", false),
        ("deletecollection", "deletecollection", "delete", false),
        ("get", "get", "get", true),
        ("update", "put", "put", true),
        ("patch", "patch", "patch", true),
        ("delete", "delete", "delete", true),
    ] {
        if has(verb) {
            let into = if into_item { &mut single } else { &mut collection };
            into.insert(method.to_owned(), own.json(action));
        }
    }
    if resource.namespaced && has("list") {
        paths.insert(format!("{root}/{}", resource.resource), json!({"get": own.json("list")}));
    }
    for (path, operations) in [(list, collection), (item.clone(), single)] {
        if !operations.is_empty() {
            paths.insert(path, Value::Object(operations));
        }
    }
    for sub in &resource.subresources {
        let kind = object::Gvk::new(&sub.group, &sub.version, &sub.kind);
        let operation = Operation { resource, definitions, three, kind };
        let mut operations = Map::new();
        for (verb, method) in [("get", "get"), ("create", "post"), ("update", "put"), ("patch", "patch")] {
            if sub.verbs.iter().any(|known| known == verb) {
                operations.insert(method.to_owned(), operation.json(method));
            }
        }
        if !operations.is_empty() {
            paths.insert(format!("{item}/{}", sub.name), Value::Object(operations));
        }
    }
}

struct Operation<'a> {
    resource: &'a Resource,
    definitions: &'a Definitions,
    three: bool,
    kind: object::Gvk,
}

impl Operation<'_> {
    fn json(&self, action: &str) -> Value {
        let kind = json!({"group": self.kind.group, "version": self.kind.version, "kind": self.kind.kind});
        let parameters: Vec<Value> = parameters(action)
            .iter()
            .map(|name| {
                if self.three {
                    json!({"in": "query", "name": name, "schema": {"type": "string", "uniqueItems": true}})
                } else {
                    json!({"in": "query", "name": name, "type": "string", "uniqueItems": true})
                }
            })
            .collect();
        let target = self.definitions.name_of(&self.kind);
        let schema =
            target.map(|name| json!({"$ref": format!("{}{name}", if self.three { V3 } else { V2 })}));
        let ok = match (&schema, self.three) {
            (Some(schema), true) => {
                json!({"description": "OK", "content": {"application/json": {"schema": schema}}})
            }
            (Some(schema), false) => json!({"description": "OK", "schema": schema}),
            (None, _) => json!({"description": "OK"}),
        };
        let mut operation = json!({
            "responses": {"200": ok},
            "tags": [self.resource.resource],
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        });
        if !parameters.is_empty() {
            object::set(&mut operation, &["parameters"], Value::Array(parameters));
        }
        operation
    }
}

/// Query parameters that clients look for.
fn parameters(action: &str) -> &'static [&'static str] {
    match action {
        "post" | "put" => &["dryRun", "fieldManager", "fieldValidation"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force"],
        "delete" | "deletecollection" => &["dryRun", "gracePeriodSeconds", "propagationPolicy"],
        "list" => &["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"],
        _ => &[],
    }
}
