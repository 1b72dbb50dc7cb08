//! Kustomization files as data, for callers that add to them or make them up.

use crate::error::Error;
use crate::kustomization::FILE_NAMES;
use crate::resource::parse_resources;
use crate::world::{self, World};
use serde_json::{Value, json};

/// How deep folders may nest.
const MAX_DEPTH: usize = 100;

/// The kustomization file of `dir` (its path and its content as data), `None` when the folder has none.
pub fn read_kustomization(world: &dyn World, dir: &str) -> Result<Option<(String, Value)>, Error> {
    let dir = world::clean(dir);
    let Some(path) = file_in(world, &dir) else { return Ok(None) };
    let bytes = world
        .read(&path)
        .map_err(|error| Error::new(format!("open {path}: {error}")).in_file(path.clone()))?;
    let text = String::from_utf8_lossy(&bytes);
    let value = yaml::from_str(&text)
        .map_err(|error| Error::new(format!("invalid Kustomization: {error}")).in_file(path.clone()))?;
    let value = if value.is_null() { json!({}) } else { value };
    if !value.is_object() {
        return Err(Error::new("invalid Kustomization: it is no mapping").in_file(path));
    }
    Ok(Some((path, value)))
}

fn file_in(world: &dyn World, dir: &str) -> Option<String> {
    FILE_NAMES.iter().map(|name| world::join(dir, name)).find(|path| world.is_file(path))
}

/// A kustomization for a folder that has none, as Flux generates it: every YAML file below it, which must
/// hold Kubernetes objects, and every folder with a kustomization of its own, in path order.
pub fn generate_kustomization(world: &dyn World, dir: &str) -> Result<Value, Error> {
    let dir = world::clean(dir);
    let mut resources = Vec::new();
    scan(world, &dir, ".", &mut resources, 0)?;
    Ok(json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    }))
}

fn scan(
    world: &dyn World,
    dir: &str,
    shown: &str,
    resources: &mut Vec<String>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(format!("folders nest deeper than {MAX_DEPTH} levels")).in_file(dir));
    }
    let failed = |error: crate::WorldError, path: &str| Error::new(format!("{path}: {error}")).in_file(path);
    for name in world.list_dir(dir).map_err(|error| failed(error, dir))? {
        let path = world::join(dir, &name);
        let shown = format!("{shown}/{name}");
        if world.is_dir(&path) {
            if file_in(world, &path).is_some() {
                resources.push(shown);
            } else {
                scan(world, &path, &shown, resources, depth + 1)?;
            }
            continue;
        }
        if !name.ends_with(".yaml") && !name.ends_with(".yml") {
            continue;
        }
        let bytes = world.read(&path).map_err(|error| failed(error, &path))?;
        parse_resources(&String::from_utf8_lossy(&bytes)).map_err(|error| {
            Error::new(format!("failed to decode Kubernetes YAML from {path}: {error}")).in_file(path.clone())
        })?;
        resources.push(shown);
    }
    Ok(())
}
