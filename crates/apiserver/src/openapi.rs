//! OpenAPI documents: v3 per group and version, v2 for everything.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use object::{get, get_str};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::catalog::{Catalog, Resource, api_version};
use crate::openapi_groups;
use crate::openapi_proto;
use crate::respond;
use crate::server::Body;
use crate::status::Failure;

/// Documents that were asked for, with the catalog generation that they are of. Clients keep them by
/// hash, so few are ever asked for twice; only the last few stay.
#[derive(Debug, Default)]
pub struct Documents {
    generation: u64,
    texts: HashMap<String, Bytes>,
}

const KEPT: usize = 4;

/// Answers paths under `/openapi/v3`.
pub fn v3(app: &App, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Failure> {
    let catalog = app.catalog();
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(index(app, &catalog));
    }
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !accept.is_empty() && !accept.contains("json") && !accept.contains("*/*") {
        return Err(Failure::not_acceptable(&["application/json"]));
    }
    let known = {
        let documents = app.documents.lock();
        (documents.generation == catalog.generation).then(|| documents.texts.get(path).cloned()).flatten()
    };
    let text = match known {
        Some(text) => text,
        None => {
            let document = document(app, &catalog, path).ok_or_else(Failure::page_not_found)?;
            let text = Bytes::from(document.to_string());
            let mut documents = app.documents.lock();
            if documents.generation != catalog.generation || documents.texts.len() >= KEPT {
                documents.texts.clear();
                documents.generation = catalog.generation;
            }
            documents.texts.insert(path.to_owned(), text.clone());
            text
        }
    };
    let mut response = respond::json_text(StatusCode::OK, text);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", hash(app, &catalog, path))) {
        response.headers_mut().insert(header::ETAG, value);
    }
    Ok(response)
}

fn index(app: &App, catalog: &Catalog) -> Response<Body> {
    let mut paths = Map::new();
    for group in &catalog.groups {
        for version in &group.versions {
            let prefix = if group.name.is_empty() { "api" } else { "apis" };
            let path = format!("{prefix}/{}", api_version(&group.name, &version.name));
            let hash = hash(app, catalog, &path);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    for path in openapi_groups::paths(&app.builtin) {
        let hash = hash(app, catalog, &path);
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    respond::json_text(StatusCode::OK, json!({"paths": paths}).to_string())
}

/// The resources of a document's group and version.
fn resources<'a>(catalog: &'a Catalog, path: &str) -> &'a [std::sync::Arc<Resource>] {
    let parts: Vec<&str> = path.split('/').collect();
    let version = match parts.as_slice() {
        ["api", version] => catalog.version("", version),
        ["apis", group, version] => catalog.version(group, version),
        _ => None,
    };
    version.map_or(&[], |v| v.resources.as_slice())
}

/// Changes whenever the document could.
fn hash(app: &App, catalog: &Catalog, path: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(path);
    for resource in resources(catalog, path) {
        if let Some(custom) = &resource.custom
            && let Some(definition) = app.store.get(crate::crd::TABLE, &custom.definition)
        {
            digest.update(definition.key.as_bytes());
            digest.update(definition.revision.to_be_bytes());
        }
    }
    hex::encode_upper(digest.finalize())
}

fn document(app: &App, catalog: &Catalog, path: &str) -> Option<Value> {
    let found = resources(catalog, path);
    if found.is_empty() {
        return openapi_groups::document(&app.builtin, path);
    }
    if found.iter().all(|r| r.custom.is_none()) {
        return schema::builtin().openapi_v3(path);
    }
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for resource in found {
        if let Some((name, body)) = definition_schema(app, resource) {
            let list = list_schema(resource, &name);
            schemas.insert(format!("{name}List"), list);
            schemas.insert(name, body);
        }
        add_paths(resource, &mut paths);
    }
    add_meta_schemas(&mut schemas);
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// Copies the shared metadata types, and what they refer to, out of the built-in documents.
fn add_meta_schemas(schemas: &mut Map<String, Value>) {
    let Some(core) = schema::builtin().openapi_v3("apis/coordination.k8s.io/v1") else { return };
    let Some(Value::Object(all)) = get(&core, &["components", "schemas"]) else { return };
    for (name, body) in all {
        if name.starts_with("io.k8s.apimachinery.pkg.apis.meta.v1.") {
            schemas.insert(name.clone(), body.clone());
        }
    }
}

/// `com.example.v1.Widget`
fn schema_name(resource: &Resource) -> String {
    let mut parts: Vec<&str> = resource.group.split('.').collect();
    parts.reverse();
    format!("{}.{}.{}", parts.join("."), resource.version, resource.kind)
}

fn gvk(resource: &Resource, kind: &str) -> Value {
    json!({"group": *resource.group, "version": *resource.version, "kind": kind})
}

fn definition_schema(app: &App, resource: &Resource) -> Option<(String, Value)> {
    let custom = resource.custom.as_ref()?;
    let definition = app.tree(crate::crd::TABLE, &custom.definition)?;
    let versions = get(&definition, &["spec", "versions"])?.as_array()?;
    let version = versions.iter().find(|v| get_str(v, &["name"]) == Some(&resource.version))?;
    let mut body =
        get(version, &["schema", "openAPIV3Schema"]).cloned().unwrap_or_else(|| json!({"type": "object"}));
    if let Some(map) = body.as_object_mut() {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert("apiVersion".into(), json!({"type": "string"}));
            properties.insert("kind".into(), json!({"type": "string"}));
            properties.insert(
                "metadata".into(),
                json!({"allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}], "default": {}}),
            );
        }
        map.insert("x-kubernetes-group-version-kind".into(), json!([gvk(resource, &resource.kind)]));
    }
    Some((schema_name(resource), body))
}

fn list_schema(resource: &Resource, name: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": format!("#/components/schemas/{LIST_META}")}]},
            "items": {"type": "array", "items": {"$ref": format!("#/components/schemas/{name}")}},
        },
        "x-kubernetes-group-version-kind": [gvk(resource, &resource.list_kind)],
    })
}

fn add_paths(resource: &Resource, paths: &mut Map<String, Value>) {
    let base = format!("/apis/{}/{}", resource.group, resource.version);
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{scope}/{}", resource.name);
    let name = schema_name(resource);
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let operation = |action: &str, parameters: &[&str]| {
        let list: Vec<Value> = parameters
            .iter()
            .map(|p| json!({"name": p, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource, &resource.kind),
            "parameters": list,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        })
    };
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", &[]), "post": operation("post", &write), "delete": operation("deletecollection", &["dryRun"])}),
    );
    let mut one = json!({
        "get": operation("get", &[]),
        "put": operation("put", &write),
        "patch": operation("patch", &write),
        "delete": operation("delete", &["dryRun"]),
    });
    if let Some(force) = one.pointer_mut("/patch/parameters").and_then(Value::as_array_mut) {
        force.push(json!({"name": "force", "in": "query", "schema": {"type": "boolean"}}));
    }
    paths.insert(format!("{collection}/{{name}}"), one);
}

/// Answers `/openapi/v2`.
pub fn v2(app: &App, headers: &HeaderMap) -> Result<Response<Body>, Failure> {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let protobuf = accept.contains("openapi") && accept.contains("+protobuf");
    if !accept.is_empty() && !protobuf && !accept.contains("json") && !accept.contains("*/*") {
        return Err(Failure::not_acceptable(&["application/json", openapi_proto::MEDIA]));
    }
    let catalog = app.catalog();
    let document = v2_document(app, &catalog);
    if protobuf {
        return Ok(respond::bytes(StatusCode::OK, openapi_proto::MEDIA, openapi_proto::document(&document)));
    }
    Ok(respond::json_text(StatusCode::OK, document.to_string()))
}

fn v2_document(app: &App, catalog: &Catalog) -> Value {
    let mut document = schema::builtin().openapi_v2();
    for resource in catalog.all().filter(|r| r.custom.is_some()) {
        if let Some((name, body)) = definition_schema(app, resource) {
            let text = body.to_string().replace("#/components/schemas/", "#/definitions/");
            let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            if object::get_bool(&body, &["x-kubernetes-preserve-unknown-fields"]) == Some(true) {
                // Clients of this version would take any property that is named for all there are.
                body = json!({"type": "object", "x-kubernetes-group-version-kind": [gvk(resource, &resource.kind)]});
            }
            object::set(&mut document, &["definitions", &name], body);
        }
    }
    document
}
