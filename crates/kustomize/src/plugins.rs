//! Transformers and generators configured as objects of their own.

use crate::decode::{Decoder, GENERATOR_PLUGIN, HELM_CHART, REPLACEMENT, Shape, TABLES, TRANSFORMER_PLUGIN};
use crate::error::Error;
use crate::fieldspec::{FieldSpec, Tables};
use crate::generate::{self, Generated};
use crate::kustomization::{
    self, GeneratorArgs, HelmChart, Image, PatchOptions, Replacement, Replica, SortOptions,
};
use crate::loader::Loader;
use crate::origin::Origin;
use crate::patches::{self, Json6902, Patch};
use crate::resmap::ResMap;
use crate::resource::{self, Resource};
use crate::selector::Selector;
use crate::target::{Accumulator, Context, Target};
use crate::transform::{self, Affix, NamespaceSettings, Subjects, ValueTarget};
use crate::tree;
use crate::world::World;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A transformer, ready to run.
pub(crate) enum Transformer {
    Annotations(BTreeMap<String, String>, Vec<FieldSpec>),
    Labels(BTreeMap<String, String>, Vec<FieldSpec>),
    Affix(Affix, String, Vec<FieldSpec>),
    Affixes(String, String, Vec<FieldSpec>),
    Namespace(NamespaceSettings),
    Image(Image, Vec<FieldSpec>),
    Replicas(Replica, Vec<FieldSpec>),
    Patch(Patch),
    StrategicMerge(Vec<Resource>),
    Json6902(Json6902),
    Replacements(Vec<Replacement>),
    Values(String, Vec<ValueTarget>),
    Hash,
    Function(crate::functions::Function),
}

impl Transformer {
    /// Does it merge by the schemas of kinds?
    pub fn merges(&self) -> bool {
        matches!(self, Transformer::Patch(_) | Transformer::StrategicMerge(_))
    }

    /// Runs it on all objects.
    pub fn run(&self, map: &mut ResMap, world: &dyn World) -> Result<(), Error> {
        match self {
            Transformer::Annotations(entries, specs) => transform::set_entries(map, entries, specs)
                .map_err(|error| error.in_field("commonAnnotations")),
            Transformer::Labels(entries, specs) => {
                transform::set_entries(map, entries, specs).map_err(|error| error.in_field("labels"))
            }
            Transformer::Affix(affix, text, specs) => transform::add_affix(map, *affix, text, specs),
            Transformer::Affixes(prefix, suffix, specs) => {
                transform::add_affix(map, Affix::Prefix, prefix, specs)?;
                transform::add_affix(map, Affix::Suffix, suffix, specs)
            }
            Transformer::Namespace(settings) => transform::set_namespace(map, settings),
            Transformer::Image(image, specs) => {
                transform::set_image(map, image, specs).map_err(|error| error.in_field("images"))
            }
            Transformer::Replicas(replica, specs) => transform::set_replicas(map, replica, specs),
            Transformer::Patch(patch) => patch.run(map).map_err(|error| error.in_field("patches")),
            Transformer::StrategicMerge(list) => {
                patches::run_strategic(map, list).map_err(|error| error.in_field("patchesStrategicMerge"))
            }
            Transformer::Json6902(patch) => patch.run(map).map_err(|error| error.in_field("patchesJson6902")),
            Transformer::Replacements(list) => {
                crate::replacements::run(map, list).map_err(|error| error.in_field("replacements"))
            }
            Transformer::Values(value, targets) => transform::add_value(map, value, targets),
            Transformer::Hash => add_hashes(map),
            Transformer::Function(function) => function.transform(map, world),
        }
    }
}

/// Puts the hash of the content behind the names that want one.
pub(crate) fn add_hashes(map: &mut ResMap) -> Result<(), Error> {
    let schema = map.schema().clone();
    if !map.list().iter().any(|resource| resource.needs_hash) {
        return Ok(());
    }
    for resource in map.list_mut().iter_mut().filter(|resource| resource.needs_hash) {
        let hash = generate::hash(&resource.node)?;
        resource.store_previous_id(&schema);
        let name = format!("{}-{hash}", resource.name());
        resource.set_name(&name);
    }
    Ok(())
}

/// A file of `configurations`.
pub(crate) fn read_tables(text: &str) -> Result<Tables, String> {
    let value =
        yaml::from_str_strict(text).map_err(|error| format!("error converting YAML to JSON: {error}"))?;
    let decoder = Decoder { root: "builtinconfig.TransformerConfig", strict: true, lenient: true };
    let value = decoder
        .decode(&value, &TABLES)
        .map_err(|error| format!("error unmarshaling JSON: while decoding JSON: {error}"))?
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let mut tables: Tables = serde_json::from_value(value).map_err(|error| error.to_string())?;
    tables.sort();
    Ok(tables)
}

/// The patches of `patchesStrategicMerge`: inline, or in files.
pub(crate) fn load_strategic(loader: &Loader<'_>, paths: &[String]) -> Result<Vec<Resource>, Error> {
    let mut all = Vec::new();
    for path in paths {
        if let Ok(inline) = resource::parse_resources(path) {
            all.extend(inline);
            continue;
        }
        let text = loader.load_text(path)?;
        all.extend(resource::parse_resources(&text).map_err(|error| resource::file_error(error, path))?);
    }
    if all.is_empty() {
        return Err(Error::new(format!("patch appears to be empty; files=[{}], Patch=", paths.join(" "))));
    }
    Ok(all)
}

/// The objects of `generators`, `transformers` or `validators`: inline, files, folders, addresses.
fn load_configs(
    target: &Target<'_>,
    context: &mut Context<'_>,
    entries: &[String],
) -> Result<Vec<Resource>, Error> {
    let mut acc = Accumulator::new(context.schema.clone());
    let mut paths = Vec::new();
    for entry in entries {
        match resource::parse_resources(entry) {
            Ok(mut list) => {
                if let Some(origin) = &target.origin {
                    let text = origin.append(&target.file_name).to_yaml();
                    for resource in &mut list {
                        resource.set_annotation(resource::ORIGIN, &text);
                    }
                }
                acc.map.append_all(list)?;
            }
            Err(_) => paths.push(entry.clone()),
        }
    }
    target.accumulate_resources(context, &mut acc, &paths)?;
    Ok(acc.map.into_list())
}

fn is_builtin(config: &Resource) -> bool {
    config.api_version() == "builtin"
}

fn refuse_external(config: &Resource, context: &Context<'_>) -> Result<(), Error> {
    if context.options.enable_plugins {
        return Ok(());
    }
    Err(Error::new(format!(
        "external plugins disabled; unable to load external plugin '{}'",
        config.original_id(&context.schema).gvk.kind
    ))
    .of_resource(config.current_id(&context.schema).to_string()))
}

/// The plugin's configuration, its keys spelled as its type spells them.
fn decode(config: &Resource, shape: &Shape) -> Result<Value, Error> {
    let value = tree::to_value(&config.node).map_err(Error::new)?;
    let kind = config.kind();
    let decoder = Decoder { root: &format!("builtins.{kind}Plugin"), strict: false, lenient: true };
    let decoded = decoder
        .decode(&value, shape)
        .map_err(|error| Error::new(format!("error unmarshaling JSON: while decoding JSON: {error}")))?;
    Ok(decoded.unwrap_or_else(|| Value::Object(serde_json::Map::new())))
}

fn fails_configuration(config: &Resource, context: &Context<'_>, error: Error) -> Error {
    let id = config.original_id(&context.schema).to_string();
    error.wrap(format!("plugin {id} fails configuration")).of_resource(id)
}

// ---------------------------------------------------------------------------------------------------
// Generators

/// Runs the generators of a kustomization.
pub(crate) fn run_generators(
    target: &Target<'_>,
    context: &mut Context<'_>,
    acc: &mut Accumulator,
) -> Result<(), Error> {
    if target.kustomization.generators.is_empty() {
        return Ok(());
    }
    let configs = load_configs(target, context, &target.kustomization.generators)
        .map_err(|error| error.wrap("loading generator plugins"))?;
    for config in &configs {
        let origin = Origin::of_plugin(config);
        let made = generate_one(target, context, config)
            .map_err(|error| error.wrap("failed to load generator").wrap("loading generator plugins"))?;
        target.absorb(acc, made, origin)?;
    }
    Ok(())
}

fn generate_one(
    target: &Target<'_>,
    context: &mut Context<'_>,
    config: &Resource,
) -> Result<Vec<Resource>, Error> {
    if !is_builtin(config) {
        refuse_external(config, context)?;
        return crate::functions::Function::load(config, context.options, target.loader.root())?
            .generate(target.loader.world());
    }
    let fail = |error: Error| fails_configuration(config, context, error);
    match config.kind() {
        kind @ ("ConfigMapGenerator" | "SecretGenerator") => {
            let value = decode(config, &GENERATOR_PLUGIN).map_err(fail)?;
            let meta = value.get("metadata").cloned().unwrap_or_default();
            let mut args: GeneratorArgs = from_value(value).map_err(fail)?;
            let text = |key: &str| meta.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            if args.name.is_empty() {
                args.name = text("name");
            }
            if args.namespace.is_empty() {
                args.namespace = text("namespace");
            }
            let kind = if kind == "SecretGenerator" { Generated::Secret } else { Generated::ConfigMap };
            Ok(vec![generate::generate(kind, &args, &target.loader)?])
        }
        "HelmChartInflationGenerator" => {
            let chart: HelmChart = from_value(decode(config, &HELM_CHART).map_err(fail)?).map_err(fail)?;
            crate::helm_charts::inflate(&chart, &target.loader, context.options).map_err(fail)
        }
        "IAMPolicyGenerator" => Ok(vec![iam_policy(config)?]),
        kind if TRANSFORMERS.contains(&kind) => {
            Err(Error::new(format!("plugin {} not a generator", config.original_id(&context.schema))))
        }
        _ => Err(Error::new(format!("unable to load builtin {}", config.gvk()))),
    }
}

/// A service account for Google's workload identity.
fn iam_policy(config: &Resource) -> Result<Resource, Error> {
    let value = tree::to_value(&config.node).map_err(Error::new)?;
    let text = |path: &[&str]| {
        path.iter()
            .try_fold(&value, |value, key| value.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let cloud = text(&["cloud"]);
    if cloud != "gke" {
        return Err(Error::new(format!("cloud provider {cloud} not supported yet")));
    }
    let account = text(&["serviceAccount", "name"]);
    let project = text(&["serviceAccount", "projectId"]);
    let namespace = text(&["kubernetesService", "namespace"]);
    let name = text(&["kubernetesService", "name"]);
    let mut document = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "annotations": {"iam.gke.io/gcp-service-account": format!("{account}@{project}.iam.gserviceaccount.com")},
            "name": name,
        },
    });
    if !namespace.is_empty() {
        document["metadata"]["namespace"] = Value::from(namespace);
    }
    Ok(Resource::new(tree::from_value(&document)))
}

fn from_value<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::new(error.to_string()))
}

// ---------------------------------------------------------------------------------------------------
// Transformers

const TRANSFORMERS: [&str; 14] = [
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "SuffixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "ValueAddTransformer",
];

/// Loads the transformers (or validators) of a kustomization.
pub(crate) fn load_transformers(
    target: &Target<'_>,
    context: &mut Context<'_>,
    entries: &[String],
) -> Result<Vec<(Transformer, Option<Origin>)>, Error> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let configs = load_configs(target, context, entries)?;
    configs
        .iter()
        .map(|config| Ok((load_transformer(target, context, config)?, Origin::of_plugin(config))))
        .collect()
}

/// All that the built-in transformer plugins read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Settings {
    metadata: Value,
    field_specs: Option<Vec<FieldSpec>>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    prefix: String,
    suffix: String,
    unset_only: bool,
    set_role_binding_subjects: String,
    image_tag: Image,
    replica: Replica,
    target: Option<Selector>,
    path: String,
    patch: String,
    json_op: String,
    options: Option<PatchOptions>,
    paths: Vec<String>,
    patches: String,
    replacements: Vec<Replacement>,
    value: String,
    targets: Vec<ValueTarget>,
    target_file_path: String,
}

fn load_transformer(
    target: &Target<'_>,
    context: &mut Context<'_>,
    config: &Resource,
) -> Result<Transformer, Error> {
    if !is_builtin(config) {
        refuse_external(config, context)?;
        return Ok(Transformer::Function(crate::functions::Function::load(
            config,
            context.options,
            target.loader.root(),
        )?));
    }
    let kind = config.kind();
    if !TRANSFORMERS.contains(&kind) {
        return Err(match kind {
            "ConfigMapGenerator"
            | "SecretGenerator"
            | "HelmChartInflationGenerator"
            | "IAMPolicyGenerator" => {
                Error::new(format!("plugin {} not a transformer", config.original_id(&context.schema)))
            }
            _ => Error::new(format!("unable to load builtin {}", config.gvk())),
        });
    }
    decode(config, &TRANSFORMER_PLUGIN)
        .and_then(from_value::<Settings>)
        .and_then(|settings| configure(kind, settings, &target.loader, config))
        .map_err(|error| fails_configuration(config, context, error))
}

fn configure(
    kind: &str,
    settings: Settings,
    loader: &Loader<'_>,
    config: &Resource,
) -> Result<Transformer, Error> {
    let specs = settings.field_specs.clone().unwrap_or_default();
    let need_specs = || match settings.field_specs {
        Some(_) => Ok(()),
        None => Err(Error::new("fieldSpecs is not expected to be nil")),
    };
    Ok(match kind {
        "AnnotationsTransformer" => Transformer::Annotations(settings.annotations, specs),
        "LabelTransformer" => Transformer::Labels(settings.labels, specs),
        "HashTransformer" => Transformer::Hash,
        "PrefixTransformer" => {
            need_specs()?;
            Transformer::Affix(Affix::Prefix, settings.prefix, specs)
        }
        "SuffixTransformer" => {
            need_specs()?;
            Transformer::Affix(Affix::Suffix, settings.suffix, specs)
        }
        "PrefixSuffixTransformer" => {
            need_specs()?;
            Transformer::Affixes(settings.prefix, settings.suffix, specs)
        }
        "ImageTagTransformer" => Transformer::Image(settings.image_tag, specs),
        "ReplicaCountTransformer" => Transformer::Replicas(settings.replica, specs),
        "NamespaceTransformer" => Transformer::Namespace(namespace_settings(&settings, specs)?),
        "PatchTransformer" => {
            let shown = tree::to_value(&config.node).map_err(Error::new)?;
            Transformer::Patch(Patch::load(&patch_of(settings), loader, &shown)?)
        }
        "PatchJson6902Transformer" => {
            let mut patch = patch_of(settings);
            patch.options = None;
            Transformer::Json6902(Json6902::load(&patch, loader)?)
        }
        "PatchStrategicMergeTransformer" => {
            Transformer::StrategicMerge(strategic_patches(&settings, loader)?)
        }
        "ReplacementTransformer" => {
            Transformer::Replacements(crate::replacements::load(&settings.replacements, loader)?)
        }
        _ => value_add(settings, loader)?,
    })
}

fn patch_of(settings: Settings) -> kustomization::Patch {
    let patch = if settings.json_op.is_empty() { settings.patch } else { settings.json_op };
    kustomization::Patch { path: settings.path, patch, target: settings.target, options: settings.options }
}

fn namespace_settings(settings: &Settings, specs: Vec<FieldSpec>) -> Result<NamespaceSettings, Error> {
    let subjects = match settings.set_role_binding_subjects.as_str() {
        "" | "defaultOnly" => Subjects::Default,
        "allServiceAccounts" => Subjects::ServiceAccounts,
        "none" => Subjects::None,
        other => {
            return Err(Error::new(format!(
                "invalid value {other:?} for setRoleBindingSubjects: must be one of \"defaultOnly\", \"none\" or \"allServiceAccounts\""
            )));
        }
    };
    let namespace = settings.metadata.get("namespace").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(NamespaceSettings { namespace, specs, unset_only: settings.unset_only, subjects })
}

fn strategic_patches(settings: &Settings, loader: &Loader<'_>) -> Result<Vec<Resource>, Error> {
    if settings.paths.is_empty() && settings.patches.is_empty() {
        return Err(Error::new("empty file path and empty patch content"));
    }
    let mut all = Vec::new();
    if !settings.paths.is_empty() {
        all.extend(load_strategic(loader, &settings.paths)?);
    }
    if !settings.patches.is_empty() {
        all.extend(resource::parse_resources(&settings.patches).map_err(Error::new)?);
    }
    if all.is_empty() {
        return Err(Error::new(format!("patch appears to be empty; files=[], Patch={}", settings.patches)));
    }
    Ok(all)
}

fn value_add(settings: Settings, loader: &Loader<'_>) -> Result<Transformer, Error> {
    let mut value = settings.value.trim().to_owned();
    if value.is_empty() {
        value = loader.root().rsplit('/').next().unwrap_or_default().to_owned();
    }
    let mut targets = settings.targets;
    if !settings.target_file_path.is_empty() {
        let text = loader.load_text(&settings.target_file_path)?;
        let value = yaml::from_str(&text).map_err(|error| Error::new(error.to_string()))?;
        let decoder = Decoder { root: "builtins.targets", strict: false, lenient: true };
        let decoded = decoder.decode(&value, &TRANSFORMER_PLUGIN).map_err(Error::new)?.unwrap_or_default();
        if let Some(more) = decoded.get("targets") {
            let more: Vec<ValueTarget> = from_value(more.clone())?;
            targets.extend(more);
        }
    }
    if targets.is_empty() {
        return Err(Error::new("must specify at least one target"));
    }
    for target in &targets {
        if target.field_path.is_empty() {
            return Err(Error::new("fieldPath cannot be empty"));
        }
        if target.file_path_position < 0 {
            return Err(Error::new(format!(
                "value of FilePathPosition ({}) cannot be negative",
                target.file_path_position
            )));
        }
    }
    Ok(Transformer::Values(value, targets))
}

/// A file of `replacements`: one, or a list.
pub(crate) fn read_replacements(text: &str) -> Result<Vec<Replacement>, Error> {
    let fail = |error: String| Error::new(format!("error unmarshaling JSON: while decoding JSON: {error}"));
    let value = yaml::from_str(text)
        .map_err(|error| Error::new(format!("error converting YAML to JSON: {error}")))?;
    let list = match value {
        Value::Array(items) => items,
        Value::Object(_) => vec![value],
        Value::Null => {
            return Err(Error::new(
                "unsupported replacement type encountered within replacement path: invalid",
            ));
        }
        Value::String(_) => {
            return Err(Error::new(
                "unsupported replacement type encountered within replacement path: string",
            ));
        }
        _ => {
            return Err(Error::new(
                "unsupported replacement type encountered within replacement path: float64",
            ));
        }
    };
    let decoder = Decoder { root: "types.Replacement", strict: false, lenient: true };
    list.iter()
        .map(|value| from_value(decoder.decode(value, &REPLACEMENT).map_err(fail)?.unwrap_or_default()))
        .collect()
}

/// `sortOptions` from a plugin's configuration or a kustomization.
pub(crate) fn default_sort() -> SortOptions {
    SortOptions { order: "legacy".to_owned(), legacy_sort_options: None }
}

/// Says how two sets differ, but for the mark that validators may leave.
pub(crate) fn same_objects(before: &ResMap, after: &ResMap) -> Result<(), String> {
    if before.list().len() != after.list().len() {
        return Err(format!(
            "lists have different number of entries: {} doesn't equal {}",
            before.list().len(),
            after.list().len()
        ));
    }
    let schema = before.schema();
    for (one, other) in before.list().iter().zip(after.list()) {
        let (id, other_id) = (one.current_id(schema), other.current_id(schema));
        if !id.equals(&other_id) {
            return Err(format!("id in self missing from other; id: {id}"));
        }
        let mut other = other.clone();
        let mut labels = other.meta_map("labels");
        if labels.remove("validated-by").is_some() {
            other.set_meta_map("labels", labels);
        }
        if tree::to_value(&one.node) != tree::to_value(&other.node) {
            return Err(format!("nodes unequal: \n -- {},\n -- {}\n", one.to_yaml(), other.to_yaml()));
        }
    }
    Ok(())
}

/// Settings as messages show them: what is empty is left out.
pub(crate) fn as_config(settings: &impl serde::Serialize) -> Value {
    without_empty(serde_json::to_value(settings).unwrap_or_default())
}

fn without_empty(value: Value) -> Value {
    let told = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    match value {
        Value::Array(items) => items.into_iter().map(without_empty).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key, without_empty(value)))
                .filter(|(_, value)| told(value))
                .collect(),
        ),
        other => other,
    }
}
