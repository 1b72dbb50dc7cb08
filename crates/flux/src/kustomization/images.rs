//! How `spec.images` goes into the images of a kustomization.

use object::Value;
use serde_json::{Map, json};

use crate::common::str_at;

/// Merges by name: a given new name replaces the old one, a given tag or digest replaces both.
pub fn merge(existing: &mut Vec<Value>, images: &[Value]) {
    for image in images {
        let name = str_at(image, &["name"]);
        let known = existing.iter_mut().find(|known| str_at(known, &["name"]) == name);
        let mut merged = match &known {
            Some(known) => known.as_object().cloned().unwrap_or_default(),
            None => Map::from_iter([("name".to_owned(), json!(name))]),
        };
        let given = |field: &str| Some(str_at(image, &[field])).filter(|text| !text.is_empty());
        if let Some(new_name) = given("newName") {
            merged.insert("newName".into(), json!(new_name));
        }
        if given("newTag").is_some() || given("digest").is_some() {
            for field in ["newTag", "digest"] {
                match given(field) {
                    Some(text) => merged.insert(field.into(), json!(text)),
                    None => merged.remove(field),
                };
            }
        }
        match known {
            Some(known) => *known = Value::Object(merged),
            None => existing.push(Value::Object(merged)),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn suite() {
        let Some(path) = testkit::shared("suites/unit-tables/flux-kustomize-images.json") else { return };
        let table: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for case in table["cases"].as_array().unwrap() {
            let mut images = case["existing"].as_array().unwrap().clone();
            super::merge(&mut images, case["flux"].as_array().unwrap());
            assert_eq!(&images, case["expected"].as_array().unwrap(), "{}", case["id"]);
        }
    }
}
