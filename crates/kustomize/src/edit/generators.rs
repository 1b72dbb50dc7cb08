//! Generators of config maps and secrets.

use super::set::text;
use super::{Changed, Editor, KustomizationFile, glob};
use crate::LoadRestrictions;
use crate::error::Error;
use crate::generate::{self, Generated};
use crate::kustomization::{GeneratorArgs, GeneratorOptions};
use crate::loader::Loader;
use serde_json::{Map, Value, json};

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// `configMapGenerator`
    ConfigMap,
    /// `secretGenerator`
    Secret,
}

impl Generator {
    fn field(self) -> &'static str {
        match self {
            Generator::ConfigMap => "configMapGenerator",
            Generator::Secret => "secretGenerator",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Generator::ConfigMap => "configmap",
            Generator::Secret => "secret",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Generator::ConfigMap => "ConfigMap",
            Generator::Secret => "Secret",
        }
    }
}

/// The flags of `add` and `set` for generators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--from-file`, patterns allowed
    pub files: Vec<String>,
    /// `--from-literal`
    pub literals: Vec<String>,
    /// `--from-env-file`
    pub env_file: String,
    /// `--behavior`
    pub behavior: String,
    /// `--type`, of secrets
    pub secret_type: String,
    /// `--namespace`
    pub namespace: String,
    /// `--new-namespace`
    pub new_namespace: String,
    /// `--disableNameSuffixHash`
    pub disable_name_suffix_hash: bool,
}

impl Flags {
    fn check_add<'a>(&self, args: &'a [String], files: &[String]) -> Result<&'a str, String> {
        let [name] = args else { return Err("name must be specified once".to_owned()) };
        let (env, files) = (!self.env_file.is_empty(), !files.is_empty() || !self.literals.is_empty());
        if !env && !files {
            return Err("at least from-env-file, or from-file or from-literal must be set".to_owned());
        }
        if env && files {
            return Err("from-env-file cannot be combined with from-file or from-literal".to_owned());
        }
        if !matches!(self.behavior.as_str(), "" | "create" | "merge" | "replace") {
            return Err("invalid behavior: must be one of \"create\", \"merge\", or \"replace\"".to_owned());
        }
        Ok(name)
    }

    fn check_set<'a>(&self, args: &'a [String]) -> Result<&'a str, String> {
        let [name] = args else { return Err("name must be specified once".to_owned()) };
        if self.literals.is_empty() && self.new_namespace.is_empty() {
            return Err("at least one of [--from-literal, --new-namespace] must be specified".to_owned());
        }
        Ok(name)
    }

    fn merge_into(&self, entry: &mut Map<String, Value>, files: Vec<String>) {
        let mut extend = |field: &str, more: Vec<String>| {
            if more.is_empty() {
                return;
            }
            let slot = entry.entry(field).or_insert_with(|| json!([]));
            if let Value::Array(list) = slot {
                list.extend(more.into_iter().map(Value::from));
            }
        };
        extend("literals", self.literals.clone());
        extend("files", files);
        extend("envs", Vec::from_iter((!self.env_file.is_empty()).then(|| self.env_file.clone())));
        if self.disable_name_suffix_hash {
            entry.insert("options".to_owned(), json!({"disableNameSuffixHash": true}));
        }
        if !self.behavior.is_empty() {
            entry.insert("behavior".to_owned(), Value::from(self.behavior.as_str()));
        }
    }
}

/// No namespace is the default one.
fn same_namespace(left: &str, right: &str) -> bool {
    let full = |name: &str| if name.is_empty() { "default".to_owned() } else { name.to_owned() };
    full(left) == full(right)
}

impl Editor<'_> {
    pub(super) fn add_generator(
        &mut self,
        which: Generator,
        args: &[String],
        flags: &Flags,
    ) -> Result<Changed, Error> {
        let files = self.expand(&flags.files).map_err(|error| error.wrap("failed to expand file source"))?;
        let name = flags
            .check_add(args, &files)
            .map_err(|error| Error::new(error).wrap("failed to validate flags"))?
            .to_owned();
        let (path, mut file) = self.open().map_err(loading)?;
        let failed = |error: Error| error.wrap("failed to create ".to_owned() + which.name()).in_file(&path);
        let list = file.list_mut(which.field());
        let found = list.iter().position(|entry| {
            text(entry, "name") == name && same_namespace(text(entry, "namespace"), &flags.namespace)
        });
        let index = found.unwrap_or_else(|| {
            let mut entry = json!({"name": name, "namespace": flags.namespace});
            if let (Generator::Secret, Some(entry)) = (which, entry.as_object_mut()) {
                let kind = if flags.secret_type.is_empty() { "Opaque" } else { &flags.secret_type };
                entry.insert("type".to_owned(), Value::from(kind));
            }
            list.push(entry);
            list.len() - 1
        });
        let global = file.get("generatorOptions").cloned();
        let entry = entry_at(&mut file, which, index).map_err(failed)?;
        flags.merge_into(entry, files);
        self.settle(which, entry, global).map_err(failed)?;
        Ok(Some((path, file)))
    }

    pub(super) fn set_generator(
        &mut self,
        which: Generator,
        args: &[String],
        flags: &Flags,
    ) -> Result<Changed, Error> {
        let name =
            flags.check_set(args).map_err(|error| Error::new(error).wrap("failed to validate flags"))?;
        let (path, mut file) = self.open().map_err(loading)?;
        let failed = |error: Error| error.wrap("failed to create ".to_owned() + which.name()).in_file(&path);
        let found = file.list_mut(which.field()).iter().position(|entry| {
            text(entry, "name") == name && same_namespace(text(entry, "namespace"), &flags.namespace)
        });
        let index = found.ok_or_else(|| {
            failed(
                Error::new(format!("unable to find {} with name {name:?}", which.kind()))
                    .wrap(format!("could not set new {} value", which.kind())),
            )
        })?;
        let global = file.get("generatorOptions").cloned();
        let entry = entry_at(&mut file, which, index).map_err(failed)?;
        if !flags.literals.is_empty() {
            update_literals(entry, &flags.literals)
                .map_err(|error| failed(Error::new(error).wrap("failed to update literal sources")))?;
        }
        if !flags.new_namespace.is_empty() {
            entry.insert("namespace".to_owned(), Value::from(flags.new_namespace.as_str()));
        }
        let invalid = format!("failed to validate {} structure", which.kind());
        self.settle(which, entry, global).map_err(|error| failed(error.wrap(invalid)))?;
        Ok(Some((path, file)))
    }

    pub(super) fn remove_generator(
        &mut self,
        which: Generator,
        args: &[String],
        namespace: &str,
    ) -> Result<Changed, Error> {
        let name = which.name();
        let names: Vec<&str> = match args {
            [] => return Err(Error::new(format!("at least one {name} name must be specified"))),
            [one] => one.split(',').collect(),
            several => {
                return Err(Error::new(format!(
                    "too many arguments: [{}]; to provide multiple {name}s to remove, please separate {name} names by commas",
                    several.join(" ")
                )));
            }
        };
        let (path, mut file) =
            self.open().map_err(|error| error.wrap("could not read kustomization file"))?;
        let mut removed = Vec::new();
        file.list_mut(which.field()).retain(|entry| {
            let own = text(entry, "name");
            let goes = names.contains(&own) && same_namespace(text(entry, "namespace"), namespace);
            if goes {
                removed.push(own.to_owned());
            }
            !goes
        });
        if removed.is_empty() {
            let fault = format!("no specified {name}(s) were found in the kustomization.yaml file");
            return Err(Error::new(fault).in_file(path));
        }
        for one in names.iter().filter(|one| !removed.iter().any(|name| name == *one)) {
            self.note(format!("{name} {one} doesn't exist in kustomization file"));
        }
        Ok(Some((path, file)))
    }

    /// Patterns of `--from-file` written out; one with a key stands for one file.
    fn expand(&mut self, patterns: &[String]) -> Result<Vec<String>, Error> {
        let mut out = Vec::new();
        for pattern in patterns {
            let parts: Vec<&str> = pattern.split('=').collect();
            let (key, path) = match parts.as_slice() {
                [key, path] => (*key, *path),
                _ => ("", parts.first().copied().unwrap_or_default()),
            };
            let found = glob::find(self.world, &self.dir, path)?;
            if found.is_empty() {
                self.note(format!("{path} has no match"));
            }
            if key.is_empty() {
                out.extend(found);
                continue;
            }
            match found.as_slice() {
                [one] => out.push(format!("{key}={one}")),
                several => {
                    return Err(Error::new(format!(
                        "'pattern '{pattern}' catches files [{}], should catch only one",
                        several.join(" ")
                    )));
                }
            }
        }
        Ok(out)
    }

    /// Puts the options of all generators into an entry and tries whether it makes an object.
    fn settle(
        &self,
        which: Generator,
        entry: &mut Map<String, Value>,
        global: Option<Value>,
    ) -> Result<(), Error> {
        let told = |error: serde_json::Error| Error::new(format!("invalid Kustomization: {error}"));
        let mut args: GeneratorArgs = serde_json::from_value(Value::Object(entry.clone())).map_err(told)?;
        let global: Option<GeneratorOptions> =
            global.map(serde_json::from_value).transpose().map_err(told)?;
        args.options = generate::merge_options(args.options.take(), global.as_ref());
        if let Some(options) = &args.options {
            let options = json!({
                "labels": options.labels,
                "annotations": options.annotations,
                "disableNameSuffixHash": options.disable_name_suffix_hash,
                "immutable": options.immutable,
            });
            entry.insert("options".to_owned(), options);
        }
        let loader = Loader::new(self.world, &self.dir, LoadRestrictions::RootOnly)?;
        let kind = match which {
            Generator::ConfigMap => Generated::ConfigMap,
            Generator::Secret => Generated::Secret,
        };
        generate::generate(kind, &args, &loader).map(|_made| ())
    }
}

fn loading(error: Error) -> Error {
    let prefix = if error.message.starts_with("invalid") { "read" } else { "load" };
    error.wrap(format!("failed to {prefix} kustomization file"))
}

fn entry_at(
    file: &mut KustomizationFile,
    which: Generator,
    index: usize,
) -> Result<&mut Map<String, Value>, Error> {
    let entry = file.list_mut(which.field()).get_mut(index).and_then(Value::as_object_mut);
    entry.ok_or_else(|| Error::new("an entry is no mapping").in_field(which.field()))
}

/// New values for keys that are there.
fn update_literals(entry: &mut Map<String, Value>, literals: &[String]) -> Result<(), String> {
    let split = |literal: &str| {
        match literal.split_once('=') {
        Some((key, value)) if !value.contains('=') => Ok((key.to_owned(), value.to_owned())),
        _ => Err("failed to update resource: invalid format: literal values must be specified in the key=value format"
            .to_owned()),
    }
    };
    let slot = entry.entry("literals").or_insert_with(|| json!([]));
    let old = slot.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, value) in old.map(split).collect::<Result<Vec<_>, _>>()? {
        match pairs.iter_mut().find(|(name, _)| *name == key) {
            Some((_, slot)) => *slot = value,
            None => pairs.push((key, value)),
        }
    }
    for literal in literals {
        let (key, value) = split(literal)?;
        let known = pairs.iter_mut().find(|(name, _)| *name == key);
        known.ok_or_else(|| format!("key '{key}' not found in resource"))?.1 = value;
    }
    *slot = pairs.into_iter().map(|(key, value)| Value::from(format!("{key}={value}"))).collect();
    Ok(())
}
