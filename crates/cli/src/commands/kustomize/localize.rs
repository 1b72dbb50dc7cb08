//! `landfall kustomize localize`.

use super::world::DiskWorld;
use anyhow::{Context as _, bail};
use kustomize::Options;
use std::path::{Path, PathBuf};

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// A folder with a kustomization, or the address of one; the present folder when left out
    #[arg(default_value = ".")]
    target: String,
    /// A new folder for the copy
    destination: Option<PathBuf>,
    /// The folder in which local bases must lie; the target when left out
    #[arg(long)]
    scope: Option<String>,
    /// Do not build both and compare
    #[arg(long)]
    no_verify: bool,
    /// Serve a remote source from a local folder, archive or mirror
    #[arg(long, value_name = "URL=PATH")]
    map: Vec<String>,
}

/// Copies, and builds both.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let world = DiskWorld::new(&args.map, Vec::new())?;
    let remote = kustomize::RepoSpec::parse(&args.target).is_some();
    let target = if remote { args.target.clone() } else { super::absolute(&args.target)? };
    let scope = args.scope.as_deref().map(super::absolute).transpose()?;
    let localized =
        kustomize::localize(&world, &target, scope.as_deref()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let folder = args.destination.clone().unwrap_or_else(|| PathBuf::from(&localized.name));
    if folder.exists() {
        bail!("invalid localize destination {folder:?}: localize destination {folder:?} already exists");
    }
    std::fs::create_dir(&folder).with_context(|| {
        format!("invalid localize destination {folder:?}: unable to create localize destination directory")
    })?;
    if let Err(error) = write(&folder, &localized) {
        // A half copy helps nobody; what stopped the copy is what to tell.
        let _removed = std::fs::remove_dir_all(&folder);
        return Err(error);
    }
    let shown = std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
    if !args.no_verify {
        verify(&world, &target, &shown.join(&localized.target), &args.target, &shown)?;
    }
    eprintln!("SUCCESS: localized {:?} to directory {}", args.target, shown.display());
    Ok(())
}

fn write(folder: &Path, localized: &kustomize::Localized) -> anyhow::Result<()> {
    for (name, bytes) in &localized.files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn verify(world: &DiskWorld, target: &str, copy: &Path, name: &str, folder: &Path) -> anyhow::Result<()> {
    let build = |dir: &str| {
        let built = kustomize::build(world, dir, &Options::default()).map_err(|error| {
            anyhow::anyhow!(
                "{error}\nIf the target needs flags to build, pass --no-verify and compare with them"
            )
        })?;
        anyhow::Ok(built.to_yaml())
    };
    let folder = folder.display();
    if build(target)? != build(&copy.to_string_lossy())? {
        bail!(
            "VERIFICATION FAILED: `kustomize build` for {name} and {folder} are different after localization."
        );
    }
    eprintln!(
        "VERIFICATION SUCCESS: `kustomize build` for {name} and {folder} are the same after localization."
    );
    Ok(())
}
