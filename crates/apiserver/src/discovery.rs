//! Discovery: groups, versions and resources, in the old and the aggregated form.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Group, Resource, Subresource, Version, api_version};
use crate::request::Media;
use crate::respond;
use crate::server::Body;
use crate::status::Failure;

/// Answers `/api`, `/apis`, `/apis/GROUP`, `/api/VERSION`, `/apis/GROUP/VERSION`.
pub fn answer(
    catalog: &Catalog,
    segments: &[&str],
    headers: &HeaderMap,
    address: &str,
) -> Result<Response<Body>, Failure> {
    let aggregated = aggregated_version(headers);
    let body = match (segments, aggregated) {
        (["api"], Some(version)) => return Ok(aggregate(catalog, true, version, headers)),
        (["apis"], Some(version)) => return Ok(aggregate(catalog, false, version, headers)),
        (["api"], None) => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        }),
        (["apis"], None) => {
            let groups: Vec<Value> =
                catalog.groups.iter().filter(|g| !g.name.is_empty()).map(group_entry).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        (["apis", name], _) => {
            let group = catalog.group(name).filter(|g| !g.name.is_empty());
            let mut entry = group_entry(group.ok_or_else(Failure::page_not_found)?);
            entry["kind"] = "APIGroup".into();
            entry["apiVersion"] = "v1".into();
            entry
        }
        (["api", version], _) => {
            let found = catalog.version("", version).ok_or_else(Failure::page_not_found)?;
            resource_list("", found)
        }
        (["apis", group, version], _) => {
            let found = catalog.version(group, version).ok_or_else(Failure::page_not_found)?;
            resource_list(group, found)
        }
        _ => return Err(Failure::page_not_found()),
    };
    Ok(respond::tree(StatusCode::OK, &body, media(headers)))
}

fn media(headers: &HeaderMap) -> Media {
    crate::request::negotiate(headers, false, true).map_or(Media::Json, |format| format.media)
}

/// The version of aggregated discovery that is preferred over the plain form.
fn aggregated_version(headers: &HeaderMap) -> Option<&'static str> {
    for value in headers.get_all(header::ACCEPT) {
        for clause in value.to_str().unwrap_or_default().split(',') {
            let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
            let is = |text: &str| parts.contains(&text);
            if is("g=apidiscovery.k8s.io") && is("as=APIGroupDiscoveryList") {
                if is("v=v2") {
                    return Some("v2");
                }
                if is("v=v2beta1") {
                    return Some("v2beta1");
                }
            } else if parts.len() == 1 && is("application/json") {
                return None;
            }
        }
    }
    None
}

fn group_entry(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|v| json!({"groupVersion": api_version(&group.name, &v.name), "version": *v.name}))
        .collect();
    let preferred = versions.first().cloned().unwrap_or(Value::Null);
    json!({"name": *group.name, "versions": versions, "preferredVersion": preferred})
}

fn resource_list(group: &str, version: &Version) -> Value {
    let mut entries = Vec::new();
    let mut resources: Vec<_> = version.resources.iter().collect();
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    for resource in resources {
        entries.push(resource_entry(resource));
        let mut subresources: Vec<&Subresource> = resource.subresources.iter().collect();
        if resource.custom.is_none() {
            subresources.sort_by(|a, b| a.name.cmp(&b.name));
        }
        for subresource in subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.name, subresource.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": *subresource.kind,
                "verbs": texts(&subresource.verbs),
            });
            if let Some(text) = &subresource.api_version {
                let (group, version) = text.split_once('/').unwrap_or(("", text));
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            entries.push(entry);
        }
    }
    let mut list = json!({
        "kind": "APIResourceList",
        "groupVersion": api_version(group, &version.name),
        "resources": entries,
    });
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn texts(list: &[std::sync::Arc<str>]) -> Vec<&str> {
    list.iter().map(|t| &**t).collect()
}

fn resource_entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": *resource.name,
        "singularName": *resource.singular,
        "namespaced": resource.namespaced,
        "kind": *resource.kind,
        "verbs": texts(&resource.verbs),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(texts(&resource.short_names));
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(texts(&resource.categories));
    }
    if !resource.storage_hash.is_empty() {
        entry["storageVersionHash"] = (*resource.storage_hash).into();
    }
    entry
}

fn aggregate(catalog: &Catalog, core: bool, version: &str, headers: &HeaderMap) -> Response<Body> {
    let items: Vec<Value> = catalog
        .groups
        .iter()
        .filter(|g| g.name.is_empty() == core)
        .map(|group| {
            let versions: Vec<Value> = group.versions.iter().map(aggregated_entry).collect();
            let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": *group.name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let text = body.to_string();
    let tag = format!("\"{}\"", hex::encode_upper(Sha256::digest(&text)));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()) == Some(&tag);
    let mut response = if known {
        respond::bytes(StatusCode::NOT_MODIFIED, "application/json", "")
    } else {
        respond::json_text(StatusCode::OK, text)
    };
    let content = format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&content) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn aggregated_entry(version: &Version) -> Value {
    let mut resources: Vec<_> = version.resources.iter().collect();
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    let resources: Vec<Value> = resources
        .into_iter()
        .map(|resource| {
            let own = if resource.custom.is_some() {
                json!({"group": *resource.group, "version": *resource.version, "kind": *resource.kind})
            } else {
                json!({"group": "", "version": "", "kind": *resource.kind})
            };
            let mut entry = json!({
                "resource": *resource.name,
                "responseKind": own.clone(),
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": *resource.singular,
                "verbs": texts(&resource.verbs),
            });
            if !resource.short_names.is_empty() {
                entry["shortNames"] = json!(texts(&resource.short_names));
            }
            if !resource.categories.is_empty() {
                entry["categories"] = json!(texts(&resource.categories));
            }
            let subresources: Vec<Value> = resource
                .subresources
                .iter()
                .map(|sub| {
                    let kind = match &sub.api_version {
                        Some(text) => {
                            let (group, version) = text.split_once('/').unwrap_or(("", text));
                            json!({"group": group, "version": version, "kind": *sub.kind})
                        }
                        None if resource.custom.is_some() => own.clone(),
                        None => json!({"group": "", "version": "", "kind": *sub.kind}),
                    };
                    json!({"subresource": *sub.name, "responseKind": kind, "verbs": texts(&sub.verbs)})
                })
                .collect();
            if !subresources.is_empty() {
                entry["subresources"] = subresources.into();
            }
            entry
        })
        .collect();
    json!({"version": *version.name, "resources": resources, "freshness": "Current"})
}

/// Every path, as `/` lists them.
pub fn paths(catalog: &Catalog) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/",
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .map(str::to_owned)
    .to_vec();
    for group in catalog.groups.iter().filter(|g| !g.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        for version in &group.versions {
            paths.push(format!("/apis/{}/{}", group.name, version.name));
        }
    }
    paths.sort();
    paths
}
