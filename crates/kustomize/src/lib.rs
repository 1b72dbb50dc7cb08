//! Kustomizations and files to objects, as Kustomize 5.8 makes them.
//!
//! [`build`] reads a kustomization through a [`World`] and answers the objects in output order. Nothing
//! but the world reaches the build: no clock, no environment, no network. A caller that wants to change
//! a kustomization without writing it to disk (as Flux does) puts an [`Overlay`] over its world.

mod ahead;
mod blame;
mod crds;
mod decode;
pub mod edit;
mod error;
mod fieldspec;
mod functions;
mod generate;
mod generated;
mod helm_charts;
mod ids;
mod json_patch;
mod kept;
mod kustomization;
mod loader;
mod localize;
mod merge;
mod merge_lists;
mod nameref;
mod origin;
mod patches;
mod paths;
mod plugins;
mod remote;
mod replacements;
mod resmap;
mod resource;
mod schema;
mod selector;
mod sort;
mod structured;
mod target;
mod transform;
mod tree;
mod vars;
mod world;

pub use error::Error;
pub use generated::{generate_kustomization, read_kustomization};
pub use kept::Kept;
pub use localize::{Localized, localize};
pub use remote::RepoSpec;
/// Paths of a [`World`]: absolute, separated by slashes, and never above the root.
pub mod path {
    pub use crate::world::{clean, join, parent};
}
pub use world::{HelmPull, MemoryWorld, Overlay, Root, World, WorldError};

/// What a build may read outside the folder of its kustomization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoadRestrictions {
    /// Files must lie in or below the folder of the kustomization that names them.
    #[default]
    RootOnly,
    /// Any file of the world may be read.
    None,
}

/// The order of the objects in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reorder {
    /// As `sortOptions` says; as [`Reorder::Legacy`] when it says nothing. What `kustomize build` does.
    #[default]
    Unspecified,
    /// Kinds that others need first, webhooks last.
    Legacy,
    /// As `sortOptions` says; the order of accumulation when it says nothing. What Flux does.
    None,
}

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What may be read.
    pub load_restrictions: LoadRestrictions,
    /// The order of the output; an explicit choice wins over `sortOptions`.
    pub reorder: Reorder,
    /// `--enable-helm`: inflate `helmCharts`.
    pub enable_helm: bool,
    /// `--enable-alpha-plugins`.
    pub enable_plugins: bool,
    /// `--enable-exec`.
    pub enable_exec: bool,
    /// `--enable-managedby-label`.
    pub managed_by_label: bool,
    /// `--helm-kube-version`.
    pub helm_kube_version: String,
    /// `--helm-api-versions`.
    pub helm_api_versions: Vec<String>,
    /// The time that charts see, in seconds since 1970.
    pub helm_time: i64,
    /// What the random values of charts are made from: the same seed, the same values.
    pub helm_seed: [u8; 32],
}

/// What a build made.
#[derive(Debug, Clone, Default)]
pub struct Built {
    /// All of them can be values: that was tried.
    objects: Vec<tree::Node>,
    warnings: Vec<String>,
}

fn value_of(node: &tree::Node) -> serde_json::Value {
    let value = tree::to_value(node);
    debug_assert!(value.is_ok(), "checked at the end of the build");
    value.unwrap_or_default()
}

impl Built {
    /// The objects, in output order.
    pub fn to_values(&self) -> Vec<serde_json::Value> {
        self.objects.iter().map(value_of).collect()
    }

    /// The objects, in output order, each let go as it is converted.
    pub fn into_values(self) -> Vec<serde_json::Value> {
        self.objects.into_iter().map(|node| value_of(&node)).collect()
    }

    /// The objects as `kustomize build` prints them.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        for (at, node) in self.objects.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "---\n" });
            text.push_str(&yaml::to_string(&value_of(node)));
        }
        text
    }

    /// The pieces of [`to_yaml`](Self::to_yaml) one after the other, each object let go when its piece is made.
    pub fn into_yaml_pieces(self) -> impl Iterator<Item = String> {
        self.objects.into_iter().enumerate().map(|(at, node)| {
            let text = yaml::to_string(&value_of(&node));
            if at == 0 { text } else { format!("---\n{text}") }
        })
    }

    /// Deprecated fields and the like, a line each, as Kustomize writes them to standard error.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Builds the kustomization in `dir`, an absolute '/'-separated path in the world ("" and "/" are its root).
pub fn build(world: &dyn World, dir: &str, options: &Options) -> Result<Built, Error> {
    let mut warnings = Vec::new();
    let mut built = build_noting(world, dir, options, &mut warnings)?;
    built.warnings = warnings;
    Ok(built)
}

/// As [`build`]; what there is to warn about is noted in `warnings`, also when the build fails.
pub fn build_noting(
    world: &dyn World,
    dir: &str,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<Built, Error> {
    let mut context = target::Context::new(options);
    let built = run(world, dir, &mut context);
    warnings.append(&mut context.warnings);
    built
}

fn run(world: &dyn World, dir: &str, context: &mut target::Context<'_>) -> Result<Built, Error> {
    let options = context.options;
    dir.clone_into(&mut context.top);
    let loader = loader::Loader::new(world, dir, options.load_restrictions)?;
    let mut target = target::Target::load(loader, context)?;
    if !target.kustomization.build_metadata.is_empty() {
        target.origin = Some(origin::Origin::default());
    }
    target.choose_schema(context, true)?;
    let mut acc = target::Accumulator::new(context.schema.clone());
    target.accumulate(context, &mut acc)?;
    plugins::add_hashes(&mut acc.map)?;
    let tables = acc.tables.clone();
    nameref::fix(&mut acc.map, &tables.name_reference)?;
    if let Some(warning) = vars::resolve(&mut acc)? {
        context.warnings.push(warning);
    }
    finish(acc.map, &target.kustomization, target.loader.world(), context)
}

/// The last steps: what is local goes, order, marks.
fn finish(
    mut map: resmap::ResMap,
    kustomization: &kustomization::Kustomization,
    world: &dyn World,
    context: &mut target::Context<'_>,
) -> Result<Built, Error> {
    for resource in map.list() {
        resource::validate_metadata(&resource.node).map_err(Error::new)?;
    }
    map.list_mut().retain(|resource| {
        resource.annotation("config.kubernetes.io/local-config").is_none_or(|value| value == "false")
    });
    let options = context.options;
    match (&kustomization.sort_options, options.reorder) {
        (Some(sort_options), reorder) => {
            if reorder != Reorder::Unspecified {
                context.warnings.push(
                    "Warning: Sorting order is set both in 'kustomization.yaml' ('sortOptions') and in a CLI flag ('--reorder'). Using the kustomization file over the CLI flag."
                        .to_owned(),
                );
            }
            sort::sort(&mut map, sort_options)?;
        }
        (None, Reorder::None) => {}
        (None, _) => sort::sort(&mut map, &plugins::default_sort())?,
    }
    let wants = |name: &str| kustomization.build_metadata.iter().any(|one| one == name);
    if options.managed_by_label || wants("managedByLabel") {
        let labels =
            std::iter::once(("app.kubernetes.io/managed-by".to_owned(), format!("kustomize-{VERSION}")))
                .collect();
        transform::set_entries(&mut map, &labels, &[fieldspec::FieldSpec::of("metadata/labels", true)])?;
    }
    let (origins, transformers) = (wants("originAnnotations"), wants("transformerAnnotations"));
    let mut objects = Vec::with_capacity(map.list().len());
    for mut resource in map.into_list() {
        resource.finish_annotations(origins, transformers);
        tree::check(&resource.node)
            .map_err(unreadable)
            .and_then(|()| tree::check_keys_are_strings(&resource.node).map_err(Error::new))
            .map_err(|error| error.of_resource(fieldspec::describe(&resource.node)))
            .map_err(|error| blame::key(error, resource.file.as_deref(), world))?;
        objects.push(resource.node);
    }
    Ok(Built { objects, warnings: Vec::new() })
}

/// An object that is no JSON, in Kustomize's words: it names the empty value that it would have filled.
fn unreadable(error: String) -> Error {
    Error::new(error).wrap("map[string]interface {}(nil)")
}

/// The version of Kustomize that this crate does as.
pub const VERSION: &str = "v5.8.2";

/// Is this object's kind one that is known to live outside namespaces?
pub fn is_cluster_scoped(object: &serde_json::Value) -> bool {
    let text = |key: &str| object.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    schema::Schema::builtin().is_cluster_scoped(&ids::Gvk::new(text("apiVersion"), text("kind")))
}
