//! Who owns the fields of an object: taking them over from others, and giving them up.

use object::{Value, meta};
use serde_json::json;

use crate::memory::Habits;

/// Has kubectl (or we, before server-side apply) set fields of `live` that are to be taken over?
pub(crate) fn holds_foreign_fields(live: &Value, manager: &str, habits: &Habits) -> bool {
    object::get(live, &["metadata", "managedFields"])
        .and_then(Value::as_array)
        .is_some_and(|fields| taken_over(fields, manager, meta::api_version(live), habits).is_some())
}

/// The managed fields with kubectl's merged into ours; `None` when there is nothing to take over.
pub(crate) fn taken_over(
    fields: &[Value],
    manager: &str,
    api_version: &str,
    habits: &Habits,
) -> Option<Vec<Value>> {
    let foreign = |name: &str, operation: &str| {
        name.starts_with("kubectl")
            || habits.overrides.iter().any(|known| known == name)
            || (operation == "Update" && (name == "before-first-apply" || name == manager))
    };
    migrated(fields, manager, api_version, habits.requests, &foreign)
}

fn text(entry: &Value, field: &str) -> String {
    object::get_str(entry, &[field]).unwrap_or_default().to_owned()
}

/// Those who manage fields of an object itself, with how they do it: `Apply` or `Update`.
pub fn managers(live: &Value) -> Vec<(String, String)> {
    let fields = object::get(live, &["metadata", "managedFields"]).and_then(Value::as_array);
    let own = fields.into_iter().flatten().filter(|entry| text(entry, "subresource").is_empty());
    own.map(|entry| (text(entry, "manager"), text(entry, "operation"))).collect()
}

/// The managed fields with those of others merged into ours: `foreign` says whose, by manager and operation. `requests`
/// stay with who made them. `None` when there is nothing to take over.
pub fn migrated(
    fields: &[Value],
    manager: &str,
    api_version: &str,
    requests: &[&str],
    foreign: &dyn Fn(&str, &str) -> bool,
) -> Option<Vec<Value>> {
    let foreign = |entry: &Value| {
        text(entry, "subresource").is_empty() && foreign(&text(entry, "manager"), &text(entry, "operation"))
    };
    let mut ours = json!({
        "manager": manager, "operation": "Apply", "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": {},
    });
    let mut rest = Vec::new();
    let mut found = false;
    for entry in fields {
        let own = text(entry, "manager") == manager
            && text(entry, "operation") == "Apply"
            && text(entry, "subresource").is_empty();
        let owned = entry.get("fieldsV1").unwrap_or(&Value::Null);
        if own {
            for field in ["time", "apiVersion"] {
                if let Some(value) = entry.get(field) {
                    ours[field] = value.clone();
                }
            }
            union(&mut ours["fieldsV1"], owned);
        } else if foreign(entry) {
            let (taken, kept) = split(owned, requests);
            if let Some(taken) = taken {
                found = true;
                union(&mut ours["fieldsV1"], &taken);
            }
            if let Some(kept) = kept {
                let mut entry = entry.clone();
                entry["fieldsV1"] = kept;
                rest.push(entry);
            }
        } else {
            rest.push(entry.clone());
        }
    }
    rest.push(ours);
    found.then_some(rest)
}

/// The managed fields without what a manager applied; `None` when it applied nothing.
pub fn disowned(fields: &[Value], manager: &str) -> Option<Vec<Value>> {
    let ours = |entry: &&Value| text(entry, "manager") == manager && text(entry, "subresource").is_empty();
    let rest: Vec<Value> = fields.iter().filter(|entry| !ours(entry)).cloned().collect();
    (rest.len() < fields.len()).then_some(rest)
}

/// Owned fields apart from requests, and the requests.
fn split(owned: &Value, requested: &[&str]) -> (Option<Value>, Option<Value>) {
    let Some(map) = owned.as_object().filter(|map| !map.is_empty()) else {
        return (Some(owned.clone()), None);
    };
    let (mut fields, mut requests) = (object::Map::new(), object::Map::new());
    for (key, value) in map {
        if key.strip_prefix("f:").is_some_and(|name| requested.contains(&name)) {
            requests.insert(key.clone(), value.clone());
            continue;
        }
        let (below, asked) = split(value, requested);
        fields.extend(below.map(|below| (key.clone(), below)));
        requests.extend(asked.map(|asked| (key.clone(), asked)));
    }
    let some = |map: object::Map| (!map.is_empty()).then_some(Value::Object(map));
    (some(fields), some(requests))
}

fn union(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else { return };
    for (key, value) in from {
        union(into.entry(key.clone()).or_insert_with(|| json!({})), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habits() -> Habits {
        let overrides = vec!["terraform".to_owned()];
        Habits { requests: &["reconcile.fluxcd.io/requestedAt"], overrides, ..Habits::default() }
    }

    #[test]
    fn named_managers_are_overridden() {
        let owned = |name: &str| {
            vec![json!({"manager": name, "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}}}})]
        };
        assert!(taken_over(&owned("terraform"), "kustomize-controller", "v1", &habits()).is_some());
        assert_eq!(taken_over(&owned("someone"), "kustomize-controller", "v1", &habits()), None);
    }

    #[test]
    fn kubectls_fields_become_ours() {
        let fields = vec![
            json!({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:a": {}}}}),
            json!({"manager": "kustomize-controller", "operation": "Apply", "apiVersion": "v1",
                "fieldsV1": {"f:data": {"f:b": {}}}}),
            json!({"manager": "kubectl", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}}),
        ];
        let merged = taken_over(&fields, "kustomize-controller", "v1", &habits()).unwrap();
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[1]["fieldsV1"], json!({"f:data": {"f:a": {}, "f:b": {}}}));
        assert_eq!(taken_over(&merged, "kustomize-controller", "v1", &habits()), None);
    }

    #[test]
    fn requests_stay_with_who_made_them() {
        let asked = json!({"f:metadata": {"f:annotations": {"f:reconcile.fluxcd.io/requestedAt": {}}}});
        let annotate = |owned: Value| {
            vec![json!({"manager": "kubectl-annotate", "operation": "Update", "fieldsV1": owned})]
        };
        assert_eq!(taken_over(&annotate(asked.clone()), "kustomize-controller", "v1", &habits()), None);
        let both = json!({"f:metadata": {"f:annotations": {
            "f:reconcile.fluxcd.io/requestedAt": {}, "f:note": {},
        }}});
        let merged = taken_over(&annotate(both), "kustomize-controller", "v1", &habits()).unwrap();
        assert_eq!(merged[0]["fieldsV1"], asked);
        assert_eq!(merged[1]["fieldsV1"], json!({"f:metadata": {"f:annotations": {"f:note": {}}}}));
    }
}
