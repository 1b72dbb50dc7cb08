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

/// What the comparison by the server comes to for its answers in `dir`, as `testdata/server_side.yaml` wants it.
pub fn server_side(dir: &Path) -> Vec<Outcome> {
    let table = include_str!("../../testdata/server_side.yaml");
    let table = yaml::from_str(table).unwrap_or_default();
    let rows = table.as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| (row["name"].as_str().unwrap_or_default().to_owned(), asked(dir, row))).collect()
}

fn asked(dir: &Path, row: &Value) -> Result<(), String> {
    let read = |file: &str| -> Result<Value, String> {
        let text = std::fs::read_to_string(dir.join(file)).map_err(|why| format!("{file}: {why}"))?;
        yaml::from_str(&text).map_err(|why| why.to_string())
    };
    let name = |field: &str| row[field].as_str().unwrap_or_default();
    let (live, predicted) = (read(name("live"))?, read(name("predicted"))?);
    let ty = schema::builtin().type_of(&Gvk::of(&live)).unwrap_or_else(schema::TypeRef::deduced);
    let mut found = argo::diff::without_webhooks(&predicted, &live, &ty, "argocd-controller")?;
    argo::diff::forget(&mut found);
    for (pointer, wanted) in row["has"].as_object().into_iter().flatten() {
        if found.pointer(pointer) != Some(wanted) {
            return Err(format!("{pointer} is {:?}, not {wanted}", found.pointer(pointer)));
        }
    }
    let gone = row["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for pointer in gone {
        if let Some(there) = found.pointer(pointer) {
            return Err(format!("{pointer} is there: {there}"));
        }
    }
    Ok(())
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
