//! What objects of a ResourceSet take from ConfigMaps and Secrets, as their annotations ask: data, a cluster's address,
//! a digest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controller::{Cause, aspect};
use object::{Gvk, Key, Value, get, meta};
use serde_json::json;

use super::GROUP;
use super::resourceset::Stop;
use crate::common::{Pass, sha256, str_at, string_map};
use crate::sources::secret_data;

/// Fills in what all objects ask for.
pub(super) async fn fill(pass: &Pass, objects: &mut [&mut Value]) -> Result<(), Stop> {
    for object in objects.iter_mut() {
        copy(pass, object).await?;
        convert(pass, object).await?;
    }
    // What is applied together with who watches it counts as it will be.
    let mut rendered: BTreeMap<Key, Value> = BTreeMap::new();
    for object in objects.iter() {
        if matches!(meta::kind(object), "ConfigMap" | "Secret")
            && let Ok(key) = Key::of(object)
        {
            rendered.insert(key, (**object).clone());
        }
    }
    for object in objects.iter_mut() {
        sum_up(pass, object, &rendered).await?;
    }
    Ok(())
}

fn wrong(why: String) -> Stop {
    Stop::Stalled("BuildFailed", why)
}

fn missing(why: String) -> Stop {
    Stop::Waiting(why.clone(), Cause::new(why))
}

/// The ConfigMap or Secret of a name; a change of it wakes the set.
async fn read(pass: &Pass, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>, Stop> {
    let gvk = Gvk::new("", "v1", kind);
    Ok(pass.context.read(&gvk, namespace, name, aspect::content, true).await?)
}

/// `namespace/name`.
fn place<'t>(annotation: &str, text: &'t str) -> Result<(&'t str, &'t str), Stop> {
    text.split_once('/').filter(|(_, name)| !name.contains('/')).ok_or_else(|| {
        wrong(format!(
            "invalid {annotation} annotation value '{text}' must be in the format 'namespace/name'"
        ))
    })
}

/// `copyFrom`: the data of a ConfigMap or Secret is another's.
async fn copy(pass: &Pass, object: &mut Value) -> Result<(), Stop> {
    let Some(from) = meta::annotation(object, &format!("{GROUP}/copyFrom")).map(str::to_owned) else {
        return Ok(());
    };
    let kind = meta::kind(object).to_owned();
    if !matches!(kind.as_str(), "ConfigMap" | "Secret") || meta::api_version(object) != "v1" {
        return Ok(());
    }
    let (namespace, name) = place("copyFrom", &from)?;
    let found = read(pass, &kind, namespace, name).await?;
    let found = found.ok_or_else(|| missing(format!("failed to copy data from {kind}/{from}: not found")))?;
    for field in ["data", "binaryData"] {
        if let Some(value) = found.get(field) {
            object::set(object, &[field], value.clone());
        }
    }
    if let (None, Some(kind)) = (object.get("type"), found.get("type")) {
        object::set(object, &["type"], kind.clone());
    }
    Ok(())
}

/// `convertKubeConfigFrom`: a ConfigMap describes the cluster of a kubeconfig, whose credentials stay where they are.
async fn convert(pass: &Pass, object: &mut Value) -> Result<(), Stop> {
    const WORD: &str = "convertKubeConfigFrom";
    let Some(from) = meta::annotation(object, &format!("{GROUP}/{WORD}")).map(str::to_owned) else {
        return Ok(());
    };
    if meta::kind(object) != "ConfigMap" || meta::api_version(object) != "v1" {
        return Ok(());
    }
    let (reference, key) = match from.rsplit_once(':') {
        Some((reference, key)) if reference.contains('/') => (reference, Some(key)),
        _ => (from.as_str(), None),
    };
    let (namespace, name) = place(WORD, reference)?;
    let found = read(pass, "Secret", namespace, name).await?;
    let found =
        found.ok_or_else(|| missing(format!("failed to get kubeconfig Secret/{reference}: not found")))?;
    let mut data = secret_data(&found);
    let text = match key {
        Some(key) => data
            .remove(key)
            .ok_or_else(|| missing(format!("kubeconfig Secret/{reference} does not have '{key}' field")))?,
        None => data.remove("kubeconfig").or_else(|| data.remove("value")).ok_or_else(|| {
            missing(format!("kubeconfig Secret/{reference} does not have 'kubeconfig' or 'value' field"))
        })?,
    };
    let failed =
        |why: String| wrong(format!("failed to extract fields from kubeconfig Secret/{reference}: {why}"));
    let (server, authority) = cluster(&String::from_utf8_lossy(&text)).map_err(failed)?;
    for (field, value) in [("address", server), ("ca.crt", authority)] {
        if get(object, &["data", field]).is_none() {
            object::set(object, &["data", field], json!(value));
        }
    }
    Ok(())
}

/// The address and the certificate authority of a kubeconfig's current context. Errors quote nothing of it.
fn cluster(text: &str) -> Result<(String, String), String> {
    let config = yaml::from_str(text).map_err(|_| "it is no YAML")?;
    let named = |list: &str, name: &str| {
        let entries = config.get(list).and_then(Value::as_array);
        entries.into_iter().flatten().find(|entry| str_at(entry, &["name"]) == name).cloned()
    };
    let context = named("contexts", str_at(&config, &["current-context"]));
    let context = context.ok_or("it has no current context")?;
    let cluster = named("clusters", str_at(&context, &["context", "cluster"]));
    let cluster = cluster.ok_or("its context names no cluster")?;
    let server = str_at(&cluster, &["cluster", "server"]);
    let encoded = str_at(&cluster, &["cluster", "certificate-authority-data"]);
    if server.is_empty() || encoded.is_empty() {
        return Err("its cluster needs a server and certificate-authority-data".into());
    }
    let authority = STANDARD.decode(encoded).map_err(|_| "certificate-authority-data is not base64")?;
    Ok((server.to_owned(), String::from_utf8_lossy(&authority).into_owned()))
}

/// `checksumFrom`: beside the annotation, at the object or at any template in it, another tells what the named
/// ConfigMaps and Secrets hold, so that pods are made anew when that changes.
async fn sum_up(pass: &Pass, object: &mut Value, rendered: &BTreeMap<Key, Value>) -> Result<(), Stop> {
    let mut wanted = Vec::new();
    find(object, &mut wanted);
    let mut sums = BTreeMap::new();
    wanted.sort();
    wanted.dedup();
    for names in wanted {
        let sum = sum(pass, &names, rendered).await?;
        sums.insert(names, sum);
    }
    if !sums.is_empty() {
        mark(object, &sums);
    }
    Ok(())
}

const SUM_OF: &str = "checksumFrom";

/// The annotations `checksumFrom` of all `metadata` in a value.
fn find(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let named = get(value, &["metadata", "annotations", &format!("{GROUP}/{SUM_OF}")]);
            found.extend(named.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned));
            map.values().for_each(|inner| find(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| find(inner, found)),
        _ => {}
    }
}

fn mark(value: &mut Value, sums: &BTreeMap<String, String>) {
    let named = get(value, &["metadata", "annotations", &format!("{GROUP}/{SUM_OF}")]);
    if let Some(sum) = named.and_then(Value::as_str).and_then(|names| sums.get(names)) {
        object::set(value, &["metadata", "annotations", &format!("{GROUP}/checksum")], json!(sum));
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(|inner| mark(inner, sums)),
        Value::Array(items) => items.iter_mut().for_each(|inner| mark(inner, sums)),
        _ => {}
    }
}

/// The digest of `Kind/namespace/name`s, each with its keys and values.
async fn sum(pass: &Pass, names: &str, rendered: &BTreeMap<Key, Value>) -> Result<String, Stop> {
    let mut bytes: Vec<u8> = Vec::new();
    for reference in names.split(',').map(str::trim).filter(|reference| !reference.is_empty()) {
        let mut parts = reference.split('/');
        let (Some(kind @ ("ConfigMap" | "Secret")), Some(namespace), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong(format!(
                "invalid {SUM_OF} reference '{reference}' must be ConfigMap/namespace/name or Secret/namespace/name"
            )));
        };
        let found = match rendered.get(&Key::new("", kind, namespace, name)) {
            Some(rendered) => Some(rendered.clone()),
            None => read(pass, kind, namespace, name).await?,
        };
        let found = found.ok_or_else(|| {
            missing(format!("failed to resolve {SUM_OF} reference {kind}/{namespace}/{name}: not found"))
        })?;
        bytes.extend(reference.as_bytes());
        bytes.push(0);
        for (key, value) in content(&found) {
            bytes.extend(key.as_bytes());
            bytes.push(0);
            bytes.extend(value);
            bytes.push(0);
        }
    }
    Ok(sha256(bytes))
}

/// What a ConfigMap or Secret holds, decoded.
fn content(object: &Value) -> BTreeMap<String, Vec<u8>> {
    let (plain, encoded) =
        if meta::kind(object) == "Secret" { ("stringData", "data") } else { ("data", "binaryData") };
    let mut all: BTreeMap<String, Vec<u8>> = string_map(object, &[encoded])
        .into_iter()
        .map(|(key, value)| (key, STANDARD.decode(value.as_bytes()).unwrap_or_else(|_| value.into_bytes())))
        .collect();
    all.extend(string_map(object, &[plain]).into_iter().map(|(key, value)| (key, value.into_bytes())));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_kubeconfigs() {
        let good = "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n\
            clusters: [{name: k, cluster: {server: 'https://x', certificate-authority-data: Y2E=}}]\n";
        assert_eq!(cluster(good), Ok(("https://x".to_owned(), "ca".to_owned())));
        for bad in
            ["canary: {", "{}", "current-context: c\ncontexts: [{name: c, context: {cluster: canary}}]"]
        {
            assert!(!cluster(bad).unwrap_err().contains("canary"));
        }
    }

    #[test]
    fn annotations_anywhere() {
        let from = json!({"annotations": {"fluxcd.controlplane.io/checksumFrom": "ConfigMap/a/b"}});
        let mut job =
            json!({"metadata": from, "spec": {"jobTemplate": {"spec": {"template": {"metadata": from}}}}});
        let mut found = Vec::new();
        find(&job, &mut found);
        assert_eq!(found.len(), 2);
        mark(&mut job, &BTreeMap::from([("ConfigMap/a/b".to_owned(), "sum".to_owned())]));
        assert_eq!(
            job["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"]["fluxcd.controlplane.io/checksum"],
            "sum"
        );
    }
}
