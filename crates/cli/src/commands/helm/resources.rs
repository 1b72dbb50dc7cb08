//! The objects of a release as `helm status --show-resources` shows them: the server's own tables for people, the
//! objects for programs.

use super::connect::Connection;
use crate::views;
use anyhow::Context as _;
use helm::Release;
use object::{Gvk, Value, meta};
use std::collections::BTreeMap;

/// What the server is asked for where a table is wanted.
const TABLES: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// The key of pods that belong to a workload of the release.
const RELATED: &str = "v1/Pod(related)";

/// Live objects, or the server's tables of one object each, by `version/Kind` in the order of the manifest.
pub type Resources = BTreeMap<String, Vec<Value>>;

/// Asks for every object of a release and for the pods of its workloads; what is not there is left out.
pub async fn gather(connection: &Connection, release: &Release, tables: bool) -> anyhow::Result<Resources> {
    let mut resources = Resources::new();
    let mut selectors = Vec::new();
    for manifest in release.manifests()? {
        let object = &manifest.object;
        let gvk = Gvk::of(object);
        let Ok(resource) = connection.cluster.resource(&gvk).await else { continue };
        let namespace = meta::namespace(object).unwrap_or(&connection.namespace);
        let Some(found) = get(connection, &resource.path(namespace, meta::name(object)), tables).await?
        else {
            continue;
        };
        resources.entry(format!("{}/{}", gvk.version, resource.kind)).or_default().push(found);
        let Some(selector) = selector(object).filter(|selector| !selectors.contains(selector)) else {
            continue;
        };
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", escaped(&selector));
        let mut pods = get(connection, &path, tables).await?.context("no list of pods")?;
        selectors.push(selector);
        name_items(&mut pods);
        resources.entry(RELATED.to_owned()).or_default().push(pods);
    }
    Ok(resources)
}

/// One answer of the server; `None` when there is no such object.
async fn get(connection: &Connection, path: &str, table: bool) -> anyhow::Result<Option<Value>> {
    let accept = if table { TABLES } else { "application/json" };
    let request = http::Request::get(path).header("accept", accept).body(Vec::new())?;
    match connection.cluster.client().request::<Value>(request).await {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error).with_context(|| path.to_owned()),
    }
}

/// The labels that a workload's pods have, as a query has them.
fn selector(object: &Value) -> Option<String> {
    let path: &[&str] = match object::get_str(object, &["kind"])? {
        "ReplicaSet" | "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => {
            &["spec", "selector", "matchLabels"]
        }
        "ReplicationController" => &["spec", "selector"],
        _ => return None,
    };
    let labels = object::get(object, path)?.as_object()?;
    let pairs = labels.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    pairs.collect::<Option<Vec<_>>>().map(|pairs| pairs.join(","))
}

fn escaped(selector: &str) -> String {
    selector.replace('=', "%3D").replace(',', "%2C").replace('/', "%2F")
}

fn list_of(value: &Value, field: &str) -> Vec<Value> {
    value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The items of a list say what they are: the server says it once for all of them.
fn name_items(list: &mut Value) {
    for item in list.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        object::set(item, &["apiVersion"], "v1".into());
        object::set(item, &["kind"], "Pod".into());
    }
}

/// The section that stands before the test suites; nothing when there are no objects.
pub fn section(tables: &Resources) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let mut out = String::from("RESOURCES:\n");
    let mut last_columns = Value::Null;
    for (kind, tables) in tables {
        out.push_str(&format!("==> {kind}\n"));
        for table in tables {
            if list_of(table, "rows").is_empty() {
                continue;
            }
            let columns = table.get("columnDefinitions").cloned().unwrap_or_default();
            let rows: Vec<Vec<String>> =
                list_of(table, "rows").iter().map(|row| cells(row, &columns)).collect();
            // As kubectl does it: a header that was just there is not repeated, and each object lines up by itself.
            match columns == last_columns {
                true => out.push_str(&views::table::rows(&rows)),
                false => {
                    let header: Vec<String> = shown(&columns).map(|(_, name)| name.to_uppercase()).collect();
                    out.push_str(&views::table::rows(&[vec![header], rows].concat()));
                }
            }
            last_columns = columns;
        }
        out.push('\n');
    }
    out.push('\n');
    out
}

/// The columns that are shown without `-o wide`.
fn shown(columns: &Value) -> impl Iterator<Item = (usize, &str)> {
    let columns = columns.as_array().into_iter().flatten().enumerate();
    columns.filter_map(|(at, column)| {
        let narrow = column.get("priority").and_then(Value::as_i64).unwrap_or(0) == 0;
        Some((at, column.get("name")?.as_str()?)).filter(|_| narrow)
    })
}

fn cells(row: &Value, columns: &Value) -> Vec<String> {
    let cell = |(at, _)| match row.get("cells").and_then(|cells| cells.get(at)) {
        Some(Value::String(text)) => text.lines().next().unwrap_or_default().to_owned(),
        Some(Value::Null) | None => "<nil>".to_owned(),
        Some(other) => other.to_string(),
    };
    shown(columns).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_of_one_kind_have_one_header() {
        let columns = json!([
            {"name": "Name", "priority": 0}, {"name": "Data", "priority": 0}, {"name": "Wide", "priority": 1}
        ]);
        let table = |name: &str, count: u64| json!({"kind": "Table", "columnDefinitions": columns, "rows": [{"cells": [name, count, "x"]}]});
        let tables = [("v1/ConfigMap".to_owned(), vec![table("one", 1), table("a-second", 22)])].into();
        assert_eq!(
            section(&tables),
            "RESOURCES:\n==> v1/ConfigMap\nNAME   DATA\none    1\na-second   22\n\n\n"
        );
        assert_eq!(section(&Resources::new()), "");
    }
}
