//! Inputs of a ResourceSet: its own and those of providers, one after the other or each with each. Pure.

use object::{Value, meta};
use serde_json::{Map, json};

use crate::common::{bool_at, str_at};
use crate::image::adler32;

/// Combinations at most.
const MOST: usize = 10_000;

/// A short name for a text.
pub(super) fn id(text: &str) -> String {
    adler32(text.as_bytes()).to_string()
}

/// What an object offers: the inputs in its spec, or those its status exports, each with whose it is.
pub(super) fn offered(object: &Value, of_spec: bool) -> Vec<Value> {
    let list = match of_spec {
        true => object.pointer("/spec/inputs"),
        false => object.pointer("/status/exportedInputs"),
    };
    let list = list.and_then(Value::as_array).cloned().unwrap_or_default();
    let provider = json!({
        "apiVersion": meta::api_version(object), "kind": meta::kind(object),
        "name": meta::name(object), "namespace": meta::namespace(object),
    });
    let own = |(index, input): (usize, Value)| {
        let mut map = input.as_object().cloned().unwrap_or_default();
        map.insert("provider".into(), provider.clone());
        map.entry("id").or_insert_with(|| {
            let uid = meta::uid(object);
            json!(id(&format!("{uid}{}/{}/{index}", meta::kind(object), meta::name(object))))
        });
        Value::Object(map)
    };
    list.into_iter().enumerate().map(own).collect()
}

/// A name as a key: small letters, digits, single underscores.
fn normalized(name: &str) -> String {
    let lower = name.to_lowercase().replace('-', "_");
    let kept: String = lower
        .chars()
        .filter(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || *letter == '_')
        .collect();
    kept.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// All rounds, from the set itself and the providers in the order of their names.
///
/// # Errors
/// When there would be too many.
pub(super) fn combine(set: &Value, providers: &[Value]) -> Result<Vec<Value>, String> {
    let mut all: Vec<(String, Vec<Value>)> = vec![(meta::name(set).to_owned(), offered(set, true))];
    for provider in providers {
        all.push((meta::name(provider).to_owned(), offered(provider, false)));
    }
    match str_at(set, &["spec", "inputStrategy", "name"]) {
        "" | "Flatten" => Ok(all.into_iter().flat_map(|(_, inputs)| inputs).collect()),
        "Permute" => {
            let empty_too = bool_at(set, &["spec", "inputStrategy", "includeEmptyProviders"]);
            all.retain(|(_, inputs)| empty_too || !inputs.is_empty());
            permute(&all)
        }
        other => Err(format!("unknown input strategy: '{other}'")),
    }
}

fn permute(all: &[(String, Vec<Value>)]) -> Result<Vec<Value>, String> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut rounds: Vec<(Map<String, Value>, Vec<String>)> = vec![(Map::new(), Vec::new())];
    for (name, inputs) in all {
        let key = normalized(name);
        if key.is_empty() {
            return Err(format!("normalized provider name is empty: '{name}'"));
        }
        let wanted = rounds.len().saturating_mul(inputs.len());
        if wanted > MOST {
            return Err(format!(
                "adding provider '{name}' with {} inputs would exceed the maximum allowed permutations. max: {MOST}, got: {wanted}",
                inputs.len()
            ));
        }
        let mut next = Vec::with_capacity(wanted);
        for (map, parts) in &rounds {
            for (index, input) in inputs.iter().enumerate() {
                let (mut map, mut parts) = (map.clone(), parts.clone());
                map.insert(key.clone(), input.clone());
                parts.push(format!("{key}={index}"));
                next.push((map, parts));
            }
        }
        rounds = next;
    }
    let finished = rounds.into_iter().map(|(mut map, parts)| {
        map.insert("id".into(), json!(id(&parts.join("/"))));
        Value::Object(map)
    });
    Ok(finished.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str, inputs: Value) -> Value {
        json!({
            "apiVersion": "fluxcd.controlplane.io/v1", "kind": "ResourceSetInputProvider",
            "metadata": {"name": name, "namespace": "apps"}, "status": {"exportedInputs": inputs},
        })
    }

    #[test]
    fn flattened_and_permuted() {
        let providers = [
            provider("team-a", json!([{"x": 1}, {"x": 2}])),
            provider("Team.B", json!([{"y": 1}, {"y": 2}, {"y": 3}])),
            provider("none", json!([])),
        ];
        let set = |strategy: Value| {
            json!({
                "apiVersion": "fluxcd.controlplane.io/v1", "kind": "ResourceSet",
                "metadata": {"name": "set", "namespace": "apps"}, "spec": {"inputStrategy": strategy},
            })
        };
        let flat = combine(&set(json!({})), &providers).unwrap();
        assert_eq!(flat.len(), 5);
        assert_eq!(flat[0]["provider"]["name"], "team-a");
        let each = combine(&set(json!({"name": "Permute"})), &providers).unwrap();
        assert_eq!(each.len(), 6);
        assert_eq!((&each[1]["team_a"]["x"], &each[1]["teamb"]["y"]), (&json!(1), &json!(2)));
        let with_empty = json!({"name": "Permute", "includeEmptyProviders": true});
        assert_eq!(combine(&set(with_empty), &providers).unwrap().len(), 0);
        assert!(combine(&set(json!({"name": "Other"})), &providers).is_err());
    }
}
