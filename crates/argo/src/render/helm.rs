//! A chart as Argo CD renders it: as `helm template` does, hooks and definitions included, with the values of files,
//! of the spec and of parameters.

use std::collections::BTreeMap;

use ::helm::{Capabilities, Chart, KubeVersion, NoCluster, RenderOptions, Values};
use ::kustomize::World;
use delivery::fields::{bool_at, list_at, str_at, strings_at};
use delivery::world::TreeWorld;
use object::{Value, get};
use sha2::Digest;

use super::{Failure, Input, Worlds, clean, env, glob, join};

pub fn render(
    worlds: &Worlds<'_>,
    path: &str,
    input: &Input,
    capabilities: &Capabilities,
    now: jiff::Timestamp,
) -> Result<Vec<Value>, Failure> {
    let null = Value::Null;
    let block = get(&input.source, &["helm"]).unwrap_or(&null);
    let mut files =
        worlds.own.files_below(path).map_err(|error| Failure::new(format!("{path}: {error}")).at(path, 0))?;
    dependencies(worlds, path, &mut files)?;
    let chart = Chart::from_files(files).map_err(|error| failed(path, &error))?;
    let values = values(worlds, path, input, block)?;
    let mut options = RenderOptions {
        release_name: match str_at(block, &["releaseName"]) {
            "" => input.name.clone(),
            given => given.to_owned(),
        },
        namespace: match str_at(block, &["namespace"]) {
            "" => input.namespace.clone(),
            given => given.to_owned(),
        },
        capabilities: capabilities.clone(),
        skip_schema_validation: bool_at(block, &["skipSchemaValidation"]),
        ..RenderOptions::default()
    };
    let version = str_at(block, &["kubeVersion"]);
    if !version.is_empty() {
        options.capabilities.kube_version =
            KubeVersion::parse(version).map_err(|error| failed(path, &error))?;
    }
    let api_versions = strings_at(block, &["apiVersions"]);
    if !api_versions.is_empty() {
        options.capabilities.api_versions = api_versions;
    }
    // The same chart with the same values makes the same random values, so that they do not change all the time.
    let world = NoCluster::new(now, seed(input));
    let rendered = ::helm::render(&chart, &values, &options, &world).map_err(|error| failed(path, &error))?;
    let mut objects = Vec::new();
    if !bool_at(block, &["skipCrds"]) {
        for crd in &rendered.crds {
            objects.extend(crd.objects().map_err(|error| failed(path, &error))?);
        }
    }
    objects.extend(rendered.manifests.iter().map(|manifest| manifest.object.clone()));
    for hook in &rendered.hooks {
        let is_test = hook.events.iter().any(|event| event.as_str().starts_with("test"));
        if is_test && bool_at(block, &["skipTests"]) {
            continue;
        }
        objects.push(hook.object().map_err(|error| failed(path, &error))?);
    }
    Ok(objects)
}

/// What random values are made from.
pub fn seed(input: &Input) -> [u8; 32] {
    let mut digest = sha2::Sha256::new();
    digest.update(input.name.as_bytes());
    digest.update(input.namespace.as_bytes());
    digest.update(str_at(&input.source, &["repoURL"]).as_bytes());
    digest.update(str_at(&input.source, &["path"]).as_bytes());
    digest.finalize().into()
}

fn failed(path: &str, error: &::helm::Error) -> Failure {
    let failure = Failure::new(format!("helm template failed: {error}"));
    match &error.file {
        // Templates are named by their chart: its folder stands for it.
        Some(file) => {
            let inner = file.split_once('/').map_or(file.as_str(), |(_, inner)| inner);
            failure.at(clean(&format!("{path}/{inner}")), error.line)
        }
        None => failure,
    }
}

/// Adds the dependencies that the chart's `charts/` folder does not hold, as `helm dependency build` does.
fn dependencies(
    worlds: &Worlds<'_>,
    path: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), Failure> {
    let parsed = |name: &str| {
        let bytes = files.get(name)?;
        yaml::from_str(&String::from_utf8_lossy(bytes)).ok()
    };
    let declared = parsed("Chart.yaml").unwrap_or_default();
    let older = parsed("requirements.yaml").unwrap_or_default();
    let lock = parsed("Chart.lock").or_else(|| parsed("requirements.lock")).unwrap_or_default();
    let locked = |name: &str| {
        let entry =
            list_at(&lock, &["dependencies"]).iter().find(|entry| str_at(entry, &["name"]) == name)?;
        Some(str_at(entry, &["version"]).to_owned()).filter(|version| !version.is_empty())
    };
    let all = list_at(&declared, &["dependencies"]).iter().chain(list_at(&older, &["dependencies"]));
    for dependency in all {
        let (name, repository) = (str_at(dependency, &["name"]), str_at(dependency, &["repository"]));
        let (folder, archive) = (format!("charts/{name}/"), format!("charts/{name}-"));
        let present = files
            .keys()
            .any(|file| file.starts_with(&folder) || (file.starts_with(&archive) && file.ends_with(".tgz")));
        if present || name.is_empty() || repository.is_empty() {
            continue;
        }
        let fault = |why: String| {
            Failure::new(format!("helm dependency build failed: {name}: {why}"))
                .at(clean(&format!("{path}/Chart.yaml")), 0)
        };
        if let Some(local) = repository.strip_prefix("file://") {
            let at = clean(&format!("{path}/{local}"));
            let found = worlds.own.files_below(&at).map_err(|error| fault(error.to_string()))?;
            files.extend(found.into_iter().map(|(file, bytes)| (format!("{folder}{file}"), bytes)));
            continue;
        }
        let version = locked(name).unwrap_or_else(|| str_at(dependency, &["version"]).to_owned());
        let pulled = worlds.remotes.pull(repository, name, &version);
        let pulled = pulled.map_err(|error| fault(error.to_string()))?;
        files.insert(format!("charts/{name}-{}.tgz", pulled.version), pulled.archive.to_vec());
    }
    Ok(())
}

/// The values: files in order, then those of the spec, then parameters.
fn values(worlds: &Worlds<'_>, path: &str, input: &Input, block: &Value) -> Result<Values, Failure> {
    let mut values = Values::new();
    for file in value_files(worlds, path, input, block)? {
        merge(&mut values, &file.text, &file.shown)?;
    }
    match get(block, &["valuesObject"]) {
        Some(object) if object.is_object() => {
            let own = Values::from_json(object.clone())
                .map_err(|error| Failure::new(format!("spec.source.helm.valuesObject: {error}")))?;
            values.merge(own);
        }
        _ => merge(&mut values, str_at(block, &["values"]), "spec.source.helm.values")?,
    }
    let said = |error: ::helm::Error| Failure::new(format!("spec.source.helm.parameters: {error}"));
    let (mut typed, mut strings) = (Vec::new(), Vec::new());
    for parameter in list_at(block, &["parameters"]) {
        let value = env::substitute(str_at(parameter, &["value"]), &input.env);
        let expression = format!("{}={}", str_at(parameter, &["name"]), escape_commas(&value));
        if bool_at(parameter, &["forceString"]) { strings.push(expression) } else { typed.push(expression) }
    }
    for expression in typed {
        values.set(&expression).map_err(said)?;
    }
    for expression in strings {
        values.set_string(&expression).map_err(said)?;
    }
    for parameter in list_at(block, &["fileParameters"]) {
        let (name, file) = (str_at(parameter, &["name"]), str_at(parameter, &["path"]));
        let text = one_file(worlds, path, &env::substitute(file, &input.env), &input.terms.schemes)?.text;
        let mut read = |_: &str| Ok(text.clone());
        values.set_file(&format!("{name}=file"), &mut read).map_err(said)?;
    }
    Ok(values)
}

fn merge(values: &mut Values, text: &str, place: &str) -> Result<(), Failure> {
    let parsed = Values::parse(text).map_err(|error| {
        let line = error.line;
        Failure::new(format!("failed to parse {place}: {error}")).at(place, line)
    })?;
    if let Some(parsed) = parsed {
        values.merge(parsed);
    }
    Ok(())
}

/// Commas separate parameters for Helm: those of a value are escaped, unless it is a list or they are already.
fn escape_commas(value: &str) -> String {
    if value.starts_with('{') && value.ends_with('}') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut escaped = false;
    for c in value.chars() {
        if c == ',' && !escaped {
            out.push('\\');
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

struct ValueFile {
    shown: String,
    text: String,
}

/// A file of this or of a lent tree: where it is, and how it is called.
fn locate<'w, 'a>(
    worlds: &'w Worlds<'a>,
    path: &str,
    name: &str,
) -> Result<(&'w TreeWorld<'a>, String), Failure> {
    if let Some(rest) = name.strip_prefix('$') {
        let (reference, inner) = rest.split_once('/').unwrap_or((rest, ""));
        let world = worlds.lent.get(reference).ok_or_else(|| {
            Failure::new(format!(
                "source referenced \"${reference}\", which is not one of the available sources"
            ))
        })?;
        return Ok((world, clean(inner)));
    }
    let full = match name.strip_prefix('/') {
        Some(rooted) => clean(rooted),
        None => clean(&format!("{path}/{name}")),
    };
    Ok((&worlds.own, full))
}

fn one_file(worlds: &Worlds<'_>, path: &str, name: &str, schemes: &[String]) -> Result<ValueFile, Failure> {
    let scheme = name.split_once("://").map(|(scheme, _)| scheme);
    if let Some(scheme) = scheme
        && !schemes.iter().any(|allowed| allowed == scheme)
    {
        let line = format!("{name}: files of values from {scheme} are not allowed (helm.valuesFileSchemes)");
        return Err(Failure::new(line));
    }
    if matches!(scheme, Some("http" | "https")) {
        let bytes = worlds.own.remote_file(name).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        return Ok(ValueFile { shown: name.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() });
    }
    if scheme.is_some() {
        return Err(Failure::new(format!("{name}: files of values are fetched over http and https only")));
    }
    let (world, full) = locate(worlds, path, name)?;
    let bytes = world
        .read(&join("", &full))
        .map_err(|error| Failure::new(format!("values file {name}: {error}")).at(&full, 0))?;
    Ok(ValueFile { shown: full, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// The files of `valueFiles`: globs in the order of their paths, a file that is also named by itself only there.
fn value_files(
    worlds: &Worlds<'_>,
    path: &str,
    input: &Input,
    block: &Value,
) -> Result<Vec<ValueFile>, Failure> {
    let missing_is_fine = bool_at(block, &["ignoreMissingValueFiles"]);
    let names: Vec<String> = strings_at(block, &["valueFiles"])
        .iter()
        .map(|name| env::substitute_file(name, &input.env))
        .collect();
    let mut named = Vec::new();
    for name in names.iter().filter(|name| !glob::is_pattern(name) && !name.contains("://")) {
        named.push(locate(worlds, path, name).map(|(_, full)| full)?);
    }
    let mut files = Vec::new();
    for name in &names {
        if glob::is_pattern(name) && !name.contains("://") {
            let (world, pattern) = locate(worlds, path, name)?;
            let fixed: Vec<&str> = pattern.split('/').take_while(|part| !glob::is_pattern(part)).collect();
            let folder = fixed.join("/");
            let below = world.files_below(&folder).map_err(|error| Failure::new(error.to_string()))?;
            let mut found = 0;
            for (inner, bytes) in below {
                let full = clean(&format!("{folder}/{inner}"));
                if glob::matches(&pattern, &full) {
                    found += 1;
                    if !named.contains(&full) {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        files.push(ValueFile { shown: full, text });
                    }
                }
            }
            if found == 0 && !missing_is_fine {
                return Err(Failure::new(format!("values file glob {name} matches no file")));
            }
            continue;
        }
        if missing_is_fine && !name.contains("://") {
            let (world, full) = locate(worlds, path, name)?;
            if !world.is_file(&join("", &full)) {
                continue;
            }
        }
        files.push(one_file(worlds, path, name, &input.terms.schemes)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_of_values_do_not_separate() {
        assert_eq!(escape_commas("a,b"), "a\\,b");
        assert_eq!(escape_commas("a\\,b"), "a\\,b");
        assert_eq!(escape_commas("{a,b}"), "{a,b}");
    }
}
