//! `resource.customizations` of `argocd-cm`, in its two forms: one document, or a key for each kind and purpose.

use health::argo::Customization;
use object::{Value, get_str};

use super::Settings;
use crate::diff::Rule;

fn parse(text: &str) -> Result<Value, String> {
    yaml::from_str(text).map_err(|error| error.to_string())
}

impl Settings {
    /// The document form: kinds, and what is said about each.
    pub(super) fn customized(&mut self, key: &str, text: &str) {
        let Some(value) = self.yaml(key, text) else { return };
        for (name, fields) in value.as_object().into_iter().flatten() {
            if let Err(error) = self.customizations.insert_fields(name, fields, parse) {
                self.problem(key, &format!("{name}: {error}"));
            }
            if let Some(text) = get_str(fields, &["ignoreDifferences"]) {
                self.ignore(key, name, text);
            }
        }
    }

    /// The key form: `<purpose>.<group>_<Kind>`, or `<purpose>.all`.
    pub(super) fn customized_one(&mut self, key: &str, rest: &str, text: &str) {
        let Some((purpose, name)) = rest.split_once('.') else { return };
        let name = match name.rsplit_once('_') {
            Some((group, kind)) => format!("{group}/{kind}"),
            None => name.to_owned(),
        };
        match purpose {
            "health" => {
                let custom = Customization { health: text.to_owned(), ..Customization::default() };
                self.customizations.insert(&name, custom);
            }
            "actions" => {
                let fields = serde_json::json!({ "actions": text });
                if let Err(error) = self.customizations.insert_fields(&name, &fields, parse) {
                    self.problem(key, &error);
                }
            }
            "ignoreDifferences" => self.ignore(key, &name, text),
            // A look at what changed costs no request here, so no change is hidden from it. Our Lua has its libraries in
            // any case; known types matter to a decoder that we do not need.
            "ignoreResourceUpdates" | "useOpenLibs" | "knownTypeFields" => {}
            other => self.problem(key, &format!("resource customization type {other} is not supported")),
        }
    }

    fn ignore(&mut self, key: &str, name: &str, text: &str) {
        let Some(value) = self.yaml(key, text) else { return };
        let (group, kind) = match name {
            "all" | "*/*" | "*" => ("*", "*"),
            name => name.split_once('/').unwrap_or(("", name)),
        };
        match Rule::parse(&value) {
            Ok(mut rule) => {
                group.clone_into(&mut rule.group);
                kind.clone_into(&mut rule.kind);
                self.ignored.push(rule);
            }
            Err(error) => self.problem(key, &error),
        }
    }
}
