//! Generators that ask others for sets: forges and plugins.

use object::Value;
use serde_json::json;

use super::super::flatten::{flatten, go_text};
use super::super::{Error, Params, Question, failed};
use super::Generators;

impl Generators<'_> {
    /// Sets that the world gives as they are, with the generator's values.
    pub(super) fn answered(
        &self,
        question: fn(String) -> Question,
        spec: &Value,
    ) -> Result<Vec<Params>, Error> {
        let answer = self.ask_list(Question::about(question, &asked(spec)))?;
        let mut sets = Vec::new();
        for item in answer.iter() {
            let Some(item) = item.as_object() else {
                return failed("a forge answered with something else than maps");
            };
            let mut params = if self.renderer.is_go() { item.clone() } else { plain_texts(item) };
            self.values(spec, &mut params)?;
            sets.push(params);
        }
        Ok(sets)
    }

    pub(super) fn plugin(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let answer = self.ask_list(Question::about(Question::Plugin, &asked(spec)))?;
        let mut sets = Vec::new();
        for item in answer.iter() {
            let Some(item) = item.as_object() else {
                return failed("the plugin answered with something else than maps");
            };
            let mut params = if self.renderer.is_go() {
                item.clone()
            } else {
                flatten(&Value::Object(item.clone()))
                    .map_err(Error::Generator)?
                    .into_iter()
                    .map(|(key, value)| (key, Value::String(value)))
                    .collect()
            };
            let given = spec.get("input").cloned().unwrap_or_default();
            params.insert("generator".to_owned(), json!({ "input": given }));
            if !self.renderer.is_go() {
                params.remove("generator");
                for (key, value) in flatten(&given).map_err(Error::Generator)? {
                    params.insert(format!("generator.input.{key}"), Value::String(value));
                }
            }
            self.values(spec, &mut params)?;
            sets.push(params);
        }
        Ok(sets)
    }
}

/// What matters of a generator's spec to whom is asked.
pub(super) fn asked(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        for key in ["template", "values", "requeueAfterSeconds"] {
            map.remove(key);
        }
    }
    spec
}

/// The plain syntax knows only texts; lists are for the other.
fn plain_texts(item: &Params) -> Params {
    item.iter()
        .filter_map(|(key, value)| match value {
            Value::Array(_) | Value::Object(_) => None,
            other => Some((key.clone(), Value::String(go_text(other)))),
        })
        .collect()
}
