//! Rules that leave fields of some objects to others: `driftDetection.ignore` of a HelmRelease, `ignore` of a
//! Kustomization.

use object::{Value, json_patch, meta};
use regex::Regex;
use serde_json::json;

use crate::common::{str_at, strings_at};

/// The JSON pointers of `rules` that are for an object.
pub(crate) fn paths(rules: Option<&Value>, object: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    for rule in rules.and_then(Value::as_array).into_iter().flatten() {
        let target = rule.get("target").cloned().unwrap_or_default();
        let matches = |field: &str, value: &str| {
            let pattern = str_at(&target, &[field]);
            pattern.is_empty()
                || Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(value))
        };
        let gvk = object::Gvk::of(object);
        let selected = |field: &str, map: Option<&object::Map>| {
            let text = str_at(&target, &[field]);
            let labels = map.cloned().unwrap_or_default();
            text.is_empty()
                || object::LabelSelector::parse(text).is_ok_and(|selector| selector.matches(Some(&labels)))
        };
        if matches("group", &gvk.group)
            && matches("version", &gvk.version)
            && matches("kind", &gvk.kind)
            && matches("name", meta::name(object))
            && matches("namespace", meta::namespace(object).unwrap_or_default())
            && selected("labelSelector", meta::labels(object))
            && selected("annotationSelector", meta::annotations(object))
        {
            paths.extend(strings_at(rule, &["paths"]));
        }
    }
    paths
}

/// An object without what is ignored.
pub(crate) fn without(object: &Value, paths: &[String]) -> Value {
    let mut object = object.clone();
    for path in paths {
        remove(&mut object, path);
    }
    object
}

fn remove(object: &mut Value, path: &str) {
    if object.pointer(path).is_some()
        && let Err(error) = json_patch::apply(object, &json!([{"op": "remove", "path": path}]))
    {
        tracing::debug!(%error, path, "a path to ignore cannot be removed");
    }
}

/// Leaves the fields at `paths` as they are live: what somebody else owns is no longer applied, and of what nobody else
/// owns the live value is, since it would go with its last owner.
pub(crate) fn leave(desired: &mut Value, live: &Value, paths: &[String], manager: &str) {
    for path in paths.iter().filter(|path| !path.is_empty()) {
        if desired.pointer(path).is_none() {
            continue;
        }
        match live.pointer(path) {
            Some(value) if !is_owned_by_other(live, path, manager) => {
                if let Some(slot) = desired.pointer_mut(path) {
                    *slot = value.clone();
                }
            }
            _ => remove(desired, path),
        }
    }
}

/// Does another manager own the field, in a way that lasts? What kubectl set is taken over.
fn is_owned_by_other(live: &Value, path: &str, manager: &str) -> bool {
    let entries = object::get(live, &["metadata", "managedFields"]).and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        let name = str_at(entry, &["manager"]);
        let lasts = !name.starts_with("kubectl") && name != "before-first-apply";
        name != manager && lasts && entry.get("fieldsV1").is_some_and(|fields| owns(fields, live, path))
    })
}

/// Is the field at `path` among these of `fieldsV1`?
fn owns(fields: &Value, live: &Value, path: &str) -> bool {
    let (mut fields, mut value) = (fields, live);
    for part in path.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let found = match value {
            Value::Array(items) => {
                let Some(item) = part.parse().ok().and_then(|at: usize| items.get(at)) else { return false };
                value = item;
                fields.as_object().and_then(|fields| {
                    fields.iter().find(|(name, _)| is_item(name, item)).map(|(_, fields)| fields)
                })
            }
            _ => {
                let Some(field) = value.get(&part) else { return false };
                value = field;
                fields.get(format!("f:{part}"))
            }
        };
        let Some(found) = found else { return false };
        fields = found;
    }
    true
}

/// Does an element's name in `fieldsV1` mean this item of a list?
fn is_item(name: &str, item: &Value) -> bool {
    let Some((kind, text)) = name.split_once(':') else { return false };
    let Ok(wanted) = serde_json::from_str::<Value>(text) else { return false };
    match (kind, &wanted) {
        ("k", Value::Object(keys)) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
        ("v", wanted) => wanted == item,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_own_is_left_to_them() {
        let live = json!({
            "metadata": {"managedFields": [
                {"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "tags", "operation": "Apply", "fieldsV1": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"b\"}": {"f:image": {}}}}}},
            ]},
            "spec": {"replicas": 5, "paused": true, "containers": [{"name": "a", "image": "a:2"}, {"name": "b", "image": "b:2"}]},
        });
        let mut desired = json!({"spec": {"replicas": 1, "paused": false, "gone": 1,
            "containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}});
        let paths = ["replicas", "paused", "gone", "containers/0/image", "containers/1/image", "never/there"]
            .map(|path| format!("/spec/{path}"));
        leave(&mut desired, &live, &paths, "kustomize-controller");
        assert_eq!(
            desired,
            json!({"spec": {"paused": true, "containers": [{"name": "a", "image": "a:2"}, {"name": "b"}]}})
        );
    }
}
