//! A kustomization, with the application's own edits made on a copy of its file.

use ::kustomize::edit::{AddPairs, Edit, Edited, Files, KustomizationFile, Pairs, Text};
use ::kustomize::{LoadRestrictions, Options, Overlay, World};
use delivery::fields::{bool_at, list_at, str_at, string_map, strings_at};
use delivery::world::TreeWorld;
use object::{Value, get};

use super::{Failure, Input, clean, env, join};

pub fn render(
    world: &TreeWorld<'_>,
    path: &str,
    input: &Input,
    now: jiff::Timestamp,
) -> Result<Vec<Value>, Failure> {
    let dir = format!("/{path}");
    let mut overlay = Overlay::new(world);
    if let Some(block) = get(&input.source, &["kustomize"]).filter(|block| block.is_object()) {
        for edit in edits(world, path, block, input) {
            let edited = ::kustomize::edit::run(&overlay, &dir, &edit).map_err(|error| failed(&error))?;
            keep(&mut overlay, edited);
        }
        patches(&mut overlay, world, path, block)?;
    }
    let options = options(input, now)?;
    let built = ::kustomize::build(&overlay, &dir, &options).map_err(|error| failed(&error))?;
    Ok(built.into_values())
}

fn keep(overlay: &mut Overlay<'_>, edited: Edited) {
    if let Some(text) = edited.text {
        overlay.insert(&edited.path, text.into_bytes());
    }
}

/// The changes that have a command of their own, in the order in which Argo CD makes them.
fn edits(world: &TreeWorld<'_>, path: &str, block: &Value, input: &Input) -> Vec<Edit> {
    let mut edits = Vec::new();
    for (field, text) in [("namePrefix", Text::NamePrefix), ("nameSuffix", Text::NameSuffix)] {
        let value = str_at(block, &[field]);
        if !value.is_empty() {
            edits.push(Edit::SetText(text, vec![value.to_owned()]));
        }
    }
    let images: Vec<String> =
        strings_at(block, &["images"]).iter().map(|image| env::substitute(image, &input.env)).collect();
    if !images.is_empty() {
        edits.push(Edit::SetImage(images));
    }
    let replicas: Vec<String> = list_at(block, &["replicas"])
        .iter()
        .map(|entry| {
            let count = get(entry, &["count"]);
            let count = count.map(|count| count.as_str().map_or_else(|| count.to_string(), str::to_owned));
            format!("{}={}", str_at(entry, &["name"]), count.unwrap_or_default())
        })
        .collect();
    if !replicas.is_empty() {
        edits.push(Edit::SetReplicas(replicas));
    }
    let pairs = |field: &str, expand: bool| -> Vec<String> {
        let map = string_map(block, &[field]).into_iter();
        map.map(|(key, value)| {
            let value = if expand { env::substitute(&value, &input.env) } else { value };
            format!("{key}:{value}")
        })
        .collect()
    };
    let labels = pairs("commonLabels", true);
    if !labels.is_empty() {
        let how = AddPairs {
            force: bool_at(block, &["forceCommonLabels"]),
            without_selector: bool_at(block, &["labelWithoutSelector"]),
            include_templates: bool_at(block, &["labelIncludeTemplates"]),
        };
        edits.push(Edit::AddPairs(Pairs::Label, labels, how));
    }
    let annotations = pairs("commonAnnotations", bool_at(block, &["commonAnnotationsEnvsubst"]));
    if !annotations.is_empty() {
        let how = AddPairs { force: bool_at(block, &["forceCommonAnnotations"]), ..AddPairs::default() };
        edits.push(Edit::AddPairs(Pairs::Annotation, annotations, how));
    }
    let namespace = str_at(block, &["namespace"]);
    if !namespace.is_empty() {
        edits.push(Edit::SetText(Text::Namespace, vec![namespace.to_owned()]));
    }
    let missing_is_fine = bool_at(block, &["ignoreMissingComponents"]);
    let components: Vec<String> = strings_at(block, &["components"])
        .into_iter()
        .filter(|component| {
            let remote = component.contains("://");
            remote || !missing_is_fine || world.is_dir(&format!("/{}", clean(&format!("{path}/{component}"))))
        })
        .collect();
    if !components.is_empty() {
        edits.push(Edit::AddFiles(Files::Component, components, true));
    }
    edits
}

/// `patches`, behind those of the file.
fn patches(
    overlay: &mut Overlay<'_>,
    world: &TreeWorld<'_>,
    path: &str,
    block: &Value,
) -> Result<(), Failure> {
    let patches = list_at(block, &["patches"]);
    if patches.is_empty() {
        return Ok(());
    }
    let names = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
    let Some(file) = names.iter().map(|name| join(path, name)).find(|file| world.is_file(file)) else {
        return Err(Failure::new(format!(
            "no kustomization file in {path}, which spec.source.kustomize.patches change"
        )));
    };
    let bytes = overlay.read(&file).map_err(|error| Failure::new(format!("{file}: {error}")))?;
    let mut parsed =
        KustomizationFile::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| failed(&error))?;
    parsed.list_mut("patches").extend(patches.iter().cloned());
    overlay.insert(&file, parsed.to_text().into_bytes());
    Ok(())
}

/// The options of the build, in the words of `kustomize build`.
fn options(input: &Input, now: jiff::Timestamp) -> Result<Options, Failure> {
    let block = &input.source;
    let mut options = Options {
        helm_time: now.as_second(),
        helm_kube_version: str_at(block, &["kustomize", "kubeVersion"]).to_owned(),
        helm_api_versions: strings_at(block, &["kustomize", "apiVersions"]),
        helm_seed: super::helm::seed(input),
        ..Options::default()
    };
    let mut words = input.terms.build_options.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let on = value != Some("false");
        match name {
            "--enable-helm" => options.enable_helm = on,
            "--enable-alpha-plugins" => options.enable_plugins = on,
            "--enable-managedby-label" => options.managed_by_label = on,
            "--load-restrictor" | "--load_restrictor" => {
                let value = value.map(str::to_owned).or_else(|| words.next().map(str::to_owned));
                if value.as_deref().is_some_and(|value| value.ends_with("None") || value == "none") {
                    options.load_restrictions = LoadRestrictions::None;
                }
            }
            "--helm-command" => {
                words.next_if(|next| value.is_none() && !next.starts_with("--"));
            }
            "--enable-exec" => {
                return Err(Failure::new("kustomize.buildOptions: --enable-exec: programs are not run here"));
            }
            _ => return Err(Failure::new(format!("kustomize.buildOptions: {name} is not known"))),
        }
    }
    Ok(options)
}

fn failed(error: &::kustomize::Error) -> Failure {
    let failure = Failure::new(format!("kustomize build failed: {}", error.message.trim_end()));
    let file = error.file.trim_start_matches('/');
    if file.is_empty() { failure } else { failure.at(file, error.line) }
}
