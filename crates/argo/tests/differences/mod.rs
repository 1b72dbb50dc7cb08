//! Runs Argo CD's pairs of configurations and live objects that do not differ; shared with `cargo xtask conformance`.

use std::path::Path;

use argo::diff::{Normalize, Predict, Rules, compare};
use object::{Gvk, Value};

/// A pair's name and what is wrong with our comparison.
pub type Outcome = (String, Result<(), String>);

/// Every `NAME-config.json` below `dir` that has a `NAME-live.json`.
pub fn run(dir: &Path) -> Vec<Outcome> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix("-config.json").map(str::to_owned))
        .filter(|name| dir.join(format!("{name}-live.json")).is_file())
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), one(dir, &name))).collect()
}

fn one(dir: &Path, name: &str) -> Result<(), String> {
    let read = |end: &str| -> Result<Value, String> {
        let text =
            std::fs::read_to_string(dir.join(format!("{name}-{end}.json"))).map_err(|why| why.to_string())?;
        serde_json::from_str(&text).map_err(|why| why.to_string())
    };
    let (config, live) = (read("config")?, read("live")?);
    let ty = schema::builtin().type_of(&Gvk::of(&config)).unwrap_or_else(schema::TypeRef::deduced);
    // Rules that a controller gathers are told apart only where they are to be ignored.
    let options = Normalize { aggregated_roles: true, ..Normalize::default() };
    let found = compare(&config, &live, &ty, &Rules::default(), options, Predict::ThreeWay)?;
    // What the server adds by itself is no difference.
    let (mut live, mut predicted) = (found.live, found.predicted);
    for object in [&mut live, &mut predicted] {
        let gvk = Gvk::of(object);
        if schema::builtin().type_of(&gvk).is_some() {
            schema::native::decode(&ty, object)?;
            schema::native::default(&gvk, object);
        }
        argo::diff::normalize(object, options);
    }
    if live == predicted {
        return Ok(());
    }
    let change = object::merge_patch::diff(&live, &predicted);
    let was = object::merge_patch::diff(&predicted, &live);
    Err(format!("an apply would change {was} to {change}"))
}
