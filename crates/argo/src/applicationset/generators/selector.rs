//! Selectors of generators.

use object::{Value, get_str};

use super::super::flatten::flatten;
use super::super::{Error, Params, failed};

/// A label selector over parameters: nested ones by their paths, values without Kubernetes' limits.
pub(super) struct Selector(Vec<(String, String, Vec<String>)>);

impl Selector {
    pub(super) fn parse(selector: Option<&Value>) -> Result<Option<Selector>, Error> {
        let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return Ok(None) };
        let mut rules = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            rules.push((key.clone(), "In".to_owned(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for rule in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| get_str(rule, &[key]).unwrap_or_default().to_owned();
            let values: Vec<String> = rule
                .get("values")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            match text("operator").as_str() {
                "In" | "NotIn" if values.is_empty() => {
                    return failed(
                        "error parsing label selector: for 'in', 'notin' operators, values set can't be empty",
                    );
                }
                "Exists" | "DoesNotExist" if !values.is_empty() => {
                    return failed(
                        "error parsing label selector: values set must be empty for exists and does not exist",
                    );
                }
                "In" | "NotIn" | "Exists" | "DoesNotExist" => {
                    rules.push((text("key"), text("operator"), values))
                }
                other => {
                    return failed(format!(
                        "error parsing label selector: \"{other}\" is not a valid label selector operator"
                    ));
                }
            }
        }
        Ok(Some(Selector(rules)))
    }

    pub(super) fn keep(&self, sets: Vec<Params>) -> Result<Vec<Params>, Error> {
        let mut kept = Vec::new();
        for set in sets {
            let flat = flatten(&Value::Object(set.clone())).map_err(Error::Generator)?;
            let fits =
                self.0.iter().all(|(key, operator, values)| match (operator.as_str(), flat.get(key)) {
                    ("In", Some(found)) => values.contains(found),
                    ("NotIn", Some(found)) => !values.contains(found),
                    ("NotIn" | "DoesNotExist", None) | ("Exists", Some(_)) => true,
                    _ => false,
                });
            if fits {
                kept.push(set);
            }
        }
        Ok(kept)
    }
}
