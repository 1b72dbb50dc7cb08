//! Writing a status with as little as differs.

use object::{Map, Value};

/// The merge patch that makes `old` into `new`; `None` when they are equal.
pub fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else { return Some(new.clone()) };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(known) => {
                if let Some(change) = difference(known, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patches_name_only_what_differs() {
        let old = json!({"a": 1, "b": {"c": 1, "d": [1]}, "gone": true});
        let new = json!({"a": 1, "b": {"c": 2, "d": [1]}, "new": {"x": 1}});
        assert_eq!(difference(&old, &new), Some(json!({"b": {"c": 2}, "gone": null, "new": {"x": 1}})));
        assert_eq!(difference(&new, &new), None);
    }
}
