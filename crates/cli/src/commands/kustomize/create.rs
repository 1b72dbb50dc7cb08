//! `landfall kustomize create`.

use super::world::DiskWorld;
use anyhow::Context as _;
use kustomize::edit::{Create, Text, create};

/// Arguments of `kustomize create`.
#[derive(clap::Args)]
pub struct Args {
    /// Add these files, folders and addresses, with commas between them
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    resources: String,
    /// Set the namespace
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    namespace: String,
    /// Add annotations, as key:value with commas between them
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    annotations: String,
    /// Add labels, as key:value with commas between them
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    labels: String,
    /// Set the prefix of names
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    nameprefix: String,
    /// Set the suffix of names
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    namesuffix: String,
    /// Add the files of this folder that hold resources
    #[arg(long)]
    autodetect: bool,
    /// With --autodetect: look into folders too
    #[arg(long)]
    recursive: bool,
}

/// Writes a kustomization into this folder.
pub fn run(args: Args) -> anyhow::Result<()> {
    let texts = [
        (Text::Namespace, args.namespace),
        (Text::NamePrefix, args.nameprefix),
        (Text::NameSuffix, args.namesuffix),
    ];
    let wanted = Create {
        resources: args.resources,
        texts: texts.into(),
        annotations: args.annotations,
        labels: args.labels,
        autodetect: args.autodetect,
        recursive: args.recursive,
    };
    let world = DiskWorld::new(&[], Vec::new())?;
    let made = create(&world, &super::absolute(".")?, &wanted).map_err(|error| anyhow::anyhow!("{error}"))?;
    for note in &made.notes {
        eprintln!("{note}");
    }
    match made.text {
        Some(text) => std::fs::write(&made.path, text).context(made.path),
        None => Ok(()),
    }
}
