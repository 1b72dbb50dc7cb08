//! Generators of clusters: their Secrets, and objects that decide among them.

use object::{Value, get, get_str};

use super::super::flatten::go_text;
use super::super::{Error, Params, Question, sanitize};
use super::Generators;
use super::asks::asked;
use crate::names::SECRET_TYPE;

/// The cluster that an installation runs in has no Secret; it is known by this name and address.
const LOCAL_NAME: &str = "in-cluster";
const LOCAL_SERVER: &str = "https://kubernetes.default.svc";

impl Generators<'_> {
    pub(super) fn clusters(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let labels = spec.get("selector").filter(|selector| has_rules(selector));
        let selector = match labels {
            Some(selector) => Some(
                object::LabelSelector::from_object(selector)
                    .map_err(|error| Error::Generator(error.to_string()))?,
            ),
            None => None,
        };
        let secrets = self.ask_list(Question::Clusters)?;
        let mut sets = Vec::new();
        let is_cluster = |secret: &&Value| object::meta::label(secret, SECRET_TYPE) == Some("cluster");
        let mut has_local = false;
        for secret in secrets.iter().filter(is_cluster) {
            has_local |= secret_text(secret, "server") == LOCAL_SERVER;
            if selector.as_ref().is_some_and(|selector| !selector.matches_object(secret)) {
                continue;
            }
            sets.push(self.cluster(secret));
        }
        // A selector cannot mean the local cluster while it has no Secret: there are no labels to look at.
        if selector.is_none() && !has_local {
            sets.insert(0, self.local());
        }
        sets.sort_by(|a, b| a.get("name").map(Value::to_string).cmp(&b.get("name").map(Value::to_string)));
        for set in &mut sets {
            self.values(spec, set)?;
        }
        if spec.get("flatList") == Some(&Value::Bool(true)) {
            let all = sets.into_iter().map(Value::Object).collect();
            return Ok(vec![Params::from_iter([("clusters".to_owned(), Value::Array(all))])]);
        }
        Ok(sets)
    }

    fn local(&self) -> Params {
        Params::from_iter([
            ("name".to_owned(), LOCAL_NAME.into()),
            ("nameNormalized".to_owned(), LOCAL_NAME.into()),
            ("server".to_owned(), LOCAL_SERVER.into()),
            ("project".to_owned(), "".into()),
        ])
    }

    fn cluster(&self, secret: &Value) -> Params {
        let name = secret_text(secret, "name");
        let mut params = Params::from_iter([
            ("nameNormalized".to_owned(), sanitize(&name).into()),
            ("name".to_owned(), name.into()),
            ("server".to_owned(), secret_text(secret, "server").into()),
            ("project".to_owned(), secret_text(secret, "project").into()),
        ]);
        let mut metadata = Params::new();
        for kind in ["annotations", "labels"] {
            let Some(map) = get(secret, &["metadata", kind]).and_then(Value::as_object) else { continue };
            if self.renderer.is_go() {
                metadata.insert(kind.to_owned(), Value::Object(map.clone()));
            } else {
                params
                    .extend(map.iter().map(|(key, value)| (format!("metadata.{kind}.{key}"), value.clone())));
            }
        }
        if self.renderer.is_go() {
            params.insert("metadata".to_owned(), Value::Object(metadata));
        }
        params
    }

    /// Clusters that an object's status decides for.
    pub(super) fn decisions(&self, spec: &Value) -> Result<Vec<Params>, Error> {
        let answer = self.ask_list(Question::about(Question::Decisions, &asked(spec)))?;
        let secrets = self.ask_list(Question::Clusters)?;
        let mut sets = Vec::new();
        for entry in answer.iter() {
            let key = get_str(entry, &["matchKey"]).unwrap_or_default();
            let list = get_str(entry, &["statusListKey"]).unwrap_or_default();
            let object = entry.get("object").unwrap_or(&Value::Null);
            let decisions = get(object, &["status", list]).and_then(Value::as_array);
            for decision in decisions.into_iter().flatten() {
                let wanted = get_str(decision, &[key]).unwrap_or_default();
                if wanted.is_empty() {
                    continue;
                }
                let mut all: Vec<Params> = secrets.iter().map(|secret| self.cluster(secret)).collect();
                all.push(self.local());
                let cluster =
                    all.into_iter().find(|params| params.get("name").is_some_and(|name| name == wanted));
                let Some(cluster) = cluster else { continue };
                let mut params = Params::new();
                for key in ["name", "server"] {
                    params.insert(key.to_owned(), cluster.get(key).cloned().unwrap_or_default());
                }
                for (key, value) in decision.as_object().into_iter().flatten() {
                    params.insert(key.clone(), go_text(value).into());
                }
                self.values(spec, &mut params)?;
                sets.push(params);
            }
        }
        Ok(sets)
    }
}

fn has_rules(selector: &Value) -> bool {
    let some = |key: &str| match selector.get(key) {
        Some(Value::Object(map)) => !map.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        _ => false,
    };
    some("matchLabels") || some("matchExpressions")
}

/// A field of a Secret, decoded.
pub(crate) fn secret_text(secret: &Value, key: &str) -> String {
    use base64::Engine as _;
    if let Some(text) = get_str(secret, &["stringData", key]) {
        return text.to_owned();
    }
    let encoded = get_str(secret, &["data", key]).unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
