//! `landfall render`: what would be applied, without a cluster.

use super::provenance;
use crate::entry::{self, Kind};
use crate::errors::usage;
use crate::views::Output;
use anyhow::Context;
use helm::provenance::ValueFiles;
use helm::{Chart, NoCluster, RenderOptions, TemplateOptions, Values};
use kustomize::MemoryWorld;
use object::Value;
use serde_json::json;
use source::{Limits, Tree, WorkingCopy};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `landfall render`.
#[derive(clap::Args)]
pub struct Args {
    /// A chart (folder or archive), a kustomization, a folder of manifests or Jsonnet, a Jsonnet program, or a file
    /// with HelmReleases, Kustomizations and Applications
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Charts: the release's name
    #[arg(long, default_value = "release-name")]
    name: String,
    /// Charts: the release's namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Charts: values files, the last one wins
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    values: Vec<PathBuf>,
    /// Charts: values by path, a.b=c
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Applications: serve URL from a folder, an archive or another address: URL=PATH
    #[arg(long = "map", value_name = "URL=PATH")]
    maps: Vec<String>,
    /// Charts: leave the CRDs out
    #[arg(long)]
    skip_crds: bool,
    /// Charts: show for every line the line of the template and the values that it comes from
    #[arg(long)]
    provenance: bool,
    /// The format: yaml, json, or name for one line per object
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

/// Renders and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.path.display().to_string();
    let path = args.path.canonicalize().map_err(|error| usage(format!("{shown}: {error}")))?;
    if path.is_file() {
        return match is_archive(&path) {
            true => {
                let bytes = std::fs::read(&path).with_context(|| shown.clone())?;
                let chart =
                    Chart::from_archive(&bytes).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
                print_chart(&chart, args)
            }
            false if is_jsonnet(&path) => print_jsonnet(&path, args),
            false => print_delivery(&path, args),
        };
    }
    let mut copy = WorkingCopy::open(&path, Limits::default()).map_err(|error| usage(error.to_string()))?;
    let root = copy.root().to_path_buf();
    let inside = relative(&root, &path);
    // Nothing is ignored here: what the user points at is what is meant.
    let tree = copy.snapshot(Some("")).map_err(|error| usage(error.to_string()))?.tree;
    let found = entry::entry_at(&tree, &inside)
        .ok_or_else(|| usage(format!("{shown} is empty: there is nothing to render in it")))?;
    match found.kind {
        Kind::Chart => {
            let files = chart_files(&tree, &inside)?;
            let chart = Chart::from_files(files).map_err(|error| anyhow::anyhow!("{shown}: {error}"))?;
            print_chart(&chart, args)
        }
        _ if only_jsonnet(&tree, &inside) => print_application(&tree, &directory(&inside, None), args),
        _ => print_objects(&build(&tree, &inside)?, args.output),
    }
}

fn is_jsonnet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jsonnet")
}

/// Does the folder hold Jsonnet programs, and nothing that says otherwise?
fn only_jsonnet(tree: &Tree, folder: &str) -> bool {
    let below = if folder == "." { Ok(tree.clone()) } else { tree.subtree(folder) };
    below.is_ok_and(|below| {
        let mut direct = below.files().map(|(path, _)| path).filter(|path| !path.contains('/'));
        let named = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
        !named.iter().any(|name| below.is_file(name)) && direct.any(|path| path.ends_with(".jsonnet"))
    })
}

/// An Application of a folder's files, or of one of them.
fn directory(folder: &str, file: Option<&str>) -> Value {
    let mut directory = json!({});
    if let Some(file) = file {
        directory["include"] = json!(file);
    }
    json!({"metadata": {"name": "render"}, "spec": {
        "source": {"repoURL": "file:///checkout", "path": folder, "directory": directory},
    }})
}

fn print_jsonnet(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let folder = path.parent().unwrap_or(path);
    let mut copy = WorkingCopy::open(folder, Limits::default()).map_err(|error| usage(error.to_string()))?;
    let inside = relative(copy.root(), folder);
    let tree = copy.snapshot(Some("")).map_err(|error| usage(error.to_string()))?.tree;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    print_application(&tree, &directory(&inside, name.as_deref()), args)
}

fn print_application(tree: &Tree, application: &Value, args: &Args) -> anyhow::Result<ExitCode> {
    print_objects(&applications(tree, &[application], args)?, args.output)
}

/// What Applications of a checkout make, as Argo CD renders them.
fn applications(tree: &Tree, all: &[&Value], args: &Args) -> anyhow::Result<Vec<Value>> {
    let here = std::env::current_dir().context("the current folder")?;
    let mut maps = source::Maps::default();
    for line in &args.maps {
        maps.add_line(line, &here).map_err(|error| usage(error.to_string()))?;
    }
    let options = source::Options { maps, ..source::Options::default() };
    let fetcher = source::Fetcher::new(options).context("cannot keep fetched sources")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let evaluator = super::jsonnet::evaluator()?;
    let offline = argo::render::offline::Offline {
        checkout: tree,
        fetcher,
        runtime: runtime.handle().clone(),
        evaluator: &evaluator,
        now: jiff::Timestamp::now(),
    };
    let mut objects = Vec::new();
    for application in all {
        let made = offline.application(application).map_err(|failure| {
            let name = object::meta::name(application);
            let place = match (&failure.file, failure.line) {
                (Some(file), Some(line)) => format!("{file}:{line}: "),
                (Some(file), None) => format!("{file}: "),
                (None, _) => String::new(),
            };
            anyhow::anyhow!("application/{name}: {place}{}", failure.message)
        })?;
        objects.extend(made);
    }
    runtime.shutdown_background();
    Ok(objects)
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tgz" || extension == "gz")
}

fn relative(root: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(Path::new(""));
    entry::normal(&rest.to_string_lossy())
}

/// The files below a folder, by path from it.
pub fn chart_files(tree: &Tree, folder: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let below = if folder == "." { tree.clone() } else { tree.subtree(folder)? };
    below.files().map(|(path, _)| Ok((path.to_owned(), below.read(path)?.to_vec()))).collect()
}

fn print_chart(chart: &Chart, args: &Args) -> anyhow::Result<ExitCode> {
    let mut values = Values::new();
    let mut places = ValueFiles::of_chart(chart);
    for file in &args.values {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let read = Values::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        values.merge(read.unwrap_or_default());
        places.add_file(&file.display().to_string(), &text);
    }
    for expression in &args.set {
        values.set(expression)?;
        let mut alone = Values::new();
        alone.set(expression)?;
        places.add_set(&format!("--set {expression}"), alone);
    }
    let options = RenderOptions {
        release_name: args.name.clone(),
        namespace: args.namespace.clone(),
        ..Default::default()
    };
    // A seed of the chart's own, so that the same render gives the same bytes.
    let world = NoCluster::new(jiff::Timestamp::now(), [0; 32]);
    if args.provenance {
        let as_json = args.output == Output::Json;
        print!("{}", provenance::show(chart, &values, &places, &options, &world, as_json)?);
        return Ok(ExitCode::SUCCESS);
    }
    let rendered = helm::render(chart, &values, &options, &world)?;
    let text =
        rendered.to_template(&TemplateOptions { include_crds: !args.skip_crds, ..Default::default() })?;
    if args.output == Output::Yaml {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    print_objects(&yaml::documents(&text)?, args.output)
}

/// The objects of a folder: its kustomization, or the one that Flux would generate for it.
fn build(tree: &Tree, folder: &str) -> anyhow::Result<Vec<Value>> {
    let mut world = MemoryWorld::new();
    for (path, _) in tree.files() {
        world.insert(&format!("/{path}"), tree.read(path)?.to_vec());
    }
    let dir = if folder == "." { "/".to_owned() } else { format!("/{folder}") };
    if kustomize::read_kustomization(&world, &dir)?.is_none() {
        let made = kustomize::generate_kustomization(&world, &dir)?;
        world.insert(&format!("{}/kustomization.yaml", dir.trim_end_matches('/')), yaml::to_string(&made));
    }
    let options =
        kustomize::Options { load_restrictions: kustomize::LoadRestrictions::None, ..Default::default() };
    let built = kustomize::build(&world, &dir, &options).map_err(|error| super::kustomize::told(&error))?;
    Ok(built.into_values())
}

/// Renders every delivery object of a file from the repository that holds the file.
fn print_delivery(path: &Path, args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.path.display();
    let text = std::fs::read_to_string(path).with_context(|| shown.to_string())?;
    let objects = yaml::documents(&text).map_err(|error| usage(format!("{shown}: {error}")))?;
    let folder = path.parent().unwrap_or(path);
    let mut copy = WorkingCopy::open(folder, Limits::default()).map_err(|error| usage(error.to_string()))?;
    let tree = copy.snapshot(Some("")).map_err(|error| usage(error.to_string()))?.tree;
    let mut rendered = Vec::new();
    let mut delivered = 0;
    for object in &objects {
        let found = match object.get("kind").and_then(Value::as_str) {
            Some("Kustomization") => {
                let inside = object::get_str(object, &["spec", "path"]).unwrap_or(".");
                build(&tree, &entry::normal(inside))?
            }
            Some("HelmRelease") => release(&tree, object)?,
            Some("Application") => applications(&tree, &[object], args)?,
            _ => continue,
        };
        delivered += 1;
        rendered.extend(found);
    }
    if delivered == 0 {
        return Err(usage(format!(
            "{shown} holds no Kustomization, HelmRelease or Application; give a folder or a chart"
        )));
    }
    print_objects(&rendered, args.output)
}

/// A HelmRelease whose chart lies in the same repository.
fn release(tree: &Tree, object: &Value) -> anyhow::Result<Vec<Value>> {
    let name = object::meta::name(object);
    let chart = object::get_str(object, &["spec", "chart", "spec", "chart"]).unwrap_or_default();
    let folder = entry::normal(chart);
    if !tree.is_file(&format!("{folder}/Chart.yaml")) {
        return Err(usage(format!(
            "helmrelease/{name}: its chart {chart:?} is not a folder of this repository; render it while it runs: \
             landfall up, then: helm get manifest {name}"
        )));
    }
    let chart = Chart::from_files(chart_files(tree, &folder)?)?;
    let values = object::get(object, &["spec", "values"]).cloned().unwrap_or_else(|| json!({}));
    let namespace = object::get_str(object, &["spec", "targetNamespace"])
        .or_else(|| object::meta::namespace(object))
        .unwrap_or_default();
    let options = RenderOptions {
        release_name: object::get_str(object, &["spec", "releaseName"]).unwrap_or(name).to_owned(),
        namespace: if namespace.is_empty() { "default".to_owned() } else { namespace.to_owned() },
        ..Default::default()
    };
    let world = NoCluster::new(jiff::Timestamp::now(), [0; 32]);
    let rendered = helm::render(&chart, &Values::from_json(values)?, &options, &world)?;
    let text = rendered.to_template(&TemplateOptions { include_crds: true, ..Default::default() })?;
    Ok(yaml::documents(&text)?)
}

fn print_objects(objects: &[Value], output: Output) -> anyhow::Result<ExitCode> {
    match output {
        Output::Json => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            println!("{}", serde_json::to_string_pretty(&list)?);
        }
        Output::Yaml => {
            let texts: Vec<String> = objects.iter().map(yaml::to_string).collect();
            print!("{}", texts.join("---\n"));
        }
        Output::Name | Output::Table | Output::Wide => {
            for object in objects {
                let key = object::Key::of(object)?;
                println!("{}", super::look::shown(&key));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
