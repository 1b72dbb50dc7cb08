//! `kustomize create`: a new kustomization file.

use super::{Edited, Editor, KustomizationFile, Text, pairs};
use crate::error::Error;
use crate::kustomization::FILE_NAMES;
use crate::resource::parse_resources;
use crate::world::{self, World};
use serde_json::{Map, Value};

/// How deep folders are looked through.
const MAX_DEPTH: usize = 64;

/// What the new file holds, as the command line gives it.
#[derive(Debug, Clone, Default)]
pub struct Create {
    /// `--resources`: files, folders, addresses and patterns, with commas between them.
    pub resources: String,
    /// `--namespace`, `--nameprefix` and `--namesuffix`.
    pub texts: Vec<(Text, String)>,
    /// `--annotations`: `key:value` pairs with commas between them.
    pub annotations: String,
    /// `--labels`, the same.
    pub labels: String,
    /// `--autodetect`: take in every file that holds resources.
    pub autodetect: bool,
    /// `--recursive`: those of folders too.
    pub recursive: bool,
}

/// Makes a kustomization for the folder `dir`; nothing is made when anything is wrong.
pub fn create(world: &dyn World, dir: &str, create: &Create) -> Result<Edited, Error> {
    let editor = Editor { world, dir: world::clean(dir), notes: Vec::new() };
    let mut resources = Vec::new();
    if !create.resources.is_empty() {
        let patterns: Vec<String> = create.resources.split(',').map(str::to_owned).collect();
        resources = editor.find_or_load(&patterns, false)?;
    }
    let place = |name: &str| world::join(&editor.dir, name);
    if FILE_NAMES.iter().any(|name| world.is_file(&place(name)) || world.is_dir(&place(name))) {
        return Err(Error::new("kustomization file already exists").in_file(&editor.dir));
    }
    if create.autodetect {
        let mut found = Vec::new();
        editor.detect("", create.recursive, &mut found, 0)?;
        found.retain(|path| !resources.contains(path));
        resources.append(&mut found);
    }
    let mut file = KustomizationFile::parse("{}")?;
    file.set("resources", Value::from(resources));
    for (text, value) in &create.texts {
        let field = match text {
            Text::Namespace => "namespace",
            Text::NamePrefix => "namePrefix",
            Text::NameSuffix => "nameSuffix",
        };
        file.set(field, Value::from(value.as_str()));
    }
    for (field, kind, given) in
        [("commonAnnotations", "annotation", &create.annotations), ("commonLabels", "label", &create.labels)]
    {
        if !given.is_empty() {
            let given: Vec<String> = given.split(',').map(str::to_owned).collect();
            let map: Map<String, Value> =
                pairs::parse(&given, kind)?.into_iter().map(|(key, value)| (key, value.into())).collect();
            file.set(field, Value::Object(map));
        }
    }
    let path = place(FILE_NAMES[0]);
    Ok(Edited { path, text: Some(file.to_text()), notes: editor.notes })
}

impl Editor<'_> {
    /// The files below a folder that hold resources, and the folders that are kustomizations, in order.
    fn detect(
        &self,
        folder: &str,
        recursive: bool,
        found: &mut Vec<String>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(format!("folders nest deeper than {MAX_DEPTH} levels")).in_file(folder));
        }
        let at = |path: &str| world::join(&self.dir, path);
        let names = self
            .world
            .list_dir(&at(folder))
            .map_err(|error| Error::new(format!("open {folder}: {error}")).in_file(folder))?;
        for name in names {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if !self.world.is_dir(&at(&path)) {
                let Ok(bytes) = self.world.read(&at(&path)) else {
                    return Err(Error::new(format!("open {path}: it cannot be read")).in_file(path));
                };
                if parse_resources(&String::from_utf8_lossy(&bytes)).is_ok() {
                    found.push(path);
                }
            } else if recursive {
                let own = |name: &&str| self.world.is_file(&at(&format!("{path}/{name}")));
                if FILE_NAMES.iter().any(own) {
                    found.push(path);
                } else {
                    self.detect(&path, recursive, found, depth + 1)?;
                }
            }
        }
        Ok(())
    }
}
