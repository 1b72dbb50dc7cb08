//! `kustomize edit`: what each verb makes of a kustomization file.
//!
//! [`run`] reads the kustomization of a folder through a [`World`], applies one [`Edit`] and answers the new
//! text; writing it is the caller's work.

mod create;
mod file;
mod fix;
mod generators;
pub mod glob;
mod lists;
mod pairs;
mod patches;
mod set;

pub use create::{Create, create};
pub use file::KustomizationFile;
pub(crate) use file::without_empty;
pub use generators::{Flags, Generator};
pub use patches::PatchFlags;

use crate::error::Error;
use crate::kustomization::FILE_NAMES;
use crate::world::{self, World};

/// A list field whose entries are files of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// `resources`
    Resource,
    /// `components`
    Component,
    /// `configurations`
    Configuration,
    /// `generators`
    Generator,
    /// `transformers`
    Transformer,
}

/// A field of labels or annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// `commonLabels` (or `labels`)
    Label,
    /// `commonAnnotations`
    Annotation,
}

/// A field that is one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// `namespace`
    Namespace,
    /// `namePrefix`
    NamePrefix,
    /// `nameSuffix`
    NameSuffix,
}

/// How labels and annotations are added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddPairs {
    /// Overwrite those that are there.
    pub force: bool,
    /// Into `labels`, so that selectors stay as they are.
    pub without_selector: bool,
    /// Templates of pods too; only with `without_selector`.
    pub include_templates: bool,
}

/// One change of a kustomization file, its arguments as the command line gives them.
#[derive(Debug, Clone)]
pub enum Edit {
    /// `set image`
    SetImage(Vec<String>),
    /// `set replicas`
    SetReplicas(Vec<String>),
    /// `set namespace`, `set nameprefix`, `set namesuffix`
    SetText(Text, Vec<String>),
    /// `set label`, `set annotation`
    SetPairs(Pairs, Vec<String>),
    /// `set buildmetadata`
    SetBuildMetadata(Vec<String>),
    /// `set configmap`, `set secret`
    SetGenerator(Generator, Vec<String>, Flags),
    /// `add resource`, `add component`, …; the flag skips the look at the files
    AddFiles(Files, Vec<String>, bool),
    /// `add base`
    AddBase(Vec<String>),
    /// `add label`, `add annotation`
    AddPairs(Pairs, Vec<String>, AddPairs),
    /// `add buildmetadata`
    AddBuildMetadata(Vec<String>),
    /// `add patch`
    AddPatch(PatchFlags),
    /// `add configmap`, `add secret`
    AddGenerator(Generator, Vec<String>, Flags),
    /// `remove resource`, `remove component`, `remove transformer`
    RemoveFiles(Files, Vec<String>),
    /// `remove label`, `remove annotation`; the flag ignores those that are not there
    RemovePairs(Pairs, Vec<String>, bool),
    /// `remove buildmetadata`
    RemoveBuildMetadata(Vec<String>),
    /// `remove patch`
    RemovePatch(PatchFlags),
    /// `remove configmap`, `remove secret`, in a namespace ("" for the default one)
    RemoveGenerator(Generator, Vec<String>, String),
    /// `fix`
    Fix,
}

/// What an edit came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The kustomization file.
    pub path: String,
    /// Its new text; `None` when the file is left alone.
    pub text: Option<String>,
    /// What is worth telling, a line each.
    pub notes: Vec<String>,
}

/// A folder's kustomization under edit.
struct Editor<'w> {
    world: &'w dyn World,
    dir: String,
    notes: Vec<String>,
}

/// Applies an edit to the kustomization of the folder `dir`.
pub fn run(world: &dyn World, dir: &str, edit: &Edit) -> Result<Edited, Error> {
    let mut editor = Editor { world, dir: world::clean(dir), notes: Vec::new() };
    let changed = editor.apply(edit)?;
    let (path, text) = match changed {
        Some((path, file)) => (path, Some(file.to_text())),
        None => (String::new(), None),
    };
    Ok(Edited { path, text, notes: editor.notes })
}

/// The file with its path when it has to be written.
type Changed = Option<(String, KustomizationFile)>;

impl Editor<'_> {
    fn apply(&mut self, edit: &Edit) -> Result<Changed, Error> {
        match edit {
            Edit::SetImage(args) => self.set_image(args),
            Edit::SetReplicas(args) => self.set_replicas(args),
            Edit::SetText(text, args) => self.set_text(*text, args),
            Edit::SetPairs(pairs, args) => self.set_pairs(*pairs, args),
            Edit::SetBuildMetadata(args) => self.set_build_metadata(args),
            Edit::SetGenerator(generator, args, flags) => self.set_generator(*generator, args, flags),
            Edit::AddFiles(files, args, unverified) => self.add_files(*files, args, *unverified),
            Edit::AddBase(args) => self.add_base(args),
            Edit::AddPairs(pairs, args, how) => self.add_pairs(*pairs, args, *how),
            Edit::AddBuildMetadata(args) => self.add_build_metadata(args),
            Edit::AddPatch(flags) => self.add_patch(flags),
            Edit::AddGenerator(generator, args, flags) => self.add_generator(*generator, args, flags),
            Edit::RemoveFiles(files, args) => self.remove_files(*files, args),
            Edit::RemovePairs(pairs, args, ignore) => self.remove_pairs(*pairs, args, *ignore),
            Edit::RemoveBuildMetadata(args) => self.remove_build_metadata(args),
            Edit::RemovePatch(flags) => self.remove_patch(flags),
            Edit::RemoveGenerator(generator, args, namespace) => {
                self.remove_generator(*generator, args, namespace)
            }
            Edit::Fix => self.fix(),
        }
    }

    /// The kustomization file of the folder: its path and content.
    fn open(&self) -> Result<(String, KustomizationFile), Error> {
        let exists = |path: &str| self.world.is_file(path) || self.world.is_dir(path);
        let found: Vec<(&str, String)> = FILE_NAMES
            .iter()
            .map(|name| (*name, world::join(&self.dir, name)))
            .filter(|(_, path)| exists(path))
            .collect();
        let (name, path) = match found.as_slice() {
            [] => {
                return Err(
                    Error::new("Missing kustomization file 'kustomization.yaml'.\n").in_file(&self.dir)
                );
            }
            [one] => one,
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| *name).collect();
                return Err(Error::new(format!(
                    "Found multiple kustomization file: [{}]\n",
                    names.join(" ")
                ))
                .in_file(&self.dir));
            }
        };
        if self.world.is_dir(path) {
            return Err(Error::new(format!("{name} should be a file")).in_file(path));
        }
        let bytes = self
            .world
            .read(path)
            .map_err(|error| Error::new(format!("open {name}: {error}")).in_file(path))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new("invalid Kustomization: yaml: invalid UTF-8").in_file(path))?;
        let file = KustomizationFile::parse(&text).map_err(|error| error.in_file(path))?;
        Ok((path.clone(), file))
    }

    fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }
}
