//! `status.history`: what this controller knows of the releases it made.

use helm::Release;
use helm::release::Phase;
use object::Value;
use serde_json::json;

use super::values;
use crate::common::{sha256, str_at};

/// Entries kept at most.
const KEPT: usize = 5;

/// The digest of everything in a release that only its maker changes.
pub(super) fn digest(release: &Release) -> String {
    let hooks: Vec<Value> = release
        .hooks
        .iter()
        .map(|hook| json!({"name": hook.name, "kind": hook.kind, "manifest": hook.manifest}))
        .collect();
    let text = json!({
        "name": release.name, "namespace": release.namespace, "version": release.version,
        "chart": release.chart.metadata, "config": release.config.to_json(), "manifest": release.manifest, "hooks": hooks,
    })
    .to_string();
    sha256(text)
}

/// A release as the history shows it.
pub(super) fn of(release: &Release, action: &str, oci_digest: Option<&str>) -> Value {
    let metadata = serde_json::to_value(&release.chart.metadata).unwrap_or_default();
    let mut snapshot = json!({
        "digest": digest(release),
        "name": release.name,
        "namespace": release.namespace,
        "version": release.version,
        "status": release.info.status.as_str(),
        "action": action,
        "chartName": release.chart.metadata.name,
        "chartVersion": release.chart.metadata.version,
        "appVersion": str_at(&metadata, &["appVersion"]),
        "configDigest": values::digest(&release.config),
        "firstDeployed": seconds(&release.info.first_deployed),
        "lastDeployed": seconds(&release.info.last_deployed),
    });
    if !release.info.deleted.is_empty() {
        snapshot["deleted"] = json!(seconds(&release.info.deleted));
    }
    if let Some(digest) = oci_digest {
        snapshot["ociDigest"] = json!(digest);
    }
    snapshot
}

/// What came of the tests.
pub(super) fn tests(release: &Release) -> Value {
    let mut hooks = serde_json::Map::new();
    for hook in release.hooks.iter().filter(|hook| hook.runs_at(helm::Event::Test)) {
        let phase = match hook.last_run.phase {
            Phase::Succeeded => "Succeeded",
            Phase::Failed => "Failed",
            Phase::Running => "Running",
            Phase::Unknown => "Unknown",
            Phase::None => continue,
        };
        let run = json!({
            "phase": phase, "lastStarted": seconds(&hook.last_run.started_at),
            "lastCompleted": seconds(&hook.last_run.completed_at),
        });
        hooks.insert(hook.name.clone(), run);
    }
    Value::Object(hooks)
}

/// A time with fractions, as the API's own times have none.
fn seconds(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "1970-01-01T00:00:00Z".to_owned(),
    }
}

/// The history with this snapshot at its top: an entry of the same version is replaced. Entries older than
/// the previous successful release are dropped.
pub(super) fn push(history: Option<&Value>, snapshot: Value) -> Value {
    let mut entries = history.and_then(Value::as_array).cloned().unwrap_or_default();
    let version = snapshot.get("version").cloned();
    let same =
        |entry: &Value| entry.get("version") == version.as_ref() && entry.get("name") == snapshot.get("name");
    let deployed = str_at(&snapshot, &["status"]) == "deployed";
    entries.retain(|entry| !same(entry));
    for entry in &mut entries {
        if deployed && str_at(entry, &["status"]) == "deployed" {
            entry["status"] = json!("superseded");
        }
    }
    entries.insert(0, snapshot);
    let good = |entry: &Value| matches!(str_at(entry, &["status"]), "deployed" | "superseded");
    let mut kept = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        if at > 0 && good(&entry) {
            // However many failed since: this is the one to roll back to.
            kept.push(entry);
            break;
        }
        if at + 1 < KEPT {
            kept.push(entry);
        }
    }
    Value::Array(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_good_release_is_kept() {
        let entry = |version: u64, status: &str| json!({"name": "a", "version": version, "status": status});
        let history = push(None, entry(1, "deployed"));
        let history = push(Some(&history), entry(2, "failed"));
        let history = push(Some(&history), entry(3, "deployed"));
        let history = push(Some(&history), entry(4, "deployed"));
        let versions: Vec<u64> =
            history.as_array().unwrap().iter().filter_map(|entry| entry["version"].as_u64()).collect();
        assert_eq!(versions, [4, 3]);
        assert_eq!(history[1]["status"], "superseded");
        let mut history = history;
        for version in 5..20 {
            history = push(Some(&history), entry(version, "failed"));
        }
        assert_eq!(history.as_array().unwrap().len(), KEPT);
        assert_eq!(history[KEPT - 1]["version"], 4, "the one to roll back to");
    }
}
