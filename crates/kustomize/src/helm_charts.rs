//! `helmCharts`: charts inflated by our own Helm.

use crate::Options;
use crate::error::Error;
use crate::kustomization::HelmChart;
use crate::loader::Loader;
use crate::merge::{self, Grow};
use crate::resource::{self, Resource};
use crate::tree::{self, Node};
use crate::world::{self, HelmPull, World};
use helm::{Chart, KubeVersion, NoCluster, RenderOptions, TemplateOptions, Values};
use serde_json::Value;
use std::collections::BTreeMap;

/// How deep a chart's folders may nest.
const MAX_DEPTH: usize = 32;

/// Renders a chart into objects.
pub(crate) fn inflate(
    chart: &HelmChart,
    loader: &Loader<'_>,
    options: &Options,
) -> Result<Vec<Resource>, Error> {
    let plan = configured(chart, loader, options)?;
    let text =
        plan.render(&plan.chart_files()?, options).map_err(|error| error.of_resource(chart.name.clone()))?;
    let mut made = resource::parse_resources(&text)
        .map_err(|error| Error::new(format!("could not parse bytes into resource map: {error}")))?;
    for resource in &mut made {
        resource.helm_generated = true;
        resource.has_annotations_now();
    }
    Ok(made)
}

/// Looks through a chart's settings, as its generator does before any of them runs.
pub(crate) fn check(chart: &HelmChart, loader: &Loader<'_>, options: &Options) -> Result<(), Error> {
    configured(chart, loader, options).map(drop)
}

fn configured<'a>(
    chart: &'a HelmChart,
    loader: &'a Loader<'a>,
    options: &'a Options,
) -> Result<Plan<'a>, Error> {
    if !options.enable_helm {
        return Err(Error::new("must specify --enable-helm"));
    }
    Plan::new(chart, loader, options)
}

/// A chart's settings, checked.
struct Plan<'a> {
    chart: &'a HelmChart,
    loader: &'a Loader<'a>,
    home: String,
    values_file: String,
    kube_version: &'a str,
    api_versions: &'a [String],
}

impl<'a> Plan<'a> {
    fn new(chart: &'a HelmChart, loader: &'a Loader<'a>, options: &'a Options) -> Result<Self, Error> {
        if chart.name.is_empty() {
            return Err(Error::new("chart name cannot be empty"));
        }
        if chart.release_name.starts_with('-') {
            return Err(Error::new(format!(
                "releaseName must not start with '-', got {:?}",
                chart.release_name
            )));
        }
        if chart.name.starts_with('-') {
            return Err(Error::new(format!("chart name must not start with '-', got {:?}", chart.name)));
        }
        if !matches!(chart.values_merge.as_str(), "" | "merge" | "override" | "replace") {
            return Err(Error::new("valuesMerge must be one of [merge override replace]"));
        }
        let home = if chart.chart_home.is_empty() { "charts" } else { &chart.chart_home };
        let mut home = world::join(loader.root(), home);
        if !chart.version.is_empty() && !chart.repo.is_empty() {
            home = world::join(&home, &format!("{}-{}", chart.name, chart.version));
        }
        let values_file = if chart.values_file.is_empty() {
            world::join(&home, &format!("{}/values.yaml", chart.name))
        } else {
            chart.values_file.clone()
        };
        for file in &chart.additional_values_files {
            loader
                .load(file)
                .map_err(Error::from)
                .map_err(|error| error.wrap("could not load additionalValuesFile"))?;
        }
        // What the kustomization says counts more than the command line.
        let kube_version =
            if chart.kube_version.is_empty() { &options.helm_kube_version } else { &chart.kube_version };
        let api_versions =
            if chart.api_versions.is_empty() { &options.helm_api_versions } else { &chart.api_versions };
        Ok(Plan { chart, loader, home, values_file, kube_version, api_versions })
    }

    /// The chart's files: those at hand, or those fetched.
    fn chart_files(&self) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let world = self.loader.world();
        let dir = world::join(&self.home, &self.chart.name);
        if world.is_dir(&dir) {
            let mut files = BTreeMap::new();
            collect(world, &dir, "", &mut files, 0)?;
            return Ok(files);
        }
        if self.chart.repo.is_empty() {
            return Err(
                Error::new(format!("no repo specified for pull, no chart found at '{dir}'")).in_file(dir)
            );
        }
        let pull = HelmPull {
            name: self.chart.name.clone(),
            version: self.chart.version.clone(),
            repo: self.chart.repo.clone(),
            devel: self.chart.devel,
        };
        world
            .helm_pull(&pull)
            .map_err(|error| Error::new(format!("unable to fetch chart {}: {error}", self.chart.name)))
    }

    /// The values that the user gives, all files merged.
    fn values(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<Values, Error> {
        let inline = self.chart.values_inline.as_ref().filter(|inline| !inline.is_empty());
        let mut values = Values::new();
        match inline {
            None => {
                if let Some(more) = parse_values(&self.values_text(files)?)? {
                    values.merge(more);
                }
            }
            Some(inline) => {
                let inline = tree::from_value(&Value::Object(inline.clone()));
                let merged = if self.chart.values_merge == "replace" {
                    inline
                } else {
                    self.merge_inline(inline, files)?
                };
                let merged = tree::to_value(&merged)
                    .map_err(|error| Error::new(error).wrap("could not parse merged values into map"))?;
                values.merge(from_json(merged)?);
            }
        }
        for file in &self.chart.additional_values_files {
            let text = self.loader.load_text(file)?;
            if let Some(more) = parse_values(&text)? {
                values.merge(more);
            }
        }
        Ok(values)
    }

    fn merge_inline(&self, inline: Node, files: &BTreeMap<String, Vec<u8>>) -> Result<Node, Error> {
        let text = self.values_text(files)?;
        let chart = tree::parse_one(&text)
            .map_err(|error| Error::new(error).wrap("could not parse values file into rnode"))?
            .unwrap_or_else(Node::map);
        let (dest, patch) =
            if self.chart.values_merge == "merge" { (inline, chart) } else { (chart, inline) };
        let merged = merge::merge(dest, patch, None, Grow::Back)
            .map_err(|error| error.wrap("could not merge values"))?;
        Ok(merged.unwrap_or_else(Node::map))
    }

    fn values_text(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<String, Error> {
        let world = self.loader.world();
        let full = world::join(self.loader.root(), &self.values_file);
        if self.chart.values_file.is_empty() && !world.is_file(&full) {
            // A fetched chart is not on disk.
            if let Some(bytes) = files.get("values.yaml") {
                return Ok(String::from_utf8_lossy(bytes).into_owned());
            }
        }
        self.loader.load_text(&self.values_file).map_err(Error::from)
    }

    fn render(&self, files: &BTreeMap<String, Vec<u8>>, options: &Options) -> Result<String, Error> {
        let values = self.values(files)?;
        let fail = |error: helm::Error| Error::new(error.to_string());
        let chart = Chart::from_files(files.clone()).map_err(fail)?;
        helm::check_installable(&chart).map_err(fail)?;
        let now = jiff::Timestamp::from_second(options.helm_time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let world = NoCluster::new(now, options.helm_seed);
        let release_name = match (self.chart.name_template.as_str(), self.chart.release_name.as_str()) {
            ("", "") => "release-name".to_owned(),
            ("", name) => name.to_owned(),
            (template, _) => helm::release_name(template, &world).map_err(fail)?,
        };
        let mut render = RenderOptions { release_name, ..RenderOptions::default() };
        if !self.chart.namespace.is_empty() {
            render.namespace.clone_from(&self.chart.namespace);
        }
        if !self.kube_version.is_empty() {
            render.capabilities.kube_version = KubeVersion::parse(self.kube_version).map_err(fail)?;
        }
        render.capabilities.api_versions.extend(self.api_versions.iter().cloned());
        let rendered = helm::render(&chart, &values, &render, &world).map_err(fail)?;
        let shown = TemplateOptions {
            include_crds: self.chart.include_crds,
            no_hooks: self.chart.skip_hooks,
            skip_tests: self.chart.skip_tests,
            ..TemplateOptions::default()
        };
        rendered.to_template(&shown).map_err(fail)
    }
}

fn parse_values(text: &str) -> Result<Option<Values>, Error> {
    Values::parse(text).map_err(|error| Error::new(error.to_string()))
}

fn from_json(value: Value) -> Result<Values, Error> {
    Values::from_json(value).map_err(|error| Error::new(error.to_string()))
}

/// Every file below a folder, by its path in it.
pub(crate) fn collect(
    world: &dyn World,
    dir: &str,
    below: &str,
    files: &mut BTreeMap<String, Vec<u8>>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(
            Error::new(format!("the chart's folders nest deeper than {MAX_DEPTH} levels")).in_file(dir)
        );
    }
    let failed = |error: crate::WorldError, path: &str| Error::new(format!("{path}: {error}")).in_file(path);
    for name in world.list_dir(dir).map_err(|error| failed(error, dir))? {
        let path = world::join(dir, &name);
        let relative = if below.is_empty() { name } else { format!("{below}/{name}") };
        if world.is_dir(&path) {
            collect(world, &path, &relative, files, depth + 1)?;
        } else {
            files.insert(relative, world.read(&path).map_err(|error| failed(error, &path))?);
        }
    }
    Ok(())
}
