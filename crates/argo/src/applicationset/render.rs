//! From an ApplicationSet to the Applications that should be.

use object::{Value, get, get_str, meta};
use serde_json::json;

use super::generators::{Generators, Sight};
use super::merge::fill;
use super::{Error, MAX_SETS, Params, Renderer, World};
use crate::names::{APPLICATION, APPLICATION_SET, FINALIZER, GROUP, VERSION};

/// The Applications of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Generated {
    /// They, in the order of their parameters.
    pub applications: Vec<Value>,
}

/// The Applications that an ApplicationSet asks for. `now` is what its templates see as the time.
///
/// # Errors
/// When a generator or template fails, or the world has to find something out first.
pub fn generate(set: &Value, world: &dyn World, sight: Sight, now: i64) -> Result<Generated, Error> {
    let spec = set.get("spec").unwrap_or(&Value::Null);
    let renderer = renderer(spec, now)?;
    let template = spec.get("template").cloned().unwrap_or_default();
    let project = get_str(&template, &["spec", "project"]).unwrap_or_default();
    let generators = Generators {
        world,
        renderer: &renderer,
        project: if project.contains("{{") { "" } else { project },
        nested_selectors: spec.get("applyNestedSelectors") == Some(&Value::Bool(true)),
        sight,
    };
    let (mut applications, mut open) = (Vec::new(), Vec::new());
    for entry in spec.get("generators").and_then(Value::as_array).into_iter().flatten() {
        let made = match generators.entry(entry, &Params::new(), 0) {
            Ok(made) => made,
            Err(Error::Needs(questions)) => {
                open.extend(questions);
                continue;
            }
            Err(error) => return Err(error),
        };
        if made.is_empty() {
            let names: Vec<&str> =
                entry.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let text = format!("spec.generators holds an unrecognized generator: {}", names.join(", "));
            return Err(Error::Generator(text));
        }
        for one in made {
            let template = over(&one.template, &template);
            for params in &one.sets {
                if applications.len() >= MAX_SETS {
                    return Err(Error::Generator(format!("the set makes more than {MAX_SETS} Applications")));
                }
                applications.push(application(set, spec, &template, params, &renderer)?);
            }
        }
    }
    if !open.is_empty() {
        open.sort();
        open.dedup();
        return Err(Error::Needs(open));
    }
    unique(set, &applications)?;
    Ok(Generated { applications })
}

fn renderer(spec: &Value, now: i64) -> Result<Renderer, Error> {
    if spec.get("goTemplate") != Some(&Value::Bool(true)) {
        return Ok(Renderer::plain());
    }
    let options = spec.get("goTemplateOptions").and_then(Value::as_array);
    let options: Vec<String> =
        options.into_iter().flatten().filter_map(|option| option.as_str().map(str::to_owned)).collect();
    Renderer::go(&options, now)
}

/// A generator's own template, filled with what only the set's has.
fn over(own: &Value, base: &Value) -> Value {
    match (own, base) {
        (Value::Object(own), Value::Object(base)) => {
            let mut merged = own.clone();
            fill(&mut merged, base);
            Value::Object(merged)
        }
        (Value::Object(own), _) => Value::Object(own.clone()),
        (_, base) => base.clone(),
    }
}

fn application(
    set: &Value,
    spec: &Value,
    template: &Value,
    params: &Params,
    renderer: &Renderer,
) -> Result<Value, Error> {
    let metadata = template.get("metadata").unwrap_or(&Value::Null);
    let mut picked = Params::new();
    for key in ["annotations", "finalizers", "labels", "name"] {
        if let Some(value) = metadata.get(key).filter(|value| !value.is_null()) {
            picked.insert(key.to_owned(), value.clone());
        }
    }
    let plain = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": APPLICATION,
        "metadata": picked, "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    });
    let mut made = renderer.object(&plain, params)?;
    let preserve = get(spec, &["syncPolicy", "preserveResourcesOnDeletion"]) == Some(&Value::Bool(true));
    if !preserve && meta::finalizers(&made).next().is_none() && !params.is_empty() {
        object::set(&mut made, &["metadata", "finalizers"], json!([FINALIZER]));
    }
    if let Some(patch) = get_str(spec, &["templatePatch"]).filter(|patch| !patch.is_empty()) {
        patched(&mut made, patch, params, renderer)?;
    }
    // An ApplicationSet makes Applications in its own namespace only.
    if let Some(namespace) = meta::namespace(set) {
        object::set(&mut made, &["metadata", "namespace"], namespace.into());
    }
    owned(&mut made, set);
    Ok(made)
}

/// Applies `spec.templatePatch`; the project stays as the template says.
fn patched(made: &mut Value, patch: &str, params: &Params, renderer: &Renderer) -> Result<(), Error> {
    let text = renderer
        .text(patch, params)
        .map_err(|error| error.within("error replacing values in templatePatch"))?;
    let value = yaml::from_str(&text).map_err(|error| {
        Error::Template(format!("error while converting template to json \"{text}\": {error}"))
    })?;
    match value {
        Value::Null => return Ok(()),
        Value::Object(_) => {}
        _ => return Err(Error::Template(format!("invalid templatePatch \"{text}\": it is no map"))),
    }
    let project = get(made, &["spec", "project"]).cloned();
    object::merge_patch::apply(made, &value);
    if let Some(project) = project {
        object::set(made, &["spec", "project"], project);
    }
    Ok(())
}

/// The set owns its Applications: deleting it deletes them.
fn owned(made: &mut Value, set: &Value) {
    let uid = meta::uid(set);
    if uid.is_empty() {
        return;
    }
    let owner = json!([{
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": APPLICATION_SET, "name": meta::name(set), "uid": uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    object::set(made, &["metadata", "ownerReferences"], owner);
}

fn unique(set: &Value, applications: &[Value]) -> Result<(), Error> {
    let mut names = std::collections::BTreeSet::new();
    for application in applications {
        let name = meta::name(application);
        if name.is_empty() {
            return Err(Error::Template("the template makes an Application without a name".to_owned()));
        }
        if !names.insert(name) {
            let text = format!(
                "ApplicationSet {} contains applications with duplicate name: {name}",
                meta::name(set)
            );
            return Err(Error::Generator(text));
        }
    }
    Ok(())
}
