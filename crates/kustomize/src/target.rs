//! One kustomization at work: its resources, generators, components, transformers, validators.

use crate::Options;
use crate::error::Error;
use crate::fieldspec::{FieldSpec, Tables, merge_all, merge_one};
use crate::generate::{self, Generated};
use crate::ids::ResId;
use crate::kustomization::{COMPONENT, FILE_NAMES, HelmGlobals, Kustomization, Var};
use crate::loader::{LoadError, Loader};
use crate::origin::Origin;
use crate::plugins::{self, Transformer};
use crate::resmap::ResMap;
use crate::resource::{self, Resource};
use crate::schema::{Known, Schema};
use crate::transform::{Affix, NamespaceSettings};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// How deep bases may nest.
const MAX_DEPTH: usize = 100;

/// What a whole build shares.
pub(crate) struct Context<'o> {
    pub options: &'o Options,
    pub schema: Arc<Schema>,
    /// An OpenAPI document or version has been chosen; later choices do not count.
    pub schema_chosen: bool,
    pub warnings: Vec<String>,
    /// The folder that is built.
    pub top: String,
    /// What all of it names is being fetched.
    looked_ahead: bool,
    /// What an OpenAPI document would come on top of.
    known: Known,
    /// The built-in tables.
    tables: Rc<Tables>,
    depth: usize,
}

impl<'o> Context<'o> {
    pub fn new(options: &'o Options) -> Context<'o> {
        Context {
            options,
            schema: Schema::builtin().clone(),
            schema_chosen: false,
            warnings: Vec::new(),
            top: String::new(),
            looked_ahead: false,
            known: Known::Nothing,
            tables: Rc::new(Tables::builtin()),
            depth: 0,
        }
    }
}

/// What kustomizations gather as they are worked through.
pub(crate) struct Accumulator {
    pub map: ResMap,
    /// Shared: most kustomizations add nothing to the built-in tables.
    pub tables: Rc<Tables>,
    pub vars: BTreeMap<String, Var>,
}

impl Accumulator {
    pub fn new(schema: Arc<Schema>) -> Accumulator {
        Accumulator { map: ResMap::new(schema), tables: Rc::default(), vars: BTreeMap::new() }
    }

    fn merge(&mut self, other: Accumulator) -> Result<(), Error> {
        self.map.append_all(other.map.into_list())?;
        self.add_tables(&other.tables).map_err(Error::new)?;
        for (name, var) in other.vars {
            self.add_var(name, var)?;
        }
        Ok(())
    }

    fn add_tables(&mut self, more: &Rc<Tables>) -> Result<(), String> {
        if Rc::ptr_eq(&self.tables, more) || more.is_empty() {
            return Ok(());
        }
        if self.tables.is_empty() {
            self.tables = more.clone();
            return Ok(());
        }
        Rc::make_mut(&mut self.tables).merge(more)
    }

    fn add_var(&mut self, name: String, var: Var) -> Result<(), Error> {
        if self.vars.contains_key(&name) {
            return Err(Error::new(format!("var '{name}' already encountered")).in_field("vars"));
        }
        self.vars.insert(name, var);
        Ok(())
    }
}

/// A kustomization and where it lies.
pub(crate) struct Target<'w> {
    pub kustomization: Kustomization,
    pub file_name: String,
    pub loader: Loader<'w>,
    pub origin: Option<Origin>,
    /// The namespace that overlays above set, for charts.
    pub helm_namespace: String,
}

impl<'w> Target<'w> {
    /// Reads the kustomization file of a folder.
    pub fn load(loader: Loader<'w>, context: &mut Context<'_>) -> Result<Target<'w>, Error> {
        let (file_name, text) = read_file(&loader)?;
        let file = crate::world::join(loader.root(), &file_name);
        let kustomization = Kustomization::parse(&text, loader.root(), &mut context.warnings)
            .map_err(|error| error.in_kustomization(file))?;
        Ok(Target { kustomization, file_name, loader, origin: None, helm_namespace: String::new() })
    }

    /// The path of the kustomization file.
    fn file(&self) -> String {
        crate::world::join(self.loader.root(), &self.file_name)
    }

    /// Takes the OpenAPI choice of this kustomization, unless one was made before.
    pub fn choose_schema(&self, context: &mut Context<'_>, first: bool) -> Result<(), Error> {
        let openapi = &self.kustomization.openapi;
        let at = |error: Error| error.in_kustomization(self.file()).in_field("openapi");
        let text = match openapi.get("path") {
            Some(path) => Some(self.loader.load_text(path).map_err(Error::from).map_err(at)?),
            None => None,
        };
        if context.schema_chosen && !first {
            return Ok(());
        }
        let version = openapi.get("version");
        if let Some(text) = text {
            if version.is_some() {
                return Err(at(Error::new("builtin version and custom schema provided, cannot use both")));
            }
            let schema = Schema::from_openapi(&text, context.known)
                .map_err(|error| at(Error::new(format!("invalid schema file: {error}"))))?;
            context.schema = Arc::new(schema);
            context.schema_chosen = true;
            return Ok(());
        }
        match version.map(String::as_str) {
            None | Some("") => Ok(()),
            Some(crate::schema::BUILTIN_VERSION) => {
                context.schema = Schema::builtin().clone();
                context.schema_chosen = true;
                Ok(())
            }
            Some(_) => Err(at(Error::new("the specified OpenAPI version is not built in"))),
        }
    }

    /// Does all that this kustomization says to what has been gathered.
    pub fn accumulate(&self, context: &mut Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        let at = |error: Error| error.in_kustomization(self.file());
        self.expect_remote(context);
        self.accumulate_resources(context, acc, &self.kustomization.resources)
            .map_err(|error| at(error.wrap("accumulating resources").in_field("resources")))?;
        acc.map.use_schema(&context.schema);
        self.add_tables(context, acc).map_err(at)?;
        self.run_generators(context, acc).map_err(at)?;
        self.accumulate_components(context, acc)
            .map_err(|error| at(error.wrap("accumulating components").in_field("components")))?;
        acc.map.use_schema(&context.schema);
        self.run_transformers(context, acc).map_err(at)?;
        self.run_validators(context, acc).map_err(at)?;
        crate::vars::add(acc, &self.kustomization.vars).map_err(|error| {
            let what = format!("merging vars {}", crate::vars::shown_all(&self.kustomization.vars));
            at(error.wrap(what).in_field("vars"))
        })
    }

    fn add_tables(&self, context: &Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        let mut tables = context.tables.clone();
        if !self.kustomization.configurations.is_empty() {
            let mut own = Tables::default();
            for path in &self.kustomization.configurations {
                let text = self
                    .loader
                    .load_text(path)
                    .map_err(Error::from)
                    .map_err(|error| error.in_field("configurations"))?;
                let more = plugins::read_tables(&text)
                    .map_err(|error| Error::new(error).in_file(path.clone()).in_field("configurations"))?;
                own.merge(&more).map_err(Error::new)?;
            }
            Rc::make_mut(&mut tables).merge(&own).map_err(Error::new)?;
        }
        acc.add_tables(&tables).map_err(|error| Error::new(error).wrap("merging config"))?;
        let crds = crate::crds::tables(&self.loader, &self.kustomization.crds).map_err(|error| {
            error.wrap(format!("loading CRDs [{}]", self.kustomization.crds.join(" "))).in_field("crds")
        })?;
        acc.add_tables(&Rc::new(crds)).map_err(|error| Error::new(error).wrap("merging CRDs"))
    }

    /// Has everything remote that is named here fetched at the same time; the first time in a build also what the
    /// kustomizations name that it has not come to yet.
    fn expect_remote(&self, context: &mut Context<'_>) {
        let k = &self.kustomization;
        let lists = [&k.resources, &k.components, &k.generators, &k.transformers, &k.validators];
        let urls: Vec<&str> = lists
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|path| crate::ahead::is_remote(path))
            .collect();
        if urls.is_empty() {
            return;
        }
        let more = match std::mem::replace(&mut context.looked_ahead, true) {
            true => Vec::new(),
            false => crate::ahead::addresses(self.loader.world(), &context.top),
        };
        let all: Vec<&str> = urls.into_iter().chain(more.iter().map(String::as_str)).collect();
        self.loader.world().expect(&all);
    }

    /// Adds what files, folders and addresses hold.
    pub fn accumulate_resources(
        &self,
        context: &mut Context<'_>,
        acc: &mut Accumulator,
        paths: &[String],
    ) -> Result<(), Error> {
        for path in paths {
            let Err(failed) = self.accumulate_file(context, acc, path) else { continue };
            if failed.http {
                return Err(failed.error);
            }
            let error = failed.error;
            match self.loader.sub(path) {
                Ok(loader) => self
                    .accumulate_directory(context, acc, loader, path, false)
                    .map_err(|inner| inner.wrap(format!("accumulation err='{error}'")))?,
                // A file that does not parse is a file: why it is no folder does not matter.
                Err(_) if error.message.contains("MalformedYAMLError") => return Err(error),
                Err(inner) => {
                    let file = error.file.clone();
                    return Err(inner.wrap(format!("accumulation err='{error}'")).in_file(file));
                }
            }
        }
        Ok(())
    }

    fn accumulate_file(
        &self,
        context: &mut Context<'_>,
        acc: &mut Accumulator,
        path: &str,
    ) -> Result<(), LoadError> {
        let text = self.loader.load_text(path).map_err(|failed| LoadError {
            error: failed.error.wrap(format!("accumulating resources from '{path}'")),
            http: failed.http,
        })?;
        let plain = |error: Error| LoadError { error, http: false };
        let parsed = resource::parse_resources(&text).map_err(|error| resource::file_error(error, path));
        let parsed = parsed.and_then(|list| unique(list, acc.map.schema()));
        let mut resources =
            parsed.map_err(|error| plain(error.wrap(format!("accumulating resources from '{path}'"))))?;
        let file: Rc<str> = crate::world::join(self.loader.root(), path).into();
        resources.iter_mut().for_each(|resource| resource.file = Some(file.clone()));
        let strange = |resource: &Resource| !Schema::knows_scope(resource.api_version(), resource.kind());
        if context.known == Known::Nothing && !context.schema_chosen && resources.iter().any(strange) {
            // The built-in document had to be asked for the scope of a kind.
            context.known = Known::BuiltinWins;
        }
        if let Some(origin) = &self.origin {
            let text = origin.append(path).to_yaml();
            for resource in &mut resources {
                resource.set_annotation(resource::ORIGIN, &text);
            }
        }
        acc.map
            .append_all(resources)
            .map_err(|error| plain(error.wrap(format!("merging resources from '{path}'")).in_file(path)))
    }

    fn accumulate_components(&self, context: &mut Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        for path in &self.kustomization.components {
            let loader = self.loader.sub(path).map_err(|error| {
                let message = format!("loader.New {:?}", error.message);
                Error { message, ..error }
            })?;
            self.accumulate_directory(context, acc, loader, path, true).map_err(|error| {
                let message = format!("accumulateDirectory: {:?}", error.message);
                Error { message, ..error }
            })?;
        }
        Ok(())
    }

    fn accumulate_directory(
        &self,
        context: &mut Context<'_>,
        acc: &mut Accumulator,
        loader: Loader<'w>,
        path: &str,
        component: bool,
    ) -> Result<(), Error> {
        let root = loader.root().to_owned();
        if context.depth >= MAX_DEPTH {
            return Err(Error::new(format!("bases nest deeper than {MAX_DEPTH} levels at '{root}'")));
        }
        let mut sub = Target::load(loader, context)
            .map_err(|error| error.wrap(format!("couldn't make target for path '{root}'")))?;
        sub.kustomization.build_metadata.clone_from(&self.kustomization.build_metadata);
        sub.origin = self.origin.as_ref().map(|origin| origin.append(path));
        sub.helm_namespace = if self.kustomization.namespace.is_empty() {
            self.helm_namespace.clone()
        } else {
            self.kustomization.namespace.clone()
        };
        sub.choose_schema(context, false)?;
        let is_component = sub.kustomization.kind == COMPONENT;
        if component && !is_component {
            return Err(Error::new(format!(
                "expected kind '{COMPONENT}' for path '{root}' but got '{}'",
                sub.kustomization.kind
            ))
            .in_kustomization(sub.file()));
        }
        if !component && is_component {
            return Err(Error::new(format!("expected kind != '{COMPONENT}' for path '{root}'"))
                .in_kustomization(sub.file()));
        }
        context.depth += 1;
        let done = if component {
            // A component works on what its user has gathered.
            sub.accumulate(context, acc)
                .map_err(|error| error.wrap(format!("recursed accumulation of path '{root}'")))
        } else {
            let mut own = Accumulator::new(context.schema.clone());
            sub.accumulate(context, &mut own)
                .map_err(|error| error.wrap(format!("recursed accumulation of path '{root}'")))
                .and_then(|()| {
                    acc.merge(own).map_err(|error| error.wrap(format!("recursed merging from path '{root}'")))
                })
        };
        context.depth -= 1;
        done
    }

    // -----------------------------------------------------------------------------------------------

    /// Where the things that a field of this kustomization makes come from.
    fn builtin_origin(&self, plugin: &str) -> Option<Origin> {
        self.origin.as_ref().map(|origin| origin.configured_by_field(&self.file_name, plugin))
    }

    fn run_generators(&self, context: &mut Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        let options = self.kustomization.generator_options.as_ref();
        for (field, plugin, kind, list) in [
            (
                "configMapGenerator",
                "ConfigMapGenerator",
                Generated::ConfigMap,
                &self.kustomization.config_map_generator,
            ),
            ("secretGenerator", "SecretGenerator", Generated::Secret, &self.kustomization.secret_generator),
        ] {
            for args in list {
                let mut args = args.clone();
                args.options = generate::merge_options(args.options.take(), options);
                let made =
                    generate::generate(kind, &args, &self.loader).map_err(|error| error.in_field(field))?;
                self.absorb(acc, vec![made], self.builtin_origin(plugin))
                    .map_err(|error| error.in_field(field))?;
            }
        }
        self.run_helm(context, acc).map_err(|error| error.in_field("helmCharts"))?;
        plugins::run_generators(self, context, acc).map_err(|error| error.in_field("generators"))
    }

    fn run_helm(&self, context: &mut Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        let globals = self.kustomization.helm_globals.clone().unwrap_or_default();
        for chart in &self.kustomization.helm_charts {
            let mut chart = chart.clone();
            let HelmGlobals { chart_home, .. } = &globals;
            chart.chart_home.clone_from(chart_home);
            if chart.namespace.is_empty() {
                let own = &self.kustomization.namespace;
                chart.namespace = if own.is_empty() { self.helm_namespace.clone() } else { own.clone() };
            }
            crate::helm_charts::check(&chart, &self.loader, context.options).map_err(|error| {
                trouble(error, "HelmChartInflationGenerator", &plugins::as_config(&chart))
            })?;
            let made = crate::helm_charts::inflate(&chart, &self.loader, context.options)?;
            self.absorb(acc, made, self.builtin_origin("HelmChartInflationGenerator"))?;
        }
        Ok(())
    }

    /// Takes in what a generator made.
    pub fn absorb(
        &self,
        acc: &mut Accumulator,
        mut made: Vec<Resource>,
        origin: Option<Origin>,
    ) -> Result<(), Error> {
        if let Some(origin) = origin {
            let text = origin.to_yaml();
            for resource in made.iter_mut().filter(|resource| resource.annotation(resource::ORIGIN).is_none())
            {
                resource.settle_annotations();
                resource.set_annotation(resource::ORIGIN, &text);
            }
        }
        acc.map.absorb(made).map_err(|error| error.wrap("merging from generator"))
    }

    fn run_transformers(&self, context: &mut Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        // All are read before the first runs, as there.
        let mut all: Vec<(Transformer, Option<Origin>)> = Vec::new();
        let tables = acc.tables.clone();
        self.field_transformers(&tables, &mut all)?;
        let more = plugins::load_transformers(self, context, &self.kustomization.transformers)
            .map_err(|error| error.in_field("transformers"))?;
        all.extend(more);
        for (transformer, origin) in all {
            if transformer.merges() && !context.schema_chosen {
                context.known = Known::DocumentWins;
            }
            transformer.run(&mut acc.map, self.loader.world())?;
            if let Some(origin) = origin {
                crate::origin::annotate(&mut acc.map, &origin);
            }
            acc.map.drop_empty();
        }
        Ok(())
    }

    fn field_transformers(
        &self,
        tables: &Tables,
        all: &mut Vec<(Transformer, Option<Origin>)>,
    ) -> Result<(), Error> {
        let k = &self.kustomization;
        let mut push =
            |plugin: &str, transformer: Transformer| all.push((transformer, self.builtin_origin(plugin)));
        if !k.patches_strategic_merge.is_empty() {
            let patches =
                plugins::load_strategic(&self.loader, &k.patches_strategic_merge).map_err(|error| {
                    let config = serde_json::json!({"paths": k.patches_strategic_merge});
                    trouble(error, "PatchStrategicMergeTransformer", &config)
                        .in_field("patchesStrategicMerge")
                })?;
            push("PatchStrategicMergeTransformer", Transformer::StrategicMerge(patches));
        }
        for patch in &k.patches {
            let config = patch.to_config("patch");
            let loaded = crate::patches::Patch::load(patch, &self.loader, &config)
                .map_err(|error| trouble(error, "PatchTransformer", &config).in_field("patches"))?;
            push("PatchTransformer", Transformer::Patch(loaded));
        }
        if !k.namespace.is_empty() {
            let settings = NamespaceSettings {
                namespace: k.namespace.clone(),
                specs: tables.namespace.clone(),
                ..NamespaceSettings::default()
            };
            push("NamespaceTransformer", Transformer::Namespace(settings));
        }
        if !k.name_prefix.is_empty() {
            push(
                "PrefixTransformer",
                Transformer::Affix(Affix::Prefix, k.name_prefix.clone(), tables.name_prefix.clone()),
            );
        }
        if !k.name_suffix.is_empty() {
            push(
                "SuffixTransformer",
                Transformer::Affix(Affix::Suffix, k.name_suffix.clone(), tables.name_suffix.clone()),
            );
        }
        if !k.labels.is_empty() || !k.common_labels.is_empty() {
            for label in &k.labels {
                let specs =
                    label_specs(label, tables).map_err(|error| Error::new(error).in_field("labels"))?;
                push("LabelTransformer", Transformer::Labels(label.pairs.clone(), specs));
            }
            push(
                "LabelTransformer",
                Transformer::Labels(k.common_labels.clone(), tables.common_labels.clone()),
            );
        }
        if !k.common_annotations.is_empty() {
            let transformer =
                Transformer::Annotations(k.common_annotations.clone(), tables.common_annotations.clone());
            push("AnnotationsTransformer", transformer);
        }
        for patch in &k.patches_json6902 {
            let loaded = crate::patches::Json6902::load(patch, &self.loader).map_err(|error| {
                trouble(error, "PatchJson6902Transformer", &patch.to_config("jsonOp"))
                    .in_field("patchesJson6902")
            })?;
            push("PatchJson6902Transformer", Transformer::Json6902(loaded));
        }
        for replica in &k.replicas {
            push("ReplicaCountTransformer", Transformer::Replicas(replica.clone(), tables.replicas.clone()));
        }
        for image in &k.images {
            push("ImageTagTransformer", Transformer::Image(image.clone(), tables.images.clone()));
        }
        if !k.replacements.is_empty() {
            let loaded = crate::replacements::load(&k.replacements, &self.loader).map_err(|error| {
                let config = serde_json::json!({"Replacements": plugins::as_config(&k.replacements)});
                trouble(error, "ReplacementTransformer", &config).in_field("replacements")
            })?;
            push("ReplacementTransformer", Transformer::Replacements(loaded));
        }
        Ok(())
    }

    fn run_validators(&self, context: &mut Context<'_>, acc: &mut Accumulator) -> Result<(), Error> {
        let validators = plugins::load_transformers(self, context, &self.kustomization.validators)
            .map_err(|error| error.in_field("validators"))?;
        for (validator, _) in validators {
            let before = acc.map.clone();
            validator.run(&mut acc.map, self.loader.world())?;
            plugins::same_objects(&before, &acc.map).map_err(|error| {
                Error::new(format!("validator shouldn't modify the resource map: {error}"))
                    .in_field("validators")
            })?;
        }
        Ok(())
    }
}

/// The kustomization file of a folder: its name and text.
pub(crate) fn read_file(loader: &Loader<'_>) -> Result<(String, String), Error> {
    let mut found = None;
    for name in FILE_NAMES {
        let Ok(text) = loader.load_text(name) else { continue };
        if found.is_some() {
            return Err(Error::new(format!("Found multiple kustomization files under: {}\n", loader.root()))
                .in_file(loader.root()));
        }
        found = Some((name.to_owned(), text));
    }
    found.ok_or_else(|| {
        let names: Vec<String> = FILE_NAMES.iter().map(|name| format!("'{name}'")).collect();
        let (last, first) =
            names.split_last().map(|(last, first)| (last.clone(), first.join(", "))).unwrap_or_default();
        Error::new(format!("unable to find one of {first} or {last} in directory '{}'", loader.root()))
            .in_file(loader.root())
    })
}

/// The words for a field that does not make a transformer.
fn trouble(error: Error, plugin: &str, config: &serde_json::Value) -> Error {
    error.wrap(format!("trouble configuring builtin {plugin} with config: `\n{}`", yaml::to_string(config)))
}

/// Refuses two objects of one identity in one file.
pub(crate) fn unique(list: Vec<Resource>, schema: &Schema) -> Result<Vec<Resource>, Error> {
    let mut seen = std::collections::HashSet::with_capacity(list.len());
    for resource in &list {
        let id: ResId = resource.current_id(schema);
        if !seen.insert(id.key()) {
            return Err(Error::new(format!("may not add resource with an already registered id: {id}"))
                .of_resource(id.to_string()));
        }
    }
    Ok(list)
}

fn label_specs(label: &crate::kustomization::Label, tables: &Tables) -> Result<Vec<FieldSpec>, String> {
    let wrap = |error: String| format!("failed to merge labels: {error}");
    let mut specs = label.fields.clone();
    merge_all(&mut specs, &tables.labels).map_err(wrap)?;
    if label.include_selectors {
        merge_all(&mut specs, &tables.common_labels).map_err(wrap)?;
        return Ok(specs);
    }
    if label.include_templates {
        merge_all(&mut specs, &tables.template_labels)
            .map_err(|error| format!("failed to merge template fieldSpec: {error}"))?;
    }
    if label.include_volume_claim_templates {
        merge_all(&mut specs, &tables.volume_claim_template_labels)
            .map_err(|error| format!("failed to merge volumeClaimTemplate fieldSpec: {error}"))?;
    }
    merge_one(&mut specs, &FieldSpec::of("metadata/labels", true)).map_err(wrap)?;
    Ok(specs)
}
