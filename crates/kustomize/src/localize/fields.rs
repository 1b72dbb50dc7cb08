//! The fields of a kustomization, and of built-in plugins, that name files and folders.

use super::Localizer;
use crate::error::Error;
use crate::helm_charts;
use crate::resource;
use crate::tree;
use crate::world;
use serde_json::Value;

/// How a path is taken into the copy.
#[derive(Debug, Clone, Copy)]
enum How {
    File,
    Source,
    Root,
    Resource,
    /// A file of objects, or the objects themselves.
    Objects,
    Charts,
}

/// The fields of a kustomization: where, how, and what a failure is called.
const FIELDS: &[(&[&str], How, &str)] = &[
    (&["openapi", "path"], How::File, "unable to localize openapi path"),
    (&["bases", "*"], How::Root, "unable to localize bases entry"),
    (&["components", "*"], How::Root, "unable to localize components entry"),
    (&["configurations", "*"], How::File, "unable to localize configurations entry"),
    (&["crds", "*"], How::File, "unable to localize crds entry"),
    (&["resources", "*"], How::Resource, "unable to localize resources entry"),
    (&["configMapGenerator", "*", "env"], How::File, "unable to localize configMapGenerator"),
    (&["configMapGenerator", "*", "envs", "*"], How::File, "unable to localize configMapGenerator"),
    (&["configMapGenerator", "*", "files", "*"], How::Source, "unable to localize configMapGenerator"),
    (&["secretGenerator", "*", "env"], How::File, "unable to localize secretGenerator"),
    (&["secretGenerator", "*", "envs", "*"], How::File, "unable to localize secretGenerator"),
    (&["secretGenerator", "*", "files", "*"], How::Source, "unable to localize secretGenerator"),
    (
        &["helmChartInflationGenerator", "*", "values"],
        How::File,
        "unable to localize helmChartInflationGenerator values",
    ),
    (
        &["helmChartInflationGenerator", "*", "chartHome"],
        How::Charts,
        "unable to copy helmChartInflationGenerator",
    ),
    (&["helmCharts", "*", "valuesFile"], How::File, "unable to localize helmCharts valuesFile"),
    (
        &["helmCharts", "*", "additionalValuesFiles", "*"],
        How::File,
        "unable to localize helmCharts additionalValuesFiles",
    ),
    (&["helmGlobals", "chartHome"], How::Charts, "unable to copy helmGlobals"),
    (&["patches", "*", "path"], How::File, "unable to localize patches"),
    (&["patchesJson6902", "*", "path"], How::File, "unable to localize patchesJson6902"),
    (&["patchesStrategicMerge", "*"], How::Objects, "unable to localize patchesStrategicMerge entry"),
    (&["replacements", "*", "path"], How::File, "unable to localize replacements entry"),
];

/// The fields of built-in plugins.
const PLUGIN_FIELDS: &[(&str, &[&str], How)] = &[
    ("ConfigMapGenerator", &["env"], How::File),
    ("ConfigMapGenerator", &["envs", "*"], How::File),
    ("ConfigMapGenerator", &["files", "*"], How::Source),
    ("SecretGenerator", &["env"], How::File),
    ("SecretGenerator", &["envs", "*"], How::File),
    ("SecretGenerator", &["files", "*"], How::Source),
    ("HelmChartInflationGenerator", &["valuesFile"], How::File),
    ("HelmChartInflationGenerator", &["additionalValuesFiles", "*"], How::File),
    ("HelmChartInflationGenerator", &["chartHome"], How::Charts),
    ("PatchTransformer", &["path"], How::File),
    ("PatchJson6902Transformer", &["path"], How::File),
    ("ReplacementTransformer", &["replacements", "*", "path"], How::File),
    ("PatchStrategicMergeTransformer", &["paths", "*"], How::Objects),
];

impl Localizer<'_, '_> {
    /// Takes everything that the kustomization names into the copy; its paths become those in the copy.
    pub(super) fn fields(&mut self, kustomization: &mut Value) -> Result<(), Error> {
        for (path, how, fault) in FIELDS {
            self.visit(kustomization, path, *how)
                .map_err(|error| error.wrap(fault).in_field(path.first().copied().unwrap_or_default()))?;
        }
        let charts = |field: &str| {
            kustomization.get(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty())
        };
        if charts("helmCharts") && kustomization.get("helmGlobals").is_none() {
            self.charts("").map_err(|error| error.wrap("unable to copy default chart home"))?;
        }
        for field in ["generators", "transformers", "validators"] {
            let Some(entries) = kustomization.get_mut(field).and_then(Value::as_array_mut) else { continue };
            for entry in entries {
                let Some(text) = entry.as_str().map(str::to_owned) else { continue };
                let local = self
                    .plugins(&text)
                    .map_err(|error| error.wrap(format!("unable to load {field} entry")).in_field(field))?;
                *entry = Value::from(local);
            }
        }
        Ok(())
    }

    fn visit(&mut self, value: &mut Value, path: &[&str], how: How) -> Result<(), Error> {
        let Some((first, rest)) = path.split_first() else {
            let Some(text) = value.as_str().map(str::to_owned) else { return Ok(()) };
            *value = Value::from(self.take(&text, how)?);
            return Ok(());
        };
        match (*first, value) {
            ("*", Value::Array(items)) => items.iter_mut().try_for_each(|item| self.visit(item, rest, how)),
            (name, Value::Object(fields)) => match fields.get_mut(name) {
                Some(field) => self.visit(field, rest, how),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn take(&mut self, text: &str, how: How) -> Result<String, Error> {
        match how {
            How::File => self.file(text),
            How::Source => self.source(text),
            How::Root => self.root(text),
            How::Resource => self.resource(text),
            How::Objects => match self.objects(text)? {
                (_, true) => self.file(text),
                (_, false) => Ok(text.to_owned()),
            },
            How::Charts => self.charts(text),
        }
    }

    /// `FILE` or `KEY=FILE`.
    fn source(&mut self, source: &str) -> Result<String, Error> {
        let (key, path) = match source.split_once('=') {
            None => ("", source),
            Some((_, rest)) if rest.contains('=') => {
                return Err(Error::new(format!("source {source:?} key name or file path contains '='")));
            }
            Some(("", path)) => {
                return Err(Error::new(format!(
                    "missing key name for file path {path:?} in source {source:?}"
                )));
            }
            Some((key, "")) => {
                return Err(Error::new(format!(
                    "missing file path for key name {key:?} in source {source:?}"
                )));
            }
            Some(both) => both,
        };
        let local = self.file(path).map_err(|error| error.wrap(format!("invalid file source {source:?}")))?;
        Ok(if key.is_empty() { local } else { format!("{key}={local}") })
    }

    /// The objects that an entry is or names, and whether it names a file.
    fn objects(&self, entry: &str) -> Result<(Vec<Value>, bool), Error> {
        let values = |text: &str| -> Result<Vec<Value>, String> {
            resource::parse_resources(text)?.iter().map(|one| tree::to_value(&one.node)).collect()
        };
        let inline = match values(entry) {
            Ok(objects) => return Ok((objects, false)),
            Err(error) => error,
        };
        let from_file = self.load(entry).and_then(|bytes| {
            values(&String::from_utf8_lossy(&bytes)).map_err(|error| resource::file_error(error, entry))
        });
        let objects = from_file.map_err(|error| {
            Error::new(format!(
                "unable to load resource entry {entry:?}: when parsing as inline received error: {inline}\nwhen parsing as filepath received error: {error}"
            ))
        })?;
        Ok((objects, true))
    }

    /// An entry of plugins: the files that built-in ones name come along.
    fn plugins(&mut self, entry: &str) -> Result<String, Error> {
        let (mut objects, is_file) = self.objects(entry)?;
        for object in &mut objects {
            let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            if text("apiVersion") != "builtin" {
                continue;
            }
            let kind = text("kind");
            if kind == "HelmChartInflationGenerator" && object.get("chartHome").is_none() {
                self.charts("")?;
            }
            for (_, path, how) in PLUGIN_FIELDS.iter().filter(|(name, ..)| *name == kind) {
                self.visit(object, path, *how)?;
            }
        }
        let text = objects.iter().map(yaml::to_string).collect::<Vec<_>>().join("---\n");
        if is_file { self.file_with(entry, text.into_bytes()) } else { Ok(text) }
    }

    /// Copies the folder of charts, if it is there; "" stands for the usual one.
    fn charts(&mut self, entry: &str) -> Result<String, Error> {
        let path = if entry.is_empty() { "charts" } else { entry };
        if path.starts_with('/') {
            return Err(Error::new(format!("absolute path {path:?} not handled in alpha")));
        }
        let full = world::join(self.loader.root(), path);
        if !self.loader.world().is_dir(&full) {
            return Ok(entry.to_owned());
        }
        let fault = |error: Error| error.wrap(format!("unable to copy home {entry:?}"));
        let root = self.sub(path).map_err(|error| fault(error.wrap("invalid chart home")))?.root().to_owned();
        let mut files = Default::default();
        helm_charts::collect(self.loader.world(), &root, "", &mut files, 0).map_err(fault)?;
        let local = super::relative(self.loader.root(), &root);
        for (name, bytes) in files {
            self.put(&format!("{local}/{name}"), bytes)?;
        }
        Ok(if entry.is_empty() { String::new() } else { local })
    }
}
