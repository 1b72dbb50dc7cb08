//! Templates of a ResourceSet: `<<` and `>>`, slim sprig, `slugify`, `toYaml`. Pure but for the time.

use std::collections::BTreeSet;

use gotemplate::{Env, FixedHost, Function, MissingKey, Options, Param, Templates, Value as Item};
use object::{Key, Value, meta};

use super::GROUP;
use crate::common::str_at;

/// A group of objects that is applied before the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Step {
    pub name: String,
    pub timeout: Option<String>,
    pub objects: Vec<Value>,
}

/// Renders the spec for all inputs. Without inputs templates are rendered once.
///
/// # Errors
/// With the resource or step.
pub(super) fn build(spec: &Value, inputs: &[Value], now: i64) -> Result<Vec<Step>, String> {
    let list =
        |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let steps = list(spec, "steps");
    let text = |value: &Value| str_at(value, &["resourcesTemplate"]).to_owned();
    if steps.is_empty() {
        let objects = objects(&list(spec, "resources"), &text(spec), inputs, now)?;
        return Ok(vec![Step { objects, ..Step::default() }]);
    }
    if !list(spec, "resources").is_empty() || !text(spec).is_empty() {
        return Err("spec.steps is mutually exclusive with spec.resources and spec.resourcesTemplate".into());
    }
    let mut built: Vec<Step> = Vec::new();
    for step in steps {
        let name = str_at(&step, &["name"]).to_owned();
        if list(&step, "resources").is_empty() && text(&step).is_empty() {
            return Err(format!("step {name:?}: at least one of resources or resourcesTemplate must be set"));
        }
        let objects = objects(&list(&step, "resources"), &text(&step), inputs, now)
            .map_err(|why| format!("step {name:?}: {why}"))?;
        for object in &objects {
            let own = identity(object)?;
            let before =
                built.iter().find(|step| step.objects.iter().any(|other| identity(other) == Ok(own.clone())));
            if let Some(before) = before {
                return Err(format!(
                    "duplicate resource {own} in step {name:?}, already defined in step {:?}",
                    before.name
                ));
            }
        }
        let timeout = Some(str_at(&step, &["timeout"]).to_owned()).filter(|text| !text.is_empty());
        built.push(Step { name, timeout, objects });
    }
    Ok(built)
}

fn identity(object: &Value) -> Result<Key, String> {
    Key::of(object).map_err(|error| error.to_string())
}

fn objects(resources: &[Value], template: &str, inputs: &[Value], now: i64) -> Result<Vec<Value>, String> {
    let once = [Value::Null];
    let rounds = if inputs.is_empty() { &once[..] } else { inputs };
    let mut seen: BTreeSet<Key> = BTreeSet::new();
    let mut found = Vec::new();
    let mut add = |object: Value| -> Result<(), String> {
        let name = meta::name(&object);
        if name.is_empty() || meta::kind(&object).is_empty() || meta::api_version(&object).is_empty() {
            return Err("failed to read object: apiVersion, kind and metadata.name are required".into());
        }
        let excluded = meta::annotation(&object, &format!("{GROUP}/reconcile")) == Some("disabled");
        if !excluded && seen.insert(identity(&object)?) {
            found.push(object);
        }
        Ok(())
    };
    for (index, resource) in resources.iter().enumerate() {
        let text = yaml::to_string(resource);
        for input in rounds {
            let rendered = render(&text, input, now)
                .map_err(|why| format!("failed to build resources[{index}]: {why}"))?;
            let object = yaml::from_str(&rendered).map_err(|error| {
                format!("failed to build resources[{index}]: failed to read object: {error}")
            })?;
            add(object).map_err(|why| format!("failed to build resources[{index}]: {why}"))?;
        }
    }
    if !template.is_empty() {
        for input in rounds {
            let rendered =
                render(template, input, now).map_err(|why| format!("failed to build resources: {why}"))?;
            let all = yaml::documents(&rendered)
                .map_err(|error| format!("failed to build resources: failed to read objects: {error}"))?;
            for object in all {
                let items = match object.get("items").and_then(Value::as_array) {
                    Some(items) if meta::kind(&object).ends_with("List") => items.clone(),
                    _ => vec![object],
                };
                for item in items {
                    add(item).map_err(|why| format!("failed to build resources: {why}"))?;
                }
            }
        }
    }
    Ok(found)
}

fn render(text: &str, input: &Value, now: i64) -> Result<String, String> {
    let mut templates = Templates::with_yaml(Options {
        name: "resourceset".into(),
        missing_key: MissingKey::Error,
        left: "<<".into(),
        right: ">>".into(),
    });
    let inputs = Item::from_json(input);
    templates.add_functions([
        Function::closure("inputs", &[], false, move |_, _| Ok(inputs.clone())),
        Function::closure("slugify", &[Param::String], false, |_, arguments| {
            let text = arguments.first().and_then(Item::as_str).unwrap_or_default();
            Ok(Item::from(slug(text)))
        }),
    ]);
    templates.parse("resourceset", text).map_err(|error| format!("failed to parse template: {error}"))?;
    let host = FixedHost::new(now, 1);
    let mut env = Env::new(&host);
    templates
        .execute("resourceset", &Item::from_json(&Value::Null), &mut env)
        .map_err(|error| format!("failed to execute template: {error}"))
}

/// Lower-case letters, digits and single dashes, at most 63, cut between words where possible.
fn slug(text: &str) -> String {
    const MOST: usize = 63;
    let mut out = String::new();
    for letter in text.trim().chars() {
        let plain = match letter {
            '&' => "-and-".to_owned(),
            '@' => "-at-".to_owned(),
            'ß' => "ss".into(),
            'æ' | 'Æ' => "ae".into(),
            'œ' | 'Œ' => "oe".into(),
            'à'..='å' | 'À'..='Å' => "a".into(),
            'ç' | 'Ç' => "c".into(),
            'è'..='ë' | 'È'..='Ë' => "e".into(),
            'ì'..='ï' | 'Ì'..='Ï' => "i".into(),
            'ñ' | 'Ñ' => "n".into(),
            'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'Ø' => "o".into(),
            'ù'..='ü' | 'Ù'..='Ü' => "u".into(),
            'ý' | 'ÿ' | 'Ý' => "y".into(),
            letter if letter.is_ascii_alphanumeric() || letter == '_' => {
                letter.to_ascii_lowercase().to_string()
            }
            '\'' | '’' => String::new(),
            _ => "-".into(),
        };
        for letter in plain.chars() {
            if letter != '-' || !out.ends_with('-') {
                out.push(letter);
            }
        }
    }
    let whole = out.trim_matches(['-', '_']);
    if whole.len() <= MOST {
        return whole.to_owned();
    }
    let cut = whole.get(..MOST).unwrap_or_default();
    let at_word = whole.as_bytes().get(MOST) == Some(&b'-');
    match cut.rfind('-') {
        Some(dash) if !at_word => cut.get(..dash).unwrap_or_default().to_owned(),
        _ => cut.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_round_for_each_input() {
        let spec = json!({
            "resources": [{
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "<< inputs.tenant | slugify >>", "namespace": "apps"},
                "data": {"role": "<< inputs.role >>"},
            }],
            "resourcesTemplate": "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: apps\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: << inputs.tenant | slugify >>, namespace: apps}\n<< if eq inputs.role \"admin\" >>stringData:<< toYaml inputs.values | nindent 2 >><< end >>\n",
        });
        let inputs = [
            json!({"tenant": "Team A & B", "role": "admin", "values": {"a": "b"}}),
            json!({"tenant": "team2", "role": "user"}),
        ];
        let steps = build(&spec, &inputs, 0).unwrap();
        let names: Vec<String> = steps[0]
            .objects
            .iter()
            .map(|object| format!("{}/{}", meta::kind(object), meta::name(object)))
            .collect();
        assert_eq!(
            names,
            [
                "ConfigMap/team-a-and-b",
                "ConfigMap/team2",
                "Namespace/apps",
                "Secret/team-a-and-b",
                "Secret/team2"
            ]
        );
        assert_eq!(steps[0].objects[3]["stringData"], json!({"a": "b"}));
        let missing = build(&spec, &[json!({"tenant": "x"})], 0).unwrap_err();
        assert!(missing.contains("role"), "{missing}");
    }

    #[test]
    fn steps_do_not_share_objects() {
        let one =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "a"}});
        let spec = json!({"steps": [{"name": "a", "resources": [one]}, {"name": "b", "resources": [one]}]});
        assert!(build(&spec, &[], 0).unwrap_err().contains("already defined in step \"a\""));
        assert!(build(&json!({"steps": [{"name": "a"}]}), &[], 0).is_err());
    }

    #[test]
    fn slugs() {
        for (text, wanted) in
            [("Hello, World!", "hello-world"), ("feat/Größe_1", "feat-grosse_1"), ("--a--", "a")]
        {
            assert_eq!(slug(text), wanted);
        }
        assert_eq!(slug(&format!("{} {}", "a".repeat(40), "b".repeat(40))), "a".repeat(40));
    }
}
