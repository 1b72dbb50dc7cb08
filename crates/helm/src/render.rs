//! A chart and values to manifests, hooks and notes.

use crate::capabilities::Capabilities;
use crate::chart::{Chart, Crd};
use crate::dependencies::{Forest, check_present};
use crate::manifest::{self, Manifest, Reading, Shelf};
use crate::release::{Event, Hook, StoredChart, check_name};
use crate::values::Values;
use crate::values::coalesce::{self, Table, from_values};
use crate::{Error, Result, Stage, schema};
use gotemplate::Origin;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// What templates may ask of the outside.
pub trait World {
    /// `lookup`: the object (or, without a name, the list) as JSON; null when there is none.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String>;

    /// Random bytes, for passwords and certificates.
    fn random(&self, bytes: &mut [u8]);

    /// The present time.
    fn now(&self) -> Timestamp;

    /// The IANA name of the time zone in which dates are shown.
    fn time_zone(&self) -> String {
        "UTC".to_owned()
    }

    /// `getHostByName`; nothing without `--enable-dns`.
    fn host_by_name(&self, name: &str) -> String {
        let _ = name;
        String::new()
    }
}

/// A world without a cluster, as `helm template` has it: lookups find nothing. Time and the seed of the
/// random bytes are handed in, so that the same ones give the same output.
pub struct NoCluster {
    now: Timestamp,
    seed: [u8; 32],
    drawn: Cell<u64>,
    hosts: Option<fn(&str) -> String>,
}

impl NoCluster {
    /// A world at a time.
    pub fn new(now: Timestamp, seed: [u8; 32]) -> Self {
        NoCluster { now, seed, drawn: Cell::new(0), hosts: None }
    }

    /// The same with somebody who knows the addresses of hosts.
    #[must_use]
    pub fn with_hosts(self, hosts: fn(&str) -> String) -> Self {
        NoCluster { hosts: Some(hosts), ..self }
    }
}

impl World for NoCluster {
    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<serde_json::Value, String> {
        Ok(serde_json::Value::Null)
    }

    fn random(&self, bytes: &mut [u8]) {
        fill_random(&self.seed, &self.drawn, bytes);
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn host_by_name(&self, name: &str) -> String {
        self.hosts.map(|hosts| hosts(name)).unwrap_or_default()
    }
}

/// Bytes that follow from a secret seed and a counter alone (SHA-256 of both): random to anybody who does
/// not know the seed, and the same again for who does. For implementations of [`World::random`].
pub fn fill_random(seed: &[u8; 32], drawn: &Cell<u64>, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(32) {
        let block = Sha256::new().chain_update(seed).chain_update(drawn.get().to_le_bytes()).finalize();
        drawn.set(drawn.get().wrapping_add(1));
        for (byte, random) in chunk.iter_mut().zip(block) {
            *byte = random;
        }
    }
}

/// How to render.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    /// The release's name.
    pub release_name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its revision, from 1.
    pub revision: u64,
    /// `.Release.IsInstall`.
    pub is_install: bool,
    /// `.Release.IsUpgrade`.
    pub is_upgrade: bool,
    /// What the cluster can do.
    pub capabilities: Capabilities,
    /// Whether values that break `values.schema.json` are let through.
    pub skip_schema_validation: bool,
    /// Whether the notes of subcharts are shown too.
    pub sub_notes: bool,
    /// Whether a missing key is an error.
    pub strict: bool,
    /// Whether `required` and `fail` let things pass, as `helm lint` does.
    pub lint: bool,
    /// Whether manifests keep only what Helm looks at: their [`Manifest::object`] is null then. It saves
    /// most of the memory where only text is wanted.
    pub heads_only: bool,
    /// Whether templates note where their output comes from; see [`crate::provenance`].
    pub trace: bool,
    /// How much the templates may use up.
    pub limits: gotemplate::Limits,
}

impl Default for RenderOptions {
    fn default() -> Self {
        RenderOptions {
            release_name: "release-name".into(),
            namespace: "default".into(),
            revision: 1,
            is_install: true,
            is_upgrade: false,
            capabilities: Capabilities::default(),
            skip_schema_validation: false,
            sub_notes: false,
            strict: false,
            lint: false,
            heads_only: false,
            trace: false,
            limits: gotemplate::Limits::default(),
        }
    }
}

/// What a chart renders to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendered {
    /// The manifests, in install order.
    pub manifests: Vec<Manifest>,
    /// The hooks, by kind; [`crate::release::hooks_for`] orders those of an event.
    pub hooks: Vec<Hook>,
    /// The files of `crds/` of the charts that take part.
    pub crds: Vec<Crd>,
    /// The rendered `NOTES.txt`.
    pub notes: String,
    /// What Helm logs while it goes on.
    pub warnings: Vec<String>,
}

/// Renders a chart under the user's values (files and `--set`, merged; the chart's own are added here).
pub fn render(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
    world: &dyn World,
) -> Result<Rendered> {
    check_installable(chart)?;
    check_present(chart)?;
    check_name(&options.release_name).map_err(|error| {
        let name = crate::error::quote(&options.release_name);
        error.wrap(format!("release name {name}"))
    })?;
    let mut out = Rendered::default();
    let shelf = Shelf::default();
    let (manifests, notes) = std::thread::scope(|scope| {
        let mut notes = BTreeMap::new();
        let mut reading = Reading::new(&shelf, scope, options.heads_only);
        run_templates(chart, values, options, world, &mut out, &mut |path, text, _| {
            if path.ends_with("NOTES.txt") {
                notes.insert(path, text);
            } else {
                reading.add(path, text);
            }
        })?;
        Ok::<_, Error>((reading.finish()?, notes))
    })?;
    out.notes = join_notes(notes, chart.name(), options.sub_notes);
    let sorted = manifest::sort(manifests);
    out.manifests = sorted.manifests;
    out.hooks = sorted.hooks;
    out.warnings.extend(sorted.warnings);
    Ok(out)
}

/// The outputs of all templates by path, notes included, before anything is split or read.
pub(crate) fn render_files(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
    world: &dyn World,
    out: &mut Rendered,
) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    run_templates(chart, values, options, world, out, &mut |path, text, _| {
        files.insert(path, text);
    })?;
    Ok(files)
}

/// Hands every template's output with its path to `put`, as soon as it is there.
pub(crate) fn run_templates(
    chart: &Chart,
    values: &Values,
    options: &RenderOptions,
    world: &dyn World,
    out: &mut Rendered,
    put: &mut dyn FnMut(String, String, Vec<Origin>),
) -> Result<()> {
    let (forest, values) = prepare(chart, values, &mut out.warnings)?;
    if !options.skip_schema_validation {
        schema::check(&forest, &values)?;
    }
    check_kube_version(chart, options)?;
    forest.crds(Forest::ROOT, &mut out.crds);
    crate::engine::run(&forest, &values, options, world, &mut out.warnings, put)
}

/// The charts that take part and the values they all come to.
fn prepare<'c>(chart: &'c Chart, values: &Values, warnings: &mut Vec<String>) -> Result<(Forest<'c>, Table)> {
    let user = from_values(values);
    let mut forest = Forest::new(chart);
    forest.process(&user, warnings)?;
    let combined = coalesce::chart_values(&forest, Forest::ROOT, &user, false, warnings);
    let combined = combined.map_err(|text| Error::new(Stage::Values, text))?;
    // The same table is brought together several times; each thing is said once.
    let mut said = BTreeSet::new();
    warnings.retain(|warning| said.insert(warning.clone()));
    Ok((forest, combined))
}

/// The values that a chart's templates see: its own, its subcharts' and the user's.
pub fn computed_values(chart: &Chart, values: &Values) -> Result<Values> {
    let (_, combined) = prepare(chart, values, &mut Vec::new())?;
    let json = gotemplate::Value::Map(combined).to_json().map_err(|text| Error::new(Stage::Values, text))?;
    Values::from_json(json)
}

/// The chart as Helm stores it with a release: what settling the dependencies changed of it stays. Of the
/// declared dependencies those that take part are left, and the values of a chart that has some hold those of
/// its subcharts too, which is what `upgrade --reuse-values` then starts from.
pub fn stored_chart(chart: &Chart, values: &Values) -> Result<StoredChart> {
    let mut stored = StoredChart::from(chart);
    let mut forest = Forest::new(chart);
    forest.process(&from_values(values), &mut Vec::new())?;
    stored.metadata.dependencies = forest.requirements(Forest::ROOT);
    if let Some(values) = forest.values(Forest::ROOT).filter(|_| !stored.metadata.dependencies.is_empty()) {
        let json = gotemplate::Value::Map(values).to_json();
        stored.values = Some(Values::from_json(json.map_err(|text| Error::new(Stage::Values, text))?)?);
    }
    Ok(stored)
}

/// Library charts (and unknown types) cannot be installed.
pub fn check_installable(chart: &Chart) -> Result<()> {
    match chart.metadata.chart_type.as_str() {
        "" | "application" => Ok(()),
        other => Err(Error::new(Stage::Chart, format!("{other} charts are not installable"))),
    }
}

fn check_kube_version(chart: &Chart, options: &RenderOptions) -> Result<()> {
    let wanted = &chart.metadata.kube_version;
    let present = &options.capabilities.kube_version.version;
    if wanted.is_empty() || crate::version::is_compatible(wanted, present) {
        return Ok(());
    }
    let text =
        format!("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {present}");
    Err(Error::new(Stage::KubeVersion, text).at("Chart.yaml", 0, 0))
}

/// The notes that are shown, of the chart itself or of all charts.
fn join_notes(rendered: BTreeMap<String, String>, chart: &str, all: bool) -> String {
    let own = format!("{chart}/templates/NOTES.txt");
    let mut notes = String::new();
    for (path, content) in rendered {
        if all || path == own {
            if !notes.is_empty() {
                notes.push('\n');
            }
            notes.push_str(&content);
        }
    }
    notes
}

/// The name that `--name-template` makes.
pub fn release_name(template: &str, world: &dyn World) -> Result<String> {
    crate::engine::text(template, world)
}

/// What of a [`Rendered`] is printed.
#[derive(Debug, Clone, Default)]
pub struct TemplateOptions {
    /// The CRDs come first.
    pub include_crds: bool,
    /// Hooks are left out.
    pub no_hooks: bool,
    /// Hooks for tests are left out.
    pub skip_tests: bool,
    /// Only the manifests of these templates (paths below the chart, or patterns).
    pub show_only: Vec<String>,
}

/// A separator, the source comment and the content, as every manifest is printed.
fn document(path: &str, content: &str) -> String {
    format!("---\n# Source: {path}\n{content}\n")
}

/// The same in pieces.
fn push_document<'t>(pieces: &mut Vec<Cow<'t, str>>, path: &'t str, content: Cow<'t, str>) {
    pieces.extend(["---\n# Source: ".into(), path.into(), "\n".into(), content, "\n".into()]);
}

impl Rendered {
    /// The text that a release stores: every manifest with its source.
    pub fn manifest(&self) -> String {
        self.manifests.iter().map(|manifest| document(&manifest.path, &manifest.content)).collect()
    }

    /// The hooks that are printed.
    fn shown_hooks<'r>(&'r self, options: &TemplateOptions) -> impl Iterator<Item = &'r Hook> {
        let (no_hooks, skip_tests) = (options.no_hooks, options.skip_tests);
        self.hooks.iter().filter(move |hook| !(no_hooks || skip_tests && hook.runs_at(Event::Test)))
    }

    /// The text that `helm template` prints.
    pub fn to_template(&self, options: &TemplateOptions) -> Result<String> {
        Ok(self.template_pieces(options)?.concat())
    }

    /// The text that `helm template` prints, in the pieces that are there already: a large one need not be
    /// put together only to be written.
    pub fn template_pieces(&self, options: &TemplateOptions) -> Result<Vec<Cow<'_, str>>> {
        let crds = self.crds.iter().filter(|_| options.include_crds).map(|crd| (&crd.path, crd.text()));
        let manifests = self.manifests.iter().map(|manifest| (&manifest.path, (&*manifest.content).into()));
        if !options.show_only.is_empty() {
            let text: String = crds
                .chain(manifests)
                .map(|(path, content): (_, Cow<'_, str>)| document(path, &content))
                .collect();
            return Ok(vec![template_text(&text, self.shown_hooks(options), &options.show_only)?.into()]);
        }
        let mut pieces = Vec::new();
        for (path, content) in crds.chain(manifests) {
            push_document(&mut pieces, path, content);
        }
        // The text ends in one newline, whatever the last manifest ends in.
        while let Some(last) = pieces.pop() {
            let kept = last.trim_end().len();
            if kept > 0 {
                pieces.push(match last {
                    Cow::Borrowed(text) => text.get(..kept).unwrap_or_default().into(),
                    Cow::Owned(text) => text.get(..kept).unwrap_or_default().to_owned().into(),
                });
                break;
            }
        }
        pieces.push("\n".into());
        for hook in self.shown_hooks(options) {
            push_document(&mut pieces, &hook.path, (&*hook.manifest).into());
        }
        Ok(pieces)
    }

    /// The files that `helm template --output-dir` writes, below that folder, in the order of writing.
    pub fn to_files(&self, options: &TemplateOptions) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = Vec::new();
        let mut add = |path: &str, content: &str| {
            let text = document(path, content);
            match files.iter_mut().find(|(known, _)| known == path) {
                Some((_, old)) => old.push_str(&text),
                None => files.push((path.to_owned(), text)),
            }
        };
        if options.include_crds {
            self.crds.iter().for_each(|crd| add(&crd.path, &crd.text()));
        }
        self.manifests.iter().for_each(|manifest| add(&manifest.path, &manifest.content));
        self.shown_hooks(options).for_each(|hook| add(&hook.path, &hook.manifest));
        files
    }

    /// Hands the manifests to a post-renderer and takes what it gives back; hooks are left alone.
    pub fn post_render(&mut self, run: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<()> {
        let text = run(&self.manifest()).map_err(|text| {
            let text = format!("error while running post render on files: {text}");
            Error::new(Stage::Manifest, text)
        })?;
        let mut manifests = crate::release::stored_manifests(&text)?;
        for manifest in &mut manifests {
            let mark = format!("# Source: {}\n", manifest.path);
            if let Some(rest) = manifest.content.strip_prefix(&mark) {
                manifest.content = rest.to_owned();
            }
        }
        self.manifests = manifests;
        Ok(())
    }
}

/// The manifests' text and the hooks as `helm template` prints them, whole or filtered.
pub fn template_text<'h>(
    manifests: &str,
    hooks: impl Iterator<Item = &'h Hook>,
    show_only: &[String],
) -> Result<String> {
    let mut text = manifests.trim().to_owned();
    text.push('\n');
    text.extend(hooks.map(|hook| document(&hook.path, &hook.manifest)));
    if show_only.is_empty() {
        return Ok(text);
    }
    let mut out = String::new();
    for wanted in show_only {
        let mut missing = true;
        for document in manifest::split(&text) {
            let Some(path) = inner_path(document) else { continue };
            if crate::path::matches(wanted, path).unwrap_or(false) {
                missing = false;
                out.push_str(&format!("---\n{document}\n"));
            }
        }
        if missing {
            return Err(Error::new(Stage::Chart, format!("could not find template {wanted} in chart")));
        }
    }
    Ok(out)
}

/// The path below the chart that a document's source comment names.
fn inner_path(document: &str) -> Option<&str> {
    document.lines().find_map(|line| {
        let (_, rest) = line.split_once("# Source: ")?;
        let (_, inner) = rest.split_once('/')?;
        (!inner.is_empty()).then_some(inner)
    })
}
