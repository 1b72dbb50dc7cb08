//! `landfall kustomize edit`.

use super::world::DiskWorld;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use kustomize::edit::{AddPairs, Edit, Files, Flags, Generator, Pairs, PatchFlags, Text};

/// What is done to the kustomization file of the present folder.
#[derive(Subcommand)]
pub enum Command {
    /// Add an item
    #[command(subcommand)]
    Add(Add),
    /// Set the value of a field
    #[command(subcommand)]
    Set(Set),
    /// Remove items
    #[command(subcommand)]
    Remove(Remove),
    /// Turn deprecated fields into the ones that took their place
    Fix(Fix),
}

/// Positional arguments.
#[derive(Args)]
pub struct Items {
    #[arg(value_name = "ITEM")]
    items: Vec<String>,
}

/// Arguments of `add resource` and `add component`.
#[derive(Args)]
pub struct Resources {
    #[arg(value_name = "FILE")]
    items: Vec<String>,
    /// Do not look whether the files are there
    #[arg(long)]
    no_verify: bool,
}

/// Arguments of `add label` and `add annotation`.
#[derive(Args)]
pub struct NewLabels {
    #[arg(value_name = "KEY:VALUE")]
    items: Vec<String>,
    /// Overwrite what is there
    #[arg(short, long)]
    force: bool,
    /// Leave selectors alone
    #[arg(long)]
    without_selector: bool,
    /// Templates too (requires --without-selector)
    #[arg(long)]
    include_templates: bool,
}

/// Arguments of `add annotation`.
#[derive(Args)]
pub struct NewAnnotations {
    #[arg(value_name = "KEY:VALUE")]
    items: Vec<String>,
    /// Overwrite what is there
    #[arg(short, long)]
    force: bool,
}

/// Arguments of `remove label` and `remove annotation`.
#[derive(Args)]
pub struct OldPairs {
    #[arg(value_name = "KEY,KEY")]
    items: Vec<String>,
    /// No error for what is not there
    #[arg(short, long)]
    ignore_non_existence: bool,
}

/// Arguments of `add patch` and `remove patch`.
#[derive(Args)]
pub struct Patch {
    /// The file of the patch
    #[arg(long, default_value = "")]
    path: String,
    /// The text of the patch
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    patch: String,
    /// The target's API group
    #[arg(long, default_value = "")]
    group: String,
    /// The target's API version
    #[arg(id = "api_version", long = "version", default_value = "")]
    version: String,
    /// The target's kind
    #[arg(long, default_value = "")]
    kind: String,
    /// The target's name
    #[arg(long, default_value = "")]
    name: String,
    /// The target's namespace
    #[arg(long, default_value = "")]
    namespace: String,
    /// The target's annotations
    #[arg(long, default_value = "")]
    annotation_selector: String,
    /// The target's labels
    #[arg(long, default_value = "")]
    label_selector: String,
    #[arg(hide = true)]
    ignored: Vec<String>,
}

/// Arguments of `add configmap` and `add secret`.
#[derive(Args)]
pub struct NewGenerator {
    #[arg(value_name = "NAME")]
    name: Vec<String>,
    /// A file, a pattern of files, or KEY=FILE
    #[arg(long, value_delimiter = ',')]
    from_file: Vec<String>,
    /// KEY=VALUE
    #[arg(long, allow_hyphen_values = true)]
    from_literal: Vec<String>,
    /// A file of KEY=VALUE lines
    #[arg(long, default_value = "")]
    from_env_file: String,
    /// Keep the name as it is
    #[arg(long = "disableNameSuffixHash")]
    disable_name_suffix_hash: bool,
    /// create, merge or replace
    #[arg(long, default_value = "")]
    behavior: String,
    /// The namespace of the object
    #[arg(long, default_value = "")]
    namespace: String,
}

/// Arguments of `add secret`.
#[derive(Args)]
pub struct NewSecret {
    #[command(flatten)]
    generator: NewGenerator,
    /// The type of the secret
    #[arg(long = "type", default_value = "Opaque")]
    secret_type: String,
}

/// Arguments of `set configmap` and `set secret`.
#[derive(Args)]
pub struct OldGenerator {
    #[arg(value_name = "NAME")]
    name: Vec<String>,
    /// A key that is there, and its new value
    #[arg(long, allow_hyphen_values = true)]
    from_literal: Vec<String>,
    /// The present namespace
    #[arg(long, default_value = "")]
    namespace: String,
    /// The new namespace
    #[arg(long, default_value = "")]
    new_namespace: String,
}

/// Arguments of `remove configmap` and `remove secret`.
#[derive(Args)]
pub struct GoneGenerator {
    #[arg(value_name = "NAME,NAME")]
    name: Vec<String>,
    /// The namespace they are in
    #[arg(long, default_value = "")]
    namespace: String,
}

/// Arguments of `fix`.
#[derive(Args)]
pub struct Fix {
    /// Turn vars into replacements too
    #[arg(long)]
    vars: bool,
}

/// What can be added.
#[derive(Subcommand)]
pub enum Add {
    /// Files and folders of resources
    Resource(Resources),
    /// Components
    Component(Items),
    /// Folders, separated by commas
    Base(Items),
    /// Files of configurations
    Configuration(Items),
    /// Files of generators
    Generator(Items),
    /// Files of transformers
    Transformer(Items),
    /// commonLabels
    Label(NewLabels),
    /// commonAnnotations
    Annotation(NewAnnotations),
    /// buildMetadata, separated by commas
    Buildmetadata(Items),
    /// A patch
    #[command(disable_version_flag = true)]
    Patch(Box<Patch>),
    /// A config map
    Configmap(NewGenerator),
    /// A secret
    Secret(NewSecret),
}

/// What can be set.
#[derive(Subcommand)]
pub enum Set {
    /// Images: NAME=NEW:TAG, NAME@DIGEST, …
    Image(Items),
    /// Replicas: NAME=COUNT
    Replicas(Items),
    /// The namespace
    Namespace(Items),
    /// The prefix of names
    Nameprefix(Items),
    /// The suffix of names
    Namesuffix(Items),
    /// commonLabels
    Label(Items),
    /// commonAnnotations
    Annotation(Items),
    /// buildMetadata, separated by commas
    Buildmetadata(Items),
    /// A config map's literals and namespace
    Configmap(OldGenerator),
    /// A secret's literals and namespace
    Secret(OldGenerator),
}

/// What can be removed.
#[derive(Subcommand)]
pub enum Remove {
    /// Resources
    Resource(Items),
    /// Components
    Component(Items),
    /// Transformers
    Transformer(Items),
    /// commonLabels
    Label(OldPairs),
    /// commonAnnotations
    Annotation(OldPairs),
    /// buildMetadata, separated by commas
    Buildmetadata(Items),
    /// A patch
    #[command(disable_version_flag = true)]
    Patch(Box<Patch>),
    /// Config maps
    Configmap(GoneGenerator),
    /// Secrets
    Secret(GoneGenerator),
}

impl Patch {
    fn flags(self) -> PatchFlags {
        let target = vec![
            ("group", self.group),
            ("version", self.version),
            ("kind", self.kind),
            ("name", self.name),
            ("namespace", self.namespace),
            ("annotationSelector", self.annotation_selector),
            ("labelSelector", self.label_selector),
        ];
        PatchFlags { path: self.path, patch: self.patch, target }
    }
}

impl NewGenerator {
    fn edit(self, generator: Generator, secret_type: String) -> Edit {
        let flags = Flags {
            files: self.from_file,
            literals: self.from_literal,
            env_file: self.from_env_file,
            behavior: self.behavior,
            secret_type,
            namespace: self.namespace,
            disable_name_suffix_hash: self.disable_name_suffix_hash,
            ..Flags::default()
        };
        Edit::AddGenerator(generator, self.name, flags)
    }
}

impl OldGenerator {
    fn edit(self, generator: Generator) -> Edit {
        let flags = Flags {
            literals: self.from_literal,
            namespace: self.namespace,
            new_namespace: self.new_namespace,
            ..Flags::default()
        };
        Edit::SetGenerator(generator, self.name, flags)
    }
}

impl Add {
    fn edit(self) -> Edit {
        match self {
            Add::Resource(args) => Edit::AddFiles(Files::Resource, args.items, args.no_verify),
            Add::Component(args) => Edit::AddFiles(Files::Component, args.items, false),
            Add::Base(args) => Edit::AddBase(args.items),
            Add::Configuration(args) => Edit::AddFiles(Files::Configuration, args.items, false),
            Add::Generator(args) => Edit::AddFiles(Files::Generator, args.items, false),
            Add::Transformer(args) => Edit::AddFiles(Files::Transformer, args.items, false),
            Add::Label(args) => {
                let how = AddPairs {
                    force: args.force,
                    without_selector: args.without_selector,
                    include_templates: args.include_templates,
                };
                Edit::AddPairs(Pairs::Label, args.items, how)
            }
            Add::Annotation(args) => {
                let how = AddPairs { force: args.force, ..AddPairs::default() };
                Edit::AddPairs(Pairs::Annotation, args.items, how)
            }
            Add::Buildmetadata(args) => Edit::AddBuildMetadata(args.items),
            Add::Patch(args) => Edit::AddPatch(args.flags()),
            Add::Configmap(args) => args.edit(Generator::ConfigMap, String::new()),
            Add::Secret(args) => args.generator.edit(Generator::Secret, args.secret_type),
        }
    }
}

impl Set {
    fn edit(self) -> Edit {
        match self {
            Set::Image(args) => Edit::SetImage(args.items),
            Set::Replicas(args) => Edit::SetReplicas(args.items),
            Set::Namespace(args) => Edit::SetText(Text::Namespace, args.items),
            Set::Nameprefix(args) => Edit::SetText(Text::NamePrefix, args.items),
            Set::Namesuffix(args) => Edit::SetText(Text::NameSuffix, args.items),
            Set::Label(args) => Edit::SetPairs(Pairs::Label, args.items),
            Set::Annotation(args) => Edit::SetPairs(Pairs::Annotation, args.items),
            Set::Buildmetadata(args) => Edit::SetBuildMetadata(args.items),
            Set::Configmap(args) => args.edit(Generator::ConfigMap),
            Set::Secret(args) => args.edit(Generator::Secret),
        }
    }
}

impl Remove {
    fn edit(self) -> Edit {
        match self {
            Remove::Resource(args) => Edit::RemoveFiles(Files::Resource, args.items),
            Remove::Component(args) => Edit::RemoveFiles(Files::Component, args.items),
            Remove::Transformer(args) => Edit::RemoveFiles(Files::Transformer, args.items),
            Remove::Label(args) => Edit::RemovePairs(Pairs::Label, args.items, args.ignore_non_existence),
            Remove::Annotation(args) => {
                Edit::RemovePairs(Pairs::Annotation, args.items, args.ignore_non_existence)
            }
            Remove::Buildmetadata(args) => Edit::RemoveBuildMetadata(args.items),
            Remove::Patch(args) => Edit::RemovePatch(args.flags()),
            Remove::Configmap(args) => Edit::RemoveGenerator(Generator::ConfigMap, args.name, args.namespace),
            Remove::Secret(args) => Edit::RemoveGenerator(Generator::Secret, args.name, args.namespace),
        }
    }
}

/// Changes the kustomization file of the present folder.
pub fn run(command: Command) -> anyhow::Result<()> {
    let fixes = matches!(command, Command::Fix(_));
    let edit = match command {
        Command::Add(add) => add.edit(),
        Command::Set(set) => set.edit(),
        Command::Remove(remove) => remove.edit(),
        Command::Fix(Fix { vars: true }) => anyhow::bail!(
            "--vars is not done here, as it rewrites resource files and may change what they build; run `kustomize edit fix --vars`"
        ),
        Command::Fix(_) => Edit::Fix,
    };
    let world = DiskWorld::new(&[], Vec::new())?;
    let dir = super::absolute(".")?;
    let edited = kustomize::edit::run(&world, &dir, &edit).map_err(|error| anyhow::anyhow!("{error}"))?;
    for note in &edited.notes {
        // What was fixed is the answer; the rest is said beside it.
        if fixes { println!("{note}") } else { eprintln!("{note}") }
    }
    match edited.text {
        Some(text) => std::fs::write(&edited.path, text).context(edited.path),
        None => Ok(()),
    }
}
