//! From a tree and a spec to objects. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::{Cause, Rendered};
use delivery::remotes::Remotes;
use delivery::world::{Looks, TreeWorld};
use kustomize::{LoadRestrictions, Options, Overlay, World, path};
use object::{Value, get, meta};
use serde_json::json;
use source::Tree;

use super::decrypt::{self, Keyring};
use super::envsubst;
use super::images;
use crate::common::{bool_at, sha256, str_at, string_map, strings_at};

/// What a build needs besides the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The Kustomization's spec.
    pub spec: Value,
    /// The variables of `postBuild`, merged; `None` when there is no postBuild.
    pub variables: Option<BTreeMap<String, String>>,
    /// Is a variable without value or default an error?
    pub strict: bool,
    /// The keys of `spec.decryption`; `None` without it.
    pub keys: Option<Arc<Keyring>>,
}

/// A failed build.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Flux's reason word.
    pub reason: &'static str,
    /// The line for the condition.
    pub message: String,
    /// Where to look.
    pub cause: Cause,
}

impl Failure {
    fn new(reason: &'static str, message: String) -> Failure {
        Failure { reason, cause: Cause::new(message.clone()), message }
    }
}

const BUILD_FAILED: &str = "BuildFailed";

/// Builds, and tells what was looked at: a new tree that looks the same need not be built. A failure is never an
/// empty list.
///
/// # Errors
/// With the file and, where known, the line.
pub fn build(
    tree: &Tree,
    input: &Input,
    door: Option<(source::Fetcher, tokio::runtime::Handle)>,
) -> Result<(Rendered, Looks), Failure> {
    let world = TreeWorld::new(tree, Remotes::new(door));
    let dir = path::clean(str_at(&input.spec, &["path"]));
    if !world.is_dir(&dir) {
        let path = str_at(&input.spec, &["path"]);
        let mut failure = Failure::new(
            "ArtifactFailed",
            format!("kustomization path not found: {path}: no such directory in the source"),
        );
        failure.cause.file = Some(dir.trim_start_matches('/').to_owned());
        return Err(with_left_out(tree, &dir, failure));
    }
    let (path, mut kustomization) =
        match kustomize::read_kustomization(&world, &dir).map_err(|e| failed(tree, e))? {
            Some(found) => found,
            None => {
                let generated =
                    kustomize::generate_kustomization(&world, &dir).map_err(|error| failed(tree, error))?;
                (format!("{}/kustomization.yaml", dir.trim_end_matches('/')), generated)
            }
        };
    shape(&world, &dir, &mut kustomization, &input.spec)?;
    let mut overlay = Overlay::new(&world);
    overlay.insert(&path, yaml::to_string(&kustomization).into_bytes());
    if let Some(keys) = &input.keys {
        decrypt::files(&world, &dir, &kustomization, keys, &mut overlay).map_err(|why| {
            let mut failure = Failure::new(BUILD_FAILED, format!("error decrypting sources: {why}"));
            failure.cause.file = why.split_once(": ").map(|(file, _)| file.to_owned());
            failure
        })?;
    }
    // Flux keeps builds inside the artifact but not inside the folder: the world has nothing outside anyway.
    let options = Options { load_restrictions: LoadRestrictions::None, ..Options::default() };
    let built = kustomize::build(&overlay, &dir, &options)
        .map_err(|error| with_left_out(tree, &dir, failed(tree, blame(tree, error, &path))))?;
    let mut objects = Vec::new();
    for object in built.into_values() {
        objects.push(finish(object, input)?);
    }
    let text: Vec<String> = objects.iter().map(yaml::to_string).collect();
    let rendered = Rendered { objects, digest: sha256(text.join("---\n")) };
    Ok((rendered, world.into_looks()))
}

/// Puts the spec's transformations into the kustomization.
fn shape(world: &dyn World, dir: &str, kustomization: &mut Value, spec: &Value) -> Result<(), Failure> {
    if !kustomization.is_object() {
        *kustomization = json!({});
    }
    for (from, to) in
        [("targetNamespace", "namespace"), ("namePrefix", "namePrefix"), ("nameSuffix", "nameSuffix")]
    {
        let text = str_at(spec, &[from]);
        if !text.is_empty() {
            kustomization[to] = json!(text);
        }
    }
    for field in ["patches", "patchesStrategicMerge", "patchesJson6902"] {
        append(
            kustomization,
            field,
            get(spec, &[field]).and_then(Value::as_array).cloned().unwrap_or_default(),
        );
    }
    append(
        kustomization,
        "buildMetadata",
        strings_at(spec, &["buildMetadata"]).into_iter().map(Value::from).collect(),
    );
    let mut components = Vec::new();
    for component in strings_at(spec, &["components"]) {
        if component.contains("://") || component.starts_with("git@") {
            return Err(Failure::new(BUILD_FAILED, format!("components: {component} is not a local path")));
        }
        let at = path::clean(&format!("{dir}/{component}"));
        if bool_at(spec, &["ignoreMissingComponents"]) && !world.is_dir(&at) {
            continue;
        }
        components.push(json!(component));
    }
    append(kustomization, "components", components);
    if let Some(given) = get(spec, &["images"]).and_then(Value::as_array).filter(|list| !list.is_empty()) {
        let mut merged = kustomization.get("images").and_then(Value::as_array).cloned().unwrap_or_default();
        images::merge(&mut merged, given);
        kustomization["images"] = Value::Array(merged);
    }
    Ok(())
}

fn append(kustomization: &mut Value, field: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    let mut list = kustomization.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    list.extend(more);
    kustomization[field] = Value::Array(list);
}

/// Checks one object and substitutes its variables.
fn finish(object: Value, input: &Input) -> Result<Value, Failure> {
    let name = meta::name(&object);
    if name.is_empty() || meta::kind(&object).is_empty() || meta::api_version(&object).is_empty() {
        let text = yaml::to_string(&object);
        let text: String = text.chars().take(300).collect();
        let message = format!("failed to decode Kubernetes apiVersion, kind and name from: {text}");
        return Err(Failure::new(BUILD_FAILED, message));
    }
    let mut object = object;
    let mut secret = meta::kind(&object) == "Secret";
    if let Some(keys) = &input.keys {
        secret |= decrypt::object(&mut object, keys).map_err(|why| {
            Failure::new(BUILD_FAILED, format!("decryption failed for '{}': {why}", meta::name(&object)))
        })?;
    }
    if decrypt::is_encrypted_secret(&object) {
        let message = format!(
            "{} is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
            subject(&object)
        );
        return Err(Failure::new(BUILD_FAILED, message));
    }
    match &input.variables {
        Some(variables) => substitute(object, variables, input, secret),
        None => Ok(object),
    }
}

fn substitute(
    object: Value,
    variables: &BTreeMap<String, String>,
    input: &Input,
    secret: bool,
) -> Result<Value, Failure> {
    const MARK: &str = "kustomize.toolkit.fluxcd.io/substitute";
    let disabled = [meta::label(&object, MARK), meta::annotation(&object, MARK)]
        .into_iter()
        .flatten()
        .any(|value| value.eq_ignore_ascii_case("disabled"));
    let always = str_at(&input.spec, &["postBuild", "substituteStrategy"]) == "Always";
    if disabled || (variables.is_empty() && !always) {
        return Ok(object);
    }
    let text = yaml::to_string(&object);
    let failure = |message: String| {
        let gvk = object::Gvk::of(&object);
        let message = format!("post build failed for '{gvk}/{}': {message}", meta::name(&object));
        Failure::new(BUILD_FAILED, message)
    };
    let expanded = envsubst::expand(&text, variables, input.strict).map_err(|error| {
        let line = text.lines().nth(error.line.saturating_sub(1)).unwrap_or_default().trim();
        // A Secret's line may hold its value, and so may one of anything that was encrypted.
        let place = if secret { String::new() } else { format!(" in `{line}`") };
        failure(format!("variable substitution failed: {error}{place}"))
    })?;
    if expanded == text {
        return Ok(object);
    }
    yaml::from_str(&expanded).map_err(|error| {
        let why =
            if secret { format!("line {}: it is not YAML any more", error.line) } else { error.to_string() };
        failure(format!("YAMLToJSON: {why}"))
    })
}

fn subject(object: &Value) -> String {
    match object::Key::of(object) {
        Ok(key) => key.to_string(),
        Err(_) => meta::name(object).to_owned(),
    }
}

/// The variables of `postBuild.substitute`, over those that were read from references.
pub fn merge_variables(
    referenced: Vec<BTreeMap<String, String>>,
    spec: &Value,
) -> Result<BTreeMap<String, String>, String> {
    let mut merged = BTreeMap::new();
    for map in referenced.into_iter().chain([string_map(spec, &["postBuild", "substitute"])]) {
        for (name, value) in map {
            let mut chars = name.chars();
            let first = chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic());
            if !first || !chars.all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err(format!(
                    "'{name}' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'"
                ));
            }
            merged.insert(name, value.replace('\n', ""));
        }
    }
    Ok(merged)
}

/// A failed build with the place in the tree that has to be changed.
/// A file that is not there is no place to look at: whoever names it is.
fn blame(tree: &Tree, mut error: kustomize::Error, kustomization: &str) -> kustomize::Error {
    if !error.file.is_empty() && tree.read(error.file.trim_start_matches('/')).is_err() {
        error.file = kustomization.to_owned();
    }
    error
}

/// Says which files below `dir` the source does not hold, as they may be what is missed.
fn with_left_out(tree: &Tree, dir: &str, mut failure: Failure) -> Failure {
    let prefix = format!("{}/", dir.trim_matches('/'));
    let below = |path: &str| prefix == "/" || path.starts_with(&prefix);
    let left_out: Vec<String> = tree
        .skipped()
        .iter()
        .filter(|skipped| below(&skipped.path))
        .take(3)
        .map(|skipped| format!("{} is left out of the source: {}", skipped.path, skipped.reason))
        .collect();
    if !left_out.is_empty() {
        let note = format!(" ({})", left_out.join("; "));
        failure.cause.message.push_str(&note);
        failure.message.push_str(&note);
    }
    failure
}

fn failed(tree: &Tree, error: kustomize::Error) -> Failure {
    let mut failure = Failure::new(BUILD_FAILED, format!("kustomize build failed: {}", error.message));
    let file = error.file.trim_start_matches('/');
    if !file.is_empty() {
        failure.cause.file = Some(file.to_owned());
        failure.cause.line = line_in(tree, file, &error);
    }
    failure.cause.message = error.message;
    if failure.cause.file.is_some() {
        failure.message = format!("kustomize build failed: {}", failure.cause.line_text());
    }
    failure
}

/// The line of the fault: of the YAML itself, or else of the field or the text that the message quotes.
fn line_in(tree: &Tree, file: &str, error: &kustomize::Error) -> Option<usize> {
    if error.line > 0 {
        return Some(error.line);
    }
    let bytes = tree.read(file).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if let Err(fault) = yaml::parse_nodes(&text)
        && fault.line > 0
    {
        return Some(fault.line);
    }
    let at = |needle: &str| {
        let found = text.lines().position(|line| line.contains(needle));
        found.filter(|_| needle.len() > 2).map(|at| at + 1)
    };
    // Quotes nest in these messages, so every word between two of them counts.
    let words = error.message.split(['"', '\'', '`']).filter(|part| !part.contains(char::is_whitespace));
    let quoted = { words }.find_map(at);
    quoted.or_else(|| {
        let field = error.field.split(['.', '[']).next().unwrap_or_default();
        at(&format!("{field}:")).filter(|_| !field.is_empty())
    })
}
