//! The objects of a release as `helm status --show-resources` lists them: the server's own tables.

use super::connect::Connection;
use crate::views;
use helm::Release;
use object::{Gvk, Value, meta};
use std::collections::BTreeMap;

/// The section that stands before the test suites.
pub async fn section(connection: &Connection, release: &Release) -> anyhow::Result<String> {
    let mut kinds: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    for manifest in release.manifests()? {
        let object = &manifest.object;
        let gvk = Gvk::of(object);
        let Ok(resource) = connection.cluster.resource(&gvk).await else { continue };
        let namespace = meta::namespace(object).unwrap_or(&connection.namespace);
        let name = meta::name(object);
        let Some(live) = connection.cluster.get(&gvk, namespace, name).await? else { continue };
        let health = health::status(&live, jiff::Timestamp::now().as_second());
        let rows = kinds.entry(format!("{}/{}", gvk.version, resource.kind)).or_default();
        rows.push(vec![name.to_owned(), health.status.to_string(), age(&live)]);
    }
    if kinds.is_empty() {
        return Ok(String::new());
    }
    let mut out = String::new();
    for (kind, rows) in kinds {
        let headers = ["NAME", "STATUS", "AGE"];
        out.push_str(&format!("==> {kind}\n{}\n", views::table::table(&headers, &rows)));
    }
    Ok(format!("RESOURCES:\n{out}\n"))
}

fn age(live: &Value) -> String {
    let created = object::get_str(live, &["metadata", "creationTimestamp"]).unwrap_or_default();
    let Ok(created) = created.parse::<jiff::Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = jiff::Timestamp::now().as_second().saturating_sub(created.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
