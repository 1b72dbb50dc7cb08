//! OpenAPI documents of what is no resource: the lists of groups and versions, the version, the keys of tokens.

use serde_json::{Map, Value, json};

use crate::catalog::Catalog;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const VERSION: &str = "io.k8s.apimachinery.pkg.version.Info";
const PREFIX: &str = "#/components/schemas/";
/// The documents besides those of groups.
const OTHERS: &[&str] = &[".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"];

/// The paths of all of them.
pub fn paths(builtin: &Catalog) -> Vec<String> {
    let groups = builtin.groups.iter().filter(|group| !group.name.is_empty());
    let groups = groups.map(|group| format!("apis/{}", group.name));
    groups.chain(OTHERS.iter().map(|path| (*path).to_owned())).collect()
}

/// The document of a path, if it has one.
pub fn document(builtin: &Catalog, path: &str) -> Option<Value> {
    let meta = |kind: &str| format!("{META}{kind}");
    let (url, tag, operation, target) = match path {
        ".well-known/openid-configuration" => {
            let operation = "getServiceAccountIssuerOpenIDConfiguration";
            (
                "/.well-known/openid-configuration/".to_owned(),
                "WellKnown".to_owned(),
                operation.to_owned(),
                None,
            )
        }
        "openid/v1/jwks" => {
            let operation = "getServiceAccountIssuerOpenIDKeyset".to_owned();
            ("/openid/v1/jwks/".to_owned(), "openid".to_owned(), operation, None)
        }
        "api" => {
            let target = Some(meta("APIVersions"));
            ("/api/".to_owned(), "core".to_owned(), "getCoreAPIVersions".to_owned(), target)
        }
        "apis" => {
            let target = Some(meta("APIGroupList"));
            ("/apis/".to_owned(), "apis".to_owned(), "getAPIVersions".to_owned(), target)
        }
        "version" => {
            let target = Some(VERSION.to_owned());
            ("/version/".to_owned(), "version".to_owned(), "getCodeVersion".to_owned(), target)
        }
        group => {
            let name = group.strip_prefix("apis/").filter(|name| !name.is_empty())?;
            builtin.group(name)?;
            let tag = camel(name.trim_end_matches(".k8s.io"));
            let operation = format!("get{}APIGroup", capital(&tag));
            (format!("/apis/{name}/"), tag, operation, Some(meta("APIGroup")))
        }
    };
    let media = match &target {
        None => vec![if path == "openid/v1/jwks" { "application/jwk-set+json" } else { "application/json" }],
        Some(name) if name == VERSION => vec!["application/json"],
        Some(_) => vec!["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"],
    };
    let schema = match &target {
        Some(name) => json!({"$ref": format!("{PREFIX}{name}")}),
        None => json!({"type": "string", "default": ""}),
    };
    let content: Map<String, Value> =
        media.iter().map(|own| ((*own).to_owned(), json!({"schema": schema}))).collect();
    let mut schemas = Map::new();
    if let Some(name) = target {
        add(&mut schemas, &name);
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.34"},
        "paths": {url: {"get": {
            "tags": [tag],
            "operationId": operation,
            "responses": {
                "200": {"description": "OK", "content": content},
                "401": {"description": "Unauthorized"},
            },
        }}},
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
        },
    }))
}

/// `rbac.authorization` as `rbacAuthorization`.
fn camel(name: &str) -> String {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + &capital(part))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// Adds a type and those that it refers to.
fn add(schemas: &mut Map<String, Value>, name: &str) {
    let text = || json!({"type": "string", "default": ""});
    let list = |item: Value| json!({"type": "array", "items": item, "x-kubernetes-list-type": "atomic"});
    let of = |kind: &str| json!({"default": {}, "allOf": [{"$ref": format!("{PREFIX}{META}{kind}")}]});
    let kind = name.strip_prefix(META).unwrap_or(name);
    let (required, properties, uses): (Vec<&str>, Value, &[&str]) = match kind {
        "APIVersions" => (
            vec!["versions", "serverAddressByClientCIDRs"],
            json!({"versions": list(text()), "serverAddressByClientCIDRs": list(of("ServerAddressByClientCIDR"))}),
            &["ServerAddressByClientCIDR"],
        ),
        "APIGroupList" => (vec!["groups"], json!({"groups": list(of("APIGroup"))}), &["APIGroup"]),
        "APIGroup" => (
            vec!["name", "versions"],
            json!({
                "name": text(), "versions": list(of("GroupVersionForDiscovery")),
                "preferredVersion": of("GroupVersionForDiscovery"),
                "serverAddressByClientCIDRs": list(of("ServerAddressByClientCIDR")),
            }),
            &["GroupVersionForDiscovery", "ServerAddressByClientCIDR"],
        ),
        "GroupVersionForDiscovery" => {
            (vec!["groupVersion", "version"], json!({"groupVersion": text(), "version": text()}), &[])
        }
        "ServerAddressByClientCIDR" => {
            (vec!["clientCIDR", "serverAddress"], json!({"clientCIDR": text(), "serverAddress": text()}), &[])
        }
        _ => {
            let always = [
                "major",
                "minor",
                "gitVersion",
                "gitCommit",
                "gitTreeState",
                "buildDate",
                "goVersion",
                "compiler",
                "platform",
            ];
            let more = ["emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"];
            let fields = always.iter().map(|field| ((*field).to_owned(), text()));
            let more = more.iter().map(|field| ((*field).to_owned(), json!({"type": "string"})));
            (always.to_vec(), Value::Object(fields.chain(more).collect()), &[])
        }
    };
    let mut schema = json!({"type": "object", "required": required, "properties": properties});
    if kind.starts_with("API") {
        schema["properties"]["apiVersion"] = json!({"type": "string"});
        schema["properties"]["kind"] = json!({"type": "string"});
        schema["x-kubernetes-group-version-kind"] = json!([{"group": "", "kind": kind, "version": "v1"}]);
    }
    schemas.insert(name.to_owned(), schema);
    for other in uses {
        let other = format!("{META}{other}");
        if !schemas.contains_key(&other) {
            add(schemas, &other);
        }
    }
}
